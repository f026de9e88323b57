"""A reader for IDX files, the format in which MNIST was published.

A file may be damaged, and is not trusted. So a size in a header is compared with the bytes
that are really there before anything of that size is made.
"""

import math
import pathlib
import struct

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import ByteFile, open_bytes, read_bytes

DIMENSIONS = {"images": 3, "labels": 1}
BYTES, INTEGERS = 0x0800, 0x0C00  # the type of what follows, as the magic number has it


def read(path: pathlib.Path, kind: str) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, raw or compressed by gzip.

    kind: "images", or "labels", which may also be QMNIST's: rows of 32-bit integers, of which the
        first one is the class.
    Returns a read-only array [n, height, width] or [n]: `uint8`, or of QMNIST `int32`.
    Raises `UserError` for a file that can't be read or is not what its header says.

    The format (Y. LeCun, "The MNIST database"): big-endian 32-bit numbers, first the magic number
    0x0800 + dimensions (0x08 stands for unsigned bytes, 0x0C for integers), then the length of each
    dimension; then the numbers themselves.
    """
    expected = BYTES + DIMENSIONS[kind]
    with open_bytes(path) as file:
        (magic,) = _read_header(path, file, 1)
        is_qmnist = kind == "labels" and magic == INTEGERS + 2
        if magic != expected and not is_qmnist:
            raise UserError(
                f"{path} starts with the magic number {magic:#010x}, but IDX {kind} start with "
                f"{expected:#010x}; is it another file under this name?"
            )
        shape = _read_header(path, file, magic % 256)
        size = math.prod(shape) * (4 if is_qmnist else 1)
        body = read_bytes(path, file, size, path.stat().st_size)
        has_more = bool(file.read(1))
    if body.size != size or has_more:
        amount = "more" if has_more else f"only {body.size:,}"
        raise UserError(
            f"{path} declares {size:,} bytes of {kind} but holds {amount}; get the file again."
        )
    try:
        array = body.view(">i4" if is_qmnist else np.uint8).reshape(shape)
        return array[:, 0] if is_qmnist else array
    except (ValueError, IndexError) as error:  # one length is 0, but the others are enormous
        lengths = " x ".join(f"{length:,}" for length in shape)
        raise UserError(
            f"{path} declares {lengths} numbers, which no array can have; get the file again."
        ) from error


def _read_header(path: pathlib.Path, file: ByteFile, count: int) -> tuple[int, ...]:
    """Returns the next big-endian 32-bit numbers of a file."""
    form = f">{count}I"
    header = file.read(struct.calcsize(form))
    if len(header) < struct.calcsize(form):
        raise UserError(f"{path} is cut short within its header; get the file again.")
    return struct.unpack(form, header)
