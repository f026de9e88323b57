"""The Korean page and notebooks beside the English ones.

All that can be compared without reading both languages: cells, code, outputs, commands, figures,
tables, links. Whether sentences say the same is for people to see.
"""

import itertools
import pathlib
import re
import unicodedata
import urllib.parse

import nbformat
import pytest

from tests.helpers import translation
from tests.helpers.commands import PROJECT
from tests.helpers.translation import HANGUL
from tests.tables.execute_notebooks import ENGLISH, KOREAN, NOTEBOOKS, english

ENGLISH_PAGE, KOREAN_PAGE = PROJECT / "README.md", PROJECT / "README.ko.md"
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *sorted(PROJECT.glob("lowlevel_mnist/**/*.md")),
    *sorted(PROJECT.glob("tests/*.md")),
    *NOTEBOOKS,
]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) +(.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`([^`\n]+)`")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
PRINTED_NUMBER = re.compile(r"(?<![A-Za-z0-9_.])-?\d+(?:[.,]\d+)*(?:e[-+]\d+)?")
# Two words of English in a row, or anywhere in a line; names of code have other characters on them.
IN_WORDS = re.compile(r"[A-Za-z]{2,} [a-z]{2,}|\b[a-z]{2,}\b(?![.(=_]).*\b(?<![.=_])[a-z]{2,}\b")
# What is printed in English in the Korean edition, too: what Python, TensorFlow, Matplotlib or the
# package say.
ENGLISH_OF_OTHERS = re.compile(
    r"^\w+Error: .*|<[A-Z][^>]*>|\bTensor\(.*\)|custom data", re.MULTILINE
)
KOREAN_PICTURE = "](notebooks/pictures/page.ko.png)"  # of the page to draw on, in Korean
KOREAN_ALONE = ["70,000", "15"]  # what MNIST is; fifteen digits

LINES_OF_THE_PACKAGE = {
    line
    for path in PROJECT.glob("lowlevel_mnist/*.py")
    for line in path.read_text(encoding="utf-8").splitlines()
}


def read(path):
    return nbformat.read(path, as_version=4)


def text_of(path):
    """A page's text; of a notebook, that of its text cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def differences(english, korean):
    """What sets a Korean notebook apart from the English one: lines, each about a cell."""
    for number, pair in enumerate(itertools.zip_longest(english.cells, korean.cells)):
        if None in pair or len({(cell.id, cell.cell_type) for cell in pair}) > 1:
            yield f"cell {number} is another one"
            return
        cell, twin = pair
        if cell.metadata != twin.metadata:
            yield f"{cell.id}: the tags"
        is_code = cell.cell_type == "code"
        found = of_code(cell, twin) if is_code else unlike(cell.source, twin.source)
        yield from (f"{cell.id}: {what}" for what in found)


def of_code(cell, twin):
    if changed := translation.difference(cell.source, twin.source):
        yield f"the code: {changed}"
    if cell.execution_count != twin.execution_count or outputs(cell) != outputs(twin):
        yield "the outputs"
    texts = [contents(output).get("text/plain", "") for output in twin.outputs]
    lines = ENGLISH_OF_OTHERS.sub("", "\n".join(texts)).splitlines()
    yield from (
        f"English: {line}"
        for line in lines
        if IN_WORDS.search(line) and line not in LINES_OF_THE_PACKAGE
    )


def outputs(cell):
    """What an execution shows: of texts the numbers, in any order, of all else each byte.

    Of times and versions, in cells that are tagged "machine", only the kinds.
    """
    is_machine = "machine" in cell.metadata.get("tags", [])

    def shown(kind, content):
        return sorted(PRINTED_NUMBER.findall(content)) if kind.startswith("text/") else content

    return [
        (output.output_type, kind, None if is_machine else shown(kind, content))
        for output in cell.outputs
        for kind, content in sorted(contents(output).items())
    ]


def contents(output):
    """What an output shows, in each of its forms: {MIME type: content}."""
    return output.data if "data" in output else {"text/plain": output.text}


def in_korean(text):
    """An English text whose links to notebooks and to the front page lead to the Korean ones."""
    text = re.sub(r"(?<![\w.])(\w+|\*)(?=\.ipynb)", r"\1.ko", text)
    return re.sub(r"(?<=\.\./README)(?=\.md#speed)", ".ko", text)


def skeleton(text):
    """What is the same in each language."""
    return {
        "levels of headings": [len(level) for level, _ in HEADING.findall(text)],
        "cells of tables": len(cells(text)),
        "links": sorted(target.partition("#")[0] for target in LINK.findall(text)),
    }


def cells(text):
    """The cells of tables, without their heads."""
    rows = re.findall(r"^\|(?!.*\n\|--).*", text.replace(" %", "%"), re.MULTILINE)
    return [cell for row in rows for cell in row.split(" | ")]


def unlike(text, korean):
    """What a Korean text says otherwise than the English one, as far as both can be compared."""
    # The first cell, or the page, begins with a link to the other edition.
    other = re.compile(r"^\[(English|한국어)\]\(.*\)\n\n", re.MULTILINE)
    text, korean = (other.sub("", one, count=1) for one in (in_korean(text), korean))
    yield from unlike_blocks(text, korean)
    text, korean = (BLOCK.sub("", one) for one in (text, korean))
    prose = re.sub(r"<[^>]*>|\$[^$]*\$", "", korean)
    if len(HANGUL.findall(prose)) < len(prose) / 10:
        yield "it is not in Korean"
    ours, theirs = skeleton(text), skeleton(korean)
    yield from (what for what in ours if ours[what] != theirs[what])
    for cell, twin in zip(cells(text), cells(korean), strict=False):
        marks = [[sorted(p.findall(one)) for p in (INLINE_CODE, NUMBER)] for one in (cell, twin)]
        if marks[0] != marks[1] if HANGUL.search(twin) else cell != twin:
            yield f"the cell of a table: {twin}"
    # A Korean text may have more of these: it explains what printed labels mean.
    for pattern in (INLINE_CODE, NUMBER):
        if missing := set(pattern.findall(text)) - set(pattern.findall(korean)):
            yield f"code or figures: {missing}"


def unlike_blocks(text, korean):
    """Which blocks of code a text has otherwise than its translation; those of Python as code."""
    for ours, theirs in itertools.zip_longest(BLOCK.findall(text), BLOCK.findall(korean)):
        is_python = ours and theirs and ours[0] == theirs[0] == "python"
        if translation.difference(ours[1], theirs[1]) if is_python else ours != theirs:
            yield f"a block of code: {theirs}"


def unlike_the_english_page(korean):
    """What the Korean page says otherwise than the English one, or has and that one has not."""
    page = ENGLISH_PAGE.read_text(encoding="utf-8")
    yield from unlike(page, korean.replace(KOREAN_PICTURE, "."))
    for pattern in (INLINE_CODE, NUMBER):
        known = [*pattern.findall(in_korean(page)), *KOREAN_ALONE]
        yield from (said for said in pattern.findall(korean) if said not in known)


each_korean_notebook = pytest.mark.parametrize("path", KOREAN, ids=lambda path: path.stem)


def test_each_notebook_has_a_korean_edition():
    assert [english(path) for path in KOREAN] == ENGLISH


@each_korean_notebook
def test_same_cells_code_and_outputs(path):
    assert list(differences(read(english(path)), read(path))) == []


@each_korean_notebook
def test_comments_and_docstrings_are_korean(path):
    """But for those of a name or a shape: no two words follow one another in them."""
    codes = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    codes += [block for language, block in BLOCK.findall(text_of(path)) if language == "python"]
    comments = [comment for code in codes for comment in translation.comments(code)]
    assert any(HANGUL.search(comment) for comment in comments)
    in_words = [comment for comment in comments if re.search(r"[a-z]{2,} [a-z]{2,}", comment)]
    assert [comment for comment in in_words if not HANGUL.search(comment)] == []


def test_the_korean_page_agrees_with_the_english_one():
    assert list(unlike_the_english_page(KOREAN_PAGE.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", [KOREAN_PAGE, *KOREAN], ids=lambda path: path.name)
def test_each_edition_begins_with_a_link_to_the_other(path):
    other = english(path)
    for page, target, name in ((path, other, "English"), (other, path, "한국어")):
        assert f"[{name}]({target.name})" in text_of(page)[:200]


# These comparisons notice what they are to notice.


def edit(kind, pattern, instead):
    """Returns a function that edits the last cell of a kind in which a pattern is found."""

    def change(notebook):
        cells = [cell for cell in notebook.cells if cell.cell_type == kind]
        cell = [cell for cell in cells if re.search(pattern, cell.source)][-1]
        cell.source = re.sub(pattern, instead, cell.source)

    return change


def edit_output(kind, change):
    """Returns a function that edits what the last output of a kind shows, by a function."""

    def change_output(notebook):
        cells = [cell for cell in notebook.cells if "machine" not in cell.metadata.get("tags", [])]
        shown = [contents(output) for cell in cells for output in cell.get("outputs", [])]
        found = [forms for forms in shown if kind in forms and len(forms) > 1][-1]
        found[kind] = change(found[kind])

    return change_output


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda notebook: notebook.cells.pop(5), "cell 5 is another one"),
        (lambda notebook: notebook.cells[0].metadata.update(tags=["machine"]), "the tags"),
        (edit("code", r"\Z", "\nseed = 1"), "the code"),
        (edit_output("image/png", lambda content: content[:-1]), "the outputs"),
        (edit_output("text/plain", lambda text: text + " 77777"), "the outputs"),
        (edit_output("text/plain", lambda text: text + "\nthe largest difference"), "English: "),
        (edit("markdown", HANGUL, "x"), "it is not in Korean"),
        (edit("markdown", r"(?m)^## ", ""), "levels of headings"),
        (edit("markdown", r"(?m)^\|.*\n", ""), "cells of tables"),
        (edit("markdown", r"\.ko\.ipynb\)", ".ipynb)"), "links"),
        (edit("markdown", r"\b[0-9]+\b", "77777"), "figures"),
    ],
)
def test_a_change_of_one_edition_is_noticed(change, noticed):
    path = KOREAN[0].with_name("step_by_step.ko.ipynb")
    notebook = read(path)
    change(notebook)
    found = differences(read(english(path)), notebook)
    assert any(noticed in difference for difference in found)


@pytest.mark.parametrize(
    ("code", "translated", "is_noticed"),
    [
        ("print(f'{a:>6.2f} of {b}', c)", "print(f'{b} 가운데 {c}에서 {a:.2f}')", False),
        ("print('loss', d['loss'])  # a key", "print('손실', d['loss'])  # 키", False),
        ("f'{r[1]} {r[0]}' if x else 'no'", "f'{r[0]}개 {r[1]}' if x else '아니요'", False),
        ("print(f'{a:.2f}')", "print(f'{a:.3f}')", True),
        ("print(f'{a!r} {b}')", "print(f'{a} {b}')", True),
        ("print(f'{a} {b}')", "print(f'{a} {a}')", True),
        ("print('loss', a)", "print('losses', a)", True),
        ("d['loss']", "d['accuracy']", True),
        ("def f():\n    'Doc.'\n    return 1", "def f():\n    return 1", True),
        ("train(model, 1)", "train(model, True)", True),
    ],
)
def test_what_a_translation_may_change(code, translated, is_noticed):
    assert bool(translation.difference(code, translated)) == is_noticed


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("-m lowlevel_mnist.train\n", "-m lowlevel_mnist.trian\n"),
        ("| 0.079 | 0.620 |", "| 0.620 | 0.079 |"),
        ("RMSprop 0.001 | 128", "RMSprop 0.001 | 64"),
        ("70,000장", "71,000장"),
    ],
)
def test_a_slip_in_the_korean_page_is_noticed(said, instead):
    page = KOREAN_PAGE.read_text(encoding="utf-8")
    assert page.count(said) == 1
    assert list(unlike_the_english_page(page.replace(said, instead)))


# Links.


def anchors(path):
    """What a code-hosting page calls the headings of a page: "## Own data!" is own-data."""
    for _, heading in HEADING.findall(BLOCK.sub("", text_of(path))):
        words = LINK.sub("]", heading).lower().replace(" ", "-")
        yield "".join(c for c in words if c in "-_" or unicodedata.category(c)[0] in "LNM")


def dead_links(path, text):
    for link in LINK.findall(BLOCK.sub("", text)):
        target, _, anchor = urllib.parse.unquote(link).partition("#")
        if target.startswith(("https:", "http:", "attachment:")):
            continue
        page = pathlib.Path(path.parent, target) if target else path
        if not page.exists() or (anchor and anchor not in anchors(page)):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(path):
    assert list(dead_links(path, text_of(path))) == []


def test_a_dead_link_is_noticed():
    text = "[a](README.md#speed) [b](README.md#sped) [c](tests/) [d](no.md) [e](README.ko.md#속도)"
    assert list(dead_links(ENGLISH_PAGE, text)) == ["README.md#sped", "no.md"]
