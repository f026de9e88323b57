"""The house: a room imports only rooms on floors below it, so that each can be read alone.

And rules for all of its code, which no other tool can see.
"""

import ast
import re

import pytest

from tests.helpers.commands import PROJECT

PACKAGE = PROJECT / "lowlevel_mnist"
# From the roof to the ground; rooms of one floor do not import each other.
FLOORS = [
    {"__main__", "train", "show_random", "evaluate", "predict", "export", "page", "benchmark"}
    | {"fitting"},
    {"distribution", "benchmarking", "browser"},
    {"console"},
    {"runs"},
    {"training"},
    {"data", "metrics", "diagrams"},
    {"model", "cost", "preprocessing", "plots", "sources", "early_stopping"},
    {"fonts"},
    {"startup"},
    {"execution"},
    {"optimizers"},
    {"randomness", "recipes", "memory", "schedules"},
    {"errors"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def imports(path):
    """All that a file imports, wherever it does so, as dotted names; of a package, its content."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_go_down(path):
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    others = {name.split(".")[1] for name in imports(path) if name.startswith("lowlevel_mnist.")}
    for other in others - {room}:
        assert FLOOR[room] < FLOOR[other], f"{room} must not import {other}"
    if "distribution" in others:
        assert room in ("train", "distribution")


@pytest.mark.parametrize("room", ["plots", "diagrams"])
def test_pictures_know_no_tensorflow(room):
    names = list(imports(PACKAGE / f"{room}.py"))
    assert not [name for name in names if name.startswith(("tensorflow", "keras"))]


def opens_text(call):
    """Whether a call opens a text file, as far as its names tell: Ruff has to know the types."""
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
    mode = "".join(arg.value for arg in call.args if isinstance(getattr(arg, "value", 0), str))
    reads_by_default = not call.args and not call.keywords
    return name in ("read_text", "write_text") or (
        name in ("open", "fdopen") and (reads_by_default or re.fullmatch("[rwax+]{1,3}", mode))
    )


@pytest.mark.parametrize("folder", [PACKAGE, PROJECT / "tests"], ids=lambda path: path.name)
def test_text_files_have_an_encoding(folder):
    """Without one, they would have another on Windows, and where the locale is not UTF-8."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and opens_text(node):
                names = [keyword.arg for keyword in node.keywords]
                assert "encoding" in names, f"{path}, line {node.lineno}"
