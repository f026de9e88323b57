"""A person's own pictures: what is seen of them, and that it has the style of the images."""

import dataclasses
import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from lowlevel_mnist import data
from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import digits, foreground, image_style, pictures
from tests.helpers.data import real_folder


@pytest.fixture(scope="module")
def style():
    """That of built-in digits."""
    return image_style.learn(digits.generate(1000, seed=1)[0])


@pytest.fixture
def read(style, tmp_path):
    """Reads a picture that is saved first, in a format by its name, in the style of digits."""

    def read(picture, name="a.png", style=style, **options):
        picture.save(tmp_path / name, **options)
        return pictures.read(tmp_path / name, style)

    return read


@pytest.fixture(scope="module")
def ink():
    """A digit's ink, 0..1, enlarged and off-centre in 200x150."""
    image = Image.fromarray(digits.generate(1, seed=5)[0][0]).resize((112, 112))
    canvas = np.zeros((150, 200))
    canvas[30:142, 10:122] = np.asarray(image) / 255
    return canvas


def likeness(image, other):
    """The correlation of two images, one of which may lie a pixel beside the other.

    Noise may move a digit's middle by a part of a pixel, and it then by a whole one.
    """
    shifts = itertools.product((-1, 0, 1), repeat=2)
    shifted = (np.roll(image, shift, (0, 1)).ravel() for shift in shifts)
    return max(np.corrcoef(one, other.ravel())[0, 1] for one in shifted)


# Colours and formats.


def grey(levels):
    return Image.fromarray(np.uint8(levels))


def on_paper(ink, paper, pen):
    """A picture in colours that are mixed of the paper's and the pen's."""
    paper, pen = np.array(paper), np.array(pen)
    return grey(paper + ink[..., None] * (pen - paper))


def on_nothing(ink, pen):
    """A picture that is transparent where there is no ink."""
    picture = Image.new("RGBA", ink.shape[::-1], pen)
    picture.putalpha(grey(255 * ink))
    return picture


def with_hole(picture):
    """A picture that is opaque but for a part of it, beside the digit."""
    picture.putalpha(255)
    picture.paste((0, 0), (140, 20, 190, 130))
    return picture


def under_light(ink, rightwards, downwards):
    """Paper on which the light falls by so many grey levels, and a thin blue pen."""
    y, x = np.mgrid[0 : 1 : ink.shape[0] * 1j, 0 : 1 : ink.shape[1] * 1j]
    paper = 170 + rightwards * (0.5 - x) + downwards * (0.5 - y)
    return grey(paper * (1 - 0.6 * ink))


def beside(ink, shape, place, **options):
    """Black on white, with something else that is drawn in the picture."""
    picture = grey(255 - 255 * ink)
    getattr(ImageDraw.Draw(picture), shape)(place, **options)
    return picture


NOISE = np.random.default_rng(0).normal(0, 8, (150, 200))
VARIANTS = {
    "black on white.png": lambda ink: grey(255 - 255 * ink),
    "pale on grey.png": lambda ink: on_paper(ink, (90, 90, 95), (210, 215, 220)),
    "photo.jpg": lambda ink: on_paper(ink, (225, 220, 210), (50, 45, 60)),
    "two colours.gif": lambda ink: grey(255 * (ink < 0.5)).convert("1"),
    "black on nothing.png": lambda ink: on_nothing(ink, "black"),
    "white on nothing.png": lambda ink: on_nothing(ink, "white"),
    "grey on nothing.png": lambda ink: on_nothing(ink, "black").convert("LA"),
    "transparent hole.png": lambda ink: with_hole(grey(255 - 255 * ink)),
    "dim 16 bit.png": lambda ink: Image.fromarray(np.uint16(4095 * ink)),
    "palette.png": lambda ink: grey(255 - 255 * ink).convert("P"),
    "print.jpg": lambda ink: on_paper(ink, (255, 255, 255), (0, 0, 0)).convert("CMYK"),
    "large.tif": lambda ink: grey(255 * ink).resize((2000, 1500)),
    "speck.bmp": lambda ink: beside(ink, "point", (199, 149), fill=0),
    "noise.webp": lambda ink: grey(200 - 170 * ink + NOISE),
    "light from the left.png": lambda ink: under_light(ink, 100, 0),
    "dim light from a corner.png": lambda ink: under_light(ink, -60, -40),
    "ring.png": lambda ink: beside(ink, "ellipse", (2, 2, 197, 147), outline=0, width=3),
    "frame.png": lambda ink: beside(ink, "rectangle", (2, 2, 197, 147), outline=0, width=3),
    "cut off beside it.png": lambda ink: beside(
        ink, "ellipse", (180, 40, 240, 110), outline=0, width=8
    ),
}
if "AVIF" in pictures.FORMATS:
    VARIANTS["photo.avif"] = VARIANTS["photo.jpg"]


@pytest.mark.parametrize("name", VARIANTS)
def test_any_colours_and_format_give_the_same_digit(ink, read, name):
    plain, other = read(grey(255 * ink)), read(VARIANTS[name](ink), name)
    assert likeness(other.image, plain.image) > 0.95
    assert other.other_digits == plain.other_digits == 0


def test_a_photo_is_turned_as_its_camera_says(ink, read):
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: a quarter turn clockwise puts it right
    photo = VARIANTS["photo.jpg"](ink)
    turned = read(photo.transpose(Image.Transpose.ROTATE_90), "turned.jpg", exif=exif)
    assert likeness(turned.image, read(photo, "upright.jpg").image) > 0.98


# The style of the images.


def test_a_picture_is_brought_to_mnist_s_style(ink, read):
    image = read(VARIANTS["black on white.png"](ink)).image
    assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = (image.sum(axis=1 - axis) @ np.arange(28)) / image.sum(dtype=float)
        assert abs(centre - 14) <= 0.51


def test_the_style_of_mnist_is_that_of_built_in_digits(mnist_folder, style):
    learnt = image_style.learn(data.load("mnist", mnist_folder).train_images)
    for one in (learnt, style):
        assert dataclasses.astuple(one)[:4] == ((28, 28), 0, 20, True)
        assert one.stroke_widths == pytest.approx((1.2, 2.4), abs=0.2)


def shape_images(size=28, count=1000):
    """Grey things that fill their images, as Fashion-MNIST's do: discs, boxes, wedges, crosses."""
    generator, images = np.random.default_rng(0), np.zeros((count, size, size), np.uint8)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    for number, image in enumerate(images):
        u = x / generator.uniform(0.5, 1)  # more or less narrow
        inside = (
            np.hypot(u, y) <= 1,
            np.abs(u) <= 1,
            np.abs(u) <= (1 + y) / 2,
            (np.abs(u) <= 0.4) | ((np.abs(y) <= 0.4) & (np.abs(u) <= 1)),
        )[number % 4]
        cloth = generator.integers(90, 180) + 40 * np.sin(generator.uniform(3, 9) * y)
        image[:] = np.where(inside, cloth + generator.normal(0, 8, image.shape), 0)
    return images


IMAGES = {
    "digits": lambda: digits.generate(1000, seed=1)[0],
    "shapes": shape_images,
    "mnist": lambda: data.load("mnist", real_folder("mnist")).train_images,
    "fashion_mnist": lambda: data.load("fashion_mnist", real_folder("fashion_mnist")).train_images,
}


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("digits", 0.95),
        ("shapes", 0.75),  # boxes have no background around them, the others are read alike
        pytest.param("mnist", 0.97, marks=pytest.mark.full),
        pytest.param("fashion_mnist", 0.95, marks=pytest.mark.full),
    ],
)
def test_an_image_of_the_data_set_as_a_picture_is_that_image(read, name, least):
    """As it is, inverted, or enlarged: to the bit; nearly so as a person might send it.

    That is enlarged, dark on light, off-centre on a canvas.
    """
    images, generator = IMAGES[name](), np.random.default_rng(0)
    learnt, found, likenesses = image_style.learn(images), [], []
    for image in images[:50]:
        enlarged = np.kron(255 - image, np.ones((10, 10), np.uint8))
        seen = [read(grey(levels), style=learnt).image for levels in (image, 255 - image, enlarged)]
        found.append([np.array_equal(one, image) for one in seen])
        canvas = Image.new("L", (200, 170), 255)
        large = grey(255 - image).resize((100, 100), Image.Resampling.BICUBIC)
        canvas.paste(large, (generator.integers(5, 95), generator.integers(5, 65)))
        likenesses.append(likeness(read(canvas, style=learnt).image, image))
    assert np.mean(found, axis=0).min() >= least
    assert (np.percentile(likenesses, [10, 50]) > [0.85, 0.92]).all()


def test_images_without_background_are_taken_whole(read, tmp_path):
    """Of a picture that is too wide, the middle."""
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
    learnt = image_style.learn(noise)
    assert learnt.background is None
    wide = np.pad(np.kron(noise[0], np.ones((10, 10), np.uint8)), ((0, 0), (30, 30)))
    assert np.abs(read(grey(wide), "wide.png", learnt).image.astype(float) - noise[0]).max() <= 1
    np.testing.assert_array_equal(read(grey(noise[1]), style=learnt).image, noise[1])
    inverted = pictures.read(tmp_path / "wide.png", learnt, invert=True).image
    assert np.abs(inverted.astype(float) - (255 - noise[0])).max() <= 1


# Lines as wide as those of the images.


def drawn(points, width=1, side=64):
    picture = Image.new("L", (side, side), 255)
    ImageDraw.Draw(picture).line(points, 0, width, "curve")
    return picture


def test_the_width_of_a_line():
    """Of a ring, of known area and outline, as wide as said."""
    y, x = np.mgrid[-50:50, -50:50]
    for width in (2, 3.5, 8):
        ring = np.clip(width / 2 + 0.5 - np.abs(np.hypot(x, y) - 30), 0, 1)
        assert image_style.stroke_width(ring) == pytest.approx(width, rel=0.05)


@pytest.mark.parametrize("width", [1, 2, 20, 26])
def test_lines_become_as_wide_as_the_images(read, style, width):
    """What is seen is nearly as with a pen that is as wide as the images' lines."""
    points, usual = [(30, 30), (85, 30), (45, 100)], style.stroke_widths[1]
    own, expected = (read(drawn(points, pen, side=120)).image for pen in (width, 6))
    assert 0.75 * usual < image_style.stroke_width(own / 255) < 1.45 * usual
    assert np.corrcoef(own.ravel(), expected.ravel())[0, 1] > 0.7


@pytest.mark.parametrize("size", [(40, 12), (12, 40), (32, 6)])
@pytest.mark.parametrize("end", [(45, 10), (45, 55)])
def test_narrow_images_have_room_for_widened_lines(read, style, size, end):
    narrow = dataclasses.replace(style, size=size, centre=(size[0] / 2, size[1] / 2))
    image = read(drawn([(20, 10), end, (25, 55)]), style=narrow).image
    assert (image.shape, image.max()) == (size, 255)


# Photographs of a sheet.

THREE = [(150, 90), (220, 70), (255, 105), (200, 145), (260, 185), (225, 230), (145, 225)]
CORNERS = [(0, 0), (400, 0), (400, 300), (0, 300)]
ROWS = [[(0, at), (400, at)] for at in range(10, 300, 30)]
COLUMNS = [[(at, 0), (at, 300)] for at in range(10, 400, 30)]
BOX = [[(110, 40), (300, 40), (300, 270), (110, 270), (110, 40)]]
FRAME = [[(20, 20), (380, 20), (380, 280), (20, 280), (20, 20)]]
Y, X = np.mgrid[0:600, 0:800]
WOOD = grey(120 + 30 * np.sin(X / 9 + 3 * np.sin(Y / 90)))


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

    def draw_line(self, picture, points, width, fill):
        thickness = max(1, round(2 * self.scale * width))
        ImageDraw.Draw(picture).line(self.in_picture(points), fill, thickness, "curve")

    def take(self):
        """Returns the photograph, blurred and noisy."""
        sides = X / 799 + Y / 599
        sheet = grey((220 - self.light * sides / 2) * np.where(sides > 0.9, 1 - self.shadow, 1))
        for line in self.lines:
            self.draw_line(sheet, line, self.line_width, self.ink)
        self.draw_line(sheet, THREE, self.width, self.pen)
        beside = Image.new("L", sheet.size, 255)
        ImageDraw.Draw(beside).polygon(self.in_picture(CORNERS), 0)
        sheet.paste(self.table, (0, 0), beside)
        noise = np.random.default_rng(0).normal(0, 5, (600, 800))
        blurred = np.asarray(sheet.filter(ImageFilter.GaussianBlur(1)))
        return grey((blurred + noise).clip(0, 255))

    def three(self):
        """Returns nothing but what the pen has drawn."""
        picture = Image.new("L", (800, 600), 255)
        self.draw_line(picture, THREE, self.width, 0)
        return picture


PHOTOGRAPHS = {
    "a dark table": Photograph(),
    "a black table and a thick pen": Photograph(table=15, pen=25, width=12, degrees=-12),
    "a white table": Photograph(table=250, degrees=-4),
    "wood": Photograph(table=WOOD, degrees=9),
    "a pencil": Photograph(table=20, pen=110, width=2.5),
    "one edge": Photograph(scale=1.2, shift=(0, 25), degrees=3),
    "two edges": Photograph(scale=1.1, shift=(40, -30), degrees=14),
    "a shadow": Photograph(shadow=0.15),
    "a small sheet on a dark table": Photograph(scale=0.5, shift=(40, 20), degrees=11),
    "a small sheet on a white table": Photograph(table=250, scale=0.6, light=30),
    "a small sheet on wood": Photograph(table=WOOD, scale=0.5, degrees=6),
    "ruled": Photograph(lines=ROWS, table=145),
    "graph paper without a table": Photograph(lines=ROWS + COLUMNS, degrees=1, scale=1.3, ink=90),
    "a box": Photograph(lines=BOX, ink=60),
    "a thick dark frame": Photograph(lines=FRAME, ink=20, line_width=12, degrees=2, scale=0.9),
}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_sheet_on_a_table(read, name):
    """What is seen is the digit, as if nothing else were in the picture."""
    seen = read(PHOTOGRAPHS[name].take(), "photo.jpg", quality=82).image
    assert likeness(seen, read(PHOTOGRAPHS[name].three()).image) > 0.9


def test_a_blank_sheet_on_a_table_is_no_digit(read):
    for table in (15, 145):
        blank = Photograph(table=table, pen=220, light=0, degrees=3)
        with pytest.raises(UserError, match="no digit to see"):
            read(blank.take())


def test_lines_darker_than_the_pen(read):
    """They are told of, where the digit can hardly be taken out of them."""
    for ink, is_lined in (20, True), (150, False):
        lined = Photograph(lines=ROWS + COLUMNS, ink=ink, pen=70, scale=1.3, degrees=1)
        assert read(lined.take()).is_lined == is_lined


def test_what_a_spiral_of_walls_keeps_in():
    """Water runs off through a spiral, and stays where it is closed."""
    ground = np.full((41, 41), 200, np.uint8)
    for ring in range(1, 20, 2):
        ground[ring : 41 - ring, ring : 41 - ring] = 50 if ring % 4 == 1 else 200
    ground[20, :30] = 50
    assert foreground.fill(ground)[20, 20] == 50
    ground[20, 0] = 120
    assert foreground.fill(ground)[20, 20] == 120


def test_a_digit_that_reaches_the_edge(read):
    """Cut out to the pixel, it touches all four; the hole in it is not the digit."""
    ring = Image.new("L", (60, 90), 255)
    ImageDraw.Draw(ring).ellipse((0, 0, 59, 89), outline=0, width=12)
    cut, whole = (read(picture).image for picture in (ring, ImageOps.expand(ring, 30, 255)))
    assert np.abs(cut.astype(float) - whole).mean() < 2


def test_what_a_dry_pen_has_torn_apart_is_one_digit(read):
    body = [(30, 10), (30, 50), (60, 50), (60, 90), (30, 90)]
    whole, torn = drawn([(60, 10), *body], 6, side=120), drawn(body, 6, side=120)
    ImageDraw.Draw(torn).line([(60, 10), (42, 10)], 0, 6)
    found = read(torn)
    assert found.other_digits == 0
    assert likeness(found.image, read(whole).image) > 0.95


def test_the_largest_digit_is_read_and_others_are_counted(read):
    image = grey(255 - digits.generate(1, seed=3)[0][0])
    row = Image.new("L", (390, 130), 255)
    for left, size in (10, 100), (140, 85), (270, 70):
        row.paste(image.resize((size, size)), (left, 15))
    found, alone = read(row), read(row.crop((0, 0, 130, 130)))
    assert (found.other_digits, alone.other_digits) == (2, 0)
    assert likeness(found.image, alone.image) > 0.95


# What is no picture.


def png(picture):
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def claiming(width, height):
    """A valid header of so many pixels, and one pixel."""
    content = bytearray(png(Image.new("L", (1, 1))))
    content[16:24] = struct.pack(">2I", width, height)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "bad.png can't be read: No such file"),
        (b"a seven", "no picture in PNG"),
        (png(WOOD)[:300], "save it again"),
        (b"\0\0\0\x18ftypheic", "pip install pillow-heif"),
        (claiming(60_000, 60_000), "is too large; a picture may have 60,000,000 pixels"),
        (claiming(10_000, 6_001), "10000x6001 pixels large"),
        (png(Image.new("RGB", (50, 50), (120, 80, 30))), "only one colour"),
        (png(Image.new("RGBA", (50, 50), (255, 0, 0, 0))), "only one colour"),
        (png(grey(np.tile(np.linspace(60, 200, 90), (70, 1)))), "only one colour"),  # but light
    ],
)
def test_a_bad_picture(style, tmp_path, content, words):
    if content:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(UserError, match=words):
        pictures.read(tmp_path / "bad.png", style)


def test_a_folder_with_folders_in_natural_order(tmp_path):
    """Without what is hidden, or a link that leads back; stable, whatever the file system says."""
    for folder in (".", "b10", "b9/c", ".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in ("10.png", "2.png", "1.JPG", "._1.png", "notes.txt"):
            (tmp_path / folder / name).touch()
    (tmp_path / "b9" / "back").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in pictures.find(tmp_path)]
    plain = ["1.JPG", "2.png", "10.png"]
    assert found == [*plain, *(f"b9/c/{n}" for n in plain), *(f"b10/{n}" for n in plain)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no picture in the folder"):
        pictures.find(tmp_path / "empty")
    assert pictures.find(tmp_path / "absent.png") == [tmp_path / "absent.png"]
