"""A run's state on disk, as `tf.train.Checkpoint` writes it: weights, slots and position."""

import contextlib
import dataclasses
import itertools
import json
import math
import re
import shutil

import numpy as np
import tensorflow as tf

from lowlevel_mnist.runs import folders
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.model import Network
from lowlevel_mnist.training import Progress

KEPT = 2
# What TensorFlow calls its files, and its list of them, for which there is no number.
OURS = re.compile(rf"({folders.CHECKPOINT}-\d+)(?:_temp|\.index|\.data-).*|{folders.CHECKPOINT}")
# What TensorFlow makes of a checkpoint that is damaged or of another network, an IndexError of a
# data file that is too short; and what Python makes of a position that we have not written.
DAMAGE = (
    tf.errors.OpError,
    IndexError,
    AssertionError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


class Position(tf.train.experimental.PythonState):
    """Where a training stands.

    history: a dictionary for each finished epoch, as in `metrics.json`.
    progress: the `training.Progress` of the epoch after these; None at its beginning.
    """

    def __init__(self):
        self.history = []
        self.progress = None

    def serialize(self):
        progress = self.progress and dataclasses.asdict(self.progress)
        return json.dumps({"history": self.history, "progress": progress}, allow_nan=False)

    def deserialize(self, string_value):
        """Takes over what `serialize` gave. Raises one of DAMAGE for anything else."""
        said = json.loads(string_value)
        progress = said["progress"] and Progress(**said["progress"])
        for field in dataclasses.fields(Progress) if progress else ():
            if not _is_measured(getattr(progress, field.name), field.type):
                raise ValueError(f"the position's {field.name} is wrong")
        for epoch, row in enumerate(said["history"], 1):
            measured = [value for value in list(row.values())[1:] if value is not None]
            if tuple(row) != folders.HISTORY_FIELDS or row["epoch"] != epoch:
                raise ValueError(f"row {epoch} of the history is another's")
            if not all(_is_measured(value, float) for value in measured):
                raise ValueError(f"row {epoch} of the history is wrong")
        self.history, self.progress = said["history"], progress


def _is_measured(value, kind):
    return type(value) is kind and 0 <= value < math.inf


class Keeper:
    """Keeps a training's state in the run's folder, and brings it back.

    folder: the run's; model, optimizer: what is trained.
    resume: whether to bring back the newest usable checkpoint; where there is none at all, as after
        a kill in the first epoch, the training begins anew.
    damaged: the paths of the checkpoints that were passed over, newest first.
    position: the `Position` of the training, for its owner to set before each `save`.
    Raises `UserError` where there are checkpoints but none is usable.
    """

    def __init__(self, folder, model, optimizer, resume):
        self.folder = folder / folders.CHECKPOINTS
        self.model = model
        self.position = Position()
        self.checkpoint = tf.train.Checkpoint(
            model=model, optimizer=optimizer, position=self.position
        )
        self.damaged = self._restore(folders.find_checkpoints(folder)) if resume else []
        self.manager = tf.train.CheckpointManager(
            self.checkpoint, self.folder, KEPT, checkpoint_name=folders.CHECKPOINT
        )

    def save(self, step):
        """Writes a checkpoint, and then removes the oldest of more than KEPT.

        step: steps since the beginning of the run, by which it is numbered.
        Raises `UserError` where it can't be written; nothing of it is left then.
        """
        with self._writing():
            try:
                self.manager.save(checkpoint_number=step)
            except (tf.errors.OpError, OSError):
                for path in self.folder.glob(f"{folders.CHECKPOINT}-{step}[._]*"):
                    _remove(path)
                raise

    def _restore(self, paths):
        """Brings back the newest usable checkpoint; returns those passed over, newest first."""
        damaged = []
        while paths and not self._read(paths[-1]):
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
    def _writing(self):
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"A checkpoint can't be written in {self.folder}: the disk is full, or the folder "
                "is not yours to write in."
            ) from error

    def _read(self, path):
        """Returns whether the variables and the position now are those of this checkpoint."""
        try:
            status = self.checkpoint.restore(str(path))
            status.assert_existing_objects_matched().expect_partial()  # TensorFlow's own counter
        except DAMAGE:
            return False
        return is_finite(self.model)

    def _tidy(self, paths):
        """Removes what a kill has left half-written, and tells the manager what to keep.

        paths: those of the checkpoints, the first to be removed first. Damaged ones are among
            them, so that they go when newer ones have come.
        """
        known = {path.name for path in paths}
        for path in self.folder.iterdir() if self.folder.exists() else ():
            ours = OURS.fullmatch(path.name)
            if ours and ours[1] not in known:
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


def load_model(run):
    """Returns the model of a `folders.Run` with the weights of its newest checkpoint.

    Raises `UserError` where the checkpoint is missing, damaged or of another network.
    """
    paths = folders.find_checkpoints(run.folder)
    if not paths:
        raise UserError(f"The run {run.folder} has no checkpoint in its folder {folders.CHECKPOINTS}.")
    try:
        _check_shapes(paths[-1], run.metrics["layer_sizes"])
        model = Network(run.metrics["layer_sizes"], dtype=tf.as_dtype(run.metrics["dtype"]))
        status = tf.train.Checkpoint(model=model).restore(str(paths[-1]))
        status.assert_existing_objects_matched().expect_partial()  # the slots are not needed
        if not is_finite(model):
            raise ValueError("a weight is not a finite number")
    except DAMAGE as error:
        hint = " train --resume goes on from the one before it." if paths[1:] else ""
        raise UserError(
            f"The checkpoint {paths[-1]} is damaged or does not fit the run's metrics.json.{hint}"
        ) from error
    return model


def _remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_finite(model):
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
