"""Where a data set is looked for, and what is known of it beside its images."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.sources import digits, layouts
from lowlevel_mnist.sources.download import download
from lowlevel_mnist.sources.published import PARTS

ENVIRONMENT_VARIABLE = "LOWLEVEL_MNIST_DATA"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known of a data set beside its images.

    name: "mnist", "fashion_mnist", "digits" or "custom"; "auto" until it is identified.
    source: "data-dir", "environment", "keras" or "built-in".
    place: where it lies, a path or some words.
    verified: whether all bytes are the published ones.
    fallback_reason: where this stands in for MNIST, a sentence on why; otherwise None.
    names: those that the data gives its classes, or None.
    other_data: where other data lies beside it, a file of what was read, and one of what was not;
        otherwise None.
    """

    name: str
    source: str
    place: pathlib.Path | str
    verified: bool = False
    fallback_reason: str | None = None
    names: Mapping[int, str] | None = None
    other_data: tuple[pathlib.Path, pathlib.Path] | None = None


def read(name: str, data_dir: pathlib.Path | str | None) -> tuple[layouts.Arrays, DatasetInfo]:
    """Reads a data set from the first place that has it; arguments and errors as of `data.load`.

    Returns its arrays by their parts, as they are stored, and what is known of them.
    """
    if name == "auto" and data_dir is None:
        try:
            return _read_published("mnist")
        except UnreachableError as error:
            arrays, info = read("digits", None)
            return arrays, dataclasses.replace(info, fallback_reason=str(error))
    if name == "digits":
        if data_dir is not None:
            raise UserError("The data set digits is built in: it can't be read from --data-dir.")
        training, test = digits.generate(60_000, part="train"), digits.generate(10_000, part="test")
        info = DatasetInfo(name=name, source="built-in", place="the built-in digits")
        return dict(zip(PARTS, (*training, *test), strict=True)), info
    return _read_published(name) if data_dir is None else _read_files(name, "data-dir", data_dir)


def _read_published(name):
    """Reads a data set from LOWLEVEL_MNIST_DATA, or else by Keras's downloader."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if root and not pathlib.Path(root).is_dir():
        raise UserError(f"{ENVIRONMENT_VARIABLE} names {root}, which is no folder.")
    if root and (folder := pathlib.Path(root) / name).is_dir():
        return _read_files(name, "environment", folder)
    try:
        return download(name), DatasetInfo(name=name, source="keras", place="Keras's download")
    except UnreachableError as error:
        if root:
            raise UnreachableError(f"{root} has no folder {name}. {error}") from error
        raise


def _read_files(name, source, path):
    arrays, names, other_data = layouts.read(path)
    info = DatasetInfo(name=name, source=source, place=path, names=names, other_data=other_data)
    return arrays, info
