"""How an epoch is cut into blocks, and a block into calls that nobody has to wait for."""

import itertools
import math
import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lowlevel_mnist.execution import blocks
from tests.book.test_executions import SMALL, make_trainer
from tests.helpers.data import pattern_arrays


@given(st.integers(1, 5000), st.data())
def test_blocks_are_an_epoch_in_at_most_two_shapes(samples, data):
    """Also where an epoch is gone on with. Each shape is compiled once."""
    batch_size = data.draw(st.integers(1, samples))
    max_steps = data.draw(st.integers(1, 600))
    done = data.draw(st.integers(0, -(-samples // batch_size) - 1))
    order = np.random.default_rng(0).permutation(samples)
    shapes = set()
    for begin in (0, done):
        trained = [order[: begin * batch_size]]
        for first, rows, trained_before in blocks.cut_epoch(order, batch_size, max_steps, begin):
            np.testing.assert_array_equal(rows.ravel(), order[first : first + rows.size])
            assert 0 <= trained_before < len(rows) <= max_steps
            shapes.add(rows.shape)
            trained.append(rows[trained_before:].ravel())
        np.testing.assert_array_equal(np.concatenate(trained), order)
    assert len(shapes) <= 2


@pytest.mark.parametrize(("samples", "traces"), [(1310, 1), (1312, 2)])
def test_each_shape_of_a_batch_is_traced_once(samples, traces, cut, monkeypatch):
    """131 batches in blocks of 44 and 43, and two images; however many steps the calls have."""
    trainer, *data = make_trainer(SMALL, pattern_arrays(train=samples)[:2], "graph")
    count = trainer.execute.experimental_get_tracing_count
    cut(trainer, block=64, call=29)
    since, *_ = trainer.train_blocks(*data, 1)
    assert count() == traces
    trainer.train_epoch(*data, 1, since)
    monkeypatch.setattr(blocks, "MIN_CALL_SECONDS", math.inf)  # twice as many at each call
    trainer.pace.steps = 1
    trainer.train_epoch(*data, 2)
    assert count() == traces


def test_blocks_of_large_images_are_short():
    assert blocks.max_steps("eager", 1) == blocks.MAX_EAGER_STEPS
    assert blocks.max_steps("graph", 1) == blocks.max_steps("xla", 1) == blocks.MAX_COMPILED_STEPS
    assert blocks.max_steps("xla", blocks.MAX_BLOCK_BYTES // 9) == 9
    assert blocks.max_steps("graph", blocks.MAX_BLOCK_BYTES + 1) == 1


@pytest.mark.parametrize("size", [1000, blocks.MAX_PREPARED + 1])
def test_eager_steps_prepare_a_bounded_piece(size):
    """Or as little as one batch, if that is larger; and each batch once, in their order."""
    prepared = []

    def prepare(numbers, names):
        prepared.append(math.prod(numbers.shape) + math.prod(names.shape))
        return numbers, names

    take = blocks.batches((tf.zeros([9, size], tf.uint8), tf.range(9)), prepare, 1, 8)
    taken = [take(number) for number in range(1, 8)]
    assert [int(name) for _, name in taken] == list(range(1, 8))
    assert {tuple(numbers.shape) for numbers, _ in taken} == {(size,)}
    assert sum(prepared) == 7 * (size + 1)
    assert max(prepared) <= max(blocks.MAX_PREPARED, size + 1)


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [
        ([0.1], [1, 2, 4, 8, 5, 16, 4]),  # too short: twice as many, but for those left
        ([0.1, 0.1, 0.3, 0.8, 0.4], [1, 2, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4]),
        ([0.1, 0.1, 0.1, 0.9, 5.0, 0.9, 0.9, 0.3], [1, 2, 4, 8, 4, 1, *[1] * 20]),
        ([9.0], [1] * 40),  # not fewer than one
    ],
)
def test_a_call_takes_as_long_as_one_likes_to_wait(seconds, steps):
    """By the seconds that are agreed upon, which here the test gives. Two blocks of 20 steps."""
    clock = itertools.chain(seconds, itertools.repeat(seconds[-1]))
    pace = blocks.Pace()
    pace.agree = lambda _: next(clock)
    block = [tf.range(23)]
    called = []
    for _ in range(2):
        trained = []
        for (numbers,) in pace.calls(lambda block, first, end: block, block, 3):
            called.append(len(numbers))
            trained += numbers.tolist()
        assert trained == list(range(3, 23))
    assert called == steps


def test_the_seconds_of_a_call_are_measured():
    def loop(block, first, end):
        time.sleep(0.05)
        return block

    measured = []
    pace = blocks.Pace()
    pace.agree = lambda seconds: measured.append(seconds) or seconds
    list(pace.calls(loop, [tf.zeros([1])], 0))
    assert 0.04 <= measured[0] < 10
