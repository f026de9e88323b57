"""Files that commands write: whole or not at all."""

import contextlib
import json

from lowlevel_mnist.errors import UserError


@contextlib.contextmanager
def whole_file(path):
    """Opens a file that appears under its name only when all of it is written.

    Raises `UserError` where it can't be written.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error
    finally:
        with contextlib.suppress(OSError):  # mostly it is gone, and its folder may be no folder
            unfinished.unlink()


def write_json(path, content):
    """Writes JSON: a file whole or not at all, a device or pipe as it comes.

    Raises `UserError` where it can't be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose a file.")
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error
    with whole_file(path.resolve()) as file:
        file.write(text)


def check_room(path, characters):
    """Raises `UserError` where a file of so many characters can't be written at `path`.

    For work that takes minutes before it has something to write. What is at `path` stays.
    """
    unfinished = path.absolute().with_name(f"{path.name}.unfinished")
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose a file.")
        if path.is_char_device():
            path.write_text(" ", encoding="utf-8")  # which JSON may begin with
        elif path.is_file() or not path.exists():
            if path.is_file():
                path.open("a").close()  # nothing is added: it says whether that is allowed
            unfinished.write_text(" " * characters, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error
    finally:
        with contextlib.suppress(OSError):  # there may be none
            unfinished.unlink()
