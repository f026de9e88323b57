"""`evaluate`: its tables and files, on the run's data and on other data."""

import dataclasses
import json
import re
import shutil
import unicodedata

import numpy as np
import pytest

from lowlevel_mnist import evaluate, metrics
from lowlevel_mnist.console import report
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits
from tests.helpers.commands import assert_refused, run
from tests.helpers.data import idx_bytes, pattern_arrays, write_idx_folder
from tests.helpers.runs import change_settings, read_metrics


@pytest.fixture(scope="module")
def saved(softmax_run):
    """The shared run, as the commands have it."""
    return folders.find(softmax_run.folder)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_run_s_own_data(softmax_run, tmp_path):
    picture = softmax_run.copy(tmp_path) / "confusion_matrix.png"
    picture.unlink()
    done = run("evaluate", "--json", "result.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert picture.exists()
    result, trained = read_json(tmp_path / "result.json"), read_metrics(softmax_run.folder)
    assert result == {key: trained[key] for key in result}
    keys = {"dataset", "dataset_verified", "test_loss", "test_accuracy", "confusion_matrix"}
    assert result.keys() == keys
    assert f"test accuracy {result['test_accuracy']:.4f} on the 100 test images" in done.stdout
    # The table's rows, computed again from the confusion matrix.
    matrix = np.array(result["confusion_matrix"])
    rows = re.findall(r"^(\d) +([\d.]+) +([\d.]+) +([\d.]+) +([\d,]+)$", done.stdout, re.M)
    right, taken, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    p, r = right / taken, right / support
    expected = np.transpose([range(10), p, r, 2 * p * r / (p + r), support])
    np.testing.assert_allclose(np.array(rows, float), expected, rtol=0, atol=5.1e-4)
    printed = re.findall(r"^\d((?:  +\d+){10})$", done.stdout, re.M)
    assert [list(map(int, line.split())) for line in printed] == matrix.tolist()
    truth, taken_for, count = re.search(r"(\d) taken for (\d): (\d+)", done.stdout).groups()
    assert matrix[int(truth), int(taken_for)] == int(count) == (matrix - np.diag(right)).max()


def test_other_data_with_some_of_the_classes(softmax_run, tmp_path):
    """No row for a class that is neither there nor predicted; of one without images no recall."""
    folder = softmax_run.copy(tmp_path)
    images, labels = digits.generate(400, seed=2, part="test")
    kept = np.isin(labels, [3, 5])
    images, labels = images[kept], labels[kept]
    write_idx_folder(tmp_path / "other", (images, labels, images, labels))
    done = run("evaluate", "--data-dir", "other", "--json", "r.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "custom data, not verified" in done.stdout
    matrix = np.array(read_json(tmp_path / "r.json")["confusion_matrix"])
    assert matrix.shape == (10, 10)
    assert matrix.sum() == len(labels)
    assert 0.6 < matrix[[3, 5], [3, 5]].sum() / matrix.sum() < 1
    rows = re.findall(r"^(\d) +[\d.]+ +([\d.-]+) +([\d.-]+) +([\d,]+)$", done.stdout, re.M)
    shown = np.flatnonzero(matrix.any(axis=0) | matrix.any(axis=1))
    assert [int(row[0]) for row in rows] == shown.tolist()
    assert len(shown) < 10
    for label, recall, f1, support in rows:
        assert (recall == f1 == "-") == (support == "0") == (label not in "35")
    own = (softmax_run.folder / "confusion_matrix.png").read_bytes()
    assert (folder / "confusion_matrix.png").read_bytes() == own
    assert (folder / "confusion_matrix-custom.png").exists()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (pattern_arrays((8, 6), 10), "28x28 pixels, but those of .* have 8x6"),
        (
            pattern_arrays((28, 28), 12),
            "other: 10, 11. It has learnt 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.",
        ),
    ],
)
def test_data_of_another_kind(saved, tmp_path, arrays, words):
    folder = write_idx_folder(tmp_path / "other", arrays)
    with pytest.raises(UserError, match=words):
        saved.load_test(folder)


def test_a_labelled_table_is_tested_whole(saved, tmp_path):
    """Ten rows are ten test images, and nothing to train on is needed."""
    images, labels = digits.generate(10, seed=2, part="test")
    place = tmp_path / "mnist_test_10.csv"
    np.savetxt(place, np.c_[labels, images.reshape(10, -1)], "%d", ",")
    dataset = saved.load_test(place)
    np.testing.assert_array_equal(dataset.test_images, images)
    assert dataset.test_labels.tolist() == labels.tolist()
    assert report.test_images(dataset) == f"10 test images (all labelled images of {place})"
    assert report.test_images(dataclasses.replace(dataset, test_split=0)) == "10 test images"


def write_named(folder, names):
    """Digits 1 and 0, labelled 0 and 1, as EMNIST has images, labels and names of classes."""
    images, digit = digits.generate(100, seed=2, part="test")
    folder.mkdir()
    for part in ("train", "test"):
        for kind, array in (("images-idx3", images.swapaxes(1, 2)), ("labels-idx1", 1 - digit)):
            path = folder / f"emnist-mine-{part}-{kind}-ubyte"
            path.write_bytes(idx_bytes(array[digit < 2]))
    lines = (f"{label} {' '.join(str(ord(c)) for c in name)}" for label, name in enumerate(names))
    (folder / "emnist-mine-mapping.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder, digit[digit < 2]


def test_classes_are_those_of_the_same_name(softmax_run, tmp_path):
    """In another order, and not all of them; macOS takes the letters of a name apart."""
    folder = softmax_run.copy(tmp_path)
    change_settings(folder, class_names=["고양이", "é", "$\\f$", *"_%fghij"])
    apart = [unicodedata.normalize("NFD", name) for name in ("é", "고양이")]
    assert len(apart[0]) == 2
    other, digit = write_named(tmp_path / "other", apart)
    assert folders.find(folder).load_test(other).test_labels.tolist() == digit.tolist()
    stranger, _ = write_named(tmp_path / "stranger", ["é", "dog"])
    with pytest.raises(UserError, match=r"stranger: dog. It has learnt 고양이, é, \$\\f\$,"):
        folders.find(folder).load_test(stranger)


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ({0: "dog", 1: "cat"}, {0: "cat", 1: "dog"}, {0: 1, 1: 0}),
        ({0: "dog", 1: "cow"}, {0: "cat", 1: "dog"}, {0: 1, 1: None}),
        ({0: "0", 2: "2"}, {0: "cat", 1: "dog"}, {0: 0, 2: None}),  # they have no names
        ({0: "cat", 1: "dog"}, {0: "0", 1: "1"}, {0: None, 1: None}),  # we have none
        ({0: "3", 1: "7"}, {3: "3", 7: "7"}, {0: 3, 1: 7}),
        ({0: "0"}, {1: "a", 2: "b"}, {0: None}),  # as of letters, whose labels begin with 1
    ],
)
def test_which_classes_are_the_same(theirs, ours, expected):
    assert folders.match_classes(theirs, ours) == expected


def test_a_network_that_is_only_claimed(softmax_run, tmp_path):
    """One that would not fit into memory is refused before it is made."""
    folder = softmax_run.copy(tmp_path)
    for sizes, words in (
        ([784, 100_000, 99_000, 10], "9,979,589,010 parameters; at most 250,000,000"),
        ([784, 500, 10], "is damaged or does not fit the run's settings.json"),
    ):
        change_settings(folder, layer_sizes=sizes)
        assert_refused(run("evaluate", cwd=tmp_path), words)


def test_where_the_results_are_written(softmax_run, tmp_path):
    """Not where they can't be, nor over a file of the run's own; through a link."""
    folder = softmax_run.copy(tmp_path)
    saved = folders.find(folder)
    dataset = saved.load_data()
    test = metrics.evaluate(saved.load_model(), dataset.test_images, dataset.test_labels)
    before = {path: path.read_bytes() for path in folder.glob("*.*")}
    own = [folder / name for name in ("settings.json", "metrics.json", "history.csv")]
    for path in (tmp_path, tmp_path / "absent" / "r.json", own[0] / "r.json", *own):
        with pytest.raises(UserError, match="can't be written"):
            evaluate.write_json(path, saved, dataset, test)
    assert {path: path.read_bytes() for path in folder.glob("*.*")} == before
    assert not [*tmp_path.rglob("unfinished-*"), *tmp_path.parent.glob("unfinished-*")]
    shutil.copy(folder / "metrics.json", tmp_path / "target")
    (tmp_path / "link").symlink_to("target")
    evaluate.write_json(tmp_path / "link", saved, dataset, test)
    assert (tmp_path / "link").is_symlink()
    assert read_json(tmp_path / "target")["test_loss"] == test.loss
