"""Loop: the body that a guard looks after, what it carries, and how to run it from its source; Ear and Entry: what it did.

From its source a body runs where the loop does not stand: after it was left, or for a trial with another batch.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from inspect import CO_GENERATOR
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType

import torch
from torch import nn

from .frame import parsed
from .recorder import STATEFUL
from .tensors import MOST, clone, numbers


class Loop:
    """The frame whose `for` statement takes batches from a guard, and what its body uses; or a function in its place.

    body        the For statement, None if there is none to be found: then nothing is carried and nothing run from source
    carried     names that the body reads before it has surely assigned them
    bound       names that it assigns
    asked       the variables, attributes and entries that its conditions are about
    space       the variables of a body that runs from its source; None while the frame itself runs
    """

    def __init__(self, frame: FrameType | None = None, function: Callable | None = None):
        self.frame, self.function, self.space = frame, function, None
        self.code, self.counts = None, ()
        nodes = ast.walk(parsed(frame.f_code.co_filename)) if frame else ()
        heads = [n for n in nodes if isinstance(n, ast.For) and n.lineno <= frame.f_lineno <= n.iter.end_lineno]
        self.body = max(heads, key=lambda node: node.lineno, default=None)
        uses: dict[str, bool] = {}
        for statement in self.body.body if self.body else ():
            _uses(statement, uses, True)
        self.carried = [name for name, read in uses.items() if read]
        nodes = list(ast.walk(self.body)) if self.body else []
        self.bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self.asked = _asked(nodes)

    def view(self) -> dict:
        """The body's variables as they stand."""
        return self.space if self.space is not None else self.frame.f_locals if self.frame else {}

    def slots(self) -> Iterator[tuple[str, Callable | None, object]]:
        """(name, put, value) of each variable that the body carries, of what hangs on it, and of what these contain."""
        view, others = self.view(), self.frame.f_globals if self.frame else {}
        roots = [(name, partial(self.bind, name), view.get(name, others.get(name))) for name in self.carried]
        for name, put, value in [*roots, ("", None, self.function)]:
            for one in [(name, put, value), *_hanging(name, value)]:
                if one[2] is not None:
                    yield one
                    yield from _within(one[2])

    def bind(self, name: str, value) -> None:
        """Give a variable of the frame this value, if it has that variable: what is global has no place here."""
        variables = self.view()
        if self.space is not None or name in variables:
            variables[name] = value
        if self.space is None and sys.version_info < (3, 13):  # there f_locals writes through
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(self.frame), ctypes.c_int(0))

    def broken_loss(self) -> bool:
        """Is a scalar that the body asks about, with a graph behind it, not finite? Where its source is unknown, any scalar."""
        view, found = self.view(), []
        for code in self.asked:
            with contextlib.suppress(Exception):  # not bound yet
                found.append(eval(code, dict(self.frame.f_globals), view))
        found = found if self.body else list(view.values())
        one = [v for v in found if isinstance(v, torch.Tensor) and v.dim() == 0 and v.grad_fn is not None]
        return not all(bool(torch.isfinite(loss)) for loss in one)

    def hints(self) -> str:
        """What of the body's a replay cannot rewind, in words."""
        given = {node.id for node in ast.walk(self.body.target) if isinstance(node, ast.Name)} if self.body else ()
        own = [(name, value) for name, _, value in self.slots() if name in self.carried and name not in given]
        hints = [f"the count {name}" for name, value in own if type(value) in (int, float)]
        large = [(name, value) for name, value in own if isinstance(value, (deque, dict, list)) and len(value) > MOST]
        hints += [f"the {type(value).__name__} {name}" for name, value in large]
        calls = [n for n in ast.walk(self.body) if isinstance(n, ast.Call)] if self.body else []
        hints += [f"the iterator {ast.unparse(n.args[0])}" for n in calls if getattr(n.func, "id", "") == "next" and n.args]
        if self.body and "enumerate(" in ast.unparse(self.body.iter):
            hints.append("the count of enumerate (write guard(enumerate(...)))")
        return ", ".join(dict.fromkeys(hints)) or "an iterator or count out of sight, or operations that are not deterministic"

    def runnable(self) -> bool:
        """Can the body run from here? It says what a pass of the loop hands to its target, for that matter."""
        if self.code is None and self.body is not None and (counts := _counts(self.body.iter)) is not None:
            with contextlib.suppress(SyntaxError):
                self.code, self.counts = _function(self.body, self.frame.f_code.co_filename), counts
        return self.function is not None or self.code is not None

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Keep the variables of what runs from here in a space of their own."""
        if self.frame is not None:
            self.space = {**self.frame.f_globals, **self.frame.f_locals}
        try:
            yield
        finally:
            self.space = None

    def run(self, number: int, batch) -> None:
        """Run the body on the batch of iteration `number` (1-based)."""
        if self.function is not None:
            args, kwargs = batch
            self.function(*args, **kwargs)
            return
        for start in self.counts:  # enumerate(guard(...)), once or more
            batch = (start + number - 1, batch)
        exec(self.code, self.space)
        self.space["__nanguard__"]([batch])


def _function(loop: ast.For, file: str) -> CodeType:
    """Code that makes __nanguard__(batches), a function to which all that the loop assigns is global, or SyntaxError."""
    module = ast.parse("def __nanguard__(__batches__): pass")
    (function,) = module.body
    function.body = [ast.For(loop.target, ast.Name("__batches__", ast.Load()), loop.body, [])]
    code = compile(ast.fix_missing_locations(module), file, "exec")
    inner = next(one for one in code.co_consts if isinstance(one, CodeType))
    if inner.co_flags & CO_GENERATOR:
        raise SyntaxError("a body that yields")
    function.body.insert(0, ast.Global(["__nanguard__", *inner.co_varnames[1:], *inner.co_cellvars]))
    return compile(ast.fix_missing_locations(module), file, "exec")


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


def _uses(node: ast.AST, uses: dict[str, bool], sure: bool) -> None:
    """Note for each name whether it is read first; an assignment that may not happen counts not."""
    if isinstance(node, ast.Name) and (sure or isinstance(node.ctx, ast.Load)):
        uses.setdefault(node.id, isinstance(node.ctx, ast.Load))
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        uses.setdefault(node.target.id, True)
    inner = sure and not isinstance(node, (ast.If, ast.While, ast.For, ast.Try, ast.FunctionDef, ast.Lambda))
    fields = sorted(ast.iter_fields(node), key=lambda field: field[0] not in ("value", "iter", "generators", "test"))
    for child in (one for _, value in fields for one in (value if isinstance(value, list) else [value])):
        if isinstance(child, ast.AST):
            _uses(child, uses, inner)


def _asked(nodes: list[ast.AST]) -> list[CodeType]:
    """The variables, attributes and entries by constant keys in conditions, and what these were assigned from."""
    asked: set[str] = set()

    def ask(tree: ast.AST) -> None:
        for node in ast.walk(tree):
            fixed = not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Constant)
            if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and fixed:
                asked.add(ast.unparse(node))

    for node in nodes:
        if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            ask(node.test)
    for node in sorted((one for one in nodes if isinstance(one, ast.Assign)), key=lambda one: -one.lineno):
        if asked.intersection(map(ast.unparse, node.targets)):
            ask(node.value)
    return [compile(text, "<asked>", "eval") for text in asked if "(" not in text]


def _hanging(name: str, value) -> Iterator[tuple[str, Callable, object]]:
    """(name, put, value) of an object's attributes, and of what a function closes over or takes from its module."""
    value = value.__self__ if isinstance(value, MethodType) else value
    if isinstance(value, FunctionType):
        for key, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
            with contextlib.suppress(ValueError):  # a name that is not bound yet
                yield key, partial(setattr, cell, "cell_contents"), cell.cell_contents
        others = value.__globals__
        for key in value.__code__.co_names:
            if key in others:
                yield key, partial(others.__setitem__, key), others[key]
    opaque = isinstance(value, (type, ModuleType, FunctionType, torch.Tensor, *STATEFUL[1:])) or hasattr(value, "__iter__")
    own = {} if opaque else getattr(value, "__dict__", {})
    for key, one in list(own.items()):
        if not isinstance(value, nn.Module) or isinstance(one, (torch.Tensor, bool, int, float)):
            yield f"{name}.{key}", partial(own.__setitem__, key), one  # a module's weights and buffers are copied elsewhere


def _within(value, deeper: bool = True) -> Iterator[tuple[str, None, object]]:
    """What of tensors, lists and stateful things a container holds, or those in it."""
    if isinstance(value, (list, tuple, dict)) and len(value) <= MOST:
        for one in value.values() if isinstance(value, dict) else value:
            if isinstance(one, (torch.Tensor, list, deque, *STATEFUL)):
                yield "", None, one
            if deeper:
                yield from _within(one, False)


# ---------------------------------------------------------------- what is heard while a body runs

_ears: list[Ear] = []  # those that listen, the innermost last
_originals: list = []
_lock = threading.Lock()
_END = object()  # on a tape: the loader had no more
SOME = Exception()  # an error that nobody holds yet


class Ear:
    """While it is entered, `losses` collects what this thread calls backward on, and `taken` what its loaders give.

    With a tape its loaders give once more what is on it. What `check` says before the first backward becomes `clean`.
    """

    def __init__(self, tape: list = (), check: Callable | None = None, deaf: bool = False):
        self.thread, self.clean, self.check = None if deaf else threading.get_ident(), True, check
        self.losses, self.taken, self.given = [], [], {}
        for loader, item in tape:
            self.given.setdefault(loader, deque()).append(item)

    def heard(self) -> list[float]:
        """The losses as numbers; an infinity of half precision, which a loss scale may well cause, as 0."""
        halves = [one.dtype == torch.float16 for one in self.losses]
        return [0.0 if half and math.isinf(one) else one for half, one in zip(halves, numbers(self.losses))]

    def __enter__(self):
        with _lock:
            _ears.append(self)
            if len(_ears) == 1:
                loader = torch.utils.data.dataloader._BaseDataLoaderIter
                _originals[:] = torch.autograd._engine_run_backward, loader.__next__
                torch.autograd._engine_run_backward, loader.__next__ = _run_backward, _next
        return self

    def __exit__(self, *exception):
        with _lock:
            _ears.remove(self)
            if not _ears:
                loader = torch.utils.data.dataloader._BaseDataLoaderIter
                torch.autograd._engine_run_backward, loader.__next__ = _originals


def _mine() -> Ear | None:
    thread = threading.get_ident()
    return next((ear for ear in reversed(_ears) if ear.thread == thread), None)


def _run_backward(roots, *arguments, **settings):
    ear = _mine()
    if ear is not None:
        if ear.check is not None:
            ear.clean, ear.check = ear.check(), None
        for root in (_bare(one) for one in roots if isinstance(one, torch.Tensor) and one.numel()):
            if root.numel() > 1:  # logits, with gradients made by hand: infinities may be masks
                root = torch.nan_to_num(root.abs(), nan=math.nan, posinf=0.0).amax()
            ear.losses.append((root.abs() if root.is_complex() else root).reshape(()))
    return _originals[0](roots, *arguments, **settings)


def _bare(root: torch.Tensor) -> torch.Tensor:
    """The numbers of a loss, out of vmap too."""
    while torch._C._functorch.is_functorch_wrapped_tensor(root):
        root = torch._C._functorch.get_unwrapped(root)
    return root.detach()


def _next(iterator):
    ear = _mine()
    if ear is None:
        return _originals[1](iterator)
    loader = id(iterator._index_sampler)
    tape = ear.given.get(loader)
    try:
        item = tape.popleft() if tape else _originals[1](iterator)
    except StopIteration:
        item = _END
    ear.taken.append((loader, clone(item)))
    if item is _END:
        raise StopIteration
    return clone(item) if tape is not None else item


@dataclass(eq=False, repr=False)
class Entry:
    """One iteration: its batch and the random state before it; and what its body did."""

    number: int
    batch: object
    state: list | None
    ear: Ear
    losses: list[float] = field(default_factory=list)  # what it called backward on
    error: BaseException | None = None
    bad: bool = False  # a loss was not finite
    clean: bool = True  # the gradients that it began with were finite
    norms: tuple = ()  # of gradients and weights, at its end
    damaged: list[str] = field(default_factory=list)  # what is not finite after it, if it was traced
    event: object = None  # of the tracer, that is to blame for that

    def like(self, other: Entry, compiled: bool = False) -> bool:
        """Did both do the same? To the last bit, but for compiled code that is traced uncompiled."""
        errors = other.error is not None if self.error is SOME else type(self.error) is type(other.error)
        same = compiled or not self.norms or repr(self.norms) == repr(other.norms)
        losses = [(one, again) for one, again in zip(self.losses, other.losses) if repr(one) != repr(again)]
        near = compiled and all(math.isclose(one, again, rel_tol=1e-2) for one, again in losses)
        return errors and same and len(self.losses) == len(other.losses) and (near or not losses)
