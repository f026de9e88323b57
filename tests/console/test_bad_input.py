"""What a user can get wrong: one or two sentences on stderr, exit code 2, nothing half-written."""

import gzip
import json
import os
import zipfile

import numpy as np
import pytest

from tests.helpers.commands import assert_ends, assert_refused, run
from tests.helpers.data import IDX_NAMES, NPZ_KEYS, idx_bytes, pattern_arrays, write_idx_folder

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = IDX_NAMES


def refuse_data(tmp_path, folder, *words):
    done = run("train", "--data-dir", folder, "--output-dir", "run", cwd=tmp_path)
    assert_refused(done, *words)
    assert not (tmp_path / "run").exists()


def test_a_missing_folder(tmp_path):
    refuse_data(tmp_path, tmp_path / "absent", tmp_path / "absent", "check the path")


def test_an_empty_folder(tmp_path):
    (tmp_path / "data").mkdir()
    refuse_data(tmp_path, tmp_path / "data", tmp_path / "data", TRAIN_IMAGES, ".npz")


@pytest.mark.parametrize("name", ["a*b", "what?", "a[1]", "back\\slash"])
def test_an_output_folder_that_tensorflow_takes_for_a_pattern(small_folder, tmp_path, name):
    done = run("train", "--data-dir", small_folder, "--output-dir", name, cwd=tmp_path)
    assert_refused(done, name, "pattern")
    assert not (tmp_path / name).exists()


def test_a_missing_folder_in_the_environment(tmp_path):
    done = run("train", cwd=tmp_path, LOWLEVEL_MNIST_DATA=tmp_path / "absent")
    assert_refused(done, "LOWLEVEL_MNIST_DATA", tmp_path / "absent")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_lacks_one_of_the_four(tmp_path, small_folder):
    (small_folder / TEST_LABELS).unlink()
    refuse_data(tmp_path, small_folder, small_folder, TEST_LABELS)


def test_two_archives(tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", **dict(zip(NPZ_KEYS, pattern_arrays(), strict=True)))
    refuse_data(tmp_path, tmp_path, "2 data sets", tmp_path / "a.npz", tmp_path / "b.npz")


@pytest.mark.parametrize("kept", [0, 3, 11, 16, 500])
def test_a_truncated_file(tmp_path, small_folder, kept):
    path = small_folder / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:kept])
    refuse_data(tmp_path, small_folder, path, "get the file again")


def test_a_file_with_more_than_it_declares(tmp_path, small_folder):
    path = small_folder / TEST_LABELS
    path.write_bytes(path.read_bytes() + b"\0")
    refuse_data(tmp_path, small_folder, path, "declares 100 bytes")


@pytest.mark.parametrize("name", [TRAIN_IMAGES, TRAIN_LABELS])
def test_a_wrong_magic_number(tmp_path, small_folder, name):
    path = small_folder / name
    path.write_bytes(b"\0\0\x0d\x02" + path.read_bytes()[4:])
    refuse_data(tmp_path, small_folder, path, "0x00000d02", "magic number")


def test_labels_under_the_name_of_images(tmp_path, small_folder):
    (small_folder / TRAIN_IMAGES).write_bytes((small_folder / TRAIN_LABELS).read_bytes())
    refuse_data(tmp_path, small_folder, TRAIN_IMAGES, "0x00000801", "0x00000803")


@pytest.mark.parametrize("part", ["training", "test"])
def test_counts_that_differ(tmp_path, part):
    arrays = pattern_arrays()
    arrays[1 if part == "training" else 3] = np.zeros(77, np.uint8)
    folder = write_idx_folder(tmp_path / "data", arrays)
    refuse_data(tmp_path, folder, folder, f"77 {part} labels")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_broken_gzip_stream(tmp_path, damage):
    folder = write_idx_folder(tmp_path / "data", pattern_arrays(), compress=True)
    path = folder / f"{TRAIN_IMAGES}.gz"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[-6] ^= 0xFF  # in the checksum
    path.write_bytes(content)
    refuse_data(tmp_path, folder, path, "broken gzip")


def test_a_gzip_stream_that_expands_past_its_header(tmp_path):
    folder = write_idx_folder(tmp_path / "data", pattern_arrays(), compress=True)
    path = folder / f"{TRAIN_IMAGES}.gz"
    honest = idx_bytes(pattern_arrays()[0])
    path.write_bytes(gzip.compress(honest + bytes(200_000_000), compresslevel=1))
    refuse_data(tmp_path, folder, path, "declares 24,000 bytes of images but holds more")


def test_a_header_that_declares_more_than_any_memory(tmp_path, small_folder):
    path = small_folder / TRAIN_IMAGES
    path.write_bytes(b"\0\0\x08\x03" + b"\xff" * 12 + bytes(1000))
    refuse_data(tmp_path, small_folder, path, "but holds only 1,000")


# What people have under a data file's name without knowing it.
STRANGERS = [
    (b"<!DOCTYPE html>\n<html><head>", "web page"),
    (b"\n<HTML>", "web page"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x89PNG\r\n", "picture"),
]


@pytest.mark.parametrize(("content", "word"), STRANGERS)
@pytest.mark.parametrize("name", [TRAIN_IMAGES, f"{TRAIN_LABELS}.gz", "d.npz", "train.csv"])
def test_another_thing_under_a_data_file_s_name(tmp_path, request, name, content, word):
    if "ubyte" in name:
        request.getfixturevalue("small_folder")
        (tmp_path / "data" / name.removesuffix(".gz")).unlink()
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / name).write_bytes(content)
    if name == "d.npz" and word == "ZIP archive":
        word = "broken .npz"
    refuse_data(tmp_path, "data", f"data/{name}", word)


def test_a_web_page_that_was_sent_packed(tmp_path, small_folder):
    (small_folder / TRAIN_IMAGES).write_bytes(gzip.compress(b"<!doctype html>"))
    refuse_data(tmp_path, small_folder, small_folder / TRAIN_IMAGES, "web page")


@pytest.mark.parametrize("name", [TEST_LABELS, "d.npz", "train.csv", ""])
def test_a_link_that_leads_nowhere(tmp_path, small_folder, name):
    """As git-annex leaves it. The last is the data folder itself."""
    path = small_folder / name if "ubyte" in name else tmp_path / "links" / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("objects/4e1a")
    folder = path.parent if name else path
    refuse_data(tmp_path, folder, path, "link that leads nowhere", "objects/4e1a")


@pytest.mark.parametrize("name", [TRAIN_IMAGES, "d.npz", "train.csv", "notes"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_never_ends_in_place_of_a_file(tmp_path, name, kind):
    write_idx_folder(tmp_path / "data", pattern_arrays())
    path = tmp_path / "data" / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    refuse_data(tmp_path, path, f"{path} is a pipe, a socket or a device; save what it gives")


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "is empty"), (b"hello", "does not begin as one"), (b"\x1f\x8b\x08", "gunzip")],
)
def test_another_thing_under_an_archive_s_name(tmp_path, content, word):
    """NumPy would call it pickled, which is not true."""
    (tmp_path / "d.npz").write_bytes(content)
    refuse_data(tmp_path, tmp_path, tmp_path / "d.npz", word)


def test_a_file_that_belongs_to_no_data_set(tmp_path, small_folder):
    (small_folder / "notes.txt").write_text("two years of work", encoding="utf-8")
    refuse_data(
        tmp_path, small_folder / "notes.txt", small_folder / "notes.txt", "not known by its name"
    )


def csv_rows(count=40, pixels=36):
    return [[n % 4, *((7 * n + p) % 256 for p in range(pixels))] for n in range(count)]


def csv_text(rows, header=True):
    names = ["label", *(f"pixel{number}" for number in range(len(rows[0]) - 1))] if rows else []
    return "".join(f"{','.join(map(str, row))}\n" for row in ([names] if header else []) + rows)


def changed(row, column, value):
    rows = csv_rows()
    rows[row][column] = value
    return csv_text(rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (csv_text([*csv_rows()[:5], csv_rows()[5][:-1]]), ["36 columns in line 7", "37"]),
        (csv_text([*csv_rows()[:5], [*csv_rows()[5], 0]]), ["38 columns in line 7", "37"]),
        (changed(3, 4, "a"), ["'a' in line 5, column 5", "0 to 255"]),
        (changed(0, 1, "a"), ["'a' in line 2, column 2"]),
        (changed(3, 4, 256), ["'256' in line 5, column 5", "0 to 255"]),
        (changed(3, 0, 256), ["'256' in line 5, column 1"]),
        (changed(3, 4, -1), ["'-1' in line 5, column 5"]),
        (changed(3, 4, "1.5"), ["'1.5' in line 5, column 5"]),
        (changed(3, 4, ""), ["'' in line 5, column 5"]),
        (changed(3, 4, "\x1b[2J"), ["'\\x1b[2J' in line 5, column 5"]),
        (changed(3, 4, "9" * 5000), ["line 5, column 5"]),
        (
            csv_text([row[1:] for row in csv_rows()], header=False),
            ["no labels", "column that the header calls label"],
        ),
        (csv_text([row[:-1] for row in csv_rows()]), ["36 columns", "785"]),
        (csv_text([row[:-2] for row in csv_rows()], header=False), ["35 columns", "785"]),
        (csv_text(csv_rows()).splitlines()[0], ["no rows"]),
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("label," + ",".join(map(str, range(999_999))), ["1,000,000 columns", "square"]),
        ("1;2;3\n", ["3 columns", "square", "folder for each class"]),
        ("0" * 11_000_000, ["10,000,000 characters", "line 1"]),
        (csv_text(csv_rows()).replace("label", "pixel99"), ["which of its 37 columns"]),
        (csv_text(csv_rows(6)), ["6 labelled images", "too few"]),
    ],
    ids=range(22),
)
def test_a_bad_csv(tmp_path, text, words):
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    refuse_data(tmp_path, "train.csv", "train.csv", *words)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("0 48\n1 49\n2 50\n", ["no name for 3"]),
        ("0 48\nzero one\n", ["mapping", "line 2"]),
        ("0 48\n1\n", ["line 2"]),
        ("0 48\n1 10\n", ["line 2"]),
        ("0 99999999\n", ["line 1"]),
        ("<html>", ["web page"]),
    ],
)
def test_a_mapping_of_emnist_that_does_not_fit(tmp_path, mapping, words):
    folder = tmp_path / "data"
    for path in list(write_idx_folder(folder, pattern_arrays()).iterdir()):
        path.rename(folder / f"emnist-mini-{path.name.replace('t10k', 'test')}")
    (folder / "emnist-mini-mapping.txt").write_text(mapping, encoding="utf-8")
    refuse_data(tmp_path, folder, folder, *words)


def npz(folder, **changes):
    """Writes small arrays with some changed (None: left out) as an archive; returns the folder."""
    arrays = {**dict(zip(NPZ_KEYS, pattern_arrays(), strict=True)), **changes}
    folder.mkdir()
    np.savez(folder / "d.npz", **{key: array for key, array in arrays.items() if array is not None})
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, ["test images alone"]),
        ({"y_train": None, "x_train": None}, ["no training images"]),
        (dict.fromkeys(NPZ_KEYS) | {"a": np.zeros(3)}, ["x_train", "this one 'a'"]),
        ({"x_val": np.zeros((9, 8, 6), np.uint8)}, ["validation images alone"]),
        (
            {"y_train": np.zeros(500, np.uint8), "y_test": np.zeros(100, np.uint8)},
            ["All training labels", "are 0"],
        ),
        ({"y_train": np.array([{}] * 500, object)}, ["y_train", "pickled"]),
        ({"x_train": np.zeros((500, 48), np.uint8)}, ["training images", "[500, 48]"]),
        ({"x_test": np.zeros((0, 8, 6), np.uint8)}, ["test images", "[0, 8, 6]"]),
        ({"x_train": np.full((500, 8, 6), 0.5)}, ["float64", "uint8", "whole numbers", "255 *"]),
        ({"x_train": np.full((500, 8, 6), 256)}, ["training images", "to 256"]),
        ({"x_test": np.full((100, 8, 6), -1)}, ["test images", "from -1"]),
        ({"x_train": np.zeros((500, 8, 6, 3), np.uint8)}, ["in colour", "grey", "mean"]),
        ({"y_train": np.zeros((500, 4), np.uint8)}, ["training labels", "one 1"]),
        ({"y_train": np.ones((500, 4), np.uint8)}, ["training labels", "one 1"]),
        ({"y_test": np.zeros((100, 4, 1), np.uint8)}, ["test labels", "[100, 4, 1]"]),
        ({"y_train": np.full(500, 0.5)}, ["training labels", "float64"]),
        ({"y_test": np.full(100, "seven")}, ["that the training labels lack: seven"]),
        ({"x_train": np.zeros((500, 8, 6, 9), np.uint8)}, ["three dimensions", "images[:, 4]"]),
        ({"y_train": np.full(500, 256)}, ["training labels", "to 256"]),
        ({"y_test": np.full(100, -1)}, ["test labels", "from -1"]),
        ({"x_test": np.zeros((100, 6, 8), np.uint8)}, ["8x6", "6x8"]),
        ({"y_test": np.full(100, 9)}, ["classes that the training labels lack: 9"]),
    ],
)
def test_an_npz_with_a_wrong_array(tmp_path, changes, words):
    refuse_data(tmp_path, npz(tmp_path / "data", **changes), tmp_path / "data", *words)


@pytest.mark.parametrize("damage", ["no zip", "cut", "flipped", "no npy", "lying header"])
def test_a_broken_npz(tmp_path, damage):
    path = npz(tmp_path / "data") / "d.npz"
    content = bytearray(path.read_bytes())
    if damage == "no zip":
        content = b"hello"
    elif damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[5000] ^= 0xFF
    path.write_bytes(content)
    if damage in ("no npy", "lying header"):
        with zipfile.ZipFile(path, "w") as archive:
            for key in NPZ_KEYS:
                member = b"hello" if damage == "no npy" else huge_npy()
                archive.writestr(f"{key}.npy", member)
    refuse_data(tmp_path, path.parent, path, "broken .npz")


def huge_npy():
    """A .npy header that declares an array of 10^15 bytes, and 100 bytes of it."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000,), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100)


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--epochs", "0", ["'0' is not a whole number of 1 or more"]),
        ("--epochs", "2.5", ["'2.5'"]),
        ("--batch-size", "0", ["--batch-size", "'0'"]),
        ("--batch-size", "501", ["--batch-size 501", "500 training images"]),
        ("--learning-rate", "0", ["'0' is not a finite number above 0"]),
        ("--learning-rate", "-0.5", ["--learning-rate", "'-0.5'"]),
        ("--learning-rate", "nan", ["'nan'"]),
        ("--learning-rate", "inf", ["'inf'"]),
        ("--learning-rate", "fast", ["'fast'"]),
        ("--seed", "-1", ["--seed", "'-1'"]),
        ("--recipe", "mlp-9", ["'mlp-9'", "softmax"]),
        ("--dataset", "emnist", ["'emnist'", "mnist", "fashion_mnist"]),
        ("--dtype", "float16", ["'float16'", "float32", "float64"]),
        ("--speed", "9", ["--speed"]),
    ],
)
def test_a_bad_flag_of_train(tmp_path, small_folder, flag, value, words):
    done = run(
        "train", "--data-dir", small_folder, "--output-dir", "run", flag, value, cwd=tmp_path
    )
    assert_refused(done, *words)
    assert not (tmp_path / "run").exists()


def test_an_output_folder_that_is_not_empty(tmp_path, small_folder):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("two years of work", encoding="utf-8")
    done = run("train", "--data-dir", small_folder, "--output-dir", "run", cwd=tmp_path)
    assert_refused(done, "run is not empty")
    assert (tmp_path / "run" / "thesis.txt").read_text(encoding="utf-8") == "two years of work"
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_an_output_folder_that_is_a_file(tmp_path, small_folder):
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    done = run("train", "--data-dir", small_folder, "--output-dir", "run", cwd=tmp_path)
    assert_refused(done, "output folder run", "File exists")
    assert (tmp_path / "run").read_text(encoding="utf-8") == "a file"


def test_an_early_end_keeps_the_folder(tmp_path, small_folder):
    """As a kill does: the current folder and what a link leads to as well as any other."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("run")
    flags = ["--data-dir", small_folder, "--learning-rate", "1e38", "--no-plots"]
    for folder, cwd in [("run", tmp_path), ("link", tmp_path), (".", tmp_path / "run")]:
        done = run("train", *flags, "--output-dir", folder, cwd=cwd)
        assert_ends(done, 3, "diverged")
        (tmp_path / "run" / "settings.json").unlink()
        assert list((tmp_path / "run").iterdir()) == []
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "link").is_symlink()
    assert run("train", *flags, "--output-dir", "a/b/c", cwd=tmp_path).returncode == 3
    assert [path.name for path in (tmp_path / "a" / "b" / "c").iterdir()] == ["settings.json"]
    again = run("train", *flags, "--output-dir", "a/b/c", cwd=tmp_path)
    assert_refused(again, "a/b/c is not empty; choose another one, or go on with its run")


def test_show_random_without_any_run(tmp_path):
    assert_refused(run("show_random", cwd=tmp_path), "no run in", "lowlevel_mnist.train")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["not the folder of a run"]),
        (b"{", ["not JSON"]),
        (b"\xff\xfe", ["not JSON"]),
        (b"[1]", ["is not that of a run"]),
        (b'{"format_version": 1}', ["is not that of a run", "recipe"]),
    ],
)
def test_show_random_with_a_folder_that_is_no_run(tmp_path, content, words):
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "settings.json").write_bytes(content)
    assert_refused(run("show_random", "--run", "run", cwd=tmp_path), "run", *words)


@pytest.mark.parametrize("command", ["show_random", "evaluate", "predict"])
def test_a_run_of_another_version(tmp_path, command):
    """The first ones did not say which."""
    for version, said in ((None, "None"), (99, "99"), ("1", "'1'")):
        (tmp_path / "run").mkdir(exist_ok=True)
        record = {"recipe": "softmax"} | ({"format_version": version} if version else {})
        (tmp_path / "run" / "settings.json").write_text(json.dumps(record), encoding="utf-8")
        arguments = ["any.png"] if command == "predict" else []
        done = run(command, "--run", "run", *arguments, cwd=tmp_path)
        assert_refused(done, "run/settings.json is of another version", f"is {said}, not 1")


@pytest.mark.parametrize(
    ("flag", "value"), [("--count", "0"), ("--count", "401"), ("--seed", "x"), ("--run", None)]
)
def test_a_bad_flag_of_show_random(tmp_path, flag, value):
    arguments = [flag] if value is None else [flag, value]
    assert_refused(run("show_random", *arguments, cwd=tmp_path), flag)
