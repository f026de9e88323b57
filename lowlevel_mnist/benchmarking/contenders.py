"""The contenders of the benchmark, each measured in a process of its own:

    python -m lowlevel_mnist.benchmarking.contenders RECIPE CONTENDER DATASET EPOCHS FOLDER

FOLDER is empty; a contender that keeps a run keeps it there. The last line that is printed is a
JSON object. `benchmark.py` starts these processes.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import pathlib
import runpy
import statistics
import sys
import time
import timeit
from types import ModuleType
from typing import Any

import numpy as np

from lowlevel_mnist import data, startup
from lowlevel_mnist.benchmarking import peers
from lowlevel_mnist.recipes import EXECUTIONS, RECIPES, Recipe

# What Keras's `compile` is given in addition.
FIT = {
    "fit": {},
    "fit-steps": {"steps_per_execution": 100},
    "fit-steps-xla": {"steps_per_execution": 100, "jit_compile": True},
}
LIBRARIES = {"torch": "PyTorch", "jax": "JAX"}  # of the extra "peers": module and name
FLOOR = "products"  # the matrix products alone, which nobody can do without
CONTENDERS = (*EXECUTIONS, *FIT, *LIBRARIES)


def main() -> None:
    recipe_name, contender, dataset_name, epochs, folder = sys.argv[1:]
    recipe = RECIPES[recipe_name]
    if contender in LIBRARIES and recipe.optimizer not in peers.OPTIMIZERS:
        sys.exit(f"{LIBRARIES[contender]} has no optimizer {recipe.optimizer} here.")
    if contender in EXECUTIONS:
        result = run_train(contender, recipe_name, dataset_name, epochs, folder)
    else:
        dataset = without_validation(recipe, data.load(dataset_name))
        if contender == FLOOR:
            result = {"seconds": [time_products(recipe, dataset)]}
        elif contender in FIT:
            result = measure_fit(recipe, dataset, int(epochs), **FIT[contender])
        else:
            measure = {"torch": peers.measure_torch, "jax": peers.measure_jax}[contender]
            result = measure(recipe, dataset, int(epochs))
    print(json.dumps({**result, "peak_mib": peak_mib()}))


def run_train(
    execution: str, recipe: str, dataset: str, epochs: str, folder: str
) -> dict[str, Any]:
    """Runs the command `train` itself; returns the seconds of each epoch and the test accuracy."""
    sys.argv[1:] = ["--recipe", recipe, "--execution", execution, "--dataset", dataset]
    sys.argv += ["--epochs", epochs, "--seed", "0", "--no-plots", "--output-dir", folder]
    runpy.run_module("lowlevel_mnist.train", run_name="__main__")
    metrics = json.loads(pathlib.Path(folder, "metrics.json").read_text(encoding="utf-8"))
    return {
        "seconds": [row["seconds"] for row in metrics["history"]],
        "test_accuracy": metrics["test_accuracy"],
    }


def measure_fit(
    recipe: Recipe, dataset: data.Dataset, epochs: int, **options: Any
) -> dict[str, Any]:
    """Trains with Keras's `fit`; returns the seconds of each epoch and the test accuracy.

    options: for `compile`, in addition.
    """
    startup.import_tensorflow(xla="jit_compile" in options)
    import keras

    training, test = (
        (images, keras.utils.to_categorical(labels, dataset.classes))
        for images, labels in peers.prepare(dataset)
    )
    layers = [keras.Input(training[0].shape[1:])]
    for units in recipe.hidden_units:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if recipe.dropout:
            layers.append(keras.layers.Dropout(recipe.dropout))
    model = keras.Sequential([*layers, keras.layers.Dense(dataset.classes, activation="softmax")])
    optimizer = keras.optimizers.get(recipe.optimizer)
    optimizer.learning_rate = recipe.learning_rate
    loss, metrics = "categorical_crossentropy", ["accuracy"]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, **options)
    times: list[float] = []  # of the beginning and the end of each epoch
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: times.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()),
    )
    # Its progress bar is made, as for everybody, but not shown.
    with contextlib.redirect_stdout(io.StringIO()):
        model.fit(*training, batch_size=recipe.batch_size, epochs=epochs, callbacks=[clock])
        _, accuracy = model.evaluate(*test)
    seconds = [end - start for start, end in zip(times[::2], times[1::2], strict=True)]
    return {"seconds": seconds, "test_accuracy": accuracy}


def time_products(recipe: Recipe, dataset: data.Dataset) -> float:
    """Returns the seconds of the matrix products of an epoch's steps, and of nothing else.

    Forwards x W; backwards x^T d for W and, but for the first layer, d W^T for x. Each is done by
    NumPy's library and by TensorFlow's kernel; the faster one counts.
    """
    tf = startup.import_tensorflow()
    generator = np.random.default_rng(0)
    sizes = [dataset.train_images[0].size, *recipe.hidden_units, dataset.classes]
    step = 0.0
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        shapes = [(recipe.batch_size, inputs), (inputs, outputs), (recipe.batch_size, outputs)]
        x, w, d = (generator.random(shape, dtype=np.float32) for shape in shapes)
        step += time_product(tf, x, w)
        step += time_product(tf, x, d, transpose_a=True)
        if layer > 0:
            step += time_product(tf, d, w, transpose_b=True)
    return step * len(dataset.train_labels) / recipe.batch_size


def time_product(tf: ModuleType, a: np.ndarray, b: np.ndarray, **flags: bool) -> float:
    """Returns the seconds of one matrix product, by the faster of two libraries.

    It is the median of at least 20 calls that take 0.2 s together.

    flags: `transpose_a` or `transpose_b`, of the factor that is transposed.
    """
    left, right = (a.T if "transpose_a" in flags else a), (b.T if "transpose_b" in flags else b)
    out = np.empty((left.shape[0], right.shape[1]), a.dtype)
    tensors = {"a": tf.constant(a), "b": tf.constant(b)}
    calls = (
        lambda: np.matmul(left, right, out=out),
        lambda: tf.raw_ops.MatMul(**tensors, **flags),
    )
    medians = []
    for timer in map(timeit.Timer, calls):
        count, _ = timer.autorange()
        medians.append(statistics.median(timer.repeat(max(count, 20), number=1)))
    return min(medians)


def without_validation(recipe: Recipe, dataset: data.Dataset) -> data.Dataset:
    """Returns the data with those training images alone that `train --seed 0` trains on."""
    images, labels = dataset.train_images, dataset.train_labels
    (images, labels), _ = data.split(images, labels, recipe.validation_split, seed=0)
    return dataclasses.replace(dataset, train_images=images, train_labels=labels)


def peak_mib() -> float | None:
    """Returns the largest memory that this process has had, in MiB, or None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
