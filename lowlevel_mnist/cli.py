"""What the commands share: flags, errors that become exit codes, the line of progress."""

import argparse
import math
import os
import sys

from lowlevel_mnist.errors import DivergedError, UserError

EXIT_UNREAD, EXIT_USER_ERROR, EXIT_DIVERGED, EXIT_INTERRUPTED = 1, 2, 3, 130
BAR_WIDTH = 20


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage before it."""

    def __init__(self, command, description):
        super().__init__(prog=f"python -m lowlevel_mnist.{command}", description=description)

    def error(self, message):
        self.exit(EXIT_USER_ERROR, f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.\n")


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


def positive_number(text):
    """An argparse type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number above 0")
    return value


def run(command):
    """Calls a command's main function and ends the process with the exit code of the contract.

    Only what the user can mend is said in a sentence; errors of ours keep their traceback.
    """
    try:
        command()
    except UserError as error:
        _end(error, EXIT_USER_ERROR)
    except DivergedError as error:
        _end(error, EXIT_DIVERGED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_UNREAD) from None
    except KeyboardInterrupt:
        _end("Interrupted; nothing of this command was kept.", EXIT_INTERRUPTED)


def _end(message, code):
    print(message, file=sys.stderr)
    raise SystemExit(code)


def show_progress(epoch, epochs, progress):
    """Prints how far an epoch has come, in the style of Keras.

    On a terminal the line is written over and over; elsewhere it appears once, when the epoch
    is done.

    progress: a `training.Progress`.
    """
    done = progress.step == progress.steps
    if not (done or sys.stdout.isatty()):
        return
    filled = BAR_WIDTH * progress.step // progress.steps
    line = (
        f"Epoch {epoch}/{epochs}  {progress.step:>{len(str(progress.steps))}}/{progress.steps} "
        f"[{'=' * filled:.<{BAR_WIDTH}}] "
        f"{progress.seconds:.1f}s {1e3 * progress.seconds / progress.step:.2f}ms/step - "
        f"loss: {progress.loss:.4f} - accuracy: {progress.accuracy:.4f}"
    )
    start = "\r" if sys.stdout.isatty() else ""
    print(f"{start}{line}", end="\n" if done else "", flush=True)
