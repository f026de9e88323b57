"""Machines that are not ours: Windows, file systems without locks, locales that are not UTF-8.

What can't be had is taken away from Python, or from the C library, before anything is imported.
"""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.commands import (
    PROJECT,
    assert_ends,
    assert_refused,
    run,
    run_anew,
    run_python,
)
from tests.helpers.runs import read_metrics

# `sitecustomize` is imported before all else. Its `msvcrt` locks with what Linux has; `subprocess`
# would take it for Windows's.
LIKE_WINDOWS = """
import errno, fcntl, os, signal, subprocess, sys, types
lockf, flags = fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB
def locking(descriptor, mode, count):
    assert mode == msvcrt.LK_NBLCK
    try:
        lockf(descriptor, flags, count)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error
msvcrt = types.ModuleType("msvcrt")
msvcrt.locking, msvcrt.LK_NBLCK = locking, 2
sys.modules.update(msvcrt=msvcrt, fcntl=None, resource=None)
del os.fork, os.forkpty, os.O_NOFOLLOW, signal.SIGHUP
"""
WITHOUT_LOCKS = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) {
    errno = atoi(getenv("ERRNO_OF_FLOCK"));
    return -1;
}
"""
NO_LANGUAGE = {"LC_ALL": "C", "PYTHONUTF8": 0, "PYTHONCOERCECLOCALE": 0}  # Python has ASCII alone
# Works in a run's folder, and meanwhile lets another command do so, if one is given.
LOCK = """
import pathlib, subprocess, sys
from lowlevel_mnist.console import cli
from lowlevel_mnist.runs import files
def main(_):
    with files.locked(pathlib.Path("run")):
        print("at work", flush=True)
        for program in sys.argv[1:]:
            subprocess.run([program, "-c", sys.orig_argv[2]])
cli.run_command(main, lambda: None)
"""


@pytest.fixture
def like_windows(tmp_path):
    """Environment changes under which Python lacks what it lacks on Windows."""
    folder = tmp_path / "like_windows"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LIKE_WINDOWS, encoding="utf-8")
    return {"PYTHONPATH": f"{folder}:{PROJECT}"}


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory):
    """Environment changes under which `flock` fails; `ERRNO_OF_FLOCK` says how."""
    if not shutil.which("gcc"):
        pytest.skip("needs gcc, to take flock away from the C library")
    folder = tmp_path_factory.mktemp("without_locks")
    (folder / "flock.c").write_text(WITHOUT_LOCKS, encoding="utf-8")
    command = ["gcc", "-shared", "-fPIC", "flock.c", "-o", "flock.so"]
    subprocess.run(command, cwd=folder, check=True)
    return {"LD_PRELOAD": folder / "flock.so"}


def test_what_windows_lacks(like_windows, tmp_path):
    """It is missing, and nobody misses it: not for a lock, a signal, a measurement."""
    script = "import os, signal; from lowlevel_mnist.benchmarking import contenders\n"
    script += "print(contenders.peak_mib(), hasattr(os, 'fork'), hasattr(signal, 'SIGHUP'))"
    assert run_python("-c", script, **like_windows).stdout == "None False False\n"
    (tmp_path / "run").mkdir()
    done = run_python("-c", LOCK, sys.executable, cwd=tmp_path, **like_windows)
    assert (done.returncode, done.stdout) == (0, "at work\n")
    assert done.stderr.startswith("Another process is training in run; wait")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.full
def test_a_training_on_windows(like_windows, small_folder, tmp_path):
    done = run_anew("train", "--data-dir", small_folder, cwd=tmp_path, **like_windows)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL])
def test_a_file_system_without_locks(without_locks, tmp_path, number):
    (tmp_path / "run").mkdir()
    done = run_python("-c", LOCK, cwd=tmp_path, ERRNO_OF_FLOCK=number, **without_locks)
    assert done.stdout == "at work\n"
    assert_ends(done, 0, f"The file system of run has no locks ({os.strerror(number)})")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_another_process_holds(without_locks, tmp_path, number):
    """Some file systems say so with another number than most."""
    (tmp_path / "run").mkdir()
    done = run_python("-c", LOCK, cwd=tmp_path, ERRNO_OF_FLOCK=number, **without_locks)
    assert_refused(done, "Another process is training in run")


@pytest.mark.parametrize("changes", [{}, NO_LANGUAGE], ids=["as here", "ASCII"])
def test_names_of_folders_are_kept_as_utf8(changes):
    """And found again, whatever the locale, also where they are of another encoding."""
    script = """
import os, pathlib, sys
from lowlevel_mnist.runs import files
for name in sys.argv[1:]:
    text = files.as_text(pathlib.Path(name))
    assert files.as_path(text) == pathlib.Path(name)
    print(ascii(text))
"""
    names = "실행", os.fsdecode("실행".encode("euc_kr"))
    done = run_python("-c", script, *names, **changes)
    assert done.stdout.splitlines() == [ascii(name) for name in names]


def test_a_character_that_the_output_lacks():
    script = "from lowlevel_mnist.console import cli, output\n"
    script += "cli.run_command(lambda _: output.say('실행'), lambda: None)"
    done = run_python("-c", script, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\uc2e4\\ud589\n", "")


@pytest.mark.full
@pytest.mark.parametrize("encoding", ["utf-8", "euc_kr"])
def test_a_locale_that_is_not_utf8(small_folder, tmp_path, encoding):
    """Korean names in it, which TensorFlow takes for UTF-8, whether they are or not."""
    data, folder = (os.fsdecode(name.encode(encoding)) for name in ("자료", "실행"))
    small_folder.rename(tmp_path / data)
    flags = ["--data-dir", data, "--output-dir", folder, "--tensorboard"]
    done = run_anew("train", *flags, cwd=tmp_path, **NO_LANGUAGE)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_metrics(tmp_path / folder)["data_dir"] == str(tmp_path / data)
    assert len(list((tmp_path / folder).rglob("*tfevents*"))) == 6

    # What one has kept, the other one finds.
    assert run("evaluate", "--run", folder, cwd=tmp_path).returncode == 0
    assert run("train", *flags, "--resume", "--epochs", 6, cwd=tmp_path).returncode == 0
    target = data if encoding == "utf-8" else "exported"
    done = run_anew("export", "--run", folder, "--to", f"{target}-2", cwd=tmp_path, **NO_LANGUAGE)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / f"{target}-2" / "saved_model.pb").is_file()
