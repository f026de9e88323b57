"""The layouts in which data sets lie on disk, as regular expressions, and how one is found.

Another layout takes one more entry in LAYOUTS.
"""

import contextlib
import dataclasses
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from lowlevel_mnist import startup
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import idx, npz, tables
from lowlevel_mnist.sources.opening import open_bytes, readable
from lowlevel_mnist.sources.published import PARTS, is_class_name

Arrays = dict[str, np.ndarray]  # the array of each part of a data set, as in MEDMNIST

MAX_MAPPING_SIZE = 100_000  # bytes
MAX_SHOWN = 6  # data sets that an error names

# Words in the names of files and arrays, and what they are called here.
SPLITS = {"train": "training", "val": "validation", "test": "test"}
WORDS = {**SPLITS, "t10k": "test", "imgs": "images"}
KINDS = {"images": "x", "labels": "y"}
# What the arrays of an .npz archive are called.
KERAS = {f"{SPLITS[word]} {kind}": f"{KINDS[kind]}_{word}" for word in SPLITS for kind in KINDS}
MEDMNIST = {f"{SPLITS[word]} {kind}": f"{word}_{kind}" for word in SPLITS for kind in KINDS}
# Parts of which there is a file: the images for training are the most, and so read first.
FILE_PARTS = (*KERAS, *SPLITS.values(), "mapping")
MAPPING = r"(emnist.+)[-_](mapping)\.txt"  # the names of EMNIST's classes, in any layout


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way in which a data set lies on disk.

    pattern: what its files are called, in small letters and without .gz, which may follow. The
        first group is the data set's name; the others are the words of the part's, see WORDS. A
        file without such words is all of a data set, and called "training".
    read: reads the file of a part, and returns the arrays that it holds.
    usual_names: those of the files of PARTS, after the data set's name; () where one file is all.
    transposed: whether rows and columns of the images are exchanged where the name is EMNIST's.
    """

    pattern: str
    read: Callable[[pathlib.Path, str], Arrays]
    usual_names: tuple[str, ...] = ()
    transposed: bool = False


@dataclasses.dataclass(frozen=True)
class FileSet:
    """The files of a data set, one for each part; perhaps not all of them."""

    layout: Layout
    name: str
    files: Mapping[str, pathlib.Path]

    @property
    def transposed(self) -> bool:
        return self.layout.transposed and self.name.startswith("emnist")

    @property
    def rank(self) -> tuple[int, bool]:
        """Its place among others in a folder: the lowest is taken."""
        return LAYOUTS.index(self.layout), self.transposed

    @property
    def missing(self) -> list[str]:
        """The usual names of the files that are missing."""
        usual = zip(PARTS, self.layout.usual_names, strict=False)
        return [f"{self.name}-{name}".lstrip("-") for part, name in usual if part not in self.files]

    @property
    def first_file(self) -> pathlib.Path:
        return next(iter(self.files.values()))


def _read_table(path, part):
    images, labels = tables.read(path)
    if labels is not None:
        return {f"{part} images": images, f"{part} labels": labels}
    if part != "training":
        return {}
    raise UserError(
        f"{path} has no labels: its rows are {images[0].size:,} pixels. Training needs the label "
        "of each image as the first number of its row."
    )


IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
KNOWN = f"{', '.join(IDX_NAMES)} (raw or .gz)"
# The first of which a folder holds a file is taken, and EMNIST after others of its layout.
LAYOUTS = (
    Layout(
        r"(?:(emnist.+)-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte",
        lambda path, part: {part: idx.read(path, 3 if "images" in part else 1)},
        IDX_NAMES,
        transposed=True,
    ),
    Layout(
        r"(.+)-(train|test)-(imgs|labels)\.npz",
        lambda path, part: npz.read(path, {part: "arr_0"}),
        ("train-imgs.npz", "train-labels.npz", "test-imgs.npz", "test-labels.npz"),
    ),
    Layout(r"(.+)\.npz", lambda path, part: npz.read(path, KERAS, MEDMNIST)),
    Layout(r"(?:(.+)[-_])?(train|val|test)\.csv", _read_table, transposed=True),
    Layout(r"(.+)\.csv", _read_table, transposed=True),
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
    with readable(path):
        found, other_data = _find(path)
    files = dict(found.files)
    mapping = files.pop("mapping", None)
    arrays: Arrays = {}
    for part, file in files.items():
        arrays |= found.layout.read(file, part)
    if found.transposed:
        arrays |= {part: arrays[part].swapaxes(1, 2) for part in arrays if "images" in part}
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
    if not path.exists() and not path.is_symlink():
        raise UserError(f"There is no data folder {path}; check the path.")
    candidates = _search(path)
    # The first layout is meant, even if a file is missing: no other takes its place.
    best = min(candidates, key=lambda found: (found.rank, len(found.missing), -len(found.files)))
    if best.missing:
        folder, missing = path if path.is_dir() else path.parent, ", ".join(best.missing)
        raise UserError(f"The data folder {folder} lacks {missing} (or the same .gz).")
    if not path.is_dir():
        return best, None
    rivals = [found for found in candidates if found.rank == best.rank and not found.missing]
    if len(rivals) > 1:
        shown = ", ".join(str(found.first_file) for found in rivals[:MAX_SHOWN])
        shown += ", ..." * (len(rivals) > MAX_SHOWN)
        raise UserError(
            f"{path} holds {len(rivals)} data sets: {shown}. Name one of these files with "
            f"{startup.argument('data_dir')}, and the data set to which it belongs is taken."
        )
    # A lone CSV file beside something else may be anything.
    others = [found for found in candidates if found != best and found.layout != LAYOUTS[-1]]
    return best, (best.first_file, others[0].first_file) if others else None


def _search(path):
    """Returns every `FileSet` in a folder, or to which a file belongs, complete or not.

    Raises `UserError` where there is none.
    """
    if path.is_dir():
        # torchvision has them in MNIST/raw.
        raws = (raw for raw in (path / "raw", *sorted(path.glob("*/raw"))) if raw.is_dir())
        found = _sets_in(path) or [some for raw in raws for some in _sets_in(raw)]
        if not found:
            raise UserError(
                f"In {path} there is no file that is known by its name, such as {KNOWN}, one .npz, "
                "or train.csv and test.csv."
            )
        return found
    # The other files may lie beside it, or, if its folder has its name, beside that.
    is_alone = path.parent.name and path.name.startswith(path.parent.name)
    folders = path.parents[: 2 if is_alone else 1]
    nearby = (some for folder in folders for some in _sets_in(folder, path))
    found = [some for some in nearby if path in some.files.values()]
    if not found:
        with open_bytes(path):  # says what it is instead, where that is known
            raise UserError(
                f"{path} is not known by its name as a file of a data set. Names that are known: "
                f"{KNOWN}, any .npz, any .csv."
            )
    return found


def _sets_in(folder, preferred=None):
    """Returns every `FileSet` in a folder, complete or not, in the order of LAYOUTS.

    preferred: a file that goes before any other of its part, or None.
    """
    files = sorted(
        _list_files(folder),
        key=lambda file: (file != preferred, not file.exists(), file.suffix == ".gz", file.parts),
    )
    sets = {}
    for number, file in itertools.product(range(len(LAYOUTS)), files):
        lower = file.name.lower().removesuffix(".gz")
        if match := re.fullmatch(LAYOUTS[number].pattern, lower) or re.fullmatch(MAPPING, lower):
            name, *words = match.groups("")
            part = " ".join(WORDS.get(word, word) for word in words) or "training"
            sets.setdefault((number, name), {}).setdefault(part, file)
    found, taken = [], set()
    for (number, name), parts in sorted(sets.items()):
        # Test images alone are no data set, and what is whole in one layout is in no other.
        if parts.keys() & {*PARTS, "training"} and not taken.issuperset(parts.values()):
            ordered = {part: parts[part] for part in FILE_PARTS if part in parts}
            found.append(FileSet(LAYOUTS[number], name, ordered))
            taken.update(() if found[-1].missing else parts.values())
    return found


def _list_files(folder) -> Iterator[pathlib.Path]:
    """Yields what is no folder in a folder, and the files that lie in one of their name."""
    for path in folder.iterdir():
        if path.name.startswith("."):  # as ._train.csv, which macOS packs into archives
            continue
        if path.is_dir():  # what Kaggle's archives unpack to
            inner = (path / f"{path.name}{suffix}" for suffix in ("", ".gz", ".csv", ".npz"))
            with contextlib.suppress(PermissionError):  # a closed folder, of somebody else's
                yield from (file for file in inner if file.is_file())
        else:
            yield path
