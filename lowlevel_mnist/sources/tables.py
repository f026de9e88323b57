"""A reader for images as CSV: a row for each image, with its label and its pixels."""

import functools
import io
import itertools
import math
import pathlib
import re
import warnings

import numpy as np

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import check_expansion, open_bytes

# Names of columns in a header, in any letter case.
LABEL_NAMES = ("label", "labels", "class", "target", "digit", "y")
PIXEL_NAME = r"(pixel|px).*|[0-9]+x[0-9]+"  # nothing else is called so
INDEX_NAMES = ("", "id", "imageid", "image_id", "index", "unnamed: 0")
MIN_SIDE = 2  # pixels; two columns are no image, but names and labels, for instance
MAX_LINE_LENGTH = 10_000_000  # characters; an image of 1000x1000 pixels takes 4,000,000
WRONG_CELL = r"could not convert string (.*) to uint8 at row .*, column (\d+)"  # as NumPy says it


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads a CSV file of square images, with or without a header; it may be compressed by gzip.

    Returns the images, `uint8` [n, side, side], and the labels, `uint8` [n], which are in the
    column that the header calls one of LABEL_NAMES, or else in the first; None where there is none.
    Raises `UserError` for a file that can't be read, or is no such table of whole numbers from 0
    to 255.
    """
    with open_bytes(path) as file:
        lines = _Lines(path, file)
        rows = iter(lines)
        first = next(rows, "")
        if not first:
            raise UserError(f"{path} is empty; get the file again.")
        fields = _fields(first)
        header = fields if _is_header(fields) else None
        columns, label, side = _choose_columns(path, fields, header)
        row = next(rows, "") if header else first
        if not row:
            raise UserError(f"{path} has no rows of numbers below its header; get the file again.")
        lines.check_width(len(fields))
        numbers = _read_numbers(lines, itertools.chain([row], rows), len(fields), columns)
    if label is None:
        return numbers.reshape(-1, side, side), None
    return np.delete(numbers, label, axis=1).reshape(-1, side, side), numbers[:, label].copy()


class _Lines:
    """The lines of a text that are not blank; `last` is the one given last, `number` its own."""

    def __init__(self, path, file):
        self.path, self.number, self.last = path, 0, ""
        self.text = io.TextIOWrapper(file, "utf-8-sig", errors="replace")

    def __iter__(self):
        size, on_disk = 0, self.path.stat().st_size
        for line in iter(functools.partial(self.text.readline, MAX_LINE_LENGTH), ""):
            self.number += 1
            size += len(line)
            if size > on_disk:  # so they were compressed
                check_expansion(self.path, size)
            if len(line) == MAX_LINE_LENGTH:
                raise UserError(
                    f"{self.path} has {MAX_LINE_LENGTH:,} characters or more in line {self.number}."
                )
            if not line.isspace():
                self.last = line
                yield line

    def check_width(self, width):
        """Raises `UserError` where the last line has not `width` columns."""
        found = len(_fields(self.last))
        if found != width:
            raise UserError(
                f"{self.path} has {found:,} columns in line {self.number}, but {width:,} in its "
                "first line; get the file again."
            )


def _fields(line):
    return [field.strip().strip('"') for field in line.split(",")]


def _is_header(fields):
    """Returns whether a first line is that of a table, not an image with something wrong in it.

    Headers have numbers, too: "1x1", or "0.1" for a second column called "0", but few whole ones,
    unless they count the columns.
    """
    if fields == [str(number) for number in range(len(fields))]:
        return True
    named = any(field.lower() in LABEL_NAMES for field in fields)
    return named or 2 * sum(map(str.isdecimal, fields)) < len(fields)


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


def _read_numbers(lines, rows, width, columns):
    """Returns the numbers of all rows, those of the `_Lines` that are left, `uint8` [n, columns].

    width: how many columns there are; columns: which of them are read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy before 2.0 only warns of 256 or 1.5
            # NumPy's reader takes a second for the 60,000 images of MNIST.
            return np.loadtxt(
                rows,
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
        lines.check_width(width)
        if match := re.search(WRONG_CELL, str(error)):
            raise UserError(
                f"{lines.path} has {match[1]} in line {lines.number}, column {match[2]}; labels "
                "and pixels must be whole numbers from 0 to 255."
            ) from error
        raise UserError(
            f"{lines.path} is no table of whole numbers from 0 to 255; get the file again."
        ) from error
