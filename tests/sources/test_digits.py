"""The built-in digits: MNIST's format, balanced, repeatable, and real enough to learn from."""

import tracemalloc

import numpy as np
import pytest

from lowlevel_mnist import data
from lowlevel_mnist.sources import digits
from tests.tables import digits_on_mnist

COUNT = 2003


@pytest.fixture(scope="module")
def drawn():
    return digits.generate(COUNT, seed=4)


def test_the_format(drawn):
    images, labels = drawn
    assert images.shape == (COUNT, 28, 28)
    assert labels.shape == (COUNT,)
    assert images.dtype == labels.dtype == np.uint8
    assert np.unique(images[:500]).size > 200  # anti-aliased, not black and white
    assert (images.max(axis=(1, 2)) > 200).all()


def test_the_classes_are_balanced_and_in_random_order(drawn):
    counts = np.bincount(drawn[1], minlength=10)
    assert sorted(counts) == [200] * 7 + [201] * 3
    assert len({tuple(drawn[1][start : start + 10]) for start in range(0, 2000, 10)}) > 180


def test_the_ink_fills_a_box_of_20_pixels_centred_by_mass(drawn):
    images = drawn[0].astype(float)
    inked = [images.max(axis=axis) > 0 for axis in (1, 2)]
    spans = [np.ptp(np.where(line, np.arange(28), 14), axis=1) + 1 for line in inked]
    longest = np.maximum(*spans)
    assert longest.max() <= 20
    assert np.mean(longest >= 19) > 0.99
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centres = (images.sum(axis=axis) * np.arange(28)).sum(axis=1) / mass
        assert centres.mean() == pytest.approx(14, abs=0.05)  # as in MNIST
        assert np.mean(np.abs(centres - 14) <= 0.51) > 0.99


def test_a_seed_repeats_and_all_else_is_another_digit(drawn):
    again = digits.generate(COUNT, seed=4)
    for left, right in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(left, right)
    others = digits.generate(500, seed=5)[0], digits.generate(500, seed=4, part="test")[0]
    together = np.concatenate([drawn[0], *others])
    assert len(np.unique(together.reshape(len(together), -1), axis=0)) == len(together)


@pytest.mark.parametrize("count", [1, 11])
def test_few(count):
    images, labels = digits.generate(count, seed=0)
    assert images.shape == (count, 28, 28)
    assert len(set(labels.tolist())) == min(count, 10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 2.0}, "count is 2.0"),
        ({"count": True}, "count is True"),
        ({"count": 10, "seed": -1}, "seed is -1"),
        ({"count": 10, "part": "validation"}, "part is 'validation'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        digits.generate(**arguments)


@pytest.mark.full
def test_60_000_take_less_than_a_gibibyte_and_none_are_alike():
    tracemalloc.start()
    try:
        images, _ = digits.generate(60_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert images.nbytes < peak < 2**30
    assert len(set(map(bytes, images))) == 60_000


@pytest.mark.full
def test_a_network_that_saw_only_digits_reads_real_handwriting(mnist_folder):
    _, test = digits_on_mnist.read_mnist(data.load("mnist", mnist_folder), seed=0)
    assert test.confusion_matrix.sum() == 10_000
    assert test.accuracy >= 0.90
