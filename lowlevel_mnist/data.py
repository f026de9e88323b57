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
from lowlevel_mnist.sources.download import download
from lowlevel_mnist.sources.formats import read_folder

ENVIRONMENT_VARIABLE = "LOWLEVEL_MNIST_DATA"
PARTS = ("training images", "training labels", "test images", "test labels")
TITLES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "digits": "built-in digits",
    "custom": "custom data",
}
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# SHA-256 of the published pixel and label bytes, headers left out, in the order of PARTS.
PUBLISHED_SUMS = {
    "mnist": (
        "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    ),
    "fashion_mnist": (
        "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    ),
}


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
    def title(self):
        return TITLES[self.name]

    @property
    def classes(self):
        return int(self.train_labels.max()) + 1

    @property
    def class_names(self):
        return class_names(self.name, self.classes)

    @property
    def sha256(self):
        """The SHA-256 of all shapes and bytes, in hexadecimal: equal for equal data alone."""
        arrays = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        total = hashlib.sha256(repr([array.shape for array in arrays]).encode())
        for array in arrays:
            total.update(np.ascontiguousarray(array))
        return total.hexdigest()

    @property
    def provenance(self):
        """What can be said of the data's origin, in a word or two."""
        if self.source == "built-in":
            return "not MNIST"
        return "verified" if self.verified else "not verified"


def class_names(name, classes):
    """Returns a list of strings, one for each class of the data set `name`."""
    if name == "fashion_mnist" and classes == len(FASHION_CLASSES):
        return list(FASHION_CLASSES)
    return [str(label) for label in range(classes)]


def load(name, data_dir=None):
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
    arrays = _check(arrays, where)
    name, verified = _identify(arrays, name, where)
    return Dataset(*arrays, name=name, source=source, verified=verified)


def split(images, labels, fraction, seed):
    """Sets a random part of the training images aside for validation.

    images: `uint8` [n, height, width]; labels: `uint8` [n].
    fraction: size of that part, in (0, 1); the rest is rounded down, as Keras does.
    seed: whole number; the same one gives the same split.
    Returns (images, labels) for training and (images, labels) for validation.
    Raises `UserError` where either would be empty.
    """
    kept = int(len(labels) * (1 - fraction))
    if not 0 < kept < len(labels):
        raise UserError(
            f"A validation split of {fraction:g} leaves {kept:,} of {len(labels):,} training "
            "images for training; both parts need at least one."
        )
    order = randomness.generator(seed, randomness.VALIDATION_SPLIT).permutation(len(labels))
    training, validation = order[:kept], order[kept:]
    return (images[training], labels[training]), (images[validation], labels[validation])


def _draw_digits(data_dir):
    if data_dir is not None:
        raise UserError("The data set digits is built in: it can't be read from --data-dir.")
    (train_images, train_labels), (test_images, test_labels) = digits.load()
    return train_images, train_labels, test_images, test_labels


def _read(name, data_dir):
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


def _check(arrays, where):
    """Returns the four arrays as images and labels in `uint8`, or raises `UserError`."""
    for part, array in zip(PARTS, arrays, strict=True):
        dimensions, kind = (3, "[n, height, width]") if "images" in part else (1, "[n]")
        if array.ndim != dimensions or array.size == 0:
            raise UserError(
                f"The {part} of {where} have the shape {list(array.shape)}; they must be a "
                f"{kind} array with something in it."
            )
    train_images, train_labels, test_images, test_labels = arrays
    for part, images in (("training images", train_images), ("test images", test_images)):
        if images.dtype != np.uint8:
            raise UserError(
                f"The {part} of {where} are {images.dtype}; they must be uint8, 0 to 255."
            )
    for part, images, labels in (
        ("training", train_images, train_labels),
        ("test", test_images, test_labels),
    ):
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


def _size(images):
    return f"{images.shape[1]}x{images.shape[2]}"


def _identify(arrays, name, where):
    """Returns the data set's name and whether its bytes are the published ones.

    Raises `UserError` where a data set was asked for by name and some part of it is another.
    """
    sums = tuple(hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in arrays)
    if name == "auto":
        published = {known_sums: known for known, known_sums in PUBLISHED_SUMS.items()}
        name = published.get(sums, "custom")
        return name, name != "custom"
    pairs = zip(PARTS, sums, PUBLISHED_SUMS[name], strict=True)
    wrong = [part for part, found, published in pairs if found != published]
    if wrong:
        raise UserError(
            f"The {' and '.join(wrong)} of {where} are not the published {TITLES[name]} (their "
            "SHA-256 differs); get the files again. For data of your own, give --data-dir "
            "without --dataset."
        )
    return name, True
