"""Step 8 of the walkthrough, and all other pictures.

Each function draws into a Matplotlib figure that it is given, so the same picture can go to a
file (`save`) or into a window.
"""

import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowlevel_mnist import randomness

DPI = 110
WIDTH_OF_A_TITLE = 7  # inches
BLUE, ORANGE, GREEN = (
    "#0072b2",
    "#d55e00",
    "#009e73",
)  # Okabe and Ito's palette, told apart by the colour-blind
MOST_NUMBERED_CLASSES = 20  # more numbers or names could not be read


def save(
    file: str | os.PathLike | IO[bytes], form: str, draw: Callable[..., None], *arguments: Any
) -> None:
    """Calls `draw` with a new figure and the other arguments, and saves the figure.

    file: a path or an open file; form: the format, such as "png".
    """
    figure = Figure(layout="constrained")
    draw(figure, *arguments)
    figure.savefig(file, format=form, dpi=DPI)


def show(draw: Callable[..., None], *arguments: Any) -> bool:
    """Calls `draw` with the figure of a new window and waits until the window is closed.

    Returns whether that was possible; without a display it is not.
    """
    from matplotlib import pyplot  # needed for windows only

    figure = pyplot.figure(layout="constrained")
    if figure.canvas.required_interactive_framework is None:
        return False
    draw(figure, *arguments)
    pyplot.show()
    return True


def samples(
    figure: Figure, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], title: str
) -> None:
    """Draws the first images in greyscale, each with its label.

    images: `uint8` [n, height, width]; labels: whole numbers [n]; title: that of the data set.
    """
    shown = images[:32]
    title = f"The first {len(shown)} training images of {title}"
    axis, boxes = _sheet(figure, shown, 8, (1.15, 1.4), below=0.04, title=title)
    for (x, y, width, height), label in zip(boxes, labels, strict=False):
        axis.text(x + width / 2, y + height + 0.05, class_names[label], fontsize=11, ha="center")


def curves(
    figure: Figure, history: Sequence[dict], test_loss: float, test_accuracy: float, title: str
) -> None:
    """Draws loss and accuracy over the epochs, and the values on the test images.

    history: a dictionary with "epoch", "loss", "accuracy", "val_loss" and "val_accuracy" (None
        without validation) for each epoch.
    title: that of the data set.
    """
    figure.set_size_inches(9, 3.8)
    epochs = [row["epoch"] for row in history]
    for axis, key, test in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), (test_loss, test_accuracy), strict=True
    ):
        axis.plot(
            epochs,
            [row[key] for row in history],
            "o-",
            color=BLUE,
            label="training (mean of the epoch)",
        )
        if history[0][f"val_{key}"] is not None:
            values = [row[f"val_{key}"] for row in history]
            axis.plot(epochs, values, "s--", color=GREEN, label="validation (after the epoch)")
        axis.plot(epochs[-1], test, "D", color=ORANGE, label="test (at the end)")
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss (cross-entropy)" if key == "loss" else "accuracy")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(_result(title, test_accuracy), fontsize=13)


def confusion_matrix(
    figure: Figure, matrix: np.ndarray, class_names: Sequence[str], title: str
) -> None:
    """Draws how often each class (row) was taken for each class (column).

    matrix: whole numbers [classes, classes]. Colour shows the fraction of the row, the number the
        count.
    title: that of the data set.
    """
    side = 2.5 + 0.5 * min(len(matrix), MOST_NUMBERED_CLASSES)
    figure.set_size_inches(side + 0.8, side)
    axis = figure.subplots()
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # The root of the fraction sets the colour, or else the mistakes would all look white.
    picture = axis.imshow(fractions, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    if len(matrix) <= MOST_NUMBERED_CLASSES:
        axis.set_xticks(range(len(matrix)), class_names, rotation=_tilt(class_names))
        axis.set_yticks(range(len(matrix)), class_names)
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if fractions[row, column] > 0.3 else "black"
            axis.text(column, row, count, ha="center", va="center", color=color, fontsize=9)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    axis.set_title(_result(title, matrix.trace() / matrix.sum()), fontsize=13)
    figure.colorbar(picture, ax=axis, label="fraction of the true class", shrink=0.8)


def weights(
    figure: Figure,
    weights: np.ndarray,
    image_shape: Sequence[int],
    names: Sequence[str],
    title: str,
    label: str = "weight",
) -> None:
    """Draws the weights of each class, or hidden unit, as an image.

    weights: float [pixels, classes], or another number for each weight, such as its gradient.
    image_shape: (height, width); names: of the classes; label: what the colours mean.
    """
    columns = min(len(names), max(5, math.ceil(math.sqrt(len(names)))))
    rows = math.ceil(len(names) / columns)
    figure.set_size_inches(max(1.7 * columns, WIDTH_OF_A_TITLE), 1.9 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    strongest = np.abs(weights).max()
    for axis, column, name in itertools.zip_longest(axes, weights.T, names):
        axis.set_axis_off()
        if column is not None:
            image = column.reshape(image_shape)
            picture = axis.imshow(image, cmap="RdBu_r", vmin=-strongest, vmax=strongest)
            axis.set_title(name, fontsize=11)
    figure.colorbar(picture, ax=axes, label=label, shrink=0.8)
    figure.suptitle(title, fontsize=13)


def classes_to_show(with_images: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Returns the classes that tables and pictures show, in order.

    with_images: the classes that there are images of; one without is only shown where it was
    predicted all the same. predictions: [n].
    """
    return np.union1d(with_images, predictions)


def choose_images(
    labels: np.ndarray, predictions: np.ndarray, count: int, seed: int, mistakes: bool = False
) -> np.ndarray:
    """Chooses images at random.

    labels, predictions: whole numbers [n].
    count: how many; where there are fewer, all are chosen.
    seed: whole number; the same one gives the same choice.
    mistakes: whether to choose only from those whose prediction is wrong.
    Returns an array of indices.
    """
    candidates = np.flatnonzero(labels != predictions) if mistakes else np.arange(len(labels))
    generator = randomness.generator(seed, randomness.SHOWN_IMAGES)
    return generator.permutation(candidates)[:count]


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
    panel, below = _panel_with_bars(class_names)
    axis, boxes = _sheet(figure, images, columns, panel, below, title)
    for box, label, chances in zip(boxes, labels, probabilities, strict=True):
        said = chances.argmax()
        right = said == label
        _write_above(
            axis,
            box,
            f"{'✓' if right else '✗'} {class_names[said]}, {chances[said]:.1%}\n"
            f"true: {class_names[label]}",
            color="black" if right else ORANGE,
            fontweight="normal" if right else "bold",
        )
        if not right:
            x, y, width, height = box
            axis.add_patch(
                Rectangle((x, y), width, height, fill=False, edgecolor=ORANGE, linewidth=3)
            )
        _bars_below(axis, box, chances, class_names)


def predictions(
    figure: Figure,
    images: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    titles: Sequence[str],
    learnt_on: str,
) -> None:
    """Draws images with the probabilities of all classes.

    images: `uint8` [n, height, width]; probabilities: float [n, classes]; titles: list of strings;
    learnt_on: the title of the data set that the network has learnt on.
    """
    title = (
        f"As understood by a network that learnt on {learnt_on}\n"
        "bars: the probability of each class"
    )
    panel, below = _panel_with_bars(class_names)
    axis, boxes = _sheet(figure, images, 6, panel, below, title)
    for box, chances, name in zip(boxes, probabilities, titles, strict=True):
        said = chances.argmax()
        short = name if len(name) <= 16 else f"{name[:7]}...{name[-6:]}"
        short = short.encode("latin-1", errors="replace").decode("latin-1")  # what the font has
        _write_above(axis, box, f"{short}\n{class_names[said]}, {chances[said]:.1%}")
        _bars_below(axis, box, chances, class_names)


def _result(title, accuracy):
    return f"{title}: {accuracy:.2%} of the test images classified correctly"


def _sheet(figure, images, columns, panel, below, title):
    """Draws greyscale images in rows, all on one axes: one for each takes three times as long.

    images: `uint8` [n, height, width].
    panel: width and height, in inches, of an image with what stands above and below it.
    below: inches that are kept free below an image.
    Raises `ValueError` where there are no images.
    Returns the axes, whose units are inches, and for each image (x, y, width, height) of its box.
    """
    if not len(images):
        raise ValueError(f"There are no images to draw for {title!r}.")
    columns = min(columns, len(images))
    above = 0.35 + 0.2 * title.count("\n")
    figure_width = max(columns * panel[0], WIDTH_OF_A_TITLE)
    figure_height = math.ceil(len(images) / columns) * panel[1] + above
    figure.set_layout_engine("none")
    figure.set_size_inches(figure_width, figure_height)
    figure.suptitle(title, fontsize=13, y=1 - 0.08 / figure_height, va="top")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    scale = (panel[0] - 0.12) / max(images.shape[1:])
    height, width = (length * scale for length in images.shape[1:])
    left = (figure_width - columns * panel[0]) / 2 + (panel[0] - width) / 2
    boxes = []
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        x = left + column * panel[0]
        y = figure_height - above - (row + 1) * panel[1] + below
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(x, x + width, y, y + height))
        boxes.append((x, y, width, height))
    axis.set(xlim=(0, figure_width), ylim=(0, figure_height))
    return axis, boxes


def _panel_with_bars(class_names):
    """Returns the size of a panel of `_sheet` and the inches below the image, for the bars."""
    return ((1.5, 2.6), 0.75) if max(map(len, class_names)) <= 2 else ((1.9, 3.4), 1.15)


def _write_above(axis, box, text, **style):
    x, y, width, height = box
    place = (x + width / 2, y + height + 0.06)
    axis.text(*place, text, fontsize=10, ha="center", parse_math=False, **style)


def _bars_below(axis, box, chances, class_names):
    """Draws probabilities, 0 to 1, as bars of up to 0.4 inches; the largest is dark."""
    x, y, width, _ = box
    count, base = len(chances), y - 0.5
    places = x + width * (np.arange(count) + 0.5) / count
    colors = [BLUE if chance == chances.max() else "#9fc5de" for chance in chances]
    thickness = 72 * 0.76 * width / count  # 72 points an inch
    axis.vlines(places, base, base + 0.4 * chances, colors, linewidth=thickness)
    if count <= MOST_NUMBERED_CLASSES:
        upright = max(map(len, class_names)) > 2
        style = {"fontsize": 7, "ha": "center", "va": "top", "rotation": 90 if upright else 0}
        for place, name in zip(places, class_names, strict=True):
            axis.text(place, base - 0.05, name, **style)


def _tilt(class_names):
    return 45 if max(map(len, class_names)) > 3 else 0
