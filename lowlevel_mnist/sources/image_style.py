"""The style of a data set's images, to which a person's own picture is brought.

A network can only read what looks like the images that it has learnt from. MNIST's digits are
white on black, fitted into a box of 20 x 20 pixels with their proportions kept, and put into 28 x
28 pixels with their centre of mass in the middle (Y. LeCun, "The MNIST database"). Other data has
a style of its own, measured on its training images, as MNIST's is: 20 pixels come out.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

SAMPLE = 2000  # images that are measured, in 0.2 s
MIN_CONTRAST = 16  # grey levels of 255; below it there is nothing but noise
FAINT = 0.2  # of the strongest; what is fainter is background: shadows, noise, JPEG's ripples
SPECKS = 0.002  # fraction of the foreground that may lie outside of its box, at each side
NEAR = 40  # grey levels of 255 by which the background may vary
MIN_BACKGROUND = 0.75  # fraction of the images' borders that is background, where there is any
MAX_COVERAGE = 0.45  # fraction of its box that a drawing's foreground covers, in the median
FINE_SIDE = 80  # pixels of the longer side at which a line's width is measured, at least
DECIMALS = 6  # decimal places of what is compared with a limit: the rest is noise of adding up
OUTLIERS = 0.5  # percent of the images, at either end, that are no example of the others


@dataclasses.dataclass(frozen=True)
class ImageStyle:
    """Properties that a data set's images share. Lengths are in pixels, grey levels 0 to 255.

    size: (height, width) of an image.
    background: the grey level around what is shown, or None where there is no background.
    box_side: the longer side of the box around what is shown, the median.
    by_mass: whether the images have the centre of mass at one place, not that of the box.
    centre: (y, x) of that place, the median.
    stroke_widths: for drawings, the width of the thinnest lines, but for OUTLIERS, and of usual
        ones, the median; None for other images.
    box_sides: smallest and largest longer side of that box, but for OUTLIERS.
    max_offset: largest distance of an image's centre from there, along one side, but for OUTLIERS.
    mean_grey_levels: smallest and largest mean grey level of an image, but for OUTLIERS.
    """

    size: tuple[int, int]
    background: int | None
    box_side: float
    by_mass: bool
    centre: tuple[float, float]
    stroke_widths: tuple[float, float] | None
    box_sides: tuple[float, float]
    max_offset: float
    mean_grey_levels: tuple[float, float]

    def __post_init__(self) -> None:
        """Raises `ValueError` where the properties contradict each other."""
        side = max(self.size)
        thin, usual = self.stroke_widths or (1, 1)
        ascending = (
            (0, *self.mean_grey_levels, 255),
            (0, self.background or 0, 255),
            (1, self.box_side, side),
            (0, *self.box_sides, side),
            (0, thin, usual, side),
            (0, self.max_offset, side),
            *((0, place, length) for place, length in zip(self.centre, self.size, strict=True)),
        )
        for numbers in ascending:
            if list(numbers) != sorted(numbers):
                raise ValueError(f"{numbers} is not in ascending order")
        if min(self.size) == 0 or usual == 0:
            raise ValueError("there is nothing to be seen")

    @property
    def least_width(self) -> float:
        """Width below which a picture's lines are made wider: a quarter of the way to usual ones.

        Few of the images have thinner lines, but a pen of one pixel, drawn at their size, does.
        """
        thin, usual = self.stroke_widths or (0, 0)
        return thin + (usual - thin) / 4

    def matches(self, image: npt.NDArray[np.uint8]) -> bool:
        """Returns whether an image, `uint8` of this size, looks as the data set's own do."""
        if not self.mean_grey_levels[0] <= image.mean() <= self.mean_grey_levels[1]:
            return False
        if self.background is None:
            return True
        found = measure(image, self.background)
        return (
            found is not None
            and is_background(border(image[None]), self.background)
            and self.box_sides[0] <= found.side <= self.box_sides[1]
            and max(np.abs(np.subtract(found.centre(self.by_mass), self.centre))) <= self.max_offset
            and (self.stroke_widths is None or stroke_width(found.intensity) >= self.least_width)
        )


@dataclasses.dataclass(frozen=True)
class Foreground:
    """The part of an image in front of its background.

    intensity: `float` [height, width], 0 for background to 1; not 0 everywhere.
    box: slices of rows and columns that hold it.
    """

    intensity: np.ndarray
    box: tuple[slice, slice]

    @property
    def side(self) -> int:
        """Pixels of the longer side."""
        return max(self.intensity[self.box].shape)

    @property
    def coverage(self) -> float:
        """Fraction of the box that the foreground covers."""
        return float(np.mean(self.intensity[self.box] > 0.5))

    def centre(self, by_mass: bool) -> tuple[float, float]:
        """Returns (y, x) of its centre of mass, or its box's, from the image's upper left."""
        if by_mass:
            return centre_of_mass(self.intensity)
        y, x = ((sides.start + sides.stop) / 2 for sides in self.box)
        return y, x


def learn(images: npt.NDArray[np.uint8]) -> ImageStyle:
    """Returns the `ImageStyle` of images, `uint8` [n, height, width]."""
    images = images[:: max(1, len(images) // SAMPLE)]
    size = images.shape[1:]
    levels = percentiles([image.mean() for image in images])
    background = int(np.median(border(images)))
    foregrounds = [found for image in images if (found := measure(image, background))]
    if not (foregrounds and is_background(border(images), background)):
        side, middle = float(max(size)), (size[0] / 2, size[1] / 2)
        return ImageStyle(size, None, side, False, middle, None, (0.0, side), side, levels)
    centres, offsets = {}, {}
    for by_mass in (True, False):
        places = np.array([foreground.centre(by_mass) for foreground in foregrounds])
        centres[by_mass] = np.median(places, axis=0)
        offsets[by_mass] = np.abs(places - centres[by_mass]).max(axis=1)
    is_by_mass = np.median(offsets[True]) < np.median(offsets[False])
    stroke_widths = None
    if np.median([foreground.coverage for foreground in foregrounds]) < MAX_COVERAGE:
        widths = [stroke_width(foreground.intensity) for foreground in foregrounds]
        stroke_widths = percentiles(widths)[0], float(np.median(widths))
    sides = [foreground.side for foreground in foregrounds]
    return ImageStyle(
        size,
        background,
        float(np.median(sides)),
        bool(is_by_mass),
        tuple(centres[is_by_mass].tolist()),
        stroke_widths,
        percentiles(sides),
        percentiles(offsets[is_by_mass])[1],
        levels,
    )


def measure(image: np.ndarray, background: float) -> Foreground | None:
    """Returns what an image [height, width] shows in front of this grey level, or None."""
    difference = np.abs(image.astype(float) - background)
    if difference.max() < MIN_CONTRAST:
        return None
    intensity = drop_faint(difference)
    return Foreground(intensity, box(intensity))


def drop_faint(foreground: np.ndarray) -> np.ndarray:
    """Returns the foreground with its strongest as 1, and 0 where there is hardly any."""
    foreground = foreground / foreground.max()
    return np.where(foreground < FAINT, 0, foreground)


def box(foreground: np.ndarray) -> tuple[slice, slice]:
    """Returns the rows and the columns that hold the foreground, without SPECKS at either end."""
    return _extent(foreground.sum(1)), _extent(foreground.sum(0))


def _extent(mass: np.ndarray) -> slice:
    fractions = (np.cumsum(mass) / mass.sum()).round(DECIMALS)
    first, last = np.searchsorted(fractions, [SPECKS, 1 - SPECKS], side="right")
    return slice(first, min(last, len(mass) - 1) + 1)


def centre_of_mass(foreground: np.ndarray) -> tuple[float, float]:
    """Returns (y, x) of the centre of mass, from the upper left corner."""
    y, x = (np.arange(length) + 0.5 for length in foreground.shape)
    total = foreground.sum()
    return float(foreground.sum(1) @ y / total), float(foreground.sum(0) @ x / total)


def stroke_width(foreground: np.ndarray) -> float:
    """Returns the width of the lines of a drawing, `float` [height, width] up to 1, in pixels.

    A line of length l and width w has the area l w and the outline 2 l. The outline is measured
    along rows and columns, which makes that of lines in all directions 4 / pi times as long.
    """
    factor = math.ceil(FINE_SIDE / max(foreground.shape))
    size = factor * foreground.shape[1], factor * foreground.shape[0]
    fine = Image.fromarray(np.float32(foreground)).resize(size, Image.Resampling.BICUBIC)
    line = np.pad(np.asarray(fine) > 0.5, 1)  # where its edge is blurred, up to the middle of that
    outline = (line[1:] ^ line[:-1]).sum() + (line[:, 1:] ^ line[:, :-1]).sum()
    return 2 * float(line.sum() / max(outline * math.pi / 4, 1)) / factor


def border(images: np.ndarray) -> np.ndarray:
    """Returns the grey levels along the four sides of images [n, height, width]."""
    sides = images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]
    return np.concatenate([side.ravel() for side in sides])


def is_background(grey_levels: np.ndarray, background: float) -> bool:
    """Returns whether most of these grey levels are the background's, or nearly so."""
    return bool(np.mean(np.abs(grey_levels - float(background)) <= NEAR) >= MIN_BACKGROUND)


def percentiles(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    lowest, highest = np.percentile(values, [OUTLIERS, 100 - OUTLIERS])
    return float(lowest), float(highest)
