"""The workers of a run on several machines, as the variable TF_CONFIG names them."""

import dataclasses
import json
import re
from typing import TypeVar

from lowlevel_mnist.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["192.168.0.1:12345", "192.168.0.2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
JOBS = ("chief", "worker")
TASK = re.compile(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)")
ADDRESS = re.compile(r"[\w-]+(\.[\w-]+)*\.?:([1-9][0-9]{0,4})")  # not IPv6

Kind = TypeVar("Kind")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    names: of each, as TensorFlow numbers them: "worker 0", "worker 1" ...
    addresses: of each, host:port.
    index: which of them this process is; 0 is the chief.
    """

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def others(self) -> list[int]:
        return [index for index in range(len(self.names)) if index != self.index]

    def describe(self, *indices: int) -> str:
        return ", ".join(f"{self.names[index]} ({self.addresses[index]})" for index in indices)

    def find_named(self, text: str) -> list[int]:
        """Returns the indices of the other workers that TensorFlow names in a text."""
        named = [f"{job} {number}" for job, number in TASK.findall(text)]
        return [index for index in self.others if self.names[index] in named]


ALONE = Cluster(("worker 0",), ("",), 0)


def read_tf_config(text: str | None) -> Cluster:
    """Returns the `Cluster` that the variable TF_CONFIG describes, in TensorFlow's format.

    text: its value, or None.
    Raises `UserError` where it is missing or wrong.
    """
    if not text:
        raise _wrong("is not set")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is not JSON ({error})") from error
    cluster, task = (_get(record, key, dict) for key in ("cluster", "task"))
    if record.get("rpc_layer", "grpc") != "grpc":
        raise _wrong("has another rpc_layer than grpc")
    for job in cluster:
        if job not in JOBS:
            raise _wrong(f"has a job {job!r}, which is none of {', '.join(JOBS)}")
    jobs = {job: _get(cluster, job, list) for job in JOBS if job in cluster}
    if len(jobs.get("chief", [""])) != 1:
        raise _wrong("has more than one chief, or an empty list of them")
    tasks = [(job, number) for job in jobs for number in range(len(jobs[job]))]
    addresses = tuple(address for job in jobs for address in jobs[job])
    for address in addresses:
        if not _is_address(address):
            raise _wrong(f"has the address {address!r}, which is no host:port")
        if addresses.count(address) > 1:
            raise _wrong(f"has the address {address} more than once")
    mine = task.get("type"), task.get("index")
    if isinstance(mine[1], str) and mine[1].isdecimal():  # as a shell script writes it
        mine = mine[0], int(mine[1])
    if mine not in tasks or type(mine[1]) is not int:
        raise _wrong(f"has the task {json.dumps(task)}, which is none of its cluster's workers")
    names = tuple(f"{job} {number}" for job, number in tasks)
    return Cluster(names, addresses, tasks.index(mine))


def _get(record: object, key: str, kind: type[Kind]) -> Kind:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise _wrong(f"has no {'list' if kind is list else 'object'} {key!r}")
    return value


def _is_address(address: object) -> bool:
    match = ADDRESS.fullmatch(address) if isinstance(address, str) else None
    return match is not None and int(match[2]) < 2**16


def _wrong(what: str) -> UserError:
    return UserError(f"{VARIABLE} {what}. For --distribute multi-worker it must be like {EXAMPLE}.")
