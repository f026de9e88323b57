"""Commands in processes of their own, most of them without waiting for TensorFlow.

To import TensorFlow takes 4 seconds of a core, to fork a process that has imported it 0.02. So
`start` and `run` fork a command from a process that has imported what all commands need, and done
nothing else: no operation, whose threads would be missing in a fork. `start_anew`, `run_anew` and
`run_python` start a new interpreter, for what is about that start or about the process's end.

Each command that has ended is printed with its exit code and its output: pytest shows that of a
test that fails.
"""

import atexit
import concurrent.futures
import contextlib
import ctypes
import functools
import io
import multiprocessing
import multiprocessing.forkserver
import os
import pathlib
import resource
import runpy
import shlex
import signal
import struct
import subprocess
import sys

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds; no command of the tests takes so long

_forks = multiprocessing.get_context("forkserver")


def environment(**changes):
    """The environment of a command: this project on the path, no settings of the test machine."""
    windows = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    hidden = ("LOWLEVEL_MNIST_DATA", "TF_CPP_MIN_LOG_LEVEL", *windows)
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PYTHONPATH": str(PROJECT), **{k: str(v) for k, v in changes.items()}}


@functools.cache
def prepare():
    """Starts the process from which commands are forked, once. It imports `forked.py`."""
    _forks.set_forkserver_preload(["tests.helpers.forked"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROJECT))
        multiprocessing.forkserver.ensure_running()


def run(command, *arguments, cwd, before=None, **changes):
    """Runs `python -m lowlevel_mnist.<command>` in the folder `cwd`, forked.

    before: a function that is called in the process just before the command.
    changes: of environment variables. Those that TensorFlow, Keras or Matplotlib read when they
        are imported have no effect; they need `run_anew`.
    Returns a `subprocess.CompletedProcess` with texts.
    """
    with start(command, *arguments, cwd=cwd, before=before, **changes) as process:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def start(command, *arguments, cwd, before=None, **changes):
    """Starts what `run` runs. Returns a `Forked`."""
    return Forked(command, list(map(str, arguments)), cwd, environment(**changes), before)


def run_python(*arguments, cwd=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **changes):
    """Runs a new Python interpreter with these arguments; returns as `run` does."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        preexec_fn=_heed_signals,
        stdout=stdout,
        stderr=stderr,
        encoding="utf-8",
        errors="surrogateescape",  # in another locale it prints other bytes
        timeout=PATIENCE,
    )
    show(done.args, cwd, done.returncode, done.stdout, done.stderr)
    return done


def run_anew(command, *arguments, **options):
    """Runs what `run` runs, but as a user does: in a new interpreter, with any environment."""
    return run_python("-m", f"lowlevel_mnist.{command}", *arguments, **options)


def start_anew(command, *arguments, cwd, **changes):
    """Starts what `run_anew` runs. Its output comes unbuffered. Returns a `subprocess.Popen`."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", f"lowlevel_mnist.{command}", *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        preexec_fn=_heed_signals,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _heed_signals():
    """Undoes what a shell's `&` and `nohup` do to all processes of the tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def limit_files(size):
    """What makes `before` let a command write no file beyond this byte, as on a full disk."""
    return functools.partial(_limit_files, size)


def _limit_files(size):
    sys.dont_write_bytecode = True  # Python takes a cached file that was cut off for a whole one
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def drop_privileges():
    """For `before`: the modes of files hold from now on for root, too, as for anybody else.

    Only Linux has these capabilities; elsewhere tests are not for root.
    """
    if sys.platform == "linux":
        version, this_process = 0x20080522, 0
        header = struct.pack("=Ii", version, this_process)
        none = struct.pack("=6I", *[0] * 6)  # effective, permitted, inheritable, twice 32 each
        assert ctypes.CDLL(None).capset(header, none) == 0


def split_cpu(count):
    """What makes `before` show a command the CPU as so many devices."""
    return functools.partial(_split_cpu, count)


def _split_cpu(count):
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, devices)


def show(command, cwd, returncode, stdout, stderr):
    """Prints what a command was and said, for the report of a test that fails."""
    print(f"\n$ cd {cwd}; {shlex.join(command)}\n{stdout or ''}{stderr or ''}[{returncode}]")


def train(folder, *arguments, cwd, **changes):
    """A training on the data in `folder` that succeeds; run as `run` does."""
    done = run("train", "--data-dir", folder, *arguments, cwd=cwd, **changes)
    assert done.returncode == 0
    return done


def assert_refused(done, *words):
    """Exit code 2, nothing on stdout, and one line on stderr that has all the words."""
    assert_ends(done, 2, *words)
    assert done.stdout == ""


def assert_ends(done, returncode, *words):
    """This exit code, and one line on stderr that has all the words."""
    assert done.returncode == returncode
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert str(word) in done.stderr


@contextlib.contextmanager
def training_until(beginning, *arguments, cwd, anew=False):
    """A `train` process, of a new interpreter if `anew`, that has just begun a line like this."""
    begin = start_anew if anew else start
    with begin("train", *arguments, cwd=cwd) as process:
        while not (line := process.stdout.readline()).startswith(beginning):
            assert line, process.stderr.read()
        yield process


class Forked:
    """A forked command, with the part of `subprocess.Popen`'s interface that the tests use."""

    def __init__(self, command, arguments, cwd, environ, before):
        self.args = ["python", "-m", f"lowlevel_mnist.{command}", *arguments]
        self.cwd = cwd
        prepare()
        readers, writers = zip(*(_forks.Pipe(duplex=False) for _ in range(2)), strict=True)
        self._process = _forks.Process(
            target=_become, args=(command, arguments, str(cwd), environ, before, *writers)
        )
        self._process.start()
        for writer in writers:
            writer.close()
        self.stdout, self.stderr = (
            os.fdopen(os.dup(reader.fileno()), encoding="utf-8") for reader in readers
        )
        for reader in readers:
            reader.close()

    @property
    def returncode(self):
        return self._process.exitcode

    poll = returncode.fget

    def wait(self, timeout=PATIENCE):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout=PATIENCE):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            texts = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()  # so that there is an end to what is read
                raise
            finally:
                stdout, stderr = (text.result() for text in texts)
                show(self.args, self.cwd, self.returncode, stdout, stderr)
        return stdout, stderr

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self._process.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self.stdout, self.stderr):
            stream.close()
        self.wait()


def _become(command, arguments, cwd, environ, before, stdout, stderr):
    """In the forked process: becomes the command."""
    assert "tensorflow" in sys.modules, "forked.py was not imported"
    for number, connection in ((1, stdout), (2, stderr)):
        os.dup2(connection.fileno(), number)
        connection.close()
    # Anew, as the old one may have found itself on a file, and a pipe has no position.
    stdout_bytes = os.fdopen(1, "wb", 0, closefd=False)
    sys.stdout = io.TextIOWrapper(stdout_bytes, encoding="utf-8", write_through=True)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    _heed_signals()
    if before:
        before()
    sys.argv[1:] = arguments
    try:
        runpy.run_module(f"lowlevel_mnist.{command}", run_name="__main__", alter_sys=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)  # for coverage
        atexit._run_exitfuncs()  # as at the end of any process: TensorFlow removes files there
