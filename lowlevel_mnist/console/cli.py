"""Runs a command: errors and signals become exit codes, and one or two sentences."""

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable

from lowlevel_mnist import startup
from lowlevel_mnist.console import COMMANDS, flags, interruption, output
from lowlevel_mnist.errors import DivergedError, Interrupted, UnreadError, UserError
from lowlevel_mnist.runs import files


def run_command(
    main: Callable[[argparse.Namespace], None], parse: Callable[[], argparse.Namespace]
) -> None:
    """Calls a command's two functions and ends the process with the exit code of the contract.

    Only what the user can mend is said in a sentence; a bug keeps its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    startup.is_command = True
    try:
        interruption.raise_on_signals()
        code = _exit_code(main, parse)
        interruption.ignore_signals()
    except Interrupted as error:
        _print_error(error)
        # TensorFlow's threads may still be at work; an orderly end has been seen to crash.
        os._exit(error.exit_code)
    if code:
        raise SystemExit(code)


def refuse_module(name: str) -> None:
    """Ends the process where a module that is no command was started as one."""
    if name not in (*COMMANDS, "__main__", "benchmarking.contenders"):
        _print_error(flags.no_command(name))
        raise SystemExit(UserError.exit_code)


def _exit_code(main, parse):
    """Calls a command's functions, prints why it ended early, and returns its exit code."""
    try:
        with files.disk_full_as_user_error(), warnings.catch_warnings():
            if not sys.warnoptions:  # those of libraries mean nothing to a user
                warnings.simplefilter("ignore")
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


def _print_error(error):
    _flush(sys.stdout)
    with contextlib.suppress(OSError):  # the terminal may be gone, or stderr be on the full disk
        output.remark(str(error), style="red")
    _flush(sys.stderr)


def _flush(stream):
    try:
        stream.flush()
    except OSError:  # what can't be written now can't be at the end of the process either
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
