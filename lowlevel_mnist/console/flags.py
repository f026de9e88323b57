"""The flags of the commands."""

import argparse
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from lowlevel_mnist.errors import UserError

PICTURE_SUFFIXES = (".png", ".jpg", ".pdf", ".svg")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage before it."""

    def __init__(self, command: str, description: str):
        super().__init__(prog=f"python -m lowlevel_mnist.{command}", description=description)

    def error(self, message):
        message = f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.\n"
        self.exit(UserError.exit_code, message)


def add_run_flag(parser: Parser) -> None:
    parser.add_argument(
        "--run", type=pathlib.Path, metavar="DIR", help="the run's folder (default: the newest)"
    )


def whole_number(minimum: int, maximum: float = math.inf) -> Callable[[str], int]:
    """Returns an argparse type: a whole number in a range, both ends included."""
    accepted = f"a whole number of {minimum} or more"
    accepted += f", at most {maximum}" if maximum < math.inf else ""
    return number(accepted, lambda value: minimum <= value <= maximum, int)


def number(
    accepted: str, accepts: Callable[[Any], bool], kind: type = float
) -> Callable[[str], Any]:
    """Returns an argparse type: a number of this kind for which `accepts` is true.

    accepted: describes these numbers, such as "a number between 0 and 1".
    """

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {accepted}")
        return value

    return convert


def check_file_name(
    file: pathlib.Path, kind: str = "picture", suffixes: Sequence[str] = PICTURE_SUFFIXES
) -> None:
    """Raises `UserError` where a file can't be saved under this name.

    kind: of file; suffixes: those that the name may have.
    """
    if file.suffix.lower() not in suffixes:
        raise UserError(
            f"The {kind} can't be saved as {file}: its name must end in one of "
            f"{', '.join(suffixes)}."
        )
    try:
        file.exists()  # raises where there can't be a file of this name
        has_folder = file.parent.is_dir()
    except OSError as error:
        raise UserError(f"The {kind} can't be saved as {file}: {error.strerror}.") from error
    if not has_folder:
        raise UserError(f"The {kind} can't be saved as {file}: there is no folder {file.parent}.")
