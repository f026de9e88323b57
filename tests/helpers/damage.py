"""Files that are damaged, and how to see that nothing else is."""

import random

from hypothesis import strategies as st

KINDS = ["flip a bit", "cut", "grow", "insert", "zeros", "swap"]
DAMAGES = st.tuples(
    st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.integers(0, 2**32 - 1)
)


def damage(content, kind, where, seed):
    """Returns bytes that are damaged in one way, at a place from 0 (start) to 1 (end)."""
    draw, place = random.Random(seed), int(where * len(content))
    length = draw.randrange(1, 64)
    before, after = content[:place], content[place:]
    if kind == "flip a bit":
        return before + bytes([after[0] ^ 1 << draw.randrange(8)]) + after[1:]
    if kind == "cut":
        return before
    if kind == "grow":
        return content + draw.randbytes(length)
    if kind == "insert":
        return before + draw.randbytes(length) + after
    if kind == "zeros":
        return before + bytes(len(after[:length])) + after[length:]
    return after + before


def flip_a_bit(path):
    """Changes a bit in the middle of a file."""
    path.write_bytes(damage(path.read_bytes(), "flip a bit", 0.5, 0))


def read_files(folder):
    """Returns the bytes of all files in a folder and in those in it, by their paths."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
