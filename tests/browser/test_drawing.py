"""How one draws: with a mouse, fingers, a pen or the keys; and what can be taken back."""

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from tests.helpers.handwriting import written
from tests.helpers.pages import IN_BOTH

NOTHING = ("?", "Nothing yet")
GREY_LEVELS = "return Array.from(drawing.greyLevels().values)"


@pytest.mark.parametrize("page", IN_BOTH, indirect=True)
def test_undo_and_clear(page):
    blank = page.canvas_png()
    assert page.answer() == NOTHING
    assert page.find("#hint").is_displayed()
    first, second = written(5, 0, seed=1)
    page.draw(first)
    one, one_stroke = page.answer(), page.canvas_png()
    assert not page.find("#hint").is_displayed()
    page.draw(second)
    assert len({NOTHING, one, page.answer()}) == 3
    page.click("#undo")
    assert (page.answer(), page.canvas_png()) == (one, one_stroke)
    page.draw(second)
    two = page.answer()
    page.click("#clear")
    assert (page.answer(), page.canvas_png()) == (NOTHING, blank)
    page.click("#clear")
    page.click("#undo")  # clearing what is blank is nothing to take back
    assert page.answer() == two
    page.click("#images button")
    assert page.answer() not in (NOTHING, two)
    for expected in (two, one, NOTHING, NOTHING):
        page.click("#undo")
        assert page.answer() == expected
    assert page.canvas_png() == blank


def test_the_bars_follow_while_the_pen_is_down(page):
    """They are as long as the probabilities are large, and change before the pen is lifted."""
    page.do(
        """
        window.states = [];
        drawing.canvas.addEventListener("pointermove", () =>
          states.push(byId("classes").textContent));
        """
    )
    page.draw(*written(3, 0, seed=0))
    assert len(set(page.do("return states"))) > 5
    probabilities = page.do("return Array.from(seen.probabilities)")
    figures = [figure.text for figure in page.find_all("#classes .figure")]
    assert figures == [f"{value:.1%}" for value in probabilities]
    bars, tracks = (
        page.do(f"return rows.map(({{bar}}) => {element}.getBoundingClientRect().toJSON())")
        for element in ("bar", "bar.parentElement")
    )
    fractions = [bar["width"] / track["width"] for bar, track in zip(bars, tracks, strict=True)]
    assert fractions == pytest.approx(probabilities, abs=1e-3)
    assert len({bar["left"] for bar in bars}) == 1


@pytest.mark.full
def test_pen_width_and_eraser(page):
    usual = page.do("return content.imageStyle.stroke_widths[1] * drawing.factor")
    assert page.do("return drawing.penWidth") == pytest.approx(usual)
    line = [[0.5, 0.2], [0.5, 0.8]]
    page.draw(line)
    thin = sum(page.do(GREY_LEVELS))
    page.click("#clear")
    page.find("#width").send_keys(Keys.END)
    page.draw(line)
    assert sum(page.do(GREY_LEVELS)) > 1.8 * thin
    page.click("#erase")
    assert page.find("#erase").get_attribute("aria-pressed") == "true"
    page.draw([[0.2, 0.5], [0.8, 0.5]])
    assert sum(page.do(GREY_LEVELS)) > 0
    page.draw(line)
    assert sum(page.do(GREY_LEVELS)) == 0
    assert page.answer() == NOTHING
    page.click("#clear")
    page.draw(line)
    assert page.answer() != NOTHING


def test_the_keyboard_alone(page):
    """Draws a 1 with the arrows, takes it back, loads an image, and chooses a class."""

    def tab_to(*names):
        for name in names:
            page.press(Keys.TAB)
            assert page.browser.switch_to.active_element.get_attribute("id") == name

    tab_to("language", "theme", "drawing")
    assert page.find("#cursor").is_displayed()
    assert page.find("#keys").is_displayed()
    page.press(Keys.SPACE)
    assert page.text("#spoken") == "Pen down"
    page.press(Keys.ARROW_DOWN * 10)
    page.press(Keys.SPACE)
    vertical = page.do(GREY_LEVELS)
    image = np.reshape(vertical, (280, 280)) > 0
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) > 100 > np.ptp(columns)
    answer, probability = page.answer()
    assert answer.startswith("1")
    assert page.text("#spoken").endswith(f"{answer}, {probability}. {page.text('#remark')}")
    page.press(Keys.ARROW_LEFT)  # the pen is up
    assert page.do(GREY_LEVELS) == vertical
    page.press(Keys.CONTROL, "z")
    assert page.answer() == NOTHING
    tab_to("erase", "undo", "clear", "width")
    assert not page.find("#cursor").is_displayed()
    page.press(Keys.TAB)
    page.press(Keys.SPACE)
    assert page.text("#reasonsTitle") == "What speaks for 0, and what against"
    for _ in range(10):
        page.press(Keys.TAB)
    page.press(Keys.ENTER)
    assert page.answer() != NOTHING


# ---- Fingers and pens


def at(page, x, y):
    """A place on the canvas, from 0..1 of it, as an event has it."""
    box = page.do("const b = drawing.canvas.getBoundingClientRect(); return [b.x, b.y, b.width]")
    return {"x": round(box[0] + x * box[2]), "y": round(box[1] + y * box[2])}


def touch(page, kind, *places):
    """What the screen reports: of a finger at each place, or nothing more of any."""
    points = [{**at(page, *place), "id": number} for number, place in enumerate(places)]
    page.cdp("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points)
    page.settle()


def touch_line(page):
    touch(page, "Start", (0.5, 0.2))
    touch(page, "Move", (0.5, 0.8))
    touch(page, "End")


def pen(page, kind, *place):
    event = {"type": f"mouse{kind}", "pointerType": "pen", "button": "left", "clickCount": 1}
    buttons = 0 if kind == "Released" else 1
    page.cdp("Input.dispatchMouseEvent", buttons=buttons, **event, **at(page, *place))
    page.settle()


@pytest.fixture
def pen_line(tablet):
    """The canvas with what the pen draws without a palm. What was drawn is cleared."""
    pen(tablet, "Pressed", 0.4, 0.2)
    pen(tablet, "Moved", 0.4, 0.8)
    pen(tablet, "Released", 0.4, 0.8)
    drawn = tablet.canvas_png()
    tablet.click("#clear")
    return drawn


def test_a_pen_takes_over_from_the_palm_that_rests(tablet, pen_line):
    touch(tablet, "Start", (0.8, 0.9))
    touch(tablet, "Move", (0.85, 0.92))
    assert tablet.answer() != NOTHING
    pen(tablet, "Pressed", 0.4, 0.2)
    touch(tablet, "Move", (0.9, 0.95))
    pen(tablet, "Moved", 0.4, 0.8)
    pen(tablet, "Released", 0.4, 0.8)
    assert tablet.canvas_png() == pen_line
    tablet.click("#undo")
    assert tablet.answer() == NOTHING


@pytest.mark.full
def test_a_palm_beside_the_pen_draws_nothing(tablet, pen_line):
    """While the pen writes, and between its strokes; a finger draws again when all is cleared."""
    pen(tablet, "Pressed", 0.4, 0.2)
    touch(tablet, "Start", (0.8, 0.9), (0.9, 0.8))
    touch(tablet, "Move", (0.85, 0.92), (0.9, 0.9))
    pen(tablet, "Moved", 0.4, 0.8)
    pen(tablet, "Released", 0.4, 0.8)
    touch(tablet, "End")
    touch_line(tablet)
    assert tablet.canvas_png() == pen_line
    tablet.click("#clear")
    touch_line(tablet)
    assert tablet.answer()[0].startswith("1")


@pytest.mark.full
def test_what_ends_a_touch(tablet):
    """What the system cancels, as when a swipe from the edge takes it, leaves nothing.

    Another finger draws nothing. Undoing and clearing lift the pen.
    """
    blank = tablet.canvas_png()
    touch(tablet, "Start", (0.2, 0.5))
    touch(tablet, "Move", (0.8, 0.5))
    assert tablet.answer() != NOTHING
    touch(tablet, "Cancel")
    assert (tablet.answer(), tablet.canvas_png()) == (NOTHING, blank)
    for button in ("undo", "clear"):
        touch(tablet, "Start", (0.2, 0.5))
        tablet.do("byId(arguments[0]).click()", button)
        touch(tablet, "Move", (0.8, 0.5))
        assert (tablet.answer(), tablet.canvas_png()) == (NOTHING, blank)
        touch(tablet, "End")
    touch_line(tablet)
    one_finger = tablet.canvas_png()
    tablet.click("#clear")
    touch(tablet, "Start", (0.5, 0.2))
    touch(tablet, "Start", (0.5, 0.2), (0.8, 0.2))
    touch(tablet, "Move", (0.5, 0.8), (0.8, 0.9))
    touch(tablet, "End")
    assert tablet.canvas_png() == one_finger
