"""`python -m lowlevel_mnist.predict`: reads pictures of digits that a person has made."""

import pathlib

import numpy as np

from lowlevel_mnist import data, startup
from lowlevel_mnist.console import ending, flags
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import pictures

MOST_PICTURES = 400
SHADES = " .:-=+*#%@"  # from paper to ink, for the terminal


def parse():
    parser = flags.Parser("predict", "Reads pictures of digits: PNG, JPEG, GIF or BMP of any size.")
    flags.add_run_flag(parser)
    parser.add_argument("images", type=pathlib.Path, nargs="+", metavar="IMAGE", help="a picture")
    return parser.parse_args()


def main():
    arguments = parse()
    run = folders.find(arguments.run)
    if run.metrics["layer_sizes"][0] != 28 * 28:
        raise UserError(f"The run {run.folder} was not trained on images of 28x28 pixels.")
    if len(arguments.images) > MOST_PICTURES:
        raise UserError(
            f"{len(arguments.images)} pictures are more than the {MOST_PICTURES} at a "
            "time that fit on one sheet."
        )
    images = np.stack([pictures.read(path) for path in arguments.images])
    # TensorFlow takes seconds to import: not before the run and the pictures are found good.
    startup.import_tensorflow()
    from lowlevel_mnist import metrics, plots
    from lowlevel_mnist.console import drawing
    from lowlevel_mnist.runs import checkpoints

    probabilities = metrics.predict(checkpoints.load_model(run), images)
    learnt_on = run.metrics["dataset"]
    names = data.class_names(learnt_on, run.metrics["layer_sizes"][-1])
    # A file's name may have bytes that are no text.
    files = [str(path).encode(errors="replace").decode() for path in arguments.images]
    print(f"Run {run.folder}: {run.metrics['recipe']}, learnt on {data.TITLES[learnt_on]}\n")
    for file, image, chances in zip(files, images, probabilities, strict=True):
        print_prediction(file, image, chances, names)
    picture = run.folder / "predictions.png"
    titles = [pathlib.PurePath(file).name for file in files]
    drawing.save_picture(
        picture, plots.predictions, images, probabilities, names, titles, data.TITLES[learnt_on]
    )
    print(f"Saved in {picture}")


def print_prediction(file, image, chances, names):
    """Prints the picture as it was understood, and the table of probabilities."""
    print(f"{file}, as it was understood:")
    for row in image:
        print("".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row).rstrip())
    width = max(map(len, names))
    for name, chance in zip(names, chances, strict=True):
        print(f"{name:>{width}}  {chance:>6.1%}  {'#' * round(40 * chance)}".rstrip())
    print(f"{file}: {names[chances.argmax()]} ({chances.max():.1%})\n")


if __name__ == "__main__":
    ending.run(main)
