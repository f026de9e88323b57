"""Handwritten digits drawn by a program, in the format of the MNIST data set.

An image is 28 x 28 pixels of uint8, white ink (255) on black paper (0), and comes into being in
five steps:

1. *Style.* `STYLES` holds, for every digit, the ways people write it: a crossed or a plain seven,
   an open or a closed four. A style is a pen path through control points; a Catmull-Rom spline
   (Catmull & Rom 1974) makes a smooth curve of them. The curve is linear in its control points,
   so one matrix a style turns control points into points of the curve.
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
5. *Pixels.* A pixel is as bright as the part of it that the line covers. The box is then put into
   the 28 x 28 image so that the centre of mass of the ink lies in the middle, as in MNIST.

Everything is drawn in blocks of images of one style. A block has its own stream of random numbers,
so the result depends on the seed alone and not on the number of threads that draw the blocks.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from numbers import Integral
from typing import NamedTuple

import numpy as np

TRAIN_COUNT = 60_000
TEST_COUNT = 10_000

# The first number of every random stream: no stream is shared by the two parts.
PARTS = {"train": 1, "test": 2}

SIDE = 28  # pixels of an image's side
BOX = 20  # pixels of the side of the box that the ink fills
BLOCK = 256  # images drawn at once: 70,000 took 0.82 s, with 64 1.05 s, with 1,024 0.73 s

# A style is (weight, path): how often it is written beside the other styles of the digit, and the
# points "x,y" that the pen passes, in a square of 100 x 100 with x to the right and y downwards.
# "*" after a point makes it a corner, " / " lifts the pen for the next stroke. To add a style,
# add a line.
STYLES = {
    0: [
        # round and egg-shaped, started at the top
        (4, "55,0 24,12 5,50 16,86 48,100 82,86 96,50 78,12 50,2"),
        (3, "75,8 45,2 12,25 5,62 30,98 68,92 95,58 88,20 60,2"),
        (3, "70,3 40,12 12,48 10,85 35,98 65,82 90,45 88,12 66,2"),
        # narrow, pointed, wide
        (4, "54,0 37,14 23,50 32,86 50,100 68,86 78,50 64,14 48,2"),
        (1, "45,0 22,35 5,78 25,98 70,98 92,80 75,35 48,3"),
        (1, "60,20 20,25 2,50 25,78 60,80 95,60 90,30 55,18"),
        # open at the top
        (1, "40,5 12,30 5,70 35,98 70,95 95,60 88,22 62,6"),
        # clockwise
        (2, "30,10 65,0 95,30 92,70 60,100 20,90 3,55 15,20 50,6"),
        # the end runs past the beginning, or curls inwards
        (2, "60,22 42,6 12,30 5,70 35,98 75,92 97,55 80,15 45,6 32,20"),
        (1, "80,5 50,0 15,25 5,65 30,98 70,92 92,55 78,14 50,8 44,22"),
        (1, "40,12 50,0 18,20 8,65 30,98 62,90 88,50 80,10 52,0 44,16 50,30"),
        (1, "70,0 30,12 8,55 30,98 70,92 92,50 70,12 36,8 18,32"),
        (1, "45,4 14,30 10,72 38,98 74,88 88,50 76,15 55,4 62,22"),
        # slashed
        (0.3, "55,0 20,12 2,50 18,88 50,100 82,88 98,50 82,12 50,2 / 85,8 15,92"),
    ],
    1: [
        # a bar: upright, slanted, bowed
        (7, "50,0 50,50 50,100"),
        (5, "64,0 50,50 36,100"),
        (2, "76,0 50,50 24,100"),
        (2, "42,0 50,50 58,100"),
        (1, "47,0 53,50 47,100"),
        (1, "53,0 47,50 53,100"),
        # bent at the top or at the bottom
        (1, "44,0 50,12 50,60 50,100"),
        (1, "50,0 48,80 58,100"),
        # with a flag
        (0.8, "30,22 54,0* 52,50 50,100"),
        (0.8, "42,14 54,0* 51,50 48,100"),
        (0.3, "36,18 46,3 54,14 51,60 50,100"),
        # with a flag and a foot
        (0.8, "28,20 52,0* 50,50 50,100 / 20,100 80,100"),
        (0.6, "36,10 52,0* 50,50 48,100 / 28,100 72,99"),
    ],
    2: [
        # flat base
        (4, "10,25 30,3 62,2 80,22 70,50 38,80 10,98* 50,96 95,98"),
        (2, "22,18 40,2 62,5 70,25 58,55 35,85 20,100* 50,98 80,96"),
        (2, "8,30 25,5 58,0 82,15 80,42 52,65 25,85 8,98* 50,95 95,98"),
        (1, "28,32 15,15 38,2 68,5 78,28 62,55 35,82 10,98* 55,95 95,98"),
        (1, "10,20 45,0 78,15 72,45 40,78 15,98* 40,95 62,97"),
        (1, "25,18 40,2 56,12 50,45 34,78 12,98* 50,92 95,88"),
        # like a Z
        (2, "5,8 50,5 90,6* 50,50 5,96* 50,96 98,94"),
        # low and wide
        (2, "5,35 35,12 65,18 70,40 42,70 5,90* 50,82 100,88"),
        (1, "0,30 35,8 68,14 58,45 15,82* 55,72 100,78"),
        # like a swan: the base is a wave or falls off
        (3, "12,22 35,3 66,3 80,25 65,55 33,85 8,98* 40,90 70,97 100,92"),
        (1, "15,15 45,2 66,18 56,50 30,80 5,88* 45,84 80,92 100,100"),
        # with a loop at the base
        (5, "12,20 36,2 66,6 74,28 58,60 32,90 12,97 2,86 18,73 48,80 72,94 98,88"),
        (5, "10,25 28,5 60,5 70,28 55,62 28,94 8,92 6,74 28,66 55,78 78,90 100,78"),
        (3, "10,20 40,0 74,15 70,40 45,70 15,95 3,85 20,70 55,80 100,92"),
        (2, "12,28 36,4 66,8 72,34 48,68 20,94 4,84 22,68 52,80 74,100"),
        (1, "20,25 45,2 75,15 65,45 40,75 20,95 5,85 18,70 45,80 70,98"),
        (1, "18,20 42,0 68,14 62,45 36,84 14,98 4,84 22,74 45,80 62,95 80,92"),
        (1, "10,25 30,3 66,5 80,30 66,60 40,85 15,97 5,88 15,75 40,75 70,88 92,100"),
        (1, "8,30 20,8 55,0 82,14 80,45 55,75 25,95 10,85 30,72 60,82 80,98"),
        (1, "5,12 35,5 58,22 50,60 28,90 10,95 8,80 35,74 65,78 100,80"),
    ],
    3: [
        # round, with a corner in the middle
        (4, "10,15 35,2 70,5 78,22 62,38 32,44* 66,49 86,68 72,93 40,100 5,88"),
        (2, "30,12 50,2 68,12 62,36 38,44* 64,52 70,76 54,98 28,92"),
        (2, "10,10 40,0 70,8 70,28 46,42 20,46* 55,47 82,62 78,88 45,100 5,90"),
        (2, "22,28 12,12 40,2 72,8 75,30 36,44* 76,50 88,75 60,98 10,94"),
        (1, "25,8 60,0 90,12 70,36 38,43* 70,53 70,78 45,95 0,100"),
        (1, "15,20 45,2 75,18 55,42 28,46* 58,58 60,82 40,96 15,100"),
        (3, "14,8 48,2 68,10 60,28 32,42* 70,50 92,72 70,96 30,98 0,86"),
        # round, with a smooth middle
        (3, "12,12 45,0 76,12 70,33 36,44 76,54 84,76 62,97 30,100 5,88"),
        (1, "8,20 30,3 65,5 72,25 28,44 72,48 92,70 75,95 40,100 0,90"),
        # with a loop in the middle
        (2, "15,12 50,0 78,15 62,38 34,48 26,42 40,41 72,52 82,76 58,98 20,98 2,85"),
        # flat-topped, angular
        (2, "10,3 50,3 86,3* 42,40* 72,46 88,70 72,95 35,100 5,88"),
        (2, "10,8 50,2 80,10 42,40* 76,53 80,75 52,95 10,98"),
    ],
    4: [
        # open, two strokes
        (4, "20,5 12,45 18,56 50,55 85,48 / 78,2 70,50 65,100"),
        (4, "15,5 12,52* 50,53 90,52 / 75,3 75,50 74,100"),
        (3, "15,5 10,40 35,55 70,45 86,5 / 86,5 72,60 60,100"),
        (3, "30,0 8,52* 40,50 85,42 / 95,0 70,50 50,100"),
        (1, "40,5 10,50* 45,54 85,50 / 70,8 62,55 56,100"),
        # open, one stroke
        (3, "20,5 15,48* 50,52 75,42 80,3* 74,50 68,100"),
        # closed
        (2, "65,0 35,35 5,65* 50,66 95,64 / 65,0 64,50 62,100"),
        (1, "64,100 65,50 66,0* 35,35 5,65* 50,65 95,64"),
        (1, "60,2 32,22 14,50* 48,54 78,46 / 62,2 74,8 70,50 64,100"),
        (0.2, "75,6 30,2* 12,40 40,54 75,40 / 76,2 72,50 68,100"),
        # with a short stem that begins below the top, also with a loop at the left (continental)
        (1, "50,0 28,32 10,60* 50,61 95,58 / 65,35 60,70 55,100"),
        (1, "60,0 30,38 8,68 18,72 50,62 95,55 / 72,25 66,60 60,100"),
    ],
    5: [
        # the hat is a stroke of its own
        (4, "20,5 15,45* 45,41 78,54 82,78 55,100 12,92 / 20,5 55,5 90,2"),
        (2, "24,10 18,46* 50,42 76,57 76,80 48,100 10,92 / 32,4 65,3 96,0"),
        (1, "30,0 22,42* 48,40 72,55 70,82 45,100 15,95 / 30,2 60,4 90,0"),
        # one stroke
        (3, "90,3 55,4 25,5* 18,47* 50,42 78,57 78,82 50,100 10,92"),
        (2, "95,0 65,2 40,10* 30,42* 60,46 68,72 35,98 0,90"),
        (1, "100,12 72,14 50,20* 38,48* 58,54 62,78 30,95 0,88"),
        (1, "80,2 30,4* 25,42* 60,47 75,70 55,92 20,100"),
        (1, "98,2 60,6 22,12* 15,48* 50,40 82,50 70,80 45,100"),
        (1, "100,0 65,6 28,16* 20,48* 52,42 86,52 66,80 10,98"),
        # like an S, wholly or at the top
        (3, "88,5 50,3 22,18 35,44 70,60 76,80 50,100 12,95"),
        (1, "92,3 60,0 35,12 25,42* 60,46 76,70 50,98 5,92"),
        # curled up at the bottom
        (1, "85,0 25,5* 20,48* 50,42 80,60 70,90 35,100 12,85 25,75"),
        (1, "72,4 40,5 28,20 22,46* 55,42 85,62 75,90 45,100 10,85 5,70"),
    ],
    6: [
        # tall
        (4, "60,0 25,40 10,78 35,100 75,92 82,70 52,57 20,80"),
        (2, "65,0 30,35 15,75 30,98 60,92 64,70 42,64 18,84"),
        (2, "78,0 40,25 15,65 30,98 70,95 80,72 55,60 28,78 26,92"),
        # curled at the top
        (3, "80,8 50,5 15,40 10,80 40,100 80,90 84,65 50,54 16,76"),
        # straight-backed, like a b
        (2, "20,0 12,50 15,90 50,100 85,82 70,58 38,64 16,88"),
        (1, "30,0 10,45 8,85 40,100 80,82 60,58 20,80"),
        # flat
        (2, "45,0 10,50 20,90 60,100 98,85 90,62 55,62 26,88"),
        # the loop ends before it meets the back
        (3, "55,0 22,38 8,78 32,100 72,94 85,70 66,56 44,70 46,92"),
        (2, "40,0 12,42 8,80 35,100 75,90 84,62 68,50 50,62 45,80"),
        (1, "14,0 5,50 20,92 58,98 85,76 70,56 42,66 30,84"),
        (1, "70,2 30,25 8,65 22,96 62,98 90,76 74,58 46,64 32,76"),
    ],
    7: [
        # plain
        (4, "16,6 48,6 88,5* 66,50 45,100"),
        (2, "16,5 45,5 80,5* 78,50 74,100"),
        (2, "10,15 50,10 92,5* 54,50 25,95"),
        # round
        (3, "16,15 42,5 78,8 80,25 66,60 50,100"),
        # hooked at the left
        (2, "16,22 18,6* 48,6 84,5* 64,50 45,100"),
        (2, "18,38 24,10 50,5 78,8* 68,50 56,100"),
        # with a wave at the top
        (1, "12,20 32,3 55,12 88,3* 66,50 52,100"),
        (1, "15,30 28,8 60,22 82,5* 68,50 50,100"),
        # crossed
        (2, "14,6 48,6 88,5* 66,50 45,100 / 28,54 85,50"),
        (1, "14,18 18,6* 86,5* 64,50 40,100 / 25,54 60,52 85,50"),
        (1, "14,8 48,5 86,6* 62,50 42,100 / 30,60 58,56 84,60"),
        # with a foot
        (0.4, "14,12 20,6* 48,6 84,5* 64,50 50,98 / 28,98 50,97 74,96"),
    ],
    8: [
        # one stroke from the upper right, closed there
        (4, "80,10 45,0 20,20 42,46 66,66 70,88 45,100 22,87 38,62 66,40 85,12"),
        (2, "90,5 45,2 20,22 45,48 70,68 66,92 35,98 28,76 55,50 92,12"),
        (1, "75,15 45,2 25,22 48,46 64,66 60,92 42,100 28,85 45,58 75,35 72,10"),
        (1, "88,14 60,2 25,12 30,34 60,52 72,78 46,100 24,82 44,56 84,20"),
        # narrow
        (1, "60,5 35,2 30,24 45,48 62,70 60,92 45,100 32,86 42,62 60,37 64,12 52,2"),
        # from the upper right downwards
        (2, "85,5 65,38 32,66 20,88 40,100 62,86 54,60 30,36 20,15 45,2 62,12"),
        # from the middle
        (2, "50,50 18,32 25,6 60,0 82,16 70,40 32,58 16,80 40,100 76,92 80,70 50,50"),
        # open at the top
        (1, "95,0 50,5 20,27 45,50 58,70 48,95 20,95 18,77 45,57 80,25"),
        (1, "85,8 50,0 20,18 45,46 70,68 54,98 22,84 40,62 72,36"),
        (2, "88,6 50,4 22,20 44,44 70,66 56,96 25,90 30,68 58,46 70,30"),
        # two rings
        (2, "50,0 24,14 24,36 50,50 76,36 76,14 50,0 / 50,50 20,66 20,88 50,100 80,88 80,66 50,50"),
    ],
    9: [
        # straight stem
        (4, "80,12 50,0 16,18 8,42 36,54 72,34 82,6 74,58 66,100"),
        (2, "76,20 55,0 22,14 12,40 36,52 66,38 78,12 72,60 66,100"),
        (2, "70,14 42,0 20,18 20,44 42,54 66,34 72,8 70,60 66,100"),
        (1, "75,15 45,0 17,20 22,50 58,46 78,20 74,60 50,100"),
        # leaning, with a pointed loop
        (3, "88,12 50,3 16,32 30,54 68,30 86,8 62,55 35,100"),
        (2, "65,3 26,12 10,38 28,54 65,40 82,4 74,55 60,100"),
        (2, "85,5 40,3 14,26 22,50 62,42 83,5* 78,50 72,100"),
        # small loop
        (3, "74,10 56,0 26,10 18,34 36,46 62,32 76,12 70,56 58,100"),
        # loop open at the top
        (2, "72,8 46,2 18,20 14,42 38,54 64,44 76,24* 72,60 64,100"),
        (1, "66,8 36,4 12,30 24,52 58,46 74,32 70,60 60,100"),
        (1, "62,4 30,6 14,30 30,50 62,40 78,16* 70,55 60,100"),
        # curved tail, to the left or to the right
        (2, "84,14 50,0 14,18 15,42 48,54 80,26 84,8 80,60 60,95 20,95"),
        (1, "78,10 48,0 10,24 16,52 50,54 76,30 80,10 70,70 45,98 15,85"),
        (1, "80,14 50,2 16,20 12,44 40,54 74,32 80,10 74,60 74,85 88,100"),
    ],
}

# For every digit: how wide it is beside the square its styles are drawn in, and how thick the pen
# is beside the mean pen. They give the digits the mean proportions and the mean brightness of
# MNIST's.
PROPORTIONS = {
    0: (0.93, 1.12),
    1: (1.00, 1.10),
    2: (0.97, 1.02),
    3: (0.88, 1.00),
    4: (0.90, 0.95),
    5: (0.95, 0.96),
    6: (0.84, 0.95),
    7: (0.85, 1.07),
    8: (0.90, 0.94),
    9: (0.76, 0.90),
}

# The variation of the hand. A digit spans about 2 units; "sd" is a standard deviation.
HASTE = (0.1, 1.5)  # range of a factor on TREMBLE and BEND: careful and hasty writers
TREMBLE = 0.05  # sd of a control point's displacement
BEND = 0.085  # sd of the displacement by one wave of the elastic field
WAVES = 4  # waves of the elastic field
WAVE_NUMBER = 2.0  # sd of a wave's number of radians a unit, in x and in y
OVERSHOOT = 0.25  # sd of the lengthening of a stroke's last stretch, as part of its length
TAPER = 0.12  # sd of the growth of the width with y, and of the height with x
STRETCH = 0.17  # sd of ln(width / height)
SLANT = (0.12, 0.22)  # mean and sd of the shift to the right for a unit upwards
TURN = 0.10  # sd of the rotation, radians

# The pen and its ink, in pixels.
PEN_WIDTH = 2.35  # median
PEN_SPREAD = 0.26  # sd of ln(width)
PEN_LIMITS = (1.1, 6.0)
PRESSURE = 0.20  # sd of the part by which the width swells and shrinks along the path
NIB = 0.15  # sd of the part by which the width depends on the direction of the stroke
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
    """

    points: np.ndarray
    twins: np.ndarray
    ends: np.ndarray
    place: np.ndarray
    step: np.ndarray
    cap: np.ndarray
    pen: float


def generate(count, seed=0, part="train"):
    """Draws digits: balanced classes (counts differ by at most one) in random order.

    count: number of images, a whole number of 1 or more.
    seed: whole number of 0 or more; one seed always gives the same digits.
    part: "train" or "test", which come from different streams of random numbers.
    Returns (images, labels): `uint8` [count, 28, 28], 0 for paper and 255 for ink, and `uint8`
    [count].
    Raises `ValueError` where an argument is not as above.
    """
    _check_whole("count", count, 1)
    _check_whole("seed", seed, 0)
    if part not in list(PARTS):
        raise ValueError(f"part is {part!r}, but must be 'train' or 'test'.")
    rng = _stream(part, 0, seed)
    labels = rng.permutation(np.arange(count) % 10).astype(np.uint8)
    blocks = _blocks(labels, rng)
    images = np.empty((count, SIDE, SIDE), np.uint8)

    def draw(number):
        style, where = blocks[number]
        images[where] = _draw(style, len(where), _stream(part, number + 1, seed))

    # NumPy releases the interpreter lock in its loops, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, range(len(blocks))))
    return images, labels


def load(seed=0):
    """Draws a data set of MNIST's size.

    seed: whole number of 0 or more.
    Returns ((train_images, train_labels), (test_images, test_labels)): `uint8`
    [60000, 28, 28], [60000], [10000, 28, 28] and [10000].
    Raises `ValueError` where the seed is not a whole number of 0 or more.
    """
    return generate(TRAIN_COUNT, seed, "train"), generate(TEST_COUNT, seed, "test")


def _check_whole(name, value, least):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}, but must be a whole number of {least} or more.")


def _stream(part, block, seed):
    """Returns the random generator of a block (block 0 deals the labels and styles).

    The seed stands last because NumPy splits a number above 2^32 in two: in front, it could be
    taken for a smaller seed with another part.
    """
    return np.random.default_rng([PARTS[part], block, seed])


def _blocks(labels, rng):
    """Chooses a style for every label; returns a list of (Style, positions), one a block."""
    blocks = []
    for digit, styles in _bank().items():
        positions = np.flatnonzero(labels == digit)
        weights = np.array([weight for weight, _ in STYLES[digit]])
        choice = rng.choice(len(styles), len(positions), p=weights / weights.sum())
        for index, style in enumerate(styles):
            chosen = positions[choice == index]
            blocks += [(style, chosen[i : i + BLOCK]) for i in range(0, len(chosen), BLOCK)]
    return blocks


@cache
def _bank():
    """Returns {digit: list of Style}, read from STYLES."""
    return {
        digit: [_read_style(path, *PROPORTIONS[digit]) for _, path in styles]
        for digit, styles in STYLES.items()
    }


def _read_style(path, width, pen):
    """Returns the Style of a path of STYLES, its width multiplied by `width`."""
    points, strokes = [], []
    for text in path.split(" / "):
        pieces = [[]]  # a corner ends one smooth piece and begins the next
        for word in text.split():
            pieces[-1].append(len(points))
            if word.endswith("*"):
                pieces.append([len(points)])
            points.append([float(number) for number in word.rstrip("*").split(",")])
        strokes.append(pieces)
    points = np.array(points)
    points -= (points.min(0) + points.max(0)) / 2
    points *= np.array([width, 1]) * 2 / np.ptp(points, axis=0).max()

    ends, place, step, cap = [], [], [], []
    for pieces in strokes:
        first, last = pieces[0], pieces[-1]
        curves = [_curve(points, piece) for piece in pieces]
        corners = np.eye(len(points))[[first[0], last[-1]]]
        still = np.zeros((1, len(points)))
        place += [corners[:1], *(position for position, _ in curves), corners[1:]]
        step += [still, *(stretch for _, stretch in curves), still]
        cap += [CAP, *[0] * sum(len(position) for position, _ in curves), CAP]
        ends += [first[:2], last[:-3:-1]]
    twins = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    floats = (np.float32(np.concatenate(rows)) for rows in (place, step))
    return Style(np.float32(points), twins, np.array(ends), *floats, np.float32(cap), pen)


def _curve(points, piece):
    """Returns the rows of Style.place and Style.step for one smooth piece (a list of indices)."""
    through = np.eye(len(points))[piece]
    # The spline needs a point before the first and after the last: the neighbours' mirror images.
    before, after = 2 * through[0] - through[1], 2 * through[-1] - through[-2]
    through = np.stack([before, *through, after])
    pixels = np.linalg.norm(np.diff(points[piece], axis=0), axis=1) * BOX / 2
    place, step = [], []
    for i, length in enumerate(pixels):
        dabs = max(2, round(length / SPACING))
        t = (np.arange(dabs) + 0.5) / dabs
        spline = CATMULL_ROM @ through[i : i + 4]
        place.append(np.stack([t**0, t, t**2, t**3], 1) @ spline)
        step.append(np.stack([0 * t, t**0, 2 * t, 3 * t**2], 1) / dabs @ spline)
    return np.concatenate(place), np.concatenate(step)


def _draw(style, count, rng):
    """Draws `count` images of a style: uint8 [count, 28, 28]."""
    points = _lean(_bend(style, count, rng), rng)
    width = PEN_WIDTH * style.pen * np.exp(PEN_SPREAD * _normal(rng, count, 1))
    width = width.clip(*PEN_LIMITS)
    dabs, scale = _fit(style.place @ points, width)
    ink = _ink(style, style.step @ points * scale, width, rng)
    return _centre(_expose(dabs, ink, width, rng))


def _normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def _bend(style, count, rng):
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


def _lean(points, rng):
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


def _fit(dabs, width):
    """Returns the dabs [count, P, 2] in pixels of the box, and the scale [count, 1, 1] used."""
    low, high = dabs.min(1, keepdims=True), dabs.max(1, keepdims=True)
    # Half the pen's width lies outside the path on either side.
    scale = (BOX - width[..., None]) / (high - low).max(2, keepdims=True)
    return (dabs - (low + high) / 2) * scale + (BOX - 1) / 2, scale


def _ink(style, steps, width, rng):
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


def _expose(dabs, ink, width, rng):
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


def _centre(boxes):
    """Puts boxes into black images, the centre of mass in the middle: uint8 [count, 28, 28]."""
    pixels = np.arange(BOX)
    images = np.zeros((len(boxes), SIDE, SIDE), np.uint8)
    rows, columns = boxes.sum(2, dtype=int), boxes.sum(1, dtype=int)
    mass = rows.sum(1)
    centres = zip(rows @ pixels / mass, columns @ pixels / mass, strict=True)
    for image, box, centre in zip(images, boxes, centres, strict=True):
        top, left = (min(max(round(SIDE / 2 - at), 0), SIDE - BOX) for at in centre)
        image[top : top + BOX, left : left + BOX] = box
    return images
