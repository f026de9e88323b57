"""Signals that come before the epochs: while Python imports a command, or where they get lost."""

import functools
import os
import signal
import weakref

import pytest

from lowlevel_mnist.runs.run import Run
from tests.helpers.commands import PROJECT, run, run_anew, run_python

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
COMMANDS = ["train", "evaluate", "show_random", "predict", "export", "page", "benchmark"]


def path_with(folder, **modules):
    """A PYTHONPATH on which modules with these contents come first."""
    for name, content in modules.items():
        (folder / f"{name}.py").write_text(content, encoding="utf-8")
    return f"{folder}:{PROJECT}"


@pytest.mark.parametrize(
    ("command", "number"),
    [(command, signal.SIGINT) for command in COMMANDS] + [("train", n) for n in SIGNALS[1:]],
)
def test_a_signal_while_a_command_is_imported(tmp_path, command, number):
    path = path_with(tmp_path, numpy=f"import os; os.kill(os.getpid(), {int(number)})")
    done = run_anew(command, cwd=tmp_path, PYTHONPATH=path)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


def test_ctrl_c_while_the_handlers_are_set():
    done = run_python(
        "-c",
        """
import os, signal, sys
sys.argv[:], sys.orig_argv[:] = ["-m"], ["python", "-m", "lowlevel_mnist.train"]
signal.getsignal = lambda number: os.kill(os.getpid(), signal.SIGINT)
import lowlevel_mnist
""",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("start", [["-c", "import users.script"], ["-m", "users.script"]])
def test_a_user_who_imports_the_package_keeps_his_handlers(tmp_path, start):
    package = tmp_path / "users"
    package.mkdir()
    (package / "__init__.py").write_text("import lowlevel_mnist", encoding="utf-8")
    (package / "script.py").write_text(
        "import signal\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n",
        encoding="utf-8",
    )
    done = run_python(*start, cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{PROJECT}")
    assert (done.returncode, done.stderr) == (0, "")


def in_a_destructor(number):
    class Thing:
        def __del__(self):
            os.kill(os.getpid(), number)

    Thing()


def in_a_callback(number):
    thing = set()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), number))
    del thing, reference


def disturb(restore, place, number):
    """Makes a signal come just before the epochs, at a place where Python ignores exceptions."""

    def restore_disturbed(*arguments):
        place(number)
        return restore(*arguments)

    Run.restore = restore_disturbed


@pytest.mark.parametrize("place", [in_a_destructor, in_a_callback])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_python_ignores_before_the_epochs(small_folder, tmp_path, number, place):
    flags = ["--data-dir", small_folder, "--output-dir", "run", "--no-plots"]
    disturbance = functools.partial(disturb, Run.restore, place, number)
    done = run("train", *flags, cwd=tmp_path, before=disturbance)
    assert done.returncode == 128 + number
    assert "Exception ignored" in done.stderr, "what this test is about"
    assert done.stderr.splitlines()[-1].startswith("Interrupted. Go on with: ")
    assert "Epoch" not in done.stdout
