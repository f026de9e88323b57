"""A reader for folders of pictures, one folder for each class: `train/cat/1.png`, or `cat/1.png`.

The layout of torchvision's ImageFolder and Keras's `image_dataset_from_directory`.
"""

import collections
import itertools
import os
import pathlib
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from lowlevel_mnist.errors import Remark, UserError
from lowlevel_mnist.sources import names, pictures

MAX_DEPTH = 4  # folders within each other that are searched
MAX_SIDE = 100  # pixels of an image; each one is an input of the network
SMALL = 20_000  # bytes; with smaller files threads only wait for each other: 0.17 ms, not 0.07
BATCH = 256  # pictures that are read before a signal is acted on

ShowProgress = Callable[[int, int], None]  # is told how many pictures are read, and of how many


def find(folder: pathlib.Path, depth: int = MAX_DEPTH) -> list[dict[str, pathlib.Path]]:
    """Returns the data sets in a folder: for each split, the folder in which those of classes are.

    A data set without splits is all "training". It may lie some folders deeper, as in an archive.
    Where there are several folders of one split, each is a data set of its own.
    """
    inner = {path: find(path, depth - 1) for path in subfolders(folder)} if depth else {}
    splits = {path: names.parse(path.name).split for path in inner}
    parts = [
        {split: root}
        for path, found in inner.items()
        if (split := splits[path]) and len(found) == 1 == len(found[0])
        for root in found[0].values()
    ]
    if parts:
        together = {split: root for part in parts for split, root in part.items()}
        return [together] if len(together) == len(parts) else parts
    if deeper := [found for sets in inner.values() for found in sets]:
        return deeper
    classes = [path for path in inner if any(map(pictures.is_picture, path.iterdir()))]
    # Pictures in train and test alone are of no known classes.
    are_classes = len(classes) > 1 and not all(splits[path] for path in classes)
    return [{"training": folder}] if are_classes else []


def subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders in a folder, but for hidden ones, and those that are closed to us."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and _is_open(path))


def _is_open(folder: pathlib.Path) -> bool:
    # macOS packs a folder __MACOSX into archives.
    return not folder.name.startswith((".", "__")) and os.access(folder, os.R_OK | os.X_OK)


def passed_over(folder: pathlib.Path, roots: Collection[pathlib.Path]) -> list[pathlib.Path]:
    """Returns a file of each folder in `folder` that may have been meant, and is not read.

    That is a picture that is in no folder of a class, or what is in one that has no pictures.
    roots: the folders in which those of classes are.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        path = pathlib.Path(parent)
        is_class = path.parent in roots
        folders[:] = [] if is_class else [name for name in folders if _is_open(path / name)]
        shown = [path / name for name in sorted(files) if not name.startswith(".")]
        if is_class:
            found += [] if next(pictures.walk(path), None) else shown[:1]
        else:
            found += list(filter(pictures.is_picture, shown))[:1]
    return found


def read(
    splits: Mapping[str, pathlib.Path],
    show_progress: ShowProgress | None,
    size: tuple[int, int] | None = None,
) -> dict[str, np.ndarray]:
    """Reads the pictures of each split, as `predict` decodes them.

    size: (height, width) to which they are brought, or None for that of most of them, of at most
        MAX_SIDE; where others differ, a `Remark` says so.
    Returns images, `uint8` [n, height, width], and labels, the names of their folders [n].
    Raises `UserError` that names all pictures that can't be read.
    """
    paths = {split: _list_pictures(root) for split, root in splits.items()}
    files = [path for found in paths.values() for _, path in found]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        decoded = _decode(files, show_progress)
    sizes = collections.Counter(image.shape for image in decoded)
    size = size or max(sizes, key=lambda size: (sizes[size], size))
    if sizes.keys() != {size}:
        height, width = size
        others = len(files) - sizes[size]
        text = f"{others:,} of {len(files):,} pictures had another size than {width}x{height}"
        warnings.warn(Remark(f"{text}, and are brought to it."), stacklevel=2)
    images = iter(decoded)
    arrays = {}
    for split, found in paths.items():
        same = [pictures.to_size(image, size) for image in itertools.islice(images, len(found))]
        arrays[f"{split} images"] = np.stack(same)
        arrays[f"{split} labels"] = np.array([label for label, _ in found])
    return arrays


def _list_pictures(root: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """Returns class and path of each picture, in the order of the names of the pictures.

    So the PNGs of MNIST that are called by their number are in MNIST's order, and known as such.
    """
    found = [(folder.name, path) for folder in subfolders(root) for path in pictures.walk(folder)]
    return sorted(found, key=lambda pair: (names.natural_order(pair[1].name), pair))


def _decode(
    files: Sequence[pathlib.Path], show_progress: ShowProgress | None
) -> list[npt.NDArray[np.uint8]]:
    """Returns the grey levels of pictures, and shows how far it is, where it can be shown."""
    decoded: list[npt.NDArray[np.uint8] | str] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            are_large = any(path.is_file() and path.stat().st_size > SMALL for path in batch)
            decoded += (pool.map if are_large else map)(_decode_one, batch)
            if show_progress:
                show_progress(len(decoded), len(files))
    if errors := [found for found in decoded if isinstance(found, str)]:
        raise UserError(" ".join([*errors, "Remove what can't be read, or save it anew."]))
    return [found for found in decoded if not isinstance(found, str)]


def _decode_one(path: pathlib.Path) -> npt.NDArray[np.uint8] | str:
    """Returns the grey levels of a picture, or a sentence on why it can't be read."""
    try:
        grey_levels = pictures.decode(path, MAX_SIDE)
    except UserError as error:
        return str(error)
    return pictures.to_size(grey_levels, grey_levels.shape)
