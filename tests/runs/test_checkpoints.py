"""Checkpoints that are damaged or not to be trusted: the right weights, or one clear error."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lowlevel_mnist.errors import DivergedError, UserError
from lowlevel_mnist.model import Network
from lowlevel_mnist.optimizers import SGD, Adam
from lowlevel_mnist.runs import checkpoints, files, folders
from lowlevel_mnist.training import Progress
from tests.helpers.damage import DAMAGES, damage, read_files

tf.get_logger().setLevel("ERROR")  # as commands do: it has a line for each value not restored
SIZES = (48, 33, 4)
ROW = {field.name: 0.5 for field in dataclasses.fields(checkpoints.Epoch)}
ROW |= {"epoch": 1, "val_loss": None}
IMAGES, LABELS = np.full((3, 6, 8), 255, np.uint8), np.zeros(3, np.uint8)


def make_training(seed=0):
    model = Network(SIZES, seed)
    return model, Adam(model.trainable_variables, 0.001)


def open_manager(folder, resume=True):
    """Returns a new training's `CheckpointManager`, with other weights than the one that saved."""
    return checkpoints.CheckpointManager(folder, *make_training(seed=int(resume)), resume=resume)


def read_weights(model):
    return [variable.numpy().tobytes() for variable in model.trainable_variables]


def load_model(folder):
    """Returns the model of a run's newest checkpoint, as commands other than `train` load it."""
    model = Network(SIZES, 1)
    checkpoints.load(tf.train.Checkpoint(model=model), folders.find_checkpoints(folder)[-1])
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(run folder, the bytes of its files, weights of its older and of its newer checkpoint)."""
    folder = tmp_path_factory.mktemp("run")
    manager = open_manager(folder, resume=False)
    weights = []
    for epoch in (1, 2):
        manager.state.history.append({**ROW, "epoch": epoch})
        manager.model.weights[0].assign_add(np.full((48, 33), 0.25, np.float32))
        manager.save(5 * epoch)
        weights.append(read_weights(manager.model))
    return folder, read_files(manager.folder), *weights


@pytest.fixture
def saved_copy(saved, tmp_path):
    """The folder of a copy of that run."""
    return shutil.copytree(saved[0], tmp_path / "run")


def write_files(contents):
    """Makes the files of a folder these."""
    folder = next(iter(contents)).parent
    for path in folder.iterdir():
        path.unlink()
    for path, content in contents.items():
        path.write_bytes(content)


@pytest.mark.fuzz
@given(suffix=st.sampled_from(["checkpoint", ".index", ".data-00000-of-00001"]), how=DAMAGES)
def test_a_damaged_checkpoint_is_never_taken_for_a_good_one(saved, suffix, how):
    """Read alone, it has the right weights or is refused; resumed, the one before may step in."""
    folder, contents, older, newer = saved
    (path,) = (path for path in contents if path.name in (suffix, f"checkpoint-10{suffix}"))
    write_files({**contents, path: damage(contents[path], *how)})
    try:
        assert read_weights(load_model(folder)) == newer
    except checkpoints.RESTORE_ERRORS:
        assert suffix != "checkpoint"
    manager = open_manager(folder)
    epochs = len(manager.state.history)
    expected = (older, 1) if manager.damaged else (newer, 2)
    assert (read_weights(manager.model), epochs) == expected
    write_files(contents)


def with_progress(**changes):
    """A training state in the middle of an epoch, with some fields changed."""
    progress = {**dataclasses.asdict(Progress(step=1, steps=2, images=8)), **changes}
    return json.dumps({"history": [], "progress": progress})


def with_history(*rows):
    return json.dumps({"history": rows, "progress": None})


def assert_none_is_usable(folder):
    before = read_files(folder)
    with pytest.raises(UserError, match="None of the checkpoints in .* is usable"):
        open_manager(folder)
    assert read_files(folder) == before


@pytest.mark.parametrize(
    "state",
    [
        "{",
        "[" * 100_000,
        "[]",
        '{"history": []}',
        '{"history": 5, "progress": null}',
        '{"history": [], "progress": {"step": 1}}',
        with_progress(step="1"),
        with_progress(steps=1.5),
        with_progress(os="system"),
        with_progress(step=-1),
        with_progress(loss_sum=float("inf")),
        with_history({"epoch": 1}),
        with_history({**ROW, "loss": 10**400}),
        with_history({**ROW, "loss": float("nan")}),
        with_history({**ROW, "loss": None}),
        with_history(ROW, ROW),
    ],
    ids=lambda state: state[:60],
)
def test_a_state_that_is_none(tmp_path, state):
    """Its bytes are whole, with TensorFlow's checksum, but nothing that we have written."""
    manager = open_manager(tmp_path, resume=False)
    manager.state.serialize = lambda: state
    manager.save(1)
    assert_none_is_usable(tmp_path)


def test_weights_that_are_no_numbers(tmp_path):
    manager = open_manager(tmp_path, resume=False)
    manager.model.biases[0].assign([np.nan] * 33)
    manager.save(1)
    assert_none_is_usable(tmp_path)


def test_a_checkpoint_that_lacks_the_optimizer_s_slots(tmp_path):
    """It is whole, but of a run with another optimizer."""
    model = Network(SIZES)
    optimizer = SGD(model.trainable_variables, 0.5)
    checkpoints.CheckpointManager(tmp_path, model, optimizer, resume=False).save(1)
    assert_none_is_usable(tmp_path)


def test_a_checkpoint_that_is_a_pipe(saved_copy):
    """Who opened it would wait for ever."""
    path = saved_copy / "checkpoints" / "checkpoint-10.data-00000-of-00001"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(checkpoints.RESTORE_ERRORS, match="a pipe"):
        load_model(saved_copy)


def test_what_a_kill_has_left_is_removed_and_nothing_else(saved, saved_copy):
    """A checkpoint's index comes at last, so what has none is not whole."""
    folder = saved_copy / "checkpoints"
    others = ("checkpoint_1/notes", "checkpoint-x.index", "checkpoint-7.txt", "notes")
    left = ("unfinished-checkpoint/checkpoint-15.index", "unfinished-checkpoint.tmp")
    for name in (*others, *left, "checkpoint-15.data-00000-of-00001"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("two years of work", encoding="utf-8")
    manager = open_manager(saved_copy)
    assert (read_weights(manager.model), manager.damaged) == (saved[3], [])
    kept = {path.name for path in saved[1]} | set(others)
    assert {str(path.relative_to(folder)) for path in read_files(folder)} == kept


def test_the_last_two_checkpoints_are_kept(saved_copy):
    manager = open_manager(saved_copy)
    for step, names in [(15, ["10", "15"]), (15, ["10", "15"]), (120, ["15", "120"])]:
        manager.save(step)
        paths = folders.find_checkpoints(saved_copy)
        assert [path.name for path in paths] == [f"checkpoint-{name}" for name in names]
        assert tf.train.latest_checkpoint(manager.folder) == str(paths[-1])
    assert read_weights(load_model(saved_copy)) == read_weights(manager.model)


def test_a_list_of_checkpoints_that_names_others(saved, saved_copy):
    """TensorFlow's list is not to be trusted: nothing is read or removed where it points."""
    folder, _, older, newer = saved
    before = read_files(folder)
    others = [f'"{path}"\n' for path in folders.find_checkpoints(folder)]
    lines = [f"model_checkpoint_path: {others[-1]}"]
    lines += [f"all_model_checkpoint_paths: {other}" for other in others]
    (saved_copy / "checkpoints" / "checkpoint").write_text("".join(lines), encoding="utf-8")
    for path in (saved_copy / "checkpoints").glob("checkpoint-10.*"):
        path.unlink()
    manager = open_manager(saved_copy)
    assert read_weights(manager.model) == older != newer
    manager.save(10)
    manager.save(15)
    assert read_files(folder) == before


@pytest.mark.parametrize(
    "name", [".", "checkpoint", "checkpoint-15.index", "unfinished-checkpoint"]
)
def test_a_link_in_the_place_of_a_checkpoint(saved_copy, tmp_path, name):
    """TensorFlow would write through it, to one that is to come as well."""
    path = saved_copy / "checkpoints" / name
    (saved_copy / "settings.json").touch()
    files.remove(path)
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match=f"{path.name} is a link"):
        folders.find_to_resume(saved_copy)


def test_links_in_the_place_of_other_files_are_replaced(tmp_path):
    """But not that of the lock, which is none of ours then."""
    precious = tmp_path / "precious"
    precious.write_text("two years of work", encoding="utf-8")
    for name in ("metrics.json", "unfinished-metrics.json", ".lock"):
        (tmp_path / name).symlink_to(precious)
    files.write_json(tmp_path / "metrics.json", [1])
    assert json.loads((tmp_path / "metrics.json").read_bytes()) == [1]
    with pytest.raises(UserError, match="can't be written to"), files.locked(tmp_path):
        pytest.fail("a link was taken for a lock")
    assert precious.read_text(encoding="utf-8") == "two years of work"


@pytest.mark.parametrize(
    ("val_loss", "bias", "cost"),
    [(np.inf, 0, "inf"), (0.5, np.nan, "nan"), (0.5, np.inf, "nan"), (0.5, -3e38, "inf")],
)
def test_what_diverges_in_the_last_step_of_an_epoch_is_noticed(tmp_path, val_loss, bias, cost):
    """Its cost was that of the weights before it, which were fine."""
    manager = open_manager(tmp_path, resume=False)
    manager.state.history.append(ROW)
    manager.check(IMAGES, LABELS)
    manager.model.biases[-1].assign([bias, -bias, 0, 0])
    manager.state.history[-1] = {**ROW, "val_loss": val_loss}
    with pytest.raises(DivergedError, match=f"The cost became {cost} after epoch 1"):
        manager.check(IMAGES, LABELS)
