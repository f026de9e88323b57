"""`python -m lowlevel_mnist.train`: trains a recipe's network and saves the run in a folder."""

import dataclasses
import math
import pathlib
import shlex
import sys

from lowlevel_mnist import cli, data, runs, startup
from lowlevel_mnist.errors import DivergedError, UnreachableError, UserError
from lowlevel_mnist.recipes import RECIPES

RANDOM_IMAGES = 24


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
        "--learning-rate", type=cli.positive_number, metavar="F", help=f"size of a step {recipe}"
    )
    parser.add_argument(
        "--batch-size", type=cli.whole_number(1), metavar="N", help=f"images in a step {recipe}"
    )
    parser.add_argument(
        "--epochs", type=cli.whole_number(1), metavar="N", help=f"passes over all images {recipe}"
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
    return parser.parse_args()


def main():
    arguments = parse()
    recipe = override(RECIPES[arguments.recipe], arguments)
    dataset = load_data(arguments.dataset, arguments.data_dir, recipe)
    if recipe.batch_size > len(dataset.train_labels):
        raise UserError(
            f"--batch-size {recipe.batch_size} is larger than the data: there are "
            f"{len(dataset.train_labels):,} training images. Choose a smaller one."
        )
    with runs.new_folder(arguments.output_dir or runs.default_folder(recipe.name)) as folder:
        train(recipe, dataset, arguments, folder)


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
    given = {
        name: getattr(arguments, name)
        for name in ("learning_rate", "batch_size", "epochs")
        if getattr(arguments, name) is not None
    }
    return dataclasses.replace(recipe, **given)


def train(recipe, dataset, arguments, folder):
    """Trains, evaluates, and fills the run's folder."""
    # TensorFlow takes seconds to import: not before the flags and the data are found good.
    tf = startup.import_tensorflow()
    from lowlevel_mnist import checkpoints, metrics, optimizers, preprocessing
    from lowlevel_mnist.model import SoftmaxRegression

    dtype = tf.as_dtype(arguments.dtype)
    pixels = preprocessing.flatten(dataset.train_images)
    one_hot = preprocessing.one_hot(dataset.train_labels, dataset.classes, dtype)
    model = SoftmaxRegression(pixels.shape[1], dataset.classes, arguments.seed, dtype)
    optimizer = optimizers.SGD(model.trainable_variables, recipe.learning_rate)
    run = runs.Run(folder, describe(recipe, dataset, arguments, model, tf.__version__))
    print_header(run.metrics, dataset, model.weights.device, tf.executing_eagerly())

    history = train_epochs(recipe, model, optimizer, pixels, one_hot, arguments.seed)
    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    check_finite(test.loss, recipe, "after the last step")
    run.metrics.update(
        history=history,
        test_loss=test.loss,
        test_accuracy=test.accuracy,
        confusion_matrix=test.confusion_matrix.tolist(),
    )
    checkpoints.save(folder, model)
    if not arguments.no_plots:
        draw_pictures(run, dataset, test, model.weights.numpy())
    runs.write(run)
    print_results(run, dataset)


def describe(recipe, dataset, arguments, model, tensorflow_version):
    """Returns what `metrics.json` says of a run before it has begun."""
    return {
        "recipe": recipe.name,
        "dataset": dataset.name,
        "dataset_source": dataset.source,
        "dataset_verified": dataset.verified,
        "data_dir": arguments.data_dir and str(arguments.data_dir.resolve()),
        "execution": "eager",
        "dtype": arguments.dtype,
        "seed": arguments.seed,
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "optimizer": recipe.optimizer,
        "learning_rate": recipe.learning_rate,
        "layer_sizes": model.weights.shape.as_list(),
        "dropout": 0.0,
        "parameters": sum(math.prod(variable.shape) for variable in model.trainable_variables),
        "tensorflow": tensorflow_version,
    }


def print_header(described, dataset, device, executing_eagerly):
    print(
        f"TensorFlow {described['tensorflow']}, "
        f"eager execution {'on' if executing_eagerly else 'off'}, "
        f"device {device.rpartition('device:')[2]}\n"
        f"Data: {dataset.title}, {provenance(dataset)}, "
        f"{len(dataset.train_labels):,} training and {len(dataset.test_labels):,} test images of "
        f"{'x'.join(map(str, dataset.train_images.shape[1:]))}, {dataset.classes} classes\n"
        f"Network: {described['recipe']}, {'-'.join(map(str, described['layer_sizes']))}, "
        f"{described['parameters']:,} parameters, {described['optimizer']} with learning rate "
        f"{described['learning_rate']:g}, batch size {described['batch_size']}, "
        f"seed {described['seed']}",
        flush=True,
    )


def provenance(dataset):
    if dataset.source == "built-in":
        return "not MNIST"
    return "verified" if dataset.verified else "not verified"


def train_epochs(recipe, model, optimizer, pixels, one_hot, seed):
    """Trains all epochs with a line of progress. Returns the history, a dictionary an epoch."""
    from lowlevel_mnist import training

    history = []
    for epoch in range(1, recipe.epochs + 1):
        for progress in training.train_epoch(
            model, optimizer, pixels, one_hot, recipe.batch_size, seed, epoch
        ):
            check_finite(progress.loss, recipe, f"by step {progress.step} of epoch {epoch}")
            cli.show_progress(epoch, recipe.epochs, progress)
        history.append(
            {
                "epoch": epoch,
                "loss": progress.loss,
                "accuracy": progress.accuracy,
                "val_loss": None,
                "val_accuracy": None,
                "seconds": progress.seconds,
            }
        )
    return history


def check_finite(loss, recipe, when):
    if not math.isfinite(loss):
        raise DivergedError(
            f"The cost became {loss} {when}: the training diverged. "
            f"Try a learning rate below {recipe.learning_rate:g}."
        )


def draw_pictures(run, dataset, test, weights):
    from lowlevel_mnist import plots

    title, names, said = dataset.title, dataset.class_names, run.metrics
    result = f"{title}: {test.accuracy:.2%} of the test images are right"
    shown = plots.choose_images(dataset.test_labels, test.predictions, RANDOM_IMAGES, said["seed"])
    pictures = {
        "samples.png": (plots.samples, dataset.train_images, dataset.train_labels, names, title),
        "curves.png": (plots.curves, said["history"], test.loss, test.accuracy, result),
        "confusion_matrix.png": (plots.confusion_matrix, test.confusion_matrix, names, result),
        "random_predictions.png": (
            plots.random_predictions,
            dataset.test_images[shown],
            dataset.test_labels[shown],
            test.probabilities[shown],
            names,
            f"Random test images of {title}",
        ),
        "weights.png": (
            plots.weights,
            weights,
            dataset.train_images.shape[1:],
            names,
            f"What speaks for each class and what against, learnt on {title}",
        ),
    }
    for file, (draw, *content) in pictures.items():
        plots.save(run.folder / file, draw, *content)


def print_results(run, dataset):
    metrics, folder = run.metrics, shlex.quote(str(run.folder))
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
