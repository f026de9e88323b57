"""Files and folders that commands write atomically, whole or not at all, and a folder's lock."""

import contextlib
import errno
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from lowlevel_mnist.errors import UserError

LOCK = ".lock"
UNFINISHED = "unfinished-"  # how the name begins of what is being written
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def disk_full_as_user_error() -> Iterator[None]:
    """Raises `UserError` in place of an `OSError` for want of room."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"There is no room for {error.filename or 'the output'} ({error.strerror})."
        ) from error


@contextlib.contextmanager
def atomic_write(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields where to write a file, or a folder, that appears as `path` only when it is whole.

    It replaces a file, a link (which is not followed) or an empty folder of this name.
    Raises `UserError` where it can't be written; what is at `path` stays then.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} can't be written: it is a device or a pipe.")
        remove(unfinished)  # from a command that was killed; or a link to something precious
        yield unfinished
        if path.is_dir() and unfinished.is_dir():  # on Windows, nothing replaces a folder
            path.rmdir()
        unfinished.replace(path)
    except OSError as error:
        reason = error.strerror or error  # a library may give no number with its own
        raise UserError(f"{path} can't be written: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):  # mostly it is gone, and its folder may be no folder
            remove(unfinished)


def remove(path: pathlib.Path) -> None:
    """Removes a file, a link or a whole folder, if there is one of this name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: object) -> None:
    """Writes JSON, the whole file or nothing.

    Raises `UserError` where it can't be written.
    """
    with atomic_write(path) as unfinished:
        text = json.dumps(content, indent=2, allow_nan=False)
        unfinished.write_text(f"{text}\n", encoding="utf-8")


def check_writable(path: pathlib.Path) -> None:
    """Raises `UserError` where no file can be written at `path`; for work that takes minutes."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} can't be written: it is a folder or a device.")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error


def is_empty(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds no more than what a process that was killed has left."""
    names = {path.name for path in folder.iterdir()} - {LOCK}
    return all(name.startswith(UNFINISHED) for name in names)


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a run's folder with its lock file held, which the system frees however we end.

    Raises `UserError` where another process holds it, or it can't be made.
    """
    import filelock  # only for who trains: it takes 40 ms

    lock = filelock.FileLock(str(folder / LOCK), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(
            f"Another process is training in {folder}; wait for it or choose another --output-dir."
        ) from error
    except OSError as error:
        raise UserError(
            f"The output folder {folder} can't be written to: {error.strerror}. Choose another "
            "one with --output-dir."
        ) from error
    with lock:
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):  # Windows keeps files that are open
                (folder / LOCK).unlink()
