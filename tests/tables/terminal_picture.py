"""Makes README's picture of a terminal: a training on MNIST as it is seen while it is at work."""

import argparse
import io
import pathlib
import re
import tempfile

from rich.console import Console
from rich.style import Style
from rich.text import Text

from tests.helpers.terminal import Terminal

COLUMNS = 80


def styled(character):
    """Returns a character of the emulator's screen as `rich` writes it, with its colour."""
    names = {"default": None, "brown": "yellow"}
    color = names.get(character.fg, character.fg)
    is_hex = color and len(color) == 6 and all(c in "0123456789abcdef" for c in color)
    style = Style(color=f"#{color}" if is_hex else color, bold=character.bold)
    return Text(character.data, style)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="such as notebooks/pictures/terminal.svg")
    parser.add_argument("data", type=pathlib.Path, help="the folder of LOWLEVEL_MNIST_DATA")
    arguments = parser.parse_args()
    terminal = Terminal(COLUMNS)
    flags = ["--recipe", "mlp-128-dropout", "--validation-split", 0.1]
    with (
        tempfile.TemporaryDirectory() as folder,
        terminal.start(
            "train", *flags, cwd=folder, LOWLEVEL_MNIST_DATA=arguments.data.absolute()
        ) as process,
    ):
        terminal.read_while(lambda: not re.search(rb"4/5 .* 1\d\d\d/1688", terminal.sent))
        rows = [terminal.screen.buffer[y] for y in range(terminal.screen.cursor.y + 1)]
        picture = Console(record=True, width=COLUMNS, file=io.StringIO())
        picture.print(Text("$ python -m lowlevel_mnist.train " + " ".join(map(str, flags))))
        for row in rows:
            picture.print(Text.assemble(*(styled(row[x]) for x in range(COLUMNS))))
        process.terminate()
        terminal.read_while(lambda: process.poll() is None)
    picture.save_svg(str(arguments.file), title="A training, in its fourth epoch")


if __name__ == "__main__":
    main()
