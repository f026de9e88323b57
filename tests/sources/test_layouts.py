"""Data sets are read in every layout in which people have them, to the byte."""

import bz2
import gzip
import lzma
import pickle

import numpy as np
import pytest

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import layouts
from tests.helpers.data import IDX_NAMES, idx_bytes
from tests.sources.files import (
    ARRAYS,
    IDX,
    TURNED,
    X_TEST,
    X_TRAIN,
    Y_TEST,
    Y_TRAIN,
    assert_test_is,
    assert_training_is,
    csv,
    csv_pair,
    emnist_name,
    four_arrays,
    npy,
    npz,
    pixels,
    write,
)

PACKED = {name: gzip.compress(content) for name, content in IDX.items()}
SIGN_MNIST = ("sign_mnist_train.csv", "sign_mnist_test.csv")
OTHER_NAMES = ("mnist_train_100.csv", "mnist_test_10.csv")


def renamed(files, change, convert=lambda content: content):
    """Files whose names, and perhaps contents, are changed by functions."""
    return {change(name): convert(content) for name, content in files.items()}


def named(names, arrays=ARRAYS, convert=npy):
    """A file of each array."""
    return dict(zip(names, map(convert, arrays), strict=True))


def qmnist(labels):
    """Rows of big-endian integers as IDX, of which the first one is the class."""
    rows = np.stack([labels, labels, labels], axis=1) + [[0, 300, 2000]]
    return b"\0\0\x0c\2" + np.array([*rows.shape, *rows.ravel()], ">i4").tobytes()


LAYOUTS = {
    "idx": IDX,
    "idx with dots": renamed(IDX, lambda name: name.replace("-idx", ".idx")),
    "idx called test": renamed(IDX, lambda name: name.replace("t10k", "test")),
    "idx in capitals": renamed(IDX, str.upper),
    "idx in folders of their names": renamed(IDX, "{0}/{0}".format),
    "torchvision": renamed(IDX, "MNIST/raw/{}".format),
    "idx packed": renamed(PACKED, "{}.gz".format),
    "idx packed without .gz": PACKED,
    "idx unpacked with .gz": renamed(IDX, "{}.gz".format),
    "emnist": named(map(emnist_name, IDX_NAMES), TURNED, idx_bytes),
    "qmnist": {
        "qmnist-train-images-idx3-ubyte.gz": gzip.compress(idx_bytes(X_TRAIN)),
        "qmnist-train-labels-idx2-int.gz": gzip.compress(qmnist(Y_TRAIN)),
        "qmnist-test-images-idx3-ubyte.gz": gzip.compress(idx_bytes(X_TEST)),
        "qmnist-test-labels-idx2-int.gz": gzip.compress(qmnist(Y_TEST)),
    },
    "npz": {"any.npz": npz(**four_arrays())},
    "npz beside a file of macos": {"._any.npz": b"\0\5\x16\7", "any.npz": npz(**four_arrays())},
    "npz packed": {"any.npz": npz(**four_arrays(), save=np.savez_compressed)},
    "npz of wide numbers": {
        "any.npz": npz(
            x_train=np.asfortranarray(X_TRAIN.astype(np.int64)),
            y_train=Y_TRAIN.astype(">i2"),
            x_test=X_TEST.astype(np.float32),
            y_test=Y_TEST.astype(np.int32),
        )
    },
    "npz with more axes": {
        "any.npz": npz(**{key: array[..., None] for key, array in four_arrays().items()})
    },
    "npz of one-hot labels": {
        "any.npz": npz(
            **four_arrays(y_train=np.eye(3)[Y_TRAIN], y_test=np.eye(3, dtype=bool)[Y_TEST])
        )
    },
    "npz for each split": {
        "digits_train.npz": npz(images=X_TRAIN, labels=Y_TRAIN),
        "digits_test.npz": npz(x=X_TEST, y=Y_TEST),
    },
    "kmnist": named(
        (f"k49-{part}.npz" for part in ("train-imgs", "train-labels", "test-imgs", "test-labels")),
        convert=npz,
    ),
    "kannada": named(
        (f"{kind}_kannada_MNIST_{split}.npz" for split in ("train", "test") for kind in "Xy"),
        convert=npz,
    ),
    "npy": named(("X_train.npy", "y_train.npy", "X_test.npy", "y_test.npy")),
    "npy without underscores": named(("xtrain.npy", "ytrain.npy", "xtest.npy", "ytest.npy")),
    "npy in words": named(  # "data" says less than "labels"
        f"data_{split}_{kind}.npy" for split in ("train", "test") for kind in ("images", "labels")
    ),
    "csv": csv_pair(),
    "csv packed": renamed(csv_pair(), "{}.gz".format, lambda text: gzip.compress(text.encode())),
    "csv of kaggle": csv_pair(header=f"label,{pixels('pixel{}')}"),
    "csv of pandas": csv_pair(header=f"label,{pixels('{}')}"),
    "csv with numbers in its header": csv_pair(header=f"0,{pixels('0.{}')}"),
    "csv whose header counts": csv_pair(header=",".join(map(str, range(37)))),
    "csv of windows": renamed(
        csv_pair(header='\ufeff"Label",' + pixels('"{}"')),
        "mnist-{}".format,
        lambda text: text.replace("\n", "\r\n"),
    ),
    "csv with the label last": {
        "train.csv": csv(X_TRAIN, Y_TRAIN, header=f"{pixels('p{}')},class"),
        "test.csv": csv(X_TEST, Y_TEST, header=f"{pixels('p{}')},class"),
    },
    "csv with an index": {
        "train.csv": csv(range(300, 370), Y_TRAIN, X_TRAIN, header=f",label,{pixels('p{}')}"),
        "test.csv": csv(range(20), Y_TEST, X_TEST, header=f",label,{pixels('p{}')}"),
    },
    "csv of floats": renamed(
        csv_pair(OTHER_NAMES), str, lambda text: text.replace(",", ".0,").replace("\n", ".0\n")
    ),
    "csv with semicolons": renamed(csv_pair(OTHER_NAMES), str, lambda text: text.replace(",", ";")),
    "csv with tabs": renamed(
        csv_pair(("train.tsv", "test.tsv")), str, lambda text: text.replace(",", "\t")
    ),
    "csv in words": csv_pair(("digits training 1.csv", "digits testing 2.csv")),
    "csv of two splits in each name": csv_pair(("dev-set train.csv", "dev-set test.csv")),
    "csv in a folder": renamed(csv_pair(), "mnist-in-csv/raw/{}".format),
    "csv in a folder of its prefix": renamed(csv_pair(), "mnist/mnist_{}".format),
    "csv in folders of their names": renamed(
        csv_pair(SIGN_MNIST), lambda name: f"{name.removesuffix('.csv')}/{name}"
    ),
    "csv of images and of labels": {  # as those of the Arabic handwritten digits
        "csvTrainImages 70x36.csv": csv(X_TRAIN),
        "csvTrainLabel 70x1.csv": csv(Y_TRAIN),
        "csvTestImages 20x36.csv": csv(X_TEST),
        "csvTestLabel 20x1.csv": csv(Y_TEST),
    },
    "csv of a test and of its labels": {
        "train.csv": csv(Y_TRAIN, X_TRAIN),
        "test.csv": csv(X_TEST),
        "test_labels.csv": csv(Y_TEST),
    },
    "csv of pandas, of images and of labels": {
        "X_train.csv": csv(range(70), X_TRAIN, header=f",{pixels('{}')}"),
        "y_train.csv": csv(range(70), Y_TRAIN, header=",label"),
        "X_test.csv": csv(range(20), X_TEST, header=f",{pixels('{}')}"),
        "y_test.csv": csv(range(20), Y_TEST, header=",label"),
    },
    "csv of emnist": csv_pair(("emnist-mini-train.csv", "emnist-mini-test.csv"), arrays=TURNED),
}
# What is named may be a file, of which the others lie beside it, or a folder further inside.
NAMED = [
    ("idx", IDX_NAMES[2]),
    ("idx in folders of their names", f"{IDX_NAMES[1]}/{IDX_NAMES[1]}"),
    ("torchvision", "MNIST"),
    ("npz", "any.npz"),
    ("csv in a folder of its prefix", "mnist/mnist_train.csv"),
    ("csv in folders of their names", "sign_mnist_test/sign_mnist_test.csv"),
]


@pytest.mark.parametrize(("layout", "path"), [*((layout, "") for layout in LAYOUTS), *NAMED])
def test_what_was_written_is_read(tmp_path, layout, path):
    dataset = data.load("auto", write(tmp_path, LAYOUTS[layout]) / path)
    assert_training_is(dataset, X_TRAIN, Y_TRAIN)
    assert_test_is(dataset, X_TEST, Y_TEST)
    assert (dataset.passed_over, dataset.names, dataset.validation) == ((), None, None)


@pytest.mark.parametrize(
    "files",
    [
        {**csv_pair(), "val.csv": csv(Y_TRAIN[:9], X_TRAIN[:9])},
        {"medmnist.npz": npz(**four_arrays(val_images=X_TRAIN[:9], val_labels=Y_TRAIN[:9]))},
    ],
    ids=["csv", "npz"],
)
def test_images_that_come_for_validation(tmp_path, files):
    dataset = data.load("auto", write(tmp_path, files))
    for read, written in zip(dataset.validation, (X_TRAIN[:9], Y_TRAIN[:9]), strict=True):
        np.testing.assert_array_equal(read, written, strict=True)


@pytest.mark.parametrize(
    "name", ["emnist-mini-train.csv", "emnist-mini-test.csv", "emnist_mini.csv"]
)
def test_a_lone_csv_of_emnist_is_turned_as_well(tmp_path, name):
    write(tmp_path, {name: csv(Y_TRAIN, TURNED[0])})
    assert_test_is(data.load("auto", tmp_path, only_test=True), X_TRAIN, Y_TRAIN)


# What is only tested on, and what is only looked at.


def test_a_lone_table_is_tested_whole(tmp_path):
    write(tmp_path, {"mnist_test_10.csv": csv([7] * 10, X_TRAIN[:10])})
    dataset = data.load("auto", tmp_path, only_test=True)
    assert_test_is(dataset, X_TRAIN[:10], np.full(10, 7, np.uint8))
    assert dataset.test_split == 1


def test_test_files_are_enough_to_test_on(tmp_path):
    write(tmp_path, {name: IDX[name] for name in IDX_NAMES[2:]})
    with pytest.raises(UserError, match="lacks train-images-idx3-ubyte"):
        data.load("auto", tmp_path)
    dataset = data.load("auto", tmp_path, only_test=True)
    assert_test_is(dataset, X_TEST, Y_TEST)
    assert dataset.test_split == 0


def test_a_table_without_labels_is_neither(tmp_path):
    """As Kaggle's test.csv, alone or beside a train.csv: it is not silently passed over."""
    write(tmp_path, {"test.csv": csv(X_TEST)})
    for path in (tmp_path, tmp_path / "test.csv"):
        for only_test in (False, True):
            with pytest.raises(UserError, match=r"test\.csv has no labels"):
                data.load("auto", path, only_test=only_test)
    write(tmp_path, {"train.csv": csv(Y_TRAIN, X_TRAIN)})
    with pytest.raises(UserError, match=r"test\.csv has no labels"):
        data.load("auto", tmp_path / "test.csv", only_test=True)


def test_images_are_read_with_or_without_labels(tmp_path):
    files = {
        "test.csv": csv(X_TEST),
        "train.csv": csv(Y_TEST, X_TEST),
        "t10k-images-idx3-ubyte": idx_bytes(X_TEST),
        "emnist-any-test-images-idx3-ubyte": idx_bytes(TURNED[2]),
        "any.npy": npy(X_TEST),
        "one.npz": npz(images=X_TEST),
    }
    for path in map(write(tmp_path, files).joinpath, files):
        np.testing.assert_array_equal(layouts.read_images(path), X_TEST)
    write(tmp_path, {"notes.txt": "1,2,3", "any.npz": npz(**four_arrays())})
    for name in ("notes.txt", "any.npz"):
        with pytest.raises(UserError, match=name):
            layouts.read_images(tmp_path / name)


# One labelled file: a seventh is for the test.


def rows_of(images, labels):
    return sorted(zip(labels.tolist(), map(bytes, images), strict=True))


@pytest.mark.parametrize("first", ["", f"id,{pixels('pixel{}')}"])
def test_a_seventh_of_one_labelled_file_is_set_aside(tmp_path, first):
    """As of Kaggle's digit recognizer, and of Kannada-MNIST, whose test.csv has no labels."""
    unlabelled = csv(range(20), X_TEST, header=first) if first else csv(X_TEST)
    write(tmp_path, {"train.csv": csv(Y_TRAIN, X_TRAIN), "test.csv": unlabelled})
    dataset, other = (data.load("auto", tmp_path, seed=seed) for seed in (3, 4))
    assert dataset.passed_over == (tmp_path / "test.csv",)
    assert dataset.test_split == pytest.approx(1 / 7)
    training = dataset.train_images, dataset.train_labels
    test = dataset.test_images, dataset.test_labels
    assert len(test[1]) == 10
    assert sorted(rows_of(*training) + rows_of(*test)) == rows_of(X_TRAIN, Y_TRAIN)
    assert rows_of(other.test_images, other.test_labels) != rows_of(*test)


def test_classes_of_one_image_are_trained_on(tmp_path):
    write(tmp_path, {"any.csv": csv(np.arange(70) % 65, X_TRAIN)})
    for seed in range(10):
        dataset = data.load("auto", tmp_path, seed=seed)
        assert len(dataset.test_labels) == 5
        assert set(dataset.train_labels) == set(range(65))
        assert dataset.classes_with_images.tolist() == list(range(65))
    write(tmp_path, {"any.csv": csv(np.arange(70), X_TRAIN)})
    with pytest.raises(UserError, match="its 70 labelled images of 70 classes are too few"):
        data.load("auto", tmp_path)


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
    write(tmp_path, {name: content, "README.html": "<html>"})
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(UserError) as caught:
            data.load("auto", path)
        assert str(tmp_path / name) in str(caught.value)
        assert words in str(caught.value)


# More than one data set in a folder.


def load_beside_others(folder):
    """Returns the data set in a folder, and the names of the files that were passed over."""
    dataset = data.load("auto", folder)
    return dataset, sorted(path.name for path in dataset.passed_over)


def test_two_layouts_in_a_folder(tmp_path):
    other = dict.fromkeys(("x_train", "x_test"), X_TEST) | dict.fromkeys(
        ("y_train", "y_test"), Y_TEST
    )
    write(tmp_path, {**IDX, "any.npz": npz(**other)})
    dataset, others = load_beside_others(tmp_path)
    assert_training_is(dataset, X_TRAIN, Y_TRAIN)
    assert others == ["any.npz"]
    dataset = data.load("auto", tmp_path / "any.npz")
    assert_training_is(dataset, X_TEST, Y_TEST)
    assert dataset.passed_over == ()
    (tmp_path / IDX_NAMES[3]).unlink()  # what is begun is not replaced by another layout
    with pytest.raises(UserError, match=f"{tmp_path} lacks {IDX_NAMES[3]}"):
        data.load("auto", tmp_path)


def test_tables_of_other_things_are_passed_over(tmp_path):
    """As in Colab's folder sample_data, which has house prices beside MNIST."""
    houses = "longitude,latitude,age,rooms,bedrooms,people,households,income,value\n" + 9 * "1.5,"
    names = ["california_housing_test.csv", "california_housing_train.csv"]
    write(tmp_path, dict.fromkeys(names, f"{houses.rstrip(',')}\n"))
    write(tmp_path, csv_pair(("mnist_train_small.csv", "mnist_test.csv")))
    dataset, others = load_beside_others(tmp_path)
    assert_training_is(dataset, X_TRAIN, Y_TRAIN)
    assert others == names


def test_a_data_set_with_a_test_goes_before_one_without(tmp_path):
    lone = {"X_dig_MNIST.npz": npz(X_TEST), "y_dig_MNIST.npz": npz(Y_TEST)}
    dataset, others = load_beside_others(write(tmp_path, {**LAYOUTS["kannada"], **lone}))
    assert_training_is(dataset, X_TRAIN, Y_TRAIN)
    assert others == [*lone]


def test_mnist_goes_before_emnist(tmp_path):
    _, others = load_beside_others(write(tmp_path, {**LAYOUTS["emnist"], **IDX}))
    assert others == sorted(LAYOUTS["emnist"])


def test_two_tables_to_train_on_are_not_chosen_from(tmp_path):
    write(tmp_path, {**csv_pair(OTHER_NAMES), "mnist_train_200.csv": csv(Y_TRAIN, X_TRAIN)})
    with pytest.raises(UserError, match="3 data sets: .*mnist_train_100.csv, .*mnist_train_200"):
        data.load("auto", tmp_path)


def test_pairs_whose_names_end_alike_belong_together(tmp_path):
    small = (X_TRAIN[:30], Y_TRAIN[:30])
    write(tmp_path, csv_pair(OTHER_NAMES))
    write(tmp_path, csv_pair(("mnist_train.csv", "mnist_test.csv"), arrays=small * 2))
    with pytest.raises(UserError, match="2 data sets"):
        data.load("auto", tmp_path)
    assert_test_is(data.load("auto", tmp_path / "mnist_train_100.csv"), X_TEST, Y_TEST)
    assert_test_is(data.load("auto", tmp_path / "mnist_test.csv"), *small)


def test_several_data_sets_of_one_layout(tmp_path):
    for change in ("emnist-letters-{}", "emnist-digits-{}"):
        write(tmp_path, named(map(change.format, IDX_NAMES), TURNED, idx_bytes))
    with pytest.raises(UserError, match="2 data sets: .*emnist-digits-train-images-idx3-ubyte, "):
        data.load("auto", tmp_path)
    dataset = data.load("auto", tmp_path / "emnist-letters-t10k-labels-idx1-ubyte")
    assert_training_is(dataset, X_TRAIN, Y_TRAIN)
