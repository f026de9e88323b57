"""What the page shows of a network, for JSON: its weights, test images, and facts about both."""

import base64
import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowlevel_mnist import data, randomness
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import image_style
from lowlevel_mnist.sources.image_style import ImageStyle

if TYPE_CHECKING:
    import tensorflow as tf

    from lowlevel_mnist.model import Network

MAX_BYTES = 50_000_000  # of a page's weights: a browser takes a second to read so many
EXAMPLES = 24  # test images, where they are small
IMAGE_BYTES = 60_000  # as many bytes of test images, and a twentieth of the weights'
MAX_UNSURE = 0.02  # fraction of the test images of whose class the page is not sure


def describe(
    model: "Network", dataset: data.Dataset, recipe: str | None, style: ImageStyle | None
) -> dict[str, Any]:
    """Returns all that the page shows, for JSON.

    The arguments are those of `page.write`, as are the errors.
    """
    check_model(model, dataset)
    from lowlevel_mnist import metrics

    sizes, labels = model.layer_sizes, dataset.test_labels
    parameters = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))
    check_size(parameters)
    style = style or image_style.learn(dataset.train_images)
    test = metrics.evaluate(model, dataset.test_images, labels)
    grey_levels = dataset.test_images.mean(axis=(1, 2))
    count = min(EXAMPLES, (IMAGE_BYTES + 4 * parameters // 20) // sizes[0])
    with_images = set(dataset.classes_with_images)
    return {
        "recipe": recipe,
        "dataset": dataset.name,
        "title": dataset.title,
        "kind": kind_of(style, dataset.name),
        "classes": [
            name if label in with_images else None for label, name in enumerate(dataset.class_names)
        ],
        "layerSizes": sizes,
        "layers": [
            {"weights": in_base64(as_float32(weights)), "biases": in_base64(as_float32(biases))}
            for weights, biases in zip(model.weights, model.biases, strict=True)
        ],
        "imageStyle": dataclasses.asdict(style),
        "invert": dataset.inverted,
        "unsureBelow": unsure_below(test.probabilities),
        "meanGreyLevels": [float(grey_levels.min()), float(grey_levels.max())],
        "accuracy": test.accuracy,
        "tested": len(labels),
        "images": [
            {
                "pixels": in_base64(dataset.test_images[index]),
                "label": int(labels[index]),
                "predicted": int(test.predictions[index]),
            }
            for index in choose_examples(labels, test.predictions, count, seed=0)
        ],
    }


def check_size(parameters: int) -> None:
    """Raises `UserError` where a network of so many parameters is too large for a page."""
    size = 4 * parameters
    if size > MAX_BYTES:
        raise UserError(
            f"The network takes {size / 1e6:,.1f} MB, and a page holds at most "
            f"{MAX_BYTES / 1e6:.0f} MB. Train one with fewer --hidden-units."
        )


def check_model(model: object, dataset: data.Dataset) -> None:
    """Raises `ValueError` where a page can't do what a model does, or it is not for this data."""
    from lowlevel_mnist.model import Network

    if not (isinstance(model, Network) and type(model).__call__ is Network.__call__):
        raise ValueError(
            "A page calculates what a lowlevel_mnist.Network does, weighted sums with ReLU between "
            f"them, and can't do what a {type(model).__name__} does."
        )
    ends = model.layer_sizes[0], model.layer_sizes[-1]
    expected = math.prod(dataset.test_images.shape[1:]), dataset.classes
    if ends != expected:
        raise ValueError(
            "The network is for {} pixels and {} classes, but the data has {} and {}.".format(
                *ends, *expected
            )
        )


def unsure_below(probabilities: np.ndarray) -> float:
    """Returns the probability below which an answer is unsure: MAX_UNSURE of these at most are.

    probabilities: of each class, for test images, float [n, classes].
    """
    largest = np.sort(probabilities.max(axis=1))
    # One less than there may be: the browser's probability may be smaller by a rounding error.
    return float(largest[max(int(MAX_UNSURE * len(largest)) - 1, 0)])


def kind_of(style: ImageStyle, dataset_name: str) -> str:
    """Returns what the images show, so that the page can say what to draw."""
    if dataset_name in ("mnist", "digits"):
        return "digits"
    return "drawings" if style.stroke_widths else "pictures"


def choose_examples(
    labels: np.ndarray, predictions: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Chooses test images at random, a quarter of them mistakes, the others of all classes alike.

    Where there are fewer of either, so are chosen. Returns their indices, class by class.
    """
    generator = randomness.generator(seed, randomness.SHOWN_IMAGES)
    order = generator.permutation(len(labels))
    is_right = labels[order] == predictions[order]
    mistakes, right = order[~is_right][: count // 4], order[is_right]
    turn = np.zeros(len(right), int)  # how many of its class come before an image
    for label in np.unique(labels[right]):
        turn[labels[right] == label] = np.arange(np.sum(labels[right] == label))
    others = right[np.argsort(turn, kind="stable")][: count - len(mistakes)]
    chosen = np.concatenate([others, mistakes])
    return chosen[np.argsort(labels[chosen], kind="stable")]


def as_float32(variable: "tf.Variable") -> npt.NDArray[np.float32]:
    """Returns the values of a variable as float32, lowest byte first.

    Raises `UserError` where they are too large for that.
    """
    values = variable.numpy()
    if np.abs(values).max() > np.finfo(np.float32).max:
        raise UserError(
            "The network has weights beyond the range of float32, in which a page keeps them."
        )
    return values.astype("<f4")


def in_base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).data).decode()
