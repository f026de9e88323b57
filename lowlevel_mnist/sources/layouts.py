"""The layouts in which data sets lie on disk, and how each is read."""

import pathlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import class_folders, file_sets, idx, names, npz, tables
from lowlevel_mnist.sources.opening import open_bytes, readable
from lowlevel_mnist.sources.published import is_class_name
from lowlevel_mnist.sources.splits import check_images

Arrays = dict[str, np.ndarray]  # by part of a data set, such as "training images"

MAX_MAPPING_SIZE = 100_000  # bytes


def read(
    path: pathlib.Path | str,
    only_test: bool = False,
    show_progress: class_folders.ShowProgress | None = None,
    image_size: tuple[int, int] | None = None,
) -> tuple[Arrays, dict[int, str] | None, list[pathlib.Path]]:
    """Reads the data set in a folder, or the one to which a file belongs.

    only_test: whether images to test on are enough; show_progress: is told how far it is.
    image_size: (height, width) to which pictures are brought, or None for that of most of them.
    Returns its arrays as they are stored, whether they are images and labels or not; the name of
    each class, where a file says it; and the data files beside it that are not read.
    Raises `UserError` where it can't be had.
    """
    path = pathlib.Path(path)
    with readable(path):
        found, passed_over = file_sets.find(path, only_test)
        if found.format == file_sets.PICTURES:
            return class_folders.read(found.files, show_progress, image_size), None, passed_over
    arrays: Arrays = {}
    class_names = None
    for part, file in found.files.items():
        if part == "mapping":
            class_names = read_mapping(file)
        elif new := _read_file(found.format, file, part):
            arrays |= new
        elif file == path or part == "training":
            raise UserError(
                f"{file} has no labels: training, and a test, need the label of each image, as the "
                "first number of its row or in a column that the header calls label."
            )
        else:
            passed_over.append(file)
    if found.transposed:
        arrays |= {part: arrays[part].swapaxes(1, 2) for part in arrays if "images" in part}
    return arrays, class_names, passed_over


def is_data_file(path: pathlib.Path) -> bool:
    """Returns whether a file is one of a data set by its name."""
    return file_sets.recognise(path)[0] is not None


def read_images(path: pathlib.Path) -> npt.NDArray[np.uint8]:
    """Returns the images in a data file, with or without labels: `uint8` [n, height, width].

    Raises `UserError` where there are none, or more than one array of them, or other numbers.
    """
    form, words = file_sets.recognise(path)
    if form is None:
        file_sets.reject(path)
    with readable(path):
        # As if a table had no labels beside it, which may be there or not.
        arrays = _read_file(form, path, f"test {words.kind or names.KINDS[0]}")
    found = [array for part, array in arrays.items() if "images" in part]
    if len(found) != 1:
        raise UserError(f"{path} has {len(found) or 'no'} arrays of images; one is needed.")
    images = check_images(found[0], f"The images of {path}")
    return images.swapaxes(1, 2) if file_sets.is_transposed(form, words.before) else images


def _read_file(form: str | None, path: pathlib.Path, part: str) -> Arrays:
    """Returns the arrays of a file by their parts; none for a table that has no labels."""
    split, _, kind = part.partition(" ")
    if form == file_sets.IDX:
        return {part: idx.read(path, kind)}
    if form == file_sets.NPY:
        return {part: npz.read_npy(path)}
    if form == file_sets.NPZ:
        return npz.read(path, lambda arrays: _find_parts(arrays, split, kind))
    found = dict(zip(names.KINDS, tables.read(path), strict=True))
    if found["labels"] is None and not kind:
        return {}
    return {f"{split} {key}": array for key, array in found.items() if array is not None}


def _find_parts(arrays: Sequence[str], split: str, kind: str) -> dict[str, str]:
    """Returns the names of an archive's arrays by their parts; split, kind: those of the file."""
    if kind and len(arrays) == 1:
        return {f"{split} {kind}": arrays[0]}
    parts: dict[str, str] = {}
    for array in arrays:
        words = names.parse(array)
        if words.kind:
            parts.setdefault(f"{words.split or split} {words.kind}", array)
    return parts


def read_mapping(path: pathlib.Path) -> dict[int, str]:
    """Returns the names of classes: "10 65" in a line is A for 10, "1 65 97" Aa for 1.

    Raises `UserError` where a line is no class and the codes of printable characters.
    """
    with open_bytes(path) as file:
        text = file.read(MAX_MAPPING_SIZE).decode("utf-8-sig", errors="replace")
    names = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, *codes = map(int, line.split())
            names[label] = unicodedata.normalize("NFC", "".join(map(chr, codes)))
            if not is_class_name(names[label]):
                raise ValueError("it can't be shown")
        except (ValueError, OverflowError) as error:
            raise UserError(
                f"{path} is no mapping of EMNIST: line {number} is not the number of a class and "
                "the codes of its characters, such as 10 65. Get the file again."
            ) from error
    return names
