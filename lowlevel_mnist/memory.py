"""Bytes that TensorFlow takes as they are, without copying them."""

import contextlib
import math

import numpy as np

ALIGNMENT = 64  # bytes; at a multiple of it a tensor's memory begins


def empty(size: int) -> np.ndarray:
    """Returns a new `uint8` array [size] of any content that begins where a tensor's may."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size]


def take(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns a new array of some rows of a `uint8` array, read-only, for `share` to take as it is.

    rows: whole numbers [n].
    """
    shape = len(rows), *array.shape[1:]
    taken = empty(math.prod(shape)).reshape(shape)
    np.take(array, rows, axis=0, out=taken, mode="clip")  # another mode would make a copy first
    taken.flags.writeable = False
    return taken


def share(array: np.ndarray) -> np.ndarray:
    """Returns an array of the same content and dtype whose memory a tensor may have.

    It has the memory of `array` itself, if that is read-only and begins where a tensor's may, and
    otherwise a copy: what its owner can still change is not shared.
    """
    is_aligned = array.ctypes.data % ALIGNMENT == 0
    if is_aligned and array.flags.c_contiguous and not array.flags.writeable:
        view = array.view()
        with contextlib.suppress(ValueError):  # it can't be written to by anybody, as with `bytes`
            view.flags.writeable = True  # DLPack knows no other memory; nobody will
            return view
    copy = empty(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
