"""Step 6 of the walkthrough: epochs and batches."""

import dataclasses
import time

import tensorflow as tf

from lowlevel_mnist import cost, metrics, preprocessing, randomness
from lowlevel_mnist.model import dropout_mask

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


def train_step(model, optimizer, images, one_hot, *masks):
    """One step: cost and gradients of one batch, then the update.

    It depends on nothing but the variables and its arguments, of which the masks carry all
    that is random about dropout.

    images: [n, pixels], scaled; one_hot: [n, classes].
    masks: with dropout, one [n, units] for each hidden layer.
    Returns the costs [n] and logits [n, classes] from before the update.
    """
    costs, logits, gradients = cost.cost_and_gradients(
        model, optimizer.parameters, images, one_hot, *masks
    )
    optimizer.apply(gradients)
    return costs, logits


def train_epoch(model, optimizer, pixels, one_hot, batch_size, dropout, seed, epoch):
    """Trains one epoch: every image once, in an order drawn from (seed, epoch).

    The last batch has the images that are left over; it counts like the others.

    pixels: `uint8` tensor [n, pixels].
    one_hot: tensor [n, classes] of the variables' dtype.
    dropout: part of the hidden outputs that each step drops, in [0, 1).
    batch_size, seed, epoch: whole numbers.
    Yields a `Progress` after each BLOCK_STEPS steps and at the end of the epoch.
    """
    start = time.perf_counter()
    order = randomness.generator(seed, randomness.BATCH_ORDER, epoch).permutation(len(pixels))
    masks_of = dropout_masks(model.layer_sizes[1:-1], dropout, one_hot.dtype, seed, epoch)
    steps_of_epoch = len(batch_sizes(len(order), batch_size))
    block_size = BLOCK_STEPS * batch_size
    steps, loss_sum, correct = 0, 0.0, 0
    for block_start in range(0, len(order), block_size):
        block = order[block_start : block_start + block_size]
        block_images = preprocessing.scale(tf.gather(pixels, block), one_hot.dtype)
        block_one_hot = tf.gather(one_hot, block)
        sizes = batch_sizes(len(block), batch_size)
        tensors = (block_images, block_one_hot, *masks_of(len(block)))
        batches = zip(*(tf.split(tensor, sizes) for tensor in tensors), strict=True)
        costs, logits = [], []
        for batch in batches:
            batch_costs, batch_logits = train_step(model, optimizer, *batch)
            costs.append(batch_costs)
            logits.append(batch_logits)
        steps += len(sizes)
        loss_sum += float(tf.reduce_sum(tf.concat(costs, axis=0)))
        correct += int(metrics.count_correct(tf.concat(logits, axis=0), block_one_hot))
        seen = block_start + len(block)
        yield Progress(
            step=steps,
            steps=steps_of_epoch,
            loss=loss_sum / seen,
            accuracy=correct / seen,
            seconds=time.perf_counter() - start,
        )


def dropout_masks(hidden_units, rate, dtype, seed, epoch):
    """Returns a function that draws the masks of the next images of an epoch.

    It takes a number of images and returns a list with a mask [images, units] for each hidden
    layer, or an empty list where `rate` is 0.
    """
    if rate == 0:
        return lambda images: []
    generators = [
        randomness.generator(seed, randomness.DROPOUT, epoch, layer)
        for layer in range(len(hidden_units))
    ]
    return lambda images: [
        dropout_mask(generator, images, units, rate, dtype.as_numpy_dtype)
        for generator, units in zip(generators, hidden_units, strict=True)
    ]


def batch_sizes(samples, batch_size):
    """Returns a list of the sizes of all batches: the last one has what is left over."""
    sizes = [batch_size] * (samples // batch_size)
    if samples % batch_size:
        sizes.append(samples % batch_size)
    return sizes
