"""Two browsers, each started once, and a page in them."""

import pytest

from tests.helpers.browser import Page, chromium, webkit
from tests.helpers.commands import run


@pytest.fixture(scope="session")
def chromium_browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def webkit_browser():
    with webkit() as started:
        yield started


@pytest.fixture(scope="session")
def page_file(dropout_run, tmp_path_factory):
    """The page of `dropout_run`, by the command."""
    home = tmp_path_factory.mktemp("page")
    done = run("page", "--run", dropout_run.folder, "--to", "page.html", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    return home / "page.html"


@pytest.fixture
def page(request, page_file):
    """The page in Chromium, or in the browser whose fixture a test names."""
    browser = request.getfixturevalue(getattr(request, "param", "chromium_browser"))
    shown = Page(browser, page_file)
    yield shown
    if shown.is_chromium:
        assert shown.console() == []
        assert shown.requested() == [page_file.as_uri()]


@pytest.fixture
def tablet(chromium_browser, page_file):
    shown = Page(chromium_browser, page_file, (820, 1180), fingers=True)
    yield shown
    assert shown.console() == []
