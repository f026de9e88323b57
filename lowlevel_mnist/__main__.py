"""`python -m lowlevel_mnist`: lists the commands, and the runs in `runs/` to compare them."""

import datetime
import json

import lowlevel_mnist
from lowlevel_mnist import startup
from lowlevel_mnist.console import COMMANDS, cli, flags, output
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.recipes import RECIPES
from lowlevel_mnist.runs import folders
from lowlevel_mnist.runs.settings import DEFAULTS, format_value

MAX_RUNS = 20  # the newest ones
COMPARED = (
    *("dataset", "optimizer", "learning_rate", "batch_size"),
    *("validation_split", "execution", "dtype", "seed", "invert"),
)


def parse():
    parser = flags.Parser("")
    parser.description = "Lists the commands, and the runs in runs/ to compare them."
    parser.add_argument("command", nargs="*", help="is told how it is written")
    version = f"lowlevel_mnist {lowlevel_mnist.__version__}"
    parser.add_argument("--version", action="version", version=version)
    arguments, _ = parser.parse_known_args()
    if arguments.command:
        check_command(arguments.command[0])
    return parser.parse_args()


def check_command(name):
    """Raises `UserError` with how a command is started, or with the nearest one."""
    if name in COMMANDS:
        raise UserError(f"A command is written with a dot: {startup.command_line(name)}")
    raise UserError(flags.no_command(name))


def main(_):
    output.say("MNIST with nothing hidden, in low-level TensorFlow.", "")
    output.table(["command", "what it does"], COMMANDS.items(), left=2)
    output.say(
        "",
        "Begin with the first; each lists its flags with --help:",
        f"  {startup.command_line('train')}",
    )
    runs = sorted(folders.RUNS.glob(f"*/{folders.SETTINGS}"), key=lambda path: path.stat().st_mtime)
    if runs:
        newest = f", the newest {MAX_RUNS} of {len(runs)}" if len(runs) > MAX_RUNS else ""
        output.say("", f"Runs in {folders.RUNS}{newest}, the last one at the end:")
        header = ["run", "recipe and changes", "epochs", "val accuracy", "test accuracy"]
        rows = [describe(path) for path in runs[-MAX_RUNS:]]
        output.table([*header, "seconds", "when"], rows, left=2, stacked=True)


def describe(path):
    """Returns a row on the run of a `settings.json`, as texts."""
    when = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    try:
        settings = folders.find(path.parent).settings
        is_finished = (path.parent / folders.METRICS).exists()
        notes = [*changes(settings), *["unfinished"] * (not is_finished)]
        title = ", ".join([settings.title, *notes])
    except UserError:
        title = "(damaged, or of another version)"
    return [path.parent.name, title, *results(path.parent), f"{when:%Y-%m-%d %H:%M}"]


def changes(settings):
    """Returns what differs from the recipe beside the network, such as "seed 3"."""
    usual = DEFAULTS | vars(RECIPES.get(settings.recipe, settings))
    if usual["dataset"] == "auto":
        usual["dataset"] = "mnist"
    names = [name for name in COMPARED if getattr(settings, name) != usual[name]]
    return [f"{name.replace('_', ' ')} {format_value(getattr(settings, name))}" for name in names]


def results(folder):
    """Returns epochs, accuracies and seconds of a run as texts."""
    try:
        record = json.loads((folder / folders.METRICS).read_text(encoding="utf-8"))
        *_, last = history = record["history"]
        validation = last["val_accuracy"]
        return [
            str(len(history)),
            "-" if validation is None else f"{validation:.4f}",
            f"{record['test_accuracy']:.4f}",
            f"{sum(row['seconds'] for row in history):.1f}",
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return ["-"] * 4


if __name__ == "__main__":
    cli.run_command(main, parse)
