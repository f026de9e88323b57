"""`predict` and what it makes of a person's own pictures."""

import dataclasses
import itertools
import os
import re
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from lowlevel_mnist import data, metrics
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.runs import folders
from lowlevel_mnist.sources import digits, foreground, image_style, pictures
from tests.helpers.commands import assert_refused, run, train
from tests.helpers.data import digit_arrays, real_folder, write_idx_folder
from tests.helpers.runs import change_settings, read_metrics


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
    read = [int(digit) for digit in re.findall(r"\.png: (\d) \([\d.]+%\)$", done.stdout, re.M)]
    model = folders.find(base / "runs" / "one").load_model()
    return np.mean(metrics.predict(model, images).argmax(axis=1) == read)


@pytest.mark.full
def test_200_built_in_digits_as_pictures(trained, tmp_path):
    assert agreement(trained, digits.generate(200, seed=8, part="test")[0], tmp_path) >= 0.95


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
def style():
    """That of built-in digits."""
    return image_style.learn(digits.generate(1000, seed=1)[0])


@pytest.fixture(scope="module")
def ink():
    """A digit's ink, 0..1, enlarged and off-centre in 200x150."""
    image = Image.fromarray(digits.generate(1, seed=5)[0][0]).resize((112, 112))
    canvas = np.zeros((150, 200))
    canvas[30:142, 10:122] = np.asarray(image) / 255
    return canvas


def on_paper(ink, paper, pen):
    """Returns a picture in colours that are mixed of the paper's and the pen's."""
    paper, pen = np.array(paper), np.array(pen)
    return Image.fromarray(np.uint8(paper + ink[..., None] * (pen - paper)))


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
    noise = np.random.default_rng(0).normal(0, 8, picture.size[::-1])[..., None]
    return Image.fromarray(np.uint8(np.clip(np.asarray(picture) + noise, 0, 255)))


def with_transparent_column(grey_levels):
    """Opaque white paper, but for its last column."""
    opaque = np.stack([grey_levels, np.full_like(grey_levels, 255)], axis=-1)
    opaque[:, -1, 1] = 0
    return Image.fromarray(opaque)


def under_light(ink, rightwards, downwards):
    """Paper on which the light falls by so many grey levels, and a thin blue pen."""
    y, x = np.mgrid[0 : 1 : ink.shape[0] * 1j, 0 : 1 : ink.shape[1] * 1j]
    paper = 170 + rightwards * (0.5 - x) + downwards * (0.5 - y)
    return Image.fromarray(np.uint8(paper * (1 - 0.6 * ink)))


def framed(grey_levels):
    picture = Image.fromarray(grey_levels)
    ImageDraw.Draw(picture).rectangle((2, 2, 197, 147), outline=0, width=3)
    return picture


def with_neighbour(grey_levels):
    """Beside the digit, a part of another one comes in from beyond the edge."""
    picture = Image.fromarray(grey_levels)
    ImageDraw.Draw(picture).ellipse((180, 40, 240, 110), outline=0, width=8)
    return picture


VARIANTS = {
    "white on black.png": lambda ink: Image.fromarray(np.uint8(255 * ink)),
    "black on white.png": lambda ink: Image.fromarray(np.uint8(255 - 255 * ink)),
    "blue on yellow.png": lambda ink: on_paper(ink, (255, 240, 170), (20, 30, 150)),
    "pale on grey.png": lambda ink: on_paper(ink, (90, 90, 95), (210, 215, 220)),
    "photo.jpg": lambda ink: on_paper(ink, (225, 220, 210), (50, 45, 60)),
    "two colours.gif": lambda ink: Image.fromarray(np.uint8(255 * (ink < 0.5))).convert("1"),
    "old.bmp": lambda ink: on_paper(ink, (255, 255, 255), (0, 0, 0)),
    "black on nothing.png": lambda ink: transparent(ink, (0, 0, 0)),
    "white on nothing.png": lambda ink: transparent(ink, (255, 255, 255)),
    "16 bit.png": lambda ink: Image.fromarray(np.uint16(65535 * ink)),
    "dim 16 bit.png": lambda ink: Image.fromarray(np.uint16(4095 * ink)),
    "grey on nothing.png": lambda ink: transparent(ink, (0, 0, 0)).convert("LA"),
    "palette.png": lambda ink: Image.fromarray(np.uint8(255 - 255 * ink)).convert("P"),
    "print.jpg": lambda ink: on_paper(ink, (255, 255, 255), (0, 0, 0)).convert("CMYK"),
    "large.png": lambda ink: Image.fromarray(np.uint8(255 * ink)).resize((2000, 1500)),
    "speck.png": lambda ink: Image.fromarray(np.uint8(255 - 255 * with_speck(ink))),
    "noise.png": lambda ink: with_noise(on_paper(ink, (200,) * 3, (30,) * 3)),
    "photo.webp": lambda ink: on_paper(ink, (225, 220, 210), (50, 45, 60)),
    **(
        {"photo.avif": lambda ink: VARIANTS["photo.webp"](ink)}
        if "AVIF" in pictures.FORMATS
        else {}
    ),
    "scan.tif": lambda ink: Image.fromarray(np.uint8(255 - 255 * ink)),
    "one transparent column.png": lambda ink: with_transparent_column(np.uint8(255 - 255 * ink)),
    "light from the left.png": lambda ink: under_light(ink, 100, 0),
    "light from above.png": lambda ink: under_light(ink, 0, 80),
    "dim light from a corner.png": lambda ink: under_light(ink, -60, -40),
    "frame.png": lambda ink: framed(np.uint8(255 - 255 * ink)),
    "cut off beside it.png": lambda ink: with_neighbour(np.uint8(255 - 255 * ink)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_any_colours_and_format_give_the_same_digit(ink, style, tmp_path, name):
    VARIANTS["white on black.png"](ink).save(tmp_path / "plain.png")
    VARIANTS[name](ink).save(tmp_path / name)
    plain, other = (
        pictures.read(tmp_path / file, style).image.astype(float) for file in ("plain.png", name)
    )
    # A box one pixel smaller, where two colours cut the faint ink off, may move the middle.
    shifts = itertools.product((-1, 0, 1), repeat=2)
    nearest = min(np.abs(plain - np.roll(other, shift, (0, 1))).mean() for shift in shifts)
    assert nearest < 0.25 * plain.mean()


THREE = [(150, 90), (220, 70), (255, 105), (200, 145), (260, 185), (225, 230), (145, 225)]
CORNERS = [(0, 0), (400, 0), (400, 300), (0, 300)]
ROWS = [[(0, at), (400, at)] for at in range(10, 300, 30)]
COLUMNS = [[(at, 0), (at, 300)] for at in range(10, 400, 30)]
BOX = [[(110, 40), (300, 40), (300, 270), (110, 270), (110, 40)]]
FRAME = [[(20, 20), (380, 20), (380, 280), (20, 280), (20, 20)]]


def wood():
    y, x = np.mgrid[0:600, 0:800]
    return Image.fromarray(np.uint8(120 + 30 * np.sin(x / 9 + 3 * np.sin(y / 90))))


@dataclasses.dataclass
class Photograph:
    """A three on a sheet that lies on a table. Lengths are in pixels, levels are grey.

    degrees, scale, shift: how the sheet lies in the picture, which it fills otherwise.
    light: by how much it falls across the sheet; shadow: the part of it that half of it lacks.
    lines, ink, line_width: what is printed on the sheet, how dark, and how wide.
    """

    table: int | Image.Image = 60
    pen: int = 50
    width: float = 4
    degrees: float = 5
    scale: float = 1
    shift: tuple[float, float] = (0, 0)
    light: float = 80
    shadow: float = 0
    lines: list = dataclasses.field(default_factory=list)
    ink: int = 130
    line_width: float = 1

    def in_picture(self, points):
        """The place of points on the sheet in a picture of 800 x 600 pixels."""
        along = self.scale * np.exp(1j * np.radians(self.degrees))
        placed = [along * complex(x - 200, y - 150) + complex(*self.shift) for x, y in points]
        return [(2 * z.real + 400, 2 * z.imag + 300) for z in placed]

    def stroke(self, draw, points, width, fill):
        draw.line(self.in_picture(points), fill, max(1, round(2 * self.scale * width)), "curve")

    def save(self, path):
        y, x = np.mgrid[0 : 1 : 600 * 1j, 0 : 1 : 800 * 1j]
        paper = (220 - self.light * (x + y) / 2) * np.where(x + y > 0.9, 1 - self.shadow, 1)
        sheet = Image.fromarray(np.uint8(paper))
        draw = ImageDraw.Draw(sheet)
        for line in self.lines:
            self.stroke(draw, line, self.line_width, self.ink)
        self.stroke(draw, THREE, self.width, self.pen)
        shape = Image.new("L", sheet.size)
        ImageDraw.Draw(shape).polygon(self.in_picture(CORNERS), 255)
        picture = Image.composite(sheet, Image.new("L", sheet.size), shape)
        picture.paste(self.table, (0, 0), Image.eval(shape, lambda level: 255 - level))
        noise = np.random.default_rng(0).normal(0, 5, (600, 800))
        picture = np.asarray(picture.filter(ImageFilter.GaussianBlur(1))) + noise
        Image.fromarray(np.uint8(picture.clip(0, 255))).save(path, quality=82)

    def save_three(self, path):
        """Nothing but what the pen has drawn."""
        picture = Image.new("L", (800, 600), 255)
        self.stroke(ImageDraw.Draw(picture), THREE, self.width, 0)
        picture.save(path)


PHOTOGRAPHS = {
    "a dark table": Photograph(),
    "a black table and a thick pen": Photograph(table=15, pen=25, width=12, degrees=-12),
    "a light table": Photograph(table=145),
    "a white table": Photograph(table=250, degrees=-4),
    "wood": Photograph(table=wood(), degrees=9),
    "a pencil": Photograph(table=20, pen=110, width=2.5),
    "one edge": Photograph(scale=1.2, shift=(0, 25), degrees=3),
    "two edges": Photograph(scale=1.1, shift=(40, -30), degrees=14),
    "a shadow": Photograph(shadow=0.15),
    "a small sheet on a dark table": Photograph(scale=0.5, shift=(40, 20), degrees=11),
    "a small sheet on a light table": Photograph(table=160, scale=0.5, degrees=-8),
    "a small sheet on a white table": Photograph(table=250, scale=0.6, light=30),
    "a small sheet on wood": Photograph(table=wood(), scale=0.5, degrees=6),
    "ruled": Photograph(lines=ROWS, table=145),
    "graph paper": Photograph(lines=ROWS + COLUMNS, degrees=3),
    "graph paper without a table": Photograph(lines=ROWS + COLUMNS, degrees=1, scale=1.3, ink=90),
    "a box": Photograph(lines=BOX, ink=60),
    "a thick dark frame": Photograph(lines=FRAME, ink=20, line_width=12, degrees=2, scale=0.9),
}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_sheet_on_a_table(style, tmp_path, name):
    """What is seen is the digit, as if nothing else were in the picture."""
    PHOTOGRAPHS[name].save(tmp_path / "photo.jpg")
    PHOTOGRAPHS[name].save_three(tmp_path / "three.png")
    seen, three = (
        pictures.read(tmp_path / file, style).image.astype(float)
        for file in ("photo.jpg", "three.png")
    )
    # Noise may move a digit's middle by a part of a pixel, and it then by a whole one.
    shifts = itertools.product((-1, 0, 1), repeat=2)
    shifted = [np.roll(seen, shift, (0, 1)).ravel() for shift in shifts]
    assert max(np.corrcoef(image, three.ravel())[0, 1] for image in shifted) > 0.9


@pytest.mark.parametrize("table", [15, 60, 145])
def test_a_blank_sheet_on_a_table_is_no_digit(style, tmp_path, table):
    Photograph(table=table, pen=220, light=0, degrees=3).save(tmp_path / "blank.jpg")
    with pytest.raises(UserError, match="no digit to see"):
        pictures.read(tmp_path / "blank.jpg", style)


def test_lines_darker_than_the_pen(style, tmp_path):
    """They are told of, where the digit can hardly be taken out of them."""
    for ink, is_lined in (20, True), (150, False):
        photograph = Photograph(lines=ROWS + COLUMNS, ink=ink, pen=70, scale=1.3, degrees=1)
        photograph.save(tmp_path / "photo.jpg")
        assert pictures.read(tmp_path / "photo.jpg", style).is_lined == is_lined


def test_a_digit_that_reaches_the_edge(style, tmp_path):
    """Cut out to the pixel, it touches all four; the hole in it is not the digit."""
    ring = Image.new("L", (60, 90), 255)
    ImageDraw.Draw(ring).ellipse((0, 0, 59, 89), outline=0, width=12)
    ring.save(tmp_path / "cut.png")
    ImageOps.expand(ring, 30, 255).save(tmp_path / "whole.png")
    cut, whole = (pictures.read(tmp_path / f"{name}.png", style).image for name in ("cut", "whole"))
    assert np.abs(cut.astype(float) - whole).mean() < 2


def test_what_a_spiral_of_walls_keeps_in():
    """Water runs off through a spiral, and stays where it is closed."""
    ground = np.full((41, 41), 200, np.uint8)
    for ring in range(1, 20, 2):
        ground[ring : 41 - ring, ring : 41 - ring] = 50 if ring % 4 == 1 else 200
    ground[20, :30] = 50
    closed = foreground.fill(ground)
    assert closed[20, 20] == 50
    ground[20, 0] = 120
    assert foreground.fill(ground)[20, 20] == 120


def test_a_photo_is_turned_as_its_camera_says(ink, style, tmp_path):
    upright = VARIANTS["photo.jpg"](ink)
    upright.save(tmp_path / "upright.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: a quarter turn clockwise puts it right
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    upright, turned = (
        pictures.read(tmp_path / f"{name}.jpg", style).image for name in ("upright", "turned")
    )
    assert np.abs(upright.astype(float) - turned).mean() < 0.1 * upright.mean()


@pytest.mark.parametrize("name", ["$\\foo$.png", "字.png", b"bad\xff.png", "a" * 90 + ".png"])
def test_any_file_name(trained, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    saved_picture(digits.generate(1, seed=3)[0][0], path, np.random.default_rng(0))
    done = run("predict", path, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    assert "learnt on custom data" in done.stdout


def test_a_picture_is_brought_to_mnist_s_style(ink, style, tmp_path):
    VARIANTS["black on white.png"](ink).save(tmp_path / "a.png")
    image = pictures.read(tmp_path / "a.png", style).image
    assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = (image.sum(axis=1 - axis) @ np.arange(28)) / image.sum(dtype=float)
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
        ("folder", "no picture in the folder"),
        ("empty", "no picture in PNG"),
        ("text", "no picture in PNG"),
        ("cut", "can't be read"),
        ("photoshop", "no picture in PNG"),
        ("iphone", "pip install pillow-heif"),
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
        path.write_text("a seven", encoding="utf-8")
    elif kind == "cut":
        VARIANTS["black on white.png"](ink).save(path)
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "photoshop":
        path.write_bytes(b"8BPS" + bytes(100))
    elif kind == "iphone":
        path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    elif kind == "no pixels":
        VARIANTS["old.bmp"](ink).save(path, format="BMP")
        content = bytearray(path.read_bytes())
        content[18:26] = bytes(8)
        path.write_bytes(content)
    elif kind == "enormous":
        huge_png(path)
    elif kind == "one colour":
        Image.new("RGB", (50, 50), (120, 80, 30)).save(path)
    elif kind == "all transparent":
        Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(path)
    assert_pictures_refused(tmp_path, trained, path, word=word)


def test_the_pictures_that_can_be_read_are_read(trained, tmp_path):
    """A folder's, those of other names not, and each that can't be read is named at the end."""
    (tmp_path / "all").mkdir()
    for number, image in enumerate(digits.generate(2, seed=3)[0]):
        saved_picture(image, tmp_path / "all" / f"{number}.png", np.random.default_rng(number))
    for name in ("notes.txt", "._0.png"):  # as macOS puts one beside each file
        (tmp_path / "all" / name).write_text("a seven", encoding="utf-8")
    (tmp_path / "all" / "broken.png").write_text("a seven", encoding="utf-8")
    flags = ["--run", trained / "runs" / "one", "--save", "sheet.pdf"]
    done = run("predict", *flags, "all", "missing.jpg", cwd=tmp_path)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert "all/broken.png is no picture" in first
    assert "missing.jpg can't be read: No such file" in second
    read = re.findall(r"^(\S+): \d \(", done.stdout, re.M)
    assert read == ["all/0.png", "all/1.png"]
    assert done.stdout.endswith("Saved in sheet.pdf\n")
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF")


def test_two_digits_in_a_picture(trained, ink, tmp_path):
    """The larger one is read, and the other one is mentioned."""
    small = np.asarray(Image.fromarray(np.uint8(255 * ink[30:142, 10:122])).resize((80, 80)))
    both = np.uint8(255 * ink)
    both[40:120, 118:198] = np.maximum(both[40:120, 118:198], small)
    Image.fromarray(255 - both).save(tmp_path / "both.png")
    VARIANTS["black on white.png"](ink).save(tmp_path / "one.png")
    done = run("predict", "--run", trained / "runs" / "one", "both.png", "one.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("both.png may be misread: 1 more piece of ink beside it") == 1
    predicted = re.findall(r"^\S+: (\d) \(", done.stdout, re.M)
    assert predicted[0] == predicted[1]


@pytest.mark.parametrize("width", [1, 2])
def test_a_thin_pen_s_lines_become_as_wide_as_the_images(style, tmp_path, width):
    picture = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(picture).line([(20, 10), (45, 10), (25, 55)], fill=0, width=width)
    picture.save(tmp_path / "seven.png")
    image = pictures.read(tmp_path / "seven.png", style).image
    assert image_style.stroke_width(image / 255) == pytest.approx(style.stroke_widths[1], rel=0.25)


@pytest.mark.parametrize("width", [20, 26])
def test_a_thick_pen_s_lines_become_thinner(style, tmp_path, width):
    """What is seen is nearly as with a pen that is as wide as the images' lines."""
    seen = []
    for own in (width, 6):
        picture = Image.new("L", (120, 120), 255)
        path = [(30, 30), (85, 30), (45, 100)]
        ImageDraw.Draw(picture).line(path, fill=0, width=own, joint="curve")
        picture.save(tmp_path / "seven.png")
        seen.append(pictures.read(tmp_path / "seven.png", style).image.astype(float))
    assert image_style.stroke_width(seen[0] / 255) < 1.45 * style.stroke_widths[1]
    assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] > 0.7


@pytest.mark.parametrize("size", [(40, 12), (12, 40), (32, 6)])
@pytest.mark.parametrize("end", [(45, 10), (45, 55)])
def test_narrow_images_have_room_for_widened_lines(style, tmp_path, size, end):
    picture = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(picture).line([(20, 10), end, (25, 55)], fill=0)
    picture.save(tmp_path / "seven.png")
    narrow = dataclasses.replace(style, size=size, centre=(size[0] / 2, size[1] / 2))
    image = pictures.read(tmp_path / "seven.png", narrow).image
    assert (image.shape, image.max()) == (size, 255)


def test_the_width_of_a_line():
    """Of a ring, of known area and outline, as wide as said."""
    y, x = np.mgrid[-50:50, -50:50]
    for width in (2, 3.5, 8):
        distance = np.abs(np.hypot(x, y) - 30)
        ring = np.clip(width / 2 + 0.5 - distance, 0, 1)
        assert image_style.stroke_width(ring) == pytest.approx(width, rel=0.05)


def test_nothing_is_left_where_the_light_is_flattened(trained, tmp_path):
    light = np.tile(np.linspace(60, 200, 90), (70, 1))
    Image.fromarray(np.uint8(light)).save(tmp_path / "a.png")
    assert_pictures_refused(tmp_path, trained, tmp_path / "a.png", word="only one colour")


def shape_arrays(size, count):
    """Grey things that fill their images, as Fashion-MNIST's do: discs, boxes, wedges, crosses."""
    generator = np.random.default_rng(size + count)
    images, labels = np.zeros((count, size, size), np.uint8), np.arange(count, dtype=np.uint8) % 4
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    for image, label in zip(images, labels, strict=True):
        u = x / generator.uniform(0.5, 1)  # more or less narrow
        inside = (
            np.hypot(u, y) <= 1,
            np.abs(u) <= 1,
            np.abs(u) <= (1 + y) / 2,
            (np.abs(u) <= 0.4) | ((np.abs(y) <= 0.4) & (np.abs(u) <= 1)),
        )[label]
        cloth = generator.integers(90, 180) + 40 * np.sin(generator.uniform(3, 9) * y)
        image[:] = np.where(inside, cloth + generator.normal(0, 8, image.shape), 0)
    return images, labels


AS_FILES = {
    "as they are": lambda image: Image.fromarray(image),
    "enlarged": lambda image: Image.fromarray(image).resize(np.multiply(10, image.shape)),
    "inverted": lambda image: Image.fromarray(255 - image),
    "enlarged and inverted": lambda image: AS_FILES["enlarged"](255 - image),
    "on larger paper": lambda image: on_larger_paper(image),
}


def on_larger_paper(image):
    """Cut out, twice as large, dark on light, off-centre."""
    side = 2 * max(image.shape)
    canvas = Image.new("L", (2 * side, side + 40), 255)
    canvas.paste(
        Image.fromarray(255 - image).resize((side, side), Image.Resampling.BICUBIC), (9, 31)
    )
    return canvas


def predict_files(run_folder, images, as_file, folder):
    """Returns the classes that `predict` prints for images that were saved as files."""
    (folder / "files").mkdir()
    for number, image in enumerate(images):
        as_file(image).save(folder / "files" / f"{number:03}.png")
    done = run("predict", "--run", run_folder, "files", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    names = read_metrics(run_folder)["class_names"]
    predicted = re.findall(r"\.png: (.+) \([\d.]+%\)$", done.stdout, re.M)
    return [names.index(name) for name in predicted]


@pytest.fixture(scope="module", params=[28, pytest.param(50, marks=pytest.mark.full)])
def trained_on_things(request, tmp_path_factory):
    """(run folder, test images) of a run on `shape_arrays`."""
    base = tmp_path_factory.mktemp("things")
    training, test = shape_arrays(request.param, 1000), shape_arrays(request.param, 100)
    data_folder = write_idx_folder(base / "data", (*training, *test))
    flags = ["--hidden-units", 32, "--epochs", 3, "--no-plots", "--output-dir", base / "run"]
    train(data_folder, *flags, cwd=base)
    return base / "run", test[0]


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.full) for name in list(AS_FILES)[:3]),
        *list(AS_FILES)[3:],
    ],
)
def test_a_run_that_did_not_learn_digits(trained_on_things, tmp_path, name):
    """Its images, as pictures, are read as the images themselves."""
    folder, images = trained_on_things
    model = folders.find(folder).load_model()
    expected = metrics.predict(model, images).argmax(axis=1)
    predicted = predict_files(folder, images, AS_FILES[name], tmp_path)
    assert np.mean(predicted == expected) >= (0.95 if name == "on larger paper" else 0.99)


@pytest.mark.full
@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("name", ["as they are", "enlarged and inverted"])
def test_the_real_data_sets_images_as_files(real_runs, tmp_path, dataset, name):
    folder, images, labels = real_runs[dataset]
    predicted = predict_files(folder, images, AS_FILES[name], tmp_path)
    expected = metrics.predict(folders.find(folder).load_model(), images).argmax(axis=1)
    assert abs(np.mean(predicted == labels) - np.mean(expected == labels)) <= 0.01


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory):
    """By data set: (folder of a run on it, 400 test images, their labels)."""
    base, runs = tmp_path_factory.mktemp("real"), {}
    for dataset in ("mnist", "fashion_mnist"):
        found = data.load(dataset, real_folder(dataset))
        flags = ["--recipe", "mlp-128-dropout", "--dataset", dataset, "--epochs", 1, "--no-plots"]
        train(real_folder(dataset), *flags, "--output-dir", base / dataset, cwd=base)
        runs[dataset] = base / dataset, found.test_images[:400], found.test_labels[:400]
    return runs


@pytest.mark.parametrize(
    "changes",
    [
        {"box_side": 0},
        {"box_side": float("nan")},
        {"size": [28]},
        {"background": 300},
        {"stroke_widths": [1]},
        None,
    ],
)
def test_a_damaged_style(trained, tmp_path, changes):
    folder = shutil.copytree(trained / "runs" / "one", tmp_path / "run")
    style = read_metrics(folder)["image_style"] | changes if changes else []
    change_settings(folder, image_style=style)
    done = run("predict", "--run", "run", "any.png", cwd=tmp_path)
    wrong = "its image_style is missing or wrong"
    assert_refused(done, f"run/settings.json is not that of a run: {wrong}.")


def test_the_style_of_built_in_digits_is_mnist_s(style):
    assert (style.size, style.background, style.box_side, style.by_mass) == ((28, 28), 0, 20, True)


def test_the_style_of_mnist(mnist_folder):
    learnt = image_style.learn(data.load("mnist", mnist_folder).train_images)
    assert dataclasses.astuple(learnt)[:4] == ((28, 28), 0, 20, True)
    assert learnt.stroke_widths == pytest.approx((1.2, 2.4), abs=0.2)


def test_images_without_background_are_taken_whole(tmp_path):
    """Of a picture that is too wide, the middle."""
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
    learnt = image_style.learn(noise)
    assert learnt.background is None
    large = np.kron(noise[0], np.ones((10, 10), np.uint8))
    wide = np.hstack([np.zeros((80, 30), np.uint8), large, np.zeros((80, 30), np.uint8)])
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = pictures.read(tmp_path / "wide.png", learnt).image
    assert np.abs(image.astype(float) - noise[0]).max() <= 1
