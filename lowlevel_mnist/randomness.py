"""Where all randomness of a run comes from: NumPy generators keyed by (seed, purpose, epoch).

A key always gives the same numbers, whatever was drawn before. So a training step depends on
nothing but its inputs, and one seed means one run.
"""

import numpy as np

WEIGHTS = 1
BATCH_ORDER = 2
SHOWN_IMAGES = 3
VALIDATION_SPLIT = 4
DROPOUT = 5
TEST_SPLIT = 6


def generator(seed: int, purpose: int, *which: int) -> np.random.Generator:
    """Returns the `np.random.Generator` of a key.

    seed: whole number of 0 or more, chosen by the user.
    purpose: one of this module's constants, so that no two uses share their numbers.
    which: whole numbers of 0 or more, such as the epoch, for what is drawn more than once.
    """
    return np.random.default_rng([seed, purpose, *which])
