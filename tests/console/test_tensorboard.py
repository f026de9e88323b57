"""`train --tensorboard`: the events, read back by TensorFlow, as TensorBoard reads them."""

import io
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lowlevel_mnist.runs import folders
from tests.helpers.commands import (
    assert_ends,
    assert_refused,
    limit_files,
    run,
    run_anew,
    split_cpu,
    train,
)
from tests.helpers.data import digit_arrays, write_idx_folder
from tests.helpers.runs import assert_same_bits, read_metrics

FLAGS = ["--batch-size", 20, "--validation-split", 0.2, "--no-plots", "--seed", 3]
SCALARS, IMAGES = "scalars", "images"
KINDS = {"training", "validation", "test"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_idx_folder(tmp_path_factory.mktemp("digits") / "data", digit_arrays())


@pytest.fixture(scope="module")
def finished(data):
    """(run folder, what was printed) of three epochs."""
    flags = [*FLAGS, "--epochs", 3, "--tensorboard", "--output-dir", "run"]
    done = train(data, *flags, cwd=data.parent)
    return data.parent / "run", done.stdout


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "run")


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


def test_scalars_are_those_of_the_history(finished):
    folder, _ = finished
    record = read_metrics(folder)
    found = read_events(folder)
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


def test_pictures(finished):
    """PNG, with their width and height before them, each of another epoch."""
    pictures = {key: values for key, values in read_events(finished[0]).items() if key[1] == IMAGES}
    tags = {(kind, tag): len(values) for (kind, _, tag), values in pictures.items()}
    assert tags == {
        ("training", "weights"): 3,
        ("validation", "confusion_matrix"): 3,
        ("test", "confusion_matrix"): 1,
    }
    for values in pictures.values():
        for _, (width, height, png) in values:
            with Image.open(io.BytesIO(png)) as picture:
                assert picture.format == "PNG"
                assert picture.size == (int(width), int(height))
        assert len({content[2] for _, content in values}) == len(values)


def test_the_run_itself_is_the_same(finished, data, tmp_path):
    train(data, *FLAGS, "--epochs", 3, "--output-dir", "run", cwd=tmp_path)
    assert_same_bits(finished[0], tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert not list(finished[0].glob("unfinished-*"))


def test_how_to_look_at_it_is_said(finished):
    last = finished[1].splitlines()[-1]
    assert last.startswith("  ")
    assert last.endswith(" -m tensorboard.main --logdir run/tensorboard")
    assert "in TensorBoard" in finished[1].splitlines()[-2]


def test_hidden_units_are_bounded_in_number(data, tmp_path):
    flags = ["--hidden-units", 200, "--epochs", 1, "--no-plots", "--output-dir", "run"]
    train(data, *flags, "--tensorboard", cwd=tmp_path)
    found = read_events(tmp_path / "run")
    ((_, (width, height, _)),) = found["training", IMAGES, "weights"]
    assert max(int(width), int(height)) < 2000
    assert {kind for kind, *_ in found} == {"training", "test"}


def test_a_resumed_run_goes_on_in_the_same_curves(copy):
    """Also where a kill came between the events of an epoch and its checkpoint."""
    newest = folders.find_checkpoints(copy)[-1]
    for path in newest.parent.glob(f"{newest.name}.*"):
        path.unlink()
    left = copy / "unfinished-tensorboard"
    left.mkdir()
    (left / "events.out.tfevents.1").write_bytes(b"half")
    flags = ["--resume", "--output-dir", "run", "--no-plots", "--tensorboard"]
    done = run("train", *flags, "--epochs", 5, cwd=copy.parent)
    assert done.returncode == 0
    assert "Resumed after epoch 2\n" in done.stdout
    for (kind, *_), found in steps(copy).items():
        assert found == ([3, 5] if kind == "test" else [1, 2, 3, 4, 5])
    assert not left.exists()


def test_the_test_of_an_early_stop_is_at_the_best_epoch(data, tmp_path):
    flags = ["--patience", 2, "--epochs", 30, "--learning-rate", 2, "--output-dir", "run"]
    train(data, *FLAGS, *flags, "--tensorboard", cwd=tmp_path)
    record, found = read_metrics(tmp_path / "run"), steps(tmp_path / "run")
    last = len(record["history"])
    assert found["validation", SCALARS, "loss"] == list(range(1, last + 1))
    assert found["test", SCALARS, "loss"] == [record["best_epoch"]]
    assert record["best_epoch"] < last


def test_the_hint_how_to_go_on_has_the_flag(data, tmp_path):
    flags = ["--data-dir", data, *FLAGS, "--tensorboard", "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path, before=limit_files(20_000))
    assert_ends(done, 2, "there is no room for it", "--no-plots --tensorboard\n")
    assert not list((tmp_path / "run").rglob("*tfevents*"))
    flags = ["--resume", "--output-dir", "run", "--no-plots", "--tensorboard"]
    assert run("train", *flags, cwd=tmp_path).returncode == 0
    assert steps(tmp_path / "run")["training", SCALARS, "loss"] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["tensorboard", "tensorboard/training"])
def test_nothing_is_written_through_a_link(copy, tmp_path, name):
    precious = tmp_path / "precious"
    (copy / name).rename(precious)
    (copy / name).symlink_to(precious)
    before = sorted(precious.rglob("*"))
    flags = ["--resume", "--output-dir", "run", "--tensorboard", "--epochs", 4]
    assert_refused(run("train", *flags, cwd=tmp_path), f"run/{name} is a link")
    assert sorted(precious.rglob("*")) == before


@pytest.mark.parametrize(("rate", "code"), [(1e30, 0), (3e38, 3)])
def test_a_network_that_diverges_in_its_last_step(data, tmp_path, rate, code):
    """Huge numbers are drawn; of what is no number a sentence tells, as ever."""
    flags = ["--validation-split", 0.5, "--batch-size", 300, "--learning-rate", rate]
    flags += ["--data-dir", data, "--epochs", 1, "--tensorboard", "--output-dir", "run"]
    done = run("train", *flags, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.count("the training diverged") == len(done.stderr.splitlines()) == code // 3


def test_devices_that_share_batches(finished, data, tmp_path):
    flags = [*FLAGS, "--epochs", 3, "--tensorboard", "--output-dir", "run"]
    flags += ["--distribute", "mirrored"]
    train(data, *flags, cwd=tmp_path, before=split_cpu(2))
    assert steps(tmp_path / "run") == steps(finished[0])


@pytest.mark.full
def test_tensorboard_shows_it(finished):
    """The real one, where it is installed: what it has read."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(finished[0])).Reload()
    assert multiplexer.Runs().keys() == {f"tensorboard/{kind}" for kind in KINDS}
    losses = multiplexer.Tensors("tensorboard/validation", "loss")
    history = read_metrics(finished[0])["history"]
    assert [event.step for event in losses] == [1, 2, 3]
    for event, row in zip(losses, history, strict=True):
        assert tf.make_ndarray(event.tensor_proto) == np.float32(row["val_loss"])


@pytest.mark.full
def test_a_folder_whose_name_is_no_utf_8(data, tmp_path):
    name = b"caf\xe9".decode(errors="surrogateescape")
    flags = ["--data-dir", data, *FLAGS, "--epochs", 1, "--tensorboard", "--output-dir", name]
    assert run_anew("train", *flags, cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / name).rglob("*tfevents*"))) == 3
