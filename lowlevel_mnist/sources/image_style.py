"""The form of a data set's images, to which a person's own picture is brought.

A network can only read what looks like the images that it has learnt from. MNIST's digits are
white on black, fitted into a box of 20 x 20 pixels with their proportions kept, and put into 28 x
28 pixels with their centre of mass in the middle (Y. LeCun, "The MNIST database"). Other data has
a form of its own, which is measured on its training images, as MNIST's is: 20 pixels come out.
"""

import dataclasses
import math

import numpy as np
from PIL import Image

SAMPLE = 2000  # images that are measured, in 0.2 s
LEAST_CONTRAST = 16  # of 255 shades; below it there is nothing but noise
FAINT = (
    0.2  # ink below this fraction of the strongest is paper: faint shadows, noise, JPEG's ripples
)
SPECKS = 0.002  # fraction of the ink that may lie outside of what is shown, at each side
NEAR = 40  # shades of 255 by which paper may differ from the paper
PAPER = 0.75  # fraction of the images' borders that is paper, where there is any
DRAWN = 0.45  # fraction of its box that the ink of a drawing covers at most, in the median
FINE = 80  # pixels of the longer side at which a line's width is measured, at least
DIGITS = 6  # decimal places of what is compared with a limit: the rest is noise of adding up
OUTLIERS = 0.5  # percent of the images, at either end, that are no example of the others


@dataclasses.dataclass(frozen=True)
class ImageStyle:
    """What the images of a data set have in common. Lengths are in pixels, shades 0 to 255.

    size: (height, width) of an image.
    paper: the shade around what is shown, or None where there is none.
    box: the longer side of what is shown, the median.
    by_mass: whether the images have the centre of mass at one place, not that of the box.
    centre: (y, x) of that place, the median.
    strokes: for drawings, the width of the thinnest lines, but for OUTLIERS, and of usual ones, the
        median; None for other images.
    boxes: smallest and largest longer side of what is shown, but for OUTLIERS.
    offset: largest distance of an image's centre from there, along one side, but for OUTLIERS.
    shades: smallest and largest mean shade of an image, but for OUTLIERS.
    """

    size: tuple[int, int]
    paper: int | None
    box: float
    by_mass: bool
    centre: tuple[float, float]
    strokes: tuple[float, float] | None
    boxes: tuple[float, float]
    offset: float
    shades: tuple[float, float]

    def fits(self, image: np.ndarray) -> bool:
        """Whether an image, `uint8` of this size, looks as the data set's own do."""
        if not self.shades[0] <= image.mean() <= self.shades[1]:
            return False
        if self.paper is None:
            return True
        shown = measure(image, self.paper)
        return (
            shown is not None
            and is_paper(border(image[None]), self.paper)
            and self.boxes[0] <= shown.side <= self.boxes[1]
            and np.abs(np.subtract(shown.centre(self.by_mass), self.centre)).max() <= self.offset
            and (self.strokes is None or shown.stroke_width() >= self.strokes[0])
        )


@dataclasses.dataclass(frozen=True)
class Shown:
    """What an image shows on its paper.

    ink: `float` [height, width], 0 for paper to 1; not without any.
    rows, columns: slices that hold it.
    """

    ink: np.ndarray
    rows: slice
    columns: slice

    @property
    def side(self) -> int:
        """Pixels of the longer side."""
        return max(self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)

    @property
    def coverage(self) -> float:
        """Fraction of the box that the ink covers."""
        return float(np.mean(self.ink[self.rows, self.columns] > 0.5))

    def centre(self, by_mass: bool) -> tuple[float, float]:
        """Where its centre of mass is, or that of its box, from the image's upper left corner."""
        if by_mass:
            return centre_of_mass(self.ink)
        return (
            (self.rows.start + self.rows.stop) / 2,
            (self.columns.start + self.columns.stop) / 2,
        )

    def stroke_width(self) -> float:
        return stroke_width(self.ink)


def learn(images: np.ndarray) -> ImageStyle:
    """Returns the `ImageStyle` of images, `uint8` [n, height, width]."""
    images = images[:: max(1, len(images) // SAMPLE)]
    size = images.shape[1:]
    shades = percentiles([image.mean() for image in images])
    paper = int(np.median(border(images)))
    shown = [what for image in images if (what := measure(image, paper))]
    if not (shown and is_paper(border(images), paper)):
        side, middle = float(max(size)), (size[0] / 2, size[1] / 2)
        return ImageStyle(size, None, side, False, middle, None, (0.0, side), side, shades)
    centres, offsets = {}, {}
    for by_mass in (True, False):
        found = np.array([what.centre(by_mass) for what in shown])
        centres[by_mass] = np.median(found, axis=0)
        offsets[by_mass] = np.abs(found - centres[by_mass]).max(axis=1)
    is_by_mass = np.median(offsets[True]) < np.median(offsets[False])
    strokes = None
    if np.median([what.coverage for what in shown]) < DRAWN:
        widths = [what.stroke_width() for what in shown]
        strokes = percentiles(widths)[0], float(np.median(widths))
    return ImageStyle(
        size,
        paper,
        float(np.median([what.side for what in shown])),
        bool(is_by_mass),
        tuple(centres[is_by_mass].tolist()),
        strokes,
        percentiles([what.side for what in shown]),
        percentiles(offsets[is_by_mass])[1],
        shades,
    )


def measure(image: np.ndarray, paper: float) -> Shown | None:
    """Returns what an image [height, width] shows on paper of this shade, or None for nothing."""
    ink = np.abs(image.astype(float) - paper)
    if ink.max() < LEAST_CONTRAST:
        return None
    ink = without_faint(ink)
    return Shown(ink, extent(ink.sum(1)), extent(ink.sum(0)))


def without_faint(ink: np.ndarray) -> np.ndarray:
    """Returns ink with its strongest as 1, and paper where there is hardly any."""
    ink = ink / ink.max()
    return np.where(ink < FAINT, 0, ink)


def extent(mass: np.ndarray) -> slice:
    """Returns the slice of a row or column sum that leaves out specks: SPECKS at either end."""
    fractions = (np.cumsum(mass) / mass.sum()).round(DIGITS)
    first, last = np.searchsorted(fractions, [SPECKS, 1 - SPECKS], side="right")
    return slice(first, min(last, len(mass) - 1) + 1)


def centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    """Returns (y, x) of the centre of mass, from the upper left corner."""
    y, x = (np.arange(length) + 0.5 for length in ink.shape)
    return float(ink.sum(1) @ y / ink.sum()), float(ink.sum(0) @ x / ink.sum())


def stroke_width(ink: np.ndarray) -> float:
    """Returns the width of the lines of a drawing, `float` [height, width] up to 1, in pixels.

    A line of length l and width w has the area l w and the outline 2 l. The outline is measured
    along rows and columns, which makes that of lines in all directions 4 / pi times as long.
    """
    factor = math.ceil(FINE / max(ink.shape))
    size = factor * ink.shape[1], factor * ink.shape[0]
    fine = Image.fromarray(np.float32(ink)).resize(size, Image.Resampling.BICUBIC)
    line = np.pad(np.asarray(fine) > 0.5, 1)  # where its edge is blurred, up to the middle of that
    outline = (line[1:] ^ line[:-1]).sum() + (line[:, 1:] ^ line[:, :-1]).sum()
    return 2 * float(line.sum() / max(outline * math.pi / 4, 1)) / factor


def border(images: np.ndarray) -> np.ndarray:
    """Returns the shades along the four sides of images [n, height, width]."""
    sides = images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]
    return np.concatenate([side.ravel() for side in sides])


def is_paper(shades: np.ndarray, paper: float) -> bool:
    """Whether most of these shades are that of the paper, or nearly so."""
    return bool(np.mean(np.abs(shades - float(paper)) <= NEAR) >= PAPER)


def percentiles(values) -> tuple[float, float]:
    lowest, highest = np.percentile(values, [OUTLIERS, 100 - OUTLIERS])
    return float(lowest), float(highest)
