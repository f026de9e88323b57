"""What belongs to somebody else: runs and data that can't be written, or not even be read."""

import os
import shutil

import pytest
from PIL import Image

from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_ends, assert_refused, drop_privileges, run, train
from tests.helpers.data import digit_arrays, write_idx_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with data, a picture and a run, `runs/one`."""
    base = tmp_path_factory.mktemp("other_users")
    arrays = digit_arrays()
    folder = write_idx_folder(base / "data", arrays)
    Image.fromarray(arrays[2][0]).save(base / "digit.png")
    train(folder, "--output-dir", "runs/one", "--no-plots", cwd=base)
    return base


@pytest.fixture
def copy(base, tmp_path):
    """A copy of the run, `runs/one` in `tmp_path`. It can be removed in the end, whatever modes."""
    yield shutil.copytree(base / "runs" / "one", tmp_path / "runs" / "one")
    for path in (tmp_path, tmp_path / "runs", tmp_path / "runs" / "one"):
        path.chmod(0o755)


def run_as_other(*command, cwd, **changes):
    """Runs a command for which the modes of files hold, even if this process is root's."""
    return run(*command, cwd=cwd, before=drop_privileges, **changes)


def everything_in(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("command", "flag", "name", "result"),
    [
        (["evaluate"], "--to", "pictures/new", "Most confused"),
        (["evaluate", "--data-dir", "data"], "--to", "pictures/new", "Most confused"),
        (["show_random"], "--save", "random.png", "prediction"),
        (["predict", "digit.png", "digit.png"], "--save", "sheet.pdf", "digit.png: "),
        (["page"], "--to", "page.html", ""),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_a_run_that_cannot_be_written(base, copy, tmp_path, command, flag, name, result):
    """The whole result comes first, and then one sentence with the flag that helps."""
    command = [base / word if (base / word).exists() else word for word in command]
    command += ["--run", copy]
    copy.chmod(0o555)
    before = everything_in(copy)
    done = run_as_other(*command, cwd=tmp_path)
    assert_ends(done, 2, copy, "can't be written: Permission denied.", f"with {flag}.")
    assert result in done.stdout
    assert run_as_other(*command, flag, tmp_path / name, cwd=tmp_path).returncode == 0
    assert (tmp_path / name).exists()
    assert everything_in(copy) == before


def test_a_table_of_a_run_that_cannot_be_written(base, copy, tmp_path):
    """It is written, though the sheet's file would be the run's."""
    copy.chmod(0o555)
    command = ["predict", base / "digit.png", "--run", copy, "--csv", "table.csv"]
    done = run_as_other(*command, cwd=tmp_path)
    assert_ends(done, 2, "predictions.png can't be written", "with --save.")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8").startswith("image,class,0,1")
    assert run_as_other(*command, "--save", "sheet.png", cwd=tmp_path).returncode == 0


def test_pictures_that_cannot_be_read_are_named_nevertheless(base, copy, tmp_path):
    copy.chmod(0o555)
    done = run_as_other("predict", base / "digit.png", "absent.png", "--run", copy, cwd=tmp_path)
    assert done.returncode == 2
    unread, unsaved = done.stderr.splitlines()
    assert "absent.png" in unread
    assert "--save" in unsaved


def newest(folder):
    """The data file of the newest checkpoint, by its path in the run's folder."""
    path = folders.find_checkpoints(folder)[-1]
    return (path.parent / f"{path.name}.data-00000-of-00001").relative_to(folder)


@pytest.mark.parametrize("command", [["evaluate", "--run"], ["train", "--resume", "--output-dir"]])
@pytest.mark.parametrize("closed", ["", "settings.json", "checkpoints", newest])
def test_a_run_that_cannot_be_read(copy, tmp_path, command, closed):
    """A closed checkpoint, or folder of them, is neither absent nor damaged."""
    path = copy / (closed(copy) if callable(closed) else closed)
    path.chmod(0)
    done = run_as_other(*command, copy, cwd=tmp_path)
    path.chmod(0o755)
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert last.startswith(f"{path} can't be")
    assert "Permission denied." in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", [0o444, 0o111])
def test_checkpoints_of_which_only_the_names_or_only_the_files_can_be_read(copy, tmp_path, mode):
    (copy / "checkpoints").chmod(mode)
    done = run_as_other("evaluate", "--run", copy, cwd=tmp_path)
    (copy / "checkpoints").chmod(0o755)
    assert_refused(done, copy / "checkpoints", "can't be used: Permission denied.")


def test_the_newest_run_that_is_not_closed(base, copy, tmp_path):
    closed = shutil.copytree(copy, tmp_path / "runs" / "two")
    os.utime(copy / "metrics.json", (1, 1))
    closed.chmod(0)
    done = run_as_other("evaluate", cwd=tmp_path)
    closed.chmod(0o755)
    assert done.returncode == 0
    assert done.stdout.startswith("Run runs/one:")

    (tmp_path / "runs").chmod(0)
    assert_refused(run_as_other("evaluate", cwd=tmp_path), "runs can't be used: Permission denied.")


def test_a_folder_in_which_no_run_can_be_made(base, tmp_path):
    for mode, words in ((0o555, "can't be made"), (0, "can't be made")):
        (tmp_path / "runs").mkdir(exist_ok=True)
        (tmp_path / "runs").chmod(mode)
        done = run_as_other("train", "--data-dir", base / "data", cwd=tmp_path)
        (tmp_path / "runs").chmod(0o755)
        assert_refused(done, "runs", words, "Permission denied", "--output-dir")


def test_a_folder_in_which_no_chart_can_be_saved(tmp_path):
    tmp_path.chmod(0o555)
    done = run_as_other("benchmark", cwd=tmp_path)
    tmp_path.chmod(0o755)
    assert_refused(done, "benchmark.png can't be written: Permission denied", "--chart")


def test_data_that_cannot_be_read(base, tmp_path):
    data = shutil.copytree(base / "data", tmp_path / "data" / "mnist")
    for closed in (data, data.parent, next(data.iterdir())):
        mode = closed.stat().st_mode
        closed.chmod(0)
        flags = ["train", "--output-dir", tmp_path / "run"]
        given = run_as_other(*flags, "--data-dir", data, cwd=tmp_path)
        found = run_as_other(*flags, cwd=tmp_path, LOWLEVEL_MNIST_DATA=data.parent)
        closed.chmod(mode)
        for done in (given, found):
            assert_refused(done, "data", "Permission denied")
    assert not (tmp_path / "run").exists()


def test_a_closed_folder_among_the_data(base, tmp_path):
    data = shutil.copytree(base / "data", tmp_path / "data")
    (data / "private").mkdir(mode=0)
    done = run_as_other("train", "--data-dir", data, "--no-plots", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
