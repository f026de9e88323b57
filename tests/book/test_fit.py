"""A whole training in one call: the run that `train` makes, without a folder."""

import re

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import SGD, Adam, Network, Trainer, cost, data, fit, metrics
from lowlevel_mnist.runs import folders
from tests.helpers.commands import run_python, train
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import read_metrics

PATIENCE = 2


@pytest.fixture(scope="module")
def images():
    """(training, validation) of 300 digits each."""
    return data.split(*digit_arrays()[:2], fraction=0.5, seed=6)


def make_trainer(rate=0.03, execution="eager"):
    model = Network([784, 8, 10], seed=6)
    optimizer = Adam(model.trainable_variables, rate)
    return Trainer(model, optimizer, batch_size=20, seed=6, execution=execution)


def without_seconds(history):
    return [{**row, "seconds": None} for row in history]


@pytest.mark.parametrize("patience", [None, PATIENCE])
def test_it_is_the_run_of_the_command(images, tmp_path, patience, capsys):
    """History, weights, and what is printed."""
    flags = ["--hidden-units", 8, "--optimizer", "adam", "--learning-rate", 0.03, "--seed", 6]
    flags += ["--batch-size", 20, "--epochs", 8, "--validation-split", 0.5, "--no-plots"]
    flags += ["--patience", patience] if patience else []
    folder = write_idx_folder(tmp_path / "data", digit_arrays())
    done = train(folder, *flags, "--output-dir", "run", cwd=tmp_path)
    trainer = make_trainer()
    capsys.readouterr()
    history = fit(trainer, *images, epochs=8, patience=patience)
    expected = read_metrics(tmp_path / "run")["history"]
    assert len(history) == 8 if patience is None else 2 < len(history) < 8
    assert without_seconds(history) == without_seconds(expected)
    theirs = folders.find(tmp_path / "run").load_model()
    for variable, value in zip(trainer.model.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(variable, value)
    times = re.compile(r"[\d.]+(s|ms/step) ")
    shown = times.sub("", capsys.readouterr().out)
    assert shown.count("Epoch ") == len(history)
    assert shown in times.sub("", done.stdout)


def test_without_validation_and_in_silence(images, capsys):
    history = fit(make_trainer(execution="graph"), images[0], epochs=2, quiet=True)
    assert [row["val_loss"] for row in history] == [None, None]
    assert history[1]["loss"] < history[0]["loss"]
    assert capsys.readouterr() == ("", "")


def test_labels_that_lack_the_last_classes(images):
    """The model says how many classes there are."""
    few = images[0][1] < 7
    (row,) = fit(make_trainer(), tuple(part[few] for part in images[0]), epochs=1, quiet=True)
    assert row["loss"] > 0


def test_targets_are_taken_as_they_are(images):
    pixels, labels = images[0]
    targets = tf.one_hot(labels, 10).numpy()
    trainers = [make_trainer(), make_trainer()]
    rows = [
        fit(trainer, (pixels, y), epochs=1, quiet=True)
        for trainer, y in zip(trainers, (labels, targets), strict=True)
    ]
    assert without_seconds(rows[0]) == without_seconds(rows[1])


def test_a_regression(images, capsys):
    """How much ink there is in an image, with early stopping; there is no accuracy."""
    pairs = [(x, x.mean(axis=(1, 2), keepdims=True)[:, 0].astype("float32")) for x, _ in images]
    model = Network([784, 1])
    optimizer = Adam(model.trainable_variables, 0.3)
    trainer = Trainer(model, optimizer, 20, cost=cost.squared_error, count=None)
    history = fit(trainer, *pairs, epochs=30, patience=2)
    losses = [row["val_loss"] for row in history]
    assert losses[-1] < losses[0] / 10
    assert metrics.score(model, *pairs[1], cost.squared_error).loss == min(losses)
    assert (
        {row["accuracy"] for row in history} == {row["val_accuracy"] for row in history} == {None}
    )
    shown = capsys.readouterr().out.splitlines()
    assert "accuracy" not in "".join(shown)
    best = 1 + losses.index(min(losses))
    assert shown[-1].startswith(f"Best epoch: {best}, validation loss ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 1, "patience": 2}, "patience is 2, which needs images for validation"),
    ],
)
def test_wrong_arguments(images, arguments, words):
    with pytest.raises(ValueError, match=words):
        fit(make_trainer(), images[0], **arguments)
    with pytest.raises(ValueError, match="patience is 0"):
        fit(make_trainer(), *images, epochs=1, patience=0)


def test_the_validation_is_by_the_trainer_s_cost(images):
    model = Network([784, 10])
    options = {"batch_size": 20, "cost": cost.squared_error}
    trainer = Trainer(model, SGD(model.trainable_variables, 0.01), **options)
    (row,) = fit(trainer, *images, epochs=1, quiet=True)
    pictures, labels = images[1]
    outputs = metrics.compute_logits(model, pictures).numpy()
    errors = (outputs - np.eye(10)[labels]) ** 2
    assert row["val_loss"] == pytest.approx(errors.mean(), rel=1e-6)
    assert row["val_accuracy"] == np.mean(outputs.argmax(axis=1) == labels)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:0], y[:0]), "images are uint8"),
        (lambda x, y: (x, y[:-1]), "images, but"),
        (lambda x, y: (x, y + 1), "there are 10 classes"),
        (lambda x, y: (x[:, :14], y), "can't be called with images"),
    ],
)
def test_wrong_images_for_validation_are_refused_before_the_training(images, change, words):
    trainer = make_trainer()
    before = trainer.model.weights[0].numpy()
    with pytest.raises(ValueError, match=words):
        fit(trainer, images[0], change(*images[1]), epochs=1, quiet=True)
    np.testing.assert_array_equal(trainer.model.weights[0].numpy(), before)


def test_a_script(tmp_path):
    """As README has it; the name is the function, before and after its module is imported."""
    script = """
from lowlevel_mnist import Network, SGD, Trainer, data, fit
import lowlevel_mnist, lowlevel_mnist.fitting
digits = data.load("auto", "data")
training, validation = data.split(digits.train_images, digits.train_labels, 0.1, seed=0)
model = Network([784, 10])
trainer = Trainer(model, SGD(model.trainable_variables, 0.5), batch_size=50, execution="graph")
history = fit(trainer, training, validation, epochs=2)
assert fit is lowlevel_mnist.fit
print(len(history))
"""
    write_idx_folder(tmp_path / "data", digit_arrays())
    done = run_python("-c", script, cwd=tmp_path)
    first, second, best, count = done.stdout.splitlines()
    assert first.startswith("Epoch 1/2  ")
    assert second.startswith("Epoch 2/2  ")
    assert best.startswith("Best epoch: ")
    assert count == "2"
    assert done.stderr == ""
