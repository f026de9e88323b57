"""Runs whose batches are shared by several devices or processes, all running `train.train`."""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import signal

from lowlevel_mnist import startup
from lowlevel_mnist.distribution import cluster
from lowlevel_mnist.distribution.meeting import Meeting
from lowlevel_mnist.errors import LostWorkerError, UserError
from lowlevel_mnist.runs.run import Run
from lowlevel_mnist.runs.settings import check_flags, from_json


def join(flags: argparse.Namespace) -> Run:
    """Meets the other workers of the run, if any, and returns this process's part in it.

    flags: those of `train`.
    Raises `UserError` where somebody does not come.
    """
    if flags.distribute == "mirrored":
        return DistributedRun(flags, None)
    meeting = Meeting(cluster.read_tf_config(os.environ.get(cluster.VARIABLE)))
    return (DistributedRun if meeting.cluster.is_chief else WorkerRun)(flags, meeting)


class DistributedRun(Run):
    """A run that shares its batches, as its only worker or as the chief of several.

    meeting: the `Meeting` of the workers; None where this is the only one.
    replicas: the `trainer.Replicas`, from `start_tensorflow` on.
    """

    def __init__(self, flags: argparse.Namespace, meeting: Meeting | None):
        super().__init__(flags)
        self.meeting = meeting

    @contextlib.contextmanager
    def open(self, training):
        with super().open(training):
            if self.meeting:
                self.meeting.exchange(dataclasses.asdict(self.settings))
            with self.sharing():
                yield

    def resolve_settings(self, dataset):
        settings = super().resolve_settings(dataset)
        if settings.execution == "xla":
            raise UserError(
                "XLA can't share batches: it has no exchange between CPUs. Choose --execution "
                "graph, or go on with a run of XLA without --distribute."
            )
        return settings

    @contextlib.contextmanager
    def sharing(self):
        """Enters the context in which batches are shared, which all workers leave together."""
        with contextlib.ExitStack() as self.scope:
            yield
            with contextlib.suppress(LostWorkerError), self.replicas.lost_worker_as_user_error():
                self.replicas.barrier()  # so that none is missing before the end

    def start_tensorflow(self):
        tf = startup.import_tensorflow(distributed=self.meeting is not None)
        from lowlevel_mnist.distribution.trainer import Replicas, connect

        workers = self.meeting.cluster if self.meeting else cluster.ALONE
        self.replicas = Replicas(connect(self.meeting), workers)
        self.replica_count = self.replicas.count
        self.scope.enter_context(self.replicas.lost_worker_as_user_error())
        # The story makes its variables between here and `make_trainer`, in the strategy's scope.
        self.variable_scope = self.scope.enter_context(contextlib.ExitStack())
        self.variable_scope.enter_context(self.replicas.strategy.scope())
        return tf

    def make_trainer(self, model, optimizer):
        from lowlevel_mnist.distribution.trainer import DistributedTrainer

        trainer = DistributedTrainer(self.replicas, model, optimizer, *self.trainer_arguments)
        self.variable_scope.close()
        return trainer

    def restore(self, model, optimizer):
        return self.broadcast_state(super().restore(model, optimizer), optimizer)

    def broadcast_state(self, state, optimizer):
        """Gives all workers the chief's weights, biases, slots and training state."""
        for variable in optimizer.variables:
            variable.assign(self.replicas.broadcast(variable.value())[0])
        state.deserialize(self.replicas.broadcast_text(state.serialize()))
        return state

    def stop_requested(self, number):
        """Returns the number of a signal where any worker was asked to end, otherwise None."""
        return (number or signal.SIGTERM) if self.replicas.any_worker(number is not None) else None


class WorkerRun(DistributedRun):
    """The part of a worker that is not the chief: it has a share of each batch, and no folder."""

    is_chief = False

    def __init__(self, flags: argparse.Namespace, meeting: Meeting):
        self.flags, self.meeting, self.title = flags, meeting, "the chief's run"
        workers = meeting.cluster
        print(
            f"This is {workers.describe(workers.index)}, one of {len(workers.names)}; the chief, "
            f"{workers.describe(0)}, keeps the run and reports",
            flush=True,
        )
        settings = from_json(meeting.exchange(None)[0], "What the chief says")
        check_flags(settings, flags, self.title, growing=False)
        chiefs = settings.data_dir
        if chiefs and settings.dataset != "custom" and not pathlib.Path(chiefs).exists():
            settings = dataclasses.replace(settings, data_dir=None)  # that disk is not here
        self.before = settings

    @contextlib.contextmanager
    def open(self, training):
        self.check_batch_size(training)
        with pathlib.Path(os.devnull).open("w") as nowhere, self.sharing():
            self.scope.enter_context(contextlib.redirect_stdout(nowhere))  # the chief reports
            yield
        print("The training is done, and the chief has saved the run")

    def restore(self, model, optimizer):
        from lowlevel_mnist.runs.checkpoints import TrainingState

        return self.broadcast_state(TrainingState(), optimizer)

    def save(self, epoch, progress):
        """Does nothing: the chief saves."""
