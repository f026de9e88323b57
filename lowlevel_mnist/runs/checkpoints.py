"""A run's state on disk, as `tf.train.Checkpoint` writes it: weights, slots and training state."""

import contextlib
import dataclasses
import itertools
import json
import math
import pathlib
import re
import shutil
import typing
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from lowlevel_mnist import metrics
from lowlevel_mnist.errors import UserError, check_finite
from lowlevel_mnist.model import Network
from lowlevel_mnist.optimizers import Optimizer
from lowlevel_mnist.runs import folders, settings
from lowlevel_mnist.runs.folders import CHECKPOINT, CHECKPOINTS
from lowlevel_mnist.training import Progress

MAX_TO_KEEP = 2
# The names of TensorFlow's files, and of its list of them, which has no number.
CHECKPOINT_FILE = re.compile(rf"({CHECKPOINT}-\d+)(?:_temp|\.index|\.data-).*|{CHECKPOINT}")

# Raised by TensorFlow for a checkpoint that is damaged or of another network (an IndexError for a
# data file that is too short), and by Python for a training state that is not one.
RESTORE_ERRORS = (
    tf.errors.OpError,
    IndexError,
    AssertionError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """A row of the history: a finished epoch, as in `metrics.json` and `history.csv`."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


class TrainingState(tf.train.experimental.PythonState):
    """The state of a training between two steps, beside its variables.

    history: a dictionary for each finished epoch, with the fields of `Epoch`.
    progress: the `training.Progress` of the epoch after these; None at its beginning.
    """

    def __init__(self) -> None:
        self.history: list[dict] = []
        self.progress: Progress | None = None

    @property
    def where(self) -> str:
        """The last step or epoch that was trained, in words."""
        epochs = len(self.history)
        if self.progress:
            return f"step {self.progress.step} of epoch {epochs + 1}"
        return f"epoch {epochs}"

    def finish_epoch(self, progress: Progress, validation: metrics.Evaluation | None) -> None:
        """Adds an epoch, whose last `Progress` this is, to the history."""
        row = Epoch(
            epoch=len(self.history) + 1,
            loss=progress.loss,
            accuracy=progress.accuracy,
            val_loss=validation.loss if validation else None,
            val_accuracy=validation.accuracy if validation else None,
            seconds=progress.seconds,
        )
        self.history.append(dataclasses.asdict(row))
        self.progress = None

    def serialize(self) -> str:
        progress = self.progress and dataclasses.asdict(self.progress)
        return json.dumps({"history": self.history, "progress": progress}, allow_nan=False)

    def deserialize(self, string_value: str | bytes) -> None:
        """Reads what `serialize` wrote. Raises one of RESTORE_ERRORS for anything else."""
        record = json.loads(string_value)
        progress = record["progress"] and _read_numbers(Progress, record["progress"])
        rows = [_read_numbers(Epoch, row) for row in record["history"]]
        if [row.epoch for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("the history is not numbered from 1")
        self.history, self.progress = record["history"], progress


def _read_numbers(kind, record):
    """Returns the dataclass of which this dictionary was made, or raises one of RESTORE_ERRORS."""
    for name, type_hint in typing.get_type_hints(kind).items():
        value = record[name]
        if not settings.has_type(value, type_hint) or (value is not None and value < 0):
            raise ValueError(f"its {name} is wrong")
    return kind(**record)


class CheckpointManager:
    """Keeps a training's state in the run's folder, and brings it back.

    folder: the run's; model, optimizer: what is trained.
    resume: whether to bring back the newest usable checkpoint; where there is none at all, as after
        a kill in the first epoch, the training begins anew.
    state: the `TrainingState`, for its owner to set before each `save`.
    damaged: the paths of the checkpoints that were passed over, newest first.
    Raises `UserError` where there are checkpoints but none is usable.
    """

    def __init__(self, folder: pathlib.Path, model: tf.Module, optimizer: Optimizer, resume: bool):
        self.folder = folder / CHECKPOINTS
        self.model = model
        self.state = TrainingState()
        # "position": what the files have called it from the first version on.
        self.checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, position=self.state)
        self.damaged = self._restore(folders.find_checkpoints(folder)) if resume else []
        self.manager = tf.train.CheckpointManager(
            self.checkpoint, self.folder, MAX_TO_KEEP, checkpoint_name=CHECKPOINT
        )

    def check(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Raises `DivergedError` where the network has diverged in the very last step.

        images, labels: some to calculate the cost of, as for `metrics.evaluate`.
        """
        where = f"after {self.state.where}"
        if self.state.progress is None:
            check_finite(self.state.history[-1]["val_loss"] or 0.0, where)
        is_healthy = is_finite(self.model)
        loss = metrics.evaluate(self.model, images, labels).loss if is_healthy else math.nan
        check_finite(loss, where)

    def save(self, step: int) -> None:
        """Writes a checkpoint, and then removes the oldest of more than MAX_TO_KEEP.

        step: steps since the beginning of the run, by which it is numbered.
        Raises `UserError` where it can't be written; nothing of it is left then.
        """
        with self._writing():
            try:
                self.manager.save(checkpoint_number=step)
            except (tf.errors.OpError, OSError):
                for path in self.folder.glob(f"{CHECKPOINT}-{step}[._]*"):
                    _remove(path)
                raise

    def _restore(self, paths):
        """Brings back the newest usable checkpoint; returns those passed over, newest first."""
        damaged = []
        while paths:
            try:
                _load(self.checkpoint, paths[-1])
                break
            except RESTORE_ERRORS:
                damaged.append(paths.pop())
        # TensorFlow writes the index at last and in one go: it is empty where a kill came between.
        if not paths and any(path.with_suffix(".index").stat().st_size for path in damaged):
            raise UserError(
                f"None of the checkpoints in {self.folder} is usable: they are damaged or of "
                "another run. Start the run again in another folder."
            )
        with self._writing():
            self._tidy(damaged + paths)
        return damaged

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"A checkpoint can't be written in {self.folder}: the disk is full, or the folder "
                "is not yours to write in."
            ) from error

    def _tidy(self, paths):
        """Removes what a kill has left half-written, and tells the manager what to keep.

        paths: those of the checkpoints, the first to be removed first. Damaged ones are among
            them, so that they go when newer ones have come.
        """
        known = {path.name for path in paths}
        for path in self.folder.iterdir() if self.folder.exists() else ():
            match = CHECKPOINT_FILE.fullmatch(path.name)
            if match and match[1] not in known:
                _remove(path)
        if paths:
            # In place of the list that is there, which could name files anywhere.
            tf.compat.v1.train.update_checkpoint_state(
                self.folder,
                str(paths[-1]),
                all_model_checkpoint_paths=list(map(str, paths)),
                all_model_checkpoint_timestamps=list(range(1, len(paths) + 1)),
                last_preserved_timestamp=0,
            )


def load_model(run: folders.SavedRun) -> Network:
    """Returns the network of a run with the weights of its newest checkpoint.

    Raises `UserError` where the checkpoint is missing, damaged or of another network.
    """
    paths = folders.find_checkpoints(run.folder)
    if not paths:
        raise UserError(f"The run {run.folder} has no checkpoint in its folder {CHECKPOINTS}.")
    try:
        _check_shapes(paths[-1], run.metrics["layer_sizes"])
        model = Network(run.metrics["layer_sizes"], dtype=run.metrics["dtype"])
        _load(tf.train.Checkpoint(model=model), paths[-1])
    except RESTORE_ERRORS as error:
        hint = " train --resume goes on from the one before it." if paths[1:] else ""
        raise UserError(
            f"The checkpoint {paths[-1]} is damaged or does not fit the run's metrics.json.{hint}"
        ) from error
    return model


def _load(checkpoint, path):
    """Gives the objects of a `tf.train.Checkpoint` the values in a file.

    Raises one of RESTORE_ERRORS where these are damaged or of another network.
    """
    # There may be more in the file: the slots, which only a training needs, TensorFlow's counter.
    checkpoint.restore(str(path)).assert_existing_objects_matched().expect_partial()
    if not is_finite(checkpoint.model):
        raise ValueError("a weight is not a finite number")


def _remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_finite(model: tf.Module) -> bool:
    """Returns whether all weights and biases are finite numbers."""
    return all(np.isfinite(variable.numpy()).all() for variable in model.trainable_variables)


def _check_shapes(path, layer_sizes):
    """Raises `ValueError` where the checkpoint's weights are not those of `layer_sizes`.

    Before a network is built: sizes that are only claimed might not fit into memory.
    """
    shapes = dict(tf.train.list_variables(str(path)))
    for layer, shape in enumerate(itertools.pairwise(layer_sizes)):
        if shapes.get(f"model/weights/{layer}/.ATTRIBUTES/VARIABLE_VALUE") != list(shape):
            raise ValueError(f"layer {layer} is not {shape}")
