"""What a translation of Python code may change: comments, and strings that are for people.

A translated string has Hangul in it; keys, names and settings stay as they are. In an f-string, and
in what `print` is given, the values stay and may come in another order. Their formats stay too, but
for widths: a Korean label has another one.
"""

import ast
import io
import itertools
import re
import tokenize

HANGUL = re.compile("[가-힣]")
LETTER = re.compile("[A-Za-z]")
# The beginning of a format: fill and alignment; sign, "z" and "#", which are kept; zero and width.
WIDTH = re.compile(r"^(?:.?[<>=^])?([-+ ]?z?#?)0?(?:\d+|\{[^{}]*\})?")


def difference(code, translated):
    """Returns the first statement that a translation of some code changes as it may not, or None.

    As a text: the statement, and what it has become.
    """
    for pair in itertools.zip_longest(*map(parse, (code, translated)), fillvalue=ast.Pass()):
        texts, theirs = [], []
        same = form(pair[0], texts) == form(pair[1], theirs)
        if not same or not all(map(is_translation, texts, theirs)):
            return " -> ".join(ast.unparse(statement)[:200] for statement in pair)
    return None


def parse(code):
    """Returns the statements of some code; of a sketch that Python can not read, its lines."""
    try:
        return ast.parse(code).body
    except SyntaxError:
        return [ast.Expr(ast.Name(line)) for line in code.splitlines()]


def is_translation(text, other):
    return text == other or HANGUL.search(other) or not LETTER.search(other)


def form(node, texts):
    """Returns a node of the syntax tree as nested tuples; its texts are added to a list instead."""
    if isinstance(node, list):
        return tuple(form(part, texts) for part in node)
    if is_text(node):
        texts.append("".join(node.value.split()))
        return "text"
    if is_f_string(node):
        return values_in([node], texts)
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print":
        return "print", values_in(node.args, texts), form(node.keywords, texts)
    if isinstance(node, ast.AST):
        return type(node), *(form(value, texts) for _, value in ast.iter_fields(node))
    return repr(node)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_f_string(node):
    return isinstance(node, ast.JoinedStr)


def values_in(nodes, texts):
    """Returns the forms of the values between the texts of expressions, in an order of their own.

    The texts are one text together. Expressions that are no strings are values.
    """
    parts = [p for node in nodes for p in (node.values if is_f_string(node) else [node])]
    texts.append("".join("".join(part.value.split()) for part in parts if is_text(part)))
    values = []
    for part in itertools.filterfalse(is_text, parts):
        own = []
        values.append((formatted(part, own), own))
    values.sort(key=repr)
    texts += [text for _, own in values for text in own]
    return tuple(value for value, _ in values)


def formatted(node, texts):
    """Returns the form of a value in an f-string or given to `print`, its conversion and format."""
    if not isinstance(node, ast.FormattedValue):
        return form(node, texts), -1, ""
    spec = ast.unparse(node.format_spec)[2:-1] if node.format_spec else ""
    return form(node.value, texts), node.conversion, WIDTH.sub(r"\1", spec)


def comments(code):
    """Yields all comments and docstrings in some code."""
    tokens = tokenize.generate_tokens(io.StringIO(code + "\n").readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
    for statement in parse(code):
        for node in ast.walk(statement):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                yield ast.get_docstring(node) or ""
