"""`page`: one HTML file that shows, in a real browser, what the run's network says."""

import base64
import contextlib
import dataclasses
import http.server
import re
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from selenium.webdriver.common.keys import Keys

from lowlevel_mnist import data, metrics
from lowlevel_mnist.browser.content import choose_examples, kind_of
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import foreground, image_style, pictures
from lowlevel_mnist.sources.image_style import ImageStyle
from tests.helpers.browser import Page, chromium, webkit
from tests.helpers.commands import assert_refused, limit_files, run, train
from tests.helpers.data import digit_arrays, pattern_arrays, write_idx_folder
from tests.helpers.handwriting import written
from tests.helpers.runs import change_settings, read_metrics


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def iphone_browser():
    with webkit() as started:
        yield started


IN_BOTH = pytest.mark.parametrize(
    "page", ["browser", "iphone_browser"], indirect=True, ids=["Chromium", "WebKit"]
)


def trained_on(folder, arrays, *flags):
    """A folder with a run in it, named run, on these arrays."""
    write_idx_folder(folder / "data", arrays)
    flags = [*flags, "--no-plots", "--output-dir", "run"]
    train(folder / "data", *flags, cwd=folder)
    return folder


def write_page(folder):
    """Writes the page of folder/run, without a word on stderr; returns its path."""
    done = run("page", "--run", "run", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(folder.rglob("unfinished-*"))
    assert "Saved in run/page.html" in done.stdout
    return folder / "run" / "page.html"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run on built-in digits, 784-32-10."""
    flags = ["--hidden-units", 32, "--optimizer", "adam", "--epochs", 4, "--execution", "graph"]
    return trained_on(tmp_path_factory.mktemp("trained"), digit_arrays(train=6000), *flags)


@pytest.fixture(scope="module")
def file(trained):
    return write_page(trained)


@pytest.fixture
def page(request, file):
    """The page in Chromium, or in each browser that IN_BOTH names."""
    page = Page(request.getfixturevalue(getattr(request, "param", "browser")), file)
    yield page
    if page.is_chromium:
        assert page.console() == []
        assert page.requested() == [file.as_uri()]


def predict(folder, images):
    """Returns the package's probabilities of each class, float [n, classes]."""
    return metrics.predict(folders.find(folder / "run").load_model(), images)


# ---- The same numbers

NETWORKS = {
    "softmax": (digit_arrays, []),
    "two hidden layers, other size, 16 classes": (
        lambda: pattern_arrays((50, 50), 16),
        ["--hidden-units", 40, 20, "--dropout", 0.3],
    ),
    "float64, narrow": (
        lambda: pattern_arrays((9, 5), 6),
        ["--hidden-units", 20, "--dtype", "float64"],
    ),
}

ASK = """
const found = bytes(arguments[0]);
const rows = [];
for (let first = 0; first < found.length; first += height * width) {
  const pixels = Float32Array.from(found.subarray(first, first + height * width), (v) => v / 255);
  rows.push(Array.from(probabilities(preActivations(layers, pixels).at(-1))));
}
return rows;
"""


def ask(page, images):
    """Returns the page's probabilities of each class, float [n, classes]."""
    return np.array(page.do(ASK, base64.b64encode(images.tobytes()).decode()))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] * ("64" in name)) for name in NETWORKS]
)
def test_the_forward_pass(browser, tmp_path, name):
    make, flags = NETWORKS[name]
    arrays = make()
    trained_on(tmp_path, arrays, *flags, "--epochs", 1)
    page = Page(browser, write_page(tmp_path))
    images = np.concatenate([arrays[2], arrays[0]])[:1000]
    expected, found = predict(tmp_path, images), ask(page, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


@IN_BOTH
def test_the_forward_pass_in_both_engines(page, trained):
    images = folders.find(trained / "run").load_data().test_images
    np.testing.assert_allclose(ask(page, images), predict(trained, images), rtol=0, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("recipe", ["softmax", "mlp-512-dropout", "fashion-softmax"])
def test_the_forward_pass_on_the_real_data_sets(browser, tmp_path, request, recipe):
    dataset = "fashion_mnist" if recipe.startswith("fashion") else "mnist"
    folder = request.getfixturevalue("fashion_folder" if "fashion" in dataset else "mnist_folder")
    flags = ["--recipe", recipe, "--epochs", 1, "--execution", "xla", "--no-plots"]
    train(folder, *flags, "--output-dir", "run", cwd=tmp_path)
    page = Page(browser, write_page(tmp_path))
    images = data.load(dataset, folder).test_images[:1000]
    expected, found = predict(tmp_path, images), ask(page, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def drawn_digits(page, count, folder):
    """Draws digits in many hands and widths; saves the canvas of each.

    Returns what the page sees and says: `uint8` [count, 28, 28], and a list of texts.
    """
    folder.mkdir()
    generator = np.random.default_rng(count)
    seen, predicted = [], []
    for number in range(count):
        page.do("drawing.load(null)")
        width = generator.uniform(0.4, 2) * page.do("return usual")
        page.do("drawing.penWidth = arguments[0]", width)
        size = generator.uniform(0.35, 0.8)
        page.draw(*written(number % 10, number // 10, seed=count, size=size))
        png = page.canvas_png().partition(",")[2]
        (folder / f"{number:03}.png").write_bytes(base64.b64decode(png))
        seen.append(page.do("return Array.from(seen.image)"))
        predicted.append(page.do("return names[theAnswer()]"))
    return np.uint8(seen).reshape(count, 28, 28), predicted


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


@IN_BOTH
@pytest.mark.parametrize("count", [5, pytest.param(200, marks=pytest.mark.full)])
def test_drawn_digits_are_read_as_the_package_reads_them(page, trained, tmp_path, count):
    """All of them as where the background is known to it; `predict` has to estimate it.

    With the widest pens that estimate is wrong. Where it is not, `predict` gives the same class.
    """
    seen, predicted = drawn_digits(page, count, tmp_path / "drawn")
    style = folders.find(trained / "run").settings.image_style
    alike = []
    for image, path in zip(seen, sorted((tmp_path / "drawn").iterdir()), strict=True):
        told = read_as_told(pictures.decode(path, pictures.MAX_SIDE), style)
        assert is_alike(image, told.image), path.name
        alike.append(is_alike(image, pictures.read(path, style).image))
    assert np.mean(alike) >= 0.7
    done = run("predict", "--run", trained / "run", "drawn", cwd=tmp_path)
    estimated = re.findall(r"^\S+\.png: (\d) \(", done.stdout, re.M)
    assert (np.array(estimated) == predicted)[alike].all()
    drawn = [str(number % 10) for number in range(count)]
    assert (np.array(drawn) == predicted).sum() >= (np.array(drawn) == estimated).sum()
    assert len(set(predicted)) > 2  # it is not the same answer to all


@pytest.mark.parametrize(
    "kind", ["dark on light", pytest.param("no background", marks=pytest.mark.full)]
)
def test_a_drawing_for_other_images(browser, tmp_path, kind):
    """Images that were inverted for the training, and those that fill all of their place."""
    images, labels, *test = digit_arrays()
    if kind == "dark on light":
        arrays, flags = [255 - images, labels, 255 - test[0], test[1]], ["--invert"]
    else:
        arrays, flags = pattern_arrays((28, 28), 10), []
    trained_on(tmp_path, arrays, *flags, "--epochs", 1)
    page = Page(browser, write_page(tmp_path))
    blank = page.do("return Array.from(drawing.context.getImageData(0, 0, 280, 280).data)")
    assert set(blank[::4]) == {255 if kind == "dark on light" else 0}
    page.draw(*written(4, 1, seed=0))
    (tmp_path / "drawn.png").write_bytes(base64.b64decode(page.canvas_png().partition(",")[2]))
    style = folders.find(tmp_path / "run").settings.image_style
    read = pictures.read(tmp_path / "drawn.png", style, invert=kind == "dark on light")
    seen = np.uint8(page.do("return Array.from(seen.image)")).reshape(28, 28)
    assert is_alike(read.image, seen)
    # A test image that is loaded is seen to the bit as the network's data has it.
    page.click("#images button")
    exact = page.do("return Array.from(seen.image)")
    assert exact == page.do("return Array.from(images[0].pixels)")


STYLES = {
    "as MNIST's": ImageStyle(
        (28, 28), 0, 20.0, True, (14.5, 14.5), (1.2, 2.3), (20.0, 20.0), 0.6, (10.0, 62.0)
    ),
    "light background, by the box": ImageStyle(
        (28, 28), 255, 22.0, False, (14.0, 14.0), (1.2, 2.3), (18.0, 24.0), 1.0, (190.0, 250.0)
    ),
    "things, grey background": ImageStyle(
        (28, 28), 90, 26.0, False, (14.0, 14.0), None, (20.0, 28.0), 2.0, (20.0, 200.0)
    ),
    "narrow": ImageStyle(
        (40, 16), 0, 30.0, True, (20.0, 8.0), (2.0, 3.5), (28.0, 32.0), 1.0, (8.0, 80.0)
    ),
    "large": ImageStyle(
        (90, 90), 0, 70.0, True, (45.0, 45.0), (3.0, 6.0), (60.0, 80.0), 3.0, (8.0, 80.0)
    ),
    "photographs": ImageStyle(
        (20, 30), None, 30.0, False, (10.0, 15.0), None, (0.0, 30.0), 30.0, (60.0, 120.0)
    ),
}
READ = """
const [base64, style, invert] = arguments;
const drawing = new Drawing(make("canvas"), style, invert, () => {});
drawing.context.putImageData(enlarged(bytes(base64), drawing.canvas.width, 1), 0, 0);
const found = read(drawing.greyLevels(), style);
return found && [Array.from(found.image), found.otherDigits];
"""


def any_drawing(generator, style, invert):
    """Lines of all widths and grey levels, frames, specks, two of the same, and what was erased."""
    factor = 280 // max(style.size)
    height, width = (factor * side for side in style.size)
    background = 255 - (style.background or 0) if invert else style.background or 0
    picture = Image.new("L", (width, height), background)
    draw = ImageDraw.Draw(picture)

    def somewhere(count):
        places = generator.uniform(0, 1, (count, 2)) * (width, height)
        return [tuple(place) for place in places.round().astype(int).tolist()]

    for kind in generator.integers(0, 6, generator.integers(1, 6)):
        level, pen = int(generator.integers(0, 256)), int(generator.integers(1, width // 6))
        if kind == 0:
            draw.line(somewhere(4), 255 - background, pen, joint="curve")
        elif kind == 1:
            draw.line(somewhere(3), level, pen)
        elif kind == 2:
            draw.rectangle((1, 1, width - 2, height - 2), outline=level, width=3)
        elif kind == 3:
            draw.point(somewhere(5), level)
        elif kind == 4:  # of equal mass
            for left in (0.2, 0.7):
                box = (left * width, 0.3 * height, (left + 0.05) * width, 0.7 * height)
                draw.rectangle([int(x) for x in box], fill=255 - background)
        else:  # the blurred edges of an eraser stay
            line = somewhere(2)
            draw.line(line, abs(background - 60), pen + 1)
            draw.line(line, background, pen)
    if generator.integers(0, 3) == 0:
        picture = picture.filter(ImageFilter.GaussianBlur(generator.uniform(0.5, 3)))
    return picture


@pytest.mark.parametrize("count", [60, pytest.param(1200, marks=pytest.mark.full)])
def test_any_drawing_in_any_style_is_read_as_the_package_reads_it(page, tmp_path, count):
    nothing = alike = 0
    for number in range(count):
        generator = np.random.default_rng(number)
        style = list(STYLES.values())[number % len(STYLES)]
        invert = bool(generator.integers(0, 2))
        picture = any_drawing(generator, style, invert)
        pixels = base64.b64encode(picture.tobytes()).decode()
        found = page.do(READ, pixels, dataclasses.asdict(style), invert)
        grey_levels = np.asarray(picture, float)
        told = read_as_told(255 - grey_levels if invert else grey_levels, style)
        if told is None:
            assert found is None, number
            nothing += 1
            continue
        assert is_alike(found[0], told.image.ravel()), number
        assert found[1] == told.other_digits, number
        picture.save(tmp_path / "drawing.png")
        with contextlib.suppress(UserError):  # where `predict` takes all for the background
            read = pictures.read(tmp_path / "drawing.png", style, invert)
            alike += is_alike(found[0], read.image.ravel())
    assert nothing < count / 4
    assert alike >= 0.75 * count


def test_two_digits(page):
    page.draw([[0.2, 0.2], [0.2, 0.8]])
    assert page.text("#remark") == "Cut out, scaled and centred as in training."
    page.draw([[0.7, 0.3], [0.7, 0.7]])
    assert page.text("#remark") == "2 pieces of ink; only the largest is read."
    page.draw([[0.45, 0.3], [0.45, 0.7]])
    assert page.text("#remark") == "3 pieces of ink; only the largest is read."


MUCH_INK = {  # the pen's width in pixels of 280, and its strokes
    **{f"a fat {digit}": (100, written(digit, 1, seed=7, size=0.7)) for digit in (0, 4, 8, 9)},
    "all but a stripe": (60, [[[x / 10, 0.02], [x / 10, 0.98]] for x in range(1, 9)]),
    "all": (60, [[[x / 10, 0.02], [x / 10, 0.98]] for x in range(1, 10)]),
}


def white_part(image):
    """Cuts out what is white and puts it into the middle of a square, `bool` [20, 20]."""
    rows, columns = (np.flatnonzero((image > 127).any(axis)) for axis in (1, 0))
    box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    square = ImageOps.pad(Image.fromarray(image).crop(box), (20, 20), Image.Resampling.BOX)
    return np.asarray(square) > 127


@pytest.mark.parametrize("name", MUCH_INK)
def test_much_ink_is_no_background(page, name):
    """What the network sees is what was drawn, however much of the canvas it covers.

    All that is seen was drawn; lines wider than the images' are seen thinner, so that the
    intersection over the union is smaller than 1. When the page estimated the background, it was
    0.11 to 0.25, and the last was not seen at all.
    """
    pen, strokes = MUCH_INK[name]
    page.do("drawing.penWidth = arguments[0]", pen)
    page.draw(*strokes)
    canvas = np.uint8(page.do("return Array.from(drawing.greyLevels().values)"))
    drawn = white_part(canvas.reshape(280, 280))
    seen = white_part(np.uint8(page.do("return Array.from(seen.image)")).reshape(28, 28))
    assert page.text("#remark") == "Cut out, scaled and centred as in training."
    assert np.sum(drawn & seen) / np.sum(seen) > 0.9
    assert np.sum(drawn & seen) / np.sum(drawn | seen) > 0.65


# ---- The reasons


def test_what_speaks_for_a_class_and_what_against(page, trained):
    """Pixel times the slope of the logit, by central differences in float64 NumPy."""
    page.click("#images button")
    pixels = np.array(page.do("return Array.from(seen.pixels)"))
    model = folders.find(trained / "run").load_model()
    weights = [np.float64(variable) for variable in model.weights]
    biases = [np.float64(variable) for variable in model.biases]

    def logit(image):
        hidden = np.maximum(image @ weights[0] + biases[0], 0)
        return (hidden @ weights[1] + biases[1])[..., 7]

    page.click("#classes li:nth-child(8) button")
    step = 1e-6 * np.eye(784)
    slopes = (logit(pixels + step) - logit(pixels - step)) / 2e-6
    contributions = pixels * slopes
    expected = {
        "sumFor": contributions.clip(0).sum(),
        "sumAgainst": contributions.clip(None, 0).sum(),
        "sumBiases": logit(pixels) - contributions.sum(),
        "logit": logit(pixels),
    }
    for key, value in expected.items():
        figure = float(page.text(f"#{key}").replace("−", "-"))
        assert figure == pytest.approx(value, abs=0.006)
    found = page.do("return Array.from(gradient(layers, 1, 7, seen.sums))")
    np.testing.assert_allclose(found, slopes, rtol=1e-4, atol=1e-6)


def test_the_most_active_hidden_units(page, trained):
    page.click("#images button")
    pixels = np.array(page.do("return Array.from(seen.pixels)"))
    model = folders.find(trained / "run").load_model()
    outputs = np.maximum(pixels @ model.weights[0].numpy() + model.biases[0].numpy(), 0)
    expected = [f"{unit}: {outputs[unit]:.2f}" for unit in np.argsort(-outputs)[:8]]
    items = page.browser.find_elements("css selector", ".units li span")
    assert [item.text for item in items] == expected


PLACES = """
return hiddenLayers.map(({places}) => places
  .filter(({item}) => !item.classList.contains("empty"))
  .map(({unit, canvas}) => [unit, canvas.toDataURL()]));
"""


def test_the_pictures_of_units_in_both_layers(browser, tmp_path):
    """A unit's weights are always the same; what a deeper one looks for depends on the image."""
    flags = ["--hidden-units", 16, 9, "--epochs", 1]
    page = Page(browser, write_page(trained_on(tmp_path, digit_arrays(), *flags)))
    page.click("#images li:nth-child(1) button")
    before = [dict(places) for places in page.do(PLACES)]
    page.click("#images li:nth-child(2) button")
    same, differing = (
        {before[layer][unit] == picture for unit, picture in places if unit in before[layer]}
        for layer, places in enumerate(page.do(PLACES))
    )
    assert (same, differing) == ({True}, {False})


# ---- What one can do


def answer(page):
    return page.text("#answer"), page.text("#probability")


@IN_BOTH
def test_drawing_undo_and_clear(page):
    nothing = ("?", "Nothing yet")
    assert answer(page) == nothing
    assert page.find("#hint").is_displayed()
    blank = page.canvas_png()
    first, second = written(5, 0, seed=1)
    page.draw(first)
    one, one_stroke = answer(page), page.canvas_png()
    assert one != nothing
    assert not page.find("#hint").is_displayed()
    page.draw(second)
    two = answer(page)
    assert two != one
    page.click("#undo")
    assert (answer(page), page.canvas_png()) == (one, one_stroke)
    page.draw(second)
    assert answer(page) == two
    page.click("#clear")
    assert (answer(page), page.canvas_png()) == (nothing, blank)
    page.click("#clear")
    page.click("#undo")  # clearing what is blank is nothing to take back
    assert answer(page) == two
    page.click("#images button")
    assert answer(page) not in (nothing, two)
    for expected in (two, one, nothing, nothing):
        page.click("#undo")
        assert answer(page) == expected
    assert page.canvas_png() == blank


def test_what_ends_a_stroke(page):
    """Another finger does not draw; undoing and clearing lift the pen."""
    box = page.do("const {x, y} = drawing.canvas.getBoundingClientRect(); return [x, y]")
    fingers = [{"x": box[0] + 50 * i, "y": box[1] + 40, "id": i} for i in (1, 2)]
    moved = [{**finger, "y": finger["y"] + 60} for finger in fingers]
    for kind, points in (
        ("touchStart", fingers[:1]),
        ("touchStart", fingers),
        ("touchMove", moved),
        ("touchEnd", []),
    ):
        page.browser.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )
    page.settle()
    assert page.do("return drawing.strokes.length") == 1
    points = page.do("return drawing.strokes[0].points")
    assert len({round(x) for x, _ in points}) == 1
    assert page.do("return drawing.stroke") is None
    for name in ("undo", "clear"):
        page.do("drawing.begin([9, 9])")
        page.click(f"#{name}")
        assert page.do("return drawing.stroke") is None
        assert answer(page) == ("?", "Nothing yet") if name == "clear" else True


@IN_BOTH
def test_the_bars_follow_while_the_pen_is_down(page):
    """The bars have the figures of the network, and change before the pen is lifted."""
    page.do(
        """
        window.states = [];
        document.getElementById("drawing").addEventListener("pointermove", () => states.push(
          document.querySelector("#classes").textContent), false);
        """
    )
    page.draw(*written(3, 0, seed=0))
    assert len(set(page.do("return states"))) > 5
    probabilities = page.do("return Array.from(seen.probabilities)")
    figures = page.browser.find_elements("css selector", "#classes .figure")
    assert [figure.text for figure in figures] == [f"{value:.1%}" for value in probabilities]
    bars = page.do("return rows.map(({bar}) => bar.getBoundingClientRect().width)")
    tracks = page.do("return rows.map(({bar}) => bar.parentElement.getBoundingClientRect().width)")
    np.testing.assert_allclose(np.divide(bars, tracks), probabilities, atol=1e-3)
    starts = page.do("return rows.map(({bar}) => bar.getBoundingClientRect().left)")
    assert len(set(starts)) == 1


def test_pen_width_and_eraser(page):
    usual = page.do("return content.imageStyle.stroke_widths[1] * drawing.factor")
    assert page.do("return drawing.penWidth") == pytest.approx(usual)

    def foreground():
        return sum(page.do("return Array.from(drawing.greyLevels().values)")) / 255

    line = [[0.5, 0.2], [0.5, 0.8]]
    page.draw(line)
    thin = foreground()
    page.click("#clear")
    page.find("#width").send_keys(Keys.END)
    page.draw(line)
    assert foreground() > 1.8 * thin
    page.click("#erase")
    assert page.find("#erase").get_attribute("aria-pressed") == "true"
    page.draw([[0.2, 0.5], [0.8, 0.5]])
    assert foreground() > 0
    page.draw(line)
    assert foreground() == 0
    assert answer(page) == ("?", "Nothing yet")


@IN_BOTH
def test_test_images(page, trained):
    """24 of the run's, six of them mistakes; one is seen as it is until it is drawn on."""
    dataset = folders.find(trained / "run").load_data()
    probabilities = predict(trained, dataset.test_images)
    rows = page.do(
        "return images.map(({pixels, label, predicted}) => [Array.from(pixels), label, predicted])"
    )
    assert len(rows) == 24
    assert sum(label != predicted for _, label, predicted in rows) == 6
    known = {image.tobytes(): index for index, image in enumerate(dataset.test_images)}
    for number, (pixels, label, predicted) in enumerate(rows, start=1):
        index = known[bytes(pixels)]
        assert (label, predicted) == (dataset.test_labels[index], probabilities[index].argmax())
        page.do(f"document.querySelector('#images li:nth-child({number}) button').click()")
        doubt = "?" * page.do("return seen.isUnsure")
        assert answer(page) == (f"{predicted}{doubt}", f"{probabilities[index].max():.1%}")
        right = "✓ right" if label == predicted else "✗ wrong"
        assert page.text("#remark") == f"{right}, the true class is {label}"
        assert page.do("return Array.from(seen.image)") == pixels
    before = answer(page)
    page.draw([[0.1, 0.1], [0.9, 0.9]])
    assert "true class" not in page.text("#remark")
    assert answer(page) != before
    page.click("#undo")
    assert answer(page) == before
    page.click("#clear")
    assert page.text("#remark") == ""


def test_few_mistakes_or_few_images():
    labels = np.arange(100) % 10
    predictions = np.where(np.arange(100) < 2, 9, labels)
    chosen = choose_examples(labels, predictions, 24, seed=0)
    assert len(set(chosen.tolist())) == 24
    assert {0, 1} <= set(chosen.tolist())
    assert set(labels[chosen]) == set(range(10))
    assert (np.diff(labels[chosen]) >= 0).all()
    assert sorted(choose_examples(labels[:5], predictions[:5], 24, seed=0)) == [0, 1, 2, 3, 4]


def test_a_class_without_images_is_not_shown(browser, tmp_path):
    images, labels, *test = digit_arrays()
    kept, test_kept = labels != 3, test[1] != 3
    arrays = images[kept], labels[kept], test[0][test_kept], test[1][test_kept]
    trained_on(tmp_path, arrays, "--epochs", 1)
    page = Page(browser, write_page(tmp_path))
    page.click("#images button")
    shown = page.browser.find_elements("css selector", "#classes li")
    assert [row.is_displayed() for row in shown] == [label != 3 for label in range(10)]
    assert "9 classes" in page.text("header p")


def test_what_it_is_of(page, trained):
    kept = read_metrics(trained / "run")
    footer = page.text("footer")
    assert f"recipe softmax+32, 784-32-10, trained on {kept['dataset']} data" in footer
    assert f"Test accuracy {kept['test_accuracy']:.4f} on 100 images" in footer


def test_switching_class(page):
    page.click("#images button")
    reasons = page.text("#reasonsTitle")
    assert reasons == f"What speaks for {answer(page)[0]}, and what against"
    page.click("#classes li:nth-child(3) button")
    assert page.text("#reasonsTitle") == "What speaks for 2, and what against"
    pressed = page.browser.find_elements("css selector", "#classes [aria-pressed=true]")
    assert [row.text.split()[0] for row in pressed] == ["2"]
    page.click("#classes li:nth-child(3) button")
    page.click("h1")  # the mouse points at no class any more
    assert page.text("#reasonsTitle") == reasons


def test_language(browser, file):
    """That of the browser, and the other one by the switch; no text is missing in either."""
    page = Page(browser, file, language="ko-KR")
    assert page.do("return document.documentElement.lang") == "ko"
    page.draw(*written(3, 0, seed=0))
    korean = page.find("main").text
    assert not re.search(r"[가-힣]", page.text("#language"))
    page.click("#language")
    assert page.do("return document.documentElement.lang") == "en"
    english = page.find("main").text
    assert re.findall(r"[가-힣]+", page.find("body").text) == ["한국어"]
    digits_of = [re.findall(r"\d+\.\d+|\d+", text) for text in (korean, english)]
    assert sorted(digits_of[0]) == sorted(digits_of[1])
    keys = page.do("return ['en', 'ko'].map((language) => Object.keys(TEXTS[language]))")
    assert keys[0] == keys[1]
    assert page.console() == []


def background(page):
    return page.do("return getComputedStyle(document.body).backgroundColor")


def test_theme(browser, file):
    """That of the system, and the other one by the switch."""
    colours = {}
    for theme in ("light", "dark"):
        page = Page(browser, file, theme=theme)
        colours[theme] = background(page)
        assert page.text("#theme") == {"light": "Dark theme", "dark": "Light theme"}[theme]
        page.click("#theme")
        colours[f"{theme} switched"] = background(page)
        page.click("#theme")
        assert background(page) == colours[theme]
    assert colours["light"] == colours["dark switched"] != colours["dark"]
    assert colours["dark"] == colours["light switched"]


def test_the_keyboard_alone(page):
    """Draws a 1 with the arrows, takes it back, loads an image, and chooses a class."""

    def focused():
        return page.do("return document.activeElement.id || document.activeElement.textContent")

    for expected in ("language", "theme", "drawing"):
        page.press(Keys.TAB)
        assert focused() == expected
    assert page.find("#cursor").is_displayed()
    assert page.find("#keys").is_displayed()
    page.press(Keys.SPACE)
    assert page.text("#spoken") == "Pen down"
    for _ in range(10):
        page.press(Keys.ARROW_DOWN)
    page.press(Keys.SPACE)
    vertical = page.do("return Array.from(drawing.greyLevels().values)")
    image = np.reshape(vertical, (280, 280)) > 0
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) > 100 > np.ptp(columns)
    assert answer(page)[0] == "1"
    assert page.text("#spoken").startswith(f"1, {answer(page)[1]}")
    page.press(Keys.ARROW_LEFT)  # the pen is up
    assert page.do("return Array.from(drawing.greyLevels().values)") == vertical
    page.press("z", held=Keys.CONTROL)
    assert answer(page)[0] == "?"
    for expected in ("erase", "undo", "clear", "width"):
        page.press(Keys.TAB)
        assert focused() == expected
    assert not page.find("#cursor").is_displayed()
    page.press(Keys.TAB)
    page.press(Keys.SPACE)
    assert page.text("#reasonsTitle") == "What speaks for 0, and what against"
    for _ in range(10):
        page.press(Keys.TAB)
    page.press(Keys.ENTER)
    assert answer(page)[0] != "?"


# ---- How it looks

SMALL = """
return Array.from(document.querySelectorAll("body *"))
  .filter((e) => e.innerText && e.checkVisibility())
  .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 12)
  .map((e) => e.innerText);
"""
TINY_TARGETS = """
return Array.from(document.querySelectorAll("button"))
  .map((e) => [e.innerText, e.getBoundingClientRect()])
  .filter(([_, box]) => box.width < 24 || box.height < 24)
  .map(([text, _]) => text);
"""
# The colours of each text and of what lies behind it.
COLOURS = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const isOpaque = (colour) => colour.startsWith("rgb(");
return Array.from(document.querySelectorAll("body *"))
  .filter((e) => e.id !== "hint" && e.checkVisibility({visibilityProperty: true}) &&
    Array.from(e.childNodes).some((node) => node.nodeType === 3 && node.data.trim()))
  .map((e) => {
    let behind = e;
    while (!isOpaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    return [e.innerText, channels(getComputedStyle(e).color),
            channels(getComputedStyle(behind).backgroundColor)];
  });
"""


def contrast(colour, other):
    """WCAG 2.2's contrast ratio, of its relative luminances."""

    def luminance(channels):
        parts = np.array(channels[:3]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(colour), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ((1280, 800), "dark"),
        ((360, 740), "light"),
        pytest.param((1280, 800), "light", marks=pytest.mark.full),
        pytest.param((360, 740), "dark", marks=pytest.mark.full),
    ],
)
def test_everybody_can_read_it(browser, file, size, theme):
    for language in ("en", "ko"):
        page = Page(browser, file, size, theme, language)
        page.draw(*written(3, 0, seed=0))
        assert page.do("return document.documentElement.scrollWidth") == size[0]
        assert page.do(SMALL) == []
        assert page.do(TINY_TARGETS) == []
        texts = page.do(COLOURS)
        assert len(texts) > 50
        assert [(text, c, o) for text, c, o in texts if contrast(c, o) < 4.5] == []
        page.do("scrollTo(0, 0)")
        bars = page.do("return rows.at(-1).row.getBoundingClientRect().bottom")
        assert bars < size[1]  # one sees them while one draws
        unnamed = page.do(
            "return Array.from(document.querySelectorAll('canvas, button, input'))"
            ".filter((e) => !(e.ariaLabel || e.innerText || e.closest('label, button'))).length"
        )
        assert unnamed == 0


def test_nothing_is_cut_off_at_any_width(page):
    page.draw(*written(3, 0, seed=0))
    for width in (320, 480, 740, 900, 1024, 1119, 1120, 1920):
        page.resize(width, 360)
        page.settle()
        assert page.do("return document.documentElement.scrollWidth") == width
        assert page.do("return document.getElementById('drawing').clientHeight") <= 360


# ---- What it is as a file


class Server(http.server.ThreadingHTTPServer):
    """Counts who asks it."""

    def __init__(self):
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)


ATTEMPTS = """
const [address, done] = arguments;
const image = new Image();
image.src = `${address}/image`;
const script = document.createElement("script");
script.src = `${address}/script`;
document.body.append(image, script);
const inline = document.createElement("script");
inline.textContent = "window.injected = true";
document.body.append(inline);
navigator.sendBeacon(`${address}/beacon`, "x");
fetch(`${address}/fetch`).then(() => done("reached"), () => done("refused"));
"""


def test_it_can_ask_nobody(browser, file):
    """Not even a script that had come into it could."""
    page = Page(browser, file)
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        assert browser.execute_async_script(ATTEMPTS, address) == "refused"
        assert page.do("return window.injected") is None
        assert server.asked == []
        browser.get(f"{address}/page")  # it can be reached, were it not for the policy
        assert "/page" in server.asked
    finally:
        server.shutdown()
        server.server_close()


MARKUP = (
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=document.title='taken'>",
    "<!--<script>",
    "&lt;b&gt; & \"quoted\" 'name'",
    "${document.title='taken'}",
)


def test_an_untrusted_run_smuggles_nothing_in(browser, trained, tmp_path):
    """Texts that look like markup are texts like any other."""
    folder = tmp_path / "<b>folder & co"
    shutil.copytree(trained, folder)
    names = [text[:40] for text in MARKUP]
    names += read_metrics(folder / "run")["class_names"][len(MARKUP) :]
    data_dir = str(folder / "data")
    change_settings(folder / "run", recipe=MARKUP[0], class_names=names, data_dir=data_dir)
    page = Page(browser, write_page(folder))
    found = page.browser.find_elements("css selector", "#classes .name")
    assert [name.get_attribute("textContent") for name in found] == names
    assert MARKUP[0] in page.text("footer")
    assert page.do("return document.title") == "Draw something"
    assert page.do("return document.querySelectorAll('img, b').length") == 0
    assert page.do("return document.querySelectorAll('script').length") == 6
    assert page.console() == []


def test_its_size(trained, file, tmp_path):
    """At most 1.4 times the bytes of the weights and 150 KB, whatever the images' size."""
    parameters = {trained: read_metrics(trained / "run")["parameters"]}
    for number, (size, classes) in enumerate([((50, 50), 2), ((200, 150), 3)]):
        folder = tmp_path / str(number)
        arrays = pattern_arrays(size, classes)
        trained_on(folder, arrays, "--epochs", 1, "--seed", 3)
        write_page(folder)
        parameters[folder] = read_metrics(folder / "run")["parameters"]
    for folder, count in parameters.items():
        assert (folder / "run" / "page.html").stat().st_size <= 1.4 * 4 * count + 150_000


def test_what_the_images_show():
    drawings = STYLES["as MNIST's"]
    assert kind_of(drawings, "mnist") == kind_of(drawings, "digits") == "digits"
    assert kind_of(drawings, "custom") == "drawings"
    assert kind_of(STYLES["photographs"], "fashion_mnist") == "pictures"


def test_a_photo_like_run_says_what_makes_sense(browser, tmp_path):
    generator = np.random.default_rng(0)
    arrays = pattern_arrays((16, 16), 3)
    for images in arrays[::2]:
        images[:] = np.maximum(images, generator.integers(0, 256, images.shape))
    trained_on(tmp_path, arrays, "--epochs", 1)
    page = Page(browser, write_page(tmp_path))
    assert "did not learn digits but pictures of 3 classes." in page.text("header p")
    assert page.text("#hint") == "Load a test image"


# ---- What goes wrong


@pytest.fixture
def base(trained, tmp_path):
    """A folder with a copy of the run, for a test of its own."""
    shutil.copytree(trained / "run", tmp_path / "run", ignore=shutil.ignore_patterns("*.html"))
    return tmp_path


def refuse(base, *arguments, words, before=None):
    """The command is refused in these words, and nothing is written or changed."""
    content = {path: path.is_file() and path.read_bytes() for path in base.rglob("*")}
    assert_refused(run("page", "--run", "run", *arguments, cwd=base, before=before), *words)
    assert {path: path.is_file() and path.read_bytes() for path in base.rglob("*")} == content


def test_where_it_can_not_be_saved(base):
    (base / "file.html").write_text("no folder", encoding="utf-8")
    (base / "folder.html").mkdir()
    (base / "device.html").symlink_to("/dev/null")
    for place, words in {
        "absent/new.html": ["no folder absent"],
        "folder.html": ["folder.html can't be written"],
        "device.html": ["device.html can't be written: it is a device"],
        "file.html/new.html": ["no folder file.html"],
        "page.pdf": ["must end in one of .html, .htm"],
        "x" * 300 + ".html": ["can't be"],
    }.items():
        refuse(base, "--to", place, words=words)


def test_a_full_disk(base):
    refuse(base, words=["run/page.html can't be written"], before=limit_files(100_000))
    refuse(base, "--to", "a.html", words=["a.html can't be written"], before=limit_files(100_000))


def test_a_network_that_is_too_large(base):
    change_settings(base / "run", layer_sizes=[784, 16_000, 10])
    refuse(base, words=["takes 50.9 MB", "at most 50 MB", "--hidden-units"])
    change_settings(base / "run", layer_sizes=[784, 10**400])
    refuse(base, words=["its layer_sizes is missing or wrong"])


def test_weights_that_are_too_large_for_float32(tmp_path):
    trained_on(tmp_path, pattern_arrays(), "--epochs", 1, "--dtype", "float64")
    model = folders.find(tmp_path / "run").load_model()
    model.biases[0].assign(1e39 * np.ones(4))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    tf.train.Checkpoint(model=model).save(str(tmp_path / "run" / "checkpoints" / "checkpoint"))
    refuse(tmp_path, words=["beyond the range of float32"])


def test_a_run_without_checkpoint(base):
    shutil.rmtree(base / "run" / "checkpoints")
    refuse(base, words=["The run run has no checkpoint"])


def test_another_place_and_another_page(base):
    """The page of the run is written anew; one elsewhere is as good, and replaces what was there.

    That is a file, or a link, but not what it leads to.
    """
    first = write_page(base).read_bytes()
    assert write_page(base).read_bytes() == first
    (base / "precious").write_text("precious", encoding="utf-8")
    (base / "old.html").write_text("old", encoding="utf-8")
    (base / "link.html").symlink_to("precious")
    for place in ("elsewhere.HTM", "old.html", "link.html"):
        done = run("page", "--run", "run", "--to", place, cwd=base)
        assert (done.returncode, done.stderr) == (0, "")
        assert not (base / place).is_symlink()
        assert (base / place).read_bytes() == first
    assert (base / "precious").read_text(encoding="utf-8") == "precious"
