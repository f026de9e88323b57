"""`python -m lowlevel_mnist.train`: trains a recipe's network and saves the run in a folder."""

import contextlib
import dataclasses
import functools
import math
import os
import pathlib
import shlex
import sys

from lowlevel_mnist import data, startup
from lowlevel_mnist.console import cli, interruption
from lowlevel_mnist.distribution import cluster
from lowlevel_mnist.errors import DivergedError, Interrupted, LostWorkerError, UserError
from lowlevel_mnist.recipes import DISTRIBUTIONS, EXECUTIONS, OPTIMIZERS, RECIPES, Recipe
from lowlevel_mnist.runs import folders
from lowlevel_mnist.runs.settings import (
    DTYPES,
    MOST_PARAMETERS,
    MOST_UNITS,
    agree,
    decide,
    from_json,
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
        "--distribute",
        choices=DISTRIBUTIONS,
        default="none",
        help="share each batch among the devices of this machine, or among the workers that "
        f"{cluster.VARIABLE} names (default: none)",
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
        return
    with contextlib.closing(meet(arguments.distribute)) as meeting:
        if not meeting.cluster.is_chief:
            help_chief(arguments, meeting)
        elif arguments.resume:
            resume(arguments, meeting)
        else:
            start(arguments, meeting)


def meet(distribute):
    """Returns the `cluster.Meeting` of all workers. Mostly this process is the only one."""
    workers = cluster.ALONE
    if distribute == "multi-worker":
        workers = cluster.read_tf_config(os.environ.get(cluster.VARIABLE))
    return cluster.Meeting(workers, functools.partial(print, flush=True))


def start(arguments, meeting):
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
    check_distribution(settings, arguments.distribute)
    parts = split(dataset, settings)
    with folders.new_folder(arguments.output_dir, recipe.name) as folder:
        write_settings(folder, settings)
        run = train(settings, dataset, parts, folder, arguments, meeting)
    print_results(run, dataset)


def resume(arguments, meeting):
    """Goes on with a run, be it interrupted, killed, or finished and to have more epochs."""
    with folders.old_folder(arguments.output_dir) as folder:
        before = read_settings(folder)
        settings = agree(before, arguments, f"the run in {folder}", growing=True)
        check_distribution(settings, arguments.distribute)
        dataset = find_same_data(settings, arguments.data_dir, f"the run in {folder}")
        if arguments.data_dir:  # where it lies now
            settings = dataclasses.replace(
                settings, data_dir=str(arguments.data_dir.resolve()), dataset_source=dataset.source
            )
        parts = split(dataset, settings)
        if settings != before:
            write_settings(folder, settings)
        run = train(settings, dataset, parts, folder, arguments, meeting)
    print_results(run, dataset)


def help_chief(arguments, meeting):
    """Trains a share of each batch of another worker's run. Nothing is written here."""
    workers = meeting.cluster
    print(
        f"This is {workers.describe(workers.index)}, one of {len(workers.names)}; the chief, "
        f"{workers.describe(0)}, keeps the run and reports",
        flush=True,
    )
    settings = from_json(meeting.exchange(None)[0], "What the chief says")
    agree(settings, arguments, "the chief's run", growing=False)
    chiefs = settings.data_dir
    if chiefs and settings.dataset != "custom" and not pathlib.Path(chiefs).is_dir():
        settings = dataclasses.replace(settings, data_dir=None)  # that disk is not here
    dataset = find_same_data(settings, arguments.data_dir, "the chief's run")
    part, _ = split(dataset, settings)
    del dataset  # the other images are not needed here
    trainer = build(settings, arguments.distribute, meeting)
    from lowlevel_mnist.runs.checkpoints import Position

    position = Position()
    with trainer.replicas.naming_the_lost(), interruption.held_back() as request:
        trainer.replicas.take_over(trainer.optimizer.variables, position)
        for epoch, progress, signal in train_blocks(settings, trainer, position, part, request):
            if signal:
                where = f"step {progress.step} of epoch {epoch}"
                raise Interrupted(signal, f"Interrupted after {where}.")
        trainer.replicas.wait()
    print("The training is done, and the chief has saved the run")


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


def find_same_data(settings, data_dir, whose):
    """Returns the `data.Dataset` that a run was begun with, or raises `UserError`.

    whose: which run that is, in words.
    """
    dataset = folders.load_data(dataclasses.asdict(settings), data_dir)
    if dataset.sha256 != settings.data_sha256:
        raise UserError(
            f"The data ({dataset.title}, {dataset.source}) is not what {whose} was trained on. Get "
            "the same data back, or name its folder with --data-dir."
        )
    return dataset


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


def check_distribution(settings, distribute):
    if settings.execution == "xla" and distribute != "none":
        raise UserError(
            "XLA can't share batches: it has no exchange between CPUs. Choose --execution graph, "
            "or go on with a run of XLA without --distribute."
        )


def build(settings, distribute, meeting):
    """Returns the `training.Trainer` of a run, with a new network.

    meeting: the `cluster.Meeting` of the workers, which ends here.
    """
    # TensorFlow takes seconds to import: not before the flags and the data are found good.
    tf = startup.import_tensorflow(settings.execution == "xla", distribute == "multi-worker")
    from lowlevel_mnist.distribution import replicas
    from lowlevel_mnist.model import Network
    from lowlevel_mnist.optimizers import OPTIMIZERS
    from lowlevel_mnist.training import Trainer

    replicas = replicas.connect(distribute, meeting)
    with replicas.naming_the_lost(), replicas.scope():
        model = Network(settings.layer_sizes, settings.seed, tf.as_dtype(settings.dtype))
        rule = OPTIMIZERS[settings.optimizer]
        optimizer = rule(model.trainable_variables, settings.learning_rate)
    return Trainer(
        model,
        optimizer,
        settings.batch_size,
        settings.dropout,
        settings.seed,
        settings.execution,
        replicas,
    )


def train(settings, dataset, parts, folder, arguments, meeting):
    """Trains, evaluates, and fills the run's folder. Returns the `folders.Run`."""
    meeting.exchange(dataclasses.asdict(settings))
    with saying_how_to_go_on(folder, settings, arguments):
        trainer = build(settings, arguments.distribute, meeting)
    import tensorflow as tf

    from lowlevel_mnist import metrics
    from lowlevel_mnist.runs.checkpoints import Keeper

    model = trainer.model
    keeper = Keeper(folder, model, trainer.optimizer, arguments.resume)
    print_header(settings, dataset, parts, trainer, tf)
    if arguments.resume:
        print_position(keeper)
    with saying_how_to_go_on(folder, settings, arguments), trainer.replicas.naming_the_lost():
        trainer.replicas.take_over(trainer.optimizer.variables, keeper.position)
        train_epochs(settings, trainer, keeper, *parts)
        test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
        check_finite(test.loss, "the last step")
        results = {
            **dataclasses.asdict(settings),
            "distribute": arguments.distribute,
            "replicas": trainer.replicas.count,
            "parameters": settings.parameters,
            "tensorflow": tf.__version__,
            "history": keeper.position.history,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "confusion_matrix": test.confusion_matrix.tolist(),
        }
        run = folders.Run(folder, results)
        if not arguments.no_plots:
            draw_pictures(run, dataset, test, model)
        folders.write(run)
    with contextlib.suppress(LostWorkerError), trainer.replicas.naming_the_lost():
        trainer.replicas.wait()  # the others do, so that none is missing before the end
    return run


def print_header(settings, dataset, parts, trainer, tf):
    device = trainer.model.weights[0].device.rpartition("device:")[2]
    shared = trainer.replicas.count
    sharing = f", batches shared by {shared} replicas" if shared > 1 else ""
    named = zip(parts, ("training", "validation"), strict=True)
    counts = [f"{len(part[1]):,} {name}" for part, name in named if part is not None]
    dropout = f", dropout {settings.dropout:g}" if settings.dropout else ""
    print(
        f"TensorFlow {tf.__version__}, "
        f"eager execution {'on' if tf.executing_eagerly() else 'off'}, "
        f"steps executed: {settings.execution}, device {device}{sharing}\n"
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
def saying_how_to_go_on(folder, settings, arguments):
    """Adds to what ends a training early what can be done with the run, where one is kept."""
    try:
        with cli.naming_a_full_disk():
            yield
    except DivergedError as error:
        cli.end_progress()
        advice = (
            f"Try a new run with a much smaller --learning-rate than {settings.learning_rate:g}."
        )
        if folders.find_checkpoints(folder):
            command = f"python -m lowlevel_mnist.evaluate --run {shlex.quote(str(folder))}"
            advice += f" The network of the last checkpoint is kept; see it with {command}"
        error.args = (f"{error} {advice}",)
        raise
    except (Interrupted, UserError, BrokenPipeError) as error:
        cli.end_progress()
        if folders.find_checkpoints(folder) or isinstance(error, LostWorkerError):
            command = f"--resume --output-dir {shlex.quote(str(folder))}"
            command += " --no-plots" * arguments.no_plots
            if arguments.distribute != "none":
                command += f" --distribute {arguments.distribute}"
            hint = f"Go on with: python -m lowlevel_mnist.train {command}"
            if isinstance(error, BrokenPipeError):
                print(f"Nobody reads the output any more. {hint}", file=sys.stderr)
            else:
                error.args = (f"{error} {hint}",)
        raise


def train_blocks(settings, trainer, position, part, request):
    """Trains the epochs that are left.

    part: images and labels; request: the `interruption.Request`.
    Yields for each block of steps the epoch, its `training.Progress`, and the number of a signal
    that has asked this worker or another to end, or None.
    """
    from lowlevel_mnist import preprocessing

    images, labels = part
    model = trainer.model
    pixels = preprocessing.flatten(images)
    one_hot = preprocessing.one_hot(labels, model.layer_sizes[-1], model.weights[0].dtype)
    since = position.progress
    for epoch in range(len(position.history) + 1, settings.epochs + 1):
        for progress in trainer.train_epoch(pixels, one_hot, epoch, since):
            yield epoch, progress, trainer.replicas.heed(request.signal)
        since = None


def train_epochs(settings, trainer, keeper, train_part, validation_part):
    """Trains the epochs that are left, with a line of progress, and keeps the state after each.

    A signal to end takes effect after the block of steps that is being trained on.
    """
    from lowlevel_mnist import metrics

    sample = [array[: metrics.EVALUATION_BATCH] for array in train_part]
    position = keeper.position
    with interruption.held_back() as request:
        for epoch, progress, signal in train_blocks(
            settings, trainer, position, train_part, request
        ):
            step = (epoch - 1) * progress.steps + progress.step
            finished = progress.step == progress.steps
            if signal and not finished:
                position.progress = progress
                where = f"step {progress.step} of epoch {epoch}"
                save(keeper, step, sample, where)
                raise Interrupted(signal, f"Interrupted after {where}.")
            cli.show_progress(epoch, settings.epochs, progress)
            if not finished:
                continue
            validation = None
            if validation_part:
                validation = metrics.evaluate(trainer.model, *validation_part)
                check_finite(validation.loss, f"epoch {epoch}")
            position.history.append(describe_epoch(epoch, progress, validation))
            position.progress = None
            save(keeper, step, sample, f"epoch {epoch}")
            if signal:
                with contextlib.suppress(OSError):  # the terminal may be gone
                    cli.show_epoch(epoch, settings.epochs, progress, validation)
                raise Interrupted(signal, f"Interrupted after epoch {epoch}.")
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
    from lowlevel_mnist import metrics
    from lowlevel_mnist.runs import checkpoints

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
