"""Step 2 of the walkthrough: from pictures and class numbers to what a network can calculate with.

Flatten 28x28 pixels to a row of 784, scale 0..255 to 0..1, and one-hot the labels.
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lowlevel_mnist import memory


def flatten(images: npt.NDArray[np.uint8]) -> tf.Tensor:
    """Lays the rows of pixels of each image end to end.

    images: `uint8` [n, height, width].
    Returns a `uint8` tensor [n, height * width]: bytes need a quarter of the memory of float32,
    so they are only scaled when a step needs them. It has the memory of the images themselves,
    where these are read-only, as IDX files are read.
    """
    return memory.as_tensor(images.reshape(len(images), -1))


def scale(pixels: tf.Tensor, dtype: tf.DType | str) -> tf.Tensor:
    """Scales pixels from 0..255 to 0..1.

    pixels: `uint8` tensor [n, pixels].
    dtype: `tf.float32` or `tf.float64`, or its name.
    Returns a tensor of `dtype` and the same shape.
    """
    return tf.cast(pixels, dtype) / 255


def one_hot(labels: np.ndarray, classes: int, dtype: tf.DType | str) -> tf.Tensor:
    """Writes each label as a row of zeros with a one in the place of its class.

    labels: whole numbers [n].
    classes: number of classes.
    dtype: `tf.float32` or `tf.float64`, or its name; or, for a `training.Trainer`, `tf.uint8`:
        bytes need a quarter of the memory or less, and are cast when a step needs them.
    Returns a tensor [n, classes] of `dtype`.
    Raises `ValueError` where a label is no number of a class: its row would be zeros.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels are {labels.dtype} {list(labels.shape)}; they must be whole numbers [n]."
        )
    for label in labels[(labels < 0) | (labels >= classes)][:1]:
        raise ValueError(f"A label is {label}; there are {classes} classes, 0 to {classes - 1}.")
    return tf.one_hot(labels, classes, dtype=dtype)
