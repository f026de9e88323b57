"""The splits of a data set, training, validation and test: checked, and one set aside."""

import functools
import pathlib
import re
import unicodedata
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lowlevel_mnist import randomness
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.names import SPLITS, natural_order
from lowlevel_mnist.sources.published import is_class_name

MAX_CLASSES = 256
TEST_DIVISOR = 7  # of so many labelled images one is for the test, where no test images came along

Images = tuple[npt.NDArray[np.uint8], np.ndarray]  # [n, height, width], and their labels [n]


def check_splits(
    arrays: Mapping[str, np.ndarray],
    class_names: Mapping[int, str] | None,
    place: pathlib.Path | str,
) -> tuple[dict[str, Images], Mapping[int, str] | None]:
    """Returns images, `uint8` [n, height, width], and labels, `uint8` [n], of each of SPLITS.

    arrays: by their parts, as in `layouts.Arrays`; some splits may be missing. Images may have a
        last axis of length 1, and labels may be [n, 1] or one-hot; both may be whole numbers of
        any type. Labels may also be texts: the names of the classes.
    class_names: those that the data gives its classes, or None.
    place: where they lie, a path or some words.
    Returns the splits, and the names of their classes, or None.
    Raises `UserError` where they are no images and labels.
    """
    arrays, texts = number_labels(arrays, place)
    class_names = texts or class_names
    pairs = {}
    for split in SPLITS:
        parts = [part for part in (f"{split} images", f"{split} labels") if part in arrays]
        if len(parts) == 1:
            raise UserError(f"{place} has {parts[0]} alone; images and labels go together.")
        if parts:
            images = check_images(arrays[f"{split} images"], f"The {split} images of {place}")
            labels = _check_labels(arrays[f"{split} labels"], f"The {split} labels of {place}")
            if len(images) != len(labels):
                raise UserError(
                    f"{place} has {len(images):,} {split} images but {len(labels):,} {split} "
                    "labels; each image needs one label."
                )
            pairs[split] = images, labels
    return pairs, class_names


def number_labels(
    arrays: Mapping[str, np.ndarray], place: pathlib.Path | str
) -> tuple[dict[str, np.ndarray], dict[int, str] | None]:
    """Returns arrays by their parts, labels that are texts as numbers, and the names of these.

    Texts that are whole numbers become these; or else the classes are all texts in natural order.
    The names are None where no label is a text, or all are whole numbers.
    Raises `UserError` where there are too many classes, or a text is no name.
    """
    parts = [part for part in arrays if "labels" in part]
    if not any(arrays[part].dtype.kind in "SU" for part in parts):
        return dict(arrays), None
    texts = {part: _as_text(arrays[part]) for part in parts}
    known = sorted({*np.concatenate([*map(np.unique, texts.values())]).tolist()}, key=natural_order)
    if len(known) > MAX_CLASSES:
        raise UserError(
            f"{place} has {len(known):,} different labels, such as {known[0]} and {known[-1]}; "
            f"a network here tells at most {MAX_CLASSES} classes apart."
        )
    if all(re.fullmatch("0|[1-9][0-9]{,2}", text) and int(text) < MAX_CLASSES for text in known):
        return {**arrays, **{part: texts[part].astype(np.uint8) for part in texts}}, None
    if wrong := [text for text in known if not is_class_name(text)]:
        raise UserError(f"{place} has a label that can't name a class: {wrong[0]!r:.40}.")
    numbers = {text: number for number, text in enumerate(known)}
    coded = {part: np.vectorize(numbers.get)(texts[part]).astype(np.uint8) for part in texts}
    return {**arrays, **coded}, dict(enumerate(known))


def _as_text(labels: np.ndarray) -> npt.NDArray[np.str_]:
    """Returns labels of any type as texts, in one of the two forms that Unicode has for accents."""
    is_bytes = labels.dtype.kind == "S"
    texts = np.char.decode(labels, "utf-8", "replace") if is_bytes else labels.astype(str)
    return np.vectorize(functools.partial(unicodedata.normalize, "NFC"))(texts)


def check_training(
    pairs: Mapping[str, Images], class_names: Mapping[int, str] | None, place: pathlib.Path | str
) -> None:
    """Raises `UserError` where a network can't be trained on splits, or these don't fit together.

    The arguments are what `check_splits` returns, and its `place`.
    """
    if "training" not in pairs:
        raise UserError(f"{place} has no training images, only those for {' and '.join(pairs)}.")
    labels = pairs["training"][1]
    if labels.min() == labels.max():
        raise UserError(
            f"All training labels of {place} are {labels[0]}, so there is nothing to tell apart. "
            "Are these the labels?"
        )
    for split, pair in pairs.items():
        _check_belonging(pairs["training"], pair, split, place, class_names)
    nameless = [label for label in np.unique(labels).tolist() if label not in (class_names or ())]
    if class_names is not None and nameless:
        raise UserError(
            f"The mapping of {place} does not fit its labels: it has no name for "
            f"{', '.join(map(str, nameless))}. Get that file again, or remove it."
        )


def set_test_aside(
    images: np.ndarray, labels: np.ndarray, seed: int, place: pathlib.Path | str
) -> tuple[Images, Images]:
    """Returns images and labels for training, and for the test: one in TEST_DIVISOR of all.

    The first image of each class that is drawn is trained on, so that no class is left without.
    images: `uint8` [n, height, width]; labels: `uint8` [n]; place: as of `check_splits`.
    Raises `UserError` where there are too few.
    """
    order = randomness.generator(seed, randomness.TEST_SPLIT).permutation(len(labels))
    _, firsts = np.unique(labels[order], return_index=True)
    count = min(len(labels) // TEST_DIVISOR, len(labels) - len(firsts))
    if count == 0:
        raise UserError(
            f"{place} has no test images, and its {len(labels)} labelled images of {len(firsts)} "
            f"classes are too few to set one in {TEST_DIVISOR} of them aside."
        )
    chosen = np.sort(np.delete(order, firsts)[:count])
    training = np.delete(images, chosen, axis=0), np.delete(labels, chosen)
    return training, (images[chosen], labels[chosen])


def check_images(images: np.ndarray, subject: str) -> npt.NDArray[np.uint8]:
    """Returns images as `uint8` [n, height, width]; subject: what they are, in words.

    Raises `UserError` where they are none.
    """
    shape = list(images.shape)
    if len(shape) == 4 and shape[-1] in (3, 4):
        raise UserError(
            f"{subject} are in colour, {shape}; they must be grey, [n, height, width]. "
            "Take the mean of the colours, as images[..., :3].mean(-1).round().astype('uint8')."
        )
    if len(shape) == 4 and shape[-1] > 4:
        raise UserError(
            f"{subject} have three dimensions each, {shape}; they must be flat, [n, height, "
            f"width]. Take a slice of each, as images[:, {shape[1] // 2}]."
        )
    return _check_numbers(
        images,
        subject,
        3,
        "[n, height, width]. Save them as images.reshape(n, height, width)",
        "whole numbers from 0 to 255, such as uint8. Those from 0 to 1 become so by "
        "(255 * images).round().astype('uint8')",
    )


def _check_labels(labels: np.ndarray, subject: str) -> npt.NDArray[np.uint8]:
    """Returns labels as `uint8` [n]; subject: what they are, in words."""
    shape = list(labels.shape)
    if len(shape) == 2 and shape[1] > 1 and labels.dtype.kind in "iufb":
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
            raise UserError(
                f"{subject} have the shape {shape}, but there is not exactly one 1 in each row; "
                "an image needs one label, not several."
            )
        labels = labels.argmax(1)
    shape_wanted = "[n], with one label for each image"
    dtype_wanted = "whole numbers, as from labels.astype('uint8')"
    return _check_numbers(labels, subject, 1, shape_wanted, dtype_wanted)


def _check_numbers(
    array: np.ndarray, subject: str, dimensions: int, shape_wanted: str, dtype_wanted: str
) -> npt.NDArray[np.uint8]:
    """Returns an array as `uint8` of so many dimensions; after these, one of length 1 may follow.

    shape_wanted, dtype_wanted: what it must be, in words.
    """
    shape = list(array.shape)
    if array.size == 0:
        raise UserError(f"{subject} have the shape {shape}: there are none.")
    if shape[dimensions:] == [1]:
        array = array.reshape(shape[:-1])
    if array.ndim != dimensions:
        raise UserError(f"{subject} have the shape {shape}; they must be {shape_wanted}.")
    is_whole = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and np.array_equal(array, np.rint(array))
    )
    if not is_whole:
        raise UserError(f"{subject} are {array.dtype}; they must be {dtype_wanted}.")
    if array.dtype != np.uint8 and not 0 <= array.min() <= array.max() <= 255:
        raise UserError(
            f"{subject} go from {array.min()} to {array.max()}; they must lie between 0 and 255."
        )
    return np.ascontiguousarray(array, np.uint8)


def _check_belonging(
    training: Images,
    others: Images,
    split: str,
    place: pathlib.Path | str,
    class_names: Mapping[int, str] | None,
) -> None:
    size, other_size = ("x".join(map(str, images.shape[1:])) for images, _ in (training, others))
    if size != other_size:
        raise UserError(
            f"The training images of {place} are {size} pixels but the {split} images "
            f"{other_size}; they must have one size."
        )
    unknown = np.setdiff1d(others[1], training[1])
    if len(unknown):
        raise UserError(
            f"The {split} labels of {place} have classes that the training labels lack: "
            f"{', '.join((class_names or {}).get(label, str(label)) for label in unknown)}. A "
            "network can't learn what it is never shown."
        )
