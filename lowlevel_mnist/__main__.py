"""`python -m lowlevel_mnist`: lists the commands, and the runs in `runs/` to compare them."""

import argparse
import datetime
import pathlib
from typing import NoReturn

from lowlevel_mnist import startup
from lowlevel_mnist.console import COMMANDS, cli, flags, output
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.recipes import RECIPES
from lowlevel_mnist.runs import folders, records
from lowlevel_mnist.runs.settings import DEFAULTS, Settings, format_value

MAX_RUNS = 20  # the newest ones
MAX_BYTES = 50_000_000  # of a `metrics.json`; thousands of epochs, and a matrix of 256 classes
COMPARED = (
    *("dataset", "optimizer", "learning_rate", "batch_size"),
    *("validation_split", "execution", "dtype", "seed", "invert", "patience", "momentum"),
    *("nesterov", "weight_decay", "clip_norm", "label_smoothing", "schedule"),
)


def parse() -> argparse.Namespace:
    parser = flags.Parser("")
    parser.description = "Lists the commands, and the runs in runs/ to compare them."
    parser.add_argument("command", nargs=argparse.REMAINDER, help="is told how it is written")
    arguments = parser.parse_args()
    if arguments.command:
        check_command(arguments.command[0])
    return arguments


def check_command(name: str) -> NoReturn:
    """Raises `UserError` with how a command is started, or with the nearest one."""
    if name in COMMANDS:
        raise UserError(f"A command is written with a dot: {startup.command_line(name)}")
    raise UserError(flags.no_command(name))


def main(_: argparse.Namespace) -> None:
    output.say("MNIST with nothing hidden, in low-level TensorFlow.", "")
    output.table(["command", "what it does"], COMMANDS.items(), left=2)
    output.say(
        "",
        "Begin with the first; each lists its flags with --help:",
        f"  {startup.command_line('train')}",
    )
    runs = folders.list_runs(folders.SETTINGS)
    if runs:
        newest = f", the newest {MAX_RUNS} of {len(runs)}" if len(runs) > MAX_RUNS else ""
        output.say("", f"Runs in {folders.RUNS}{newest}, the last one at the end:")
        header = ["run", "recipe and changes", "epochs", "val accuracy", "test accuracy"]
        rows = [describe(folder) for folder in runs[-MAX_RUNS:]]
        output.table([*header, "seconds", "when"], rows, left=2, stacked=True)


def describe(folder: pathlib.Path) -> list[str]:
    """Returns a row on a run, as texts."""
    when = datetime.datetime.fromtimestamp((folder / folders.SETTINGS).stat().st_mtime)
    try:
        settings = folders.find(folder).settings
        is_finished = (folder / folders.METRICS).exists()
        notes = [*changes(settings), *["unfinished"] * (not is_finished)]
        title = ", ".join([settings.title, *notes])
    except UserError:
        title = "(damaged, or of another version)"
    return [folder.name, title, *results(folder), f"{when:%Y-%m-%d %H:%M}"]


def changes(settings: Settings) -> list[str]:
    """Returns what differs from the recipe beside the network, such as "seed 3"."""
    usual = DEFAULTS | vars(RECIPES.get(settings.recipe, settings))
    if usual["dataset"] == "auto":
        usual["dataset"] = "mnist"
    names = [name for name in COMPARED if getattr(settings, name) != usual[name]]
    return [f"{name.replace('_', ' ')} {format_value(getattr(settings, name))}" for name in names]


def results(folder: pathlib.Path) -> list[str]:
    """Returns epochs, accuracies and seconds of a run as texts, dashes where there are none."""
    kind = {"history": tuple[records.Epoch, ...], "test_accuracy": float, "best_epoch": int | None}
    try:
        record = {"best_epoch": None, **records.read_json(folder / folders.METRICS, MAX_BYTES)}
        history = [{"learning_rate": None, **row} for row in record["history"]]  # of older runs
        known = records.from_json(kind, {key: record[key] for key in kind} | {"history": history})
        history = known["history"]
        kept = history[(known["best_epoch"] or len(history)) - 1]
    except (ValueError, KeyError, TypeError, IndexError):  # of an unfinished run, or damaged
        return ["-"] * 4
    return [
        str(history[-1].epoch),
        "-" if kept.val_accuracy is None else f"{kept.val_accuracy:.4f}",
        f"{known['test_accuracy']:.4f}",
        f"{sum(row.seconds for row in history):.1f}",
    ]


if __name__ == "__main__":
    cli.run_command(main, parse)
