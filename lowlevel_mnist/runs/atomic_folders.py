"""Folders that commands write atomically: whole or not at all."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files


def check(folder: pathlib.Path) -> None:
    """Raises `UserError` where nothing can be saved in a folder of this name."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise UserError(f"{there} is a file; choose another --to.")
        if folder.is_dir() and any(path != _unfinished_place(folder) for path in folder.iterdir()):
            raise UserError(f"The folder {folder} is not empty; choose another --to.")
    except OSError as error:
        raise UserError(f"The folder {folder} can't be read: {error.strerror}.") from error


@contextlib.contextmanager
def atomic_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the folder to write that appears as `folder` only when all of it is written.

    Raises `OSError` where that is impossible; nothing of it stays then.
    """
    unfinished = _unfinished_place(folder)
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


def _unfinished_place(folder):
    """Returns where a folder is written before it appears as a whole.

    Beside a folder that is still to be made, inside one that is there: that one stays, for it may
    be a mount, or where the user's shell is.
    """
    return (folder if folder.is_dir() else folder.parent) / f"{files.UNFINISHED}{folder.name}"
