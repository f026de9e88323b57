"""Step 1 of the walkthrough: load the data set.

Where it comes from, first match first: the folder or file of `--data-dir`; the folder named after
the data set inside `LOWLEVEL_MNIST_DATA`; Keras's cache and downloader. The data set `digits` is
drawn by a program. Everything here is NumPy; TensorFlow comes into play with step 2,
`preprocessing`.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from lowlevel_mnist import memory, randomness
from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.sources import checks, digits, layouts
from lowlevel_mnist.sources.download import download
from lowlevel_mnist.sources.published import TITLES, class_names, identify

ENVIRONMENT_VARIABLE = "LOWLEVEL_MNIST_DATA"
BRIGHT = 150  # shades of 255; photographs have a mean of some 120, scanned paper one above 200
TEST_SPLIT = 7  # of so many labelled images one is for the test, where no test images came along

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
    validation: images and labels that came along for validation, or None.
    test_split: the fraction of the images that was set aside as test images, because none came
        along; otherwise 0.
    inverted: whether light and dark were exchanged.
    names: those that the data gives its classes, or None.
    remark: a sentence on what else was found there, or None.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    name: str
    source: str
    verified: bool
    fallback_reason: str | None = None
    validation: Images | None = None
    test_split: float = 0.0
    inverted: bool = False
    names: Mapping[int, str] | None = None
    remark: str | None = None

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def classes(self) -> int:
        """One more than the largest label: a class for each whole number from 0."""
        return int(self.train_labels.max()) + 1

    @property
    def class_names(self) -> list[str]:
        given, names = self.names or {}, class_names(self.name, self.classes)
        return [given.get(label, name) for label, name in enumerate(names)]

    @property
    def classes_with_images(self) -> np.ndarray:
        """The classes that there are images of, in order: those of letters often begin with 1."""
        return np.unique(self.train_labels)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all shapes and bytes, in hexadecimal: equal for equal data alone."""
        arrays = [self.train_images, self.train_labels, self.test_images, self.test_labels]
        arrays += self.validation or ()
        total = hashlib.sha256(repr([array.shape for array in arrays]).encode())
        for array in arrays:
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    @property
    def provenance(self) -> str:
        """What can be said of the data's origin, in a few words."""
        origin = "verified" if self.verified else "not verified"
        if self.source == "built-in":
            origin = "not MNIST"
        return f"{origin}, inverted" if self.inverted else origin

    @property
    def is_bright(self) -> bool:
        """Whether the images are mostly light, as ink on white paper is."""
        kinds = (self.train_images, self.test_images)
        return any(images[:: len(images) // 1000 + 1].mean() > BRIGHT for images in kinds)

    def invert(self) -> "Dataset":
        """Returns the same data with light and dark exchanged."""
        validation = self.validation and (255 - self.validation[0], self.validation[1])
        return dataclasses.replace(
            self,
            train_images=255 - self.train_images,
            test_images=255 - self.test_images,
            validation=validation,
            inverted=not self.inverted,
        )


def load(
    name: str, data_dir: pathlib.Path | str | None = None, invert: bool = False, seed: int = 0
) -> Dataset:
    """Loads a data set.

    name: "mnist", "fashion_mnist" or "digits"; or "auto", for whatever `data_dir` holds, and
        without `data_dir` for MNIST, or where that can't be had, the built-in digits.
    data_dir: a folder that holds a data set in one of the forms of `sources.layouts`, or one of
        its files; or None.
    invert: whether light and dark are to be exchanged.
    seed: whole number of 0 or more; it chooses the test images where none come along.
    Returns a `Dataset`.
    Raises `UserError` where the data is damaged, does not belong together, or is not the
    published data set that was asked for by name, and its subclass `UnreachableError` where the
    data set is neither on disk nor to be downloaded.
    """
    if invert:
        return load(name, data_dir, seed=seed).invert()
    if name == "digits":
        return Dataset(*_draw_digits(data_dir), name="digits", source="built-in", verified=False)
    if name == "auto" and data_dir is None:
        try:
            return load("mnist")
        except UnreachableError as error:
            return dataclasses.replace(load("digits"), fallback_reason=str(error))
    content, where, source = _read(name, data_dir)
    images = checks.check(content.arrays, where)
    if content.class_names is not None:
        checks.check_names(content.class_names, images["training"][1], where)
    test_split = 0.0 if "test" in images else 1 / TEST_SPLIT
    if test_split:
        images["training"], images["test"] = _set_test_aside(*images["training"], seed, where)
    name, verified = identify((*images["training"], *images["test"]), name, where)
    return Dataset(
        *images["training"],
        *images["test"],
        name=name,
        source=source,
        verified=verified,
        validation=images.get("validation"),
        test_split=test_split,
        names=content.class_names,
        remark=content.remark,
    )


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
    return (
        (memory.take(images, training), labels[training]),
        (memory.take(images, validation), labels[validation]),
    )


def _set_test_aside(images, labels, seed, where) -> tuple[Images, Images]:
    """Returns images and labels for training, and for the test: one in TEST_SPLIT of all.

    The first image of each class that is drawn is trained on, so that no class is left without.
    """
    order = randomness.generator(seed, randomness.TEST_SPLIT).permutation(len(labels))
    _, firsts = np.unique(labels[order], return_index=True)
    count = min(len(labels) // TEST_SPLIT, len(labels) - len(firsts))
    if count == 0:
        raise UserError(
            f"{where} has no test images, and its {len(labels)} labelled images are too few to set "
            f"one in {TEST_SPLIT} of them aside."
        )
    chosen = np.sort(np.delete(order, firsts)[:count])
    training = np.delete(images, chosen, axis=0), np.delete(labels, chosen)
    return training, (images[chosen], labels[chosen])


def _draw_digits(data_dir) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if data_dir is not None:
        raise UserError("The data set digits is built in: it can't be read from --data-dir.")
    training, test = digits.load()
    return *training, *test


def _read(name, data_dir) -> tuple[layouts.Content, str | pathlib.Path, str]:
    """Returns what there is, where it is, and the source."""
    if data_dir is not None:
        return layouts.read(data_dir), data_dir, "data-dir"
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if root and not pathlib.Path(root).is_dir():
        raise UserError(f"{ENVIRONMENT_VARIABLE} names {root}, which is no folder.")
    if root and (folder := pathlib.Path(root) / name).is_dir():
        return layouts.read(folder), folder, "environment"
    try:
        return layouts.Content(download(name)), "Keras's download", "keras"
    except UnreachableError as error:
        if root:
            raise UnreachableError(f"{root} has no folder {name}. {error}") from error
        raise
