"""A drawing's foreground: told from its background, chosen, cut out, brought to a style."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from lowlevel_mnist.sources import image_style
from lowlevel_mnist.sources.image_style import ImageStyle

ROUNDS = 6  # of fitting the light to the background
SPREAD = 2.5  # standard deviations within which a pixel is background
GRAIN = 2.0  # grey levels by which the background varies at least
FITTED = 20_000  # pixels to which it is fitted
JOINED = 0.15  # of a digit's longer side: so near are its own pieces to each other
TOUCHING = 0.05  # of the same: so near is even a tall piece its own
TALL = 0.5  # of a digit's height: a piece as tall could be a digit of its own
MAX_PIECES = 30  # that are looked at; in a noisy photo there are thousands of specks
SPECK = 0.005  # of the largest piece's mass: what has less is none of a digit's
FRAMED = 0.2  # of a piece's mass: with so much inside of it, it is a frame
FLOODS = (0, 0.2, 0.4, 0.6, 0.75)  # of the strongest: what is not above it is under water
CORNER = 0.1  # of a piece's sides: a rectangle has ink so near to each corner of its box
THICK = 0.12  # of a piece's longer side: a disc of this radius fits into no stroke
SHEET = 0.65  # of its box: so much at least a sheet fills
SMALL = 0.05  # of the picture's longer side: a piece that is smaller is no digit
PALE = 0.5  # of the strongest: a piece all of which is fainter belongs to no stroke
LINED = 0.5  # of the strokes' contrast: less of it is left where lines as dark are joined to them
MARGIN = 0.25  # of the strokes' longer side: the paper on which they are is so wide
BLUR = 1  # pixels by which a camera makes a stroke wider
WIDE = 1.6  # of the usual width of the images' lines: wider ones are made thinner
MAX_TAKEN = 2  # usual widths that are taken from a line at most; then it is a blot
FINE = 4  # pixels for each pixel of an image, while lines are made wider or thinner
FINE_BOX = 200  # pixels of the box then, at most, unless it is larger in the image itself


def estimate_background(
    grey_levels: np.ndarray, is_candidate: np.ndarray | None = None
) -> np.ndarray:
    """Returns the grey level of the background at each pixel of a picture [height, width].

    The light on it falls evenly from one side to the other. A plane is fitted to all pixels, and
    then, again and again, to those that are near to the one before: the others are foreground.
    is_candidate: `bool` [height, width], which pixels may be background; where none may, or with
        None, all of them may.
    """
    height, width = grey_levels.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y], axis=-1).reshape(-1, 3)
    every = max(1, grey_levels.size // FITTED)
    fitted, values = terms[::every], grey_levels.ravel()[::every]
    if is_candidate is not None and (chosen := is_candidate.ravel()[::every]).any():
        fitted, values = fitted[chosen], values[chosen]
    near = np.ones(len(values), bool)
    for _ in range(ROUNDS):
        factors, *_ = np.linalg.lstsq(fitted[near], values[near], rcond=None)
        distance = np.abs(values - fitted @ factors)
        # 1.4826 times the median is the standard deviation of a normal distribution.
        near = distance <= SPREAD * max(1.4826 * np.median(distance), GRAIN)
    return (terms @ factors).reshape(grey_levels.shape).round()  # as a pixel is


def find_strokes(grey_levels: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Returns the strokes in a picture [height, width] that do not reach its edge, or None.

    And whether lines that are nearly as strong are joined to them.

    What reaches the edge, or is joined to it by what is as dark, is beside the sheet or printed on
    it: a table of any colour, ruled lines, shadows. Lighter and darker strokes are looked for, and
    the stronger ones taken. Where the largest piece is too thick for a stroke, it may be a sheet
    that lies on a table: the flood rises until only what is written on it stands out.
    Where the picture's edge is of one grey level, no camera has made it. What is drawn there stands
    out by itself, up to the edge, and a fat digit is thick: only on a sheet are strokes looked for.
    The strokes are `float` [height, width], 0 for background to 1.
    """
    levels = np.uint8(grey_levels.clip(0, 255).round())
    depths = [np.float64(fill(ground) - ground) for ground in (levels, 255 - levels)]
    edge = image_style.border(levels[None])
    is_even = np.mean(edge == np.median(edge)) >= image_style.MIN_BACKGROUND
    for flood in FLOODS:
        found, thick = zip(*(strokes_above(flood, depth) for depth in depths), strict=True)
        is_lighter = int(np.argmax([(strokes**3).sum() for strokes in found]))
        strokes, around = found[is_lighter] > 0, thick[1 - is_lighter]
        if strokes.any():
            if is_even and not (around and around.could_be_sheet()):
                return None
            contrast = on_paper(strokes, grey_levels if is_lighter else -grey_levels)
            if contrast.max() < image_style.MIN_CONTRAST:
                continue
            deep, strong = (np.median(by[strokes]) for by in (depths[is_lighter], contrast))
            return image_style.drop_faint(contrast), bool(deep < LINED * strong)
    return None


def on_paper(strokes: np.ndarray, grey_levels: np.ndarray) -> np.ndarray:
    """Returns by how many grey levels strokes that have been found are lighter than their paper.

    The water under them stands as high as the darkest paper around, or as a line that joins them.
    Here, the paper is what most of the picture near to them is.
    """
    rows, columns = image_style.box(strokes)
    margin = math.ceil(MARGIN * max(rows.stop - rows.start, columns.stop - columns.start))
    near = tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in (rows, columns))
    blurred = dilate(strokes, BLUR)[near]
    difference = grey_levels[near] - estimate_background(grey_levels[near], ~blurred)
    contrast = np.zeros(grey_levels.shape)
    contrast[near] = np.where(blurred, difference.clip(0), 0)
    return contrast


def fill(grey_levels: np.ndarray) -> np.ndarray:
    """Returns grey levels with all basins filled up to the lowest way out, over the picture's edge.

    This is the morphological reconstruction by erosion that fills holes (L. Vincent, "Morphological
    grayscale reconstruction in image analysis", IEEE Transactions on Image Processing 2 (2), 1993):
    water stands everywhere, and runs off row by row until no more does.
    """
    water = grey_levels.copy()
    water[1:-1, 1:-1] = 255
    before = np.zeros_like(water)
    while not np.array_equal(water, before):
        before[:] = water
        for surface, ground in ((water, grey_levels), (water.T, grey_levels.T)):
            for way in (1, -1):
                run_off(surface[::way], ground[::way])
    return water


def run_off(water: np.ndarray, ground: np.ndarray) -> None:
    """Lowers the water in each row to that around it in the row before, or to the ground."""
    for before, row, below in zip(water[:-1], water[1:], ground[1:], strict=True):
        np.minimum(row, before, out=row)
        np.minimum(row[1:], before[:-1], out=row[1:])
        np.minimum(row[:-1], before[1:], out=row[:-1])
        np.maximum(row, below, out=row)


def strokes_above(flood: float, depth: np.ndarray) -> tuple[np.ndarray, "Piece | None"]:
    """Returns by how many grey levels strokes rise above a flood, 0 where there are none.

    flood: part of the strength of the strongest piece that is large enough to be a digit.
    Returns them, and the `Piece` that is too thick to be a stroke, or None.
    """
    strongest = depth.max()
    while (height := (1 - flood) * strongest) >= image_style.MIN_CONTRAST:
        above = (depth - flood * strongest).clip(0, height)
        above[above < image_style.FAINT * height] = 0
        pieces = find_pieces(above)
        large = [piece for piece in pieces if piece.size.max() >= SMALL * max(depth.shape)]
        frames = [p for p in large if p.is_rectangle() and any(map(p.encloses, large))]
        pieces, large = ([p for p in some if p not in frames] for some in (pieces, large))
        if not large:
            break
        main = max(large, key=lambda piece: piece.mass)
        if depth[main.mask].max() < strongest:
            strongest = depth[main.mask].max()
        elif main.is_thick():
            return np.zeros_like(depth), main
        else:
            strokes = [p.mask for p in pieces if above[p.mask].max() >= PALE * height]
            return np.where(np.logical_or.reduce(strokes), above, 0), None
    return np.zeros_like(depth), None


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of the foreground.

    mask: `bool` [height, width], where it is; mass: the sum of the foreground there.
    low, high: [2], (y, x) of its box's upper left corner, and of its lower right one.
    """

    mask: npt.NDArray[np.bool_]
    mass: float
    low: np.ndarray
    high: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Height and width of its box."""
        return self.high - self.low

    def encloses(self, other: "Piece") -> bool:
        return bool((self.low < other.low).all() and (other.high < self.high).all())

    def touches_edge(self) -> bool:
        return bool((self.low == 0).any() or (self.high == self.mask.shape).any())

    def is_rectangle(self) -> bool:
        """Returns whether it may be one: it reaches all corners of its box, as no digit does."""
        (top, left), (bottom, right) = self.low, self.high
        mask = self.mask[top:bottom, left:right]
        high, wide = np.ceil(CORNER * self.size).astype(int)
        rows = mask[:high], mask[-high:]
        return all(row[:, :wide].any() and row[:, -wide:].any() for row in rows)

    def is_thick(self) -> bool:
        """Returns whether it is thicker than any stroke, at one place."""
        (top, left), (bottom, right) = self.low, self.high
        outside = np.pad(~self.mask[top:bottom, left:right], 1, constant_values=True)
        return not dilate(outside, math.ceil(THICK * self.size.max())).all()

    def could_be_sheet(self) -> bool:
        """Returns whether it fills most of its box, as no fat digit does."""
        return bool(self.mask.sum() > SHEET * self.size.prod())

    def could_be_digit(self, main: "Piece") -> bool:
        return bool(self.size[0] > TALL * main.size[0])


def choose_digit(foreground: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the foreground of one digit, and how many other pieces could be a digit of their own.

    It is the piece with the largest mass, and the smaller ones near to it: the bar of a 5, what a
    dry pen has torn apart. Frames around it and what comes in from beyond the picture's edge are
    left out.
    """
    pieces = find_pieces(foreground)
    pieces = [  # without frames
        piece
        for piece in pieces
        if not any(piece.encloses(p) and p.mass >= FRAMED * piece.mass for p in pieces)
    ]
    main = max(pieces, key=lambda piece: piece.mass)
    is_cut_off = main.touches_edge()
    others = [p for p in pieces if p is not main and (is_cut_off or not p.touches_edge())]
    chosen = main.mask
    while near := find_near(others, main, chosen):
        chosen = np.logical_or.reduce([chosen, *(piece.mask for piece in near)])
        others = [piece for piece in others if piece not in near]
    return np.where(chosen, foreground, 0), sum(piece.could_be_digit(main) for piece in others)


def find_near(others: Sequence[Piece], main: Piece, chosen: np.ndarray) -> list[Piece]:
    """Returns the pieces that belong to the digit of which `main` and all that is chosen are."""
    joined, touching = (
        dilate(chosen, math.ceil(gap * main.size.max())) for gap in (JOINED, TOUCHING)
    )
    return [p for p in others if (touching if p.could_be_digit(main) else joined)[p.mask].any()]


def find_pieces(foreground: np.ndarray) -> list[Piece]:
    """Returns the largest pieces; of equal ones, that which ends first."""
    numbers = label(foreground > 0)
    masses = np.bincount(numbers.ravel(), foreground.ravel()).round(image_style.DECIMALS)
    largest = np.argsort(-masses, kind="stable")[:MAX_PIECES]
    pieces = []
    for number in largest[masses[largest] > SPECK * masses.max()]:
        mask = numbers == number
        corners = np.reshape(Image.fromarray(mask).getbbox(), (2, 2))[:, ::-1]
        pieces.append(Piece(mask, masses[number], *corners))
    return pieces


def label(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Returns a number for each connected piece of a mask [height, width], and 0 outside.

    Each pixel begins with a number of its own. The largest spreads to its eight neighbours, and
    jumps to where its number came from, so that long lines take few rounds.
    """
    padded = np.pad(mask, 1)
    places = np.flatnonzero(padded)
    own = np.zeros(padded.size, np.int32)
    own[places] = np.arange(1, len(places) + 1)
    rows = (places + row * padded.shape[1] for row in (-1, 0, 1))
    neighbours = [own[row + column] for row in rows for column in (-1, 0, 1)]
    numbers = np.arange(len(places) + 1, dtype=np.int32)
    while True:
        spread = numbers.copy()
        for neighbour in neighbours:
            np.maximum(spread[1:], numbers[neighbour], out=spread[1:])
        for _ in range(3):
            spread = spread[spread]
        if np.array_equal(spread, numbers):
            return numbers[own].reshape(padded.shape)[1:-1, 1:-1]
        numbers = spread


def dilate(mask: npt.NDArray[np.bool_], distance: int) -> npt.NDArray[np.bool_]:
    """Returns a mask with all that is so near to it along rows and columns."""
    side = 2 * distance + 1  # of the square whose pixels are counted, by a table of running sums
    sums = np.pad(mask, (distance + 1, distance)).cumsum(0).cumsum(1)
    rows = sums[side:] - sums[:-side]
    return rows[:, side:] > rows[:, :-side]


def fit(foreground: np.ndarray, style: ImageStyle) -> np.ndarray:
    """Cuts out the foreground and scales it, proportions kept, until it fills the style's box.

    Lines that are thinner or wider than those of the images are made as wide as these usually are:
    scaled down, a thin pen leaves a broken grey line, and small digits of a usual pen, scaled up,
    are blots. (Of 400 test images whose lines were made 4.4 pixels wide, 0.928 were read as they
    were, and 0.983 with thinner lines.)
    Returns `float` [height, width], not larger than an image, its largest value 1.
    """
    cut = foreground[image_style.box(foreground)]
    side = fitting_side(cut, style)
    if style.stroke_widths:
        _, usual = style.stroke_widths
        width = image_style.stroke_width(cut) * side / max(cut.shape)
        if not style.least_width <= width <= WIDE * usual:
            fine = max(1, min(FINE, int(FINE_BOX / style.box_side)))
            change = usual - width
            if change < 0:  # the digit, and with it the line, is larger until it is made thinner
                change = max(change * side / (side - width), -MAX_TAKEN * usual)
            cut = scale(cut, fine * (side - change))
            cut = (widen if change > 0 else narrow)(cut, fine * abs(change) / 2)
    return scale(cut, fitting_side(cut, style))


def fitting_side(foreground: np.ndarray, style: ImageStyle) -> float:
    """Returns the longer side, in pixels, at which it fills the style's box, or fits the image."""
    (height, width), (h, w) = style.size, foreground.shape
    return max(h, w) * min(style.box_side / max(h, w), height / h, width / w)


def scale(foreground: np.ndarray, side: float) -> np.ndarray:
    """Scales the foreground, proportions kept, until its longer side has so many pixels."""
    height, width = foreground.shape
    factor = side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    # In floating point, where even a single pixel in an otherwise empty box remains.
    picture = Image.fromarray(np.float32(foreground)).resize(size, Image.Resampling.HAMMING)
    scaled = np.asarray(picture, np.float64)
    return scaled / scaled.max()


def widen(foreground: np.ndarray, radius: float) -> np.ndarray:
    """Draws a round pen of this radius, in pixels, along all of the foreground."""
    reach = math.ceil(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    pen = (radius + 0.5 - np.hypot(y, x)).clip(0, 1)
    height, width = foreground.shape[0] + 2 * reach, foreground.shape[1] + 2 * reach
    padded = np.pad(foreground, 2 * reach)
    wide = np.zeros((height, width))
    for (top, left), weight in np.ndenumerate(pen):
        np.maximum(wide, weight * padded[top : top + height, left : left + width], out=wide)
    return wide


def narrow(foreground: np.ndarray, radius: float) -> np.ndarray:
    """Takes so many pixels away all along the outline; returns what is left in its box."""
    reach = math.ceil(radius)
    outside = widen(1 - np.pad(foreground, reach), radius)
    left = 1 - outside[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    return left[image_style.box(left)]


def place(foreground: np.ndarray, style: ImageStyle) -> npt.NDArray[np.uint8]:
    """Puts the foreground on the style's background, centred as its images: `uint8` of its size."""
    height, width = foreground.shape
    own = image_style.centre_of_mass(foreground) if style.by_mass else (height / 2, width / 2)
    offsets = (np.subtract(style.centre, own) + 0.5).round(image_style.DECIMALS)
    top, left = np.clip(np.floor(offsets), 0, np.subtract(style.size, foreground.shape)).astype(int)
    assert style.background is not None  # without a background there is no foreground either
    contrast = (255 if style.background < 128 else 0) - style.background
    image = np.full(style.size, float(style.background))
    image[top : top + height, left : left + width] += foreground * contrast
    return np.uint8(image + 0.5)
