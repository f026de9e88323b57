"""The one place through which all goes that a command prints.

On a terminal, `rich` folds text to its width, and a line may be shown that the next one replaces.
`rich.progress` would hide the cursor, for good where TensorFlow aborts the process, and draw from
a thread. Anywhere else (a pipe, a file, `TERM=dumb`) lines are printed as they are.
"""

import contextlib
import errno
import functools
import os
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# What is shown at once, as long as it takes.
LOADING, STARTING = "Loading the data ...", "Starting TensorFlow ..."
UNBOUNDED = 100_000  # columns, where there is no terminal
MIN_BAR, MAX_BAR = 6, 30  # columns
# Is set for what a notebook's cell starts by `!`. There the codes of colours take places in a line,
# and what is in those places stays when the line is replaced.
IN_CELL = "JPY_PARENT_PID"
_is_line_shown = False  # on the terminal, one that the next line replaces
_cell: Any = None  # in a notebook, an output for all such lines of a command


def printable(text: str) -> str:
    """Returns a line without what could move a terminal's cursor, or turn the text around.

    Names of files and classes are untrusted: they can hold such characters, and line breaks.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Returns whether a stream, or else stdout, is a terminal on which lines can be replaced."""
    is_dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return (stream or sys.stdout).isatty() and not is_dumb


def width() -> int:
    """Returns how many columns there are for a line on stdout."""
    return _console(sys.stdout, is_terminal()).width


def say(*lines: str) -> None:
    """Prints lines on stdout, folded between words.

    One that begins with two spaces is to be copied, so it is left to the terminal to break it; so
    is one with a longer word than fits, such as a path.
    """
    clear()
    for line in lines:
        text = printable(line)
        is_to_copy = line.startswith("  ") or max(map(len, text.split()), default=0) > width()
        _print(sys.stdout, text, soft_wrap=is_to_copy)


def remark(text: str, style: str = "yellow") -> None:
    """Prints a line on stderr, on a terminal folded, but for a command in it.

    style: its colour there, as `rich` names it.
    """
    clear()
    text = printable(text)
    if is_terminal(sys.stderr) or _in_notebook():
        sentence, *command = re.split(r"(?=\S+ -m lowlevel_mnist)", text, maxsplit=1)
        for part in filter(None, (sentence, *command)):
            _print(sys.stderr, part, style=style, soft_wrap=part in command)
    else:
        _print(sys.stderr, text)


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, stacked: bool = False
) -> None:
    """Prints a table on stdout; where it is too wide, some columns after the others.

    left: so many columns, the first ones, are aligned at their left, the others at their right.
    stacked: whether a table that is too wide is printed row by row instead.
    """
    from rich.cells import cell_len

    clear()
    columns = [[printable(cell) for cell in column] for column in zip(header, *rows, strict=True)]
    names = [_fold(name, max(map(cell_len, cells), default=0)) for name, *cells in columns]
    cells = [cells for _, *cells in columns]
    widths = [
        max(map(cell_len, [*name.split("\n"), *column]))
        for name, column in zip(names, cells, strict=True)
    ]
    room = width()
    if stacked and sum(widths) + len(widths) - 1 > room:
        _print_stacked(header, zip(*cells, strict=True), left)
        return
    gap = 2 if sum(widths) + 2 * (len(widths) - 1) <= room else 1
    for number, group in enumerate(_groups(widths, room, gap)):
        if number:
            say("")
        shown = [(names[column], cells[column], column < left) for column in group]
        _print_grid(shown, gap)


def _print_grid(columns: Sequence[tuple[str, Sequence[str], bool]], gap: int) -> None:
    """Prints a table that fits; columns: the name and the cells of each, and if it is at the left.

    gap: spaces between two columns.
    """
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    height = max(name.count("\n") for name, *_ in columns)
    for name, _, is_left in columns:
        head = "\n" * (height - name.count("\n")) + name
        grid.add_column(head, justify="left" if is_left else "right", overflow="fold")
    for row in zip(*(cells for _, cells, _ in columns), strict=True):
        grid.add_row(*row)
    _print(sys.stdout, grid)


def _print_stacked(header: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> None:
    from rich.padding import Padding

    for first, *others in rows:
        pairs = zip(header[left:], others[left - 1 :], strict=True)
        known = [f"{name} {cell}" for name, cell in pairs if cell != "-"]
        _print(sys.stdout, first, soft_wrap=True)
        _print(sys.stdout, Padding(", ".join([*others[: left - 1], *known]), (0, 0, 0, 4)))


def _fold(name: str, widest: int) -> str:
    """Returns the name of a column, on a terminal with line breaks if its cells are narrower."""
    from rich.cells import cell_len

    return name.replace(" ", "\n") if is_terminal() and cell_len(name) > widest else name


def _groups(widths: Sequence[int], room: int, gap: int) -> list[list[int]]:
    """Returns the numbers of columns in groups that fit the width, each with the first column.

    `rich` itself would make all of them narrower, and break words.
    """
    groups, used = [[0]], widths[0]
    for column, needed in enumerate(widths[1:], start=1):
        if used + gap + needed > room and groups[-1] != [0]:
            groups.append([0])
            used = widths[0]
        groups[-1].append(column)
        used += gap + needed
    return groups


def print_blocks(lines: Sequence[str]) -> None:
    """Prints a picture of block characters in black on white, on a terminal that can show it."""
    from rich.text import Text

    console = _console(sys.stdout, is_terminal())
    can_show = console.color_system and not (console.no_color or console.options.ascii_only)
    if can_show and len(lines[0]) <= console.width:
        clear()
        for line in lines:
            _print(sys.stdout, Text(line, "#000000 on #ffffff"))


def show(*parts: "RenderableType") -> None:
    """Shows a line that the next one replaces, on a terminal or in a notebook only.

    parts: strings, and whatever else `rich` can draw.
    """
    global _is_line_shown, _cell
    if is_terminal():
        _replace_line(*parts)
        _is_line_shown = True
    elif _in_notebook():
        from IPython.display import display

        console = _console(sys.stdout, False)
        with console.capture() as capture:
            console.print(*parts, sep="", end="")
        content = {"text/plain": capture.get()}
        if _cell is None:
            _cell = display(content, raw=True, display_id=True)
        else:
            _cell.update(content, raw=True)


def show_progress(done: int, total: int, title: str, *texts: str) -> None:
    """Shows a bar as `show` does a line.

    title: stands before the bar; texts: after it, the longest first, of which one that fits is
    taken.
    """
    from rich.text import Text

    if not (is_terminal() or _in_notebook()):
        return
    room = width() - len(title) - 3
    text = next((text for text in texts if len(text) + MIN_BAR <= room), texts[-1])
    if len(text) + MIN_BAR > room:
        show(f"{title} {text}")
        return
    length = min(room - len(text), MAX_BAR)
    full = length * done // total
    is_ascii = _console(sys.stdout, is_terminal()).options.ascii_only
    drawn, rest = "#-" if is_ascii else "━─"
    show(f"{title} ", Text(drawn * full, "green"), Text(rest * (length - full), "dim"), f" {text}")


def clear() -> None:
    """Removes the line that `show` has shown."""
    global _is_line_shown
    if _is_line_shown:
        _is_line_shown = False
        _replace_line("")
    if _cell is not None:
        _cell.update({"text/plain": ""}, raw=True)


def end() -> None:
    """Removes that line at the end of a command: the next one has another cell."""
    global _cell
    clear()
    _cell = None


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Enters a context in which nothing comes to stdout."""
    with (
        pathlib.Path(os.devnull).open("w", encoding="utf-8", errors="replace") as null,
        contextlib.redirect_stdout(null),
    ):
        yield


def _in_notebook() -> bool:
    return type(sys.stdout).__module__.startswith("ipykernel.")


def _replace_line(*parts: "RenderableType") -> None:
    from rich.control import Control
    from rich.segment import ControlType

    console, start = _console(sys.stdout, True), Control(ControlType.CARRIAGE_RETURN)
    with _terminal_may_be_gone(), console:  # all at once
        console.control(start, Control((ControlType.ERASE_IN_LINE, 2)))
        # The cell of a notebook that runs `!python -m ...` knows no such code.
        console.print(" " * (console.width - 1), end="")
        console.control(start)
        console.print(*parts, sep="", end="", no_wrap=True, overflow="crop")
        console.control(start)  # what others print replaces it, too


def _print(
    stream: IO[str], content: "RenderableType", style: str | None = None, soft_wrap: bool = False
) -> None:
    console = _console(stream, is_terminal(stream))
    with _terminal_may_be_gone():
        if console.is_terminal:
            console.print(content, style=style, soft_wrap=soft_wrap)
        elif isinstance(content, str):
            print(content.rstrip(), file=stream, flush=True)
        else:
            with console.capture() as capture:
                console.print(content)
            lines = capture.get().splitlines()
            print(*(line.rstrip() for line in lines), sep="\n", file=stream, flush=True)


@functools.lru_cache(maxsize=4)
def _console(stream: IO[str], on_terminal: bool) -> "Console":
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=on_terminal,
        force_jupyter=False,
        color_system=None if IN_CELL in os.environ else "auto",
        width=None if on_terminal else UNBOUNDED,
        markup=False,
        emoji=False,
        highlight=False,
    )


@contextlib.contextmanager
def _terminal_may_be_gone() -> Iterator[None]:
    """Ignores that a terminal is gone: a signal says so, too."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
