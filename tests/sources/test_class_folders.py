"""Folders of pictures, one for each class, are read as people lay them out."""

import io

import numpy as np
import pytest
from PIL import Image

from lowlevel_mnist import data
from lowlevel_mnist.errors import Remark, UserError
from lowlevel_mnist.sources import names, pictures
from tests.helpers.data import pattern_arrays
from tests.sources.files import assert_test_is, assert_training_is, npy, npz, write

ARRAYS = pattern_arrays(size=(6, 5), classes=3, train=42, test=15)
CLASSES = ("2", "10", "cat")  # in natural order, which no other order gives


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


PNG = png(ARRAYS[0][0])


def split(root, images=ARRAYS[0], labels=ARRAYS[1], classes=CLASSES):
    """Pictures in a folder for each class, named by their numbers."""
    pairs = enumerate(zip(images, labels, strict=True))
    return {f"{root}/{classes[label]}/{n}.png": png(image) for n, (image, label) in pairs}


def splits(training, test):
    return split(training) | split(test, *ARRAYS[2:])


WHOLE = splits("train", "test")
# Each row has as many columns as an image of 3x3 pixels with a label.
BOXES = "label,x,y,w,h,a,b,c,d,e\n" + 9 * "0,3,4,20,20,1,2,3,4,5\n1,3,4,20,20,1,2,3,4,5\n"
LAYOUTS = {
    "train and test": WHOLE,
    "longer names": splits("things_train", "things_test"),
    "twice in folders of their names": splits("seg_train/seg_train", "seg_test/seg_test"),
    "in an archive of macos": {
        **splits("archive/things/training", "archive/things/testing"),
        "__MACOSX/a/1.png": PNG,
        "__MACOSX/b/1.png": PNG,
    },
    "beside hidden files": {
        **splits("Train", "Test"),
        "Train/cat/._0.png": b"\0\5\x16\7",
        "Test/.ipynb_checkpoints/0.png": PNG,
        "Test/cat/notes.txt": "nine lives",
    },
    "beside a table of boxes": {
        **WHOLE,
        "train.csv": BOXES,
        "mean.npy": npy(ARRAYS[0][0]),
        "embeddings.npz": npz(embeddings=ARRAYS[0]),
    },
    "beside a table of names": {**WHOLE, "train.csv": "id,label\n0.png,2\n1.png,10\n"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_written_is_read_to_the_byte(tmp_path, layout):
    shown = []
    write(tmp_path, LAYOUTS[layout])
    dataset = data.load("auto", tmp_path, show_progress=lambda *counts: shown.append(counts))
    assert_training_is(dataset, *ARRAYS[:2])
    assert_test_is(dataset, *ARRAYS[2:])
    assert dataset.class_names == list(CLASSES)
    others = {path for path in tmp_path.iterdir() if path.suffix in (".csv", ".npy", ".npz")}
    assert {*dataset.passed_over} == others
    assert shown[-1] == (57, 57)


def test_numbers_are_the_labels_themselves(tmp_path):
    write(tmp_path, split(".", classes=("1", "2", "10")))
    dataset = data.load("auto", tmp_path)
    assert dataset.names is None
    assert dataset.classes_with_images.tolist() == [1, 2, 10]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validate", "dev"])
def test_images_for_validation(tmp_path, name):
    write(tmp_path, WHOLE | split(name, *ARRAYS[2:]))
    images, labels = data.load("auto", tmp_path).validation
    np.testing.assert_array_equal(images, ARRAYS[2])
    np.testing.assert_array_equal(labels, ARRAYS[3])


def test_images_for_validation_alone_can_be_tested_on(tmp_path):
    write(tmp_path, split("val"))
    assert_test_is(data.load("auto", tmp_path, only_test=True), *ARRAYS[:2])


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
    write(tmp_path, split(".") | {"cat/large.png": png(np.full((60, 50), 200, np.uint8))})
    with pytest.warns(Remark, match="1 of 43 pictures had another size than 5x6"):
        dataset = data.load("auto", tmp_path, only_test=True)
    assert dataset.test_images.shape == (43, 6, 5)
    assert (dataset.test_images[-1] == 200).all()
    with pytest.warns(Remark, match="43 of 43 pictures had another size than 4x3"):
        dataset = data.load("auto", tmp_path, only_test=True, image_size=(3, 4))
    assert dataset.test_images.shape == (43, 3, 4)


def test_photographs_are_averaged_down(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    write(tmp_path, {"a/0.png": png(noise), "b/0.png": png(255 - noise)})
    assert data.load("auto", tmp_path, only_test=True).test_images.shape == (2, 75, 100)


def test_accents_are_in_one_form(tmp_path):
    """macOS takes letters and accents apart in the names of files."""
    write(tmp_path, split("train", classes=("e\u0301", "a", "n\u200cm")))
    write(tmp_path, split("test", *ARRAYS[2:], classes=("\u00e9", "a", "n\u200cm")))
    assert data.load("auto", tmp_path).class_names == ["a", "n\u200cm", "\u00e9"]


def test_all_that_can_not_be_read_are_named(tmp_path):
    damaged = dict.fromkeys(("train/cat/7.png", "test/2/12.png"), b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(UserError, match="Remove what can't be read") as caught:
        data.load("auto", write(tmp_path, WHOLE | damaged))
    assert all(str(tmp_path / name) in str(caught.value) for name in damaged)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (split(".", classes=["0"] * 3), ["no file", "for each"]),
        (split(".", classes=["."] * 3), ["cat/1.png", "Sort them"]),
        (split(".", classes=["train", "val", "test1"]), ["no file", "for each"]),
        (splits("one", "two"), ["2 data sets", "one", "two", "Name one"]),
        (splits("train", "aug_train"), ["2 data sets", "aug_train", "Name one"]),
        (splits("test", "val"), ["training images"]),
    ],
    ids=["one class", "no classes", "splits alone", "two roots", "two trainings", "no training"],
)
def test_what_is_no_data_set_is_refused(tmp_path, files, words):
    with pytest.raises(UserError) as caught:
        data.load("auto", write(tmp_path, files))
    for word in words:
        assert word in str(caught.value)


def test_what_is_in_no_folder_of_a_class_is_said(tmp_path):
    write(tmp_path, split(".", classes=["things/0", "things/1", "examples"]))
    write(tmp_path, {"things/all.png": PNG, "things/2/1.raw": b"no picture"})
    found = [path.relative_to(tmp_path) for path in data.load("auto", tmp_path).passed_over]
    assert sorted(map(str, found)) == ["examples/11.png", "things/2/1.raw", "things/all.png"]


def test_names_are_sorted_as_people_count():
    given = ["b", "10", "2", "a10", "A9", "a1", "01", "1", "٣"]
    expected = ["01", "1", "2", "10", "a1", "A9", "a10", "b", "٣"]
    assert sorted(given, key=names.natural_order) == expected
