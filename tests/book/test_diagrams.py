"""The notebooks' pictures: how many of what is drawn, where, and in which colours."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lowlevel_mnist import diagrams


def test_a_film_shows_each_frame_and_holds_the_last():
    file, widths = io.BytesIO(), [0.2, 0.5, 0.9]

    def draw(figure, width):
        figure.set_size_inches(2, 1)
        axis = figure.add_axes((0, 0, 1, 1), xlim=(0, 1))
        axis.axvspan(0, width, color=diagrams.BLUE)

    diagrams.film(file, draw, [(width,) for width in widths])
    film = Image.open(file)
    durations, blue = [], []
    for number in range(film.n_frames):
        film.seek(number)
        durations.append(film.info["duration"])
        pixels = np.asarray(film.convert("RGB"), int)
        blue.append(np.sum(pixels[..., 2] > pixels[..., 0] + 80))
    assert durations == [300, 300, 3000]
    assert blue == sorted(set(blue))


@pytest.mark.parametrize(
    ("sizes", "units", "weights"), [([784, 10], [10, 10], 100), ([3, 11, 12], [3, 11, 10], 143)]
)
def test_a_network_has_a_circle_for_each_unit_and_a_line_for_each_weight(sizes, units, weights):
    """Of large layers, ten units; the captions are inside of the figure."""
    figure = Figure()
    diagrams.network(figure, sizes, [f"{size} units" for size in sizes])
    (axis,) = figure.axes
    circles = [line for line in axis.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in circles] == units
    assert len(axis.lines) - len(circles) == weights
    figure.draw_without_rendering()
    for text in axis.texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_signed_images_are_white_at_0():
    figure, image = Figure(), np.array([[-1.0, 0.0], [0.5, 3.0]])
    diagrams.images(figure, {"$plain$": image, "signed": image}, signed=["signed"])
    plain, signed = (axis.images[0] for axis in figure.axes[:2])
    assert plain.get_cmap().name == "gray"
    assert plain.get_clim() == (-1, 3)
    assert signed.get_clim() == (-3, 3)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["$plain$", "signed"]
    figure.savefig(io.BytesIO())  # "$plain$" is no mathematics


def test_a_plane_has_its_points_where_their_inputs_are():
    figure, points = Figure(), np.array([[0, 0], [0, 1], [1, 0]])
    diagrams.planes(figure, {"a": np.eye(4), "b": np.eye(4)}, points, np.array([0, 1, 0]))
    for axis in figure.axes[:2]:
        zeros, ones = (line.get_xydata().tolist() for line in axis.lines)
        assert (zeros, ones) == ([[0, 0], [1, 0]], [[0, 1]])
        assert axis.images[0].origin == "lower"


def test_lines_have_labels_and_the_settings_of_their_axes():
    figure = Figure()
    diagrams.lines(figure, {"a": ([1, 10], [2, 3], "--", "black")}, "title", xscale="log")
    (axis,) = figure.axes
    assert axis.get_xscale() == "log"
    assert [text.get_text() for text in axis.get_legend().texts] == ["a"]
    assert axis.lines[0].get_xydata().tolist() == [[1, 2], [10, 3]]
