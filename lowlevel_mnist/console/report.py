"""What commands print: recipes, header, line of progress, results, tables."""

import contextlib
import dataclasses
import errno
import os
import sys

from lowlevel_mnist import startup
from lowlevel_mnist.recipes import RECIPES, Recipe
from lowlevel_mnist.runs.settings import format_value

BAR_WIDTH = 20
BRIGHT = 150  # grey level; photographs have a mean of some 120, scanned paper one above 200
DARK = 64  # grey level; where none is above that, images were meant to go to 1 or 16, perhaps
_unended = False  # whether the terminal's last line is one of progress


def print_recipes() -> None:
    table = [[field.name.replace("_", " ") for field in dataclasses.fields(Recipe)]]
    for recipe in RECIPES.values():
        values = dataclasses.astuple(recipe)
        table.append(["none" if value == 0 else format_value(value) for value in values])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_remarks(dataset) -> None:
    """Says on stderr what a user should know of the data before he waits for the results."""
    if dataset.fallback_reason:
        print(
            f"{dataset.fallback_reason} Meanwhile the network learns from the built-in digits.",
            file=sys.stderr,
        )
    if dataset.other_data:
        read, unread = dataset.other_data
        print(
            f"{dataset.place} holds other data, too, such as {unread}, which is not read; {read} "
            "is, with what belongs to it. To read other data, name one of its files with "
            "--data-dir.",
            file=sys.stderr,
        )
    all_images = (dataset.train_images, dataset.test_images)
    if any(images[:: len(images) // 1000 + 1].mean() > BRIGHT for images in all_images):
        print(
            "Most pixels of these images were dark, and are light since --invert of this run has "
            "exchanged the two."
            if dataset.inverted
            else "Most pixels of these images are light, as those of ink on white paper are. A "
            "network learns little from them; train it with --invert, which exchanges light and "
            "dark.",
            file=sys.stderr,
        )
    if dataset.train_images.max() < DARK:
        print(
            f"No pixel of these images is above {dataset.train_images.max()}, but white is 255. A "
            "network learns slowly from them; multiply them so that they go up to 255.",
            file=sys.stderr,
        )


def provenance(dataset) -> str:
    """Returns what can be said of the data's origin, in a few words."""
    origin = "verified" if dataset.verified else "not verified"
    if dataset.source == "built-in":
        origin = "not MNIST"
    return f"{origin}, inverted" if dataset.inverted else origin


def test_images(dataset) -> str:
    """Returns how many test images there are, and where they are from, unless they came so."""
    drawn = " (a seventh of the labelled ones, drawn by the seed)" if dataset.test_split else ""
    return f"{len(dataset.test_labels):,} test images{drawn}"


def print_header(tf, run, dataset, training, validation, model) -> None:
    """Says what is about to be trained, and where.

    tf: TensorFlow; run: a `runs.run.Run`; training, validation: images and labels, or None.
    model: the `model.Network`.
    """
    settings, device = run.settings, model.weights[0].device
    counts = [f"{len(training[1]):,} training"]
    counts += [f"{len(validation[1]):,} validation"] if validation else []
    sharing = f", batches shared by {run.replica_count} replicas" if run.replica_count > 1 else ""
    dropout = f", dropout {settings.dropout:g}" if settings.dropout else ""
    print(
        f"TensorFlow {tf.__version__}, "
        f"eager execution {'on' if tf.executing_eagerly() else 'off'}, "
        f"steps executed: {settings.execution}, device {device.rpartition('device:')[2]}{sharing}\n"
        f"Data: {dataset.title}, {provenance(dataset)}, "
        f"{', '.join(counts)} and {test_images(dataset)} of "
        f"{'x'.join(map(str, settings.image_size))}, {len(dataset.classes_with_images)} classes\n"
        f"Network: {settings.recipe}, {'-'.join(map(str, settings.layer_sizes))}{dropout}, "
        f"{settings.parameters:,} parameters, {settings.optimizer} with learning rate "
        f"{settings.learning_rate:g}, batch size {settings.batch_size}, seed {settings.seed}",
        flush=True,
    )
    if os.environ.get("TF_CONFIG") and run.flags.distribute != "multi-worker":
        print(
            "TF_CONFIG is set, but this process trains alone. With --distribute multi-worker it "
            "shares the run with the workers named there.",
            file=sys.stderr,
        )


def print_resumed(state) -> None:
    """Says where a run goes on; state: its `checkpoints.TrainingState`."""
    progress = state.progress
    step = f" and step {progress.step} of {progress.steps}" if progress else ""
    begun = state.history or progress
    where = f"after epoch {len(state.history)}{step}" if begun else "at the beginning"
    print(f"Resumed {where}", flush=True)


def show_progress(epoch: int, epochs: int, progress) -> None:
    """Prints how far an epoch has come, on a terminal only, where the next line replaces it.

    progress: a `training.Progress`.
    """
    show_line(_progress_line(epoch, epochs, progress))


def show_line(line: str) -> None:
    """Prints a line on a terminal only, where the next one replaces it."""
    global _unended
    if sys.stdout.isatty():
        print(f"\r{line}", end="", flush=True)
        _unended = True


def end_progress() -> None:
    """Leaves the line of progress, so that what is said next has a line of its own."""
    global _unended
    if _unended:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(flush=True)
        _unended = False


def print_epoch(epoch: int, epochs: int, progress, validation) -> None:
    """Prints the line that stays of an epoch, in the style of Keras.

    progress: its last `training.Progress`.
    validation: a `metrics.Evaluation`, or None.
    """
    global _unended
    line = _progress_line(epoch, epochs, progress)
    if validation is not None:
        line += f" - val_loss: {validation.loss:.4f} - val_accuracy: {validation.accuracy:.4f}"
    try:
        print(f"\r{line}" if sys.stdout.isatty() else line, flush=True)
    except OSError as error:
        if error.errno != errno.EIO:  # the terminal is gone, and a signal says so, too
            raise
    _unended = False


def _progress_line(epoch, epochs, progress):
    filled = BAR_WIDTH * progress.step // progress.steps
    return (
        f"Epoch {epoch}/{epochs}  {progress.step:>{len(str(progress.steps))}}/{progress.steps} "
        f"[{'=' * filled:.<{BAR_WIDTH}}] "
        f"{progress.seconds:.1f}s {1e3 * progress.seconds / progress.step:.2f}ms/step - "
        f"loss: {progress.loss:.4f} - accuracy: {progress.accuracy:.4f}"
    )


def print_results(run, state, test, dataset) -> None:
    """Says how good the network is, and what to do next.

    state: the `checkpoints.TrainingState`; test: the `metrics.Evaluation` of the test images.
    """
    show = startup.command_line("show_random", "--run", run.folder)
    if state.history[0]["val_accuracy"] is not None:
        best = max(state.history, key=lambda row: row["val_accuracy"])
        print(
            f"Best epoch: {best['epoch']}, validation accuracy {best['val_accuracy']:.4f}, "
            f"loss {best['val_loss']:.4f}"
        )
    print(
        f"Test loss {test.loss:.4f}, test accuracy {test.accuracy:.4f} "
        f"on the {len(dataset.test_labels):,} test images of {dataset.title}\n"
        f"Saved in {run.folder}\n"
        "Next, see random test images with what the network says, and what it gets wrong:\n"
        f"  {show}\n"
        f"  {show} --mistakes"
    )
    print_page_hint(run.folder)


def print_page_hint(folder) -> None:
    """Says how to make a page of the run in a folder."""
    print(
        "Draw for it yourself, on a page that opens in any browser:\n"
        f"  {startup.command_line('page', '--run', folder)}"
    )


def print_classes(classes, names) -> None:
    """Prints what `metrics.per_class` gave."""
    width = max(len("class"), *map(len, names))
    print(f"{'class':<{width}}  precision  recall     F1  support")
    for name, row in zip(names, classes, strict=True):
        print(
            f"{name:<{width}}  {row['precision']:>9.3f}  {row['recall']:>6.3f}  "
            f"{row['f1']:>5.3f}  {row['support']:>7,}"
        )


def print_matrix(matrix, names) -> None:
    print("\nConfusion matrix (row: true class, column: predicted class)")
    label, cell = max(map(len, names)), max(4, *map(len, names), len(str(matrix.max())))
    print(" " * label + "".join(f"  {name:>{cell}}" for name in names))
    for name, row in zip(names, matrix, strict=True):
        print(f"{name:<{label}}" + "".join(f"  {count:>{cell}}" for count in row))


def print_confused(pairs, names) -> None:
    """Prints what `metrics.most_confused` gave."""
    if pairs:
        print("\nMost confused")
    for truth, taken_for, count in pairs:
        print(f"  {names[truth]} taken for {names[taken_for]}: {count:,}")


def print_shown(dataset, test, shown) -> None:
    """Prints what the network says of some test images; shown: their indices."""
    names = dataset.class_names
    width = max(len("prediction"), *map(len, names))
    print(f"{'image':>6}  {'prediction':>{width}}  probability  {'true':>{width}}")
    for index in shown:
        predicted, label = test.predictions[index], dataset.test_labels[index]
        probability = test.probabilities[index, predicted]
        print(
            f"{index:>6}  {names[predicted]:>{width}}  {probability:>11.1%}  "
            f"{names[label]:>{width}}{'' if predicted == label else '  wrong'}"
        )
