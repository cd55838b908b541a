"""Tracer: sees each tensor operation of an iteration and follows what is not finite back to its origin."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_leaves

from .frame import where
from .tensors import batched, finite, mask, scalar

LARGE = 1 << 18  # numbers in a tensor of which no copy is kept


@dataclass(eq=False)
class Event:
    """An operation that wrote a non-finite value although all that it read was finite, or the place where one came in."""

    order: int
    phase: str
    operation: str
    bad: torch.Tensor  # where what it wrote is not finite
    result: float
    kernel: str | None = None
    place: tuple | None = None
    module: str | None = None
    weight: str | None = None  # name of a weight among its inputs
    value: float | None = None
    largest: float | None = None  # absolute value of what went in
    steps: tuple[str, ...] = ()

    @property
    def index(self) -> tuple[int, ...]:
        return tuple(self.bad.nonzero()[0].tolist())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.bad.shape)

    def rows(self, axis: int) -> list[int]:
        """Where along an axis it is not finite."""
        return self.bad.transpose(0, axis).reshape(self.bad.shape[axis], -1).any(dim=1).nonzero().flatten().tolist()


class Tracer(TorchDispatchMode):
    """Sees each tensor operation of an iteration, and remembers where each non-finite tensor has its origin.

    modules, batch      give names and sizes; `names` is {id of a weight: (name, weight)}
    """

    def __init__(self, modules: Iterable[nn.Module] = (), batch=None, names: dict | None = None):
        super().__init__()
        parts = ((id(part), type(module).__name__, name) for module in modules for name, part in module.named_modules())
        self.paths = {key: f"{kind}.{name}".rstrip(".") for key, kind, name in parts}
        self.weights = {_storage(weight): name for name, weight in (names or {}).values() if weight.numel()}
        self.shapes = {tuple(weight.shape) for _, weight in (names or {}).values()}
        self.running: list[str] = []  # paths of the modules that are running, the innermost last
        self.forwards: dict[int, tuple] = {}  # autograd node: (operation, place, module, weight) of its forward pass
        self.origin: dict[int, Event] = {}  # storage of a non-finite tensor: the event it comes from
        self.meant: dict[int, Event] = {}  # of one that is so on purpose, as masks are: an event only if nothing else is
        self.in_a_loss: list[Event] = []  # events that reached a number on which backward was called
        self.read: Event | None = None  # the last one that an operation read
        self.recent: deque[tuple[str, list, torch.Tensor]] = deque(maxlen=64)
        self.count, self.batch_sizes, self.hooks, self.held = 0, {len(leaf) for leaf in batched(batch)}, [], []
        for path, leaf in tree_flatten_with_path(batch)[0]:
            if hasattr(leaf, "__array_interface__") and getattr(leaf, "ndim", 0) and leaf.dtype.kind == "f":
                leaf = torch.from_numpy(leaf)
            if isinstance(leaf, torch.Tensor):
                if not finite(leaf) and not mask(leaf):
                    bad, of = ~torch.isfinite(leaf), self.origin if bool(torch.isinf(leaf).any()) else self.meant
                    of[_storage(leaf)] = Event(0, "batch", f"batch{keystr(path)}", bad, scalar(leaf[bad][0]))

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
        kwargs, seen = kwargs or {}, None
        self.count += 1
        with contextlib.suppress(Exception):  # what cannot be followed must not stop the user's loop
            seen = self._look(function._schema, args, kwargs)
        result = function(*args, **kwargs)
        with contextlib.suppress(Exception):
            if seen is not None:
                self._follow(function._schema, args, kwargs, result, *seen)
        return result

    def _look(self, schema, args, kwargs) -> tuple:
        """Before it runs, for it may work in place: what is written and read, what of it is not finite and of which origin."""
        written, inputs = _written(schema, args, kwargs), _tensors((args, kwargs))
        bad = [one for one in inputs if not finite(one)]
        known, meant = ([of[_storage(one)] for one in bad if _storage(one) in of] for of in (self.origin, self.meant))
        arrived = [one for one in meant if one.phase == "batch"] if self.read is None else []
        if known or arrived:
            self.read = min(known or arrived, key=lambda one: one.order)
        nans = [one for one in bad if bool(torch.isnan(one).any())]
        nan, wanted = bool(nans), bool(nans) and all(_storage(one) in self.meant for one in nans)
        operation = schema.name.split("::")[-1]
        if "softmax" in operation and bad and not nan and not any(bool((one == math.inf).any()) for one in bad):
            # Minus infinity is what a mask means, be it a log of 0 and 1; a row of nothing else is what softmax cannot do.
            known = [one for one in known if "log" not in one.operation]
        small = [one for one in inputs if one.numel() < LARGE]
        before = [one.clone() if any(one is other for other in written) else one for one in small]
        sound = [one for one in inputs if not any(one is other for other in bad)]
        return operation, written, sound, before, known, meant, bool(bad), nan, wanted

    def _follow(self, schema, args, kwargs, result, operation, written, sound, before, known, meant, bad, nan, wanted):
        """What came out, and whose it is."""
        written = written + [one for one in sound if not finite(one)]  # not every schema says so, such as batch_norm's
        node = torch._C._current_autograd_node()
        number = node._sequence_nr() if node else torch._C._autograd._get_sequence_nr() - 1
        if node is None:
            weight = next((self.weights[_storage(one)] for one in sound if _storage(one) in self.weights), None)
            self.forwards.setdefault(number, (operation, where()[0], self.running[-1] if self.running else None, weight))
        if any(one.alias_info and not one.alias_info.is_write for one in schema.returns) or "empty" in operation:
            return  # a view reads no number, and memory that nobody has written yet means nothing
        if operation == "ones_like" and (known or meant) and "torch/autograd/__init__" in where()[1]:
            self.in_a_loss += known or meant  # how a backward pass begins: with a 1 for its loss
        literals = [one for one in tree_leaves((args, kwargs)) if isinstance(one, float) and not math.isfinite(one)]
        wanted = wanted or any(map(math.isnan, literals))  # a NaN on purpose
        for output in {id(one): one for one in (*_tensors(result), *written)}.values():
            self.recent.append((operation, before, output))
            event = min(known, key=lambda one: one.order, default=None)
            if output.numel() * output.element_size() == output.untyped_storage().nbytes():  # else a part of it is written
                self.origin.pop(_storage(output), None)
                self.meant.pop(_storage(output), None)
            if finite(output):
                continue
            soft = wanted or (bool(literals or (bad and not nan)) and not bool(torch.isnan(output).any()))
            soft = soft and event is None
            if soft and meant:
                event = min(meant, key=lambda one: one.order)
            elif event is None:
                event = self._event(operation, schema.name, node, number, before, output, bad, nan or (soft and bad))
                known += [] if soft else [event]
            (self.meant if soft else self.origin)[_storage(output)] = event
            self.held.append(output)  # or its memory might be given to another tensor

    def _event(self, operation, kernel, node, number, inputs, output, infinite: bool, arrived: bool) -> Event:
        bad, nan = ~torch.isfinite(output.detach()), torch.isnan(output.detach())
        bad = nan if infinite and bool(nan.any()) else bad  # infinities came in, and NaN is new
        index = tuple(bad.nonzero()[0].tolist())
        (place, through, stepping), module = where(), self.running[-1] if self.running else None
        phase, weight = "forward", next((self.weights[_storage(one)] for one in inputs if _storage(one) in self.weights), None)
        if node is not None:
            if place is None or "_engine_run_backward" in through:  # else a Function's own backward, or a hook
                operation, place, module, weight = self.forwards.get(number, (node.name(), place, module, weight))
            phase = "backward"
        elif place is None or "torch/optim/" in through or stepping:
            phase = "optimiser"
        steps = self._steps(output, index) if phase == "forward" else ()
        values = [value for one in inputs if (value := _at(one, output, index)) is not None]
        value = (values[-1] if "div" in kernel else values[0]) if values else None  # of a division, the divisor
        largest = max((one.detach().abs().max().item() for one in inputs if one.numel()), default=None)
        phase, result = "outside" if arrived else phase, scalar(output[index])
        return Event(self.count, phase, operation, bad, result, kernel, place, module, weight, value, largest, steps)

    def _steps(self, output: torch.Tensor, index: tuple[int, ...], most: int = 4) -> tuple[str, ...]:
        """How one element came about: "sigmoid(17.7) = 1", "rsub(1) = 0", "log(0) = -inf"."""
        steps, wanted, start = [], output, len(self.recent)
        while len(steps) < most:
            same = (wanted.data_ptr(), wanted.shape)
            makers = (at for at in reversed(range(start)) if (self.recent[at][2].data_ptr(), self.recent[at][2].shape) == same)
            match = next(makers, None)
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
        known, damage = self.meant | self.origin, [one for one in damage if not one.is_sparse]
        events = [known[_storage(one)] for one in damage if _storage(one) in known]
        if (raised or not events + self.in_a_loss) and self.read is not None:
            return self.read
        return min(events + self.in_a_loss, key=lambda one: one.order, default=None)


def _written(schema, args, kwargs) -> list[torch.Tensor]:
    """The tensors that the operation works on in place, running statistics included."""
    values = [kwargs.get(one.name, args[at] if at < len(args) else None) for at, one in enumerate(schema.arguments)]
    return _tensors([value for value, one in zip(values, schema.arguments) if one.alias_info and one.alias_info.is_write])


def _tensors(tree) -> list[torch.Tensor]:
    leaves = (one for one in tree_leaves(tree) if isinstance(one, torch.Tensor))
    return [one for one in leaves if (one.is_floating_point() or one.is_complex()) and not one.is_sparse]


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _at(tensor: torch.Tensor, like: torch.Tensor, index: tuple[int, ...]) -> float | None:
    """The element that became like[index]: None unless the shapes agree, or one broadcasts to the other."""
    try:
        return scalar(tensor.detach().expand(like.shape)[index])
    except RuntimeError:
        return None
