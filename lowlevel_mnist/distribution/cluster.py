"""The workers of a run on several machines: who they are, and whether all of them are there.

TensorFlow waits for a worker that never comes without an end, deaf even to Ctrl-C. So before
TensorFlow connects them, the workers meet here: each calls all others, at the addresses and ports
that TensorFlow will use, and what can keep them from working together is said in a sentence.
"""

import contextlib
import dataclasses
import errno
import json
import os
import select
import signal
import socket
import time

from lowlevel_mnist.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["192.168.0.1:12345", "192.168.0.2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
JOBS = ("chief", "worker")
CONNECTING = 60  # seconds; TensorFlow takes about one, and longer where it finds many GPUs
PATIENCE = 45  # seconds in which all workers must have been started
SILENCE = 100  # seconds in which a worker that is there must get ready; it may have to download
LONGEST_MESSAGE = 1_000_000  # bytes


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    names: of each, as TensorFlow numbers them: "worker 0", "worker 1" ...
    addresses: of each, host:port.
    index: which of them this process is; 0 is the chief.
    """

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self):
        return self.index == 0

    @property
    def others(self):
        return [index for index in range(len(self.names)) if index != self.index]

    def describe(self, index):
        return f"{self.names[index]} ({self.addresses[index]})"


ALONE = Cluster(("worker 0",), ("",), 0)


def read_tf_config(text):
    """Returns the `Cluster` that the variable TF_CONFIG describes, in TensorFlow's form.

    text: its value, or None.
    Raises `UserError` where it is missing or wrong.
    """
    if not text:
        raise _wrong("is not set")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is not JSON ({error})") from error
    cluster, task = (_get(said, key, dict) for key in ("cluster", "task"))
    if said.get("rpc_layer", "grpc") != "grpc":
        raise _wrong("has another rpc_layer than grpc")
    for job in cluster:
        if job not in JOBS:
            raise _wrong(f"has a job {job!r}, which is none of {', '.join(JOBS)}")
    jobs = {job: _get(cluster, job, list) for job in JOBS if job in cluster}
    if len(jobs.get("chief", [""])) != 1:
        raise _wrong("has more than one chief, or an empty list of them")
    tasks = [(job, number) for job in jobs for number in range(len(jobs[job]))]
    addresses = tuple(address for job in jobs for address in jobs[job])
    for address in addresses:
        if not _is_address(address):
            raise _wrong(f"has the address {address!r}, which is no host:port")
        if addresses.count(address) > 1:
            raise _wrong(f"has the address {address} more than once")
    mine = task.get("type"), task.get("index")
    if mine not in tasks or type(mine[1]) is not int:
        raise _wrong(f"has the task {json.dumps(task)}, which is none of its cluster's workers")
    names = tuple(f"{job} {number}" for job, number in tasks)
    return Cluster(names, addresses, tasks.index(mine))


def _get(said, key, kind):
    value = said.get(key) if isinstance(said, dict) else None
    if not isinstance(value, kind):
        raise _wrong(f"has no {'list' if kind is list else 'object'} {key!r}")
    return value


def _is_address(address):
    """Whether this is host:port. An IPv6 address is not accepted: the workers listen on IPv4."""
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    try:
        host.encode("idna")  # as a call will do
    except UnicodeError:
        return False
    is_host = host.isprintable() and host and not set(host) & set(" :[]/")
    return is_host and port.isascii() and port.isdecimal() and port[0] != "0" and int(port) < 2**16


def _wrong(what):
    return UserError(f"{VARIABLE} {what}. For --distribute multi-worker it must be like {EXAMPLE}.")


class Meeting:
    """All workers, connected to each other. Messages go from each to all.

    cluster: the `Cluster`.
    say: a function that is called with a sentence where somebody is not there yet.
    Raises `UserError` where somebody does not come, or means another cluster.
    """

    def __init__(self, cluster, say):
        self.cluster = cluster
        self._sockets = contextlib.ExitStack()
        self._lines = {}  # from each of the others
        self._calls = {}  # to each of the others
        deadline = time.monotonic() + PATIENCE
        if cluster is not ALONE:
            try:
                self._server = self._listen()
                self._call_others(say, deadline)
                self._answer_others(deadline)
            except BaseException:
                self.close()
                raise

    def close(self):
        """Leaves."""
        self._sockets.close()

    @contextlib.contextmanager
    def connecting(self):
        """The context in which TensorFlow connects the workers. Their ports are free for it.

        Where one of them is lost just now, TensorFlow waits for it, with Python's lock held and
        signals unheard. So a process of its own watches, and then ends this one; not on Windows,
        which can't fork.
        """
        self._server.close()
        with _watched(self._lines, self._describe):
            yield
        self.exchange("connected")
        self.close()

    def exchange(self, message):
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
                f"{_capital(self.cluster.describe(me))} can't listen on its port: "
                f"{error.strerror}. Is another program there? Choose another port in {VARIABLE}."
            ) from error

    def _call_others(self, say, deadline):
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
                            f"Can't reach {self._describe(missing)}: {error.strerror or error}. "
                            f"Start all workers within {PATIENCE} seconds of each other, and check "
                            f"the addresses in {VARIABLE} and the firewalls."
                        ) from error
                else:
                    self._send(self._calls[index], hello, index)
            absent = [index for index in missing if index not in self._calls]
            if absent and not waiting:
                say(f"Waiting for {self._describe(absent)}")
                waiting = True

    def _answer_others(self, deadline):
        """Accepts the calls of all others. Whoever else calls is not heeded."""
        deadline = max(deadline, time.monotonic() + 2)
        while absent := [index for index in self.cluster.others if index not in self._lines]:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{_capital(self._describe(absent))} can be reached, but does not call back. "
                    f"Check that {self._describe([self.cluster.index])} can be reached from "
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
                hello = json.loads(lines.readline(LONGEST_MESSAGE))
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
                    f"{_capital(self._describe([index]))} calls twice. Start all workers again, "
                    f"each once and with an index of its own in {VARIABLE}."
                )
            call.settimeout(SILENCE)
            self._lines[index] = lines

    def _describe(self, indices):
        return ", ".join(map(self.cluster.describe, indices))

    def _send(self, call, message, index):
        try:
            call.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise self._gone(index) from error

    def _receive(self, index):
        try:
            return json.loads(self._lines[index].readline(LONGEST_MESSAGE))
        except TimeoutError as error:
            raise UserError(
                f"{_capital(self._describe([index]))} has been silent for {SILENCE} seconds. See "
                "what keeps it, such as a download of the data, and start all workers again."
            ) from error
        except (OSError, ValueError) as error:
            raise self._gone(index) from error

    def _gone(self, index):
        return UserError(
            f"{_capital(self.cluster.describe(index))} has ended before the training began. See "
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
def _watched(lines, describe):
    """Kills the process, with a message, where what is inside lasts, or meanwhile a worker ends.

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
                text = f"Lost {describe(lost)} while TensorFlow connected the workers. "
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
