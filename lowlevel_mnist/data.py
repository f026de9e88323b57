"""Step 1 of the walkthrough: load the data set.

Where it comes from, first match first: the folder of `--data-dir`; the folder named after the
data set inside `LOWLEVEL_MNIST_DATA`; Keras's cache and downloader. The data set `digits` is
drawn by a program. Everything here is NumPy; TensorFlow comes into play with step 2,
`preprocessing`.
"""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from lowlevel_mnist import randomness
from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.sources import digits
from lowlevel_mnist.sources.checks import check
from lowlevel_mnist.sources.download import download
from lowlevel_mnist.sources.formats import Arrays, read_folder
from lowlevel_mnist.sources.published import TITLES, class_names, identify

ENVIRONMENT_VARIABLE = "LOWLEVEL_MNIST_DATA"
Images = tuple[np.ndarray, np.ndarray]  # `uint8` [n, height, width], and their labels [n]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, and where they come from.

    train_images, test_images: `uint8` [n, height, width], 0 is background and 255 full ink.
    train_labels, test_labels: `uint8` [n], the class of each image.
    name: "mnist", "fashion_mnist", "digits" or "custom".
    source: "data-dir", "environment", "keras" or "built-in".
    verified: whether all bytes are the published ones.
    fallback_reason: where this stands in for MNIST, a sentence on why; otherwise None.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    name: str
    source: str
    verified: bool
    fallback_reason: str | None = None

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def classes(self) -> int:
        return int(self.train_labels.max()) + 1

    @property
    def class_names(self) -> list[str]:
        return class_names(self.name, self.classes)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all shapes and bytes, in hexadecimal: equal for equal data alone."""
        arrays = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        total = hashlib.sha256(repr([array.shape for array in arrays]).encode())
        for array in arrays:
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    @property
    def provenance(self) -> str:
        """What can be said of the data's origin, in a word or two."""
        if self.source == "built-in":
            return "not MNIST"
        return "verified" if self.verified else "not verified"


def load(name: str, data_dir: pathlib.Path | str | None = None) -> Dataset:
    """Loads a data set.

    name: "mnist", "fashion_mnist" or "digits"; or "auto", for whatever `data_dir` holds, and
        without `data_dir` for MNIST, or where that can't be had, the built-in digits.
    data_dir: a folder with the four IDX files (raw or `.gz`) or one `.npz`; or None.
    Returns a `Dataset`.
    Raises `UserError` where the data is damaged, does not belong together, or is not the
    published data set that was asked for by name, and its subclass `UnreachableError` where the
    data set is neither on disk nor to be downloaded.
    """
    if name == "digits":
        return Dataset(*_draw_digits(data_dir), name="digits", source="built-in", verified=False)
    if name == "auto" and data_dir is None:
        try:
            return load("mnist")
        except UnreachableError as error:
            return dataclasses.replace(load("digits"), fallback_reason=str(error))
    arrays, where, source = _read(name, data_dir)
    arrays = check(arrays, where)
    name, verified = identify(arrays, name, where)
    return Dataset(*arrays, name=name, source=source, verified=verified)


def split(
    images: np.ndarray, labels: np.ndarray, fraction: float, seed: int
) -> tuple[Images, Images | None]:
    """Sets a random fraction of the training images aside for validation.

    images: `uint8` [n, height, width]; labels: `uint8` [n].
    fraction: in [0, 1); with 0, nothing is set aside. What is left is rounded down, as Keras does.
    seed: whole number; the same one gives the same split.
    Returns (images, labels) for training, and (images, labels) for validation or None.
    Raises `UserError` where either would be empty.
    """
    if fraction == 0:
        return (images, labels), None
    kept = int(len(labels) * (1 - fraction))
    if not 0 < kept < len(labels):
        raise UserError(
            f"A validation split of {fraction:g} leaves {kept:,} of {len(labels):,} training "
            "images for training; both sides need at least one."
        )
    order = randomness.generator(seed, randomness.VALIDATION_SPLIT).permutation(len(labels))
    training, validation = order[:kept], order[kept:]
    return (images[training], labels[training]), (images[validation], labels[validation])


def _draw_digits(data_dir) -> Arrays:
    if data_dir is not None:
        raise UserError("The data set digits is built in: it can't be read from --data-dir.")
    training, test = digits.load()
    return *training, *test


def _read(name, data_dir) -> tuple[Arrays, str | pathlib.Path, str]:
    """Returns the four arrays, where they are, and the source."""
    if data_dir is not None:
        return read_folder(data_dir), data_dir, "data-dir"
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if root and not pathlib.Path(root).is_dir():
        raise UserError(f"{ENVIRONMENT_VARIABLE} names {root}, which is no folder.")
    if root and (folder := pathlib.Path(root) / name).is_dir():
        return read_folder(folder), folder, "environment"
    try:
        return download(name), "Keras's download", "keras"
    except UnreachableError as error:
        if root:
            raise UnreachableError(f"{root} has no folder {name}. {error}") from error
        raise
