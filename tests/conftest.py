"""What the tests share: small data sets of their own, the real ones, and how runs are compared."""

import functools
import gzip
import json
import os
import pathlib

import hypothesis
import numpy as np
import pytest

from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples in every run, however slow the machine; "full" is for --hypothesis-profile.
for profile, number in (("ordinary", 30), ("full", 400)):
    hypothesis.settings.register_profile(
        profile,
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def pytest_configure(config):
    if not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile("ordinary")


def read_metrics(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def change_settings(folder, **changes):
    """Gives keys in the `settings.json` of a run other values, as damage or a stranger would."""
    path = folder / "settings.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8"
    )


def read_state(folder):
    """What must be equal to the bit when a run is repeated or goes on after an end.

    Returns a dictionary: each weight, bias and slot of the newest checkpoint as an array, and the
    `metrics.json` without seconds.
    """
    import tensorflow as tf  # not before the line above that asks it to be quiet

    reader = tf.train.load_checkpoint(str(folders.find_checkpoints(folder)[-1]))
    names = reader.get_variable_to_shape_map()
    kept = [name for name in names if name.startswith(("model/", "optimizer/", "best/"))]
    metrics = read_metrics(folder)
    metrics["history"] = [{**row, "seconds": None} for row in metrics["history"]]
    return {"metrics": metrics} | {name: np.asarray(reader.get_tensor(name)) for name in kept}


def differences(ours, theirs):
    """What differs in any bit between two runs, of which `read_state` has told, in words."""
    found = [f"only one has {name}" for name in ours.keys() ^ theirs.keys()]
    for name in ours.keys() & theirs.keys() - {"metrics"}:
        if ours[name].tobytes() != theirs[name].tobytes():
            most = np.abs(ours[name] - theirs[name]).max()
            found.append(f"{name} differs by up to {most}")
    for key in ours["metrics"].keys() | theirs["metrics"].keys():
        our, their = (state["metrics"].get(key) for state in (ours, theirs))
        if our != their:
            found.append(f"metrics.json has {key} {our}, not {their}")
    return sorted(found)


def assert_same_bits(folder, expected):
    """Two runs, by their folders or as `read_state` has told of them, are equal to the bit."""
    states = (
        state if isinstance(state, dict) else read_state(state) for state in (folder, expected)
    )
    assert differences(*states) == []


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
