"""What does not need TensorFlow does not wait for it."""

import subprocess
import sys

import pytest
from conftest import environment, run

COMMANDS = ["train", "evaluate", "show_random", "predict", "export", "benchmark"]


@pytest.fixture
def without_tensorflow(tmp_path):
    """Environment changes under which `import tensorflow` and `import keras` end the process."""
    folder = tmp_path / "poison"
    folder.mkdir()
    for module in ("tensorflow", "keras", "matplotlib"):
        (folder / f"{module}.py").write_text(f"raise SystemExit('{module} was imported')")
    return {"PYTHONPATH": f"{folder}:{environment()['PYTHONPATH']}"}


def test_the_poison_works(without_tensorflow, small_folder, tmp_path):
    done = run("train", "--data-dir", small_folder, cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 1
    assert "tensorflow was imported" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, without_tensorflow, tmp_path):
    done = run(command, "--help", cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m lowlevel_mnist.{command}")


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_flags(command, without_tensorflow, tmp_path):
    needed = {"predict": ["any.png"], "export": ["--to", "model"]}.get(command, [])
    done = run(command, *needed, "--no-such-flag", cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 2
    assert "--no-such-flag" in done.stderr


def test_bad_data(without_tensorflow, tmp_path):
    (tmp_path / "data").mkdir()
    done = run("train", "--data-dir", "data", cwd=tmp_path, **without_tensorflow)
    assert done.returncode == 2
    assert "data" in done.stderr


def test_the_package_itself(without_tensorflow, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import lowlevel_mnist"],
        cwd=tmp_path,
        env=environment(**without_tensorflow),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_started_by_a_quiet_one_is_quiet():
    child = "from lowlevel_mnist import startup; startup.import_tensorflow().constant(1)"
    parent = f"{child}; import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    done = subprocess.run(
        [sys.executable, "-c", parent], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failing_import_of_tensorflow_says_why(tmp_path):
    """What was held back while TensorFlow started is shown when it does not start."""
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'the reason, in C++')\nraise ImportError('no TensorFlow')"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from lowlevel_mnist import startup; startup.import_tensorflow()"],
        env=environment(PYTHONPATH=f"{tmp_path}:{environment()['PYTHONPATH']}"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "the reason, in C++" in done.stderr
    assert "ImportError: no TensorFlow" in done.stderr
