"""Whether arrays are images and labels, and belong together."""

import pathlib
from collections.abc import Mapping

import numpy as np

from lowlevel_mnist.errors import UserError

KINDS = ("training", "validation", "test")


def check(
    arrays: Mapping[str, np.ndarray], where: str | pathlib.Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns images, `uint8` [n, height, width], and labels, `uint8` [n], of each of KINDS.

    arrays: by their parts, as in `layouts.MEDMNIST`; those for validation or the test may be
        missing. Images may have a last axis of length 1, and labels may be [n, 1] or one-hot;
        both may be whole numbers of any width.
    where: they are, in words.
    Raises `UserError` where they are not, or do not belong together.
    """
    pairs = {}
    for kind in KINDS:
        there = [what for what in ("images", "labels") if f"{kind} {what}" in arrays]
        if len(there) == 1:
            raise UserError(f"{where} has {kind} {there[0]} alone; images and labels go together.")
        if there:
            images = _check_images(arrays[f"{kind} images"], f"The {kind} images of {where}")
            labels = _check_labels(arrays[f"{kind} labels"], f"The {kind} labels of {where}")
            if len(images) != len(labels):
                raise UserError(
                    f"{where} has {len(images):,} {kind} images but {len(labels):,} {kind} labels; "
                    "each image needs one label."
                )
            pairs[kind] = images, labels
    labels = pairs["training"][1]
    if labels.min() == labels.max():
        raise UserError(
            f"All training labels of {where} are {labels[0]}, so there is nothing to tell apart. "
            "Are these the labels?"
        )
    for kind, pair in pairs.items():
        if kind != "training":
            _check_belonging(pairs["training"], pair, kind, where)
    return pairs


def _check_images(images, these):
    """these: what they are, in words."""
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim == 4 and images.shape[-1] in (3, 4):
        raise UserError(
            f"{these} are in colour, {_shape(images)}; they must be grey, [n, height, width]. "
            "Take the mean of the colours, as images[..., :3].mean(-1).round().astype('uint8')."
        )
    if images.size == 0:
        raise UserError(f"{these} have the shape {_shape(images)}: there are none.")
    if images.ndim != 3:
        raise UserError(
            f"{these} have the shape {_shape(images)}; they must be [n, height, width]. Save them "
            "as images.reshape(n, height, width)."
        )
    if images.dtype.kind not in "iu":
        raise UserError(
            f"{these} are {images.dtype}; they must be whole numbers from 0 to 255, such as uint8. "
            "Those from 0 to 1 become so by (255 * images).round().astype('uint8')."
        )
    return _as_bytes(images, these)


def _check_labels(labels, these):
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.size and labels.dtype.kind in "iufb":
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
            raise UserError(
                f"{these} have the shape {_shape(labels)}, but there is not exactly one 1 in each "
                "row; an image needs one label, not several."
            )
        labels = labels.argmax(1)
    if labels.ndim != 1 or labels.size == 0:
        raise UserError(
            f"{these} have the shape {_shape(labels)}; they must be [n], with one label for each "
            "image."
        )
    if labels.dtype.kind not in "iu":
        raise UserError(
            f"{these} are {labels.dtype}; they must be whole numbers, as from "
            "labels.astype('uint8')."
        )
    return _as_bytes(labels, these)


def _as_bytes(numbers, these):
    if numbers.dtype != np.uint8:
        if numbers.min() < 0 or numbers.max() > 255:
            raise UserError(
                f"{these} go from {numbers.min()} to {numbers.max()}; they must lie between 0 "
                "and 255."
            )
        numbers = numbers.astype(np.uint8)
    return np.ascontiguousarray(numbers)


def _check_belonging(training, others, kind, where):
    if training[0].shape[1:] != others[0].shape[1:]:
        raise UserError(
            f"The training images of {where} are {_size(training[0])} pixels but the {kind} images "
            f"{_size(others[0])}; they must have one size."
        )
    unknown = np.setdiff1d(others[1], training[1])
    if len(unknown):
        raise UserError(
            f"The {kind} labels of {where} have classes that the training labels lack: "
            f"{', '.join(map(str, unknown))}. A network can't learn what it is never shown."
        )


def check_names(names: Mapping[int, str], labels: np.ndarray, where: str | pathlib.Path) -> None:
    """Raises `UserError` where a class of the labels, [n], has no name."""
    nameless = [str(label) for label in np.unique(labels) if label not in names]
    if nameless:
        raise UserError(
            f"The mapping of {where} does not fit its labels: it has no name for "
            f"{', '.join(nameless)}. Get that file again, or remove it."
        )


def _shape(array):
    return list(array.shape)


def _size(images):
    return f"{images.shape[1]}x{images.shape[2]}"
