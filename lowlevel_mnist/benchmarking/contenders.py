"""What the benchmark measures, each in a process of its own:

    python -m lowlevel_mnist.benchmarking.contenders RECIPE CONTENDER DATASET EPOCHS

The last line that it prints is a JSON object. `benchmark.py` starts these processes.
"""

import contextlib
import io
import itertools
import json
import sys
import time

import numpy as np

from lowlevel_mnist import data, startup
from lowlevel_mnist.recipes import EXECUTIONS, RECIPES

# What is handed to Keras's `compile` beyond the usual.
FIT = {
    "fit": {},
    "fit-steps": {"steps_per_execution": 100},
    "fit-steps-xla": {"steps_per_execution": 100, "jit_compile": True},
}
FLOOR = "products"  # the matrix products alone, which nobody can do without
CONTENDERS = (*EXECUTIONS, *FIT)
COMPILED = ("graph", "xla")
TUNED_FIT = ("fit-steps", "fit-steps-xla")
FLOOR_SECONDS = 0.5


def main():
    recipe_name, contender, dataset_name, epochs = sys.argv[1:]
    recipe = RECIPES[recipe_name]
    tf = startup.import_tensorflow(xla=contender in ("xla", "fit-steps-xla"))
    dataset = data.load(dataset_name)
    train = (dataset.train_images, dataset.train_labels)
    if recipe.validation_split:
        train, _ = data.split(*train, recipe.validation_split, seed=0)
    test = (dataset.test_images, dataset.test_labels)
    if contender == FLOOR:
        result = {"seconds": time_products(tf, recipe, dataset, len(train[1]))}
    else:
        measure = measure_fit if contender in FIT else measure_trainer
        result = measure(contender, recipe, train, test, dataset.classes, int(epochs))
    print(json.dumps({**result, "samples": len(train[1]), "peak_mib": peak_mib()}))


def measure_trainer(execution, recipe, train, test, classes, epochs):
    """Trains with this package; returns the seconds of each epoch and the test accuracy."""
    from lowlevel_mnist import metrics, preprocessing
    from lowlevel_mnist.model import Network
    from lowlevel_mnist.optimizers import OPTIMIZERS
    from lowlevel_mnist.training import Trainer

    images, labels = train
    pixels = preprocessing.flatten(images)
    model = Network([pixels.shape[1], *recipe.hidden_units, classes])
    one_hot = preprocessing.one_hot(labels, classes, model.weights[0].dtype)
    optimizer = OPTIMIZERS[recipe.optimizer](model.trainable_variables, recipe.learning_rate)
    trainer = Trainer(model, optimizer, recipe.batch_size, recipe.dropout, execution=execution)
    seconds = []
    for epoch in range(1, epochs + 1):
        *_, last = trainer.train_epoch(pixels, one_hot, epoch)
        seconds.append(last.seconds)
    return {"seconds": seconds, "test_accuracy": metrics.evaluate(model, *test).accuracy}


def measure_fit(contender, recipe, train, test, classes, epochs):
    """Trains with Keras's `fit`; returns the seconds of each epoch and the test accuracy."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.start)

    layers = [keras.Input((train[0][0].size,))]
    for units in recipe.hidden_units:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if recipe.dropout:
            layers.append(keras.layers.Dropout(recipe.dropout))
    model = keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax")])
    rules = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}
    model.compile(
        optimizer=getattr(keras.optimizers, rules[recipe.optimizer])(recipe.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        **FIT[contender],
    )

    def prepare(images, labels):
        flat = images.reshape(len(images), -1).astype("float32") / 255
        return flat, keras.utils.to_categorical(labels, classes)

    clock = Clock()
    # Its progress bar is made, as for everybody, but not shown.
    with contextlib.redirect_stdout(io.StringIO()):
        model.fit(*prepare(*train), batch_size=recipe.batch_size, epochs=epochs, callbacks=[clock])
        _, accuracy = model.evaluate(*prepare(*test))
    return {"seconds": clock.seconds, "test_accuracy": accuracy}


def time_products(tf, recipe, dataset, samples):
    """Times the matrix products of an epoch's steps, one after the other, and nothing else.

    Forwards x W; backwards x^T d for W and, but for the first layer, d W^T for x. Each is done by
    NumPy's library and by TensorFlow's kernel; the faster one counts.

    Returns seconds, in a list as of one epoch.
    """
    generator = np.random.default_rng(0)
    sizes = [dataset.train_images[0].size, *recipe.hidden_units, dataset.classes]
    step = 0.0
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        shapes = [(recipe.batch_size, inputs), (inputs, outputs), (recipe.batch_size, outputs)]
        x, w, d = (generator.random(shape, dtype=np.float32) for shape in shapes)
        step += fastest(tf, x, w)
        step += fastest(tf, x, d, transpose_a=True)
        if layer > 0:
            step += fastest(tf, d, w, transpose_b=True)
    return [step * samples / recipe.batch_size]


def fastest(tf, a, b, transpose_a=False, transpose_b=False):
    """Returns the seconds of one matrix product, by the faster of two libraries."""
    left, right = (a.T if transpose_a else a), (b.T if transpose_b else b)
    out = np.empty((left.shape[0], right.shape[1]), a.dtype)
    tensors = {"a": tf.constant(a), "b": tf.constant(b)}
    flags = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return min(
        seconds_of(lambda: np.matmul(left, right, out=out)),
        seconds_of(lambda: tf.raw_ops.MatMul(**tensors, **flags)),
    )


def seconds_of(call):
    """Returns the median seconds of a call, over FLOOR_SECONDS or at least 20 calls."""
    times = []
    start = time.perf_counter()
    while len(times) < 20 or time.perf_counter() - start < FLOOR_SECONDS:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def peak_mib():
    """Returns the largest memory that this process has had, in MiB, or None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
