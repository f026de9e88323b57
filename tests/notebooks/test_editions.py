"""The Korean page and notebooks beside the English ones.

All that can be compared without reading both languages: cells, code, outputs, commands, figures,
tables, links. Whether sentences say the same is for people to see.
"""

import pathlib
import re
import unicodedata
import urllib.parse
from collections import Counter

import nbformat
import pytest

from tests.helpers import translation
from tests.helpers.commands import PROJECT
from tests.helpers.translation import HANGUL
from tests.tables import execute_notebooks

ENGLISH_PAGE, KOREAN_PAGE = PROJECT / "README.md", PROJECT / "README.ko.md"
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *sorted(PROJECT.glob("lowlevel_mnist/**/*.md")),
    *sorted(PROJECT.glob("tests/*.md")),
    *execute_notebooks.NOTEBOOKS,
]

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
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

LINES_OF_THE_PACKAGE = {
    line
    for path in PROJECT.glob("lowlevel_mnist/*.py")
    for line in path.read_text(encoding="utf-8").splitlines()
}


def read(path):
    return nbformat.read(path, as_version=4)


def english(path):
    """The path of the English edition of a Korean page or notebook."""
    return path.with_name(path.name.replace(".ko.", "."))


def skeleton(text):
    """What is the same in each language: levels of headings, tables, links."""
    prose = FENCED.sub("", text)
    return {
        "levels of headings": [len(level) for level, _ in HEADING.findall(prose)],
        "rows of tables": re.findall(r"^\|", prose, re.MULTILINE),
        "links": sorted(target.partition("#")[0] for target in LINK.findall(prose)),
    }


def in_korean(text):
    """An English text whose links to notebooks and to the front page lead to the Korean ones."""
    text = re.sub(r"(?<![\w.])(\w+|\*)(?=\.ipynb)", r"\1.ko", text)
    return re.sub(r"(?<=\.\./README)(?=\.md#speed)", ".ko", text)


def differences(english, korean):
    """What sets a Korean notebook apart from the English one: lines, each about a cell."""
    cells = [[(cell.id, cell.cell_type) for cell in edition.cells] for edition in (english, korean)]
    if cells[0] != cells[1]:
        first = next(
            number
            for number in range(max(map(len, cells)))
            if cells[0][number : number + 1] != cells[1][number : number + 1]
        )
        return [f"cell {first} is another one"]
    return [
        f"{cell.id}: {what}"
        for cell, twin in zip(english.cells, korean.cells, strict=True)
        for what in of_cells(cell, twin)
    ]


def of_cells(cell, twin):
    if cell.metadata != twin.metadata:
        yield "the tags"
    if cell.cell_type == "code":
        yield from of_code(cell, twin)
    else:
        yield from of_text(cell.source, twin.source)


def of_code(cell, twin):
    if changed := translation.difference(cell.source, twin.source):
        yield f"the code: {changed}"
    kinds = [[kind_of(output) for output in c.outputs] for c in (cell, twin)]
    if kinds[0] != kinds[1] or cell.execution_count != twin.execution_count:
        yield "the outputs"
    elif "machine" not in cell.metadata.get("tags", []):
        yield from (
            f"the outputs: {kind}, {changed}"
            for output, other in zip(cell.outputs, twin.outputs, strict=True)
            for kind, changed in of_outputs(contents(output), contents(other))
        )
    yield from (f"English: {line}" for line in lines(twin) if IN_WORDS.search(line))


def contents(output):
    """What an output shows, in each of its forms: {MIME type: content}."""
    return output.data if "data" in output else {"text/plain": output.text}


def kind_of(output):
    return output.output_type, output.get("name"), sorted(contents(output))


def of_outputs(shown, theirs):
    """What sets apart two outputs: texts by their numbers in any order, all else by each byte."""
    for kind in shown:
        if kind.startswith("text/"):
            ours, others = (Counter(PRINTED_NUMBER.findall(o[kind])) for o in (shown, theirs))
            changed = [sorted(numbers.elements()) for numbers in (ours - others, others - ours)]
            if changed != [[], []]:
                yield kind, changed
        elif shown[kind] != theirs[kind]:
            yield kind, "another content"


def lines(cell):
    """The lines of text that a cell shows, without those that are none of its own."""
    texts = [contents(output).get("text/plain", "") for output in cell.outputs]
    lines = ENGLISH_OF_OTHERS.sub("", "\n".join(texts)).splitlines()
    return [line for line in lines if line not in LINES_OF_THE_PACKAGE]


def of_text(text, theirs):
    # The first cell, or the page, begins with a link to the other edition.
    other = re.compile(r"^\[(English|한국어)\]\(.*\)\n\n", re.MULTILINE)
    text, theirs = (other.sub("", source, count=1) for source in (in_korean(text), theirs))
    prose = re.sub(r"<[^>]*>|\$[^$]*\$", "", FENCED.sub("", theirs))
    if len(HANGUL.findall(prose)) < len(prose) / 10:
        yield "it is not in Korean"
    ours = skeleton(text)
    yield from (what for what in ours if ours[what] != skeleton(theirs)[what])
    yield from unlike_blocks(text, theirs)
    # A Korean text may have more of these: it explains what printed labels mean.
    if missing := set(INLINE_CODE.findall(text)) - set(INLINE_CODE.findall(theirs)):
        yield f"inline code: {missing}"
    if missing := set(NUMBER.findall(text)) - set(NUMBER.findall(theirs)):
        yield f"figures: {missing}"


def unlike_blocks(text, theirs):
    """Which blocks of code a text has otherwise than its translation; those of Python as code."""
    blocks, others = (BLOCK.findall(source) for source in (text, theirs))
    if [language for language, _ in blocks] != [language for language, _ in others]:
        yield "blocks of code"
        return
    for (language, block), (_, other) in zip(blocks, others, strict=True):
        if language != "python":
            if block != other:
                yield f"blocks of code: {other}"
        elif changed := translation.difference(block, other):
            yield f"blocks of code: {changed}"


each_korean_notebook = pytest.mark.parametrize(
    "path", execute_notebooks.KOREAN, ids=lambda path: path.stem
)


def test_each_notebook_has_a_korean_edition():
    assert [english(path) for path in execute_notebooks.KOREAN] == execute_notebooks.ENGLISH


@each_korean_notebook
def test_same_cells_code_and_outputs(path):
    assert differences(read(english(path)), read(path)) == []


@each_korean_notebook
def test_comments_and_docstrings_are_korean(path):
    """But for those of a name or a shape: no two words follow one another in them."""
    notebook = read(path)
    codes = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    codes += [block for language, block in BLOCK.findall(text_of(path)) if language == "python"]
    comments = [comment for code in codes for comment in translation.comments(code)]
    assert any(HANGUL.search(comment) for comment in comments)
    in_words = [comment for comment in comments if re.search(r"[a-z]{2,} [a-z]{2,}", comment)]
    assert [comment for comment in in_words if not HANGUL.search(comment)] == []


def change_last_cell(kind, pattern, instead):
    """Returns a function that changes the last cell of a kind in which a pattern is found."""

    def change(notebook):
        cells = [cell for cell in notebook.cells if cell.cell_type == kind]
        cell = [cell for cell in cells if re.search(pattern, cell.source)][-1]
        cell.source = re.sub(pattern, instead, cell.source)

    return change


def add_an_output(notebook):
    cell = next(cell for cell in notebook.cells if cell.get("outputs"))
    cell.outputs.append(cell.outputs[0])


def change_last_output(kind, change):
    """Returns a function that changes the last output of a kind, but for times and versions."""

    def change_output(notebook):
        cells = [cell for cell in notebook.cells if "machine" not in cell.metadata.get("tags", [])]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        outputs = [output for output in outputs if kind in output or kind in contents(output)]
        if not outputs:
            pytest.skip("all outputs of this kind are of one machine")
        change(outputs[-1])

    return change_output


def change_number(output):
    output.text = NUMBER.sub(lambda number: number[0] + "1", output.text, count=1)


def change_picture(output):
    output.data = {kind: content[:-1] for kind, content in output.data.items()}


def leave_english(output):
    output.text += "largest difference 0.0\n"


def change_tags(notebook):
    notebook.cells[0].metadata["tags"] = ["another one"]


def leave_it_in_english(notebook):
    notebook.cells[0].source = HANGUL.sub("x", notebook.cells[0].source)


def change_figures(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = NUMBER.sub("77777", cell.source)


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda notebook: notebook.cells.pop(5), "cell 5 is another one"),
        (lambda notebook: notebook.cells.reverse(), "cell 0 is another one"),
        (lambda notebook: notebook.cells.pop(), "is another one"),
        (change_last_cell("code", r"\Z", "\nseed = 1"), "the code"),
        (change_last_cell("code", r"(?<=[^{]{)(?=\w)", "1 + "), "the code"),
        (change_last_cell("code", "f}", "e}"), "the code"),
        (add_an_output, "the outputs"),
        (change_last_output("text", change_number), "the outputs: text/plain"),
        (change_last_output("image/png", change_picture), "the outputs: image/png"),
        (change_last_output("text", leave_english), "English: "),
        (change_tags, "the tags"),
        (leave_it_in_english, "it is not in Korean"),
        (change_last_cell("markdown", r"(?m)^## ", ""), "levels of headings"),
        (change_last_cell("markdown", r"(?m)^\|.*\n", ""), "rows of tables"),
        (change_last_cell("markdown", r"\.ko\.ipynb\)", ".ipynb)"), "links"),
        (change_last_cell("markdown", "`[a-z_]+[.][a-z_]+`", "`else`"), "inline code"),
        (change_figures, "figures"),
    ],
)
@each_korean_notebook
def test_a_change_of_one_edition_is_noticed(path, change, noticed):
    notebook = read(path)
    change(notebook)
    assert any(noticed in difference for difference in differences(read(english(path)), notebook))


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


def unlike_the_english_page(korean):
    """What the Korean page says otherwise than the English one, or has and that one has not."""
    page = ENGLISH_PAGE.read_text(encoding="utf-8")
    yield from of_text(page, korean.replace(KOREAN_PICTURE, "."))
    page = in_korean(page)
    for table, twin in zip(tables(page), tables(korean), strict=True):
        yield from (f"the table of {table[0]}: {said}" for said in cells_that_differ(table, twin))
    for pattern in (INLINE_CODE, NUMBER):
        known = [*pattern.findall(page), *KOREAN_ALONE]
        yield from (said for said in pattern.findall(korean) if said not in known)


def tables(page):
    """The tables of a page, each a list of rows of cells, without their heads."""
    blocks = re.findall(r"(?:^\|.*\n)+", page.replace(" %", "%"), re.MULTILINE)
    return [[row.strip("| ").split(" | ") for row in block.splitlines()[2:]] for block in blocks]


def cells_that_differ(table, korean):
    """Cells that are not the same, or, where they are in Korean, lack code, figures or links."""
    for row, twin in zip(table, korean, strict=True):
        for cell, other in zip(row, twin, strict=True):
            patterns = (INLINE_CODE, NUMBER, LINK)
            found = [[sorted(p.findall(text)) for p in patterns] for text in (cell, other)]
            if found[0] != found[1] if HANGUL.search(other) else cell != other:
                yield other


KOREAN_PICTURE = "](notebooks/pictures/page.ko.png)"  # of the page to draw on, in Korean
KOREAN_ALONE = ["70,000", "15"]  # what MNIST is; fifteen digits


def test_the_korean_page_agrees_with_the_english_one():
    assert list(unlike_the_english_page(KOREAN_PAGE.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("-m lowlevel_mnist.train\n", "-m lowlevel_mnist.trian\n"),
        ("`python -m tests.tables.recipes_against_keras`", "`python tests/recipes.py`"),
        ("jupyter lab --notebook-dir . notebooks/step_by_step.ko.ipynb\n", ""),
        ("`--mistakes`", "`--mistake`"),
        ("`--epochs`를", "`--epoch`를"),
        ("| 0.9206 (", "| 0.9216 ("),
        ("| 0.079 | 0.620 |", "| 0.620 | 0.079 |"),
        ("RMSprop 0.001 | 128", "RMSprop 0.001 | 64"),
        ("784-512-10, ReLU, 드롭아웃 0.2", "784-256-10, ReLU, 드롭아웃 0.2"),
        ("70,000장", "71,000장"),
        ("(lowlevel_mnist/fitting.py)", "(lowlevel_mnist/fittings.py)"),
        ("`*.ko.ipynb`", "`*.ipynb`"),
        ("generator.normal(0,", "generator.normal(1,"),
        ("## 직접 만든 데이터와 그림\n", ""),
    ],
)
def test_a_slip_in_the_korean_page_is_noticed(said, instead):
    page = KOREAN_PAGE.read_text(encoding="utf-8")
    assert page.count(said) == 1
    assert list(unlike_the_english_page(page.replace(said, instead)))


@pytest.mark.parametrize("path", [KOREAN_PAGE, *execute_notebooks.KOREAN], ids=lambda p: p.name)
def test_each_edition_begins_with_a_link_to_the_other(path):
    other = english(path)
    for page, target, name in ((path, other, "English"), (other, path, "한국어")):
        assert f"[{name}]({target.name})" in text_of(page)[:200]


def text_of(path):
    """A page's text; of a notebook, that of its text cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def anchors(path):
    """What a code-hosting page calls the headings of a page: "## Own data!" is own-data."""
    for _, heading in HEADING.findall(FENCED.sub("", text_of(path))):
        words = LINK.sub("]", heading).lower().replace(" ", "-")
        yield "".join(c for c in words if c in "-_" or unicodedata.category(c)[0] in "LNM")


def dead_links(path, text):
    for link in LINK.findall(FENCED.sub("", text)):
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
