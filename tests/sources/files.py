"""One small data set, and what files of it hold, for the tests of their readers."""

import io

import numpy as np

from tests.helpers.data import IDX_NAMES, NPZ_KEYS, idx_bytes, pattern_arrays

ARRAYS = X_TRAIN, Y_TRAIN, X_TEST, Y_TEST = pattern_arrays((6, 6), classes=3, train=70, test=20)
TURNED = [array.swapaxes(1, 2) if array.ndim == 3 else array for array in ARRAYS]  # as EMNIST's
IDX = dict(zip(IDX_NAMES, map(idx_bytes, ARRAYS), strict=True))


def write(folder, files):
    """Writes files, each a text or bytes by its path in the folder; returns the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(*arrays, save=np.savez, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def four_arrays(**changes):
    """The data set as one archive has it, with some arrays changed."""
    return {**dict(zip(NPZ_KEYS, ARRAYS, strict=True)), **changes}


def csv(*columns, header=None):
    """A table of some arrays [n, ...] side by side: each row has what is one image's."""
    rows = np.hstack([np.reshape(column, (len(column), -1)).astype(str) for column in columns])
    lines = [header] if header is not None else []
    return "".join(f"{line}\n" for line in [*lines, *map(",".join, rows)])


def csv_pair(names=("train.csv", "test.csv"), header=None, arrays=ARRAYS):
    """Tables of training and test images, the label first."""
    pairs = arrays[:2], arrays[2:]
    tables = (csv(labels, images, header=header) for images, labels in pairs)
    return dict(zip(names, tables, strict=True))


def pixels(name):
    """The header of the columns of 36 pixels, each called `name` with its number."""
    return ",".join(map(name.format, range(36)))


def emnist_name(name):
    return "emnist-mini-" + name.replace("t10k", "test")


def assert_training_is(dataset, images, labels):
    np.testing.assert_array_equal(dataset.train_images, images, strict=True)
    np.testing.assert_array_equal(dataset.train_labels, labels, strict=True)


def assert_test_is(dataset, images, labels):
    np.testing.assert_array_equal(dataset.test_images, images, strict=True)
    np.testing.assert_array_equal(dataset.test_labels, labels, strict=True)
