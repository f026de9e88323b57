"""The layouts in which data sets lie on disk, as tables, and how one is found in a folder.

Another layout takes one more entry in LAYOUTS or ARCHIVES.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import idx, npz, tables
from lowlevel_mnist.sources.opening import open_bytes, unreadable
from lowlevel_mnist.sources.published import is_class_name

Files = Mapping[str, pathlib.Path]  # the file of each part of a data set
Arrays = dict[str, np.ndarray]  # the array of each part, as in MEDMNIST

CLASS_NAMES = "class names"
MAX_MAPPING_SIZE = 100_000  # bytes
MAX_SHOWN = 6  # data sets that an error names

# What the arrays of an .npz archive are called.
KERAS = {
    "training images": "x_train",
    "training labels": "y_train",
    "validation images": "x_val",
    "validation labels": "y_val",
    "test images": "x_test",
    "test labels": "y_test",
}
MEDMNIST = {
    "training images": "train_images",
    "training labels": "train_labels",
    "validation images": "val_images",
    "validation labels": "val_labels",
    "test images": "test_images",
    "test labels": "test_labels",
}
ARCHIVES = (KERAS, MEDMNIST)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way in which a data set lies on disk.

    names: what the file of each part may be called, the most usual name first. A `*` is a wildcard
        for any text, the same for all files of a data set. Letter case does not matter, nor whether
        .gz follows, nor .idx for -idx.
    read: reads the files; it is given the path of each part.
    optional: the parts that may be missing.
    transposed: whether rows and columns of the images are exchanged.
    """

    names: Mapping[str, tuple[str, ...]]
    read: Callable[[Files], Arrays]
    optional: tuple[str, ...] = ()
    transposed: bool = False


@dataclasses.dataclass(frozen=True)
class FileSet:
    """The files of a data set, perhaps not all of them; wildcard: the text that `*` stands for."""

    layout: Layout
    wildcard: str
    files: Files

    @property
    def missing(self) -> list[str]:
        """The usual names of the files that are missing."""
        found = {*self.files, *self.layout.optional}
        names = (names[0] for part, names in self.layout.names.items() if part not in found)
        return [name.replace("*", self.wildcard) for name in names]

    @property
    def first_file(self) -> pathlib.Path:
        return next(iter(self.files.values()))


def _read_idx(files):
    return {part: idx.read(path, 3 if "images" in part else 1) for part, path in files.items()}


def _read_tables(files):
    arrays = {}
    for part, path in files.items():
        images, labels = tables.read(path)
        if labels is not None:
            arrays |= {f"{part} images": images, f"{part} labels": labels}
        elif part == "training":
            raise UserError(
                f"{path} has no labels: its rows are {images[0].size:,} pixels. Training needs "
                "the label of each image as the first number of its row."
            )
    return arrays


IDX = {
    "training images": ("train-images-idx3-ubyte",),
    "training labels": ("train-labels-idx1-ubyte",),
    "test images": ("t10k-images-idx3-ubyte", "test-images-idx3-ubyte"),
    "test labels": ("t10k-labels-idx1-ubyte", "test-labels-idx1-ubyte"),
}
EMNIST_NAMES = {CLASS_NAMES: ("emnist*mapping.txt",)}
# The first of which a folder holds a file is taken.
LAYOUTS = (
    Layout(IDX, _read_idx),
    Layout(
        {part: tuple(f"emnist*{name}" for name in names) for part, names in IDX.items()}
        | EMNIST_NAMES,
        _read_idx,
        optional=(CLASS_NAMES,),
        transposed=True,
    ),
    Layout(  # KMNIST
        {
            "training images": ("*-train-imgs.npz",),
            "training labels": ("*-train-labels.npz",),
            "test images": ("*-test-imgs.npz",),
            "test labels": ("*-test-labels.npz",),
        },
        lambda files: {part: npz.read(path, {part: "arr_0"})[part] for part, path in files.items()},
    ),
    Layout({"archive": ("*.npz",)}, lambda files: npz.read(files["archive"], *ARCHIVES)),
    Layout(
        {"training": ("emnist*train.csv",), "test": ("emnist*test.csv",), **EMNIST_NAMES},
        _read_tables,
        optional=("test", CLASS_NAMES),
        transposed=True,
    ),
    Layout({"training": ("emnist*.csv",)}, _read_tables, transposed=True),
    Layout(
        {
            "training": ("train.csv", "*_train.csv", "*-train.csv"),
            "validation": ("val.csv", "*_val.csv", "*-val.csv"),
            "test": ("test.csv", "*_test.csv", "*-test.csv"),
        },
        _read_tables,
        optional=("validation", "test"),
    ),
    Layout({"training": ("*.csv",)}, _read_tables),
)


def read(
    path: pathlib.Path | str,
) -> tuple[Arrays, dict[int, str] | None, tuple[pathlib.Path, pathlib.Path] | None]:
    """Reads the data set in a folder, or the one to which a file belongs.

    Returns its arrays as they are stored, whether they are images and labels or not; the name of
    each class, where the folder says it; and where it holds other data, too, a file of what was
    read, and one of what was not.
    Raises `UserError` where it can't be had.
    """
    path = pathlib.Path(path)
    try:
        found, other_data = _find(path)
    except OSError as error:  # of a name that is too long, for one
        raise unreadable(path, error) from error
    files = dict(found.files)
    mapping = files.pop(CLASS_NAMES, None)
    arrays = found.layout.read(files)
    if found.layout.transposed:
        arrays = {
            part: array.swapaxes(1, 2) if array.ndim == 3 else array
            for part, array in arrays.items()
        }
    return arrays, mapping and read_mapping(mapping), other_data


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
            names[label] = "".join(map(chr, codes))
            if not is_class_name(names[label]):
                raise ValueError("it can't be shown")
        except (ValueError, OverflowError) as error:
            raise UserError(
                f"{path} is no mapping of EMNIST: line {number} is not the number of a class and "
                "the codes of its characters, such as 10 65. Get the file again."
            ) from error
    return names


def _find(path):
    """Returns the complete `FileSet` at a path, and the last of what `read` returns."""
    if path.is_file():
        return _find_by_file(path), None
    if path.is_symlink() and not path.exists():
        raise unreadable(path, FileNotFoundError())
    if not path.is_dir():
        raise UserError(f"There is no data folder {path}; check the path.")
    candidates = _search(path)
    if not candidates:  # torchvision has them in MNIST/raw
        raws = [raw for raw in (path / "raw", *sorted(path.glob("*/raw"))) if raw.is_dir()]
        candidates = [found for raw in raws for found in _search(raw)]
    if not candidates:
        raise UserError(
            f"In {path} there is no file that is known by its name, such as "
            f"{', '.join(name for name, *_ in IDX.values())} (raw or .gz), one .npz, or train.csv "
            "and test.csv."
        )
    # The first layout is meant, even if one of its files is missing: no other takes its place.
    layout = min((found.layout for found in candidates), key=LAYOUTS.index)
    matching = [found for found in candidates if found.layout is layout]
    complete = _choose_complete(path, matching)
    if len(complete) > 1:
        shown = ", ".join(str(found.first_file) for found in complete[:MAX_SHOWN])
        shown += ", ..." * (len(complete) > MAX_SHOWN)
        raise UserError(
            f"{path} holds {len(complete)} data sets: {shown}. Name one of these files with "
            "--data-dir, and the data set to which it belongs is taken."
        )
    (chosen,) = complete
    # A lone CSV file beside something else may be anything.
    others = [found for found in candidates if found != chosen and found.layout != LAYOUTS[-1]]
    return chosen, (chosen.first_file, others[0].first_file) if others else None


def _find_by_file(path):
    """Returns the complete `FileSet` to which a file belongs.

    The other files may lie beside it, or, if its folder has its name, beside that.
    """
    nearby = _search(path.parent, path)
    if path.parent.name and path.name.startswith(path.parent.name):
        nearby += _search(path.parent.parent, path)
    candidates = [found for found in nearby if path in found.files.values()]
    if not candidates:
        with open_bytes(path):  # says what it is instead, where that is known
            pass
        raise UserError(
            f"{path} is not known by its name as a file of a data set. Names that are known: "
            f"{', '.join(name for name, *_ in IDX.values())} (raw or .gz), any .npz, any .csv."
        )
    complete = _choose_complete(path.parent, candidates)
    return min(complete, key=lambda found: (LAYOUTS.index(found.layout), -len(found.files)))


def _choose_complete(folder, candidates):
    """Returns those of which nothing is missing. Raises `UserError` where there are none."""
    nearest = min(candidates, key=lambda found: len(found.missing))
    if nearest.missing:
        raise UserError(
            f"The data folder {folder} lacks {', '.join(nearest.missing)} (or the same .gz)."
        )
    return [found for found in candidates if not found.missing]


def _search(folder, preferred=None):
    """Returns every `FileSet` in a folder, complete or not, in the order of LAYOUTS.

    preferred: a file that goes before any other of its part, or None.
    """
    files = sorted(
        _list_files(folder),
        key=lambda file: (file != preferred, not file.exists(), file.suffix == ".gz", file.parts),
    )
    found = []
    for layout in LAYOUTS:
        by_wildcard = {}
        for part, names in layout.names.items():
            for file in files:
                wildcard = _match(names, file.name)
                if wildcard is not None:
                    by_wildcard.setdefault(wildcard, {}).setdefault(part, file)
        sets = [FileSet(layout, wildcard, parts) for wildcard, parts in sorted(by_wildcard.items())]
        sets = [some for some in sets if some.files.keys() - {*layout.optional}]
        taken = {file for some in sets for file in some.files.values() if not some.missing}
        files = [file for file in files if file not in taken]
        found += sets
    return found


def _list_files(folder) -> Iterator[pathlib.Path]:
    """Yields the files and dead links in a folder, and the files that lie in one of their name."""
    for path in folder.iterdir():
        if path.name.startswith("."):  # as ._train.csv, which macOS packs into archives
            continue
        if path.is_dir():  # what Kaggle's archives unpack to
            inner = (path / f"{path.name}{suffix}" for suffix in ("", ".gz", ".csv", ".npz"))
            yield from (file for file in inner if file.is_file())
        elif path.is_file() or path.is_symlink():
            yield path


def _match(names, file_name):
    """Returns the text that `*` of one of the names stands for in a file's name ("" without a `*`).

    None where it is none of them.
    """
    for name in names:
        pattern = re.escape(name).replace(r"\*", "(?P<wildcard>.+)").replace(r"\-idx", "[-.]idx")
        if match := re.fullmatch(rf"{pattern}(\.gz)?", file_name, re.IGNORECASE):
            return match.groupdict().get("wildcard", "").lower()
    return None
