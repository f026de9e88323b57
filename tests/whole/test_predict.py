"""`predict`: what it prints and draws of pictures and of images in data files, and its table."""

import csv
import os
import re

import numpy as np
import pytest
from PIL import Image

from lowlevel_mnist import metrics, predict
from lowlevel_mnist.console import flags, report
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits
from lowlevel_mnist.sources.pictures import Reading
from tests.helpers.commands import assert_refused, run
from tests.helpers.data import idx_bytes
from tests.helpers.runs import change_settings
from tests.helpers.terminal import Terminal

IMAGES, _ = digits.generate(405, seed=3, part="test")
LINE = re.compile(r"^(.+): (\d) \([\d.]+ ?%\)$", re.M)  # what programs look for


@pytest.fixture(scope="module")
def answers(softmax_run):
    """What the network says of IMAGES."""
    return metrics.predict(softmax_run.load_model(), IMAGES)


def save_pictures(folder, names):
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, IMAGES, strict=False):
        Image.fromarray(image).save(folder / name)


def write_csv_images(path, images):
    np.savetxt(path, images.reshape(len(images), -1), "%d", ",")


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_a_picture_is_shown_as_it_was_understood(softmax_run, answers, tmp_path):
    folder = softmax_run.copy(tmp_path)
    save_pictures(tmp_path, ["mine.png"])
    done = run("predict", "mine.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Run runs/one: softmax, learnt on custom data"
    shown = [[*line.ljust(56)[::2]] for line in lines[3:31]]
    np.testing.assert_array_equal(np.array(shown) != " ", IMAGES[0] > 28)
    table = [re.match(r"(\d) +([\d.]+)%", line).groups() for line in lines[31:41]]
    np.testing.assert_allclose([float(row[1]) for row in table], 100 * answers[0], atol=0.051)
    assert LINE.findall(done.stdout) == [("mine.png", str(answers[0].argmax()))]
    assert lines[-1] == "Saved in runs/one/predictions.png"
    assert (folder / "predictions.png").read_bytes().startswith(b"\x89PNG")


def test_the_pictures_that_can_be_read_are_read(softmax_run, answers, tmp_path):
    """A folder's, a line each, and each that can't be read is named at the end."""
    save_pictures(tmp_path / "all", [f"{number}.png" for number in range(4)])
    for name in ("notes.txt", "._0.png", "broken.png"):  # macOS puts one as ._0.png beside each
        (tmp_path / "all" / name).write_text("a seven", encoding="utf-8")
    arguments = ["--run", softmax_run.folder, "--save", "sheet.pdf", "all", "missing.jpg"]
    done = run("predict", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert "all/broken.png is no picture" in first
    assert "missing.jpg can't be read: No such file" in second
    expected = [(f"all/{number}.png", str(answers[number].argmax())) for number in range(4)]
    assert LINE.findall(done.stdout) == expected
    assert done.stdout.endswith("Saved in sheet.pdf\n")
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF")


def test_any_file_name(softmax_run, answers, tmp_path):
    names = ["$\\foo$.png", "字.png", os.fsdecode(b"bad\xff.png"), "a" * 90 + ".png"]
    save_pictures(tmp_path, names)
    arguments = ["--run", softmax_run.folder, "--save", "s.png", "--csv", "table.csv", *names]
    done = run("predict", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = read_csv(tmp_path / "table.csv")[1:]
    assert [row[0] for row in rows] == [*names[:2], "bad?.png", names[3]]
    assert [int(row[1]) for row in rows] == answers[:4].argmax(axis=1).tolist()


def test_the_table_is_one_for_spreadsheets(tmp_path):
    """Numbers as the network gave them; names as they are, or the same file without a formula."""
    names = ["10.png", "=1+1.png", 'a,b\n"c".png', "나.png", "@x/-y.png"]
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 5).astype(np.float32)
    predict.write_csv(tmp_path / "table.csv", names, probabilities, ["a", "-", "c"])
    header, *rows = read_csv(tmp_path / "table.csv")
    assert header == ["image", "class", "a", "-", "c"]
    assert [row[0] for row in rows] == ["10.png", "./=1+1.png", *names[2:4], "./@x/-y.png"]
    assert [row[1] for row in rows] == ["a-c"[label] for label in probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(np.float32([row[2:] for row in rows]), probabilities)
    # Excel needs a mark before UTF-8, and some other programs want none.
    assert (tmp_path / "table.csv").read_bytes().startswith(b"\xef\xbb\xbfimage")
    predict.write_csv(tmp_path / "table.csv", names[:1], probabilities[:1], ["a", "-", "c"])
    assert (tmp_path / "table.csv").read_bytes().startswith(b"image")


def test_images_of_data_files_are_read_as_they_are(softmax_run, answers, tmp_path):
    """By the file's name and their number, which begins with 1, as Kaggle's; labels are ignored."""
    np.savetxt(tmp_path / "labelled.csv", np.c_[np.arange(4), IMAGES[:4].reshape(4, -1)], "%d", ",")
    np.save(tmp_path / "X_test.npy", IMAGES[:4, ..., None])
    emnist = "emnist-digits-test-images-idx3-ubyte"
    (tmp_path / emnist).write_bytes(idx_bytes(IMAGES[:4].swapaxes(1, 2)))
    save_pictures(tmp_path, ["a.png"])
    files = ["labelled.csv", "X_test.npy", emnist]
    arguments = ["--run", softmax_run.folder, "--save", "s.png", "a.png", *files]
    done = run("predict", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = [str(label) for label in answers[:4].argmax(axis=1)]
    expected = [(f"{file}:{n}", label) for file in files for n, label in enumerate(said, start=1)]
    assert LINE.findall(done.stdout) == [("a.png", said[0]), *expected]


@pytest.mark.full
def test_more_images_than_fit_on_the_sheet(softmax_run, answers, tmp_path):
    """On a terminal: rows where the sheet ends, too, and all of them in the table."""
    write_csv_images(tmp_path / "test.csv", IMAGES)
    arguments = ["--run", softmax_run.folder, "--save", "s.png", "--csv", "table.csv", "test.csv"]
    code, lines = Terminal(80).run("predict", *arguments, cwd=tmp_path)
    assert code == 0
    assert len([line for line in lines if re.match(r"\d+ +\d +[\d.]+%", line)]) == 400
    assert "These are the first 400 of 405; --csv makes a table of all." in lines
    assert "Saved in s.png: the first 400 of 405" in lines
    rows = read_csv(tmp_path / "table.csv")[1:]
    assert [row[0] for row in rows] == [str(number) for number in range(1, 406)]
    np.testing.assert_array_equal(np.float32([row[2:] for row in rows]), answers)


def test_images_of_a_run_that_inverts_and_of_another_size(softmax_run, tmp_path):
    change_settings(softmax_run.copy(tmp_path), invert=True)
    np.save(tmp_path / "images.npy", IMAGES[:3])
    np.save(tmp_path / "small.npy", IMAGES[:2, :20, :20])
    paths = [tmp_path / "images.npy", tmp_path / "small.npy"]
    inverting = folders.find(tmp_path / "runs" / "one")
    names, readings, errors = predict.read(paths, inverting)
    assert names == [f"{paths[0]}:{number}" for number in (1, 2, 3)]
    for reading, image in zip(readings, IMAGES[:3], strict=True):
        np.testing.assert_array_equal(reading.image, 255 - image)
    (error,) = errors
    assert error.endswith(f"28x28 pixels, but those of {paths[1]} have 20x20.")
    alone, _, _ = predict.read(paths[:1], inverting)
    assert alone == ["1", "2", "3"]


@pytest.mark.parametrize("columns", [34, 80])
def test_a_table_on_a_terminal_for_more_than_three(softmax_run, answers, tmp_path, columns):
    """A row each, with a second guess that is not far off; on a narrow one, below the name."""
    names = [f"나{number}.png" for number in range(4)]
    save_pictures(tmp_path, names)
    arguments = ["--run", softmax_run.folder, "--save", "s.png", *names]
    code, lines = Terminal(columns).run("predict", *arguments, cwd=tmp_path)
    assert code == 0
    said = re.sub(r"[\s,-]|prediction|probability|nextguess|next guess", "", "\n".join(lines))
    rows = []
    for name, row in zip(names, answers, strict=False):
        first, second = np.argsort(-row)[:2]
        guess = f"{second}{row[second]:.1%}" if row[second] > 0.01 else ""
        rows.append(f"{name}{first}{row[first]:.1%}{guess}")
    assert "".join(rows) in said


@pytest.mark.parametrize("count", [3, 4])
def test_doubts_about_a_picture(capsys, count):
    readings = [Reading(IMAGES[0], 1), Reading(IMAGES[0], 3), Reading(IMAGES[0], is_lined=True)]
    names = ["a.png", "b.png", "c.png", "d.png"][:count]
    probabilities = np.full((count, 2), [0.25, 0.75])
    readings += [Reading(IMAGES[0])] * (count - 3)
    report.print_predictions(names, readings, probabilities, ["left", "right"])
    printed = capsys.readouterr().out
    assert "a.png may be misread: 1 more piece of ink beside it.\n" in printed
    assert "b.png may be misread: 3 more pieces of ink beside it.\n" in printed
    assert "c.png may be misread: lines as dark are joined to it.\n" in printed
    assert printed.count("misread") == 3
    assert printed.count("as it was understood") == (3 if count == 3 else 0)
    assert re.findall(r"^(\S+): right \(75.0%\)$", printed, re.M) == names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder.csv", "can't be written"),
        ("run/history.csv", "the run's own"),
        ("a.csv", "is to be read"),
        ("table.txt", "its name must end in one of .csv"),
    ],
)
def test_a_table_that_cannot_be_written(softmax_run, tmp_path, name, words):
    write_csv_images(tmp_path / "a.csv", IMAGES[:1])
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "run").symlink_to(softmax_run.folder)
    files = tmp_path / "a.csv", softmax_run.folder / "history.csv"
    before = [file.read_bytes() for file in files]
    done = run("predict", "--run", softmax_run.folder, "a.csv", "--csv", name, cwd=tmp_path)
    assert_refused(done, name, words)
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize("name", ["absent/a.png", "a.unknown", "a", "..", f"{'x' * 300}.png"])
def test_a_name_that_no_picture_can_have(tmp_path, name):
    with pytest.raises(UserError, match="The picture can't be saved as"):
        flags.check_file_name(tmp_path / name)
