"""`train` as a user runs it: what it prints, what it leaves, and that one seed means one run."""

import csv

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.commands import assert_ends, run, train, training_until
from tests.helpers.runs import assert_same_bits, read_metrics, read_state

# Of the keys of the contract, those that are no results.
SETTINGS = {
    "recipe": "softmax",
    "dataset": "custom",
    "dataset_source": "data-dir",
    "dataset_verified": False,
    "execution": "eager",
    "dtype": "float32",
    "seed": 7,
    "batch_size": 96,
    "epochs": 3,
    "optimizer": "sgd",
    "learning_rate": 0.25,
    "layer_sizes": [784, 10],
    "dropout": 0,
    "parameters": 784 * 10 + 10,
    "tensorflow": tf.__version__,
}
PICTURES = ["samples", "curves", "confusion_matrix", "random_predictions", "weights"]


def test_the_folder(softmax_run):
    pictures = {f"{name}.png" for name in PICTURES}
    found = {path.name for path in softmax_run.folder.iterdir()}
    assert found == pictures | {"settings.json", "metrics.json", "history.csv", "checkpoints"}
    for picture in pictures:
        assert (softmax_run.folder / picture).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_metrics_and_history(softmax_run):
    metrics = read_metrics(softmax_run.folder)
    assert {key: metrics[key] for key in SETTINGS} == SETTINGS
    matrix = np.array(metrics["confusion_matrix"])
    assert matrix.sum(axis=1).tolist() == [10] * 10
    assert matrix.trace() / 100 == metrics["test_accuracy"]

    names = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "learning_rate"]
    assert [row["epoch"] for row in metrics["history"]] == [1, 2, 3]
    for row in metrics["history"]:
        assert sorted(row) == sorted(names)
        assert row["seconds"] > 0
        assert row["val_loss"] is row["val_accuracy"] is None
    assert metrics["history"][0]["loss"] > metrics["history"][2]["loss"] > 0
    with (softmax_run.folder / "history.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    for row, line in zip(metrics["history"], table, strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == line


def test_what_is_printed(softmax_run):
    done, metrics = softmax_run.process, read_metrics(softmax_run.folder)
    assert done.stderr == ""
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    header, end = "\n".join(lines[:3]), "\n".join(lines[-7:])
    for said in (tf.__version__, "eager execution on", "CPU:0", "not verified", "7,850 parameters"):
        assert said in header
    epochs = [line for line in lines if line.startswith("Epoch")]
    for number, (line, row) in enumerate(zip(epochs, metrics["history"], strict=True), 1):
        assert line.startswith(f"Epoch {number}/3  7/7 ")
        scores = f"loss: {row['loss']:.4f} - accuracy: {row['accuracy']:.4f}"
        assert line.endswith(f"ms/step - {scores}")
    assert f"Test loss {metrics['test_loss']:.4f}" in end
    assert f"test accuracy {metrics['test_accuracy']:.4f}" in end
    assert "Saved in runs/one" in end


@pytest.mark.full
def test_the_commands_to_try_next_work(softmax_run, tmp_path):
    softmax_run.copy(tmp_path)
    lines = softmax_run.process.stdout.splitlines()
    commands = [line.split() for line in lines if " -m lowlevel_mnist." in line]
    assert len(commands) == 3
    for _, _, module, *arguments in commands:
        tried = run(module.removeprefix("lowlevel_mnist."), *arguments, cwd=tmp_path)
        assert tried.returncode == 0


def test_one_seed_is_one_run_and_another_seed_another(softmax_run, tmp_path):
    flags = ["--batch-size", 96, "--epochs", 3, "--learning-rate", 0.25, "--no-plots"]
    for seed in (7, 8):
        train(softmax_run.data, *flags, "--seed", seed, "--output-dir", seed, cwd=tmp_path)
    assert_same_bits(tmp_path / "7", softmax_run.folder)
    one, other = read_state(tmp_path / "7"), read_state(tmp_path / "8")
    (weights,) = (name for name in one if "weights" in name)
    assert (one[weights] != other[weights]).all()


def test_a_finished_run_outlives_its_reader(softmax_run, tmp_path):
    """`| head` may go away before the last lines are printed; the run is complete all the same."""
    # Its pictures leave time for that.
    with training_until("Epoch 5/", "--data-dir", softmax_run.data, cwd=tmp_path) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("Z-softmax")
    assert read_metrics(folder)["epochs"] == 5


def test_a_run_that_diverges_says_so(softmax_run, tmp_path):
    flags = ["--data-dir", softmax_run.data, "--learning-rate", "1e38", "--output-dir", "run"]
    assert_ends(run("train", *flags, cwd=tmp_path), 3, "diverged", "epoch 1")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("epochs", "least"), [(1, 0.88), pytest.param(5, 0.915, marks=pytest.mark.full)]
)
def test_softmax_regression_reads_mnist(mnist_folder, tmp_path, epochs, least):
    flags = ["--epochs", epochs, "--output-dir", "run", "--no-plots"]
    done = run("train", *flags, cwd=tmp_path, LOWLEVEL_MNIST_DATA=mnist_folder.parent)
    assert done.returncode == 0
    assert "MNIST, verified" in done.stdout
    metrics = read_metrics(tmp_path / "run")
    assert metrics["test_accuracy"] >= least
    assert np.sum(metrics["confusion_matrix"]) == 10_000
    assert metrics["dataset_verified"] is True
    assert metrics["dataset_source"] == "environment"
