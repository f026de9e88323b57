"""The page calculates what the package does: probabilities, reasons, hidden units, doubt."""

import base64

import numpy as np
import pytest

from lowlevel_mnist import metrics
from lowlevel_mnist.browser.content import choose_examples, unsure_below
from tests.helpers.browser import Page
from tests.helpers.data import digit_arrays, pattern_arrays
from tests.helpers.pages import IN_BOTH, dataset_of, random_network, write_page

# Probabilities of images, and whether the page is unsure of them.
ASK = """
const found = bytes(arguments[0]);
const outputs = [], unsure = [];
for (let first = 0; first < found.length; first += height * width) {
  const image = found.subarray(first, first + height * width);
  const pixels = Float32Array.from(image, (value) => value / 255);
  const own = probabilities(preActivations(layers, pixels).at(-1));
  outputs.push(Array.from(own));
  unsure.push(isUnsure({image, probabilities: own}));
}
return [outputs, unsure];
"""


def ask(page, images):
    """Returns the page's probabilities, float [n, classes], and of which images it is unsure."""
    outputs, unsure = page.do(ASK, base64.b64encode(images.tobytes()).decode())
    return np.array(outputs), np.array(unsure)


def assert_same_answers(page, model, images):
    """The probabilities are equal but for rounding; at most one image in fifty is unsure."""
    expected, (found, found_unsure) = metrics.predict(model, images), ask(page, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    is_unsure = expected.max(axis=1) < unsure_below(expected)
    assert is_unsure.sum() <= len(images) // 50
    assert (found_unsure == is_unsure).all()


@pytest.mark.parametrize(
    ("size", "classes", "hidden", "dtype", "count"),
    [
        ((28, 28), 10, (512,), "float32", 1000),
        pytest.param((50, 30), 16, (40, 20), "float64", 100, marks=pytest.mark.full),
        pytest.param((200, 150), 2, (), "float32", 10, marks=pytest.mark.full),
    ],
)
def test_the_forward_pass(chromium_browser, tmp_path, size, classes, hidden, dtype, count):
    dataset = dataset_of(pattern_arrays(size, classes, test=count))
    network = random_network(dataset, *hidden, dtype=dtype)
    page = Page(chromium_browser, write_page(tmp_path / "page.html", network, dataset))
    assert_same_answers(page, network, dataset.test_images)


@pytest.mark.parametrize("page", IN_BOTH, indirect=True)
def test_the_forward_pass_in_both_engines(page, dropout_run):
    images = dropout_run.arrays[2]
    assert_same_answers(page, dropout_run.load_model(), images)
    assert ask(page, images)[1].any()


# ---- Reasons and hidden units, of a network with two hidden layers


@pytest.fixture(scope="module")
def deep_network():
    return random_network(dataset_of(digit_arrays()), 16, 9)


@pytest.fixture(scope="module")
def deep_file(deep_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("deep") / "page.html"
    return write_page(path, deep_network, dataset_of(digit_arrays()))


@pytest.fixture
def deep_page(chromium_browser, deep_file):
    """With the first of its test images loaded."""
    shown = Page(chromium_browser, deep_file)
    shown.click("#images button")
    return shown


def sums_of(network, pixels):
    """Returns each layer's weighted sums for one image or several, in float64 NumPy."""
    sums, inputs = [], pixels
    for weights, biases in zip(network.weights, network.biases, strict=True):
        sums.append(inputs @ np.float64(weights) + np.float64(biases))
        inputs = np.maximum(sums[-1], 0)
    return sums


def test_what_speaks_for_a_class_and_what_against(deep_page, deep_network):
    """Pixel times the slope of the logit, by central differences in float64 NumPy."""
    pixels = deep_page.seen().ravel() / 255
    deep_page.click("#classes li:nth-child(8) button")
    step = 1e-6 * np.eye(784)
    above, below = (sums_of(deep_network, pixels + way * step)[-1][:, 7] for way in (1, -1))
    slopes = (above - below) / 2e-6
    logit, contributions = sums_of(deep_network, pixels)[-1][7], pixels * slopes
    expected = {
        "sumFor": contributions.clip(0).sum(),
        "sumAgainst": contributions.clip(None, 0).sum(),
        "sumBiases": logit - contributions.sum(),
        "logit": logit,
    }
    shown = {key: float(deep_page.text(f"#{key}").replace("−", "-")) for key in expected}
    assert shown == pytest.approx(expected, abs=0.006)
    found = deep_page.do("return Array.from(gradient(layers, 2, 7, seen.sums))")
    np.testing.assert_allclose(found, slopes, rtol=1e-4, atol=1e-6)


def test_the_most_active_hidden_units(deep_page, deep_network):
    pixels = deep_page.seen().ravel() / 255
    expected = [
        f"{unit}: {sums[unit]:.2f}"
        for sums in sums_of(deep_network, pixels)[:2]
        for unit in np.argsort(-sums)[:8]
        if sums[unit] > 0
    ]
    assert [item.text for item in deep_page.find_all(".units li:not(.empty) span")] == expected


PLACES = """
return hiddenLayers.map(({places}) => places
  .filter(({item}) => !item.classList.contains("empty"))
  .map(({unit, canvas}) => [unit, canvas.toDataURL()]));
"""


def test_the_pictures_of_hidden_units(deep_page):
    """A unit's weights are always the same; what a deeper one looks for depends on the image."""
    before = [dict(places) for places in deep_page.do(PLACES)]
    deep_page.click("#images li:nth-child(2) button")
    same, differing = (
        {before[layer][unit] == picture for unit, picture in places if unit in before[layer]}
        for layer, places in enumerate(deep_page.do(PLACES))
    )
    assert (same, differing) == ({True}, {False})


# ---- Test images


def test_test_images(page, dropout_run):
    """24 of the run's, six of them mistakes if there are so many; each is seen as it is."""
    images, labels = dropout_run.arrays[2:]
    outputs = metrics.predict(dropout_run.load_model(), images)
    shown = page.do("return images.map(({label, predicted}) => [label, predicted])")
    mistakes = np.sum(outputs.argmax(axis=1) != labels)
    assert len(shown) == 24
    assert sum(label != predicted for label, predicted in shown) == min(mistakes, 6) > 0
    known = {image.tobytes(): index for index, image in enumerate(images)}
    for number, (label, predicted) in enumerate(shown, start=1):
        page.do(f"document.querySelector('#images li:nth-child({number}) button').click()")
        index = known[page.seen().tobytes()]
        assert (label, predicted) == (labels[index], outputs[index].argmax())
        doubt = "?" * page.do("return seen.isUnsure")
        assert page.answer() == (f"{predicted}{doubt}", f"{outputs[index].max():.1%}")
        right = "✓ right" if label == predicted else "✗ wrong"
        assert page.text("#remark") == f"{right}, the true class is {label}"
    page.draw([[0.1, 0.1], [0.9, 0.9]])
    assert "true class" not in page.text("#remark")


def test_few_mistakes_or_few_images():
    labels = np.arange(100) % 10
    predictions = np.where(np.arange(100) < 2, 9, labels)
    chosen = choose_examples(labels, predictions, 24, seed=0)
    assert len(set(chosen.tolist())) == 24
    assert {0, 1} <= set(chosen.tolist())
    assert set(labels[chosen]) == set(range(10))
    assert (np.diff(labels[chosen]) >= 0).all()
    assert sorted(choose_examples(labels[:5], predictions[:5], 24, seed=0)) == [0, 1, 2, 3, 4]
