"""Where a data set is looked for, and what is known of it beside its images."""

import os
import pathlib
from typing import Any

from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.sources import digits, layouts
from lowlevel_mnist.sources.download import download
from lowlevel_mnist.sources.published import PARTS

ENVIRONMENT_VARIABLE = "LOWLEVEL_MNIST_DATA"

Found = tuple[layouts.Arrays, dict[str, Any]]  # arrays, and what is known of them


def read(name: str, data_dir: pathlib.Path | str | None, *options: Any) -> Found:
    """Reads a data set from the first place that has it; arguments and errors as of `data.load`.

    options: those of `layouts.read`, for the files of `data_dir`.

    Returns its arrays by their parts, as they are stored, and what is known of them: attributes
    of `data.Dataset`, of which `name` may still be "auto".
    """
    if name == "auto" and data_dir is None:
        try:
            return _read_published("mnist")
        except UnreachableError as error:
            arrays, known = read("digits", None)
            return arrays, known | {"fallback_reason": str(error)}
    if name == "digits":
        if data_dir is not None:
            raise UserError("The data set digits is built in: it can't be read from a folder.")
        training, test = digits.generate(60_000, part="train"), digits.generate(10_000, part="test")
        known = {"name": name, "source": "built-in", "place": "the built-in digits"}
        return dict(zip(PARTS, (*training, *test), strict=True)), known
    if data_dir is None:
        return _read_published(name)
    return _read_files(name, "data-dir", data_dir, *options)


def _read_published(name: str) -> Found:
    """Reads a data set from LOWLEVEL_MNIST_DATA, or else by Keras's downloader."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if root and not pathlib.Path(root).is_dir():
        raise UserError(f"{ENVIRONMENT_VARIABLE} names {root}, which is no folder.")
    if root and (folder := pathlib.Path(root) / name).is_dir():
        return _read_files(name, "environment", folder)
    try:
        return download(name), {"name": name, "source": "keras", "place": "Keras's download"}
    except UnreachableError as error:
        if root:
            raise UnreachableError(f"{root} has no folder {name}. {error}") from error
        raise


def _read_files(name: str, source: str, path: pathlib.Path | str, *options: Any) -> Found:
    arrays, names, passed_over = layouts.read(path, *options)
    known = {"name": name, "source": source, "place": path}
    return arrays, known | {"names": names, "passed_over": tuple(passed_over)}
