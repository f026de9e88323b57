"""The gradients of the tape, against the closed form, central differences and the plain tape."""

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import cost, optimizers, training
from lowlevel_mnist.model import Network, draw_keep_mask, dropout_mask, glorot_uniform

PIXELS, CLASSES, IMAGES = 30, 5, 17


@pytest.fixture
def batch():
    generator = np.random.default_rng(3)
    images = generator.uniform(0, 1, (IMAGES, PIXELS))
    one_hot = np.eye(CLASSES)[generator.integers(0, CLASSES, IMAGES)]
    return images, one_hot


def draw_mask(generator, units, rate, images=IMAGES):
    return dropout_mask(draw_keep_mask(generator, images, units, rate), rate, tf.float64).numpy()


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def gradients_of(images, one_hot, dtype):
    """The model, and its gradients by weights and biases as NumPy arrays."""
    model = Network((PIXELS, CLASSES), seed=1, dtype=dtype)
    model.biases[0].assign(np.linspace(-1, 1, CLASSES))
    costs, _, gradients = cost.cost_and_gradients(
        model,
        [model.weights[0], model.biases[0]],
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
    weights, biases = (v.numpy().astype(np.float64) for v in (model.weights[0], model.biases[0]))
    by_logits = (softmax(images @ weights + biases) - one_hot) / IMAGES
    assert relative_error(by_weights, images.T @ by_logits) <= bound
    assert relative_error(by_biases, by_logits.sum(axis=0)) <= bound
    assert abs(costs.mean() - mean_cost(images @ weights + biases, one_hot)) <= bound


def forward(weights, biases, images, masks=None):
    """The logits of any depth, in NumPy."""
    outputs = images
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if layer > 0:
            outputs = np.maximum(outputs, 0)
            if masks is not None:
                outputs = outputs * masks[layer - 1]
        outputs = outputs @ w + b
    return outputs


def mean_cost(logits, one_hot):
    return -np.mean(np.log((softmax(logits) * one_hot).sum(axis=1)))


@pytest.mark.parametrize("hidden", [(), (7,), (8, 6)])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_central_differences(batch, hidden, dropout):
    """Gradients in float64, of up to two hidden layers, without and with given masks."""
    images, one_hot = batch
    generator = np.random.default_rng(2)
    masks = [draw_mask(generator, units, dropout) for units in hidden]
    model = Network((PIXELS, *hidden, CLASSES), seed=1, dtype=tf.float64)
    for biases in model.biases:
        biases.assign(generator.uniform(-0.5, 0.5, biases.shape))
    variables = [*model.weights, *model.biases]
    costs, _, gradients = cost.cost_and_gradients(model, variables, images, one_hot, *masks)

    arrays = [variable.numpy() for variable in variables]
    weights, biases = arrays[: len(model.weights)], arrays[len(model.weights) :]
    assert costs.numpy().mean() == pytest.approx(
        mean_cost(forward(weights, biases, images, masks), one_hot), rel=1e-14
    )
    step = 1e-6
    for array, gradient in zip(arrays, gradients, strict=True):
        differences = np.empty_like(array)
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + step
            above = mean_cost(forward(weights, biases, images, masks), one_hot)
            array[index] = value - step
            below = mean_cost(forward(weights, biases, images, masks), one_hot)
            array[index] = value
            differences[index] = (above - below) / (2 * step)
        assert relative_error(gradient.numpy(), differences) <= 1e-7


def test_a_step_with_a_given_mask(batch):
    """Forwards, backwards and the update of a network with dropout, in float64 NumPy."""
    images, one_hot = batch
    mask = draw_mask(np.random.default_rng(4), 9, 0.25)
    assert set(np.unique(mask)) == {0, 4 / 3}
    model = Network((PIXELS, 9, CLASSES), seed=1, dtype=tf.float64)
    (w1, w2), (b1, b2) = ([v.numpy() for v in part] for part in (model.weights, model.biases))
    optimizer = optimizers.SGD([*model.weights, *model.biases], 0.5)
    costs, logits = training.train_step(model, optimizer, images, one_hot, mask)

    sums = images @ w1 + b1
    hidden = np.where(sums > 0, sums, 0) * mask
    by_logits = (softmax(hidden @ w2 + b2) - one_hot) / IMAGES
    by_sums = by_logits @ w2.T * mask * (sums > 0)
    np.testing.assert_allclose(logits, hidden @ w2 + b2, atol=1e-14)
    for variable, before, gradient in [
        (model.weights[1], w2, hidden.T @ by_logits),
        (model.biases[1], b2, by_logits.sum(axis=0)),
        (model.weights[0], w1, images.T @ by_sums),
        (model.biases[0], b1, by_sums.sum(axis=0)),
    ]:
        np.testing.assert_allclose(variable.numpy(), before - 0.5 * gradient, rtol=0, atol=1e-15)


@pytest.mark.parametrize("units", [1, 33, 127])
def test_dropout_drawn_in_pieces_is_dropout_drawn_at_once(units):
    """Although an odd number of units takes no whole number of 64-bit draws."""
    draw = [np.random.default_rng(0) for _ in range(2)]
    pieces = [draw_keep_mask(draw[0], images, units, 0.3) for images in (1, 4, 7)]
    whole = draw_keep_mask(draw[1], 12, units, 0.3)
    assert (whole.shape, whole.dtype) == ((12, units), bool)
    assert 0 < whole.mean() < 1
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("rate", [0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_the_part_that_is_dropped_is_the_rate(rate):
    """Of a million outputs, within five standard deviations; and no unit is dropped more often."""
    images, units = 2001, 511
    dropped = ~draw_keep_mask(np.random.default_rng(0), images, units, rate)
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(dropped.mean() - rate) <= 5 * deviation / np.sqrt(images * units)
    if 0.2 <= rate <= 0.9:
        assert np.abs(dropped.mean(axis=0) - rate).max() <= 5 * deviation / np.sqrt(images)
        assert np.abs(dropped.mean(axis=1) - rate).max() <= 5 * deviation / np.sqrt(units)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_dropout_keeps_the_mean(dtype):
    mask = dropout_mask(draw_keep_mask(np.random.default_rng(0), 1000, 512, 0.2), 0.2, dtype)
    assert mask.dtype == dtype
    assert np.unique(mask) == pytest.approx([0, 1.25], rel=1e-5)
    assert np.mean(mask) == pytest.approx(1, abs=0.002)


def test_dropout_of_nearly_all_keeps_finite_values():
    """A rate that rounds to 1 in 65,536ths would otherwise keep nothing, times infinity."""
    mask = draw_mask(np.random.default_rng(0), 511, 0.999999, images=2000)
    assert np.isfinite(mask).all()
    assert 0 < np.count_nonzero(mask) < 100


def plain_logits(model, images, *masks):
    """`Network.__call__` as its docstring writes it."""
    outputs = tf.matmul(images, model.weights[0]) + model.biases[0]
    for layer, (weights, biases) in enumerate(
        zip(model.weights[1:], model.biases[1:], strict=True)
    ):
        outputs = tf.nn.relu(outputs)
        if masks:
            outputs = outputs * masks[layer]
        outputs = tf.matmul(outputs, weights) + biases
    return outputs


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_fast_form_is_the_plain_form_of_the_docstrings(batch, dropout):
    images, one_hot = (tf.constant(array, tf.float64) for array in batch)
    generator = np.random.default_rng(2)
    model = Network((PIXELS, 8, 6, CLASSES), seed=1, dtype=tf.float64)
    for biases in model.biases:
        biases.assign(generator.uniform(-0.5, 0.5, biases.shape))
    masks = [draw_mask(generator, units, dropout) for units in (8, 6)] if dropout else []
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = plain_logits(model, images, *masks)
        mean = tf.reduce_mean(
            tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits)
        )
    plain = tape.gradient(mean, variables)
    costs, fast_logits, fast = cost.cost_and_gradients(model, variables, images, one_hot, *masks)
    np.testing.assert_allclose(fast_logits, logits, rtol=0, atol=1e-15)
    assert float(tf.reduce_mean(costs)) == pytest.approx(float(mean), rel=1e-15)
    for left, right in zip(fast, plain, strict=True):
        assert np.abs(right).max() > 0.01  # there is something to compare
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
