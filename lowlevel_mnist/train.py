"""`python -m lowlevel_mnist.train`: trains a recipe's network and keeps the run in a folder.

The whole walkthrough is the function `train`: read it from top to bottom.
"""

import argparse
import math
import pathlib

from lowlevel_mnist import data
from lowlevel_mnist.console import cli, flags, interruption, output, report
from lowlevel_mnist.distribution.run import join
from lowlevel_mnist.errors import Interrupted
from lowlevel_mnist.recipes import (
    DEFAULT_LEARNING_RATES,
    DISTRIBUTIONS,
    EXECUTIONS,
    RECIPES,
    SCHEDULES,
)
from lowlevel_mnist.runs.run import Run
from lowlevel_mnist.runs.settings import DEFAULT_WEIGHT_DECAY, DEFAULTS, DTYPES, MAX_UNITS
from lowlevel_mnist.sources import published


def main(arguments: argparse.Namespace) -> None:
    if arguments.list:
        report.print_recipes()
        return
    output.show(output.LOADING)
    train(Run(arguments) if arguments.distribute == "none" else join(arguments))


def train(run: Run) -> None:
    """Trains a network, from the first image to the last picture.

    run: what is to be trained, as the flags say, and where it is kept.
    """
    # Step 1: load the data, and set images aside for validation, unless it brings some.
    dataset = data.load(**run.data_source, show_progress=report.show_reading)
    report.print_remarks(dataset)
    settings = run.resolve_settings(dataset)
    training, validation = data.split(
        dataset.train_images, dataset.train_labels, settings.validation_split, settings.seed
    )
    validation = validation or dataset.validation
    with run.open(training):
        # TensorFlow takes seconds to import: not before the flags and the data are found good.
        output.show(output.STARTING)
        tf = run.start_tensorflow()
        from lowlevel_mnist import metrics, preprocessing
        from lowlevel_mnist.console import figures, tensorboard
        from lowlevel_mnist.model import Network
        from lowlevel_mnist.optimizers import OPTIMIZERS

        # Step 2: from images to rows of pixels, from labels to one-hot rows.
        images, labels = training
        pixels = preprocessing.flatten(images)
        one_hot = preprocessing.one_hot(labels, settings.layer_sizes[-1], tf.uint8)

        # Steps 3 and 5: the network, and the optimizer. Step 4, the cost, comes with each batch.
        network = run.own_network or Network
        model = network(settings.layer_sizes, settings.seed, settings.dtype)
        rule = OPTIMIZERS[settings.optimizer]
        rate, options = settings.learning_rate, settings.optimizer_options
        optimizer = rule(model.trainable_variables, rate, **options)
        trainer = run.make_trainer(model, optimizer)
        state = run.restore(model, optimizer)
        report.print_header(tf, run, dataset, training, validation, model, state)

        # Step 6: epochs, half a second of steps at a time. Ctrl-C takes effect after these, or if
        # they were the last of an epoch, when the epoch is finished.
        with interruption.defer_signals() as request:
            for epoch in range(len(state.history) + 1, settings.epochs + 1):
                if run.is_exhausted(state):  # by --patience
                    break
                for progress in trainer.train_blocks(pixels, one_hot, epoch, state.progress):
                    if signal := run.stop_requested(request.signal):
                        break
                    report.show_progress(epoch, settings.epochs, progress)
                if progress.step < progress.steps:
                    state.progress = progress
                    run.save(epoch, progress)
                else:
                    evaluation = metrics.evaluate(model, *validation) if validation else None
                    state.finish_epoch(progress, evaluation, optimizer.learning_rate)
                    tensorboard.write_epoch(run, dataset, state, model, evaluation)
                    run.save(epoch, progress)
                    report.print_epoch(epoch, settings.epochs, progress, evaluation)
                if signal:
                    raise Interrupted(signal, f"Interrupted after {state.where}.")
        if not run.is_chief:  # another worker, the chief, tests and keeps the network
            return

        # Step 7: test it. Step 8: draw what it says of random test images.
        test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
        if not run.flags.no_plots:
            figures.draw_run(run.folder, dataset, state, test, model, settings.seed)
        tensorboard.write_test(run, dataset, state, test)
        run.write_results(test, tf.__version__)
    report.print_results(run, state, test, dataset)


def parse() -> argparse.Namespace:
    parser = flags.Parser("train")
    add, recipe = parser.add_argument, "(default: the recipe's)"
    add(
        "--recipe",
        choices=RECIPES,
        metavar="NAME",
        help=f"the network and its settings, one of --list (default: {DEFAULTS['recipe']})",
    )
    add(
        "--dataset",
        choices=["auto", *published.PUBLISHED, "digits"],
        help=f"the data set; auto is MNIST, or where it can't be had, the built-in digits {recipe}",
    )
    add(
        "--data-dir",
        type=pathlib.Path,
        metavar="PATH",
        help="a folder with a folder of pictures for each class, or with IDX, .npz, .npy or CSV "
        f"files, or one of them (default: the folder in {data.ENVIRONMENT_VARIABLE}, or else "
        "Keras's cache and downloader)",
    )
    add(
        "--invert",
        action="store_true",
        default=None,
        help="exchange light and dark, for images that are dark on light",
    )
    add(
        "--hidden-units",
        type=flags.whole_number(1, MAX_UNITS, several=True),
        nargs="+",
        metavar="N",
        help=f"units of each hidden layer {recipe}",
    )
    add(
        "--dropout",
        type=flags.number("a number from 0 to below 1", lambda value: 0 <= value < 1),
        metavar="RATE",
        help=f"fraction of the hidden outputs that a training step drops {recipe}",
    )
    flags.add_model_flag(parser)
    add("--optimizer", choices=DEFAULT_LEARNING_RATES, help=f"the update rule {recipe}")
    add(
        "--learning-rate",
        type=flags.number("a finite number above 0", lambda value: 0 < value < math.inf),
        metavar="F",
        help="size of a step (default: the recipe's, or Keras's for another optimizer)",
    )
    add(
        "--momentum",
        type=flags.number("a number from 0 to below 1", lambda value: 0 <= value < 1),
        metavar="F",
        help="for sgd: the part of its last step that each step goes on with (default: 0)",
    )
    add(
        "--nesterov",
        action="store_true",
        default=None,
        help="for sgd with momentum: Nesterov's, which looks one step ahead",
    )
    add(
        "--weight-decay",
        type=flags.number("a finite number of 0 or more", lambda value: 0 <= value < math.inf),
        metavar="F",
        help="for adamw: the part of each weight, times the learning rate, that a step takes away "
        f"(default: {DEFAULT_WEIGHT_DECAY})",
    )
    add(
        "--clip-norm",
        type=flags.number("a finite number above 0", lambda value: 0 < value < math.inf),
        metavar="F",
        help="make all gradients shorter where together they are longer (default: they stay)",
    )
    add(
        "--label-smoothing",
        type=flags.number("a number from 0 to below 1", lambda value: 0 <= value < 1),
        metavar="F",
        help="in training, share this fraction of each label out among all classes (default: 0)",
    )
    add(
        "--schedule",
        choices=SCHEDULES,
        help="how the learning rate falls over the run: not, to a hundredth, like a cosine to 0 "
        "after a warm-up, or to a tenth after half of the steps and a hundredth after three "
        f"quarters (default: {DEFAULTS['schedule']})",
    )
    add("--batch-size", type=flags.whole_number(1), metavar="N", help=f"images in a step {recipe}")
    add(
        "--epochs", type=flags.whole_number(1), metavar="N", help=f"passes over all images {recipe}"
    )
    add(
        "--patience",
        type=flags.whole_number(1),
        metavar="N",
        help="stop early: after N epochs in which the validation loss was not lower than before, "
        "with the weights of the best epoch (default: train all epochs)",
    )
    add(
        "--validation-split",
        type=flags.number("a number between 0 and 1", lambda value: 0 < value < 1),
        metavar="F",
        help=f"fraction of the training images that is set aside for validation {recipe}",
    )
    add(
        "--execution",
        choices=EXECUTIONS,
        help="each operation at once, or the same step compiled as a graph or by XLA "
        f"(default: {DEFAULTS['execution']})",
    )
    add(
        "--distribute",
        choices=DISTRIBUTIONS,
        default="none",
        help="share each batch among the devices of this machine, or among the workers that "
        "TF_CONFIG names (default: none)",
    )
    add("--dtype", choices=DTYPES, help=f"precision (default: {DEFAULTS['dtype']})")
    add(
        "--seed",
        type=flags.whole_number(0),
        metavar="N",
        help=f"same seed, same run (default: {DEFAULTS['seed']})",
    )
    add(
        "--output-dir",
        type=pathlib.Path,
        metavar="DIR",
        help="the run's folder, absent or empty (default: runs/<UTC time>-<recipe>)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --output-dir where it stood; of its settings, only --epochs "
        "and --patience may change, and only grow",
    )
    add("--no-plots", action="store_true", help="draw no pictures")
    add(
        "--tensorboard",
        action="store_true",
        help="write what TensorBoard shows after each epoch: curves, weights, confusion matrices",
    )
    add("--list", action="store_true", help="print the recipes and stop")
    arguments = parser.parse_args()
    if arguments.resume and not arguments.output_dir:
        parser.error("--resume needs --output-dir, the folder of the run to go on with")
    return arguments


if __name__ == "__main__":
    cli.run_command(main, parse)
