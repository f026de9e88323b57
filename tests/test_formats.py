"""The readers give back what was written, in every form that a data folder may have."""

import numpy as np
import pytest
from conftest import pattern_arrays, write_idx_folder

from lowlevel_mnist import data
from lowlevel_mnist.sources.formats import read_folder


@pytest.fixture(scope="module")
def arrays():
    return pattern_arrays(size=(5, 9), classes=3, train=40, test=20)


def assert_equal(read, written):
    for left, right in zip(read, written, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("compress", [False, True])
def test_idx(tmp_path, arrays, compress):
    assert_equal(read_folder(write_idx_folder(tmp_path, arrays, compress)), arrays)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, arrays, save):
    x_train, y_train, x_test, y_test = arrays
    save(tmp_path / "any.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    assert_equal(read_folder(tmp_path), arrays)


def test_npz_with_labels_of_other_integers_and_images_in_fortran_order(tmp_path, arrays):
    x_train, y_train, x_test, y_test = arrays
    np.savez(
        tmp_path / "any.npz",
        x_train=np.asfortranarray(x_train),
        y_train=y_train.astype(np.int64),
        x_test=x_test,
        y_test=y_test.astype(np.int32),
    )
    dataset = data.load("auto", tmp_path)
    read = [
        dataset.train_images,
        dataset.train_labels,
        dataset.test_images,
        dataset.test_labels,
    ]
    assert_equal(read, arrays)
    assert all(array.dtype == np.uint8 for array in read)
