"""Step 7 of the walkthrough: loss, accuracy and the confusion matrix, computed by hand."""

import dataclasses

import numpy as np
import tensorflow as tf

from lowlevel_mnist import cost, preprocessing
from lowlevel_mnist.model import probabilities

EVALUATION_BATCH = 1000  # images whose float pixels are in memory at once, twice 3 MB


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a network makes of images whose labels are known.

    loss: mean cost of an image.
    accuracy: fraction of the images that are classified correctly, 0..1.
    confusion_matrix: `int64` [classes, classes]; row: true class, column: predicted class.
    probabilities: float [n, classes], the softmax of each image's logits.
    """

    loss: float
    accuracy: float
    confusion_matrix: np.ndarray
    probabilities: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The most probable class of each image, [n]."""
        return self.probabilities.argmax(axis=1)


def count_correct(logits: tf.Tensor, one_hot: tf.Tensor) -> tf.Tensor:
    """Counts the images whose largest logit is that of their true class.

    logits, one_hot: [..., n, classes]. Returns an `int64` tensor [...].
    """
    is_correct = tf.argmax(logits, axis=-1) == tf.argmax(one_hot, axis=-1)
    return tf.math.count_nonzero(is_correct, axis=-1)


def evaluate(model: tf.Module, images: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Classifies images and compares with their labels.

    model: a callable `tf.Module` that maps scaled images [n, pixels] to logits, such as a
        `model.Network`.
    images: `uint8` array [n, height, width]; labels: `uint8` array [n].
    Raises `ValueError` where they are not.
    """
    logits = compute_logits(model, images)
    one_hot = preprocessing.one_hot(labels, logits.shape[1], logits.dtype)
    costs, _ = cost.cross_entropy(logits, one_hot)
    outputs = probabilities(logits).numpy()
    matrix = confusion_matrix(labels, outputs.argmax(axis=1), logits.shape[1])
    return Evaluation(
        loss=float(costs.numpy().mean(dtype=np.float64)),
        accuracy=float(matrix.trace() / matrix.sum()),
        confusion_matrix=matrix,
        probabilities=outputs,
    )


def predict(model: tf.Module, images: np.ndarray) -> np.ndarray:
    """Returns the probabilities of each class, a float array [n, classes].

    model, images: as for `evaluate`.
    """
    return probabilities(compute_logits(model, images)).numpy()


def compute_logits(model: tf.Module, images: np.ndarray) -> tf.Tensor:
    """Returns the logits of images, a tensor [n, classes].

    model, images: as for `evaluate`.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or not len(images):
        raise ValueError(
            f"images are {images.dtype} {list(images.shape)}; they must be uint8 "
            "[n, height, width], 0 to 255: they are scaled here."
        )
    pixels = preprocessing.flatten(images)
    starts = range(0, len(images), EVALUATION_BATCH)
    batches = (pixels[start : start + EVALUATION_BATCH] for start in starts)
    dtype = model.trainable_variables[0].dtype
    return tf.concat([model(preprocessing.scale(batch, dtype)) for batch in batches], axis=0)


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts how often each true class (row) was taken for each class (column).

    labels, predictions: whole numbers [n]. Returns an `int64` array [classes, classes].
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def per_class(matrix: np.ndarray) -> list[dict[str, float]]:
    """Returns a dictionary for each class of a confusion matrix.

    precision: fraction of the images taken for this class that are of it.
    recall: fraction of the images of this class that were taken for it.
    f1: the harmonic mean of the two, 2 * precision * recall / (precision + recall).
    support: number of images of this class.
    A fraction of nothing counts as 0.
    """
    right, taken, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    columns = {
        "precision": right / np.maximum(taken, 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(taken + support, 1),
        "support": support,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def most_confused(matrix: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Returns up to `count` tuples (true class, predicted class, times), most frequent first."""
    mistakes = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [(int(a), int(b), int(mistakes[a, b])) for a, b in pairs if mistakes[a, b]]
