"""Step 8 of the walkthrough, and all other pictures.

Each function draws into a Matplotlib figure that it is given, so the same picture can go to a
file (`save`), into a window (`show`), or be one of a film (`diagrams.film`).
"""

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np

from lowlevel_mnist import fonts, randomness, startup
from lowlevel_mnist.errors import Remark

with startup.any_backend():  # only `show` needs one, and MPLBACKEND may name none
    from matplotlib.axes import Axes
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure as Figure
    from matplotlib.patches import Rectangle

DPI = 110
MIN_WIDTH = 7  # inches, for the title
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito's, for the colour-blind
LIGHT_BLUE = "#9fc5de"
MAX_NUMBERED_CLASSES = 20  # more numbers or names could not be read
MAX_NAME = 12  # digits that are as wide as a class's name above an image may be


def save(
    file: str | os.PathLike[str] | IO[bytes],
    format: str,
    draw: Callable[..., None],
    *arguments: Any,
    dpi: int = DPI,
) -> None:
    """Calls `draw` with a new figure and the other arguments, and saves the figure.

    file: a path or an open file; format: such as "png"; dpi: pixels an inch.
    """
    figure = Figure()
    draw(figure, *arguments)
    figure.savefig(file, format=format, dpi=dpi)


def show(draw: Callable[..., None], *arguments: Any) -> bool:
    """Calls `draw` with the figure of a new window and waits until the window is closed.

    Returns whether that was possible; without a display it is not.
    """
    try:
        from matplotlib import pyplot  # needed for windows only

        figure = pyplot.figure()
    except Exception as error:  # noqa: BLE001 - a backend may raise anything
        warnings.warn(Remark(f"No window can be opened: {error}."), stacklevel=2)
        return False
    is_inline = "inline" in pyplot.get_backend()  # a notebook shows it below the cell
    if figure.canvas.required_interactive_framework is None and not is_inline:
        pyplot.close(figure)
        return False
    draw(figure, *arguments)
    pyplot.show()
    return True


@fonts.plain_text
def samples(
    figure: Figure, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], title: str
) -> None:
    """Draws the first images in greyscale, each with its label.

    images: `uint8` [n, height, width]; labels: whole numbers [n]; title: that of the data set.
    """
    shown = images[:32]
    title = f"The first {len(shown)} training images of {title}"
    axis, tops = _montage(figure, shown, 8, title, side=1.05)
    for top, label in zip(tops, labels, strict=False):
        _write_above(axis, top, fonts.shorten(class_names[label], MAX_NAME), fontsize=11)


@fonts.plain_text
def curves(
    figure: Figure,
    history: Sequence[Mapping[str, Any]],
    test_loss: float,
    test_accuracy: float,
    title: str,
    best_epoch: int | None = None,
) -> None:
    """Draws loss and accuracy over the epochs, and the values on the test images.

    history: a dictionary with "epoch", "loss", "accuracy", "val_loss" and "val_accuracy" (None
        without validation) for each epoch; title: that of the data set.
    best_epoch: the one whose weights were tested, None for the last.
    """
    figure.set_layout_engine("constrained")
    figure.set_size_inches(9, 4.1)
    epochs = [row["epoch"] for row in history]
    tests = {"loss": test_loss, "accuracy": test_accuracy}
    label = f"test (of epoch {best_epoch})" if best_epoch else "test (at the end)"
    for axis, (key, test) in zip(figure.subplots(1, 2), tests.items(), strict=True):
        values = [row[key] for row in history]
        axis.plot(epochs, values, "o-", color=BLUE, label="training (mean of the epoch)")
        if history[0][f"val_{key}"] is not None:
            values = [row[f"val_{key}"] for row in history]
            axis.plot(epochs, values, "s--", color=GREEN, label="validation (after the epoch)")
        axis.plot(best_epoch or epochs[-1], test, "D", color=ORANGE, label=label)
        axis.set(xlabel="epoch", ylabel="loss (cross-entropy)" if key == "loss" else "accuracy")
        axis.set_xlim(0.5 - 0.02 * epochs[-1], 0.5 + 1.02 * epochs[-1])
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
    axis.set_ylim(top=min(axis.get_ylim()[1], 1.005))  # no accuracy is above 1
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(_headline(title, test_accuracy), fontsize=13)


@fonts.plain_text
def confusion_matrix(
    figure: Figure,
    matrix: np.ndarray,
    class_names: Sequence[str],
    title: str,
    images: str = "test",
) -> None:
    """Draws how often each class (row) was taken for each class (column).

    Colour shows the fraction of the row, the number the count.
    matrix: whole numbers [classes, classes]; title: that of the data set.
    images: which of its images these are.
    """
    side = 2.5 + 0.5 * min(len(matrix), MAX_NUMBERED_CLASSES)
    figure.set_layout_engine("constrained")
    figure.set_size_inches(max(side + 0.8, MIN_WIDTH), side)
    axis = figure.subplots()
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # The root of the fraction sets the colour, or else the mistakes would all look white.
    picture = axis.imshow(fractions, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    if len(matrix) <= MAX_NUMBERED_CLASSES:
        names = [fonts.shorten(name, MAX_NAME) for name in class_names]
        rotation = 45 if max(map(fonts.width, names)) > 3 else 0
        axis.set_xticks(range(len(matrix)), names, rotation=rotation)
        axis.set_yticks(range(len(matrix)), names)
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if fractions[row, column] > 0.3 else "black"
            axis.text(column, row, count, ha="center", va="center", color=color, fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.set_title(_headline(title, matrix.trace() / matrix.sum(), images), fontsize=13)
    figure.colorbar(picture, ax=axis, label="fraction of the true class", shrink=0.8)


@fonts.plain_text
def weights(
    figure: Figure,
    weights: np.ndarray,
    image_shape: Sequence[int],
    names: Sequence[str],
    title: str,
    label: str = "weight",
    strongest: float | None = None,
) -> None:
    """Draws the weights of each class, or hidden unit, as an image.

    weights: float [pixels, classes], or another number for each weight, such as its gradient.
    image_shape: (height, width); names: of the classes; label: what the colours mean.
    strongest: the weight of the darkest colour, None for the largest.
    """
    columns = max(5, math.ceil(math.sqrt(1.6 * len(names))))  # more than rows, as a screen is wide
    side = 1.2 if columns < 8 else 1.0
    strongest = strongest or float(np.abs(weights).max())
    images = weights.T.reshape(-1, *image_shape)
    limits = {"vmin": -strongest, "vmax": strongest}
    colors: dict[str, Any] = {"cmap": "RdBu_r", "interpolation": "nearest", **limits}
    axis, tops = _montage(figure, images, columns, title, side, gap=np.nan, **colors)
    for top, name in zip(tops, names, strict=True):
        _write_above(axis, top, fonts.shorten(name, MAX_NAME), fontsize=11)
    figure.set_figwidth(figure.get_figwidth() / 0.82)  # the rest is for the colour bar
    figure.colorbar(axis.images[0], ax=axis, label=label, fraction=0.13, shrink=0.8, panchor=False)


def choose_images(
    labels: np.ndarray, predictions: np.ndarray, count: int, seed: int, mistakes: bool = False
) -> np.ndarray:
    """Chooses images at random.

    labels, predictions: whole numbers [n]; count: how many, or all where there are fewer.
    seed: whole number; the same one gives the same choice.
    mistakes: whether to choose only from those whose prediction is wrong.
    Returns an array of indices.
    """
    candidates = np.flatnonzero(labels != predictions) if mistakes else np.arange(len(labels))
    generator = randomness.generator(seed, randomness.SHOWN_IMAGES)
    return generator.permutation(candidates)[:count]


@fonts.plain_text
def random_predictions(
    figure: Figure,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    title: str,
) -> None:
    """Draws images with what the network said: prediction, probability and true label.

    A wrong prediction has a thick frame and a cross, a right one a tick. Below each image are
    the probabilities of all classes as bars, in the order of the classes.

    images: `uint8` [n, height, width]; labels: whole numbers [n];
    probabilities: float [n, classes].
    """
    columns = max(8, math.ceil(math.sqrt(len(images))))
    title = f"{title}; bars: the probability of each class"
    axis, tops, answers = _with_bars(figure, images, columns, title, probabilities, class_names)
    height, width = np.divide(images.shape[1:], max(images.shape[1:]))
    for top, answer, label, row in zip(tops, answers, labels, probabilities, strict=True):
        text = f"{answer}\ntrue: {fonts.shorten(class_names[label], MAX_NAME)}"
        if row.argmax() == label:
            _write_above(axis, top, f"✓ {text}")
        else:
            _write_above(axis, top, f"✗ {text}", color=ORANGE, fontweight="bold")
            corner = top - (width / 2, 0)
            axis.add_patch(Rectangle(corner, width, height, fill=False, color=ORANGE, linewidth=3))


@fonts.plain_text
def predictions(
    figure: Figure,
    images: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    names: Sequence[str],
    title: str,
) -> None:
    """Draws images with the probabilities of all classes.

    images: `uint8` [n, height, width]; probabilities: float [n, classes]; names: of the images.
    """
    title = f"{title}\nbars: the probability of each class"
    axis, tops, answers = _with_bars(figure, images, 6, title, probabilities, class_names)
    for top, answer, name in zip(tops, answers, names, strict=True):
        _write_above(axis, top, f"{fonts.shorten(name, 16)}\n{answer}")


def _headline(title: str, accuracy: float, images: str = "test") -> str:
    return f"{title}: {accuracy:.2%} of the {images} images classified correctly"


def _montage(
    figure: Figure,
    images: np.ndarray,
    columns: int,
    title: str,
    side: float,
    below: float = 0.07,
    gap: float = 255,
    **colors: Any,
) -> tuple[Axes, np.ndarray]:
    """Draws images in rows, as one array: an `imshow` for each image would be slow.

    images: `uint8` [n, height, width], or float with `colors` for `imshow`; gap: what is between.
    side: inches that the longer side of an image takes; it is the unit of the axes.
    below: room below each image, in this unit.
    Raises `ValueError` where there are no images.
    Returns the axes and the middle of each image's upper edge, float [n, 2].
    """
    if not len(images):
        raise ValueError(f"There are no images to draw for {title!r}.")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    unit = max(images.shape[1:])  # pixels
    above, room = math.ceil(0.35 * unit), math.ceil(below * unit)
    beside = math.ceil((1.07 * unit - images.shape[2]) / 2)
    padding = ((0, rows * columns - len(images)), (above, room), (beside, beside))
    panels = np.pad(images, padding, constant_values=gap)
    row_height, column_width = np.divide(panels.shape[1:], unit)
    x_end, y_end = columns * column_width, rows * row_height
    picture_height, title_height = side * y_end, 0.35 + 0.2 * title.count("\n")  # inches
    figure.set_layout_engine("none")
    figure.set_size_inches(max(side * x_end, MIN_WIDTH), picture_height + title_height)
    axis = figure.add_axes((0, 0, 1, picture_height / (picture_height + title_height)))
    axis.set_axis_off()
    axis.set_title(title, fontsize=13)
    colors = colors or {"cmap": "gray", "vmin": 0, "vmax": 255}
    montage = np.vstack([np.hstack([*row]) for row in np.split(panels, rows)])
    axis.imshow(montage, extent=(0, x_end, y_end, 0), **colors)
    axis.set(xlim=(0, x_end), ylim=(y_end, 0))
    row, column = np.divmod(np.arange(len(images)), columns)
    x, y = (column + 0.5) * column_width, row * row_height + above / unit
    return axis, np.stack([x, y], axis=1)


def _with_bars(
    figure: Figure,
    images: np.ndarray,
    columns: int,
    title: str,
    probabilities: np.ndarray,
    class_names: Sequence[str],
) -> tuple[Axes, np.ndarray, list[str]]:
    """Draws a montage, and below each image the probabilities as bars, the largest of them dark.

    Returns what `_montage` does, and for each image the predicted class and its probability.
    """
    names = [fonts.shorten(name, MAX_NAME) for name in class_names]
    count, longest = len(names), max(map(fonts.width, names))
    upright = longest > 2 or longest * count > 16  # or else the names would overlap
    side, below = (1.8, 0.72) if upright else (1.4, 0.55)
    axis, tops = _montage(figure, images, columns, title, side, below)
    style: dict[str, Any] = {"fontsize": 7, "ha": "center", "va": "top"}
    style["rotation"] = 90 if upright else 0
    thickness = 0.76 * 72 * side / count  # 72 points an inch
    bases = tops[:, 1] + images.shape[1] / max(images.shape[1:]) + 0.36
    for middle, base, row in zip(tops[:, 0], bases, probabilities, strict=True):
        places = middle + (np.arange(count) + 0.5) / count - 0.5
        colors = [BLUE if probability == row.max() else LIGHT_BLUE for probability in row]
        axis.vlines(places, base - 0.3 * row, base, colors, linewidth=thickness)
        if count <= MAX_NUMBERED_CLASSES:
            for place, name in zip(places, names, strict=True):
                axis.text(place, base + 0.03, name, **style)
    return axis, tops, [f"{names[row.argmax()]}, {row.max():.1%}" for row in probabilities]


def _write_above(
    axis: Axes, top: np.ndarray, text: str, fontsize: float = 10, **style: Any
) -> None:
    x, y = top
    axis.text(x, y - 0.04, text, fontsize=fontsize, ha="center", **style)
