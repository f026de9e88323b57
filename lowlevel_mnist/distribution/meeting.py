"""The meeting of the workers before TensorFlow connects them: whether all of them are there.

TensorFlow waits for ever for a worker that never comes, deaf even to Ctrl-C. (Its own limit
on that, `cluster_register_with_barrier`, is missing in 2.18, and SIGTERM is lost in the wait.) So
each worker first calls all others, at the addresses and ports that TensorFlow will use, and what
can keep them from working together is said in a sentence.
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping

from lowlevel_mnist.distribution.cluster import VARIABLE, Cluster
from lowlevel_mnist.errors import UserError

CONNECTING = 60  # seconds; TensorFlow takes about one, and longer where it finds many GPUs
PATIENCE = 45  # seconds in which all workers must have been started
SILENCE = 100  # seconds in which a worker that is there must get ready; it may have to download
MAX_MESSAGE_BYTES = 1_000_000


class Meeting:
    """All workers, connected to each other. Messages go from each to all.

    cluster: the `Cluster`.
    Raises `UserError` where somebody does not come, or means another cluster.
    """

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self._sockets = contextlib.ExitStack()
        self._lines: dict = {}  # from each of the others
        self._calls: dict = {}  # to each of the others
        self._describe = cluster.describe
        deadline = time.monotonic() + PATIENCE
        with contextlib.ExitStack() as closing:
            closing.push(self._sockets)
            self._server = self._listen()
            self._call_others(deadline)
            self._answer_others(deadline)
            closing.pop_all()

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """Enters the context in which TensorFlow connects the workers. Their ports are free for it.

        Where one of them is lost just now, TensorFlow waits for it, with Python's lock held and
        signals unheard. So a process of its own watches, and then ends this one; not on Windows,
        which can't fork.
        """
        self._server.close()
        with _watched(self._lines, self.cluster.describe):
            yield
        self.exchange("connected")
        self._sockets.close()

    def exchange(self, message: object) -> list:
        """Sends a message to all others, and waits for theirs.

        message: what JSON can hold.
        Returns the messages of all workers, a list.
        Raises `UserError` where one of them has ended.
        """
        for index, call in self._calls.items():
            self._send(call, message, index)
        return [
            message if index == self.cluster.index else self._receive(index)
            for index in range(len(self.cluster.names))
        ]

    def _listen(self):
        me = self.cluster.index
        port = int(self.cluster.addresses[me].rpartition(":")[2])
        try:
            return self._sockets.enter_context(socket.create_server(("", port)))
        except OSError as error:
            raise UserError(
                f"{_capital(self._describe(me))} can't listen on its port: "
                f"{error.strerror}. Is another program there? Choose another port in {VARIABLE}."
            ) from error

    def _call_others(self, deadline):
        """Connects to all others. They answer as soon as they are there."""
        hello = {"worker": self.cluster.index, "addresses": self.cluster.addresses}
        waiting = False
        while missing := [index for index in self.cluster.others if index not in self._calls]:
            if waiting:
                time.sleep(0.2)
            for index in missing:
                try:
                    self._calls[index] = self._sockets.enter_context(
                        _call(self.cluster.addresses[index])
                    )
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise UserError(
                            f"Can't reach {self._describe(*missing)}: {error.strerror or error}. "
                            f"Start all workers within {PATIENCE} seconds of each other, and check "
                            f"the addresses in {VARIABLE} and the firewalls."
                        ) from error
                else:
                    self._send(self._calls[index], hello, index)
            absent = [index for index in missing if index not in self._calls]
            if absent and not waiting:
                print(f"Waiting for {self._describe(*absent)}", flush=True)
                waiting = True

    def _answer_others(self, deadline):
        """Accepts the calls of all others, and ignores whoever else calls."""
        deadline = max(deadline, time.monotonic() + 2)
        while absent := [index for index in self.cluster.others if index not in self._lines]:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{_capital(self._describe(*absent))} can be reached, but does not call back. "
                    f"Check that {self._describe(self.cluster.index)} can be reached from "
                    "there, and that no other program has that port."
                )
            self._server.settimeout(1)
            try:
                call, _ = self._server.accept()
            except TimeoutError:
                continue
            self._sockets.enter_context(call)
            call.settimeout(2)
            lines = self._sockets.enter_context(call.makefile("rb"))
            try:
                hello = json.loads(lines.readline(MAX_MESSAGE_BYTES))
                index, addresses = hello["worker"], tuple(hello["addresses"])
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                continue
            if addresses != self.cluster.addresses:
                raise UserError(
                    f"A worker calls that has another cluster in its {VARIABLE}: "
                    f"{', '.join(map(str, addresses))}. All need the same."
                )
            if index not in absent:
                raise UserError(
                    f"{_capital(self._describe(index))} calls twice. Start all workers again, "
                    f"each once and with an index of its own in {VARIABLE}."
                )
            call.settimeout(SILENCE)
            self._lines[index] = lines

    def _send(self, call, message, index):
        try:
            call.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise self._gone(index) from error

    def _receive(self, index):
        try:
            return json.loads(self._lines[index].readline(MAX_MESSAGE_BYTES))
        except TimeoutError as error:
            raise UserError(
                f"{_capital(self._describe(index))} has been silent for {SILENCE} seconds. See "
                "what keeps it, such as a download of the data, and start all workers again."
            ) from error
        except (OSError, ValueError) as error:
            raise self._gone(index) from error

    def _gone(self, index):
        return UserError(
            f"{_capital(self._describe(index))} has ended before the training began. See "
            "what it says, and start all workers again."
        )


def _call(address):
    """Returns a connected socket."""
    host, _, port = address.rpartition(":")
    call = socket.create_connection((host.strip("[]"), int(port)), timeout=2)
    if call.getsockname() == call.getpeername():
        # Where nobody listens on a port of this machine, a caller can happen to get that very
        # port for its own end, and then has called itself.
        call.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return call


def _capital(text):
    return text[:1].upper() + text[1:]


@contextlib.contextmanager
def _watched(lines: Mapping, describe: Callable[..., str]) -> Iterator[None]:
    """Kills the process, with a message, if the block takes too long or a worker ends meanwhile.

    lines: from each other worker, by its index.
    describe: a function that names workers, given their indices.
    """
    if not hasattr(os, "fork"):
        yield
        return
    ending, done = os.pipe()
    parent = os.getpid()
    # A signal must neither be lost in Python's own work around a fork nor unwind the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    watcher = os.fork()
    if watcher == 0:
        try:
            os.close(done)
            lost = _find_lost(ending, {line.fileno(): index for index, line in lines.items()})
            if lost:
                text = f"Lost {describe(*lost)} while TensorFlow connected the workers. "
                os.write(2, f"{text}Start all workers again.\n".encode())
                os.kill(parent, signal.SIGKILL)
        finally:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(ending)
    try:
        yield
    finally:
        os.close(done)
        os.waitpid(watcher, 0)


def _find_lost(ending, lines):
    """Waits until `ending` ends, but for CONNECTING seconds at most.

    lines: file descriptors of the sockets from the other workers, with these workers' indices.
    Returns the indices of the workers that are lost, none of them where `ending` has ended: the
    one whose line has ended with nothing said, or after that time those that have said nothing.
    """
    deadline = time.monotonic() + CONNECTING
    silent = dict(lines)
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([ending, *silent], [], [], left)
        if ending in readable:
            return []
        for line in readable:
            with socket.socket(fileno=os.dup(line)) as call:
                if not _peek(call):
                    return [silent[line]]
            del silent[line]
    return list(silent.values()) or list(lines.values())


def _peek(call):
    try:
        return call.recv(1, socket.MSG_PEEK)
    except OSError:
        return b""
