"""The command `page`, `page.write`, and what they write: one file, which asks nobody."""

import socket

import numpy as np
import pytest

from lowlevel_mnist import Network, page
from lowlevel_mnist.errors import UserError
from tests.helpers.browser import Page
from tests.helpers.commands import assert_refused, limit_files, run
from tests.helpers.data import pattern_arrays
from tests.helpers.pages import dataset_of, random_network, write_page
from tests.helpers.runs import change_settings

PATTERNS = dataset_of(pattern_arrays())
MARKUP = (
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=document.title='taken'>",
    "<!--<script>",
    "&lt;b&gt; & \"quoted\" 'name' ${document.title='taken'}",
)
ATTEMPTS = """
const [address, done] = arguments;
new Image().src = address;
const [script, inline] = ["script", "script"].map((name) => document.createElement(name));
script.src = address;
inline.textContent = "window.injected = true";
document.body.append(script, inline);
navigator.sendBeacon(address, "x");
fetch(address).then(() => done("reached"), () => done("refused"));
"""


def test_it_can_ask_nobody(chromium_browser, page_file):
    """Not even a script that had come into it could."""
    shown = Page(chromium_browser, page_file)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert chromium_browser.execute_async_script(ATTEMPTS, address) == "refused"
        assert shown.do("return window.injected") is None
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
        chromium_browser.get("about:blank")  # without the policy, one can
        shown.do("new Image().src = arguments[0]", address)
        server.settimeout(60)
        server.accept()[0].close()


def test_an_untrusted_run_smuggles_nothing_in(chromium_browser, tmp_path):
    """Texts that look like markup are texts like any other."""
    dataset = dataset_of(pattern_arrays(), names=dict(enumerate(MARKUP)))
    path = tmp_path / "<b>page & co.html"
    write_page(path, random_network(dataset), dataset, recipe=MARKUP[0])
    shown = Page(chromium_browser, path)
    names = shown.find_all("#classes .name")
    assert [name.get_attribute("textContent") for name in names] == list(MARKUP)
    assert MARKUP[0] in shown.text("footer")
    assert shown.do("return document.title") == "Change a picture"
    assert shown.do("return document.querySelectorAll('img, b').length") == 0
    assert shown.do("return document.querySelectorAll('script').length") == 6
    assert shown.console() == []


def test_what_is_replaced(tmp_path):
    """A file, or a link, but not what it leads to; no device. The bytes are always the same."""
    network = random_network(PATTERNS)
    first = write_page(tmp_path / "first.html", network, PATTERNS).read_bytes()
    (tmp_path / "precious").write_text("precious", encoding="utf-8")
    (tmp_path / "old.html").write_text("old", encoding="utf-8")
    (tmp_path / "link.html").symlink_to("precious")
    for name in ("old.html", "link.html"):
        page.write(str(tmp_path / name), network, PATTERNS)
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == first
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "precious"
    (tmp_path / "device.html").symlink_to("/dev/null")
    with pytest.raises(UserError, match="can't be written: it is a device"):
        page.write(tmp_path / "device.html", network, PATTERNS)


class Squared(Network):
    def __call__(self, images, *masks):
        return super().__call__(images**2, *masks)


def beyond_float32():
    network = Network([48, 4], dtype="float64")
    network.biases[0].assign(1e39 * np.ones(4))
    return network


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lambda images: images, "can't do what a function does"),
        (lambda: Squared([48, 4]), "can't do what a Squared does"),
        (lambda: Network([48, 7]), "for 48 pixels and 7 classes, but the data has 48 and 4"),
        (lambda: Network([64, 4]), "for 64 pixels and 4 classes"),
        (lambda: Network([48, 300_000, 4]), "takes 63.6 MB, and a page holds at most 50 MB"),
        (beyond_float32, "beyond the range of float32"),
    ],
)
def test_a_network_that_has_no_page(tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        page.write(tmp_path / "page.html", make(), PATTERNS)
    assert list(tmp_path.iterdir()) == []


def test_the_command(dropout_run, page_file, tmp_path):
    folder = dropout_run.copy(tmp_path)
    done = run("page", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Saved in runs/one/page.html" in done.stdout
    assert (folder / "page.html").read_bytes() == page_file.read_bytes()


def test_what_the_command_refuses(dropout_run, tmp_path):
    folder = dropout_run.copy(tmp_path)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    done = run("page", "--to", "page.pdf", cwd=tmp_path)
    assert_refused(done, "page.pdf: its name must end in one of .html, .htm")
    done = run("page", "--to", "a.HTM", cwd=tmp_path, before=limit_files(100_000))
    assert_refused(done, "a.HTM can't be written: File too large", "--to")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before
    change_settings(folder, layer_sizes=[784, 16_000, 10])
    assert_refused(run("page", cwd=tmp_path), "takes 50.9 MB", "--hidden-units")
