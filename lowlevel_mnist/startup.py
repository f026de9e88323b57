"""The quiet start of TensorFlow, and how a command is started."""

import contextlib
import gc
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import IO

from lowlevel_mnist.errors import Interrupted, UserError
from lowlevel_mnist.execution import machine

is_command = False  # whether a command is at work, or functions are called by a user's script
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 0: TensorFlow says all, 2: errors, 3: not even these
# A program that waits for the end of the process that has started it, and then shows what that
# had kept aside. Ctrl-C, which nobody needs explained, ends it, too.
WATCHER = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.read(0, 1)
os.lseek(1, 0, os.SEEK_SET)
os.write(2, b"The process ended within TensorFlow. What was said until then:\\n")
os.write(2, os.read(1, 1_000_000))
"""


def import_tensorflow(xla: bool = False, distributed: bool = False) -> ModuleType:
    """Imports TensorFlow without its start-up lines and returns it.

    xla: whether XLA will be used, which has start-up lines of its own.
    distributed: whether other workers may be lost, of which TensorFlow has much to tell.
    Where the user has set `TF_CPP_MIN_LOG_LEVEL` to less than 2, nothing is hidden.
    Raises `UserError` where it can't be imported, or lacks what it needs: AVX, temporary files.
    """
    if "tensorflow" not in sys.modules:
        machine.check()
        try:
            with _no_garbage_collection(), _no_keras(), quietly():
                if _shall_be_quiet():
                    _import_quietly(xla, distributed)
                import tensorflow
        except (MemoryError, OSError, Interrupted):
            raise
        except Exception as error:  # noqa: BLE001 - packages of any kind are imported
            raise UserError(machine.explain_import_error(error)) from error
    import tensorflow

    return tensorflow


def _import_quietly(xla: bool, distributed: bool) -> None:
    before = os.environ.get(LOG_LEVEL)
    # From here on, errors only, or not even these.
    os.environ[LOG_LEVEL] = "3" if distributed else before or "2"
    import tensorflow

    tensorflow.config.list_physical_devices()  # the search for GPUs reports, too
    if xla:  # so does the first compilation, in TensorFlow 2.19
        tensorflow.function(lambda: tensorflow.constant(0), jit_compile=True)()
    # It has been read. A process that this one starts shall find what the user has set.
    del os.environ[LOG_LEVEL]
    if before:
        os.environ[LOG_LEVEL] = before
    tensorflow.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Import without garbage collection; exempt the imported objects from later collections.

    TensorFlow's import makes hundreds of thousands of objects. To look through them again and
    again, also at the end, took 1.4 of 3.1 s.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _no_keras() -> Iterator[None]:
    """Keeps TensorFlow's import from importing Keras, which it does only to know its optimizers.

    That took 0.6 of 2.8 s, and may fail, as Keras imports what KERAS_BACKEND names. It can be
    imported later.
    """
    if "keras.src" in sys.modules:
        yield
        return
    sys.modules["keras.src"] = None  # type: ignore[assignment]  # so Python finds no such module
    try:
        yield
    finally:
        del sys.modules["keras.src"]


def argument(name: str) -> str:
    """Returns how the user gives an argument, such as "data_dir": a command has a flag for it."""
    return f"--{name.replace('_', '-')}" if is_command else name


def command_line(command: str, *arguments: object) -> str:
    """Returns what starts a command, such as "train", or with "" the package, in the user's shell.

    It names Python as the user has just done it, be it `python` or `.venv/bin/python`. In a
    notebook, it is a line for a cell.
    """
    module = f"lowlevel_mnist.{command}".rstrip(".")
    if hasattr(sys, "ps1") and "IPython" in sys.modules:
        return "%run " + shell_line("-m", module, *["--"] * bool(arguments), *arguments)
    return shell_line(sys.orig_argv[0], "-m", module, *arguments)


def shell_line(program: str, *arguments: object) -> str:
    """Returns a program and its arguments as one line, quoted for the user's shell.

    On Windows it is good for cmd and PowerShell, except where a name has %, which is cmd's even
    in quotes, or a $, a backtick or a curly double quote, which are PowerShell's.
    """
    words = [str(argument) for argument in arguments]
    if sys.platform != "win32":
        return shlex.join([program, *words])
    # PowerShell runs no program whose name begins with a quote, but lets folders have quotes.
    parts = re.split(r"([\\/])", program)
    return " ".join(["".join(map(_quote_on_windows, parts)), *map(_quote_on_windows, words)])


def _quote_on_windows(word: str) -> str:
    """Returns the word in quotes, if it needs them; a backslash before the last one is doubled."""
    if re.fullmatch(r"[\w.:\\/+-]*", word):
        return word
    return '"' + re.sub(r"(\\+)$", r"\1\1", word) + '"'


def _shall_be_quiet() -> bool:
    return os.environ.get(LOG_LEVEL, "2") in ("2", "3")


@contextlib.contextmanager
def any_backend() -> Iterator[None]:
    """Enters a context in which Matplotlib is imported even if MPLBACKEND names no backend.

    Matplotlib chooses one then. Only windows need it; pictures are saved without.
    """
    name = None
    if "matplotlib" not in sys.modules:
        name = os.environ.pop("MPLBACKEND", None)
    yield
    if name:
        os.environ["MPLBACKEND"] = name
        import matplotlib

        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = name


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Redirects file descriptor 2 to a temporary file, unless the user wants to see everything.

    Some lines are written by C++ code that ignores TF_CPP_MIN_LOG_LEVEL. They are shown after all
    where what is inside fails, or ends the process (but not on Windows), as by `abort`.
    """
    if not _shall_be_quiet():
        yield
        return
    sys.stderr.flush()
    with (
        os.fdopen(os.dup(2), "wb", 0) as stderr,
        tempfile.TemporaryFile() as aside,
        _watched(aside, stderr),
    ):
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            aside.seek(0)
            stderr.write(aside.read())
            raise
        finally:
            os.dup2(stderr.fileno(), 2)


@contextlib.contextmanager
def _watched(aside: IO[bytes], stderr: IO[bytes]) -> Iterator[None]:
    """Has another process show what was written aside if this one ends within the context.

    After some fatal signals nothing can be shown by the process itself.
    """
    with contextlib.ExitStack() as stack:
        if os.name == "posix":  # on Windows, it might open a window
            command = [sys.executable, "-I", "-S", "-c", WATCHER]
            with contextlib.suppress(OSError, TypeError):  # there may be no process, or no Python
                watcher = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=aside, stderr=stderr
                )
                stack.enter_context(watcher)
                stack.callback(watcher.kill)
        yield
