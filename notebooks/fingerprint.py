"""What a built file was made from: its own code, the modules it imports, the data it read, the torch it ran on.

build.py writes a fingerprint into each notebook and picture; one that differs from today's says what has changed since.
A comment, a docstring or the layout of code does not count, since no output depends on it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import threading
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "utils"
BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_parsing = threading.Lock()  # Python 3.11 loses count of its depth where two threads parse at once (SystemError)


def fingerprint(codes: Iterable[str], data: Iterable[str], torch: str) -> dict:
    """{"code", "modules", "data", "torch"} of something whose code are these texts, and whose data these patterns name."""
    codes = list(codes)
    return {
        "code": _hash("\n".join(bare(code, cell=True) for code in codes).encode()),
        "modules": {name: _hash(bare(text).encode()) for name, text in sorted(modules(codes).items())},
        "data": {pattern: _content(pattern) for pattern in sorted(data)},
        "torch": torch.split("+")[0],  # the same numbers with or without CUDA in the package, on a processor
    }


def changes(built: dict | None, codes: Iterable[str]) -> list[str]:
    """What has changed since something with that fingerprint was built from what are now these codes: [] if nothing."""
    if not built:
        return ["(it does not say what it was built from)"]
    now = fingerprint(codes, built["data"], pinned_torch())
    changed = ["its own code"] if built["code"] != now["code"] else []
    for kind in ("modules", "data"):
        names = sorted(built[kind].keys() | now[kind].keys())
        changed += [name for name in names if built[kind].get(name) != now[kind].get(name)]
    return changed + ([f"torch ({now['torch']}, then {built['torch']})"] if built["torch"] != now["torch"] else [])


def pattern(path: Path) -> str:
    """The name under which a data file counts: itself, or in a folder of recorded runs all of its kind together.

    So a run that is added to the folder counts as a change, though nobody has opened it yet.
    """
    path = path.relative_to(ROOT)
    return str(path if len(path.parts) < 3 else path.parent / f"*{path.suffix}").replace("\\", "/")


def pinned_torch() -> str:
    """The version that constraints.txt names: what is in the repository is built with that one."""
    return re.search(r"^torch==([\w.]+)", (ROOT / "constraints.txt").read_text(), flags=re.M)[1]


def _tree(text: str) -> ast.Module:
    with _parsing:
        return ast.parse(text)


@functools.lru_cache(maxsize=1000)
def bare(text: str, cell: bool = False) -> str:
    """Code without comments, docstrings and layout, written the same by every version of Python.

    A cell of a notebook has no docstring: what stands there is shown. One that is not plain Python stays as it is.
    """

    def plain(node) -> str:
        if isinstance(node, list):
            return f"[{','.join(map(plain, node))}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        fields = dict(ast.iter_fields(node))
        documented = isinstance(node, BLOCKS) or (isinstance(node, ast.Module) and not cell)
        if documented and ast.get_docstring(node, clean=False) is not None:
            fields["body"] = node.body[1:]
        # Fields that are empty are left out: newer versions of Python have more of them.
        filled = (f"{name}={plain(value)}" for name, value in fields.items() if value not in (None, []))
        return f"{type(node).__name__}({','.join(filled)})"

    try:
        return plain(_tree(text))
    except SyntaxError:
        return text


def modules(codes: Iterable[str]) -> dict[str, str]:
    """{name: text} of every module of utils that these codes import, directly or through others."""
    found, waiting = {}, [name for code in codes for name in _imported(code, "")]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if name not in found and path:
            found[name] = path.read_text(encoding="utf-8")
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            waiting += [package, name.rpartition(".")[0], *_imported(found[name], package)]
    return found


def _imported(text: str, package: str) -> list[str]:
    """The names that an import somewhere in a text may mean, modules or not; `package` is what a leading dot stands for."""
    try:
        nodes = list(ast.walk(_tree(text)))
    except SyntaxError:
        return []
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in (node for node in nodes if isinstance(node, ast.ImportFrom)):
        above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return names


def _path(name: str) -> Path | None:
    if name.split(".")[0] != PACKAGE:
        return None
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _content(pattern: str) -> str:
    """A hash of the names and contents of the files of a pattern; of a table it is the same with Windows' line ends."""
    digest = hashlib.sha256()
    for path in sorted(ROOT.glob(pattern)):
        content = path.read_bytes()
        content = content.replace(b"\r\n", b"\n") if path.suffix == ".csv" else content
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
