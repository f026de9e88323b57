"""Aligned buffers that become tensors without a copy."""

import contextlib
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import tensorflow as tf

ALIGNMENT = 64  # bytes; at a multiple of it a tensor's memory begins


def empty(size: int) -> npt.NDArray[np.uint8]:
    """Returns a new `uint8` array [size] of any content that begins where a tensor's may."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size]


def take(array: npt.NDArray[np.uint8], rows: np.ndarray) -> npt.NDArray[np.uint8]:
    """Returns a new array of some rows of a `uint8` array, read-only, for `as_tensor`.

    rows: whole numbers [n].
    """
    shape = len(rows), *array.shape[1:]
    taken = empty(math.prod(shape)).reshape(shape)
    np.take(array, rows, axis=0, out=taken, mode="clip")  # another mode would make a copy first
    taken.flags.writeable = False
    return taken


def as_tensor(array: np.ndarray) -> "tf.Tensor":
    """Returns a `tf.Tensor` of the same content, shape and dtype.

    It has the memory of `array` itself, if that is read-only and aligned, and otherwise a copy:
    what its owner can still change is not shared. `tf.constant` would hold all of it three times
    for a moment: training on 600,000 images took 2.0 GB then, and takes 1.2.
    """
    import tensorflow as tf  # which takes seconds, and who only reads data does not need it

    return tf.identity(tf.experimental.dlpack.from_dlpack(_aligned(array).__dlpack__()))


def _aligned(array: np.ndarray) -> np.ndarray:
    """Returns the array, or an aligned copy: TensorFlow aborts the process on any other."""
    is_aligned = array.ctypes.data % ALIGNMENT == 0
    if is_aligned and array.flags.c_contiguous and not array.flags.writeable:
        view = array.view()
        with contextlib.suppress(ValueError):  # it can't be written to by anybody, as with `bytes`
            view.flags.writeable = True  # DLPack knows no other memory; nobody will
            return view
    copy = empty(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
