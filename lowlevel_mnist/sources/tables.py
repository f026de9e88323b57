"""A reader for images as CSV: a row for each image, with its label and its pixels."""

import contextlib
import io
import itertools
import math
import pathlib
import warnings
from collections.abc import Iterator

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import open_bytes

LABEL = "label"  # what a header calls the column of labels, in any letter case
LEAST_SIDE = 2  # pixels; two columns are no image, but names and labels, for instance
LONGEST_LINE = 10_000_000  # characters; an image of 1000x1000 pixels takes 4,000,000
LONGEST_NUMBER = 100  # digits; Python refuses to read thousands
SHOWN = 20  # characters of a wrong field that are quoted


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads a CSV file of square images, with or without a header; it may be compressed by gzip.

    Returns the images, `uint8` [n, side, side], and the labels, `uint8` [n], which are in the
    column that the header calls LABEL, or else in the first; None where there is no such column.
    Raises `UserError` for a file that can't be read, or is no such table of whole numbers from 0
    to 255.
    """
    with _open_lines(path) as lines:
        first = next((line for line in lines if line.strip()), "")
        if not first:
            raise UserError(f"{path} is empty; get the file again.")
        columns = _fields(first)
        label, side = _find_label_and_side(path, columns)
        body = lines if _is_header(columns) else itertools.chain([first], lines)
        numbers = _read_numbers(path, body, len(columns))
    if len(numbers) == 0:
        raise UserError(f"{path} has no rows of numbers below its header; get the file again.")
    if label is None:
        return numbers.reshape(-1, side, side), None
    return np.delete(numbers, label, axis=1).reshape(-1, side, side), numbers[:, label].copy()


@contextlib.contextmanager
def _open_lines(path) -> Iterator[Iterator[str]]:
    """Opens a text; its lines come with their ends."""
    with open_bytes(path) as file, io.TextIOWrapper(file, "utf-8-sig", errors="replace") as text:
        yield _lines(path, text)


def _lines(path, text):
    for number in itertools.count(1):
        line = text.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise UserError(f"{path} has {LONGEST_LINE:,} characters or more in line {number}.")
        if not line:
            return
        yield line


def _fields(line):
    return [field.strip().strip('"') for field in line.split(",")]


def _is_whole(field):
    return field.isascii() and field.isdecimal()


def _is_header(fields):
    """Whether a first line is that of a table, not an image with something wrong in it.

    Headers have numbers, too: "1x1", or "0.1" for a second column called "0"; but few whole ones.
    """
    whole = sum(map(_is_whole, fields))
    return LABEL in map(str.lower, fields) or 2 * whole < len(fields)


def _find_label_and_side(path, columns):
    """Returns which column has the labels, or None where none has, and an image's side."""
    names = [name.lower() for name in columns]
    named = names.index(LABEL) if LABEL in names else None
    if side := _side(len(columns) - 1):
        return named or 0, side
    if named is None and (side := _side(len(columns))):
        return None, side
    raise UserError(
        f"{path} begins with a line of {len(columns):,} columns, but a row has a label and the "
        "pixels of a square image, separated by commas: 785 for 28x28."
    )


def _side(pixels):
    """Returns the side of a square image, or 0 where there is none."""
    side = math.isqrt(max(pixels, 0))
    return side if side * side == pixels and side >= LEAST_SIDE else 0


def _read_numbers(path, lines, columns):
    """Returns the numbers of all lines, `uint8` [n, columns]."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there may be no lines
            # NumPy's reader takes a second for the 60,000 images of MNIST.
            numbers = np.loadtxt(
                lines, np.uint8, comments=None, delimiter=",", quotechar='"', ndmin=2
            )
    except UserError:  # of a line, and a ValueError as well
        raise
    except ValueError as error:
        raise _find_fault(path, columns) from error
    if numbers.size and numbers.shape[1] != columns:
        raise _find_fault(path, columns)
    return numbers


def _find_fault(path, columns):
    """Returns the error that says what is wrong with a table, and in which line."""
    with _open_lines(path) as lines:
        filled = ((number, _fields(line)) for number, line in enumerate(lines, 1) if line.strip())
        first = next(filled)
        for number, fields in filled if _is_header(first[1]) else itertools.chain([first], filled):
            if len(fields) != columns:
                return UserError(
                    f"{path} has {len(fields):,} columns in line {number}, but {columns:,} in its "
                    "first line; get the file again."
                )
            for column, field in enumerate(fields, start=1):
                if not _is_whole(field) or len(field) > LONGEST_NUMBER or int(field) > 255:
                    return UserError(
                        f"{path} has {ascii(field[:SHOWN])} in line {number}, column {column}; "
                        "labels and pixels must be whole numbers from 0 to 255."
                    )
    return UserError(f"{path} is no table of whole numbers from 0 to 255; get the file again.")
