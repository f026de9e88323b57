"""`python -m lowlevel_mnist.show_random`: shows random test images with what the network says."""

import pathlib
import secrets

from lowlevel_mnist import startup
from lowlevel_mnist.console import cli
from lowlevel_mnist.runs import folders

MOST_IMAGES = 400  # more panels make a picture that no screen shows


def parse():
    parser = cli.Parser("show_random", "Shows random test images with what the network says.")
    cli.add_run_flag(parser)
    parser.add_argument(
        "--count",
        type=cli.whole_number(1, MOST_IMAGES),
        default=24,
        metavar="N",
        help="how many images (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=cli.whole_number(0),
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


def main():
    arguments = parse()
    if arguments.save:
        cli.check_picture_name(arguments.save)
    run = folders.find(arguments.run)
    dataset = folders.load_data(run.metrics)
    # TensorFlow takes seconds to import: not before the run and its data are found good.
    startup.import_tensorflow()
    from lowlevel_mnist import metrics, plots
    from lowlevel_mnist.runs import checkpoints

    model = checkpoints.load_model(run)
    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    shown = plots.choose_images(
        dataset.test_labels, test.predictions, arguments.count, seed, arguments.mistakes
    )
    kind = "mistakes among the test images" if arguments.mistakes else "random test images"
    title = f"{len(shown)} {kind} of {dataset.title}"
    print(f"{title}, chosen with --seed {seed}")
    if len(shown) == 0:
        print("The network gets every test image right.")
        return
    print_table(dataset, test, shown)
    show_picture(arguments.save, run, dataset, test, shown, title)


def print_table(dataset, test, shown):
    names = dataset.class_names
    width = max(len("prediction"), *map(len, names))
    print(f"{'image':>6}  {'prediction':>{width}}  probability  {'true':>{width}}")
    for index in shown:
        said, label = test.predictions[index], dataset.test_labels[index]
        print(
            f"{index:>6}  {names[said]:>{width}}  {test.probabilities[index, said]:>11.1%}  "
            f"{names[label]:>{width}}{'' if said == label else '  wrong'}"
        )


def show_picture(file, run, dataset, test, shown, title):
    """Saves the picture in `file`, or opens a window, or without a display saves it in the run."""
    from lowlevel_mnist import plots

    content = (
        plots.random_predictions,
        dataset.test_images[shown],
        dataset.test_labels[shown],
        test.probabilities[shown],
        dataset.class_names,
        title,
    )
    if file is None and plots.show(*content):
        return
    file = file or run.folder / "random_predictions.png"
    cli.save_picture(file, *content)
    print(f"Saved in {file}")


if __name__ == "__main__":
    cli.run(main)
