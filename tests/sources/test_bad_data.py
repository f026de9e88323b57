"""Data that nothing can be trained on is refused: a line names the file and says what is wrong."""

import gzip
import os

import numpy as np
import pytest

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from tests.helpers.commands import assert_refused, run
from tests.helpers.data import IDX_NAMES, NPZ_KEYS, idx_bytes, pattern_arrays, write_idx_folder

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = IDX_NAMES


def refuse(path, *words, name="auto"):
    """The data there, a folder or a file, is refused in one line that has all the words."""
    with pytest.raises(UserError) as caught:
        data.load(name, path)
    text = str(caught.value)
    assert text.isprintable(), "more than one line, or control characters"
    for word in words:
        assert str(word) in text


def test_a_command_says_it_in_one_line_and_makes_no_run(tmp_path):
    done = run("train", "--data-dir", tmp_path / "absent", "--output-dir", "run", cwd=tmp_path)
    assert_refused(done, f"There is no data folder {tmp_path / 'absent'}; check the path.")
    assert not (tmp_path / "run").exists()


def test_an_empty_folder(tmp_path):
    refuse(tmp_path, tmp_path, TRAIN_IMAGES, ".npz")


def test_a_missing_folder_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWLEVEL_MNIST_DATA", str(tmp_path / "absent"))
    for name in ("auto", "mnist"):
        refuse(None, "LOWLEVEL_MNIST_DATA", tmp_path / "absent", name=name)


def test_a_folder_that_lacks_one_of_the_four(small_folder):
    (small_folder / TEST_LABELS).unlink()
    refuse(small_folder, small_folder, TEST_LABELS)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (TRAIN_IMAGES, lambda content: content[:15], "cut short within its header; get"),
        (TRAIN_IMAGES, lambda content: content[:500], "24,000 bytes of images but holds only 484"),
        (TEST_LABELS, lambda content: content + b"\0", "100 bytes of labels but holds more"),
        (TEST_LABELS, lambda content: b"\0\0\x0d\x02" + content[4:], "0x00000d02, but"),
        (TRAIN_IMAGES, lambda content: idx_bytes(np.ones(500)), "0x00000801, but IDX images"),
        (TRAIN_IMAGES, lambda content: gzip.compress(content)[:2000], "broken gzip"),
        (TRAIN_LABELS, lambda content: gzip.compress(b"<!doctype html>"), "a web page"),
    ],
    ids=range(7),
)
def test_a_damaged_idx_file(small_folder, name, damage, words):
    path = small_folder / name
    path.write_bytes(damage(path.read_bytes()))
    refuse(small_folder, path, words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.csv", b"<!DOCTYPE html>\n<html><head>", "is a web page"),
        ("train.csv", b"\n<HTML>", "is a web page"),
        ("train.csv", b'<?xml version="1.0"?><Error><Code>AccessDenied', "is XML"),
        ("d.npz", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        ("d.npz", b"\x89PNG\r\n", "is a picture"),
        ("d.npz", b"\x1f\x8b\x08", "gunzip"),
        ("d.npz", b"PK\x03\x04", "broken .npz"),
        ("d.npz", b"", "it is empty"),
        ("d.npz", b"hello", "does not begin as one"),
        ("mnist.tar", bytes(257) + b"ustar", "is a tar archive"),
        ("notes.txt", b"two years of work", "not known by its name"),
    ],
    ids=range(11),
)
def test_another_thing_under_a_data_file_s_name(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    refuse(path, path, words)


@pytest.mark.parametrize("name", [TEST_LABELS, ""])
def test_a_link_that_leads_nowhere(small_folder, tmp_path, name):
    """As git-annex leaves it: a file, or the data folder itself."""
    folder = small_folder if name else tmp_path / "link"
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("objects/4e1a")
    refuse(folder, folder / name, "link that leads nowhere", "objects/4e1a")


@pytest.mark.parametrize("name", [TRAIN_IMAGES, "d.npz", "train.csv", "notes"])
def test_what_never_ends_in_place_of_a_file(small_folder, name):
    path = small_folder / name
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        path.unlink(missing_ok=True)
        make(path)
        refuse(path, f"{path} is a pipe, a socket or a device; save what it gives")


def csv_text(row=0, column=0, value=0, header=True, stop=None, count=40):
    """A table of 40 images of 6x6, of which a cell has another value and rows end elsewhere."""
    rows = [[n % 4, *((7 * n + p) % 256 for p in range(36))] for n in range(count)]
    rows[row][column] = value
    names = [["label", *(f"pixel{number}" for number in range(36))]] * header
    return "".join(f"{','.join(map(str, row[:stop]))}\n" for row in names + rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (csv_text(5, 36, "1,2"), "38 columns in line 7, but 37"),
        (csv_text() + "3,4\n", "2 columns in line 42, but 37"),
        (csv_text(3, 4, "a"), "'a' in line 5, column 5; pixels must be whole numbers from"),
        (csv_text(3, 4, 256), "'256' in line 5, column 5"),
        (csv_text(3, 0, 256), "'256' in line 5, column 1"),
        (csv_text(3, 4, "0.5"), "Multiply pixels from 0 to 1 by 255"),
        (csv_text(3, 4, "\x1b[2J"), r"'\x1b[2J' in line 5, column 5"),
        (csv_text(stop=36, header=False), "no labels: training, and a test, need the label"),
        (csv_text(stop=36), "36 columns in its first line; a row must be a label and"),
        (csv_text(stop=37, count=1).splitlines()[0], "no rows"),
        ("\n\n", "is empty"),
        ("1;2;3\n", "from a folder for each class"),
        ("0" * 11_000_000, "10,000,000 characters or more in line 1"),
        (csv_text().replace("label", "pixel99"), "which of its 37 columns"),
        (csv_text(count=6), "6 labelled images of 4 classes are too few"),
    ],
    ids=range(15),
)
def test_a_bad_csv(tmp_path, text, words):
    path = tmp_path / "train.csv"
    path.write_text(text, encoding="utf-8")
    refuse(path, path, words)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("0 48\n1 49\n2 50\n", "no name for 3"),
        ("0 48\nzero one\n", "line 2"),
        ("0 48\n1\n", "line 2"),
        ("0 48\n1 10\n", "line 2"),
        ("0 99999999\n", "line 1"),
    ],
)
def test_a_mapping_of_emnist_that_does_not_fit(tmp_path, mapping, words):
    for path in list(write_idx_folder(tmp_path, pattern_arrays()).iterdir()):
        path.rename(tmp_path / f"emnist-mini-{path.name.replace('t10k', 'test')}")
    (tmp_path / "emnist-mini-mapping.txt").write_text(mapping, encoding="utf-8")
    refuse(tmp_path, "mapping", words)


def write_npz(path, **changes):
    """Writes small arrays with some changed (None: left out) as an archive; returns its path."""
    arrays = {**dict(zip(NPZ_KEYS, pattern_arrays(), strict=True)), **changes}
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


def test_two_archives(tmp_path):
    one, other = (write_npz(tmp_path / name) for name in ("a.npz", "b.npz"))
    refuse(tmp_path, f"2 data sets: {one}, {other}. Name one of these with data_dir,")
    done = run("train", "--data-dir", tmp_path, cwd=tmp_path)
    assert_refused(done, "Name one of these with --data-dir,")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, "test images alone"),
        ({"y_train": None, "x_train": None}, "no training images"),
        (dict.fromkeys(NPZ_KEYS) | {"a": np.zeros(3)}, "x_train, y_train, x_test, y_test, this"),
        ({"x_val": np.zeros((9, 8, 6), np.uint8)}, "validation images alone"),
        ({"y_train": np.zeros(77, np.uint8)}, "500 training images but 77 training labels"),
        ({"y_test": np.zeros(77, np.uint8)}, "100 test images but 77 test labels"),
        (
            {"y_train": np.zeros(500, np.uint8), "y_test": np.zeros(100, np.uint8)},
            "All training labels",
        ),
        ({"y_train": np.array([{}] * 500, object)}, "y_train as a pickled object"),
        ({"x_train": np.zeros((500, 48), np.uint8)}, "[500, 48]; they must be [n, height, width]"),
        ({"x_test": np.zeros((0, 8, 6), np.uint8)}, "[0, 8, 6]: there are none"),
        ({"x_train": np.full((500, 8, 6), 0.5)}, "float64; they must be whole numbers from 0 to"),
        ({"x_train": np.full((500, 8, 6), 256)}, "go from 256 to 256"),
        ({"x_test": np.full((100, 8, 6), -1)}, "go from -1 to -1"),
        ({"x_train": np.zeros((500, 8, 6, 3), np.uint8)}, "in colour"),
        ({"x_train": np.zeros((500, 8, 6, 9), np.uint8)}, "a slice of each, as images[:, 4]"),
        ({"x_test": np.zeros((100, 6, 8), np.uint8)}, "8x6 pixels but the test images 6x8"),
        ({"y_train": np.zeros((500, 4), np.uint8)}, "not exactly one 1 in each row"),
        ({"y_test": np.zeros((100, 4, 1), np.uint8)}, "[100, 4, 1]; they must be [n], with one"),
        ({"y_train": np.full(500, 0.5)}, "float64; they must be whole numbers, as from labels"),
        ({"y_test": np.full(100, 9)}, "classes that the training labels lack: 9"),
        ({"y_test": np.full(100, "seven")}, "that the training labels lack: seven"),
    ],
    ids=range(21),
)
def test_an_npz_with_a_wrong_array(tmp_path, changes, words):
    write_npz(tmp_path / "d.npz", **changes)
    refuse(tmp_path, tmp_path, words)
