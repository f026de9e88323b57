"""--model: a network of one's own in every command, and nobody else's without being asked for."""

import argparse
import re
import shlex
import shutil
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf

from lowlevel_mnist.console import flags
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders, own_model
from lowlevel_mnist.runs.run import Run
from tests.helpers.commands import PROJECT, assert_ends, assert_refused, run, split_cpu, train
from tests.helpers.data import pattern_arrays, write_idx_folder
from tests.helpers.runs import (
    FinishedRun,
    assert_same_bits,
    change_settings,
    read_metrics,
    read_state,
)

# The module that README shows.
CONVOLUTIONAL = re.search(
    r"^`convolutional.py`:\n\n```python\n(.*?)^```$",
    (PROJECT / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)[1]
MODEL = ("--model", "convolutional:Convolutional")
PARAMETERS = (25 + 1) * 16 + (25 * 16 + 1) * 32 + (2 * 2 * 32 + 1) * 128 + (128 + 1) * 4
# With 129 images, the last batch has one, and most of several devices none of it.
IMAGES = pattern_arrays((8, 8), classes=4, train=129)
FLAGS = (*MODEL, "--optimizer", "adam", "--dropout", "0.3", "--batch-size", "32", "--epochs", "2")
FLAGS += ("--learning-rate", "0.01", "--output-dir", "runs/one")


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A `FinishedRun` of that network, whose module is beside the data."""
    home = tmp_path_factory.mktemp("own")
    (home / "convolutional.py").write_text(CONVOLUTIONAL, encoding="utf-8")
    write_idx_folder(home / "data", IMAGES)
    return FinishedRun(home, IMAGES, train("data", *FLAGS, "--execution", "graph", cwd=home))


@pytest.fixture
def own_settings(own_run):
    return folders.find(own_run.folder).settings


@pytest.fixture
def strangers_home(own_run, tmp_path):
    """A folder with a copy of the run, and a module of its name that would leave a file."""
    (tmp_path / "convolutional.py").write_text("open('executed', 'w')", encoding="utf-8")
    own_run.copy(tmp_path)
    return tmp_path


def test_what_a_training_says_and_keeps(own_run, own_settings):
    printed, record = own_run.process.stdout, read_metrics(own_run.folder)
    network = f"Network: {MODEL[1]}, 64-4, dropout 0.3, {PARAMETERS:,} parameters, adam "
    assert f"\n{network}" in printed
    assert f"show_random --run runs/one {' '.join(MODEL)}\n" in printed
    assert "page" not in printed
    assert own_run.process.stderr == ""
    assert own_settings.title == "Convolutional+dropout-0.3"
    assert (record["model"], record["parameters"]) == (MODEL[1], PARAMETERS)
    assert record["test_accuracy"] > 0.7
    pictures = {path.name for path in own_run.folder.glob("*.png")}
    assert {"samples.png", "curves.png"} < pictures
    assert "weights.png" not in pictures


@pytest.mark.full
def test_every_command_takes_it(own_run, tmp_path):
    """And each says what the others do."""
    shutil.copy(own_run.home / "convolutional.py", tmp_path)
    np.save(tmp_path / "images.npy", IMAGES[2])
    commands = {
        "evaluate": ("--to", "evaluated"),
        "show_random": ("--save", "random.png"),
        "predict": ("images.npy", "--save", "sheet.png", "--csv", "table.csv"),
        "export": ("--to", "exported"),
    }
    for command, more in commands.items():
        done = run(command, "--run", own_run.folder, *MODEL, *more, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        if command == "evaluate":
            assert f"Test loss {read_metrics(own_run.folder)['test_loss']:.4f}" in done.stdout
        assert "lowlevel_mnist.page" not in done.stdout
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    predicted = exported.predict(IMAGES[2])
    table = np.loadtxt(tmp_path / "table.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(predicted["probabilities"], table[:, 2:], atol=1e-5)
    np.testing.assert_array_equal(predicted["classes"], table[:, 1])


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("train", ("--resume", "--output-dir", "runs/one")),
        ("evaluate", ()),
        ("show_random", ()),
        ("predict", ("images.npy",)),
        ("export", ("--to", "exported")),
    ],
)
def test_a_run_names_no_code_that_is_executed(strangers_home, command, more):
    """A stranger's folder, with his module in it: only who names the module executes it."""
    where = () if command == "train" else ("--run", "runs/one")
    done = run(command, *where, *more, cwd=strangers_home)
    assert_refused(done, "the run in runs/one", f"if you trust it, add {' '.join(MODEL)}\n")
    assert not (strangers_home / "executed").exists()


@pytest.mark.parametrize(
    ("own", "given", "words"),
    [
        (MODEL[1], "json:loads", "has --model convolutional:Convolutional. Give that instead"),
        (None, MODEL[1], "has no --model. Leave the flag out"),
    ],
)
def test_a_flag_that_names_another_network(strangers_home, own, given, words):
    folder = strangers_home / "runs" / "one"
    change_settings(folder, model=own, dropout=0.0)
    with pytest.raises(UserError) as caught:
        folders.find(folder).load_model(given)
    expected = f"--model {given} contradicts the run in {folder}, which {words}"
    assert str(caught.value).startswith(expected)


def test_page_draws_for_dense_networks_only(own_run):
    done = run("page", "--run", "runs/one", cwd=own_run.home)
    assert_refused(done, "A page draws for dense networks only", MODEL[1])


def interrupt_third():
    """From now on, Ctrl-C seems to have come before the third report: after 7 steps at most."""
    signals = iter([None, None, signal.SIGINT])
    Run.stop_requested = lambda run, number: next(signals)


@pytest.mark.full
def test_it_goes_on_to_the_same_bits(own_run, tmp_path):
    shutil.copytree(own_run.home / "data", tmp_path / "data")
    shutil.copy(own_run.home / "convolutional.py", tmp_path)
    how = ("--execution", "graph", "--no-plots")
    done = run("train", "--data-dir", "data", *FLAGS, *how, cwd=tmp_path, before=interrupt_third)
    assert_ends(done, 128 + signal.SIGINT, "of epoch 1. Go on with: ")
    _, _, _, *words = shlex.split(done.stderr.partition("Go on with: ")[2])
    done = run("train", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Resumed after step " in done.stdout
    states = [read_state(folder) for folder in (tmp_path / "runs" / "one", own_run.folder)]
    for state in states:
        state["metrics"].pop("data_dir")
    assert_same_bits(*states)


@pytest.mark.full
def test_devices_share_its_batches(own_run, tmp_path):
    """As an eager epoch on one device, up to rounding."""
    shutil.copy(own_run.home / "convolutional.py", tmp_path)
    how = ("--no-plots", "--epochs", "1", "--dtype", "float64", "--output-dir")
    train(own_run.data, *FLAGS, *how, "alone", cwd=tmp_path)
    shared = (*how, "shared", "--execution", "graph", "--distribute", "mirrored")
    train(own_run.data, *FLAGS, *shared, cwd=tmp_path, before=split_cpu(3))
    ours, theirs = (read_state(tmp_path / name) for name in ("shared", "alone"))
    assert ours.pop("metrics")["replicas"] == 3
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("convolutional", "'convolutional' is not MODULE:NAME, such as my_module:MyNetwork"),
        ("convolutonal:Net", "there is no module convolutonal in .*; did you mean convolutional?"),
        ("nowhere.to.be:Found", "there is no module nowhere in the current folder"),
    ],
)
def test_a_bad_name_is_refused_before_anything_is_loaded(own_run, monkeypatch, name, words):
    monkeypatch.chdir(own_run.home)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        flags.model_name(name)


# What is wrong with networks, and what the sentence says of it.
UNSUITABLE = {
    "Missing": "there is no Missing in unsuitable",
    "made": "must be a class or a function .* an object of type Convolutional",
    "Unseeded": "can't be called with layer_sizes, seed and dtype, as .*: too many positional",
    "nothing": "must make a callable tf.Module .*; what it makes is of type NoneType",
    "Constant": "It has no trainable variables. A tf.Module finds those that its __init__",
    "Double": "Its variables are float64; they must have the dtype that .* float32",
    "Narrow": r"can't be called with logits \[1, 3\], as the model gives them, .*\[1, 4\]",
    "Misshapen": r"unsuitable.py, line 11\). The model can't be called .*: Dimensions must be",
    "Maskless": r"can't be called with images \[1, 64\] and masks \[1, 128\]: .* positional arg",
    "Masked": r"can't be called with images \[1, 64\]: .* missing 1 required positional",
}
MODULE = """
import tensorflow as tf
from convolutional import Convolutional

class Narrow(Convolutional):
    def __call__(self, images, *masks):
        return super().__call__(images, *masks)[:, :3]

class Misshapen(Convolutional):
    def __call__(self, images, *masks):
        return images @ self.weights[3]

class Double(Convolutional):
    def __init__(self, layer_sizes, seed, dtype):
        super().__init__(layer_sizes, seed, "float64")

class Unseeded(Convolutional):
    def __init__(self, layer_sizes):
        super().__init__(layer_sizes, 0, "float32")

class Maskless(Convolutional):
    def __call__(self, images):
        return super().__call__(images)

class Masked(Convolutional):
    def __call__(self, images, mask):
        return super().__call__(images, mask)

class Constant(tf.Module):
    def __init__(self, layer_sizes, seed, dtype):
        super().__init__()

    def __call__(self, images):
        return images[:, :4]

class Broken(Convolutional):
    def __init__(self, layer_sizes, seed, dtype):
        self.size = {}["size"]

class Mistyped(Convolutional):
    def __call__(self, images, *masks):
        return image @ self.weights[3]

def nothing(layer_sizes, seed, dtype):
    pass

made = Convolutional([64, 4], 0, "float32")
"""


@pytest.fixture
def own_modules(own_run, tmp_path, monkeypatch):
    """A folder whose modules can be imported, as those beside the run."""
    (tmp_path / "unsuitable.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(own_run.home)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(("name", "words"), UNSUITABLE.items())
def test_a_network_that_can_not_be_trained(own_modules, own_settings, name, words):
    with pytest.raises(UserError, match=words) as caught:
        own_model.load(f"unsuitable:{name}", own_settings)
    assert str(caught.value).startswith(f"--model unsuitable:{name}")


def test_a_network_that_is_too_large(own_modules, own_settings, monkeypatch):
    monkeypatch.setattr(own_model, "MAX_PARAMETERS", PARAMETERS)
    assert own_model.load(MODEL[1], own_settings).__name__ == "Convolutional"
    monkeypatch.setattr(own_model, "MAX_PARAMETERS", PARAMETERS - 1)
    with pytest.raises(UserError, match="parameters; at most .* are accepted"):
        own_model.load(MODEL[1], own_settings)


@pytest.mark.parametrize(("name", "error"), [("Broken", KeyError), ("Mistyped", NameError)])
def test_an_error_of_its_own_keeps_its_traceback(own_modules, own_settings, name, error):
    with pytest.raises(error) as caught:
        own_model.load(f"unsuitable:{name}", own_settings)
    assert caught.traceback[-1].path.name == "unsuitable.py"


@pytest.mark.parametrize(
    ("text", "error"),
    [("import nowhere_to_be_found", ModuleNotFoundError), ("def (:", SyntaxError)],
)
def test_so_does_one_in_its_module(own_modules, own_settings, text, error):
    (own_modules / "broken.py").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=r"nowhere_to_be_found|broken.py"):
        own_model.load("broken:Net", own_settings)


def test_a_network_that_can_not_be_trained_leaves_nothing(own_run, own_modules):
    arguments = ("--data-dir", own_run.data, "--model", "unsuitable:Narrow", "--output-dir", "new")
    shutil.copy(own_run.home / "convolutional.py", own_modules)
    done = run("train", *arguments, cwd=own_modules)
    assert_refused(done, "logits [1, 3], as the model gives them")
    assert not (own_modules / "new").exists()


def test_a_checkpoint_of_another_network(own_run, own_modules):
    """Its author has changed it since."""
    changed = CONVOLUTIONAL.replace("128", "64")
    (own_modules / "changed.py").write_text(changed, encoding="utf-8")
    folder = own_run.copy(own_modules)
    change_settings(folder, model="changed:Convolutional")
    expected = "checkpoint-10 is damaged or does not fit changed:Convolutional as it is now."
    with pytest.raises(UserError, match=expected):
        folders.find(folder).load_model("changed:Convolutional")
