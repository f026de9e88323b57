"""The page in all sizes, languages and themes, and for whoever can't see it well."""

import re

import numpy as np
import pytest
from axe_core_python.base import AXE_SCRIPT

from tests.helpers.browser import Page
from tests.helpers.data import digit_arrays
from tests.helpers.handwriting import written
from tests.helpers.pages import dataset_of, random_network, write_page

LOOK = "return [document.documentElement.lang, getComputedStyle(document.body).backgroundColor]"
HANGUL = re.compile("[가-힣]+")
SCREENS = {  # width and height, whether there are fingers, theme and language
    "upright": ((390, 844), True, "light", "en"),
    "small": ((360, 740), True, "dark", "en"),
    "sideways": ((740, 360), True, "light", "ko"),
    "tablet": ((1180, 820), True, "dark", "ko"),
    "desktop": ((1280, 800), False, "light", "en"),
}
TOO_SMALL = """
const targets = Array.from(document.querySelectorAll("button, input"));
const side = matchMedia("(pointer: coarse)").matches ? 44 : 24;
const texts = Array.from(document.querySelectorAll("body *"));
return [
  ...targets.filter((e) => e.getBoundingClientRect().width < side),
  ...targets.filter((e) => e.getBoundingClientRect().height < side),
  ...texts.filter((e) => e.checkVisibility() && parseFloat(getComputedStyle(e).fontSize) < 12),
].map((e) => e.id || e.innerText);
"""
AXE = """
const done = arguments[0];
axe.run({rules: {"label-content-name-mismatch": {enabled: true}}}).then(({violations}) =>
  done(violations.map(({id, impact, nodes}) => [id, impact, nodes[0].html])));
"""


@pytest.mark.parametrize(
    "name", ["upright", *(pytest.param(n, marks=pytest.mark.full) for n in [*SCREENS][1:])]
)
def test_everybody_can_use_it(chromium_browser, page_file, name):
    """One sees the canvas and, but for a phone held sideways, the bars while one draws.

    axe finds nothing, with its rules and the experimental label-content-name-mismatch; and again
    in the other language and theme.
    """
    size, fingers, theme, language = SCREENS[name]
    page = Page(chromium_browser, page_file, size, theme, language, fingers)
    page.do(AXE_SCRIPT)
    page.draw(*written(3, 7, seed=3))
    for _ in range(2):
        page.do("scrollTo(0, 0)")
        assert page.do(TOO_SMALL) == []
        assert page.do("return document.documentElement.scrollWidth") == size[0]
        box = page.do("return drawing.canvas.getBoundingClientRect().toJSON()")
        assert box["top"] >= 0
        assert box["bottom"] <= size[1]
        assert box["height"] >= 200
        bars = page.do("return rows[rows.length - 1].row.getBoundingClientRect().bottom")
        assert bars < size[1] or name == "sideways"
        assert page.browser.execute_async_script(AXE) == []
        page.click("#language")
        page.click("#theme")


@pytest.mark.full
def test_nothing_is_cut_off_at_any_width(page):
    for width in (320, 480, 740, 900, 1024, 1119, 1120, 1920):
        page.resize(width, 360)
        page.settle()
        assert page.do("return document.documentElement.scrollWidth") == width
        assert page.do("return drawing.canvas.clientHeight") <= 360


@pytest.mark.full
def test_language_and_theme(chromium_browser, page_file):
    """Those of the system, and the other ones by the switches; these stay for the next time."""
    page = Page(chromium_browser, page_file, theme="dark", language="ko-KR")
    korean, dark = page.do(LOOK)
    assert (korean, page.text("#theme")) == ("ko", "밝은 화면")
    page.click("#language")
    page.click("#theme")
    for _ in range(2):
        english, light = page.do(LOOK)
        assert (english, page.text("#theme")) == ("en", "Dark theme")
        chromium_browser.refresh()
    page = Page(chromium_browser, page_file, theme="light")
    assert page.do(LOOK) == ["en", light]
    page.click("#theme")
    assert page.do(LOOK) == ["en", dark] != ["en", light]
    for left in ("{", '{"language": 1, "theme": []}'):  # by whatever other page
        page.do("localStorage.setItem('lowlevel_mnist', arguments[0])", left)
        chromium_browser.refresh()
        assert page.do(LOOK) == ["en", light]
    assert page.console() == []


def test_no_text_is_missing_in_either_language(page):
    page.draw(*written(3, 0, seed=0))
    english = page.find("main").text
    assert HANGUL.findall(page.find("body").text) == ["한국어"]
    page.click("#language")
    korean = page.find("main").text
    assert not HANGUL.search(page.text("#language"))
    figures = [sorted(re.findall(r"\d+\.\d+|\d+", text)) for text in (korean, english)]
    assert figures[0] == figures[1]
    keys = page.do("return ['en', 'ko'].map((language) => Object.keys(TEXTS[language]))")
    assert keys[0] == keys[1]


# ---- What it says


def test_a_chosen_class(page):
    """It is let go by a second click, and with the next image."""
    page.click("#images button")
    title = "What speaks for {}, and what against"
    own = title.format(page.answer()[0].rstrip("?"))
    assert page.text("#reasonsTitle") == own
    other = "#classes li:nth-child(3) button"
    page.click(other)
    assert page.text("#reasonsTitle") == title.format(2)
    assert [row.text[0] for row in page.find_all("#classes [aria-pressed=true]")] == ["2"]
    page.click(other)
    page.click("h1")  # the mouse points at no class any more
    assert page.text("#reasonsTitle") == own
    page.click(other)
    page.click("#images li:nth-child(24) button")
    assert page.text("#reasonsTitle") == title.format(page.answer()[0].rstrip("?"))
    assert page.find_all("#classes [aria-pressed=true]") == []


def test_what_is_no_digit(page):
    """A tap is none; but a digit is one, as people write it."""
    page.draw(*written(3, 7, seed=3))
    assert (page.text("#answer"), page.text("#answerTitle")) == ("3", "The answer")
    page.click("#clear")
    page.draw([[0.5, 0.5]])
    assert page.text("#answerTitle") == "Not sure"
    assert page.text("#answer")[1:] == "?"
    assert page.text("#spoken").startswith(f"Not sure: {page.text('#answer')}, ")
    page.click("#language")
    assert page.text("#answerTitle") == "확실하지 않음"
    page.click("#clear")
    assert page.text("#answerTitle") == "신경망의 답"


def test_what_it_is_of(page, dropout_run):
    assert "not learn MNIST's digits but 10 classes of other drawings." in page.text("header p")
    footer = page.text("footer")
    assert "Network: recipe mlp-128-dropout, 784-128-10, trained on custom data. " in footer
    accuracy = re.search(r"test accuracy ([\d.]+)", dropout_run.process.stdout, re.I)[1]
    assert f"Test accuracy {accuracy} on 100 images." in footer


@pytest.mark.full
def test_pictures_of_things(chromium_browser, tmp_path):
    """It says what makes sense for them, and nothing of a class without images."""
    images, labels, test_images, test_labels = digit_arrays()
    noise = np.random.default_rng(0).integers(0, 256, images.shape)
    images = np.maximum(images, noise).astype(np.uint8)
    kept, test_kept = labels != 3, test_labels != 3
    arrays = images[kept], labels[kept], test_images[test_kept], test_labels[test_kept]
    dataset = dataset_of(arrays)
    path = write_page(tmp_path / "page.html", random_network(dataset), dataset)
    page = Page(chromium_browser, path)
    assert "did not learn digits but pictures of 9 classes." in page.text("header p")
    assert page.text("#hint") == "Load a test image"
    assert "Network: 784-10, trained on custom data." in page.text("footer")
    page.do("drawing.load(images.find(({predicted}) => predicted !== 3).pixels)")
    shown = [row.is_displayed() for row in page.find_all("#classes li")]
    assert shown == [label != 3 for label in range(10)]
