"""What is drawn becomes the image that the package would make of it, as it knows the background."""

import base64
import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import foreground, image_style, pictures
from lowlevel_mnist.sources.image_style import ImageStyle
from tests.helpers.browser import Page
from tests.helpers.data import digit_arrays
from tests.helpers.handwriting import written
from tests.helpers.pages import dataset_of, random_network, write_page


def read_as_told(grey_levels, style):
    """Returns what the package makes of a drawing that is known to be on the style's background.

    A `pictures.Reading`, or None where nothing is to be seen.
    """
    image = pictures.to_size(grey_levels, style.size)
    if style.background is None or style.matches(image):
        return pictures.Reading(image)
    found = image_style.measure(grey_levels, style.background)
    if found is None:
        return None
    chosen, others = found.intensity, 0
    if style.stroke_widths:
        chosen, others = foreground.choose_digit(chosen)
    return pictures.Reading(foreground.place(foreground.fit(chosen, style), style), others)


def is_alike(image, other):
    """Returns whether two images differ by no more than rounding."""
    return np.abs(np.subtract(image, other, dtype=int)).max() <= 2


def save_canvas(page, folder):
    path = folder / "drawn.png"
    path.write_bytes(page.canvas_png())
    return path


@pytest.mark.parametrize(
    ("page", "count"),
    [
        pytest.param("webkit_browser", 3, marks=pytest.mark.full),
        ("chromium_browser", 5),
        pytest.param("chromium_browser", 200, marks=pytest.mark.full),
    ],
    indirect=["page"],
)
def test_digits_in_many_hands_and_widths(page, dropout_run, tmp_path, count):
    """Most are read right, and seen as `predict` sees them, which has to estimate the background.

    With the widest pens that estimate is wrong.
    """
    style = folders.find(dropout_run.folder).settings.image_style
    generator = np.random.default_rng(count)
    right, as_predict = [], []
    for number in range(count):
        page.click("#clear")
        page.do("drawing.penWidth = arguments[0] * usual", generator.uniform(0.4, 2))
        size = generator.uniform(0.35, 0.8)
        page.draw(*written(number % 10, number // 10, seed=count, size=size))
        path = save_canvas(page, tmp_path)
        told = read_as_told(pictures.decode(path, pictures.MAX_SIDE), style)
        assert is_alike(page.seen(), told.image), number
        as_predict.append(is_alike(page.seen(), pictures.read(path, style).image))
        right.append(page.answer()[0].startswith(str(number % 10)))
    if page.is_chromium:  # WebKit leaves out movements where the machine is busy
        assert np.mean(as_predict) >= 0.7
        assert np.mean(right) >= 0.8


@pytest.mark.parametrize("inverted", [True, pytest.param(False, marks=pytest.mark.full)])
def test_dark_drawings_on_light(chromium_browser, tmp_path, inverted):
    """For images that --invert has made light on dark, and for those that are dark on light."""
    images, labels, *test = digit_arrays()
    arrays = (images, labels, *test) if inverted else (255 - images, labels, 255 - test[0], test[1])
    dataset = dataset_of(arrays, "digits", inverted=inverted)
    page_file = write_page(tmp_path / "page.html", random_network(dataset), dataset)
    page = Page(chromium_browser, page_file)
    assert page.text("h1") == "Draw a digit"
    page.draw(*written(4, 1, seed=0))
    path = save_canvas(page, tmp_path)
    canvas = np.asarray(Image.open(path).convert("L"))
    assert (np.median(canvas), canvas.min()) == (255, 0)
    style = image_style.learn(dataset.train_images)
    assert is_alike(page.seen(), pictures.read(path, style, inverted).image)
    page.click("#images button")
    shown = np.asarray(Image.open(save_canvas(page, tmp_path)).convert("L"))
    assert (shown[::10, ::10] == (255 - page.seen() if inverted else page.seen())).all()


STYLES = (
    # As MNIST's.
    ImageStyle((28, 28), 0, 20.0, True, (14.5, 14.5), (1.2, 2.3), (20.0, 20.0), 0.6, (10.0, 62.0)),
    # On light background, centred by the box.
    ImageStyle(
        (28, 28), 255, 22.0, False, (14.0, 14.0), (1.2, 2.3), (18.0, 24.0), 1.0, (190.0, 250.0)
    ),
    # Things on grey background.
    ImageStyle((28, 28), 90, 26.0, False, (14.0, 14.0), None, (20.0, 28.0), 2.0, (20.0, 200.0)),
    # Narrow.
    ImageStyle((40, 16), 0, 30.0, True, (20.0, 8.0), (2.0, 3.5), (28.0, 32.0), 1.0, (8.0, 80.0)),
    # Large.
    ImageStyle((90, 90), 0, 70.0, True, (45.0, 45.0), (3.0, 6.0), (60.0, 80.0), 3.0, (8.0, 80.0)),
    # Photographs.
    ImageStyle((20, 30), None, 30.0, False, (10.0, 15.0), None, (0.0, 30.0), 30.0, (60.0, 120.0)),
)
READ = """
const [base64, height, width, style] = arguments;
const found = read({height, width, values: Float32Array.from(bytes(base64))}, style);
return found && [Array.from(found.image), found.otherDigits];
"""


def random_drawing(generator, style):
    """Returns lines of all widths and grey levels; some framed, with specks, twice, or blurred."""
    height, width = (280 // max(style.size) * side for side in style.size)
    background = style.background or 0
    picture = Image.new("L", (width, height), background)
    draw = ImageDraw.Draw(picture)
    frame, specks, twice, erase, blur = generator.integers(0, 3, 5) == 0

    def somewhere(count):
        return list(map(tuple, generator.uniform(0, (width, height), (count, 2)).round().tolist()))

    for _ in range(generator.integers(1, 4)):
        level, pen = (int(number) for number in generator.integers(1, (256, width // 6)))
        draw.line(somewhere(4), level, pen, joint="curve")
    if twice:  # pieces of equal mass
        picture.paste(picture.crop((0, 0, width // 2, height)), ((width + 1) // 2, 0))
    if specks:
        draw.point(somewhere(5), 255 - background)
    if frame:
        draw.rectangle((1, 1, width - 2, height - 2), outline=255 - background, width=3)
    if erase:  # but for the blurred edges
        line = somewhere(2)
        draw.line(line, abs(background - 60), pen + 1)
        draw.line(line, background, pen)
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(generator.uniform(0.5, 3)))
    return picture


@pytest.mark.parametrize("count", [60, pytest.param(1200, marks=pytest.mark.full)])
def test_any_drawing_in_any_style(page, count):
    for number in range(count):
        style = STYLES[number % len(STYLES)]
        picture = random_drawing(np.random.default_rng(number), style)
        pixels = base64.b64encode(picture.tobytes()).decode()
        found = page.do(READ, pixels, picture.height, picture.width, dataclasses.asdict(style))
        told = read_as_told(np.asarray(picture, float), style)
        if told is None:
            assert found is None, number
        else:
            assert is_alike(found[0], told.image.ravel()), number
            assert found[1] == told.other_digits, number


def test_pieces_and_much_of_ink(page):
    """Where all of the canvas is covered, a white square is seen, as large as digits are."""
    page.draw([[0.2, 0.2], [0.2, 0.8]])
    page.draw([[0.7, 0.3], [0.7, 0.7]])
    assert page.text("#remark") == "2 pieces of ink; only the largest is read."
    page.do("drawing.penWidth = 60")
    page.draw(*([[x / 10, 0.02], [x / 10, 0.98]] for x in range(1, 10)))
    assert page.text("#remark") == "Cut out, scaled and centred as in training."
    seen = page.seen() > 127
    assert seen[5:23, 5:23].all()
    assert seen.sum() <= 400
