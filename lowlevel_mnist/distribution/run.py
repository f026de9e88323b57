"""Runs whose batches are shared by several devices or processes, all running `train.train`."""

import argparse
import contextlib
import dataclasses
import os
import signal
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from lowlevel_mnist import startup
from lowlevel_mnist.console import output
from lowlevel_mnist.data import Dataset, Images
from lowlevel_mnist.distribution import cluster
from lowlevel_mnist.errors import LostWorkerError, UserError
from lowlevel_mnist.execution.progress import Progress
from lowlevel_mnist.runs import own_model
from lowlevel_mnist.runs.run import Run
from lowlevel_mnist.runs.settings import Settings, check_flags, from_json

if TYPE_CHECKING:
    import tensorflow as tf

    from lowlevel_mnist.distribution.trainer import DistributedTrainer
    from lowlevel_mnist.optimizers import Optimizer
    from lowlevel_mnist.runs.checkpoints import TrainingState


def join(flags: argparse.Namespace) -> Run:
    """Connects the workers of the run, if any, and returns this process's part in it.

    flags: those of `train`.
    Raises `UserError` where somebody does not come.
    """
    if flags.distribute == "mirrored":
        return DistributedRun(flags, cluster.ALONE)
    workers = cluster.read_tf_config(os.environ.get(cluster.VARIABLE))
    return (DistributedRun if workers.is_chief else WorkerRun)(flags, workers)


class DistributedRun(Run):
    """A run that shares its batches, as its only worker or as the chief of several.

    replicas: the `trainer.Replicas`.
    """

    def __init__(self, flags: argparse.Namespace, workers: cluster.Cluster):
        super().__init__(flags)
        self.connect(workers)

    def connect(self, workers: cluster.Cluster) -> None:
        """Imports TensorFlow and connects the workers, which has to be the first thing it does."""
        self.tf = startup.import_tensorflow(distributed=workers is not cluster.ALONE)
        from lowlevel_mnist.distribution.connection import connect
        from lowlevel_mnist.distribution.trainer import Replicas

        self.replicas = Replicas(connect(workers), workers)
        self.replica_count = self.replicas.count
        self.replicas.check_same(TensorFlow=self.tf.__version__, addresses=[*workers.addresses])

    @contextlib.contextmanager
    def open(self, training: Images) -> Iterator[None]:
        with super().open(training), self.replicas.lost_worker_as_user_error():
            self.replicas.broadcast_record(dataclasses.asdict(self.settings))
            yield
            self.meet()  # here the others learn that the run is saved
            self.meet()

    def save(self, epoch: int, progress: Progress) -> None:
        super().save(epoch, progress)
        self.meet()

    def meet(self) -> None:
        """Waits for all workers, and does not mind where one is lost.

        They meet after what may be the last thing they do: who ends while others are still in an
        exchange can have it fail there.
        """
        with contextlib.suppress(LostWorkerError), self.replicas.lost_worker_as_user_error():
            self.replicas.barrier()

    def resolve_settings(self, dataset: Dataset) -> Settings:
        settings = super().resolve_settings(dataset)
        if settings.execution == "xla":
            raise UserError(
                "XLA can't share batches: it has no exchange between CPUs. Choose --execution "
                "graph, or go on with a run of XLA without --distribute."
            )
        return settings

    def start_tensorflow(self) -> ModuleType:
        if model := self.settings.model:
            self.replicas.check_same(**{f"{model} with SHA-256": own_model.sha256_of(model)})
        # The story makes its variables between here and `make_trainer`, in the strategy's scope.
        self.variable_scope = contextlib.ExitStack()
        self.variable_scope.enter_context(self.replicas.strategy.scope())
        return self.tf

    def make_trainer(self, model: "tf.Module", optimizer: "Optimizer") -> "DistributedTrainer":
        from lowlevel_mnist.distribution.trainer import DistributedTrainer

        trainer = DistributedTrainer(self.replicas, model, optimizer, **self.trainer_options)
        self.variable_scope.close()
        return trainer

    def restore(self, model: "tf.Module", optimizer: "Optimizer") -> "TrainingState":
        return self.broadcast_state(super().restore(model, optimizer), model, optimizer)

    def broadcast_state(
        self, state: "TrainingState", model: "tf.Module", optimizer: "Optimizer"
    ) -> "TrainingState":
        """Gives all workers the chief's variables, those that are not trained, too, and state."""
        from lowlevel_mnist.optimizers import held_by

        for variable in map(held_by, (*optimizer.variables, *model.non_trainable_variables)):
            variable.assign(self.replicas.broadcast(variable.value())[0])
        state.deserialize(self.replicas.broadcast_record(state.serialize()))
        return state

    def is_exhausted(self, state: "TrainingState") -> bool:
        # The validation loss that a worker has found may differ from the chief's by rounding.
        return bool(self.replicas.agree(super().is_exhausted(state)))

    def stop_requested(self, number: int | None) -> int | None:
        """Returns the number of a signal where any worker was asked to end, otherwise None."""
        return (number or signal.SIGTERM) if self.replicas.any_worker(number is not None) else None


class WorkerRun(DistributedRun):
    """The part of a worker that is not the chief: it has a share of each batch, and no folder."""

    is_chief = False

    def __init__(self, flags: argparse.Namespace, workers: cluster.Cluster):
        self.flags, self.title = flags, "the chief's run"
        output.say(
            f"This is {workers.describe(workers.index)}, one of {len(workers.names)}; the chief, "
            f"{workers.describe(0)}, keeps the run and reports"
        )
        self.connect(workers)
        with self.replicas.lost_worker_as_user_error():
            settings = from_json(self.replicas.broadcast_record(), "What the chief says")
        check_flags(settings, flags, self.title, growing=False)
        chiefs = settings.data_path
        if chiefs and settings.dataset != "custom" and not chiefs.exists():
            settings = dataclasses.replace(settings, data_dir=None)  # that disk is not here
        self.before = settings

    @contextlib.contextmanager
    def open(self, training: Images) -> Iterator[None]:
        self.check_batch_size(training)
        with self.replicas.lost_worker_as_user_error():
            with output.silenced():
                yield  # the chief reports
            self.replicas.barrier()  # which the chief reaches when it has saved the run
            self.meet()
        output.say("The training is done, and the chief has saved the run")

    def restore(self, model: "tf.Module", optimizer: "Optimizer") -> "TrainingState":
        from lowlevel_mnist.runs.checkpoints import TrainingState

        state = TrainingState(self.settings.patience)
        return self.broadcast_state(state, model, optimizer)

    def save(self, epoch: int, progress: Progress) -> None:
        self.meet()  # the chief saves
