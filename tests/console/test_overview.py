"""`python -m lowlevel_mnist`: the commands, and a line on each run; what a network is called."""

import dataclasses
import json
import os

import pytest

import lowlevel_mnist
from lowlevel_mnist import __main__ as overview
from lowlevel_mnist.runs import folders
from tests.helpers.commands import run_python, train
from tests.helpers.runs import read_metrics


@pytest.fixture
def two_runs(patterns_run, softmax_run, tmp_path):
    """A folder in which `patterns_run` is runs/first and `softmax_run`, newer, runs/second."""
    for name, finished in (("first", patterns_run), ("second", softmax_run)):
        finished.copy(tmp_path).rename(tmp_path / "runs" / name)
    os.utime(tmp_path / "runs" / "first" / "settings.json", (1e9, 1e9))
    return tmp_path


def list_runs(cwd):
    done = run_python("-m", "lowlevel_mnist", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_commands_and_runs_are_listed(two_runs):
    lines = list_runs(two_runs)
    assert any(line.startswith("show_random  Shows random test images") for line in lines)
    first, second = lines[-2:]
    results = read_metrics(two_runs / "runs" / "first")
    assert first.startswith("first ")
    assert "softmax, dataset custom, validation split 0.2" in first
    values = (results["history"][-1]["val_accuracy"], results["test_accuracy"])
    seconds = sum(row["seconds"] for row in results["history"])
    shown = [f"{value:.4f}" for value in values]
    assert first.split()[-6:-2] == ["3", *shown, f"{seconds:.1f}"]
    assert second.startswith("second ")
    assert "softmax, dataset custom, learning rate 0.25, batch size 96, seed 7" in second
    assert second.split()[-5] == "-", "no validation"


def test_runs_that_are_unfinished_or_damaged_are_listed(two_runs):
    (two_runs / "runs" / "first" / "metrics.json").unlink()
    (two_runs / "runs" / "second" / "settings.json").write_text("{", encoding="utf-8")
    first, second = list_runs(two_runs)[-2:]
    assert "seed 7" not in second
    assert "validation split 0.2, unfinished  " in first
    assert "(damaged, or of another version)" in second


def test_the_newest_runs_are_listed(two_runs):
    for number in range(20):
        (two_runs / "runs" / f"newer-{number}").mkdir()
        (two_runs / "runs" / f"newer-{number}" / "settings.json").touch()
    lines = list_runs(two_runs)
    assert "Runs in runs, the newest 20 of 22, the last one at the end:" in lines
    assert not [line for line in lines if line.startswith(("first", "second"))]


@pytest.mark.parametrize(("best_epoch", "accuracy"), [(None, "0.3000"), (2, "0.2000")])
def test_the_accuracy_is_that_of_the_weights_that_are_kept(
    patterns_run, tmp_path, best_epoch, accuracy
):
    record = read_metrics(patterns_run.folder) | {"best_epoch": best_epoch}
    for row in record["history"]:
        row["val_accuracy"] = row["epoch"] / 10
    (tmp_path / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    assert overview.results(tmp_path)[:2] == ["3", accuracy]


def test_mnist_is_what_is_expected_of_a_recipe(patterns_run):
    settings = folders.find(patterns_run.folder).settings
    usual = dataclasses.replace(settings, dataset="mnist", validation_split=0.0)
    assert overview.changes(usual) == []


ODD_METRICS = ["[" * 100_000, "[]", "{}", None, {"history": []}, {"test_accuracy": 10**400}]


@pytest.mark.parametrize("metrics", ODD_METRICS, ids=range(6))
def test_results_that_are_odd_are_dashes(patterns_run, tmp_path, metrics):
    """Also where they are a pipe, which nobody writes to."""
    if metrics is None:
        os.mkfifo(tmp_path / "metrics.json")
    else:
        kept = read_metrics(patterns_run.folder)
        text = json.dumps(kept | metrics) if isinstance(metrics, dict) else metrics
        (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    assert overview.results(tmp_path) == ["-"] * 4


def test_the_version(tmp_path):
    done = run_python("-m", "lowlevel_mnist", "--version", cwd=tmp_path)
    assert done.stdout == f"lowlevel_mnist {lowlevel_mnist.__version__}\n"


def test_a_header_and_a_folder_name_the_network_that_is_trained(small_folder, tmp_path):
    flags = ["--recipe", "mlp-128-dropout", "--dropout", 0.5, "--epochs", 1, "--no-plots"]
    done = train(small_folder, *flags, cwd=tmp_path)
    assert "Network: mlp-128-dropout+dropout-0.5, 48-128-4, dropout 0.5" in done.stdout
    assert len(list((tmp_path / "runs").glob("*-mlp-128-dropout+dropout-0.5"))) == 1


def test_a_network_of_many_layers_has_a_name_that_a_folder_can_have(patterns_run):
    settings = folders.find(patterns_run.folder).settings
    for units, name in (([2] * 28 + [123], "2-" * 28 + "123"), ([2] * 29 + [12], "30-layers")):
        many = dataclasses.replace(settings, layer_sizes=(48, *units, 4))
        assert many.title == f"softmax+{name}"
