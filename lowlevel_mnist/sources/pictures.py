"""A person's own picture, brought to the form of the images that a network has learnt from."""

import dataclasses
import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import foreground, image_style
from lowlevel_mnist.sources.image_style import ImageStyle

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
MOST_PIXELS = 60_000_000  # as many as a very good camera makes
LONGEST_SIDE = 400  # pixels; a larger picture is averaged down, its noise with it


@dataclasses.dataclass(frozen=True)
class Reading:
    """A picture as it was understood.

    image: `uint8` [height, width], in the form of the images that the network has learnt from.
    others: how many more pieces of ink there were that could be a digit of their own.
    """

    image: np.ndarray
    others: int = 0


def find(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the pictures in a folder, or the path itself where it is none.

    Raises `UserError` where there are none in it.
    """
    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    if not found:
        raise UserError(f"There is no picture in the folder {path} ({', '.join(SUFFIXES)}).")
    return found


def read(path: pathlib.Path, form: ImageStyle, invert: bool = False) -> Reading:
    """Reads a picture and brings it to a form.

    path: of a picture of any size in one of FORMATS, in colour or grey, with or without
        transparency, dark on light or light on dark.
    invert: whether light and dark were exchanged in the images that have this form.
    Raises `UserError` where there is no such picture, it is too large, or nothing is to be seen.
    """
    shades = decode(path, max(LONGEST_SIDE, *form.size))
    if invert:
        shades = 255 - shades
    image = as_it_is(shades, form)
    if image is not None:
        return Reading(image)
    if form.paper is None:
        return Reading(scale_whole(shades, form.size))
    found, others = find_ink(path, shades, is_drawing=form.strokes is not None), 0
    if form.strokes:
        found, others = foreground.choose(found)
    return Reading(foreground.place(foreground.fit(found, form), form), others)


def as_it_is(shades: np.ndarray, form: ImageStyle) -> np.ndarray | None:
    """Returns a picture that looks as the images do, at their size: itself, or it inverted.

    None where it does not.
    """
    if not has_proportions(shades, form.size):
        return None
    for version in (shades, 255 - shades):
        image = to_size(version, form.size)
        if form.fits(image):
            return image
    return None


def has_proportions(shades, size):
    """Whether a picture has the proportions of an image, to the pixel, and at least its size."""
    (height, width), (h, w) = shades.shape, size
    return height >= h and abs(height * w / h - width) < 1


def to_size(shades, size):
    """Returns shades as an image of this size: the mean of the pixels that are in one of its."""
    if shades.shape != size:
        picture = Image.fromarray(np.float32(shades))
        shades = np.asarray(picture.resize(size[::-1], Image.Resampling.BOX))
    return np.uint8(np.clip(shades, 0, 255) + 0.5)


def scale_whole(shades, size):
    """Returns the middle of a picture, as much of it as has the proportions of an image."""
    picture = Image.fromarray(np.float32(shades))
    return to_size(np.asarray(ImageOps.fit(picture, size[::-1], Image.Resampling.BOX)), size)


def decode(path: pathlib.Path, longest_side: int) -> np.ndarray:
    """Returns the shades of a picture, `float` [height, width], 0 black and 255 white.

    longest_side: pixels to which it is averaged down, if it is larger.
    For each pixel of the file it takes up to 12 bytes of memory, 6 without transparency.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its size, which is checked here, or odd metadata
            with Image.open(path, formats=FORMATS) as picture:  # reads no more than the header
                if not 0 < picture.width * picture.height <= MOST_PIXELS:
                    raise UserError(
                        f"{path} is {picture.width}x{picture.height} pixels large; a picture may "
                        f"have {MOST_PIXELS:,} pixels."
                    )
                small = _shrink(picture, longest_side)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path} is too large; a picture may have {MOST_PIXELS:,} pixels."
        ) from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is no picture in {', '.join(FORMATS)}.") from error
    except Exception as error:  # Pillow raises exceptions of any kind for a damaged file
        if reason := getattr(error, "strerror", None):
            raise UserError(f"The picture {path} can't be read: {reason}.") from error
        raise UserError(
            f"The picture {path} can't be read ({error}); save it again, for instance as PNG."
        ) from error
    return _shades(small)


def _shrink(picture, longest_side):
    """Decodes a picture, makes it small and turns it as its camera says.

    Returns a picture of the mode LA, or I for 16 bits of grey, which LA would clip at 255.
    """
    picture.draft("L", (longest_side, longest_side))  # decodes a JPEG to an eighth of its size
    if picture.mode.startswith("I"):
        mode = "I"
    elif picture.mode.endswith("A") or "transparency" in picture.info:
        mode = "LA"
    else:
        mode = "L"  # for the time being, as LA takes eight times the memory
    picture = picture.convert(mode)
    picture.thumbnail((longest_side, longest_side))
    picture = ImageOps.exif_transpose(picture)
    return picture.convert("LA") if mode == "L" else picture


def _shades(picture):
    """Puts a picture on paper where it is transparent.

    Where most of it is opaque, the paper is in the picture. Where not, what is opaque is ink.
    """
    shades = np.asarray(picture, np.float64)
    if picture.mode == "I":
        return 255 * shades / max(shades.max(), 1)
    brightness, opacity = shades[..., 0], shades[..., 1] / 255
    if opacity.sum() == 0:
        return np.zeros_like(brightness)
    if np.mean(opacity > 0.5) > 0.5:
        paper = np.median(brightness[opacity > 0.5])
    else:
        ink = (brightness * opacity).sum() / opacity.sum()
        paper = 0 if ink > 127.5 else 255
    return brightness * opacity + paper * (1 - opacity)


def find_ink(path: pathlib.Path, shades: np.ndarray, is_drawing: bool) -> np.ndarray:
    """Returns how much ink is where, `float` [height, width], 0 for paper to 1.

    Ink is what differs from the paper in the direction, lighter or darker, in which the strongest
    of it differs: a shadow may cover more than a pen, but it is fainter.
    path: for the error's text; is_drawing: whether most of the picture must be paper.
    """
    difference = shades - (
        foreground.paper_of(shades) if is_drawing else np.median(image_style.border(shades[None]))
    )
    lighter, darker = difference.clip(0), (-difference).clip(0)
    strongest = lighter if (lighter**3).sum() > (darker**3).sum() else darker
    if strongest.max() < image_style.LEAST_CONTRAST:
        raise UserError(
            f"The picture {path} has only one colour, or nearly so; there is no digit to see."
        )
    return image_style.without_faint(strongest)
