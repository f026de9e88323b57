"""`evaluate`: its table and files, on the run's data and on other data."""

import dataclasses
import json
import pathlib
import re
import shutil
import unicodedata

import numpy as np
import pytest

from lowlevel_mnist import data, metrics
from lowlevel_mnist.console import report
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import digit_arrays, idx_bytes, pattern_arrays, write_idx_folder
from tests.helpers.runs import change_settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    base = tmp_path_factory.mktemp("trained")
    folder = write_idx_folder(base / "data", digit_arrays())
    train(folder, "--batch-size", 32, "--output-dir", "runs/one", cwd=base)
    return base


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_images_that_are_all_tested_are_said_to_be():
    images, labels = np.zeros((10, 8, 6), np.uint8), np.arange(10, dtype=np.uint8)
    place = pathlib.Path("mnist_test_10.csv")
    dataset = data.Dataset(images, labels, images, labels, "custom", "data-dir", place, False)
    assert report.test_images(dataset) == "10 test images"
    dataset = dataclasses.replace(dataset, test_split=1.0)
    expected = "10 test images (all labelled images of mnist_test_10.csv)"
    assert report.test_images(dataset) == expected


def test_the_run_s_own_data(trained):
    picture = trained / "runs" / "one" / "confusion_matrix.png"
    picture.unlink()
    done = run("evaluate", "--json", "result.json", cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    trained_metrics = read_json(trained / "runs" / "one" / "metrics.json")
    result = read_json(trained / "result.json")
    for key in ("dataset", "dataset_verified", "test_loss", "test_accuracy", "confusion_matrix"):
        assert result[key] == trained_metrics[key]
    assert picture.exists()
    assert f"test accuracy {result['test_accuracy']:.4f}" in done.stdout
    # The table's rows, computed again from the confusion matrix.
    matrix = np.array(result["confusion_matrix"])
    rows = re.findall(r"^(\d) +([\d.]+) +([\d.]+) +([\d.]+) +([\d,]+)$", done.stdout, re.M)
    assert [int(row[0]) for row in rows] == list(range(10))
    for label, (_, precision, recall, f1, support) in enumerate(rows):
        right = matrix[label, label]
        p, r = right / matrix[:, label].sum(), right / matrix[label].sum()
        assert float(precision) == pytest.approx(p, abs=5.1e-4)
        assert float(recall) == pytest.approx(r, abs=5.1e-4)
        assert float(f1) == pytest.approx(2 * p * r / (p + r), abs=5.1e-4)
        assert int(support) == matrix[label].sum()
    printed = re.findall(r"^\d((?:  +\d+){10})$", done.stdout, re.M)
    assert [list(map(int, line.split())) for line in printed] == matrix.tolist()
    truth, taken_for, count = re.search(r"(\d) taken for (\d): (\d+)", done.stdout).groups()
    assert matrix[int(truth), int(taken_for)] == int(count)
    assert int(count) == (matrix - np.diag(matrix.diagonal())).max()


def test_other_data(trained, tmp_path):
    arrays = (*digits.generate(50, seed=1), *digits.generate(200, seed=1, part="test"))
    folder = write_idx_folder(tmp_path / "other", arrays)
    before = (trained / "runs" / "one" / "confusion_matrix.png").read_bytes()
    done = run("evaluate", "--data-dir", folder, "--json", tmp_path / "result.json", cwd=trained)
    assert done.returncode == 0
    result = read_json(tmp_path / "result.json")
    assert np.sum(result["confusion_matrix"]) == 200
    assert "custom data, not verified" in done.stdout
    assert (trained / "runs" / "one" / "confusion_matrix.png").read_bytes() == before
    assert (trained / "runs" / "one" / "confusion_matrix-custom.png").exists()


def test_a_run_on_digits_tested_on_mnist(trained, mnist_folder):
    done = run("evaluate", "--data-dir", mnist_folder, cwd=trained)
    assert done.returncode == 0
    assert "10,000 test images of MNIST" in done.stdout


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (pattern_arrays((8, 6), 10), ["28x28", "8x6"]),
        (pattern_arrays((28, 28), 12), ["other: 10, 11.", "learnt 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."]),
    ],
)
def test_data_of_another_kind(trained, tmp_path, arrays, words):
    folder = write_idx_folder(tmp_path / "other", arrays)
    done = run("evaluate", "--data-dir", folder, "--json", tmp_path / "r.json", cwd=trained)
    assert_refused(done, *words)
    assert not (tmp_path / "r.json").exists()


def write_named(folder, labels, names):
    """Built-in digits of these labels as EMNIST has images, labels and the names of classes."""
    images, digit = digits.generate(400, seed=2, part="test")
    folder.mkdir()
    for part in ("train", "test"):
        kept = np.isin(digit, list(labels))
        numbers = np.array([labels.get(label, 0) for label in digit], np.uint8)
        stem = folder / f"emnist-mine-{part}"
        (stem.parent / f"{stem.name}-images-idx3-ubyte").write_bytes(
            idx_bytes(images[kept].swapaxes(1, 2))
        )
        (stem.parent / f"{stem.name}-labels-idx1-ubyte").write_bytes(idx_bytes(numbers[kept]))
    if names:
        lines = (f"{label} {' '.join(str(ord(c)) for c in name)}" for label, name in names.items())
        (folder / "emnist-mine-mapping.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", ["a labelled table", "test files alone"])
def test_all_that_can_be_tested_is(trained, tmp_path, kind):
    """Ten rows are ten test images, and nothing to train on is needed."""
    images, labels = digits.generate(10, seed=2, part="test")
    place = tmp_path / "mnist_test_10.csv" if kind == "a labelled table" else tmp_path
    if place.is_dir():
        (place / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (place / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    else:
        np.savetxt(place, np.hstack([labels[:, None], images.reshape(10, -1)]), "%d", ",")
    flags = ["--data-dir", place, "--json", tmp_path / "r.json"]
    done = run("evaluate", *flags, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    matrix = np.array(read_json(tmp_path / "r.json")["confusion_matrix"])
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=10).tolist()
    assert re.search(r"accuracy [\d.]+ on the 10 test images[ (]", done.stdout)


def test_some_of_the_classes(trained, tmp_path):
    """No row for a class that is neither there nor predicted; of one without images no recall."""
    folder = write_named(tmp_path / "other", {3: 3, 5: 5}, {})
    done = run("evaluate", "--data-dir", folder, "--json", tmp_path / "r.json", cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    matrix = np.array(read_json(tmp_path / "r.json")["confusion_matrix"])
    assert matrix.shape == (10, 10)
    assert 0.6 < matrix[[3, 5], [3, 5]].sum() / matrix.sum() < 1
    rows = re.findall(r"^(\d) +[\d.]+ +([\d.-]+) +([\d.-]+) +([\d,]+)$", done.stdout, re.M)
    shown = np.flatnonzero(matrix.any(axis=0) | matrix.any(axis=1))
    assert [int(row[0]) for row in rows] == shown.tolist()
    assert len(shown) < 10
    for label, recall, f1, support in rows:
        assert (recall == f1 == "-") == (support == "0") == (label not in "35")


def test_classes_are_those_of_the_same_name(trained, tmp_path):
    """In another order, and not all of them; macOS takes the letters of a name apart."""
    names = dict(enumerate(["고양이", "é", "$\\f$", "_", "%", "f", "g", "h", "i", "j"]))
    own = write_named(tmp_path / "own", {label: label for label in range(10)}, names)
    done = train(own, "--epochs", 20, "--output-dir", tmp_path / "run", cwd=tmp_path)
    assert len(done.stderr.splitlines()) <= 1  # where no font has Hangul
    assert len([*(tmp_path / "run").glob("*.png")]) == 5
    apart = {0: unicodedata.normalize("NFD", "é"), 1: unicodedata.normalize("NFD", "고양이")}
    assert apart[0] != "é"
    other = write_named(tmp_path / "other", {0: 1, 1: 0}, apart)
    flags = ["--run", tmp_path / "run", "--json", tmp_path / "r.json"]
    done = run("evaluate", *flags, "--data-dir", other, cwd=tmp_path)
    assert done.returncode == 0
    matrix = np.array(read_json(tmp_path / "r.json")["confusion_matrix"])
    assert matrix[[0, 1], [0, 1]].sum() / matrix.sum() > 0.8
    assert re.search(r"^고양이 ", done.stdout, re.M)

    stranger = write_named(tmp_path / "stranger", {0: 1, 1: 0}, {0: "é", 1: "dog"})
    done = run("evaluate", *flags, "--data-dir", stranger, cwd=tmp_path)
    assert_refused(done, "stranger: dog. It has learnt 고양이, é, $\\f$,")


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ({0: "dog", 1: "cat"}, {0: "cat", 1: "dog"}, {0: 1, 1: 0}),
        ({0: "dog"}, {0: "cat", 1: "dog"}, {0: 1}),
        ({0: "dog", 1: "cow"}, {0: "cat", 1: "dog"}, {0: 1, 1: None}),
        ({0: "0", 1: "1"}, {0: "cat", 1: "dog"}, {0: 0, 1: 1}),  # they have no names
        ({0: "0", 2: "2"}, {0: "cat", 1: "dog"}, {0: 0, 2: None}),
        ({0: "cat", 1: "dog"}, {0: "0", 1: "1"}, {0: None, 1: None}),  # we have none
        ({0: "3", 1: "7"}, {3: "3", 7: "7"}, {0: 3, 1: 7}),
        ({0: "3", 1: "eleven"}, {3: "3", 7: "7"}, {0: 3, 1: None}),
        ({0: "0"}, {1: "a", 2: "b"}, {0: None}),  # as of letters, whose labels begin with 1
    ],
)
def test_which_classes_are_the_same(theirs, ours, expected):
    assert folders.match_classes(theirs, ours) == expected


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([784, 100_000, 99_000, 10], "9,979,589,010 parameters; at most 250,000,000"),
        ([784, 500, 10], "does not fit the run's settings.json"),
    ],
)
def test_a_network_that_is_only_claimed(trained, tmp_path, sizes, words):
    """The first would not fit into memory."""
    claimed = shutil.copytree(trained / "runs" / "one", tmp_path / "run")
    change_settings(claimed, layer_sizes=sizes)
    assert_refused(run("evaluate", "--run", "run", cwd=tmp_path), words)


@pytest.mark.parametrize("name", ["absent/r.json", "file/r.json", "/dev/full"])
def test_a_json_that_cannot_be_written(trained, tmp_path, name):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    done = run("evaluate", "--json", tmp_path / name, cwd=trained)
    assert_refused(done, f"{name} can't be written")


def test_a_json_that_is_something_else(trained, tmp_path):
    own = ["settings.json", "metrics.json", "history.csv"]
    before = [(trained / "runs" / "one" / name).read_bytes() for name in own]
    for name in (tmp_path, "", *(f"runs/one/{name}" for name in own)):
        done = run("evaluate", "--json", name, cwd=trained)
        assert_refused(done, name, "can't be written")
    assert [(trained / "runs" / "one" / name).read_bytes() for name in own] == before
    assert not [*trained.rglob("unfinished-*"), *tmp_path.parent.glob("unfinished-*")]


def test_a_json_behind_a_link(trained, tmp_path):
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "target").write_text("old", encoding="utf-8")
    run("evaluate", "--json", tmp_path / "link", cwd=trained)
    assert (tmp_path / "link").is_symlink()
    assert read_json(tmp_path / "target")["dataset"] == "custom"


def test_classes_that_are_never_taken_or_never_there():
    rows = metrics.per_class(np.array([[3, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]))
    assert rows[0] == {"precision": 0.6, "recall": 0.75, "f1": 2 * 3 / 9, "support": 4}
    assert rows[1] == {"precision": 0, "recall": 0, "f1": 0, "support": 2}
    assert rows[2] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert rows[3] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}


def test_most_confused_pairs_are_sorted_and_mistakes_only():
    matrix = np.array([[9, 2, 0], [5, 9, 0], [0, 1, 9]])
    assert metrics.most_confused(matrix, 2) == [(1, 0, 5), (0, 1, 2)]
    assert metrics.most_confused(matrix, 9) == [(1, 0, 5), (0, 1, 2), (2, 1, 1)]
    assert metrics.most_confused(np.eye(3, dtype=int), 5) == []
