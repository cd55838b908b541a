"""What frames tell: which of the user's lines is running, and what a loop carries from one body to the next.

A body can also be run from its source, outside its frame: after the loop was left, or where the frame counts by itself.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import ctypes
import functools
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

OURS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
STATEFUL = (nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler, torch.Generator)


def users(frame: FrameType | None) -> FrameType | None:
    """The innermost frame from `frame` outwards that is neither torch's nor ours; None if there is none."""
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return frame


def place() -> tuple[CodeType, int, int] | None:
    """(code, instruction, line number) of the user's code that is running; None if there is none."""
    frame = users(sys._getframe(1))
    return None if frame is None else (frame.f_code, frame.f_lasti, frame.f_lineno)


def inside(part: str, nearest: bool = False) -> bool:
    """Is a file with `part` in its path among the callers? `nearest`: only if no code of the user's is nearer."""
    frame = sys._getframe(1)
    while frame is not None and part not in frame.f_code.co_filename.replace("\\", "/"):
        if nearest and not frame.f_code.co_filename.startswith(OURS):
            return False
        frame = frame.f_back
    return frame is not None


def in_users_backward() -> bool:
    """Is code of the user's running within a backward pass: a Function's own backward, or a hook?"""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "_engine_run_backward":
        if not frame.f_code.co_filename.startswith(OURS):
            return True
        frame = frame.f_back
    return False


def source(place: tuple | None) -> tuple[str | None, str | None, str | None]:
    """(assigned name, expression, "file:line: text") of a place in somebody's code."""
    if place is None:
        return None, None, None
    code, instruction, number = place
    lines = linecache.getlines(code.co_filename)
    text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    term = text or None
    if hasattr(code, "co_positions") and lines:  # Python 3.11 knows which part of the line was running
        first, last, start, end = list(code.co_positions())[instruction // 2]
        if first is not None and first == last and start is not None:
            term = lines[first - 1].encode()[start:end].decode()
    loss = None
    for node in ast.walk(_tree(code.co_filename)):
        if isinstance(node, ast.Assign) and node.lineno <= number <= node.end_lineno:
            loss = ast.unparse(node.targets[0])
    file = Path(code.co_filename)
    name = "notebook cell" if "ipykernel" in str(file) else file.name
    return loss, term, f"{name}:{number}: {text}"


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:  # a notebook cell with a % line: its text must do
        return ast.Module([], [])


def _tree(file: str) -> ast.Module:
    return _parsed("".join(linecache.getlines(file)))


# ---------------------------------------------------------------- the loop around a guard


class Loop:
    """The frame whose `for` statement takes batches from a guard, and what its body uses.

    body        the For statement, None if there is none to be found: then nothing is carried and nothing run from source
    carried     names that the body reads before it has surely assigned them
    space       the variables of a body that runs from its source; None while the frame itself runs
    """

    def __init__(self, frame: FrameType | None):
        self.frame, self.space, self.code = frame, None, None
        self.body = _for(frame.f_code.co_filename, frame.f_lineno) if frame else None
        uses: dict[str, str] = {}
        for statement in self.body.body if self.body else ():
            _uses(statement, uses, True)
        self.carried = [name for name, use in uses.items() if use == "read"]

    def view(self) -> dict:
        """The body's variables as they stand."""
        if self.frame is None:
            return {}
        return self.frame.f_locals if self.space is None else self.space

    def values(self) -> dict:
        """{name: value} of what the body carries."""
        view, others = self.view(), self.frame.f_globals if self.frame else {}
        found = {name: view.get(name, others.get(name)) for name in self.carried}
        return {name: value for name, value in found.items() if value is not None}

    def slots(self) -> list[tuple[object, str, object]]:
        """(owner, name, value) of each carried variable, or attribute of one, that holds tensors; None owns variables."""
        slots = []
        for name, value in self.values().items():
            slots += [(owner, key, one) for owner, key, one in _within(name, value) if _holds_tensors(one)]
        return slots

    def stateful(self) -> list:
        """Modules, optimisers, schedulers, scalers and generators that the body uses."""
        found = [one for name, value in self.values().items() for _, _, one in _within(name, value)]
        found += [one for value in found if isinstance(value, (list, tuple)) and len(value) < 20 for one in value]
        return [one for one in found if isinstance(one, STATEFUL)]

    def set(self, owner, name: str, value) -> None:
        """Bind a slot to a value."""
        if owner is not None:
            vars(owner)[name] = value
        elif self.space is not None:
            self.space[name] = value
        else:
            variables = self.frame.f_locals
            if name in variables:
                variables[name] = value
                if sys.version_info < (3, 13):  # there f_locals writes through
                    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(self.frame), ctypes.c_int(0))

    def broken_loss(self) -> bool:
        """Is a scalar of the body's, with a graph behind it, not finite?"""
        one = [v for v in self.view().values() if isinstance(v, torch.Tensor) and v.dim() == 0 and v.grad_fn is not None]
        return not all(bool(torch.isfinite(loss)) for loss in one)

    def hints(self) -> str:
        """What of the body's a replay cannot rewind, in words."""
        names = [name for name, value in self.values().items() if type(value) in (int, float)]
        calls = [n for n in ast.walk(self.body) if isinstance(n, ast.Call)] if self.body else []
        hints = [f"the count {name}" for name in names]
        hints += [f"the iterator {ast.unparse(n.args[0])}" for n in calls if getattr(n.func, "id", "") == "next" and n.args]
        if self.body and "enumerate(" in ast.unparse(self.body.iter):
            hints.append("the count of enumerate (write guard(enumerate(...)))")
        return ", ".join(dict.fromkeys(hints)) or "an iterator or count out of sight, or operations that are not deterministic"

    # -- running the body from its source

    def runnable(self) -> bool:
        """Can the body run from its source? It says what a pass of the loop hands to its target, for that matter."""
        if self.code is None and self.body is not None and (form := _handed(self.body.iter)) is not None:
            once = ast.For(self.body.target, ast.Name("__nanguard__", ast.Load()), self.body.body, [])
            module = _Returns().visit(copy.deepcopy(ast.Module([ast.copy_location(once, self.body)], [])))
            try:
                self.code = compile(ast.fix_missing_locations(module), self.frame.f_code.co_filename, "exec"), form
            except SyntaxError:  # a body that yields or awaits
                self.body = None
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
        self.space |= {"__nanguard__": [batch], "__nanguard_returned__": _Returned}
        try:
            exec(code, self.space)
        except _Returned:
            pass


class _Returned(BaseException):
    """A body that runs from its source met a return."""


class _Returns(ast.NodeTransformer):
    def visit_Return(self, node):
        call = ast.Raise(ast.Name("__nanguard_returned__", ast.Load()), None)
        return ast.copy_location(call, node)

    def visit_FunctionDef(self, node):
        return node

    visit_Lambda = visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef


def _for(file: str, line: int) -> ast.For | None:
    """The innermost `for` whose head is on that line."""
    heads = [n for n in ast.walk(_tree(file)) if isinstance(n, ast.For) and n.lineno <= line <= n.iter.end_lineno]
    return max(heads, key=lambda node: node.lineno, default=None)


def _handed(node: ast.expr) -> tuple[int, ...] | None:
    """The starts of the enumerates around the guard, innermost first; None if what a pass hands over is not known."""
    if not isinstance(node, ast.Call) or not node.args:
        return ()
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("zip", "map", "range"):
        return None
    if name != "enumerate":
        return _handed(node.args[0]) if name in ("tqdm", "track", "iter", "islice") else ()
    inner = _handed(node.args[0])
    start = [*node.args[1:], *(word.value for word in node.keywords), ast.Constant(0)][0]
    return None if inner is None or not isinstance(start, ast.Constant) else (*inner, start.value)


def _uses(node: ast.AST, uses: dict[str, str], sure: bool) -> None:
    """Note in {name: "read" or "assigned"} what happens first to each name; an assignment that may not happen counts not."""
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            uses.setdefault(node.id, "read")
        elif sure:
            uses.setdefault(node.id, "assigned")
        return
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        uses.setdefault(node.target.id, "read")
    inner = sure and not isinstance(node, (ast.If, ast.While, ast.For, ast.Try, ast.FunctionDef, ast.Lambda))
    fields = sorted(ast.iter_fields(node), key=lambda field: field[0] not in ("value", "iter", "generators", "test"))
    for _, value in fields:
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                _uses(child, uses, inner)


def _within(name: str, value) -> list[tuple[object, str, object]]:
    """The variable itself, and the attributes of an object that is not torch's."""
    found = [(None, name, value)]
    closed = isinstance(value, (type, ModuleType, torch.Tensor, *STATEFUL))
    if isinstance(getattr(value, "__dict__", None), dict) and not closed:
        found += [(value, key, one) for key, one in vars(value).items()]
    elif isinstance(value, nn.Module):
        found += [(value, key, one) for key, one in vars(value).items() if isinstance(one, torch.Tensor)]
    return found


def _holds_tensors(value) -> bool:
    if isinstance(value, torch.Tensor):
        return not isinstance(value, nn.Parameter)
    if not isinstance(value, (tuple, list, dict)) or len(value) > 100:
        return False
    leaves = tree_leaves(value)
    return any(isinstance(one, torch.Tensor) for one in leaves) and not any(isinstance(one, nn.Parameter) for one in leaves)
