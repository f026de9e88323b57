"""Loss, accuracy, confusion matrix and what is made of it, beside NumPy that counts one by one."""

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist import cost, metrics
from lowlevel_mnist.model import Network
from tests.helpers.network import forward, softmax

CLASSES, COUNT = 5, 2300  # images: two whole batches of an evaluation, and one that is smaller


@pytest.fixture(scope="module")
def evaluated():
    """(network, images, labels, what NumPy gives for its logits)."""
    generator = np.random.default_rng(0)
    network = Network((48, 9, CLASSES), seed=3, dtype=tf.float64)
    for bias in network.biases:
        bias.assign(generator.normal(size=bias.shape))
    images = generator.integers(0, 256, (COUNT, 8, 6)).astype(np.uint8)
    labels = generator.choice(CLASSES - 1, COUNT).astype(np.uint8)  # the last class has no image
    weights, biases = ([w.numpy() for w in each] for each in (network.weights, network.biases))
    return network, images, labels, forward(weights, biases, images.reshape(COUNT, 48) / 255)


def test_an_evaluation_against_numpy(evaluated):
    network, images, labels, logits = evaluated
    expected = softmax(logits)
    predicted = expected.argmax(axis=1)
    matrix = [
        [sum((labels == truth) & (predicted == taken_for)) for taken_for in range(CLASSES)]
        for truth in range(CLASSES)
    ]
    found = metrics.evaluate(network, images, labels)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-12)
    np.testing.assert_allclose(metrics.predict(network, images), expected, rtol=1e-12)
    losses = [-np.log(row[label]) for row, label in zip(expected, labels, strict=True)]
    assert found.loss == pytest.approx(sum(losses) / COUNT, rel=1e-12)
    assert found.accuracy == sum(predicted == labels) / COUNT
    assert found.confusion_matrix.tolist() == matrix
    assert found.confusion_matrix.dtype == np.int64
    np.testing.assert_array_equal(found.predictions, predicted)
    assert 0.1 < found.accuracy < 0.4, "there are both, right ones and mistakes"


def test_a_score_against_numpy(evaluated):
    """With any cost, and a count if there is one."""
    network, images, labels, logits = evaluated
    one_hot = np.eye(CLASSES)[labels]
    error = ((logits - one_hot) ** 2).mean(axis=1).mean()
    found = metrics.score(network, images, one_hot, cost.squared_error)
    assert found.loss == pytest.approx(error, rel=1e-12)
    assert found.accuracy is None
    counted = metrics.score(network, images, one_hot, cost.squared_error, metrics.count_correct)
    assert counted.loss == found.loss
    assert counted.accuracy == np.mean(logits.argmax(axis=1) == labels)
    with pytest.raises(ValueError, match="There are 2,300 images, but 2,299 targets"):
        metrics.score(network, images, one_hot[1:], cost.squared_error)


def test_correct_ones_are_counted_step_by_step(evaluated):
    *_, labels, logits = evaluated
    steps, one_hot = logits.reshape(23, 100, CLASSES), np.eye(CLASSES)[labels]
    found = metrics.count_correct(steps, one_hot.reshape(23, 100, CLASSES))
    is_right = logits.argmax(axis=1) == labels
    assert found.numpy().tolist() == is_right.reshape(23, 100).sum(axis=1).tolist()
    assert found.dtype == tf.int64


def test_precision_recall_and_f1_by_their_definitions(evaluated):
    network, images, labels, _ = evaluated
    found = metrics.evaluate(network, images, labels)
    for label, row in enumerate(metrics.per_class(found.confusion_matrix)):
        is_it, taken = labels == label, found.predictions == label
        both = sum(is_it & taken)
        precision, recall = both / max(sum(taken), 1), both / max(sum(is_it), 1)
        f1 = 2 * precision * recall / (precision + recall) if both else 0
        expected = {"precision": precision, "recall": recall, "f1": f1, "support": sum(is_it)}
        assert row == pytest.approx(expected, rel=1e-12)


def test_classes_that_are_never_taken_or_never_there():
    rows = metrics.per_class(np.array([[3, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]))
    assert rows[0] == {"precision": 0.6, "recall": 0.75, "f1": 2 * 3 / 9, "support": 4}
    assert rows[1] == {"precision": 0, "recall": 0, "f1": 0, "support": 2}
    assert rows[2] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert rows[3] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}


def test_most_confused_pairs_are_sorted_and_mistakes_only():
    matrix = np.array([[9, 2, 0], [5, 9, 0], [0, 1, 9]])
    assert metrics.most_confused(matrix, 2) == [(1, 0, 5), (0, 1, 2)]
    assert metrics.most_confused(matrix, 9) == [(1, 0, 5), (0, 1, 2), (2, 1, 1)]
    assert metrics.most_confused(np.eye(3, dtype=int), 5) == []
