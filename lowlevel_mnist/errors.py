"""Errors that commands report in one sentence, without a traceback."""

import math


class UserError(ValueError):
    """Something the user can mend; its text says what is wrong, where, and what to do."""

    exit_code = 2


class UnreachableError(UserError):
    """A data set is neither on disk nor to be downloaded."""


class Remark(UserWarning):
    """Something the user should know, though a command goes on; it prints the text on stderr."""


class LostWorkerError(UserError):
    """Another worker of the run has ended, or can't be reached any more."""


class DivergedError(Exception):
    """The cost is no longer a finite number, so going on with the training is pointless."""

    exit_code = 3


def check_finite(loss: float, where: str) -> None:
    """Raises `DivergedError` where a cost is not a finite number; where: "at step 3", say."""
    if not math.isfinite(loss):
        raise DivergedError(f"The cost became {loss} {where}: the training diverged.")


class UnreadError(Exception):
    """Nobody reads the output of a command any more."""

    exit_code = 1


class Interrupted(BaseException):
    """Ctrl-C, or another signal that asks the process to end.

    As with KeyboardInterrupt, `except Exception` does not take it for an error.

    signal: the signal's number.
    """

    def __init__(self, signal: int, message: str = "Interrupted."):
        super().__init__(message)
        self.signal = signal
        self.exit_code = 128 + signal  # as shells have it for a process that a signal has ended
