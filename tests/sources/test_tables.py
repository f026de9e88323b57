"""CSV: which column is the label, and labels that are texts."""

import numpy as np
import pytest

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from tests.sources.files import (
    X_TRAIN,
    Y_TEST,
    Y_TRAIN,
    csv,
    four_arrays,
    npz,
    pixels,
    write,
)


def test_labels_that_are_texts_are_the_names_of_the_classes(tmp_path):
    """As those of Devanagari characters, in a column that is called so, or Chinese numbers."""
    texts = np.array(["baa", "九", "a b"])[Y_TRAIN]
    table = csv(texts, X_TRAIN, header=f"character,{pixels('p{}')}").replace(",", "\t")
    dataset = data.load("auto", write(tmp_path, {"letters.csv": table}), only_test=True)
    np.testing.assert_array_equal(dataset.test_images, X_TRAIN)
    assert dataset.class_names == ["a b", "baa", "九"]
    np.testing.assert_array_equal(np.array(dataset.class_names)[dataset.test_labels], texts)


@pytest.mark.parametrize("encoding", ["cp949", "utf-16"])
def test_texts_in_another_encoding_are_refused(tmp_path, encoding):
    """As Excel writes them: they must not become one class."""
    table = csv(np.array(["一", "二", "三"])[Y_TRAIN], X_TRAIN)
    write(tmp_path, {"any.csv": table.encode(encoding)})
    with pytest.raises(UserError, match=r"any\.csv .*Save (it|the file) in UTF-8"):
        data.load("auto", tmp_path / "any.csv")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([f"n{number}" for number in range(257)], "more than 256 different labels, such as n256"),
        (["a\x1b[2J"] * 9, "can't name a class"),
        (["a" * 101] * 9, "can't name a class"),
        (["a", ""] * 9, "has '' in line 2"),
        (["a", "1.5"] * 9, "has '1.5' in line 2"),
    ],
)
def test_texts_that_can_not_be_classes(tmp_path, labels, words):
    write(tmp_path, {"any.csv": csv(labels, np.zeros((len(labels), 5, 5), int))})
    with pytest.raises(UserError, match=words):
        data.load("auto", tmp_path)


def test_texts_in_an_archive(tmp_path):
    """They are put in natural order; texts of whole numbers are these."""
    names = np.array([b"10", b"2", b"c\xc3\xa9"])
    write(tmp_path, {"any.npz": npz(**four_arrays(y_train=names[Y_TRAIN], y_test=names[Y_TEST]))})
    dataset = data.load("auto", tmp_path)
    assert dataset.class_names == ["2", "10", "cé"]
    np.testing.assert_array_equal(dataset.test_labels, np.array([1, 0, 2])[Y_TEST])
    numbers = four_arrays(y_train=Y_TRAIN.astype(str), y_test=Y_TEST.astype(str))
    dataset = data.load("auto", write(tmp_path, {"any.npz": npz(**numbers)}))
    assert dataset.names is None
    np.testing.assert_array_equal(dataset.test_labels, Y_TEST)


def test_a_label_that_may_be_last_is_refused(tmp_path):
    """Without a header nobody can know, and the first pixel is always background."""
    images = X_TRAIN.copy()
    images[:, 0, 0] = 0
    write(tmp_path, {"any.csv": csv(images, Y_TRAIN)})
    for only_test in (False, True):
        with pytest.raises(UserError, match="If the label is in the last one"):
            data.load("auto", tmp_path, only_test=only_test)


def test_numbers_and_names_of_classes_side_by_side(tmp_path):
    """As of Chinese MNIST: the first of the two columns is the label."""
    names = np.array(list("零一二"))[Y_TRAIN]
    table = csv(X_TRAIN, Y_TRAIN, names, header=f"{pixels('pixel_{}')},label,character")
    dataset = data.load("auto", write(tmp_path, {"any.csv": table}), only_test=True)
    np.testing.assert_array_equal(dataset.test_images, X_TRAIN)
    np.testing.assert_array_equal(dataset.test_labels, Y_TRAIN)
