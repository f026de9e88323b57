"""Dataclasses as JSON: how they are read from a file that may be damaged or untrusted."""

import dataclasses
import json
import pathlib
import sys
import types
import typing

from lowlevel_mnist.errors import UserError

MAX_BYTES = 1_000_000  # of a file; what makes it large is the names of 256 classes


def read_json(path: pathlib.Path) -> typing.Any:
    """Returns the content of a JSON file.

    Raises `UserError` where it can't be read, is no file or is not JSON.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is no file of at most {MAX_BYTES:,} bytes.")
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}).") from error


def from_json(kind: typing.Any, record: typing.Any) -> typing.Any:
    """Returns the value of this type that `dataclasses.asdict` and JSON have made a record of.

    kind: a dataclass, or what its fields may be: str, bool; int and float, which are never
        negative and always finite; tuples of one such type, lists in JSON; any of these `| None`.
    Raises `ValueError`, which names the key, where a value is missing, of another type or not one
    that the dataclass accepts (by an error of its `__post_init__`).
    """
    items = typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, record)
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


def _read_fields(kind, record):
    fields = typing.get_type_hints(kind)
    if not isinstance(record, dict):
        raise ValueError("it is no object")
    for key in record.keys() - fields.keys():
        raise ValueError(f"its {key:.40} is unknown")
    values = {}
    for key, field in fields.items():
        try:
            values[key] = from_json(field, record[key])
        except (KeyError, ValueError) as error:
            raise ValueError(f"its {key} is missing or wrong") from error
    return kind(**values)
