"""Opening a data file: its bytes decide what it is, whatever its name says."""

import contextlib
import gzip
import io
import pathlib
import re
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lowlevel_mnist import memory
from lowlevel_mnist.errors import UserError

GZIP = b"\x1f\x8b"  # the first two bytes of every gzip stream (RFC 1952, section 2.3.1)
# Bytes to which what is compressed may expand, enough for 2.7 million images of 28x28. Of 10 MB
# deflate can make 10 GB, which is more than many machines have.
MAX_EXPANDED = 1 << 31
CHUNK_SIZE = 1 << 18  # bytes that are read at a time
CONVERT = (
    "and save its arrays with numpy.savez('data.npz', x_train=..., y_train=..., x_test=..., "
    "y_test=...), images as uint8 [n, height, width]."
)
# Other files that people have under a data file's name without knowing it: how one begins, what it
# is, what to do. A new line here is all that one more of them takes.
FOREIGN_SIGNATURES = (
    (
        rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)",
        "a web page, not data: the address led to a page about the file. Get the file itself.",
    ),
    (rb"\s*<", "XML, not data, such as a server's error message. Get the file again."),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer, not the data that it stands for. Get that with git lfs pull.",
    ),
    (rb"PK\x03\x04", "a ZIP archive. Unpack it."),
    (rb"BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "an archive in a format that is not read. Unpack it."),
    (rb"(?s).{257}ustar", "a tar archive. Unpack it."),
    (rb"\xff\xfe|\xfe\xff", "a text in UTF-16. Save it in UTF-8."),
    (rb"\x1f\x8b", "a file within a gzip file. Unpack it with gunzip."),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture, not a data set; the command predict reads it."),
    (
        rb"\x80[\x02-\x05]",
        f"a pickle, which is never loaded because it can run code. Load it yourself {CONVERT}",
    ),
    (
        rb"PAR1",
        f"a Parquet file, which is not read: load it with pandas.read_parquet {CONVERT}",
    ),
    (rb"MATLAB", f"a MATLAB file, which is not read: load it with scipy.io.loadmat {CONVERT}"),
    (rb"\x89HDF", f"an HDF5 file, which is not read: load it with h5py.File {CONVERT}"),
)

ByteFile = gzip.GzipFile | io.BufferedReader  # as `open_bytes` opens it


@contextlib.contextmanager
def readable(path: pathlib.Path) -> Iterator[None]:
    """Raises `UserError` where what is done with a path fails because it can't be read.

    That is, for an `OSError`, such as of a name that is too long, and where memory is too small.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise UserError(
                f"{path} is a link that leads nowhere: there is no {path.readlink()}. Get what it "
                "points to, or put the file itself in its place."
            ) from error
        raise UserError(f"{error.filename or path} can't be read: {error.strerror}.") from error
    except MemoryError as error:
        raise UserError(f"{path} does not fit into the memory of this machine.") from error


@contextlib.contextmanager
def open_file(path: pathlib.Path) -> Iterator[io.BufferedReader]:
    """Opens a file to read its bytes as they are.

    Raises `UserError`, also from within the `with` block, where it is no file, or not `readable`.
    """
    with readable(path):
        # Nobody knows when, or if, a pipe, a socket or a device ends.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(
                f"{path} is a pipe, a socket or a device; save what it gives to a file and name "
                "that."
            )
        with path.open("rb") as file:
            yield file


@contextlib.contextmanager
def open_bytes(path: pathlib.Path) -> Iterator[ByteFile]:
    """Opens a file to read its bytes, decompressed where they are a gzip stream.

    Raises `UserError` as `open_file` does, and where the file is damaged, or begins as something
    else does.
    """
    with open_file(path) as raw:
        is_gzip = raw.peek(len(GZIP)).startswith(GZIP)
        try:
            with gzip.open(raw) if is_gzip else raw as file:
                reject_foreign(path, file.peek(300))
                yield file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{path} is a broken gzip file ({error}); get the file again."
            ) from error


def read_bytes(path: pathlib.Path, file: Any, size: int, on_disk: int) -> npt.NDArray[np.uint8]:
    """Returns the next bytes of a file, at most `size`: `uint8` [n], as `memory.as_tensor` takes.

    file: what is in the one at `path`, decompressed; on_disk: how many bytes this takes there.
        `size` may be a lie, so there is room for as many at first, and then always for twice as
        many as have come.
    Raises `UserError` where they expand too far.
    """
    room = size
    while room > max(on_disk, CHUNK_SIZE):
        room = (room + 1) // 2
    body, end = memory.empty(room), 0
    while count := file.readinto(body[end : end + CHUNK_SIZE].data):
        end += count
        if end > on_disk:  # so they were compressed
            check_expansion(path, size)
        if end == len(body) < size:
            grown = memory.empty(min(size, 2 * end))
            grown[:end] = body
            body = grown
    body = body[:end]
    body.flags.writeable = False
    return body


def check_expansion(path: pathlib.Path, size: int) -> None:
    """Raises `UserError` where what is compressed in a file has too many bytes."""
    if size > MAX_EXPANDED:
        raise UserError(
            f"{path} expands to more than {MAX_EXPANDED:,} bytes. If these are images, store them "
            "uncompressed."
        )


def reject_foreign(path: pathlib.Path, beginning: bytes) -> None:
    """Raises `UserError` where the first bytes of a file are one of FOREIGN_SIGNATURES."""
    for pattern, description in FOREIGN_SIGNATURES:
        if re.match(pattern, beginning, re.IGNORECASE):
            raise UserError(f"{path} is {description}")
