"""What frames tell: which of the user's lines is running, and what a loop carries from one body to the next.

A body can also be run from its source, outside its frame: after the loop was left, or where the frame counts by itself.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import ctypes
import itertools
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from .carried import STATEFUL, hanging

OURS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def users(frame: FrameType | None) -> FrameType | None:
    """The innermost frame from `frame` outwards that is neither torch's nor ours; None if there is none."""
    return next((one for one in outwards(frame) if not one.f_code.co_filename.startswith(OURS)), None)


def where() -> tuple[tuple | None, str, bool]:
    """((code, instruction, line number) of the user's code that is running or None, what of torch runs between it and us, is
    that code the user's own optimiser?).
    """
    frame = users(sys._getframe(1))
    own = frame is not None and isinstance(frame.f_locals.get("".join(frame.f_code.co_varnames[:1])), torch.optim.Optimizer)
    between = itertools.takewhile(lambda one: one is not frame, outwards(sys._getframe(1)))
    parts = " ".join(f"{one.f_code.co_filename}:{one.f_code.co_name}" for one in between).replace("\\", "/")
    return (None if frame is None else (frame.f_code, frame.f_lasti, frame.f_lineno)), parts, own


def source(place: tuple | None) -> tuple[str | None, str | None, str | None]:
    """(assigned name, expression, "file:line: text") of a place in somebody's code."""
    if place is None:
        return None, None, None
    code, instruction, number = place
    lines = linecache.getlines(code.co_filename)
    text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    term, file = text or None, Path(code.co_filename)
    if hasattr(code, "co_positions") and lines:  # Python 3.11 knows which part of the line was running
        first, last, start, end = list(code.co_positions())[instruction // 2]
        if first is not None and first == last and start is not None:
            term = lines[first - 1].encode()[start:end].decode()
    nodes = (node for node in ast.walk(_tree(code.co_filename)) if isinstance(node, ast.Assign))
    losses = [ast.unparse(node.targets[0]) for node in nodes if node.lineno <= number <= node.end_lineno]
    name = "notebook cell" if "ipykernel" in str(file) else file.name
    return losses[-1] if losses else None, term, f"{name}:{number}: {text}"


def _tree(file: str) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:  # a notebook cell with a % line: its text must do
        return ast.Module([], [])


class Loop:
    """The frame whose `for` statement takes batches from a guard, and what its body uses.

    body        the For statement, None if there is none to be found: then nothing is carried and nothing run from source
    carried     names that the body reads before it has surely assigned them
    space       the variables of a body that runs from its source; None while the frame itself runs
    """

    def __init__(self, frame: FrameType | None):
        self.frame, self.space, self.code = frame, None, None
        nodes = ast.walk(_tree(frame.f_code.co_filename)) if frame else ()
        heads = [n for n in nodes if isinstance(n, ast.For) and n.lineno <= frame.f_lineno <= n.iter.end_lineno]
        self.body = max(heads, key=lambda node: node.lineno, default=None)
        uses: dict[str, str] = {}
        for statement in self.body.body if self.body else ():
            _uses(statement, uses, True)
        self.carried = [name for name, use in uses.items() if use == "read"]

    def view(self) -> dict:
        """The body's variables as they stand."""
        return self.space if self.space is not None else self.frame.f_locals if self.frame else {}

    def values(self) -> dict:
        """{name: value} of what the body carries."""
        view, others = self.view(), self.frame.f_globals if self.frame else {}
        found = {name: view.get(name, others.get(name)) for name in self.carried}
        return {name: value for name, value in found.items() if value is not None}

    def parts(self) -> Iterator[tuple]:
        """(name, put, value) of each carried variable, and of what hangs on it; put None stands for bind."""
        for name, value in self.values().items():
            yield name, None, value
            yield from hanging(name, value)

    def stateful(self) -> list:
        """Modules, optimisers, schedulers, scalers and generators that the body uses."""
        found = [one for _, _, one in self.parts()]
        several = [one for one in found if isinstance(one, (list, tuple, dict)) and len(one) < 20]
        found += [part for one in several for part in (one.values() if isinstance(one, dict) else one)]
        return [one for one in found if isinstance(one, STATEFUL)]

    def bind(self, name: str, value) -> None:
        """Give a variable of the frame this value, if it has that variable: what is global has no place here."""
        variables = self.view()
        if self.space is not None or name in variables:
            variables[name] = value
        if self.space is None and sys.version_info < (3, 13):  # there f_locals writes through
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(self.frame), ctypes.c_int(0))

    def broken_loss(self) -> bool:
        """Is a scalar of the body's, with a graph behind it, not finite?"""
        one = [v for v in self.view().values() if isinstance(v, torch.Tensor) and v.dim() == 0 and v.grad_fn is not None]
        return not all(bool(torch.isfinite(loss)) for loss in one)

    def hints(self) -> str:
        """What of the body's a replay cannot rewind, in words."""
        hints = [f"the count {name}" for name, value in self.values().items() if type(value) in (int, float)]
        calls = [n for n in ast.walk(self.body) if isinstance(n, ast.Call)] if self.body else []
        hints += [f"the iterator {ast.unparse(n.args[0])}" for n in calls if getattr(n.func, "id", "") == "next" and n.args]
        if self.body and "enumerate(" in ast.unparse(self.body.iter):
            hints.append("the count of enumerate (write guard(enumerate(...)))")
        return ", ".join(dict.fromkeys(hints)) or "an iterator or count out of sight, or operations that are not deterministic"

    # -- running the body from its source

    def runnable(self) -> bool:
        """Can the body run from its source? It says what a pass of the loop hands to its target, for that matter."""
        if self.code is None and self.body is not None and (counts := _counts(self.body.iter)) is not None:
            once = ast.For(self.body.target, ast.Name("__nanguard__", ast.Load()), self.body.body, [])
            module = _Returns().visit(copy.deepcopy(ast.Module([ast.copy_location(once, self.body)], [])))
            with contextlib.suppress(SyntaxError):  # of a body that yields or awaits
                code = compile(ast.fix_missing_locations(module), self.frame.f_code.co_filename, "exec")
                self.code = code, counts
        return self.code is not None

    @contextlib.contextmanager
    def apart(self, values: dict) -> Iterator[None]:
        """The variables in a space of their own: those of the frame, with `values` for the carried ones."""
        if self.frame is not None:
            self.space = {**self.frame.f_globals, **self.frame.f_locals, **values}
        try:
            yield
        finally:
            self.space = None

    def run(self, number: int, batch, values: dict) -> None:
        """Run the body on the batch of iteration `number` (1-based), with the numbers among `values` as they were then."""
        self.space |= {name: value for name, value in values.items() if isinstance(value, (int, float, str))}
        code, counts = self.code
        for start in counts:  # enumerate(guard(...)), once or more
            batch = (start + number - 1, batch)
        self.space["__nanguard__"] = [batch]
        with contextlib.suppress(GeneratorExit):  # what a return became
            exec(code, self.space)


class _Returns(ast.NodeTransformer):
    def visit_Return(self, node):
        return ast.copy_location(ast.Raise(ast.Name("GeneratorExit", ast.Load()), None), node)

    def visit_FunctionDef(self, node):
        return node

    visit_Lambda = visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef


def _counts(node: ast.expr) -> tuple[int, ...] | None:
    """The starts of the enumerates around the guard, innermost first; None if what a pass hands over is not known."""
    if not isinstance(node, ast.Call) or not node.args:
        return ()
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("zip", "map", "range"):
        return None
    if name != "enumerate":
        return _counts(node.args[0]) if name in ("tqdm", "track", "iter", "islice") else ()
    inner = _counts(node.args[0])
    start = [*node.args[1:], *(word.value for word in node.keywords), ast.Constant(0)][0]
    return None if inner is None or not isinstance(start, ast.Constant) else (*inner, start.value)


def _uses(node: ast.AST, uses: dict[str, str], sure: bool) -> None:
    """Note in {name: "read" or "assigned"} what happens first to each name; an assignment that may not happen counts not."""
    if isinstance(node, ast.Name) and (sure or isinstance(node.ctx, ast.Load)):
        uses.setdefault(node.id, "read" if isinstance(node.ctx, ast.Load) else "assigned")
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        uses.setdefault(node.target.id, "read")
    inner = sure and not isinstance(node, (ast.If, ast.While, ast.For, ast.Try, ast.FunctionDef, ast.Lambda))
    fields = sorted(ast.iter_fields(node), key=lambda field: field[0] not in ("value", "iter", "generators", "test"))
    for child in (one for _, value in fields for one in (value if isinstance(value, list) else [value])):
        if isinstance(child, ast.AST):
            _uses(child, uses, inner)
