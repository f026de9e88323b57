"""What the commands share: flags, exit codes and signals, and what is printed and drawn."""

import sys

# Those who come first begin with the first.
COMMANDS = {
    "train": "Trains a recipe's network and saves the run in a folder.",
    "show_random": "Shows random test images with what the network says.",
    "evaluate": "Tests a run's network on test images, class by class.",
    "predict": "Reads pictures of digits, or of what else the network has learnt.",
    "page": "Writes a run's network as a page to draw on: one HTML file that opens in a browser "
    "and needs nothing else.",
    "export": "Saves a run's network, preprocessing included, as a TensorFlow SavedModel.",
    "benchmark": "Measures seconds an epoch of this package and of its peers, side by side: "
    "Keras's fit, PyTorch, JAX.",
}


def started_module() -> str | None:
    """Returns the X of `python -m lowlevel_mnist.X` while Python imports it, and None later."""
    if sys.argv[:1] != ["-m"]:
        return None
    package, _, module = sys.orig_argv[-len(sys.argv)].partition(".")
    return module if package == "lowlevel_mnist" and module else None
