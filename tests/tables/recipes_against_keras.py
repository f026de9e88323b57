"""The accuracies of every recipe beside those of Keras, on the same data and seeds.

    python -m tests.tables.recipes_against_keras [--seeds FIRST END] [RECIPE ...]

trains each recipe with seeds from FIRST to below END (0 to 4) by its command, and the same network
with Keras's `fit`, and prints for each the cells of its row in `tests/README.md`, of which README
has those of the test: means over the seeds and, in brackets, lowest and highest.
LOWLEVEL_MNIST_DATA must hold MNIST and Fashion-MNIST.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from lowlevel_mnist import data, startup
from lowlevel_mnist.recipes import RECIPES

keras = startup.import_tensorflow().keras
KEYS = ("accuracy", "val_accuracy", "test_accuracy")


def train_ours(recipe, dataset, seed):
    """Returns the last epoch's accuracy and validation accuracy and the test accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        flags = ["--recipe", recipe.name, "--dataset", dataset.name, "--seed", str(seed)]
        command = [sys.executable, "-m", "lowlevel_mnist.train", *flags, "--output-dir", run]
        subprocess.run([*command, "--no-plots"], check=True, stdout=subprocess.DEVNULL)
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {**metrics["history"][-1], "test_accuracy": metrics["test_accuracy"]}


def train_keras(recipe, dataset, seed):
    """The same from Keras, on the same validation split.

    The seed goes into the layers and not into `keras.utils.set_random_seed`: after that, Keras
    3.15's `fit` repeats the first epoch's order of images in every epoch, and the training
    accuracy of mlp-512 comes out at 0.990 instead of 0.989 (so does ours with one order).
    """
    network = keras.Sequential([keras.Input((784,))])
    for units in recipe.hidden_units:
        network.add(dense(units, "relu", seed))
        network.add(keras.layers.Dropout(recipe.dropout, seed=seed))
    network.add(dense(10, "softmax", seed))
    network.compile(
        optimizer=keras.optimizers.get(
            {"class_name": recipe.optimizer, "config": {"learning_rate": recipe.learning_rate}}
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    train, validation = (dataset.train_images, dataset.train_labels), None
    if recipe.validation_split:
        train, validation = data.split(*train, recipe.validation_split, seed)
        validation = as_input(*validation)
    history = network.fit(
        *as_input(*train),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_data=validation,
        verbose=0,
    ).history
    last = {key: values[-1] for key, values in history.items()}
    _, accuracy = network.evaluate(
        *as_input(dataset.test_images, dataset.test_labels), batch_size=1000, verbose=0
    )
    return {**last, "test_accuracy": accuracy}


def dense(units, activation, seed):
    weights = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(units, activation=activation, kernel_initializer=weights)


def as_input(images, labels):
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels


def row(recipe, seeds):
    """Trains everything and returns the row of the table."""
    dataset = data.load("mnist" if recipe.dataset == "auto" else recipe.dataset)
    ours = [train_ours(recipe, dataset, seed) for seed in seeds]
    theirs = [train_keras(recipe, dataset, seed) for seed in seeds]
    cells = []
    for key in KEYS:
        for results in (ours, theirs):
            values = [result.get(key) for result in results]
            cells.append(spread(values) if values[0] is not None else "")
    return f"| `{recipe.name}` | " + " | ".join(cells) + " |"


def spread(values):
    return f"{np.mean(values):.4f} ({min(values):.4f}-{max(values):.4f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 5), metavar=("FIRST", "END"))
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="(default: all)")
    arguments = parser.parse_args()
    print("| recipe | training: ours | Keras | validation: ours | Keras | test: ours | Keras |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.recipes or RECIPES:
        print(row(RECIPES[name], range(*arguments.seeds)), flush=True)
