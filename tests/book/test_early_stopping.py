"""Early stopping: when a training ends, and with which weights, whatever disturbs it."""

import itertools
import shutil
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import BestWeights, Network, data, early_stopping, metrics
from lowlevel_mnist.__main__ import results
from lowlevel_mnist.runs import folders
from tests.distribution.test_distribute import train_together
from tests.helpers.commands import assert_refused, run, split_cpu, train, training_until
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import assert_same_bits, read_metrics, read_state

# On 300 digits, the validation loss falls, rises, falls, and rises for good after epoch 6.
FLAGS = ["--learning-rate", 0.3, "--batch-size", 20, "--validation-split", 0.5, "--no-plots"]
FLAGS += ["--hidden-units", 32, "--epochs", 30, "--seed", 6]
PATIENCE = 3


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """(data folder, run folder, what was printed) of a run that has stopped early."""
    base = tmp_path_factory.mktemp("stopped")
    folder = write_idx_folder(base / "data", digit_arrays())
    done = train(folder, *FLAGS, "--patience", PATIENCE, "--output-dir", "run", cwd=base)
    return folder, base / "run", done.stdout


@pytest.fixture
def copy(stopped, tmp_path):
    return shutil.copytree(stopped[1], tmp_path / "run")


def resume(folder, *flags):
    line = ["--resume", "--output-dir", folder.name, "--no-plots", *flags]
    return run("train", *line, cwd=folder.parent)


def remove_newest(folder):
    newest = folders.find_checkpoints(folder)[-1]
    for path in newest.parent.glob(f"{newest.name}.*"):
        path.unlink()
    (folder / "metrics.json").unlink()


def keras_stops(losses, patience):
    """(epochs trained, best epoch, the weight at the end) of Keras on such validation losses.

    The weight is the number of the epoch after which it was kept.
    """
    weight = keras.Variable(0.0)

    class Counter(keras.Model):
        def get_weights(self):
            return [weight.numpy()]

        def set_weights(self, weights):
            weight.assign(weights[0])

    callback = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=patience, restore_best_weights=True, mode="min"
    )
    model = Counter()
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        weight.assign(epoch + 1)
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, callback.best_epoch + 1, int(weight.numpy())


def our_stop(losses, patience):
    """What `keras_stops` returns, of a loop as a user writes it."""
    model = tf.Module()
    model.weight = tf.Variable(0.0)
    best, seen = BestWeights(model), []
    for epoch, loss in enumerate(losses, start=1):
        model.weight.assign(epoch)
        seen.append(loss)
        best.keep(seen)
        if early_stopping.is_exhausted(seen, patience):
            break
    best.put_into_model()
    return epoch, early_stopping.best_epoch(seen), int(model.weight.numpy())


def test_it_stops_where_keras_does():
    """Falls, rises and ties of six epochs, and some longer ones with numbers that are none."""
    cases = list(itertools.product([1.0, 2.0, 3.0], repeat=6))
    generator = np.random.default_rng(0)
    cases += generator.choice([0.0, 0.5, 1.0, np.inf, np.nan], (200, 12)).tolist()
    for losses, patience in itertools.product(cases[::8], [1, 2, 4]):
        assert our_stop(losses, patience) == keras_stops(losses, patience), (losses, patience)


def test_variables_that_are_not_trained_are_kept_and_given_back():
    """Running means of batch normalisation belong to an epoch as its weights do."""
    model = Network([4, 3])
    model.mean = tf.Variable([1.0, 2.0], trainable=False)
    best = BestWeights(model)
    model.mean.assign([3.0, 4.0])
    best.keep([0.5])
    model.mean.assign([5.0, 6.0])
    best.keep([0.5, 0.7])
    for in_model, expected in [(True, [3, 4]), (True, [3, 4]), (False, [5, 6]), (True, [3, 4])]:
        best.put_into_model(in_model)
        assert model.mean.numpy().tolist() == expected


def test_the_best_epochs_network_is_tested_and_kept(stopped, tmp_path):
    """Against the run that ends after that epoch."""
    folder, stopped_run, printed = stopped
    record = read_metrics(stopped_run)
    losses = [row["val_loss"] for row in record["history"]]
    best = record["best_epoch"]
    assert 1 < best == len(losses) - PATIENCE
    assert len(losses) < record["epochs"] == 30
    assert losses[best - 1] == min(losses)
    assert losses[: best - 1] != sorted(losses[: best - 1], reverse=True), "a rise was sat out"

    done = train(folder, *FLAGS, "--epochs", best, "--output-dir", "short", cwd=tmp_path)
    short = read_metrics(tmp_path / "short")
    assert short["best_epoch"] is None
    for key in ("test_loss", "test_accuracy", "confusion_matrix"):
        assert record[key] == short[key]
    ours, theirs = (folders.find(path).load_model() for path in (stopped_run, tmp_path / "short"))
    for our, their in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(our, their)
    loaded = data.load("auto", folder)
    test = metrics.evaluate(ours, loaded.test_images, loaded.test_labels)
    assert test.loss == record["test_loss"]

    epochs, validation, *_ = results(stopped_run)
    accuracy = record["history"][best - 1]["val_accuracy"]
    assert (epochs, validation) == (str(len(losses)), f"{accuracy:.4f}")
    assert f", patience {PATIENCE}\n" in printed
    assert ", patience" not in done.stdout
    assert f"Stopped after epoch {len(losses)}, as the validation loss was not lower for" in printed
    assert f"Best epoch: {best}, validation accuracy" in printed
    assert printed.count("whose weights the network has") == 1


def test_more_patience_goes_on_from_the_last_epoch(stopped, copy, tmp_path):
    """As if it had been there from the beginning, with slots and all; and so do more epochs."""
    flags = [*FLAGS, "--optimizer", "adam", "--learning-rate", 0.03]
    train(stopped[0], *flags, "--patience", 1, "--output-dir", "slots", cwd=tmp_path)
    before = read_metrics(tmp_path / "slots")
    assert len(before["history"]) < 30
    done = resume(tmp_path / "slots", "--patience", 2)
    assert done.returncode == 0
    assert len(read_metrics(tmp_path / "slots")["history"]) > len(before["history"])
    train(stopped[0], *flags, "--patience", 2, "--output-dir", "whole", cwd=tmp_path)
    assert_same_bits(tmp_path / "slots", tmp_path / "whole")

    assert_refused(resume(copy, "--patience", 2), "--patience 2 contradicts", "only grow")


def test_more_epochs(stopped, tmp_path):
    """The first three end with the best one's weights, not the last one's."""
    flags = [*FLAGS, "--patience", 20, "--output-dir", "run"]
    losses = [row["val_loss"] for row in read_metrics(stopped[1])["history"]]
    first = next(epoch for epoch in range(2, 9) if losses[epoch - 1] > min(losses[: epoch - 1]))
    train(stopped[0], *flags, "--epochs", first, cwd=tmp_path)
    assert read_metrics(tmp_path / "run")["best_epoch"] < first
    assert resume(tmp_path / "run", "--epochs", first + 2).returncode == 0
    train(stopped[0], *flags[:-1], "whole", "--epochs", first + 2, cwd=tmp_path)
    assert_same_bits(tmp_path / "run", tmp_path / "whole")


def test_a_run_that_has_stopped_stays_as_it_is(stopped, copy):
    """Also where its last files are missing; more epochs would not be trained either."""
    for flags in ([], ["--epochs", 30]):
        (copy / "metrics.json").unlink()
        done = resume(copy, *flags)
        assert done.returncode == 0
        assert "It has stopped early; more epochs come with a larger --patience\n" in done.stdout
        assert_same_bits(copy, stopped[1])
    assert resume(copy, "--epochs", 40).returncode == 0
    again = read_state(copy)
    assert again["metrics"].pop("epochs") == 40
    expected = read_state(stopped[1])
    expected["metrics"].pop("epochs")
    assert_same_bits(again, expected)


def test_the_last_epoch_is_trained_again_where_its_checkpoint_is_gone(stopped, copy):
    """That has the best epoch's weights; the one before has them beside its own."""
    remove_newest(copy)
    assert resume(copy).returncode == 0
    assert_same_bits(copy, stopped[1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_disturbed_run_ends_bit_identical(stopped, tmp_path, number):
    flags = ["--data-dir", stopped[0], *FLAGS, "--patience", PATIENCE, "--output-dir", "run"]
    with training_until("Epoch 4/", *flags, cwd=tmp_path) as process:
        time.sleep(0.01)
        process.send_signal(number)
        process.communicate()
    assert resume(tmp_path / "run").returncode == 0
    assert_same_bits(tmp_path / "run", stopped[1])


def test_without_images_for_validation_it_is_refused(stopped, copy, tmp_path):
    done = run("train", "--data-dir", stopped[0], "--patience", 3, cwd=tmp_path)
    assert_refused(done, "--patience 3 needs images for validation", "--validation-split 0.1")
    assert list(tmp_path.iterdir()) == [copy]
    for wrong in (0, 1.5):
        done = run("train", "--data-dir", stopped[0], "--patience", wrong, cwd=tmp_path)
        assert_refused(done, "--patience", "a whole number of 1 or more")


def test_a_run_without_patience_can_not_get_any(stopped, tmp_path):
    train(stopped[0], *FLAGS, "--epochs", 1, "--output-dir", "run", cwd=tmp_path)
    done = resume(tmp_path / "run", "--patience", 3)
    assert_refused(done, "--patience 3 contradicts the run in run, which has no --patience.")


def test_devices_that_share_batches_stop_as_one_does(stopped, tmp_path):
    flags = [*FLAGS, "--patience", PATIENCE, "--output-dir", "run", "--distribute", "mirrored"]
    train(stopped[0], *flags, cwd=tmp_path, before=split_cpu(2))
    ours, theirs = read_metrics(tmp_path / "run"), read_metrics(stopped[1])
    assert ours["replicas"] == 2
    assert ours["best_epoch"] == theirs["best_epoch"]
    assert len(ours["history"]) == len(theirs["history"])
    assert ours["test_loss"] == pytest.approx(theirs["test_loss"], rel=1e-3)


@pytest.mark.full
def test_workers_stop_together(stopped, tmp_path):
    """And go on together from the last epoch's weights with more patience."""
    flags = [*FLAGS, "--data-dir", stopped[0], "--output-dir", tmp_path / "run"]
    flags += ["--execution", "graph", "--dtype", "float64"]
    train_together(2, *flags, "--patience", 1, cwd=tmp_path)
    first = read_metrics(tmp_path / "run")["history"]
    train_together(2, *flags, "--patience", PATIENCE, "--resume", cwd=tmp_path)
    train(stopped[0], *flags, "--patience", PATIENCE, "--output-dir", "alone", cwd=tmp_path)
    ours, theirs = read_metrics(tmp_path / "run"), read_metrics(tmp_path / "alone")
    assert len(first) < len(ours["history"]) == len(theirs["history"])
    assert ours["best_epoch"] == theirs["best_epoch"]
    assert ours["test_loss"] == pytest.approx(theirs["test_loss"], abs=1e-9)
