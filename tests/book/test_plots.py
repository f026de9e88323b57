"""Pictures: what lies where once they are drawn, and what they show."""

import io

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from lowlevel_mnist import fonts, plots
from lowlevel_mnist.console import figures
from lowlevel_mnist.errors import Remark
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
@pytest.mark.parametrize("epochs", [1, 3, 50])
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


@pytest.mark.parametrize("units", [3, 200])
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


NAMES = ["$\\f$", "$x$", "a_b", "%", "\\", "^2", "ζ", "я", "ب", "ankle boot or whatever"]
NO_FONT_HAS = "\U000e0041"  # a tag, which shows nothing


def draw_all(names):
    """Draws every picture that has names of classes in it; returns the figures."""
    images, labels = np.zeros((10, 6, 5), np.uint8), np.arange(10)
    probabilities = np.eye(10)[labels] * 0.9 + 0.01
    content = {
        plots.samples: (images, labels, names, "data"),
        plots.confusion_matrix: (np.eye(10, dtype=int), names, "data"),
        plots.weights: (np.ones((30, 10)), (6, 5), names, "data"),
        plots.random_predictions: (images, labels, probabilities[::-1], names, "data"),
        plots.predictions: (images, probabilities, names, names, "data"),
    }
    for draw, arguments in content.items():
        figure = Figure()
        draw(figure, *arguments)
        yield figure


def texts_of(figure):
    return [text for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.filterwarnings("error")  # of Matplotlib, for each character that it can't draw
@pytest.mark.parametrize("format", ["png", pytest.param("svg", marks=pytest.mark.full)])
def test_names_are_drawn_as_they_are(format):
    """Nothing in them is mathematics. Matplotlib's own font has these scripts."""
    for figure in draw_all(NAMES):
        figure.savefig(io.BytesIO(), format=format)
        drawn = " ".join(text.get_text() for text in texts_of(figure))
        assert all(name in drawn for name in NAMES[:-1])
        assert "ankle...ever" in drawn
        assert {text.get_fontfamily()[0] for text in texts_of(figure)} == {"sans-serif"}


@pytest.mark.filterwarnings("error")
def test_characters_that_no_font_has():
    for figure in draw_all([f"{number}{NO_FONT_HAS}" for number in range(10)]):
        figure.savefig(io.BytesIO())
        assert "3?" in " ".join(text.get_text() for text in texts_of(figure))
    names = ["a", f"b{NO_FONT_HAS}", "c"]
    with pytest.warns(Remark, match="the numbers of the classes") as remarks:
        assert figures.names_to_draw(names, [0, 2]) == ["0", "2"]
    assert len(remarks) == 1
    assert figures.names_to_draw(["a", "ζ"], [1]) == ["ζ"]


RARE = "\u1d84"  # a letter k with a hook: Matplotlib's STIX has it, its usual font has not


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("format", ["pdf", pytest.param("png", marks=pytest.mark.full)])
def test_another_font_helps_where_the_usual_one_lacks_a_character(format, caplog):
    for figure in draw_all([f"{number}{RARE}" for number in range(10)]):
        figure.savefig(io.BytesIO(), format=format)
        first, *others = texts_of(figure)[0].get_fontfamily()
        assert first == "sans-serif"
        assert len(others) == 1
        assert f"3{RARE}" in " ".join(text.get_text() for text in texts_of(figure))
    assert caplog.text == ""  # no want of a bold font, for instance


def test_a_font_that_was_installed_since_matplotlib_made_its_list(monkeypatch, tmp_path):
    manager = font_manager.fontManager
    stix = str(font_manager.findfont("STIXGeneral"))
    usual = [entry for entry in manager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(manager, "ttflist", usual)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [tmp_path / "broken.ttf"])
    fonts._find_families.cache_clear()
    assert fonts.missing(f"a{RARE}") == {RARE}
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [tmp_path / "broken.ttf", stix])
    fonts._find_families.cache_clear()
    assert fonts.missing(f"a{RARE}") == set()
    assert fonts._find_families(frozenset(RARE)) == (["STIXGeneral"], set())
    fonts._find_families.cache_clear()


def test_long_names_lose_their_middle():
    assert fonts.shorten("T-shirt/top", 12) == "T-shirt/top"
    assert fonts.shorten("abcdefghijklm", 12) == "abcde...jklm"
    wide = "\u65e5\u672c" * 9  # Chinese
    # A machine may have no font for it.
    assert fonts.shorten(wide, 12) in (f"{wide[:3]}...{wide[-2:]}", "?????...????")
