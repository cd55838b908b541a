"""Tracer: sees each tensor operation of an iteration and follows what is not finite back to its origin."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_leaves

from .frame import in_users_backward, inside, place
from .recorder import finite


@dataclass(eq=False)
class Event:
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
    bad: torch.Tensor | None = None  # where it is not finite, of `shape`
    weight: str | None = None  # name of a weight among its inputs
    largest: float | None = None  # absolute value of what went in


class Tracer(TorchDispatchMode):
    """Sees each tensor operation of an iteration, and remembers where each non-finite tensor has its origin.

    modules, batch      give names and sizes; `names` is {id of a weight: (name, weight)}
    """

    def __init__(self, modules: Iterable[nn.Module] = (), batch=None, names: dict | None = None):
        super().__init__()
        modules = list(modules)
        self.paths = {
            id(part): f"{type(module).__name__}.{name}".rstrip(".")
            for module in modules
            for name, part in module.named_modules()
        }
        self.weights = {_storage(weight): name for name, weight in (names or {}).values() if weight.numel()}
        self.shapes = {tuple(weight.shape) for _, weight in (names or {}).values()}
        self.running: list[str] = []  # paths of the modules that are running, the innermost last
        self.forwards: dict[int, tuple] = {}  # autograd node: (operation, place, module) of its forward pass
        self.origin: dict[int, Event] = {}  # storage of a non-finite tensor: the event it comes from
        self.in_a_loss: list[Event] = []  # events that reached a number on which backward was called
        self.read: Event | None = None  # the last one that an operation read
        self.recent: deque[tuple[str, list, torch.Tensor]] = deque(maxlen=64)
        self.count, self.batch_sizes, self.hooks, self.held, self.lost = 0, set(), [], [], None
        for path, leaf in tree_flatten_with_path(batch)[0]:
            self._look_at_batch(keystr(path), leaf)

    def _look_at_batch(self, path: str, leaf) -> None:
        if not isinstance(leaf, torch.Tensor):
            if not (hasattr(leaf, "__array_interface__") and getattr(leaf, "ndim", 0) and leaf.dtype.kind == "f"):
                return
            leaf = torch.from_numpy(leaf)
        if leaf.dim():
            self.batch_sizes.add(len(leaf))
        if not finite(leaf) and not _mask(leaf):
            bad = ~torch.isfinite(leaf)
            index = tuple(bad.nonzero()[0].tolist())
            event = Event(0, "batch", f"batch{path}", index=index, shape=tuple(leaf.shape), result=leaf[index].item(), bad=bad)
            self.origin[_storage(leaf)] = event

    def __enter__(self):
        def enter(module, inputs):
            if not self.running and inputs and isinstance(inputs[0], torch.Tensor) and inputs[0].dim():
                self.batch_sizes.add(len(inputs[0]))
            self.running.append(self.paths.get(id(module), type(module).__name__))

        def leave(module, inputs, output):
            if self.running:
                self.running.pop()

        self.hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
        return super().__enter__()

    def __exit__(self, *exception):
        for hook in self.hooks:
            hook.remove()
        return super().__exit__(*exception)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        try:
            seen = self._look(function._schema, args, kwargs)
        except Exception as error:  # what cannot be followed must not stop the user's loop
            self.lost, seen = error, None
        result = function(*args, **kwargs)
        try:
            self.count += 1
            if seen is not None:
                self._follow(function._schema, args, kwargs, result, *seen)
        except Exception as error:
            self.lost = error
        return result

    def _look(self, schema, args, kwargs) -> tuple:
        """Before it runs, for it may work in place: what is written and read, what of it is not finite and of which origin."""
        written, inputs = _written(schema, args, kwargs), _tensors((args, kwargs))
        bad = [one for one in inputs if not finite(one)]
        known = [self.origin[_storage(one)] for one in bad if _storage(one) in self.origin]
        if known:
            self.read = min(known, key=lambda one: one.order)
        nan = any(bool(torch.isnan(one).any()) for one in bad)
        operation = schema.name.split("::")[-1]
        if "softmax" in operation and bad and not nan and not any(bool((one == math.inf).any()) for one in bad):
            known = []  # minus infinity is what a mask means; a row of nothing else is what softmax cannot do
        before = [one.clone() if any(one is w for w in written) else one for one in inputs]
        sound = [one for one in inputs if not any(one is other for other in bad)]
        return operation, written, sound, before, known, bool(bad), nan

    def _follow(self, schema, args, kwargs, result, operation, written, sound, before, known, bad, nan) -> None:
        """What came out, and whose it is."""
        written = written + [one for one in sound if not finite(one)]  # not every schema says so, such as batch_norm's
        node = torch._C._current_autograd_node()
        number = node._sequence_nr() if node else torch._C._autograd._get_sequence_nr() - 1
        if node is None:
            weight = next((self.weights[_storage(one)] for one in before if _storage(one) in self.weights), None)
            self.forwards.setdefault(number, (operation, place(), self.running[-1] if self.running else None, weight))
        if any(one.alias_info and not one.alias_info.is_write for one in schema.returns) or "empty" in operation:
            return  # a view reads no number, and memory that nobody has written yet means nothing
        if operation == "ones_like" and known and inside("torch/autograd/__init__"):
            self.in_a_loss += known  # how a backward pass begins: with a 1 for its loss
        literal = any(isinstance(one, float) and not math.isfinite(one) for one in tree_leaves((args, kwargs)))
        for output in {id(one): one for one in (*_tensors(result), *written)}.values():
            self.recent.append((operation, before, output))
            if finite(output):
                self.origin.pop(_storage(output), None)
                continue
            event = min(known, key=lambda one: one.order, default=None)
            if event is None:
                if (literal or (bad and not nan)) and not bool(torch.isnan(output).any()):
                    self.origin.pop(_storage(output), None)
                    continue  # an infinity that is meant, or one of a mask that was
                event = self._event(operation, schema.name, node, number, before, output, nan)
                known.append(event)
            self.origin[_storage(output)] = event
            self.held.append(output)  # or its memory might be given to another tensor

    def _event(self, operation, kernel, node, number, inputs, output, arrived: bool) -> Event:
        bad = ~torch.isfinite(output.detach())
        if bool(torch.isnan(output).any()) and any(not finite(one) for one in inputs):
            bad = torch.isnan(output.detach())  # infinities came in, and NaN is new
        index = tuple(bad.nonzero()[0].tolist())
        where, module = place(), self.running[-1] if self.running else None
        phase, weight = "forward", next((self.weights[_storage(one)] for one in inputs if _storage(one) in self.weights), None)
        if node is not None:
            if not in_users_backward():
                operation, where, module, weight = self.forwards.get(number, (node.name(), where, module, weight))
            phase = "backward"
        elif where is None or inside("torch/optim/", nearest=True):
            phase = "optimiser"
        event = Event(self.count, phase, operation, kernel, where, module, index, tuple(output.shape), bad=bad)
        event.result = output[index].item()
        values = [value for one in inputs if (value := _at(one, output, index)) is not None]
        if values:
            event.value = values[-1] if "div" in kernel else values[0]  # of a division, the divisor
        event.weight = weight
        event.largest = max((one.detach().abs().max().item() for one in inputs if one.numel()), default=None)
        if phase == "forward":
            event.steps = self._steps(output, index)
        if arrived:
            event.phase = "outside"
        return event

    def _steps(self, output: torch.Tensor, index: tuple[int, ...], most: int = 4) -> tuple[str, ...]:
        """How one element came about: "sigmoid(17.7) = 1", "rsub(1) = 0", "log(0) = -inf"."""
        steps, wanted, start = [], output, len(self.recent)
        while len(steps) < most:
            match = next((at for at in reversed(range(start)) if _same(self.recent[at][2], wanted)), None)
            if match is None:
                break
            operation, inputs, made = self.recent[match]
            values, result = [_at(one, output, index) for one in inputs], _at(made, output, index)
            if None in values or not values or result is None:
                break
            steps.append(f"{operation}({', '.join(f'{value:.9g}' for value in values)}) = {result:.9g}")
            wanted, start = inputs[-1], match
        return tuple(reversed(steps))

    def culprit(self, damage: Iterable[torch.Tensor], raised: bool = False) -> Event | None:
        """The first event that reached a loss or a damaged tensor; None if none that was seen did.

        A gradient is a computation of its own: that of log at 0 is 1/0, an infinity that does not descend from log(0).
        So a loss that is not finite counts too, or its line would go unnamed. A body that raised had read the last one.
        """
        events = [self.origin[_storage(one)] for one in damage if not one.is_sparse and _storage(one) in self.origin]
        if (raised or not events + self.in_a_loss) and self.read is not None:
            return self.read
        return min(events + self.in_a_loss, key=lambda one: one.order, default=None)


def _written(schema, args, kwargs) -> list[torch.Tensor]:
    """The tensors that the operation works on in place, running statistics included."""
    if not schema.is_mutable:
        return []
    values = [kwargs.get(one.name, args[at] if at < len(args) else None) for at, one in enumerate(schema.arguments)]
    return _tensors([value for value, one in zip(values, schema.arguments) if one.alias_info and one.alias_info.is_write])


def _tensors(tree) -> list[torch.Tensor]:
    leaves = (one for one in tree_leaves(tree) if isinstance(one, torch.Tensor))
    return [one for one in leaves if one.is_floating_point() and not one.is_sparse]


def _mask(tensor: torch.Tensor) -> bool:
    """Is it 0 or minus infinity everywhere?"""
    return bool(((tensor == 0) | (tensor == -math.inf)).all())


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


def _at(tensor: torch.Tensor, like: torch.Tensor, index: tuple[int, ...]) -> float | None:
    """The element that became like[index]: None unless the shapes agree, or one broadcasts to the other."""
    try:
        return tensor.detach().expand(like.shape)[index].item()
    except RuntimeError:
        return None
