"""`show_random` as a user runs it: the run's own weights, a repeatable choice, mistakes only."""

import re

import numpy as np

from tests.helpers.commands import assert_refused, run
from tests.helpers.data import pattern_arrays, write_idx_folder
from tests.helpers.runs import change_settings, read_metrics

ROW = re.compile(r" *(\d+)  +(\d+)  +([\d.]+)%  +(\d+)(  wrong)?", re.M)


def show(shared_run, *arguments, cwd):
    """Returns what is printed, and its rows as (image, prediction, probability, label, wrong)."""
    command = "show_random", "--run", shared_run.folder, "--save", "shown.pdf", *arguments
    done = run(*command, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    rows = filter(None, map(ROW.fullmatch, done.stdout.splitlines()))
    rows = [(int(row[1]), int(row[2]), float(row[3]), int(row[4]), bool(row[5])) for row in rows]
    return done.stdout, rows


def test_predictions_are_those_of_the_run_s_checkpoint(softmax_run, tmp_path):
    _, rows = show(softmax_run, "--count", 100, "--seed", 0, cwd=tmp_path)
    assert sorted(row[0] for row in rows) == list(range(100))
    matrix = np.zeros((10, 10), int)
    for image, prediction, probability, label, wrong in rows:
        assert label == softmax_run.arrays[3][image]
        assert wrong == (prediction != label)
        assert 10 <= probability <= 100
        matrix[label, prediction] += 1
    assert matrix.tolist() == read_metrics(softmax_run.folder)["confusion_matrix"]


def test_mistakes_are_all_wrong(softmax_run, tmp_path):
    printed, rows = show(softmax_run, "--mistakes", "--count", 100, cwd=tmp_path)
    assert all(wrong for *_, wrong in rows)
    matrix = read_metrics(softmax_run.folder)["confusion_matrix"]
    assert len(rows) == 100 - np.trace(matrix) > 0
    assert "Saved in shown.pdf\n" in printed
    assert (tmp_path / "shown.pdf").read_bytes().startswith(b"%PDF")


def test_without_a_seed_the_choice_is_another_one_and_can_be_repeated(softmax_run, tmp_path):
    printed, rows = show(softmax_run, "--count", 12, cwd=tmp_path)
    seed = re.search(r"--seed (\d+)", printed)[1]
    assert show(softmax_run, "--count", 12, "--seed", seed, cwd=tmp_path)[0] == printed
    _, others = show(softmax_run, "--count", 12, cwd=tmp_path)
    assert len(rows) == len(others) == 12
    assert rows != others


def test_the_picture_goes_into_the_run_without_a_display(softmax_run, tmp_path):
    """And is never one of the run's own."""
    folder = softmax_run.copy(tmp_path)
    done = run("show_random", "--count", 3, cwd=tmp_path)
    assert "Saved in runs/one/show_random.png\n" in done.stdout
    found = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    assert found.pop("show_random.png").startswith(b"\x89PNG")
    assert found == {path.name: path.read_bytes() for path in softmax_run.folder.glob("*.png")}


def test_a_network_without_mistakes(patterns_run, tmp_path):
    printed, rows = show(patterns_run, "--mistakes", cwd=tmp_path)
    assert read_metrics(patterns_run.folder)["test_accuracy"] == 1
    assert "gets every test image right" in printed
    assert rows == []


def test_data_that_changed_since_the_run(softmax_run, tmp_path):
    other = write_idx_folder(tmp_path / "other", pattern_arrays(size=(5, 5)))
    change_settings(softmax_run.copy(tmp_path), data_dir=str(other))
    assert_refused(run("show_random", cwd=tmp_path), "28x28", "have 5x5")
