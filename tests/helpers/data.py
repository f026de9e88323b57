"""Data sets: small ones of the tests' own, and where the real ones are."""

import functools
import gzip
import os
import pathlib

import numpy as np
import pytest

from lowlevel_mnist.sources import digits

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")


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


def real_folder(name):
    """The folder of a real data set, or a skipped test where it is absent."""
    root = os.environ.get("LOWLEVEL_MNIST_DATA")
    if root is None or not (pathlib.Path(root) / name).is_dir():
        pytest.skip(f"needs the real data: LOWLEVEL_MNIST_DATA with a folder {name}")
    return pathlib.Path(root) / name
