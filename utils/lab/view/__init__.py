"""The lab's view: plain JavaScript modules, and bundle(), which makes one module of them for a notebook or a page."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
# each uses only those before it
MODULES = ("text", "series", "plot", "panels", "controls", "guess", "past", "figure", "view")
STYLE = (HERE / "style.css").read_text(encoding="utf-8")


def join(*texts: str) -> str:
    """JavaScript modules as one text, in this order, without `import` lines from files and `export` (but `export default`)."""
    without_imports = re.sub(r'^import [^;]*? from "\.[^"]+";\n', "", "\n".join(texts), flags=re.M)
    return re.sub(r"^export (?!default)", "", without_imports, flags=re.M)


def bundle(*more: str) -> str:
    """The view as the text of one ES module without imports: View and all it uses, then the texts in `more`."""
    return join(*((HERE / f"{name}.js").read_text(encoding="utf-8") for name in MODULES), *more)


def widget() -> str:
    """The view as anywidget's `_esm`."""
    return bundle((HERE / "widget.js").read_text(encoding="utf-8"))
