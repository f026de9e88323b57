"""`python -m lowlevel_mnist.page`: writes a run's network as a page to draw on, one HTML file."""

import base64
import dataclasses
import pathlib

import numpy as np

from lowlevel_mnist import data, randomness
from lowlevel_mnist.browser.assembly import assemble
from lowlevel_mnist.console import cli, flags, output, report
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders
from lowlevel_mnist.sources.image_style import ImageStyle

PAGE = "page.html"
SUFFIXES = (".html", ".htm")
MAX_BYTES = 50_000_000  # of a page's weights: a browser takes a second to read so many
EXAMPLES = 24  # test images, where they are small
IMAGE_BYTES = 60_000  # as many bytes of test images, and a twentieth of the weights'


def parse():
    parser = flags.Parser("page")
    flags.add_run_flag(parser)
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        metavar="FILE",
        help=f"where to save the page (default: {PAGE} in the run's folder)",
    )
    return parser.parse_args()


def main(arguments):
    output.show(output.LOADING)
    run = folders.find(arguments.run)
    if arguments.to:
        flags.check_file_name(arguments.to, "page", SUFFIXES)
    check_size(run)
    dataset = run.load_data(report.show_reading)
    output.show(output.STARTING)
    model = run.load_model()
    from lowlevel_mnist import metrics

    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    page = assemble(describe(run, dataset, model, test))
    path = arguments.to or run.folder / PAGE
    with files.atomic_write(path, "Choose another file with --to.") as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    output.say(
        f"Run {run.folder}: {run.settings.title}, learnt on {dataset.title}",
        f"Saved in {path} ({len(page) / 1e6:.1f} MB)",
        "Open it in a browser, here or on a phone, and draw; it needs nothing else.",
    )


def check_size(run: folders.SavedRun) -> None:
    """Raises `UserError` where a run's network is too large for a page."""
    size = 4 * run.settings.parameters
    if size > MAX_BYTES:
        raise UserError(
            f"The network of the run {run.folder} takes {size / 1e6:,.1f} MB, and a page holds at "
            f"most {MAX_BYTES / 1e6:.0f} MB. Train one with fewer --hidden-units."
        )


def describe(run: folders.SavedRun, dataset: data.Dataset, model, test) -> dict:
    """Returns all that the page shows, for JSON.

    model: the run's `model.Network`; test: the `metrics.Evaluation` of the test images.
    """
    room = IMAGE_BYTES + 4 * run.settings.parameters // 20
    count = min(EXAMPLES, room // model.layer_sizes[0])
    labels, predictions = dataset.test_labels, test.predictions
    return {
        "recipe": run.settings.title,
        "dataset": dataset.name,
        "title": dataset.title,
        "kind": kind_of(run.settings.image_style, dataset.name),
        "classes": run.settings.class_names,
        "layerSizes": model.layer_sizes,
        "layers": [
            {"weights": in_base64(as_float32(run, w)), "biases": in_base64(as_float32(run, b))}
            for w, b in zip(model.weights, model.biases, strict=True)
        ],
        "imageStyle": dataclasses.asdict(run.settings.image_style),
        "invert": run.settings.invert,
        "accuracy": test.accuracy,
        "tested": len(labels),
        "images": [
            {
                "pixels": in_base64(dataset.test_images[index]),
                "label": int(labels[index]),
                "predicted": int(predictions[index]),
            }
            for index in choose_examples(labels, predictions, count, run.settings.seed)
        ],
    }


def kind_of(style: ImageStyle, dataset_name: str) -> str:
    """Returns what the images show, so that the page can say what to draw."""
    if dataset_name in ("mnist", "digits"):
        return "digits"
    return "drawings" if style.stroke_widths else "pictures"


def choose_examples(
    labels: np.ndarray, predictions: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Chooses test images at random, a quarter of them mistakes, the others of all classes alike.

    Where there are fewer of either, so are chosen. Returns their indices, class by class.
    """
    generator = randomness.generator(seed, randomness.SHOWN_IMAGES)
    order = generator.permutation(len(labels))
    is_right = labels[order] == predictions[order]
    mistakes, right = order[~is_right][: count // 4], order[is_right]
    turn = np.zeros(len(right), int)  # how many of its class come before an image
    for label in np.unique(labels[right]):
        turn[labels[right] == label] = np.arange(np.sum(labels[right] == label))
    others = right[np.argsort(turn, kind="stable")][: count - len(mistakes)]
    chosen = np.concatenate([others, mistakes])
    return chosen[np.argsort(labels[chosen], kind="stable")]


def as_float32(run: folders.SavedRun, variable) -> np.ndarray:
    """Returns the values of a `tf.Variable` as float32, lowest byte first.

    Raises `UserError` where they are too large for that.
    """
    values = variable.numpy()
    if np.abs(values).max() > np.finfo(np.float32).max:
        raise UserError(
            f"The network of the run {run.folder} has weights beyond the range of float32, in "
            "which a page keeps them."
        )
    return values.astype("<f4")


def in_base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).data).decode()


if __name__ == "__main__":
    cli.run_command(main, parse)
