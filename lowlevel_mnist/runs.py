"""A run's folder: where it is, its `metrics.json` and its `history.csv`."""

import contextlib
import csv
import dataclasses
import datetime
import json
import pathlib
import shutil

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError

RUNS = pathlib.Path("runs")
HISTORY_FIELDS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")

REQUIRED = {"dataset", "data_dir", "dtype", "layer_sizes", "recipe"}  # what another command reads


@dataclasses.dataclass(frozen=True)
class Run:
    """A run: its folder, and what its `metrics.json` says or will say."""

    folder: pathlib.Path
    metrics: dict


def default_folder(recipe_name):
    """Returns the `pathlib.Path` of a new run's folder: runs/<UTC time>-<recipe>."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return RUNS / f"{now:%Y%m%dT%H%M%SZ}-{recipe_name}"


@contextlib.contextmanager
def new_folder(folder):
    """Makes a run's folder, and takes back all that is in it where the run does not finish.

    Raises `UserError` where the folder can't be made or is not empty.
    """
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"The output folder {folder} can't be made: {error.strerror}. Choose another one."
        ) from error
    if occupied:
        raise UserError(f"The output folder {folder} is not empty; choose another one.")
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder)
        if existed:
            folder.mkdir()
        raise


def write(run):
    """Writes `history.csv` and then `metrics.json`, which makes the folder a finished run."""
    with whole_file(run.folder / "history.csv") as file:
        writer = csv.DictWriter(file, HISTORY_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(run.metrics["history"])
    with whole_file(run.folder / "metrics.json") as file:
        json.dump(run.metrics, file, indent=2, allow_nan=False)
        file.write("\n")


@contextlib.contextmanager
def whole_file(path):
    """Opens a file that appears under its name only when all of it is written.

    Raises `UserError` where it can't be written.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error


def save_picture(path, draw, *arguments):
    """Saves a picture as `plots.save` does. Raises `UserError` where that is impossible."""
    from lowlevel_mnist import plots  # Matplotlib, only where a picture is drawn

    try:
        plots.save(path, draw, *arguments)
    except (OSError, ValueError) as error:
        raise UserError(f"The picture {path} can't be saved: {error}.") from error


def find(folder=None):
    """Returns the `Run` in `folder`, or the newest one in RUNS.

    Raises `UserError` where there is none.
    """
    if folder is None:
        candidates = sorted(RUNS.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
        if not candidates:
            raise UserError(
                f"There is no run in {RUNS.resolve()} yet; make one with "
                "python -m lowlevel_mnist.train, or name one with --run."
            )
        folder = candidates[-1].parent
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{folder} is not the folder of a finished run: its metrics.json can't be read "
            f"({error.strerror})."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}).") from error
    missing = REQUIRED - metrics.keys() if isinstance(metrics, dict) else REQUIRED
    if missing:
        raise UserError(f"{path} is not that of a run: it lacks {', '.join(sorted(missing))}.")
    if not _describes_layers(metrics["layer_sizes"]):
        raise UserError(f"{path} is damaged: its layer_sizes are {metrics['layer_sizes']!r}.")
    return Run(folder, metrics)


def _describes_layers(sizes):
    return (
        isinstance(sizes, list)
        and len(sizes) >= 2
        and all(type(size) is int and size > 0 for size in sizes)
    )


def load_data(run, data_dir=None):
    """Returns the `data.Dataset` that a run was trained on, or the one in `data_dir`.

    Raises `UserError` where it can't be had or is of another kind than the network reads.
    """
    name = run.metrics["dataset"]
    if data_dir is not None or name == "custom":
        dataset = data.load(None, data_dir or run.metrics["data_dir"])
    else:
        dataset = data.load(name, run.metrics["data_dir"])
    height, width = dataset.test_images.shape[1:]
    sizes = run.metrics["layer_sizes"]
    if (sizes[0], sizes[-1]) != (height * width, dataset.classes):
        raise UserError(
            f"The run {run.folder} has a network for {sizes[0]} pixels and {sizes[-1]} classes, "
            f"but the data has {height}x{width} pixels and {dataset.classes} classes."
        )
    return dataset
