"""What a trainer can be asked for beside an optimizer: schedules, clipping, costs, `training`.

Against Keras in float64: the same weights after an epoch.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import cost, metrics, preprocessing, randomness, schedules
from lowlevel_mnist.model import Network
from lowlevel_mnist.optimizers import SGD, Adam
from lowlevel_mnist.recipes import SCHEDULES
from lowlevel_mnist.runs.checkpoints import CheckpointManager
from lowlevel_mnist.training import Trainer
from tests.book.test_against_keras import difference, keras_twin, parameters
from tests.helpers.data import digit_arrays

SAMPLES, BATCH = 630, 32  # 20 steps, the last of 22 images
CLASS_WEIGHTS = [2.0**-k for k in range(10)]


@pytest.fixture(autouse=True)
def float64():
    """Keras's layers, schedules and running means are of its default dtype."""
    set_keras_dtype("float64")
    yield
    set_keras_dtype("float32")


def set_keras_dtype(name):
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)


@pytest.fixture(scope="module")
def digits():
    """Pixels `uint8` [n, 784], and one-hot labels `float64` [n, 10]."""
    images, labels = digit_arrays(train=SAMPLES)[:2]
    return preprocessing.flatten(images), preprocessing.one_hot(labels, 10, tf.float64)


def batches(pixels, targets, epochs):
    """The batches of a trainer with seed 0."""
    for epoch in range(1, epochs + 1):
        generator = randomness.generator(0, randomness.BATCH_ORDER, epoch)
        order = generator.permutation(len(pixels))
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            images = preprocessing.scale(tf.gather(pixels, rows), tf.float64)
            yield images, tf.gather(targets, rows)


def train_ours(data, execution, rate=0.125, epochs=1, **options):
    """Returns a network 784-16-10 or, for one target, 784-16-1, trained with some options."""
    model = Network([784, 16, data[1].shape[1]], dtype=tf.float64)
    optimizer = SGD(parameters(model), rate)
    trainer = Trainer(model, optimizer, BATCH, execution=execution, **options)
    for epoch in range(1, epochs + 1):
        trainer.train_epoch(*data, epoch)
    return model


def train_keras(data, optimizer, loss=None, epochs=1, **options):
    """Returns the same as Keras trains it, from the same initial weights."""
    model = Network([784, 16, data[1].shape[1]], dtype=tf.float64)
    twin = keras_twin(model, optimizer)
    if loss:
        twin.layers[-1].activation = keras.activations.linear
        twin.compile(optimizer=optimizer, loss=loss)
    for batch in batches(*data, epochs):
        twin.train_on_batch(*batch, **options)
    return twin


def assert_same(model, twin):
    assert difference(parameters(model), twin.trainable_variables) <= 1e-10


# ---- Schedules: 40 steps in two epochs

QUARTER = tf.constant(0.25, tf.float64)  # Keras's schedules are of the dtype of their rate
KERAS_SCHEDULES = {
    "exponential": (
        schedules.exponential(0.25, 10, 0.75),
        keras.optimizers.schedules.ExponentialDecay(QUARTER, 10, 0.75),
    ),
    "cosine": (
        schedules.cosine(0.25, 30, final_rate=0.0625),
        keras.optimizers.schedules.CosineDecay(QUARTER, 30, alpha=0.25),
    ),
    "cosine after a warm-up": (
        schedules.cosine(0.25, 30, warmup_steps=10),
        keras.optimizers.schedules.CosineDecay(
            0 * QUARTER, 20, warmup_target=QUARTER, warmup_steps=10
        ),
    ),
    "piecewise": (
        schedules.piecewise([5, 25], [0.25, 0.125, 0.0625]),
        keras.optimizers.schedules.PiecewiseConstantDecay([5, 25], [0.25, 0.125, 0.0625]),
    ),
}


@pytest.mark.parametrize("name", KERAS_SCHEDULES)
def test_schedules_against_keras(name):
    ours, theirs = KERAS_SCHEDULES[name]
    steps = tf.range(40, dtype=tf.int64)
    expected = [float(theirs(step)) for step in range(40)]
    np.testing.assert_allclose(ours(steps), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose([ours(step) for step in steps], ours(steps), rtol=1e-15)
    assert ours(steps).dtype == tf.float64


def test_the_schedules_of_the_command():
    """They begin with the rate, or near to 0, and end where they say."""
    expected = {
        "exponential": (0.5, 0.05, 0.005),
        "cosine": (0.0, 0.25 * (1 + np.cos(np.pi * 450 / 950)), 0.0),
    }
    expected["piecewise"] = (0.5, 0.5, 0.005)
    assert [*expected] == [*SCHEDULES[1:]]
    for name, three in expected.items():
        rates = schedules.over_run(name, 0.5, 1000)(tf.range(1000, dtype=tf.int64)).numpy()
        assert rates.max() == 0.5
        np.testing.assert_allclose(rates[[0, 500, 999]], three, rtol=0, atol=5e-5)
        assert (np.diff(rates[50:]) <= 0).all()
    assert schedules.over_run("constant", 0.5, 1000) is None


# ---- Costs and clipping


COSTS = {
    "label smoothing": (
        functools.partial(cost.cross_entropy, label_smoothing=0.25),
        keras.losses.CategoricalCrossentropy(True, label_smoothing=0.25, dtype="float64"),
    ),
    "weights of classes": (
        functools.partial(cost.cross_entropy, class_weights=CLASS_WEIGHTS),
        keras.losses.CategoricalCrossentropy(True, dtype="float64"),
    ),
    "a cost of one's own": (
        lambda logits, targets: tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=-1
        ),
        keras.losses.BinaryCrossentropy(True, dtype="float64"),
    ),
}


@pytest.mark.parametrize("name", COSTS)
def test_an_epoch_with_each_cost(digits, name):
    ours, theirs = COSTS[name]
    options = {"class_weight": dict(enumerate(CLASS_WEIGHTS))} if name.startswith("weights") else {}
    twin = train_keras(digits, keras.optimizers.SGD(0.125), theirs, **options)
    assert_same(train_ours(digits, "eager", cost=ours), twin)


@pytest.mark.parametrize(
    "execution", ["eager", "graph", pytest.param("xla", marks=pytest.mark.full)]
)
def test_two_epochs_with_all_options(digits, execution):
    """A schedule, clipped gradients and label smoothing, in each execution."""
    schedule, keras_schedule = KERAS_SCHEDULES["cosine after a warm-up"]
    smoothed, loss = COSTS["label smoothing"]
    options = {"schedule": schedule, "clip_norm": 0.25, "cost": smoothed}
    model = train_ours(digits, execution, epochs=2, **options)
    optimizer = keras.optimizers.SGD(keras_schedule, global_clipnorm=0.25)
    assert_same(model, train_keras(digits, optimizer, loss, epochs=2))
    unclipped = train_ours(digits, "graph", epochs=2, **options | {"clip_norm": None})
    assert difference(parameters(model), parameters(unclipped)) > 0.01


def test_label_smoothing_and_weights_by_numpy():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(7, 10)), generator.integers(0, 10, 7)
    targets = np.eye(10)[labels] * 0.9 + 0.01
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(targets * log_probabilities).sum(axis=1) * np.array(CLASS_WEIGHTS)[labels]
    ours = cost.cross_entropy(
        tf.constant(logits), tf.one_hot(labels, 10, dtype=tf.float64), 0.1, CLASS_WEIGHTS
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-13)


@pytest.fixture(scope="module")
def regression(digits):
    """Pixels, and of each image its mean brightness, `float64` [n, 1]."""
    return digits[0], tf.reduce_mean(tf.cast(digits[0], tf.float64), 1, keepdims=True) / 255


def test_a_regression(regression):
    options = {"cost": cost.squared_error, "count": None}
    model = train_ours(regression, "graph", **options)
    loss = keras.losses.MeanSquaredError(dtype="float64")
    assert_same(model, train_keras(regression, keras.optimizers.SGD(0.125), loss))
    images = regression[0].numpy().reshape(-1, 28, 28)
    error = metrics.score(model, images, regression[1].numpy(), cost.squared_error).loss
    outputs = metrics.compute_logits(model, images).numpy()
    assert error == pytest.approx(((outputs - regression[1].numpy()) ** 2).mean(), rel=1e-12)
    trainer = Trainer(model, SGD(model.trainable_variables, 0.1), BATCH, **options)
    progress = trainer.train_epoch(*regression, epoch=1)
    assert progress.accuracy is None
    assert progress.loss > 0


def test_a_count_of_ones_own(regression):
    """How many outputs are within a tenth of the target."""

    def near(outputs, targets):
        return tf.math.count_nonzero(tf.abs(outputs - targets)[..., 0] < 0.1, axis=-1)

    model = Network([784, 1], dtype=tf.float64)
    trainer = Trainer(
        model, SGD(parameters(model), 1e-9), BATCH, cost=cost.squared_error, count=near
    )
    progress = trainer.train_epoch(*regression, epoch=1)
    outputs = metrics.compute_logits(model, regression[0].numpy().reshape(-1, 28, 28))
    assert progress.correct == int(near(outputs, regression[1]))


# ---- Models that are told whether they are in training


class Normalised(tf.Module):
    """784-16-10 with batch normalisation (S. Ioffe and C. Szegedy, 2015) before the ReLU."""

    def __init__(self):
        super().__init__()
        self.hidden, self.output = (Network(sizes, dtype=tf.float64) for sizes in SIZES)
        self.gamma, self.beta = (
            tf.Variable(fill([16], tf.float64)) for fill in (tf.ones, tf.zeros)
        )
        self.mean, self.variance = (
            tf.Variable(fill([16], tf.float64), trainable=False) for fill in (tf.zeros, tf.ones)
        )

    def __call__(self, images, training=False):
        outputs = self.hidden(images)
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = tf.nn.moments(outputs, axes=[0])
            for running, batch in ((self.mean, mean), (self.variance, variance)):
                running.assign(0.875 * running + 0.125 * batch)
        normal = (outputs - mean) / tf.sqrt(variance + 2.0**-10)
        return self.output(tf.nn.relu(self.gamma * normal + self.beta))


SIZES = ((784, 16), (16, 10))


@pytest.mark.parametrize("execution", ["eager", pytest.param("xla", marks=pytest.mark.full)])
def test_batch_normalisation(digits, execution):
    model = Normalised()
    layers = keras.layers
    twin = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(16),
            layers.BatchNormalization(momentum=0.875, epsilon=2.0**-10),
            layers.ReLU(),
            layers.Dense(10),
        ]
    )
    order = (model.hidden.weights[0], model.hidden.biases[0], model.gamma, model.beta)
    order += (model.mean, model.variance, model.output.weights[0], model.output.biases[0])
    twin.set_weights([variable.numpy() for variable in order])
    twin.compile(keras.optimizers.SGD(0.125), keras.losses.CategoricalCrossentropy(True))
    for batch in batches(*digits, epochs=1):
        twin.train_on_batch(*batch)
    trainer = Trainer(model, SGD(model.trainable_variables, 0.125), BATCH, execution=execution)
    trainer.train_epoch(*digits, epoch=1)
    assert difference(order, twin.weights) <= 1e-10
    before = [variable.numpy() for variable in model.variables]
    images, labels = digit_arrays(test=300)[2:]
    ours = metrics.evaluate(model, images, labels).probabilities
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    pixels = preprocessing.scale(preprocessing.flatten(images), tf.float64)
    np.testing.assert_allclose(ours, tf.nn.softmax(twin(pixels)), rtol=0, atol=1e-12)


class Holder(tf.Module):
    """A module of one's own around layers of Keras, whose variables TensorFlow does not see."""

    def __init__(self):
        super().__init__()
        layers = keras.layers
        self.layers = [layers.Dense(16, activation="relu"), layers.Dropout(0.5), layers.Dense(10)]
        self(tf.zeros([1, 784]))

    @property
    def weights(self):
        return list(itertools.chain(*(layer.trainable_variables for layer in self.layers)))

    def __call__(self, images, training=False):
        hidden, dropout, output = self.layers
        return output(dropout(hidden(images), training=training))


@pytest.mark.parametrize(
    ("kind", "execution"),
    [
        ("a Keras model", "graph"),
        ("a module that holds Keras's layers", "eager"),
        pytest.param("a Keras model", "xla", marks=pytest.mark.full),
    ],
)
def test_keras_s_own_networks(digits, kind, execution):
    set_keras_dtype("float32")
    keras.utils.set_random_seed(0)
    model = Holder()
    variables = model.weights
    if kind == "a Keras model":
        layers = [keras.Input((784,)), *model.layers]
        model = keras.Sequential(layers)
        variables = model.trainable_variables
    trainer = Trainer(model, Adam(variables, 0.01), BATCH, execution=execution)
    first, *_, last = [
        trainer.train_epoch(digits[0], tf.cast(digits[1], tf.uint8), n) for n in (1, 2, 3)
    ]
    assert last.loss < first.loss
    images, labels = digit_arrays(test=300)[2:]
    twice = [metrics.evaluate(model, images, labels) for _ in range(2)]
    assert twice[0].loss == twice[1].loss  # nothing drops out
    assert twice[0].accuracy > 0.3


def test_dropout_of_keras_goes_on_to_the_same_bits(digits, tmp_path):
    """Its layer draws from a state that TensorFlow's checkpoints do not see."""
    set_keras_dtype("float32")
    data = digits[0], tf.cast(digits[1], tf.uint8)

    def begin(resume):
        layers = keras.layers
        model = keras.Sequential(
            [keras.Input((784,)), layers.Dense(16), layers.Dropout(0.5, seed=1), layers.Dense(10)]
        )
        optimizer = Adam(model.trainable_variables, 0.01)
        checkpoints = CheckpointManager(tmp_path, model, optimizer, resume)
        return Trainer(model, optimizer, BATCH), checkpoints

    trainer, checkpoints = begin(resume=False)
    trainer.train_epoch(*data, 1)
    checkpoints.save(1)
    other, _ = begin(resume=True)
    ends = [one.train_epoch(*data, 2).loss_sum for one in (trainer, other)]
    assert ends[0] == ends[1]
    for ours, theirs in zip(trainer.model.variables, other.model.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
