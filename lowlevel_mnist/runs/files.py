"""Files and folders: written atomically, whole or not at all; what is there; a folder's lock."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator

from lowlevel_mnist.errors import Remark, UserError

LOCK = ".lock"
CHOOSE_ANOTHER = "Choose another one with --output-dir."
UNFINISHED = "unfinished-"  # how the name begins of what is being written
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
LOCK_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextlib.contextmanager
def refusal_as_user_error() -> Iterator[None]:
    """Raises `UserError` in place of an error for want of room, memory, open files or a right."""
    try:
        yield
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        text = f"There is not enough memory{reason}. End other programs, or raise `ulimit -v`."
        raise UserError(text) from error
    except OSError as error:
        if error.errno in FULL:
            text = f"There is no room for {error.filename or 'the output'} ({error.strerror})."
        elif error.errno in DENIED and error.filename:
            text = f"{error.filename} can't be used: {error.strerror}."
        elif error.errno in TOO_MANY_FILES:
            text = f"{error.strerror}. Raise the limit, for example by `ulimit -n 1024`."
        else:
            raise
        raise UserError(text) from error


@contextlib.contextmanager
def os_error_as_user_error(what: str, advice: str = "") -> Iterator[None]:
    """Raises `UserError` in place of an `OSError`: what can't be done, the reason, the advice."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error  # a library may give no number with its own
        raise UserError(f"{what}: {reason}. {advice}".rstrip()) from error


def content(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns what is in a folder, nothing where there is none.

    Raises `OSError` where it can't be read, for which `Path.glob` finds nothing.
    """
    try:
        return [*folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def as_text(path: pathlib.Path) -> str:
    """Returns a path as UTF-8 has it, whatever the locale; other bytes are surrogates in it."""
    return os.fsencode(path).decode(errors="surrogateescape")


def as_path(text: str) -> pathlib.Path:
    """Returns the path of which `as_text` has made a text. Raises `ValueError` for any other."""
    return pathlib.Path(os.fsdecode(text.encode(errors="surrogateescape")))


@contextlib.contextmanager
def atomic_write(path: pathlib.Path, advice: str = "") -> Iterator[pathlib.Path]:
    """Yields where to write a file, or a folder, that appears as `path` only when it is whole.

    It replaces a file, a link (which is not followed) or an empty folder of this name.
    Raises `UserError` where it can't be written, with an advice; what is at `path` stays then.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    with os_error_as_user_error(f"{path} can't be written", advice):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} can't be written: it is a device or a pipe.")
        remove(unfinished)  # from a command that was killed; or a link to something precious
        try:
            yield unfinished
            if path.is_dir() and unfinished.is_dir():  # on Windows, nothing replaces a folder
                path.rmdir()
            unfinished.replace(path)
        finally:
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


def check_writable(path: pathlib.Path, advice: str = "") -> None:
    """Raises `UserError` where no file can be written at `path`; for work that takes minutes."""
    with os_error_as_user_error(f"{path} can't be written", advice):
        if path.exists() and not path.is_file():
            raise UserError(f"{path} can't be written: it is a folder or a device.")
        tempfile.TemporaryFile(dir=path.parent).close()


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a run's folder with its lock file held, which the system frees however we end.

    Raises `UserError` where another process holds it, or it can't be made.
    """
    path = folder / LOCK
    with os_error_as_user_error(f"The output folder {folder} can't be written to", CHOOSE_ANOTHER):
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        _lock(file, folder)
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):  # Windows keeps files that are open
                path.unlink()
    finally:
        os.close(file)


def _lock(file: int, folder: pathlib.Path) -> None:
    """Locks an open file, or says why it can't be: on some clusters, file systems have no locks.

    Raises `UserError` where another process holds it.
    """
    try:
        try:
            import fcntl
        except ImportError:  # on Windows
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_held = os.fstat(file).st_nlink == 0  # until now, by a process that has removed it
    except OSError as error:
        is_held = error.errno in LOCK_HELD
        if not is_held:
            text = f"The file system of {folder} has no locks ({error.strerror}); see to it that "
            warnings.warn(Remark(f"{text}no other process trains there."), stacklevel=2)
    if is_held:
        raise UserError(
            f"Another process is training in {folder}; wait for it or choose another --output-dir."
        )
