"""Step 1 of the walkthrough: load the data set.

Where it comes from, first match first: the folder or file of `--data-dir`; the folder named after
the data set inside `LOWLEVEL_MNIST_DATA`; Keras's cache and downloader. The data set `digits` is
drawn by a program. Everything here is NumPy; TensorFlow comes into play with step 2,
`preprocessing`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lowlevel_mnist import memory, randomness
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import locate
from lowlevel_mnist.sources.class_folders import ShowProgress as ShowProgress
from lowlevel_mnist.sources.locate import ENVIRONMENT_VARIABLE as ENVIRONMENT_VARIABLE
from lowlevel_mnist.sources.published import CLASS_NAMES, PUBLISHED, identify, sha256_of
from lowlevel_mnist.sources.published import TITLES as TITLES
from lowlevel_mnist.sources.splits import (
    TEST_DIVISOR,
    check_splits,
    check_training,
    set_test_aside,
)
from lowlevel_mnist.sources.splits import Images as Images


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, with what is known of them.

    train_images, test_images: `uint8` [n, height, width], 0 is background and 255 full ink.
    train_labels, test_labels: `uint8` [n], the class of each image.
    name: "mnist", "fashion_mnist", "digits" or "custom".
    source: "data-dir", "environment", "keras" or "built-in".
    place: where they lie, a path or some words.
    verified: whether all bytes are the published ones.
    fallback_reason: where this stands in for MNIST, a sentence on why; otherwise None.
    names: those that the data gives its classes, or None.
    passed_over: data files beside it that were not read.
    validation: images and labels that came along for validation, or None.
    test_split: the fraction of the images that was set aside as test images, because none came
        along; otherwise 0. It is 1 where all are tested on, and none were to be trained on.
    inverted: whether light and dark were exchanged.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]
    name: str
    source: str
    place: pathlib.Path | str
    verified: bool
    fallback_reason: str | None = None
    names: Mapping[int, str] | None = None
    passed_over: tuple[pathlib.Path, ...] = ()
    validation: Images | None = None
    test_split: float = 0.0
    inverted: bool = False

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def classes(self) -> int:
        """One more than the largest label: a class for each whole number from 0."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def class_names(self) -> list[str]:
        names = self.names or dict(enumerate(CLASS_NAMES.get(self.name, ())))
        return [names.get(label, str(label)) for label in range(self.classes)]

    @property
    def classes_with_images(self) -> npt.NDArray[np.uint8]:
        """The classes that there are images of, in order: those of letters often begin with 1."""
        return np.unique(self.train_labels)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all shapes and bytes, in hexadecimal: equal for equal data alone."""
        arrays = [self.train_images, self.train_labels, self.test_images, self.test_labels]
        return sha256_of([*arrays, *(self.validation or ())])

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
    name: str,
    data_dir: pathlib.Path | str | None = None,
    invert: bool = False,
    seed: int = 0,
    only_test: bool = False,
    show_progress: ShowProgress | None = None,
    image_size: tuple[int, int] | None = None,
) -> Dataset:
    """Loads a data set.

    name: "mnist", "fashion_mnist" or "digits"; or "auto", for whatever `data_dir` holds, and
        without `data_dir` for MNIST, or where that can't be had, the built-in digits.
    data_dir: a folder that holds a data set in one of the `sources.layouts`, or one of its
        files; or None.
    invert: whether light and dark are to be exchanged.
    seed: whole number of 0 or more; it chooses the test images where none come along.
    only_test: whether nothing is to be trained on the data: then test images are enough, and where
        none come along, all images are.
    show_progress: is told how many pictures of a folder are read, and of how many.
    image_size: (height, width) to which these are brought, or None for the size of most of them.
    Returns a `Dataset`.
    Raises `UserError` where the data is damaged, does not belong together, or is not the
    published data set that was asked for by name, and its subclass `UnreachableError` where the
    data set is neither on disk nor to be downloaded; and `ValueError` for any other name.
    """
    if name not in (names := ("auto", *PUBLISHED, "digits")):
        raise ValueError(f"name is {name!r:.100}; it must be one of {', '.join(names)}.")
    arrays, known = locate.read(name, data_dir, only_test, show_progress, image_size)
    place = known["place"]
    splits, known["names"] = check_splits(arrays, known.get("names"), place)
    if only_test:
        known["test_split"] = float("test" not in splits)
        splits.setdefault("test", next(iter(splits.values())))
        splits.setdefault("training", splits["test"])
    else:
        check_training(splits, known["names"], place)
    if "test" not in splits:
        splits["training"], splits["test"] = set_test_aside(*splits["training"], seed, place)
        known["test_split"] = 1 / TEST_DIVISOR
    training, test = splits["training"], splits["test"]
    known["name"], known["verified"] = identify((*training, *test), known["name"], place)
    dataset = Dataset(*training, *test, validation=splits.get("validation"), **known)
    return dataset.invert() if invert else dataset


def split(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], fraction: float, seed: int
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
