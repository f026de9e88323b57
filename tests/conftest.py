"""What the tests share: small data sets of their own, the real ones, commands as subprocesses."""

import contextlib
import functools
import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits

PROJECT = pathlib.Path(__file__).resolve().parent.parent
IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def environment(**changes):
    """The environment of a command: this project on the path, no settings of the test machine."""
    windows = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    hidden = ("LOWLEVEL_MNIST_DATA", "TF_CPP_MIN_LOG_LEVEL", *windows)
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PYTHONPATH": str(PROJECT), **{k: str(v) for k, v in changes.items()}}


def run(command, *arguments, cwd, **changes):
    """Runs `python -m lowlevel_mnist.<command>` as a user does, in the folder `cwd`."""
    return subprocess.run(
        [sys.executable, "-m", f"lowlevel_mnist.{command}", *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
    )


def train(folder, *arguments, cwd, **changes):
    """A training on the data in `folder` that succeeds."""
    done = run("train", "--data-dir", folder, *arguments, cwd=cwd, **changes)
    assert done.returncode == 0, done.stderr
    return done


@contextlib.contextmanager
def training_until(start, *arguments, cwd):
    """A `train` process that has just printed a line with this start."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "lowlevel_mnist.train", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        # A shell script that starts the tests in the background has SIGINT ignored by all of them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (line := process.stdout.readline()).startswith(start):
            assert line, "the training ended before"
        yield process


def read_metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def read_state(folder):
    """What must be equal to the bit when a run is repeated or goes on after an end.

    Returns a dictionary: each weight, bias and slot of the newest checkpoint as bytes, and the
    `metrics.json` without seconds.
    """
    import tensorflow as tf  # not before the line above that asks it to be quiet

    reader = tf.train.load_checkpoint(str(folders.find_checkpoints(folder)[-1]))
    names = reader.get_variable_to_shape_map()
    kept = [name for name in names if name.startswith(("model/", "optimizer/"))]
    metrics = read_metrics(folder)
    metrics["history"] = [{**row, "seconds": None} for row in metrics["history"]]
    return {"metrics": metrics} | {n: np.asarray(reader.get_tensor(n)).tobytes() for n in kept}


def idx_bytes(array):
    """IDX, written from its definition: two zeros, 08 for bytes, dimensions, lengths, bytes."""
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def write_idx_folder(folder, arrays, compress=False):
    """Writes four arrays as the four IDX files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        content = idx_bytes(array)
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@functools.cache
def digit_arrays(train=600, test=100):
    """The tests' ordinary data: built-in digits, 28x28, ten classes."""
    return (*digits.generate(train, 0, "train"), *digits.generate(test, 0, "test"))


def pattern_arrays(size=(8, 6), classes=4, train=500, test=100):
    """Data of any size, which a softmax regression can learn: each class a pattern, under noise."""
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 200, (classes, *size))
    arrays = []
    for count in (train, test):
        labels = np.arange(count) % classes
        noise = generator.integers(0, 56, (count, *size))
        arrays += [(patterns[labels] + noise).astype(np.uint8), labels.astype(np.uint8)]
    return arrays


@pytest.fixture
def small_folder(tmp_path):
    """A data folder with 500 training and 100 test images of 8x6 in four classes."""
    return write_idx_folder(tmp_path / "data", pattern_arrays())


def real_folder(name):
    """The folder of a real data set, or a skipped test where it is absent."""
    root = os.environ.get("LOWLEVEL_MNIST_DATA")
    if root is None or not (pathlib.Path(root) / name).is_dir():
        pytest.skip(f"needs the real data: LOWLEVEL_MNIST_DATA with a folder {name}")
    return pathlib.Path(root) / name


@pytest.fixture(scope="session")
def mnist_folder():
    return real_folder("mnist")


@pytest.fixture(scope="session")
def fashion_folder():
    return real_folder("fashion_mnist")
