"""A person's own picture, brought to the style of the images that a network has learnt from."""

import contextlib
import dataclasses
import importlib
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError, features

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import foreground, image_style
from lowlevel_mnist.sources.image_style import ImageStyle
from lowlevel_mnist.sources.names import natural_order
from lowlevel_mnist.sources.opening import open_file, readable

FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]
SUFFIXES = [".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff"]
SUFFIXES += [".ppm", ".pgm", ".pbm", ".avif", ".heic", ".heif"]
if "avif" in features.modules and features.check("avif"):  # since Pillow 11.3
    FORMATS.append("AVIF")
with contextlib.suppress(ImportError):
    importlib.import_module("pillow_heif").register_heif_opener()
    FORMATS.append("HEIF")
ADVICE = {  # by the brand in a file's head, for those that Pillow can't read
    b"avif": "is in AVIF, which Pillow 11.3 reads: pip install --upgrade pillow",
    b"heic": "is in HEIC, as an iPhone saves photos: pip install pillow-heif, and it is read; or "
    "have it take JPEGs, with Settings > Camera > Formats > Most Compatible",
}
ADVICE |= dict.fromkeys((b"heix", b"hevc", b"hevx", b"mif1", b"msf1"), ADVICE[b"heic"])
MAX_PIXELS = 60_000_000  # as many as a very good camera makes
MAX_AT_EDGE = 0.3  # of a picture's edge: with more of it, what is found is a table, no digit
MAX_SIDE = 400  # pixels; a larger picture is averaged down, its noise with it


@dataclasses.dataclass(frozen=True)
class Reading:
    """A picture as it was understood.

    image: `uint8` [height, width], in the style of the images that the network has learnt from.
    other_digits: how many more pieces of the foreground could be a digit of their own.
    is_lined: whether lines are joined to it that are nearly as strong, as those of graph paper.
    """

    image: npt.NDArray[np.uint8]
    other_digits: int = 0
    is_lined: bool = False


def is_picture(path: pathlib.Path) -> bool:
    """Returns whether a file is a picture by its name; those of macOS, ._1.png, are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the pictures in a folder and in those in it, but for hidden ones.

    Raises `OSError` where one can't be read.
    """

    def refuse(error: OSError) -> NoReturn:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        yield from filter(is_picture, map(pathlib.Path(parent).joinpath, names))


def find(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the pictures in a folder and those in it, or the path itself where it is none.

    They are in natural order, so 2.png comes before 10.png.
    Raises `UserError` where there are none, or a folder can't be read.
    """
    with readable(path):
        if not path.is_dir():
            return [path]
        found = sorted(walk(path), key=lambda file: [natural_order(part) for part in file.parts])
    if not found:
        raise UserError(
            f"There is no picture in the folder {path} ({', '.join(SUFFIXES)}). To read the images "
            "of a data file in it, name that file."
        )
    return found


def read(path: pathlib.Path, style: ImageStyle, invert: bool = False) -> Reading:
    """Reads a picture and brings it to a style.

    path: of a picture of any size in one of FORMATS, in colour or grey, with or without
        transparency, dark on light or light on dark.
    invert: whether light and dark were exchanged in the images that have this style.
    Raises `UserError` where there is no such picture, it is too large, or nothing is to be seen.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grey_levels = decode(path, max(MAX_SIDE, *style.size))
    if invert:
        grey_levels = 255 - grey_levels
    image = as_it_is(grey_levels, style)
    if image is not None:
        return Reading(image)
    if style.background is None:
        # The middle of the picture, as much of it as has the proportions of an image.
        picture = Image.fromarray(np.float32(grey_levels))
        middle = ImageOps.fit(picture, style.size[::-1], Image.Resampling.BOX)
        return Reading(to_size(np.asarray(middle), style.size))
    is_drawing = style.stroke_widths is not None
    strokes = foreground.find_strokes(grey_levels) if is_drawing else None
    found, is_lined = strokes or (find_foreground(path, grey_levels, is_drawing), False)
    found, other_digits = foreground.choose_digit(found) if is_drawing else (found, 0)
    return Reading(foreground.place(foreground.fit(found, style), style), other_digits, is_lined)


def as_it_is(grey_levels: np.ndarray, style: ImageStyle) -> npt.NDArray[np.uint8] | None:
    """Returns a picture that looks as the images do, at their size, or it inverted; or None."""
    (height, width), (h, w) = grey_levels.shape, style.size
    # It must have an image's proportions, to the pixel, and at least its size.
    if height < h or abs(height * w / h - width) >= 1:
        return None
    for version in (grey_levels, 255 - grey_levels):
        image = to_size(version, style.size)
        if style.matches(image):
            return image
    return None


def to_size(grey_levels: np.ndarray, size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Returns an image of this size: each pixel the mean of those of the picture that are in it."""
    if grey_levels.shape != size:
        picture = Image.fromarray(np.float32(grey_levels))
        grey_levels = np.asarray(picture.resize(size[::-1], Image.Resampling.BOX))
    return np.uint8(np.clip(grey_levels, 0, 255) + 0.5)


def decode(path: pathlib.Path, longest_side: int) -> np.ndarray:
    """Returns the grey levels of a picture, `float` [height, width], 0 black and 255 white.

    longest_side: pixels to which it is averaged down, if it is larger.
    For each pixel of the file it takes up to 12 bytes of memory, 6 without transparency. Pillow may
    warn of odd metadata, or of the size, which is checked here.
    """
    with open_file(path) as file:
        try:
            with Image.open(file, formats=FORMATS) as picture:  # reads no more than the header
                if not 0 < picture.width * picture.height <= MAX_PIXELS:
                    raise UserError(
                        f"{path} is {picture.width}x{picture.height} pixels large; a picture may "
                        f"have {MAX_PIXELS:,} pixels."
                    )
                small = _shrink(picture, longest_side)
        except UserError:
            raise
        except Image.DecompressionBombError as error:
            raise UserError(
                f"{path} is too large; a picture may have {MAX_PIXELS:,} pixels."
            ) from error
        except UnidentifiedImageError as error:
            file.seek(0)
            advice = ADVICE.get(file.read(12)[8:], f"is no picture in {', '.join(FORMATS)}")
            raise UserError(f"{path} {advice}.") from error
        except Exception as error:  # Pillow raises exceptions of any kind for a damaged file
            raise UserError(
                f"The picture {path} can't be read ({error}); save it again, for instance as PNG."
            ) from error
    return _grey_levels(small)


def _shrink(picture: Image.Image, longest_side: int) -> Image.Image:
    """Decodes a picture, makes it small and turns it as its camera says.

    Returns a picture of the mode L or LA, or I or F for grey levels that L would clip at 255.
    """
    picture.draft("L", (longest_side, longest_side))  # decodes a JPEG to an eighth of its size
    if picture.mode[0] in "IF":  # 16 bits, or floating-point numbers
        mode = picture.mode[0]
    elif picture.mode.endswith("A") or "transparency" in picture.info:
        mode = "LA"
    else:
        mode = "L"  # LA takes eight times the memory
    picture = picture.convert(mode)
    picture.thumbnail((longest_side, longest_side))
    return ImageOps.exif_transpose(picture)


def _grey_levels(picture: Image.Image) -> np.ndarray:
    """Returns a picture's grey levels, with a background where it is transparent.

    Where most of it is opaque, the background is in it; otherwise what is opaque is foreground.
    """
    grey_levels = np.asarray(picture, np.float64)
    if picture.mode == "L":
        return grey_levels
    if picture.mode in "IF":
        return 255 * grey_levels / max(grey_levels.max(), 1)
    brightness, opacity = grey_levels[..., 0], grey_levels[..., 1] / 255
    if opacity.sum() == 0:
        return np.zeros_like(brightness)
    if np.mean(opacity > 0.5) > 0.5:
        background = float(np.median(brightness[opacity > 0.5]))
    else:
        mean = (brightness * opacity).sum() / opacity.sum()
        background = 0 if mean > 127.5 else 255
    return brightness * opacity + background * (1 - opacity)


def find_foreground(path: pathlib.Path, grey_levels: np.ndarray, is_drawing: bool) -> np.ndarray:
    """Returns a picture's foreground, `float` [height, width], 0 for background to 1.

    It differs from the background in the direction, lighter or darker, in which the strongest of
    it differs: a shadow may cover more than a pen, but it is fainter.
    path: for the error's text; is_drawing: whether most of the picture must be background.
    """
    border = image_style.border(grey_levels[None])
    background = foreground.estimate_background(grey_levels) if is_drawing else np.median(border)
    difference = grey_levels - background
    lighter, darker = difference.clip(0), (-difference).clip(0)
    strongest = lighter if (lighter**3).sum() > (darker**3).sum() else darker
    if strongest.max() < image_style.MIN_CONTRAST:
        raise UserError(
            f"The picture {path} has only one colour, or nearly so; there is no digit to see."
        )
    found = image_style.drop_faint(strongest)
    if is_drawing and np.mean(image_style.border(found[None]) > 0) > MAX_AT_EDGE:
        raise UserError(
            f"In the picture {path} there is no digit to see, only what reaches its edge."
        )
    return found
