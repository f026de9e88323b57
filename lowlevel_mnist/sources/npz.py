"""A reader for NumPy's `.npz` archives.

A file may be damaged, and is not trusted. So a size in a header is compared with the bytes
that are really there before anything of that size is made, and nothing is unpickled.
"""

import io
import math
import pathlib
import sys
import textwrap
import warnings
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import CHUNK_SIZE, reject_foreign, unreadable
from lowlevel_mnist.sources.published import PARTS

MAX_HEADER_LENGTH = 1000  # characters; that of an array of numbers has about 100
ZIP = b"PK"


def read(path: pathlib.Path, *tables: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Reads the arrays of an archive that are named in a table.

    tables: each has parts of a data set as its keys, and as values what their arrays are called.
        The one counts of which the archive has most; what is not in PARTS may be missing.
    Returns the arrays by their parts, as they are stored; whether they are images and labels is
    not checked.
    Raises `UserError` for a file that can't be read, lacks a key, or holds pickled objects.
    """
    try:
        file = _BoundedReader(path.open("rb", buffering=0))
        beginning = file.peek(100)
    except OSError as error:
        raise unreadable(path, error) from error
    if not beginning.startswith(ZIP):
        reject_foreign(path, beginning)
        fault = "does not begin as one" if beginning else "is empty"
        raise UserError(f"{path} is a broken .npz file (it {fault}); get the file again.")
    try:
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd headers, as those that Python 2 wrote
            archive = np.load(file, allow_pickle=False, max_header_size=MAX_HEADER_LENGTH)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array")
            with archive:
                keys = _choose_keys(tables, archive.zip)
                reasons = [_rejection_reason(archive.zip, key, keys) for key in keys.values()]
                if not any(reasons):
                    return {part: archive[key] for part, key in keys.items()}
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
    raise UserError(f"{path} {next(filter(None, reasons))}")


class _BoundedReader(io.BufferedReader):
    """A file that is never read at once, as zipfile would read an archive's directory, to make
    objects of it that take ten times the memory. The directory of a data set is short."""

    def read(self, size=-1):
        if size > CHUNK_SIZE:
            raise zipfile.BadZipFile("its directory is too long")
        return super().read(size)


def _choose_keys(tables, archive):
    """Returns the table of which most is there, without what may be missing and is."""
    members = set(archive.namelist())
    table = max(tables, key=lambda table: sum(f"{key}.npy" in members for key in table.values()))
    return {part: key for part, key in table.items() if part in PARTS or f"{key}.npy" in members}


def _rejection_reason(archive, key, keys):
    """Returns why NumPy must not read an array of a `zipfile.ZipFile`, or None.

    keys: what all the arrays are called, by their parts.
    Raises `ValueError` where it is damaged: before it is read, its header is held against its size,
    and that against its bytes in the file, which deflate makes at most 1,032 times as many.
    """
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        there = textwrap.shorten(ascii(archive.namelist())[1:-1] or "nothing", 120)
        return f"has no array {key}; such an .npz has {', '.join(keys.values())}, this one {there}."
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
            shape, _, dtype = np.lib.format.read_array_header_1_0(file, MAX_HEADER_LENGTH)
        except Exception as error:  # from Python's parsers of literals and tokens, NumPy's of types
            raise ValueError(f"the header of {key} is damaged") from error
        if dtype.hasobject:
            return (
                f"has {key} as a pickled object, which is never loaded because it can run code; "
                "store it as an array of whole numbers."
            )
        if dtype.names:
            raise ValueError(f"{key} is a table of columns, not an array of numbers")
        if max(shape, default=0) > sys.maxsize:  # beside a length of 0, the size is 0 all the same
            raise ValueError(f"{key} has a length in its header that no array can have")
        size = math.prod(shape) * dtype.itemsize
        if file.tell() + size != member.file_size or size > 1032 * member.compress_size:
            raise ValueError(f"{key} does not have the {size:,} bytes that its header declares")
    return None
