"""`python -m lowlevel_mnist.train`: trains a recipe's network and saves the run in a folder."""

import contextlib
import dataclasses
import math
import pathlib
import shlex
import sys

from lowlevel_mnist import cli, data, interruption, runs, startup
from lowlevel_mnist.errors import DivergedError, Interrupted, UserError
from lowlevel_mnist.recipes import EXECUTIONS, OPTIMIZERS, RECIPES, Recipe
from lowlevel_mnist.settings import (
    DTYPES,
    MOST_PARAMETERS,
    MOST_UNITS,
    agree,
    decide,
    in_words,
    read_settings,
    write_settings,
)

RANDOM_IMAGES = 24
# What a new run has where no flag says otherwise. A resumed one has what it had.
DEFAULTS = {"recipe": "softmax", "execution": "eager", "dtype": "float32", "seed": 0}


def parse():
    parser = cli.Parser("train", "Trains a recipe's network and saves the run in a folder.")
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help=f"the network and its settings (default: {DEFAULTS['recipe']})",
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
        help="each operation at once, or the same step compiled as a graph or by XLA "
        f"(default: {DEFAULTS['execution']})",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help=f"precision (default: {DEFAULTS['dtype']})",
    )
    parser.add_argument(
        "--seed",
        type=cli.whole_number(0),
        metavar="N",
        help=f"same seed, same run (default: {DEFAULTS['seed']})",
    )
    parser.add_argument(
        "--output-dir",
        type=pathlib.Path,
        metavar="DIR",
        help="the run's folder, absent or empty (default: runs/<UTC time>-<recipe>)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --output-dir where it stood; of its settings, only --epochs "
        "may change, and only grow",
    )
    parser.add_argument("--no-plots", action="store_true", help="draw no pictures")
    parser.add_argument("--list", action="store_true", help="print the recipes and stop")
    arguments = parser.parse_args()
    if arguments.resume and not arguments.output_dir:
        parser.error("--resume needs --output-dir, the folder of the run to go on with")
    return arguments


def main():
    arguments = parse()
    if arguments.list:
        print_recipes()
    elif arguments.resume:
        resume(arguments)
    else:
        start(arguments)


def start(arguments):
    """Trains a new run."""
    for flag, value in DEFAULTS.items():
        if getattr(arguments, flag) is None:
            setattr(arguments, flag, value)
    recipe = override(RECIPES[arguments.recipe], arguments)
    if recipe.dropout and not recipe.hidden_units:
        raise UserError(
            f"--dropout {recipe.dropout:g} has nothing to drop: {recipe.name} has no hidden "
            "layer. Give it one with --hidden-units."
        )
    dataset = find_data(arguments.dataset, arguments.data_dir, recipe)
    settings = decide(recipe, dataset, arguments)
    parts = split(dataset, settings)
    with runs.new_folder(arguments.output_dir, recipe.name) as folder:
        write_settings(folder, settings)
        run = train(settings, dataset, parts, folder, arguments)
    print_results(run, dataset)


def resume(arguments):
    """Goes on with a run, be it interrupted, killed, or finished and to have more epochs."""
    with runs.old_folder(arguments.output_dir) as folder:
        before = read_settings(folder)
        settings = agree(before, arguments)
        run = runs.Run(folder, dataclasses.asdict(settings))
        dataset = runs.load_data(run, arguments.data_dir)
        if dataset.sha256 != settings.data_sha256:
            raise UserError(
                f"The data ({dataset.title}, {dataset.source}) is not what the run in {folder} was "
                "trained on. Get the same data back, or name its folder with --data-dir."
            )
        if arguments.data_dir:  # where it lies now
            settings = dataclasses.replace(
                settings, data_dir=str(arguments.data_dir.resolve()), dataset_source=dataset.source
            )
        parts = split(dataset, settings)
        if settings != before:
            write_settings(folder, settings)
        run = train(settings, dataset, parts, folder, arguments)
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
    return "none" if value == 0 else in_words(value)


def find_data(name, data_dir, recipe):
    """Returns the `data.Dataset` that the flags and the recipe ask for.

    A folder without a name holds what it holds; a name without a folder is looked for.
    """
    dataset = data.load(name or ("auto" if data_dir else recipe.dataset), data_dir)
    if dataset.fallback_reason:
        print(
            f"{dataset.fallback_reason} Meanwhile the network learns from the built-in digits.",
            file=sys.stderr,
        )
    return dataset


def override(recipe, arguments):
    """Returns the recipe with the values of the flags that were given."""
    flags = vars(arguments)
    names = [field.name for field in dataclasses.fields(Recipe) if field.name in flags]
    given = {name: flags[name] for name in names if flags[name] is not None}
    given.pop("dataset", None)  # where data comes from is settled by find_data
    if given.get("optimizer", recipe.optimizer) != recipe.optimizer:
        given.setdefault("learning_rate", OPTIMIZERS[given["optimizer"]])
    return dataclasses.replace(recipe, **given)


def split(dataset, settings):
    """Returns (images, labels) for training, and for validation or None.

    Raises `UserError` where the network or the batches are too large for the machine or the data.
    """
    if settings.parameters > MOST_PARAMETERS:
        raise UserError(
            f"The network would have {settings.parameters:,} parameters; at most "
            f"{MOST_PARAMETERS:,} are accepted. Choose fewer --hidden-units."
        )
    training, validation = (dataset.train_images, dataset.train_labels), None
    if settings.validation_split:
        training, validation = data.split(*training, settings.validation_split, settings.seed)
    if settings.batch_size > len(training[1]):
        raise UserError(
            f"--batch-size {settings.batch_size} is larger than the data: there are "
            f"{len(training[1]):,} training images. Choose a smaller one."
        )
    return training, validation


def train(settings, dataset, parts, folder, arguments):
    """Trains, evaluates, and fills the run's folder. Returns the `runs.Run`."""
    # TensorFlow takes seconds to import: not before the flags and the data are found good.
    tf = startup.import_tensorflow(xla=settings.execution == "xla")
    from lowlevel_mnist import metrics
    from lowlevel_mnist.checkpoints import Keeper
    from lowlevel_mnist.model import Network
    from lowlevel_mnist.optimizers import OPTIMIZERS

    model = Network(settings.layer_sizes, settings.seed, tf.as_dtype(settings.dtype))
    optimizer = OPTIMIZERS[settings.optimizer](model.trainable_variables, settings.learning_rate)
    keeper = Keeper(folder, model, optimizer, arguments.resume)
    print_header(settings, dataset, parts, model, tf)
    if arguments.resume:
        print_position(keeper)
    with saying_how_to_go_on(folder, settings, arguments.no_plots):
        train_epochs(settings, model, optimizer, keeper, *parts)
        test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
        check_finite(test.loss, "the last step")
        results = {
            **dataclasses.asdict(settings),
            "parameters": settings.parameters,
            "tensorflow": tf.__version__,
            "history": keeper.position.history,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "confusion_matrix": test.confusion_matrix.tolist(),
        }
        run = runs.Run(folder, results)
        if not arguments.no_plots:
            draw_pictures(run, dataset, test, model)
        runs.write(run)
    return run


def print_header(settings, dataset, parts, model, tf):
    device = model.weights[0].device.rpartition("device:")[2]
    named = zip(parts, ("training", "validation"), strict=True)
    counts = [f"{len(part[1]):,} {name}" for part, name in named if part is not None]
    dropout = f", dropout {settings.dropout:g}" if settings.dropout else ""
    print(
        f"TensorFlow {tf.__version__}, "
        f"eager execution {'on' if tf.executing_eagerly() else 'off'}, "
        f"steps executed: {settings.execution}, device {device}\n"
        f"Data: {dataset.title}, {dataset.provenance}, "
        f"{', '.join(counts)} and {len(dataset.test_labels):,} test images of "
        f"{'x'.join(map(str, settings.image_size))}, {dataset.classes} classes\n"
        f"Network: {settings.recipe}, {'-'.join(map(str, settings.layer_sizes))}{dropout}, "
        f"{settings.parameters:,} parameters, {settings.optimizer} with learning rate "
        f"{settings.learning_rate:g}, batch size {settings.batch_size}, seed {settings.seed}",
        flush=True,
    )


def print_position(keeper):
    """Says where a resumed run goes on, and which checkpoints could not be used."""
    for path in keeper.damaged:
        print(f"The checkpoint {path} is damaged; going on from before it.", file=sys.stderr)
    epochs, progress = len(keeper.position.history), keeper.position.progress
    part = f" and step {progress.step} of {progress.steps}" if progress else ""
    where = f"after epoch {epochs}{part}" if epochs or part else "at the beginning"
    print(f"Resumed {where}", flush=True)


@contextlib.contextmanager
def saying_how_to_go_on(folder, settings, no_plots):
    """Adds to what ends a training early what can be done with the run, where one is kept."""
    try:
        with cli.naming_a_full_disk():
            yield
    except DivergedError as error:
        cli.end_progress()
        advice = (
            f"Try a new run with a much smaller --learning-rate than {settings.learning_rate:g}."
        )
        if runs.find_checkpoints(folder):
            command = f"python -m lowlevel_mnist.evaluate --run {shlex.quote(str(folder))}"
            advice += f" The network of the last checkpoint is kept; see it with {command}"
        error.args = (f"{error} {advice}",)
        raise
    except (Interrupted, UserError, BrokenPipeError) as error:
        cli.end_progress()
        if runs.find_checkpoints(folder):
            command = f"--resume --output-dir {shlex.quote(str(folder))}"
            command += " --no-plots" * no_plots
            hint = f"Go on with: python -m lowlevel_mnist.train {command}"
            if isinstance(error, BrokenPipeError):
                print(f"Nobody reads the output any more. {hint}", file=sys.stderr)
            else:
                error.args = (f"{error} {hint}",)
        raise


def train_epochs(settings, model, optimizer, keeper, train_part, validation_part):
    """Trains the epochs that are left, with a line of progress, and keeps the state after each.

    A signal to end takes effect after the block of steps that is being trained on.
    """
    from lowlevel_mnist import metrics, preprocessing
    from lowlevel_mnist.training import Trainer

    images, labels = train_part
    pixels = preprocessing.flatten(images)
    one_hot = preprocessing.one_hot(labels, model.layer_sizes[-1], model.weights[0].dtype)
    sample = images[: metrics.EVALUATION_BATCH], labels[: metrics.EVALUATION_BATCH]
    trainer = Trainer(
        model, optimizer, settings.batch_size, settings.dropout, settings.seed, settings.execution
    )
    position = keeper.position
    with interruption.held_back() as request:
        for epoch in range(len(position.history) + 1, settings.epochs + 1):
            for progress in trainer.train_epoch(pixels, one_hot, epoch, position.progress):
                if request.signal and progress.step < progress.steps:
                    position.progress = progress
                    where = f"step {progress.step} of epoch {epoch}"
                    save(keeper, (epoch - 1) * progress.steps + progress.step, sample, where)
                    raise Interrupted(request.signal, f"Interrupted after {where}.")
                cli.show_progress(epoch, settings.epochs, progress)
            validation = metrics.evaluate(model, *validation_part) if validation_part else None
            if validation:
                check_finite(validation.loss, f"epoch {epoch}")
            position.history.append(describe_epoch(epoch, progress, validation))
            position.progress = None
            save(keeper, epoch * progress.steps, sample, f"epoch {epoch}")
            if request.signal:
                with contextlib.suppress(OSError):  # the terminal may be gone
                    cli.show_epoch(epoch, settings.epochs, progress, validation)
                raise Interrupted(request.signal, f"Interrupted after epoch {epoch}.")
            cli.show_epoch(epoch, settings.epochs, progress, validation)


def describe_epoch(epoch, progress, validation):
    """Returns an epoch's row of the history."""
    return {
        "epoch": epoch,
        "loss": progress.loss,
        "accuracy": progress.accuracy,
        "val_loss": validation and validation.loss,
        "val_accuracy": validation and validation.accuracy,
        "seconds": progress.seconds,
    }


def save(keeper, step, sample, where):
    """Saves a checkpoint, unless the network has diverged in the very last step.

    sample: images and labels of which the cost must be finite.
    """
    from lowlevel_mnist import checkpoints, metrics

    healthy = checkpoints.is_finite(keeper.model)
    check_finite(metrics.evaluate(keeper.model, *sample).loss if healthy else math.nan, where)
    keeper.save(step)


def check_finite(loss, where):
    if not math.isfinite(loss):
        raise DivergedError(f"The cost became {loss} after {where}: the training diverged.")


def draw_pictures(run, dataset, test, model):
    from lowlevel_mnist import plots

    title, names = dataset.title, dataset.class_names
    history, seed = run.metrics["history"], run.metrics["seed"]
    result = f"{title}: {test.accuracy:.2%} of the test images classified correctly"
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
