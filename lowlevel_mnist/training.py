"""Step 6 of the walkthrough: epochs and batches."""

import dataclasses
import time

import tensorflow as tf

from lowlevel_mnist import cost, metrics, preprocessing, randomness

# Batches that are cut, and measured, at once. Each alone costs more in Python than in
# arithmetic; for an epoch of 469 batches 16 take 0.25 s, 64 take 0.19 s, all 0.21 s.
BLOCK_STEPS = 64


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an epoch has come.

    step, steps: batches trained on, and batches of the epoch.
    loss, accuracy: means over the images trained on so far, each taken as its batch's turn came.
    seconds: wall time since the epoch began.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    seconds: float


def train_step(model, optimizer, images, one_hot):
    """One step: cost and gradients of one batch, then the update.

    images: [n, pixels], scaled; one_hot: [n, classes].
    Returns the costs [n] and logits [n, classes] from before the update.
    """
    costs, logits, gradients = cost.cost_and_gradients(model, optimizer.variables, images, one_hot)
    optimizer.apply(gradients)
    return costs, logits


def train_epoch(model, optimizer, pixels, one_hot, batch_size, seed, epoch):
    """Trains one epoch: every image once, in an order drawn from (seed, epoch).

    The last batch has the images that are left over; it counts like the others.

    pixels: `uint8` tensor [n, pixels].
    one_hot: tensor [n, classes] of the variables' dtype.
    batch_size, seed, epoch: whole numbers.
    Yields a `Progress` after each BLOCK_STEPS steps and at the end of the epoch.
    """
    start = time.perf_counter()
    order = randomness.generator(seed, randomness.BATCH_ORDER, epoch).permutation(len(pixels))
    block_size = BLOCK_STEPS * batch_size
    steps, loss_sum, correct = 0, 0.0, 0
    for block_start in range(0, len(order), block_size):
        block = order[block_start : block_start + block_size]
        block_images = preprocessing.scale(tf.gather(pixels, block), one_hot.dtype)
        block_one_hot = tf.gather(one_hot, block)
        sizes = batch_sizes(len(block), batch_size)
        batches = zip(tf.split(block_images, sizes), tf.split(block_one_hot, sizes), strict=True)
        results = [train_step(model, optimizer, *batch) for batch in batches]
        costs, logits = (tf.concat(parts, axis=0) for parts in zip(*results, strict=True))
        steps += len(sizes)
        loss_sum += float(tf.reduce_sum(costs))
        correct += int(metrics.count_correct(logits, block_one_hot))
        seen = block_start + len(block)
        yield Progress(
            step=steps,
            steps=len(batch_sizes(len(order), batch_size)),
            loss=loss_sum / seen,
            accuracy=correct / seen,
            seconds=time.perf_counter() - start,
        )


def batch_sizes(samples, batch_size):
    """Returns a list of the sizes of all batches: the last one has what is left over."""
    sizes = [batch_size] * (samples // batch_size)
    if samples % batch_size:
        sizes.append(samples % batch_size)
    return sizes
