"""The same numbers as Keras, from the same initial weights and batches."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import metrics, optimizers, preprocessing, training
from lowlevel_mnist.execution import updates
from lowlevel_mnist.model import Network
from tests.helpers.data import digit_arrays

# Hyperparameters that float32 holds exactly: Keras rounds Adam's beta_2 to float32 in one place
# and not in another, so with 0.999 it is not its own formula (by 6e-6 of a step).
EXACT = {
    "sgd": {"learning_rate": 0.5},
    "rmsprop": {"learning_rate": 2**-10, "rho": 0.875, "epsilon": 2**-23},
    "adam": {"learning_rate": 2**-10, "beta_1": 0.875, "beta_2": 1 - 2**-10, "epsilon": 2**-23},
}
EXACT["momentum"] = {"learning_rate": 0.125, "momentum": 0.875}
EXACT["nesterov"] = EXACT["momentum"] | {"nesterov": True}
EXACT["adamw"] = EXACT["adam"] | {"weight_decay": 2**-5}
RULES = {
    "sgd": (optimizers.SGD, keras.optimizers.SGD),
    "momentum": (optimizers.SGD, keras.optimizers.SGD),
    "nesterov": (optimizers.SGD, keras.optimizers.SGD),
    "rmsprop": (optimizers.RMSprop, keras.optimizers.RMSprop),
    "adam": (optimizers.Adam, keras.optimizers.Adam),
    "adamw": (optimizers.AdamW, keras.optimizers.AdamW),
}


def parameters(model):
    """The variables in Keras's order: weights and biases, layer by layer."""
    return list(itertools.chain(*zip(model.weights, model.biases, strict=True)))


def keras_twin(model, optimizer):
    """The network as Keras has it, with our initial weights."""
    dtype = model.weights[0].dtype.name
    hidden, classes = model.layer_sizes[1:-1], model.layer_sizes[-1]
    twin = keras.Sequential(
        [
            keras.Input((model.layer_sizes[0],), dtype=dtype),
            *(keras.layers.Dense(units, activation="relu", dtype=dtype) for units in hidden),
            keras.layers.Dense(classes, activation="softmax", dtype=dtype),
        ]
    )
    twin.set_weights([variable.numpy() for variable in parameters(model)])
    twin.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(dtype=dtype),
        metrics=["accuracy"],
    )
    return twin


def inputs(arrays, dtype):
    images, labels = arrays
    pixels = preprocessing.scale(preprocessing.flatten(images), dtype)
    return pixels, preprocessing.one_hot(labels, 10, dtype)


def train_all(name, dtype, steps):
    """Trains 784-128-10 with a rule of EXACT twice, and its twin, on the same batches of 32.

    Each image once, shuffled; the last batch has 22. Returns the twin, and of ours (model,
    optimizer) as it is by kernels, which eager steps and graphs use, and by its formula, as XLA
    has it.
    """
    samples = 32 * steps - 10
    pixels, one_hot = inputs(digit_arrays(train=samples)[:2], dtype)
    rule, keras_rule = RULES[name]
    twin = keras_twin(Network((784, 128, 10), dtype=dtype), keras_rule(**EXACT[name]))
    ours = []
    for by_kernel in (True, False):
        model = Network((784, 128, 10), dtype=dtype)
        optimizer = rule(parameters(model), **EXACT[name])
        ours.append((model, optimizer, updates.Update(optimizer, "eager" if by_kernel else "xla")))
    order = np.random.default_rng(5).permutation(samples)
    for start in range(0, samples, 32):
        batch = (tf.gather(part, order[start : start + 32]) for part in (pixels, one_hot))
        images, labels = batch
        for model, _, update in ours:
            training.train_step(model, update, images, labels)
        twin.train_on_batch(images, labels)
    first = Network((784, 128, 10), dtype=dtype)
    assert difference(twin.trainable_variables, parameters(first)) > 0.01  # so much was trained
    assert int(twin.optimizer.iterations) == steps
    return twin, [(model, optimizer) for model, optimizer, _ in ours]


def difference(ours, theirs):
    """The largest absolute difference of two lists of variables; 0 where there are none."""
    pairs = zip(ours, theirs, strict=True)
    return max((np.abs(a.numpy() - b.numpy()).max() for a, b in pairs), default=0)


def slots(optimizer, twin):
    """The slot variables, ours and Keras's, in one order."""
    theirs = twin.optimizer
    if isinstance(optimizer, optimizers.SGD) and optimizer.momentums:
        return optimizer.momentums, theirs.momentums
    if isinstance(optimizer, optimizers.RMSprop):
        return optimizer.velocities, theirs._velocities
    if isinstance(optimizer, optimizers.Adam):
        ours = [*optimizer.momentums, *optimizer.velocities]
        return ours, [*theirs._momentums, *theirs._velocities]
    return [], []


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *((name, 40) for name in ("nesterov", "rmsprop", "adamw")),  # each branch of a formula
        *(pytest.param(name, 1875, marks=pytest.mark.full) for name in RULES),
    ],
)
def test_an_epoch_in_float64(name, steps):
    """Weights, biases and slots, by kernels and by the formula."""
    twin, ours = train_all(name, tf.float64, steps)
    for form, (model, optimizer) in zip(("kernels", "formula"), ours, strict=True):
        by_weights = difference(parameters(model), twin.trainable_variables)
        by_slots = difference(*slots(optimizer, twin))
        print(f"{name} by its {form}: weights differ by {by_weights:.1e}, slots by {by_slots:.1e}")
        assert by_weights <= 1e-10
        assert by_slots <= 1e-10
        if hasattr(optimizer, "step"):
            assert int(optimizer.step) == steps


@pytest.mark.full
@pytest.mark.parametrize("name", RULES)
def test_100_steps_in_float32(name):
    twin, ours = train_all(name, tf.float32, 100)
    for model, _ in ours:
        assert difference(parameters(model), twin.trainable_variables) <= 1e-6


@pytest.mark.parametrize("dtype", [pytest.param(tf.float32, marks=pytest.mark.full), tf.float64])
def test_each_step_of_adam_with_its_defaults(dtype):
    """Each from equal state: the twin's weights and slots are made ours before each step."""
    rate = 1e-3
    # In float32 the weights themselves, all below 1/4 here, are no finer than this.
    rounding = np.spacing(np.float32(1 / 4 - 1e-6)) if dtype == tf.float32 else 0
    pixels, one_hot = inputs(digit_arrays(train=600)[:2], dtype)
    model = Network((784, 128, 10), seed=0, dtype=dtype)
    optimizer = optimizers.Adam(parameters(model), rate)
    twin = keras_twin(model, keras.optimizers.Adam())
    differences = []
    for start in range(0, 600, 32):
        batch = pixels[start : start + 32], one_hot[start : start + 32]
        training.train_step(model, optimizer, *batch)
        twin.train_on_batch(*batch)
        differences.append(difference(parameters(model), twin.trainable_variables))
        assert differences[-1] <= 1e-5 * rate + rounding
        ours, theirs = slots(optimizer, twin)
        pairs = [(parameters(model), twin.trainable_variables), (ours, theirs)]
        for left, right in itertools.chain(*(zip(*pair, strict=True) for pair in pairs)):
            right.assign(left)
    print(f"{dtype.name}: steps differ by up to {max(differences) / rate:.1e} of the rate")


def test_loss_and_accuracy_of_an_evaluation():
    images, labels = digit_arrays(test=1000)[2:]
    model = Network((784, 64, 10), seed=0, dtype=tf.float64)
    ours = metrics.evaluate(model, images, labels)
    twin = keras_twin(model, keras.optimizers.SGD())
    loss, accuracy = twin.evaluate(*inputs((images, labels), tf.float64), verbose=0)
    assert ours.loss == pytest.approx(loss, rel=1e-6)  # Keras's running mean is float32
    assert ours.accuracy == pytest.approx(accuracy, abs=1e-6)
