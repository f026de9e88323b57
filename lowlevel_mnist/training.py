"""Step 6 of the walkthrough: epochs and batches."""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lowlevel_mnist import metrics, preprocessing, randomness
from lowlevel_mnist.cost import (
    Cost,
    Model,
    clip_by_global_norm,
    cost_and_gradients,
    cross_entropy,
)
from lowlevel_mnist.execution import blocks, checks, kernels, updates
from lowlevel_mnist.execution.progress import Progress as Progress
from lowlevel_mnist.model import Dropout, in_mode
from lowlevel_mnist.optimizers import Fixed, Optimizer
from lowlevel_mnist.schedules import Schedule


def train_step(
    model: Model,
    optimizer: Optimizer | updates.Update,
    images: tf.Tensor,
    targets: tf.Tensor,
    *masks: tf.Tensor,
    cost: Cost = cross_entropy,
    clip_norm: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes one step: cost and gradients of one batch, then the update.

    It depends on nothing but the variables and its arguments, of which the masks carry all
    that is random about dropout.

    The arguments are those of `cost.cost_and_gradients`, and of `Trainer`; nothing is checked. A
    model with an argument `training` is called as it is: give `model.in_mode(model, True)`.
    Returns the costs [n] and logits [n, ...] from before the update.
    """
    costs, logits, gradients = cost_and_gradients(
        model, optimizer.parameters, images, targets, *masks, cost=cost
    )
    if clip_norm is not None:
        gradients = clip_by_global_norm(gradients, clip_norm)
    optimizer.apply(gradients)
    return costs, logits


@dataclasses.dataclass(eq=False)
class Trainer(Fixed):
    """Trains a model on images, epoch after epoch, in one of three executions.

    model: a callable `tf.Module`, such as a `model.Network`, or a Keras model: it maps images
        [n, pixels], scaled to 0..1, to logits [n, classes]. If it drops out, it also takes masks
        [n, units], one for each layer that does, and its `dropout_units` are these layers' units.
        If it has an argument `training`, that is True here, and False when it is evaluated.
    optimizer: one of `optimizers.OPTIMIZERS`, or an `Optimizer` of your own, made for the model's
        variables.
    batch_size: images in a step.
    dropout: fraction of a layer's outputs that each step drops, in [0, 1).
    seed: whole number of 0 or more; with the epoch it decides the order of the images and the
        dropout.
    execution: one of `recipes.EXECUTIONS`; "graph" and "xla" compile `train_block`.
    cost: maps logits and targets [n, ...] to costs [n]. With `functools.partial`, the default has
        label smoothing and weights of classes.
    count: maps logits and targets of some batches [batches, n, ...] to how many of the n are right
        in each, whole numbers [batches]; None where there is no such thing.
    schedule: one of `schedules`, by which the optimizer's learning rate is set before each step.
    clip_norm: of the gradients together, at most; None where they are not clipped.
    Raises `ValueError` where an argument is none of these.
    """

    model: Model
    optimizer: Optimizer
    batch_size: int
    dropout: float = 0.0
    seed: int = 0
    execution: str = "eager"
    _: dataclasses.KW_ONLY
    cost: Cost = cross_entropy
    count: Cost | None = metrics.count_correct
    schedule: Schedule | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        checks.check_trainer(self)
        self.dtype = self.optimizer.parameters[0].dtype
        units = self.model.dropout_units if self.dropout else ()  # type: ignore[attr-defined]
        self.dropper = Dropout(self.dropout, units, self.seed)
        self.forward = in_mode(self.model, training=True)
        self.update = updates.Update(self.optimizer, self.execution)
        self.execute = blocks.compile_loop(self.train_block, self.execution)
        self.pace = blocks.Pace()
        self._checked_sizes: tuple[tuple[int, ...], ...] = ()
        self._logits_shape: tuple[int, ...] = ()

    def train_block(
        self, block: blocks.Block, first: blocks.Index, end: blocks.Index
    ) -> Sequence[tf.Tensor]:
        """Trains on the batches first ... end - 1 of a block, one after the other.

        Eagerly, Python executes these lines; for the other executions, AutoGraph makes a loop of
        the graph of them.

        block: pixels `uint8` [batches, n, pixels], targets [batches, n, ...], with dropout for each
            layer what is kept, `bool` [batches, n, units], and with a schedule the numbers of the
            steps, `int64` [batches].
        Returns what `sum_up` does for each batch of the block; only first ... end - 1 count.
        """
        targets = block[1]
        costs = blocks.outputs(targets.shape[:2], self.dtype)
        logits = blocks.outputs((*targets.shape[:2], *self._logits_shape), self.dtype)
        take = blocks.batches(block, self.prepare, first, end)
        self.update.rate = kernels.read(self.optimizer.learning_rate)
        number = first
        while number < end:
            batch = take(number)
            if self.schedule is not None:
                *batch, rate = batch
                self.set_rate(rate)
            batch_costs, batch_logits = self.step(*batch)
            costs = costs.write(number, batch_costs)
            logits = logits.write(number, batch_logits)
            number += 1
        return self.sum_up(costs.stack(), logits.stack(), tf.cast(targets, self.dtype))

    def set_rate(self, rate: tf.Tensor) -> None:
        """Sets the optimizer's learning rate, within a block."""
        kernels.assign(self.optimizer.learning_rate, rate)
        self.update.rate = rate

    def step(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes a step with images, targets and masks, as `train_step` does."""
        cost, clip_norm = self.cost, self.clip_norm
        return train_step(self.forward, self.update, *batch, cost=cost, clip_norm=clip_norm)

    def sum_up(
        self, costs: tf.Tensor, logits: tf.Tensor, targets: tf.Tensor
    ) -> Sequence[tf.Tensor]:
        """Returns for each batch the sum of its costs, and how many of it are right, if counted.

        costs: [batches, n]; logits, targets: [batches, n, ...]. Returns tensors [batches].
        """
        counted = [self.count(logits, targets)] if self.count else []
        return tf.reduce_sum(costs, axis=1), *counted

    def prepare(self, pixels: tf.Tensor, targets: tf.Tensor, *others: Any) -> Sequence[tf.Tensor]:
        """Returns scaled images, targets, dropout masks and, with a schedule, learning rates.

        All are of the variables' dtype, as is whatever else comes with them.
        """
        layers, rates = len(self.dropper.units), []
        masks = [self.dropper.mask(kept, self.dtype) for kept in others[:layers]]
        if self.schedule is not None:
            rates = [tf.cast(self.schedule(others[-1]), self.dtype)]
            others = others[:-1]
        images = preprocessing.scale(pixels, self.dtype)
        return images, tf.cast(targets, self.dtype), *masks, *others[layers:], *rates

    def train_epoch(
        self, pixels: tf.Tensor, targets: tf.Tensor, epoch: int, since: Progress | None = None
    ) -> Progress:
        """Trains one epoch: every image once, in an order drawn from (seed, epoch).

        The last batch has the images that are left over; it counts like the others.

        pixels: `uint8` tensor [n, pixels], n not smaller than the batch size.
        targets: tensor [n, ...] of the variables' dtype, or `uint8`, which needs less memory:
            one-hot labels [n, classes], or what else the cost compares the logits with.
        epoch: whole number, 1 for the first.
        since: the `Progress` of this epoch after which the variables are as they are now; None at
            its beginning.
        Returns the `Progress` at its end.
        Raises `ValueError` where an argument is none of these, `UserError` where `since` is not
        inside of the epoch, and `DivergedError` where a cost is not a finite number.
        """
        *_, progress = self.train_blocks(pixels, targets, epoch, since)
        return progress

    def train_blocks(
        self, pixels: tf.Tensor, targets: tf.Tensor, epoch: int, since: Progress | None = None
    ) -> Iterator[Progress]:
        """Trains one epoch as `train_epoch` does, in calls of about half a second at most.

        Returns an iterator of the `Progress` after each call. Nothing is checked or trained before
        it is asked for one.
        """
        checks.check_epoch(self, pixels, targets, epoch, since)
        steps = math.ceil(len(pixels) / self.batch_size)
        progress = dataclasses.replace(since or Progress(), steps=steps)
        start = time.perf_counter() - progress.seconds
        generator = randomness.generator(self.seed, randomness.BATCH_ORDER, epoch)
        order = generator.permutation(len(pixels)).astype(np.int32)
        image_bytes = pixels.shape[1] + sum(self.dropper.units)
        most = blocks.max_steps(self.execution, self.batch_size * image_bytes)
        for first, rows, done in blocks.cut_epoch(order, self.batch_size, most, progress.step):
            kept = self.dropper.draw(epoch, first, *rows.shape)
            block = self.gather(pixels, targets, rows, kept)
            if self.schedule is not None:
                before = (epoch - 1) * steps + first // self.batch_size
                block = *block, tf.range(before, before + len(rows), dtype=tf.int64)
            for sums in self.pace.calls(self.execute, block, done):
                seconds = time.perf_counter() - start
                progress = progress.after(epoch, rows.shape[1], seconds, *sums)
                yield progress
            del block  # before the next one is gathered

    def gather(
        self, pixels: tf.Tensor, targets: tf.Tensor, rows: np.ndarray, kept: Sequence[np.ndarray]
    ) -> blocks.Block:
        """Gathers the images and targets of a block; rows: their places [batches, n]."""
        # As a block, each batch of 128 takes 2 microseconds; one by one, 12.
        return tf.gather(pixels, rows), tf.gather(targets, rows), *map(tf.constant, kept)
