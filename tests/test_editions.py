"""The Korean pages and notebooks beside the English ones: whoever changes one changes both."""

import io
import pathlib
import re
import tokenize
import unicodedata
import urllib.parse

import execute_notebooks
import nbformat
import pytest
from commands import PROJECT

ENGLISH_PAGE, KOREAN_PAGE = PROJECT / "README.md", PROJECT / "README.ko.md"
# What the English page leaves to a room, and the Korean one says itself.
ROOM_PAGE = PROJECT / "lowlevel_mnist" / "sources" / "README.md"
PAGES = sorted(
    [*PROJECT.glob("*.md"), *PROJECT.glob("*/**/README.md"), *execute_notebooks.NOTEBOOKS]
)
PAGES = [path for path in PAGES if not any(part.startswith(".") for part in path.parts)]

HANGUL = re.compile("[가-힣]")
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) +(.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"`((?:python|pip|jupyter) [^`]+)`")
FLAG = re.compile(r"--[a-z][a-z-]+")
FRACTION = re.compile(r"\d+\.\d+")
# What runs code, and what only lays it out. A line break inside of brackets is one of the latter.
LAYOUT = (tokenize.COMMENT, tokenize.NL)


def read(path):
    return nbformat.read(path, as_version=4)


def english_of(path):
    return read(execute_notebooks.english(path))


def without_comments(code):
    """The tokens of Python code that mean something to Python."""
    tokens = tokenize.generate_tokens(io.StringIO(code + "\n").readline)
    return [(token.type, token.string.strip("\n")) for token in tokens if token.type not in LAYOUT]


def skeleton(text):
    """What is the same in each language: levels of headings, blocks of code, tables, links."""
    prose = FENCED.sub("", text)
    targets = [target.replace(".ko.", ".").partition("#")[0] for target in LINK.findall(prose)]
    return {
        "levels of headings": [len(level) for level, _ in HEADING.findall(prose)],
        "blocks of code": FENCED.findall(text),
        "rows of tables": re.findall(r"^\|", prose, re.MULTILINE),
        "links": sorted(targets),
    }


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
        for what in (of_code if cell.cell_type == "code" else of_text)(cell, twin)
    ]


def of_code(cell, twin):
    if without_comments(cell.source) != without_comments(twin.source):
        yield "the code"
    if cell.outputs != twin.outputs or cell.execution_count != twin.execution_count:
        yield "the outputs"
    if cell.metadata != twin.metadata:
        yield "the tags"


def of_text(cell, twin):
    if not HANGUL.search(twin.source):
        yield "it is not in Korean"
    # The first cell has a link to the other edition.
    other = re.compile(r"^\[(English|한국어)\]\(.*\)\n\n", re.MULTILINE)
    ours, theirs = (skeleton(other.sub("", source)) for source in (cell.source, twin.source))
    yield from (what for what in ours if ours[what] != theirs[what])


each_korean_notebook = pytest.mark.parametrize(
    "path", execute_notebooks.KOREAN, ids=lambda path: path.stem
)


def test_each_notebook_has_a_korean_edition():
    assert [execute_notebooks.english(path) for path in execute_notebooks.KOREAN] == (
        execute_notebooks.ENGLISH
    )


@each_korean_notebook
def test_same_cells_code_and_outputs(path):
    assert differences(english_of(path), read(path)) == []


@each_korean_notebook
def test_comments_are_korean(path):
    """But for those that are code themselves, such as shapes."""
    code = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
    comments = re.findall(r"(?<=# ).*[a-z]{3,} [a-z]{2,} [a-z]{2,}.*", code)
    strings = [token for _, token in without_comments(code) if token[:1] in "\"'fr"]
    comments = [c for c in comments if not any(c in string for string in strings)]
    assert [comment for comment in comments if not HANGUL.search(comment)] == []


def change_code(notebook):
    cell = next(cell for cell in notebook.cells if "=" in cell.source and cell.cell_type == "code")
    cell.source += "\nseed = 1"


def change_output(notebook):
    cell = next(cell for cell in notebook.cells if cell.get("outputs"))
    cell.outputs[0].text = "another one"


def leave_out_a_heading(notebook):
    cell = [cell for cell in notebook.cells if cell.source.startswith("## ")][-1]
    cell.source = cell.source.removeprefix("## ")


def leave_it_in_english(notebook):
    notebook.cells[0].source = HANGUL.sub("x", notebook.cells[0].source)


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda notebook: notebook.cells.pop(5), "cell 5 is another one"),
        (lambda notebook: notebook.cells.reverse(), "cell 0 is another one"),
        (lambda notebook: notebook.cells.pop(), "is another one"),
        (change_code, "the code"),
        (change_output, "the outputs"),
        (leave_out_a_heading, "levels of headings"),
        (leave_it_in_english, "it is not in Korean"),
    ],
)
@each_korean_notebook
def test_a_change_of_one_edition_is_noticed(path, change, noticed):
    notebook = read(path)
    change(notebook)
    (difference,) = differences(english_of(path), notebook)
    assert noticed in difference


def unknown_to_readme(korean):
    """What the Korean page says without a Korean word, and the English ones do not.

    Lines of commands and of tables, flags, and figures.
    """
    english = ENGLISH_PAGE.read_text() + ROOM_PAGE.read_text()
    return [
        said for pattern in SAME for said in pattern(korean) if said not in list(pattern(english))
    ]


def lines_of_commands(page):
    return "".join(FENCED.findall(page)).replace(".ko.", ".").splitlines()


def rows_of_figures(page):
    """Rows of tables but for their heads, in which nothing is to translate."""
    rows = [line.replace(" %", "%") for line in page.splitlines() if line.startswith("| `")]
    return [row for row in rows if not HANGUL.search(row)]


SAME = [lines_of_commands, rows_of_figures, COMMAND.findall, FLAG.findall, FRACTION.findall]


def test_the_korean_page_says_nothing_else():
    assert unknown_to_readme(KOREAN_PAGE.read_text()) == []


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("-m lowlevel_mnist.train\n", "-m lowlevel_mnist.trian\n"),
        ("`python -m lowlevel_mnist.page`", "`python -m lowlevel_mnist.pages`"),
        ("--mistakes", "--mistake"),
        ("0.9206", "0.9216"),
        ("| 0.079 | 0.620 |", "| 0.620 | 0.079 |"),
    ],
)
def test_a_misspelt_command_or_figure_is_noticed(said, instead):
    page = KOREAN_PAGE.read_text()
    assert said in page
    assert unknown_to_readme(page.replace(said, instead))


def test_the_walkthrough_has_the_same_steps_in_both_pages():
    steps = [
        re.findall(
            r"^\| ([\d-]+) \|.*\(lowlevel_mnist/(\w+\.py)\) \|$", page.read_text(), re.MULTILINE
        )
        for page in (ENGLISH_PAGE, KOREAN_PAGE)
    ]
    assert steps[0] == steps[1]
    assert len(steps[0]) == 9


@pytest.mark.parametrize("path", [KOREAN_PAGE, *execute_notebooks.KOREAN], ids=lambda p: p.name)
def test_each_edition_begins_with_a_link_to_the_other(path):
    other = execute_notebooks.english(path)
    for page, target, name in ((path, other, "English"), (other, path, "한국어")):
        assert f"[{name}]({target.name})" in text_of(page)[:200]


def text_of(path):
    """A page's text; of a notebook, that of its text cells."""
    if path.suffix == ".md":
        return path.read_text()
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
