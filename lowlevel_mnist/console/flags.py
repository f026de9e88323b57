"""The flags of the commands."""

import argparse
import importlib.util
import math
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import lowlevel_mnist
from lowlevel_mnist import startup
from lowlevel_mnist.console import COMMANDS
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs.settings import MODEL

PICTURE_SUFFIXES = (".png", ".jpg", ".pdf", ".svg")


class Parser(argparse.ArgumentParser):
    """A parser of the flags of one of the COMMANDS, or of the package itself, "".

    Its errors are `UserError`s that name what is nearest; argparse does so from Python 3.14 on.
    """

    def __init__(self, command: str):
        prog = f"python -m lowlevel_mnist.{command}".rstrip(".")
        super().__init__(prog=prog, description=COMMANDS.get(command))
        self.command = command
        version = f"lowlevel_mnist {lowlevel_mnist.__version__}"
        self.add_argument("--version", action="version", version=version)

    def error(self, message: str) -> NoReturn:
        end = "" if message.endswith("?") else "."
        see = startup.command_line(self.command, "--help")
        raise UserError(f"{message[:1].upper()}{message[1:]}{end} See {see}")

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            first = unknown[0].partition("=")[0]
            near = did_you_mean(first, self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return arguments

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = ", ".join(action.choices)
            near = did_you_mean(value, action.choices)
            raise argparse.ArgumentError(action, f"{value!r} is none of {known}{near}")


def no_command(name: str) -> str:
    """Returns a sentence on what is taken for a command."""
    near = did_you_mean(name, COMMANDS) or "."
    return f"There is no command {name}{near} See {startup.command_line('')}"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Returns "; did you mean X?" where a known name is near or has these initials, or nothing."""
    import difflib  # only for who is mistaken: it takes 10 ms

    initials = {"".join(re.findall(r"\b\w", name)): name for name in known}
    near = [initials.get(given.strip("-")), *difflib.get_close_matches(given.lower(), known, n=1)]
    near = [name for name in near if name]
    return f"; did you mean {near[0]}?" if near else ""


def add_run_flag(parser: Parser) -> None:
    parser.add_argument(
        "--run", type=pathlib.Path, metavar="DIR", help="the run's folder (default: the newest)"
    )


def add_model_flag(parser: Parser) -> None:
    parser.add_argument(
        "--model",
        type=model_name,
        metavar="MODULE:NAME",
        help="a network of your own: a class or function in a module in the current folder, which "
        "is called as lowlevel_mnist.Network is (default: the recipe's network)",
    )


def model_name(text: str) -> str:
    """Returns what --model names, if there is such a module; it is not imported yet.

    Raises `argparse.ArgumentTypeError` where there is none.
    """
    if not MODEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not MODULE:NAME, such as my_module:MyNetwork for a class in my_module.py"
        )
    if "" not in sys.path:
        sys.path.append("")  # the current folder, which Python leaves out with -P
    module = re.split("[.:]", text)[0]  # to look for one in a package would import the package
    if not importlib.util.find_spec(module):
        near = did_you_mean(module, [path.stem for path in pathlib.Path().glob("*.py")])
        raise argparse.ArgumentTypeError(
            f"there is no module {module} in the current folder, nor elsewhere on Python's "
            f"path{near}"
        )
    return text


def whole_number(
    minimum: int, maximum: float = math.inf, several: bool = False
) -> Callable[[str], int]:
    """Returns an argparse type: a whole number in a range, both ends included.

    several: whether the flag takes more than one, which people separate by commas.
    """
    accepted = f"a whole number of {minimum} or more"
    accepted += f", at most {maximum}" if maximum < math.inf else ""
    accepted += "; write several with spaces between them, as in 256 128" if several else ""
    return number(accepted, lambda value: minimum <= value <= maximum, int)


def number(
    accepted: str, accepts: Callable[[Any], bool], kind: type = float
) -> Callable[[str], Any]:
    """Returns an argparse type: a number of this kind for which `accepts` is true.

    accepted: describes these numbers, such as "a number between 0 and 1".
    """

    def convert(text: str) -> Any:
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
