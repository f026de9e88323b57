"""A reader for NumPy's `.npz` archives. `np.load` would hold an array twice before it is a tensor.

A file may be damaged, and is not trusted. So a size in a header is compared with the bytes
that are really there before anything of that size is made, and nothing is unpickled.
"""

import io
import math
import pathlib
import textwrap
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import (
    check_expansion,
    open_file,
    read_bytes,
    reject_foreign,
)
from lowlevel_mnist.sources.published import PARTS

MAX_HEADER_LENGTH = 1000  # characters; that of an array of numbers has about 100
MAX_DIRECTORY_SIZE = 1 << 18  # bytes; zipfile makes objects of them that take ten times as many


def read(path: pathlib.Path, *tables: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Reads the arrays of an archive that are named in a table.

    tables: each has parts of a data set as its keys, and as values what their arrays are called.
        The one counts of which the archive has most; what is not in PARTS may be missing.
    Returns the arrays by their parts, as they are stored, read-only; whether they are images and
    labels is not checked.
    Raises `UserError` for a file that can't be read, lacks a key, or holds pickled objects.
    """
    with open_file(path) as file:
        beginning = file.peek(100)
        is_zip = beginning.startswith(b"PK")
        if not is_zip:
            reject_foreign(path, beginning)
        try:
            if not is_zip:
                raise ValueError("it does not begin as one" if beginning else "it is empty")
            with _BoundedReader(file.raw) as bounded, zipfile.ZipFile(bounded) as archive:
                keys = _choose_keys(path, tables, archive.namelist())
                members = {part: archive.getinfo(f"{key}.npy") for part, key in keys.items()}
                deflated = (m for m in members.values() if m.compress_type)
                check_expansion(path, sum(member.file_size for member in deflated))
                return {part: _read_array(path, archive, members[part]) for part in members}
        except (UserError, MemoryError):
            raise
        except Exception as error:  # of many kinds: from zipfile, zlib, NumPy, Python's parser
            # The text may quote the file at any length.
            reason = textwrap.shorten(str(error) or "it ends too early", 120)
            raise UserError(
                f"{path} is a broken .npz file ({reason}); get the file again."
            ) from error


class _BoundedReader(io.BufferedReader):
    """A file that is never read at once, as zipfile would read an archive's directory."""

    def read(self, size=-1):
        if size > MAX_DIRECTORY_SIZE:
            raise ValueError("its directory is too long")
        return super().read(size)


def _choose_keys(path, tables, members):
    """Returns the table of which most is there, without what may be missing and is.

    members: the names of all members of the archive.
    Raises `UserError` where something is missing that may not.
    """
    keys = {member.removesuffix(".npy") for member in members}
    table = max(tables, key=lambda table: len(keys.intersection(table.values())))
    wanted = {part: key for part, key in table.items() if part in PARTS or key in keys}
    for key in wanted.values():
        if key not in keys:
            shown = textwrap.shorten(ascii(members)[1:-1] or "nothing", 120)
            raise UserError(
                f"{path} has no array {key}; such an .npz has {', '.join(wanted.values())}, this "
                f"one {shown}."
            )
    return wanted


def _read_array(path, archive, member):
    """Reads an array of an archive. Raises an exception of any kind where it is damaged."""
    key = member.filename.removesuffix(".npy")
    # bzip2 and lzma would take any memory: they give all that a piece of the file expands to.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{key} is neither stored nor deflated")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):  # later ones are for very long headers
            raise ValueError(f"{key} is not in version 1.0 of the .npy format")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd headers, as those that Python 2 wrote
            header = np.lib.format.read_array_header_1_0(file, MAX_HEADER_LENGTH)
        shape, is_fortran, dtype = header
        if dtype.hasobject:
            raise UserError(
                f"{path} has {key} as a pickled object, which is never loaded because it can run "
                "code; store it as an array of whole numbers."
            )
        size = math.prod(shape) * dtype.itemsize
        # Its checksum is looked at when all of it has been read.
        if dtype.kind == "V" or file.tell() + size != member.file_size:
            raise ValueError(f"{key} is no array of numbers as large as its header declares")
        body = read_bytes(path, file, size, min(member.compress_size, path.stat().st_size))
    return body.view(dtype).reshape(shape, order="F" if is_fortran else "C")
