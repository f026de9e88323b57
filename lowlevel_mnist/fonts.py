"""Text in pictures: names in any script, in fonts that there are on a machine."""

import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar, cast

from lowlevel_mnist import startup

with startup.any_backend():
    import matplotlib
    from matplotlib import font_manager
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

REGULAR = 400  # the weight of a font that is neither light nor bold
# Fonts with a box for each character, but no letters, or with pictures, which can not be drawn.
NO_LETTERS = r"\.?last ?resort|.*color emoji"

Draw = TypeVar("Draw", bound=Callable[..., None])


def plain_text(draw: Draw) -> Draw:
    """Decorates a function that draws into a figure, so that its text is shown as it stands.

    Nothing in it is mathematics. Other fonts follow the usual ones where these lack a character;
    few of them have a bold one.
    """

    @functools.wraps(draw)
    def draw_plain_text(figure: Figure, *arguments: Any, **named: Any) -> None:
        draw(figure, *arguments, **named)
        texts = figure.findobj(Text)
        style: dict[str, Any] = {"parse_math": False}
        others, _ = _find_others("".join(text.get_text() for text in texts))
        if others:
            style |= {"family": [*matplotlib.rcParams["font.family"], *others], "weight": "normal"}
        for text in texts:
            text.set(**style)

    return cast(Draw, draw_plain_text)


def missing(text: str) -> set[str]:
    """Returns the characters of a text that no font has."""
    return _find_others(text)[1]


def shorten(name: str, length: int) -> str:
    """Returns a name that can be drawn, without its middle where it is wider than so many digits.

    A question mark stands for a character that no font has.
    """
    name = unicodedata.normalize("NFC", name)  # as fonts have it; macOS takes letters apart
    name = name.translate({ord(character): "?" for character in missing(name)})
    if width(name) <= length:
        return name
    middle = (len(name) + 1) // 2
    start, end = name[:middle], name[middle:]
    while width(start + end) > length - 3:
        start, end = (start[:-1], end) if len(start) > len(end) else (start, end[1:])
    return f"{start}...{end}"


def width(text: str) -> float:
    """Returns how many digits are as wide as a text; a wide character, as of Chinese, is as 1.6."""
    kinds = map(unicodedata.east_asian_width, text)
    return len(text) + 0.6 * sum(kind in ("W", "F") for kind in kinds)


def _find_others(text: str) -> tuple[list[str], set[str]]:
    """Returns families for what Matplotlib's usual fonts lack, and the characters that none has."""
    characters = set(text) - {"\n"}
    weights = (font_manager.FontProperties(weight=weight) for weight in ("normal", "bold"))
    lacking = characters - _common(map(font_manager.findfont, weights), characters)
    return _find_families(frozenset(lacking)) if lacking else ([], lacking)


@functools.lru_cache(maxsize=16)  # the pictures of a run have the same names in them
def _find_families(characters: frozenset[str]) -> tuple[list[str], set[str]]:
    """Returns as few families as may be that have these, and the characters that none has."""
    files: dict[str, set[str]] = {}
    for entry in _list_fonts():
        is_plain = entry.style == "normal" and entry.weight == REGULAR
        if is_plain and not re.match(NO_LETTERS, entry.name, re.IGNORECASE):
            files.setdefault(entry.name, set()).add(entry.fname)
    had = {name: _common(files[name], characters) for name in sorted(files)}
    families, lacking = [], set(characters)
    while lacking & set().union(*had.values()):
        families.append(max(had, key=lambda name: len(had[name] & lacking)))
        lacking -= had[families[-1]]
    return families, lacking


def _list_fonts() -> list[font_manager.FontEntry]:
    """Returns Matplotlib's list of fonts, with those that were installed since it was made."""
    manager = font_manager.fontManager
    for file in {*font_manager.findSystemFonts()} - {entry.fname for entry in manager.ttflist}:
        try:
            manager.addfont(file)
        except Exception:  # noqa: BLE001 - as when it makes the list: some are no fonts
            continue
    return manager.ttflist


def _common(files: Iterable[str], characters: Collection[str]) -> set[str]:
    """Returns those of some characters that all of these font files have."""
    common = set(characters)
    for file in files:
        try:
            font = FT2Font(file)
        except (OSError, RuntimeError):  # it is gone, or damaged
            return set()
        common = {character for character in common if font.get_char_index(ord(character))}
    return common
