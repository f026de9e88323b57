"""How several devices, or several machines, share each batch: data parallelism.

Each replica has all variables. Of a batch it takes a share of the images and of the dropout mask;
its gradients, divided by the size of the whole batch, are added up over all replicas, and then each
makes the same update. So up to rounding it is the same run, however many replicas there are.
"""

import contextlib
import re
import signal

import numpy as np
import tensorflow as tf

from lowlevel_mnist import startup
from lowlevel_mnist.errors import LostWorkerError, UserError

# What TensorFlow raises where another worker has ended or is silent.
LOSS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
TASK = re.compile(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)")


def connect(distribute, meeting):
    """Returns who shares each batch.

    It has to come before anything else that TensorFlow does in this process.

    distribute: one of `recipes.DISTRIBUTIONS`.
    meeting: the `cluster.Meeting` of all workers. It ends here.
    """
    if distribute == "none":
        return OneReplica()
    if distribute == "mirrored":
        return Replicas(tf.distribute.MirroredStrategy(), meeting.cluster)
    mine = {"TensorFlow": tf.__version__, "GPUs": len(tf.config.list_physical_devices("GPU"))}
    for index, theirs in enumerate(meeting.exchange(mine)):
        if theirs != mine:
            raise UserError(
                f"{meeting.cluster.names[index]} has {theirs}, but {meeting.cluster.names[0]} "
                f"{mine}. All workers need the same."
            )
    with meeting.connecting(), startup.quietly():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Replicas(strategy, meeting.cluster)


class OneReplica:
    """One device trains on whole batches. What it can do, `Replicas` can."""

    count = 1

    def scope(self):
        return contextlib.nullcontext()

    def naming_the_lost(self):
        return contextlib.nullcontext()

    def heed(self, number):
        return number

    def take_over(self, variables, position):
        pass

    def wait(self):
        pass

    def share(self, batch_size):
        return slice(None)

    def divide(self, step, batch_size):
        return step

    def add_up(self, gradients):
        return gradients

    def total(self, *tensors):
        return tensors


class Replicas:
    """Shares each batch among the replicas of a `tf.distribute` strategy.

    Share r of R replicas are the images from r * n // R to (r + 1) * n // R of a batch of n: as
    even as can be, and none at all for some where the batch is smaller than R.

    strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`. The variables
        of model and optimizer have to be made in its scope.
    cluster: the `cluster.Cluster` of the workers.
    count: how many replicas there are on all workers.
    """

    def __init__(self, strategy, cluster):
        self.strategy = strategy
        self.cluster = cluster
        self.count = strategy.num_replicas_in_sync
        local = self.count // len(cluster.addresses)
        self.first = cluster.index * local  # of the replicas of this process
        self.end = self.first + local

    def scope(self):
        """Returns the context in which to make the variables of model and optimizer."""
        return self.strategy.scope()

    @contextlib.contextmanager
    def naming_the_lost(self):
        """Raises `LostWorkerError` in place of TensorFlow's errors."""
        try:
            yield
        except LOSS as error:
            named = [f"{job} {number}" for job, number in TASK.findall(error.message)]
            others = self.cluster.others
            lost = [index for index in others if self.cluster.names[index] in named]
            known = lost or (others if len(others) == 1 else [])
            who = self.cluster.describe(known[0]) if known else "another worker"
            text = (
                f"Lost {who}: it has ended, or can't be reached any more; see what it says there."
            )
            if not self.cluster.is_chief:
                text += (
                    " To go on, start this worker with the same command, the chief with --resume."
                )
            raise LostWorkerError(text) from error

    def heed(self, number):
        """Returns the number of a signal where any worker was asked to end, otherwise None.

        number: that of the signal that this worker has got, or None.
        """
        (asked,) = self.total(tf.constant(number is not None, tf.int32))
        return (number or signal.SIGTERM) if asked else None

    def wait(self):
        """Waits for all workers to come here."""
        self.total(tf.constant(0))

    def share(self, batch_size):
        """Returns which images of a batch this process trains on, a `slice`."""
        return slice(*(number * batch_size // self.count for number in (self.first, self.end)))

    def divide(self, step, batch_size):
        """Returns a function that calls `step` on each replica of this process with its share.

        It takes tensors [n, ...], n being this process's images of a batch, and returns those of
        the steps, [n, ...] again.
        """
        begin = self.share(batch_size).start

        def on_all(*batch):
            def on_one():
                number = _number()
                first, end = (k * batch_size // self.count - begin for k in (number, number + 1))
                return step(*(tensor[first:end] for tensor in batch))

            outputs = self.strategy.run(on_one)
            return tuple(tf.concat(self._of_each(output), axis=0) for output in outputs)

        return on_all

    def add_up(self, gradients):
        """Returns the sum over all replicas of each gradient. It is called on each replica."""
        # As one tensor: each exchange costs a wait for all the others, however small it is.
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)
        flat = _replica().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(flat, [gradient.shape.num_elements() for gradient in gradients])
        pairs = zip(parts, gradients, strict=True)
        return [tf.reshape(part, gradient.shape) for part, gradient in pairs]

    def total(self, *tensors):
        """Returns the sum over all workers of each tensor."""
        return self._total(tensors, worker=None)

    def take_over(self, variables, position):
        """Gives all workers the chief's values of the variables, and its position.

        position: a `checkpoints.Position`.
        """
        for variable in variables:
            variable.assign(self._total([variable.value()], worker=0)[0])
        text = np.frombuffer(position.serialize().encode(), np.uint8).astype(np.int32)
        length = int(self._total([tf.constant(len(text))], worker=0)[0])
        chiefs = np.resize(text, length)  # the others' is of another length, and does not count
        chiefs = self._total([tf.constant(chiefs)], worker=0)[0].numpy()
        position.deserialize(chiefs.astype(np.uint8).tobytes())

    def _total(self, tensors, worker):
        """Returns the sum of each tensor over all workers, or what one of them has."""
        speaks = worker in (None, self.cluster.index)

        def on_one():
            first = speaks and _number() == self.first
            mine = [tf.identity(t) if first else tf.zeros_like(t) for t in tensors]
            return [_replica().all_reduce(tf.distribute.ReduceOp.SUM, t) for t in mine]

        return [self._of_each(total)[0] for total in self.strategy.run(on_one)]

    def _of_each(self, output):
        return self.strategy.experimental_local_results(output)


def _replica():
    return tf.distribute.get_replica_context()


def _number():
    """The replica's number among all replicas, an `int`. In a graph, TensorFlow has a tensor."""
    return int(tf.get_static_value(_replica().replica_id_in_sync_group))
