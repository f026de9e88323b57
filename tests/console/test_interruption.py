"""Signals that come before the epochs: while Python imports a command, or where they get lost."""

import functools
import os
import signal

import pytest

from lowlevel_mnist.runs.run import Run
from tests.helpers.commands import PROJECT, run, run_anew, run_python


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_command_is_imported(tmp_path, number):
    content = f"import os; os.kill(os.getpid(), {int(number)})"
    (tmp_path / "numpy.py").write_text(content, encoding="utf-8")
    done = run_anew("train", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{PROJECT}")
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
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "__init__.py").write_text("import lowlevel_mnist", encoding="utf-8")
    (tmp_path / "users" / "script.py").write_text(
        "import signal\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n",
        encoding="utf-8",
    )
    done = run_python(*start, cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{PROJECT}")
    assert (done.returncode, done.stderr) == (0, "")


def disturb(restore, number):
    """Makes a signal come just before the epochs, at a place where Python ignores exceptions."""

    class Thing:
        def __del__(self):
            os.kill(os.getpid(), number)

    def restore_disturbed(*arguments):
        Thing()
        return restore(*arguments)

    Run.restore = restore_disturbed


def test_a_signal_that_python_ignores_before_the_epochs(small_folder, tmp_path):
    flags = ["--data-dir", small_folder, "--output-dir", "run", "--no-plots"]
    disturbance = functools.partial(disturb, Run.restore, signal.SIGHUP)
    done = run("train", *flags, cwd=tmp_path, before=disturbance)
    assert done.returncode == 129
    assert "Exception ignored" in done.stderr, "what this test is about"
    assert done.stderr.splitlines()[-1].startswith("Interrupted. Go on with: ")
    assert "Epoch" not in done.stdout
