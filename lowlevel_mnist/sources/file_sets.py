"""The files of a data set, found in folders by the words in their names."""

import dataclasses
import functools
import itertools
import pathlib
import re
from collections.abc import Collection, Iterable, Mapping

from lowlevel_mnist import startup
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import class_folders, names, npz, pictures, tables
from lowlevel_mnist.sources.class_folders import subfolders
from lowlevel_mnist.sources.opening import open_bytes

IDX, NPZ, NPY, PICTURES, CSV = "IDX", "npz", "npy", "pictures", "CSV"
# What files are called, in small letters and without .gz, which may follow. Of a folder's data sets
# those of the first format are taken; a table beside pictures is about them.
FORMATS = {
    IDX: r".*[-.]idx[123]-(ubyte|int)",
    NPZ: r".*\.npz",
    NPY: r".*\.npy",
    PICTURES: r"",  # matches no file: they are in folders
    CSV: r".*\.[ct]sv",
}
MAPPING = r"emnist.+[-_]mapping\.txt"  # the names of EMNIST's classes, in any format
NO_WORDS = r"idx[123]|ubyte|int|mapping"  # in names; the others say what a file holds
IDX_NAMES = {
    "training images": "train-images-idx3-ubyte",
    "training labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
KNOWN = (
    f"{', '.join(IDX_NAMES.values())} (raw or .gz), any .npz, train.csv and test.csv, or "
    "X_train.npy and y_train.npy"
)
# Files that are recognised by their first bytes, and can't be read.
CONTAINERS = r".*\.(gz|tgz|tar|pkl|p|pickle|parquet|mat|h5|hdf5|zip|bz2|xz|7z|rar)"
MAX_SHOWN = 6  # data sets that an error names

Files = dict[str, pathlib.Path]  # by their parts
Words = tuple[str, ...]  # of names


@dataclasses.dataclass(frozen=True)
class FileSet:
    """The files of a data set; perhaps not all of them.

    format: one of FORMATS; name: the words before that of the split in their names.
    files: for each part that there is, such as "test labels", or "test" where one file has both, or
        one folder. What has no split in its name is "training".
    """

    format: str
    name: tuple[str, ...]
    files: Mapping[str, pathlib.Path]

    @property
    def transposed(self) -> bool:
        """Whether rows and columns of the images are exchanged."""
        return is_transposed(self.format, self.name)

    @functools.cached_property
    def could_be_images(self) -> bool:
        """Whether there can be images and labels in it: many files are of something else."""
        whole = [file for part, file in self.files.items() if part in names.SPLITS]
        if self.format == CSV:
            return not whole or any(map(tables.has_labelled_images, whole))
        if self.format == NPZ:
            arrays = [array for file in whole for array in npz.list_arrays(file)]
            return not whole or any(names.parse(array).kind for array in arrays)
        return self.format != NPY or not whole

    @property
    def first_file(self) -> pathlib.Path:
        return next(iter(self.files.values()))

    def rank(self, only_test: bool) -> tuple[int, bool, int, int]:
        """Returns its place among others: the lowest is taken."""
        is_first = [*FORMATS].index(self.format), self.transposed
        return *is_first, len(self.missing(only_test)), -len(self.files)

    def missing(self, only_test: bool) -> list[str]:
        """Returns what the missing parts may be called; only_test: as of `find`."""
        splits = {part.split()[0] for part in self.files}
        if not only_test:
            splits |= {"training", "test"} if self.format == IDX else {"training"}
        parts = itertools.product(names.SPLITS, names.KINDS)
        lacking = [
            f"{split} {kind}"
            for split, kind in parts
            if split in splits and not {split, f"{split} {kind}"} & self.files.keys()
        ]
        if self.format != IDX:
            return [f"the {part} that belong to {self.first_file.name}" for part in lacking]
        usual = ["-".join([*self.name, IDX_NAMES.get(part, part)]) for part in lacking]
        return [f"{name} (or the same .gz)" for name in usual]


def find(path: pathlib.Path, only_test: bool) -> tuple[FileSet, list[pathlib.Path]]:
    """Finds the data set in a folder, or the one to which a file belongs.

    only_test: whether images to test on are enough.
    Returns it, complete, and the data files beside it that are not read.
    Raises `UserError` where there is none, or nobody can know which one is meant.
    """
    if not path.exists() and not path.is_symlink():
        raise UserError(f"There is no data folder {path}; check the path.")
    candidates = _search_folder(path) if path.is_dir() else _search_near(path)
    possible = [found for found in candidates if found.could_be_images] or candidates
    # The first format is meant, even if a file is missing: no other takes its place.
    ranks = [found.rank(only_test) for found in possible]
    best = possible[ranks.index(min(ranks))]
    if missing := best.missing(only_test):
        folder = path if path.is_dir() else path.parent
        raise UserError(f"The data folder {folder} lacks {', '.join(missing)}.")
    if not path.is_dir():
        return best, []
    if (count := ranks.count(min(ranks))) > 1:
        rivals = [found for found, rank in zip(possible, ranks, strict=True) if rank == min(ranks)]
        shown = ", ".join(str(found.first_file) for found in rivals[:MAX_SHOWN])
        raise UserError(
            f"{path} holds {count} data sets: {shown}{', ...' * (count > MAX_SHOWN)}. Name one of "
            f"these with {startup.argument('data_dir')}, and the data set to which it belongs is "
            "taken."
        )
    others = {file for found in candidates for file in found.files.values()}
    if best.format == PICTURES:
        others.update(class_folders.passed_over(path, best.files.values()))
    return best, sorted(others.difference(best.files.values()))


def recognise(file: pathlib.Path) -> tuple[str | None, names.PartName]:
    """Returns the one of FORMATS that a file has by its name, or None, and the words of that."""
    stem = re.sub(r"\.gz$", "", file.name, flags=re.IGNORECASE)
    form = next((one for one in FORMATS if re.fullmatch(FORMATS[one], stem.lower())), None)
    stem = stem if form == IDX else pathlib.PurePath(stem).stem
    return form, names.parse(stem, NO_WORDS)


def is_transposed(form: str | None, name: tuple[str, ...]) -> bool:
    """Returns whether rows and columns of images are exchanged: EMNIST's are.

    form, name: the format and name of a `FileSet`.
    """
    return name[:1] == ("emnist",) and form in (IDX, CSV)


def reject(file: pathlib.Path) -> None:
    """Raises `UserError` for a file that is none of a data set, and says what it is, if known."""
    with open_bytes(file):
        raise UserError(
            f"{file} is not known by its name as a file of a data set. Names that are known: "
            f"{KNOWN}."
        )


def _search_near(file: pathlib.Path) -> list[FileSet]:
    """Returns every `FileSet` to which a file belongs: the others may lie beside it.

    If its folder has its name, they may lie beside that, as in Kaggle's archives.
    """
    folders = [[file.parent]]
    if file.parent.name and file.name.startswith(file.parent.name):
        folders.append([file.parent.parent, *subfolders(file.parent.parent)])
    nearby = [found for some in folders for found in _sets_in(some, file)]
    found = [one for one in nearby if file in one.files.values()]
    if not found:
        reject(file)
    return found


def _search_folder(folder: pathlib.Path) -> list[FileSet]:
    """Returns every `FileSet` in a folder, or if there is none, in those that lie in it."""
    found = _sets_in([folder])
    if not any(one.could_be_images and one.format != CSV for one in found):
        found += [FileSet(PICTURES, (), splits) for splits in class_folders.find(folder)]
    if not any(one.could_be_images for one in found):
        inner = subfolders(folder)
        # torchvision has them in MNIST/raw.
        raw = [one / "raw" for one in inner if (one / "raw").is_dir()]
        found += _sets_in([*inner, *raw])
    if not found:
        _reject_folder(folder)
    return found


def _reject_folder(folder: pathlib.Path) -> None:
    for file in sorted(itertools.chain(folder.glob("*.*"), folder.glob("*/*.*"))):
        if re.fullmatch(CONTAINERS, file.name.lower()):
            with open_bytes(file):  # says what it is
                pass
    if any(map(pictures.is_picture, folder.iterdir())):
        raise UserError(
            f"{folder} holds pictures, but not in a folder for each class, such as "
            f"{folder / 'cat' / '1.png'} and {folder / 'dog' / '1.png'}. Sort them into such "
            "folders."
        )
    raise UserError(
        f"In {folder} there is no file that is known by its name, such as {KNOWN}; nor are there "
        "folders of pictures, one for each of two or more classes."
    )


def _sets_in(
    folders: Iterable[pathlib.Path], preferred: pathlib.Path | None = None
) -> list[FileSet]:
    """Returns every `FileSet` in some folders, complete or not.

    preferred: a file that goes before any other of its part.
    """
    files = [path for folder in folders for path in folder.iterdir() if not path.is_dir()]
    files.sort(key=lambda file: (file != preferred, not file.exists(), file.suffix == ".gz", file))
    alike: dict[tuple[str, Words, bool], dict[tuple[pathlib.Path, Words], Files]] = {}
    mappings = {}
    for file in files:
        form, words = recognise(file)
        if file.name.startswith("."):  # as ._train.csv, which macOS packs into archives
            continue
        if form:
            sets = alike.setdefault((form, words.before, words.split is None), {})
            part = " ".join(filter(None, (words.split or "training", words.kind)))
            sets.setdefault((file.parent, words.after), {}).setdefault(part, file)
        elif re.fullmatch(MAPPING, file.name.lower()):
            mappings[words.before] = {"mapping": file}
    return [
        FileSet(form, name, _join_kinds(form, parts) | mappings.get(name, {}))
        for (form, name, _), sets in alike.items()
        for parts in _join_lone(sets.values())
    ]


def _join_lone(sets: Collection[Files]) -> list[Files]:
    """Returns files by their parts, those together that have no other part beside them.

    sets: the files whose names begin alike, by their parts; each those in one folder whose names
        end alike, too. mnist_train_100.csv and mnist_test_10.csv do not, nor do the files in
        folders of their own names that Kaggle's archives unpack to.
    """
    lone = [parts for parts in sets if len(parts) == 1]
    together = {part: file for parts in lone for part, file in parts.items()}
    if len(together) < len(lone):  # they would contradict each other
        return list(sets)
    return [parts for parts in [*sets, together] if len(parts) > 1 or parts is together and lone]


def _join_kinds(form: str, parts: Files) -> Files:
    """Returns files by their parts, where a lone one of two kinds has both in it.

    Such a file without any other is all there is, whatever split its name says.
    """
    if form in (NPZ, CSV):
        parts = dict(parts)
        for split in names.SPLITS:
            kinds = [f"{split} images", f"{split} labels"]
            if split in parts and kinds[0] not in parts and kinds[1] in parts:
                parts[kinds[0]] = parts.pop(split)
            if len(parts.keys() & kinds) == 1:
                (lone,) = parts.keys() & kinds
                parts.setdefault(split, parts.pop(lone))
        if len(parts) == 1 and {*parts} < {*names.SPLITS}:
            parts = {"training": next(iter(parts.values()))}
    order = [f"{split}{kind}" for split in names.SPLITS for kind in ("", " images", " labels")]
    return {part: parts[part] for part in order if part in parts}
