"""`python -m lowlevel_mnist.predict`: reads pictures that a person has made."""

import math
import pathlib

import numpy as np
from PIL import Image

from lowlevel_mnist import data
from lowlevel_mnist.console import cli, flags, output
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import pictures

MAX_PICTURES = 400
MAX_BAR = 40  # characters, for a probability of 1
LEVELS = " .:-=+*#%@"  # from black to white, for the terminal


def parse():
    parser = flags.Parser("predict")
    flags.add_run_flag(parser)
    parser.add_argument(
        "images",
        type=pathlib.Path,
        nargs="+",
        metavar="IMAGE",
        help=f"a picture of any size ({', '.join(pictures.FORMATS)}), or a folder of them",
    )
    parser.add_argument(
        "--save",
        type=pathlib.Path,
        metavar="FILE",
        help="save the sheet of all pictures as FILE (.png, .jpg, .pdf or .svg; default: "
        "predictions.png in the run's folder)",
    )
    return parser.parse_args()


def main(arguments):
    if arguments.save:
        flags.check_file_name(arguments.save)
    run = folders.find(arguments.run)
    paths = [path for given in arguments.images for path in pictures.find(given)]
    if len(paths) > MAX_PICTURES:
        raise UserError(
            f"{len(paths)} pictures are more than the {MAX_PICTURES} at a time that fit on one "
            "sheet."
        )
    readings, errors = read(paths, run.settings.image_style, run.settings.invert)
    if not readings:
        raise_errors(errors)
    images = np.stack([reading.image for _, reading in readings])
    output.show(output.STARTING)
    model = run.load_model()
    from lowlevel_mnist import metrics, plots
    from lowlevel_mnist.console import figures

    probabilities = metrics.predict(model, images)
    learnt_on = data.TITLES[run.settings.dataset]
    names = run.settings.class_names
    with_images = [label for label, name in enumerate(names) if name is not None]
    shown = np.union1d(with_images, probabilities.argmax(axis=1))
    names = [names[label] or str(label) for label in shown]
    probabilities = probabilities[:, shown]
    # A file's name may have bytes that are no text.
    files = [str(path).encode(errors="replace").decode() for path, _ in readings]
    output.say(f"Run {run.folder}: {run.settings.title}, learnt on {learnt_on}", "")
    for file, (_, reading), row in zip(files, readings, probabilities, strict=True):
        print_prediction(file, reading, row, names)
    picture = arguments.save or run.folder / "predictions.png"
    titles = [pathlib.PurePath(file).name for file in files]
    content = images, probabilities, names, titles, learnt_on
    advice = "Choose another file with --save."
    try:
        figures.save_picture(picture, plots.predictions, *content, advice=advice)
        output.say(f"Saved in {picture}")
    except UserError as error:
        errors.append(str(error))
    if errors:
        raise_errors(errors)


def read(paths, style, invert):
    """Returns (path, `pictures.Reading`) of all that can be read, and sentences on the others."""
    readings, errors = [], []
    for number, path in enumerate(paths, start=1):
        output.show_progress(number, len(paths), "Reading pictures", f"{number}/{len(paths)}")
        try:
            readings.append((path, pictures.read(path, style, invert)))
        except UserError as error:
            errors.append(str(error))
    output.clear()
    return readings, errors


def raise_errors(errors):
    """Prints sentences on pictures that can't be read, and raises a `UserError` with the last."""
    for error in errors[:-1]:
        output.remark(error, style="red")
    raise UserError(errors[-1])


def print_prediction(file, reading, probabilities, names):
    """Prints the picture as it was understood, and the table of probabilities."""
    output.say(f"{file}, as it was understood:")
    # Two characters are about as wide as high. On a narrow terminal, each stands for more pixels.
    scale = math.ceil(2 * reading.image.shape[1] / output.width())
    for row in np.asarray(Image.fromarray(reading.image).reduce(scale)):
        levels = [LEVELS[int(value) * (len(LEVELS) - 1) // 255] for value in row]
        output.say("".join(2 * level for level in levels).rstrip())
    if count := reading.other_digits:
        are = "is one more piece" if count == 1 else f"are {count} more pieces"
        output.say(f"There {are} of ink that could be read for itself; this is the largest.")
    if reading.is_lined:
        output.say("Lines as strong as this are joined to it; it may be misread.")
    width = max(map(len, names))
    bar = min(MAX_BAR, output.width() - width - 10)
    for name, probability in zip(names, probabilities, strict=True):
        line = f"{name:>{width}}  {probability:>6.1%}  {'#' * round(bar * probability)}"
        output.say(line.rstrip())
    output.say(f"{file}: {names[probabilities.argmax()]} ({probabilities.max():.1%})", "")


if __name__ == "__main__":
    cli.run_command(main, parse)
