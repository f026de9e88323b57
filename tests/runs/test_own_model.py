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
from tests.helpers.commands import (
    PROJECT,
    assert_ends,
    assert_refused,
    run,
    run_python,
    split_cpu,
    train,
)
from tests.helpers.data import pattern_arrays, write_idx_folder
from tests.helpers.runs import assert_same_bits, change_settings, read_metrics, read_state

# The module that README shows.
CONVOLUTIONAL = re.search(
    r"^`convolutional.py`:\n\n```python\n(.*?)^```$",
    (PROJECT / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)[1]
MODEL = ("--model", "convolutional:Convolutional")
PARAMETERS = (25 + 1) * 16 + (25 * 16 + 1) * 32 + (2 * 2 * 32 + 1) * 128 + (128 + 1) * 4
SIZE, CLASSES = (8, 8), 4
# With 129 images, the last batch has one, and most of several devices none of it.
IMAGES = pattern_arrays(SIZE, CLASSES, train=129)
FLAGS = (*MODEL, "--optimizer", "adam", "--dropout", "0.3", "--batch-size", "32", "--epochs", "2")
FLAGS += ("--learning-rate", "0.01", "--output-dir", "run")
ONE_EPOCH = ("--no-plots", "--epochs", "1")
IN_FLOAT64 = (*ONE_EPOCH, "--dtype", "float64")
TRAIN = ("-m", "lowlevel_mnist.train")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with the module, with data, and with a finished run."""
    path = tmp_path_factory.mktemp("own")
    (path / "convolutional.py").write_text(CONVOLUTIONAL, encoding="utf-8")
    write_idx_folder(path / "data", IMAGES)
    done = train("data", *FLAGS, "--execution", "graph", cwd=path)
    assert done.stderr == ""
    return path


@pytest.fixture
def copy(base, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(base, tmp_path / "copy")


@pytest.fixture
def settings(base):
    return folders.find(base / "run").settings


def test_every_command_takes_it(base):
    """And each says what the others do."""
    record = read_metrics(base / "run")
    assert (record["model"], record["parameters"]) == (MODEL[1], PARAMETERS)
    assert record["test_accuracy"] > 0.7
    pictures = {path.name for path in (base / "run").glob("*.png")}
    assert {"samples.png", "curves.png"} < pictures
    assert "weights.png" not in pictures

    chosen = ("--run", "run", *MODEL)
    done = run("evaluate", *chosen, "--json", "test.json", cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Test loss {record['test_loss']:.4f}" in done.stdout
    assert done.stdout.startswith("Run run: Convolutional+dropout-0.3\n")

    done = run("show_random", *chosen, "--count", 7, "--save", "seven.png", cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lowlevel_mnist.page" not in done.stdout
    assert done.stdout.startswith("7 random test images")

    np.save(base / "images.npy", IMAGES[2])
    done = run("predict", *chosen, "images.npy", "--csv", "table.csv", cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    done = run("export", *chosen, "--to", "exported", cwd=base)
    assert (done.returncode, done.stderr) == (0, "")
    exported = tf.saved_model.load(str(base / "exported"))
    predicted = exported.predict(IMAGES[2])
    table = np.loadtxt(base / "table.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(predicted["probabilities"], table[:, 2:], atol=1e-5)
    np.testing.assert_array_equal(predicted["classes"], table[:, 1])


def test_header_and_hints(base, tmp_path):
    (tmp_path / "nets").mkdir()
    shutil.copy(base / "convolutional.py", tmp_path / "nets")
    flags = ("--model", "nets.convolutional:Convolutional", *ONE_EPOCH)
    done = train(base / "data", *flags, "--optimizer", "adam", cwd=tmp_path)
    network = f"Network: nets.convolutional:Convolutional, 64-4, {PARAMETERS:,} parameters, adam "
    assert f"\n{network}" in done.stdout
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("Z-Convolutional")
    assert f"show_random --run runs/{folder.name} --model nets.convolutional:" in done.stdout
    assert "page" not in done.stdout


@pytest.mark.parametrize("command", ["evaluate", "show_random", "predict", "export"])
def test_a_run_names_no_code_that_is_executed(copy, command):
    """A stranger's folder, with his module in it: only who names the module executes it."""
    (copy / "convolutional.py").write_text("open('executed', 'w')", encoding="utf-8")
    more = {"predict": ("images.npy",), "export": ("--to", "exported")}.get(command, ())
    done = run(command, "--run", "run", *more, cwd=copy)
    assert_refused(done, "if you trust it, add --model convolutional:Convolutional\n")
    done = run(command, "--run", "run", "--model", "json:loads", *more, cwd=copy)
    contradiction = "--model json:loads contradicts the run in run, which has --model convolutional"
    assert_refused(done, contradiction)
    assert not (copy / "executed").exists()


def test_a_run_of_the_packages_own_network(copy):
    change_settings(copy / "run", model=None, dropout=0.0)
    done = run("evaluate", "--run", "run", *MODEL, cwd=copy)
    assert_refused(done, "contradicts the run in run, which has no --model. Leave the flag out")


def test_page_draws_for_dense_networks_only(base):
    done = run("page", "--run", "run", cwd=base)
    assert_refused(done, "A page draws for dense networks only", "convolutional:Convolutional")


def test_runs_are_listed(copy):
    (copy / "runs").mkdir()
    (copy / "run").rename(copy / "runs" / "one")
    (copy / "convolutional.py").unlink()
    done = run("__main__", cwd=copy)
    assert "Convolutional+dropout-0.3, " in done.stdout


def interrupt_third():
    """From now on, Ctrl-C seems to have come before the third report: after 7 steps at most."""
    signals = iter([None, None, signal.SIGINT])
    Run.stop_requested = lambda run, number: next(signals)


@pytest.mark.parametrize(
    "execution", ["eager", "graph", pytest.param("xla", marks=pytest.mark.full)]
)
def test_it_goes_on_to_the_same_bits(base, tmp_path, execution):
    shutil.copy(base / "convolutional.py", tmp_path)
    flags = (*FLAGS, *ONE_EPOCH, "--execution", execution)
    train(base / "data", *flags, "--output-dir", "undisturbed", cwd=tmp_path)
    done = run("train", "--data-dir", base / "data", *flags, cwd=tmp_path, before=interrupt_third)
    assert_ends(done, 128 + signal.SIGINT, "of epoch 1. Go on with: ")
    _, _, _, *words = shlex.split(done.stderr.partition("Go on with: ")[2])
    done = run("train", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Resumed after step " in done.stdout
    assert_same_bits(tmp_path / "run", tmp_path / "undisturbed")


def test_it_goes_on_only_as_what_it_was(base):
    flags = ("--resume", "--output-dir", "run")
    assert_refused(run("train", *flags, cwd=base), "the run in run", f"add {' '.join(MODEL)}\n")
    done = run("train", *flags, "--model", "json:loads", cwd=base)
    assert_refused(done, "--model json:loads contradicts the run in run, which has --model convol")


@pytest.fixture(scope="module")
def eager(base):
    """What an eager epoch in float64 makes of its variables."""
    train("data", *FLAGS, *IN_FLOAT64, "--output-dir", "eager", cwd=base)
    return read_state(base / "eager")


@pytest.mark.parametrize(
    ("execution", "devices"),
    [("graph", 3), ("graph", 1), pytest.param("xla", 1, marks=pytest.mark.full)],
)
def test_it_is_the_same_run_up_to_rounding(base, eager, tmp_path, execution, devices):
    shutil.copy(base / "convolutional.py", tmp_path)
    how = ("--execution", execution, *["--distribute", "mirrored"][: 2 * (devices > 1)])
    before = split_cpu(devices)
    train(base / "data", *FLAGS, *IN_FLOAT64, *how, cwd=tmp_path, before=before)
    state = read_state(tmp_path / "run")
    assert state["metrics"]["replicas"] == devices
    for name in eager.keys() - {"metrics"}:
        np.testing.assert_allclose(state[name], eager[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("convolutional", "'convolutional' is not MODULE:NAME, such as my_module:MyNetwork"),
        ("convolutional.py", "is not MODULE:NAME, such as my_module:MyNetwork for a class in my_m"),
        ("convolutonal:Net", "there is no module convolutonal in .*; did you mean convolutional?"),
        ("nowhere.to.be:Found", "there is no module nowhere in the current folder"),
    ],
)
def test_a_bad_name_is_refused_before_anything_is_loaded(base, monkeypatch, name, words):
    monkeypatch.chdir(base)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        flags.model_name(name)


def test_no_tensorflow_is_needed_for_that(base):
    done = run_python("-X", "importtime", *TRAIN, "--model", "nowhere:Net", cwd=base)
    assert done.returncode == 2
    assert "Argument --model: there is no module nowhere" in done.stderr
    assert not re.search(r"\b(tensorflow|matplotlib)$", done.stderr, re.MULTILINE)


# What is wrong with networks, and what the sentence says of it.
UNSUITABLE = {
    "Missing": "there is no Missing in unsuitable",
    "number": "must be a class or a function .* an object of type int",
    "made": "must be a class or a function .* an object of type Convolutional",
    "Unseeded": "can't be called with layer_sizes, seed and dtype, as .*: too many positional",
    "nothing": "must make a callable tf.Module .*; what it makes is of type NoneType",
    "Silent": "must make a callable tf.Module .*; what it makes is of type Silent",
    "Constant": "It has no trainable variables. A tf.Module finds those that its __init__",
    "Double": "Its variables are float64; they must have the dtype that .* float32",
    "Unused": r"The variable unused:0 \[3\] takes no part in the logits",
    "Narrow": r"can't be called with logits \[1, 3\], as the model gives them, .*\[1, 4\]",
    "Misshapen": r"unsuitable.py, line 11\). The model can't be called .*: Dimensions must be",
    "Undropping": "dropout is 0.3, but the model has no layer to drop out: it needs an attribute",
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

class Unused(Convolutional):
    def __init__(self, layer_sizes, seed, dtype):
        super().__init__(layer_sizes, seed, dtype)
        self.unused = tf.Variable(tf.ones([3], dtype), name="unused")

class Double(Convolutional):
    def __init__(self, layer_sizes, seed, dtype):
        super().__init__(layer_sizes, seed, "float64")

class Unseeded(Convolutional):
    def __init__(self, layer_sizes):
        super().__init__(layer_sizes, 0, "float32")

class Undropping(Convolutional):
    dropout_units = ()

class Maskless(Convolutional):
    def __call__(self, images):
        return super().__call__(images)

class Masked(Convolutional):
    def __call__(self, images, mask):
        return super().__call__(images, mask)

class Silent(tf.Module):
    def __init__(self, layer_sizes, seed, dtype):
        super().__init__()

class Constant(Silent):
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
number = 3
"""


@pytest.fixture
def unsuitable(base, monkeypatch):
    (base / "unsuitable.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(base)


@pytest.mark.parametrize(("name", "words"), UNSUITABLE.items())
def test_a_network_that_can_not_be_trained(unsuitable, settings, name, words):
    with pytest.raises(UserError, match=words) as caught:
        own_model.load(f"unsuitable:{name}", settings)
    assert str(caught.value).startswith(f"--model unsuitable:{name}")


def test_a_network_that_is_too_large(unsuitable, settings, monkeypatch):
    monkeypatch.setattr(own_model, "MAX_PARAMETERS", PARAMETERS)
    assert own_model.load(MODEL[1], settings).__name__ == "Convolutional"
    monkeypatch.setattr(own_model, "MAX_PARAMETERS", PARAMETERS - 1)
    with pytest.raises(UserError, match="parameters; at most .* are accepted"):
        own_model.load(MODEL[1], settings)


@pytest.mark.parametrize(("name", "error"), [("Broken", KeyError), ("Mistyped", NameError)])
def test_an_error_of_its_own_keeps_its_traceback(unsuitable, settings, name, error):
    with pytest.raises(error) as caught:
        own_model.load(f"unsuitable:{name}", settings)
    assert caught.traceback[-1].path.name == "unsuitable.py"


@pytest.mark.parametrize("text", ["import nowhere_to_be_found", "def (:", "1 / 0"])
def test_so_does_one_in_its_module(base, copy, text):
    """And nothing is written, so the same command can be given again."""
    (copy / "broken.py").write_text(text, encoding="utf-8")
    flags = ("--data-dir", "data", "--model", "broken:Net", "--output-dir", "new")
    done = run("train", *flags, cwd=copy)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r'File ".*/copy/broken.py", line 1\b', done.stderr)
    assert not (copy / "new").exists()


def test_a_network_that_can_not_be_trained_leaves_nothing(unsuitable, base):
    flags = ("--data-dir", "data", "--model", "unsuitable:Narrow", "--output-dir", "new")
    assert_refused(run("train", *flags, cwd=base), "logits [1, 3], as the model gives them")
    assert not (base / "new").exists()


def test_a_checkpoint_of_another_network(copy):
    """Its author has changed it since."""
    module = copy / "convolutional.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace("128", "64"), encoding="utf-8")
    done = run("evaluate", "--run", "run", *MODEL, cwd=copy)
    assert_refused(
        done, "checkpoint-10 is damaged or does not fit convolutional:Convolutional as it is now."
    )
    done = run("train", "--resume", "--output-dir", "run", *MODEL, "--epochs", 3, cwd=copy)
    assert_ends(done, 2, "None of the checkpoints in run/checkpoints is usable: they are damaged")
    assert len(folders.find_checkpoints(copy / "run")) == 2


def test_what_makes_it_may_be_a_function(base, tmp_path):
    """Here one without hidden layers, which is what the package's own is."""
    text = "from lowlevel_mnist import Network\ndef make(*arguments): return Network(*arguments)\n"
    (tmp_path / "functions.py").write_text(text, encoding="utf-8")
    for folder, chosen in [("own", ["--model", "functions:make"]), ("usual", [])]:
        train(base / "data", *chosen, *ONE_EPOCH, "--output-dir", folder, cwd=tmp_path)
    states = [read_state(tmp_path / folder) for folder in ("own", "usual")]
    assert [state["metrics"].pop("model") for state in states] == ["functions:make", None]
    assert_same_bits(*states)
