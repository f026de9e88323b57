"""What can't be done as it was asked for, by a flag, a command's name or that of a folder.

One line on stderr says what was given and what is accepted, and no folder is changed.
"""

import json
import math
import sys

import pytest

from lowlevel_mnist import show_random, train
from lowlevel_mnist.errors import DivergedError, UserError, check_finite
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_ends, assert_refused, run, run_python


@pytest.mark.parametrize(
    ("command", "flags", "words"),
    [
        (train, "--epochs 0", "'0' is not a whole number of 1 or more"),
        (train, "--epochs 2.5", "'2.5' is not a whole number of 1 or more"),
        (train, "--seed -1", "'-1' is not a whole number of 0 or more"),
        (show_random, "--count 401", "'401' is not a whole number of 1 or more, at most 400"),
        (train, "--hidden-units 256,128", "write several with spaces between them, as in 256 128"),
        (train, "--learning-rate 0", "'0' is not a finite number above 0"),
        (train, "--learning-rate inf", "'inf' is not a finite number above 0"),
        (train, "--learning-rate fast", "'fast' is not a finite number above 0"),
        (train, "--dropout 1", "'1' is not a number from 0 to below 1"),
        (train, "--dtype float16", "'float16' is none of float32, float64"),
        (train, "--recipe mlp512", "did you mean mlp-512?"),
        (train, "--optimizer RMSProp", "did you mean rmsprop?"),
        (train, "--batchsize=32", "did you mean --batch-size?"),
        (train, "--lr=0.1", "did you mean --learning-rate?"),
        (train, "--xyz", "arguments: --xyz. See"),
        (show_random, "--run", "--run: expected one argument. See"),
    ],
)
def test_a_bad_flag(monkeypatch, command, flags, words):
    monkeypatch.setattr(sys, "argv", ["program", *flags.split()])
    with pytest.raises(UserError) as caught:
        command.parse()
    assert words in str(caught.value)
    assert str(caught.value).endswith(f" -m {command.__name__} --help")


def test_a_batch_of_more_images_than_there_are(small_folder, tmp_path):
    flags = ["--data-dir", small_folder, "--output-dir", "run", "--batch-size", 501]
    done = run("train", *flags, cwd=tmp_path)
    assert_refused(done, "--batch-size 501", "500 training images")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        ("lowlevel_mnist.training", "did you mean train?"),
        ("lowlevel_mnist.sources.idx", "no command sources.idx. See "),
    ],
)
def test_a_module_that_is_no_command(tmp_path, module, answer):
    assert_refused(run_python("-m", module, cwd=tmp_path), answer)


def test_a_command_written_after_the_package(tmp_path):
    assert_refused(run("__main__", "train", "--epochs", 1, cwd=tmp_path), "m lowlevel_mnist.train")
    assert_refused(run("__main__", "show_randon", cwd=tmp_path), "did you mean show_random?")
    assert_refused(run("__main__", "--runs", cwd=tmp_path), "arguments: --runs. See")


def test_an_output_folder_that_holds_something_else(small_folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("two years of work", encoding="utf-8")
    for name, words in ((".", ". is not empty"), ("thesis.txt", "thesis.txt can't be made: File")):
        done = run("train", "--data-dir", small_folder, "--output-dir", name, cwd=tmp_path)
        assert_refused(done, f"The output folder {words}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "two years of work"


def test_an_early_end_keeps_the_folder(small_folder, tmp_path):
    """As a kill does: the current folder, and what a link leads to."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("run")
    flags = ["--data-dir", small_folder, "--learning-rate", "1e38", "--no-plots", "--output-dir"]
    for folder, cwd in (("link", tmp_path), (".", tmp_path / "run")):
        assert_ends(run("train", *flags, folder, cwd=cwd), 3, "diverged")
        (tmp_path / "run" / "settings.json").unlink()
        assert list((tmp_path / "run").iterdir()) == []
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_a_cost_that_is_no_finite_number_ends_a_training(loss):
    check_finite(1e30, "at step 3")
    with pytest.raises(DivergedError, match=f"The cost became {loss} at step 3"):
        check_finite(loss, "at step 3")


def test_a_folder_that_is_no_run(tmp_path):
    assert_refused(run("show_random", cwd=tmp_path), "no run in", "lowlevel_mnist.train")
    done = run("show_random", "--run", ".", cwd=tmp_path)
    assert_refused(done, "not the folder of a run: it has no settings.json")


@pytest.mark.parametrize("version", [None, 99, "1"])
def test_a_run_of_another_version(tmp_path, version):
    """The first ones did not say which."""
    record = {"recipe": "softmax"} | ({"format_version": version} if version else {})
    (tmp_path / "settings.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match=f"of another version .* is {version!r}, not 1"):
        folders.find(tmp_path)
