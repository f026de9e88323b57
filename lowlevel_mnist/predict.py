"""`python -m lowlevel_mnist.predict`: reads pictures that a person has made."""

import argparse
import csv
import io
import pathlib
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from lowlevel_mnist import data
from lowlevel_mnist.console import cli, flags, output, report
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders
from lowlevel_mnist.sources import layouts, pictures

MAX_DRAWN = 400  # pictures that fit on a sheet
OTHER_TABLE = "Choose another file with --csv."
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet executes


def parse() -> argparse.Namespace:
    parser = flags.Parser("predict")
    flags.add_run_flag(parser)
    flags.add_model_flag(parser)
    parser.add_argument(
        "images",
        type=pathlib.Path,
        nargs="+",
        metavar="IMAGE",
        help=f"a picture of any size ({', '.join(pictures.FORMATS)}), a folder of them and of "
        "folders, or a file of images as data sets have it (IDX, CSV, NumPy)",
    )
    parser.add_argument(
        "--save",
        type=pathlib.Path,
        metavar="FILE",
        help=f"save the sheet of the first {MAX_DRAWN} pictures as FILE (.png, .jpg, .pdf or .svg; "
        "default: predictions.png in the run's folder)",
    )
    parser.add_argument(
        "--csv",
        type=pathlib.Path,
        metavar="FILE",
        help="write a table of all pictures, too: image, class, probability of each class",
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    if arguments.save:
        flags.check_file_name(arguments.save)
    run = folders.find(arguments.run)
    run.check_model_flag(arguments.model)
    if arguments.csv:
        flags.check_file_name(arguments.csv, "table", (".csv",))
        run.check_not_own(arguments.csv)
        files.check_writable(arguments.csv, OTHER_TABLE)
    paths = [path for given in arguments.images for path in pictures.find(given)]
    for file in filter(None, (arguments.csv, arguments.save)):
        if file.resolve() in [path.resolve() for path in paths]:
            raise UserError(f"{file} is to be read, so nothing is written there.")
    names, readings, errors = read(paths, run)
    if not readings:
        raise_errors(errors)
    images = np.stack([reading.image for reading in readings])
    output.show(output.STARTING)
    model = run.load_model(arguments.model)
    from lowlevel_mnist import metrics
    from lowlevel_mnist.console import figures

    probabilities = metrics.predict(model, images)
    classes = np.union1d(run.known_classes, probabilities.argmax(axis=1))
    probabilities = probabilities[:, classes]
    class_names = [run.class_names[label] for label in classes]
    if arguments.csv:  # first, as a reader of what is printed, such as `head`, may leave early
        write_csv(arguments.csv, names, probabilities, class_names)
    learnt_on = data.TITLES[run.settings.dataset]
    output.say(f"Run {run.folder}: {run.settings.title}, learnt on {learnt_on}", "")
    report.print_predictions(names, readings, probabilities, class_names)
    if arguments.csv:
        output.say(f"Saved in {arguments.csv}")
    sheet = arguments.save or run.folder / "predictions.png"
    drawn_names = figures.names_to_draw(run.class_names, classes)
    try:
        which = save_sheet(sheet, names, images, probabilities, drawn_names, learnt_on)
        output.say(f"Saved in {sheet}{which}")
    except UserError as error:
        errors.append(str(error))
    if errors:
        raise_errors(errors)


def read(
    paths: Sequence[pathlib.Path], run: folders.SavedRun
) -> tuple[list[str], list[pictures.Reading], list[str]]:
    """Returns a name and a `pictures.Reading` of each image that can be read, and errors, in words.

    An image of a data file is called by its number, from 1; after the file's name, where it is not
    the only one.
    """
    names, readings, errors = [], [], []
    for number, path in enumerate(paths, start=1):
        report.show_reading(number, len(paths))
        # A file's name may have bytes that are no text.
        name = str(path).encode(errors="replace").decode()
        try:
            if layouts.is_data_file(path):
                found = read_data(path, run)
                before = f"{name}:" if len(paths) > 1 else ""
                names += [f"{before}{row}" for row in range(1, len(found) + 1)]
            else:
                found = [pictures.read(path, run.settings.image_style, run.settings.invert)]
                names.append(name)
            readings += found
        except UserError as error:
            errors.append(str(error))
    output.clear()
    return names, readings, errors


def read_data(path: pathlib.Path, run: folders.SavedRun) -> list[pictures.Reading]:
    """Returns a `pictures.Reading` of each image of a data file: they are as the network's.

    Raises `UserError` where there are none, or not of the network's size.
    """
    images = layouts.read_images(path)
    run.check_size(images, path)
    return [pictures.Reading(255 - image if run.settings.invert else image) for image in images]


def save_sheet(
    path: pathlib.Path,
    names: Sequence[str],
    images: npt.NDArray[np.uint8],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    learnt_on: str,
) -> str:
    """Draws the pictures, or the first of them, and returns which, in words, where it is not all.

    names, class_names: of pictures and classes; images: `uint8` [pictures, height, width];
    probabilities: float [pictures, classes]; learnt_on: the title of the network's data.
    Raises `UserError` where the sheet can't be saved.
    """
    from lowlevel_mnist import plots
    from lowlevel_mnist.console import figures

    which = f"the first {MAX_DRAWN} of {len(names):,}" if len(names) > MAX_DRAWN else ""
    title = f"{which}, as" if which else "as"
    title = f"{title[0].upper()}{title[1:]} understood by a network that learnt on {learnt_on}"
    titles = [pathlib.PurePath(output.printable(name)).name for name in names[:MAX_DRAWN]]
    content = images[:MAX_DRAWN], probabilities[:MAX_DRAWN], class_names, titles, title
    advice = "Choose another file with --save."
    figures.save_picture(path, plots.predictions, *content, advice=advice)
    return f": {which}" if which else ""


def raise_errors(errors: Sequence[str]) -> NoReturn:
    """Prints sentences on pictures that can't be read, and raises a `UserError` with the last."""
    for error in errors[:-1]:
        output.remark(error, style="red")
    raise UserError(errors[-1])


def write_csv(
    path: pathlib.Path, names: Sequence[str], probabilities: np.ndarray, class_names: Sequence[str]
) -> None:
    """Writes a table of all pictures: name, class and the probability of each class.

    names, class_names: of pictures and classes; probabilities: float [pictures, classes].
    Raises `UserError` where it can't be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "class", *class_names])
    for name, row in zip(names, probabilities, strict=True):
        # The same file by another name, which no spreadsheet takes for a formula.
        cell = f"./{name}" if name.startswith(FORMULA) else name
        writer.writerow([cell, class_names[row.argmax()], *map(str, row)])
    # Excel takes a file without this mark for one of the local encoding.
    encoding = "utf-8" if text.getvalue().isascii() else "utf-8-sig"
    with files.atomic_write(path, OTHER_TABLE) as unfinished:
        unfinished.write_text(text.getvalue(), encoding=encoding, newline="")


if __name__ == "__main__":
    cli.run_command(main, parse)
