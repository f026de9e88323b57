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
from lowlevel_mnist.optimizers import OPTIMIZERS
from lowlevel_mnist.recipes import RECIPES
from tests.helpers.commands import PROJECT, assert_refused, run, run_anew, start_anew

# Nothing listens there: MNIST can't be had, and the built-in digits are measured.
UNREACHABLE = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small benchmark: its folder and the finished process."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "temporary").mkdir()
    flags = ["--recipes", "softmax", "--executions", "eager", "xla", "fit"]
    flags += ["--epochs", 2, "--repeats", 1, "--json", "result.json", "--chart", "bars.png"]
    changes = {"HOME": folder, "TMPDIR": folder / "temporary", **UNREACHABLE}
    done = run_anew("benchmark", *flags, cwd=folder, **changes)
    assert done.returncode == 0
    return folder, done


@pytest.mark.full
def test_the_json(measured):
    folder, _ = measured
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert (result["epochs"], result["repeats"]) == (2, 1)
    softmax = result["recipes"]["softmax"]
    assert (softmax["dataset"], softmax["samples"]) == ("digits", 60_000)
    contenders = softmax["contenders"]
    assert list(contenders) == ["eager", "xla", "fit", "products"]
    for contender, figures in contenders.items():
        (epochs,), (process_seconds,) = figures["epochs"], figures["process_seconds"]
        assert len(epochs) == (1 if contender == "products" else 2)
        assert figures["seconds"] == epochs[-1]
        assert 0 < sum(epochs) < process_seconds
        assert figures["peak_mib"] > 100
    seconds = {contender: figures["seconds"] for contender, figures in contenders.items()}
    assert softmax["ratios"] == {
        "eager over fit": pytest.approx(seconds["fit"] / seconds["eager"]),
        "best compiled over fit": pytest.approx(seconds["fit"] / seconds["xla"]),
        "best compiled, times the floor": pytest.approx(seconds["xla"] / seconds["products"]),
    }


@pytest.mark.full
def test_everybody_did_the_same_work(measured):
    folder, _ = measured
    contenders = json.loads((folder / "result.json").read_text(encoding="utf-8"))["recipes"][
        "softmax"
    ]["contenders"]
    accuracies = [contenders[name]["test_accuracy"] for name in ("eager", "xla", "fit")]
    assert max(accuracies) - min(accuracies) < 0.02
    assert min(accuracies) > 0.8


@pytest.mark.full
def test_what_is_printed(measured):
    _, done = measured
    lines = done.stdout.splitlines()
    assert "60,000 images of built-in digits" in done.stdout
    assert "469 steps an epoch" in done.stdout
    for contender in ("eager", "xla", "fit", "products"):
        assert len([line for line in lines if re.match(rf"{contender} +\d", line)]) == 1
    assert "eager over fit: " in done.stdout
    # Progress is told apart from the results, and piped output has no carriage returns.
    assert len(done.stderr.splitlines()) == 5
    assert "softmax, 1/1, xla: " in done.stderr
    assert "\r" not in done.stdout + done.stderr


@pytest.mark.full
def test_the_chart(measured):
    folder, _ = measured
    with Image.open(folder / "bars.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 150
    for color in ((0x00, 0x72, 0xB2), (0x9F, 0xC5, 0xDE)):  # this package, Keras
        assert (pixels == color).all(axis=2).sum() > 1000


@pytest.mark.full
def test_the_runs_are_removed(measured):
    folder, _ = measured
    assert not list((folder / "temporary").iterdir())


@pytest.mark.full
def test_an_interrupted_run_is_removed_too(tmp_path):
    """A signal that only the command gets, as from `kill`, ends its contender as well."""
    flags = ["--recipes", "softmax", "--executions", "eager", "--epochs", 1000]
    flags += ["--chart", tmp_path / "bars.png"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    changes = {"HOME": tmp_path, "TMPDIR": temporary, **UNREACHABLE}
    with start_anew("benchmark", *flags, cwd=tmp_path, **changes) as process:
        while not list(temporary.rglob("checkpoints")):  # a run has begun
            assert process.poll() is None, "the benchmark ended before"
            time.sleep(0.1)
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert stderr.splitlines()[-1] == "Interrupted."
    assert not list(temporary.iterdir())
    assert not (tmp_path / "bars.png").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--recipes", "mlp-1024"], ["--recipes", "mlp-1024", "mlp-512-dropout"]),
        (["--executions", "fast"], ["--executions", "fast", "fit-steps-xla"]),
        (["--repeats", "0"], ["--repeats", "0", "1 or more"]),
        (["--epochs", "1"], ["--epochs", "1", "2 or more"]),
        (["--json", "absent/r.json"], ["absent/r.json", "No such file"]),
        (["--json", "."], ["folder"]),
        (["--json", "/dev/full"], ["/dev/full", "device"]),
        (["--chart", "absent/c.png"], ["absent/c.png", "no folder"]),
        (["--chart", "bars.txt"], ["bars.txt", ".png"]),
    ],
)
def test_what_can_t_be_done_is_refused_at_once(tmp_path, flags, words):
    poison = tmp_path / "poison"
    poison.mkdir()
    (poison / "tensorflow.py").write_text("raise SystemExit('too late')", encoding="utf-8")
    done = run_anew("benchmark", *flags, cwd=tmp_path, PYTHONPATH=f"{poison}:{PROJECT}")
    assert_refused(done, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["poison"]


@pytest.mark.parametrize(("module", "library"), [("torch", "PyTorch"), ("jax", "JAX")])
def test_a_peer_that_is_not_installed(tmp_path, module, library):
    if importlib.util.find_spec(module):
        pytest.skip(f"{library} is installed")
    done = run("benchmark", "--executions", "eager", module, cwd=tmp_path)
    assert_refused(done, f"--executions {module}", library, "'.[peers]'")
    assert not list(tmp_path.iterdir())


def test_those_without_a_clone_are_told_what_they_can_install(tmp_path):
    if importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is installed")
    shutil.copytree(PROJECT / "lowlevel_mnist", tmp_path / "lowlevel_mnist")
    done = run_anew("benchmark", "--executions", "torch", cwd=tmp_path, PYTHONPATH=tmp_path)
    assert_refused(done, "It comes with pip install torch jax")


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_peer_that_does_not_know_the_optimizer(monkeypatch, library):
    other = dataclasses.replace(RECIPES["softmax"], optimizer="lion")
    monkeypatch.setitem(RECIPES, "softmax", other)
    monkeypatch.setattr("sys.argv", ["contenders", "softmax", library, "digits", "2", "."])
    with pytest.raises(SystemExit, match="has no optimizer lion here"):
        contenders.main()


def test_a_peer_that_crashes_costs_its_own_bar(tmp_path):
    """A library whose import fails."""
    flags = ["--recipes", "softmax", "--executions", "torch", "--epochs", 2, "--repeats", 2]
    flags += ["--json", "r.json"]
    path = broken_torch(tmp_path, "raise MemoryError('no room for weights')")
    changes = {"HOME": tmp_path, "PYTHONPATH": path, **UNREACHABLE}
    done = run_anew("benchmark", *flags, cwd=tmp_path, **changes)
    assert done.returncode == 0
    _, torch, *products = done.stderr.splitlines()
    reason = "failed with exit code 1: MemoryError: no room for weights"
    assert torch == f"softmax, 1/2, torch: left out, because it {reason}"
    assert [line.split(": ")[0] for line in products] == [
        "softmax, 1/2, products",
        "softmax, 2/2, products",
    ]
    recipes = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["recipes"]
    assert list(recipes["softmax"]["contenders"]) == ["products"]
    assert (tmp_path / "benchmark.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("import os; os.kill(os.getpid(), 9)", "failed with exit code -9: it gave no reason"),
        ("raise SystemExit(3)", "failed with exit code 3: it gave no reason"),
        (
            "import sys; print('A note.\\nThe reason.', file=sys.stderr); sys.exit(4)",
            "failed with exit code 4: The reason.",
        ),
    ],
)
def test_how_a_peer_failed(tmp_path, monkeypatch, script, failure):
    monkeypatch.setenv("PYTHONPATH", broken_torch(tmp_path, script))
    assert benchmark.run_process("softmax", "torch", "digits", 2) == (None, failure)


def broken_torch(folder, script):
    """Returns a PYTHONPATH by which `import torch` runs a script."""
    (folder / "broken").mkdir()
    (folder / "broken" / "torch.py").write_text(script, encoding="utf-8")
    return f"{folder / 'broken'}:{PROJECT}"


@pytest.mark.parametrize("module", ["torch", "jax"])
@pytest.mark.parametrize("recipe", ["softmax", "mlp-512", "mlp-128-dropout"])
def test_a_peer_learns(module, recipe):
    """By each of the rules, with a last batch that is smaller than the others."""
    pytest.importorskip(module, reason=f"{module} is not installed", exc_type=ImportError)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 1250).astype(np.uint8)
    images = generator.integers(0, 100, (1250, 6, 6)).astype(np.uint8)
    images[np.arange(1250), 1, labels] = 255
    arrays = images[:1000], labels[:1000], images[1000:], labels[1000:]
    dataset = Dataset(*arrays, name="custom", source="data-dir", place=".")
    measure = {"torch": peers.measure_torch, "jax": peers.measure_jax}[module]
    found = measure(RECIPES[recipe], dataset, epochs=12)
    assert len(found["seconds"]) == 12
    assert found["test_accuracy"] > 0.9


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_jax_updates_by_the_rules_of_the_recipes(name):
    pytest.importorskip("jax", reason="jax is not installed", exc_type=ImportError)
    generator = np.random.default_rng(0)
    start = generator.normal(size=(5, 3)).astype(np.float32)
    variable = tf.Variable(start)
    rule = OPTIMIZERS[name]([variable], 0.01)
    begin, update, parameters_of = peers.jax_optimizer(name, 0.01)
    state = begin(start)
    for step in range(5):
        gradient = generator.normal(size=(5, 3)).astype(np.float32)
        rule.apply([tf.constant(gradient)])
        state = update(step, gradient, state)
    np.testing.assert_allclose(parameters_of(state), variable.numpy(), rtol=1e-5, atol=1e-6)


def test_medians_leave_the_first_epoch_out():
    runs = [{"seconds": seconds, "process_seconds": 20} for seconds in ([9, 1, 3], [8, 2, 7])]
    runs = [{**run, "peak_mib": 700, "test_accuracy": 0.92} for run in runs]
    result = results.summarize("softmax", "xla", 60_000, runs)
    assert result["seconds"] == 2.5
    assert results.ratios([result]) == {}


def test_a_table_and_a_chart_of_known_times(capsys):
    """Eager twice as fast as Keras, XLA eight times: by ratio, and by the length of the bars."""
    seconds = {"eager": 4.0, "xla": 1.0, "fit": 8.0, FLOOR: 0.5}
    found = [
        results.summarize(
            "softmax",
            contender,
            60_000,
            [
                {
                    "seconds": [9, second],
                    "process_seconds": 20,
                    "peak_mib": 700,
                    "test_accuracy": 0.9,
                }
            ],
        )
        for contender, second in seconds.items()
    ]
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
    assert [text.get_text() for text in axis.texts] == [
        "4.000 s, 2.00x",
        "1.000 s, 8.00x",
        "8.000 s, 1.00x",
    ]
    assert axis.lines[0].get_xdata() == [0.5, 0.5]


def test_the_json_and_the_chart_are_two_files(tmp_path):
    done = run("benchmark", "--json", "same.png", "--chart", "same.png", cwd=tmp_path)
    assert_refused(done, "choose two files")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_too_long(tmp_path):
    done = run("benchmark", "--json", "x" * 300, cwd=tmp_path)
    assert_refused(done, "can't be written: File name too long")
