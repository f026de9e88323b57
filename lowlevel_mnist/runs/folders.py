"""A run's folder: where it is, who works in it, and how its network is found again."""

import contextlib
import dataclasses
import datetime
import itertools
import os
import pathlib
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lowlevel_mnist import data, startup
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, settings

if TYPE_CHECKING:
    import tensorflow as tf

RUNS = pathlib.Path("runs")
CHECKPOINTS, CHECKPOINT = "checkpoints", "checkpoint"  # the folder, and what each is called in it
TENSORBOARD = "tensorboard"  # the folder of what it shows of the run
PATTERN = "*?[\\".replace(os.sep, "")  # a backslash is nothing special on Windows
MAX_LIST = 200  # characters of the names of classes in a sentence
SETTINGS, METRICS, HISTORY = "settings.json", "metrics.json", "history.csv"


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """A run to look at, finished or not: its folder, and its `Settings`."""

    folder: pathlib.Path
    settings: settings.Settings

    @property
    def class_names(self) -> list[str]:
        """The name of each class; of one that no image had, its number."""
        return [name or str(label) for label, name in enumerate(self.settings.class_names)]

    @property
    def known_classes(self) -> list[int]:
        """The classes that images had: those of letters often begin with 1."""
        return [label for label, name in enumerate(self.settings.class_names) if name]

    def check_not_own(self, path: pathlib.Path) -> None:
        """Raises `UserError` where what is written to a path would replace a record of the run."""
        own = [self.folder / name for name in (SETTINGS, METRICS, HISTORY)]
        if path.resolve() in [file.resolve() for file in own]:
            raise UserError(f"{path} can't be written: it is the run's own. Choose another file.")

    def load_data(self, show_progress: data.ShowProgress | None = None) -> data.Dataset:
        """Returns the data that the run was trained on.

        show_progress: as of `data.load`.
        Raises `UserError` where it can't be had or is of another kind than the network reads.
        """
        dataset = data.load(**self.settings.data_source(), show_progress=show_progress)
        self.check_size(dataset.test_images, dataset.place)
        if dataset.classes != len(self.class_names):
            raise UserError(
                f"The run's network is for {len(self.class_names)} classes, but the data of "
                f"{dataset.place} has {dataset.classes}."
            )
        return dataclasses.replace(dataset, names=dict(enumerate(self.class_names)))

    def load_test(
        self, data_dir: pathlib.Path, show_progress: data.ShowProgress | None = None
    ) -> data.Dataset:
        """Returns other data, in which the labels of the test images are those of the network.

        show_progress: as of `data.load`.
        Raises `UserError` where it can't be had, or has other images or classes than the network.
        """
        source = self.settings.data_source(data_dir)
        source |= {"only_test": True, "image_size": self.settings.image_size}
        dataset = data.load(**source, show_progress=show_progress)
        self.check_size(dataset.test_images, dataset.place)
        ours = {label: self.class_names[label] for label in self.known_classes}
        found = np.unique(dataset.test_labels).tolist()
        theirs = {label: dataset.class_names[label] for label in found}
        same = match_classes(theirs, ours)
        if unknown := [theirs[label] for label in same if same[label] is None]:
            some, learnt = (
                textwrap.shorten(", ".join(names), MAX_LIST, placeholder=" ...")
                for names in (unknown, ours.values())
            )
            raise UserError(
                f"The run's network does not know these classes of {dataset.place}: {some}. It has "
                f"learnt {learnt}."
            )
        labels = np.vectorize(same.get, otypes=[np.uint8])(dataset.test_labels)
        return dataclasses.replace(dataset, test_labels=labels)

    def check_size(self, images: np.ndarray, place: pathlib.Path | str) -> None:
        """Raises `UserError` where images [n, height, width] are not of the network's size."""
        if images.shape[1:] != self.settings.image_size:
            found = "x".join(map(str, images.shape[1:]))
            raise UserError(
                "The run's network is for images of {}x{} pixels, but those of {} have {}.".format(
                    *self.settings.image_size, place, found
                )
            )

    def check_model_flag(self, given: str | None) -> None:
        """Raises `UserError` where --model, None if it is not given, does not name its network."""
        settings.check_model_flag(self.settings, given, f"the run in {self.folder}")

    def load_model(self, given: str | None = None) -> "tf.Module":
        """Imports TensorFlow and returns the `model.Network`, as the newest checkpoint has it.

        TensorFlow takes seconds to import: not before the run and its data are found good.

        given: the flag --model, without which a network of one's own is not imported.
        Raises `UserError` where the checkpoint is missing, damaged or of another network.
        """
        self.check_model_flag(given)
        tf = startup.import_tensorflow()
        from lowlevel_mnist.model import Network
        from lowlevel_mnist.runs import checkpoints, own_model

        paths = find_checkpoints(self.folder)
        if not paths:
            raise UserError(
                f"The run {self.folder} has no checkpoint in its folder {CHECKPOINTS}. One comes "
                "with the first epoch; train --resume goes on."
            )
        network = own_model.load(given, self.settings) or Network
        try:
            model = network(*self.settings.network_arguments)
            checkpoints.load(tf.train.Checkpoint(model=model), paths[-1])
        except checkpoints.RESTORE_ERRORS as error:
            hint = " train --resume goes on from the one before it." if paths[1:] else ""
            fitting = f"{given} as it is now" if given else f"the run's {SETTINGS}"
            raise UserError(
                f"The checkpoint {paths[-1]} is damaged or does not fit {fitting}.{hint}"
            ) from error
        return model


def match_classes(theirs: Mapping[int, str], ours: Mapping[int, str]) -> dict[int, int | None]:
    """Returns which of our classes each of theirs is, None for none.

    It is that of the same name, or where theirs have no names, that of the same number.
    theirs, ours: the name of each class, which is its number where the data gives none.
    """
    if all(name == str(label) for label, name in theirs.items()):
        return {label: label if label in ours else None for label in theirs}
    numbers = {name: label for label, name in ours.items()}
    return {label: numbers.get(name) for label, name in theirs.items()}


@contextlib.contextmanager
def new_folder(folder: pathlib.Path | None, title: str) -> Iterator[pathlib.Path]:
    """Makes a run's folder, and locks it so that nobody else trains in it.

    folder: absent or empty; None for a new runs/<UTC time>-<title>.
    title: that of the run's `Settings`.
    Raises `UserError` where the folder can't be made or is not empty.
    """
    check_path(folder or RUNS)
    what = f"The output folder {folder or RUNS} can't be made"
    with files.os_error_as_user_error(what, files.CHOOSE_ANOTHER):
        folder = folder or _default_folder(title)
        folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        names = {path.name for path in files.content(folder)} - {files.LOCK}
        if not all(name.startswith(files.UNFINISHED) for name in names):  # left by a kill
            hint = ", or go on with its run with --resume" if is_run(folder) else ""
            raise UserError(f"The output folder {folder} is not empty; choose another one{hint}.")
        yield folder


def find_to_resume(folder: pathlib.Path) -> SavedRun:
    """Returns the run in `folder`, to go on with.

    Raises `UserError` where there is none, or it is damaged, or may not be written.
    """
    check_path(folder)
    if not is_run(folder):
        raise UserError(
            f"There is no run to resume in {folder}: it has no {SETTINGS}. Check "
            "--output-dir, or start a run without --resume."
        )
    # Also one of a checkpoint to come: TensorFlow would write where it points.
    for name in (CHECKPOINTS, TENSORBOARD):
        for path in (folder / name, *files.content(folder / name)):
            if path.is_symlink():
                raise UserError(
                    f"{path} is a link, so a file could be written or removed where it points. Put "
                    "what it points to in its place."
                )
    return SavedRun(folder, settings.read(folder / SETTINGS))


def is_run(folder: pathlib.Path) -> bool:
    return folder / SETTINGS in files.content(folder)


def check_path(folder: pathlib.Path) -> None:
    """Raises `UserError` where TensorFlow could not read or write checkpoints in a folder."""
    name = str(folder)
    if any(character in name for character in PATTERN):
        raise UserError(
            f"The name of the folder {name} has one of {' '.join(PATTERN)} in it, which TensorFlow "
            "takes for a pattern that other folders match; rename it or choose another one."
        )


def _default_folder(title: str) -> pathlib.Path:
    """Returns runs/<UTC time>-<title>, with -2, -3 ... where that is taken."""
    name = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}-{title}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(RUNS / name for name in names if not (RUNS / name).exists())


def find_checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the paths of a run's checkpoints, oldest first, as TensorFlow names them.

    By the files that there are. TensorFlow's own list of them, a file in the folder, could name
    others anywhere.
    """
    numbers = {}
    for path in files.content(folder / CHECKPOINTS):
        if match := re.fullmatch(rf"{CHECKPOINT}-(\d+)\.index", path.name):
            numbers[path.with_suffix("")] = int(match[1])
    return sorted(numbers, key=numbers.__getitem__)


def list_runs(file: str) -> list[pathlib.Path]:
    """Returns the folders in RUNS that hold such a file, by the time of that, oldest first."""
    times = {}
    for folder in files.content(RUNS):
        with contextlib.suppress(OSError):  # it has none, or is closed to us
            times[folder] = (folder / file).stat().st_mtime
    return sorted(times, key=times.__getitem__)


def find(folder: pathlib.Path | None = None) -> SavedRun:
    """Returns the run in `folder`, or the newest finished one in RUNS.

    Raises `UserError` where there is none, or it is damaged or of another version.
    """
    if folder is None:
        finished = list_runs(METRICS)
        if not finished:
            raise UserError(
                f"There is no run in {RUNS.resolve()} yet that is finished; make one with "
                f"{startup.command_line('train')}, or name one with --run."
            )
        folder = finished[-1]
    check_path(folder)
    if not is_run(folder):
        raise UserError(f"{folder} is not the folder of a run: it has no {SETTINGS}.")
    return SavedRun(folder, settings.read(folder / SETTINGS))
