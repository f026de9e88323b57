"""The data sets that have a name: their titles, classes, and the sums of their published bytes.

`published.json` has a record of each published one, so that another one takes one more:

title: its name in sentences.
class_names: in the order of their labels, where these are not names themselves.
sha256: of the published pixel and label bytes, headers left out, in the order of PARTS.
cache_folder: where Keras keeps it in its cache.
cache_files: its files there with their published checksums (SHA-256 for MNIST, MD5 for
    Fashion-MNIST), by which Keras gets a damaged one anew.
"""

import hashlib
import importlib.resources
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lowlevel_mnist import startup
from lowlevel_mnist.errors import UserError

PARTS = ("training images", "training labels", "test images", "test labels")
MAX_NAME_LENGTH = 100  # characters of a class's name
FILE = importlib.resources.files("lowlevel_mnist.sources") / "published.json"
PUBLISHED: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
TITLES: dict[str, str] = {name: record["title"] for name, record in PUBLISHED.items()}
TITLES |= {"digits": "built-in digits", "custom": "custom data"}
CLASS_NAMES: dict[str, list[str]] = {
    name: record["class_names"] for name, record in PUBLISHED.items()
}


def is_class_name(name: str) -> bool:
    """Returns whether a text can name a class in a table and a picture.

    Persian and Indic names may have invisible joiners in them.
    """
    name = name.translate({0x200C: None, 0x200D: None})
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
    sums = [hashlib.sha256(array.data).hexdigest() for array in arrays]
    if name == "auto":
        same = (known for known, record in PUBLISHED.items() if record["sha256"] == sums)
        name = next(same, "custom")
        return name, name != "custom"
    pairs = zip(PARTS, sums, PUBLISHED[name]["sha256"], strict=True)
    wrong = [part for part, found, published in pairs if found != published]
    if wrong:
        raise UserError(
            f"The {' and '.join(wrong)} of {place} are not the published {TITLES[name]} (their "
            "SHA-256 differs); get the files again. For data of your own, name no data set, only "
            f"{startup.argument('data_dir')}."
        )
    return name, True
