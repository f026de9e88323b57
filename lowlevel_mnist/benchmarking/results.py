"""The results of the benchmark: medians, ratios, the table, and all of it for a JSON file."""

import argparse
import importlib.metadata
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lowlevel_mnist.benchmarking.contenders import FLOOR, LIBRARIES
from lowlevel_mnist.console import output
from lowlevel_mnist.recipes import Recipe

COMPILED, TUNED = ("graph", "xla"), ("fit-steps", "fit-steps-xla")
# The best median of some contenders over that of others. More is faster, but for the last one.
RATIOS = {
    "eager over fit": (["fit"], ["eager"]),
    "best compiled over fit": (["fit"], COMPILED),
    "best compiled over best tuned fit": (TUNED, COMPILED),
    "eager over PyTorch": (["torch"], ["eager"]),
    "best compiled over JAX": (["jax"], COMPILED),
    "best compiled, times the floor": (COMPILED, [FLOOR]),
}

Result = dict[str, Any]  # of one contender with one recipe, as `summarize` returns it
Facts = Mapping[str, Any]  # name, title and number of samples of a recipe's data set


def summarize(
    recipe: str, contender: str, samples: int, runs: Sequence[Mapping[str, Any]]
) -> Result:
    """Returns the measurements of one contender with one recipe.

    samples: number of training images in an epoch; runs: what each of its processes has printed.
    Returns, for the JSON file, epochs: for each process, the wall seconds of each epoch;
    process_seconds: for each, its wall time from start to end; peak_mib: the largest memory of one,
    or None; test_accuracy: the median, or None; seconds: the median of `warm_seconds`.
    """
    epochs = [run["seconds"] for run in runs]
    accuracies = [run["test_accuracy"] for run in runs if "test_accuracy" in run]
    peaks = [run["peak_mib"] for run in runs if run["peak_mib"] is not None]
    return {
        "recipe": recipe,
        "contender": contender,
        "epochs": epochs,
        "process_seconds": [run["process_seconds"] for run in runs],
        "samples": samples,
        "peak_mib": max(peaks, default=None),
        "test_accuracy": statistics.median(accuracies) if accuracies else None,
        "seconds": statistics.median(warm_seconds(epochs)),
    }


def warm_seconds(epochs: list[list[float]]) -> list[float]:
    """Returns the seconds of all epochs after the first of each process, which compiles things.

    Of the products there is only one.
    """
    return [seconds for of_one in epochs for seconds in of_one[1:] or of_one]


def ratios(results: Sequence[Result]) -> dict[str, float]:
    """Returns those of the RATIOS of one recipe's medians of which both sides were measured."""
    seconds = {result["contender"]: result["seconds"] for result in results}
    found = {}
    for name, sides in RATIOS.items():
        a, b = ([seconds[one] for one in side if one in seconds] for side in sides)
        if a and b:
            found[name] = min(a) / min(b)
    return found


def print_table(recipe: Recipe, dataset: Facts, results: Sequence[Result]) -> None:
    """Prints a line for each contender, and the ratios.

    results: those of the recipe; dataset: with the title of its data set.
    """
    samples = results[0]["samples"]
    steps = math.ceil(samples / recipe.batch_size)
    fit = next((result["seconds"] for result in results if result["contender"] == "fit"), None)
    output.say(
        "",
        f"{recipe.name}: {samples:,} images of {dataset['title']}, "
        f"batches of {recipe.batch_size}, {steps:,} steps an epoch",
    )
    rows = []
    for result in results:
        seconds, warm = result["seconds"], warm_seconds(result["epochs"])
        times = seconds, min(warm), max(warm)
        row = [result["contender"], *(f"{time:.3f}" for time in times)]
        if result["contender"] == FLOOR:
            row += [""] * 6
        else:
            first = statistics.median(epochs[0] for epochs in result["epochs"])
            row += [
                f"{first:.3f}",
                f"{fit / seconds:.2f}" if fit else "-",
                f"{steps / seconds:,.0f}",
                f"{statistics.median(result['process_seconds']):.2f}",
                f"{result['peak_mib']:.0f}" if result["peak_mib"] else "-",
                f"{result['test_accuracy']:.4f}",
            ]
        rows.append(row)
    columns = (
        "s/epoch",
        "lowest",
        "highest",
        "first",
        "x fit",
        "steps/s",
        "process s",
        "MiB",
        "test",
    )
    output.table(["", *columns], rows)
    output.say(*(f"{name}: {ratio:.2f}" for name, ratio in ratios(results).items()))


def describe(
    arguments: argparse.Namespace,
    datasets: Mapping[str, Facts],
    results: Mapping[str, Sequence[Result]],
) -> dict[str, Any]:
    """Returns everything that was measured, by recipe, for a JSON file."""
    names = {result["contender"] for measured in results.values() for result in measured}
    recipes = {
        recipe: {
            "dataset": datasets[recipe]["name"],
            "samples": datasets[recipe]["samples"],
            "ratios": ratios(measured),
            "contenders": {result["contender"]: result for result in measured},
        }
        for recipe, measured in results.items()
    }
    return {
        "python": platform.python_version(),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "keras": importlib.metadata.version("keras"),
        **{name: importlib.metadata.version(name) for name in LIBRARIES if name in names},
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "epochs": arguments.epochs,
        "repeats": arguments.repeats,
        "recipes": recipes,
    }
