"""`train --resume`: whatever has ended a run, it goes on as if nothing had happened, to the bit."""

import dataclasses
import re
import shlex
import shutil
import sys

import pytest

from lowlevel_mnist import data, metrics
from lowlevel_mnist import train as train_command
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import files, folders
from lowlevel_mnist.runs.run import Run
from tests.helpers.commands import assert_ends, assert_refused, run, train
from tests.helpers.damage import flip_a_bit, read_files
from tests.helpers.runs import assert_same_bits, change_settings, read_metrics, read_state
from tests.runs.conftest import FLAGS, endless_training, resume


def test_more_epochs(softmax_run, tmp_path):
    flags = [*FLAGS, "--no-plots", "--output-dir", "runs/one", "--epochs", 1]
    train(softmax_run.data, *flags, cwd=tmp_path)
    assert resume(tmp_path / "runs" / "one", "--epochs", 3).returncode == 0
    assert_same_bits(tmp_path / "runs" / "one", softmax_run.folder)


def test_a_finished_run_stays_as_it_is(run_copy):
    """Also where only its last files are missing, or its flags are given again."""
    before = read_files(run_copy)
    (run_copy / "history.csv").unlink()
    (run_copy / "metrics.json").unlink()
    done = resume(run_copy, *FLAGS)
    assert done.returncode == 0
    assert "Resumed after epoch 3\n" in done.stdout
    assert "Epoch" not in done.stdout
    assert read_files(run_copy) == before


def test_a_damaged_checkpoint_is_passed_over(run_copy, softmax_run):
    (run_copy / "metrics.json").unlink()
    newest = folders.find_checkpoints(run_copy)[-1]
    flip_a_bit(newest.with_suffix(".data-00000-of-00001"))
    done = resume(run_copy)
    assert done.returncode == 0
    assert done.stderr == (
        f"The checkpoint runs/one/checkpoints/{newest.name} is damaged; going on from before it.\n"
    )
    assert "Resumed after epoch 2\n" in done.stdout
    assert_same_bits(run_copy, softmax_run.folder)


def test_an_unfinished_run_is_looked_at_only_where_it_is_named(
    run_copy, softmax_run, tmp_path, monkeypatch
):
    (run_copy / "metrics.json").unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no run .* that is finished"):
        folders.find()
    dataset = data.load("auto", softmax_run.data)
    model = folders.find(run_copy).load_model()
    test = metrics.evaluate(model, dataset.test_images, dataset.test_labels)
    assert test.loss == read_metrics(softmax_run.folder)["test_loss"]


def test_moved_data_and_other_data(run_copy, softmax_run, tmp_path):
    place = shutil.copytree(softmax_run.data, tmp_path / "moved")
    assert resume(run_copy, "--data-dir", place).returncode == 0
    moved, expected = read_state(run_copy), read_state(softmax_run.folder)
    assert moved["metrics"].pop("data_dir") == str(place)
    expected["metrics"].pop("data_dir")
    assert_same_bits(moved, expected)
    assert folders.find(run_copy).settings.data_path == place
    flip_a_bit(place / "train-images-idx3-ubyte")
    done = resume(run_copy, "--data-dir", place)
    assert_refused(done, "not what the run in runs/one was trained on")


def go_on_with(folder, flags, monkeypatch):
    """Returns the `Run` that `train --resume` makes of these flags."""
    words = ["train", "--resume", "--output-dir", str(folder), *flags.split()]
    monkeypatch.setattr(sys, "argv", words)
    return Run(train_command.parse())


@pytest.mark.parametrize(
    ("given", "has"),
    [
        ("--seed 5", "--seed 7"),
        ("--recipe mlp-512", "--recipe softmax"),
        ("--hidden-units 12 3", "--hidden-units none"),
        ("--dropout 0.2", "--dropout 0.0"),
        ("--optimizer adam", "--optimizer sgd"),
        ("--learning-rate 0.1", "--learning-rate 0.25"),
        ("--batch-size 32", "--batch-size 96"),
        ("--validation-split 0.2", "--validation-split 0.0"),
        ("--execution xla", "--execution eager"),
        ("--dtype float64", "--dtype float32"),
        ("--dataset mnist", "--dataset custom"),
        ("--invert", "no --invert"),
        ("--epochs 2", "--epochs 3, which may only grow"),
        ("--patience 3", "no --patience"),
    ],
)
def test_flags_that_contradict_the_run(softmax_run, monkeypatch, given, has):
    folder = softmax_run.folder
    with pytest.raises(UserError) as caught:
        go_on_with(folder, given, monkeypatch)
    expected = f"{given} contradicts the run in {folder}, which has {has}. Leave the flag out"
    assert str(caught.value).startswith(expected)


def test_flags_that_say_what_the_run_has(softmax_run, monkeypatch):
    given = " ".join(map(str, ["--dataset", "auto", *FLAGS, "--epochs", 9]))
    run = go_on_with(softmax_run.folder, given, monkeypatch)
    assert run.before == dataclasses.replace(folders.find(softmax_run.folder).settings, epochs=9)


def test_no_more_epochs_after_the_end_of_a_schedule(run_copy, monkeypatch):
    change_settings(run_copy, schedule="cosine")
    with pytest.raises(UserError, match=r"which has --epochs 3\. Leave"):
        go_on_with(run_copy, "--epochs 4", monkeypatch)


def test_resume_needs_a_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", "--resume"])
    with pytest.raises(UserError, match="--resume needs --output-dir"):
        train_command.parse()


@pytest.mark.parametrize("kind", ["absent", "not a run"])
def test_a_folder_without_a_run(tmp_path, kind):
    if kind == "not a run":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.txt").write_text("two years of work", encoding="utf-8")
    before = read_files(tmp_path)
    with pytest.raises(UserError, match="no run to resume in .*/run: it has no settings.json"):
        folders.find_to_resume(tmp_path / "run")
    assert read_files(tmp_path) == before
    assert (tmp_path / "run").exists() == (kind == "not a run")


def test_a_run_is_not_started_over(run_copy):
    before = read_files(run_copy)
    with (
        pytest.raises(UserError, match="one is not empty; .* or go on with its run with --resume"),
        folders.new_folder(run_copy, "title"),
    ):
        pytest.fail("it was taken for an empty folder")
    assert read_files(run_copy) == before


def test_what_a_kill_has_left_of_the_settings_is_no_run(tmp_path):
    (tmp_path / "unfinished-settings.json").write_text("{", encoding="utf-8")
    with folders.new_folder(tmp_path, "title") as folder:
        assert folder == tmp_path


def test_two_runs_in_one_second(tmp_path, monkeypatch):
    """Each has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with folders.new_folder(None, "a") as one, folders.new_folder(None, "a") as two:
        assert one != two
        assert re.fullmatch(r"runs/\d{8}T\d{6}Z-a", str(one))


@pytest.mark.parametrize("name", ["run[1]", "a?b/run"])
def test_names_of_folders_that_tensorflow_would_misread(tmp_path, name):
    folder = tmp_path / name
    for use in (folders.find, folders.find_to_resume):
        with pytest.raises(UserError, match="takes for a pattern"):
            use(folder)
    with pytest.raises(UserError, match="takes for a pattern"), folders.new_folder(folder, ""):
        pytest.fail("it was made")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_in_one_folder(softmax_run, tmp_path):
    """The second is refused, be it new or resumed, and after a kill the folder is free again."""
    folder = tmp_path / "run"
    with endless_training(softmax_run.data, cwd=tmp_path) as process:
        for second in (folders.new_folder(folder, "title"), files.locked(folder)):
            with pytest.raises(UserError, match="Another process is training in"), second:
                pytest.fail("two have the same folder")
        assert process.poll() is None
        process.kill()
    with files.locked(folder):
        pass


def test_a_folder_that_goes_away_during_the_training(softmax_run, tmp_path):
    """It is not made anew, with half of a run in it."""
    with endless_training(softmax_run.data, cwd=tmp_path) as process:
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert re.fullmatch(r"The run's folder run is gone: .*\n", said)
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_keeps_its_last_checkpoint(softmax_run, tmp_path):
    flags = ["--learning-rate", 3e35, "--batch-size", 96, "--output-dir", "run", "--no-plots"]
    done = run("train", "--data-dir", softmax_run.data, *flags, cwd=tmp_path)
    words = ["cost became inf at step 1 of epoch 2", "smaller --learning-rate than 3e+35"]
    assert_ends(done, 3, *words)
    assert [path.name for path in folders.find_checkpoints(tmp_path / "run")] == ["checkpoint-7"]
    assert not (tmp_path / "run" / "metrics.json").exists()
    command = done.stderr.partition(" -m lowlevel_mnist.")[2]
    assert run(*shlex.split(command), cwd=tmp_path).returncode == 0
