"""Old browsers, and those that run no scripts or keep nothing."""

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.helpers.browser import Page
from tests.helpers.handwriting import written

# What came after Safari 13.1, as far as a script can take it away; and a place to keep choices.
OLD = """
for (const name of ["at", "findLast", "findLastIndex", "toSorted", "toReversed", "with"]) {
  delete Array.prototype[name];
  delete Object.getPrototypeOf(Int8Array.prototype)[name];
}
delete String.prototype.at;
delete String.prototype.replaceAll;
delete window.structuredClone;
delete PointerEvent.prototype.getCoalescedEvents;
Element.prototype.matches = ((matches) => function (selector) {
  if (selector.includes(":focus-visible") || selector.includes(":has")) {
    throw new SyntaxError(selector);
  }
  return matches.call(this, selector);
})(Element.prototype.matches);
MediaQueryList.prototype.addEventListener = undefined;
Object.defineProperty(window, "localStorage", {get() { throw new DOMException("blocked"); }});
"""


@pytest.fixture
def open_after(chromium_browser, page_file):
    """Opens the page after a script of the test's own has run in it."""
    added = []

    def open_page(script):
        source = {"source": script}
        added.append(
            chromium_browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
        )
        return Page(chromium_browser, page_file)

    yield open_page
    for identifier in added:
        chromium_browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", identifier)


def test_an_old_browser(open_after):
    page = open_after(OLD)
    assert page.do("return [].findLast === undefined")
    page.draw(*written(3, 7, seed=3))
    drawn = page.answer()
    assert drawn[0] == "3"
    page.click("#images li:nth-child(2) button")
    assert page.answer() != drawn
    page.click("#undo")
    assert page.answer() == drawn
    page.find("#drawing").send_keys(Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    page.find("#classes button").send_keys(Keys.TAB)
    page.click("#language")
    assert page.do("return document.documentElement.lang") == "ko"
    assert page.find_all("#unstarted") == []
    assert page.console() == []


@pytest.mark.full
def test_a_script_that_does_not_run(open_after):
    """Instead of an empty page, there is a sentence, in both languages."""
    page = open_after("const resize = null;")  # which a script of the page declares
    sentence = page.find("#unstarted > div p")
    WebDriverWait(page.browser, 30).until(lambda _: sentence.is_displayed())
    text = page.find("body").text
    assert "It needs a browser of 2020 or later." in text
    assert "2020년 이후에 나온 브라우저가 필요합니다." in text
    assert "--serve" not in text
    assert not page.find("#drawing").is_displayed()


def test_no_scripts_at_all(chromium_browser, page_file):
    """As on an iPhone, which shows a file that came by mail so."""
    switch = "Emulation.setScriptExecutionDisabled"
    try:
        chromium_browser.execute_cdp_cmd(switch, {"value": True})
        Page(chromium_browser, page_file)
        found = chromium_browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})
    finally:
        chromium_browser.execute_cdp_cmd(switch, {"value": False})
    text = " ".join(node.get("name", {}).get("value", "") for node in found["nodes"])
    assert "iPhones and iPads show a page that came by mail" in text
    assert "아이폰과 아이패드는" in text
    assert text.count("python -m lowlevel_mnist.page --serve") >= 2
