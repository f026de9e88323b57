"""What commands print: recipes, header, progress, results, tables."""

import importlib.util
import math
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lowlevel_mnist import startup
from lowlevel_mnist.console import output
from lowlevel_mnist.data import Dataset, Images
from lowlevel_mnist.execution import machine
from lowlevel_mnist.execution.progress import Progress
from lowlevel_mnist.recipes import RECIPES
from lowlevel_mnist.runs.folders import TENSORBOARD, SavedRun
from lowlevel_mnist.runs.settings import DEFAULTS, Settings, format_value
from lowlevel_mnist.sources import image_style

if TYPE_CHECKING:
    import tensorflow as tf

    from lowlevel_mnist.metrics import Evaluation, Score
    from lowlevel_mnist.runs.checkpoints import TrainingState
    from lowlevel_mnist.runs.run import Run
    from lowlevel_mnist.sources.pictures import Reading

BAR_WIDTH = 20
# What a line of an epoch has on a terminal, each with its width; without the time on a narrow one.
WIDE = {"epoch": 7, "time": 8, "loss": 8, "accuracy": 10, "val_loss": 10, "val_accuracy": 14}
NARROW = {"epoch": 7, "loss": 8, "accuracy": 7, "val_loss": 9, "val_accuracy": 8}
MAX_FILES = 6  # that are named of those that were not read
MAX_WHOLE = 3  # pictures of which all is printed
MAX_ROWS = 400  # of a table on a terminal
MIN_GUESS = 0.01  # probability of a second guess that is worth a look
MAX_BAR = 40  # characters, for a probability of 1
LEVELS = " .:-=+*#%@"  # from black to white, for the terminal
BRIGHT = 150  # grey level; photographs have a mean of some 120, scanned paper one above 200
DARK = 64  # grey level; where none is above that, images were meant to go to 1 or 16, perhaps


def print_recipes() -> None:
    header = ["name", "dataset", "hidden units", "dropout", "optimizer", "batch size"]
    rows = [
        [
            recipe.name,
            recipe.dataset,
            format_value(recipe.hidden_units),
            format_value(recipe.dropout or ()),
            f"{recipe.optimizer} {recipe.learning_rate}",
            str(recipe.batch_size),
            str(recipe.epochs),
            format_value(recipe.validation_split or ()),
        ]
        for recipe in RECIPES.values()
    ]
    output.table([*header, "epochs", "val split"], rows, left=len(rows[0]))


def print_remarks(dataset: Dataset) -> None:
    """Says on stderr what a user should know of the data before he waits for the results."""
    if dataset.fallback_reason:
        output.remark(
            f"{dataset.fallback_reason} Meanwhile the network learns from the built-in digits."
        )
    if dataset.passed_over:
        files = [os.path.relpath(path, dataset.place) for path in dataset.passed_over]
        shown = ", ".join(files[:MAX_FILES]) + ", ..." * (len(files) > MAX_FILES)
        output.remark(
            f"Not read of {dataset.place}: {shown}, which belong to other data or have no labels. "
            "To read other data, name its file or folder with --data-dir."
        )
    if any(_is_ink_on_paper(images) for images in (dataset.train_images, dataset.test_images)):
        output.remark(
            "Most pixels of these images were dark, and are light since --invert of this run has "
            "exchanged the two."
            if dataset.inverted
            else "Most pixels of these images are light, as those of ink on white paper are. A "
            "network learns little from them; train it with --invert, which exchanges light and "
            "dark."
        )
    if dataset.train_images.max() < DARK:
        output.remark(
            f"No pixel of these images is above {dataset.train_images.max()}, but white is 255. A "
            "network learns slowly from them; multiply them so that they go up to 255."
        )


def _is_ink_on_paper(images: npt.NDArray[np.uint8]) -> bool:
    """Returns whether images are light, and have a background: most photographs have none."""
    sample = images[:: len(images) // 1000 + 1]
    border = image_style.border(sample)
    return bool(sample.mean() > BRIGHT) and image_style.is_background(border, np.median(border))


def provenance(dataset: Dataset) -> str:
    """Returns what can be said of the data's origin, in a few words."""
    origin = "verified" if dataset.verified else "not verified"
    if dataset.source == "built-in":
        origin = "not MNIST"
    return f"{origin}, inverted" if dataset.inverted else origin


def test_images(dataset: Dataset) -> str:
    """Returns how many test images there are, and where they are from, unless they came so."""
    which = ""
    if dataset.test_split == 1:
        which = f" (all labelled images of {dataset.place})"
    elif dataset.test_split:
        which = " (a seventh of the labelled ones, drawn by the seed)"
    return f"{len(dataset.test_labels):,} test images{which}"


def print_header(
    tf: ModuleType,
    run: "Run",
    dataset: Dataset,
    training: Images,
    validation: Images | None,
    model: "tf.Module",
    state: "TrainingState",
) -> None:
    """Says what is about to be trained, and where; tf: TensorFlow."""
    from lowlevel_mnist.model import count_parameters

    settings, device = run.settings, tf.convert_to_tensor(model.trainable_variables[0]).device
    counts = [f"{len(training[1]):,} training"]
    counts += [f"{len(validation[1]):,} validation"] if validation else []
    sharing = f", batches shared by {run.replica_count} replicas" if run.replica_count > 1 else ""
    dropout = f", dropout {settings.dropout:g}" if settings.dropout else ""
    patience = f", patience {settings.patience}" if settings.patience else ""
    output.say(
        f"TensorFlow {tf.__version__}, "
        f"eager execution {'on' if tf.executing_eagerly() else 'off'}, "
        f"steps executed: {settings.execution}, device {device.rpartition('device:')[2]}{sharing}",
        f"Data: {dataset.title}, {provenance(dataset)}, "
        f"{', '.join(counts)} and {test_images(dataset)} of "
        f"{'x'.join(map(str, settings.image_size))}, {len(dataset.classes_with_images)} classes",
        f"Network: {settings.model or settings.title}, "
        f"{'-'.join(map(str, settings.layer_sizes))}{dropout}, "
        f"{count_parameters(model):,} parameters, {_optimization(settings)}, "
        f"batch size {settings.batch_size}, seed {settings.seed}{patience}",
    )
    print_machine_remarks(tf, run)
    print_beginning(run, state, validation)


def _optimization(settings: Settings) -> str:
    """Returns how the weights are updated, in a few words."""
    words = [f"{settings.optimizer} with learning rate {settings.learning_rate:g}"]
    words += [f"{settings.schedule} schedule"] * (settings.schedule != DEFAULTS["schedule"])
    words += ["Nesterov"] * settings.nesterov
    names = ("momentum", "weight_decay", "clip_norm", "label_smoothing")
    given = ((name.replace("_", " "), getattr(settings, name)) for name in names)
    return ", ".join([*words, *(f"{name} {value:g}" for name, value in given if value)])


def print_machine_remarks(tf: ModuleType, run: "Run") -> None:
    """Says on stderr which devices or workers are there and have no part in the training."""
    if remark := machine.gpu_remark(tf):
        output.remark(remark)
    if os.environ.get("TF_CONFIG") and run.flags.distribute != "multi-worker":
        output.remark(
            "TF_CONFIG is set, but this process trains alone. With --distribute multi-worker it "
            "shares the run with the workers named there."
        )


def print_beginning(run: "Run", state: "TrainingState", validation: Images | None) -> None:
    """Says where a run begins or goes on."""
    if run.flags.resume:
        begun = state.history or state.progress
        output.say(f"Resumed after {state.where}" if begun else "Resumed at the beginning")
    if state.is_exhausted:
        output.say("It has stopped early; more epochs come with a larger --patience")
        return
    if len(state.history) == run.settings.epochs:
        is_constant = run.settings.schedule == DEFAULTS["schedule"]
        more = "more come with a larger --epochs" if is_constant else "so is its schedule"
        output.say(f"All its epochs are done; {more}")
        return
    print_columns(validation)


def print_columns(validation: Images | None, is_counted: bool = True) -> None:
    """Says on a terminal what the columns of the epochs are.

    is_counted: whether there is an accuracy.
    """
    if output.is_terminal():
        names = [name for name in WIDE if validation or not name.startswith("val_")]
        names = [name for name in names if is_counted or not name.endswith("accuracy")]
        output.say("", _epoch_row({name: name for name in names}))
    output.show("The first step takes longest ...")


def show_reading(done: int, total: int) -> None:
    """Shows how many pictures are read, and of how many."""
    output.show_progress(done, total, "Reading pictures", f"{done:,}/{total:,}")


def show_progress(epoch: int, epochs: int, progress: Progress) -> None:
    """Shows how far an epoch has come, in a line that the next one replaces."""
    steps_left = (epochs - epoch + 1) * progress.steps - progress.step
    # The first steps take longer, which says nothing of those to come.
    is_known = progress.step > progress.steps / 10 or progress.seconds > 10
    seconds_left = steps_left * progress.seconds / progress.step
    left = format_seconds(seconds_left) if is_known else "-:--"
    scores = [f"loss {format_loss(progress.loss)}"]
    if progress.accuracy is not None:
        scores += [f"accuracy {format_accuracy(progress.accuracy)}"]
    short = " ".join(scores).replace("accuracy", "acc")
    output.show_progress(
        progress.step,
        progress.steps,
        f"{_of(epoch, epochs):>{WIDE['epoch']}}",
        f"{_of(progress.step, progress.steps)}  {left} left  {'  '.join(scores)}",
        f"{progress.step / progress.steps:4.0%} {left} {short}",
    )


def format_seconds(seconds: float) -> str:
    """Returns a time as a clock shows it, such as "2:05" or "1:02:05"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_loss(loss: float) -> str:
    """Returns a loss with four decimals, or two digits where it is so large that it diverges."""
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.1e}"


def format_accuracy(accuracy: float | None) -> str:
    """Returns an accuracy with four decimals, nothing where it is not counted."""
    return "" if accuracy is None else f"{accuracy:.4f}"


def print_epoch(epoch: int, epochs: int, progress: Progress, validation: "Score | None") -> None:
    """Prints the line that stays of an epoch: of a table on a terminal, or else as Keras has it.

    progress: that at its end.
    """
    scores = {"loss": format_loss(progress.loss), "accuracy": format_accuracy(progress.accuracy)}
    if validation is not None:
        scores["val_loss"] = format_loss(validation.loss)
        scores["val_accuracy"] = format_accuracy(validation.accuracy)
    scores = {name: score for name, score in scores.items() if score}
    if output.is_terminal():
        output.say(
            _epoch_row({"epoch": _of(epoch, epochs), "time": f"{progress.seconds:.1f}s"} | scores)
        )
        return
    output.say(
        f"Epoch {epoch}/{epochs}  {progress.step}/{progress.steps} [{'=' * BAR_WIDTH}] "
        f"{progress.seconds:.1f}s {1e3 * progress.seconds / progress.step:.2f}ms/step"
        + "".join(f" - {name}: {score}" for name, score in scores.items())
    )


def _epoch_row(cells: Mapping[str, str]) -> str:
    fits = sum(WIDE[name] for name in cells) <= output.width()
    if fits:
        return "".join(f"{cell:>{WIDE[name]}}" for name, cell in cells.items())
    cells = {name: cell.replace("accuracy", "acc") for name, cell in cells.items()}
    return "".join(f"{cells[name]:>{width}}" for name, width in NARROW.items() if name in cells)


def _of(number: int, total: int) -> str:
    return f"{number:>{len(str(total))}}/{total}"


def print_results(run: "Run", state: "TrainingState", test: "Evaluation", dataset: Dataset) -> None:
    """Says how good the network is, and what to do next."""
    print_best(state, run.settings.epochs)
    words = "--run", run.folder, *run.settings.model_flag
    show = startup.command_line("show_random", *words)
    output.say(
        f"Test loss {format_loss(test.loss)}, test accuracy {test.accuracy:.4f} "
        f"on the {len(dataset.test_labels):,} test images of {dataset.title}",
        f"Saved in {run.folder}",
        "Next, see random test images with what the network says, and what it gets wrong:",
        f"  {show}",
        f"  {show} --mistakes",
    )
    print_page_hint(run)
    if run.flags.tensorboard:
        print_tensorboard_hint(run.folder / TENSORBOARD)


def print_tensorboard_hint(folder: pathlib.Path) -> None:
    """Says how TensorBoard shows what is in a folder."""
    is_missing = importlib.util.find_spec("tensorboard") is None
    install = " (install it first: pip install tensorboard)" if is_missing else ""
    words = "-m", "tensorboard.main", "--logdir", folder
    output.say(
        f"See the epochs in TensorBoard{install}:",
        f"  {startup.shell_line(sys.orig_argv[0], *words)}",
    )


def print_best(state: "TrainingState", epochs: int) -> None:
    """Says which epoch was the best on the validation images, if there are any, of so many."""
    if state.history[0]["val_loss"] is not None:
        best, kept = max(state.history, key=lambda row: row["val_accuracy"] or -row["val_loss"]), ""
        if state.best_epoch:
            best, kept = state.history[state.best_epoch - 1], ", whose weights the network has"
        if len(state.history) < epochs:
            output.say(
                f"Stopped after epoch {len(state.history)}, as the validation loss was not lower "
                f"for {state.patience} epochs"
            )
        accuracy = format_accuracy(best["val_accuracy"])
        output.say(
            f"Best epoch: {best['epoch']}, validation {f'accuracy {accuracy}, ' * bool(accuracy)}"
            f"loss {format_loss(best['val_loss'])}{kept}"
        )


def print_page_hint(run: "Run | SavedRun") -> None:
    """Says how to make a page of a run, unless its network is one's own."""
    if run.settings.model:
        return
    output.say(
        "Draw for it yourself, on a page for a browser (--serve, for a phone):",
        f"  {startup.command_line('page', '--run', run.folder)}",
    )


def print_classes(classes: Sequence[Mapping[str, float]], names: Sequence[str]) -> None:
    """Prints what `metrics.per_class` gave; of a class without images, only how precise it is."""
    rows = []
    for name, row in zip(names, classes, strict=True):
        precision, *others = (f"{row[score]:.3f}" for score in ("precision", "recall", "f1"))
        scores = [precision, *(others if row["support"] else "--")]
        rows.append([name, *scores, f"{row['support']:,}"])
    output.table(["class", "precision", "recall", "F1", "support"], rows)


def print_matrix(matrix: np.ndarray, names: Sequence[str]) -> None:
    output.say("", "Confusion matrix (row: true class, column: predicted class)")
    rows = [[name, *map(str, row)] for name, row in zip(names, matrix, strict=True)]
    output.table(["", *names], rows)


def print_confused(pairs: Sequence[tuple[int, int, int]], names: Sequence[str]) -> None:
    """Prints what `metrics.most_confused` gave."""
    if pairs:
        output.say("", "Most confused")
    for truth, taken_for, count in pairs:
        output.say(f"  {names[truth]} taken for {names[taken_for]}: {count:,}")


def print_shown(dataset: Dataset, test: "Evaluation", shown: np.ndarray) -> None:
    """Prints what the network says of some test images; shown: their indices."""
    names, rows = dataset.class_names, []
    for index in shown:
        predicted, label = test.predictions[index], dataset.test_labels[index]
        probability = test.probabilities[index, predicted]
        wrong = "" if predicted == label else "wrong"
        rows.append([str(index), names[predicted], f"{probability:.1%}", names[label], wrong])
    output.table(["image", "prediction", "probability", "true", ""], rows, left=0)


def print_predictions(
    pictures: Sequence[str],
    readings: Sequence["Reading"],
    probabilities: np.ndarray,
    names: Sequence[str],
) -> None:
    """Prints what a network makes of pictures: of a few all, of many a row or a line each.

    pictures: their names; names: of the classes; probabilities: float [pictures, classes].
    """
    are_few = len(pictures) <= MAX_WHOLE
    if output.is_terminal() and not are_few:
        print_prediction_rows(pictures, readings, probabilities, names)
        return
    for picture, reading, row in zip(pictures, readings, probabilities, strict=True):
        if are_few:
            output.say(f"{picture}, as it was understood:")
            print_image(reading.image)
        if doubts := _doubts(reading):
            output.say(f"{picture} may be misread: {doubts}.")
        if are_few:
            print_probabilities(row, names)
        # The line that programs look for.
        output.say(f"{picture}: {names[row.argmax()]} ({row.max():.1%})", *[""] * are_few)


def print_prediction_rows(
    pictures: Sequence[str],
    readings: Sequence["Reading"],
    probabilities: np.ndarray,
    names: Sequence[str],
) -> None:
    """Prints a table of the first pictures; arguments as of `print_predictions`."""
    rows = []
    for picture, reading, row in zip(pictures[:MAX_ROWS], readings, probabilities, strict=False):
        first, second = np.argsort(-row, kind="stable")[:2]
        guess = f"{names[second]} {row[second]:.1%}" if row[second] > MIN_GUESS else "-"
        rows.append([picture, names[first], f"{row[first]:.1%}", guess, _doubts(reading) or "-"])
    header = ["picture", "prediction", "probability", "next guess", "may be misread"]
    if not any(map(_doubts, readings[:MAX_ROWS])):
        header, rows = header[:-1], [row[:-1] for row in rows]
    output.table(header, rows, stacked=True)
    if len(pictures) > MAX_ROWS:
        output.say(
            f"These are the first {MAX_ROWS} of {len(pictures):,}; --csv makes a table of all."
        )


def _doubts(reading: "Reading") -> str:
    """Returns why a picture may be misread, in a few words, or nothing."""
    count = reading.other_digits
    doubts = [f"{count} more piece{'s' * (count > 1)} of ink beside it"] if count else []
    doubts += ["lines as dark are joined to it"] if reading.is_lined else []
    return ", ".join(doubts)


def print_image(image: npt.NDArray[np.uint8]) -> None:
    """Prints an image by characters; image: `uint8` [height, width]."""
    # Two characters are about as wide as high. On a narrow terminal, each stands for more pixels.
    from PIL import Image

    scale = math.ceil(2 * image.shape[1] / output.width())
    for row in np.asarray(Image.fromarray(image).reduce(scale)):
        levels = [LEVELS[int(value) * (len(LEVELS) - 1) // 255] for value in row]
        output.say("".join(2 * level for level in levels).rstrip())


def print_probabilities(probabilities: np.ndarray, names: Sequence[str]) -> None:
    """Prints the probabilities of an image, [classes], as numbers and bars."""
    from rich.cells import cell_len

    widths = [cell_len(output.printable(name)) for name in names]
    bar = min(MAX_BAR, output.width() - max(widths) - 10)
    for name, width, probability in zip(names, widths, probabilities, strict=True):
        before = " " * (max(widths) - width)
        line = f"{before}{name}  {probability:>6.1%}  {'#' * round(bar * probability)}"
        output.say(line.rstrip())
