"""Checks of what a `training.Trainer` is given: each raises `ValueError` where it is wrong."""

import textwrap
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.optimizers import Optimizer
from lowlevel_mnist.recipes import EXECUTIONS


def check_trainer(
    model: tf.Module, optimizer: Optimizer, batch_size: int, dropout: float, execution: str
) -> None:
    """Checks the arguments of a `training.Trainer`."""
    if execution not in EXECUTIONS:
        accepted = ", ".join(EXECUTIONS)
        raise ValueError(f"execution is {execution!r}; it must be one of {accepted}.")
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"optimizer is {optimizer!r:.200}; it must be one of the package's, or an Optimizer of "
            "your own."
        )
    if batch_size < 1 or batch_size != int(batch_size):
        raise ValueError(f"batch_size is {batch_size!r}; it must be a whole number above 0.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}; it must be a number from 0 to below 1.")
    if dropout and not getattr(model, "dropout_units", ()):
        raise ValueError(
            f"dropout is {dropout!r}, but the model has no layer to drop out: it needs an "
            "attribute dropout_units, a tuple with the units of each layer that does."
        )


def check_epoch(trainer: Any, pixels: tf.Tensor, one_hot: tf.Tensor, since: Any) -> None:
    """Checks that these are images and labels for a trainer's model.

    since: the `Progress` to go on after, or None. Raises `UserError` where it is not inside of the
        epoch.
    """
    dtype, batch_size = trainer.dtype, trainer.batch_size
    if pixels.dtype != tf.uint8 or len(pixels.shape) != 2:
        raise ValueError(
            f"pixels are {tf.as_dtype(pixels.dtype).name} {list(pixels.shape)}; they must be "
            "uint8 [n, pixels], 0 to 255: they are scaled when a step needs them."
        )
    if one_hot.dtype not in (dtype, tf.uint8) or one_hot.shape[:-1] != pixels.shape[:1]:
        raise ValueError(
            f"one_hot is {tf.as_dtype(one_hot.dtype).name} {list(one_hot.shape)}; for these "
            f"pixels and variables it must be {dtype.name} or uint8 [{len(pixels)}, classes]."
        )
    if batch_size > len(pixels):
        raise ValueError(f"batch_size is {batch_size}, but there are only {len(pixels):,} images.")
    if since and not 0 < since.images == since.step * batch_size < len(pixels):
        raise UserError(f"Step {since.step}, to go on after, is not inside of this epoch.")
    sizes = pixels.shape[1], *trainer.dropout.units, one_hot.shape[1]
    if trainer.checked_sizes != sizes:  # the first time: it takes 20 ms
        check_model(trainer.model, trainer.update.parameters, *sizes)
        trainer.checked_sizes = sizes


def check_model(model: tf.Module, variables: Sequence[tf.Variable], *sizes: int) -> None:
    """Checks that a model gives logits for images, in which each of the variables takes part.

    It is traced, and nothing of it is executed.

    variables: those that are trained.
    sizes: pixels of an image, units of each layer that drops out, and classes.
    """
    *inputs, classes = sizes

    def forward_and_back(*tensors):
        with tf.GradientTape() as tape:
            logits = model(*tensors)
        return logits, tape.gradient(logits, variables)

    specs = [tf.TensorSpec([1, size], variables[0].dtype) for size in inputs]
    shapes = " and masks ".join(str([1, size]) for size in inputs)
    try:
        traced = tf.function(forward_and_back, autograph=False).get_concrete_function(*specs)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        reason = textwrap.shorten(str(error), 300)
        raise ValueError(f"The model can't be called with images {shapes}: {reason}") from error
    logits, gradients = traced.structured_outputs
    if logits.shape.as_list() != [1, classes]:
        raise ValueError(
            f"The model gives {logits.shape.as_list()} for images {shapes}; for these labels it "
            f"must give logits [1, {classes}]."
        )
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            raise ValueError(
                f"The variable {variable.name} {list(variable.shape)} takes no part in the logits, "
                "so it has no gradient; train only variables that the model uses. Was the "
                "optimizer made for this model?"
            )
