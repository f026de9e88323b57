"""Run folders that are damaged or not to be trusted: the right content or one clear error."""

import dataclasses
import json
import math
import os
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
from lowlevel_mnist.sources import image_style
from lowlevel_mnist.training import Progress

tf.get_logger().setLevel("ERROR")  # as commands do: it has a line for each value not restored
pytestmark = pytest.mark.fuzz
SIZES = (48, 33, 4)
IMAGES = np.zeros((20, 6, 8), np.uint8)
IMAGES[:, 2:4, 3:6] = 255
RECORD = {
    "recipe": "softmax",
    "dataset": "mnist",
    "dataset_source": "keras",
    "dataset_verified": True,
    "data_dir": None,
    "data_sha256": "0" * 64,
    "image_size": [6, 8],
    "execution": "eager",
    "dtype": "float32",
    "seed": 0,
    "batch_size": 32,
    "epochs": 5,
    "validation_split": 0.0,
    "optimizer": "sgd",
    "learning_rate": 0.5,
    "layer_sizes": list(SIZES),
    "dropout": 0.0,
    "invert": False,
    "test_split": 0.0,
    "class_names": ["0", "1", None, "3"],
    "image_style": json.loads(json.dumps(dataclasses.asdict(image_style.learn(IMAGES)))),
    "format_version": 1,
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
    run = folders.SavedRun(folder, settings.from_json(RECORD, "here"))
    model, error = attempt(run.load_model)
    if error:
        assert str(error) == (
            f"The checkpoint {folder}/checkpoints/checkpoint-10 is damaged or does not fit the "
            "run's settings.json. train --resume goes on from the one before it."
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


def test_settings_that_are_no_file(tmp_path):
    """Or a device without an end, which nobody should read from its beginning."""
    (tmp_path / "settings.json").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="settings.json is no file"):
        folders.find(tmp_path)
    (tmp_path / "settings.json").unlink()
    os.mkfifo(tmp_path / "settings.json")
    with pytest.raises(UserError, match="settings.json is no file"):
        folders.find(tmp_path)


def test_a_checkpoint_that_is_a_pipe(saved):
    """Who opened it would wait for ever."""
    folder, files, *_ = saved
    (path,) = (path for path in files if path.name.startswith("checkpoint-10.data"))
    put(files)
    path.unlink()
    os.mkfifo(path)
    run = folders.SavedRun(folder, settings.from_json(RECORD, "here"))
    _, error = attempt(run.load_model)
    assert "checkpoint-10 is damaged" in str(error)
    path.unlink()
    put(files)


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
        ("recipe", ["softmax", "my own"], ["\x1b[2J", "", 5, None]),
        ("dataset", ["mnist", "digits"], ["emnist", "../..", ["mnist"], None]),
        ("data_dir", [None, "/data"], [5, ["/"]]),
        ("image_size", [[6, 8]], [[4, 13], [0, 48], [48], [6, 8, 1], [6.0, 8], 48, {}]),
        ("execution", ["eager", "xla"], ["jit", "", None]),
        ("dtype", ["float32", "float64"], ["float16", 32]),
        ("seed", [0, 10**30], [-1, 0.5, True, "0"]),
        ("batch_size", [1, 10**9], [0, -1, 1.0, True]),
        ("epochs", [1, 10**9], [0, -1, 1.0, None]),
        ("validation_split", [0, 0.0, 0.99], [-0.01, 1, 1.0, math.nan, "0.1"]),
        ("optimizer", ["sgd", "adam", "adamw"], ["nadam", ""]),
        ("momentum", [0, 0.0, 0.9], [-0.1, 1, math.nan]),
        ("nesterov", [False], [0, None]),
        ("clip_norm", [None, 0.5], [0, -1, math.inf]),
        ("label_smoothing", [0.1], [-0.1, 1]),
        ("schedule", ["constant", "cosine"], ["sine", None]),
        ("learning_rate", [1e-300, 1, 1e300], [0, -0.1, math.inf, math.nan, 10**400, "0.1"]),
        (
            "layer_sizes",
            [[48, 4], [48, settings.MAX_UNITS, 4]],
            [[48], [48, 0, 4], [48, settings.MAX_UNITS + 1, 4], [48, True]]
            + [[48, 10**5, 10**5, 4], "many", None],
        ),
        ("dropout", [0, 0.0], [-0.01, 1, 1.0, math.nan]),
        ("invert", [True], [1, None]),
        ("test_split", [0.5], [1, -1]),
        ("class_names", [[None, "A", "B", "C"]], [["A", "B"], ["A", "B", "C", 2], "ABCD", None]),
        ("class_names", [], [["A", "B", "C", "\x1b[2J"], ["A", "B", "C", ""]]),
        ("patience", [None, 1, 100], [0, -1, 2.0, True]),
        ("image_style", [], [None, {}, {**RECORD["image_style"], "box_side": 0}]),
        ("model", [None, "net:Net", "a.b_1:C"], ["net", "net.py:", "a b:C", "-m:X", "a:b.c", 3]),
    ],
)
def test_which_values_a_file_may_give(key, fit, unfit):
    for value in fit:
        found = getattr(settings.from_json(RECORD | {key: value}, "here"), key)
        assert json.loads(json.dumps(found)) == value
    for value in unfit:
        with pytest.raises(UserError, match=f"^here is not that of a run.*({key}|parameters)"):
            settings.from_json(RECORD | {key: value}, "here")


def test_a_network_without_a_hidden_layer_that_drops_out():
    """Each value is fit for itself; a new run is refused in the same sentence."""
    with pytest.raises(UserError, match="^here is not that of a run. --dropout 0.2 has nothing"):
        settings.from_json(RECORD | {"layer_sizes": [48, 4], "dropout": 0.2}, "here")


def test_keys_that_are_missing_or_unknown():
    for key in RECORD.keys() - {"format_version"}:
        less = {name: value for name, value in RECORD.items() if name != key}
        with pytest.raises(UserError, match=f"its {key} is missing"):
            settings.from_json(less, "here")
    with pytest.raises(UserError, match="its colour is unknown"):
        settings.from_json(RECORD | {"colour": 0.9}, "here")


@given(how=DAMAGES)
@example(how=("swap", 0.0, 0))
def test_damaged_settings(tmp_path, how):
    content = json.dumps(RECORD, indent=2).encode()
    path = tmp_path / "settings.json"
    path.write_bytes(damage(content, *how))
    tracemalloc.start()
    run, error = attempt(folders.find, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if error:
        assert str(path) in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        record = json.loads(json.dumps(dataclasses.asdict(run.settings)))
        assert {key: type(value) for key, value in record.items()} == {
            key: type(value) for key, value in (settings.YOUNGER | RECORD).items()
        }
    assert peak < 4 * len(content) + 200_000  # what reading any file takes


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 10_000, '{"a": ' * 50_000, '"\\ud800"'])
def test_hostile_settings(tmp_path, content):
    (tmp_path / "settings.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="settings.json is"):
        folders.find(tmp_path)
