"""A reader for images as CSV: a row for each image, with its label and its pixels."""

import contextlib
import io
import itertools
import math
import pathlib
import re
import warnings
from collections.abc import Iterator

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import open_bytes

# Names of columns in a header, in any letter case.
LABEL_NAMES = ("label", "labels", "class", "target", "digit", "y")
PIXEL_NAME = r"(pixel|px).*|[0-9]+x[0-9]+"  # nothing else is called so
INDEX_NAMES = ("", "id", "imageid", "image_id", "index", "unnamed: 0")
MIN_SIDE = 2  # pixels; two columns are no image, but names and labels, for instance
MAX_LINE_LENGTH = 10_000_000  # characters; an image of 1000x1000 pixels takes 4,000,000
MAX_DIGITS = 100  # digits; Python refuses to read thousands
MAX_QUOTED = 20  # characters of a wrong field that are quoted


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads a CSV file of square images, with or without a header; it may be compressed by gzip.

    Returns the images, `uint8` [n, side, side], and the labels, `uint8` [n], which are in the
    column that the header calls one of LABEL_NAMES, or else in the first; None where there is none.
    Raises `UserError` for a file that can't be read, or is no such table of whole numbers from 0
    to 255.
    """
    with _open_lines(path) as lines:
        first = next((line for line in lines if line.strip()), "")
        if not first:
            raise UserError(f"{path} is empty; get the file again.")
        fields = _fields(first)
        header = fields if _is_header(fields) else None
        columns, label, side = _choose_columns(path, fields, header)
        body = lines if header else itertools.chain([first], lines)
        numbers = _read_numbers(path, body, len(fields), columns)
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
        line = text.readline(MAX_LINE_LENGTH)
        if len(line) == MAX_LINE_LENGTH:
            raise UserError(f"{path} has {MAX_LINE_LENGTH:,} characters or more in line {number}.")
        if not line:
            return
        yield line


def _fields(line):
    return [field.strip().strip('"') for field in line.split(",")]


def _is_whole(field):
    return field.isascii() and field.isdecimal()


def _is_header(fields):
    """Returns whether a first line is that of a table, not an image with something wrong in it.

    Headers have numbers, too: "1x1", or "0.1" for a second column called "0", but few whole ones,
    unless they count the columns.
    """
    if fields == [str(number) for number in range(len(fields))]:
        return True
    named = any(field.lower() in LABEL_NAMES for field in fields)
    return named or 2 * sum(map(_is_whole, fields)) < len(fields)


def _choose_columns(path, fields, header):
    """Chooses the columns that are label or pixels.

    fields: those of the first line; header: the same, or None where that is an image.
    Returns their indices, which of these is the label or None where none is, and an image's side.
    """
    names = [name.lower() for name in header or ["?"] * len(fields)]
    columns = [column for column, name in enumerate(names) if name not in INDEX_NAMES]
    labels = [number for number, column in enumerate(columns) if names[column] in LABEL_NAMES]
    if side := _side(len(columns) - 1):
        if header and not labels and re.fullmatch(PIXEL_NAME, names[columns[0]]):
            raise UserError(
                f"{path} does not say which of its {len(fields):,} columns is the label: its "
                f"header calls none {LABEL_NAMES[0]}, and the first is {fields[columns[0]]}."
            )
        return columns, labels[0] if labels else 0, side
    if not labels and (side := _side(len(columns))):
        return columns, None, side
    if len(fields) == 1:
        raise UserError(f"{path} is no CSV file: there is no comma in its first line.")
    raise UserError(
        f"{path} has {len(fields):,} columns in its first line; a row must be a label and the "
        "pixels of a square image, 785 columns for 28x28. One too many may be an index, or a comma "
        "at the end of each row."
    )


def _side(pixels):
    """Returns the side of a square image, or 0 where there is none."""
    side = math.isqrt(max(pixels, 0))
    return side if side * side == pixels and side >= MIN_SIDE else 0


def _read_numbers(path, lines, width, columns):
    """Returns the numbers of all lines, `uint8` [n, columns].

    width: how many columns there are; columns: which of them are read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there may be no lines
            # NumPy's reader takes a second for the 60,000 images of MNIST.
            numbers = np.loadtxt(
                lines,
                np.uint8,
                comments=None,
                delimiter=",",
                quotechar='"',
                ndmin=2,
                usecols=columns if len(columns) < width else None,
            )
    except UserError:  # of a line, and a ValueError as well
        raise
    except ValueError as error:
        raise _find_fault(path, width, columns) from error
    if numbers.size and numbers.shape[1] != len(columns):
        raise _find_fault(path, width, columns)
    return numbers


def _find_fault(path, width, columns):
    """Returns the error that says what is wrong with a table, and in which line."""
    with _open_lines(path) as lines:
        filled = ((number, _fields(line)) for number, line in enumerate(lines, 1) if line.strip())
        first = next(filled)
        for number, fields in filled if _is_header(first[1]) else itertools.chain([first], filled):
            if len(fields) != width:
                return UserError(
                    f"{path} has {len(fields):,} columns in line {number}, but {width:,} in its "
                    "first line; get the file again."
                )
            for column in columns:
                field = fields[column]
                if not _is_whole(field) or len(field) > MAX_DIGITS or int(field) > 255:
                    return UserError(
                        f"{path} has {ascii(field[:MAX_QUOTED])} in line {number}, column "
                        f"{column + 1}; labels and pixels must be whole numbers from 0 to 255."
                    )
    return UserError(f"{path} is no table of whole numbers from 0 to 255; get the file again.")
