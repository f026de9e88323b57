"""Step 4: the cost and its gradients, against closed forms, central differences and the plain tape.

And the first weights and the dropout masks, which go into them.
"""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import cost
from lowlevel_mnist.execution import kernels
from lowlevel_mnist.model import Dropout, Network, glorot_uniform
from tests.helpers.network import cross_entropy, forward, softmax

PIXELS, CLASSES, IMAGES = 30, 5, 17


@pytest.fixture
def batch():
    """Images and one-hot labels, float64."""
    generator = np.random.default_rng(3)
    images = generator.uniform(0, 1, (IMAGES, PIXELS))
    return images, np.eye(CLASSES)[generator.integers(0, CLASSES, IMAGES)]


def make_network(hidden, dtype=tf.float64):
    """A network whose biases are not zero, so that they matter."""
    model = Network((PIXELS, *hidden, CLASSES), seed=1, dtype=dtype)
    generator = np.random.default_rng(2)
    for biases in model.biases:
        biases.assign(generator.uniform(-0.5, 0.5, biases.shape))
    return model


def draw_masks(units, rate, images=IMAGES, dtype=tf.float64):
    """A batch's masks, one for each of the layers with so many units."""
    dropout = Dropout(rate, units, seed=2)
    kept = dropout.draw(epoch=1, first=0, batches=1, batch_size=images)
    return [dropout.mask(layer[0], dtype).numpy() for layer in kept]


def relative_error(value, truth):
    return np.linalg.norm(value - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize(("dtype", "bound"), [(tf.float32, 1e-5), (tf.float64, 1e-13)])
def test_closed_form(batch, dtype, bound):
    """Softmax regression: the derivative by the logits is (probabilities - one-hot) / n."""
    images, one_hot = batch
    model = make_network((), dtype)
    variables = [model.weights[0], model.biases[0]]
    weights, biases = (variable.numpy().astype(np.float64) for variable in variables)
    inputs = tf.constant(images, dtype), tf.constant(one_hot, dtype)
    costs, logits, gradients = cost.cost_and_gradients(model, variables, *inputs)
    expected = images @ weights + biases
    by_logits = (softmax(expected) - one_hot) / IMAGES
    assert relative_error(logits, expected) <= bound
    assert relative_error(costs, cross_entropy(expected, one_hot)) <= bound
    assert relative_error(gradients[0], images.T @ by_logits) <= bound
    assert relative_error(gradients[1], by_logits.sum(axis=0)) <= bound


@pytest.mark.parametrize(("hidden", "dropout"), [((), 0), ((7,), 0), ((7,), 0.4), ((8, 6), 0.4)])
def test_central_differences(batch, hidden, dropout):
    """Of up to two hidden layers, without and with given masks: each weight and bias is nudged."""
    images, one_hot = batch
    masks = draw_masks(hidden, dropout) if dropout else []
    model = make_network(hidden)
    variables = [*model.weights, *model.biases]
    _, _, gradients = cost.cost_and_gradients(model, variables, images, one_hot, *masks)

    arrays = [variable.numpy() for variable in variables]
    weights, biases = arrays[: len(model.weights)], arrays[len(model.weights) :]

    def mean_cost():
        return cross_entropy(forward(weights, biases, images, masks), one_hot).mean()

    step = 1e-6
    for array, gradient in zip(arrays, gradients, strict=True):
        differences = np.empty_like(array)
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + step
            above = mean_cost()
            array[index] = value - step
            below = mean_cost()
            array[index] = value
            differences[index] = (above - below) / (2 * step)
        assert relative_error(gradient.numpy(), differences) <= 1e-7


def plain_logits(model, images, *masks):
    """`Network.__call__` as one writes it first."""
    outputs = images @ model.weights[0] + model.biases[0]
    for layer, (weights, biases) in enumerate(
        zip(model.weights[1:], model.biases[1:], strict=True)
    ):
        outputs = tf.nn.relu(outputs)
        if masks:
            outputs = outputs * masks[layer]
        outputs = outputs @ weights + biases
    return outputs


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_fast_form_is_the_plain_form(batch, dropout):
    images, one_hot = (tf.constant(array, tf.float64) for array in batch)
    model = make_network((8, 6))
    inputs = images, one_hot, *(draw_masks((8, 6), dropout) if dropout else [])
    variables = model.trainable_variables
    costs, logits, fast = cost.cost_and_gradients(model, variables, *inputs)
    np.testing.assert_allclose(logits, plain_logits(model, images, *inputs[2:]), rtol=0, atol=1e-15)
    for form in (model, functools.partial(plain_logits, model)):
        mean, plain = cost.plain_cost_and_gradients(form, variables, *inputs)
        assert float(tf.reduce_mean(costs)) == pytest.approx(float(mean), rel=1e-15)
        for left, right in zip(fast, plain, strict=True):
            assert np.abs(right).max() > 0.01  # there is something to compare
            np.testing.assert_allclose(left, right, rtol=0, atol=1e-16)


def test_matmul_is_tensorflow_s(batch):
    """The same bits, forwards and backwards, with a variable."""
    a, b = tf.constant(batch[0]), tf.Variable(np.random.default_rng(0).normal(size=(PIXELS, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(a)
        products = kernels.matmul(a, b), tf.matmul(a, b)
    np.testing.assert_array_equal(*products)
    gradients = [tape.gradient(product, [a, b], products[1]) for product in products]
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_softmax_cross_entropy_is_tensorflow_s(batch):
    """The same bits; and the derivative that it returns is the one that a tape finds."""
    one_hot = tf.constant(batch[1])
    logits = tf.constant(np.random.default_rng(0).normal(size=one_hot.shape))
    costs, by_logits = kernels.softmax_cross_entropy(logits, one_hot)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        theirs = tf.nn.softmax_cross_entropy_with_logits(one_hot, logits)
    np.testing.assert_array_equal(costs, theirs)
    np.testing.assert_array_equal(by_logits, tape.gradient(theirs, logits))


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_the_cost_of_huge_logits_is_finite(scale):
    logits = tf.constant([[scale, 0.0, -scale], [0.0, -scale, scale]], tf.float32)
    one_hot = tf.constant([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    costs, by_logits = cost.costs_and_derivatives(cost.cross_entropy, logits, one_hot)
    np.testing.assert_allclose(costs, [0.0, scale], rtol=1e-6)
    np.testing.assert_array_equal(by_logits, [[0, 0, 0], [-1, 0, 1]])


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3])
def test_clipping_by_the_global_norm(scale):
    """All gradients together are not longer than the norm, and point where they did."""
    generator = np.random.default_rng(0)
    gradients = [scale * generator.normal(size=shape) for shape in ((3, 4), (4,))]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    clipped = cost.clip_by_global_norm([tf.constant(g) for g in gradients], 1.5)
    for g, ours in zip(gradients, clipped, strict=True):
        np.testing.assert_allclose(ours, g * min(1, 1.5 / max(norm, 1e-9)), rtol=1e-14)


# ---- What is drawn at random


def test_glorot_uniform_has_its_limit_and_variance():
    weights = glorot_uniform(np.random.default_rng(0), 784, 10)
    limit = np.sqrt(6 / 794)
    assert 0.999 * limit < np.abs(weights).max() <= limit
    assert weights.var() == pytest.approx(limit**2 / 3, rel=0.05)
    assert weights.mean() == pytest.approx(0, abs=0.002)


def test_dropout_drawn_in_pieces_is_dropout_drawn_at_once():
    """And that is what seed, epoch and layer say, although odd units fill no 64-bit draw."""
    dropout = Dropout(0.3, (1, 33, 128), seed=7)
    whole = dropout.draw(epoch=4, first=0, batches=12, batch_size=5)
    shapes = [(first, batches, 5) for first, batches in [(0, 1), (5, 4), (25, 7)]]
    pieces = [dropout.draw(4, *shape) for shape in shapes]
    for layer, units in enumerate(dropout.units):
        generator = np.random.default_rng([7, 5, 4, layer])
        bits = generator.bit_generator.random_raw((60, math.ceil(units / 4))).view(np.uint16)
        expected = bits[:, :units] >= round(0.3 * 65536)
        assert (whole[layer].shape, whole[layer].dtype) == ((12, 5, units), bool)
        np.testing.assert_array_equal(whole[layer].reshape(60, units), expected)
        joined = np.concatenate([piece[layer] for piece in pieces])
        np.testing.assert_array_equal(joined, whole[layer])
        # The smaller batch at the end of an epoch.
        (last,) = dropout.draw(4, first=57, batches=1, batch_size=3)[layer]
        np.testing.assert_array_equal(last, expected[57:])


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5, 0.9])
def test_dropout_drops_its_rate_and_keeps_the_mean(rate):
    """Of a million outputs, within five standard deviations; and no unit is dropped more often."""
    images, units = 2001, 511
    (mask,) = draw_masks([units], rate, images, tf.float32)
    assert np.unique(mask) == pytest.approx([0, 1 / (1 - rate)], rel=1e-4)
    dropped = mask == 0
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(dropped.mean() - rate) <= 5 * deviation / np.sqrt(images * units)
    if rate >= 0.2:
        assert np.abs(dropped.mean(axis=0) - rate).max() <= 5 * deviation / np.sqrt(images)
        assert np.abs(dropped.mean(axis=1) - rate).max() <= 5 * deviation / np.sqrt(units)


def test_dropout_of_nearly_all_keeps_finite_values():
    """A rate that rounds to 1 in 65,536ths would otherwise keep nothing, times infinity."""
    (mask,) = draw_masks([511], 0.999999, images=2000)
    assert np.isfinite(mask).all()
    assert 0 < np.count_nonzero(mask) < 100
