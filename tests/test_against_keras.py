"""The same numbers as Keras, from the same initial weights and batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import digit_arrays

from lowlevel_mnist import metrics, optimizers, preprocessing, training
from lowlevel_mnist.model import SoftmaxRegression

BATCH, STEPS = 128, 100


def keras_twin(model, learning_rate):
    """The network as Keras has it, with our initial weights."""
    dtype = model.weights.dtype.name
    pixels, classes = model.weights.shape
    twin = keras.Sequential(
        [
            keras.Input((pixels,), dtype=dtype),
            keras.layers.Dense(classes, activation="softmax", dtype=dtype),
        ]
    )
    twin.layers[0].set_weights([model.weights.numpy(), model.biases.numpy()])
    twin.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=keras.losses.CategoricalCrossentropy(dtype=dtype),
        metrics=["accuracy"],
    )
    return twin


@pytest.fixture(scope="module")
def arrays():
    return digit_arrays(train=60 * BATCH, test=1000)


@pytest.mark.parametrize(("dtype", "bound"), [(tf.float32, 1e-6), (tf.float64, 1e-12)])
def test_the_weights_after_100_steps(arrays, dtype, bound):
    images, labels = arrays[:2]
    pixels = preprocessing.scale(preprocessing.flatten(images), dtype)
    one_hot = preprocessing.one_hot(labels, 10, dtype)
    model = SoftmaxRegression(784, 10, seed=0, dtype=dtype)
    twin = keras_twin(model, learning_rate=0.5)
    optimizer = optimizers.SGD(model.trainable_variables, 0.5)
    start = model.weights.numpy()
    generator = np.random.default_rng(5)
    for _ in range(STEPS):
        chosen = generator.integers(0, len(images), BATCH)
        batch = tf.gather(pixels, chosen), tf.gather(one_hot, chosen)
        training.train_step(model, optimizer, *batch)
        twin.train_on_batch(*batch)
    weights, biases = twin.layers[0].get_weights()
    assert np.abs(model.weights.numpy() - start).max() > 0.01
    assert np.abs(model.weights.numpy() - weights).max() <= bound
    assert np.abs(model.biases.numpy() - biases).max() <= bound


def test_loss_and_accuracy_of_an_evaluation(arrays):
    images, labels = arrays[2:]
    model = SoftmaxRegression(784, 10, seed=0, dtype=tf.float64)
    ours = metrics.evaluate(model, images, labels)
    pixels = preprocessing.scale(preprocessing.flatten(images), tf.float64)
    loss, accuracy = keras_twin(model, 0.5).evaluate(pixels, np.eye(10)[labels], verbose=0)
    assert ours.loss == pytest.approx(loss, rel=1e-6)  # Keras's running mean is float32
    assert ours.accuracy == pytest.approx(accuracy, abs=1e-6)
