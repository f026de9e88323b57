"""Runs a command: errors and signals become exit codes, and one or two sentences."""

import contextlib
import io
import os
import sys
from collections.abc import Callable

from lowlevel_mnist.console import interruption, report
from lowlevel_mnist.console.flags import EXIT_USER_ERROR
from lowlevel_mnist.errors import DivergedError, Interrupted, UserError
from lowlevel_mnist.runs import files

EXIT_UNREAD, EXIT_DIVERGED = 1, 3


def run_command(command: Callable[[], None]) -> None:
    """Calls a command's main function and ends the process with the exit code of the contract.

    Only what the user can mend is said in a sentence; a bug keeps its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    interruption.raise_on_signals()
    try:
        with files.disk_full_as_user_error():
            command()
            sys.stdout.flush()
            interruption.ignore_signals()
    except UserError as error:
        _end(error, EXIT_USER_ERROR)
    except DivergedError as error:
        _end(error, EXIT_DIVERGED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _end(None, EXIT_UNREAD)
    except Interrupted as error:
        _flush(sys.stdout)
        with contextlib.suppress(OSError):  # the terminal may be gone
            report.end_progress()
            print(error, file=sys.stderr, flush=True)
        # TensorFlow's threads may still be at work; an orderly end has been seen to crash.
        os._exit(interruption.EXIT_BASE + error.signal)


def _end(message, code):
    """Ends the process, with a message on stderr unless it is None."""
    _flush(sys.stdout)
    if message is not None:
        with contextlib.suppress(OSError):  # it may go to a file on the full disk, too
            report.end_progress()
            print(_printable(str(message)), file=sys.stderr)
    _flush(sys.stderr)
    raise SystemExit(code)


def _printable(text):
    """Returns the text without what could move a terminal's cursor: it may quote untrusted data."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _flush(stream):
    try:
        stream.flush()
    except OSError:  # what can't be written now can't be at the end of the process either
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
