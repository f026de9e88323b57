"""Step 7 of the walkthrough: loss, accuracy and the confusion matrix, computed by hand."""

import dataclasses

import numpy as np
import tensorflow as tf

from lowlevel_mnist import cost, preprocessing
from lowlevel_mnist.model import probabilities

EVALUATION_BATCH = 5000  # images whose float pixels are in memory at once, 16 MB


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a network makes of images whose labels are known.

    loss: mean cost of an image.
    accuracy: part of the images that are classified correctly, 0..1.
    confusion_matrix: `int64` [classes, classes]; row: true class, column: predicted class.
    probabilities: float [n, classes], the softmax of each image's logits.
    """

    loss: float
    accuracy: float
    confusion_matrix: np.ndarray
    probabilities: np.ndarray

    @property
    def predictions(self):
        """The most probable class of each image, [n]."""
        return self.probabilities.argmax(axis=1)


def count_correct(logits, one_hot):
    """Counts the images whose largest logit is that of their true class.

    logits, one_hot: [n, classes]. Returns a scalar `int64` tensor.
    """
    return tf.math.count_nonzero(tf.argmax(logits, axis=1) == tf.argmax(one_hot, axis=1))


def evaluate(model, images, labels):
    """Classifies images and compares with their labels.

    model: a `model.SoftmaxRegression`.
    images: `uint8` array [n, height, width]; labels: `uint8` array [n].
    Returns an `Evaluation`.
    """
    dtype, classes = model.weights.dtype, model.weights.shape[1]
    pixels = preprocessing.flatten(images)
    one_hot = preprocessing.one_hot(labels, classes, dtype)
    costs, outputs = [], []
    for start in range(0, len(labels), EVALUATION_BATCH):
        batch = slice(start, start + EVALUATION_BATCH)
        logits = model(preprocessing.scale(pixels[batch], dtype))
        costs.append(cost.cross_entropy(logits, one_hot[batch])[0])
        outputs.append(probabilities(logits))
    outputs = np.concatenate(outputs)
    matrix = confusion_matrix(labels, outputs.argmax(axis=1), classes)
    return Evaluation(
        loss=float(np.concatenate(costs).mean()),
        accuracy=float(matrix.trace() / matrix.sum()),
        confusion_matrix=matrix,
        probabilities=outputs,
    )


def confusion_matrix(labels, predictions, classes):
    """Counts how often each true class (row) was taken for each class (column).

    labels, predictions: whole numbers [n]. Returns an `int64` array [classes, classes].
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix
