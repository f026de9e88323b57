"""Run folders that are damaged or not to be trusted: the right content or one clear error."""

import dataclasses
import json
import math
import random
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.model import Network
from lowlevel_mnist.optimizers import SGD, Adam
from lowlevel_mnist.runs import checkpoints, folders, settings
from lowlevel_mnist.training import Progress

tf.get_logger().setLevel("ERROR")  # as commands do: it has a line for each value not restored
pytestmark = pytest.mark.fuzz
SIZES = (48, 33, 4)
METRICS = {
    "recipe": "softmax",
    "dataset": "mnist",
    "data_dir": None,
    "dtype": "float32",
    "layer_sizes": list(SIZES),
    "seed": 0,
    "invert": False,
    "class_names": None,
    "history": [
        {"epoch": n, "loss": 1 / n, "accuracy": 0.5, "seconds": 0.1} for n in range(1, 100)
    ],
}
ROW = {
    **{field.name: 0.5 for field in dataclasses.fields(checkpoints.Epoch)},
    "epoch": 1,
    "val_loss": None,
}
DAMAGES = st.tuples(
    st.sampled_from(["flip a bit", "cut", "grow", "insert", "zeros", "swap"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 2**32 - 1),
)


def damage(content, kind, where, seed):
    """Returns bytes that are damaged in one way, at a place from 0 (start) to 1 (end)."""
    draw, place = random.Random(seed), int(where * len(content))
    length = draw.randrange(1, 64)
    before, after = content[:place], content[place:]
    if kind == "flip a bit":
        return before + bytes([after[0] ^ 1 << draw.randrange(8)]) + after[1:]
    if kind == "cut":
        return before
    if kind == "grow":
        return content + draw.randbytes(length)
    if kind == "insert":
        return before + draw.randbytes(length) + after
    if kind == "zeros":
        return before + bytes(len(after[:length])) + after[length:]
    return after + before


def make_training(seed=0):
    model = Network(SIZES, seed)
    return model, Adam(model.trainable_variables, 0.001)


def values(model):
    return [variable.numpy().tobytes() for variable in model.trainable_variables]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(run folder, the bytes of its files, weights of its older and of its newer checkpoint)."""
    folder = tmp_path_factory.mktemp("run")
    model, optimizer = make_training()
    manager = checkpoints.CheckpointManager(folder, model, optimizer, resume=False)
    weights = []
    for epoch in (1, 2):
        manager.state.history.append({**ROW, "epoch": epoch})
        model.weights[0].assign_add(np.full((48, 33), 0.25, np.float32))
        manager.save(5 * epoch)
        weights.append(values(model))
    return folder, {path: path.read_bytes() for path in manager.folder.iterdir()}, *weights


def attempt(function, *arguments):
    """Returns the result and None, or None and the `UserError`."""
    try:
        return function(*arguments), None
    except UserError as error:
        return None, error


def put(files):
    """Makes the files of a folder these."""
    folder = next(iter(files)).parent
    for path in folder.iterdir():
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


@given(file=st.sampled_from(["checkpoint", "index", "data"]), how=DAMAGES)
def test_a_damaged_checkpoint_is_never_taken_for_a_good_one(saved, file, how):
    """Read alone, it has the right weights or is refused; resumed, the one before may step in."""
    folder, files, older, newer = saved
    suffix = {"checkpoint": "checkpoint", "index": "-10.index", "data": "-10.data-00000-of-00001"}
    (path,) = (path for path in files if path.name.endswith(suffix[file]))
    put({**files, path: damage(files[path], *how)})
    run = folders.SavedRun(folder, METRICS)
    model, error = attempt(checkpoints.load_model, run)
    if error:
        assert str(error) == (
            f"The checkpoint {folder}/checkpoints/checkpoint-10 is damaged or does not fit the "
            "run's metrics.json. train --resume goes on from the one before it."
        )
        assert file != "checkpoint"
    else:
        assert values(model) == newer
    model, optimizer = make_training(seed=1)
    manager = checkpoints.CheckpointManager(folder, model, optimizer, resume=True)
    epochs = len(manager.state.history)
    assert (values(model), epochs) == ((older, 1) if manager.damaged else (newer, 2))
    put(files)


def with_progress(**changes):
    """A training state in the middle of an epoch, with some fields changed."""
    progress = {**dataclasses.asdict(Progress(step=1, steps=2, images=8)), **changes}
    return json.dumps({"history": [], "progress": progress})


@pytest.mark.parametrize(
    "state",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        '{"history": []}',
        '{"history": 5, "progress": null}',
        '{"history": [{"epoch": 1}], "progress": null}',
        '{"history": [5], "progress": null}',
        with_progress(step="1"),
        with_progress(steps=1.5),
        with_progress(os="system"),
        with_progress(step=-1),
        with_progress(loss_sum=float("inf")),
        '{"history": [], "progress": {"step": 1}}',
        json.dumps({"history": [{**ROW, "loss": 10**400}], "progress": None}),
        json.dumps({"history": [{**ROW, "loss": float("nan")}], "progress": None}),
        json.dumps({"history": [ROW, ROW], "progress": None}),
        json.dumps({"history": [{**ROW, "loss": None}], "progress": None}),
    ],
)
def test_a_state_that_is_none(tmp_path, state):
    """Its bytes are whole, with TensorFlow's checksum, but nothing that we have written."""
    model, optimizer = make_training()
    manager = checkpoints.CheckpointManager(tmp_path, model, optimizer, resume=False)
    manager.state.serialize = lambda: state
    manager.save(1)
    with pytest.raises(UserError, match="None of the checkpoints"):
        checkpoints.CheckpointManager(tmp_path, model, optimizer, resume=True)


def test_metrics_that_are_no_file(tmp_path):
    """Or a device without an end, which nobody should read from its beginning."""
    (tmp_path / "metrics.json").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="metrics.json is no file"):
        folders.find(tmp_path)


def test_weights_that_are_no_numbers(tmp_path):
    model, optimizer = make_training()
    model.biases[0].assign([np.nan] * 33)
    checkpoints.CheckpointManager(tmp_path, model, optimizer, resume=False).save(1)
    with pytest.raises(UserError, match="None of the checkpoints"):
        checkpoints.CheckpointManager(tmp_path, *make_training(), resume=True)


def test_a_checkpoint_that_lacks_the_optimizer_s_slots(tmp_path):
    """It is whole, but of a run with another optimizer."""
    model = Network(SIZES)
    optimizer = SGD(model.trainable_variables, 0.5)
    checkpoints.CheckpointManager(tmp_path, model, optimizer, resume=False).save(1)
    with pytest.raises(UserError, match="None of the checkpoints"):
        checkpoints.CheckpointManager(tmp_path, *make_training(), resume=True)


@pytest.mark.parametrize(
    ("key", "fit", "unfit"),
    [
        ("recipe", ["softmax", "my own"], ["\x1b[2J", 5, None]),
        ("dataset", ["mnist", "custom"], ["emnist", ["mnist"], None]),
        ("image_size", [[1, 1], [28, 20]], [[0, 1], [1, 0], [28], [1, 1, 1], [28.0, 28], 28]),
        ("execution", ["eager", "xla"], ["jit", "", None]),
        ("dtype", ["float32", "float64"], ["float16", 32]),
        ("seed", [0, 10**30], [-1, 0.5, True, "0"]),
        ("batch_size", [1, 10**9], [0, -1, 1.0, True]),
        ("epochs", [1, 10**9], [0, -1, 1.0, None]),
        ("validation_split", [0, 0.0, 0.99], [-0.01, 1, 1.0, math.nan, "0.1"]),
        ("optimizer", ["sgd", "adam"], ["adamw", ""]),
        ("learning_rate", [1e-300, 1, 1e300], [0, -0.1, math.inf, math.nan, "0.1"]),
        (
            "layer_sizes",
            [[1, 1], [10**6, settings.MAX_UNITS, 10**6]],
            [[], [784], [0, 10], [784, 0, 10], [784, settings.MAX_UNITS + 1, 10], [784, True]],
        ),
        ("dropout", [0, 0.99], [-0.01, 1, 1.0, math.nan]),
    ],
)
def test_which_values_a_file_may_give(key, fit, unfit):
    assert [value for value in fit if not settings.fits(key, value)] == []
    assert [value for value in unfit if settings.fits(key, value)] == []


@given(how=DAMAGES)
@example(how=("swap", 0.0, 0))
def test_damaged_metrics(tmp_path, how):
    content = json.dumps(METRICS, indent=2).encode()
    path = tmp_path / "metrics.json"
    path.write_bytes(damage(content, *how))
    tracemalloc.start()
    run, error = attempt(folders.find, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if error:
        assert str(path) in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        types = {key: type(run.metrics[key]) for key in folders.KEYS}
        assert types == {key: type(METRICS[key]) for key in folders.KEYS}
    assert peak < 4 * len(content) + 200_000  # what reading any file takes


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 10_000, '{"a": ' * 50_000, '"\\ud800"'])
def test_hostile_metrics(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match="metrics.json is"):
        folders.find(tmp_path)
