"""Files and folders that commands write atomically, whole or not at all, and locks."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

from lowlevel_mnist.errors import UserError

LOCK = ".lock"
UNFINISHED = "unfinished-"  # how the name begins of a file that is being written
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
def atomic_write(path: pathlib.Path, keep: bool = True) -> Iterator[pathlib.Path]:
    """Yields the path to write a file to that appears as `path` only when all of it is written.

    keep: False to find out whether it can be written; what is at `path` stays then.
    Raises `UserError` where it can't be written.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        unfinished.unlink(missing_ok=True)  # it might be a link to something precious
        yield unfinished
        if keep:
            unfinished.replace(path)
    except OSError as error:
        reason = error.strerror or error  # a library may give no number with its own
        raise UserError(f"{path} can't be written: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):  # mostly it is gone, and its folder may be no folder
            unfinished.unlink()


def write_json(path: pathlib.Path, content: object) -> None:
    """Writes JSON, the whole file or nothing. A link of this name is replaced, not followed.

    Raises `UserError` where it can't be written.
    """
    with atomic_write(path) as unfinished:
        unfinished.write_text(_as_json(content), encoding="utf-8")


def write_json_to(path: pathlib.Path, content: object) -> None:
    """Writes JSON where the user wants it: behind a link, or to a device or pipe, as well.

    Raises `UserError` where it can't be written.
    """
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose a file.")
        if path.exists() and not path.is_file():
            path.write_text(_as_json(content), encoding="utf-8")
            return
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error
    write_json(path.resolve(), content)


def _as_json(content):
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def check_room(path: pathlib.Path, characters: int) -> None:
    """Raises `UserError` where a file of so many characters can't be written at `path`.

    For work that takes minutes before it has something to write. What is at `path` stays.
    """
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose a file.")
        if path.is_char_device():
            path.write_text(" ", encoding="utf-8")  # which JSON may begin with
        elif path.is_file():
            path.open("a").close()  # nothing is added: it says whether that is allowed
        if path.is_file() or not path.exists():
            with atomic_write(path.absolute(), keep=False) as unfinished:
                unfinished.write_text(" " * characters, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error


def check_folder(folder: pathlib.Path) -> None:
    """Raises `UserError` where nothing can be saved in a folder of this name."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise UserError(f"{there} is a file; choose another --to.")
        if folder.is_dir() and not is_empty(folder):
            raise UserError(f"The folder {folder} is not empty; choose another --to.")
    except OSError as error:
        raise UserError(f"The folder {folder} can't be read: {error.strerror}.") from error


@contextlib.contextmanager
def atomic_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the folder to write that appears as `folder` only when all of it is written.

    Raises `OSError` where that is impossible; nothing of it stays then.
    """
    # Inside a folder that is there: that one stays, for it may be a mount, or where the user's
    # shell is.
    unfinished = (folder if folder.is_dir() else folder.parent) / f"{UNFINISHED}{folder.name}"
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # from a command that was killed
        yield unfinished
        if folder.is_dir():
            # The variables first: without saved_model.pb, it is no SavedModel for anybody.
            for path in sorted(unfinished.iterdir(), reverse=True):
                path.rename(folder / path.name)
        else:
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):  # it is not empty, if all went well
                parent.rmdir()


def is_empty(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds no more than what a process that was killed has left."""
    names = {path.name for path in folder.iterdir()} - {LOCK}
    return all(name.startswith(UNFINISHED) for name in names)


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a run's folder with its lock file held, which the system frees however we end.

    Raises `UserError` where another process holds it, or it can't be made.
    """
    path = folder / LOCK
    try:
        # No link; not on Windows.
        number = os.open(path, os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        file = os.fdopen(number, "w")
        _lock(file)
    except BlockingIOError as error:
        raise UserError(
            f"Another process is training in {folder}; wait for it or choose another --output-dir."
        ) from error
    except OSError as error:
        raise UserError(
            f"The output folder {folder} can't be written to: {error.strerror}. Choose another "
            "one with --output-dir."
        ) from error
    with file:
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):  # Windows keeps files that are open
                path.unlink()


def _lock(file):
    """Locks an open file. Raises `BlockingIOError` where another process has done so."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fstat(file.fileno()).st_nlink == 0:  # its holder took it away in this moment
        raise BlockingIOError
