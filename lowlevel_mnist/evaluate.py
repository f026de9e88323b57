"""`python -m lowlevel_mnist.evaluate`: tests a run's network, class by class."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from lowlevel_mnist.console import cli, flags, output, report
from lowlevel_mnist.data import Dataset
from lowlevel_mnist.runs import files, folders

if TYPE_CHECKING:
    from lowlevel_mnist.metrics import Evaluation

MAX_CONFUSED_PAIRS = 5  # that are printed


def parse() -> argparse.Namespace:
    parser = flags.Parser("evaluate")
    flags.add_run_flag(parser)
    flags.add_model_flag(parser)
    parser.add_argument(
        "--data-dir",
        type=pathlib.Path,
        metavar="PATH",
        help="test on the test images of this folder, or of the data set to which this file "
        "belongs, or on all that there are, where none are for the test (default: the run's data)",
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="write the results to FILE, too"
    )
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        metavar="DIR",
        help="where to save the confusion matrix (default: the run's folder)",
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    output.show(output.LOADING)
    run = folders.find(arguments.run)
    run.check_model_flag(arguments.model)
    if arguments.data_dir:
        dataset = run.load_test(arguments.data_dir, report.show_reading)
        report.print_remarks(dataset)
    else:
        dataset = run.load_data(report.show_reading)
    output.show(output.STARTING)
    model = run.load_model(arguments.model)
    from lowlevel_mnist import metrics, plots
    from lowlevel_mnist.console import figures

    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    classes, matrix = figures.matrix_to_show(test)
    if arguments.json:
        write_json(arguments.json, run, dataset, test)
    output.say(
        f"Run {run.folder}: {run.settings.title}",
        f"Data: {dataset.title}, {report.provenance(dataset)}",
        f"Test loss {report.format_loss(test.loss)}, test accuracy {test.accuracy:.4f} "
        f"on the {report.test_images(dataset)} of {dataset.title}",
        "",
    )
    names = [run.class_names[label] for label in classes]
    report.print_classes(metrics.per_class(matrix), names)
    report.print_matrix(matrix, names)
    report.print_confused(metrics.most_confused(matrix, MAX_CONFUSED_PAIRS), names)
    other = f"-{dataset.name}" if arguments.data_dir else ""
    picture = (arguments.to or run.folder) / f"confusion_matrix{other}.png"
    content = matrix, figures.names_to_draw(run.class_names, classes), dataset.title
    advice = "Choose another folder with --to."
    with files.os_error_as_user_error(f"The folder {picture.parent} can't be made", advice):
        picture.parent.mkdir(parents=True, exist_ok=True)
    figures.save_picture(picture, plots.confusion_matrix, *content, advice=advice)
    output.say("", f"Saved in {picture}")


def write_json(
    path: pathlib.Path, run: folders.SavedRun, dataset: Dataset, test: "Evaluation"
) -> None:
    """Writes the results. Raises `UserError` where they would replace a file of the run's own."""
    run.check_not_own(path)
    results = {
        "dataset": dataset.name,
        "dataset_verified": dataset.verified,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "confusion_matrix": test.confusion_matrix.tolist(),
    }
    files.write_json(path.resolve(), results)


if __name__ == "__main__":
    cli.run_command(main, parse)
