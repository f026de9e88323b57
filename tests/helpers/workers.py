"""Several workers on loopback, and several devices, that train one run."""

import contextlib
import json
import socket

from tests.helpers.commands import run, split_cpu, start

TENSORFLOWS = ("E0000 ", "Additional GRPC error", ":UNKNOWN:")  # lines on stderr


def free_ports(count):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def tf_config(ports, index):
    """The variable TF_CONFIG of one of the workers with these ports."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def tf_configs(count):
    """The ports of so many workers, and the TF_CONFIG of each."""
    ports = free_ports(count)
    return ports, [tf_config(ports, index) for index in range(count)]


@contextlib.contextmanager
def workers(configs, *arguments, cwd, flags_of_each=None, begin=start, until="", **options):
    """`train` processes, one with each TF_CONFIG, each in a folder of its own within `cwd`.

    flags_of_each: what each has beside the arguments of all, if anything.
    until: how a line of the first one begins that is waited for.
    """
    with contextlib.ExitStack() as stack:
        processes = []
        for number, config in enumerate(configs):
            home = cwd / f"home-{number}"
            home.mkdir(parents=True, exist_ok=True)
            flags = ["--distribute", "multi-worker", *arguments]
            flags += flags_of_each[number] if flags_of_each else []
            process = begin("train", *flags, cwd=home, TF_CONFIG=config, **options)
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        while until and not (line := processes[0].stdout.readline()).startswith(until):
            assert line, processes[0].stderr.read()
        yield processes


def end_all(processes):
    """Waits for processes that are refused, all of them; returns what each has said on stderr."""
    said = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [2] * len(processes)
    return said


def train_together(count, *arguments, cwd):
    """A training by several workers that succeeds; returns what each has said."""
    _, configs = tf_configs(count)
    with workers(configs, *arguments, cwd=cwd) as processes:
        said = [process.communicate(timeout=200) for process in processes]
    for process, (_, stderr) in zip(processes, said, strict=True):
        # A fork can't have TensorFlow be silent about a worker that ends before the others.
        ours = [line for line in stderr.splitlines() if not line.startswith(TENSORFLOWS)]
        assert (process.returncode, ours) == (0, [])
    return [stdout for stdout, _ in said]


def train_mirrored(devices, *arguments, cwd):
    """A training by several devices that succeeds; returns what it has said."""
    flags = ["--distribute", "mirrored", *arguments]
    done = run("train", *flags, cwd=cwd, before=split_cpu(devices))
    assert done.returncode == 0
    return done.stdout
