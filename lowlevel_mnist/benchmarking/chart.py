"""The benchmark's chart: seconds an epoch as bars, a panel for each recipe."""

from collections.abc import Mapping, Sequence

from lowlevel_mnist.benchmarking.contenders import FIT, FLOOR
from lowlevel_mnist.benchmarking.results import Facts, Result
from lowlevel_mnist.plots import BLUE, LIGHT_BLUE, ORANGE, Figure
from lowlevel_mnist.recipes import EXECUTIONS

REFERENCE = "fit"  # whose seconds are divided by those of each
GREY = "#b8b8b8"


def draw(
    figure: Figure, datasets: Mapping[str, Facts], results: Mapping[str, Sequence[Result]]
) -> None:
    """Draws what was measured into a Matplotlib figure, both by recipe.

    datasets: with the title of the data set.
    """
    heights = [1 + len(measured) for measured in results.values()]
    figure.set_layout_engine("constrained")
    figure.set_size_inches(9, 0.7 + sum(0.3 * height - 0.1 for height in heights))
    axes = figure.subplots(len(results), 1, squeeze=False, height_ratios=heights).flatten()
    for axis, (recipe, measured) in zip(axes, results.items(), strict=True):
        seconds = {result["contender"]: result["seconds"] for result in measured}
        floor = seconds.pop(FLOOR)
        of_named = dict.fromkeys(EXECUTIONS, BLUE) | dict.fromkeys(FIT, LIGHT_BLUE)
        colors = [of_named.get(name, GREY) for name in seconds]
        bars = axis.barh(list(seconds), list(seconds.values()), color=colors)
        reference = seconds.get(REFERENCE)
        labels = [
            f"{value:.3f} s" + (f", {reference / value:.2f}x" if reference else "")
            for value in seconds.values()
        ]
        axis.bar_label(bars, labels, padding=4, fontsize=9)
        axis.axvline(floor, color=ORANGE, linestyle="--", linewidth=1.5)
        axis.set_xlim(0, 1.2 * max(seconds.values(), default=floor))
        axis.set_title(f"{recipe} ({datasets[recipe]['title']})", fontsize=10, loc="left")
        axis.invert_yaxis()
        axis.tick_params(axis="y", length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
    axes[-1].set_xlabel("seconds an epoch; dashed: the matrix products alone")
    legend = "Dark blue: this package. Light blue: Keras. Grey: other libraries."
    figure.suptitle(f"{legend} 2x: twice as fast as fit.", fontsize=11)
