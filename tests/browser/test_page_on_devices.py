"""The page on phones and tablets, in old browsers, for everybody: what a desktop does not show."""

import numpy as np
import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver.common.keys import Keys

from lowlevel_mnist import Adam, Network, Trainer, data, metrics, page, preprocessing
from lowlevel_mnist.browser.content import MAX_UNSURE, in_base64, unsure_below
from tests.helpers.browser import Page, chromium
from tests.helpers.data import digit_arrays
from tests.helpers.handwriting import written

NOTHING = ("?", "Nothing yet")


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def dataset():
    return data.Dataset(*digit_arrays(train=6000, test=500), "digits", "built-in", "", False)


@pytest.fixture(scope="module")
def model(dataset):
    """A network as a script or a notebook trains it, without a run."""
    network = Network([784, 32, 10])
    trainer = Trainer(network, Adam(network.trainable_variables, 0.003), 32, execution="graph")
    pixels = preprocessing.flatten(dataset.train_images)
    one_hot = preprocessing.one_hot(dataset.train_labels, 10, "float32")
    for epoch in range(1, 4):
        trainer.train_epoch(pixels, one_hot, epoch)
    return network


@pytest.fixture(scope="module")
def file(model, dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    page.write(path, model, dataset)
    return path


@pytest.fixture
def tablet(browser, file):
    shown = Page(browser, file, (820, 1180), fingers=True)
    yield shown
    assert shown.console() == []


def answer(shown):
    return shown.text("#answer"), shown.text("#probability")


# ---- Fingers and pens


def at(shown, x, y):
    """A place on the canvas, from 0..1 of it, as an event has it."""
    box = shown.do("const b = drawing.canvas.getBoundingClientRect(); return [b.x, b.y, b.width]")
    return {"x": round(box[0] + x * box[2]), "y": round(box[1] + y * box[2])}


def touch(shown, kind, *places):
    """What the screen reports: of a finger at each place, or nothing more of any."""
    points = [{**at(shown, *place), "id": number} for number, place in enumerate(places)]
    arguments = {"type": f"touch{kind}", "touchPoints": points}
    shown.browser.execute_cdp_cmd("Input.dispatchTouchEvent", arguments)
    shown.settle()


def pen(shown, kind, *place):
    buttons = {"button": "left", "buttons": 0 if kind == "Released" else 1, "clickCount": 1}
    arguments = {"type": f"mouse{kind}", "pointerType": "pen", **at(shown, *place), **buttons}
    shown.browser.execute_cdp_cmd("Input.dispatchMouseEvent", arguments)
    shown.settle()


def draw_with_pen(shown):
    for kind, place in (
        ("Pressed", (0.4, 0.2)),
        ("Moved", (0.4, 0.5)),
        ("Moved", (0.4, 0.8)),
        ("Released", (0.4, 0.8)),
    ):
        pen(shown, kind, *place)


def test_a_pen_takes_over_from_the_palm_that_rests(tablet):
    """What is drawn is what the pen draws without a palm, to the pixel."""
    draw_with_pen(tablet)
    alone = tablet.canvas_png()
    tablet.click("#clear")
    touch(tablet, "Start", (0.8, 0.9))
    touch(tablet, "Move", (0.85, 0.92))
    assert tablet.do("return drawing.strokes.length") == 1
    pen(tablet, "Pressed", 0.4, 0.2)
    touch(tablet, "Move", (0.9, 0.95))
    pen(tablet, "Released", 0.4, 0.2)
    tablet.click("#undo")
    assert answer(tablet) == NOTHING
    draw_with_pen(tablet)
    assert tablet.canvas_png() == alone


def test_a_palm_beside_the_pen_draws_nothing(tablet):
    """While the pen writes, and between its strokes; a finger draws again when all is cleared."""
    draw_with_pen(tablet)
    alone = tablet.canvas_png()
    tablet.click("#clear")
    pen(tablet, "Pressed", 0.4, 0.2)
    touch(tablet, "Start", (0.8, 0.9), (0.9, 0.8))
    touch(tablet, "Move", (0.85, 0.92), (0.9, 0.9))
    for y in (0.5, 0.8):
        pen(tablet, "Moved", 0.4, y)
    pen(tablet, "Released", 0.4, 0.8)
    touch(tablet, "End")
    touch(tablet, "Start", (0.8, 0.9))
    touch(tablet, "Move", (0.6, 0.9))
    touch(tablet, "End")
    assert tablet.canvas_png() == alone
    tablet.click("#clear")
    touch(tablet, "Start", (0.5, 0.2))
    touch(tablet, "Move", (0.5, 0.8))
    touch(tablet, "End")
    assert answer(tablet)[0].startswith("1")


def test_a_touch_that_the_system_cancels_leaves_nothing(tablet):
    """As when a swipe from the edge, or a call, takes it."""
    blank = tablet.canvas_png()
    touch(tablet, "Start", (0.2, 0.5))
    touch(tablet, "Move", (0.8, 0.5))
    assert answer(tablet) != NOTHING
    touch(tablet, "Cancel")
    assert (answer(tablet), tablet.canvas_png()) == (NOTHING, blank)
    tablet.click("#undo")
    assert tablet.canvas_png() == blank
    touch(tablet, "Start", (0.5, 0.2))
    touch(tablet, "Move", (0.5, 0.8))
    touch(tablet, "End")
    assert tablet.do("return drawing.strokes.length") == 1


# ---- Old browsers, and those that run no scripts


# What came after Safari 13.1, as far as a script can take it away.
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
"""
NO_STORAGE = """
Object.defineProperty(window, "localStorage", {get() { throw new DOMException("blocked"); }});
"""
# The first has the last script fail, the second another one: it declares what that declares.
BROKEN = "JSON.parse = () => { throw new Error('broken'); };", "const resize = null;"


@pytest.fixture
def open_with(browser, file):
    """Opens the page after a script of the test's own has run in it."""
    added = []

    def open_page(script):
        found = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        added.append(found["identifier"])
        return Page(browser, file)

    yield open_page
    for identifier in added:
        browser.execute_cdp_cmd(
            "Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier}
        )


def test_an_old_browser(open_with):
    shown = open_with(OLD)
    assert shown.do("return [].findLast === undefined")
    shown.draw(*written(3, 7, seed=3))
    drawn = answer(shown)
    assert drawn != NOTHING
    shown.click("#images li:nth-child(2) button")
    assert answer(shown) != drawn
    shown.click("#undo")
    assert answer(shown) == drawn
    shown.find("#drawing").send_keys(Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    shown.find("#classes button").send_keys(Keys.TAB)
    assert shown.find_all("#unstarted") == []
    assert shown.console() == []


@pytest.mark.parametrize("script", BROKEN)
def test_a_script_that_does_not_run(open_with, script):
    """Instead of an empty page, there is a sentence, in both languages."""
    shown = open_with(script)
    shown.wait_for("#unstarted > div p")
    text = shown.find("body").text
    assert "It needs a browser of 2020 or later." in text
    assert "2020년 이후에 나온 브라우저가 필요합니다." in text
    assert "--serve" not in text
    assert not shown.find("#drawing").is_displayed()
    assert shown.console() != []


def test_no_scripts_at_all(browser, file):
    """As on an iPhone, which shows a file that came by mail so."""
    switch = "Emulation.setScriptExecutionDisabled"
    try:
        browser.execute_cdp_cmd(switch, {"value": True})
        Page(browser, file)
        found = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})
    finally:
        browser.execute_cdp_cmd(switch, {"value": False})
    text = " ".join(node.get("name", {}).get("value", "") for node in found["nodes"])
    assert "iPhones and iPads show a page that came by mail" in text
    assert "아이폰과 아이패드는" in text
    assert text.count("python -m lowlevel_mnist.page --serve") >= 2


def test_the_choices_stay(browser, file):
    shown = Page(browser, file)
    shown.click("#language")
    shown.click("#theme")
    for _ in range(2):
        browser.refresh()
        html = "document.documentElement"
        assert shown.do(f"return [{html}.lang, {html}.dataset.theme]") == ["ko", "dark"]
    shown.do("localStorage.setItem('lowlevel_mnist', '{')")  # whatever another page has left
    browser.refresh()
    assert shown.do("return document.documentElement.lang") == "en"
    shown.do("localStorage.setItem('lowlevel_mnist', JSON.stringify({language: 1, theme: []}))")
    browser.refresh()
    shown.draw(*written(3, 7, seed=3))
    assert answer(shown) != NOTHING
    assert shown.console() == []


def test_a_browser_that_keeps_nothing(open_with):
    shown = open_with(NO_STORAGE)
    shown.click("#language")
    assert shown.do("return document.documentElement.lang") == "ko"
    assert shown.console() == []


# ---- Small screens, and everybody

SIZES = {  # width and height, and whether there are fingers
    "upright": ((390, 844), True),
    "small": ((360, 740), True),
    "sideways": ((740, 360), True),
    "tablet": ((1180, 820), True),
    "desktop": ((1280, 800), False),
}
SMALL_TARGETS = """
return Array.from(document.querySelectorAll("button, input"))
  .map((e) => [e.id || e.innerText, e.getBoundingClientRect()])
  .filter(([_, box]) => box.width < 44 || box.height < 44)
  .map(([name, _]) => name);
"""
AUDIT = """
const done = arguments[0];
axe.run({rules: {"label-content-name-mismatch": {enabled: true}}}).then(({violations}) =>
  done(violations.map(({id, impact, nodes}) => [id, impact, nodes[0].html])));
"""


@pytest.mark.parametrize("name", [name for name in SIZES if name != "desktop"])
def test_there_is_room_for_a_finger(browser, file, name):
    size, fingers = SIZES[name]
    for language in ("en", "ko"):
        shown = Page(browser, file, size, language=language, fingers=fingers)
        shown.draw(*written(3, 7, seed=3))
        shown.do("scrollTo(0, 0)")
        assert shown.do(SMALL_TARGETS) == []
        assert shown.do("return document.documentElement.scrollWidth") == size[0]
        box = shown.do("return drawing.canvas.getBoundingClientRect().toJSON()")
        assert box["top"] >= 0
        assert box["bottom"] <= size[1]
        assert box["height"] >= 200
        if name != "sideways":
            bars = shown.do("return rows[rows.length - 1].row.getBoundingClientRect().bottom")
            assert bars < size[1]  # one sees them while one draws


@pytest.mark.parametrize(
    ("name", "theme", "language"),
    [
        pytest.param(name, theme, language, marks=[pytest.mark.full] * (number % 4 > 0))
        for number, (name, theme, language) in enumerate(
            (name, theme, language)
            for name in SIZES
            for theme in ("light", "dark")
            for language in ("en", "ko")
        )
    ],
)
def test_axe_finds_nothing(browser, file, name, theme, language):
    """Of its rules and, as it is still experimental, label-content-name-mismatch."""
    size, fingers = SIZES[name]
    shown = Page(browser, file, size, theme, language, fingers)
    shown.draw(*written(3, 7, seed=3))
    shown.do(AXE_SCRIPT)
    assert browser.execute_async_script(AUDIT) == []


def test_a_chosen_class_is_let_go_with_the_next_image(tablet):
    tablet.click("#images li:nth-child(1) button")
    tablet.click("#classes li:nth-child(6) button")
    assert tablet.text("#reasonsTitle") == "What speaks for 5, and what against"
    tablet.click("#images li:nth-child(2) button")
    name = tablet.text("#answer").rstrip("?")
    assert tablet.text("#reasonsTitle") == f"What speaks for {name}, and what against"
    assert tablet.find_all("#classes [aria-pressed=true]") == []


# ---- Not sure


def test_what_is_no_digit(tablet):
    """A tap, and all of the canvas filled; but not a digit as people write it."""
    tablet.draw(*written(3, 7, seed=3))
    assert (tablet.text("#answer"), tablet.text("#answerTitle")) == ("3", "The answer")
    tablet.click("#clear")
    tablet.draw([[0.5, 0.5]])
    assert tablet.text("#answerTitle") == "Not sure"
    assert tablet.text("#answer")[1:] == "?"
    assert tablet.text("#spoken").startswith(f"Not sure: {tablet.text('#answer')}, ")
    tablet.click("#language")
    assert tablet.text("#answerTitle") == "확실하지 않음"
    tablet.click("#clear")
    assert tablet.text("#answerTitle") == "신경망의 답"


def test_so_many_test_images_are_unsure(tablet, model, dataset):
    """The page's rule is the package's, and at most one in fifty is called unsure."""
    images = dataset.test_images
    outputs = metrics.predict(model, images)
    expected = outputs.max(axis=1) < unsure_below(outputs)
    assert 0 < expected.sum() <= MAX_UNSURE * len(images)
    script = "drawing.load(bytes(arguments[0])); return seen.isUnsure;"
    shown = np.flatnonzero(expected).tolist() + [0, 1, 2, 3, 4]
    for index in shown:
        assert tablet.do(script, in_base64(images[index])) == expected[index]


# ---- Of a network of one's own


def test_what_a_page_says_of_it(tablet, model, dataset):
    accuracy = metrics.evaluate(model, dataset.test_images, dataset.test_labels).accuracy
    footer = tablet.text("footer")
    assert "Network: 784-32-10, trained on built-in digits." in footer
    assert f"Test accuracy {accuracy:.4f} on 500 images." in footer


class Squared(Network):
    def __call__(self, images, *masks):
        return super().__call__(images**2, *masks)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lambda images: images, "can't do what a function does"),
        (lambda: Squared([784, 10]), "can't do what a Squared does"),
        (lambda: Network([784, 7]), "for 784 pixels and 7 classes, but the data has 784 and 10"),
        (lambda: Network([64, 10]), "for 64 pixels and 10 classes"),
        (lambda: Network([784, 16_000, 10]), "takes 50.9 MB"),
    ],
)
def test_a_model_that_has_no_page(dataset, tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        page.write(tmp_path / "page.html", make(), dataset)
    assert list(tmp_path.iterdir()) == []
