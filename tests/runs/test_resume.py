"""`train --resume`: whatever has ended a run, it goes on as if nothing had happened, to the bit."""

import contextlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lowlevel_mnist.runs import folders
from lowlevel_mnist.runs.run import Run
from tests.helpers.commands import (
    assert_ends,
    assert_refused,
    environment,
    run,
    run_python,
    train,
    training_until,
)
from tests.helpers.data import digit_arrays, pattern_arrays, write_idx_folder
from tests.helpers.runs import assert_same_bits, read_state

# 270 steps an epoch, reported at least three times, with slots and dropout.
FLAGS = ["--hidden-units", 12, "--dropout", 0.3, "--optimizer", "adam", "--learning-rate", 0.002]
FLAGS += ["--batch-size", 2, "--epochs", 3, "--seed", 4, "--validation-split", 0.1, "--no-plots"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(data folder, run folder, what was printed) of a run that nothing has disturbed."""
    base = tmp_path_factory.mktemp("undisturbed")
    data = write_idx_folder(base / "data", digit_arrays())
    done = train(data, *FLAGS, "--output-dir", "run", cwd=base)
    return data, base / "run", done.stdout


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A copy of the undisturbed run's folder, named run, in the test's own folder."""
    return shutil.copytree(undisturbed[1], tmp_path / "run")


def resume(folder, *arguments):
    return run(
        "train",
        "--resume",
        "--output-dir",
        folder.name,
        "--no-plots",
        *arguments,
        cwd=folder.parent,
    )


def remove_newest(folder):
    """Takes a run back to where it was before its newest checkpoint; returns that one's path."""
    newest = folders.find_checkpoints(folder)[-1]
    for path in newest.parent.glob(f"{newest.name}.*"):
        path.unlink()
    for name in ("metrics.json", "history.csv"):
        (folder / name).unlink(missing_ok=True)
    return newest


def damage_newest(folder, index=-1):
    path = folders.find_checkpoints(folder)[index].with_suffix(".data-00000-of-00001")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path.with_suffix("")


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_run_without_checkpoint(folder):
    """Whether this is a run's folder, but nothing of a network is kept in it."""
    return folders.is_run(folder) and not folders.find_checkpoints(folder)


@pytest.mark.parametrize(
    ("number", "anew"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)]
)
def test_a_signal_ends_a_run_that_goes_on_as_it_says(undisturbed, tmp_path, number, anew):
    data, expected, printed = undisturbed
    flags = ["--data-dir", data, *FLAGS, "--output-dir", "a run"]
    with training_until("Epoch 1/", *flags, cwd=tmp_path, anew=anew) as process:
        time.sleep(0.1)  # into the second epoch
        process.send_signal(number)
        before, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    stood = re.fullmatch(
        r"Interrupted after step (\d+) of epoch (\d+)\. Go on with: \S+ (.*)\n", said
    )
    assert stood
    step, epoch, command = int(stood[1]), int(stood[2]), stood[3]
    assert before.count("Epoch ") == epoch - 2, "those after the first"
    assert not (tmp_path / "a run" / "metrics.json").exists()

    _, module, *arguments = shlex.split(command)
    done = run(module.removeprefix("lowlevel_mnist."), *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Resumed after step {step} of epoch {epoch}\n" in done.stdout
    assert_same_bits(tmp_path / "a run", expected)
    losses = [line.rpartition("ms/step")[2] for line in printed.splitlines() if "Epoch" in line]
    resumed = [
        line.rpartition("ms/step")[2] for line in done.stdout.splitlines() if "Epoch" in line
    ]
    assert resumed == losses[epoch - 1 :]


def interrupt_always():
    """From now on, Ctrl-C seems to have come before each report."""
    Run.stop_requested = lambda run, number: signal.SIGINT


def test_a_signal_in_the_last_steps_of_an_epoch_waits_for_its_end(undisturbed, tmp_path):
    """Here each epoch is one step. Its validation and its line are not left out."""
    flags = ["--data-dir", undisturbed[0], *FLAGS, "--batch-size", 540, "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path, before=interrupt_always)
    assert_ends(done, 128 + signal.SIGINT, "Interrupted after epoch 1. Go on with: ")
    assert re.search(r"Epoch 1/3  1/1 .* - val_accuracy: ", done.stdout.splitlines()[-1])
    (path,) = folders.find_checkpoints(tmp_path / "run")
    assert path.name == "checkpoint-1"
    assert "\nResumed after epoch 1\n" in resume(tmp_path / "run").stdout


def ring():
    """From now on, the process is sent two thousand signals a second, which do nothing."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)


def test_a_signal_leaves_the_matrix_product_that_it_falls_into_alone(undisturbed, tmp_path):
    """In a process without a stack for signals, oneDNN's product damages the heap then."""
    flags = ["--hidden-units", 512, "--epochs", 2, "--batch-size", 10, "--no-plots"]
    data = undisturbed[0]
    train(data, *flags, "--output-dir", "quiet", cwd=tmp_path)
    train(data, *flags, "--output-dir", "loud", cwd=tmp_path, before=ring)
    assert_same_bits(tmp_path / "loud", read_state(tmp_path / "quiet"))


def test_an_unfinished_run_can_be_looked_at(undisturbed, tmp_path):
    flags = ["--data-dir", undisturbed[0], *FLAGS, "--output-dir", "run"]
    with training_until("Epoch 1/", *flags, cwd=tmp_path) as process:
        process.kill()
    done = run("evaluate", "--run", "run", cwd=tmp_path)
    assert done.returncode == 0
    assert "Test loss" in done.stdout
    done = run("evaluate", cwd=tmp_path)
    assert_refused(done, "no run")


def test_more_epochs(undisturbed, tmp_path):
    data, expected, _ = undisturbed
    flags = ["--data-dir", data, *FLAGS, "--output-dir", "run"]
    train(data, *flags, "--epochs", 1, cwd=tmp_path)
    done = resume(tmp_path / "run", "--epochs", 3)
    assert done.returncode == 0
    assert_same_bits(tmp_path / "run", expected)


def test_a_finished_run_stays_as_it_is(copy):
    """Also where only its last files are missing, or its flags are given again."""
    before = files_of(copy)
    (copy / "history.csv").unlink()
    (copy / "metrics.json").unlink()
    done = resume(copy, *FLAGS)
    assert done.returncode == 0
    assert "Resumed after epoch 3\n" in done.stdout
    assert "Epoch" not in done.stdout
    assert files_of(copy) == before


def test_a_run_without_a_checkpoint_begins_anew(copy, undisturbed):
    """As after a kill in the first epoch."""
    shutil.rmtree(copy / "checkpoints")
    (copy / "metrics.json").unlink()
    done = resume(copy)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Resumed at the beginning\n" in done.stdout
    assert_same_bits(copy, undisturbed[1])


def test_the_last_two_checkpoints_are_kept(undisturbed, copy):
    """Nothing half-written is among them, and a resumed run tidies up what a kill has left."""
    assert [path.name for path in folders.find_checkpoints(copy)] == [
        "checkpoint-540",
        "checkpoint-810",
    ]
    remove_newest(copy)
    (copy / "checkpoints" / "unfinished-checkpoint").mkdir()
    (copy / "checkpoints" / "unfinished-checkpoint" / "checkpoint-700.index").write_text(
        "half", encoding="utf-8"
    )
    (copy / "checkpoints" / "unfinished-checkpoint.tmp").write_text("half", encoding="utf-8")
    (copy / "checkpoints" / "checkpoint-700.data-00000-of-00001").write_text(
        "half", encoding="utf-8"
    )
    assert resume(copy).returncode == 0
    assert {path.name for path in (copy / "checkpoints").iterdir()} == {
        path.name for path in (undisturbed[1] / "checkpoints").iterdir()
    }
    assert_same_bits(copy, undisturbed[1])


def test_a_damaged_checkpoint_is_passed_over(copy, undisturbed):
    (copy / "metrics.json").unlink()
    damaged = damage_newest(copy)
    done = resume(copy)
    assert done.returncode == 0
    assert done.stderr == (
        f"The checkpoint run/checkpoints/{damaged.name} is damaged; going on from before it.\n"
    )
    assert "Resumed after epoch 2\n" in done.stdout
    assert_same_bits(copy, undisturbed[1])


def test_only_damaged_checkpoints(copy):
    damage_newest(copy)
    damage_newest(copy, index=-2)
    before = files_of(copy)
    assert_refused(resume(copy), "None of the checkpoints in run/checkpoints is usable")
    assert files_of(copy) == before


def test_a_list_of_checkpoints_that_names_others(copy, undisturbed, tmp_path):
    """TensorFlow's list is not to be trusted: nothing is read or removed where it points."""
    precious = shutil.copytree(undisturbed[1], tmp_path / "precious") / "checkpoints"
    before = files_of(precious)
    others = [str(path) for path in folders.find_checkpoints(tmp_path / "precious")]
    remove_newest(copy)
    (copy / "checkpoints" / "checkpoint").write_text(
        f'model_checkpoint_path: "{others[-1]}"\n'
        + "".join(f'all_model_checkpoint_paths: "{path}"\n' for path in others)
        + "".join(f"all_model_checkpoint_timestamps: {i}\n" for i in (1, 2)),
        encoding="utf-8",
    )
    done = resume(copy)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Resumed after epoch 2\n" in done.stdout
    assert files_of(precious) == before


def test_links_out_of_an_untrusted_folder(copy, tmp_path):
    """Nothing is written or removed where they point."""
    precious = tmp_path / "precious"
    shutil.copytree(copy / "checkpoints", precious / "checkpoints")
    (precious / "thesis.txt").write_text("two years of work", encoding="utf-8")
    before = files_of(precious)
    for name in ("metrics.json", "settings.json", "unfinished-metrics.json"):
        content = (copy / name).read_bytes() if name == "settings.json" else b""
        (copy / name).unlink(missing_ok=True)
        (precious / name).write_bytes(content)
        (copy / name).symlink_to(precious / name)
        before[precious / name] = content
    assert resume(copy, "--epochs", 4).returncode == 0
    assert files_of(precious) == before

    (copy / ".lock").symlink_to(precious / "lock")
    assert_refused(resume(copy, "--epochs", 5), "run can't be written to")
    (copy / ".lock").unlink()
    shutil.rmtree(copy / "checkpoints")
    (copy / "checkpoints").symlink_to(precious / "checkpoints")
    assert_refused(resume(copy, "--epochs", 5), "run/checkpoints is a link")
    assert files_of(precious) == before


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint-1080.index", "unfinished-checkpoint"])
def test_a_link_in_the_place_of_a_checkpoint_to_come(copy, tmp_path, name):
    """TensorFlow would write through it."""
    precious = tmp_path / "precious"
    precious.write_text("two years of work", encoding="utf-8")
    (copy / "checkpoints" / name).unlink(missing_ok=True)
    (copy / "checkpoints" / name).symlink_to(precious)
    assert_refused(resume(copy, "--epochs", 4), f"run/checkpoints/{name} is a link")
    assert precious.read_text(encoding="utf-8") == "two years of work"


@pytest.mark.parametrize("what", ["removed", "renamed"])
def test_a_folder_that_goes_away_during_the_training(undisturbed, tmp_path, what):
    """It is not made anew, with half of a run in it."""
    flags = ["--data-dir", undisturbed[0], *FLAGS, "--epochs", 100_000, "--output-dir", "run"]
    with training_until("Epoch 1/", *flags, cwd=tmp_path) as process:
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        if what == "removed":
            shutil.rmtree(tmp_path / "elsewhere")
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert re.fullmatch(r"The run's folder run is gone: .*\n", said)
    assert not (tmp_path / "run").exists()


def test_what_others_have_put_into_the_folder_stays(copy, undisturbed, tmp_path):
    names = ["checkpoints/checkpoint_1/a", "checkpoints/checkpoint-x.index", "checkpoints/notes"]
    for name in names:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("two years of work", encoding="utf-8")
    assert resume(copy).returncode == 0
    assert all((copy / name).exists() for name in names)

    flags = ["--data-dir", undisturbed[0], "--learning-rate", "1e38", "--output-dir", "new"]
    with training_until("Network", *flags, cwd=tmp_path) as process:
        (tmp_path / "new" / "thesis.txt").write_text("two years of work", encoding="utf-8")
        process.communicate()
    assert process.returncode == 3
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["settings.json", "thesis.txt"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("run[1]", ["run[1]", "pattern"]), ("a?b/run", ["pattern"]), ("n" * 300, ["too long"])],
)
def test_names_of_folders_that_tensorflow_would_misread(undisturbed, tmp_path, name, words):
    with_data = ["--data-dir", undisturbed[0], "--output-dir", name]
    for command in (["train", *with_data], ["train", "--resume", *with_data]):
        assert_refused(run(*command, cwd=tmp_path), *words)
    assert_refused(run("evaluate", "--run", name, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--seed", 5], ["--seed 5", "has --seed 4"]),
        (["--recipe", "mlp-512"], ["--recipe mlp-512", "softmax"]),
        (["--hidden-units", 12, 3], ["--hidden-units 12 3", "--hidden-units 12."]),
        (["--dropout", 0.2], ["0.2", "0.3"]),
        (["--optimizer", "sgd"], ["sgd", "adam"]),
        (["--learning-rate", 0.1], ["0.1", "0.002"]),
        (["--batch-size", 32], ["32", "--batch-size 2."]),
        (["--validation-split", 0.2], ["0.2", "0.1"]),
        (["--execution", "xla"], ["xla", "eager"]),
        (["--dtype", "float64"], ["float64", "float32"]),
        (["--dataset", "mnist"], ["mnist", "custom"]),
        (["--epochs", 2], ["--epochs 2", "--epochs 3", "only grow"]),
    ],
)
def test_flags_that_contradict_the_run(undisturbed, flags, words):
    _, folder, _ = undisturbed
    before = files_of(folder)
    assert_refused(resume(folder, *flags), *words)
    assert files_of(folder) == before


def test_the_same_data_elsewhere_and_other_data(copy, undisturbed, tmp_path):
    data = shutil.copytree(undisturbed[0], tmp_path / "moved")
    done = resume(copy, "--data-dir", data)
    assert done.returncode == 0
    moved, expected = read_state(copy), read_state(undisturbed[1])
    assert moved["metrics"].pop("data_dir") == str(data)
    expected["metrics"].pop("data_dir")
    assert_same_bits(moved, expected)
    assert run("evaluate", "--run", copy, cwd=tmp_path).returncode == 0
    images = data / "train-images-idx3-ubyte"
    content = bytearray(images.read_bytes())
    content[1000] ^= 1
    images.write_bytes(content)
    assert_refused(resume(copy, "--data-dir", data), "not what the run in run was trained on")


@pytest.mark.parametrize("kind", ["absent", "empty", "not a run"])
def test_a_folder_without_a_run(tmp_path, kind):
    if kind != "absent":
        (tmp_path / "run").mkdir()
    if kind == "not a run":
        (tmp_path / "run" / "thesis.txt").write_text("two years of work", encoding="utf-8")
    before = files_of(tmp_path)
    assert_refused(resume(tmp_path / "run"), "no run to resume in run")
    assert files_of(tmp_path) == before
    assert (tmp_path / "run").exists() == (kind != "absent")


def test_resume_needs_a_folder(tmp_path):
    assert_refused(run("train", "--resume", cwd=tmp_path), "--resume needs --output-dir")


@pytest.mark.parametrize("content", ["{", "[]", '{"recipe": "softmax"}'])
def test_damaged_settings(copy, content):
    (copy / "settings.json").write_text(content, encoding="utf-8")
    assert_refused(resume(copy), "run/settings.json")


def test_a_run_is_not_started_over(copy, undisturbed):
    before = files_of(copy)
    done = run("train", "--data-dir", undisturbed[0], "--output-dir", "run", cwd=copy.parent)
    assert_refused(done, "run is not empty", "--resume")
    assert files_of(copy) == before


def test_two_processes_in_one_folder(undisturbed, tmp_path):
    """The second is refused, be it new or resumed, and after a kill the folder is free again."""
    flags = ["--data-dir", undisturbed[0], *FLAGS, "--epochs", 100_000, "--output-dir", "run"]
    with training_until("Epoch 1/", *flags, cwd=tmp_path) as process:
        for more in ([], ["--resume"]):
            second = run("train", *flags, *more, cwd=tmp_path)
            assert_refused(second, "Another process is training in run")
        assert process.poll() is None
        process.kill()
    with training_until("Epoch ", *flags, "--resume", cwd=tmp_path) as process:
        process.kill()


def test_a_run_that_diverges_keeps_its_last_checkpoint(undisturbed, tmp_path):
    flags = ["--learning-rate", 3e35, "--batch-size", 96, "--output-dir", "run", "--no-plots"]
    done = run("train", "--data-dir", undisturbed[0], *flags, cwd=tmp_path)
    words = ["cost became inf at step 1 of epoch 2", "smaller --learning-rate than 3e+35"]
    assert_ends(done, 3, *words)
    assert [path.name for path in folders.find_checkpoints(tmp_path / "run")] == ["checkpoint-7"]
    assert not (tmp_path / "run" / "metrics.json").exists()
    command = done.stderr.partition(" -m lowlevel_mnist.")[2].split()
    assert run(*command, cwd=tmp_path).returncode == 0


def test_a_validation_that_diverges(tmp_path):
    """The logits of its bright images, 0s in a world of 1s, lie too far apart for float32."""
    images, labels = np.full((20, 2, 2), 100, np.uint8), np.ones(20, np.uint8)
    held = np.random.default_rng([0, 4]).permutation(20)[18:]
    images[held], labels[held] = 255, 0
    data = write_idx_folder(tmp_path / "data", (images, labels, images, labels))
    flags = ["--validation-split", 0.1, "--batch-size", 18, "--epochs", 1, "--output-dir", "run"]
    done = run("train", "--data-dir", data, *flags, "--learning-rate", 1.7e38, cwd=tmp_path)
    assert_ends(done, 3, "The cost became inf after epoch 1")
    assert is_run_without_checkpoint(tmp_path / "run")


def test_a_reader_that_leaves_early_is_told_how_to_go_on(undisturbed, tmp_path):
    flags = ["--data-dir", undisturbed[0], *FLAGS, "--epochs", 100_000, "--output-dir", "run"]
    with training_until("Epoch 2/", *flags, cwd=tmp_path) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert re.fullmatch(r"Nobody reads .* Go on with: \S+ .* --output-dir run .*\n", said)


def test_a_run_whose_last_step_diverges_has_no_checkpoint_of_it(tmp_path):
    """One step an epoch: its cost is that of the weights before it, which were fine."""
    arrays = pattern_arrays(train=50)
    data = write_idx_folder(tmp_path / "data", arrays)
    flags = ["--batch-size", 50, "--epochs", 1, "--learning-rate", 1e38, "--output-dir", "run"]
    done = run("train", "--data-dir", data, *flags, cwd=tmp_path)
    assert_ends(done, 3, "after epoch 1")
    assert is_run_without_checkpoint(tmp_path / "run")


HELD = """
import os, signal, sys, time
from lowlevel_mnist.console import cli, interruption
def main(_):
    with interruption.defer_signals() as request:
        print("held", flush=True)
        while request.signal is None:
            time.sleep(0.01)
        time.sleep({seconds})
        print("finished", flush=True)
cli.run_command(main, lambda: None)
"""


@contextlib.contextmanager
def held(seconds, ignored=None):
    """A process that defers signals, and works for some seconds after the first one."""
    with subprocess.Popen(
        [sys.executable, "-c", HELD.format(seconds=seconds)],
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
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_signal_that_comes_twice_at_once_is_one():
    """The command `timeout` sends its signal twice."""
    with held(seconds=0.7) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.communicate() == ("finished\n", "Interrupted.\n")
    assert process.returncode == 143


def test_who_asks_again_does_not_wait():
    with held(seconds=3600) as process:
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


def test_a_signal_that_falls_into_a_destructor_is_not_lost():
    ended = run_python(
        "-c",
        """
import os, signal
from lowlevel_mnist.console import cli
class Thing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
cli.run_command(lambda _: Thing(), lambda: None)
""",
    )
    assert ended.returncode == 143
    assert ended.stderr.splitlines()[-1] == "Interrupted."


def test_a_process_that_is_to_ignore_a_signal_does_so():
    """As `nohup` asks for SIGHUP."""
    with held(seconds=0, ignored=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
