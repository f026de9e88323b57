"""A reader for NumPy's files. `np.load` would hold an array twice before it is a tensor.

A file may be damaged, and is not trusted. So a size in a header is compared with the bytes
that are really there before anything of that size is made, and nothing is unpickled.
"""

import contextlib
import io
import math
import pathlib
import textwrap
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import (
    check_expansion,
    open_file,
    read_bytes,
    reject_foreign,
)

MAX_HEADER_LENGTH = 1000  # characters; that of an array of numbers has about 100
MAX_DIRECTORY_SIZE = 1 << 18  # bytes; zipfile makes objects of them that take ten times as many


def read(
    path: pathlib.Path, find_parts: Callable[[list[str]], Mapping[str, str]]
) -> dict[str, np.ndarray]:
    """Reads arrays of a `.npz` archive.

    find_parts: is given the names of all its arrays, and returns those of the ones to be read, by
        what they are, such as "training images".
    Returns the arrays by what they are, as they are stored, read-only; whether they are images and
    labels is not checked.
    Raises `UserError` for a file that can't be read, has none of them, or holds pickled objects.
    """
    with _open_archive(path) as archive:
        names = _array_names(archive)
        parts = find_parts(names)
        if not parts:
            shown = textwrap.shorten(ascii(names)[1:-1] or "nothing", 120)
            raise UserError(
                f"{path} has no images with labels: such an .npz has x_train, y_train, x_test, "
                f"y_test, this one {shown}."
            )
        members = {part: archive.getinfo(f"{name}.npy") for part, name in parts.items()}
        deflated = (member for member in members.values() if member.compress_type)
        check_expansion(path, sum(member.file_size for member in deflated))
        return {part: _read_member(path, archive, members[part]) for part in members}


def list_arrays(path: pathlib.Path) -> list[str]:
    """Returns the names of all arrays of a `.npz` archive; none where it can't be read."""
    with contextlib.suppress(UserError), _open_archive(path) as archive:
        return _array_names(archive)
    return []


@contextlib.contextmanager
def _open_archive(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    with (
        _open(path, b"PK") as file,
        _BoundedReader(file.raw) as bounded,
        zipfile.ZipFile(bounded) as archive,
    ):
        yield archive


def _array_names(archive: zipfile.ZipFile) -> list[str]:
    return [member.removesuffix(".npy") for member in archive.namelist()]


def read_npy(path: pathlib.Path) -> np.ndarray:
    """Returns the array of a `.npy` file; raises as `read` does."""
    size = path.stat().st_size
    with _open(path, b"\x93NUMPY") as file:
        return _read_array(path, file, "its array", size, size)


@contextlib.contextmanager
def _open(path: pathlib.Path, magic: bytes) -> Iterator[io.BufferedReader]:
    """Opens a file that begins with these bytes; raises `UserError` where it is damaged."""
    with open_file(path) as file:
        beginning = file.peek(100)
        try:
            if not beginning.startswith(magic):
                reject_foreign(path, beginning)
                raise ValueError("it does not begin as one" if beginning else "it is empty")
            yield file
        except (UserError, MemoryError):
            raise
        except Exception as error:  # of many kinds: from zipfile, zlib, NumPy, Python's parser
            # The text may quote the file at any length.
            reason = textwrap.shorten(str(error) or "it ends too early", 120)
            raise UserError(
                f"{path} is a broken {path.suffix} file ({reason}); get the file again."
            ) from error


class _BoundedReader(io.BufferedReader):
    """A file that is never read at once, as zipfile would read an archive's directory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_DIRECTORY_SIZE:
            raise ValueError("its directory is too long")
        return super().read(size)


def _read_member(
    path: pathlib.Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> np.ndarray:
    """Reads an array of an archive. Raises an exception of any kind where it is damaged."""
    name = member.filename.removesuffix(".npy")
    # bzip2 and lzma would take any memory: they give all that a piece of the file expands to.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is neither stored nor deflated")
    with archive.open(member) as file:
        on_disk = min(member.compress_size, path.stat().st_size)
        # Its checksum is looked at when all of it has been read.
        return _read_array(path, file, name, member.file_size, on_disk)


def _read_array(
    path: pathlib.Path, file: IO[bytes], name: str, file_size: int, on_disk: int
) -> np.ndarray:
    """Reads an array in the .npy format. Raises an exception of any kind where it is damaged.

    file_size: how many bytes it takes with its header; on_disk: so many are on the disk.
    """
    if np.lib.format.read_magic(file) != (1, 0):  # later ones are for very long headers
        raise ValueError(f"{name} is not in version 1.0 of the .npy format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd headers, as those that Python 2 wrote
        header = np.lib.format.read_array_header_1_0(file, MAX_HEADER_LENGTH)
    shape, is_fortran, dtype = header
    if dtype.hasobject:
        raise UserError(
            f"{path} has {name} as a pickled object, which is never loaded because it can run "
            "code; store it as an array of whole numbers, or labels as array.astype(str)."
        )
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind == "V" or file.tell() + size != file_size:
        raise ValueError(f"{name} is no array of numbers as large as its header declares")
    body = read_bytes(path, file, size, on_disk)
    return body.view(dtype).reshape(shape, order="F" if is_fortran else "C")
