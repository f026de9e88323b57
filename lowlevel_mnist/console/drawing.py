"""The pictures that commands save. What they look like is in `plots`."""

import io
import pathlib
from collections.abc import Callable
from typing import Any

from lowlevel_mnist import plots
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files

RANDOM_IMAGES = 24


def save_picture(path: pathlib.Path, draw: Callable[..., None], *content: Any) -> None:
    """Saves a picture as `plots.save` does. Raises `UserError` where that is impossible."""
    picture = io.BytesIO()  # on a full disk, Matplotlib loses its way within a PDF
    try:
        plots.save(picture, path.suffix[1:], draw, *content)
    except ValueError as error:
        raise UserError(f"The picture {path} can't be saved: {error}.") from error
    with files.whole_file(path) as unfinished:
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
    images, chances = dataset.test_images[shown], test.probabilities[shown]
    return shown, title, (images, labels[shown], chances, dataset.class_names, title)


def draw_run(folder: pathlib.Path, dataset, state, test, model, seed: int) -> None:
    """Saves the pictures of a run.

    state: the `checkpoints.TrainingState`; test: the `metrics.Evaluation` of the test images.
    """
    title, names, images = dataset.title, dataset.class_names, dataset.train_images
    *_, shown = random_images(dataset, test, RANDOM_IMAGES, seed)
    pictures: dict[str, tuple] = {
        "samples": (plots.samples, images, dataset.train_labels, names, title),
        "curves": (plots.curves, state.history, test.loss, test.accuracy, title),
        "confusion_matrix": (plots.confusion_matrix, test.confusion_matrix, names, title),
        "random_predictions": (plots.random_predictions, *shown),
    }
    if len(model.weights) == 1:
        weights = model.weights[0].numpy()
        headline = f"Which pixels speak for each class (red) or against it (blue), on {title}"
        pictures["weights"] = (plots.weights, weights, images.shape[1:], names, headline)
    for name, content in pictures.items():
        save_picture(folder / f"{name}.png", *content)
