"""Learning rates that change from step to step, for `training.Trainer(schedule=...)`.

A schedule is a function of the step: it maps an `int64` tensor [...] of the numbers of steps, which
count from 0, to a `float64` tensor [...] of their learning rates. Any such function is one.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

Schedule = Callable[[tf.Tensor], tf.Tensor]


def constant(rate: float) -> Schedule:
    """Returns the schedule of one rate for all steps."""
    return lambda step: tf.ones_like(step, tf.float64) * rate


def exponential(rate: float, decay_steps: int, decay_rate: float) -> Schedule:
    """Returns a schedule that multiplies the rate by `decay_rate` in each `decay_steps` steps.

    rate * decay_rate^(step / decay_steps)
    """
    return lambda step: rate * decay_rate ** (tf.cast(step, tf.float64) / decay_steps)


def cosine(rate: float, steps: int, warmup_steps: int = 0, final_rate: float = 0.0) -> Schedule:
    """Returns a schedule that falls from the rate to the final one as half a cosine wave does.

        step < warmup_steps:  rate * step / warmup_steps
        then:                 final_rate + (rate - final_rate) * (1 + cos(pi * t)) / 2,
                              t = (step - warmup_steps) / (steps - warmup_steps), at most 1

    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), eq.
    5, without restarts; the warm-up of P. Goyal et al., "Accurate, large minibatch SGD" (2017).
    """

    if not 0 <= warmup_steps < steps:
        raise ValueError(f"warmup_steps is {warmup_steps}; it must be below steps, {steps}.")

    def schedule(step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float64)
        t = tf.minimum((step - warmup_steps) / (steps - warmup_steps), 1)
        fallen = final_rate + (rate - final_rate) * (1 + tf.cos(math.pi * t)) / 2
        return tf.where(step < warmup_steps, rate * step / max(warmup_steps, 1), fallen)

    return schedule


def piecewise(boundaries: Sequence[int], rates: Sequence[float]) -> Schedule:
    """Returns a schedule that has a rate up to each boundary, that step included, and a last one.

    boundaries: numbers of steps, ascending; rates: one more than these.
    """
    if list(boundaries) != sorted(boundaries):
        raise ValueError(f"boundaries are {boundaries}; they must ascend.")
    if len(rates) != len(boundaries) + 1:
        raise ValueError(f"There are {len(rates)} rates for {len(boundaries) + 1} pieces.")
    ends, table = tf.constant(boundaries, tf.int64), tf.constant(rates, tf.float64)
    return lambda step: tf.gather(table, tf.math.count_nonzero(step[..., None] > ends, axis=-1))


def over_run(name: str, rate: float, steps: int) -> Schedule | None:
    """Returns the schedule that one of `recipes.SCHEDULES` means for a run of so many steps.

    "exponential" falls to a hundredth of the rate; "cosine" warms up for a twentieth of the steps,
    and falls to 0; "piecewise" has a tenth of the rate after half of them, and a hundredth after
    three quarters. "constant" needs none.
    """
    return {
        "constant": None,
        "exponential": exponential(rate, steps, 0.01),
        "cosine": cosine(rate, steps, steps // 20),
        "piecewise": piecewise([steps // 2, 3 * steps // 4], [rate, rate / 10, rate / 100]),
    }[name]
