"""`python -m lowlevel_mnist.benchmark`: how fast the recipes are beside Keras's `fit`."""

import dataclasses
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from lowlevel_mnist import data
from lowlevel_mnist.benchmarking.contenders import COMPILED, CONTENDERS, FLOOR, TUNED_FIT
from lowlevel_mnist.console import cli
from lowlevel_mnist.errors import UnreachableError, UserError
from lowlevel_mnist.recipes import EXECUTIONS, RECIPES
from lowlevel_mnist.runs import files

ROOM = 500_000  # characters; the JSON and the chart of all recipes take about 100,000


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured of one contender with one recipe.

    epochs: for each repeat the wall seconds of each epoch.
    process_seconds: for each repeat the wall time of the whole process, from its start to its end.
    samples: training images of an epoch.
    peak_mib: largest memory of a process, in MiB. test_accuracy: median of the repeats.
    """

    recipe: str
    contender: str
    epochs: list
    process_seconds: list
    samples: int
    peak_mib: float | None
    test_accuracy: float | None

    @property
    def warm(self):
        """Seconds of all epochs after the first of each process, in which things are compiled."""
        return [seconds for epochs in self.epochs for seconds in warm(epochs)]

    @property
    def seconds(self):
        """Median seconds of an epoch."""
        return statistics.median(self.warm)


def warm(epochs):
    """Returns the seconds of all epochs after the first; of the products, there is one only."""
    return epochs[1:] or epochs


def parse():
    parser = cli.Parser(
        "benchmark", "Measures seconds an epoch of this package and of Keras's fit, side by side."
    )
    parser.add_argument(
        "--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), help="(default: all)"
    )
    parser.add_argument(
        "--executions",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        help=f"{', '.join(EXECUTIONS)}: this package; fit: Keras as people call it; fit-steps: "
        "with steps_per_execution=100; fit-steps-xla: with jit_compile=True, too, which on a CPU "
        "fit leaves off (default: all)",
    )
    parser.add_argument(
        "--epochs",
        type=cli.whole_number(2),
        default=5,
        metavar="N",
        help="epochs in a process; the first, in which things are compiled, is counted apart "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--repeats",
        type=cli.whole_number(1),
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


def main():
    arguments = parse()
    cli.check_picture_name(arguments.chart)
    files.check_room(arguments.chart, ROOM)
    if arguments.json:
        if arguments.json.absolute() == arguments.chart.absolute():
            raise UserError(f"{arguments.json} can't be the JSON and the chart; choose two files.")
        files.check_room(arguments.json, ROOM)
    datasets = find_datasets(arguments.recipes)
    # The products last: with each recipe that is measured, its floor is.
    contenders = [name for name in (*CONTENDERS, FLOOR) if name in (*arguments.executions, FLOOR)]
    results = []
    for recipe, dataset in datasets.items():
        measured = measure(recipe, dataset, contenders, arguments.epochs, arguments.repeats)
        print_table(RECIPES[recipe], dataset, measured)
        results += measured
        if arguments.json:  # after each recipe, so that what is measured is not lost
            files.write_json_to(arguments.json, describe(arguments, datasets, results))
    cli.save_picture(arguments.chart, draw_chart, datasets, results)
    print(f"Saved in {arguments.chart}" + (f" and {arguments.json}" if arguments.json else ""))


def find_datasets(recipes):
    """Returns for each recipe the name and title of the data set that it is measured on.

    Where MNIST can't be had, it is the built-in digits. A recipe without any data is left out.
    """
    datasets = {}
    for recipe in recipes:
        wanted = RECIPES[recipe].dataset
        try:
            dataset = data.load(wanted)
        except UnreachableError:
            title = data.TITLES[wanted]
            print(f"{recipe}: {title} can't be had, so it is left out.", file=sys.stderr)
            continue
        if dataset.fallback_reason:
            instead = "MNIST can't be had, so it is measured on the built-in digits"
            print(f"{recipe}: {instead}.", file=sys.stderr)
        datasets[recipe] = {"name": dataset.name, "title": dataset.title}
    if not datasets:
        raise UserError(
            "There is nothing to measure. Put the data into a folder and name it in "
            f"{data.ENVIRONMENT_VARIABLE}, or choose other --recipes."
        )
    return datasets


def measure(recipe, dataset, contenders, epochs, repeats):
    """Runs each contender `repeats` times, taking turns. Returns a list of `Result`."""
    runs = {contender: [] for contender in contenders}
    for repeat in range(1, repeats + 1):
        for contender in contenders:
            run = run_process(recipe, contender, dataset["name"], epochs)
            runs[contender].append(run)
            print(
                f"{recipe}, {repeat}/{repeats}, {contender}: "
                f"{statistics.median(warm(run['seconds'])):.3f} s an epoch",
                file=sys.stderr,
                flush=True,
            )
    return [summarize(recipe, contender, runs[contender]) for contender in contenders]


def run_process(recipe, contender, dataset, epochs):
    """Runs one contender in a process of its own. Returns what it measured."""
    command = [
        sys.executable,
        "-m",
        "lowlevel_mnist.benchmarking.contenders",
        recipe,
        contender,
        dataset,
    ]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, str(epochs)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    seconds = time.perf_counter() - start
    return {**json.loads(done.stdout.splitlines()[-1]), "process_seconds": seconds}


def summarize(recipe, contender, runs):
    accuracies = [run["test_accuracy"] for run in runs if "test_accuracy" in run]
    peaks = [run["peak_mib"] for run in runs if run["peak_mib"] is not None]
    return Result(
        recipe=recipe,
        contender=contender,
        epochs=[run["seconds"] for run in runs],
        process_seconds=[run["process_seconds"] for run in runs],
        samples=runs[0]["samples"],
        peak_mib=max(peaks, default=None),
        test_accuracy=statistics.median(accuracies) if accuracies else None,
    )


def ratios(results):
    """Compares the medians of one recipe. Returns a dictionary of what was measured.

    Keras's time over ours, so more is faster; of the floor, ours over its.
    """
    seconds = {result.contender: result.seconds for result in results}

    def best(names):
        return min((seconds[name] for name in names if name in seconds), default=None)

    fit, tuned, compiled = best(["fit"]), best(TUNED_FIT), best(COMPILED)
    pairs = {
        "eager over fit": (fit, best(["eager"])),
        "best compiled over fit": (fit, compiled),
        "best compiled over best tuned fit": (tuned, compiled),
        "best compiled, times the floor": (compiled, best([FLOOR])),
    }
    return {name: a / b for name, (a, b) in pairs.items() if a and b}


def print_table(recipe, dataset, results):
    samples = results[0].samples
    steps = math.ceil(samples / recipe.batch_size)
    fit = next((result.seconds for result in results if result.contender == "fit"), None)
    print(
        f"\n{recipe.name}: {samples:,} images of {dataset['title']}, "
        f"batches of {recipe.batch_size}, {steps:,} steps an epoch\n"
        f"{'':14} s/epoch   (lowest-highest)   first   x fit  steps/s  process s   MiB    test"
    )
    for result in results:
        lowest, highest = min(result.warm), max(result.warm)
        line = f"{result.contender:14} {result.seconds:7.3f}   ({lowest:6.3f} -{highest:7.3f})"
        if result.contender != FLOOR:
            first = statistics.median(epochs[0] for epochs in result.epochs)
            over_fit = f"{fit / result.seconds:.2f}" if fit else "-"
            peak = f"{result.peak_mib:.0f}" if result.peak_mib else "-"
            line += (
                f"  {first:6.3f}  {over_fit:>6}  {steps / result.seconds:7,.0f}  "
                f"{statistics.median(result.process_seconds):9.2f}  {peak:>4}  "
                f"{result.test_accuracy:.4f}"
            )
        print(line)
    for name, ratio in ratios(results).items():
        print(f"{name}: {ratio:.2f}", flush=True)


def draw_chart(figure, datasets, results):
    from lowlevel_mnist import plots

    panels = {}
    for recipe, dataset in datasets.items():
        measured = {r.contender: r.seconds for r in results if r.recipe == recipe}
        floor = measured.pop(FLOOR)
        panels[f"{recipe} ({dataset['title']})"] = (measured, floor)
    plots.benchmark(figure, panels, "fit", EXECUTIONS)


def describe(arguments, datasets, results):
    """Returns everything that was measured, for a JSON file."""
    recipes = {}
    for name in dict.fromkeys(result.recipe for result in results):
        measured = [result for result in results if result.recipe == name]
        recipes[name] = {
            "dataset": datasets[name]["name"],
            "samples": measured[0].samples,
            "ratios": ratios(measured),
            "contenders": {
                result.contender: {**dataclasses.asdict(result), "seconds": result.seconds}
                for result in measured
            },
        }
    return {
        "python": platform.python_version(),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "keras": importlib.metadata.version("keras"),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "epochs": arguments.epochs,
        "repeats": arguments.repeats,
        "recipes": recipes,
    }


if __name__ == "__main__":
    cli.run(main)
