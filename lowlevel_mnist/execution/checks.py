"""Checks of what a `training.Trainer` is given: each raises `ValueError` where it is wrong."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.optimizers import Optimizer
from lowlevel_mnist.recipes import EXECUTIONS

NUMBER = (int, float, np.integer, np.floating)


def check_trainer(trainer: Any) -> None:
    """Checks the arguments of a `training.Trainer`, which are its attributes."""
    batch_size, dropout, clip_norm = trainer.batch_size, trainer.dropout, trainer.clip_norm
    if trainer.execution not in EXECUTIONS:
        accepted = ", ".join(EXECUTIONS)
        raise ValueError(f"execution is {trainer.execution!r}; it must be one of {accepted}.")
    if not isinstance(trainer.optimizer, Optimizer):
        raise ValueError(
            f"optimizer is {trainer.optimizer!r:.200}; it must be one of the package's, or an "
            "Optimizer of your own."
        )
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}; it must be a whole number above 0.")
    if not isinstance(dropout, NUMBER) or not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}; it must be a number from 0 to below 1.")
    if dropout and not getattr(trainer.model, "dropout_units", ()):
        raise ValueError(
            f"dropout is {dropout!r}, but the model has no layer to drop out: it needs an "
            "attribute dropout_units, a tuple with the units of each layer that does."
        )
    if clip_norm is not None and not (isinstance(clip_norm, NUMBER) and clip_norm > 0):
        raise ValueError(f"clip_norm is {clip_norm!r}; it must be a number above 0, or None.")
    for name in ("model", "cost", "count", "schedule"):
        function = getattr(trainer, name)
        if not callable(function) and (function is not None or name in ("model", "cost")):
            raise ValueError(f"{name} is {function!r:.200}; it must be a function.")
    if trainer.schedule:
        check_schedule(trainer.schedule)


def check_schedule(schedule: Callable) -> None:
    """Checks that a schedule gives a learning rate for each of some steps."""
    try:
        rates = tf.convert_to_tensor(schedule(tf.range(2, dtype=tf.int64)))
    except (TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
        reason = textwrap.shorten(str(error), 300)
        raise ValueError(f"schedule can't be called with steps int64 [2]: {reason}") from error
    if rates.shape.as_list() != [2] or not rates.dtype.is_floating:
        raise ValueError(
            f"schedule gives {rates.dtype.name} {rates.shape.as_list()} for steps int64 [2]; it "
            "must be a function of the step such as one of `schedules`, which gives rates float "
            "[2]. One of Keras takes one step: lambda steps: tf.map_fn(it, steps, tf.float32)."
        )


def check_epoch(trainer: Any, pixels: tf.Tensor, targets: tf.Tensor, since: Any) -> None:
    """Checks that these are images and targets for a trainer's model.

    since: the `Progress` to go on after, or None. Raises `UserError` where it is not inside of the
        epoch.
    """
    dtype, batch_size = trainer.dtype, trainer.batch_size
    for name, given in {"pixels": pixels, "targets": targets}.items():
        if not isinstance(given, (tf.Tensor, np.ndarray)):
            raise ValueError(
                f"{name} are a {type(given).__name__}; they must be one tensor or array of all "
                "images. The trainer shuffles them, and cuts the batches itself."
            )
    if pixels.dtype != tf.uint8 or len(pixels.shape) != 2:
        raise ValueError(
            f"pixels are {tf.as_dtype(pixels.dtype).name} {list(pixels.shape)}; they must be "
            "uint8 [n, pixels], 0 to 255: they are scaled when a step needs them."
        )
    if targets.dtype not in (dtype, tf.uint8) or targets.shape[:1] != pixels.shape[:1]:
        raise ValueError(
            f"The targets, such as one-hot labels, are {tf.as_dtype(targets.dtype).name} "
            f"{list(targets.shape)}; for these pixels and variables they must be {dtype.name} or "
            f"uint8 [{len(pixels)}, ...]."
        )
    if batch_size > len(pixels):
        raise ValueError(f"batch_size is {batch_size}, but there are only {len(pixels):,} images.")
    if since and not 0 < since.images == since.step * batch_size < len(pixels):
        raise UserError(f"Step {since.step}, to go on after, is not inside of this epoch.")
    inputs, target = (pixels.shape[1], *trainer.dropper.units), tuple(targets.shape[1:])
    if trainer._checked_sizes != (inputs, target):  # the first time: it takes 20 ms
        trainer._logits_shape = check_model(trainer, inputs, target)
        trainer._checked_sizes = inputs, target


def check_model(trainer: Any, inputs: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """Checks that a model gives logits for images, in which each of the variables takes part.

    It is traced, and nothing of it is executed.

    inputs: pixels of an image, and units of each layer that drops out.
    target: the shape of an image's target, such as (classes,).
    Returns the shape of an image's logits.
    """
    variables, dtype = trainer.update.parameters, trainer.dtype

    def forward_and_back(*tensors):
        with tf.GradientTape() as tape:
            logits = trainer.forward(*tensors)
        return logits, tape.gradient(logits, variables)

    specs = [tf.TensorSpec([1, size], dtype) for size in inputs]
    shapes = " and masks ".join(str([1, size]) for size in inputs)
    logits, gradients = trace(
        forward_and_back, specs, f"The model can't be called with images {shapes}"
    )
    given = f"The model gives {logits.dtype.name} {logits.shape.as_list()} for images {shapes}"
    if logits.dtype != dtype:
        raise ValueError(f"{given}; its variables are {dtype.name}, and its logits must be, too.")
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            raise ValueError(
                f"The variable {variable.name} {list(variable.shape)} takes no part in the logits, "
                "so it has no gradient; train only variables that the model uses. Was the "
                "optimizer made for this model?"
            )
    pair = [tf.TensorSpec(logits.shape, dtype), tf.TensorSpec([1, *target], dtype)]

    def cost_and_count(*pair):
        return trainer.cost(*pair), trainer.count and trainer.count(*pair)

    costs, _ = trace(cost_and_count, pair, given)
    if costs.shape.as_list() != [1] or costs.dtype != dtype:
        raise ValueError(
            f"The cost gives {costs.dtype.name} {costs.shape.as_list()} for one image; it must "
            f"give {dtype.name} [1], a cost for each image."
        )
    return tuple(logits.shape[1:])


def trace(function: Callable, specs: Sequence[tf.TensorSpec], what: str) -> Any:
    """Returns the symbolic outputs of a function that is traced.

    Raises `ValueError`, which says what can't be done and why, where it fails.
    """
    try:
        traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{what}: {textwrap.shorten(str(error), 300)}") from error
    return traced.structured_outputs
