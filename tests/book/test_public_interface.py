"""What the package does for somebody who brings a network of his own, or does wrong."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

import lowlevel_mnist
from lowlevel_mnist import (
    SGD,
    Adam,
    AdamW,
    BestWeights,
    Network,
    Optimizer,
    RMSprop,
    Trainer,
    cost,
    data,
    metrics,
    plots,
    preprocessing,
    schedules,
)
from tests.helpers.commands import run_python
from tests.helpers.data import digit_arrays
from tests.helpers.network import softmax

ONE = tf.Variable(1.0)
KERAS_SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)


@pytest.fixture(scope="module")
def digits():
    """(pixels, one-hot labels, test images, test labels) of 2,000 and 500 digits."""
    images, labels, *test = digit_arrays(2000, 500)
    return preprocessing.flatten(images), preprocessing.one_hot(labels, 10, tf.float32), *test


def make_trainer(model=None, **changes):
    model = model or Network([784, 10])
    arguments = {"batch_size": 50, **changes}
    return Trainer(model, SGD(model.trainable_variables, 0.5), **arguments)


@pytest.mark.parametrize(
    ("base", "execution"), [(Optimizer, "eager"), (Adam, "eager"), (Adam, "graph"), (Adam, "xla")]
)
def test_an_optimizer_of_ones_own_runs_as_it_is_written(base, execution):
    """Also a subclass of one that has a kernel. An epoch, against float64 NumPy."""

    class Momentum(base):
        def __init__(self, parameters, learning_rate, momentum=0.75):
            super().__init__(parameters, learning_rate)
            self.updates, self.momentum = self.slots(), self.constant(momentum)

        def apply(self, gradients):
            for w, v, g in zip(self.parameters, self.updates, gradients, strict=True):
                v.assign(self.momentum * v - self.learning_rate * g)
                w.assign_add(v)

    pixels = np.random.default_rng(0).integers(0, 256, (60, 12)).astype(np.uint8)
    one_hot = np.eye(3)[np.arange(60) % 3]
    model = Network([12, 3], dtype=tf.float64)
    (weights, biases), updates = (model.weights[0].numpy(), np.zeros(3)), (0, 0)
    trainer = Trainer(model, Momentum(model.trainable_variables, 0.5), 10, execution=execution)
    trainer.train_epoch(tf.constant(pixels), tf.constant(one_hot), 1)
    for rows in np.random.default_rng([0, 2, 1]).permutation(60).reshape(6, 10):
        images = pixels[rows] / 255
        by_logits = (softmax(images @ weights + biases) - one_hot[rows]) / 10
        gradients = images.T @ by_logits, by_logits.sum(axis=0)
        updates = [0.75 * v - 0.5 * g for v, g in zip(updates, gradients, strict=True)]
        weights, biases = weights + updates[0], biases + updates[1]
    np.testing.assert_allclose(model.weights[0].numpy(), weights, rtol=0, atol=1e-14)
    np.testing.assert_allclose(model.biases[0].numpy(), biases, rtol=0, atol=1e-14)


def test_what_a_trainer_does_where_nothing_is_said():
    """The first seed's order of images, and no dropout."""
    pixels = tf.constant(np.random.default_rng(0).integers(0, 256, (30, 12)), tf.uint8)
    one_hot = tf.one_hot(np.arange(30) % 3, 3)
    weights = []
    for chosen in ({}, {"dropout": 0.0, "seed": 0, "execution": "eager"}):
        model = Network([12, 5, 3])
        trainer = Trainer(model, SGD(model.trainable_variables, 0.5), 7, **chosen)
        trainer.train_epoch(pixels, one_hot, 1)
        weights.append(model.weights[0].numpy())
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: make_trainer(execution="jit"), "'jit'; it must be one of eager, graph, xla"),
        (lambda: make_trainer(batch_size=0), "batch_size is 0"),
        (lambda: make_trainer(batch_size=2.5), "batch_size is 2.5"),
        (lambda: make_trainer(dropout=1.0), "dropout is 1.0; it must be"),
        (lambda: make_trainer(dropout=0.2), "dropout_units"),
        (lambda: SGD([], 0.5), "there are none"),
        (lambda: SGD([1.0, 2.0], 0.5), "must be tf.Variables"),
        (
            lambda: SGD([ONE, tf.Variable(1, dtype=tf.float64)], 0.5),
            "float32, float64",
        ),
        (lambda: Adam([ONE], 0.0), "learning_rate is 0.0"),
        (lambda: Adam([ONE], "0.1"), "learning_rate is '0.1'; it must be a number"),
        (lambda: Adam([ONE], math.nan), "learning_rate is nan"),
        (lambda: Adam([ONE], KERAS_SCHEDULE), "one of `schedules`, for training.Trainer"),
        (lambda: setattr(Adam([ONE], 0.1), "learning_rate", "0.1"), "learning_rate is '0.1'"),
        (lambda: SGD([ONE], 0.1, nesterov=True), "nesterov needs a momentum"),
        (lambda: make_trainer(batch_size="50"), "batch_size is '50'"),
        (lambda: make_trainer(dropout="0.2"), "dropout is '0.2'"),
        (lambda: make_trainer(clip_norm=0), "clip_norm is 0"),
        (lambda: make_trainer(cost="squared_error"), "cost is 'squared_error'; it must be a funct"),
        (lambda: make_trainer(schedule=0.1), "schedule is 0.1; it must be a function"),
        (lambda: make_trainer(schedule=lambda step: 0.1), r"schedule gives float32 \[\]"),
        (lambda: make_trainer(schedule=lambda step: -0.1 * tf.cast(step, "float32")), "below 0"),
        (lambda: make_trainer(schedule=lambda step: np.float32(step)), "schedule can't be called"),
        (lambda: make_trainer(clip_norm=math.inf), "clip_norm is inf"),
        (lambda: schedules.cosine(0.1, 10, 10), "warmup_steps is 10; it must be below steps, 10"),
        (lambda: schedules.piecewise([5, 3], [0.1, 0.2, 0.3]), "boundaries .* must ascend"),
        (lambda: SGD([ONE, ONE], 0.1), "name a variable twice"),
        (lambda: SGD([ONE], 0.1, momentum=1.5), "1.5 is no momentum, rho or beta"),
        (lambda: RMSprop([ONE], 0.1, rho=1), "1 is no momentum, rho or beta"),
        (lambda: Adam([ONE], 0.1, beta_2=1.0), "1.0 is no momentum, rho or beta"),
        (lambda: AdamW([ONE], 0.1, weight_decay=-1), "weight_decay is -1"),
        (lambda: cost.cross_entropy(tf.ones([1, 2]), tf.ones([1, 2]), 1.0), "label_smoothing is 1"),
        (lambda: Trainer(None, SGD([ONE], 0.5), 5), "model is None; it must be a function"),
        (lambda: schedules.piecewise([5], [0.1]), "1 rates for 2 pieces"),
        (lambda: data.load("MNIST"), "name is 'MNIST'; it must be one of auto, mnist"),
        (lambda: preprocessing.one_hot([0, 10], 10, "float32"), "label is 10; .* 10 classes, 0 to"),
        (lambda: preprocessing.one_hot([0, -1], 10, "float32"), "label is -1; .* 10 classes"),
        (lambda: preprocessing.one_hot([0.0], 10, "float32"), r"float64 \[1\]; they must be whole"),
        (
            lambda: preprocessing.one_hot([[0]], 10, "float32"),
            r"int64 \[1, 1\]; they must be",
        ),
        (lambda: Trainer(Network([4, 2]), "adam", 5), "optimizer is 'adam'"),
        (
            lambda: plots.random_predictions(
                Figure(), np.zeros((0, 8, 8), np.uint8), [], np.zeros((0, 2)), "AB", "nothing"
            ),
            "no images to draw",
        ),
    ],
)
def test_wrong_arguments(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:40], y[:40]), "batch_size is 50, but there are only 40 images"),
        (lambda x, y: (tf.cast(x, tf.float32) / 255, y), "pixels are float32 .* must be uint8"),
        (lambda x, y: (tf.reshape(x, [-1, 28, 28]), y), r"\[2000, 28, 28\]; they must be uint8"),
        (lambda x, y: (x, tf.cast(y, tf.float64)), "targets, .* are float64 .* float32 or "),
        (lambda x, y: (x, y[:100]), r"targets, .* are float32 \[100, 10\]"),
        (lambda x, y: (x, tf.argmax(y, axis=1)), r"targets, .* are int64 \[2000\]"),
        (lambda x, y: (x.numpy().tolist(), y), "pixels are a list; they must be one tensor"),
        (lambda x, y: (tf.data.Dataset.from_tensor_slices((x, y)), y), "pixels are a _Tensor"),
        (lambda x, y: (x, iter(y)), "targets are a .*; they must be one tensor or array"),
        (lambda x, y: (x, y[:, :1]), r"labels are \[3, 1\], and the logits \[3, 10\]"),
    ],
)
def test_wrong_images_and_labels(digits, change, words):
    pixels, one_hot = change(*digits[:2])
    trainer = make_trainer()
    before = trainer.model.weights[0].numpy()
    with pytest.raises(ValueError, match=words):
        trainer.train_epoch(pixels, one_hot, epoch=1)
    np.testing.assert_array_equal(trainer.model.weights[0].numpy(), before)


class Forgetful(Network):
    """It says that it drops out, and takes no masks."""

    def __call__(self, images):
        return super().__call__(images)


class Narrow(Network):
    dropout_units = (16,)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Forgetful([784, 32, 10]), r"called with images \[1, 784\] and masks \[1, 32\]"),
        (Narrow([784, 32, 10]), r"and masks \[1, 16\]: .*must be equal"),
        (Network([784, 32, 12]), r"logits \[3, 12\], as the model gives .* targets \[3, 10\]"),
    ],
)
def test_a_model_that_does_not_fit(digits, model, words):
    optimizer = SGD(model.trainable_variables, 0.1)
    trainer = Trainer(model, optimizer, 50, dropout=0.2, execution="graph")
    with pytest.raises(ValueError, match=words):
        trainer.train_epoch(*digits[:2], epoch=1)


def test_labels_of_more_classes_in_a_later_epoch(digits):
    trainer = make_trainer()
    trainer.train_epoch(*digits[:2], epoch=1)
    with pytest.raises(ValueError, match=r"logits \[3, 10\], .* targets \[3, 11\]"):
        next(trainer.train_blocks(digits[0], tf.one_hot(np.arange(2000) % 11, 11), epoch=2))


def test_a_variable_that_the_model_does_not_use(digits):
    model = Network([784, 10])
    unused = tf.Variable(tf.zeros([3]), name="unused")
    trainer = Trainer(model, SGD([*model.trainable_variables, unused], 0.5), 50)
    with pytest.raises(ValueError, match=r"unused:0 \[3\] takes no part in the logits"):
        trainer.train_epoch(*digits[:2], epoch=1)


@pytest.mark.parametrize(
    ("rule", "execution"),
    [(SGD, "eager"), (Adam, "graph"), pytest.param(RMSprop, "xla", marks=pytest.mark.full)],
)
def test_a_learning_rate_that_is_set_between_epochs(digits, rule, execution):
    """The next epoch has it, as that of a new trainer with this rate."""
    pixels, one_hot, *_ = digits
    values = []
    for rates in [(0.125, 0.25), (0.125, 0.125)]:
        model = Network([784, 10])
        optimizer = rule(model.trainable_variables, rates[0])
        trainer = Trainer(model, optimizer, 500, execution=execution)
        trainer.train_epoch(pixels, one_hot, epoch=1)
        optimizer.learning_rate = optimizer.learning_rate * (rates[1] / rates[0])
        saved = [variable.numpy() for variable in optimizer.variables]
        trainer.train_epoch(pixels, one_hot, epoch=2)
        values.append([variable.numpy() for variable in model.variables])
    other = Network([784, 10])
    optimizer = rule(other.trainable_variables, 0.25)
    for variable, value in zip(optimizer.variables, saved, strict=True):
        variable.assign(value)
    optimizer.learning_rate = 0.25
    Trainer(other, optimizer, 500, execution=execution).train_epoch(pixels, one_hot, epoch=2)
    for ours, expected, before in zip(values[0], other.variables, values[1], strict=True):
        np.testing.assert_array_equal(ours, expected.numpy())
        assert np.abs(ours - before).max() > 1e-3


@pytest.mark.parametrize("name", ["model", "batch_size", "schedule"])
def test_what_a_trainer_is_made_of_can_not_be_exchanged(name):
    """In a compiled step it would stay what it was, without a word."""
    trainer = make_trainer()
    with pytest.raises(ValueError, match=f"^{name} of Trainer can't be set anew"):
        setattr(trainer, name, getattr(trainer, name))


def test_numbers_of_an_optimizer_can_not_be_exchanged():
    optimizers = SGD([ONE], 0.1, momentum=0.5), RMSprop([ONE], 0.1), Adam([ONE], 0.1)
    for optimizer, name in zip(optimizers, ("momentum", "rho", "beta_1"), strict=True):
        with pytest.raises(ValueError, match=f"^{name} of .* can't be set anew"):
            setattr(optimizer, name, 0.9)


class Counting(SGD):
    """It counts its steps in a number of Python's, which only an eager step would do."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.count = 0

    def apply(self, gradients):
        self.count += 1
        super().apply(gradients)


def test_a_rule_whose_memory_is_no_variable(digits):
    model = Network([784, 10])
    trainer = Trainer(model, Counting(model.trainable_variables, 0.5), 50, execution="graph")
    with pytest.raises(ValueError, match="count of Counting can't be set anew.* a tf.Variable"):
        trainer.train_epoch(*digits[:2], epoch=1)


def test_outputs_that_are_no_logits_of_classes(digits):
    """Their cross-entropy is 0, and the only class is always right."""
    model = Network([784, 1])
    trainer = make_trainer(model)
    with pytest.raises(ValueError, match="both must be .*squared_error"):
        trainer.train_epoch(digits[0], tf.ones([2000, 1]), epoch=1)
    trainer = make_trainer(model, cost=cost.squared_error)
    with pytest.raises(ValueError, match="count=None"):
        trainer.train_epoch(digits[0], tf.ones([2000, 1]), epoch=1)
    with pytest.raises(ValueError, match=r"gives \[500, 1\]; .* metrics.score"):
        metrics.evaluate(model, digits[2], np.zeros(500, int))


class HalfPrecision(Network):
    def __call__(self, images):
        return tf.cast(super().__call__(images), tf.bfloat16)


def test_costs_and_logits_of_other_kinds(digits):
    with pytest.raises(ValueError, match="gives bfloat16 .* its variables are float32"):
        make_trainer(HalfPrecision([784, 10])).train_epoch(*digits[:2], epoch=1)
    trainer = make_trainer(cost=lambda logits, targets: tf.reduce_mean(logits), count=None)
    with pytest.raises(ValueError, match=r"The cost gives float32 \[\] for logits \[3, 10\]"):
        trainer.train_epoch(*digits[:2], epoch=1)
    targets = tf.ones([2000])  # would be repeated for each output
    trainer = make_trainer(Network([784, 1]), cost=cost.squared_error, count=None)
    with pytest.raises(ValueError, match=r"outputs are \(3, 1\), but targets \(3,\)"):
        trainer.train_epoch(digits[0], targets, epoch=1)


def mean_over_the_batch(logits, targets):
    return tf.reduce_mean((logits - targets) ** 2, axis=-1) + tf.reduce_mean(logits)


def repeated(outputs, targets):
    """The classic: [n, 1] - [n] is [n, n]."""
    return tf.reduce_mean((outputs - targets[:, 0]) ** 2, axis=-1)


@pytest.mark.parametrize("wrong", [mean_over_the_batch, repeated])
def test_a_cost_that_mixes_images(digits, wrong):
    model = Network([784, 10 if wrong is mean_over_the_batch else 1])
    targets = tf.random.stateless_normal([2000, model.layer_sizes[-1]], [0, 0])
    with pytest.raises(ValueError, match="cost of an image depends on the others of its batch"):
        make_trainer(model, cost=wrong, count=None).train_epoch(digits[0], targets, epoch=1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda logits, targets: tf.math.count_nonzero(
            tf.argmax(logits, 1) == tf.argmax(targets, 1), axis=-1
        ),
        lambda logits, targets: tf.reduce_mean(logits),
        keras.metrics.CategoricalAccuracy(),
    ],
)
def test_a_count_that_is_none(digits, wrong):
    with pytest.raises(ValueError, match="^The count "):
        make_trainer(count=wrong).train_epoch(*digits[:2], epoch=1)


class Half(tf.Module):
    """A variable of its own, and a layer of Keras, whose variables a tf.Module does not list."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(16, activation="relu")
        self.hidden.build([None, 784])
        self.output = tf.Variable(tf.ones([16, 10]))

    def __call__(self, images):
        return self.hidden(images) @ self.output


class Late(tf.Module):
    """It makes a variable when it is called first."""

    def __init__(self):
        super().__init__()
        self.biases, self.weights = tf.Variable(tf.zeros([10])), None

    def __call__(self, images):
        if self.weights is None:
            self.weights = tf.Variable(tf.ones([784, 10]))
        return images @ self.weights + self.biases


@pytest.mark.parametrize("kind", [Half, Late])
def test_a_variable_that_would_stay_as_it_is(digits, kind):
    with pytest.raises(ValueError, match=r"The model uses the variable .* the optimizer does not"):
        make_trainer(kind()).train_epoch(*digits[:2], epoch=1)


def test_variables_that_shall_stay_as_they_are(digits):
    """A frozen layer of Keras, and a tf.Variable that is not trainable."""
    layers = [keras.Input((784,)), keras.layers.Dense(16), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.layers[0].trainable = False
    frozen = model.layers[0].kernel.numpy()
    make_trainer(model).train_epoch(*digits[:2], epoch=1)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), frozen)
    model = Network([784, 16, 10])
    model.weights[0] = tf.Variable(model.weights[0], trainable=False)
    make_trainer(model).train_epoch(*digits[:2], epoch=1)


@pytest.mark.parametrize("option", ["kernel_regularizer", "kernel_constraint"])
def test_what_keras_would_add_to_a_model(option):
    value = {"kernel_regularizer": "l2", "kernel_constraint": "max_norm"}[option]
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, **{option: value})])
    with pytest.raises(ValueError, match="regularizers, losses or constraints of its own"):
        make_trainer(model)


def test_best_weights_of_a_model_that_lists_only_what_is_trained():
    class Listed(Half):
        @property
        def trainable_variables(self):
            return [*self.hidden.trainable_variables, self.output]

    with pytest.raises(ValueError, match="variables lack some of its trainable_variables"):
        BestWeights(Listed())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x, y[:100]), "500 images, but 100 labels"),
        (lambda x, y: (x, np.eye(10)[y]), r"labels are float64 \[500, 10\]"),
        (lambda x, y: (x, y[:, None]), r"labels are uint8 \[500, 1\]"),
        (lambda x, y: (x, y + 1), "A label is 10; there are 10 classes"),
        (lambda x, y: (x, y.astype(int) - 1), "A label is -1; there are 10 classes"),
        (lambda x, y: (x[:, :14], y), r"can't be called with images \[500, 392\]"),
        (lambda x, y: (x.tolist(), y), "images are a list"),
    ],
)
def test_what_can_not_be_evaluated(digits, change, words):
    with pytest.raises(ValueError, match=words):
        metrics.evaluate(Network([784, 10]), *change(*digits[2:]))


def test_a_search_for_a_learning_rate_warns_of_nothing(caplog, monkeypatch):
    """TensorFlow would take the trainers' steps for one that is compiled again and again."""
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    pixels, one_hot = tf.zeros([12, 12], tf.uint8), tf.one_hot([0, 1, 2] * 4, 3)
    for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        model = Network([12, 3])
        optimizer, falling = SGD(model.trainable_variables, rate), schedules.cosine(rate, 10)
        trainer = Trainer(model, optimizer, 5, execution="graph", schedule=falling)
        trainer.train_epoch(pixels, one_hot, epoch=1)
    assert "retracing" not in caplog.text


def test_a_network_is_a_tf_module():
    assert Network([784, 10]).name == "network"


def test_any_iterable_of_variables(digits):
    model = Network([784, 10])
    optimizer = RMSprop((w for w in model.trainable_variables), 0.001)
    assert len(optimizer.parameters) == len(optimizer.velocities) == 2
    Trainer(model, optimizer, 50).train_epoch(*digits[:2], epoch=1)


@pytest.mark.parametrize("images", [np.zeros((2, 28, 28)), np.zeros((2, 784), np.uint8)])
def test_images_that_can_not_be_evaluated(images):
    with pytest.raises(ValueError, match=r"must be uint8 \[n, height, width\]"):
        metrics.predict(Network([784, 10]), images)


def test_all_that_is_named_is_there():
    for name in lowlevel_mnist.__all__:
        assert getattr(lowlevel_mnist, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Keeper'"):
        lowlevel_mnist.Keeper  # noqa: B018


def test_what_needs_no_tensorflow_imports_none():
    asked = "import sys; from lowlevel_mnist import Dataset, UserError, data"
    code = f"{asked}; print('tensorflow' in sys.modules)"
    done = run_python("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
