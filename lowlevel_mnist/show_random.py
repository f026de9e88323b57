"""`python -m lowlevel_mnist.show_random`: shows random test images with what the network says."""

import argparse
import pathlib
import secrets

from lowlevel_mnist.console import cli, flags, output, report
from lowlevel_mnist.runs import folders

MAX_IMAGES = 400  # more panels make a picture that no screen shows
PICTURE = "show_random.png"  # the run's own random_predictions.png stays as it is


def parse() -> argparse.Namespace:
    parser = flags.Parser("show_random")
    flags.add_run_flag(parser)
    flags.add_model_flag(parser)
    parser.add_argument(
        "--count",
        type=flags.whole_number(1, MAX_IMAGES),
        default=24,
        metavar="N",
        help="how many images (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=flags.whole_number(0),
        metavar="N",
        help="same seed, same images (default: others each time)",
    )
    parser.add_argument("--mistakes", action="store_true", help="only images it gets wrong")
    parser.add_argument(
        "--save",
        type=pathlib.Path,
        metavar="FILE",
        help="save the picture as FILE (.png, .jpg, .pdf or .svg) instead of opening a window",
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    output.show(output.LOADING)
    if arguments.save:
        flags.check_file_name(arguments.save)
    run = folders.find(arguments.run)
    run.check_model_flag(arguments.model)
    dataset = run.load_data(report.show_reading)
    output.show(output.STARTING)
    model = run.load_model(arguments.model)
    from lowlevel_mnist import metrics, plots
    from lowlevel_mnist.console import figures

    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    shown, title, content = figures.random_images(
        dataset, test, arguments.count, seed, arguments.mistakes
    )
    output.say(f"{title}, chosen with --seed {seed}")
    if len(shown) == 0:
        output.say("The network gets every test image right.")
        return
    report.print_shown(dataset, test, shown)
    # Without a display, no window opens, and the picture goes into the run's folder.
    if arguments.save or not plots.show(plots.random_predictions, *content):
        file = arguments.save or run.folder / PICTURE
        advice = "Choose another file with --save."
        figures.save_picture(file, plots.random_predictions, *content, advice=advice)
        output.say(f"Saved in {file}")
    report.print_page_hint(run)


if __name__ == "__main__":
    cli.run_command(main, parse)
