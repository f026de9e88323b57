"""Machines that are not ours: Windows, file systems without locks, locales that are not UTF-8.

What can't be had is taken away from Python, or from the C library, before anything is imported.
"""

import errno
import os
import shutil
import signal
import subprocess

import pytest

from tests.helpers.commands import (
    PROJECT,
    assert_ends,
    assert_refused,
    run,
    run_anew,
    run_python,
    start_anew,
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
LOCK = """
import pathlib
from lowlevel_mnist.console import cli
from lowlevel_mnist.runs import files
def main(_):
    with files.locked(pathlib.Path("run")):
        print("at work")
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


@pytest.fixture
def no_language():
    """Environment changes under which Python has ASCII alone."""
    return {"LC_ALL": "C", "PYTHONUTF8": 0, "PYTHONCOERCECLOCALE": 0}


def test_what_windows_lacks(like_windows, small_folder, tmp_path):
    """It is missing, and nobody misses it: not for a lock, a signal, a resumed or tested run."""
    script = "import os, signal; from lowlevel_mnist.benchmarking import contenders\n"
    script += "print(contenders.peak_mib(), hasattr(os, 'fork'), hasattr(signal, 'SIGHUP'))"
    assert run_python("-c", script, **like_windows).stdout == "None False False\n"

    flags = ["--data-dir", small_folder, "--output-dir", "run", "--epochs", 100_000]
    with start_anew("train", *flags, cwd=tmp_path, **like_windows) as process:
        while not (line := process.stdout.readline()).startswith("Epoch 1/"):
            assert line, process.stderr.read()
        second = run_anew("train", *flags, "--resume", cwd=tmp_path, **like_windows)
        assert_refused(second, "Another process is training in run")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Go on with: " in stderr
    done = run_anew("evaluate", "--run", "run", cwd=tmp_path, **like_windows)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks(without_locks, tmp_path, number):
    (tmp_path / "run").mkdir()
    done = run_python("-c", LOCK, cwd=tmp_path, ERRNO_OF_FLOCK=number, **without_locks)
    assert done.stdout == "at work\n"
    assert_ends(done, 0, "The file system of run has no locks")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_another_process_holds(without_locks, tmp_path, number):
    """Some file systems say so with another number than most."""
    (tmp_path / "run").mkdir()
    done = run_python("-c", LOCK, cwd=tmp_path, ERRNO_OF_FLOCK=number, **without_locks)
    assert_refused(done, "Another process is training in run")


def test_a_training_without_locks(without_locks, small_folder, tmp_path):
    flags = ["--data-dir", small_folder, "--output-dir", "run", "--no-plots"]
    changes = {"ERRNO_OF_FLOCK": errno.ENOLCK, **without_locks}
    done = run_anew("train", *flags, cwd=tmp_path, **changes)
    assert_ends(done, 0, "The file system of run has no locks (No locks available)")
    assert len(read_metrics(tmp_path / "run")["history"]) == 5


@pytest.fixture(scope="module")
def korean_of_old(tmp_path_factory):
    """Environment changes that make the locale that of Korea before UTF-8."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "ko_KR", "-f", "EUC-KR", folder / "ko_KR.EUC-KR"]
    if not shutil.which(command[0]) or subprocess.run(command).returncode:
        pytest.skip("needs localedef and its sources, to make the locale ko_KR.EUC-KR")
    return {"LOCPATH": folder, "LC_ALL": "ko_KR.EUC-KR"}


@pytest.mark.parametrize(
    ("encoding", "locale", "exported"),
    [("utf-8", "no_language", "수출"), ("euc_kr", "korean_of_old", "exported")],
)
def test_a_locale_that_is_not_utf8(small_folder, tmp_path, request, encoding, locale, exported):
    """Korean names in it, which TensorFlow takes for UTF-8, whether they are or not."""
    changes = request.getfixturevalue(locale)
    data, folder = (os.fsdecode(name.encode(encoding)) for name in ("자료", "실행"))
    small_folder.rename(tmp_path / data)
    flags = ["--data-dir", data, "--output-dir", folder]
    done = run_anew("train", *flags, cwd=tmp_path, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_metrics(tmp_path / folder)["data_dir"] == str(tmp_path / data)

    # What one has kept, the other one finds.
    assert run("evaluate", "--run", folder, cwd=tmp_path).returncode == 0
    assert run("train", *flags, "--resume", "--epochs", 6, cwd=tmp_path).returncode == 0
    done = run_anew("export", "--run", folder, "--to", exported, cwd=tmp_path, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / exported / "saved_model.pb").is_file()
