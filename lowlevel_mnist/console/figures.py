"""The pictures that commands save. What they look like is in `plots`."""

import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from lowlevel_mnist import plots
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files

RANDOM_IMAGES = 24
MAX_UNITS = 60  # hidden units whose weights are drawn: what a screen holds


def save_picture(
    path: pathlib.Path, draw: Callable[..., None], *content: Any, advice: str = ""
) -> None:
    """Saves a picture as `plots.save` does.

    Raises `UserError` where that is impossible, and where no file can be written, with an advice.
    """
    picture = io.BytesIO()  # on a full disk, Matplotlib loses its way within a PDF
    try:
        plots.save(picture, path.suffix[1:], draw, *content)
    except ValueError as error:
        raise UserError(f"The picture {path} can't be saved: {error}.") from error
    with files.atomic_write(path, advice) as unfinished:
        unfinished.write_bytes(picture.getbuffer())


def random_images(dataset, test, count: int, seed: int, mistakes: bool = False):
    """Chooses random test images, or only mistakes among them.

    test: the `metrics.Evaluation` of the test images.
    Returns their indices, a title, and what `plots.random_predictions` is to be given.
    """
    labels = dataset.test_labels
    shown = plots.choose_images(labels, test.predictions, count, seed, mistakes)
    kind = "mistakes among the test images" if mistakes else "random test images"
    title = f"{len(shown)} {kind} of {dataset.title}"
    classes, names, _ = classes_to_show(dataset, test)
    positions = np.searchsorted(classes, labels[shown])
    rows = test.probabilities[np.ix_(shown, classes)]
    return shown, title, (dataset.test_images[shown], positions, rows, names, title)


def classes_to_show(dataset, test):
    """Returns the classes that tables and pictures show, their names and their confusion matrix.

    One that there are no images of is only shown where it was predicted all the same.
    """
    classes = np.union1d(dataset.classes_with_images, test.predictions)
    names = [dataset.class_names[label] for label in classes]
    return classes, names, test.confusion_matrix[np.ix_(classes, classes)]


def draw_run(folder: pathlib.Path, dataset, state, test, model, seed: int) -> None:
    """Saves the pictures of a run.

    state: the `checkpoints.TrainingState`; test: the `metrics.Evaluation` of the test images.
    """
    title, images, labels = dataset.title, dataset.train_images, dataset.train_labels
    classes, names, matrix = classes_to_show(dataset, test)
    *_, shown = random_images(dataset, test, RANDOM_IMAGES, seed)
    pictures: dict[str, tuple] = {
        "samples": (plots.samples, images, labels, dataset.class_names, title),
        "curves": (plots.curves, state.history, test.loss, test.accuracy, title),
        "confusion_matrix": (plots.confusion_matrix, matrix, names, title),
        "random_predictions": (plots.random_predictions, *shown),
        "weights": weights_to_draw(model, classes, names, images.shape[1:], title),
    }
    for name, content in pictures.items():
        save_picture(folder / f"{name}.png", *content)


def weights_to_draw(model, classes, names, image_shape, title):
    """Returns `plots.weights` and its arguments: the weights of the classes, or of hidden units."""
    weights, *later = (variable.numpy() for variable in model.weights)
    if not later:
        headline = f"Which pixels speak for each class (red) or against it (blue), on {title}"
        return plots.weights, weights[:, classes], image_shape, names, headline
    lengths, count = np.linalg.norm(later[0], axis=1), weights.shape[1]
    units = np.sort(np.argsort(-lengths, kind="stable")[:MAX_UNITS])
    headline = (
        f"Which pixels raise each hidden unit (red) or lower it (blue), on {title}\n"
        f"{len(units)} units of the first layer, by number"
    )
    if len(units) < count:
        headline += f": those of {count} that weigh most in the next layer"
    return plots.weights, weights[:, units], image_shape, [str(unit) for unit in units], headline
