"""`predict` on many images: the table on a terminal, a line each in a pipe, the CSV file."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from lowlevel_mnist import metrics
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits, pictures
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import digit_arrays, idx_bytes, write_idx_folder
from tests.helpers.runs import change_settings
from tests.helpers.terminal import Terminal

IMAGES, _ = digits.generate(405, seed=3, part="test")
LINE = re.compile(r"^(.+): (\d) \([\d.]+ ?%\)$", re.M)  # what programs look for


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a run of softmax on built-in digits."""
    base = tmp_path_factory.mktemp("base")
    folder = write_idx_folder(base / "data", digit_arrays())
    train(folder, "--epochs", 3, "--no-plots", "--output-dir", "run", cwd=base)
    return base


@pytest.fixture(scope="module")
def answers(base):
    """What the network says of IMAGES."""
    return metrics.predict(folders.find(base / "run").load_model(), IMAGES)


def save_pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, IMAGES, strict=False):
        Image.fromarray(image).save(folder / name)


def predict(base, *arguments, cwd):
    done = run("predict", "--run", base / "run", "--save", cwd / "s.png", *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_a_line_each_in_a_pipe(base, answers, tmp_path):
    """A few, of which there is more, and many: 28 or 405."""
    save_pictures(tmp_path / "many", [f"{number}.png" for number in range(28)])
    few = LINE.findall(predict(base, *[f"many/{number}.png" for number in range(3)], cwd=tmp_path))
    many = LINE.findall(predict(base, "many", cwd=tmp_path))
    expected = [(f"many/{n}.png", str(said)) for n, said in enumerate(answers.argmax(1)[:28])]
    assert few == expected[:3]
    assert many == expected


def test_a_folder_with_folders_in_natural_order(tmp_path):
    """Without what is hidden, or a link that leads back; stable, whatever the file system says."""
    names = ["10.png", "2.png", "1.JPG"]
    for folder in (".", "b10", "b9/c", ".ipynb_checkpoints", "__MACOSX"):
        save_pictures(tmp_path / folder, ["._1.png"] if folder == "__MACOSX" else names)
    (tmp_path / "b9" / "back").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in pictures.find(tmp_path)]
    plain = ["1.JPG", "2.png", "10.png"]
    assert found == [*plain, *(f"b9/c/{n}" for n in plain), *(f"b10/{n}" for n in plain)]


def test_the_csv_of_pictures(base, answers, tmp_path):
    """Numbers as the network gave them, and names as they are."""
    names = ["10.png", "=1+1.png", 'a,b\n"c".png', "나.png", "@x/-y.png"]
    save_pictures(tmp_path / "@x", [])
    save_pictures(tmp_path, names)
    predict(base, *names, "--csv", "table.csv", cwd=tmp_path)
    header, *rows = read_csv(tmp_path / "table.csv")
    assert header == ["image", "class", *"0123456789"]
    assert [row[0] for row in rows] == [names[0], "./=1+1.png", *names[2:4], "./@x/-y.png"]
    np.testing.assert_array_equal(np.float32([row[2:] for row in rows]), answers[:5])
    assert [int(row[1]) for row in rows] == answers[:5].argmax(1).tolist()
    assert all((tmp_path / row[0]).exists() for row in rows)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"@x", "s.png", "table.csv", *names[:4]}


def test_the_csv_is_plain_where_it_can_be(base, tmp_path):
    """Excel needs a mark before UTF-8, and some other programs want none."""
    save_pictures(tmp_path, ["a.png", "나.png"])
    starts = []
    for name in ("a.png", "나.png"):
        predict(base, name, "--csv", "table.csv", cwd=tmp_path)
        starts.append((tmp_path / "table.csv").read_bytes()[:3])
    assert starts == [b"ima", b"\xef\xbb\xbf"]


def write_csv_images(path, images, labels=None):
    rows = images.reshape(len(images), -1)
    rows = rows if labels is None else np.hstack([labels[:, None], rows])
    header = [f"pixel{number}" for number in range(images[0].size)]
    text = ",".join(header if labels is None else ["label", *header])
    np.savetxt(path, rows, "%d", ",", header=text, comments="")
    return path


def test_images_of_a_data_file_are_read_as_they_are(base, answers, tmp_path):
    """More than fit on the sheet; their numbers begin with 1, as Kaggle's; labels are ignored."""
    write_csv_images(tmp_path / "test.csv", IMAGES)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES))
    write_csv_images(tmp_path / "labelled.csv", IMAGES[:4], np.arange(4))
    for file, count in (("test.csv", 405), ("t10k-images-idx3-ubyte", 405), ("labelled.csv", 4)):
        printed = predict(base, file, "--csv", "table.csv", cwd=tmp_path)
        rows = read_csv(tmp_path / "table.csv")[1:]
        assert [row[0] for row in rows] == [str(number) for number in range(1, count + 1)]
        np.testing.assert_array_equal(np.float32([row[2:] for row in rows]), answers[:count])
        assert [row[:2] for row in rows] == [list(found) for found in LINE.findall(printed)]
        assert ("s.png: the first 400 of 405\n" in printed) == (count > 400)

    np.save(tmp_path / "X_test.npy", IMAGES[:5, ..., None])
    transposed = IMAGES[:5].swapaxes(1, 2)
    (tmp_path / "emnist-digits-test-images-idx3-ubyte").write_bytes(idx_bytes(transposed))
    for file in ("X_test.npy", "emnist-digits-test-images-idx3-ubyte"):
        printed = predict(base, file, cwd=tmp_path)
        said = [int(label) for _, label in LINE.findall(printed)]
        assert said == answers[:5].argmax(1).tolist()

    save_pictures(tmp_path, ["a.png"])
    printed = predict(base, "a.png", "labelled.csv", cwd=tmp_path)
    names = [name for name, _ in LINE.findall(printed)]
    assert names == ["a.png", *(f"labelled.csv:{number}" for number in range(1, 5))]


def test_an_inverted_run_inverts_images_of_a_data_file(base, answers, tmp_path):
    write_csv_images(tmp_path / "test.csv", 255 - IMAGES[:5])
    (tmp_path / "run").mkdir()
    for path in (base / "run").iterdir():
        if path.name != "settings.json":
            (tmp_path / "run" / path.name).symlink_to(path)
    (tmp_path / "run" / "settings.json").write_bytes((base / "run" / "settings.json").read_bytes())
    change_settings(tmp_path / "run", invert=True)
    printed = predict(tmp_path, "test.csv", cwd=tmp_path)
    said = [int(label) for _, label in LINE.findall(printed)]
    assert said == answers[:5].argmax(1).tolist()


def test_images_of_another_size(base, tmp_path):
    write_csv_images(tmp_path / "test.csv", IMAGES[:2, :20, :20])
    done = run("predict", "--run", base / "run", "test.csv", cwd=tmp_path)
    assert_refused(done, "28x28 pixels", "test.csv have 20x20.")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("table.txt", "its name must end in one of .csv"),
        ("absent/table.csv", "there is no folder absent"),
        ("folder.csv", "can't be written"),
        ("run/history.csv", "the run's own"),
        ("a.csv", "is to be read"),
    ],
)
def test_a_table_that_cannot_be_written(base, tmp_path, name, words):
    write_csv_images(tmp_path / "a.csv", IMAGES[:1])
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "run").symlink_to(base / "run")
    files = tmp_path / "a.csv", base / "run" / "history.csv"
    before = [file.read_bytes() for file in files]
    done = run("predict", "--run", base / "run", "a.csv", "--csv", name, cwd=tmp_path)
    assert_refused(done, name, words)
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize("columns", [34, 80])
def test_a_table_on_a_terminal_for_more_than_three(base, answers, tmp_path, columns):
    """A row each, with a second guess that is not far off; on a narrow one, below the name."""
    names = [f"나{number}.png" for number in range(4)]
    save_pictures(tmp_path, names)
    flags = ["--run", base / "run", "--save", "s.png"]
    code, lines = Terminal(columns).run("predict", *flags, *names, cwd=tmp_path)
    assert code == 0
    said = re.sub(r"[\s,]|prediction|probability|nextguess|next guess", "", "\n".join(lines))
    rows = []
    for name, row in zip(names, answers, strict=False):
        first, second = np.argsort(-row)[:2]
        guess = f"{second}{row[second]:.1%}" if row[second] > 0.01 else "-"
        rows.append(f"{name}{first}{row[first]:.1%}{guess}")
    assert "".join(rows).replace("-", "") in said.replace("-", "")

    code, lines = Terminal(columns).run("predict", *flags, *names[:3], cwd=tmp_path)
    assert " ".join(lines).count("as it was understood") == 3


def test_a_table_on_a_terminal_ends_where_the_sheet_does(base, tmp_path):
    write_csv_images(tmp_path / "test.csv", IMAGES)
    flags = ["--run", base / "run", "--save", "s.png"]
    code, lines = Terminal(80).run("predict", *flags, "test.csv", cwd=tmp_path)
    assert code == 0
    assert len([line for line in lines if re.match(r"\d+ +\d +[\d.]+%", line)]) == 400
    assert "These are the first 400 of 405; --csv makes a table of all." in lines


def test_pieces_that_were_not_read_are_counted_in_english(base, tmp_path):
    two, four = (Image.new("L", (200 * count, 200), 255) for count in (2, 4))
    for picture, count in ((two, 2), (four, 4)):
        for number, image in enumerate(IMAGES[:count]):
            size = 150 - 10 * number
            digit = Image.fromarray(255 - image).resize((size, size))
            picture.paste(digit, (200 * number + 20, 25))
        picture.save(tmp_path / f"{count}.png")
    for others in ([], ["2.png"] * 3):
        printed = predict(base, "2.png", "4.png", *others, cwd=tmp_path)
        assert "2.png may be misread: 1 more piece of ink beside it.\n" in printed
        assert "4.png may be misread: 3 more pieces of ink beside it.\n" in printed
        assert len(LINE.findall(printed)) == 2 + len(others)
