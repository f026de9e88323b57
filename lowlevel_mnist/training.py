"""Step 6 of the walkthrough: epochs and batches."""

import dataclasses
import math
import time

import numpy as np
import tensorflow as tf

from lowlevel_mnist import cost, metrics, preprocessing, randomness
from lowlevel_mnist.distribution.replicas import OneReplica
from lowlevel_mnist.errors import DivergedError, UserError
from lowlevel_mnist.model import draw_kept, dropout_mask

# Batches of a block: what is trained on between two reports, in one call of a compiled function.
# Fewer cost more around the steps; more make progress and Ctrl-C wait and take more memory.
FEWEST_BLOCK_STEPS, USUAL_BLOCK_STEPS, MOST_BLOCK_STEPS = 32, 64, 128
# Parameters times images of a block at most, for large networks: this is a second's work.
MOST_BLOCK_WORK = 10_000_000_000

COMPILERS = {
    "eager": lambda function: function,
    "graph": tf.function(autograph=False),
    "xla": tf.function(autograph=False, jit_compile=True),
}


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
    def loss(self):
        """Mean cost of an image so far."""
        return self.loss_sum / self.images

    @property
    def accuracy(self):
        """Part of the images so far that were classified correctly."""
        return self.correct / self.images


def train_step(model, optimizer, images, one_hot, *masks, batch_size=None, add_up=None):
    """One step: cost and gradients of one batch, then the update.

    It depends on nothing but the variables and its arguments, of which the masks carry all
    that is random about dropout.

    images: [n, pixels], scaled; one_hot: [n, classes].
    masks: with dropout, one [n, units] for each hidden layer.
    batch_size, add_up: where these are a share of a batch, how many images all of it has, and
        the function that adds up the gradients of all shares.
    Returns the costs [n] and logits [n, classes] from before the update.
    """
    costs, logits, gradients = cost.cost_and_gradients(
        model, optimizer.parameters, images, one_hot, *masks, batch_size=batch_size
    )
    optimizer.apply(add_up(gradients) if add_up else gradients)
    return costs, logits


class Trainer:
    """Trains a model on images, epoch after epoch, in one of three executions.

    All three run the same `train_block`: "eager" executes each operation at once, "graph" compiles
    it with `tf.function`, "xla" with `tf.function(jit_compile=True)`. A compiled one is traced
    for whole blocks of batches, for the batches left over, and for the last, smaller batch: at
    most three times.

    model: a `model.Network`; optimizer: one of `optimizers.OPTIMIZERS`, made for its variables.
    batch_size: images in a step.
    dropout: part of the hidden outputs that each step drops, in [0, 1).
    seed: whole number; with the epoch it decides the order of the images and the dropout.
    execution: one of `recipes.EXECUTIONS`.
    replicas: who shares each batch; a `distribution.Replicas`, in whose scope the variables were
        made, or None where nobody does.
    """

    def __init__(
        self,
        model,
        optimizer,
        batch_size,
        dropout=0.0,
        seed=0,
        execution="eager",
        replicas=None,
    ):
        self.model = model
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.dropout = dropout
        self.seed = seed
        self.replicas = replicas or OneReplica()
        self.execute = COMPILERS[execution](self.train_block)

    def train_epoch(self, pixels, one_hot, epoch, since=None):
        """Trains one epoch: every image once, in an order drawn from (seed, epoch).

        The last batch has the images that are left over; it counts like the others.

        pixels: `uint8` tensor [n, pixels], n not smaller than the batch size.
        one_hot: tensor [n, classes] of the variables' dtype.
        epoch: whole number, 1 for the first.
        since: the `Progress` of this epoch after which the variables are as they are now; None at
            its beginning.
        Yields a `Progress` after each block of steps.
        Raises `DivergedError` after a block in which a cost is not a finite number, and
        `UserError` where `since` is not inside of the epoch.
        """
        progress = since or Progress()
        inside = 0 < progress.step < math.ceil(len(pixels) / self.batch_size)
        if since and not (inside and progress.images == progress.step * self.batch_size):
            raise UserError(f"Step {since.step}, to go on after, is not inside of this epoch.")
        start = time.perf_counter() - progress.seconds
        generator = randomness.generator(self.seed, randomness.BATCH_ORDER, epoch)
        order = generator.permutation(len(pixels)).astype(np.int32)
        draw = self._dropout_of(epoch)
        parameters = sum(w.shape.num_elements() for w in self.optimizer.parameters)
        shapes = block_shapes(len(order), self.batch_size, parameters)
        end = 0
        for steps, batch in shapes:
            begin, end = end, end + steps * batch
            # Steps of it that are in `since`: all or none, unless the lengths of blocks are others
            # than when the state was saved.
            done = max(progress.images - begin, 0) // batch
            share = self.replicas.share(batch)
            kept = [layer[done:, share] for layer in draw(steps, batch)]
            if done >= steps:
                continue
            rows = order[begin:end].reshape(steps, batch)[done:, share]
            # A whole block of bytes at once: 2 microseconds a batch of 128, but 12 for each alone.
            block = tf.gather(pixels, rows), tf.gather(one_hot, rows)
            losses, correct = self.execute(batch, *block, *kept)
            progress = Progress(
                step=progress.step + steps - done,
                steps=sum(steps for steps, _ in shapes),
                images=end,
                loss_sum=progress.loss_sum + sum_finite(losses.numpy(), progress.step, epoch),
                correct=progress.correct + int(correct),
                seconds=time.perf_counter() - start,
            )
            yield progress

    def train_block(self, batch_size, pixels, one_hot, *kept):
        """Trains on batches of one size, one after the other.

        batch_size: images of a batch; this process's share of them are the n that follow.
        pixels: `uint8` tensor [steps, n, pixels]; one_hot: tensor [steps, n, classes].
        kept: with dropout, for each hidden layer what it keeps, `bool` [steps, n, units].
        Returns the sum of the costs of each batch [steps], and how many images of all were
        classified correctly, each taken as its batch's turn came.
        """
        dtype = one_hot.dtype

        def step(pixels, one_hot, *kept):
            images = preprocessing.scale(pixels, dtype)
            masks = [dropout_mask(layer, self.dropout, dtype) for layer in kept]
            return train_step(
                self.model,
                self.optimizer,
                images,
                one_hot,
                *masks,
                batch_size=batch_size,
                add_up=self.replicas.add_up,
            )

        step = self.replicas.divide(step, batch_size)
        costs, logits = for_each_batch(step, (pixels, one_hot, *kept), (dtype, dtype))
        return self.replicas.total(
            tf.reduce_sum(costs, axis=1), metrics.count_correct(logits, one_hot)
        )

    def _dropout_of(self, epoch):
        """Returns a function that draws what the next `steps` batches of an epoch keep."""
        if self.dropout == 0:
            return lambda steps, batch: []
        layers = [
            (randomness.generator(self.seed, randomness.DROPOUT, epoch, layer), units)
            for layer, units in enumerate(self.model.layer_sizes[1:-1])
        ]
        return lambda steps, batch: [
            draw_kept(generator, steps * batch, units, self.dropout).reshape(steps, batch, units)
            for generator, units in layers
        ]


def for_each_batch(step, blocks, dtypes):
    """Calls step(*batch) for each batch, in their order; the loop of an epoch.

    blocks: tensors [steps, batch, ...], which are cut along their first axis.
    dtypes: those of the tensors that `step` returns.
    Returns these, stacked: tensors [steps, ...].
    """
    if tf.executing_eagerly():
        batches = zip(*map(tf.unstack, blocks), strict=True)
        outputs = [step(*batch) for batch in batches]
        return [tf.stack(output) for output in zip(*outputs, strict=True)]
    # The same loop inside of a graph. Over numbers: tf.map_fn would copy whole blocks first.
    return tf.map_fn(
        lambda number: step(*(tf.gather(block, number) for block in blocks)),
        tf.range(blocks[0].shape[0]),
        fn_output_signature=dtypes,
        parallel_iterations=1,
    )


def sum_finite(losses, step, epoch):
    """Returns the sum of the costs of consecutive batches, a float.

    losses: [steps]; step: how many batches of the epoch came before them.
    Raises `DivergedError`, which names the step, where one of them is not a finite number.
    """
    wrong = np.flatnonzero(~np.isfinite(losses))
    if wrong.size:
        first = wrong[0]
        raise DivergedError(
            f"The cost became {losses[first]} at step {step + first + 1} of epoch {epoch}: "
            "the training diverged."
        )
    return float(losses.sum(dtype=np.float64))


def block_shapes(samples, batch_size, parameters):
    """Cuts an epoch into blocks of batches. Returns a list of tuples (steps, batch size).

    Blocks are of one length where a number from FEWEST_ to MOST_BLOCK_STEPS divides the steps,
    because each shape is compiled anew (0.3 s for XLA); else of the usual length, and the last one
    is shorter. The images left over are a block of one smaller batch.

    parameters: how many the network has; a large one gets blocks shorter than these.
    """
    steps, rest = divmod(samples, batch_size)
    most = min(MOST_BLOCK_STEPS, max(1, MOST_BLOCK_WORK // (batch_size * parameters)))
    candidates = range(most, min(FEWEST_BLOCK_STEPS, most) - 1, -1)
    usual = min(USUAL_BLOCK_STEPS, most)
    length = next((number for number in candidates if steps % number == 0), usual)
    shapes = [(length, batch_size)] * (steps // length)
    if steps % length:
        shapes.append((steps % length, batch_size))
    if rest:
        shapes.append((1, rest))
    return shapes
