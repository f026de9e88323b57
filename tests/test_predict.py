"""`predict` and what it makes of a person's own pictures."""

import itertools
import os
import re
import zlib

import numpy as np
import pytest
from commands import run, train
from conftest import assert_refused, digit_arrays, write_idx_folder
from PIL import Image

from lowlevel_mnist import data, metrics
from lowlevel_mnist.runs import checkpoints, folders
from lowlevel_mnist.sources import digits, pictures


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run of mlp-128-dropout on 6,000 built-in digits."""
    base = tmp_path_factory.mktemp("trained")
    folder = write_idx_folder(base / "data", digit_arrays(train=6000))
    flags = ["--recipe", "mlp-128-dropout", "--epochs", 3, "--no-plots"]
    train(folder, *flags, "--output-dir", "runs/one", cwd=base)
    return base


def saved_picture(image, path, generator):
    """An image as a person might send it: enlarged, dark on light, off-centre on a canvas."""
    canvas = np.full((260, 320), 255, np.uint8)
    top, left = generator.integers(0, 120), generator.integers(0, 180)
    enlarged = Image.fromarray(image).resize((140, 140), Image.Resampling.BICUBIC)
    canvas[top : top + 140, left : left + 140] = 255 - np.asarray(enlarged)
    Image.fromarray(canvas).save(path)
    return path


def agreement(base, images, tmp_path):
    """The part of the images whose saved picture is read as the image itself."""
    generator = np.random.default_rng(0)
    paths = [
        saved_picture(image, tmp_path / f"{number}.png", generator)
        for number, image in enumerate(images)
    ]
    done = run("predict", "--run", base / "runs" / "one", *paths, cwd=tmp_path)
    assert done.returncode == 0
    said = [int(digit) for digit in re.findall(r"\.png: (\d) \([\d.]+%\)$", done.stdout, re.M)]
    model = checkpoints.load_model(folders.find(base / "runs" / "one"))
    return np.mean(metrics.predict(model, images).argmax(axis=1) == said)


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.full)])
def test_built_in_digits_as_pictures(trained, tmp_path, count):
    assert agreement(trained, digits.generate(count, seed=8, part="test")[0], tmp_path) >= 0.95


@pytest.mark.full
def test_200_digits_of_mnist_as_pictures(trained, mnist_folder, tmp_path):
    images = data.load("mnist", mnist_folder).test_images[:200]
    assert agreement(trained, images, tmp_path) >= 0.95


def test_what_is_printed_and_drawn(trained, tmp_path):
    image = digits.generate(1, seed=3)[0][0]
    path = saved_picture(image, tmp_path / "mine.png", np.random.default_rng(0))
    done = run("predict", path, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    shown = lines[3:31]
    assert all(len(line) <= 56 for line in shown)
    assert any("@" in line for line in shown)
    table = [re.match(r"(\d) +([\d.]+)%", line) for line in lines[31:41]]
    assert [row[1] for row in table] == list("0123456789")
    assert sum(float(row[2]) for row in table) == pytest.approx(100, abs=0.5)
    assert lines[-1] == "Saved in runs/one/predictions.png"
    picture = trained / "runs" / "one" / "predictions.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def ink():
    """A digit's ink, 0..1, enlarged and off-centre in 200x150."""
    image = Image.fromarray(digits.generate(1, seed=5)[0][0]).resize((112, 112))
    canvas = np.zeros((150, 200))
    canvas[30:142, 10:122] = np.asarray(image) / 255
    return canvas


def on_paper(ink, paper, pen):
    """Colours mixed from paper and pen, `uint8` [height, width, 3]."""
    paper, pen = np.array(paper), np.array(pen)
    return np.uint8(paper + ink[..., None] * (pen - paper))


def transparent(ink, pen):
    opaque = np.zeros((*ink.shape, 4), np.uint8)
    opaque[..., :3] = pen
    opaque[..., 3] = np.uint8(255 * ink)
    return Image.fromarray(opaque)


def with_speck(ink):
    ink = ink.copy()
    ink[-1, -1] = 1
    return ink


def with_noise(picture):
    noise = np.random.default_rng(0).normal(0, 8, picture.shape[:2])[..., None]
    return np.uint8(np.clip(picture + noise, 0, 255))


FORMS = {
    "white on black.png": lambda ink: Image.fromarray(np.uint8(255 * ink)),
    "black on white.png": lambda ink: Image.fromarray(np.uint8(255 - 255 * ink)),
    "blue on yellow.png": lambda ink: Image.fromarray(
        on_paper(ink, (255, 240, 170), (20, 30, 150))
    ),
    "pale on grey.png": lambda ink: Image.fromarray(on_paper(ink, (90, 90, 95), (210, 215, 220))),
    "photo.jpg": lambda ink: Image.fromarray(on_paper(ink, (225, 220, 210), (50, 45, 60))),
    "two colours.gif": lambda ink: Image.fromarray(np.uint8(255 * (ink < 0.5))).convert("1"),
    "old.bmp": lambda ink: Image.fromarray(on_paper(ink, (255, 255, 255), (0, 0, 0))),
    "black on nothing.png": lambda ink: transparent(ink, (0, 0, 0)),
    "white on nothing.png": lambda ink: transparent(ink, (255, 255, 255)),
    "16 bit.png": lambda ink: Image.fromarray(np.uint16(65535 * ink)),
    "dim 16 bit.png": lambda ink: Image.fromarray(np.uint16(4095 * ink)),
    "grey on nothing.png": lambda ink: transparent(ink, (0, 0, 0)).convert("LA"),
    "palette.png": lambda ink: Image.fromarray(np.uint8(255 - 255 * ink)).convert("P"),
    "print.jpg": lambda ink: Image.fromarray(on_paper(ink, (255, 255, 255), (0, 0, 0))).convert(
        "CMYK"
    ),
    "large.png": lambda ink: Image.fromarray(np.uint8(255 * ink)).resize((2000, 1500)),
    "speck.png": lambda ink: Image.fromarray(np.uint8(255 - 255 * with_speck(ink))),
    "noise.png": lambda ink: Image.fromarray(with_noise(on_paper(ink, (200,) * 3, (30,) * 3))),
}


@pytest.mark.parametrize("name", FORMS)
def test_any_colours_and_format_give_the_same_digit(ink, tmp_path, name):
    FORMS["white on black.png"](ink).save(tmp_path / "plain.png")
    FORMS[name](ink).save(tmp_path / name)
    plain, other = (pictures.read(tmp_path / file).astype(float) for file in ("plain.png", name))
    # A box one pixel smaller, where two colours cut the faint ink off, may move the middle.
    shifts = itertools.product((-1, 0, 1), repeat=2)
    nearest = min(np.abs(plain - np.roll(other, shift, (0, 1))).mean() for shift in shifts)
    assert nearest < 0.25 * plain.mean()


def test_a_photo_is_turned_as_its_camera_says(ink, tmp_path):
    upright = FORMS["photo.jpg"](ink)
    upright.save(tmp_path / "upright.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: a quarter turn clockwise puts it right
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    upright, turned = (pictures.read(tmp_path / f"{name}.jpg") for name in ("upright", "turned"))
    assert np.abs(upright.astype(float) - turned).mean() < 0.1 * upright.mean()


@pytest.mark.parametrize("name", ["$\\foo$.png", "字.png", b"bad\xff.png", "a" * 90 + ".png"])
def test_any_file_name(trained, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    saved_picture(digits.generate(1, seed=3)[0][0], path, np.random.default_rng(0))
    done = run("predict", path, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    assert "learnt on custom data" in done.stdout


def test_a_picture_is_brought_to_mnist_s_form(ink, tmp_path):
    FORMS["black on white.png"](ink).save(tmp_path / "a.png")
    image = pictures.read(tmp_path / "a.png")
    assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    mass = image.sum(dtype=float)
    for axis in (0, 1):
        centre = (image.sum(axis=1 - axis) @ np.arange(28)) / mass
        assert abs(centre - 14) <= 0.51


def assert_pictures_refused(tmp_path, base, *paths, word):
    before = sorted((base / "runs" / "one").iterdir())
    done = run("predict", "--run", base / "runs" / "one", *paths, cwd=tmp_path)
    assert_refused(done, word)
    assert sorted((base / "runs" / "one").iterdir()) == before


def huge_png(path):
    """A valid PNG header of 60,000 x 60,000 pixels, and nothing else."""
    Image.new("L", (1, 1)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "No such file"),
        ("folder", "directory"),
        ("empty", "no picture in PNG"),
        ("text", "no picture in PNG"),
        ("cut", "can't be read"),
        ("webp", "no picture in PNG"),
        ("no pixels", "bad.png"),
        ("enormous", "large"),
        ("one colour", "only one colour"),
        ("all transparent", "only one colour"),
    ],
)
def test_a_bad_picture(trained, tmp_path, ink, kind, word):
    path = tmp_path / "bad.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("a seven")
    elif kind == "cut":
        FORMS["black on white.png"](ink).save(path)
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "webp":
        FORMS["black on white.png"](ink).save(path, format="WEBP")
    elif kind == "no pixels":
        FORMS["old.bmp"](ink).save(path, format="BMP")
        content = bytearray(path.read_bytes())
        content[18:26] = bytes(8)
        path.write_bytes(content)
    elif kind == "enormous":
        huge_png(path)
    elif kind == "one colour":
        Image.new("RGB", (50, 50), (120, 80, 30)).save(path)
    elif kind == "all transparent":
        Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(path)
    good = saved_picture(
        digits.generate(1, seed=3)[0][0], tmp_path / "ok.png", np.random.default_rng(0)
    )
    assert_pictures_refused(tmp_path, trained, good, path, word=word)


def test_a_run_on_images_of_another_size(small_folder, tmp_path):
    train(small_folder, "--output-dir", "small", "--no-plots", cwd=tmp_path)
    done = run("predict", "--run", "small", "any.png", cwd=tmp_path)
    assert_refused(done, "28x28")
