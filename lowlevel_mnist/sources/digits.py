"""Handwritten digits drawn by a program, in the format of the MNIST data set.

An image is 28 x 28 pixels of uint8, white ink (255) on black paper (0), and comes into being in
five steps:

1. *Style.* `strokes.txt` holds, for every digit, the ways people write it: a crossed or a plain
   seven, an open or a closed four. A style is a pen path through control points; a Catmull-Rom
   spline (Catmull & Rom 1974) makes a smooth curve of them. The curve is linear in its control
   points, so one matrix a style turns control points into points of the curve.
2. *Hand.* No two digits are alike: the control points tremble, a smooth random field bends the
   plane (the elastic distortion of Simard, Steinkraus & Platt 2003, here a sum of sine waves), and
   the whole is tapered, narrowed or widened, slanted and turned.
3. *Box.* The path is scaled, aspect ratio preserved, until the inked digit fills a box of 20 x 20
   pixels. This happens to the path, so no image is ever resampled.
4. *Ink.* A stroke is a row of Gaussian dabs of ink. A 2-D Gaussian is the product of a row profile
   and a column profile, so the ink of a whole image is one product of two small matrices. Across
   a long line of dabs the ink falls off as exp(-r^2 / 2 s^2); solved for r, the ink tells how far
   every pixel is from the middle of the stroke, and that distance makes a crisp pen line of any
   width. Where strokes meet their ink adds up, and the corner fills as it does on paper.
5. *Pixels.* A pixel is as bright as the fraction of it that the line covers. The box is then put
   into the 28 x 28 image so that the centre of mass of the ink lies in the middle, as in MNIST.

Everything is drawn in blocks of images of one style. A block has its own stream of random numbers,
so the result depends on the seed alone and not on the number of threads that draw the blocks.
"""

import importlib.resources
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from numbers import Integral
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

STROKES = importlib.resources.files("lowlevel_mnist.sources") / "strokes.txt"
# The first number of every random stream: no stream is shared by the two parts.
PARTS = {"train": 1, "test": 2}

SIDE = 28  # pixels of an image's side
BOX = 20  # pixels of the side of the box that the ink fills
BLOCK = 256  # images drawn at once: 70,000 took 0.82 s, with 64 1.05 s, with 1,024 0.73 s

# The variation of the hand. A digit spans about 2 units; "sd" is a standard deviation.
HASTE = (0.1, 1.5)  # range of a factor on TREMBLE and BEND: careful and hasty writers
TREMBLE = 0.05  # sd of a control point's displacement
BEND = 0.085  # sd of the displacement by one wave of the elastic field
WAVES = 4  # waves of the elastic field
WAVE_NUMBER = 2.0  # sd of a wave's number of radians a unit, in x and in y
OVERSHOOT = 0.25  # sd of the lengthening of a stroke's last stretch, as a fraction of its length
TAPER = 0.12  # sd of the growth of the width with y, and of the height with x
STRETCH = 0.17  # sd of ln(width / height)
SLANT = (0.12, 0.22)  # mean and sd of the shift to the right for a unit upwards
TURN = 0.10  # sd of the rotation, radians

# The pen and its ink, in pixels.
PEN_WIDTH = 2.35  # median
PEN_SPREAD = 0.26  # sd of ln(width)
PEN_LIMITS = (1.1, 6.0)
PRESSURE = 0.20  # sd of the fraction by which the width swells and shrinks along the path
NIB = 0.15  # sd of the fraction by which the width depends on the direction of the stroke
GRAIN = 0.10  # sd of the roughness of the edges
DAB = 0.7  # sd of a dab's Gaussian
SPACING = 0.75  # about the distance of two dabs: at 1.07 sd a row of Gaussians is even to 1e-7
LINE = math.sqrt(2 * math.pi) * DAB  # ink in the middle of a line that takes 1 of ink a pixel
CAP = 0.75 * LINE  # ink of the extra dab at a stroke's end, which makes the end round

# Catmull & Rom (1974): a segment runs from the second to the third of four points p, and its
# point at t, 0 <= t <= 1, is [1, t, t^2, t^3] @ CATMULL_ROM @ p.
CATMULL_ROM = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])


class Style(NamedTuple):
    """A style made ready for drawing: K control points, P dabs of ink, E stroke ends.

    points: float32 [K, 2], control points (x, y), the longer side from -1 to 1.
    twins: int [K], equal for control points at one place, which move together.
    ends: int [E, 2], the index of a stroke's end point and of its neighbour.
    place: float32 [P, K], place @ points are the dabs.
    step: float32 [P, K], step @ points are the stretches of path that the dabs stand for.
    cap: float32 [P], the additional ink of a dab.
    pen: the pen's width beside the mean pen.
    weight: how often it is written beside the other styles of its digit.
    """

    points: np.ndarray
    twins: np.ndarray
    ends: np.ndarray
    place: np.ndarray
    step: np.ndarray
    cap: np.ndarray
    pen: float
    weight: float


def generate(
    count: int, seed: int = 0, part: str = "train"
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draws digits: balanced classes (counts differ by at most one) in random order.

    count: number of images, a whole number of 1 or more.
    seed: whole number of 0 or more; one seed always gives the same digits.
    part: "train" or "test", which come from different streams of random numbers.
    Returns (images, labels): `uint8` [count, 28, 28], 0 for background and 255 for full ink, and
    `uint8` [count].
    Raises `ValueError` where an argument is not as above.
    """
    for name, value, minimum in (("count", count, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
            raise ValueError(
                f"{name} is {value!r}, but must be a whole number of {minimum} or more."
            )
    if part not in list(PARTS):
        raise ValueError(f"part is {part!r}, but must be 'train' or 'test'.")
    rng = _stream(part, 0, seed)
    labels = rng.permutation(np.arange(count) % 10).astype(np.uint8)
    blocks = _blocks(labels, rng)
    images = np.empty((count, SIDE, SIDE), np.uint8)

    def draw(number: int) -> None:
        style, positions = blocks[number]
        images[positions] = _draw(style, len(positions), _stream(part, number + 1, seed))

    # NumPy releases the interpreter lock in its loops, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, range(len(blocks))))
    return images, labels


def _stream(part: str, block: int, seed: int) -> np.random.Generator:
    """Returns the random generator of a block (block 0 deals the labels and styles).

    The seed stands last because NumPy splits a number above 2^32 in two: in front, it could be
    taken for a smaller seed with another part.
    """
    return np.random.default_rng([PARTS[part], block, seed])


def _blocks(
    labels: npt.NDArray[np.uint8], rng: np.random.Generator
) -> list[tuple[Style, np.ndarray]]:
    """Chooses a style for every label; returns a list of (Style, positions), one a block."""
    blocks = []
    for digit, styles in _bank().items():
        positions = np.flatnonzero(labels == digit)
        weights = np.array([style.weight for style in styles])
        choice = rng.choice(len(styles), len(positions), p=weights / weights.sum())
        for index, style in enumerate(styles):
            chosen = positions[choice == index]
            blocks += [(style, chosen[i : i + BLOCK]) for i in range(0, len(chosen), BLOCK)]
    return blocks


@cache
def _bank() -> dict[int, list[Style]]:
    """Returns the styles of each digit, read from STROKES."""
    bank: dict[int, list[Style]] = {}
    for line in STROKES.read_text(encoding="utf-8").splitlines():
        if line.startswith("digit"):
            digit, width, pen = map(float, line.split()[1:])
            styles = bank[int(digit)] = []
        elif line and not line.startswith("#"):
            weight, path = line.split(maxsplit=1)
            styles.append(_read_style(path, width, pen, float(weight)))
    return bank


def _read_style(path: str, width: float, pen: float, weight: float) -> Style:
    """Returns the Style of a path of STROKES, its width multiplied by `width`."""
    numbers: list[list[float]] = []  # of each control point
    strokes = []
    for text in path.split(" / "):
        pieces: list[list[int]] = [[]]  # a corner ends one smooth piece and begins the next
        for word in text.split():
            pieces[-1].append(len(numbers))
            if word.endswith("*"):
                pieces.append([len(numbers)])
            numbers.append([float(number) for number in word.rstrip("*").split(",")])
        strokes.append(pieces)
    points = np.array(numbers)
    points -= (points.min(0) + points.max(0)) / 2
    points *= np.array([width, 1]) * 2 / np.ptp(points, axis=0).max()

    dabs, ends = [], []
    for pieces in strokes:
        first, last = pieces[0], pieces[-1]
        corners = np.eye(len(points))[[[first[0]], [last[-1]]]]
        start, end = ((corner, np.zeros_like(corner), [CAP]) for corner in corners)
        dabs += [start, *(part for piece in pieces for part in _curve(points, piece)), end]
        ends += [first[:2], last[:-3:-1]]
    twins = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    place, step, cap = (np.float32(np.concatenate(rows)) for rows in zip(*dabs, strict=True))
    return Style(np.float32(points), twins, np.array(ends), place, step, cap, pen, weight)


def _curve(
    points: np.ndarray, piece: list[int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the rows of Style.place, step and cap of the dabs between two points of a piece.

    piece: a list of indices, of one smooth piece.
    """
    through = np.eye(len(points))[piece]
    # The spline needs a point before the first and after the last: the neighbours' mirror images.
    before, after = 2 * through[0] - through[1], 2 * through[-1] - through[-2]
    through = np.stack([before, *through, after])
    pixels = np.linalg.norm(np.diff(points[piece], axis=0), axis=1) * BOX / 2
    for i, length in enumerate(pixels):
        dabs = max(2, round(length / SPACING))
        t = (np.arange(dabs) + 0.5) / dabs
        spline = CATMULL_ROM @ through[i : i + 4]
        place = np.stack([t**0, t, t**2, t**3], 1) @ spline
        step = np.stack([0 * t, t**0, 2 * t, 3 * t**2], 1) / dabs @ spline
        yield place, step, np.zeros(dabs)


def _draw(style: Style, count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draws `count` images of a style: uint8 [count, 28, 28]."""
    points = _lean(_bend(style, count, rng), rng)
    width = PEN_WIDTH * style.pen * np.exp(PEN_SPREAD * _normal(rng, count, 1))
    width = width.clip(*PEN_LIMITS)
    dabs, scale = _fit(style.place @ points, width)
    ink = _ink(style, style.step @ points * scale, width, rng)
    return _centre(_expose(dabs, ink, width, rng))


def _normal(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)


def _bend(style: Style, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the style's points, displaced by hand: float32 [count, K, 2]."""
    haste = HASTE[0] + (HASTE[1] - HASTE[0]) * rng.random((count, 1, 1), dtype=np.float32)
    tremble = TREMBLE * _normal(rng, count, len(style.points), 2)
    points = style.points + haste * tremble[:, style.twins]

    end, neighbour = style.ends.T
    overshoot = OVERSHOOT * _normal(rng, count, len(end), 1)
    points[:, end] += overshoot * (points[:, end] - points[:, neighbour])

    waves = WAVE_NUMBER * _normal(rng, count, 2, WAVES)
    phase = 2 * np.pi * rng.random((count, 1, WAVES), dtype=np.float32)
    return points + np.sin(points @ waves + phase) @ (haste * BEND * _normal(rng, count, WAVES, 2))


def _lean(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tapers, stretches, slants and turns points, each image its own way: float32 [count, K, 2]."""
    count = len(points)
    x, y = points[..., 0], points[..., 1]
    taper = TAPER * _normal(rng, 2, count, 1)
    x, y = x * (1 + taper[0] * y), y * (1 + taper[1] * x)
    slant = SLANT[0] + SLANT[1] * _normal(rng, count, 1)
    x = x * np.exp(STRETCH * _normal(rng, count, 1)) - slant * y
    turn = TURN * _normal(rng, count, 1)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([cos * x - sin * y, sin * x + cos * y], -1)


def _fit(dabs: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the dabs [count, P, 2] in pixels of the box, and the scale [count, 1, 1] used."""
    low, high = dabs.min(1, keepdims=True), dabs.max(1, keepdims=True)
    # Half the pen's width lies outside the path on either side.
    scale = (BOX - width[..., None]) / (high - low).max(2, keepdims=True)
    return (dabs - (low + high) / 2) * scale + (BOX - 1) / 2, scale


def _ink(
    style: Style, steps: np.ndarray, width: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns the ink of every dab: float32 [count, P]. steps: [count, P, 2], in pixels."""
    count, dabs, _ = steps.shape
    length = np.sqrt((steps**2).sum(2))
    along = np.linspace(0, 1, dabs, dtype=np.float32)
    swings, start = rng.random((2, count, 1), dtype=np.float32)
    swell = PRESSURE * _normal(rng, count, 1) * np.sin(2 * np.pi * (start + 2 * swings * along))
    # A broad nib's line is thick in one direction and thin across it: a function of the double
    # angle, whose cosine and sine are those of the squared step (as a complex number).
    x, y = steps[..., 0], steps[..., 1]
    nib = NIB * _normal(rng, 2, count, 1)
    swell += (nib[0] * (x**2 - y**2) + nib[1] * 2 * x * y) / (length**2 + 1e-6)
    # The line's edge is where the ink is LINE * exp(-half^2 / 2 DAB^2): so much more ink moves it
    # from half the width to (1 + swell) times that.
    growth = (1 + swell.clip(-0.6, 0.8)) ** 2 - 1
    return (length + style.cap) * np.exp((width / 2) ** 2 * growth / (2 * DAB**2))


def _expose(
    dabs: np.ndarray, ink: np.ndarray, width: np.ndarray, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Returns the pixels of the box, uint8 [count, 20, 20]."""
    pixels = np.arange(BOX, dtype=np.float32)[:, None]
    away = (dabs.swapaxes(1, 2)[:, :, None] - pixels) ** 2 / (2 * DAB**2)  # [count, 2, 20, P]
    column, row = np.exp(-away).swapaxes(0, 1)
    density = (row * ink[:, None]) @ column.swapaxes(1, 2)
    # 1e-30 keeps the logarithm of bare paper finite; the maximum, the root of a blot real.
    distance = DAB * np.sqrt(np.maximum(-2 * np.log(density / LINE + 1e-30), 0))
    # An edge that runs through a pixel's middle covers half of it.
    cover = width[..., None] / 2 - distance + 0.5 + GRAIN * _normal(rng, *distance.shape)
    return np.uint8(255 * cover.clip(0, 1) + 0.5)


def _centre(boxes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Puts boxes [count, 20, 20] into black images, the centre of mass of their ink in the middle.

    Returns uint8 [count, 28, 28].
    """
    mass = boxes.sum((1, 2), dtype=int)
    centres = np.stack([boxes.sum(axis, dtype=int) @ np.arange(BOX) / mass for axis in (2, 1)], 1)
    corners = np.rint(SIDE / 2 - centres).clip(0, SIDE - BOX).astype(int)
    images = np.zeros((len(boxes), SIDE, SIDE), np.uint8)
    for image, box, (top, left) in zip(images, boxes, corners, strict=True):
        image[top : top + BOX, left : left + BOX] = box
    return images
