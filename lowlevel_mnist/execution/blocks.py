"""How an epoch is cut into blocks of batches, and how a block is executed: eagerly, or compiled."""

import math
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Block = Sequence[tf.Tensor]  # batches, gathered at once: tensors [batches, n, ...]
Index: TypeAlias = np.int32 | tf.Tensor  # of a batch: NumPy's eagerly, a tensor in a graph
Loop = Callable[[Block, Index, Index], Sequence[tf.Tensor]]  # over the batches of a block

# Batches of a block. Compiled blocks are faster, so they may be four times as long: an epoch of
# mlp-128-dropout takes XLA 0.175 s then, not 0.210.
MAX_EAGER_STEPS, MAX_COMPILED_STEPS = 128, 512
MAX_BLOCK_BYTES = 2**27  # of its images and masks; where images are large, a block is shorter
# Seconds of a call, after which progress is shown and Ctrl-C is heard. It gets twice as many steps
# where it takes less than the first, and half as many where it takes more than the second. With
# 0.2 for the first, an eager epoch of mlp-512 takes 10 % longer.
MIN_CALL_SECONDS, MAX_CALL_SECONDS = 0.3, 0.8
# Numbers that are prepared at a time for eager steps: 8 MB of float32. For a small batch, calling a
# kernel takes longer than its work: with some batches at once, the recipes' epochs are 2 to 9 %
# shorter.
MAX_PREPARED = 2**21


def max_steps(execution: str, bytes_per_batch: int) -> int:
    """Returns how many batches a block may have."""
    most = MAX_EAGER_STEPS if execution == "eager" else MAX_COMPILED_STEPS
    return min(most, max(1, MAX_BLOCK_BYTES // bytes_per_batch))


def cut_epoch(
    order: np.ndarray, batch_size: int, max_steps: int, done: int = 0
) -> Iterator[tuple[int, np.ndarray, int]]:
    """Cuts an epoch, or what is left of it, into blocks of batches, all of one length.

    So that their function is compiled once, the last one begins within the one before it where it
    must. The images left over, a smaller batch, are a block of their own.

    order: which images are trained on, one after the other, [n].
    done: so many batches are trained on already.
    Yields the number in `order` of a block's first image, its part of `order` as
    [batches, batch_size], and how many of these batches are trained on already.
    """
    steps, rest = divmod(len(order), batch_size)
    length = math.ceil(steps / math.ceil(steps / max_steps))
    for begin in range(done, steps, length):
        first = min(begin, steps - length) * batch_size
        rows = order[first : first + length * batch_size].reshape(length, batch_size)
        yield first, rows, begin - first // batch_size
    if rest:
        yield len(order) - rest, order[np.newaxis, -rest:], 0


def compile_loop(loop: Any, execution: str) -> Loop:
    """Returns a method with a loop over the batches of a block as it is executed.

    Eagerly that is the method itself. Otherwise AutoGraph makes a loop of the graph of its `while`,
    and TensorFlow compiles it, once for each shape of a block.
    """
    if execution == "eager":
        return loop
    # Not recursive: to convert the functions that it calls as well takes 0.3 s longer.
    graph = types.MethodType(tf.autograph.to_graph(loop, recursive=False), loop.__self__)
    compiled = tf.function(graph, autograph=False, jit_compile=execution == "xla")
    # For each trainer it is compiled once. TensorFlow takes those of several trainers for one, and
    # from the fifth on would warn of a function that is compiled again and again.
    compiled._omit_frequent_tracing_warning = True
    return compiled


class Pace:
    """Executes a block in calls of the loop that last 0.3 to 0.6 s.

    steps: of the next call, at most.
    agree: gives the seconds of a call, as all workers that take part in it have to see them.
    """

    def __init__(self) -> None:
        self.steps = 1
        self.agree: Callable[[float], float] = lambda seconds: seconds

    def calls(self, loop: Loop, block: Block, first: int) -> Iterator[list[np.ndarray]]:
        """Calls a loop for the batches of a block from the number `first` on.

        loop: called with the block, the first batch, and the one after the last; returns tensors
            [batches], of which only what belongs to these batches counts.
        Yields this part of each, after each call.
        """
        length = len(block[0])
        while first < length:
            # As NumPy's numbers: for each of Python's, TensorFlow would compile the loop anew.
            end = np.int32(min(first + self.steps, length))
            start = time.perf_counter()
            values = [tensor.numpy()[first:end] for tensor in loop(block, np.int32(first), end)]
            seconds = self.agree(time.perf_counter() - start)
            if seconds > MAX_CALL_SECONDS:
                self.steps = max(1, self.steps // 2)
            elif seconds < MIN_CALL_SECONDS and end - first == self.steps:
                self.steps *= 2
            yield values
            first = int(end)


def batches(
    block: Block, prepare: Callable[..., Sequence[tf.Tensor]], first: Index, end: Index
) -> Callable[[Index], Sequence[tf.Tensor]]:
    """Returns a function that gives the batches of a block, first ... end - 1, in their order.

    Eagerly, some of them are prepared at a time.

    prepare: maps the tensors of a block, or of one batch of it, to what a step takes.
    """
    if not tf.executing_eagerly():
        return lambda number: prepare(*(tf.gather(tensor, number) for tensor in block))
    some = max(1, MAX_PREPARED // sum(math.prod(tensor.shape[1:]) for tensor in block))
    parts = (slice(begin, min(begin + some, end)) for begin in range(first, end, some))
    pieces = (map(tf.unstack, prepare(*(tensor[part] for tensor in block))) for part in parts)
    prepared = (batch for piece in pieces for batch in zip(*piece, strict=True))
    return lambda number: next(prepared)


def outputs(
    shape: tf.TensorShape | Sequence[int], dtype: tf.DType
) -> "tf.TensorArray | EagerArray":
    """Returns an array of `shape` to write row by row: `array = array.write(number, row)`.

    `array.stack()` makes a tensor of it, with zeros where no row has been written.
    """
    if tf.executing_eagerly():
        return EagerArray([tf.zeros(shape[1:], dtype)] * shape[0])
    return tf.TensorArray(dtype, shape[0], element_shape=shape[1:])


class EagerArray(list[tf.Tensor]):
    """A `tf.TensorArray` for eager loops; to write a row of TensorFlow's takes 44 microseconds."""

    def write(self, number: np.int32, row: tf.Tensor) -> "EagerArray":
        self[number] = row
        return self

    def stack(self) -> tf.Tensor:
        return tf.stack(self)
