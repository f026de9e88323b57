"""One HTML file, made of the parts of the page and of what it is to show."""

import base64
import hashlib
import importlib.resources
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

PARTS = importlib.resources.files("lowlevel_mnist.browser")
STYLE = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
SCRIPT = re.compile(r'<script src="([\w.]+)"></script>')
CONTENT = '<script type="application/json" id="content">'
POLICY = "default-src 'none'"


def assemble(content: Mapping[str, Any]) -> str:
    """Returns the text of an HTML file that needs nothing beside it.

    content: for JSON; `page.js` reads it. Whatever a text in it says stays a text.

    Its content security policy (https://www.w3.org/TR/CSP3/) forbids every request, and every
    style and script but those of this package, which it names by their SHA-256.
    """
    page = _read("page.html")
    styles, scripts = ([_read(name) for name in part.findall(page)] for part in (STYLE, SCRIPT))
    page = STYLE.sub(lambda found: f"<style>{_read(found[1])}</style>", page)
    page = SCRIPT.sub(lambda found: f"<script>{_read(found[1])}</script>", page)
    policy = (
        f"{POLICY}; style-src {_sources(styles)}; script-src {_sources(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )
    # Without "<", no text can end the element that it is in.
    data = json.dumps(content, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    return page.replace(POLICY, policy, 1).replace(CONTENT, f"{CONTENT}{data}", 1)


def _read(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _sources(texts: Iterable[str]) -> str:
    """Returns what names these texts in a content security policy."""
    sums = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{sum}'" for sum in sums)
