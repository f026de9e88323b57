"""The rendezvous of the workers, by TensorFlow's coordination service."""

import collections
import contextlib
import faulthandler
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf

from lowlevel_mnist import startup
from lowlevel_mnist.console import output
from lowlevel_mnist.distribution.cluster import ALONE, VARIABLE, Cluster
from lowlevel_mnist.errors import UserError

PATIENCE = 45  # seconds in which all workers must have been started


def connect(workers: Cluster) -> tf.distribute.Strategy:
    """Returns the strategy that shares batches among all workers, or among the devices of one.

    It has to come before anything else that TensorFlow does in this process.

    workers: ALONE where this process is the only one.
    Raises `UserError` where a worker does not come, or where this one's port is taken.
    """
    if workers is ALONE:
        return tf.distribute.MirroredStrategy()
    if workers.others:
        output.say(f"Waiting for {workers.describe(*workers.others)}")
    if not workers.is_chief:
        _wait_for_chief(workers)
    _limit_waiting(workers)
    with _deaf_to_python(), startup.quietly():
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.OpError as error:
            reason = error.with_traceback(None)  # it ends TensorFlow's context here, not aloud
    if "start gRPC server" in reason.message or isinstance(reason, tf.errors.AlreadyExistsError):
        raise UserError(
            f"{workers.describe(workers.index)} can't listen on its port, or is not the only one "
            f"with its index. Is another program there? Choose another in {VARIABLE}."
        ) from reason
    # Who is missing comes before the address of the chief, which has reported it.
    text, _, reporter = reason.message.partition("Additional GRPC")
    lost = workers.find_named(text.rpartition("timed out task names:")[2])
    raise _unreachable(workers, lost or workers.find_named(reporter)) from reason


def _wait_for_chief(workers: Cluster) -> None:
    """Waits until somebody listens at the chief's address.

    Where nobody does, TensorFlow 2.19 has been seen to wait for ever, in 15 of 60 cases, as its
    timeout expires a moment early and the next one is of 0 ms, which means none.
    """
    host, _, port = workers.addresses[0].rpartition(":")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=2) as call:
                # A caller on this machine can get that very port, and then has called itself.
                if call.getsockname() != call.getpeername():
                    return
        except OSError as error:
            if time.monotonic() > deadline:
                raise _unreachable(workers, [0], f": {error.strerror or error}") from error
        time.sleep(0.2)


def _limit_waiting(workers: Cluster) -> None:
    """Limits how long TensorFlow waits for workers: to PATIENCE, instead of an hour.

    Its public interface can't; where it is changed inside, its default holds.
    """
    with contextlib.suppress(ImportError, AttributeError, TypeError):
        from tensorflow.python.eager import context

        jobs = collections.Counter(name.split()[0] for name in workers.names)
        # The chief's limit comes first, as it says who is missing.
        seconds = PATIENCE if workers.is_chief else PATIENCE + 5
        context.context().configure_coordination_service(
            "standalone",
            service_leader=f"/job:{next(iter(jobs))}/replica:0/task:0",
            cluster_register_timeout_in_ms=1000 * seconds,
        )
        config = context.context().coordination_service
        for job, count in jobs.items():
            config.coordinated_job_list.add(name=job, num_tasks=count)
        config.cluster_register_with_barrier = True


@contextlib.contextmanager
def _deaf_to_python() -> Iterator[None]:
    """Enters a context for a long call that does not let Python run, not even for a signal.

    Ctrl-C ends the process at once. SIGTERM is unheard, as TensorFlow takes it for itself; after
    the context Python's handlers are there again. If TensorFlow does not come back, the process
    ends all the same, with exit code 1.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as stderr:
        faulthandler.dump_traceback_later(PATIENCE + 20, exit=True, file=stderr)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            for number, handler in before.items():
                signal.signal(number, handler)


def _unreachable(workers: Cluster, indices: Sequence[int], reason: str = "") -> UserError:
    return UserError(
        f"Can't reach {workers.describe(*indices) or 'all workers'}{reason}. Start all workers "
        f"within {PATIENCE} seconds of each other, and check the addresses in {VARIABLE} and the "
        "firewalls."
    )
