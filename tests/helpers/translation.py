"""What a translation of Python code may change: comments, and strings that are for people.

A translated string has Hangul in it; keys, names and settings stay as they are. In an f-string, and
in what `print` is given, the values stay and may come in another order. Their formats stay too, but
for widths: a Korean label has another one.
"""

import ast
import io
import re
import tokenize

HANGUL = re.compile("[가-힣]")
LETTER = re.compile("[A-Za-z]")
# The beginning of a format: fill and alignment; sign, "z" and "#", which are kept; zero and width.
WIDTH = re.compile(r"^(?:.?[<>=^])?([-+ ]?z?#?)0?(?:\d+|\{[^{}]*\})?")


def difference(code, translated):
    """What a translation of some code changes that it may not; None, or the two parts in words."""
    trees = [form(parse(source)) for source in (code, translated)]
    parts = unlike(*trees)
    return parts and " -> ".join(repr(part)[:100] for part in parts)


def parse(code):
    """Returns the syntax tree of some code; of a sketch that Python can not read, its lines."""
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.List([ast.Name(line) for line in code.splitlines()])


def form(node):
    """A node of the syntax tree as nested tuples, with texts as `Text`."""
    if isinstance(node, list):
        return tuple(map(form, node))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return Text(node.value)
    if isinstance(node, ast.JoinedStr):
        return text_and_values([node])
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print":
        return ("print", *text_and_values(node.args), form(node.keywords))
    if isinstance(node, ast.AST):
        return (type(node).__name__, *(form(value) for _, value in ast.iter_fields(node)))
    return node


class Text(str):
    """A string of the code, without white space, that a person may read."""

    def __new__(cls, text):
        return super().__new__(cls, "".join(text.split()))


def text_and_values(nodes):
    """The text of some expressions, and the values between it, in an order that is always the same.

    Expressions that are no strings are values.
    """
    parts = [part for node in nodes for part in (node.values if is_f_string(node) else [node])]
    texts = [part.value for part in parts if isinstance(form(part), Text)]
    values = [formatted(part) for part in parts if not isinstance(form(part), Text)]
    return Text("".join(texts)), tuple(sorted(values, key=lambda v: (repr(blank(v)), repr(v))))


def is_f_string(node):
    return isinstance(node, ast.JoinedStr)


def formatted(node):
    """A value of an f-string, or an argument of `print`: what it is, its conversion and format."""
    if not isinstance(node, ast.FormattedValue):
        return form(node), -1, ""
    spec = "".join(
        part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
        for part in (node.format_spec.values if node.format_spec else [])
    )
    return form(node.value), node.conversion, WIDTH.sub(r"\1", spec)


def blank(tree):
    """A form without its texts."""
    if isinstance(tree, tuple):
        return tuple(map(blank, tree))
    return None if isinstance(tree, Text) else tree


def unlike(tree, other):
    """The smallest parts by which a form differs from that of its translation, or None."""
    if isinstance(tree, Text) and isinstance(other, Text):
        same = tree == other or HANGUL.search(other) or not LETTER.search(other)
        return None if same else (tree, other)
    if isinstance(tree, tuple) and isinstance(other, tuple) and len(tree) == len(other):
        return next(filter(None, map(unlike, tree, other)), None)
    return None if type(tree) is type(other) and tree == other else (tree, other)


def comments(code):
    """All comments and docstrings in some code."""
    tokens = tokenize.generate_tokens(io.StringIO(code + "\n").readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
    for node in ast.walk(parse(code)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            yield ast.get_docstring(node) or ""
