"""Tracer: sees each tensor operation of an iteration and follows what is not finite back to its origin."""

from __future__ import annotations

import ast
import linecache
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .recorder import finite
from .verdict import Verdict

_NOT_THE_USER = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


@dataclass
class _Event:
    """An operation that wrote a non-finite value although all that it read was finite, or the place where one came in."""

    order: int
    phase: str
    operation: str
    kernel: str = ""
    place: tuple | None = None
    module: str | None = None
    index: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    value: float | None = None
    result: float | None = None
    steps: tuple[str, ...] = ()


class Tracer(TorchDispatchMode):
    """Sees each tensor operation of an iteration, and remembers where each non-finite tensor has its origin."""

    def __init__(self, modules: Iterable[nn.Module] = (), batch=None):
        super().__init__()
        self.paths = {
            id(part): f"{type(module).__name__}.{name}".rstrip(".")
            for module in modules
            for name, part in module.named_modules()
        }
        self.running: list[str] = []  # paths of the modules that are running, the innermost last
        self.forwards: dict[int, tuple] = {}  # autograd node: (operation, place, module) of its forward pass
        self.origin: dict[int, _Event] = {}  # storage of a non-finite tensor: the event it comes from
        self.in_a_loss: list[_Event] = []  # events that reached a number on which backward was called
        self.recent: deque[tuple[str, list, torch.Tensor]] = deque(maxlen=64)
        self.count, self.batch_sizes, self.hooks, self.batch = 0, set(), [], batch
        for tensor in tree_leaves(batch):
            if isinstance(tensor, torch.Tensor) and tensor.dim():
                self.batch_sizes.add(len(tensor))
                if not finite(tensor):
                    index = first_bad(tensor)
                    result = tensor[index].item()
                    self.origin[_storage(tensor)] = _Event(
                        0, "batch", "the batch", index=index, shape=tuple(tensor.shape), result=result
                    )

    def __enter__(self):
        def enter(module, inputs):
            if not self.running and inputs and isinstance(inputs[0], torch.Tensor) and inputs[0].dim():
                self.batch_sizes.add(len(inputs[0]))
            self.running.append(self.paths.get(id(module), type(module).__name__))

        def leave(module, inputs, output):
            self.running.pop()

        self.hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
        return super().__enter__()

    def __exit__(self, *exception):
        for hook in self.hooks:
            hook.remove()
        return super().__exit__(*exception)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        schema = function._schema
        inputs = _tensors((args, kwargs))
        bad_inputs = [one for one in inputs if not finite(one)]  # looked at before: the operation may work in place
        before = [one.clone() for one in inputs] if schema.is_mutable and schema.name.endswith("_") else inputs
        result = function(*args, **kwargs)
        self.count += 1
        operation = schema.name.split("::")[-1]
        node = torch._C._current_autograd_node()
        number = node._sequence_nr() if node else torch._C._autograd._get_sequence_nr() - 1
        if node is None:
            self.forwards.setdefault(number, (operation, _place(), self.running[-1] if self.running else None))
        if any(one.alias_info and not one.alias_info.is_write for one in schema.returns) or "empty" in operation:
            return result  # a view reads no number, and memory that nobody has written yet means nothing
        outputs = _tensors(result) or [one for one in inputs if schema.is_mutable]
        known = [self.origin[_storage(one)] for one in bad_inputs if _storage(one) in self.origin]
        if operation == "ones_like" and known and _inside("torch/autograd/__init__"):
            self.in_a_loss += known  # how a backward pass begins: with a 1 for its loss
        for output in outputs:
            self.recent.append((operation, before, output))
            if finite(output):
                self.origin.pop(_storage(output), None)
                continue
            event = min(known, key=lambda one: one.order, default=None)
            if event is None:
                event = self._event(operation, schema.name, node, number, before, output, arrived=bool(bad_inputs))
                known.append(event)
            self.origin[_storage(output)] = event
        return result

    def _event(self, operation, kernel, node, number, inputs, output, arrived: bool) -> _Event:
        index = first_bad(output)
        place, module = _place(), self.running[-1] if self.running else None
        phase = "forward"
        if node is not None:
            operation, place, module = self.forwards.get(number, (node.name(), place, module))
            phase = "backward"
        elif place is None or _inside("torch/optim/"):
            phase = "optimiser"
        event = _Event(self.count, phase, operation, kernel, place, module, index, tuple(output.shape))
        event.result = output[index].item()
        values = [value for one in inputs if (value := _at(one, output, index)) is not None]
        if values:
            event.value = values[-1] if "div" in kernel else values[0]  # of a division, the divisor
        if phase == "forward":
            event.steps = self._steps(output, index)
        if arrived:
            event.phase = "before"
        return event

    def _steps(self, output: torch.Tensor, index: tuple[int, ...], most: int = 4) -> tuple[str, ...]:
        """How one element came about: "sigmoid(17.7) = 1", "rsub(1) = 0", "log(0) = -inf"."""
        steps, wanted, start = [], output, len(self.recent)
        while len(steps) < most:
            match = next((at for at in reversed(range(start)) if _same(self.recent[at][2], wanted)), None)
            if match is None:
                break
            operation, inputs, made = self.recent[match]
            values = [_at(one, made, index) for one in inputs]
            if None in values or not values:
                break
            steps.append(f"{operation}({', '.join(f'{value:.9g}' for value in values)}) = {made[index].item():.9g}")
            wanted, start = inputs[-1], match
        return tuple(reversed(steps))

    def culprit(self, damage: Iterable[torch.Tensor]) -> _Event | None:
        """The first event that reached a loss or a damaged tensor; None if none that was seen did.

        A gradient is a computation of its own: that of log at 0 is 1/0, an infinity that does not descend from log(0).
        So a loss that is not finite counts too, or its line would go unnamed.
        """
        events = [self.origin[_storage(one)] for one in damage if _storage(one) in self.origin]
        return min(events + self.in_a_loss, key=lambda one: one.order, default=None)

    def verdict(self, iteration: int, damage: list[tuple[str, torch.Tensor]]) -> Verdict:
        """What the tracer saw, in words; `damage` as FlightRecorder.damage() lists it."""
        event = self.culprit(tensor for _, tensor in damage)
        if event is None:
            names = ", ".join(name for name, _ in damage[:3]) or "nothing"
            return Verdict(iteration, f"run again, the iteration left {names} non-finite, by no operation that torch shows")
        sample = event.index[0] if event.index and event.shape[0] in self.batch_sizes else None
        loss, term, line = _source(event.place)
        where = "" if sample is None else f" at sample {sample} of {event.shape[0]}"
        came = "" if event.value is None else f" from {event.value:g}"
        cause = f"iteration {iteration}: {event.operation} made {event.result:g}{came}{where}, {event.phase} pass"
        if event.phase == "batch":
            cause = f"iteration {iteration}: the batch held {event.result:g} when it arrived, at index {event.index}"
        if event.phase == "optimiser":
            cause = f"iteration {iteration}: the optimiser's {event.operation} made {event.result:g}{came}"
        if event.phase == "before":
            cause = f"iteration {iteration}: a {event.result:g} was there before, and came in through {event.operation}"
        feature = event.index[1:] if event.phase == "batch" else None
        return Verdict(
            iteration, cause, loss, term, event.operation, event.phase, event.kernel or None, event.shape, sample, feature,
            event.value, event.result, event.steps, event.module, line,
        )  # fmt: skip


def _tensors(tree) -> list[torch.Tensor]:
    leaves = (one for one in tree_leaves(tree) if isinstance(one, torch.Tensor))
    return [one for one in leaves if one.is_floating_point() and not one.is_sparse]


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


def first_bad(tensor: torch.Tensor) -> tuple[int, ...]:
    return tuple((~torch.isfinite(tensor.detach())).nonzero()[0].tolist())


def _at(tensor: torch.Tensor, like: torch.Tensor, index: tuple[int, ...]) -> float | None:
    """The element that became like[index]: None unless the shapes agree, or one broadcasts to the other."""
    try:
        return tensor.detach().expand(like.shape)[index].item()
    except RuntimeError:
        return None


def _place() -> tuple | None:
    """(code, instruction, line number) of the innermost frame that is the user's; None if there is none."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THE_USER):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti, frame.f_lineno)


def _inside(part: str) -> bool:
    """Is a file with `part` in its path among the callers?"""
    frame = sys._getframe(1)
    while frame is not None and part not in frame.f_code.co_filename.replace("\\", "/"):
        frame = frame.f_back
    return frame is not None


def _source(place: tuple | None) -> tuple[str | None, str | None, str | None]:
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
    try:
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.Assign) and node.lineno <= number <= node.end_lineno:
                loss = ast.unparse(node.targets[0])
    except SyntaxError:  # a notebook cell with a % line: the line's text must do
        pass
    file = Path(code.co_filename)
    name = "notebook cell" if "ipykernel" in str(file) else file.name
    return loss, term, f"{name}:{number}: {text}"
