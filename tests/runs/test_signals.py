"""Signals to a training, Ctrl-C among them: when they end it, and how it goes on."""

import contextlib
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from lowlevel_mnist.runs import folders
from lowlevel_mnist.runs.run import Run
from tests.helpers.commands import assert_ends, environment, run, run_python, train, training_until
from tests.helpers.data import digit_arrays
from tests.helpers.runs import assert_same_bits, train_on
from tests.runs.conftest import endless_training

# 270 steps an epoch, reported more than once, with slots and dropout.
FLAGS = ["--hidden-units", 12, "--dropout", 0.3, "--optimizer", "adam", "--learning-rate", 0.002]
FLAGS += ["--batch-size", 2, "--epochs", 3, "--seed", 4, "--validation-split", 0.1, "--no-plots"]


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory):
    """A `FinishedRun` with FLAGS that nothing has disturbed."""
    return train_on(digit_arrays(), *FLAGS, home=tmp_path_factory.mktemp("undisturbed"))


def losses(stdout):
    """What the lines of epochs say, without their times."""
    return [line.rpartition("ms/step")[2] for line in stdout.splitlines() if "Epoch" in line]


@pytest.mark.parametrize(
    ("number", "anew"),
    [(signal.SIGTERM, False), pytest.param(signal.SIGINT, True, marks=pytest.mark.full)],
)
def test_a_signal_ends_a_run_that_goes_on_as_it_says(undisturbed_run, tmp_path, number, anew):
    flags = ["--data-dir", undisturbed_run.data, *FLAGS, "--output-dir", "a run"]
    with training_until("Epoch 1/", *flags, cwd=tmp_path, anew=anew) as process:
        time.sleep(0.1)  # into the second epoch
        process.send_signal(number)
        before, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    pattern = r"Interrupted after step (\d+) of epoch (\d+)\. Go on with: \S+ (.*)\n"
    step, epoch, command = re.fullmatch(pattern, said).groups()
    assert len(losses(before)) == int(epoch) - 2, "those after the first"
    assert not (tmp_path / "a run" / "metrics.json").exists()

    _, module, *arguments = shlex.split(command)
    done = run(module.removeprefix("lowlevel_mnist."), *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Resumed after step {step} of epoch {epoch}\n" in done.stdout
    assert_same_bits(tmp_path / "a run", undisturbed_run.folder)
    assert losses(done.stdout) == losses(undisturbed_run.process.stdout)[int(epoch) - 1 :]


def interrupt_always():
    """From now on, Ctrl-C seems to have come before each report."""
    Run.stop_requested = lambda run, number: signal.SIGINT


def test_a_signal_in_the_last_steps_of_an_epoch_waits_for_its_end(softmax_run, tmp_path):
    """Here each epoch is one step. Its validation and its line are not left out."""
    flags = [*FLAGS, "--batch-size", 540, "--output-dir", "run"]
    data = softmax_run.data
    done = run("train", "--data-dir", data, *flags, cwd=tmp_path, before=interrupt_always)
    assert_ends(done, 128 + signal.SIGINT, "Interrupted after epoch 1. Go on with: ")
    assert re.search(r"Epoch 1/3  1/1 .* - val_accuracy: ", done.stdout.splitlines()[-1])
    (path,) = folders.find_checkpoints(tmp_path / "run")
    assert path.name == "checkpoint-1"


def ring():
    """From now on, the process is sent two thousand signals a second, which do nothing."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)


@pytest.mark.full
def test_a_signal_leaves_the_matrix_product_that_it_falls_into_alone(softmax_run, tmp_path):
    """In a process without a stack for signals, oneDNN's product damages the heap then."""
    flags = ["--hidden-units", 512, "--epochs", 2, "--batch-size", 10, "--no-plots"]
    data = softmax_run.data
    train(data, *flags, "--output-dir", "quiet", cwd=tmp_path)
    train(data, *flags, "--output-dir", "loud", cwd=tmp_path, before=ring)
    assert_same_bits(tmp_path / "loud", tmp_path / "quiet")


def test_a_reader_that_leaves_early_is_told_how_to_go_on(softmax_run, tmp_path):
    with endless_training(softmax_run.data, cwd=tmp_path) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert re.fullmatch(r"Nobody reads .* Go on with: \S+ .* --output-dir run\n", said)


DEFERRING = """
import time
from lowlevel_mnist.console import cli, interruption
def main(_):
    with interruption.defer_signals() as request:
        print("deferring", flush=True)
        while request.signal is None:
            time.sleep(0.01)
        time.sleep({seconds})
        print("finished", flush=True)
cli.run_command(main, lambda: None)
"""


@contextlib.contextmanager
def deferring(seconds, ignored=None):
    """A process that defers signals, and works for some seconds after the first one."""
    with subprocess.Popen(
        [sys.executable, "-c", DEFERRING.format(seconds=seconds)],
        env=environment(),
        preexec_fn=lambda: [
            signal.signal(signal.SIGINT, signal.default_int_handler),
            ignored and signal.signal(ignored, signal.SIG_IGN),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "deferring\n"
            yield process
        finally:
            process.kill()


def test_two_signals_at_once_are_one_and_ignored_ones_none():
    """The command `timeout` sends its signal twice, and `nohup` asks to ignore SIGHUP."""
    with deferring(seconds=0.5, ignored=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert process.poll() is None
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert process.communicate() == ("finished\n", "Interrupted.\n")
    assert process.returncode == 143


def test_who_asks_again_does_not_wait():
    with deferring(seconds=3600) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        said = "Interrupted at once; what had been saved before is kept.\n"
        assert process.communicate(timeout=60) == ("", said)
    assert process.returncode == 130


def test_a_signal_while_a_process_ends_has_no_effect():
    ended = run_python(
        "-c",
        """
import os, signal
from lowlevel_mnist.console import cli, interruption
from lowlevel_mnist.errors import Interrupted
def main(_):
    try:
        with interruption.defer_signals():
            os.kill(os.getpid(), signal.SIGINT)
            raise Interrupted(signal.SIGINT, "Interrupted after step 3.")
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
cli.run_command(main, lambda: None)
""",
    )
    assert_ends(ended, 130, "Interrupted after step 3.")
