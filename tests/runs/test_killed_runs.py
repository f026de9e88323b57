"""Kills trainings with SIGKILL at random moments, resumes them, and compares every bit.

Each run ends as one that was never disturbed: weights, slots, history, test. There are five ways
to be killed, which take turns:

- anywhere: at a random moment of the command, its start and its end included
- training: at a random moment after the first checkpoint
- saving: when a checkpoint is being written, or just has been
- twice: at a random moment after the first checkpoint, and the resumed process anywhere
- interrupted: first by SIGINT or SIGTERM, so that it stands inside an epoch, then anywhere
"""

import contextlib
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from lowlevel_mnist.runs import folders
from tests.helpers import commands
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import differences, read_state

WAYS = ("anywhere", "training", "saving", "twice", "interrupted")
EPOCHS = 4  # the last one is not the best, so their weights change places at the end
# Of 6,000 images 169 steps an epoch, the last one smaller, and some reports of them; slots;
# checkpoints of 6 MB.
FLAGS = ("--recipe", "mlp-512-dropout", "--epochs", EPOCHS, "--seed", 5, "--no-plots")
FLAGS += ("--learning-rate", 0.02, "--validation-split", 0.1, "--patience", 1)


def start(data, folder, execution):
    """Starts a training, as a user does: with --resume where a run has begun."""
    flags = [*FLAGS, "--data-dir", data, "--execution", execution, "--output-dir", folder]
    flags += ["--resume"] if folders.is_run(folder) else []
    return commands.start("train", *flags, cwd=data.parent)


def finish(process):
    process.communicate()
    assert process.returncode == 0


def stop(process, number, moment):
    """Sends a signal after some seconds; returns whether that has ended the process."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode in (0, -number, 128 + number)
    return process.returncode != 0


def wait_until_saved(process, folder):
    """Returns when there is a checkpoint, or the process has ended."""
    while not folders.find_checkpoints(folder) and process.poll() is None:
        time.sleep(0.01)


def wait_until_saving(process, folder, times):
    """Returns when so many checkpoints have been begun, or the process has ended."""
    seen = set()
    while len(seen) < times and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # it was finished in this moment
            begun = (folder / "checkpoints").glob("unfinished-*/*")
            seen.update(re.match(r"checkpoint-\d+", path.name)[0] for path in begun)


def is_half_written(folder):
    """Whether the kill has left a part of a checkpoint."""
    if list((folder / "checkpoints").glob("unfinished-*")):
        return True
    files = list((folder / "checkpoints").glob("checkpoint-*"))
    whole = {path.name for path in folders.find_checkpoints(folder)}
    return any(path.name.partition(".")[0] not in whole for path in files)


def disturb(data, folder, execution, way, seconds, draw):
    """Starts a training and kills it. Returns whether the kill came in the midst of its work.

    seconds: what an undisturbed process takes, in all and after its first checkpoint.
    """
    whole, after_first = seconds
    process = start(data, folder, execution)
    if way == "anywhere":
        return stop(process, signal.SIGKILL, draw.uniform(0, whole))
    if way == "saving":
        wait_until_saving(process, folder, times=draw.randint(1, EPOCHS))
        return stop(process, signal.SIGKILL, draw.uniform(0, 0.005))
    wait_until_saved(process, folder)
    if way == "interrupted":
        number = draw.choice([signal.SIGINT, signal.SIGTERM])
        stopped = stop(process, number, draw.uniform(0, after_first / 2))
    else:
        stopped = stop(process, signal.SIGKILL, draw.uniform(0, after_first))
    if way == "training" or not stopped:
        return stopped
    process = start(data, folder, execution)
    return stop(process, signal.SIGKILL, draw.uniform(0, whole))


def survive(base, execution, ways, images=6000):
    """Trains once undisturbed, and then once for each of the ways to be killed.

    Returns a list of (way, how the run differs from the undisturbed one, whether a checkpoint was
    half-written when it was killed).
    """
    draw = random.Random(execution)
    data = write_idx_folder(base / "data", digit_arrays(images))
    begin = time.perf_counter()
    process = start(data, base / "undisturbed", execution)
    wait_until_saved(process, base / "undisturbed")
    first = time.perf_counter()
    finish(process)
    end = time.perf_counter()
    expected = read_state(base / "undisturbed")
    assert expected["metrics"]["best_epoch"] < len(expected["metrics"]["history"])
    results = []
    while len(results) < len(ways):
        way = ways[len(results)]
        folder = base / f"{way}-{len(results)}"
        if disturb(data, folder, execution, way, (end - begin, end - first), draw):
            half_written = is_half_written(folder)
            finish(start(data, folder, execution))
            results.append((way, differences(read_state(folder), expected), half_written))
        shutil.rmtree(folder, ignore_errors=True)  # also where it ended before the kill: once more
    return results


def test_a_killed_run_ends_bit_identical(tmp_path):
    ((_, differences, _),) = survive(tmp_path, "eager", ["twice"], images=2000)
    assert differences == []


@pytest.mark.full
@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
def test_twenty_killed_runs_end_bit_identical(tmp_path, execution):
    results = survive(tmp_path, execution, WAYS * 4)
    assert [(way, differences) for way, differences, _ in results if differences] == []
    assert any(half_written for *_, half_written in results)
