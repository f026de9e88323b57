"""Step 6 of the walkthrough: epochs and batches."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from lowlevel_mnist import cost, metrics, preprocessing, randomness
from lowlevel_mnist.execution import blocks, checks, updates
from lowlevel_mnist.execution.progress import Progress
from lowlevel_mnist.model import Dropout
from lowlevel_mnist.optimizers import Optimizer


def train_step(
    model: tf.Module,
    optimizer: Optimizer | updates.Update,
    images: tf.Tensor,
    one_hot: tf.Tensor,
    *masks: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes one step: cost and gradients of one batch, then the update.

    It depends on nothing but the variables and its arguments, of which the masks carry all
    that is random about dropout.

    images: [n, pixels], scaled; one_hot: [n, classes].
    masks: with dropout, one [n, units] for each layer that drops out.
    Returns the costs [n] and logits [n, classes] from before the update.
    """
    costs, logits, gradients = cost.cost_and_gradients(
        model, optimizer.parameters, images, one_hot, *masks
    )
    optimizer.apply(gradients)
    return costs, logits


class Trainer:
    """Trains a model on images, epoch after epoch, in one of three executions.

    model: a callable `tf.Module`, such as a `model.Network`: it maps images [n, pixels], scaled to
        0..1, to logits [n, classes]. If it drops out, it also takes masks [n, units], one for each
        layer that does, and its `dropout_units` are these layers' units.
    optimizer: one of `optimizers.OPTIMIZERS`, or an `Optimizer` of your own, made for the model's
        variables.
    batch_size: images in a step.
    dropout: fraction of a layer's outputs that each step drops, in [0, 1).
    seed: whole number of 0 or more; with the epoch it decides the order of the images and the
        dropout.
    execution: one of `recipes.EXECUTIONS`; "graph" and "xla" compile `train_block`.
    Raises `ValueError` where an argument is none of these.
    """

    def __init__(
        self,
        model: tf.Module,
        optimizer: Optimizer,
        batch_size: int,
        dropout: float = 0.0,
        seed: int = 0,
        execution: str = "eager",
    ):
        checks.check_trainer(model, optimizer, batch_size, dropout, execution)
        self.model, self.optimizer = model, optimizer
        self.dtype = optimizer.parameters[0].dtype
        self.batch_size, self.seed, self.execution = int(batch_size), seed, execution
        self.dropout = Dropout(dropout, model.dropout_units if dropout else (), seed)
        self.update = updates.update_of(optimizer, execution)
        self.step: Callable = functools.partial(train_step, model, self.update)
        self.execute = blocks.compile_loop(self.train_block, execution)
        self.pace = blocks.Pace()
        self.checked_sizes: tuple[int, ...] = ()

    def train_block(self, block: blocks.Block, first: int, end: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains on the batches first ... end - 1 of a block, one after the other.

        Eagerly, Python executes these lines; for the other executions, AutoGraph makes a loop of
        the graph of them.

        block: pixels `uint8` [batches, n, pixels], one-hot labels [batches, n, classes] and, with
            dropout, for each layer what is kept, `bool` [batches, n, units].
        Returns what `sum_up` does for each batch of the block; only first ... end - 1 count.
        """
        one_hot = block[1]
        costs = blocks.outputs(one_hot.shape[:2], self.dtype)
        logits = blocks.outputs(one_hot.shape, self.dtype)
        take = blocks.batches(block, self.prepare, first, end)
        number = first
        while number < end:
            batch_costs, batch_logits = self.step(*take(number))
            costs = costs.write(number, batch_costs)
            logits = logits.write(number, batch_logits)
            number += 1
        return self.sum_up(costs.stack(), logits.stack(), one_hot)

    def sum_up(
        self, costs: tf.Tensor, logits: tf.Tensor, one_hot: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns for each batch the sum of its costs, and how many images were predicted right.

        costs: [batches, n]; logits, one_hot: [batches, n, classes]. Returns tensors [batches].
        """
        return tf.reduce_sum(costs, axis=1), metrics.count_correct(logits, one_hot)

    def prepare(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, *kept: tf.Tensor
    ) -> Sequence[tf.Tensor]:
        """Returns scaled images, one-hot labels and dropout masks, all of the variables' dtype."""
        images = preprocessing.scale(pixels, self.dtype)
        masks = [self.dropout.mask(outputs, self.dtype) for outputs in kept]
        return images, tf.cast(one_hot, self.dtype), *masks

    def train_epoch(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, epoch: int, since: Progress | None = None
    ) -> Progress:
        """Trains one epoch: every image once, in an order drawn from (seed, epoch).

        The last batch has the images that are left over; it counts like the others.

        pixels: `uint8` tensor [n, pixels], n not smaller than the batch size.
        one_hot: tensor [n, classes] of the variables' dtype, or `uint8`, which needs less memory.
        epoch: whole number, 1 for the first.
        since: the `Progress` of this epoch after which the variables are as they are now; None at
            its beginning.
        Returns the `Progress` at its end.
        Raises `ValueError` where an argument is none of these, `UserError` where `since` is not
        inside of the epoch, and `DivergedError` where a cost is not a finite number.
        """
        *_, progress = self.train_blocks(pixels, one_hot, epoch, since)
        return progress

    def train_blocks(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, epoch: int, since: Progress | None = None
    ) -> Iterator[Progress]:
        """Trains one epoch as `train_epoch` does, in calls of about half a second at most.

        Returns an iterator of the `Progress` after each call. Nothing is checked or trained before
        it is asked for one.
        """
        checks.check_epoch(self, pixels, one_hot, since)
        steps = math.ceil(len(pixels) / self.batch_size)
        progress = dataclasses.replace(since or Progress(), steps=steps)
        start = time.perf_counter() - progress.seconds
        generator = randomness.generator(self.seed, randomness.BATCH_ORDER, epoch)
        order = generator.permutation(len(pixels)).astype(np.int32)
        image_bytes = pixels.shape[1] + sum(self.dropout.units)
        most = blocks.max_steps(self.execution, self.batch_size * image_bytes)
        for first, rows, done in blocks.cut_epoch(order, self.batch_size, most, progress.step):
            kept = self.dropout.draw(epoch, first, *rows.shape)
            block = self.gather(pixels, one_hot, rows, kept)
            for costs, correct in self.pace.calls(self.execute, block, done):
                seconds = time.perf_counter() - start
                progress = progress.after(epoch, rows.shape[1], costs, correct, seconds)
                yield progress
            del block  # before the next one is gathered

    def gather(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, rows: np.ndarray, kept: Sequence[np.ndarray]
    ) -> blocks.Block:
        """Gathers the images and labels of a block; rows: their places [batches, n]."""
        # As a block, each batch of 128 takes 2 microseconds; one by one, 12.
        return tf.gather(pixels, rows), tf.gather(one_hot, rows), *map(tf.constant, kept)
