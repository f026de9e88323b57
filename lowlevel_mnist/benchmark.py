"""`python -m lowlevel_mnist.benchmark`: how fast the recipes are beside Keras, PyTorch and JAX."""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any

from lowlevel_mnist import data
from lowlevel_mnist.benchmarking import results
from lowlevel_mnist.benchmarking.contenders import CONTENDERS, FLOOR, LIBRARIES, without_validation
from lowlevel_mnist.console import cli, flags, output, report
from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.recipes import EXECUTIONS, RECIPES
from lowlevel_mnist.runs import files


def parse() -> argparse.Namespace:
    parser = flags.Parser("benchmark")
    parser.add_argument(
        "--recipes",
        nargs="+",
        choices=RECIPES,
        default=list(RECIPES),
        metavar="NAME",
        help=f"{', '.join(RECIPES)} (default: all)",
    )
    parser.add_argument(
        "--executions",
        nargs="+",
        choices=CONTENDERS,
        metavar="NAME",
        default=[name for name in CONTENDERS if name not in LIBRARIES or find_spec(name)],
        help=f"{', '.join(EXECUTIONS)}: this package; fit: Keras as people call it; fit-steps: "
        "with steps_per_execution=100; fit-steps-xla: with jit_compile=True, too, which on a CPU "
        "fit leaves off; torch, jax: PyTorch's eager loop and JAX's jit of a scan, where they are "
        "installed (default: all that are)",
    )
    parser.add_argument(
        "--epochs",
        type=flags.whole_number(2),
        default=5,
        metavar="N",
        help="epochs in a process; the first, in which things are compiled, is counted apart "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--repeats",
        type=flags.whole_number(1),
        default=3,
        metavar="N",
        help="processes of each contender (default: %(default)s)",
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="write every figure to FILE, too"
    )
    parser.add_argument(
        "--chart",
        type=pathlib.Path,
        metavar="FILE",
        default=pathlib.Path("benchmark.png"),
        help="where the bar chart goes (default: %(default)s)",
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    output.show(output.LOADING)
    flags.check_file_name(arguments.chart)
    files.check_writable(arguments.chart, "Choose another file with --chart.")
    if arguments.json:
        if arguments.json.absolute() == arguments.chart.absolute():
            raise UserError(f"{arguments.json} can't be the JSON and the chart; choose two files.")
        files.check_writable(arguments.json)
    for name in arguments.executions:
        if name in LIBRARIES and not find_spec(name):
            has_clone = pathlib.Path(__file__).parents[1].joinpath("pyproject.toml").exists()
            extra = "the extra peers: pip install -e '.[peers]'"
            raise UserError(
                f"--executions {name} needs {LIBRARIES[name]}, which is not installed. It comes "
                f"with {extra if has_clone else 'pip install torch jax'}"
            )
    datasets = find_datasets(arguments.recipes)
    # The products are always measured, and last: they are every recipe's floor.
    contenders = [name for name in (*CONTENDERS, FLOOR) if name in (*arguments.executions, FLOOR)]
    measured = {}
    for recipe, dataset in datasets.items():
        measured[recipe] = measure(recipe, dataset, contenders, arguments.epochs, arguments.repeats)
        results.print_table(RECIPES[recipe], dataset, measured[recipe])
        if arguments.json:  # after each recipe, so that an early end loses little
            content = results.describe(arguments, datasets, measured)
            files.write_json(arguments.json.resolve(), content)
    from lowlevel_mnist.benchmarking import chart  # Matplotlib, only where it is drawn
    from lowlevel_mnist.console import figures

    figures.save_picture(arguments.chart, chart.draw, datasets, measured)
    output.say(f"Saved in {arguments.chart}" + f" and {arguments.json}" * bool(arguments.json))


def find_datasets(recipes: Iterable[str]) -> dict[str, results.Facts]:
    """Returns for each recipe the name and title of its data set, and its number of samples.

    Where MNIST can't be had, it is the built-in digits. A recipe without any data is left out.
    """
    datasets: dict[str, results.Facts] = {}
    for recipe in recipes:
        wanted = RECIPES[recipe].dataset
        try:
            dataset = data.load(wanted)
        except UnreachableError:
            title = data.TITLES[wanted]
            output.remark(f"{recipe}: {title} can't be had, so it is left out.")
            continue
        if dataset.fallback_reason:
            instead = "MNIST can't be had, so it is measured on the built-in digits"
            output.remark(f"{recipe}: {instead}.")
        samples = len(without_validation(RECIPES[recipe], dataset).train_labels)
        datasets[recipe] = {"name": dataset.name, "title": dataset.title, "samples": samples}
    if not datasets:
        raise UserError(
            "There is nothing to measure. Put the data into a folder and name it in "
            f"{data.ENVIRONMENT_VARIABLE}, or choose other --recipes."
        )
    return datasets


def measure(
    recipe: str, dataset: results.Facts, contenders: Sequence[str], epochs: int, repeats: int
) -> list[results.Result]:
    """Runs each contender `repeats` times, taking turns.

    A peer that fails is left out from there on, and so is what it had measured.
    """
    runs: dict[str, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    turns = list(itertools.product(range(1, repeats + 1), contenders))
    start = time.perf_counter()
    for done, (repeat, contender) in enumerate(turns):
        if contender not in runs:
            continue
        seconds_left = (len(turns) - done) * (time.perf_counter() - start) / max(done, 1)
        left = f"{report.format_seconds(seconds_left)} left" if done else ""
        output.show_progress(done, len(turns), recipe, f"{contender}  {left}")
        run, failure = run_process(recipe, contender, dataset["name"], epochs)
        if run is None:
            del runs[contender]
            outcome = f"left out, because it {failure}"
        else:
            runs[contender].append(run)
            seconds = statistics.median(results.warm_seconds([run["seconds"]]))
            outcome = f"{seconds:.3f} s an epoch"
        if run is None or not output.is_terminal():
            output.remark(f"{recipe}, {repeat}/{repeats}, {contender}: {outcome}")
    return [
        results.summarize(recipe, contender, dataset["samples"], of_one)
        for contender, of_one in runs.items()
    ]


def run_process(
    recipe: str, contender: str, dataset: str, epochs: int
) -> tuple[dict[str, Any] | None, str | None]:
    """Runs one contender in a process of its own.

    Returns what it measured, and None; or where it is a peer that fails, None, and how it failed.
    """
    module = "lowlevel_mnist.benchmarking.contenders"
    is_peer = contender not in (*EXECUTIONS, FLOOR)
    # The folder is this process's, because a signal ends the other one before it can tidy up.
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", module, recipe, contender, dataset, str(epochs), folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if is_peer else None,
            text=True,
            errors="replace",
            check=not is_peer,
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        )
        seconds = time.perf_counter() - start
    if done.returncode:  # that of a signal is negative, such as -9 where memory runs out
        *_, last = done.stderr.splitlines() or ["it gave no reason"]
        return None, f"failed with exit code {done.returncode}: {last}"
    return {**json.loads(done.stdout.splitlines()[-1]), "process_seconds": seconds}, None


if __name__ == "__main__":
    cli.run_command(main, parse)
