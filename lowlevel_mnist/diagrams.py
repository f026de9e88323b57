"""Pictures of the notebooks: networks, curves, maps of pixels, and weights as they form.

As in `plots`, each function draws into a Matplotlib figure that it is given.
"""

import io
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from PIL import Image

from lowlevel_mnist import fonts, plots
from lowlevel_mnist.plots import BLUE, MIN_WIDTH, Figure

FILM_DPI = 70
MILLISECONDS = 300  # that a picture of a film stays
FILM_COLORS = 32  # enough for text and one colour map
MAX_DRAWN_UNITS = 11  # of a layer


def film(
    file: str | os.PathLike[str] | IO[bytes],
    draw: Callable[..., None],
    frames: Iterable[Sequence[Any]],
) -> None:
    """Saves an animated GIF: a picture for each of the frames, the last of which stays longest.

    file: a path or an open file; frames: the arguments of `draw` after the figure.
    """
    pictures = []
    for arguments in frames:
        plots.save(buffer := io.BytesIO(), "png", draw, *arguments, dpi=FILM_DPI)
        pictures.append(Image.open(buffer).convert("RGB"))
    palette = pictures[-1].quantize(FILM_COLORS, Image.Quantize.FASTOCTREE)
    first, *others = (
        picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
    )
    durations = [MILLISECONDS] * len(others) + [10 * MILLISECONDS]
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)


@fonts.plain_text
def images(figure: Figure, pictures: Mapping[str, np.ndarray], signed: Sequence[str] = ()) -> None:
    """Draws images side by side, each in its own range of values.

    pictures: title -> numbers [height, width]; light is high. signed: the titles of those that
        are red above 0 and blue below, with a bar that says how far.
    """
    figure.set_layout_engine("constrained")
    side = min(2.4, 10 / len(pictures))
    figure.set_size_inches(side * len(pictures), side + 0.2)
    axes = figure.subplots(1, len(pictures), squeeze=False).flat
    for axis, (title, image) in zip(axes, pictures.items(), strict=True):
        axis.set(title=title, xticks=[], yticks=[])
        if title in signed:
            strongest = np.abs(image).max()
            shown = axis.imshow(image, cmap="RdBu_r", vmin=-strongest, vmax=strongest)
            figure.colorbar(shown, ax=axis, shrink=0.75)
        else:
            axis.imshow(image, cmap="gray")


def lines(
    figure: Figure, curves: Mapping[str, tuple[Any, ...]], title: str = "", **settings: Any
) -> None:
    """Draws curves over a grid.

    curves: label -> (x, y, format, colour), as `Axes.plot` takes them; settings: for `Axes.set`,
        such as xlabel.
    """
    figure.set_layout_engine("constrained")
    figure.set_size_inches(MIN_WIDTH, 3.4)
    axis = figure.subplots()
    for label, (x, y, style, color) in curves.items():
        axis.plot(x, y, style, color=color, label=label)
    axis.set(title=title, **settings)
    axis.grid(alpha=0.3)
    axis.legend()


def network(figure: Figure, layer_sizes: Sequence[int], captions: Sequence[str]) -> None:
    """Draws a dense network: a column of circles for each layer, and a line for each weight.

    Of a large layer only the first and the last units are drawn.
    layer_sizes: pixels, hidden units, classes; captions: what stands below each column.
    """
    figure.set_layout_engine("constrained")
    figure.set_size_inches(MIN_WIDTH, 3.6)
    axis = figure.subplots()
    axis.set(xlim=(-0.4, len(layer_sizes) - 0.6), ylim=(-7.6, 5.5))
    axis.set_axis_off()
    columns = []
    for x, (size, caption) in enumerate(zip(layer_sizes, captions, strict=True)):
        heights = np.linspace(5, -5, min(size, MAX_DRAWN_UNITS))
        if size > MAX_DRAWN_UNITS:
            heights = np.delete(heights, MAX_DRAWN_UNITS // 2)
            axis.text(x, 0, "⋮", ha="center", va="center", fontsize=16)
        columns.append(heights)
        axis.plot(np.full(len(heights), x), heights, "o", color="white", mec=BLUE, ms=13, zorder=2)
        axis.text(x, -6, caption, ha="center", va="top")
    # Smooth lines would make the picture six times as large.
    thin: dict[str, Any] = {"color": "#c6dcea", "lw": 0.5, "antialiased": False, "zorder": 1}
    for x, (left, right) in enumerate(itertools.pairwise(columns)):
        ends = np.array(list(itertools.product(left, right))).T
        axis.plot([[x], [x + 1]] * np.ones(ends.shape[1]), ends, **thin)


def planes(
    figure: Figure, probabilities: Mapping[str, np.ndarray], points: np.ndarray, right: np.ndarray
) -> None:
    """Draws what networks of two inputs say all over the unit square.

    probabilities: title -> that of class 1, [n, n], at inputs (column, row) from 0 to 1.
    points: inputs [m, 2] that are drawn on top; right: the class of each, 0 or 1.
    """
    figure.set_layout_engine("constrained")
    figure.set_size_inches(MIN_WIDTH, 3.3)
    axes = figure.subplots(1, len(probabilities))
    for axis, (title, values) in zip(axes, probabilities.items(), strict=True):
        place = {"origin": "lower", "extent": (0, 1, 0, 1), "vmin": 0, "vmax": 1}
        shown = axis.imshow(values, cmap="PuOr_r", **place)
        for label, marker in enumerate("os"):
            x, y = points[right == label].T
            style = {"color": "white", "mec": "black", "ms": 12, "clip_on": False}
            axis.plot(x, y, marker, label=f"class {label}", **style)
        axis.set(title=title, xlabel="first input", xticks=(0, 1), yticks=(0, 1))
    axes[0].set_ylabel("second input")
    axes[0].legend(loc="center")
    figure.colorbar(shown, ax=axes, label="probability of class 1")
