"""The data sets that have a name: their titles, classes, and the sums of their published bytes."""

import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np

from lowlevel_mnist.errors import UserError

PARTS = ("training images", "training labels", "test images", "test labels")
MAX_NAME_LENGTH = 100  # characters of a class's name
TITLES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "digits": "built-in digits",
    "custom": "custom data",
}
# The names of classes, in the order of their labels, where these are not names themselves.
CLASS_NAMES = {
    "fashion_mnist": (
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
    ),
}
# SHA-256 of the published pixel and label bytes, headers left out, in the order of PARTS.
PUBLISHED_SUMS: dict[str, tuple[str, ...]] = {
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


def is_class_name(name: str) -> bool:
    """Returns whether a text can name a class in a table and a picture."""
    return name.isprintable() and 0 < len(name) <= MAX_NAME_LENGTH


def sha256_of(arrays: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 of all shapes and bytes, in hexadecimal."""
    total = hashlib.sha256(repr([array.shape for array in arrays]).encode())
    for array in arrays:
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def identify(
    arrays: Sequence[np.ndarray], name: str, place: pathlib.Path | str
) -> tuple[str, bool]:
    """Returns the data set's name and whether its bytes are the published ones.

    arrays: in the order of PARTS; name: the one asked for, or "auto"; place: where they lie.
    Raises `UserError` where a data set was asked for by name and something of it is another's.
    """
    if name == "digits":  # they are drawn, not published
        return name, False
    sums = tuple(hashlib.sha256(array.data).hexdigest() for array in arrays)
    if name == "auto":
        published = {known_sums: known for known, known_sums in PUBLISHED_SUMS.items()}
        name = published.get(sums, "custom")
        return name, name != "custom"
    pairs = zip(PARTS, sums, PUBLISHED_SUMS[name], strict=True)
    wrong = [part for part, found, published in pairs if found != published]
    if wrong:
        raise UserError(
            f"The {' and '.join(wrong)} of {place} are not the published {TITLES[name]} (their "
            "SHA-256 differs); get the files again. For data of your own, give --data-dir "
            "without --dataset."
        )
    return name, True
