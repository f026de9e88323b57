"""How well a network that has seen only the built-in digits reads real handwriting.

    python -m tests.tables.digits_on_mnist accuracy SEED

trains recipe mlp-512-dropout on the built-in digits, which takes half a minute, and prints its
accuracy and confusion matrix on MNIST's training images, by which the digits were tuned, and on
its test images, which they have never been looked at with.

    python -m tests.tables.digits_on_mnist picture FILE

draws two rows of built-in digits above two rows of MNIST's training images.

MNIST must be in the folder that LOWLEVEL_MNIST_DATA names.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from matplotlib.figure import Figure

from lowlevel_mnist import data, startup
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits


def read_mnist(mnist, seed):
    """Trains on digits; returns the `metrics.Evaluation` on MNIST's training and test images."""
    startup.import_tensorflow()
    from lowlevel_mnist import metrics

    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        flags = ["--recipe", "mlp-512-dropout", "--dataset", "digits", "--seed", str(seed)]
        command = [sys.executable, "-m", "lowlevel_mnist.train", *flags, "--output-dir", run]
        subprocess.run([*command, "--no-plots"], check=True, stdout=subprocess.DEVNULL)
        model = folders.find(run).load_model()
    return (
        metrics.evaluate(model, mnist.train_images, mnist.train_labels),
        metrics.evaluate(model, mnist.test_images, mnist.test_labels),
    )


def print_accuracies(seed):
    results = read_mnist(data.load("mnist"), seed)
    for part, result in zip(("training", "test"), results, strict=True):
        print(f"\nMNIST {part} images, seed {seed}: accuracy {result.accuracy:.4f}")
        print("rows: true digit; columns: what the network says; last column: part that is right")
        for digit, row in enumerate(result.confusion_matrix):
            counts = "".join(f"{count:6d}" for count in row)
            print(f"{digit}  {counts} {row[digit] / row.sum():8.3f}")


def draw_picture(file, columns=14):
    count = 2 * columns
    rows = {
        "built-in digits": digits.generate(count, seed=0)[0],
        "MNIST": data.load("mnist").train_images[:count],
    }
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(2, 1), rows.items(), strict=True):
        axis = part.subplots()
        sheet = images.reshape(2, columns, 28, 28).swapaxes(1, 2).reshape(2 * 28, columns * 28)
        axis.imshow(sheet, cmap="gray")
        axis.set_axis_off()
        axis.set_title(title, loc="left", fontsize=11)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("accuracy").add_argument("seed", type=int)
    commands.add_parser("picture").add_argument("file")
    arguments = parser.parse_args()
    if arguments.command == "accuracy":
        print_accuracies(arguments.seed)
    else:
        draw_picture(arguments.file)
