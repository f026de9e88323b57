"""Runs that have stopped early: which network is kept, and how they go on with more patience."""

import numpy as np
import pytest

from lowlevel_mnist import data, metrics
from lowlevel_mnist.__main__ import results
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import digit_arrays
from tests.helpers.runs import assert_same_bits, read_metrics, read_state, train_on
from tests.runs.conftest import resume

# On 300 digits, the validation loss falls, rises, falls, and rises for good.
FLAGS = ["--learning-rate", 0.3, "--batch-size", 20, "--validation-split", 0.5, "--no-plots"]
FLAGS += ["--hidden-units", 32, "--epochs", 30, "--seed", 6, "--momentum", 0.3]
PATIENCE = 3


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """A `FinishedRun` that has stopped early."""
    flags = [*FLAGS, "--patience", PATIENCE]
    return train_on(digit_arrays(), *flags, home=tmp_path_factory.mktemp("stopped"))


@pytest.fixture(scope="module")
def losses(stopped_run):
    """Its validation losses."""
    return [row["val_loss"] for row in read_metrics(stopped_run.folder)["history"]]


def test_the_best_epochs_network_is_tested_and_kept(stopped_run, losses, tmp_path):
    """Against the run that ends after that epoch."""
    record, printed = read_metrics(stopped_run.folder), stopped_run.process.stdout
    best = record["best_epoch"]
    assert 1 < best == len(losses) - PATIENCE
    assert len(losses) < record["epochs"] == 30
    assert losses[best - 1] == min(losses)
    assert losses[: best - 1] != sorted(losses[: best - 1], reverse=True), "a rise was sat out"

    flags = [*FLAGS, "--epochs", best, "--output-dir", "short"]
    done = train(stopped_run.data, *flags, cwd=tmp_path)
    short = read_metrics(tmp_path / "short")
    assert short["best_epoch"] is None
    for key in ("test_loss", "test_accuracy", "confusion_matrix"):
        assert record[key] == short[key]
    ours, theirs = stopped_run.load_model(), folders.find(tmp_path / "short").load_model()
    for our, their in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(our, their)
    loaded = data.load("auto", stopped_run.data)
    test = metrics.evaluate(ours, loaded.test_images, loaded.test_labels)
    assert test.loss == record["test_loss"]

    epochs, validation, *_ = results(stopped_run.folder)
    accuracy = record["history"][best - 1]["val_accuracy"]
    assert (epochs, validation) == (str(len(losses)), f"{accuracy:.4f}")
    assert f", patience {PATIENCE}\n" in printed
    assert ", patience" not in done.stdout
    assert f"Stopped after epoch {len(losses)}, as the validation loss was not lower for" in printed
    assert f"Best epoch: {best}, validation accuracy" in printed
    assert printed.count("whose weights the network has") == 1


def test_more_patience_goes_on_from_the_last_epoch(stopped_run, losses, tmp_path):
    """As if it had been there from the beginning, with slots and all."""
    folder = tmp_path / "runs" / "one"
    flags = [*FLAGS, "--patience", 1, "--output-dir", "runs/one"]
    train(stopped_run.data, *flags, cwd=tmp_path)
    before = read_metrics(folder)
    assert before["best_epoch"] < len(before["history"]) < len(losses)
    assert resume(folder, "--patience", PATIENCE).returncode == 0
    assert_same_bits(folder, stopped_run.folder)
    done = resume(folder, "--patience", 2)
    assert_refused(done, "--patience 2 contradicts", "has --patience 3, which may only grow")


def test_so_do_more_epochs(stopped_run, losses, tmp_path):
    """The first ones end with the best one's weights, not the last one's."""
    epochs = next(n for n in range(2, len(losses)) if losses[n - 1] > min(losses[: n - 1]))
    folder = tmp_path / "runs" / "one"
    flags = [*FLAGS, "--patience", PATIENCE, "--output-dir", "runs/one", "--epochs", epochs]
    train(stopped_run.data, *flags, cwd=tmp_path)
    assert read_metrics(folder)["best_epoch"] < epochs
    assert resume(folder, "--epochs", 30).returncode == 0
    assert_same_bits(folder, stopped_run.folder)


def test_a_run_that_has_stopped_stays_as_it_is(stopped_run, tmp_path):
    """Also where its last files are missing; more epochs are not trained either."""
    folder = stopped_run.copy(tmp_path)
    (folder / "metrics.json").unlink()
    done = resume(folder, "--epochs", 40)
    assert done.returncode == 0
    assert "It has stopped early; more epochs come with a larger --patience\n" in done.stdout
    ours, theirs = (read_state(path) for path in (folder, stopped_run.folder))
    assert [state["metrics"].pop("epochs") for state in (ours, theirs)] == [40, 30]
    assert_same_bits(ours, theirs)


def test_the_last_epoch_is_trained_again_where_its_checkpoint_is_gone(stopped_run, tmp_path):
    """That has the best epoch's weights; the one before has them beside its own."""
    folder = stopped_run.copy(tmp_path)
    newest = folders.find_checkpoints(folder)[-1]
    for path in (*newest.parent.glob(f"{newest.name}.*"), folder / "metrics.json"):
        path.unlink()
    assert resume(folder).returncode == 0
    assert_same_bits(folder, stopped_run.folder)


def test_without_images_for_validation_it_is_refused(stopped_run, tmp_path):
    done = run("train", "--data-dir", stopped_run.data, "--patience", 3, cwd=tmp_path)
    assert_refused(done, "--patience 3 needs images for validation", "--validation-split 0.1")
    assert list(tmp_path.iterdir()) == []
