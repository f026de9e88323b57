"""The house: a room imports only rooms on floors below it, so that each can be read alone."""

import ast

import pytest
from commands import PROJECT

PACKAGE = PROJECT / "lowlevel_mnist"
# From the roof to the ground; rooms of one floor do not import each other.
FLOORS = [
    {"__main__", "train", "show_random", "evaluate", "predict", "export", "page", "benchmark"},
    {"distribution", "benchmarking", "browser"},
    {"console"},
    {"runs"},
    {"training"},
    {"data", "metrics"},
    {"model", "cost", "preprocessing", "plots", "sources"},
    {"execution"},
    {"optimizers"},
    {"randomness", "recipes", "startup", "memory"},
    {"errors"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def imports(path):
    """All that a file imports, wherever it does so, as dotted names; of a package, its content."""
    for node in ast.walk(ast.parse(path.read_text())):
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


def test_plots_know_no_tensorflow():
    names = list(imports(PACKAGE / "plots.py"))
    assert not [name for name in names if name.startswith(("tensorflow", "keras"))]
