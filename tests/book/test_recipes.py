"""One suite for every recipe: train, save, load, evaluate, show. A new recipe is covered by being
in the table."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lowlevel_mnist import data, metrics, optimizers, recipes
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import read_metrics

SLOTS = {"sgd": 0, "rmsprop": 1, "adam": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_idx_folder(tmp_path_factory.mktemp("digits") / "data", digit_arrays(train=3000))


@pytest.fixture(
    scope="module",
    params=[
        "softmax",
        "mlp-128-dropout",
        "fashion-softmax",
        *(pytest.param(name, marks=pytest.mark.full) for name in ("mlp-512", "mlp-512-dropout")),
    ],
)
def trained(request, folder, tmp_path_factory):
    """(recipe, base folder, `folders.SavedRun`) of a run as the recipe says, but for epochs."""
    base = tmp_path_factory.mktemp(request.param)
    flags = ["--recipe", request.param, "--epochs", 2]
    done = train(folder, *flags, "--output-dir", "runs/one", cwd=base)
    assert "\r" not in done.stdout
    return recipes.RECIPES[request.param], base, folders.find(base / "runs" / "one")


def test_metrics_say_what_the_recipe_says(trained):
    recipe, _, saved = trained
    said = read_metrics(saved.folder)
    assert said["recipe"] == recipe.name
    assert said["layer_sizes"] == [784, *recipe.hidden_units, 10]
    for key in ("dropout", "optimizer", "learning_rate", "batch_size"):
        assert said[key] == getattr(recipe, key)
    sizes = said["layer_sizes"]
    assert said["parameters"] == sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))
    assert len(said["history"]) == 2
    for row in said["history"]:
        for key in ("val_loss", "val_accuracy"):
            assert (row[key] is not None) == (recipe.validation_split > 0)


def test_it_learns(trained):
    said = read_metrics(trained[2].folder)
    first, last = said["history"]
    assert last["loss"] < first["loss"]
    assert said["test_accuracy"] > 0.6


def test_the_checkpoint_has_the_network_of_the_evaluation(trained, folder):
    _, _, saved = trained
    dataset = data.load("auto", folder)
    test = metrics.evaluate(saved.load_model(), dataset.test_images, dataset.test_labels)
    said = read_metrics(saved.folder)
    assert test.accuracy == said["test_accuracy"]
    assert test.confusion_matrix.tolist() == said["confusion_matrix"]
    assert test.loss == pytest.approx(said["test_loss"], rel=1e-6)
    np.testing.assert_allclose(test.probabilities.sum(axis=1), 1, rtol=1e-5)


def test_the_checkpoint_has_the_slots_of_the_optimizer(trained):
    recipe, _, saved = trained
    path = tf.train.latest_checkpoint(saved.folder / "checkpoints")
    model = saved.load_model()
    optimizer = optimizers.OPTIMIZERS[recipe.optimizer](
        model.trainable_variables, recipe.learning_rate
    )
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    checkpoint.restore(path).assert_existing_objects_matched()
    slots = [v for v in optimizer.variables if v.shape.rank and not v.trainable]
    assert len(slots) == SLOTS[recipe.optimizer] * len(model.trainable_variables)
    assert all(np.abs(slot.numpy()).max() > 0 for slot in slots)
    if recipe.optimizer == "adam":
        assert int(optimizer.step) == 2 * -(-3000 // recipe.batch_size)


def test_the_pictures(trained):
    _, _, saved = trained
    names = {path.stem for path in saved.folder.glob("*.png")}
    assert names == {"samples", "curves", "confusion_matrix", "random_predictions", "weights"}


def test_the_other_commands(trained):
    recipe, base, saved = trained
    done = run("evaluate", "--json", "result.json", cwd=base)
    assert done.returncode == 0
    result = json.loads((base / "result.json").read_text(encoding="utf-8"))
    assert result["confusion_matrix"] == read_metrics(saved.folder)["confusion_matrix"]
    done = run("show_random", "--count", 3, cwd=base)
    assert done.returncode == 0
    Image.fromarray(digit_arrays()[2][0]).save(base / "digit.png")
    done = run("predict", "digit.png", cwd=base)
    assert done.returncode == 0
    assert f"{recipe.name}, learnt on custom data" in done.stdout


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


def test_flags_override_the_recipe(folder, tmp_path):
    flags = ["--recipe", "mlp-512-dropout", "--hidden-units", 20, 15, "--dropout", 0.5]
    flags += ["--optimizer", "sgd", "--batch-size", 50, "--epochs", 1, "--validation-split", 0.25]
    done = train(folder, *flags, "--output-dir", "run", "--no-plots", cwd=tmp_path)
    said = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert said["layer_sizes"] == [784, 20, 15, 10]
    assert (said["dropout"], said["optimizer"], said["batch_size"]) == (0.5, "sgd", 50)
    assert said["learning_rate"] == 0.01  # Keras's for SGD, not the recipe's for Adam
    assert "2,250 training, 750 validation and 100 test images" in done.stdout
    assert "45/45" in done.stdout
    assert "Best epoch: 1" in done.stdout


def test_a_validation_split_is_a_shuffled_part_and_its_values_are_the_network_s(folder, tmp_path):
    """The validation values of the last epoch, computed again from the checkpoint."""
    flags = ["--recipe", "mlp-128-dropout", "--validation-split", 0.3, "--epochs", 1, "--seed", 4]
    train(folder, *flags, "--output-dir", "run", "--no-plots", cwd=tmp_path)
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
        (["--optimizer", "nadam"], ["'nadam'", "sgd", "rmsprop", "adam"]),
        (["--recipe", "mlp-512", "--dropout", "1"], ["--dropout", "'1'", "below 1"]),
        (["--recipe", "mlp-512", "--dropout", "-0.1"], ["--dropout", "'-0.1'"]),
        (["--recipe", "mlp-512", "--dropout", "nan"], ["--dropout", "'nan'"]),
        (["--dropout", "0.2"], ["nothing to drop", "--hidden-units"]),
        (["--validation-split", "0"], ["--validation-split", "'0'"]),
        (["--validation-split", "1"], ["--validation-split", "'1'"]),
        (["--validation-split", "1e-17"], ["split of 1e-17", "at least one"]),
        (["--validation-split", "0.9999"], ["split of 0.9999", "at least one"]),
        (["--validation-split", "0.5", "--batch-size", "1501"], ["1,500 training images"]),
        (["--hidden-units", "0"], ["--hidden-units", "'0'"]),
        (["--hidden-units", "128", "x"], ["--hidden-units", "'x'"]),
        (["--hidden-units"], ["--hidden-units", "at least one"]),
    ],
)
def test_a_bad_flag(folder, tmp_path, flags, words):
    done = run("train", "--data-dir", folder, "--output-dir", "run", *flags, cwd=tmp_path)
    assert_refused(done, *words)
    assert not (tmp_path / "run").exists()
