"""Step 6 of the walkthrough: epochs and batches."""

import dataclasses
import functools
import math
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from lowlevel_mnist import cost, metrics, preprocessing, randomness
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.execution import blocks
from lowlevel_mnist.model import draw_keep_mask, dropout_mask
from lowlevel_mnist.optimizers import Optimizer


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an epoch has come.

    step, steps: batches trained on, and batches of the epoch.
    images: how many images were in them.
    loss_sum, correct: sum of their costs, and how many of them were classified correctly, each
        taken as its batch's turn came.
    seconds: wall time that the training took so far.
    """

    step: int = 0
    steps: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """Mean cost of an image so far."""
        return self.loss_sum / self.images

    @property
    def accuracy(self) -> float:
        """Fraction of the images so far that were classified correctly."""
        return self.correct / self.images


def train_step(
    model: tf.Module,
    optimizer: Optimizer,
    images: tf.Tensor,
    one_hot: tf.Tensor,
    *masks: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One step: cost and gradients of one batch, then the update.

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

    All three run the same `train_block`: "eager" executes each operation at once, "graph" compiles
    it with `tf.function`, "xla" with `tf.function(jit_compile=True)`. A compiled one is traced
    for whole blocks of batches, for the batches left over, and for the last, smaller batch: at
    most three times.

    model: a callable `tf.Module`, such as a `model.Network`: it maps images [n, pixels], scaled to
        0..1, to logits [n, classes]. If it drops out, it also takes masks [n, units], one for each
        layer that does, and its `dropout_units` are these layers' units.
    optimizer: one of `optimizers.OPTIMIZERS`, or an `Optimizer` of your own, made for the model's
        variables.
    batch_size: images in a step.
    dropout: fraction of a layer's outputs that each step drops, in [0, 1).
    seed: whole number of 0 or more; with the epoch it decides the order of the images and the
        dropout.
    execution: one of `recipes.EXECUTIONS`.
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
        if execution not in blocks.COMPILERS:
            accepted = ", ".join(blocks.COMPILERS)
            raise ValueError(f"execution is {execution!r}; it must be one of {accepted}.")
        if not isinstance(optimizer, Optimizer):
            raise ValueError(
                f"optimizer is {optimizer!r:.200}; it must be one of the package's, or an "
                "Optimizer of your own."
            )
        if batch_size < 1 or batch_size != int(batch_size):
            raise ValueError(f"batch_size is {batch_size!r}; it must be a whole number above 0.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}; it must be a number from 0 to below 1.")
        self.mask_units = tuple(getattr(model, "dropout_units", ())) if dropout else ()
        if dropout and not self.mask_units:
            raise ValueError(
                f"dropout is {dropout!r}, but the model has no layer to drop out: it needs an "
                "attribute dropout_units, a tuple with the units of each layer that does."
            )
        self.model = model
        self.optimizer = optimizer
        self.dtype = optimizer.parameters[0].dtype
        self.batch_size = batch_size
        self.dropout = dropout
        self.seed = seed
        self.work: int | None = None  # multiplications of an image's forward pass, when known
        self.execute = blocks.COMPILERS[execution](self.train_block)
        self.is_xla = execution == "xla"
        is_compiled = execution != "eager"
        self.most_steps = (
            blocks.MOST_COMPILED_BLOCK_STEPS if is_compiled else blocks.MOST_BLOCK_STEPS
        )

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
        inside of the epoch, and `DivergedError` after a block of steps in which a cost is not a
        finite number.
        """
        *_, progress = self.train_blocks(pixels, one_hot, epoch, since)
        return progress

    def train_blocks(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, epoch: int, since: Progress | None = None
    ) -> Iterator[Progress]:
        """Trains one epoch as `train_epoch` does, for a loop to follow: each turn is a block.

        Returns an iterator that trains on the next block of steps and gives the `Progress` after
        it. Nothing is trained before it is asked for one.
        """
        self._check(pixels, one_hot)
        progress = since or Progress()
        inside = 0 < progress.step < math.ceil(len(pixels) / self.batch_size)
        if since and not (inside and progress.images == progress.step * self.batch_size):
            raise UserError(f"Step {since.step}, to go on after, is not inside of this epoch.")
        if self.work is None:
            sizes = [pixels.shape[1], *self.mask_units]
            classes = one_hot.shape[1]
            self.work = blocks.count_multiplications(self.model, sizes, classes, self.dtype)
        return self._train_blocks(pixels, one_hot, epoch, progress)

    def _train_blocks(self, pixels, one_hot, epoch, progress):
        start = time.perf_counter() - progress.seconds
        generator = randomness.generator(self.seed, randomness.BATCH_ORDER, epoch)
        order = generator.permutation(len(pixels)).astype(np.int32)
        draw = self._keep_masks_of(epoch)
        shapes = blocks.block_shapes(len(order), self.batch_size, self.work, self.most_steps)
        end = 0
        for steps, batch in shapes:
            begin, end = end, end + steps * batch
            # Steps of it that are done: all or none, unless the lengths of blocks are others than
            # when the state was saved.
            done = max(progress.images - begin, 0) // batch
            keep_masks = [layer[done:] for layer in draw(steps, batch)]
            if done >= steps:
                continue
            rows = order[begin:end].reshape(steps, batch)[done:]
            losses, correct = self._train_rows(pixels, one_hot, rows, keep_masks)
            progress = Progress(
                step=progress.step + steps - done,
                steps=sum(steps for steps, _ in shapes),
                images=end,
                loss_sum=progress.loss_sum
                + blocks.sum_finite(losses.numpy(), progress.step, epoch),
                correct=progress.correct + int(correct),
                seconds=time.perf_counter() - start,
            )
            yield progress

    def _train_rows(self, pixels, one_hot, rows, keep_masks):
        """Trains on the images that `rows` [steps, n] names, a batch for each row of it."""
        # A whole block of bytes at once: 2 microseconds a batch of 128, but 12 for each alone.
        block = tf.gather(pixels, rows), tf.gather(one_hot, rows)
        return self.execute(*block, *keep_masks)

    def train_block(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, *keep_masks: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains on batches of one size, one after the other.

        pixels: `uint8` tensor [steps, n, pixels]; one_hot: tensor [steps, n, classes].
        keep_masks: with dropout, for each layer what it keeps, `bool` [steps, n, units].
        Returns the sum of the costs of each batch [steps], and how many images of all were
        classified correctly, each taken as its batch's turn came.
        """
        self.optimizer.is_compiled_by_xla = self.is_xla
        step = functools.partial(train_step, self.model, self.optimizer)
        costs, logits = blocks.for_each_batch(
            self.prepare, step, (pixels, one_hot, *keep_masks), (self.dtype, self.dtype)
        )
        return tf.reduce_sum(costs, axis=1), metrics.count_correct(logits, one_hot)

    def prepare(
        self, pixels: tf.Tensor, one_hot: tf.Tensor, *keep_masks: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Returns scaled images, one-hot labels and dropout masks, all of the variables' dtype.

        They are what `train_step` takes, for one batch or for a block of them.
        """
        images = preprocessing.scale(pixels, self.dtype)
        masks = [dropout_mask(layer, self.dropout, self.dtype) for layer in keep_masks]
        return images, tf.cast(one_hot, self.dtype), *masks

    def _keep_masks_of(self, epoch):
        """Returns a function that draws what the next `steps` batches of an epoch keep."""
        layers = [
            (randomness.generator(self.seed, randomness.DROPOUT, epoch, layer), units)
            for layer, units in enumerate(self.mask_units)
        ]
        return lambda steps, batch: [
            draw_keep_mask(generator, steps * batch, units, self.dropout).reshape(
                steps, batch, units
            )
            for generator, units in layers
        ]

    def _check(self, pixels, one_hot):
        """Raises `ValueError` where these are no images and labels to train on."""
        if pixels.dtype != tf.uint8 or len(pixels.shape) != 2:
            raise ValueError(
                f"pixels are {tf.as_dtype(pixels.dtype).name} {list(pixels.shape)}; they must be "
                "uint8 [n, pixels], 0 to 255: they are scaled when a step needs them."
            )
        if one_hot.dtype not in (self.dtype, tf.uint8) or one_hot.shape[:-1] != pixels.shape[:1]:
            raise ValueError(
                f"one_hot is {tf.as_dtype(one_hot.dtype).name} {list(one_hot.shape)}; for these "
                f"pixels and variables it must be {self.dtype.name} or uint8 [{len(pixels)}, "
                "classes]."
            )
        if self.batch_size > len(pixels):
            raise ValueError(
                f"batch_size is {self.batch_size}, but there are only {len(pixels):,} images."
            )
