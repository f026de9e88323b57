"""A run's state on disk, as `tf.train.Checkpoint` writes it: weights, slots and training state."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from lowlevel_mnist import early_stopping, metrics
from lowlevel_mnist.errors import UserError, check_finite
from lowlevel_mnist.optimizers import Optimizer, held_by
from lowlevel_mnist.runs import files, folders, records
from lowlevel_mnist.runs.folders import CHECKPOINT, CHECKPOINTS
from lowlevel_mnist.runs.records import Epoch
from lowlevel_mnist.training import Progress

MAX_TO_KEEP = 2
CHECKPOINT_FILE = re.compile(rf"{CHECKPOINT}-\d+\.(?:index|data-\d{{5}}-of-\d{{5}})")

# Raised by TensorFlow for a checkpoint that is damaged or of another network (an IndexError for a
# data file that is too short), and by `records` for a training state that is not one.
RESTORE_ERRORS = (tf.errors.OpError, IndexError, AssertionError, ValueError, RecursionError)


class TrainingState(tf.train.experimental.PythonState):
    """The state of a training between two steps, beside its variables.

    patience: that of early stopping (`early_stopping.is_exhausted`), None without it.
    history: a dictionary for each finished epoch, with the fields of `Epoch`.
    progress: the `training.Progress` of the epoch after these; None at its beginning.
    """

    def __init__(self, patience: int | None = None) -> None:
        self.patience = patience
        self.history: list[dict[str, Any]] = []
        self.progress: Progress | None = None

    @property
    def where(self) -> str:
        """The last step or epoch that was trained, in words."""
        epochs = len(self.history)
        if self.progress:
            return f"step {self.progress.step} of epoch {epochs + 1}"
        return f"epoch {epochs}"

    @property
    def val_losses(self) -> list[float]:
        """The validation loss of each finished epoch."""
        return [row["val_loss"] for row in self.history]

    @property
    def is_exhausted(self) -> bool:
        """Whether early stopping ends the training here."""
        patience = self.patience
        return patience is not None and early_stopping.is_exhausted(self.val_losses, patience)

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights early stopping keeps; None without it."""
        return None if self.patience is None else early_stopping.best_epoch(self.val_losses)

    def finish_epoch(
        self, progress: Progress, validation: metrics.Score | None, rate: tf.Variable
    ) -> None:
        """Adds an epoch, whose last `Progress` and learning rate these are, to the history."""
        row = Epoch(
            epoch=len(self.history) + 1,
            loss=progress.loss,
            accuracy=progress.accuracy,
            val_loss=validation.loss if validation else None,
            val_accuracy=validation.accuracy if validation else None,
            seconds=progress.seconds,
            learning_rate=float(str(rate.numpy())),  # 0.1, not 0.10000000149
        )
        self.history.append(dataclasses.asdict(row))
        self.progress = None

    def serialize(self) -> str:
        progress = self.progress and dataclasses.asdict(self.progress)
        return json.dumps({"history": self.history, "progress": progress}, allow_nan=False)

    def deserialize(self, string_value: str | bytes) -> None:
        """Reads what `serialize` wrote. Raises one of RESTORE_ERRORS for anything else."""
        kind = {"history": tuple[Epoch, ...], "progress": Progress | None}
        values = records.from_json(kind, json.loads(string_value))
        history = [dataclasses.asdict(row) for row in values["history"]]
        if [row["epoch"] for row in history] != [*range(1, len(history) + 1)]:
            raise ValueError("the history is not numbered from 1")
        self.history, self.progress = history, values["progress"]


class CheckpointManager:
    """Keeps a training's state in the run's folder, and brings it back.

    folder: the run's; model, optimizer: what is trained.
    resume: whether to bring back the newest usable checkpoint; where there is none at all, as after
        a kill in the first epoch, the training begins anew.
    patience: that of early stopping, or None; with it, the best epoch's weights are kept as well.
    state: the `TrainingState`, for its owner to set before each `save`.
    best: with early stopping, the `early_stopping.BestWeights`, otherwise None.
    damaged: the paths of the checkpoints that were passed over, newest first.
    Raises `UserError` where there are checkpoints but none is usable.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        model: tf.Module,
        optimizer: Optimizer,
        resume: bool,
        patience: int | None = None,
    ):
        self.folder = folder / CHECKPOINTS
        self.model = model
        self.state = TrainingState(patience)
        self.best = early_stopping.BestWeights(model) if patience else None
        # "position": what the files have called it from the first version on.
        parts = {"model": model, "optimizer": optimizer, "position": self.state}
        self.checkpoint = tf.train.Checkpoint(**parts, **({"best": self.best} if self.best else {}))
        # Of a model of Keras, TensorFlow does not see by which numbers dropout draws.
        if held := [held_by(w) for w in model.variables if not isinstance(w, tf.Variable)]:
            self.checkpoint.keras = held
        self.paths = folders.find_checkpoints(folder)  # the first to be removed first
        self.damaged = self._restore() if resume else []

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
        path = self.folder / f"{CHECKPOINT}-{step}"
        unfinished = self.folder / f"{files.UNFINISHED}{CHECKPOINT}"
        self.checkpoint.save_counter.assign_add(1)  # TensorFlow's `restore` looks for it
        try:
            # When all is written, TensorFlow takes the name for UTF-8 and has Python look for the
            # size of the files, in vain where it or the locale is anything else.
            with contextlib.suppress(UnicodeError):
                self.checkpoint.write(os.fsencode(unfinished / path.name))
            for file in sorted(unfinished.iterdir()):  # at last the index, which makes it whole
                file.replace(self.folder / file.name)
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"A checkpoint can't be written in {self.folder}: the disk is full, or the folder "
                "is not yours to write in."
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self.paths = [*(known for known in self.paths if known != path), path][-MAX_TO_KEEP:]
        self._remove_others()

    def _restore(self) -> list[pathlib.Path]:
        """Brings back the newest usable checkpoint; returns those passed over, newest first."""
        usable, damaged = [*self.paths], []
        for path in reversed(self.paths):
            try:
                load(self.checkpoint, path)
                break
            except RESTORE_ERRORS:
                damaged.append(usable.pop())
        if damaged and not usable:
            raise UserError(
                f"None of the checkpoints in {self.folder} is usable: they are damaged, of another "
                "run, or of an older version. Start the run again in another folder."
            )
        # Damaged ones go when newer ones have come.
        self.paths = damaged + usable
        self._remove_others()
        return damaged

    def _remove_others(self) -> None:
        """Removes old checkpoints, and what a kill has left half-written, and lists the others."""
        with files.os_error_as_user_error(f"A checkpoint can't be written in {self.folder}"):
            for path in files.content(self.folder):
                is_ours = CHECKPOINT_FILE.fullmatch(path.name)
                is_other = is_ours and path.with_suffix("") not in self.paths
                if is_other or path.name.startswith(files.UNFINISHED):
                    files.remove(path)
        if self.paths:  # what `tf.train.latest_checkpoint` reads
            lines = [f'all_model_checkpoint_paths: "{path.name}"\n' for path in self.paths]
            lines += [f'model_checkpoint_path: "{self.paths[-1].name}"\n']
            with files.atomic_write(self.folder / CHECKPOINT) as unfinished:
                unfinished.write_text("".join(lines), encoding="utf-8")


def load(checkpoint: tf.train.Checkpoint, path: pathlib.Path) -> None:
    """Gives the model, and what else a checkpoint is made of, the values in a file.

    Raises one of RESTORE_ERRORS where these are damaged or of another network, and `OSError` where
    a file can't be read.
    """
    for file in files.content(path.parent):
        if file.name.startswith(f"{path.name}."):
            if not file.is_file():
                raise ValueError("it would be read for ever: it is a pipe or a device")
            file.open("rb").close()
    # There may be more in the file: the slots, which only a training needs, TensorFlow's counter.
    status = checkpoint.read(os.fsencode(path))  # as text it would be taken for UTF-8
    status.assert_existing_objects_matched().expect_partial()
    if not is_finite(checkpoint.model):
        raise ValueError("a weight is not a finite number")


def is_finite(model: tf.Module) -> bool:
    """Returns whether all weights and biases are finite numbers."""
    return all(np.isfinite(variable.numpy()).all() for variable in model.trainable_variables)
