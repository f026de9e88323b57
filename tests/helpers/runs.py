"""What a run's folder holds, and how two runs are compared."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess

import numpy as np

from lowlevel_mnist.runs import folders
from tests.helpers.commands import train
from tests.helpers.data import write_idx_folder


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run that tests share. A test that would change it, or leave files beside it, copies it."""

    home: pathlib.Path  # the folder where its command was run
    arrays: tuple  # its data, in the order of `write_idx_folder`
    process: subprocess.CompletedProcess

    @property
    def data(self):
        return self.home / "data"

    @property
    def folder(self):
        return self.home / "runs" / "one"

    def load_model(self):
        return folders.find(self.folder).load_model()

    def copy(self, home):
        """Copies the run to `runs/one` in another folder; returns its folder there."""
        return shutil.copytree(self.folder, home / "runs" / "one")


@contextlib.contextmanager
def share(finished):
    """Yields a `FinishedRun` to many tests, and makes sure that none of them has changed it."""
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    yield finished
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before


def train_on(arrays, *flags, home):
    """Trains on these arrays by the command, in the folder `home`. Returns a `FinishedRun`."""
    data = write_idx_folder(home / "data", arrays)
    process = train(data, *flags, "--output-dir", "runs/one", cwd=home)
    return FinishedRun(home, arrays, process)


def read_metrics(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def change_settings(folder, **changes):
    """Gives keys in the `settings.json` of a run other values, as damage or a stranger would."""
    path = folder / "settings.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8"
    )


def read_state(folder):
    """What must be equal to the bit when a run is repeated or goes on after an end.

    Returns a dictionary: each weight, bias and slot of the newest checkpoint as an array, and the
    `metrics.json` without seconds.
    """
    import tensorflow as tf  # not before the line above that asks it to be quiet

    reader = tf.train.load_checkpoint(str(folders.find_checkpoints(folder)[-1]))
    names = reader.get_variable_to_shape_map()
    kept = [name for name in names if name.startswith(("model/", "optimizer/", "best/"))]
    metrics = read_metrics(folder)
    metrics["history"] = [{**row, "seconds": None} for row in metrics["history"]]
    return {"metrics": metrics} | {name: np.asarray(reader.get_tensor(name)) for name in kept}


def differences(ours, theirs):
    """What differs in any bit between two runs, of which `read_state` has told, in words."""
    found = [f"only one has {name}" for name in ours.keys() ^ theirs.keys()]
    for name in ours.keys() & theirs.keys() - {"metrics"}:
        if ours[name].tobytes() != theirs[name].tobytes():
            most = np.abs(ours[name] - theirs[name]).max()
            found.append(f"{name} differs by up to {most}")
    for key in ours["metrics"].keys() | theirs["metrics"].keys():
        our, their = (state["metrics"].get(key) for state in (ours, theirs))
        if our != their:
            found.append(f"metrics.json has {key} {our}, not {their}")
    return sorted(found)


def assert_same_bits(folder, expected):
    """Two runs, by their folders or as `read_state` has told of them, are equal to the bit."""
    states = (
        state if isinstance(state, dict) else read_state(state) for state in (folder, expected)
    )
    assert differences(*states) == []
