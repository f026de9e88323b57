"""A person's own picture of a digit, brought to MNIST's form.

MNIST's digits are white on black, fitted into a box of 20 x 20 pixels with their proportions
kept, and put into 28 x 28 pixels with their centre of mass in the middle (Y. LeCun, "The MNIST
database"). A network that has learnt from those can only read a picture that looks the same.
"""

import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import digits
from lowlevel_mnist.sources.digits import BOX

FORMATS = ("PNG", "JPEG", "GIF", "BMP")
MOST_PIXELS = 60_000_000  # as many as a very good camera makes
LONGEST_SIDE = 400  # pixels; a larger picture is averaged down, its noise with it
SPECKS = 0.002  # fraction of the ink that may lie outside the digit at each side
LEAST_CONTRAST = 16  # of 255 shades; below it there is nothing but noise
FAINT = 0.2  # ink below this fraction of the darkest is paper: faint shadows, noise, JPEG's ripples


def read(path: pathlib.Path) -> np.ndarray:
    """Reads a picture and returns it in MNIST's form.

    path: `pathlib.Path` of a PNG, JPEG, GIF or BMP of any size, in colour or grey, with or
        without transparency, dark on light or light on dark.
    Returns a `uint8` array [28, 28].
    Raises `UserError` where there is no such picture, it is too large, or has but one colour.
    """
    return digits.centre(fit(find_ink(path, decode(path)))[None])[0]


def decode(path: pathlib.Path) -> np.ndarray:
    """Returns the shades of a picture, `float` [height, width], 0 black and 255 white.

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
                small = _shrink(picture)
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


def _shrink(picture):
    """Decodes a picture, makes it small and turns it as its camera says.

    Returns a picture of the mode LA, or I for 16 bits of grey, which LA would clip at 255.
    """
    picture.draft("L", (LONGEST_SIDE, LONGEST_SIDE))  # decodes a JPEG to an eighth of its size
    if picture.mode.startswith("I"):
        mode = "I"
    elif picture.mode.endswith("A") or "transparency" in picture.info:
        mode = "LA"
    else:
        mode = "L"  # for the time being, as LA takes eight times the memory
    picture = picture.convert(mode)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    picture = ImageOps.exif_transpose(picture)
    return picture.convert("LA") if mode == "L" else picture


def _shades(picture):
    """Puts a transparent picture on paper that its ink stands out from."""
    shades = np.asarray(picture, np.float64)
    if picture.mode == "I":
        return 255 * shades / max(shades.max(), 1)
    brightness, opacity = shades[..., 0], shades[..., 1] / 255
    if opacity.sum() == 0:
        return np.zeros_like(brightness)
    ink = (brightness * opacity).sum() / opacity.sum()
    paper = 0 if ink > 127.5 and opacity.min() < 0.5 else 255
    return brightness * opacity + paper * (1 - opacity)


def find_ink(path: pathlib.Path, shades: np.ndarray) -> np.ndarray:
    """Returns how much ink is where, `float` [height, width], 0 for paper to 1.

    Paper is the shade in the middle of those along the border; ink is what differs from it in
    the direction, lighter or darker, in which more differs. `path` is for the error's text.
    """
    border = np.concatenate([shades[0], shades[-1], shades[:, 0], shades[:, -1]])
    difference = shades - np.median(border)
    lighter, darker = difference.clip(0), (-difference).clip(0)
    ink = lighter if lighter.sum() > darker.sum() else darker
    if ink.max() < LEAST_CONTRAST:
        raise UserError(
            f"The picture {path} has only one colour, or nearly so; there is no digit to see."
        )
    ink /= ink.max()
    return np.where(ink < FAINT, 0, ink)


def fit(ink: np.ndarray) -> np.ndarray:
    """Cuts out the ink and scales it, proportions kept, until its longer side is 20 pixels.

    Returns a `uint8` array of at most [20, 20], the darkest ink 255.
    """
    cut = ink[_extent(ink.sum(axis=1)), _extent(ink.sum(axis=0))]
    height, width = cut.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # In floating point, where even the ink of a single pixel in an otherwise empty box remains.
    picture = Image.fromarray(np.float32(cut)).resize(size, Image.Resampling.HAMMING)
    scaled = np.asarray(picture, np.float64)
    return np.uint8(255 * scaled / scaled.max() + 0.5)


def _extent(mass):
    """Returns the slice of a row or column sum that leaves out specks: SPECKS at either end."""
    fractions = np.cumsum(mass) / mass.sum()
    first, last = np.searchsorted(fractions, [SPECKS, 1 - SPECKS], side="right")
    return slice(first, min(last, len(mass) - 1) + 1)
