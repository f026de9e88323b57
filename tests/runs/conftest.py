"""What the tests of runs share: a copy of a run, and how it goes on."""

import pytest

from tests.helpers.commands import run, training_until

# Those of `softmax_run`, whose epochs have 7 steps.
FLAGS = ["--batch-size", 96, "--epochs", 3, "--learning-rate", 0.25, "--seed", 7]


@pytest.fixture
def run_copy(softmax_run, tmp_path):
    """The folder of a copy of `softmax_run`: `runs/one` in `tmp_path`."""
    return softmax_run.copy(tmp_path)


def resume(folder, *flags):
    """Goes on with `runs/NAME`, in the folder where its command was run; returns as `run` does."""
    line = ["--resume", "--output-dir", f"runs/{folder.name}", "--no-plots", *flags]
    return run("train", *line, cwd=folder.parents[1])


def endless_training(data, cwd):
    """A `train` process with FLAGS, in the folder `run`, that has just finished its first epoch."""
    flags = ["--data-dir", data, *FLAGS, "--epochs", 100_000, "--output-dir", "run"]
    return training_until("Epoch 1/", *flags, cwd=cwd)
