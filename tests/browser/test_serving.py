"""`page --serve`: the page at an address, for phones; and the address as a QR code."""

import contextlib
import http.client
import re
import signal
import socket

import numpy as np
import pytest
import zxingcpp

from lowlevel_mnist.browser import qr, serving
from tests.helpers.commands import limit_files, start, train
from tests.helpers.data import pattern_arrays, write_idx_folder
from tests.helpers.terminal import Terminal


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run in it, named run."""
    folder = tmp_path_factory.mktemp("trained")
    write_idx_folder(folder / "data", pattern_arrays())
    train(folder / "data", "--epochs", 1, "--no-plots", "--output-dir", "run", cwd=folder)
    return folder


@contextlib.contextmanager
def served(folder):
    """Yields a `page --serve` process and the port of its address, as soon as that is printed."""
    with start("page", "--run", "run", "--serve", cwd=folder) as process:
        try:
            for line in process.stdout:
                if found := re.fullmatch(r"  http://([\d.]+):(\d+)/\n", line):
                    yield process, found[1], int(found[2])
                    break
        finally:
            process.kill()


def ask(port, path, method="GET", host="127.0.0.1"):
    """Returns the `http.client.HTTPResponse`, and the bytes of its content."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_it_serves_the_page_and_nothing_else(trained):
    with served(trained) as (process, host, port):
        page = (trained / "run" / "page.html").read_bytes()
        for asked in ("127.0.0.1", host):  # of all interfaces
            response, content = ask(port, "/", host=asked)
            assert (response.status, content) == (200, page)
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Server"] == "lowlevel_mnist"
        response, content = ask(port, "/", "HEAD")
        assert (response.status, content) == (200, b"")
        assert int(response.headers["Content-Length"]) == len(page)
        for path in (
            "/page.html",
            "/settings.json",
            "/run/",
            "/../run/settings.json",
            "/%2e%2e/settings.json",
            "/..%2f..%2f..%2fetc%2fpasswd",
            str(trained / "run" / "settings.json"),
            "/<script>",
        ):
            response, content = ask(port, path)
            assert response.status == 404, path
            assert b"784" not in content
            assert b"<script>" not in content
        assert ask(port, "/?utm=chat")[0].status == 200
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            assert ask(port, "/", method)[0].status == 501
        assert process.poll() is None


def test_clients_that_say_nothing_or_go_away_hinder_nobody(trained):
    with served(trained) as (process, _, port):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(b"GET / HTTP/1.1\r\n\r\n")
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert ask(port, "/")[0].status == 200
        for connection in silent:
            connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read() == "The page is no longer served.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_it(trained, number):
    with served(trained) as (process, _, port):
        process.send_signal(number)
        assert process.wait() == 128 + number
        assert process.stderr.read() == "The page is no longer served.\n"
        with pytest.raises(ConnectionRefusedError):
            ask(port, "/")


def test_a_page_that_can_not_be_written_is_not_served(trained):
    before = limit_files(1000)
    with start("page", "--run", "run", "--to", "a.html", "--serve", cwd=trained, before=before) as (
        process
    ):
        process.communicate()
    assert process.returncode == 2
    assert not (trained / "a.html").exists()


def test_a_machine_without_a_network(monkeypatch):
    """Where nothing leads out, the address is one that the machine itself has."""
    assert re.fullmatch(r"[\d.]+", serving.own_address())
    monkeypatch.setattr(serving, "ELSEWHERE", "255.255.255.255")  # nobody may send there unasked
    assert serving.own_address() == "127.0.0.1"


# ---- The QR code, read by a decoder of others


def decode(is_dark):
    """Returns the texts of the QR codes in a picture, `bool` [height, width]."""
    picture = np.where(np.kron(is_dark, np.ones((4, 4), bool)), 0, 255).astype(np.uint8)
    return [found.text for found in zxingcpp.read_barcodes(picture)]


@pytest.mark.parametrize("seed", range(20))
def test_a_decoder_reads_the_code(seed):
    """Any address; also where four modules are damaged, as error correction has it."""
    generator = np.random.default_rng(seed)
    host = ".".join(map(str, generator.integers(0, 256, 4)))
    text = f"http://{host}:{generator.integers(1, 65536)}/"
    modules = np.pad(np.array(qr.encode(text)), qr.QUIET)
    assert decode(modules) == [text]
    rows, columns = generator.integers(qr.QUIET + 9, qr.QUIET + qr.SIZE - 9, (2, 4))
    modules[rows, columns] ^= True
    assert decode(modules) == [text]


def test_texts_of_all_lengths():
    for length in range(1, qr.MAX_BYTES + 1):
        text = "é" * (length // 2) + "x" * (length % 2)
        assert decode(np.pad(np.array(qr.encode(text)), qr.QUIET)) == [text]
    with pytest.raises(ValueError, match="33 bytes are more than the 32"):
        qr.encode("x" * 33)


HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def see(terminal):
    """Returns what is dark on a terminal's screen, `bool` [rows, columns], two to a line.

    As it is where background and text have a colour of their own; otherwise the terminal's, on
    which dark is light.
    """
    seen = np.zeros((2 * terminal.screen.lines, terminal.screen.columns), bool)
    for y in range(terminal.screen.lines):
        for x in range(terminal.screen.columns):
            cell = terminal.screen.buffer[y][x]
            if (cell.fg, cell.bg) == ("000000", "ffffff"):
                seen[2 * y : 2 * y + 2, x] = HALVES[cell.data]
            else:
                seen[2 * y : 2 * y + 2, x] = True
    return seen


def serve_on(terminal, folder, **changes):
    """Serves until the terminal shows all that there is to say. Returns its lines."""
    arguments = ["page", "--run", "run", "--serve"]
    with terminal.start(*arguments, cwd=folder, **changes) as process:
        terminal.read_while(
            lambda: process.poll() is None and "firewall" not in " ".join(terminal.lines())
        )
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        terminal.read_while(lambda: process.poll() is None)
        assert process.returncode == 130
    return terminal.lines()


def test_a_phone_can_read_it_from_a_dark_terminal(trained):
    terminal = Terminal(80)
    lines = serve_on(terminal, trained, COLORTERM="truecolor")
    (address,) = [line.strip() for line in lines if line.startswith("  http://")]
    assert decode(see(terminal)) == [address]


@pytest.mark.parametrize(
    ("columns", "changes"), [(32, {}), (80, {"NO_COLOR": "1"}), (80, {"TERM": "dumb"})]
)
def test_where_it_could_not_be_read_it_is_left_out(trained, columns, changes):
    lines = serve_on(Terminal(columns), trained, **changes)
    assert any("http://" in line for line in lines)
    assert not any("█" in line for line in lines)
