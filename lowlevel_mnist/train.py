"""`python -m lowlevel_mnist.train`: trains a recipe's network and saves the run in a folder."""

import dataclasses
import math
import pathlib
import shlex
import sys

from lowlevel_mnist import cli, data, runs, startup
from lowlevel_mnist.errors import DivergedError, UnreachableError, UserError
from lowlevel_mnist.recipes import EXECUTIONS, OPTIMIZERS, RECIPES, Recipe

RANDOM_IMAGES = 24
MOST_UNITS = 100_000  # of a hidden layer; for 784 pixels its weights take 300 MB


def parse():
    parser = cli.Parser("train", "Trains a recipe's network and saves the run in a folder.")
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="softmax",
        help="the network and its settings (default: %(default)s)",
    )
    parser.add_argument(
        "--dataset",
        choices=["auto", *data.PUBLISHED_SUMS, "digits"],
        help="the data set; auto is MNIST, or where it can't be had, the built-in digits "
        "(default: the recipe's)",
    )
    parser.add_argument(
        "--data-dir",
        type=pathlib.Path,
        metavar="DIR",
        help="a folder with the four IDX files (raw or .gz) or one .npz (default: the one in "
        f"{data.ENVIRONMENT_VARIABLE}, or else Keras's cache and downloader)",
    )
    recipe = "(default: the recipe's)"
    parser.add_argument(
        "--hidden-units",
        type=cli.whole_number(1, MOST_UNITS),
        nargs="+",
        metavar="N",
        help=f"units of each hidden layer {recipe}",
    )
    parser.add_argument(
        "--dropout",
        type=cli.number("a number from 0 to below 1", lambda value: 0 <= value < 1),
        metavar="RATE",
        help=f"part of the hidden outputs that a training step drops {recipe}",
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help=f"the update rule {recipe}")
    parser.add_argument(
        "--learning-rate",
        type=cli.number("a finite number above 0", lambda value: 0 < value < math.inf),
        metavar="F",
        help="size of a step (default: the recipe's, or Keras's for another optimizer)",
    )
    parser.add_argument(
        "--batch-size", type=cli.whole_number(1), metavar="N", help=f"images in a step {recipe}"
    )
    parser.add_argument(
        "--epochs", type=cli.whole_number(1), metavar="N", help=f"passes over all images {recipe}"
    )
    parser.add_argument(
        "--validation-split",
        type=cli.number("a number between 0 and 1", lambda value: 0 < value < 1),
        metavar="F",
        help=f"part of the training images that is kept for validation {recipe}",
    )
    parser.add_argument(
        "--execution",
        choices=EXECUTIONS,
        default="eager",
        help="each operation at once, or the same step compiled as a graph or by XLA "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="precision (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=cli.whole_number(0),
        default=0,
        metavar="N",
        help="same seed, same run (default: %(default)s)",
    )
    parser.add_argument(
        "--output-dir",
        type=pathlib.Path,
        metavar="DIR",
        help="the run's folder, absent or empty (default: runs/<UTC time>-<recipe>)",
    )
    parser.add_argument("--no-plots", action="store_true", help="draw no pictures")
    parser.add_argument("--list", action="store_true", help="print the recipes and stop")
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.list:
        print_recipes()
        return
    recipe = override(RECIPES[arguments.recipe], arguments)
    if recipe.dropout and not recipe.hidden_units:
        raise UserError(
            f"--dropout {recipe.dropout:g} has nothing to drop: {recipe.name} has no hidden "
            "layer. Give it one with --hidden-units."
        )
    dataset = load_data(arguments.dataset, arguments.data_dir, recipe)
    training, validation = split(dataset, recipe.validation_split, arguments.seed)
    if recipe.batch_size > len(training[1]):
        raise UserError(
            f"--batch-size {recipe.batch_size} is larger than the data: there are "
            f"{len(training[1]):,} training images. Choose a smaller one."
        )
    with runs.new_folder(arguments.output_dir, recipe.name) as folder:
        run = train(recipe, dataset, training, validation, arguments, folder)
    print_results(run, dataset)


def print_recipes():
    table = [[field.name.replace("_", " ") for field in dataclasses.fields(Recipe)]]
    for recipe in RECIPES.values():
        table.append([_cell(value) for value in dataclasses.astuple(recipe)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _cell(value):
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value == 0 else str(value)


def load_data(name, data_dir, recipe):
    """Returns the `data.Dataset` that the flags and the recipe ask for.

    A folder without a name holds what it holds; a name without a folder is looked for.
    """
    if data_dir and name in (None, "auto"):
        return data.load(None, data_dir)
    name = name or recipe.dataset
    if name != "auto":
        return data.load(name, data_dir)
    try:
        return data.load("mnist")
    except UnreachableError as error:
        print(f"{error} Meanwhile the network learns from the built-in digits.", file=sys.stderr)
        return data.load("digits")


def override(recipe, arguments):
    """Returns the recipe with the values of the flags that were given."""
    flags = vars(arguments)
    names = [field.name for field in dataclasses.fields(Recipe) if field.name in flags]
    given = {name: flags[name] for name in names if flags[name] is not None}
    given.pop("dataset", None)  # where data comes from is settled by load_data
    if given.get("optimizer", recipe.optimizer) != recipe.optimizer:
        given.setdefault("learning_rate", OPTIMIZERS[given["optimizer"]])
    return dataclasses.replace(recipe, **given)


def split(dataset, fraction, seed):
    """Returns (images, labels) for training, and for validation or None."""
    if fraction == 0:
        return (dataset.train_images, dataset.train_labels), None
    return data.split(dataset.train_images, dataset.train_labels, fraction, seed)


def train(recipe, dataset, training, validation, arguments, folder):
    """Trains, evaluates, and fills the run's folder. Returns the `runs.Run`."""
    # TensorFlow takes seconds to import: not before the flags and the data are found good.
    tf = startup.import_tensorflow(xla=arguments.execution == "xla")
    from lowlevel_mnist import checkpoints, metrics
    from lowlevel_mnist.model import Network
    from lowlevel_mnist.optimizers import OPTIMIZERS

    dtype = tf.as_dtype(arguments.dtype)
    height, width = dataset.train_images.shape[1:]
    layer_sizes = [height * width, *recipe.hidden_units, dataset.classes]
    model = Network(layer_sizes, arguments.seed, dtype)
    optimizer = OPTIMIZERS[recipe.optimizer](model.trainable_variables, recipe.learning_rate)
    run = runs.Run(folder, describe(recipe, dataset, arguments, model, tf.__version__))
    print_header(run.metrics, dataset, training, validation, model, tf.executing_eagerly())

    history = train_epochs(recipe, model, optimizer, training, validation, arguments)
    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    check_finite(test.loss, recipe, "after the last step")
    run.metrics.update(
        history=history,
        test_loss=test.loss,
        test_accuracy=test.accuracy,
        confusion_matrix=test.confusion_matrix.tolist(),
    )
    checkpoints.save(folder, model, optimizer)
    if not arguments.no_plots:
        draw_pictures(run, dataset, test, model)
    runs.write(run)
    return run


def describe(recipe, dataset, arguments, model, tensorflow_version):
    """Returns what `metrics.json` says of a run before it has begun."""
    return {
        "recipe": recipe.name,
        "dataset": dataset.name,
        "dataset_source": dataset.source,
        "dataset_verified": dataset.verified,
        "data_dir": arguments.data_dir and str(arguments.data_dir.resolve()),
        "execution": arguments.execution,
        "dtype": arguments.dtype,
        "seed": arguments.seed,
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "validation_split": recipe.validation_split,
        "optimizer": recipe.optimizer,
        "learning_rate": recipe.learning_rate,
        "layer_sizes": list(model.layer_sizes),
        "dropout": recipe.dropout,
        "parameters": sum(math.prod(variable.shape) for variable in model.trainable_variables),
        "tensorflow": tensorflow_version,
    }


def print_header(described, dataset, training, validation, model, executing_eagerly):
    device = model.weights[0].device.rpartition("device:")[2]
    parts = [(training, "training"), (validation, "validation")]
    counts = [f"{len(part[1]):,} {name}" for part, name in parts if part is not None]
    dropout = f", dropout {described['dropout']:g}" if described["dropout"] else ""
    print(
        f"TensorFlow {described['tensorflow']}, "
        f"eager execution {'on' if executing_eagerly else 'off'}, "
        f"steps executed: {described['execution']}, device {device}\n"
        f"Data: {dataset.title}, {dataset.provenance}, "
        f"{', '.join(counts)} and {len(dataset.test_labels):,} test images of "
        f"{'x'.join(map(str, dataset.train_images.shape[1:]))}, {dataset.classes} classes\n"
        f"Network: {described['recipe']}, {'-'.join(map(str, described['layer_sizes']))}{dropout}, "
        f"{described['parameters']:,} parameters, {described['optimizer']} with learning rate "
        f"{described['learning_rate']:g}, batch size {described['batch_size']}, "
        f"seed {described['seed']}",
        flush=True,
    )


def train_epochs(recipe, model, optimizer, train_part, validation_part, arguments):
    """Trains all epochs with a line of progress. Returns the history, a dictionary an epoch."""
    from lowlevel_mnist import metrics, preprocessing
    from lowlevel_mnist.training import Trainer

    images, labels = train_part
    pixels = preprocessing.flatten(images)
    one_hot = preprocessing.one_hot(labels, model.layer_sizes[-1], model.weights[0].dtype)
    trainer = Trainer(
        model, optimizer, recipe.batch_size, recipe.dropout, arguments.seed, arguments.execution
    )
    history = []
    for epoch in range(1, recipe.epochs + 1):
        for progress in trainer.train_epoch(pixels, one_hot, epoch):
            check_finite(progress.loss, recipe, f"by step {progress.step} of epoch {epoch}")
            cli.show_progress(epoch, recipe.epochs, progress)
        validation = metrics.evaluate(model, *validation_part) if validation_part else None
        cli.show_epoch(epoch, recipe.epochs, progress, validation)
        history.append(
            {
                "epoch": epoch,
                "loss": progress.loss,
                "accuracy": progress.accuracy,
                "val_loss": validation and validation.loss,
                "val_accuracy": validation and validation.accuracy,
                "seconds": progress.seconds,
            }
        )
    return history


def check_finite(loss, recipe, when):
    if not math.isfinite(loss):
        raise DivergedError(
            f"The cost became {loss} {when}: the training diverged. Try a much smaller "
            f"--learning-rate than {recipe.learning_rate:g}."
        )


def draw_pictures(run, dataset, test, model):
    from lowlevel_mnist import plots

    title, names = dataset.title, dataset.class_names
    history, seed = run.metrics["history"], run.metrics["seed"]
    result = f"{title}: {test.accuracy:.2%} of the test images are right"
    shown = plots.choose_images(dataset.test_labels, test.predictions, RANDOM_IMAGES, seed)
    pictures = {
        "samples.png": (plots.samples, dataset.train_images, dataset.train_labels, names, title),
        "curves.png": (plots.curves, history, test.loss, test.accuracy, result),
        "confusion_matrix.png": (plots.confusion_matrix, test.confusion_matrix, names, result),
        "random_predictions.png": (
            plots.random_predictions,
            dataset.test_images[shown],
            dataset.test_labels[shown],
            test.probabilities[shown],
            names,
            f"{len(shown)} random test images of {title}",
        ),
    }
    if len(model.weights) == 1:
        pictures["weights.png"] = (
            plots.weights,
            model.weights[0].numpy(),
            dataset.train_images.shape[1:],
            names,
            f"What speaks for each class and what against, learnt on {title}",
        )
    for file, (draw, *content) in pictures.items():
        cli.save_picture(run.folder / file, draw, *content)


def print_results(run, dataset):
    metrics, folder = run.metrics, shlex.quote(str(run.folder))
    if metrics["validation_split"]:
        best = max(metrics["history"], key=lambda row: row["val_accuracy"])
        print(
            f"Best epoch: {best['epoch']}, validation accuracy {best['val_accuracy']:.4f}, "
            f"loss {best['val_loss']:.4f}"
        )
    print(
        f"Test loss {metrics['test_loss']:.4f}, test accuracy {metrics['test_accuracy']:.4f} "
        f"on the {len(dataset.test_labels):,} test images of {dataset.title}\n"
        f"Saved in {run.folder}\n"
        "Next, see random test images with what the network says, and what it gets wrong:\n"
        f"  python -m lowlevel_mnist.show_random --run {folder}\n"
        f"  python -m lowlevel_mnist.show_random --run {folder} --mistakes"
    )


if __name__ == "__main__":
    cli.run(main)
