"""The built-in handwriting as movements of a pen."""

import numpy as np

from lowlevel_mnist.sources import digits


def written(digit, number, seed, size=0.6, step=8):
    """Returns a digit as strokes: each a list of points [x, y], in the middle of 0..1.

    number: of the style, among the digit's own, counted round.
    seed: of the hand; size: of the digit's longer side; step: every so many points are kept.
    """
    generator = np.random.default_rng([seed, digit, number])
    styles = digits._bank()[digit]
    style = styles[number % len(styles)]
    points = digits._lean(digits._bend(style, 1, generator), generator)
    path = (style.place @ points)[0]
    low, high = path.min(0), path.max(0)
    path = 0.5 + size * (path - (low + high) / 2) / (high - low).max()
    ends = np.flatnonzero(style.cap).reshape(-1, 2)  # where the pen is put down, where it is lifted
    return [[*path[first:last:step].tolist(), path[last].tolist()] for first, last in ends]
