"""Step 7 of the walkthrough: loss, accuracy and the confusion matrix, computed by hand."""

import dataclasses
import textwrap

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lowlevel_mnist import preprocessing
from lowlevel_mnist.cost import Cost, Model, check_classes, cross_entropy
from lowlevel_mnist.model import in_mode, probabilities

EVALUATION_BATCH = 1000  # images whose float pixels are in memory at once, twice 3 MB


@dataclasses.dataclass(frozen=True)
class Score:
    """What can be said of any model whose targets are known.

    loss: mean cost of an image.
    accuracy: fraction of the images that are right, 0..1; None where this is not counted.
    """

    loss: float
    accuracy: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(Score):
    """What a network makes of images whose labels are known.

    loss: mean cost of an image.
    accuracy: fraction of the images that are classified correctly, 0..1.
    confusion_matrix: `int64` [classes, classes]; row: true class, column: predicted class.
    probabilities: float [n, classes], the softmax of each image's logits.
    """

    accuracy: float
    confusion_matrix: npt.NDArray[np.int64]
    probabilities: np.ndarray

    @property
    def predictions(self) -> npt.NDArray[np.intp]:
        """The most probable class of each image, [n]."""
        return self.probabilities.argmax(axis=1)


def count_correct(logits: tf.Tensor, one_hot: tf.Tensor) -> tf.Tensor:
    """Counts the images whose largest logit is that of their true class.

    logits, one_hot: [..., n, classes]. Returns an `int64` tensor [...].
    Raises `ValueError` where they are not.
    """
    check_classes(logits, one_hot)
    is_correct = tf.argmax(logits, axis=-1) == tf.argmax(one_hot, axis=-1)
    return tf.math.count_nonzero(is_correct, axis=-1)


def evaluate(model: Model, images: npt.NDArray[np.uint8], labels: np.ndarray) -> Evaluation:
    """Classifies images and compares with their labels.

    model: maps scaled images [n, pixels] to logits [n, classes], such as a `model.Network`. If it
        has an argument `training`, that is False.
    images: `uint8` array [n, height, width]; labels: whole numbers [n], below `classes`.
    Raises `ValueError` where they are not.
    """
    logits = compute_logits(model, images)
    if len(logits.shape) != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"The model gives {logits.shape.as_list()}; logits of classes are [n, 2] or more. For "
            "a regression, there is metrics.score."
        )
    one_hot = preprocessing.one_hot(labels, logits.shape[1], logits.dtype)
    if len(one_hot) != len(images):
        raise ValueError(f"There are {len(images):,} images, but {len(one_hot):,} labels.")
    labels, costs = np.asarray(labels), cross_entropy(logits, one_hot)
    outputs = probabilities(logits).numpy()
    matrix = confusion_matrix(labels, outputs.argmax(axis=1), logits.shape[1])
    return Evaluation(
        loss=float(costs.numpy().mean(dtype=np.float64)),
        accuracy=float(matrix.trace() / matrix.sum()),
        confusion_matrix=matrix,
        probabilities=outputs,
    )


def score(
    model: Model,
    images: npt.NDArray[np.uint8],
    targets: np.ndarray | tf.Tensor,
    cost: Cost,
    count: Cost | None = None,
) -> Score:
    """Compares what a model makes of images with their targets, as of a regression.

    model, images: as for `evaluate`; targets: [n, ...]; cost, count: as of a
        `training.Trainer`.
    """
    logits = compute_logits(model, images)
    if len(targets) != len(images):
        raise ValueError(f"There are {len(images):,} images, but {len(targets):,} targets.")
    targets = tf.cast(targets, logits.dtype)
    loss = float(cost(logits, targets).numpy().mean(dtype=np.float64))
    correct = int(count(logits[None], targets[None])[0]) if count else None
    return Score(loss=loss, accuracy=None if correct is None else correct / len(images))


def predict(model: Model, images: npt.NDArray[np.uint8]) -> np.ndarray:
    """Returns the probabilities of each class, a float array [n, classes].

    model, images: as for `evaluate`.
    """
    return probabilities(compute_logits(model, images)).numpy()


def compute_logits(model: Model, images: npt.NDArray[np.uint8]) -> tf.Tensor:
    """Returns the logits of images, a tensor [n, classes].

    model, images: as for `evaluate`.
    """
    if not isinstance(images, np.ndarray):
        raise ValueError(f"images are a {type(images).__name__}; they must be an array.")
    if images.dtype != np.uint8 or images.ndim != 3 or not len(images):
        raise ValueError(
            f"images are {images.dtype} {list(images.shape)}; they must be uint8 "
            "[n, height, width], 0 to 255: they are scaled here."
        )
    pixels = preprocessing.flatten(images)
    starts = range(0, len(images), EVALUATION_BATCH)
    batches = (pixels[start : start + EVALUATION_BATCH] for start in starts)
    # A tf.Module does not know the variables of Keras's layers in it.
    variables = getattr(model, "trainable_variables", ())
    dtype = next((w.dtype for w in variables), tf.float32)
    forward = in_mode(model, training=False)
    try:
        return tf.concat([forward(preprocessing.scale(batch, dtype)) for batch in batches], axis=0)
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"The model can't be called with images {pixels.shape.as_list()}: "
            f"{textwrap.shorten(str(error), 300)}"
        ) from error


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, classes: int
) -> npt.NDArray[np.int64]:
    """Counts how often each true class (row) was taken for each class (column).

    labels, predictions: whole numbers [n]. Returns an `int64` array [classes, classes].
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def per_class(matrix: npt.NDArray[np.int64]) -> list[dict[str, float]]:
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


def most_confused(matrix: npt.NDArray[np.int64], count: int) -> list[tuple[int, int, int]]:
    """Returns up to `count` tuples (true class, predicted class, times), most frequent first."""
    mistakes = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [(int(a), int(b), int(mistakes[a, b])) for a, b in pairs if mistakes[a, b]]
