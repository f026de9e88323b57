"""What sharing batches costs, and that it changes nothing: `mlp-512-dropout` on MNIST.

    python -m tests.tables.workers_on_mnist

trains on 1, 2 and 3 workers on loopback and on 2 and 4 devices, and prints how far the weights are
from those of one device after an epoch in float64, the test accuracy after five in float32, and the
time and bytes of a step; then the time of a step on one device by the batch size. It takes five
minutes on two cores, and needs MNIST in LOWLEVEL_MNIST_DATA, and Linux for the bytes.
"""

import os
import pathlib
import statistics
import tempfile

import numpy as np

from lowlevel_mnist import startup
from tests.helpers.commands import run
from tests.helpers.runs import read_metrics, read_state
from tests.helpers.workers import train_mirrored, train_together

RECIPE = ("--recipe", "mlp-512-dropout", "--execution", "graph", "--no-plots")
BATCH_SIZES = (32, 128, 512, 2048, 8192)


def main():
    startup.import_tensorflow()  # with which checkpoints are read here
    folder = pathlib.Path(os.environ["LOWLEVEL_MNIST_DATA"]) / "mnist"
    flags = ("--data-dir", folder, *RECIPE)
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        print("float64, one epoch: largest difference of a weight; float32, five epochs")
        print("shared by   difference  test accuracy  ms a step  bytes a step on loopback")
        expected = None
        for who, start in CONTENDERS.items():
            exact, rough = out / f"{who} exact", out / f"{who} rough"
            home = out / f"{who} home"
            home.mkdir()
            start(*flags, "--dtype", "float64", "--epochs", 1, "--output-dir", exact, cwd=home)
            arrays = read_state(exact)
            del arrays["metrics"]
            expected = expected or arrays
            difference = max(np.abs(arrays[key] - expected[key]).max() for key in expected)
            before = bytes_on_loopback()
            start(*flags, "--epochs", 5, "--output-dir", rough, cwd=home)
            moved = bytes_on_loopback() - before
            metrics = read_metrics(rough)
            print(
                f"{who:<10}  {difference:<10.1e}  {metrics['test_accuracy']:<13.4f}  "
                f"{1e3 * seconds_a_step(metrics):<9.2f}  {moved / (5 * 1875):,.0f}",
                flush=True,
            )
        print("one device, float32: batch size, ms a step")
        for size in BATCH_SIZES:
            run_out = out / f"batch {size}"
            alone(*flags, "--epochs", 5, "--batch-size", size, "--output-dir", run_out, cwd=out)
            print(f"{size:>5}  {1e3 * seconds_a_step(read_metrics(run_out)):.2f}", flush=True)


def alone(*arguments, cwd):
    done = run("train", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr


CONTENDERS = {
    "nobody": alone,
    "1 worker": lambda *arguments, cwd: train_together(1, *arguments, cwd=cwd),
    "2 workers": lambda *arguments, cwd: train_together(2, *arguments, cwd=cwd),
    "3 workers": lambda *arguments, cwd: train_together(3, *arguments, cwd=cwd),
    "2 devices": lambda *arguments, cwd: train_mirrored(2, *arguments, cwd=cwd),
    "4 devices": lambda *arguments, cwd: train_mirrored(4, *arguments, cwd=cwd),
}


def seconds_a_step(metrics):
    """The median of the epochs but the first, in which things are compiled."""
    steps = -(-60_000 // metrics["batch_size"])
    return statistics.median(row["seconds"] for row in metrics["history"][1:]) / steps


def bytes_on_loopback():
    """Bytes that have come through the loopback interface since the machine was started."""
    lines = pathlib.Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


if __name__ == "__main__":
    main()
