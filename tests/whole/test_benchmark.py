"""The benchmark measures what it says it measures, and refuses at once what it can't do."""

import dataclasses
import importlib.util
import json
import re
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

from lowlevel_mnist import benchmark
from lowlevel_mnist.benchmarking import chart, contenders, peers, results
from lowlevel_mnist.benchmarking.contenders import FLOOR
from lowlevel_mnist.data import Dataset
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.optimizers import OPTIMIZERS
from lowlevel_mnist.recipes import RECIPES
from tests.helpers.commands import PROJECT, assert_refused, run, run_anew, start_anew
from tests.helpers.data import pattern_arrays


@pytest.fixture(scope="module")
def mnist(mnist_folder):
    """The environment in which MNIST is found."""
    return {"LOWLEVEL_MNIST_DATA": mnist_folder.parent}


@pytest.fixture(scope="module")
def measured(mnist, tmp_path_factory):
    """A small benchmark: its folder and the finished process."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "temporary").mkdir()
    flags = ["--recipes", "softmax", "--executions", "eager", "xla", "fit"]
    flags += ["--epochs", 2, "--repeats", 1, "--json", "result.json", "--chart", "bars.png"]
    changes = {"HOME": folder, "TMPDIR": folder / "temporary", **mnist}
    done = run_anew("benchmark", *flags, cwd=folder, **changes)
    assert done.returncode == 0
    return folder, done


@pytest.mark.full
def test_what_is_measured(measured):
    """And that everybody did the same work, of which nothing is left in temporary folders."""
    folder, _ = measured
    assert not list((folder / "temporary").iterdir())
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert (result["epochs"], result["repeats"]) == (2, 1)
    softmax = result["recipes"]["softmax"]
    assert (softmax["dataset"], softmax["samples"]) == ("mnist", 60_000)
    found = softmax["contenders"]
    assert list(found) == ["eager", "xla", "fit", "products"]
    for contender, figures in found.items():
        (epochs,), (process_seconds,) = figures["epochs"], figures["process_seconds"]
        assert len(epochs) == (1 if contender == "products" else 2)
        assert figures["seconds"] == epochs[-1]
        assert 0 < sum(epochs) < process_seconds
        assert figures["peak_mib"] > 100
    seconds = {contender: figures["seconds"] for contender, figures in found.items()}
    assert softmax["ratios"] == {
        "eager over fit": pytest.approx(seconds["fit"] / seconds["eager"]),
        "best compiled over fit": pytest.approx(seconds["fit"] / seconds["xla"]),
        "best compiled, times the floor": pytest.approx(seconds["xla"] / seconds["products"]),
    }
    accuracies = [found[name]["test_accuracy"] for name in ("eager", "xla", "fit")]
    assert max(accuracies) - min(accuracies) < 0.02
    assert min(accuracies) > 0.85


@pytest.mark.full
def test_what_is_printed_and_drawn(measured):
    folder, done = measured
    assert "60,000 images of MNIST, batches of 128, 469 steps an epoch" in done.stdout
    for contender in ("eager", "xla", "fit", "products"):
        assert len(re.findall(rf"^{contender} +\d", done.stdout, re.M)) == 1
    # Progress is told apart from the results, and piped output has no carriage returns.
    assert len(done.stderr.splitlines()) == 4
    assert "softmax, 1/1, xla: " in done.stderr
    assert "\r" not in done.stdout + done.stderr
    with Image.open(folder / "bars.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    for color in ((0x00, 0x72, 0xB2), (0x9F, 0xC5, 0xDE)):  # this package, Keras
        assert (pixels == color).all(axis=2).sum() > 1000


@pytest.mark.full
def test_an_interrupted_run_is_removed_too(mnist, tmp_path):
    """A signal that only the command gets, as from `kill`, ends its contender as well."""
    flags = ["--recipes", "softmax", "--executions", "eager", "--epochs", 1000]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    changes = {"HOME": tmp_path, "TMPDIR": temporary, **mnist}
    with start_anew("benchmark", *flags, cwd=tmp_path, **changes) as process:
        while not list(temporary.rglob("checkpoints")):  # a run has begun
            assert process.poll() is None, "the benchmark ended before"
            time.sleep(0.1)
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert stderr.splitlines()[-1] == "Interrupted."
    assert not list(temporary.iterdir())
    assert not (tmp_path / "benchmark.png").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--executions", "fast"], ["--executions", "fast", "fit-steps-xla"]),
        (["--repeats", "0"], ["--repeats", "0", "1 or more"]),
        (["--epochs", "1"], ["--epochs", "1", "2 or more"]),
        (["--json", "absent/r.json"], ["absent/r.json", "No such file"]),
        (["--json", "/dev/full"], ["/dev/full", "device"]),
        (["--json", "x" * 300], ["can't be written: File name too long"]),
        (["--json", "same.png", "--chart", "same.png"], ["choose two files"]),
        (["--chart", "bars.txt"], ["bars.txt", ".png"]),
    ],
)
def test_what_can_t_be_done_is_refused_at_once(tmp_path, flags, words):
    assert_refused(run("benchmark", *flags, cwd=tmp_path), *words)
    assert not list(tmp_path.iterdir())


def test_no_tensorflow_is_needed_for_that(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('too late')", encoding="utf-8")
    path = f"{tmp_path}:{PROJECT}"
    done = run_anew("benchmark", "--json", ".", cwd=tmp_path, PYTHONPATH=path)
    assert_refused(done, "folder")


@pytest.mark.parametrize(
    ("has_clone", "advice"), [(True, "'.[peers]'"), (False, "It comes with pip install torch jax")]
)
def test_a_peer_that_is_not_installed(tmp_path, has_clone, advice):
    if importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is installed")
    path = PROJECT
    if not has_clone:
        path = tmp_path
        shutil.copytree(PROJECT / "lowlevel_mnist", path / "lowlevel_mnist")
    done = run_anew("benchmark", "--executions", "torch", cwd=tmp_path, PYTHONPATH=path)
    assert_refused(done, "--executions torch needs PyTorch", advice)


def test_a_peer_that_does_not_know_the_optimizer(monkeypatch):
    other = dataclasses.replace(RECIPES["softmax"], optimizer="lion")
    monkeypatch.setitem(RECIPES, "softmax", other)
    monkeypatch.setattr("sys.argv", ["contenders", "softmax", "jax", "digits", "2", "."])
    with pytest.raises(SystemExit, match="JAX has no optimizer lion here"):
        contenders.main()


@pytest.mark.full
def test_a_peer_that_crashes_costs_its_own_bar(mnist, tmp_path):
    """A library whose import fails."""
    (tmp_path / "broken").mkdir()
    script = "raise MemoryError('no room for weights')"
    (tmp_path / "broken" / "torch.py").write_text(script, encoding="utf-8")
    flags = ["--recipes", "softmax", "--executions", "torch", "--repeats", 1, "--json", "r.json"]
    path = f"{tmp_path / 'broken'}:{PROJECT}"
    done = run_anew("benchmark", *flags, cwd=tmp_path, PYTHONPATH=path, **mnist)
    assert done.returncode == 0
    torch, products = done.stderr.splitlines()
    reason = "failed with exit code 1: MemoryError: no room for weights"
    assert torch == f"softmax, 1/1, torch: left out, because it {reason}"
    assert re.fullmatch(r"softmax, 1/1, products: [\d.]+ s an epoch", products)
    assert "Saved in benchmark.png and r.json" in done.stdout
    recipes = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["recipes"]
    assert list(recipes["softmax"]["contenders"]) == ["products"]
    assert (tmp_path / "benchmark.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("death", "failure"),
    [
        ("os.kill(os.getpid(), 9)", "failed with exit code -9: it gave no reason"),
        ("os.write(2, b'A note.\\nWhy.'); os._exit(4)", "failed with exit code 4: Why."),
    ],
)
def test_a_peer_that_has_failed_is_not_tried_again(tmp_path, monkeypatch, capsys, death, failure):
    """Its process dies as soon as it has begun."""
    (tmp_path / "sitecustomize.py").write_text(f"import os; {death}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert benchmark.measure("softmax", {"name": "mnist"}, ["torch"], epochs=2, repeats=2) == []
    said = f"softmax, 1/2, torch: left out, because it {failure}\n"
    assert capsys.readouterr().err == said


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """Neither on disk nor to be reached."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LOWLEVEL_MNIST_DATA", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there


def test_a_recipe_without_data_is_left_out(no_data, capsys):
    with pytest.raises(UserError, match="There is nothing to measure. Put the data into"):
        benchmark.find_datasets(["fashion-softmax"])
    said = "fashion-softmax: Fashion-MNIST can't be had, so it is left out.\n"
    assert capsys.readouterr().err == said


@pytest.mark.full
def test_digits_are_measured_in_the_place_of_mnist(no_data, capsys):
    digits = {"name": "digits", "title": "built-in digits", "samples": 60_000}
    assert benchmark.find_datasets(["softmax"]) == {"softmax": digits}
    said = "softmax: MNIST can't be had, so it is measured on the built-in digits.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("module", ["torch", "jax"])
@pytest.mark.parametrize("recipe", ["softmax", "mlp-512", "mlp-128-dropout"])
def test_a_peer_learns(module, recipe):
    """By each of the rules, with a last batch that is smaller than the others."""
    pytest.importorskip(module, reason=f"{module} is not installed", exc_type=ImportError)
    arrays = pattern_arrays(train=1000, test=250)
    dataset = Dataset(*arrays, name="custom", source="data-dir", place=".")
    measure = {"torch": peers.measure_torch, "jax": peers.measure_jax}[module]
    found = measure(RECIPES[recipe], dataset, epochs=12)
    assert len(found["seconds"]) == 12
    assert found["test_accuracy"] > 0.9


@pytest.mark.parametrize("name", peers.OPTIMIZERS)
def test_jax_updates_by_the_rules_of_the_recipes(name):
    pytest.importorskip("jax", reason="jax is not installed", exc_type=ImportError)
    start, *gradients = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    variable = tf.Variable(start)
    rule = OPTIMIZERS[name]([variable], 0.01)
    begin, update, parameters_of = peers.jax_optimizer(name, 0.01)
    state = begin(start)
    for step, gradient in enumerate(gradients):
        rule.apply([tf.constant(gradient)])
        state = update(step, gradient, state)
    np.testing.assert_allclose(parameters_of(state), variable.numpy(), rtol=1e-5, atol=1e-6)


def summarize(contender, *epochs):
    """The result of a contender, whose processes have taken so many seconds for their epochs."""
    of_all = {"process_seconds": 20, "peak_mib": 700, "test_accuracy": 0.9}
    runs = [{"seconds": seconds, **of_all} for seconds in epochs]
    return results.summarize("softmax", contender, 60_000, runs)


def test_medians_leave_the_first_epoch_out():
    result = summarize("xla", [9, 1, 3], [8, 2, 7])
    assert result["seconds"] == 2.5
    assert results.ratios([result]) == {}


def test_a_table_and_a_chart_of_known_times(capsys):
    """Eager twice as fast as Keras, XLA eight times: by ratio, and by the length of the bars."""
    seconds = {"eager": 4.0, "xla": 1.0, "fit": 8.0, FLOOR: 0.5}
    found = [summarize(contender, [9, second]) for contender, second in seconds.items()]
    dataset = {"name": "mnist", "title": "MNIST"}
    results.print_table(RECIPES["softmax"], dataset, found)
    lines = capsys.readouterr().out.splitlines()
    for contender, over_fit in (("eager", "2.00"), ("xla", "8.00"), ("fit", "1.00")):
        (line,) = (line for line in lines if re.match(rf"{contender} +\d", line))
        assert line.split()[5] == over_fit
    assert "best compiled over fit: 8.00" in lines
    figure = Figure()
    chart.draw(figure, {"softmax": dataset}, {"softmax": found})
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == [4, 1, 8]
    labels = [text.get_text() for text in axis.texts]
    assert labels == ["4.000 s, 2.00x", "1.000 s, 8.00x", "8.000 s, 1.00x"]
    assert axis.lines[0].get_xdata() == [0.5, 0.5]
