"""Readers for the two forms of MNIST-like data: IDX files (raw or gzip) and NumPy's `.npz`.

A file may be damaged or come from a stranger. So a size in a header is compared with the bytes
that are really there before anything of that size is made, and nothing is unpickled.
"""

import gzip
import io
import math
import pathlib
import struct
import textwrap
import warnings
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
PIECE = 1 << 18  # bytes, the most that is read of a file at a time, by NumPy as well
LONGEST_HEADER = 1000  # characters; that of an array of numbers has about 100
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # in the order of IDX_FILES


def read_folder(folder: pathlib.Path | str) -> Arrays:
    """Reads the four IDX files, or else the one `.npz`, of a folder.

    Returns training images, training labels, test images and test labels.
    Raises `UserError` where they can't be had.
    """
    folder = pathlib.Path(folder)
    try:
        there = folder.is_dir()
    except OSError:  # of a name that is too long, for one
        there = False
    if not there:
        raise UserError(f"There is no data folder {folder}; check the path.")
    idx_files = [_find_idx(folder, name) for name in IDX_FILES]
    archives = sorted(folder.glob("*.npz"))
    if all(idx_files):
        a, b, c, d = (read_idx(path, 3 if "idx3" in path.name else 1) for path in idx_files)
        return a, b, c, d
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


def read_idx(path: pathlib.Path, dimensions: int) -> np.ndarray:
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
    try:
        return np.frombuffer(body, np.uint8).reshape(shape)
    except ValueError as error:  # no bytes, as one length is 0, but the others are enormous
        lengths = " x ".join(f"{length:,}" for length in shape)
        raise UserError(
            f"{path} declares {lengths} bytes, which no array can have; get the file again."
        ) from error


def read_npz(path: pathlib.Path) -> Arrays:
    """Reads `x_train`, `y_train`, `x_test` and `y_test` from an `.npz` archive, in this order.

    Returns four arrays as they are stored; whether they are images and labels is not checked.
    Raises `UserError` for a file that can't be read, lacks a key, or holds pickled objects.
    """
    try:
        file = _InPieces(path.open("rb", buffering=0))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    try:
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd headers, as those that Python 2 wrote
            archive = np.load(file, allow_pickle=False, max_header_size=LONGEST_HEADER)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array")
            with archive:
                wrong = [why for key in NPZ_KEYS if (why := _refusal(archive.zip, key))]
                if not wrong:
                    a, b, c, d = (archive[key] for key in NPZ_KEYS)
                    return a, b, c, d
    # What zipfile raises for an archive that is damaged or encrypted (an OSError where it looks
    # for a part outside of the file), and NumPy for bytes that make no such array.
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        zlib.error,
        ValueError,
        TypeError,
        RuntimeError,
    ) as error:
        # The text may quote the file at any length.
        reason = textwrap.shorten(str(error) or "it ends too early", 120)
        raise UserError(f"{path} is a broken .npz file ({reason}); get the file again.") from error
    raise UserError(f"{path} {wrong[0]}")


class _InPieces(io.BufferedReader):
    """A file that is not read at once, as zipfile does with an archive's directory, of which it
    makes objects that take ten times the memory. The directory of a data set is short."""

    def read(self, size=-1):
        if size > PIECE:
            raise zipfile.BadZipFile("its directory is too long")
        return super().read(size)


def _refusal(archive, key):
    """Returns why NumPy shall not read an array of a `zipfile.ZipFile`, or None.

    Raises `ValueError` where it is damaged: before it is read, its header is held against its size,
    and that against its bytes in the file, which deflate makes at most 1,032 times as many.
    """
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        return f"has no array {key}; an .npz data set needs {', '.join(NPZ_KEYS)}."
    # bzip2 and lzma would take any memory: they give all that a piece of the file expands to.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return (
            f"has {key} compressed in a way that NumPy does not use; save the arrays with "
            "np.savez_compressed."
        )
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):  # later ones are for very long headers
            raise ValueError(f"{key} is not in version 1.0 of the .npy format")
        try:
            shape, _, dtype = np.lib.format.read_array_header_1_0(file, LONGEST_HEADER)
        except Exception as error:  # from Python's parsers of literals and tokens, NumPy's of types
            raise ValueError(f"the header of {key} is damaged") from error
        if dtype.hasobject:
            return (
                f"has {key} as a pickled object, which is never loaded because it can run code; "
                "store it as an array of whole numbers."
            )
        if dtype.names:
            raise ValueError(f"{key} is a table of columns, not an array of numbers")
        size = math.prod(shape) * dtype.itemsize
        if file.tell() + size != member.file_size or size > 1032 * member.compress_size:
            raise ValueError(f"{key} does not have the {size:,} bytes that its header declares")
    return None


def _read_at_most(file, limit):
    """Reads up to `limit` bytes, in pieces: one `read(limit)` would reserve the memory that a
    lying header asks for."""
    pieces = []
    while limit > 0 and (piece := file.read(min(limit, PIECE))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
