"""How an epoch is cut into blocks of batches, and how a block is executed: eagerly, or compiled."""

import math
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

Block = Sequence[tf.Tensor]  # batches, gathered at once: tensors [batches, n, ...]

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


class Cut(NamedTuple):
    """A block of an epoch.

    first: the number of its first image in the order of training.
    batch_size, steps: images of a batch, and how many batches are trained on.
    done: how many of these are trained on already.
    length: batches to gather, the same for all blocks of an epoch: their function is compiled once.
    """

    first: int
    batch_size: int
    steps: int
    done: int
    length: int

    def rows_of(self, order: np.ndarray) -> np.ndarray:
        """Returns which images are gathered, [length, batch_size]; order: those of the epoch."""
        images = order[self.first : self.first + self.steps * self.batch_size]
        return np.resize(images, (self.length, self.batch_size))  # filled up with the first ones


def max_steps(execution: str, bytes_per_batch: int) -> int:
    """Returns how many batches a block may have."""
    most = MAX_EAGER_STEPS if execution == "eager" else MAX_COMPILED_STEPS
    return min(most, max(1, MAX_BLOCK_BYTES // bytes_per_batch))


def cut_epoch(samples: int, batch_size: int, max_steps: int, done: int = 0) -> list[Cut]:
    """Cuts an epoch into blocks of batches, all of one length.

    The last one may have fewer steps. The images left over, a smaller batch, are a block of their
    own.

    done: so many batches are trained on already; blocks of these alone are left out.
    """
    steps, rest = divmod(samples, batch_size)
    length = math.ceil(steps / math.ceil(steps / max_steps))
    cuts = []
    for begin in range(0, steps, length):
        left = min(length, steps - begin)
        cuts.append(Cut(begin * batch_size, batch_size, left, max(done - begin, 0), length))
    if rest:
        cuts.append(Cut(steps * batch_size, rest, steps=1, done=0, length=1))
    return [cut for cut in cuts if cut.done < cut.steps]


def compile_loop(loop: Any, execution: str) -> Callable:
    """Returns a method with a loop over the batches of a block as it is executed.

    Eagerly that is the method itself. Otherwise AutoGraph makes a loop of the graph of its `while`,
    and TensorFlow compiles it, once for each shape of a block.
    """
    if execution == "eager":
        return loop
    # Not recursive: to convert the functions that it calls as well takes 0.3 s longer.
    graph = types.MethodType(tf.autograph.to_graph(loop, recursive=False), loop.__self__)
    return tf.function(graph, autograph=False, jit_compile=execution == "xla")


class Pace:
    """Cuts a block into calls of the loop that last 0.3 to 0.6 s: `with pace:` measures each.

    steps: of the next call, at most.
    agree: gives the seconds of a call, as all workers that take part in it have to see them.
    """

    def __init__(self) -> None:
        self.steps = 1
        self.agree: Callable[[float], float] = lambda seconds: seconds

    def calls(self, first: int, end: int) -> Iterator[tuple[np.int32, np.int32]]:
        """Yields for each call the first of its batches, and the one after its last."""
        while first < end:
            steps = min(self.steps, end - first)
            # As NumPy's numbers: for each of Python's, TensorFlow would compile the loop anew.
            yield np.int32(first), np.int32(first + steps)
            seconds = self.agree(self.seconds)
            if seconds > MAX_CALL_SECONDS:
                self.steps = max(1, self.steps // 2)
            elif seconds < MIN_CALL_SECONDS and steps == self.steps:
                self.steps *= 2
            first += steps

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.start


def batches(block: Block, prepare: Callable, first: int, end: int) -> Callable[[int], Sequence]:
    """Returns a function that gives the batches of a block, first ... end - 1, in their order.

    prepare: maps the tensors of a block, or of one batch of it, to what a step takes.
    """
    if tf.executing_eagerly():
        prepared = _prepare_some(block, prepare, first, end)
        return lambda number: next(prepared)
    return lambda number: prepare(*(tf.gather(tensor, number) for tensor in block))


def _prepare_some(block: Block, prepare: Callable, first: int, end: int) -> Iterator[Sequence]:
    """Yields one batch after the other, some of which are prepared at a time."""
    numbers = sum(math.prod(tensor.shape[1:]) for tensor in block)
    some = max(1, MAX_PREPARED // max(numbers, 1))
    for begin in range(first, end, some):
        part = slice(begin, min(begin + some, end))
        yield from zip(*map(tf.unstack, prepare(*(tensor[part] for tensor in block))), strict=True)


def outputs(shape: Sequence[int], dtype: tf.DType) -> "tf.TensorArray | EagerArray":
    """Returns an array of `shape` to write row by row: `array = array.write(number, row)`.

    `array.stack()` makes a tensor of it, with zeros where no row has been written.
    """
    if tf.executing_eagerly():
        return EagerArray(shape, dtype)
    return tf.TensorArray(dtype, shape[0], element_shape=shape[1:])


class EagerArray:
    """A `tf.TensorArray` for eager loops; to write a row of TensorFlow's takes 44 microseconds."""

    def __init__(self, shape: Sequence[int], dtype: tf.DType):
        self.rows = [tf.zeros(shape[1:], dtype)] * shape[0]

    def write(self, number: int, row: tf.Tensor) -> "EagerArray":
        self.rows[number] = row
        return self

    def stack(self) -> tf.Tensor:
        return tf.stack(self.rows)
