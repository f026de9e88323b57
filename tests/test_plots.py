"""Pictures: what lies where once they are drawn, and what they show."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lowlevel_mnist import plots
from lowlevel_mnist.console import figures
from lowlevel_mnist.model import Network


def make_history(epochs, validated):
    """The history of a run whose loss falls by nine tenths in each epoch."""
    losses = 0.1 ** np.arange(epochs)
    val_losses = 2 * losses if validated else [None] * epochs
    return [
        {
            "epoch": epoch,
            "loss": loss,
            "accuracy": 1 - loss / 2,
            "val_loss": val_loss,
            "val_accuracy": val_loss and 1 - val_loss / 2,
        }
        for epoch, (loss, val_loss) in enumerate(zip(losses, val_losses, strict=True), start=1)
    ]


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("epochs", [1, 2, 3, 12, 50])
def test_curves_have_whole_epochs_and_a_legend_off_the_data(epochs, validated):
    figure = Figure()
    plots.curves(figure, make_history(epochs, validated), 0.5, 0.75, "test data")
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].texts) == 2 + validated
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    for axis in figure.axes:
        assert not axis.get_legend()
        assert not legend.overlaps(axis.get_tightbbox())
        start, end = axis.get_xlim()
        ticks = [tick for tick in axis.get_xticks() if start <= tick <= end]
        assert all(tick == round(tick) and 0 <= tick <= epochs for tick in ticks)
        assert len(ticks) >= min(epochs, 4)


def test_accuracy_that_is_always_1():
    row = {"loss": 0.0, "accuracy": 1.0, "val_loss": None, "val_accuracy": None}
    figure = Figure()
    plots.curves(figure, [row | {"epoch": epoch} for epoch in (1, 2)], 0.0, 1.0, "test data")
    _, accuracies = figure.axes
    start, end = accuracies.get_ylim()
    assert start < 1 < end < 1.01


@pytest.mark.parametrize("units", [3, 60, 200])
def test_the_hidden_units_that_weigh_most_are_drawn(units):
    """Each with its own weights, in the order of their numbers, which are their names."""
    model = Network([12, units, 7, 10])
    strong = np.array([units - 1, 0, units // 2])
    outgoing = model.weights[1].numpy()
    outgoing[strong] *= 100
    model.weights[1].assign(outgoing)
    draw, weights, shape, names, title = figures.weights_to_draw(
        model, range(10), "abcdefghij", (3, 4), "test data"
    )
    shown = [int(name) for name in names]
    assert len(shown) == min(units, 60)
    assert set(strong) <= set(shown)
    assert shown == sorted(shown)
    np.testing.assert_array_equal(weights, model.weights[0].numpy()[:, shown])
    assert f"{len(shown)} units of the first layer" in title
    figure = Figure()
    draw(figure, weights, shape, names, title)
    assert [text.get_text() for text in figure.axes[0].texts] == names
    assert figure.get_figwidth() > figure.get_figheight()
