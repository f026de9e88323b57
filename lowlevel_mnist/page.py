"""`python -m lowlevel_mnist.page`: writes a run's network as a page to draw on, one HTML file."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from lowlevel_mnist import data
from lowlevel_mnist.browser import content, serving
from lowlevel_mnist.browser.assembly import assemble
from lowlevel_mnist.console import cli, flags, output, report
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders
from lowlevel_mnist.sources.image_style import ImageStyle

if TYPE_CHECKING:
    from lowlevel_mnist.model import Network

PAGE = "page.html"
SUFFIXES = (".html", ".htm")


def parse() -> argparse.Namespace:
    parser = flags.Parser("page")
    flags.add_run_flag(parser)
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        metavar="FILE",
        help=f"where to save the page (default: {PAGE} in the run's folder)",
    )
    parser.add_argument(
        "--serve",
        action="store_true",
        help="then serve the page, and nothing else, to phones in the same network, until Ctrl-C",
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    output.show(output.LOADING)
    run = folders.find(arguments.run)
    if run.settings.model:
        raise UserError(
            "A page draws for dense networks only, the package's own, and not for "
            f"{run.settings.model}, the network of the run in {run.folder}."
        )
    if arguments.to:
        flags.check_file_name(arguments.to, "page", SUFFIXES)
    content.check_size(run.settings.parameters)
    dataset = run.load_data(report.show_reading)
    output.show(output.STARTING)
    path = arguments.to or run.folder / PAGE
    write(path, run.load_model(), dataset, run.settings.title, run.settings.image_style)
    page = path.read_bytes()
    output.say(
        f"Run {run.folder}: {run.settings.title}, learnt on {dataset.title}",
        f"Saved in {path} ({len(page) / 1e6:.1f} MB)",
        "Open it in a browser and draw; it needs nothing else.",
    )
    if arguments.serve:
        serving.serve(page)
    else:
        output.say("An iPhone runs no scripts in a file: for one, add --serve.")


def write(
    file: pathlib.Path | str,
    model: "Network",
    dataset: data.Dataset,
    recipe: str | None = None,
    style: ImageStyle | None = None,
) -> None:
    """Writes a page to draw on, one HTML file.

    model: a `model.Network`, trained on `dataset`; also one of your own, without a run.
    recipe: its name, if it has one.
    style: that of the images, if it is known; otherwise it is measured on the training images.
    Raises `ValueError` for a model that a page can't have or that is not for this data, and its
    subclass `UserError` where the file can't be written or the network is too large.
    """
    page = assemble(content.describe(model, dataset, recipe, style))
    with files.atomic_write(pathlib.Path(file), "Choose another file with --to.") as unfinished:
        unfinished.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    cli.run_command(main, parse)
