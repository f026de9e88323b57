"""One suite for every recipe: train, save, load, evaluate, show. A new one is covered at once."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lowlevel_mnist import data, metrics, optimizers, recipes
from lowlevel_mnist.runs import folders
from tests.helpers.commands import PROJECT, assert_refused, run, train
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import read_metrics, train_on

ORDINARY = ("fashion-softmax",)  # with validation and slots


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name in ORDINARY else pytest.mark.full)
        for name in recipes.RECIPES
    ],
)
def recipe_run(request, tmp_path_factory):
    """(recipe, `FinishedRun`) of two epochs as the recipe says, on 3,000 digits."""
    flags = ("--recipe", request.param, "--epochs", 2)
    home = tmp_path_factory.mktemp(request.param)
    return recipes.RECIPES[request.param], train_on(digit_arrays(train=3000), *flags, home=home)


def test_metrics_say_what_the_recipe_says(recipe_run):
    recipe, finished = recipe_run
    record = read_metrics(finished.folder)
    assert record["recipe"] == recipe.name
    sizes = [784, *recipe.hidden_units, 10]
    assert record["layer_sizes"] == sizes
    for key in ("dropout", "optimizer", "learning_rate", "batch_size"):
        assert record[key] == getattr(recipe, key)
    assert record["parameters"] == sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))
    first, last = record["history"]
    assert (last["val_loss"] is not None) == (recipe.validation_split > 0)
    assert last["loss"] < first["loss"]
    assert record["test_accuracy"] > 0.6


def test_the_checkpoint_has_the_network_of_the_evaluation(recipe_run):
    _, finished = recipe_run
    test = metrics.evaluate(finished.load_model(), *finished.arrays[2:])
    record = read_metrics(finished.folder)
    assert test.accuracy == record["test_accuracy"]
    assert test.confusion_matrix.tolist() == record["confusion_matrix"]
    assert test.loss == pytest.approx(record["test_loss"], rel=1e-6)


def test_the_checkpoint_has_the_slots_of_the_optimizer(recipe_run):
    recipe, finished = recipe_run
    path = tf.train.latest_checkpoint(finished.folder / "checkpoints")
    model = finished.load_model()
    optimizer = optimizers.OPTIMIZERS[recipe.optimizer](
        model.trainable_variables, recipe.learning_rate
    )
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    checkpoint.restore(path).assert_existing_objects_matched()
    slots = [v for v in optimizer.variables if v.shape.rank and not v.trainable]
    keras_s = keras.optimizers.get(recipe.optimizer)
    keras_s.build([keras.Variable(v.numpy()) for v in model.trainable_variables])
    assert len(slots) == len([v for v in keras_s.variables if len(v.shape)])
    assert all(np.abs(slot.numpy()).max() > 0 for slot in slots)
    if hasattr(optimizer, "step"):
        steps = math.ceil(3000 * (1 - recipe.validation_split) / recipe.batch_size)
        assert int(optimizer.step) == 2 * steps


def test_the_other_commands(recipe_run):
    recipe, finished = recipe_run
    names = {path.stem for path in finished.folder.glob("*.png")}
    assert names == {"samples", "curves", "confusion_matrix", "random_predictions", "weights"}
    Image.fromarray(finished.arrays[2][0]).save(finished.home / "digit.png")
    for command in (["evaluate"], ["show_random", "--count", 3], ["predict", "digit.png"]):
        done = run(*command, cwd=finished.home)
        assert (done.returncode, done.stderr) == (0, "")
    assert f"{recipe.name}, learnt on custom data" in done.stdout


@pytest.mark.parametrize("name", recipes.RECIPES)
@pytest.mark.parametrize(
    ("page", "tables"), [("README.md", 3), ("README.ko.md", 3), ("tests/README.md", 1)]
)
def test_every_recipe_is_in_the_tables(page, tables, name):
    """In README the list, the accuracies and the seconds."""
    rows = (PROJECT / page).read_text(encoding="utf-8").count(f"\n| `{name}` |")
    assert rows == tables, f"{page} has {rows} rows of {name}"


def test_the_list(tmp_path):
    done = run("train", "--list", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = done.stdout.splitlines()
    for name in ("dataset", "hidden units", "dropout", "optimizer", "batch size", "epochs"):
        assert name in header
    assert [row.split()[0] for row in rows] == list(recipes.RECIPES)
    for row, recipe in zip(rows, recipes.RECIPES.values(), strict=True):
        for value in (recipe.optimizer, recipe.batch_size, recipe.learning_rate):
            assert str(value) in row.split()


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return write_idx_folder(tmp_path_factory.mktemp("digits") / "data", digit_arrays(train=3000))


def test_flags_override_the_recipe(data_folder, tmp_path):
    flags = ["--recipe", "mlp-512-dropout", "--hidden-units", 20, 15, "--dropout", 0.5]
    flags += ["--optimizer", "sgd", "--batch-size", 50, "--epochs", 1, "--validation-split", 0.25]
    done = train(data_folder, *flags, "--output-dir", "run", "--no-plots", cwd=tmp_path)
    record = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert record["layer_sizes"] == [784, 20, 15, 10]
    assert (record["dropout"], record["optimizer"], record["batch_size"]) == (0.5, "sgd", 50)
    assert record["learning_rate"] == 0.01  # Keras's for SGD, not the recipe's for Adam
    assert "2,250 training, 750 validation and 100 test images" in done.stdout
    assert "45/45" in done.stdout
    assert "Best epoch: 1" in done.stdout


def test_a_validation_split_is_a_shuffled_part_and_its_values_are_the_network_s(
    data_folder, tmp_path
):
    """The validation values of the last epoch, computed again from the checkpoint."""
    flags = ["--recipe", "mlp-128-dropout", "--validation-split", 0.3, "--epochs", 1, "--seed", 4]
    train(data_folder, *flags, "--output-dir", "run", "--no-plots", cwd=tmp_path)
    images, labels = digit_arrays(train=3000)[:2]
    (kept, _), (held, held_labels) = data.split(images, labels, 0.3, seed=4)
    assert (len(kept), len(held)) == (2100, 900)
    pixels = {image.tobytes() for image in images}
    assert {image.tobytes() for image in (*kept, *held)} == pixels
    assert not np.array_equal(held, images[2100:])
    saved = folders.find(tmp_path / "run")
    again = metrics.evaluate(saved.load_model(), held, held_labels)
    (row,) = read_metrics(saved.folder)["history"]
    assert row["val_accuracy"] == again.accuracy
    assert row["val_loss"] == pytest.approx(again.loss, rel=1e-6)
    assert not np.array_equal(held_labels, data.split(images, labels, 0.3, seed=5)[1][1])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--recipe", "mlp"], ["'mlp'", "mlp-512", "fashion-softmax"]),
        (["--recipe", "mlp-512", "--dropout", "1"], ["--dropout", "'1'", "below 1"]),
        (["--dropout", "0.2"], ["nothing to drop", "--hidden-units"]),
        (["--validation-split", "0"], ["--validation-split", "'0'"]),
        (["--validation-split", "0.9999"], ["split of 0.9999", "at least one"]),
        (["--validation-split", "0.5", "--batch-size", "1501"], ["1,500 training images"]),
        (["--hidden-units", "128", "x"], ["--hidden-units", "'x'"]),
        (["--hidden-units"], ["--hidden-units", "at least one"]),
    ],
)
def test_a_bad_flag(data_folder, tmp_path, flags, words):
    done = run("train", "--data-dir", data_folder, "--output-dir", "run", *flags, cwd=tmp_path)
    assert_refused(done, *words)
    assert not (tmp_path / "run").exists()
