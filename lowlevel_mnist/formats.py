"""Readers for the two forms of MNIST-like data: IDX files (raw or gzip) and NumPy's `.npz`.

A file may be damaged or come from a stranger. So a size in a header is compared with the bytes
that are really there before anything of that size is made, and nothing is unpickled.
"""

import gzip
import math
import pathlib
import struct
import zipfile
import zlib

import numpy as np

from lowlevel_mnist.errors import UserError

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_KINDS = {1: "labels", 3: "images"}
NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
PIECE = 1 << 20


def read_folder(folder):
    """Reads the four IDX files, or else the one `.npz`, of a folder.

    Returns training images, training labels, test images and test labels.
    Raises `UserError` where they can't be had.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"There is no data folder {folder}; check the path.")
    idx_files = [_find_idx(folder, name) for name in IDX_FILES]
    archives = sorted(folder.glob("*.npz"))
    if all(idx_files):
        return [read_idx(path, dimensions=3 if "idx3" in path.name else 1) for path in idx_files]
    if any(idx_files):
        missing = [name for name, path in zip(IDX_FILES, idx_files, strict=True) if path is None]
        raise UserError(f"The data folder {folder} lacks {', '.join(missing)} (or the same .gz).")
    if len(archives) == 1:
        return read_npz(archives[0])
    raise UserError(
        f"The data folder {folder} holds {len(archives) or 'no'} .npz files and no IDX files; "
        f"it needs one .npz, or {', '.join(IDX_FILES)} (raw or .gz)."
    )


def _find_idx(folder, name):
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def read_idx(path, dimensions):
    """Reads an IDX file of unsigned bytes.

    path: `pathlib.Path`; a name that ends in `.gz` is decompressed.
    dimensions: 1 for labels, 3 for images.
    Returns a read-only `uint8` array of shape [n] or [n, height, width].
    Raises `UserError` for a file that can't be read or is not what its header says.

    The format (Y. LeCun, "The MNIST database"): big-endian 32-bit numbers, first the magic
    number 0x0800 + dimensions (0x08 stands for unsigned bytes), then the length of each
    dimension; then the bytes themselves.
    """
    header_format = f">{1 + dimensions}I"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(struct.calcsize(header_format))
            if len(header) < struct.calcsize(header_format):
                raise UserError(f"{path} is cut short within its header; get the file again.")
            magic, *shape = struct.unpack(header_format, header)
            if magic != 0x0800 + dimensions:
                raise UserError(
                    f"{path} starts with the magic number {magic:#010x}, but IDX "
                    f"{IDX_KINDS[dimensions]} start with {0x0800 + dimensions:#010x}; is it "
                    "another file under this name?"
                )
            size = math.prod(shape)
            body = _read_at_most(file, size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is a broken gzip file ({error}); get the file again.") from error
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    if len(body) != size:
        amount = "more" if len(body) > size else f"only {len(body):,}"
        raise UserError(
            f"{path} declares {size:,} bytes of {IDX_KINDS[dimensions]} but holds {amount}; "
            "get the file again."
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_npz(path):
    """Reads `x_train`, `y_train`, `x_test` and `y_test` from an `.npz` archive, in this order.

    path: `pathlib.Path`.
    Returns four arrays as they are stored; whether they are images and labels is not checked.
    Raises `UserError` for a file that can't be read, lacks a key, or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_member(archive, path, key) for key in NPZ_KEYS]
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    # What zipfile and NumPy raise for an archive that is damaged, encrypted or compressed in a
    # way that zipfile does not know.
    except (
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise UserError(f"{path} is a broken .npz file ({error}); get the file again.") from error


def _read_member(archive, path, key):
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        raise UserError(
            f"{path} has no array {key}; an .npz data set needs {', '.join(NPZ_KEYS)}."
        ) from None
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{key} has version {version} of the .npy format")
        shape, fortran_order, dtype = read_header(file)
        if dtype.hasobject:
            raise UserError(
                f"{path}: {key} is a pickled object, which is never loaded because it can run "
                "code; store it as an array of whole numbers."
            )
        size = math.prod(shape) * dtype.itemsize
        body = _read_at_most(file, size + 1)
    if len(body) != size:
        raise ValueError(f"{key} does not have the {size:,} bytes that its header declares")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran_order else "C")


def _read_at_most(file, limit):
    """Reads up to `limit` bytes, in pieces: one `read(limit)` would reserve the memory that a
    lying header asks for."""
    pieces = []
    while limit > 0 and (piece := file.read(min(limit, PIECE))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
