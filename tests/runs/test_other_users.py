"""What belongs to somebody else: runs and data that can't be written, or not even be read."""

import contextlib
import ctypes
import os
import shutil
import struct
import sys

import pytest
from PIL import Image

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.model import Network
from lowlevel_mnist.optimizers import SGD
from lowlevel_mnist.runs import checkpoints, files, folders
from tests.helpers.commands import assert_ends, assert_refused, drop_privileges, run
from tests.helpers.damage import read_files
from tests.helpers.data import pattern_arrays, write_idx_folder


def run_as_other(*command, cwd):
    """Runs a command for which the modes of files hold, even if this process is root's."""
    return run(*command, cwd=cwd, before=drop_privileges)


@contextlib.contextmanager
def as_other_user():
    """A context in which modes of files hold for this process, which is refused in a sentence.

    Only Linux has these capabilities; elsewhere tests are not for root.
    """
    libc, is_linux = ctypes.CDLL(None), sys.platform == "linux"
    header, before = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    if is_linux:
        assert libc.capget(header, before) == 0
        without_effective = bytes(4) + before.raw[4:12] + bytes(4) + before.raw[16:]
        assert libc.capset(header, without_effective) == 0
    try:
        with files.refusal_as_user_error():
            yield
    finally:
        if is_linux:
            assert libc.capset(header, before.raw) == 0


def denied(words):
    return pytest.raises(UserError, match=f"{words}: Permission denied")


@contextlib.contextmanager
def closed(path, mode=0):
    """A context in which a file or folder has this mode."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield path
    finally:
        path.chmod(before)


@pytest.mark.parametrize(
    ("command", "flag", "result"),
    [
        (["evaluate"], "--to", "Most confused"),
        (["show_random"], "--save", "prediction"),
        (["page"], "--to", ""),
    ],
)
def test_a_run_that_cannot_be_written(run_copy, tmp_path, command, flag, result):
    """The whole result comes first, and then one sentence with the flag that helps."""
    before = read_files(run_copy)
    with closed(run_copy, 0o555):
        done = run_as_other(*command, "--run", run_copy, cwd=tmp_path)
    assert_ends(done, 2, run_copy, "can't be written: Permission denied.", f"with {flag}.")
    assert result in done.stdout
    assert read_files(run_copy) == before


def test_predictions_of_a_run_that_cannot_be_written(softmax_run, run_copy, tmp_path):
    """The table is written, though the sheet's file would be the run's; what is wrong is said."""
    Image.fromarray(softmax_run.arrays[2][0]).save(tmp_path / "digit.png")
    command = ["predict", "digit.png", "absent.png", "--run", run_copy, "--csv", "table.csv"]
    with closed(run_copy, 0o555):
        done = run_as_other(*command, cwd=tmp_path)
    assert done.returncode == 2
    unread, unsaved = done.stderr.splitlines()
    assert "absent.png" in unread
    assert "predictions.png can't be written" in unsaved
    assert "with --save." in unsaved
    assert "digit.png: " in done.stdout
    table = (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert table.startswith("image,class,0,1")
    assert table.count("\n") == 2


def newest(folder):
    """The data file of the newest checkpoint, by its path in the run's folder."""
    path = folders.find_checkpoints(folder)[-1]
    return (path.parent / f"{path.name}.data-00000-of-00001").relative_to(folder)


def load_model(folder):
    return folders.find(folder).load_model()


def load_training(folder):
    settings = folders.find_to_resume(folder).settings
    model = Network(*settings.network_arguments)
    optimizer = SGD(model.trainable_variables, settings.learning_rate)
    return checkpoints.CheckpointManager(folder, model, optimizer, resume=True)


@pytest.mark.parametrize("load", [load_model, load_training])
@pytest.mark.parametrize(
    ("what", "mode", "words"),
    [
        ("", 0, "one can't be used"),
        ("settings.json", 0, "one/settings.json can't be read"),
        ("checkpoints", 0, "one/checkpoints can't be used"),
        ("checkpoints", 0o444, "one/checkpoints.* can't be used"),  # its names can be read
        (newest, 0, "one/checkpoints/checkpoint-21.data.* can't be used"),
    ],
)
def test_a_run_that_cannot_be_read(run_copy, load, what, mode, words):
    """A closed checkpoint, or folder of them, is neither absent nor damaged."""
    path = run_copy / (what(run_copy) if callable(what) else what)
    with closed(path, mode), denied(words), as_other_user():
        load(run_copy)


def test_the_newest_run_that_is_not_closed(run_copy, tmp_path):
    two = shutil.copytree(run_copy, tmp_path / "runs" / "two")
    os.utime(run_copy / "metrics.json", (1, 1))
    with closed(two):
        done = run_as_other("evaluate", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Run runs/one:")


def test_a_folder_in_which_no_run_can_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    new = folders.new_folder(None, "title")
    what = "The output folder runs can't be made"
    with closed(tmp_path / "runs", 0o555), denied(what), as_other_user(), new:
        pytest.fail("it was made")


def test_a_folder_in_which_no_chart_can_be_saved(tmp_path):
    with closed(tmp_path, 0o555):
        done = run_as_other("benchmark", cwd=tmp_path)
    assert_refused(done, "benchmark.png can't be written: Permission denied", "--chart")


@pytest.fixture
def data_folder(tmp_path):
    return write_idx_folder(tmp_path / "data" / "mnist", pattern_arrays())


@pytest.mark.parametrize("what", [".", "..", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("where", ["given", "environment"])
def test_data_that_cannot_be_read(data_folder, monkeypatch, what, where):
    monkeypatch.setenv("LOWLEVEL_MNIST_DATA", str(data_folder.parent))
    with closed((data_folder / what).resolve()), denied("data.*"), as_other_user():
        data.load("auto", data_folder if where == "given" else None)


def test_a_closed_folder_among_the_data(data_folder, tmp_path):
    (data_folder / "private").mkdir(mode=0)
    flags = ["--no-plots", "--output-dir", "run"]
    done = run_as_other("train", "--data-dir", data_folder, *flags, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
