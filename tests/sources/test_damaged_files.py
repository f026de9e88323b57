"""Damaged and hostile files: the right arrays or one clear error, and little memory.

Hypothesis makes them, the same ones in every run: 30 of each kind, or 400 with its profile "full".
What a reader may do with any of them stands in `attempt`.
"""

import functools
import gzip
import io
import itertools
import math
import re
import struct
import sys
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from lowlevel_mnist.errors import UserError
from lowlevel_mnist.sources import digits, image_style, layouts, opening, pictures, tables
from lowlevel_mnist.sources import idx as idx_files
from lowlevel_mnist.sources import npz as archives
from tests.helpers.data import NPZ_KEYS, digit_arrays, idx_bytes, pattern_arrays
from tests.sources import files

# How much memory a reader may take: this many times the data that a file really holds, and for
# a file of any size what NumPy and zipfile need and the pieces in which a file is read.
MAX_COPIES, OWN_MEMORY = 4, 1 << 20
MAX_TEXT_LENGTH = 400


@pytest.fixture(autouse=True)
def _silence(capfd):
    """Nothing at all is printed, be it by a library in C."""
    yield
    assert capfd.readouterr() == ("", "")


def attempt(read, path, content, size=math.inf):
    """Returns what `read` makes of a file, or None where it refuses the file as it should.

    content: its bytes; size: bytes of data that it really holds, for the bound on memory.
    Any exception but `UserError` gets through, and nothing may give a warning.
    """
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            result = read(path)
    except UserError as error:
        assert_clear(str(error), path)
        result = None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not warned
    assert peak <= MAX_COPIES * size + OWN_MEMORY
    return result


def assert_clear(text, path):
    assert str(path) in text
    assert text.isprintable(), "more than one line, or control characters"
    assert len(text) <= MAX_TEXT_LENGTH
    assert text.endswith((".", "?"))
    for blank in ("None.", "Traceback", "file ()", "read ()", "<class"):
        assert blank not in text


def fuzz(*strategies):
    """Marks a test, and has Hypothesis give it arguments."""
    return lambda test: pytest.mark.fuzz(given(*strategies)(test))


# A damage is a list of edits. Each takes some bytes out at some place and puts others in, which
# is a flip, a cut, a growth or an insertion, as the case may be. Places near the beginning and
# (negative ones) near the end are the likelier: that is where headers and directories are.
HOSTILE = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
INSERTED = (
    st.binary(min_size=1, max_size=1)
    | st.binary(max_size=9)
    | st.sampled_from([number.to_bytes(4, "big") for number in HOSTILE])
    | st.sampled_from([number.to_bytes(4, "little") for number in HOSTILE])
    | st.just(bytes(500))
)


def edits(inserted=INSERTED):
    places = st.integers(0, 40) | st.integers(-400, -1) | st.integers(0, 10**7)
    removed = st.sampled_from([0, 1, 1, 1, 2, 4, 4, 100, 10**9])
    return st.lists(st.tuples(places, removed, inserted), min_size=1, max_size=3)


def damage(content, edits):
    content = bytearray(content)
    for place, removed, inserted in edits:
        start = place % (len(content) + 1)
        content[start : start + removed] = inserted
    return bytes(content)


# Some files are large, so that the bound on memory means something: 4 MB, else 24 KB.
LARGE = st.sampled_from([False, False, False, True])


@functools.cache
def arrays(large=False):
    """The four arrays of a data set; the labels of the large one are as many as its pixels."""
    if not large:
        return pattern_arrays()
    images, labels, *test = pattern_arrays(size=(28, 28), train=5000)
    return images, np.tile(labels, 28 * 28), *test


# IDX: what is to be read is known exactly, from the format's definition.

KINDS = {1: "labels", 3: "images"}  # by their dimensions
DIMENSIONS = st.sampled_from([*KINDS])


def honest_idx(content, dimensions):
    """The array that an IDX file of these bytes holds, or None where it contradicts itself."""
    start = 4 + 4 * dimensions
    lengths = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < start:
        return None
    if len(content) - start != math.prod(lengths):
        return None
    if math.prod(length for length in lengths if length) > sys.maxsize:
        return None  # no bytes, as one length is 0; but NumPy has no array of such lengths
    return np.array(memoryview(content)[start:], np.uint8).reshape(lengths)


def assert_idx(path, stored, content, dimensions, size):
    """What is stored is read as its content says, that which a gzip file unpacks to, or None."""
    expected = None if content is None else honest_idx(content, dimensions)
    read = functools.partial(idx_files.read, kind=KINDS[dimensions])
    array = attempt(read, path, stored, size)
    assert (array is None) == (expected is None)
    if array is not None:
        np.testing.assert_array_equal(array, expected, strict=True)


@functools.cache
def idx(large, dimensions):
    return idx_bytes(arrays(large)[0 if dimensions == 3 else 1])


@functools.cache
def packed_idx(large, dimensions):
    return gzip.compress(idx(large, dimensions), 1)


def unpacked(content):
    """What a gzip file holds, or None where it is broken."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


@fuzz(LARGE, DIMENSIONS, edits())
@example(False, 3, [(10, 10**9, b"")])  # the end is within the header
def test_damaged_idx(tmp_path, large, dimensions, edits):
    content = damage(idx(large, dimensions), edits)
    assert_idx(tmp_path / "file", content, content, dimensions, len(content))


@fuzz(LARGE, DIMENSIONS, edits())
@example(True, 3, [])  # whole, and larger than there is room for at first
def test_damaged_gzip(tmp_path, large, dimensions, edits):
    content, size = damage(packed_idx(large, dimensions), edits), len(idx(large, dimensions))
    assert_idx(tmp_path / "file.gz", content, unpacked(content), dimensions, size)


LENGTHS = st.sampled_from([*HOSTILE, 6, 8, 28, 48, 500, 5000]) | st.integers(0, 2**32 - 1)


@fuzz(
    DIMENSIONS,
    st.sampled_from([0x803] * 5 + [0x801] * 3 + [0x802, 0xD03, 0x8030000, 2**32 - 1]),
    st.permutations([500, 8, 6]) | st.lists(LENGTHS, min_size=1, max_size=3),
    st.sampled_from([0, 0, 0, 1, -1, 100, 2_000_000]),
)
@example(3, 0x803, [0, 2**32 - 1, 2**32 - 1], 0)
def test_idx_with_another_header(tmp_path, dimensions, magic, lengths, excess):
    """The body has as many bytes as the header says, or some more or fewer, but at most 8 MB."""
    size = min(max(math.prod(lengths) + excess, 0), 8_000_000)
    content = struct.pack(f">{1 + len(lengths)}I", magic, *lengths) + numbers(size)
    assert_idx(tmp_path / "file", content, content, dimensions, len(content))


def numbers(size):
    return bytes(range(250)) * (size // 250) + bytes(size % 250)


# npz: an archive has checksums, so what is read is what was written; where a test writes odd
# things, it is what NumPy reads.

METHODS = {"stored": 0, "deflated": 8, "bzip2": 12, "lzma": 14}  # as zipfile numbers them
SAVED = st.sampled_from(["stored", "deflated"])
MEMBERS = [f"{key}.npy" for key in NPZ_KEYS]


def read_npz(path):
    """The four arrays, in the order of NPZ_KEYS, where all are there."""

    def all_four(names):
        return {key: key for key in NPZ_KEYS if set(NPZ_KEYS) <= set(names)}

    return list(archives.read(path, all_four).values())


def npz(contents, method, names=MEMBERS, extra=b""):
    """A zip archive of members; `extra` is in the headers of each."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compresslevel=1) as archive:
        for name, content in zip(names, contents, strict=True):
            member = zipfile.ZipInfo(name)
            member.extra = extra
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # two members of one name are meant
                archive.writestr(member, content, METHODS[method])
    return file.getvalue()


@functools.cache
def npy(large=False):
    """The four arrays in the format `.npy`."""
    return list(map(files.npy, arrays(large)))


@functools.cache
def honest_npz(large, method):
    return npz(npy(large), method)


def assert_npz(path, content, contents, expected):
    """Of members with these contents a file's content is refused, or read as is expected."""
    read = attempt(read_npz, path, content, sum(map(len, contents)))
    if read is not None:
        for left, right in zip(read, expected(path), strict=True):
            np.testing.assert_array_equal(left, right, strict=True)


def read_by_numpy(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.load(path) as archive:
            return [archive[key] for key in NPZ_KEYS]


@fuzz(LARGE, SAVED, edits())
@example(False, "stored", [(29, 1, b"w")])  # an array that begins after the archive's end
@example(False, "deflated", [(41, 4, bytes(4))])  # an array that can't be inflated
def test_damaged_npz(tmp_path, large, method, edits):
    content = damage(honest_npz(large, method), edits)
    assert_npz(tmp_path / "d.npz", content, npy(large), lambda _: arrays(large))


# Numbers in an archive's headers: before each of the four members, in the directory, at the end.
HEADERS = st.sampled_from([b"PK\3\4", b"PK\1\2", b"PK\5\6"])
FLAGS_AND_METHODS = (1, 8, 9, 12, 14, 93, 0x20, 0x40, 0x800, 0x2000)
VALUES = st.sampled_from([*FLAGS_AND_METHODS, *HOSTILE])
CHANGES = st.tuples(st.integers(0, 3), HEADERS, st.integers(2, 22), st.sampled_from([2, 4]), VALUES)
ZIP64, UNICODE_NAME = 0x0001, 0x7075


def rewrite(content, member, header, half, width, value):
    """Writes a number so many pairs of bytes behind the beginning of a header."""
    starts = [match.start() for match in re.finditer(re.escape(header), content)]
    number = (value % 256**width).to_bytes(width, "little")
    return damage(content, [(starts[member % len(starts)] + 2 * half, width, number)])


@st.composite
def zip_extras(draw):
    tag = draw(st.sampled_from([ZIP64, UNICODE_NAME, 0xCAFE]))
    data = draw(st.binary(max_size=8) | st.sampled_from([b"\xff" * 24, bytes(7) + b"\x7f"]))
    length = draw(st.just(len(data)) | st.integers(0, 99))
    return struct.pack("<HH", tag, length) + data


@fuzz(SAVED, st.just(b"") | zip_extras(), st.lists(CHANGES, min_size=1, max_size=3))
@example("stored", struct.pack("<HHQ", ZIP64, 8, 2**64 - 1), [(2, b"PK\1\2", 21, 4, -1)])
@example("stored", struct.pack("<HHBL", UNICODE_NAME, 5, 1, zlib.crc32(b"x_test.npy")), [])
def test_npz_with_other_numbers_in_its_headers(tmp_path, method, extra, changes):
    content = npz(npy(), method, extra=extra)
    for change in changes:
        content = rewrite(content, *change)
    assert_npz(tmp_path / "d.npz", content, npy(), lambda _: arrays())


NAMES = (
    *(*MEMBERS, *MEMBERS, "", "x.npy", "X_TRAIN.npy", "../y_test.npy"),
    *("y_test.npy/", "y_test.npy\0z", "\x1b[31m.npy", "é.npy", "z" * 9999),
)


@fuzz(st.permutations(MEMBERS), st.lists(st.sampled_from(NAMES), max_size=3), st.booleans())
def test_npz_with_other_names(tmp_path, names, more, lack_one):
    names = [*names[lack_one:], *more]
    contents = list(itertools.islice(itertools.cycle(npy()), len(names)))
    assert_npz(tmp_path / "d.npz", npz(contents, "stored", names), contents, read_by_numpy)


# What the header of an array may say instead of '|u1', False and (500, 8, 6).
DTYPES = (
    *("'|b1'", "'>i2'", "'<f8'", "'>U3'", "'|S4'", "'<M8[s]'", "'|V6'", "'O'", "'V0'", "'T'"),
    *("'V4294967296'", "'S99999999999'", "''", f"'{'u1,' * 999}'", r"'\ud800'", "'u1'if 1else 2"),
    *("None", "[]", "{[]: 1}", "('|u1', (2, 3))", "('|u1', -1)", "[('a', 'O')]"),
    *("[('a', '|u1', (2147483648,))]", "[('a', '|u1'), ('a', '|u1')]"),
)
SHAPES = (
    *("(24000,)", "(4, 6000)", "(500L, 8L, 6L)", "(True, 24000)", "(12000,)", "(3000,)", "()"),
    *("(0,)", "(0, 100000000000000000000)", "(0, 4294967295, 4294967295)", "(0, -1)", "(-1,)"),
    *("(-4, -6000)", "(4294967296, 4294967296)", "(500.0, 8, 6)", "(1e400,)", "[500, 8, 6]"),
    *(f"({'9' * 5000},)", "(" * 300, f"{'-' * 9000}1", f"1{'+1' * 4000}", "(\n", "1 2", "\0", "é"),
)


@st.composite
def npy_headers(draw):
    """The beginning of a `.npy` file: signature, version, length and text, and perhaps damage."""
    dtype = draw(st.just("'|u1'") | st.sampled_from(DTYPES))
    shape = draw(st.just("(500, 8, 6)") | st.sampled_from(SHAPES))
    order = draw(st.sampled_from(["False", "False", "True", "0", "None"]))
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode("latin-1")
    header = b"\x93NUMPY\1\0" + (len(text) % 65536).to_bytes(2, "little") + text
    return damage(header, draw(st.just([]) | edits()))


NO_BYTES = b"\x93NUMPY\1\0\x50\0{'descr': '|u1', 'fortran_order': False, 'shape': (0, 1%s), }\n" % (
    b"0" * 20
)


@fuzz(st.integers(0, 3), npy_headers(), st.sampled_from([24_000] * 5 + [0, 0, 23_999, 4_000_000]))
@example(0, NO_BYTES, 0)
def test_npz_with_another_header_of_an_array(tmp_path, key, header, size):
    contents = npy().copy()
    contents[key] = header + numbers(size)
    assert_npz(tmp_path / "d.npz", npz(contents, "stored"), contents, read_by_numpy)


def test_npz_with_a_table_for_an_array(tmp_path):
    """The text of its type, which may be long, must not get into an error of who gets the array."""
    table = files.npz(**dict.fromkeys(NPZ_KEYS, np.zeros(5, "u1," * 40)))
    files.write(tmp_path, {"d.npz": table})
    with pytest.raises(UserError, match="x_train is no array of numbers"):
        read_npz(tmp_path / "d.npz")


# Files that are made to take memory, many times as much as they themselves have.

MUCH = bytes(20_000_000)
BLANKS = b"\x93NUMPY\2\0" + len(MUCH).to_bytes(4, "little") + MUCH.replace(b"\0", b" ")
MANY = list(map(str, range(20_000)))
HOSTILE_FILES = {
    "more than it declares.gz": lambda: gzip.compress(idx(False, 3) + MUCH, 1),
    "more than it declares.npz": lambda: npz([npy()[0] + MUCH, *npy()[1:]], "deflated"),
    "a long header.npz": lambda: npz([BLANKS, *npy()[1:]], "deflated"),
    "a long directory.npz": lambda: npz([*npy(), *[b""] * len(MANY)], "stored", MEMBERS + MANY),
}
READERS = {
    ".npz": read_npz,
    ".gz": functools.partial(idx_files.read, kind="images"),
    ".csv": tables.read,
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_what_is_made_to_take_memory(tmp_path, name):
    path, content = tmp_path / name, HOSTILE_FILES[name]()
    assert attempt(READERS[path.suffix], path, content, len(content)) is None


@pytest.mark.parametrize("method", ["bzip2", "lzma"])
def test_npz_that_numpy_did_not_compress(tmp_path, method):
    """Their readers would take any memory: all that a piece of a file expands to."""
    files.write(tmp_path, {"d.npz": honest_npz(False, method)})
    with pytest.raises(UserError, match="x_train is neither stored nor deflated"):
        read_npz(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("name", "packed", "plain"),
    [
        ("d.npz", lambda: honest_npz(False, "deflated"), lambda: honest_npz(False, "stored")),
        ("images.gz", lambda: packed_idx(False, 3), lambda: idx(False, 3)),
        ("train.csv", lambda: gzip.compress(csv(False, True)), lambda: csv(False, True)),
    ],
)
def test_what_expands_too_far(tmp_path, monkeypatch, name, packed, plain):
    """By its own word, before it is read, or as lines come: 24 KB where 20 KB are allowed."""
    monkeypatch.setattr(opening, "MAX_EXPANDED", 20_000)
    path = tmp_path / name
    path.write_bytes(packed())
    with pytest.raises(UserError, match="expands to more than 20,000 bytes.*uncompressed"):
        READERS[path.suffix](path)
    path.write_bytes(plain())
    READERS[path.suffix](path)


# CSV: what is to be read is known from a plain reading of its lines.


@functools.cache
def csv(large, header):
    images, labels, *_ = arrays(large)
    pixels = images.reshape(len(images), -1)[:, :36]
    names = f"label,{files.pixels('pixel{}')}" if header else None
    return files.csv(labels[: len(images)], pixels, header=names).encode()


def honest_csv(content):
    """Labels and pixels in a file of these bytes, or None where they are no table of 37 columns.

    A label is any text, or a whole number below 256; a pixel is any number.
    """
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    rows = [line.split(",") for line in text.split("\n") if line.strip()]
    if any(len(row) != 37 for row in rows):
        return None
    if rows and sum(bool(re.fullmatch(' *"*[0-9.]+"* *', field)) for field in rows[0]) < 37 / 2:
        del rows[0]
    if not rows:
        return None
    try:
        cells = [[field.strip().strip('"') for field in row] for row in rows]
        pixels = np.array([[float(cell) for cell in row[1:]] for row in cells])
        labels = [row[0] if re.search("[^0-9.e+-]", row[0]) else float(row[0]) for row in cells]
    except ValueError:
        return None
    texts = [label for label in labels if isinstance(label, str)]
    if any("\ufffd" in text or len(text) > 100 for text in texts):
        return None
    if not all(isinstance(label, str) or label in range(256) for label in labels):
        return None
    return [label if isinstance(label, str) else str(int(label)) for label in labels], pixels


OF_TABLES = st.sampled_from([b",", b"\n", b"\r\n", b'"', b"-", b"999", b"a", b" ", b"\xff"])


@fuzz(LARGE, st.booleans(), edits(INSERTED | OF_TABLES))
def test_damaged_csv(tmp_path, large, header, edits):
    content = damage(csv(large, header), edits)
    read = attempt(tables.read, tmp_path / "d.csv", content, len(content))
    expected = honest_csv(content)
    if read is None:
        is_whole = expected is not None and np.isin(expected[1], range(256)).all()
        # A quotation mark may open a field of several lines, and a point be in a wrong number.
        assert not is_whole or b'"' in content or b"." in content
    else:
        images, labels = read
        np.testing.assert_array_equal(labels, expected[0])
        np.testing.assert_array_equal(images.reshape(-1, 36), np.float32(expected[1]))


@fuzz(edits())
def test_damaged_mapping(tmp_path, edits):
    content = damage(b"".join(b"%d %d\n" % (n, 65 + n) for n in range(26)), edits)
    names = attempt(layouts.read_mapping, tmp_path / "mapping.txt", content, len(content))
    assert names is None or all(name.isprintable() and name for name in names.values())


# Pictures: whatever can be decoded becomes an image of 28x28. Their memory is not bounded by the
# file's size, as a blank picture is packed 1000:1, but by the number of pixels, before decoding.


@functools.cache
def drawing():
    """A digit, dark on light, 90 x 70 in colour."""
    digit = Image.fromarray(255 - digit_arrays()[0][0]).resize((60, 60))
    picture = Image.new("RGB", (90, 70), (250, 245, 220))
    picture.paste(digit, (20, 5))
    return picture


def turned(orientation):
    """Metadata that says how the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera's name"
    return exif.tobytes()


def saved(kind, exif=None):
    """The drawing as a file: a format, a mode and options, such as "JPEG RGB progressive"."""
    format_name, mode, *options = kind.split()
    picture = drawing().convert(mode) if mode != "I;16" else drawing().convert("I").convert(mode)
    flags = {"exif": turned(6) if exif is None else exif} if "exif" in options else {}
    if "transparent" in options:
        flags["transparency"] = {"L": 255, "RGB": (250, 245, 220), "P": bytes(range(256))}[mode]
    if "animated" in options:
        flags |= {"save_all": True, "append_images": [picture.rotate(90)]}
    file = io.BytesIO()
    picture.save(file, format_name, progressive="progressive" in options, **flags)
    return file.getvalue()


PICTURES = (
    *(f"PNG {mode}" for mode in ("L", "RGB", "RGBA", "P", "LA", "1", "I;16")),
    *("PNG L transparent", "PNG RGB transparent", "PNG P transparent", "PNG RGB exif"),
    *("PNG RGB animated", "JPEG L", "JPEG RGB", "JPEG CMYK", "JPEG RGB progressive"),
    *("JPEG RGB exif", "GIF P", "GIF L", "GIF P animated", "GIF 1", "GIF P transparent"),
    *("BMP L", "BMP RGB", "BMP RGBA", "BMP P", "BMP 1"),
    *("WEBP RGB", "WEBP RGBA", "WEBP RGB animated", "TIFF L", "TIFF RGB", "TIFF 1", "TIFF I;16"),
)
STYLE = image_style.learn(digits.generate(200, seed=1)[0])


def mend_checksums(png):
    """The same PNG with the right checksums, so that a damage is not found by them alone."""
    mended, rest = png[:8], png[8:]
    while len(rest) >= 12:
        end = 8 + int.from_bytes(rest[:4], "big")
        mended += rest[:end] + zlib.crc32(rest[4:end]).to_bytes(4, "big")
        rest = rest[end + 4 :]
    return mended + rest


def assert_picture(path, content):
    reading = attempt(functools.partial(pictures.read, style=STYLE), path, content)
    image = reading and reading.image
    if image is not None:
        assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    return image


@pytest.mark.parametrize("kind", PICTURES)
def test_picture(tmp_path, kind):
    assert assert_picture(tmp_path / "a.png", saved(kind)) is not None


def test_picture_of_too_many_pixels(tmp_path):
    size = struct.pack(">2I", 10_000, 6_001)
    files.write(tmp_path, {"a.png": mend_checksums(damage(saved("PNG L"), [(16, 8, size)]))})
    with pytest.raises(UserError, match="10000x6001 pixels large; a picture may have 60,000,000"):
        pictures.read(tmp_path / "a.png", STYLE)


@fuzz(st.sampled_from(PICTURES), edits(), st.booleans())
def test_damaged_picture(tmp_path, kind, edits, mend):
    content = damage(saved(kind), edits)
    if mend and kind.startswith("PNG"):
        content = mend_checksums(content)
    assert_picture(tmp_path / "a.png", content)


@fuzz(st.sampled_from(["PNG RGB exif", "JPEG RGB exif"]), st.integers(0, 9), edits())
@example("JPEG RGB exif", 0, [(193, 100, b"\0")])
def test_picture_with_damaged_metadata(tmp_path, kind, orientation, edits):
    content = saved(kind, exif=damage(turned(orientation), edits))
    assert_picture(tmp_path / "a.jpg", content)


SIDES = st.sampled_from([1, 2, 3, 19, 20, 21, 28, 100, 401])
SPOTS = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 999), st.integers(0, 255)), max_size=9
)


@fuzz(st.sampled_from(["L", "LA", "I;16"]), SIDES, SIDES, st.integers(0, 255), SPOTS)
@example("L", 400, 400, 255, [(0, 0, 0), (399, 399, 0), (200, 210, 0)])
@example("L", 3, 3, 17, [(0, 0, 16), (0, 290, 16), (1, 1, 0)])  # no pixel is beside the strokes
def test_picture_of_a_few_spots(tmp_path, mode, width, height, background, spots):
    pixels = np.full((height, width), background, np.uint16 if mode == "I;16" else np.uint8)
    for row, column, level in spots:
        pixels[row % height, column % width] = 257 * level if mode == "I;16" else level
    picture = Image.fromarray(pixels)
    if mode == "LA":
        picture.putalpha(Image.fromarray(255 - pixels))
    file = io.BytesIO()
    picture.save(file, "PNG")
    assert_picture(tmp_path / "a.png", file.getvalue())
