"""`settings.json` that is damaged or not to be trusted: the right values or one clear error."""

import dataclasses
import json
import math
import os
import tracemalloc

import pytest
from hypothesis import example, given

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders, settings
from tests.helpers.damage import DAMAGES, damage


@pytest.fixture(scope="module")
def record(patterns_run):
    """What the `settings.json` of a run holds: 8x6 pixels, no hidden layer, four classes."""
    return json.loads((patterns_run.folder / "settings.json").read_text(encoding="utf-8"))


def test_settings_that_are_no_file(tmp_path):
    """Or a device without an end, which nobody should read from its beginning."""
    (tmp_path / "settings.json").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="settings.json is no file"):
        folders.find(tmp_path)
    (tmp_path / "settings.json").unlink()
    os.mkfifo(tmp_path / "settings.json")
    with pytest.raises(UserError, match="settings.json is no file"):
        folders.find(tmp_path)


@pytest.mark.parametrize(
    ("key", "fit", "unfit"),
    [
        ("recipe", ["softmax", "my own"], ["\x1b[2J", "", 5, None]),
        ("dataset", ["mnist", "digits"], ["emnist", "../..", ["mnist"], None]),
        ("data_dir", ["/data"], [5, ["/"], None]),
        ("image_size", [[8, 6]], [[4, 13], [0, 48], [48], [8, 6, 1], [8.0, 6], 48, {}]),
        ("execution", ["eager", "xla"], ["jit", "", None]),
        ("dtype", ["float32", "float64"], ["float16", 32]),
        ("seed", [0, 10**30], [-1, 0.5, True, "0"]),
        ("batch_size", [1, 10**9], [0, -1, 1.0, True]),
        ("epochs", [1, 10**9], [0, -1, 1.0, None]),
        ("validation_split", [0, 0.0, 0.99], [-0.01, 1, 1.0, math.nan, "0.1"]),
        ("optimizer", ["sgd", "adam", "adamw"], ["fastest", ""]),
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
        ("image_style", [], [None, {}, {"box_side": 0}]),
        ("model", [None, "net:Net", "a.b_1:C"], ["net", "net.py:", "a b:C", "-m:X", "a:b.c", 3]),
    ],
)
def test_which_values_a_file_may_give(record, key, fit, unfit):
    for value in fit:
        found = getattr(settings.from_json(record | {key: value}, "here"), key)
        assert json.loads(json.dumps(found)) == value
    for value in unfit:
        with pytest.raises(UserError, match=f"^here is not that of a run.*({key}|parameters)"):
            settings.from_json(record | {key: value}, "here")


def test_a_network_without_a_hidden_layer_that_drops_out(record):
    """Each value is fit for itself; a new run is refused in the same sentence."""
    with pytest.raises(UserError, match="^here is not that of a run. --dropout 0.2 has nothing"):
        settings.from_json(record | {"dropout": 0.2}, "here")


def test_keys_that_are_missing_or_unknown(record):
    younger = settings.YOUNGER.keys() - {"format_version"}
    older = {key: value for key, value in record.items() if key not in younger}
    expected = dataclasses.replace(settings.from_json(record, "here"), version=None)
    assert settings.from_json(older, "here") == expected
    for key in older.keys() - {"format_version"}:
        less = {name: value for name, value in older.items() if name != key}
        with pytest.raises(UserError, match=f"its {key} is missing"):
            settings.from_json(less, "here")
    with pytest.raises(UserError, match="its colour is unknown"):
        settings.from_json(record | {"colour": 0.9}, "here")


def attempt(function, *arguments):
    """Returns the result and None, or None and the `UserError`."""
    try:
        return function(*arguments), None
    except UserError as error:
        return None, error


@pytest.mark.fuzz
@given(how=DAMAGES)
@example(how=("swap", 0.0, 0))
def test_damaged_settings(record, tmp_path, how):
    content = json.dumps(record, indent=2).encode()
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
        found = json.loads(json.dumps(dataclasses.asdict(run.settings)))
        assert {key: type(value) for key, value in found.items()} == {
            key: type(value) for key, value in (settings.YOUNGER | record).items()
        }
    assert peak < 4 * len(content) + 200_000  # what reading any file takes


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 10_000, '{"a": ' * 50_000, '"\\ud800"'])
def test_hostile_settings(tmp_path, content):
    (tmp_path / "settings.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="settings.json is"):
        folders.find(tmp_path)
