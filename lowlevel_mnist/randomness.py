"""Where all randomness comes from: NumPy generators keyed by (seed, purpose, epoch).

A key always gives the same numbers, whatever was drawn before. So a training step depends on
nothing but its inputs, and one seed means one run.
"""

import numpy as np

WEIGHTS = 1
BATCH_ORDER = 2
SHOWN_IMAGES = 3


def generator(seed, purpose, epoch=0):
    """Returns the `np.random.Generator` of a key.

    seed: whole number of 0 or more, chosen by the user.
    purpose: one of this module's constants, so that no two uses share their numbers.
    epoch: whole number of 0 or more, for what is drawn anew each epoch.
    """
    return np.random.default_rng([seed, purpose, epoch])
