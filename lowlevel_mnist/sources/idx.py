"""A reader for IDX files, the format in which MNIST was published.

A file may be damaged, and is not trusted. So a size in a header is compared with the bytes
that are really there before anything of that size is made.
"""

import math
import pathlib
import struct

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import open_bytes, read_bytes

KINDS = {1: "labels", 3: "images"}


def read(path: pathlib.Path, dimensions: int) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, raw or compressed by gzip.

    dimensions: 1 for labels, 3 for images.
    Returns a read-only `uint8` array of shape [n] or [n, height, width].
    Raises `UserError` for a file that can't be read or is not what its header says.

    The format (Y. LeCun, "The MNIST database"): big-endian 32-bit numbers, first the magic
    number 0x0800 + dimensions (0x08 stands for unsigned bytes), then the length of each
    dimension; then the bytes themselves.
    """
    header_format = f">{1 + dimensions}I"
    with open_bytes(path) as file:
        header = file.read(struct.calcsize(header_format))
        if len(header) < struct.calcsize(header_format):
            raise UserError(f"{path} is cut short within its header; get the file again.")
        magic, *shape = struct.unpack(header_format, header)
        if magic != 0x0800 + dimensions:
            raise UserError(
                f"{path} starts with the magic number {magic:#010x}, but IDX "
                f"{KINDS[dimensions]} start with {0x0800 + dimensions:#010x}; is it "
                "another file under this name?"
            )
        size = math.prod(shape)
        body = read_bytes(path, file, size, path.stat().st_size)
        has_more = bool(file.read(1))
    if body.size != size or has_more:
        amount = "more" if has_more else f"only {body.size:,}"
        raise UserError(
            f"{path} declares {size:,} bytes of {KINDS[dimensions]} but holds {amount}; "
            "get the file again."
        )
    try:
        return body.reshape(shape)
    except ValueError as error:  # no bytes, as one length is 0, but the others are enormous
        lengths = " x ".join(f"{length:,}" for length in shape)
        raise UserError(
            f"{path} declares {lengths} bytes, which no array can have; get the file again."
        ) from error
