"""How an epoch is cut into blocks of steps, and how a block is executed: eagerly, or compiled."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lowlevel_mnist.errors import check_finite

# Batches of a block: what is trained on between two reports, in one call of a compiled function.
# Fewer cost more around the steps; more make progress and Ctrl-C wait and take more memory. What is
# compiled is through with four times as many as soon; an epoch of mlp-128-dropout takes XLA 0.175 s
# then, not 0.210.
FEWEST_BLOCK_STEPS, MOST_BLOCK_STEPS, MOST_COMPILED_BLOCK_STEPS = 32, 128, 512
# Multiplications of a block's forward passes at most, for large networks: a second's work.
MOST_BLOCK_WORK = 10_000_000_000
# Numbers that are prepared at a time for eager steps: 8 MB of float32. For a small batch, calling a
# kernel takes longer than its work: with some batches at once, the recipes' epochs are 2 to 9 %
# shorter. A whole block would take gigabytes where images are large.
MOST_PREPARED = 2**21

COMPILERS = {
    "eager": lambda function: function,
    "graph": tf.function(autograph=False),
    "xla": tf.function(autograph=False, jit_compile=True),
}


def for_each_batch(prepare, step, blocks, dtypes):
    """Calls step(*prepare(*batch)) for each batch, in their order; the loop of an epoch.

    prepare: maps tensors to what `step` takes, element by element.
    blocks: tensors [steps, batch, ...], which are cut along their first axis.
    dtypes: those of the tensors that `step` returns.
    Returns these, stacked: tensors [steps, ...].
    """
    if tf.executing_eagerly():
        outputs = [
            step(*batch)
            for piece in _pieces(blocks)
            for batch in zip(*map(tf.unstack, prepare(*piece)), strict=True)
        ]
        return [tf.stack(output) for output in zip(*outputs, strict=True)]
    # The same loop inside of a graph. Over numbers: tf.map_fn would copy whole blocks first.
    return tf.map_fn(
        lambda number: step(*prepare(*(tf.gather(block, number) for block in blocks))),
        tf.range(blocks[0].shape[0]),
        fn_output_signature=dtypes,
        parallel_iterations=1,
    )


def _pieces(blocks):
    """Cuts blocks along their first axis, so that MOST_PREPARED bounds a piece of all of them."""
    steps = blocks[0].shape[0]
    numbers_of_batch = sum(math.prod(block.shape) for block in blocks) // steps
    length = max(1, MOST_PREPARED // max(numbers_of_batch, 1))
    for first in range(0, steps, length):
        yield [block[first : first + length] for block in blocks]


def count_multiplications(
    model: tf.Module, sizes: Sequence[int], classes: int, dtype: tf.DType
) -> int:
    """Counts the multiplications that the forward pass of one image takes.

    Each number that comes out of an operation with a variable takes as many as the variable has
    weights for it: its size without the last axis. In a dense network that is one for each
    parameter; in a convolution, one for each weight and each place of the kernel.

    model: maps images, and masks where it drops out, to logits.
    sizes: pixels of an image, and units of each layer that drops out.
    Raises `ValueError` where the model can't be called with these, or does not give logits for so
    many classes.
    """
    inputs = [tf.TensorSpec([1, size], dtype) for size in sizes]
    shapes = " and masks ".join(str([1, size]) for size in sizes)
    try:
        traced = tf.function(model, autograph=False).get_concrete_function(*inputs)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        reason = textwrap.shorten(str(error), 300)
        raise ValueError(f"The model can't be called with images {shapes}: {reason}") from error
    outputs = traced.structured_outputs.shape.as_list()
    if outputs != [1, classes]:
        raise ValueError(
            f"The model gives {outputs} for images {shapes}; for these labels it must give logits "
            f"[1, {classes}]."
        )
    values = [op.outputs[0] for op in traced.graph.get_operations() if op.type == "ReadVariableOp"]
    return sum(
        output.shape.num_elements() * math.prod(value.shape[:-1])
        for value in values
        for user in value.consumers()
        for output in user.outputs[:1]
    )


def block_shapes(
    samples: int, batch_size: int, work: int, most_steps: int = MOST_BLOCK_STEPS
) -> list[tuple[int, int]]:
    """Cuts an epoch into blocks of batches. Returns a list of tuples (steps, batch size).

    Blocks are of one length where a number from FEWEST_BLOCK_STEPS to `most_steps` divides the
    steps, because each shape is compiled anew (0.3 s for XLA); else of half of `most_steps`, and
    the last one is shorter. The images left over are a block of one smaller batch.

    work: multiplications that an image takes; a large network gets shorter blocks.
    """
    steps, rest = divmod(samples, batch_size)
    most = min(most_steps, max(1, MOST_BLOCK_WORK // (batch_size * max(work, 1))))
    candidates = range(most, min(FEWEST_BLOCK_STEPS, most) - 1, -1)
    usual = min(most_steps // 2, most)
    length = next((number for number in candidates if steps % number == 0), usual)
    shapes = [(length, batch_size)] * (steps // length)
    if steps % length:
        shapes.append((steps % length, batch_size))
    if rest:
        shapes.append((1, rest))
    return shapes


def sum_finite(losses: np.ndarray, step: int, epoch: int) -> float:
    """Returns the sum of the costs of consecutive batches.

    losses: [steps]; step: how many batches of the epoch came before them.
    Raises `DivergedError`, which names the step, where one of them is not a finite number.
    """
    for first in np.flatnonzero(~np.isfinite(losses)):
        check_finite(losses[first], f"at step {step + first + 1} of epoch {epoch}")
    return float(losses.sum(dtype=np.float64))
