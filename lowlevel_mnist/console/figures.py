"""The pictures that commands save. What they look like is in `plots`."""

import io
import pathlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lowlevel_mnist import fonts, plots
from lowlevel_mnist.data import Dataset
from lowlevel_mnist.errors import Remark, UserError
from lowlevel_mnist.runs import files

if TYPE_CHECKING:
    import tensorflow as tf

    from lowlevel_mnist.metrics import Evaluation
    from lowlevel_mnist.model import Network
    from lowlevel_mnist.runs.checkpoints import TrainingState

RANDOM_IMAGES = 24
MAX_UNITS = 60  # hidden units whose weights are drawn: what a screen holds

Picture = tuple[Any, ...]  # a function of `plots`, and what it is given after the figure


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


def random_images(
    dataset: Dataset, test: "Evaluation", count: int, seed: int, mistakes: bool = False
) -> tuple[np.ndarray, str, tuple[Any, ...]]:
    """Chooses random test images, or only mistakes among them.

    Returns their indices, a title, and what `plots.random_predictions` is to be given.
    """
    labels = dataset.test_labels
    shown = plots.choose_images(labels, test.predictions, count, seed, mistakes)
    kind = "mistakes among the test images" if mistakes else "random test images"
    title = f"{len(shown)} {kind} of {dataset.title}"
    classes, names = classes_to_draw(dataset, test)
    positions = np.searchsorted(classes, labels[shown])
    rows = test.probabilities[np.ix_(shown, classes)]
    return shown, title, (dataset.test_images[shown], positions, rows, names, title)


def names_to_draw(names: Sequence[str], classes: Iterable[int]) -> list[str]:
    """Returns the names of some classes, or their numbers where no font has what is in any name.

    names: of all classes.
    """
    if lacking := fonts.missing("".join(names)):
        first = next(name for name in names if lacking.intersection(name))
        text = f"Pictures show the numbers of the classes, since there is no font here for {first}"
        warnings.warn(Remark(f"{text}; install one that has such characters."), stacklevel=1)
        names = [str(label) for label in range(len(names))]
    return [names[label] for label in classes]


def classes_to_draw(dataset: Dataset, test: "Evaluation") -> tuple[np.ndarray, list[str]]:
    """Returns the classes that were learnt, or predicted all the same, and what they are called."""
    classes = np.union1d(dataset.classes_with_images, test.predictions)
    return classes, names_to_draw(dataset.class_names, classes)


def matrix_to_show(test: "Evaluation") -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes that test images are of or were taken for, and the matrix of these."""
    matrix = test.confusion_matrix
    classes = np.flatnonzero(matrix.any(axis=0) | matrix.any(axis=1))
    return classes, matrix[np.ix_(classes, classes)]


def draw_run(
    folder: pathlib.Path,
    dataset: Dataset,
    state: "TrainingState",
    test: "Evaluation",
    model: "tf.Module",
    seed: int,
) -> None:
    """Saves the pictures of a run."""
    from lowlevel_mnist.model import Network

    title, images, labels = dataset.title, dataset.train_images, dataset.train_labels
    all_names = names_to_draw(dataset.class_names, range(dataset.classes))
    learnt, learnt_names = classes_to_draw(dataset, test)
    *_, shown = random_images(dataset, test, RANDOM_IMAGES, seed)
    curves = state.history, test.loss, test.accuracy, title, state.best_epoch
    pictures: dict[str, Picture] = {
        "samples": (plots.samples, images, labels, all_names, title),
        "curves": (plots.curves, *curves),
        "confusion_matrix": matrix_to_draw(dataset, test),
        "random_predictions": (plots.random_predictions, *shown),
    }
    if type(model) is Network:
        size = images.shape[1:]
        pictures["weights"] = weights_to_draw(model, learnt, learnt_names, size, title)
    for name, content in pictures.items():
        save_picture(folder / f"{name}.png", *content)


def matrix_to_draw(dataset: Dataset, test: "Evaluation", images: str = "test") -> Picture:
    """Returns `plots.confusion_matrix` and its arguments.

    images: which ones were evaluated.
    """
    classes, matrix = matrix_to_show(test)
    names = names_to_draw(dataset.class_names, classes)
    return plots.confusion_matrix, matrix, names, dataset.title, images


def weights_to_draw(
    model: "Network",
    classes: np.ndarray,
    names: Sequence[str],
    image_shape: Sequence[int],
    title: str,
) -> Picture:
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
