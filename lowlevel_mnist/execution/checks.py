"""Checks of what a `training.Trainer` is given: each raises `ValueError` where it is wrong."""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.optimizers import Optimizer, held_by
from lowlevel_mnist.recipes import EXECUTIONS
from lowlevel_mnist.schedules import Schedule

ERRORS = (TypeError, ValueError, AttributeError, IndexError, NotImplementedError, tf.errors.OpError)
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
    units = getattr(trainer.model, "dropout_units", ())
    if dropout and not (units and isinstance(units, (tuple, list))):
        raise ValueError(
            f"dropout is {dropout!r}, but the model has no layer to drop out: it needs an "
            "attribute dropout_units, a tuple with the units of each layer that does."
        )
    if clip_norm is not None and not (isinstance(clip_norm, NUMBER) and 0 < clip_norm < math.inf):
        raise ValueError(f"clip_norm is {clip_norm!r}; it must be a number above 0, or None.")
    for name in ("model", "cost", "count", "schedule"):
        function = getattr(trainer, name)
        if not callable(function) and (function is not None or name in ("model", "cost")):
            raise ValueError(f"{name} is {function!r:.200}; it must be a function.")
    variables = getattr(trainer.model, "trainable_variables", ())
    is_constrained = any(getattr(w, "constraint", None) for w in variables)
    if getattr(trainer.model, "losses", None) or is_constrained:
        raise ValueError(
            "The model has regularizers, losses or constraints of its own, which a trainer would "
            "not heed. Leave them out, and add what you need to the cost."
        )
    if trainer.schedule:
        check_schedule(trainer.schedule)


def check_schedule(schedule: Schedule) -> None:
    """Checks that a schedule gives a learning rate for each of some steps, compiled as well."""
    steps = tf.constant([0, 1, 1000, 1_000_000], tf.int64)
    what = "schedule can't be called with steps int64 [4], a tensor of any of them"
    compiled = call(tf.function(schedule, autograph=False).get_concrete_function, (steps,), what)
    rates = compiled(steps)
    given = f"schedule gives {rates.dtype.name} {rates.shape.as_list()} for steps int64 [4]"
    if rates.shape.as_list() != [4] or not rates.dtype.is_floating:
        raise ValueError(
            f"{given}; it must be a function of the step such as one of `schedules`, which gives "
            "rates float [4]. One of Keras takes one step: "
            "lambda steps: tf.map_fn(it, steps, tf.float32)."
        )
    if not np.all((rates.numpy() >= 0) & np.isfinite(rates.numpy())):
        raise ValueError(f"{given}, of which one is {rates.numpy().min():g}; none may be below 0.")


def check_epoch(
    trainer: Any, pixels: tf.Tensor, targets: tf.Tensor, epoch: int, since: Any
) -> None:
    """Checks that these are images and targets for a trainer's model.

    epoch: its number; since: the `Progress` to go on after, or None.
    Raises `UserError` where that is not inside of the epoch.
    """
    dtype, batch_size = trainer.dtype, trainer.batch_size
    if not isinstance(epoch, (int, np.integer)) or epoch < 1:
        raise ValueError(f"epoch is {epoch!r}; it must be a whole number, 1 for the first.")
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
    sizes = (pixels.shape[1], *trainer.dropper.units), tuple(targets.shape[1:])
    if trainer._checked_sizes != sizes:  # the first time: it takes 20 ms
        trainer._logits_shape = check_model(trainer, sizes[0])
        check_cost(trainer, tf.cast(targets[:3], dtype))
        trainer._checked_sizes = sizes


def check_model(trainer: Any, inputs: Sequence[int]) -> tuple[int, ...]:
    """Checks that a model gives logits for images, in which each of the variables takes part.

    It is traced, and nothing of it is executed.

    inputs: pixels of an image, and units of each layer that drops out.
    Returns the shape of an image's logits.
    """
    variables, dtype = trainer.update.parameters, trainer.dtype
    used: list[tf.Variable] = []

    def forward_and_back(*tensors: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor | None]]:
        with tf.GradientTape() as tape:
            logits = trainer.forward(*tensors)
        used.extend(tape.watched_variables())
        return logits, tape.gradient(logits, variables)

    specs = [tf.TensorSpec([1, size], dtype) for size in inputs]
    shapes = " and masks ".join(str([1, size]) for size in inputs)
    trace = tf.function(forward_and_back, autograph=False).get_concrete_function
    traced = call(trace, specs, f"The model can't be called with images {shapes}")
    logits, gradients = traced.structured_outputs
    if not isinstance(logits, tf.Tensor) or logits.dtype != dtype:
        given = logits.dtype.name if isinstance(logits, tf.Tensor) else type(logits).__name__
        raise ValueError(
            f"The model gives {given} for images {shapes}; its variables are {dtype.name}, and its "
            "logits must be one tensor of that dtype."
        )
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            raise ValueError(
                f"The variable {variable.name} {list(variable.shape)} takes no part in the logits, "
                "so it has no gradient; train only variables that the model uses. Was the "
                "optimizer made for this model?"
            )
    known = [*variables, *getattr(trainer.model, "non_trainable_variables", ())]
    # Shared by several devices, a variable has one for each.
    known = [part for w in map(held_by, known) for part in (w, *getattr(w, "values", ()))]
    known_refs = {variable.ref() for variable in known}
    for variable in used:
        if variable.ref() not in known_refs:
            raise ValueError(
                f"The model uses the variable {variable.name} {list(variable.shape)}, which the "
                "optimizer does not have, so it would stay as it is. Give it all of them; one that "
                "is to stay needs trainable=False. A tf.Module does not list those of Keras's "
                "layers, nor those that are made in its first call."
            )
    return tuple(logits.shape[1:])


def check_cost(trainer: Any, targets: tf.Tensor) -> None:
    """Checks that a cost is one for each image, and a count one for each batch.

    targets: those of the first images, of the variables' dtype.
    """
    shape, n = (len(targets), *trainer._logits_shape), len(targets)
    logits = tf.constant(np.random.default_rng(0).normal(size=shape), trainer.dtype)
    given = f"logits {list(shape)}, as the model gives them, and targets {list(targets.shape)}"
    costs = call(trainer.cost, (logits, targets), f"The cost can't be called with {given}")
    if costs.shape.as_list() != [n] or costs.dtype != trainer.dtype:
        raise ValueError(
            f"The cost gives {costs.dtype.name} {costs.shape.as_list()} for {given}; it must give "
            f"{trainer.dtype.name} [{n}], a cost for each image."
        )
    alone = trainer.cost(logits[:1], targets[:1])
    if not np.allclose(alone, costs[:1], rtol=1e-3, equal_nan=True):
        raise ValueError(
            f"The cost of an image depends on the others of its batch, for {given}. Is it a mean "
            "over all, or is one of the two repeated to fit the other?"
        )
    if trainer.count:
        what = f"The count can't be called with batches of {given}"
        total = call(trainer.count, (logits[None], targets[None]), what)
        each = call(trainer.count, (logits[:, None], targets[:, None]), what)
        is_whole = total.dtype.is_integer and each.shape.as_list() == [n]
        if not is_whole or total.numpy().tolist() != [each.numpy().sum()]:
            raise ValueError(
                f"The count gives {each.numpy().tolist()} for {n} batches of one image each, and "
                f"{total.numpy().tolist()} for all in one, [1, {n}, ...], of {given}; it must give "
                "whole numbers [batches]: how many of each batch are right."
            )


def call(function: Callable[..., Any], arguments: Sequence[Any], what: str) -> Any:
    """Returns what a function does. Raises `ValueError`, which says what can't be done and why."""
    try:
        return function(*arguments)
    except ERRORS as error:
        raise ValueError(f"{what}: {textwrap.shorten(str(error), 300)}") from error
