"""Signals that ask a command to end, Ctrl-C among them: when they take effect."""

import contextlib
import faulthandler
import os
import signal
import time
from collections.abc import Iterator

from lowlevel_mnist.errors import Interrupted

EXIT_BASE = 128  # a process that a signal ends has this exit code plus the signal's number
GRACE = 1.0  # seconds without effect for another signal: `timeout`, for one, sends two at once


class Request:
    """The request to end the process, if a signal has made one.

    signal: the number of the first signal; None as long as there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._since = 0.0

    def record(self, number, _frame):
        """Records the first signal. Another one, after a second, ends the process on the spot."""
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = number, now
        elif now - self._since > GRACE:  # somebody who asks again does not want to wait
            os.write(2, b"Interrupted at once; what had been saved before is kept.\n")
            os._exit(EXIT_BASE + number)

    def record_and_raise(self, number, frame):
        """Raises `Interrupted` at the first signal."""
        is_first = self.signal is None
        self.record(number, frame)
        if is_first:
            self.raise_if_made()

    def raise_if_made(self):
        if self.signal is not None:
            raise Interrupted(self.signal)


_request = Request()


def exit_on_signals() -> None:
    """Makes a signal end the process silently: Python imports a command, and nothing is at work."""
    _handle(lambda number, _frame: os._exit(EXIT_BASE + number))


def raise_on_signals() -> None:
    """Makes a signal raise `Interrupted` from now on, wherever the program is.

    That can be in vain: Python ignores what is raised within a destructor, and so does some code
    of others. So `defer_signals` and `ignore_signals` raise it again.
    """
    # This gives signals a stack. Without one, a signal lands where the stack pointer is, and
    # oneDNN's matrix product has it point into the heap (uxlfoundation/oneDNN#4845): 18 of 354
    # trainings that Ctrl-C was to interrupt crashed instead.
    faulthandler.enable()
    _handle(_request.record_and_raise)


def ignore_signals() -> None:
    """Ignores signals from now on: the work is done, and the process about to end."""
    _handle(signal.SIG_IGN)
    _request.raise_if_made()


@contextlib.contextmanager
def defer_signals() -> Iterator[Request]:
    """Yields the `Request`. Signals are recorded and, at the end, raise `Interrupted`.

    After that, signals are only recorded: the command is about to end.
    """
    before = _handle(_request.record)
    _request.raise_if_made()
    try:
        yield _request
    finally:
        if _request.signal is None:
            for number, handler in before.items():
                signal.signal(number, handler)
    _request.raise_if_made()


def _handle(handler):
    """Sets the handler of each signal but those that the process was started to ignore.

    Returns the handlers from before, a dictionary by the signals' numbers.
    """
    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last one not on Windows
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    return before
