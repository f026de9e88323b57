"""Runs a command: errors and signals become exit codes, and one or two sentences."""

import contextlib
import io
import os
import sys
from collections.abc import Callable

from lowlevel_mnist.console import interruption, report
from lowlevel_mnist.errors import DivergedError, Interrupted, UserError
from lowlevel_mnist.runs import files

EXIT_UNREAD = 1


def run_command(command: Callable[[], None]) -> None:
    """Calls a command's main function and ends the process with the exit code of the contract.

    Only what the user can mend is said in a sentence; a bug keeps its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with interruption.raise_on_signals():
            code = _exit_code(command)
    except Interrupted as error:
        _print_error(error)
        code = error.exit_code
        if not interruption.is_interactive():
            # TensorFlow's threads may still be at work; an orderly end has been seen to crash.
            os._exit(code)
    if code:
        raise SystemExit(code)


def _exit_code(command):
    """Calls a command's main function, prints why it ended early, and returns its exit code."""
    try:
        with files.refusal_as_user_error():
            command()
            sys.stdout.flush()
    except (UserError, DivergedError) as error:
        _print_error(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _flush(sys.stdout)
        return EXIT_UNREAD
    return 0


def _print_error(error):
    _flush(sys.stdout)
    with contextlib.suppress(OSError):  # the terminal may be gone, or stderr be on the full disk
        report.end_progress()
        print(_printable(str(error)), file=sys.stderr)
    _flush(sys.stderr)


def _printable(text):
    """Returns the text without what could move a terminal's cursor: it may quote untrusted data."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _flush(stream):
    try:
        stream.flush()
    except OSError:  # what can't be written now can't be at the end of the process either
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
