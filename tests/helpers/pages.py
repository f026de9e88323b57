"""Pages of networks that nobody has trained: what they calculate is as hard to get right."""

import numpy as np
import pytest

from lowlevel_mnist import Network, data, page

IN_BOTH = ("chromium_browser", pytest.param("webkit_browser", marks=pytest.mark.full))


def dataset_of(arrays, name="custom", **properties):
    """Returns a `data.Dataset` of four arrays, in the order of `write_idx_folder`."""
    return data.Dataset(*arrays, name, "data-dir", "", False, **properties)


def random_network(dataset, *hidden, dtype="float32"):
    """Returns a network for a data set, all of whose weights and biases are at random."""
    pixels = dataset.test_images[0].size
    network = Network([pixels, *hidden, dataset.classes], dtype=dtype)
    generator = np.random.default_rng(0)
    for biases in network.biases:
        biases.assign(generator.normal(size=biases.shape))
    return network


def write_page(path, network, dataset, **options):
    """Writes a page, and makes sure of its size. Returns the path."""
    page.write(path, network, dataset, **options)
    parameters = sum(variable.numpy().size for variable in network.trainable_variables)
    assert path.stat().st_size <= 1.4 * 4 * parameters + 150_000
    return path
