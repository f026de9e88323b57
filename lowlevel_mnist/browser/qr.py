"""A short address as a QR code, for a phone's camera.

All of it is ISO/IEC 18004:2015. Of its many forms there is one here, which holds any address of
this machine: version 2, error correction level L, bytes, mask 000.
"""

from collections.abc import Iterator

SIZE = 25  # modules (the little squares) of a side
QUIET = 4  # light modules around them
DATA, CHECK = 34, 10  # codewords (bytes): of data, and of error correction
MAX_BYTES = DATA - 2  # the others are mode, length and the mark of the end
FINDERS = (3, 3), (3, SIZE - 4), (SIZE - 4, 3)  # centres of the three large squares
ALIGNMENT = 18, 18  # centre of the small one
FORMAT = 0b111011111000100  # level L, mask 000, and what corrects this (table C.1)
FIELD = 0b100011101  # the polynomial that makes 256 numbers a field (section 7.5.2)
BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}

Place = tuple[int, int]  # row and column of a module


def encode(text: str) -> list[list[bool]]:
    """Returns the modules of the QR code of a text, row by row, True for dark ones.

    Raises `ValueError` for a text of more than MAX_BYTES bytes in UTF-8.
    """
    modules = _fixed_modules()
    codewords = _data_codewords(text.encode())
    codewords += _check_codewords(codewords)
    bits = "".join(f"{codeword:08b}" for codeword in codewords).ljust(SIZE * SIZE, "0")
    free = (place for place in _places() if place not in modules)
    for (row, column), bit in zip(list(free), bits, strict=False):
        is_masked = (row + column) % 2 == 0  # so that there are no large areas of one colour
        modules[row, column] = (bit == "1") != is_masked
    return [[modules[row, column] for column in range(SIZE)] for row in range(SIZE)]


def draw(modules: list[list[bool]]) -> list[str]:
    """Returns the lines of a picture of modules, dark on light, with a light border.

    A character stands for two of them, one above the other: it is twice as high as wide.
    """
    empty = [[False] * SIZE] * QUIET
    rows = [[*[False] * QUIET, *row, *[False] * QUIET] for row in (*empty, *modules, *empty)]
    rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(BLOCKS[pair] for pair in zip(*both, strict=True)) for both in pairs]


def _data_codewords(content: bytes) -> bytes:
    """Returns mode (0100 for bytes), length, content, a terminator of 0000, and padding."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{len(content)} bytes are more than the {MAX_BYTES} of this QR code")
    stream = (0b0100 << 8 | len(content)) << 8 * len(content) | int.from_bytes(content, "big")
    codewords = (stream << 4).to_bytes(len(content) + 2, "big")
    return codewords + (b"\xec\x11" * DATA)[: DATA - len(codewords)]


def _check_codewords(data: bytes) -> bytes:
    """Returns the rest of the data, as a polynomial, after division by the product of x - 2^i.

    That is the Reed-Solomon code, with i from 0 to CHECK - 1.
    """
    generator, root = [1], 1
    for _ in range(CHECK):
        shifted = zip([*generator, 0], [0, *generator], strict=True)
        generator = [a ^ _multiply(b, root) for a, b in shifted]
        root = _multiply(root, 2)
    rest = [*data, *[0] * CHECK]
    for first in range(len(data)):
        factor = rest[first]
        for place, coefficient in enumerate(generator, start=first):
            rest[place] ^= _multiply(coefficient, factor)
    return bytes(rest[len(data) :])


def _multiply(a: int, b: int) -> int:
    """Returns the product of two numbers of the field."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (FIELD if a & 128 else 0)
        b >>= 1
    return product


def _fixed_modules() -> dict[Place, bool]:
    """Returns, by row and column, the modules by which a camera finds and reads the others."""
    modules: dict[Place, bool] = {}
    for i in range(SIZE):
        modules[6, i] = modules[i, 6] = i % 2 == 0
    for centre, radius, light in (*((place, 4, (2, 4)) for place in FINDERS), (ALIGNMENT, 2, (1,))):
        for y in range(-radius, radius + 1):
            for x in range(-radius, radius + 1):
                place = centre[0] + y, centre[1] + x
                if min(place) >= 0 and max(place) < SIZE:
                    modules[place] = max(abs(y), abs(x)) not in light
    rows, columns = [*range(6), 7, 8], [7, *range(5, -1, -1)]
    first = [*((row, 8) for row in rows), *((8, column) for column in columns)]
    below, beside = range(SIZE - 7, SIZE), range(SIZE - 1, SIZE - 9, -1)
    second = [*((8, column) for column in beside), *((row, 8) for row in below)]
    for places in (first, second):
        for number, place in enumerate(places):
            modules[place] = bool(FORMAT >> number & 1)
    modules[SIZE - 8, 8] = True
    return modules


def _places() -> Iterator[Place]:
    """Yields rows and columns: two columns at a time, from the right, up and down in turn."""
    for number, right in enumerate((*range(SIZE - 1, 6, -2), 5, 3, 1)):
        for step in range(SIZE):
            row = step if number % 2 else SIZE - 1 - step
            yield from ((row, right), (row, right - 1))
