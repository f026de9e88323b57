"""Images become tensors without a copy where nobody can change them, pixels 0..1, labels rows."""

import numpy as np
import pytest

from lowlevel_mnist import data, memory, preprocessing
from tests.sources.files import IDX, four_arrays, npz, write


def address(array):
    return np.asarray(array).ctypes.data


@pytest.mark.parametrize("files", [IDX, {"any.npz": npz(**four_arrays())}], ids=["idx", "npz"])
def test_a_tensor_has_the_memory_of_images_that_were_read_or_split(tmp_path, files):
    dataset = data.load("auto", write(tmp_path, files))
    for images, _ in data.split(dataset.train_images, dataset.train_labels, 0.2, seed=0):
        assert address(preprocessing.flatten(images)) == address(images)
    images = dataset.train_images
    pixels = preprocessing.flatten(images)
    assert address(pixels) == address(images)
    assert not images.flags.writeable
    expected = images.reshape(len(images), -1).copy()
    del dataset, images
    np.testing.assert_array_equal(pixels, expected)


def test_a_tensor_does_not_change_with_the_images():
    for images in (np.ones((3, 4, 5), np.uint8), memory.empty(60).reshape(3, 4, 5)):
        images[:] = 1
        pixels = preprocessing.flatten(images)
        images[:] = 9
        assert (pixels.numpy() == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_images_of_another_dtype_keep_it(dtype):
    """So that they are refused in training, and not cut off to bytes."""
    images = np.linspace(-1, 300, 60).astype(dtype).reshape(3, 4, 5)
    pixels = preprocessing.flatten(images)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, images.reshape(3, 20))


def test_images_anywhere_in_memory_become_a_tensor():
    """TensorFlow would end the process for memory that begins at another place."""
    content = np.arange(500, dtype=np.uint8).tobytes()
    writeable = memory.empty(500)
    writeable[:] = np.frombuffer(content, np.uint8)
    for source in (np.frombuffer(content, np.uint8), writeable):
        for first in range(130):
            images = source[first : first + 240].reshape(10, 4, 6)
            images.flags.writeable = False
            np.testing.assert_array_equal(preprocessing.flatten(images), images.reshape(10, 24))
    reversed_rows = writeable[:240].reshape(10, 4, 6)[::-1]
    reversed_rows.flags.writeable = False
    expected = reversed_rows.reshape(10, 24)
    np.testing.assert_array_equal(preprocessing.flatten(reversed_rows), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_become_numbers_from_0_to_1(dtype):
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 128)
    expected = pixels.astype(dtype) / np.array(255, dtype)
    np.testing.assert_array_equal(preprocessing.scale(pixels, dtype), expected, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "uint8"])
def test_labels_become_rows_with_a_one_at_their_class(dtype):
    labels = np.array([2, 0, 3, 3], np.uint8)
    expected = np.eye(5, dtype=dtype)[labels]
    one_hot = preprocessing.one_hot(labels, 5, dtype)
    np.testing.assert_array_equal(one_hot, expected, strict=True)
    for label in (-1, 5):
        with pytest.raises(ValueError, match=f"A label is {label}; there are 5 classes, 0 to 4"):
            preprocessing.one_hot(np.array([0, label]), 5, dtype)
