"""Runs a command: errors and signals become exit codes, and one or two sentences."""

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from lowlevel_mnist import startup
from lowlevel_mnist.console import COMMANDS, flags, interruption, output
from lowlevel_mnist.errors import DivergedError, Interrupted, Remark, UnreadError, UserError
from lowlevel_mnist.runs import files

Main = Callable[[argparse.Namespace], None]
Parse = Callable[[], argparse.Namespace]


def run_command(main: Main, parse: Parse) -> None:
    """Calls a command's two functions and ends the process with the exit code of the contract.

    Only what the user can mend is said in a sentence; a bug keeps its traceback.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell has closed it, as `2>&-` does
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    startup.is_command = True
    try:
        with interruption.raise_on_signals():
            code = _exit_code(main, parse)
    except Interrupted as error:
        output.show("")  # in place of the terminal's ^C
        _print_error(error)
        code = error.exit_code
        if not interruption.is_interactive():
            # TensorFlow's threads may still be at work; an orderly end has been seen to crash.
            os._exit(code)
    finally:
        output.end()
        startup.is_command = False
    if code and not interruption.is_interactive():  # IPython would show a traceback
        raise SystemExit(code)


def refuse_module(name: str) -> None:
    """Ends the process where a module that is no command was started as one."""
    if name not in (*COMMANDS, "__main__", "benchmarking.contenders"):
        _print_error(flags.no_command(name))
        raise SystemExit(UserError.exit_code)


def _exit_code(main: Main, parse: Parse) -> int:
    """Calls a command's functions, prints why it ended early, and returns its exit code."""
    try:
        with files.refusal_as_user_error(), _print_remarks():
            main(parse())
            output.clear()
            sys.stdout.flush()
    except (UserError, DivergedError, UnreadError) as error:
        _print_error(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _flush(sys.stdout)
        return UnreadError.exit_code
    return 0


@contextlib.contextmanager
def _print_remarks() -> Iterator[None]:
    """Prints each `Remark` that is made in the context, once, and no warnings of libraries."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        warnings.simplefilter("default", Remark)
        others = warnings.showwarning

        def show(
            message: Warning | str, category: type[Warning], *where: Any, **named: Any
        ) -> None:
            if category is Remark:
                output.remark(str(message))
            else:
                others(message, category, *where, **named)

        warnings.showwarning = show
        yield


def _print_error(error: BaseException | str) -> None:
    _flush(sys.stdout)
    with contextlib.suppress(OSError):  # the terminal may be gone, or stderr be on the full disk
        output.remark(str(error), style="red")
    _flush(sys.stderr)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:  # what can't be written now can't be at the end of the process either
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
