"""A reader for images as CSV: a row for each image, with its label and its pixels."""

import contextlib
import functools
import io
import itertools
import math
import pathlib
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources.opening import ByteFile, check_expansion, open_bytes
from lowlevel_mnist.sources.published import MAX_NAME_LENGTH

# Names of columns in a header, in any letter case.
LABEL_NAMES = ("label", "labels", "class", "target", "digit", "character", "letter", "y")
PIXEL_NAME = r"(pixel|px).*|[0-9]+x[0-9]+"  # nothing else is called so
INDEX_NAMES = ("", "id", "imageid", "image_id", "index", "unnamed: 0")
DELIMITERS = ",;\t"
MIN_SIDE = 5  # pixels; of fewer columns a table is of something else, such as boxes in pictures
MAX_LABELS = 256  # different ones
MAX_LINE_LENGTH = 10_000_000  # characters; an image of 1000x1000 pixels takes 4,000,000
# How NumPy says it; the cell may have been meant as a whole number, such as 5.0.
WRONG_CELL = r"could not convert string (.*) to \w+ at row .*, column (\d+)"
WHOLE_FLOAT = r"'[0-9]+\.0*'|'[0-9](\.[0-9]+)?e[+-]?[0-9]+'"

Table = tuple[np.ndarray | None, np.ndarray | None]  # images and labels


def read(path: pathlib.Path) -> Table:
    """Reads a CSV file of square images, with or without a header; it may be compressed by gzip.

    Returns the images, [n, side, side], and the labels as they are written, [n]. Pixels are
    `uint8`, or `float32` where they are written as 5.0. Labels are in the column that the header
    calls one of LABEL_NAMES, or else in the first. What the file has not is None.
    Raises `UserError` for a file that can't be read, or is no table of pixels from 0 to 255.
    """
    try:
        return _read(path, np.uint8)
    except _FloatError:
        return _read(path, np.float32)


def has_labelled_images(path: pathlib.Path) -> bool:
    """Returns whether a file can be read, and has columns of a label and pixels."""
    with contextlib.suppress(UserError), open_bytes(path) as file:
        lines = _Lines(path, file)
        columns = _Columns(path, next(iter(lines), ""))
        return columns.label is not None and columns.side > 0
    return False


def _read(path: pathlib.Path, dtype: npt.DTypeLike) -> Table:
    """Reads as `read` does. Raises `_FloatError` where the cells do not fit the dtype."""
    with open_bytes(path) as file:
        lines = _Lines(path, file)
        rows = iter(lines)
        first = next(rows, "")
        if not first:
            raise UserError(f"{path} is empty; get the file again.")
        columns = _Columns(path, first)
        row = next(rows, "") if columns.header else first
        if not row:
            raise UserError(f"{path} has no rows of numbers below its header; get the file again.")
        lines.check_width(columns)
        labels = None if columns.label is None else _Labels(lines, columns.label)
        numbers = _read_numbers(lines, itertools.chain([row], rows), columns, labels, dtype)
    if labels is None:
        return numbers.reshape(-1, columns.side, columns.side), None
    where = columns.chosen.index(labels.column)
    written = np.array(list(labels.numbers))[numbers[:, where].astype(int)]
    if columns.side and not columns.header and len(labels.numbers) == 1:
        _check_last_column(path, numbers[:, -1], next(iter(labels.numbers)))
    if columns.side == 0:
        return None, written
    pixels = np.delete(numbers, where, axis=1)
    return pixels.reshape(-1, columns.side, columns.side), written


def _check_last_column(path: pathlib.Path, last: np.ndarray, label: str) -> None:
    """Raises `UserError` where the last column may be the label, as the first is always the same.

    last: its numbers [n]; label: the one of all rows.
    """
    if 1 < len(np.unique(last)) <= len(last) / 2:
        raise UserError(
            f"{path} has {label} as the label of each row, in its first column. If the label is "
            f"in the last one, put a line above that calls this {LABEL_NAMES[0]}."
        )


class _FloatError(Exception):
    """Cells are written as floating-point numbers, such as 5.0."""


class _Lines:
    """The lines of a text that are not blank; `last` is the one given last, `number` its own."""

    def __init__(self, path: pathlib.Path, file: ByteFile):
        self.path, self.number, self.last = path, 0, ""
        self.text = io.TextIOWrapper(file, "utf-8-sig", errors="replace")

    def __iter__(self) -> Iterator[str]:
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

    def check_width(self, columns: "_Columns") -> None:
        """Raises `UserError` where the last line has not as many columns as the first."""
        found = len(columns.split(self.last))
        if found != columns.width:
            raise UserError(
                f"{self.path} has {found:,} columns in line {self.number}, but {columns.width:,} "
                "in its first line; get the file again."
            )


class _Columns:
    """What the columns of a table are.

    delimiter: between them; width: how many there are; header: whether the first line names them.
    chosen: the indices of those that are labels or pixels; label: of the label, or None.
    side: pixels of a side of an image, or 0 where the file has labels alone.
    """

    def __init__(self, path: pathlib.Path, first_line: str):
        # Numbers alone may be separated by spaces, as NumPy writes them.
        delimiters = DELIMITERS + " " * bool(re.fullmatch(r"[0-9.e+ -]+", first_line.strip()))
        self.delimiter = max(delimiters, key=first_line.count)
        fields = self.split(first_line)
        self.width, self.header = len(fields), _is_header(fields)
        names = [name.lower() if self.header else "?" for name in fields]
        self.chosen = [column for column, name in enumerate(names) if name not in INDEX_NAMES]
        labels = [column for column in self.chosen if names[column] in LABEL_NAMES]
        # Numbers and names of classes may stand side by side.
        self.chosen = [column for column in self.chosen if column not in labels[1:]]
        self.label, self.side = next(iter(labels), None), _side(len(self.chosen) - 1)
        if self.side:
            first = self.chosen[0]
            if self.header and not labels and re.fullmatch(PIXEL_NAME, names[first]):
                raise UserError(
                    f"{path} does not say which of its {self.width:,} columns is the label: its "
                    f"header calls none {LABEL_NAMES[0]}, and the first is {fields[first]}."
                )
            self.label = first if self.label is None else self.label
        elif len(self.chosen) == 1:
            self.label = self.chosen[0]
        elif not labels:
            self.side = _side(len(self.chosen))
        if not self.side and len(self.chosen) != 1:
            advice = "One too many may be an index, or a comma at the end of each row."
            if self.width < MIN_SIDE**2:
                advice = "Pictures that it names are read from a folder for each class."
            raise UserError(
                f"{path} has {self.width:,} columns in its first line; a row must be a label and "
                f"the pixels of a square image, 785 columns for 28x28. {advice}"
            )

    def split(self, line: str) -> list[str]:
        return [field.strip().strip('"') for field in line.split(self.delimiter)]


class _Labels:
    """Numbers the different labels in the order in which they come, from 0."""

    def __init__(self, lines: _Lines, column: int):
        self.lines, self.column = lines, column
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Returns the number of a label; raises `UserError` where there can't be such a label."""
        label, number = text.strip(), math.nan
        with contextlib.suppress(ValueError):
            number = float(label)
        if math.isfinite(number) and number in range(MAX_LABELS):
            label = str(int(number))
        elif "\ufffd" in label:
            raise UserError(
                f"{self.lines.path} has a label in line {self.lines.number} that is not in UTF-8. "
                'Save the file in UTF-8, which Excel calls "CSV UTF-8".'
            )
        elif len(label) > MAX_NAME_LENGTH:
            raise UserError(
                f"{self.lines.path} has a label in line {self.lines.number} that can't name a "
                f"class: it has {len(label):,} characters."
            )
        elif math.isfinite(number) or not label:
            raise UserError(_wrong_cell(self.lines, f"{text!r:.40}", self.column + 1))
        if self.numbers.setdefault(label, len(self.numbers)) == MAX_LABELS:
            raise UserError(
                f"{self.lines.path} has more than {MAX_LABELS} different labels, such as "
                f"{label:.40}; is its column {self.column + 1} the label?"
            )
        return self.numbers[label]


def _wrong_cell(lines: _Lines, cell: str, column: int | str) -> str:
    is_fraction = re.search(r"^'0?\.\d", cell)
    return (
        f"{lines.path} has {cell} in line {lines.number}, column {column}; pixels must be whole "
        "numbers from 0 to 255, and labels, too, or names."
        f"{' Multiply pixels from 0 to 1 by 255.' if is_fraction else ''}"
    )


def _is_header(fields: Sequence[str]) -> bool:
    """Returns whether a first line is that of a table, not an image with something wrong in it.

    Headers have numbers, too: "1x1", or "0.1" for a second column called "0", but few whole ones,
    unless they count the columns. Where an image has fractions, the same ones come again.
    """
    if len(fields) > 1:
        counted = fields[fields[0] == "" :]  # pandas has an index before them
        if counted == [str(number) for number in range(len(counted))]:
            return True
    numbers = []
    for field in fields:
        with contextlib.suppress(ValueError):
            numbers.append(float(field))
    whole = sum(map(float.is_integer, numbers))
    are_cells = 2 * whole >= len(fields) or len({*fields}) < len(fields) <= 2 * len(numbers)
    return any(field.lower() in LABEL_NAMES for field in fields) or not are_cells


def _side(pixels: int) -> int:
    """Returns the side of a square image, or 0 where there is none."""
    side = math.isqrt(max(pixels, 0))
    return side if side * side == pixels and side >= MIN_SIDE else 0


def _read_numbers(
    lines: _Lines,
    rows: Iterable[str],
    columns: _Columns,
    labels: _Labels | None,
    dtype: npt.DTypeLike,
) -> np.ndarray:
    """Returns the numbers of the `_Columns` that are chosen, dtype [n, columns].

    rows: the `_Lines` that are left; labels: the `_Labels` that numbers them, or None.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy before 2.0 only warns of 256 or 1.5
            # NumPy's reader takes a second for the 60,000 images of MNIST.
            return np.loadtxt(
                rows,
                dtype,
                comments=None,
                delimiter=columns.delimiter,
                quotechar='"',
                ndmin=2,
                usecols=columns.chosen if len(columns.chosen) < columns.width else None,
                converters={labels.column: labels} if labels else None,
                encoding="utf-8",  # or else NumPy before 2.0 gives labels as bytes
            )
    except UserError:  # of a line, and a ValueError as well
        raise
    except ValueError as error:
        if isinstance(error.__cause__, UserError):  # of a label
            raise error.__cause__ from None
        lines.check_width(columns)
        found = re.search(WRONG_CELL, str(error))
        if dtype == np.uint8 and found and re.fullmatch(WHOLE_FLOAT, found[1]):
            raise _FloatError from error
        if found:
            raise UserError(_wrong_cell(lines, found[1], found[2])) from error
        raise UserError(
            f"{lines.path} is no table of whole numbers from 0 to 255; get the file again."
        ) from error
