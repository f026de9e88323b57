"""The gradients of the tape, against the closed form, central differences and the plain tape."""

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import cost
from lowlevel_mnist.model import SoftmaxRegression, glorot_uniform

PIXELS, CLASSES, IMAGES = 30, 5, 17


@pytest.fixture
def batch():
    generator = np.random.default_rng(3)
    images = generator.uniform(0, 1, (IMAGES, PIXELS))
    one_hot = np.eye(CLASSES)[generator.integers(0, CLASSES, IMAGES)]
    return images, one_hot


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def numpy_cost(weights, biases, images, one_hot):
    return -np.mean(np.log((softmax(images @ weights + biases) * one_hot).sum(axis=1)))


def gradients_of(images, one_hot, dtype):
    """The model, and its gradients by weights and biases as NumPy arrays."""
    model = SoftmaxRegression(PIXELS, CLASSES, seed=1, dtype=dtype)
    model.biases.assign(np.linspace(-1, 1, CLASSES))
    costs, _, gradients = cost.cost_and_gradients(
        model,
        [model.weights, model.biases],
        tf.constant(images, dtype),
        tf.constant(one_hot, dtype),
    )
    return model, costs.numpy(), [gradient.numpy() for gradient in gradients]


def relative_error(value, truth):
    return np.linalg.norm(value - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize(("dtype", "bound"), [(tf.float32, 1e-5), (tf.float64, 1e-13)])
def test_closed_form(batch, dtype, bound):
    images, one_hot = batch
    model, costs, (by_weights, by_biases) = gradients_of(images, one_hot, dtype)
    weights, biases = (v.numpy().astype(np.float64) for v in (model.weights, model.biases))
    by_logits = (softmax(images @ weights + biases) - one_hot) / IMAGES
    assert relative_error(by_weights, images.T @ by_logits) <= bound
    assert relative_error(by_biases, by_logits.sum(axis=0)) <= bound
    assert abs(costs.mean() - numpy_cost(weights, biases, images, one_hot)) <= bound


def test_central_differences(batch):
    images, one_hot = batch
    model, _, gradients = gradients_of(images, one_hot, tf.float64)
    parameters = [model.weights.numpy(), model.biases.numpy()]
    step = 1e-6
    for parameter, gradient in zip(parameters, gradients, strict=True):
        differences = np.empty_like(parameter)
        for index in np.ndindex(parameter.shape):
            value = parameter[index]
            parameter[index] = value + step
            above = numpy_cost(*parameters, images, one_hot)
            parameter[index] = value - step
            below = numpy_cost(*parameters, images, one_hot)
            parameter[index] = value
            differences[index] = (above - below) / (2 * step)
        assert relative_error(gradient, differences) <= 1e-8


def test_the_fast_form_is_the_plain_form_of_the_docstring(batch):
    images, one_hot = (tf.constant(array, tf.float64) for array in batch)
    model = SoftmaxRegression(PIXELS, CLASSES, seed=1, dtype=tf.float64)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(images)
        mean = tf.reduce_mean(
            tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits)
        )
    plain = tape.gradient(mean, variables)
    costs, fast_logits, fast = cost.cost_and_gradients(model, variables, images, one_hot)
    np.testing.assert_array_equal(fast_logits, logits)
    assert float(tf.reduce_mean(costs)) == pytest.approx(float(mean), rel=1e-15)
    for left, right in zip(fast, plain, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-16)


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_the_cost_of_huge_logits_is_finite(scale):
    logits = tf.constant([[scale, 0.0, -scale], [0.0, -scale, scale]], tf.float32)
    one_hot = tf.constant([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    costs, by_logits = cost.cross_entropy(logits, one_hot)
    np.testing.assert_allclose(costs, [0.0, scale], rtol=1e-6)
    np.testing.assert_array_equal(by_logits, [[0, 0, 0], [-1, 0, 1]])


def test_glorot_uniform_has_its_limit_and_variance():
    weights = glorot_uniform(np.random.default_rng(0), 784, 10)
    limit = np.sqrt(6 / 794)
    assert 0.999 * limit < np.abs(weights).max() <= limit
    assert weights.var() == pytest.approx(limit**2 / 3, rel=0.05)
    assert weights.mean() == pytest.approx(0, abs=0.002)
