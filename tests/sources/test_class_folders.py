"""Folders of pictures, one for each class, are read as people lay them out."""

import numpy as np
import pytest
from PIL import Image

from lowlevel_mnist import data
from lowlevel_mnist.errors import Remark, UserError
from lowlevel_mnist.sources import names, pictures
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import pattern_arrays
from tests.helpers.runs import read_metrics

ARRAYS = pattern_arrays(size=(6, 5), classes=3, train=42, test=15)
CLASSES = ("2", "10", "cat")  # in natural order, which no other order gives


def write_split(folder, images, labels, classes=CLASSES, suffix=".png"):
    """Writes pictures into a folder for each class, named by their numbers; returns the folder."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / classes[label] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def write(folder, training="train", test="test"):
    write_split(folder / training, *ARRAYS[:2])
    write_split(folder / test, *ARRAYS[2:])
    return folder


def in_an_archive(folder):
    (folder / "__MACOSX" / "a").mkdir(parents=True)
    (folder / "__MACOSX" / "b").mkdir()
    write(folder / "archive" / "things", "training", "testing")
    return folder


def with_longer_names(folder):
    return write(folder, "things_train", "things_test")


def twice_in_folders_of_their_names(folder):
    return write(folder, "seg_train/seg_train", "seg_test/seg_test")


def beside_files_of_macos(folder):
    write(folder, "Train", "Test")
    for split in ("Train", "Test"):
        (folder / split / "cat" / "._0.png").write_bytes(b"\0\5\x16\7")
        (folder / split / ".ipynb_checkpoints").mkdir()
        (folder / split / "cat" / "notes.txt").write_text("nine lives", encoding="utf-8")
    return folder


def beside_a_table_of_boxes(folder):
    """Each row has as many columns as an image of 3x3 pixels with a label."""
    rows = "label,x,y,w,h,a,b,c,d,e\n" + 9 * "0,3,4,20,20,1,2,3,4,5\n1,3,4,20,20,1,2,3,4,5\n"
    (folder / "train.csv").write_text(rows, encoding="utf-8")
    np.save(folder / "mean.npy", ARRAYS[0][0])
    np.savez(folder / "embeddings.npz", embeddings=ARRAYS[0])
    return write(folder)


def beside_a_table_of_names(folder):
    (folder / "train.csv").write_text("id,label\n0.png,2\n1.png,10\n", encoding="utf-8")
    return write(folder)


LAYOUTS = [
    write,
    in_an_archive,
    with_longer_names,
    twice_in_folders_of_their_names,
    beside_files_of_macos,
    beside_a_table_of_boxes,
    beside_a_table_of_names,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_what_was_written_is_read_to_the_byte(tmp_path, layout):
    dataset = data.load("auto", layout(tmp_path))
    read = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    for left, right in zip(read, ARRAYS, strict=True):
        np.testing.assert_array_equal(left, right, strict=True)
    assert dataset.class_names == list(CLASSES)
    others = {path for path in tmp_path.iterdir() if path.suffix in (".csv", ".npy", ".npz")}
    assert {*dataset.passed_over} == others


def test_numbers_are_the_labels_themselves(tmp_path):
    write_split(tmp_path, *ARRAYS[:2], classes=("1", "2", "10"))
    dataset = data.load("auto", tmp_path)
    assert dataset.names is None
    assert dataset.classes_with_images.tolist() == [1, 2, 10]


def test_a_seventh_of_one_root_is_set_aside(tmp_path):
    write_split(tmp_path, *ARRAYS[:2])
    dataset = data.load("auto", tmp_path, seed=3)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (36, 6)
    together = np.concatenate([dataset.train_images, dataset.test_images])
    assert sorted(map(bytes, together)) == sorted(map(bytes, ARRAYS[0]))


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validate", "dev"])
def test_images_for_validation(tmp_path, name):
    write_split(write(tmp_path) / name, *ARRAYS[2:])
    images, labels = data.load("auto", tmp_path).validation
    np.testing.assert_array_equal(images, ARRAYS[2])
    np.testing.assert_array_equal(labels, ARRAYS[3])


def test_pictures_are_decoded_as_predict_decodes_them(tmp_path):
    """In colour, with transparency, 16 bits, and turned by the camera."""
    random = np.random.default_rng(0)
    levels = random.integers(0, 256, (8, 6, 4), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # by a quarter
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.fromarray(levels[..., :3]).save(tmp_path / label / "1.png")
        Image.fromarray(levels).save(tmp_path / label / "2.png")
        Image.fromarray(levels[..., 0].astype(np.uint16) * 200).save(tmp_path / label / "3.png")
        sideways = Image.fromarray(levels[..., 1].T.copy())
        sideways.save(tmp_path / label / "4.jpg", exif=turned)
        Image.fromarray(levels[..., 2]).save(tmp_path / label / "5.webp", lossless=True)
        Image.fromarray(levels[..., 2]).save(tmp_path / label / "6.pgm")
        Image.fromarray(levels[..., 2]).save(tmp_path / label / "7.jfif", format="JPEG")
        Image.fromarray(np.float32(levels[..., 2] / 255)).save(tmp_path / label / "8.tif")
    dataset = data.load("auto", tmp_path, only_test=True)
    paths = sorted(tmp_path.rglob("*.*"), key=lambda path: path.name)
    expected = [np.uint8(pictures.decode(path, 100) + 0.5) for path in paths]
    np.testing.assert_array_equal(dataset.test_images, expected)
    of_floats = dataset.test_images[-2:].astype(int)  # a half may be rounded either way
    assert np.abs(of_floats - levels[..., 2]).max() <= 1


def test_other_sizes_are_brought_to_that_of_most(tmp_path):
    write_split(tmp_path, *ARRAYS[:2])
    Image.new("L", (50, 60), 200).save(tmp_path / "cat" / "large.png")
    with pytest.warns(Remark, match="1 of 43 pictures had another size than 5x6"):
        dataset = data.load("auto", tmp_path, only_test=True)
    assert dataset.test_images.shape == (43, 6, 5)
    assert (dataset.test_images[-1] == 200).all()


def test_pictures_are_tested_at_the_size_of_the_network(tmp_path):
    write(tmp_path / "data")
    train("data", "--epochs", 1, "--batch-size", 6, "--output-dir", "run", cwd=tmp_path)
    for split in ("train", "test"):
        for path in (tmp_path / "data" / split).rglob("*.png"):
            with Image.open(path) as picture:
                picture.resize((25, 30), Image.Resampling.NEAREST).save(path)
    done = run("evaluate", "--run", "run", "--data-dir", "data", cwd=tmp_path)
    assert "57 of 57 pictures had another size than 5x6" in done.stderr
    again = run("evaluate", "--run", "run", "--data-dir", "data/test", cwd=tmp_path)
    assert done.stdout.splitlines()[3:] == again.stdout.splitlines()[3:]


def test_accents_are_in_one_form(tmp_path):
    """macOS takes letters and accents apart in the names of files."""
    write_split(tmp_path / "train", *ARRAYS[:2], classes=("e\u0301", "a", "n\u200cm"))
    write_split(tmp_path / "test", *ARRAYS[2:], classes=("\u00e9", "a", "n\u200cm"))
    assert data.load("auto", tmp_path).class_names == ["a", "n\u200cm", "\u00e9"]


def test_photographs_are_averaged_down(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(2):
            noise = np.random.default_rng(number).integers(0, 256, (300, 400, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / label / f"{number}.jpg")
    assert data.load("auto", tmp_path, only_test=True).test_images.shape == (4, 75, 100)


def test_all_that_can_not_be_read_are_named(tmp_path):
    write(tmp_path)
    damaged = [tmp_path / "train" / "cat" / "7.png", tmp_path / "test" / "2" / "12.png"]
    for path in damaged:
        path.write_bytes(b"\x89PNG\r\n\x1a\nno more")
    done = run("train", "--data-dir", tmp_path, "--output-dir", "run", cwd=tmp_path)
    assert_refused(done, *damaged, "Remove what can't be read")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: write_split(folder, *ARRAYS[:2], ["0"] * 3), ["no file", "for each"]),
        (lambda folder: write_split(folder, *ARRAYS[:2], ["."] * 3), ["cat/1.png", "Sort them"]),
        (
            lambda folder: write(folder, "one", "two"),
            ["2 data sets", "one", "two", "Name one"],
        ),
        (lambda folder: write(folder, "test", "val"), ["training images"]),
        (
            lambda folder: write(folder, "train", "aug_train"),
            ["2 data sets", "aug_train", "Name one"],
        ),
        (
            lambda folder: write_split(folder, *ARRAYS[:2], ["train", "val", "test1"]),
            ["no file", "for each"],
        ),
    ],
    ids=["one class", "no classes", "two roots", "no training", "two trainings", "no classes"],
)
def test_what_is_no_data_set_is_refused(tmp_path, make, words):
    folder = tmp_path / "pictures"
    make(folder)
    with pytest.raises(UserError) as caught:
        data.load("auto", folder)
    for word in words:
        assert word in str(caught.value)


def test_what_is_in_no_folder_of_a_class_is_said(tmp_path):
    write_split(tmp_path, *ARRAYS[:2], ["things/0", "things/1", "examples"])
    Image.fromarray(ARRAYS[0][0]).save(tmp_path / "things" / "all.png")
    (tmp_path / "things" / "2").mkdir()
    (tmp_path / "things" / "2" / "1.raw").write_bytes(b"no picture")
    found = [path.relative_to(tmp_path) for path in data.load("auto", tmp_path).passed_over]
    assert sorted(map(str, found)) == ["examples/11.png", "things/2/1.raw", "things/all.png"]


def test_commands_say_the_names_of_the_folders(tmp_path):
    write(tmp_path / "data")
    flags = ("--epochs", 20, "--batch-size", 6, "--no-plots", "--output-dir", "run")
    done = train("data", *flags, cwd=tmp_path)
    assert "42 training and 15 test images of 6x5, 3 classes" in done.stdout
    assert read_metrics(tmp_path / "run")["class_names"] == list(CLASSES)
    done = run("evaluate", "--run", "run", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()[5:8]] == list(CLASSES)


def test_names_are_sorted_as_people_count():
    given = ["b", "10", "2", "a10", "A9", "a1", "01", "1", "٣"]
    expected = ["01", "1", "2", "10", "a1", "A9", "a10", "b", "٣"]
    assert sorted(given, key=names.natural_order) == expected
