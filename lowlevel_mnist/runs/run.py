"""A run of `train`, from its flags to its results, as the story in `train.py` asks for them."""

import argparse
import contextlib
import csv
import dataclasses
import functools
import math
import os
import pathlib
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lowlevel_mnist import data, startup
from lowlevel_mnist.data import Images
from lowlevel_mnist.errors import (
    DivergedError,
    Interrupted,
    Remark,
    UnreadError,
    UserError,
    check_finite,
)
from lowlevel_mnist.execution.progress import Progress
from lowlevel_mnist.runs import files, folders, own_model
from lowlevel_mnist.runs.settings import Settings, check_flags, resolve_flags, resolve_settings

if TYPE_CHECKING:
    import tensorflow as tf

    from lowlevel_mnist.metrics import Evaluation
    from lowlevel_mnist.optimizers import Optimizer
    from lowlevel_mnist.runs.checkpoints import TrainingState
    from lowlevel_mnist.training import Trainer

SAMPLE = 1000  # training images by whose cost a network is found healthy before it is saved
# Multiply-accumulates of a step's forward pass; with fewer, one thread is faster: mlp-128-dropout
# takes 1.36 s an epoch with it, not 1.74, and mlp-512-dropout 2.03, not 3.04 (eager, two cores),
# with the same bits; mlp-512, which has more, would take 3 % more.
MIN_MULTITHREADED_MACS = 20_000_000
THREADS = "TF_NUM_INTRAOP_THREADS"  # where the user says how many


class Run:
    """A new run or, with --resume, one that goes on: interrupted, killed, or to get more epochs.

    flags: those of `train`.
    settings, folder: the `Settings`, from `resolve_settings` on, and the folder, from `open` on.
    own_network: from `resolve_settings` on, what --model names, or None.
    is_chief: whether it tests and keeps the network; False for any other worker.
    replica_count: how many devices share each batch.
    Raises `UserError` where the flags contradict each other or the run that is to go on.
    """

    settings: Settings
    folder: pathlib.Path
    is_chief = True
    replica_count = 1

    def __init__(self, flags: argparse.Namespace):
        self.flags = flags
        self.title = f"the run in {flags.output_dir}"
        self.before = None  # the settings of a run that goes on, perhaps for more epochs
        if flags.resume:
            before = folders.find_to_resume(flags.output_dir).settings
            self.before = check_flags(before, flags, self.title, growing=True)

    @property
    def data_source(self) -> dict[str, Any]:
        """The arguments of `data.load`, by their names."""
        if self.before:
            return self.before.data_source(self.flags.data_dir)
        values = resolve_flags(self.flags)
        choices = {name: values[name] for name in ("invert", "seed")}
        return {"name": values["dataset"], "data_dir": self.flags.data_dir, **choices}

    def resolve_settings(self, dataset: data.Dataset) -> Settings:
        """Sets and returns the settings of the run: its own, if it goes on with the same data.

        dataset: what `data.load` has found at `data_source`.
        Raises `UserError` where data and flags contradict each other or the run that is to go on,
        or a network of one's own can't be trained.
        """
        self.settings = self.before or resolve_settings(self.flags, dataset)
        if self.before and dataset.sha256 != self.before.data_sha256:
            raise UserError(
                f"The data ({dataset.title}, {dataset.source}) is not what {self.title} was "
                "trained on. Get the same data back, or name its folder with --data-dir."
            )
        if self.before and self.flags.data_dir:  # where it lies now
            where, source = files.as_text(self.flags.data_dir.absolute()), dataset.source
            self.settings = dataclasses.replace(
                self.settings, data_dir=where, dataset_source=source
            )
        self.own_network = own_model.load(self.flags.model, self.settings)
        return self.settings

    @contextlib.contextmanager
    def open(self, training: Images) -> Iterator[None]:
        """Keeps and locks the run's folder, and adds to an error that ends it early how to go on.

        training: the images to train on, and their labels.
        Raises `UserError` where a batch is larger than these, or the folder can't be used.
        """
        self.check_batch_size(training)
        if self.before is None:
            locked = folders.new_folder(self.flags.output_dir, self.settings.title)
        else:
            locked = files.locked(self.flags.output_dir)
        with locked as self.folder:
            try:
                with files.refusal_as_user_error():
                    record = dataclasses.asdict(self.settings)
                    files.write_json(self.folder / folders.SETTINGS, record)
                    self.sample = training[0][:SAMPLE], training[1][:SAMPLE]
                    yield
            except (DivergedError, Interrupted, UserError) as error:
                error.args = (f"{error} {self.hint(error)}".rstrip(),)
                raise
            except BrokenPipeError as error:
                raise UnreadError(
                    f"Nobody reads the output any more. {self.hint(error)}"
                ) from error

    def check_batch_size(self, training: Images) -> None:
        """Raises `UserError` where a batch is larger than all training images together."""
        self.training_images = len(training[1])
        if self.settings.batch_size > len(training[1]):
            raise UserError(
                f"--batch-size {self.settings.batch_size} is larger than the data: there are "
                f"{len(training[1]):,} training images. Choose a smaller one."
            )

    def start_tensorflow(self) -> ModuleType:
        """Imports TensorFlow and returns it, for small steps with one thread to an operation."""
        settings = self.settings
        uses_xla = settings.execution == "xla"
        tf = startup.import_tensorflow(xla=uses_xla)
        is_small = settings.batch_size * settings.parameters < MIN_MULTITHREADED_MACS
        if is_small and not settings.model and not uses_xla and THREADS not in os.environ:
            with contextlib.suppress(RuntimeError):  # TensorFlow is at work already, in a notebook
                tf.config.threading.set_intra_op_parallelism_threads(1)
        return tf

    def make_trainer(self, model: "tf.Module", optimizer: "Optimizer") -> "Trainer":
        """Returns the trainer that the settings ask for."""
        from lowlevel_mnist.training import Trainer

        return Trainer(model, optimizer, **self.trainer_options)

    @property
    def trainer_options(self) -> dict[str, Any]:
        """The arguments of `training.Trainer` after model and optimizer, by their names."""
        from lowlevel_mnist import schedules
        from lowlevel_mnist.cost import cross_entropy

        settings, options = self.settings, {}
        if settings.label_smoothing:
            smoothing = settings.label_smoothing
            options["cost"] = functools.partial(cross_entropy, label_smoothing=smoothing)
        steps = settings.epochs * math.ceil(self.training_images / settings.batch_size)
        return options | {
            "batch_size": settings.batch_size,
            "dropout": settings.dropout,
            "seed": settings.seed,
            "execution": settings.execution,
            "schedule": schedules.over_run(settings.schedule, settings.learning_rate, steps),
            "clip_norm": settings.clip_norm,
        }

    def restore(self, model: "tf.Module", optimizer: "Optimizer") -> "TrainingState":
        """Brings back the newest usable checkpoint of a run that goes on.

        Returns the state of the checkpoint, or of a beginning.
        """
        from lowlevel_mnist.runs.checkpoints import CheckpointManager

        self.checkpoints = CheckpointManager(
            self.folder, model, optimizer, self.flags.resume, self.settings.patience
        )
        for path in self.checkpoints.damaged:
            remark = Remark(f"The checkpoint {path} is damaged; going on from before it.")
            warnings.warn(remark, stacklevel=2)
        self.choose_weights()  # more epochs, or more patience, go on from those of the last epoch
        return self.checkpoints.state

    def choose_weights(self) -> None:
        """Gives the model the best epoch's weights at the end, with early stopping."""
        state, best = self.checkpoints.state, self.checkpoints.best
        if best:
            best.put_into_model(state.is_exhausted or len(state.history) >= self.settings.epochs)

    def is_exhausted(self, state: "TrainingState") -> bool:
        """Returns whether early stopping ends the training here."""
        return state.is_exhausted

    def stop_requested(self, signal: int | None) -> int | None:
        """Returns the number of the signal that has asked this process to end, or None."""
        return signal

    def save(self, epoch: int, progress: Progress) -> None:
        """Writes a checkpoint of the variables and the `TrainingState`.

        With early stopping, the model has the best epoch's weights from the end of the last one on.

        epoch: whole number from 1; progress: how far it has come.
        Raises `DivergedError` where the network has diverged, and `UserError` where the checkpoint
        can't be written.
        """
        if not folders.is_run(self.folder):
            raise UserError(
                f"The run's folder {self.folder} is gone: it was removed or renamed during the "
                "training. What it kept, wherever it is now, can be resumed."
            )
        state, best = self.checkpoints.state, self.checkpoints.best
        if best and state.progress is None:
            best.keep(state.val_losses)
            self.choose_weights()
        self.checkpoints.check(*self.sample)
        self.checkpoints.save((epoch - 1) * progress.steps + progress.step)

    def write_results(self, test: "Evaluation", tensorflow_version: str) -> None:
        """Writes `history.csv` and `metrics.json`.

        test: what the network makes of the test images.
        Raises `DivergedError` where it is not finite.
        """
        from lowlevel_mnist.model import count_parameters

        check_finite(test.loss, "after the last step")
        results = {
            **dataclasses.asdict(self.settings),
            "distribute": self.flags.distribute,
            "replicas": self.replica_count,
            "parameters": count_parameters(self.checkpoints.model),
            "tensorflow": tensorflow_version,
            "history": self.checkpoints.state.history,
            "best_epoch": self.checkpoints.state.best_epoch,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "confusion_matrix": test.confusion_matrix.tolist(),
        }
        with (
            files.atomic_write(self.folder / folders.HISTORY) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, results["history"][0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(results["history"])
        files.write_json(self.folder / folders.METRICS, results)

    def hint(self, error: BaseException) -> str:
        """Returns how to go on after an error that has ended the training early."""
        if isinstance(error, DivergedError):
            rate = self.settings.learning_rate
            hint = f"Try a new run with a much smaller --learning-rate than {rate:g}."
            if folders.find_checkpoints(self.folder):
                flags = "--run", self.folder, *self.settings.model_flag
                command = startup.command_line("evaluate", *flags)
                hint += f" The network of the last checkpoint is kept; see it with {command}"
            return hint
        if not folders.is_run(self.folder):  # it could not be written
            return ""
        words = ["--resume", "--output-dir", self.folder, *self.settings.model_flag]
        words += ["--no-plots"] if self.flags.no_plots else []
        words += ["--tensorboard"] if self.flags.tensorboard else []
        if self.flags.distribute != "none":
            words += ["--distribute", self.flags.distribute]
        return f"Go on with: {startup.command_line('train', *words)}"
