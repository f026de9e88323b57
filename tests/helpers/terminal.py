"""Commands on a terminal: a real pseudo-terminal, and a terminal emulator to read its screen."""

import fcntl
import functools
import os
import re
import select
import struct
import termios
import time

import pyte

from tests.helpers.commands import PATIENCE, show, start

ROWS = 50


class Terminal:
    """A terminal of so many columns. What it is sent appears on its screen, as a person sees it."""

    def __init__(self, columns):
        self.screen = pyte.HistoryScreen(columns, ROWS, history=10_000)
        self.sent = b""
        self._stream = pyte.ByteStream(self.screen)
        self._ours, self._theirs = os.openpty()
        self.resize(columns)

    def resize(self, columns):
        size = struct.pack("HHHH", ROWS, columns, 0, 0)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)
        self.screen.resize(ROWS, columns)

    def start(self, command, *arguments, cwd, **changes):
        """Starts a command as `commands.start` does, on this terminal."""
        before = functools.partial(_move_to_terminal, os.ttyname(self._theirs))
        return start(
            command,
            *arguments,
            cwd=cwd,
            before=before,
            **{"TERM": "xterm-256color", "COLUMNS": "", **changes},
        )

    def run(self, command, *arguments, cwd, **changes):
        """Runs a command to its end; returns its exit code and the `lines`."""
        with self.start(command, *arguments, cwd=cwd, **changes) as process:
            self.read_while(lambda: process.poll() is None)
        lines = self.lines()
        show(process.args, cwd, process.returncode, "\n".join(lines), "")
        return process.returncode, lines

    def read_while(self, condition):
        """Reads what is sent as long as a condition holds, and then what is left."""
        while condition() or self._is_readable(0):
            if self._is_readable(0.05):
                sent = os.read(self._ours, 65536)
                self.sent += sent
                self._stream.feed(sent)

    def read_until_line(self, pattern):
        """Reads until the line in which the cursor is matches a regular expression."""
        end = time.monotonic() + PATIENCE

        def is_missing():
            line = self.screen.display[self.screen.cursor.y].rstrip()
            assert time.monotonic() < end, f"{line!r} does not match {pattern}"
            return not re.fullmatch(pattern, line)

        self.read_while(is_missing)

    def _is_readable(self, seconds):
        return bool(select.select([self._ours], [], [], seconds)[0])

    def lines(self):
        """What stands on the screen and above it, without the empty lines at the end."""
        width = self.screen.columns
        above = ["".join(row[x].data for x in range(width)) for row in self.screen.history.top]
        lines = [line.rstrip() for line in [*above, *self.screen.display]]
        return "\n".join(lines).rstrip().split("\n")


def _move_to_terminal(name):
    terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
    for number in (1, 2):
        os.dup2(terminal, number)
    os.close(terminal)
