"""`train --tensorboard`: the events, read back by TensorFlow, as TensorBoard reads them."""

import io
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_ends, limit_files, run, train
from tests.helpers.runs import FinishedRun, assert_same_bits, read_metrics

SCALARS, IMAGES = "scalars", "images"
KINDS = {"training", "validation", "test"}


@pytest.fixture(scope="module")
def watched_run(patterns_run, tmp_path_factory):
    """A `FinishedRun` like `patterns_run`, with events, but without pictures."""
    home = tmp_path_factory.mktemp("watched")
    flags = ["--epochs", 3, "--validation-split", 0.2, "--no-plots", "--tensorboard"]
    process = train(patterns_run.data, *flags, "--output-dir", "runs/one", cwd=home)
    return FinishedRun(home, patterns_run.arrays, process)


def read_events(folder):
    """What TensorBoard finds below a run's folder: its values [step, value], by folder and tag.

    It reads all files that have "tfevents" in their names, of each folder in their order.
    """
    found = {}
    for path in sorted((folder / "tensorboard").rglob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                content = tf.make_ndarray(value.tensor)
                key = (path.parent.name, plugin, value.tag)
                found.setdefault(key, []).append((event.step, content))
    return found


def steps(folder):
    return {key: [step for step, _ in values] for key, values in read_events(folder).items()}


def test_scalars_are_those_of_the_history(watched_run):
    record = read_metrics(watched_run.folder)
    found = read_events(watched_run.folder)
    scalars = {key: values for key, values in found.items() if key[1] == SCALARS}
    expected = {("training", name): name for name in ("loss", "accuracy", "seconds")}
    expected |= {("validation", name): f"val_{name}" for name in ("loss", "accuracy")}
    for (kind, tag), key in expected.items():
        values = scalars.pop((kind, SCALARS, tag))
        assert values == [(row["epoch"], np.float32(row[key])) for row in record["history"]]
    rates = scalars.pop(("training", SCALARS, "learning_rate"))
    assert rates == [(epoch, np.float32(0.5)) for epoch in (1, 2, 3)]
    for name in ("loss", "accuracy"):
        assert scalars.pop(("test", SCALARS, name)) == [(3, np.float32(record[f"test_{name}"]))]
    assert scalars == {}


def test_pictures(watched_run):
    """PNG, with their width and height before them, each of another epoch."""
    found = read_events(watched_run.folder)
    pictures = {key: values for key, values in found.items() if key[1] == IMAGES}
    assert {(kind, tag): len(values) for (kind, _, tag), values in pictures.items()} == {
        ("training", "weights"): 3,
        ("validation", "confusion_matrix"): 3,
        ("test", "confusion_matrix"): 1,
    }
    for _, (width, height, png) in sum(pictures.values(), []):
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.format == "PNG"
            assert picture.size == (int(width), int(height))
    weights = [content[2] for _, content in pictures["training", IMAGES, "weights"]]
    assert len(set(weights)) == 3


def test_the_run_itself_is_the_same(watched_run, patterns_run):
    assert_same_bits(watched_run.folder, patterns_run.folder)
    assert not (patterns_run.folder / "tensorboard").exists()
    assert not list(watched_run.folder.glob("unfinished-*"))


def test_how_to_look_at_it_is_said(watched_run):
    *_, hint, command = watched_run.process.stdout.splitlines()
    assert "in TensorBoard" in hint
    assert command.startswith("  ")
    assert command.endswith(" -m tensorboard.main --logdir runs/one/tensorboard")


def test_a_resumed_run_goes_on_in_the_same_curves(watched_run, tmp_path):
    """Also where a kill came between the events of an epoch and its checkpoint."""
    folder = watched_run.copy(tmp_path)
    newest = folders.find_checkpoints(folder)[-1]
    for path in newest.parent.glob(f"{newest.name}.*"):
        path.unlink()
    left = folder / "unfinished-tensorboard"
    left.mkdir()
    (left / "events.out.tfevents.1").write_bytes(b"half")
    flags = ["--resume", "--output-dir", folder, "--no-plots", "--tensorboard"]
    done = run("train", *flags, "--epochs", 4, cwd=tmp_path)
    assert done.returncode == 0
    assert "Resumed after epoch 2\n" in done.stdout
    for (kind, *_), found in steps(folder).items():
        assert found == ([3, 4] if kind == "test" else [1, 2, 3, 4])
    assert not left.exists()


@pytest.mark.full
def test_the_test_of_an_early_stop_is_at_the_best_epoch(small_folder, tmp_path):
    flags = ["--patience", 1, "--epochs", 9, "--learning-rate", 100, "--validation-split", 0.2]
    train(small_folder, *flags, "--no-plots", "--tensorboard", "--output-dir", "run", cwd=tmp_path)
    record, found = read_metrics(tmp_path / "run"), steps(tmp_path / "run")
    last = len(record["history"])
    assert found["validation", SCALARS, "loss"] == list(range(1, last + 1))
    assert found["test", SCALARS, "loss"] == [record["best_epoch"]]
    assert record["best_epoch"] < last


@pytest.mark.full
def test_the_hint_how_to_go_on_has_the_flag(small_folder, tmp_path):
    """On a disk that is too full for events. There is no validation."""
    flags = ["--epochs", 1, "--no-plots", "--tensorboard", "--output-dir", "run"]
    done = run(
        "train", "--data-dir", small_folder, *flags, cwd=tmp_path, before=limit_files(10_000)
    )
    assert_ends(done, 2, "there is no room for it", "--no-plots --tensorboard\n")
    assert not list((tmp_path / "run").rglob("*tfevents*"))
    assert run("train", "--resume", *flags, cwd=tmp_path).returncode == 0
    assert {(kind, *found) for (kind, *_), found in steps(tmp_path / "run").items()} == {
        ("training", 1),
        ("test", 1),
    }


@pytest.mark.parametrize("name", ["tensorboard", "tensorboard/training"])
def test_nothing_is_written_through_a_link(watched_run, tmp_path, name):
    folder = watched_run.copy(tmp_path)
    shutil.rmtree(folder / name)
    (folder / name).symlink_to(tmp_path)
    with pytest.raises(UserError, match=f"one/{name} is a link"):
        folders.find_to_resume(folder)


@pytest.mark.parametrize(
    ("optimizer", "rate", "code"),
    [pytest.param("sgd", 1e30, 0, marks=pytest.mark.full), ("rmsprop", 3e38, 3)],
)
def test_a_network_that_diverges_in_its_last_step(small_folder, tmp_path, optimizer, rate, code):
    """Huge numbers are drawn; of what is no number a sentence tells, as ever, and no event."""
    flags = ["--data-dir", small_folder, "--validation-split", 0.5, "--batch-size", 250]
    flags += ["--optimizer", optimizer, "--learning-rate", rate, "--epochs", 1]
    done = run("train", *flags, "--tensorboard", "--output-dir", "run", cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.count("the training diverged") == len(done.stderr.splitlines()) == code // 3
    assert (tmp_path / "run" / "tensorboard").exists() == (code == 0)


@pytest.mark.full
def test_tensorboard_shows_it(watched_run):
    """The real one, where it is installed: what it has read."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(watched_run.folder)).Reload()
    assert multiplexer.Runs().keys() == {f"tensorboard/{kind}" for kind in KINDS}
    losses = multiplexer.Tensors("tensorboard/validation", "loss")
    history = read_metrics(watched_run.folder)["history"]
    assert [event.step for event in losses] == [1, 2, 3]
    for event, row in zip(losses, history, strict=True):
        assert tf.make_ndarray(event.tensor_proto) == np.float32(row["val_loss"])
