"""Data parallelism: how replicas, on several devices or several machines, share each batch.

Each replica has all variables. Of a batch it takes a share of the images and of the dropout mask.
Its gradients, weighted by its part of the batch, are added up over all replicas, and then each
makes the same update. So up to rounding it is the same run, however many replicas there are.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lowlevel_mnist import startup
from lowlevel_mnist.cost import clip_by_global_norm, cost_and_gradients
from lowlevel_mnist.distribution.cluster import VARIABLE, Cluster
from lowlevel_mnist.errors import LostWorkerError, UserError
from lowlevel_mnist.execution.blocks import Block
from lowlevel_mnist.optimizers import Optimizer
from lowlevel_mnist.training import Trainer

# What TensorFlow raises where another worker has ended or is silent.
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Replicas:
    """Who shares each batch.

    strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`.
    cluster: the `Cluster` of the workers.
    count: how many replicas there are on all workers; those of this one are first ... end - 1.
    """

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster):
        self.strategy = strategy
        self.cluster = cluster
        self.count = strategy.num_replicas_in_sync
        local = self.count // len(cluster.names)
        self.first, self.end = cluster.index * local, (cluster.index + 1) * local

    def share(self, batch_size: int) -> slice:
        """Returns which images of a batch this worker trains on.

        As even as can be, and none at all for some workers where the batch is small.
        """
        return slice(*(number * batch_size // self.count for number in (self.first, self.end)))

    def share_of_replica(self, images: int) -> slice:
        """Returns which of a worker's images a replica trains on. It is called on each replica."""
        number, count = replica_number() - self.first, self.end - self.first
        return slice(number * images // count, (number + 1) * images // count)

    def all_reduce_sum(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        """Returns the sum over all workers of each tensor."""
        return self._all_reduce(tensors, root=self.first)

    def any_worker(self, here: bool) -> bool:
        """Returns whether this is so at any worker."""
        return bool(self.all_reduce_sum(tf.constant(here, tf.int32))[0])

    def barrier(self) -> None:
        """Waits for all workers to come here."""
        self.any_worker(False)

    def agree(self, number: float) -> float:
        """Returns the chief's number."""
        return float(self.broadcast(tf.constant(number, tf.float64))[0])

    def broadcast(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        """Returns the chief's tensors; the others pass some of the same shapes and dtypes."""
        return self._all_reduce(tensors, root=0)

    def broadcast_record(self, record: object = None) -> Any:
        """Returns what the chief passes, which JSON can hold."""
        codes = np.frombuffer(json.dumps(record).encode(), np.uint8).astype(np.int32)
        (length,) = self.broadcast(tf.constant(len(codes)))
        (codes,) = self.broadcast(tf.constant(np.resize(codes, int(length)), tf.int32))
        return json.loads(codes.numpy().astype(np.uint8).tobytes())

    def check_same(self, **values: object) -> None:
        """Raises `UserError` where one of the values is not the chief's, or none can be had."""
        describe = self.cluster.describe
        reason = None
        with startup.quietly():
            try:
                chiefs = self.broadcast_record(values)
            except tf.errors.OpError as error:
                reason = error
        if reason:
            lost = describe(*self.cluster.find_named(reason.message)) or "all workers"
            raise UserError(
                f"Can't exchange data with {lost}. All need the same addresses in {VARIABLE}, the "
                "same TensorFlow, and as many GPUs each; see what they say, and start all again."
            ) from reason
        for name, value in values.items():
            if value != chiefs[name]:
                raise UserError(
                    f"The chief, {describe(0)}, has {name} {chiefs[name]}, but "
                    f"{describe(self.cluster.index)} {value}. All need the same."
                )

    @contextlib.contextmanager
    def lost_worker_as_user_error(self) -> Iterator[None]:
        """Raises `LostWorkerError` in place of TensorFlow's errors."""
        try:
            yield
        except LOST_WORKER_ERRORS as error:
            others = self.cluster.others
            lost = self.cluster.find_named(error.message) or (others if len(others) == 1 else [])
            who = self.cluster.describe(lost[0]) if lost else "another worker"
            text = (
                f"Lost {who}: it has ended, or can't be reached any more; see what it says there."
            )
            if not self.cluster.is_chief:
                text += (
                    " To go on, start this worker with the same command, the chief with --resume."
                )
            raise LostWorkerError(text) from error

    def of_each(self, output: Any) -> tuple[tf.Tensor, ...]:
        """Returns the outputs of this worker's replicas, a tuple."""
        return self.strategy.experimental_local_results(output)

    @tf.function  # eagerly, TensorFlow would start a pool of threads each time
    def _all_reduce(self, tensors: Sequence[tf.Tensor], root: int) -> list[tf.Tensor]:
        """Returns the sum of what the replicas with the number `root` have of each tensor."""

        def on_one() -> list[tf.Tensor]:
            is_root = replica_number() == root
            mine = [tf.identity(t) if is_root else tf.zeros_like(t) for t in tensors]
            return [all_reduce(tensor) for tensor in mine]

        return [self.of_each(total)[0] for total in self.strategy.run(on_one)]


class DistributedTrainer(Trainer):
    """A `Trainer` that shares each batch among `Replicas`.

    The variables of model and optimizer have to be made in the scope of the replicas' strategy, and
    so does this. The other arguments are those of `Trainer`.
    """

    def __init__(
        self,
        replicas: Replicas,
        model: tf.Module,
        optimizer: Optimizer,
        **options: Any,
    ):
        super().__init__(model, optimizer, **options)
        self.replicas = replicas
        self.pace.agree = replicas.agree

    def gather(
        self, pixels: tf.Tensor, targets: tf.Tensor, rows: np.ndarray, kept: Sequence[np.ndarray]
    ) -> Block:
        share = self.replicas.share(rows.shape[1])
        block = super().gather(pixels, targets, rows[:, share], [layer[:, share] for layer in kept])
        fraction = (share.stop - share.start) / rows.shape[1]
        return *block, tf.fill([len(rows)], tf.constant(fraction, self.dtype))

    def step(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes a step with all replicas of this worker, each with its share of the worker's.

        batch: what `training.train_step` is given, of the images of this worker, and at last the
            fraction that they are of the whole batch.
        Returns the costs [n] and logits [n, classes] of this worker's images.
        """
        *tensors, fraction = batch
        count = tensors[0].shape[0]

        def on_one() -> tuple[tf.Tensor, tf.Tensor]:
            share = self.replicas.share_of_replica(count)
            costs, logits, gradients = cost_and_gradients(
                self.forward,
                self.update.parameters,
                *(tensor[share] for tensor in tensors),
                cost=self.cost,
            )
            # The gradient of a mean over these images, as its part of that over the whole batch.
            weight = fraction * ((share.stop - share.start) / max(count, 1))
            gradients = all_reduce_together([weight * g for g in gradients])
            if self.clip_norm is not None:
                gradients = clip_by_global_norm(gradients, self.clip_norm)
            self.update.apply(gradients)
            return costs, logits

        outputs = self.replicas.strategy.run(on_one)
        return tuple(tf.concat(self.replicas.of_each(output), axis=0) for output in outputs)

    def sum_up(
        self, costs: tf.Tensor, logits: tf.Tensor, targets: tf.Tensor
    ) -> Sequence[tf.Tensor]:
        return self.replicas.all_reduce_sum(*super().sum_up(costs, logits, targets))


def all_reduce(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the sum over all replicas. It is called on each replica."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def all_reduce_together(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sum over all replicas of each tensor. It is called on each replica."""
    # As one tensor: each exchange costs a wait for all the others, however small it is.
    flat = all_reduce(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0))
    pieces = tf.split(flat, [tensor.shape.num_elements() for tensor in tensors])
    return [tf.reshape(a, b.shape) for a, b in zip(pieces, tensors, strict=True)]


def replica_number() -> int:
    """Returns the replica's number among all. It is called on each replica."""
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    return int(tf.get_static_value(number))  # in a graph it is a tensor
