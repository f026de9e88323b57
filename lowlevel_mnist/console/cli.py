"""What the commands share: flags, errors that become exit codes, the line of progress."""

import argparse
import contextlib
import errno
import io
import math
import os
import pathlib
import sys

from lowlevel_mnist.console import interruption
from lowlevel_mnist.errors import DivergedError, Interrupted, UserError
from lowlevel_mnist.runs import files

EXIT_UNREAD, EXIT_USER_ERROR, EXIT_DIVERGED = 1, 2, 3
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BAR_WIDTH = 20
PICTURE_SUFFIXES = (".png", ".jpg", ".pdf", ".svg")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage before it."""

    def __init__(self, command, description):
        super().__init__(prog=f"python -m lowlevel_mnist.{command}", description=description)

    def error(self, message):
        self.exit(EXIT_USER_ERROR, f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.\n")


def add_run_flag(parser):
    parser.add_argument(
        "--run", type=pathlib.Path, metavar="DIR", help="the run's folder (default: the newest)"
    )


def whole_number(minimum, maximum=None):
    """Returns an argparse type: a whole number in a range, both ends included."""
    accepted = f"a whole number of {minimum} or more" + (f", at most {maximum}" if maximum else "")

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < minimum or (maximum is not None and value > maximum):
            raise argparse.ArgumentTypeError(f"{text!r} is not {accepted}")
        return value

    return convert


def number(accepted, accepts):
    """Returns an argparse type: a number for which `accepts` is true.

    accepted: which numbers those are, in words.
    """

    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {accepted}")
        return value

    return convert


def run(command):
    """Calls a command's main function and ends the process with the exit code of the contract.

    Only what the user can mend is said in a sentence; errors of ours keep their traceback.
    """
    interruption.raise_at_once()
    try:
        with naming_a_full_disk():
            command()
            sys.stdout.flush()
            interruption.ignore()
    except UserError as error:
        _end(error, EXIT_USER_ERROR)
    except DivergedError as error:
        _end(error, EXIT_DIVERGED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _end(None, EXIT_UNREAD)
    except Interrupted as error:
        _flush(sys.stdout)
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(error, file=sys.stderr, flush=True)
        # TensorFlow's threads may still be at work; an orderly end has been seen to crash.
        os._exit(interruption.EXIT_BASE + error.signal)


@contextlib.contextmanager
def naming_a_full_disk():
    """Raises `UserError` in place of an `OSError` for want of room."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"There is no room for {error.filename or 'the output'} ({error.strerror})."
        ) from error


def _end(message, code):
    """Ends the process, with a message on stderr unless it is None."""
    _flush(sys.stdout)
    if message is not None:
        with contextlib.suppress(OSError):  # it may go to a file on the full disk, too
            print(_printable(str(message)), file=sys.stderr)
    _flush(sys.stderr)
    raise SystemExit(code)


def _printable(text):
    """Returns the text without what could move a terminal's cursor: it may quote a stranger."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _flush(stream):
    try:
        stream.flush()
    except OSError:  # what can't be written now can't be at the end of the process either
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_picture_name(file):
    """Raises `UserError` where no picture can be saved under this name."""
    if file.suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(
            f"The picture can't be saved as {file}: its name must end in one of "
            f"{', '.join(PICTURE_SUFFIXES)}."
        )
    if not file.parent.is_dir():
        raise UserError(f"The picture can't be saved as {file}: there is no folder {file.parent}.")


def save_picture(path, draw, *arguments):
    """Saves a picture as `plots.save` does. Raises `UserError` where that is impossible."""
    from lowlevel_mnist import plots  # Matplotlib, only where a picture is drawn

    picture = io.BytesIO()  # on a full disk, Matplotlib loses its way within a PDF
    try:
        plots.save(picture, path.suffix[1:], draw, *arguments)
    except ValueError as error:
        raise UserError(f"The picture {path} can't be saved: {error}.") from error
    with files.whole_file(path) as unfinished:
        unfinished.write_bytes(picture.getbuffer())


def show_progress(epoch, epochs, progress):
    """Prints how far an epoch has come, on a terminal only, where the next line replaces it.

    progress: a `training.Progress`.
    """
    if sys.stdout.isatty():
        print(f"\r{_progress_line(epoch, epochs, progress)}", end="", flush=True)


def end_progress():
    """Leaves the line of progress, so that what is said next has a line of its own."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        if sys.stdout.isatty():
            print(flush=True)


def show_epoch(epoch, epochs, progress, validation):
    """Prints the line that stays of an epoch, in the style of Keras.

    progress: its last `training.Progress`.
    validation: a `metrics.Evaluation`, or None.
    """
    line = _progress_line(epoch, epochs, progress)
    if validation is not None:
        line += f" - val_loss: {validation.loss:.4f} - val_accuracy: {validation.accuracy:.4f}"
    print(f"\r{line}" if sys.stdout.isatty() else line, flush=True)


def _progress_line(epoch, epochs, progress):
    filled = BAR_WIDTH * progress.step // progress.steps
    return (
        f"Epoch {epoch}/{epochs}  {progress.step:>{len(str(progress.steps))}}/{progress.steps} "
        f"[{'=' * filled:.<{BAR_WIDTH}}] "
        f"{progress.seconds:.1f}s {1e3 * progress.seconds / progress.step:.2f}ms/step - "
        f"loss: {progress.loss:.4f} - accuracy: {progress.accuracy:.4f}"
    )
