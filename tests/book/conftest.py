"""What the tests of the book share."""

import math

import pytest

from lowlevel_mnist.execution import blocks


@pytest.fixture
def cut(monkeypatch):
    """A function after which the clock has no say in how a trainer's epochs are cut.

    Blocks then have at most so many batches, and a call so many steps, or those left of its block.
    """

    def cut(trainer, block, call):
        monkeypatch.setattr(blocks, "MAX_EAGER_STEPS", block)
        monkeypatch.setattr(blocks, "MAX_COMPILED_STEPS", block)
        monkeypatch.setattr(blocks, "MIN_CALL_SECONDS", 0)
        monkeypatch.setattr(blocks, "MAX_CALL_SECONDS", math.inf)
        trainer.pace.steps = call

    return cut
