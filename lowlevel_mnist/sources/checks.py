"""Whether four arrays are images and labels, and belong together."""

import pathlib

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.formats import Arrays
from lowlevel_mnist.sources.published import PARTS


def check(arrays: Arrays, where: str | pathlib.Path) -> Arrays:
    """Returns the four arrays as images and labels in `uint8`.

    where: they are, in words.
    Raises `UserError` where they are not.
    """
    for part, array in zip(PARTS, arrays, strict=True):
        dimensions, kind = (3, "[n, height, width]") if "images" in part else (1, "[n]")
        if array.ndim != dimensions or array.size == 0:
            raise UserError(
                f"The {part} of {where} have the shape {list(array.shape)}; they must be a "
                f"{kind} array with something in it."
            )
    train_images, train_labels, test_images, test_labels = arrays
    _check_pair("training", train_images, train_labels, where)
    _check_pair("test", test_images, test_labels, where)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise UserError(
            f"The training images of {where} are {_size(train_images)} pixels but the test "
            f"images {_size(test_images)}; they must have one size."
        )
    unknown = sorted(set(test_labels.tolist()) - set(train_labels.tolist()))
    if unknown:
        raise UserError(
            f"The test labels of {where} have classes that the training labels lack: "
            f"{', '.join(map(str, unknown))}. A network can't learn what it is never shown."
        )
    return train_images, train_labels.astype(np.uint8), test_images, test_labels.astype(np.uint8)


def _check_pair(part, images, labels, where):
    if images.dtype != np.uint8:
        raise UserError(
            f"The {part} images of {where} are {images.dtype}; they must be uint8, 0 to 255."
        )
    if len(images) != len(labels):
        raise UserError(
            f"{where} has {len(images):,} {part} images but {len(labels):,} {part} labels; "
            "each image needs one label."
        )
    if labels.dtype.kind not in "iu":
        raise UserError(
            f"The {part} labels of {where} are {labels.dtype}; they must be whole numbers."
        )
    if labels.min() < 0 or labels.max() > 255:
        raise UserError(
            f"The {part} labels of {where} go from {labels.min()} to {labels.max()}; they "
            "must lie between 0 and 255."
        )


def _size(images):
    return f"{images.shape[1]}x{images.shape[2]}"
