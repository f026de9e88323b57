"""A run's folder: where it is, its `metrics.json` and its `history.csv`."""

import contextlib
import csv
import dataclasses
import datetime
import json
import pathlib
import shutil

from lowlevel_mnist import data, files
from lowlevel_mnist.errors import UserError

RUNS = pathlib.Path("runs")
HISTORY_FIELDS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run: its folder, and what its `metrics.json` says or will say."""

    folder: pathlib.Path
    metrics: dict


@contextlib.contextmanager
def new_folder(folder, recipe_name):
    """Makes a run's folder, and takes back all that it made where the run does not finish.

    folder: `pathlib.Path`, absent or empty; None for a new runs/<UTC time>-<recipe>.
    Raises `UserError` where the folder can't be made or is not empty.
    """
    try:
        if folder is None:
            folder, made = _make_default(recipe_name), 1
        else:
            made = sum(not parent.exists() for parent in (folder, *folder.parents))
            folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"The output folder {folder or RUNS} can't be made: {error.strerror}. Choose another "
            "one with --output-dir."
        ) from error
    if occupied:
        raise UserError(f"The output folder {folder} is not empty; choose another one.")
    try:
        yield folder
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with contextlib.suppress(OSError):  # a parent in which somebody else has put something
            for path in (folder, *folder.parents)[:made]:
                path.rmdir()
        raise


def _make_default(recipe_name):
    """Makes and returns runs/<UTC time>-<recipe>, with -2, -3 ... where that is taken."""
    now = datetime.datetime.now(datetime.timezone.utc)
    name = f"{now:%Y%m%dT%H%M%SZ}-{recipe_name}"
    RUNS.mkdir(exist_ok=True)
    folder, number = RUNS / name, 1
    while folder.exists():
        number += 1
        folder = RUNS / f"{name}-{number}"
    folder.mkdir()  # fails, and loses nothing, where another run has just made it
    return folder


def write(run):
    """Writes `history.csv` and then `metrics.json`, which makes the folder a finished run."""
    with files.whole_file(run.folder / "history.csv") as file:
        writer = csv.DictWriter(file, HISTORY_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(run.metrics["history"])
    files.write_json(run.folder / "metrics.json", run.metrics)


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
    wrong = _find_wrong(metrics)
    if wrong:
        raise UserError(f"{path} is not that of a run: its {wrong} is missing or wrong.")
    return Run(folder, metrics)


def _find_wrong(metrics):
    """Returns the first key, of those that other commands read, without a value that fits."""
    if not isinstance(metrics, dict):
        return "content"
    said = {key: metrics.get(key) for key in ("recipe", "dataset", "data_dir", "dtype")}
    sizes = metrics.get("layer_sizes")
    fits = {
        "recipe": isinstance(said["recipe"], str),
        "dataset": isinstance(said["dataset"], str) and said["dataset"] in data.TITLES,
        "data_dir": isinstance(said["data_dir"], str)
        or (said["data_dir"] is None and said["dataset"] != "custom"),
        "dtype": said["dtype"] in ("float32", "float64"),
        "layer_sizes": isinstance(sizes, list)
        and len(sizes) >= 2
        and all(type(size) is int and size > 0 for size in sizes),
    }
    return next((key for key, right in fits.items() if not right), None)


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
