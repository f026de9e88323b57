"""Data sets are read in every layout in which people have them, to the byte.

`LAYOUTS` writes one small data set in each layout. What a command has read is known by the SHA-256
in `metrics.json`, which is calculated here from the arrays that were written.
"""

import bz2
import gzip
import hashlib
import lzma
import pickle

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lowlevel_mnist import data, metrics
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import layouts
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import IDX_NAMES, digit_arrays, idx_bytes, pattern_arrays, write_idx_folder
from tests.helpers.runs import read_metrics

ARRAYS = pattern_arrays(size=(6, 6), classes=3, train=70, test=20)
QUICKLY = ("--epochs", 1, "--batch-size", 10, "--no-plots")


def sha256(*arrays):
    total = hashlib.sha256(repr([array.shape for array in arrays]).encode())
    for array in arrays:
        total.update(array.tobytes())
    return total.hexdigest()


def rename(folder, change, contents=None):
    """Writes ARRAYS as IDX files whose names are changed by a function."""
    for name, array in zip(IDX_NAMES, contents or ARRAYS, strict=True):
        path = folder / change(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(idx_bytes(array))
    return folder


def with_dots(folder):
    return rename(folder, lambda name: name.replace("-idx", ".idx"))


def called_test(folder):
    return rename(folder, lambda name: name.replace("t10k", "test"))


def in_capitals(folder):
    return rename(folder, str.upper)


def in_folders_of_their_name(folder):
    return rename(folder, lambda name: f"{name}/{name}")


def of_torchvision(folder):
    rename(folder / "MNIST" / "raw", str)
    return folder


def of_torchvision_named_closer(folder):
    return of_torchvision(folder) / "MNIST"


def packed_without_gz(folder):
    for path in rename(folder, str).iterdir():
        path.write_bytes(gzip.compress(path.read_bytes()))
    return folder


def unpacked_with_gz(folder):
    return rename(folder, "{}.gz".format)


def packed(folder):
    return write_idx_folder(folder, ARRAYS, compress=True)


def one_of_the_files(folder):
    return rename(folder, str) / IDX_NAMES[2]


def transposed():
    """ARRAYS with the images as EMNIST stores them."""
    return [array.swapaxes(1, 2) if array.ndim == 3 else array for array in ARRAYS]


def emnist_name(name):
    return "emnist-mini-" + name.replace("t10k", "test")


def emnist(folder):
    return rename(folder, emnist_name, transposed())


def archive(folder, **changes):
    x_train, y_train, x_test, y_test = ARRAYS
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez(folder / "any.npz", **{**arrays, **changes})
    return folder


def archive_by_its_name(folder):
    return archive(folder) / "any.npz"


def packed_archive(folder):
    x_train, y_train, x_test, y_test = ARRAYS
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez_compressed(folder / "any.npz", **arrays)
    return folder


def archive_of_wide_numbers(folder):
    x_train, y_train, x_test, y_test = ARRAYS
    return archive(
        folder,
        x_train=np.asfortranarray(x_train.astype(np.int64)),
        y_train=y_train.astype(">i2"),
        x_test=x_test.astype(np.uint16),
        y_test=y_test.astype(np.int32),
    )


def archive_with_more_axes(folder):
    x_train, y_train, x_test, y_test = ARRAYS
    return archive(
        folder,
        x_train=x_train[..., None],
        x_test=x_test[..., None],
        y_train=y_train[:, None],
        y_test=y_test[:, None],
    )


def archive_of_one_hot_labels(folder):
    _, y_train, _, y_test = ARRAYS
    return archive(folder, y_train=np.eye(3)[y_train], y_test=np.eye(3, dtype=bool)[y_test])


def kmnist(folder):
    names = ("train-imgs", "train-labels", "test-imgs", "test-labels")
    for name, array in zip(names, ARRAYS, strict=True):
        np.savez_compressed(folder / f"k49-{name}.npz", array)
    return folder


def kannada(folder):
    names = ("X_kannada_MNIST_{}", "y_kannada_MNIST_{}")
    for number, array in enumerate(ARRAYS):
        split = "test" if number > 1 else "train"
        np.savez(folder / f"{names[number % 2].format(split)}.npz", array)
    return folder


def qmnist(folder):
    """Its labels are rows of integers, of which the first one is the class."""
    for name, array in zip(IDX_NAMES, ARRAYS, strict=True):
        content = idx_bytes(array)
        if array.ndim == 1:
            rows = np.stack([array, array, array], axis=1) + [[0, 300, 2000]]
            content = (
                b"\0\0\x0c\2" + np.array(rows.shape, ">i4").tobytes() + rows.astype(">i4").tobytes()
            )
            name = name.replace("idx1-ubyte", "idx2-int")
        (folder / f"qmnist-{name.replace('t10k', 'test')}.gz").write_bytes(gzip.compress(content))
    return folder


def npy(folder, *names):
    for name, array in zip(names, ARRAYS, strict=True):
        np.save(folder / f"{name}.npy", array)
    return folder


def npy_of_arrays(folder):
    return npy(folder, "X_train", "y_train", "X_test", "y_test")


def npy_without_underscores(folder):
    return npy(folder, "xtrain", "ytrain", "xtest", "ytest")


def npy_in_words(folder):
    return npy(folder, "train_images", "train_labels", "test_images", "test_labels")


def npz_pair(folder):
    np.savez(folder / "digits_train.npz", images=ARRAYS[0], labels=ARRAYS[1])
    np.savez(folder / "digits_test.npz", x=ARRAYS[2], y=ARRAYS[3])
    return folder


def csv(images, labels, header="", end="\n", delimiter=","):
    rows = [header] if header else []
    for image, label in zip(images, labels, strict=True):
        rows.append(delimiter.join(map(str, (label, *image.ravel()))))
    return "".join(f"{row}{end}" for row in rows)


def pixels(name):
    return ",".join(name.format(number) for number in range(36))


def csv_pair(folder, prefix="", header="", arrays=ARRAYS, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for part, contents in (("train", arrays[:2]), ("test", arrays[2:])):
        (folder / f"{prefix}{part}.csv").write_text(
            csv(*contents, header, **options), encoding="utf-8"
        )
    return folder


def csv_without_header(folder):
    return csv_pair(folder, "mnist_")


def csv_with_header(folder):
    return csv_pair(folder, "fashion-mnist_", f"label,{pixels('pixel{}')}")


def csv_of_pandas(folder):
    """Its header has whole numbers, as those of a table without names have."""
    return csv_pair(folder, "", f"label,{pixels('{}')}")


def csv_with_numbers_in_its_header(folder):
    return csv_pair(folder, "", f"0,{pixels('0.{}')}")


def csv_of_windows(folder):
    names = pixels('"{}"')
    return csv_pair(folder, "mnist-", f'\ufeff"Label",{names}', end="\r\n")


def csv_in_folders_of_their_name(folder):
    csv_pair(folder, "sign_mnist_")
    for name in ("sign_mnist_train", "sign_mnist_test"):
        (folder / name).mkdir()
        (folder / f"{name}.csv").rename(folder / name / f"{name}.csv")
    return folder


def packed_csv(folder):
    for path in list(csv_pair(folder).iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return folder


def csv_with_the_label_last(folder, name="label"):
    for part, (images, labels) in (("train", ARRAYS[:2]), ("test", ARRAYS[2:])):
        rows = [f"{pixels('p{}')},{name}\n"]
        for image, label in zip(images, labels, strict=True):
            rows.append(f"{','.join(map(str, image.ravel()))},{label}\n")
        (folder / f"{part}.csv").write_text("".join(rows), encoding="utf-8")
    return folder


def csv_of_openml(folder):
    return csv_with_the_label_last(folder, "class")


def csv_with_an_index(folder):
    """As pandas writes it, with numbers above 255."""
    for part, (images, labels) in (("train", ARRAYS[:2]), ("test", ARRAYS[2:])):
        rows = [f",label,{pixels('pixel{}')}\n"]
        for number, (image, label) in enumerate(zip(images, labels, strict=True), start=300):
            rows.append(f"{number},{label},{','.join(map(str, image.ravel()))}\n")
        (folder / f"{part}.csv").write_text("".join(rows), encoding="utf-8")
    return folder


def csv_whose_header_counts(folder):
    return csv_pair(folder, "", ",".join(map(str, range(37))))


def csv_pair_of_other_names(folder, names=("mnist_train_100", "mnist_test_10"), change=str):
    for name, contents in zip(names, (ARRAYS[:2], ARRAYS[2:]), strict=True):
        (folder / f"{name}.csv").write_text(change(csv(*contents)), encoding="utf-8")
    return folder


def csv_of_a_test_that_is_called_testing(folder):
    return csv_pair_of_other_names(folder, ("digits training 1", "digits testing 2"))


def csv_in_a_folder(folder):
    csv_pair(folder / "mnist-in-csv" / "raw")
    return folder


def csv_of_floats(folder):
    def as_floats(text):
        return text.replace(",", ".0,").replace("\n", ".0\n")

    return csv_pair_of_other_names(folder, change=as_floats)


def csv_with_semicolons(folder):
    return csv_pair_of_other_names(folder, change=lambda text: text.replace(",", ";"))


def csv_with_tabs(folder):
    csv_pair_of_other_names(folder, change=lambda text: text.replace(",", "\t"))
    for path in list(folder.iterdir()):
        path.rename(path.with_suffix(".tsv"))
    return folder


def csv_of_a_test_and_csv_of_its_labels(folder):
    csv_pair(folder)
    rows = ARRAYS[2].reshape(20, -1)
    np.savetxt(folder / "test.csv", rows, fmt="%d", delimiter=",")
    np.savetxt(folder / "test_labels.csv", ARRAYS[3], fmt="%d")
    return folder


def csv_with_the_index_of_pandas(folder):
    for split, arrays in (("train", ARRAYS[:2]), ("test", ARRAYS[2:])):
        for kind, array in zip("Xy", arrays, strict=True):
            names = ",".join(map(str, range(36))) if kind == "X" else "label"
            rows = [f",{names}\n"]
            rows += [f"{n},{','.join(map(str, row.ravel()))}\n" for n, row in enumerate(array)]
            (folder / f"{kind}_{split}.csv").write_text("".join(rows), encoding="utf-8")
    return folder


def csv_of_images_and_csv_of_labels(folder):
    """As those of the Arabic handwritten digits."""
    sizes = ("70x36", "70x1", "20x36", "20x1")
    names = ("csvTrainImages", "csvTrainLabel", "csvTestImages", "csvTestLabel")
    for name, size, array in zip(names, sizes, ARRAYS, strict=True):
        rows = array.reshape(len(array), -1)
        np.savetxt(folder / f"{name} {size}.csv", rows, fmt="%d", delimiter=",")
    return folder


def emnist_csv(folder):
    return csv_pair(folder, "emnist-mini-", arrays=transposed())


def one_csv_in_a_folder_of_its_name(folder):
    return csv_in_folders_of_their_name(folder) / "sign_mnist_test" / "sign_mnist_test.csv"


def one_csv_in_a_folder_of_its_prefix(folder):
    return csv_pair(folder / "mnist", "mnist_") / "mnist_train.csv"


def one_file_in_a_folder_of_its_name(folder):
    return in_folders_of_their_name(folder) / IDX_NAMES[1] / IDX_NAMES[1]


def beside_files_of_macos(folder):
    (folder / "._any.npz").write_bytes(b"\0\5\x16\7")
    return archive(folder)


LAYOUTS = [
    with_dots,
    called_test,
    in_capitals,
    in_folders_of_their_name,
    of_torchvision,
    of_torchvision_named_closer,
    packed_without_gz,
    unpacked_with_gz,
    packed,
    one_of_the_files,
    emnist,
    archive,
    archive_by_its_name,
    packed_archive,
    archive_of_wide_numbers,
    archive_with_more_axes,
    archive_of_one_hot_labels,
    kmnist,
    kannada,
    qmnist,
    npy_of_arrays,
    npy_without_underscores,
    npy_in_words,
    npz_pair,
    csv_without_header,
    csv_with_header,
    csv_of_pandas,
    csv_with_numbers_in_its_header,
    csv_of_windows,
    csv_in_folders_of_their_name,
    packed_csv,
    csv_with_the_label_last,
    csv_of_openml,
    csv_with_an_index,
    csv_whose_header_counts,
    csv_pair_of_other_names,
    csv_of_a_test_that_is_called_testing,
    csv_in_a_folder,
    csv_of_floats,
    csv_with_semicolons,
    csv_with_tabs,
    csv_of_a_test_and_csv_of_its_labels,
    csv_with_the_index_of_pandas,
    csv_of_images_and_csv_of_labels,
    emnist_csv,
    one_csv_in_a_folder_of_its_name,
    one_csv_in_a_folder_of_its_prefix,
    one_file_in_a_folder_of_its_name,
    beside_files_of_macos,
]
BY_NAME = {"ids": lambda layout: layout.__name__}


@pytest.mark.parametrize("layout", LAYOUTS, **BY_NAME)
def test_what_was_written_is_read(tmp_path, layout):
    dataset = data.load("auto", layout(tmp_path))
    read = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    for left, right in zip(read, ARRAYS, strict=True):
        np.testing.assert_array_equal(left, right, strict=True)
    assert (dataset.passed_over, dataset.names, dataset.validation) == ((), None, None)


@pytest.mark.full
@pytest.mark.parametrize("layout", LAYOUTS, **BY_NAME)
def test_a_command_reads_it(tmp_path, layout):
    (tmp_path / "data").mkdir()
    path = layout(tmp_path / "data").relative_to(tmp_path)
    done = train(path, "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    assert done.stderr == ""
    record = read_metrics(tmp_path / "run")
    assert (record["dataset"], record["data_sha256"]) == ("custom", sha256(*ARRAYS))
    assert record["data_dir"] == str(tmp_path / path)
    assert run("evaluate", "--run", "run", cwd=tmp_path).returncode == 0


def test_a_lone_csv_of_emnist_is_turned_as_well(tmp_path):
    for name in ("emnist-mini-train.csv", "emnist-mini-test.csv", "emnist_mini.csv"):
        (tmp_path / name).write_text(csv(*transposed()[:2]), encoding="utf-8")
        dataset = data.load("auto", tmp_path)
        together = rows_of(dataset.train_images, dataset.train_labels)
        together += rows_of(dataset.test_images, dataset.test_labels)
        assert sorted(together) == rows_of(*ARRAYS[:2])
        (tmp_path / name).unlink()


def test_csv_with_images_for_validation(tmp_path):
    csv_pair(tmp_path)
    (tmp_path / "val.csv").write_text(csv(ARRAYS[0][:9], ARRAYS[1][:9]), encoding="utf-8")
    images, labels = data.load("auto", tmp_path).validation
    np.testing.assert_array_equal(images, ARRAYS[0][:9])
    np.testing.assert_array_equal(labels, ARRAYS[1][:9])


def test_a_test_file_of_an_index_and_pixels_has_no_labels(tmp_path):
    """As that of Kannada-MNIST."""
    images, labels, *_ = ARRAYS
    (tmp_path / "train.csv").write_text(
        csv(images, labels, f"label,{pixels('pixel{}')}"), encoding="utf-8"
    )
    (tmp_path / "test.csv").write_text(
        csv(images, range(70), f"id,{pixels('pixel{}')}"), encoding="utf-8"
    )
    assert len(data.load("auto", tmp_path).test_labels) == 10


# Labels that are texts.


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_labels_that_are_texts_are_the_names_of_the_classes(tmp_path, delimiter):
    """As those of Devanagari characters, in a column that is called so, or Chinese numbers."""
    images, labels, *_ = ARRAYS
    texts = np.array(["baa", "九", "a b"])[labels]
    header = delimiter.join(["character", *(f"p{number}" for number in range(36))])
    table = csv(images, texts, header, delimiter=delimiter)
    (tmp_path / "letters.csv").write_text(table, encoding="utf-8")
    dataset = data.load("auto", tmp_path, only_test=True)
    np.testing.assert_array_equal(dataset.test_images, images)
    assert dataset.class_names == ["a b", "baa", "九"]
    np.testing.assert_array_equal(np.array(dataset.class_names)[dataset.test_labels], texts)


@pytest.mark.parametrize("encoding", ["cp949", "gbk", "utf-16"])
def test_texts_in_another_encoding_are_refused(tmp_path, encoding):
    """As Excel writes them: they must not become one class."""
    images, labels, *_ = ARRAYS
    table = csv(images, np.array(["一", "二", "三"])[labels])
    (tmp_path / "any.csv").write_bytes(table.encode(encoding))
    with pytest.raises(UserError, match=r"any\.csv .*Save (it|the file) in UTF-8"):
        data.load("auto", tmp_path / "any.csv")


def test_a_label_that_may_be_last_is_refused(tmp_path):
    """Without a header nobody can know, and the first pixel is always background."""
    images, labels, *_ = ARRAYS
    rows = [
        f"0,{','.join(map(str, image.ravel()[1:]))},{label}\n"
        for image, label in zip(images, labels, strict=True)
    ]
    (tmp_path / "any.csv").write_text("".join(rows), encoding="utf-8")
    for only_test in (False, True):
        with pytest.raises(UserError, match="If the label is in the last one"):
            data.load("auto", tmp_path, only_test=only_test)


def test_numbers_and_names_of_classes_side_by_side(tmp_path):
    """As of Chinese MNIST."""
    images, labels, *_ = ARRAYS
    header = f"{pixels('pixel_{}')},label,character\n"
    rows = [
        f"{','.join(map(str, image.ravel()))},{label},{'零一二'[label]}\n"
        for image, label in zip(images, labels, strict=True)
    ]
    (tmp_path / "any.csv").write_text(header + "".join(rows), encoding="utf-8")
    dataset = data.load("auto", tmp_path, only_test=True)
    np.testing.assert_array_equal(dataset.test_images, images)
    np.testing.assert_array_equal(dataset.test_labels, labels)


def test_texts_in_an_archive(tmp_path):
    _, y_train, _, y_test = ARRAYS
    as_bytes = np.array([b"10", b"2", b"c\xc3\xa9"])
    archive(tmp_path, y_train=as_bytes[y_train], y_test=as_bytes.astype(object)[y_test].astype("S"))
    dataset = data.load("auto", tmp_path)
    assert dataset.class_names == ["2", "10", "cé"]
    np.testing.assert_array_equal(dataset.test_labels, np.array([1, 0, 2])[y_test])
    archive(tmp_path, y_train=y_train.astype(str), y_test=y_test.astype(str))
    assert data.load("auto", tmp_path).names is None
    archive(tmp_path, y_train=np.arange(70).astype("U9") + np.array("x"))
    with pytest.raises(UserError, match="have classes that the training labels lack: 0, 1, 2"):
        data.load("auto", tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([f"n{number}" for number in range(257)], "more than 256 different labels, such as n256"),
        (["a\x1b[2J"] * 9, "can't name a class"),
        (["a" * 101] * 9, "can't name a class"),
        (["a", ""] * 9, "has '' in line 2"),
        (["a", "1.5"] * 9, "has '1.5' in line 2"),
    ],
)
def test_texts_that_can_not_be_classes(tmp_path, labels, words):
    table = csv(np.zeros((len(labels), 5, 5), int), labels)
    (tmp_path / "any.csv").write_text(table, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        data.load("auto", tmp_path)


# What is only tested on, and what is only looked at.


def test_a_lone_table_is_tested_whole(tmp_path):
    images, labels, *_ = ARRAYS
    (tmp_path / "mnist_test_10.csv").write_text(csv(images[:10], [7] * 10), encoding="utf-8")
    dataset = data.load("auto", tmp_path, only_test=True)
    np.testing.assert_array_equal(dataset.test_images, images[:10])
    assert (dataset.test_labels.tolist(), dataset.test_split) == ([7] * 10, 1)


def test_test_files_are_enough_to_test_on(tmp_path):
    for path in list(rename(tmp_path, str).iterdir()):
        if path.name.startswith("train"):
            path.unlink()
    with pytest.raises(UserError, match="lacks train-images-idx3-ubyte"):
        data.load("auto", tmp_path)
    dataset = data.load("auto", tmp_path, only_test=True)
    np.testing.assert_array_equal(dataset.test_images, ARRAYS[2])
    np.testing.assert_array_equal(dataset.test_labels, ARRAYS[3])
    assert dataset.test_split == 0


def test_a_table_without_labels_is_neither(tmp_path):
    """As Kaggle's test.csv, alone or beside a train.csv: it is not silently passed over."""
    rows = "".join(f"{','.join(map(str, image.ravel()))}\n" for image in ARRAYS[2])
    (tmp_path / "test.csv").write_text(rows, encoding="utf-8")
    for path in (tmp_path, tmp_path / "test.csv"):
        for only_test in (False, True):
            with pytest.raises(UserError, match=r"test\.csv has no labels"):
                data.load("auto", path, only_test=only_test)
    (tmp_path / "train.csv").write_text(csv(*ARRAYS[:2]), encoding="utf-8")
    with pytest.raises(UserError, match=r"test\.csv has no labels"):
        data.load("auto", tmp_path / "test.csv", only_test=True)


def test_images_are_read_with_or_without_labels(tmp_path):
    images, labels, *_ = ARRAYS
    rows = "".join(f"{','.join(map(str, image.ravel()))}\n" for image in images)
    (tmp_path / "test.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "train.csv").write_text(csv(images, labels), encoding="utf-8")
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images))
    np.save(tmp_path / "any.npy", images)
    np.savez(tmp_path / "one.npz", images=images)
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(layouts.read_images(path), images)
    (tmp_path / "notes.txt").write_text("1,2,3", encoding="utf-8")
    archive(tmp_path)
    for name in ("notes.txt", "any.npz"):
        with pytest.raises(UserError, match=name):
            layouts.read_images(tmp_path / name)


# EMNIST's class names, and classes without images.


@pytest.mark.full
def test_a_mapping_names_the_classes_in_all_commands(tmp_path):
    """The letters' labels begin with 1, so nothing is said of a class 0."""
    x_train, y_train, x_test, y_test = transposed()
    letters = [x_train, y_train + 1, x_test, y_test + 1]
    rename(tmp_path / "data", emnist_name, letters)
    mapping = "".join(f"{label} {64 + label} {96 + label}\n" for label in range(1, 27))
    (tmp_path / "data" / "emnist-mini-mapping.txt").write_text(mapping, encoding="utf-8")
    done = train("data", "--output-dir", "run", "--epochs", 20, "--batch-size", 10, cwd=tmp_path)
    assert "of 6x6, 3 classes" in done.stdout
    record = read_metrics(tmp_path / "run")
    assert record["class_names"] == [None, "Aa", "Bb", "Cc"]
    assert record["layer_sizes"] == [36, 4]

    lines = run("evaluate", "--run", "run", cwd=tmp_path).stdout.splitlines()
    table = [line.split()[0] for line in lines[lines.index("") + 2 : lines.index("") + 5]]
    assert table == ["Aa", "Bb", "Cc"]
    assert lines[lines.index("") + 5] == ""
    assert "    Aa  Bb  Cc" in lines[lines.index("") + 7]

    shown = run("show_random", "--run", "run", "--seed", 0, "--save", "s.png", cwd=tmp_path)
    rows = [line.split() for line in shown.stdout.splitlines() if "%" in line]
    assert len(rows) == 20
    assert {row[1] for row in rows} | {row[3] for row in rows} == {"Aa", "Bb", "Cc"}

    Image.fromarray(ARRAYS[2][0]).save(tmp_path / "first.png")
    done = run("predict", "--run", "run", "first.png", cwd=tmp_path)
    names = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(("%", "#"))]
    assert [name for name in names if name in ("0", "Aa", "Bb", "Cc")] == ["Aa", "Bb", "Cc"]
    assert "first.png: Aa" in done.stdout


# Images for validation that came along.


def medmnist(folder):
    folder.mkdir()
    x_train, y_train, x_test, y_test = ARRAYS
    np.savez(
        folder / "smallmnist.npz",
        train_images=x_train[:50],
        train_labels=y_train[:50, None],
        val_images=x_train[50:],
        val_labels=y_train[50:, None],
        test_images=x_test,
        test_labels=y_test[:, None],
    )
    return folder


def test_images_that_came_for_validation_are_used_for_it(tmp_path):
    medmnist(tmp_path / "data")
    done = train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    assert "50 training, 20 validation and 20 test images" in done.stdout
    assert "Best epoch: 1, validation accuracy" in done.stdout
    record = read_metrics(tmp_path / "run")
    assert record["validation_split"] == 0
    x_train, y_train, *test = ARRAYS
    training, validation = (x_train[:50], y_train[:50]), (x_train[50:], y_train[50:])
    assert record["data_sha256"] == sha256(*training, *test, *validation)

    # The validation is that of the last weights on those images.
    model = folders.find(tmp_path / "run").load_model()
    expected = metrics.evaluate(model, *validation)
    assert record["history"][0]["val_loss"] == expected.loss
    assert record["history"][0]["val_accuracy"] == expected.accuracy


def test_a_split_of_data_that_has_images_for_validation(tmp_path):
    medmnist(tmp_path / "data")
    flags = ("--validation-split", 0.2, "--output-dir", "run")
    done = run("train", "--data-dir", "data", *flags, cwd=tmp_path)
    assert_refused(done, "--validation-split 0.2", "has images for validation")
    assert not (tmp_path / "run").exists()


# One labelled file: a seventh is for the test.


def rows_of(images, labels):
    return sorted(zip(labels.tolist(), (image.tobytes() for image in images), strict=True))


def test_a_seventh_of_one_labelled_file_is_set_aside(tmp_path):
    """As of Kaggle's digit recognizer, whose test.csv has no labels."""
    images, labels, unlabelled, _ = ARRAYS
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text(
        csv(images, labels, f"label,{pixels('pixel{}')}"), encoding="utf-8"
    )
    rows = "".join(f"{','.join(map(str, image.ravel()))}\n" for image in unlabelled)
    (tmp_path / "data" / "test.csv").write_text(f"{pixels('pixel{}')}\n{rows}", encoding="utf-8")
    (tmp_path / "data" / "sample_submission.csv").write_text(
        "ImageId,Label\n1,0\n", encoding="utf-8"
    )
    done = train("data", "--output-dir", "run", *QUICKLY, "--seed", 3, cwd=tmp_path)
    assert len(done.stderr.splitlines()) == 1
    assert "Not read of data: sample_submission.csv, test.csv" in done.stderr
    assert "60 training and 10 test images (a seventh of the labelled ones" in done.stdout
    record = read_metrics(tmp_path / "run")
    assert record["test_split"] == pytest.approx(1 / 7)

    dataset = data.load("auto", tmp_path / "data", seed=3)
    assert record["data_sha256"] == dataset.sha256
    training = dataset.train_images, dataset.train_labels
    test = dataset.test_images, dataset.test_labels
    assert len(test[1]) == 10
    assert sorted(rows_of(*training) + rows_of(*test)) == rows_of(images, labels)
    assert set(dataset.train_labels) == set(labels)
    other = data.load("auto", tmp_path / "data", seed=4)
    assert rows_of(other.test_images, other.test_labels) != rows_of(*test)

    # All commands test on the same images, a resumed run as well.
    assert "on the 10 test images" in run("evaluate", "--run", "run", cwd=tmp_path).stdout
    again = run("train", "--resume", "--output-dir", "run", "--epochs", 2, cwd=tmp_path)
    assert again.returncode == 0
    assert read_metrics(tmp_path / "run")["data_sha256"] == dataset.sha256


def test_classes_of_one_image_are_trained_on(tmp_path):
    images, *_ = ARRAYS
    labels = np.arange(70) % 65
    (tmp_path / "any.csv").write_text(csv(images, labels), encoding="utf-8")
    for seed in range(10):
        dataset = data.load("auto", tmp_path, seed=seed)
        assert len(dataset.test_labels) == 5
        assert set(dataset.train_labels) == set(range(65))


# What is not read.

FOREIGN = {
    "mnist.pkl": (pickle.dumps([1]), "pickle, which is never loaded"),
    "mnist.pkl.gz": (gzip.compress(pickle.dumps([1], protocol=2)), "pickle, which is never loaded"),
    "train.parquet": (b"PAR1\x15\x04", "pandas.read_parquet and save its arrays"),
    "mnist-original.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "scipy.io.loadmat and save"),
    "mnist.h5": (b"\x89HDF\r\n\x1a\n", "h5py.File and save"),
    "archive.zip": (b"PK\x03\x04\x14", "ZIP archive. Unpack it"),
    "train-images-idx3-ubyte.bz2": (bz2.compress(b"1"), "format that is not read. Unpack it"),
    "train-images-idx3-ubyte.xz": (lzma.compress(b"1"), "format that is not read. Unpack it"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_read_is_recognised(tmp_path, name):
    content, words = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "README.html").write_text("<html>", encoding="utf-8")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(UserError) as caught:
            data.load("auto", path)
        assert str(tmp_path / name) in str(caught.value)
        assert words in str(caught.value)


# Dark on light.


def test_ink_on_paper_is_remarked_on(tmp_path):
    images, labels, test_images, test_labels = ARRAYS
    write_idx_folder(tmp_path / "data", (255 - images // 2, labels, 255 - test_images, test_labels))
    done = train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    assert len(done.stderr.splitlines()) == 1
    assert "--invert" in done.stderr
    assert read_metrics(tmp_path / "run")["invert"] is False


def test_light_photographs_are_not_taken_for_ink_on_paper(tmp_path):
    """Inverting them would not help."""
    images, labels, test_images, test_labels = ARRAYS
    shades = np.linspace(100, 255, 36, dtype=np.uint8).reshape(6, 6)
    light = [np.maximum(some, shades) for some in (images, test_images)]
    write_idx_folder(tmp_path / "data", (light[0], labels, light[1], test_labels))
    assert train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path).stderr == ""


@pytest.mark.full
def test_ink_on_paper_is_inverted_by_all_commands(tmp_path):
    images, labels, test_images, test_labels = digit_arrays()
    dark_on_light = (255 - images, labels, 255 - test_images, test_labels)
    write_idx_folder(tmp_path / "data", dark_on_light)
    done = train("data", "--output-dir", "run", "--invert", "--epochs", 2, cwd=tmp_path)
    assert done.stderr == ""
    assert "not verified, inverted" in done.stdout
    record = read_metrics(tmp_path / "run")
    assert record["invert"] is True
    assert record["data_sha256"] == sha256(*digit_arrays())
    assert record["test_accuracy"] > 0.5
    result = f"Test loss {record['test_loss']:.4f}, test accuracy {record['test_accuracy']:.4f}"
    for arguments in ([], ["--data-dir", "data"]):
        assert result in run("evaluate", "--run", "run", *arguments, cwd=tmp_path).stdout

    model = folders.find(tmp_path / "run").load_model()
    expected = metrics.predict(model, test_images).argmax(1)
    done = run("show_random", "--run", "run", "--count", 100, "--save", "s.png", cwd=tmp_path)
    rows = [line.split() for line in done.stdout.splitlines() if "%" in line]
    assert [int(row[1]) for row in rows] == [expected[int(row[0])] for row in rows]

    for number in range(10):
        Image.fromarray(dark_on_light[2][number]).save(tmp_path / f"{number}.png")
    done = run("predict", "--run", "run", *(f"{n}.png" for n in range(10)), cwd=tmp_path)
    for number in range(10):
        assert f"\n{number}.png: {expected[number]} (" in done.stdout

    assert run("export", "--run", "run", "--to", "saved", cwd=tmp_path).returncode == 0
    exported = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_array_equal(exported.predict(dark_on_light[2])["classes"], expected)


def test_light_on_dark_is_not_to_be_inverted(tmp_path):
    images, labels, test_images, test_labels = ARRAYS
    write_idx_folder(tmp_path / "data", (images // 4, labels, test_images // 4, test_labels))
    done = train("data", "--invert", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    assert len(done.stderr.splitlines()) == 1
    assert "are light since --invert" in done.stderr


@pytest.mark.parametrize(("begun", "given"), [(["--invert"], []), ([], ["--invert"])])
def test_a_run_keeps_its_invert(tmp_path, begun, given):
    write_idx_folder(tmp_path / "data", ARRAYS)
    train("data", "--output-dir", "run", *QUICKLY, *begun, cwd=tmp_path)
    resumed = ("train", "--resume", "--output-dir", "run", "--epochs", 2, *given)
    done = run(*resumed, cwd=tmp_path)
    if given:
        assert_refused(done, "--invert contradicts the run in run, which has no --invert")
    else:
        assert done.returncode == 0
        assert read_metrics(tmp_path / "run")["invert"] is True


@pytest.mark.full
def test_images_that_do_not_go_up_to_white_are_remarked_on(tmp_path):
    images, labels, test_images, test_labels = ARRAYS
    write_idx_folder(tmp_path / "data", (images // 16, labels, test_images // 16, test_labels))
    done = train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    assert len(done.stderr.splitlines()) == 1
    assert "No pixel of these images is above 15" in done.stderr


# More than one data set in a folder.


def test_two_layouts_in_a_folder(tmp_path):
    write_idx_folder(tmp_path / "data", ARRAYS)
    x_train, y_train, x_test, y_test = pattern_arrays(size=(5, 5), classes=2, train=30, test=10)
    archive(tmp_path / "data", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    done = train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    assert read_metrics(tmp_path / "run")["data_sha256"] == sha256(*ARRAYS)
    assert len(done.stderr.splitlines()) == 1
    assert "Not read of data: any.npz" in done.stderr
    done = train("data/any.npz", "--output-dir", "other", *QUICKLY, cwd=tmp_path)
    assert read_metrics(tmp_path / "other")["image_size"] == [5, 5]
    assert done.stderr == ""


def test_tables_of_other_things_are_passed_over(tmp_path):
    """As in Colab's folder sample_data, which has house prices beside MNIST."""
    csv_pair_of_other_names(tmp_path, ("mnist_train_small", "mnist_test"))
    houses = "longitude,latitude,age,rooms,bedrooms,people,households,income,value\n" + 9 * "1.5,"
    for split in ("train", "test"):
        path = tmp_path / f"california_housing_{split}.csv"
        path.write_text(houses.rstrip(",") + "\n", encoding="utf-8")
    dataset = data.load("auto", tmp_path)
    np.testing.assert_array_equal(dataset.train_images, ARRAYS[0])
    np.testing.assert_array_equal(dataset.test_images, ARRAYS[2])
    names = sorted(path.name for path in dataset.passed_over)
    assert names == ["california_housing_test.csv", "california_housing_train.csv"]


def test_a_data_set_with_a_test_goes_before_one_without(tmp_path):
    kannada(tmp_path)
    np.savez(tmp_path / "X_dig_MNIST.npz", ARRAYS[2])
    np.savez(tmp_path / "y_dig_MNIST.npz", ARRAYS[3])
    dataset = data.load("auto", tmp_path)
    np.testing.assert_array_equal(dataset.test_images, ARRAYS[2])
    names = sorted(path.name for path in dataset.passed_over)
    assert names == ["X_dig_MNIST.npz", "y_dig_MNIST.npz"]


def test_pairs_whose_names_end_alike_belong_together(tmp_path):
    csv_pair_of_other_names(tmp_path, ("mnist_train_100", "mnist_test_10"))
    small = ARRAYS[0][:30], ARRAYS[1][:30]
    for name in ("mnist_train", "mnist_test"):
        (tmp_path / f"{name}.csv").write_text(csv(*small), encoding="utf-8")
    with pytest.raises(UserError, match="2 data sets"):
        data.load("auto", tmp_path)
    dataset = data.load("auto", tmp_path / "mnist_train_100.csv")
    np.testing.assert_array_equal(dataset.test_images, ARRAYS[2])
    dataset = data.load("auto", tmp_path / "mnist_test.csv")
    np.testing.assert_array_equal(dataset.test_images, small[0])


def test_several_data_sets_of_one_layout(tmp_path):
    for split in ("letters", "digits"):
        rename(tmp_path, lambda name, split=split: emnist_name(name).replace("mini", split))
    done = run("train", "--data-dir", tmp_path, cwd=tmp_path)
    assert_refused(done, "2 data sets", "emnist-digits-train-images-idx3-ubyte", "--data-dir")
    dataset = data.load("auto", tmp_path / "emnist-letters-test-labels-idx1-ubyte")
    np.testing.assert_array_equal(dataset.train_images, ARRAYS[0].swapaxes(1, 2))


def test_what_is_begun_is_not_replaced_by_another_layout(tmp_path):
    write_idx_folder(tmp_path / "data", ARRAYS)
    archive(tmp_path / "data")
    (tmp_path / "data" / IDX_NAMES[3]).unlink()
    assert_refused(run("train", "--data-dir", "data", cwd=tmp_path), "data lacks", IDX_NAMES[3])


def test_a_run_keeps_the_names_of_its_classes(tmp_path):
    rename(tmp_path / "data", emnist_name, transposed())
    mapping = tmp_path / "data" / "emnist-mini-mapping.txt"
    mapping.write_text("0 65\n1 66\n2 67\n3 68\n", encoding="utf-8")
    train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    mapping.unlink()
    lines = run("evaluate", "--run", "run", cwd=tmp_path).stdout.splitlines()
    start = lines.index("") + 2
    assert [line.split()[0] for line in lines[start : start + 3]] == ["A", "B", "C"]


@pytest.mark.full
def test_images_of_as_many_pixels_but_another_shape(tmp_path):
    write_idx_folder(tmp_path / "data", ARRAYS)
    train("data", "--output-dir", "run", *QUICKLY, cwd=tmp_path)
    flat = [array.reshape(-1, 4, 9) if array.ndim == 3 else array for array in ARRAYS]
    write_idx_folder(tmp_path / "flat", flat)
    done = run("evaluate", "--run", "run", "--data-dir", "flat", cwd=tmp_path)
    assert_refused(done, "6x6 pixels", "flat have 4x9")
