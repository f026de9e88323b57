"""Words in the names of files, folders and arrays that say which part of a data set they hold."""

import dataclasses
import re

SPLITS = ("training", "validation", "test")
KINDS = ("images", "labels")
# Words of names, in small letters, and what they are called here.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "t10k"), "test"),
}
KIND_WORDS = {
    **dict.fromkeys(("images", "image", "imgs", "x", "data"), "images"),
    **dict.fromkeys(("labels", "label", "y", "target", "targets"), "labels"),
}
VAGUE = ("x", "y", "data")  # of these words; they say a kind where no other word does
# "x" or "y" before a split, a word that may begin with a capital, or one in capitals.
WORD = r"[xyXY](?=[Tt]rain|[Tt]est|[Vv]al)|[A-Z]?[a-z0-9]+|[A-Z0-9]+"


@dataclasses.dataclass(frozen=True)
class PartName:
    """The words of a name.

    split: one of SPLITS, or None where the name does not say; kind: "images", "labels" or None.
    before, after: the other words, in small letters, before that of the split and after it.
    """

    split: str | None
    kind: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]


def parse(name: str, ignored: str = "") -> PartName:
    """Returns the words of a name, such as "X_train", "csvTestLabels" or "emnist-mnist-test".

    The last word for a split counts, and the first for a kind, VAGUE ones last.
    ignored: a regular expression for words in small letters that say something else.
    """
    words = re.findall(WORD, name.lower() if name.isupper() else name)
    words = [word.lower() for word in words if not re.fullmatch(ignored, word.lower())]
    # As in "test1".
    words = [part for word in words for part in _without_number(word)]
    splits = [number for number, word in enumerate(words) if word in SPLIT_WORDS]
    kinds = [number for number, word in enumerate(words) if word in KIND_WORDS]
    kinds.sort(key=lambda number: words[number] in VAGUE)
    split, kind = splits[-1:], kinds[:1]
    end = split[0] if split else len(words)
    others = [number for number in range(len(words)) if number not in split + kind]
    return PartName(
        SPLIT_WORDS[words[split[0]]] if split else None,
        KIND_WORDS[words[kind[0]]] if kind else None,
        tuple(words[number] for number in others if number < end),
        tuple(words[number] for number in others if number > end),
    )


def _without_number(word: str) -> list[str]:
    """Returns a word, or that of a split and the number that follows it."""
    letters = word.rstrip("0123456789")
    if letters == word or letters not in SPLIT_WORDS:
        return [word]
    return [letters, word.removeprefix(letters)]


def natural_order(name: str) -> tuple[list[int | str], str]:
    """Returns a key that sorts names as people count: 2 before 10."""
    pieces = re.split(r"([0-9]{1,18})", name)  # text and digits in turn
    return [int(piece) if i % 2 else piece.lower() for i, piece in enumerate(pieces)], name
