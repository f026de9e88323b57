"""`train` as a user runs it: what it prints, what it leaves, and that one seed means one run."""

import csv
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_ends, run, run_anew, train, training_until
from tests.helpers.data import digit_arrays, pattern_arrays, write_idx_folder
from tests.helpers.runs import read_metrics

CONTRACT_KEYS = {
    "recipe",
    "dataset",
    "dataset_source",
    "dataset_verified",
    "execution",
    "dtype",
    "seed",
    "batch_size",
    "epochs",
    "optimizer",
    "learning_rate",
    "layer_sizes",
    "dropout",
    "parameters",
    "tensorflow",
    "history",
    "test_loss",
    "test_accuracy",
    "confusion_matrix",
}
HISTORY_KEYS = {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "learning_rate"}
PICTURES = {
    "samples.png",
    "curves.png",
    "confusion_matrix.png",
    "random_predictions.png",
    "weights.png",
}


def final_weights(folder):
    return folders.find(folder).load_model().weights[0].numpy()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A run on 600 digits in batches of 96: the last batch of an epoch has 24."""
    base = tmp_path_factory.mktemp("small")
    data = write_idx_folder(base / "data", digit_arrays())
    done = train(
        data, "--batch-size", 96, "--epochs", 3, "--learning-rate", 0.25, "--seed", 7, cwd=base
    )
    (folder,) = (base / "runs").iterdir()
    return base, data, folder, done


def test_the_folder(small_run):
    _, _, folder, _ = small_run
    assert {path.name for path in folder.iterdir()} == PICTURES | {
        "settings.json",
        "metrics.json",
        "history.csv",
        "checkpoints",
    }
    assert folder.name.endswith("Z-softmax")
    for picture in PICTURES:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_metrics_and_history(small_run):
    _, _, folder, _ = small_run
    metrics = read_metrics(folder)
    assert metrics.keys() >= CONTRACT_KEYS
    assert metrics["layer_sizes"] == [784, 10]
    assert metrics["parameters"] == 784 * 10 + 10
    assert (metrics["execution"], metrics["dtype"]) == ("eager", "float32")
    assert (metrics["recipe"], metrics["optimizer"]) == ("softmax", "sgd")
    assert (metrics["batch_size"], metrics["epochs"], metrics["seed"]) == (96, 3, 7)
    assert (metrics["learning_rate"], metrics["dropout"]) == (0.25, 0)
    assert metrics["tensorflow"] == tf.__version__
    assert [row["epoch"] for row in metrics["history"]] == [1, 2, 3]
    for row in metrics["history"]:
        assert row.keys() == HISTORY_KEYS
        assert row["seconds"] > 0
        assert row["val_loss"] is row["val_accuracy"] is None
    assert metrics["history"][0]["loss"] > metrics["history"][2]["loss"] > 0
    with (folder / "history.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    for row, line in zip(metrics["history"], table, strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == line


def test_the_confusion_matrix_is_the_test_accuracy(small_run):
    metrics = read_metrics(small_run[2])
    matrix = np.array(metrics["confusion_matrix"])
    assert matrix.shape == (10, 10)
    assert matrix.sum(axis=1).tolist() == [10] * 10
    assert matrix.trace() / 100 == metrics["test_accuracy"]


def test_the_run_against_float64_numpy(tmp_path):
    """The loop, written again in NumPy: order, last batch, update, running means, test.

    On images of 8x6 pixels in four classes: nothing depends on MNIST's size.
    """
    arrays = pattern_arrays()
    data = write_idx_folder(tmp_path / "data", arrays)
    flags = ["--batch-size", 96, "--epochs", 2, "--learning-rate", 0.05, "--seed", 3]
    train(data, *flags, "--dtype", "float64", "--output-dir", "run", "--no-plots", cwd=tmp_path)

    limit = np.sqrt(6 / 52)
    weights = np.random.default_rng([3, 1, 0]).uniform(-limit, limit, (48, 4))
    biases = np.zeros(4)
    train_images, test_images = (arrays[i].reshape(-1, 48) / 255 for i in (0, 2))
    history = []
    for epoch in (1, 2):
        order = np.random.default_rng([3, 2, epoch]).permutation(500)
        losses, right = [], []
        for start in range(0, 500, 96):
            batch = order[start : start + 96]
            chances = softmax(train_images[batch] @ weights + biases)
            truth = np.eye(4)[arrays[1][batch]]
            losses.extend(-np.log((chances * truth).sum(axis=1)))
            right.extend(chances.argmax(axis=1) == arrays[1][batch])
            by_logits = (chances - truth) / len(batch)
            weights = weights - 0.05 * train_images[batch].T @ by_logits
            biases = biases - 0.05 * by_logits.sum(axis=0)
        history.append((np.mean(losses), np.mean(right)))
    test = softmax(test_images @ weights + biases)

    np.testing.assert_allclose(final_weights(tmp_path / "run"), weights, rtol=0, atol=1e-13)
    metrics = read_metrics(tmp_path / "run")
    ours = [(row["loss"], row["accuracy"]) for row in metrics["history"]]
    np.testing.assert_allclose(ours, history, rtol=1e-12)
    assert metrics["test_accuracy"] == np.mean(test.argmax(axis=1) == arrays[3])
    loss = -np.log(test[np.arange(100), arrays[3]]).mean()
    assert metrics["test_loss"] == pytest.approx(loss, rel=1e-12)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_one_seed_is_one_run_and_another_seed_another(small_run, tmp_path):
    _, data, _, _ = small_run
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        train(data, "--seed", seed, "--output-dir", name, "--no-plots", cwd=tmp_path)
    one, same, other = (final_weights(tmp_path / name) for name in ("one", "same", "other"))
    assert one.tobytes() == same.tobytes()
    assert (one != other).all()


def test_what_is_printed(small_run):
    _, _, folder, done = small_run
    lines = done.stdout.splitlines()
    header = "\n".join(lines[:3])
    for said in (tf.__version__, "eager execution on", "CPU:0", "not verified", "7,850 parameters"):
        assert said in header
    epochs = [line for line in lines if line.startswith("Epoch")]
    assert len(epochs) == 3
    for number, line in enumerate(epochs, 1):
        assert line.startswith(f"Epoch {number}/3  7/7 ")
        assert "ms/step - loss: " in line
        assert " - accuracy: " in line
    metrics = read_metrics(folder)
    end = "\n".join(lines[-7:])
    assert f"Test loss {metrics['test_loss']:.4f}" in end
    assert f"test accuracy {metrics['test_accuracy']:.4f}" in end
    assert f"runs/{folder.name}" in end


def test_the_commands_to_try_next_work(small_run):
    base, _, _, done = small_run
    commands = [line.split() for line in done.stdout.splitlines() if " -m lowlevel_mnist." in line]
    assert len(commands) == 3
    for _, _, module, *arguments in commands:
        tried = run(module.removeprefix("lowlevel_mnist."), *arguments, cwd=base)
        assert tried.returncode == 0


def test_piped_output_is_clean(small_run):
    done = small_run[3]
    assert "\r" not in done.stdout
    assert done.stderr == ""


@pytest.mark.full
def test_tensorflow_s_own_lines_come_back_when_asked_for(small_run, tmp_path):
    arguments = ["--output-dir", "run", "--no-plots"]
    flags = ["--data-dir", small_run[1], *arguments]
    done = run_anew("train", *flags, cwd=tmp_path, TF_CPP_MIN_LOG_LEVEL=0)
    assert "tensorflow" in done.stderr.lower() or "onednn" in done.stderr.lower()


def test_a_finished_run_outlives_its_reader(small_run, tmp_path):
    """`| head` may go away before the last lines are printed; the run is complete all the same."""
    flags = ["--data-dir", small_run[1], "--output-dir", "run"]  # its pictures leave time for that
    with training_until("Epoch 5/", *flags, cwd=tmp_path) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert said == ""
    assert read_metrics(tmp_path / "run")["epochs"] == 5


def test_a_run_that_diverges_says_so(small_run, tmp_path):
    flags = ["--data-dir", small_run[1], "--learning-rate", "1e38", "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path)
    assert_ends(done, 3, "diverged", "epoch 1")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["settings.json"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 2))])
def test_softmax_regression_reads_mnist(mnist_folder, tmp_path, seed):
    flags = ["--seed", seed, "--output-dir", "run", "--no-plots"]
    done = run("train", *flags, cwd=tmp_path, LOWLEVEL_MNIST_DATA=mnist_folder.parent)
    assert done.returncode == 0
    metrics = read_metrics(tmp_path / "run")
    assert metrics["test_accuracy"] >= 0.915
    matrix = np.array(metrics["confusion_matrix"])
    assert matrix.sum() == 10_000
    assert matrix.trace() / 10_000 == metrics["test_accuracy"]
    assert metrics["dataset_verified"] is True
    assert metrics["dataset_source"] == "environment"
    assert metrics["layer_sizes"] == [784, 10]
    assert math.isfinite(metrics["test_loss"])
    assert "MNIST, verified" in done.stdout
    assert len(list(pathlib.Path(tmp_path / "run").iterdir())) == 4


@pytest.mark.full
def test_two_runs_on_mnist_are_bit_identical(mnist_folder, tmp_path):
    weights = []
    for name in ("one", "two"):
        train(mnist_folder, "--epochs", 2, "--output-dir", name, "--no-plots", cwd=tmp_path)
        weights.append(final_weights(tmp_path / name).tobytes())
    assert weights[0] == weights[1]
