"""What commands say of a data set, and do with what it brings along: end to end, a handful."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lowlevel_mnist import data, metrics
from lowlevel_mnist.console import report
from lowlevel_mnist.runs import folders
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import IDX_NAMES, digit_arrays, idx_bytes, write_idx_folder
from tests.helpers.runs import read_metrics
from tests.sources.files import (
    ARRAYS,
    TURNED,
    X_TEST,
    X_TRAIN,
    Y_TEST,
    Y_TRAIN,
    csv,
    emnist_name,
    four_arrays,
    npz,
    write,
)

QUICKLY = ("--output-dir", "run", "--epochs", 1, "--batch-size", 10, "--no-plots")


def sha256(*arrays):
    total = hashlib.sha256(repr([array.shape for array in arrays]).encode())
    for array in arrays:
        total.update(array.tobytes())
    return total.hexdigest()


def test_the_source_is_recorded(softmax_run):
    record = read_metrics(softmax_run.folder)
    assert (record["dataset"], record["dataset_source"]) == ("custom", "data-dir")
    assert record["dataset_verified"] is False
    assert record["data_dir"] == str(softmax_run.data)
    assert record["data_sha256"] == sha256(*softmax_run.arrays)
    assert "custom data, not verified" in softmax_run.process.stdout


@pytest.mark.full
def test_all_commands_name_the_classes(tmp_path):
    """As the data did when the run began. The labels begin with 1: nothing is said of a class 0."""
    letters = [TURNED[0], Y_TRAIN + 1, TURNED[2], Y_TEST + 1]
    files = dict(zip(map(emnist_name, IDX_NAMES), map(idx_bytes, letters), strict=True))
    mapping = {"emnist-mini-mapping.txt": "1 65 97\n2 66 98\n3 67 99\n"}
    write(tmp_path / "data", {**files, **mapping})
    train("data", *QUICKLY, cwd=tmp_path)
    (tmp_path / "data" / "emnist-mini-mapping.txt").unlink()
    record = read_metrics(tmp_path / "run")
    assert record["class_names"] == [None, "Aa", "Bb", "Cc"]
    assert record["layer_sizes"] == [36, 4]

    lines = run("evaluate", "--run", "run", cwd=tmp_path).stdout.splitlines()
    table = lines[lines.index("") + 2 :]
    assert [line.split()[:1] for line in table[:4]] == [["Aa"], ["Bb"], ["Cc"], []]

    flags = ("--run", "run", "--seed", 0, "--save", "s.png")
    shown = run("show_random", *flags, cwd=tmp_path).stdout.splitlines()
    rows = [line.split() for line in shown if "%" in line]
    assert len(rows) == 20
    assert {row[1] for row in rows} | {row[3] for row in rows} == {"Aa", "Bb", "Cc"}

    Image.fromarray(X_TEST[0]).save(tmp_path / "first.png")
    done = run("predict", "--run", "run", "first.png", cwd=tmp_path)
    names = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(("%", "#"))]
    assert [name for name in names if name in ("0", "Aa", "Bb", "Cc")] == ["Aa", "Bb", "Cc"]
    assert "first.png: Aa" in done.stdout


def test_images_that_came_for_validation_are_used_for_it(tmp_path):
    validation = X_TRAIN[50:], Y_TRAIN[50:]
    changes = {"x_train": X_TRAIN[:50], "y_train": Y_TRAIN[:50]}
    changes |= dict(zip(("x_val", "y_val"), validation, strict=True))
    write(tmp_path / "data", {"any.npz": npz(**four_arrays(**changes))})
    done = run("train", "--data-dir", "data", *QUICKLY, "--validation-split", 0.2, cwd=tmp_path)
    assert_refused(done, "--validation-split 0.2", "has images for validation")
    done = train("data", *QUICKLY, cwd=tmp_path)
    assert "50 training, 20 validation and 20 test images" in done.stdout
    record = read_metrics(tmp_path / "run")
    assert record["validation_split"] == 0
    training = X_TRAIN[:50], Y_TRAIN[:50]
    assert record["data_sha256"] == sha256(*training, X_TEST, Y_TEST, *validation)

    # The validation is that of the last weights on those images.
    expected = metrics.evaluate(folders.find(tmp_path / "run").load_model(), *validation)
    (row,) = record["history"]
    assert (row["val_loss"], row["val_accuracy"]) == (expected.loss, expected.accuracy)


def test_all_commands_test_on_the_images_that_were_set_aside(tmp_path):
    files = {"train.csv": csv(Y_TRAIN, X_TRAIN), "test.csv": csv(X_TEST), "sample.csv": "Id,Label"}
    write(tmp_path / "data", files)
    done = train("data", *QUICKLY, "--seed", 3, cwd=tmp_path)
    (remark,) = done.stderr.splitlines()
    assert "Not read of data: sample.csv, test.csv" in remark
    assert "60 training and 10 test images (a seventh of the labelled ones" in done.stdout
    record = read_metrics(tmp_path / "run")
    assert record["test_split"] == pytest.approx(1 / 7)
    assert record["data_sha256"] == data.load("auto", tmp_path / "data", seed=3).sha256
    done = run("evaluate", "--run", "run", cwd=tmp_path)
    assert f"{record['test_accuracy']:.4f} on the 10 test images" in done.stdout


def test_pictures_are_tested_at_the_size_of_the_network(softmax_run, tmp_path):
    for image, label, number in zip(*softmax_run.arrays[2:], range(20), strict=False):
        path = tmp_path / "data" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((56, 56), Image.Resampling.NEAREST).save(path)
    images, labels = (array[:20] for array in softmax_run.arrays[2:])
    expected = metrics.evaluate(softmax_run.load_model(), images, labels)
    flags = ("--run", softmax_run.folder, "--data-dir", "data", "--to", "pictures")
    done = run("evaluate", *flags, cwd=tmp_path)
    assert "20 of 20 pictures had another size than 28x28" in done.stderr
    assert f"Test loss {expected.loss:.4f}, test accuracy {expected.accuracy:.4f}" in done.stdout


# ---- Dark on light

GRADIENT = np.linspace(100, 255, 36, dtype=np.uint8).reshape(6, 6)


@pytest.mark.parametrize(
    ("change", "invert", "words"),
    [
        (lambda images: images, False, ""),
        (lambda images: 255 - images // 2, False, "train it with --invert"),
        (lambda images: 255 - images // 2, True, ""),
        (lambda images: images // 4, True, "are light since --invert"),
        (lambda images: np.maximum(images, GRADIENT), False, ""),  # photographs have no background
        (lambda images: images // 16, False, "No pixel of these images is above 15"),
    ],
)
def test_light_and_dark_that_may_be_wrong_are_remarked_on(capsys, change, invert, words):
    x_train, y_train, x_test, y_test = ARRAYS
    arrays = change(x_train), y_train, change(x_test), y_test
    dataset = data.Dataset(*arrays, "custom", "data-dir", "data", False)
    report.print_remarks(dataset.invert() if invert else dataset)
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert len(output.err.splitlines()) == bool(words)


def test_invert_contradicts_a_run_without_it(softmax_run, tmp_path):
    softmax_run.copy(tmp_path)
    flags = ("--resume", "--output-dir", "runs/one", "--epochs", 4, "--invert")
    done = run("train", *flags, cwd=tmp_path)
    assert_refused(done, "--invert contradicts the run in runs/one, which has no --invert")


@pytest.mark.full
def test_ink_on_paper_is_inverted_by_all_commands(tmp_path):
    images, labels, test_images, test_labels = digit_arrays()
    dark_on_light = (255 - images, labels, 255 - test_images, test_labels)
    write_idx_folder(tmp_path / "data", dark_on_light)
    done = train("data", "--output-dir", "run", "--invert", "--no-plots", cwd=tmp_path)
    assert done.stderr == ""
    assert "not verified, inverted" in done.stdout
    flags = ("--resume", "--output-dir", "run", "--epochs", 6, "--no-plots")
    assert run("train", *flags, cwd=tmp_path).returncode == 0
    record = read_metrics(tmp_path / "run")
    assert (record["invert"], record["data_sha256"]) == (True, sha256(*digit_arrays()))
    assert record["test_accuracy"] > 0.5
    result = f"Test loss {record['test_loss']:.4f}, test accuracy {record['test_accuracy']:.4f}"
    flags = ("--run", "run", "--data-dir", "data")
    assert result in run("evaluate", *flags, cwd=tmp_path).stdout

    model = folders.find(tmp_path / "run").load_model()
    expected = metrics.predict(model, test_images).argmax(1)
    pictures = [f"{number}.png" for number in range(10)]
    for image, name in zip(dark_on_light[2], pictures, strict=False):
        Image.fromarray(image).save(tmp_path / name)
    done = run("predict", "--run", "run", *pictures, cwd=tmp_path)
    for name, number in zip(pictures, expected, strict=False):
        assert f"\n{name}: {number} (" in done.stdout

    assert run("export", "--run", "run", "--to", "saved", cwd=tmp_path).returncode == 0
    exported = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_array_equal(exported.predict(dark_on_light[2])["classes"], expected)
