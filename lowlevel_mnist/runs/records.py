"""Dataclasses as JSON: how they are read from a file that may be damaged or untrusted."""

import dataclasses
import json
import pathlib
import sys
import types
import typing

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files


@dataclasses.dataclass(frozen=True)
class Epoch:
    """A row of the history: a finished epoch, as in `metrics.json` and `history.csv`.

    learning_rate: that of its last step; None in a run that is older than this key.
    """

    epoch: int
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    learning_rate: float | None


def read_json(path: pathlib.Path, max_bytes: int) -> typing.Any:
    """Returns what a JSON file holds.

    Raises `UserError` where it can't be read, has more bytes than these, or is damaged.
    """
    with files.os_error_as_user_error(f"{path} can't be read"):
        if not path.is_file() or path.stat().st_size > max_bytes:
            raise UserError(f"{path} is no file of at most {max_bytes:,} bytes.")
        text = path.read_bytes()
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}).") from error


def from_json(kind: typing.Any, record: typing.Any) -> typing.Any:
    """Returns the value of this type that `dataclasses.asdict` and JSON have made a record of.

    kind: a dataclass or a dictionary, or what their values may be: str, bool; int and float, which
        are never negative and always finite; tuples of one such type, lists in JSON; any of these
        `| None`.
    Raises `ValueError`, which names the key, where a value is missing, of another type or not one
    that the dataclass accepts (by an error of its `__post_init__`).
    """
    items = typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return kind(**from_json(typing.get_type_hints(kind), record))
    if isinstance(kind, dict):
        return _read_keys(kind, record)
    if isinstance(kind, types.UnionType):
        return None if record is None else from_json(items[0], record)
    if items:
        is_any_length = items[-1] is ...
        if not isinstance(record, list) or not (is_any_length or len(record) == len(items)):
            raise ValueError("it is no list, or not of this length")
        return tuple(from_json(items[0], item) for item in record)
    if type(record) is not kind and not (kind is float and type(record) is int):
        raise ValueError(f"it is no {kind.__name__}")
    if kind in (int, float) and not 0 <= record <= sys.float_info.max:
        raise ValueError("it is negative or not finite")
    return kind(record)


def _read_keys(kinds: dict[str, typing.Any], record: typing.Any) -> dict[str, typing.Any]:
    if not isinstance(record, dict):
        raise ValueError("it is no object")
    for key in record.keys() - kinds.keys():
        raise ValueError(f"its {key:.40} is unknown")
    values = {}
    for key, kind in kinds.items():
        try:
            values[key] = from_json(kind, record[key])
        except (KeyError, ValueError) as error:
            raise ValueError(f"its {key} is missing or wrong") from error
    return values
