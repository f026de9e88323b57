"""Signals that ask a command to end, Ctrl-C among them: when they take effect."""

import contextlib
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from lowlevel_mnist.console import started_module
from lowlevel_mnist.errors import Interrupted

AT_ONCE = "Interrupted at once; what had been saved before is kept."
GRACE = 1.0  # seconds without effect for another signal: `timeout`, for one, sends two at once

Handler = Callable[[int, FrameType | None], object] | int | None  # of a signal


class Request:
    """The request to end the process, if a signal has made one.

    signal: the number of the first signal; None as long as there was none.
    is_deferred: whether that one is only recorded. Otherwise it raises `Interrupted`.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.is_deferred = False
        self._since = 0.0

    def record(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = number, now
            if not self.is_deferred:
                raise Interrupted(number)
        elif now - self._since > GRACE:  # somebody who asks again does not want to wait
            if is_interactive():
                raise Interrupted(number, AT_ONCE)
            os.write(2, f"{AT_ONCE}\n".encode())
            _exit(number, _frame)

    def raise_recorded(self) -> None:
        """Raises `Interrupted` where a signal was only recorded, or has raised it in vain.

        Python ignores what is raised within a destructor, and so does some code of others.
        """
        if self.signal is not None:
            raise Interrupted(self.signal)


_request = Request()


def is_interactive() -> bool:
    """Returns whether Python goes on after the command, as after `%run` in a notebook."""
    return hasattr(sys, "ps1")


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Makes a signal raise `Interrupted` inside of the context, wherever the program is.

    Another one, after a second, ends the process on the spot. In the end signals are ignored, but
    for those of before, as the process is about to end; if it goes on, they are as they were.
    """
    # This gives signals a stack. Without one, a signal lands where the stack pointer is, and
    # oneDNN's matrix product has it point into the heap (uxlfoundation/oneDNN#4845): 18 of 354
    # trainings that Ctrl-C was to interrupt crashed instead.
    faulthandler.enable()
    before = _handle(_request.record)
    try:
        yield
        _handle(signal.SIG_IGN)
        _request.raise_recorded()
    finally:
        if is_interactive():
            for number, handler in before.items():
                signal.signal(number, handler)
            _request.signal = None


@contextlib.contextmanager
def defer_signals() -> Iterator[Request]:
    """Yields the `Request`: a signal is recorded in it, and raises `Interrupted` at the end."""
    _request.is_deferred = True
    try:
        _request.raise_recorded()
        yield _request
    finally:
        _request.is_deferred = False
    _request.raise_recorded()


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(Interrupted(number).exit_code)


def _handle(handler: Handler) -> dict[int, Handler]:
    """Sets the handler of each signal but those that the process was started to ignore.

    Returns the handlers of before, by the numbers of the signals.
    """
    before: dict[int, Handler] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last one not on Windows
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    return before


# Python is about to run a command, as in `python -m lowlevel_mnist.train`. Its other imports take
# some 0.2 s, in which Ctrl-C would show a traceback, and nothing is at work that could be lost. A
# user's import of the package has no effect.
if started_module():
    try:
        _handle(_exit)
    except KeyboardInterrupt:
        _exit(signal.SIGINT, None)
