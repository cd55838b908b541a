"""Tracer: sees each tensor operation of an iteration and follows what is not finite back to its origin."""

from __future__ import annotations

import contextlib
import math
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from traceback import walk_stack

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import keystr, tree_leaves

from .frame import where
from .tensors import batched, finite, mask, opened, scalar, titles

LARGE = 1 << 18  # numbers in a tensor of which no copy is kept
PLAIN = ("log", "log2", "log10", "sqrt", "div", "reciprocal", "pow", "linalg_vector_norm")  # that divide by what went in


@dataclass(eq=False)
class Event:
    """An operation that wrote a non-finite value although all that it read was finite, or the place where one came in."""

    order: int
    phase: str
    operation: str
    bad: torch.Tensor  # where what it wrote is not finite
    result: float
    meant: bool = False  # so on purpose, as masks are: an event only if nothing else is
    place: tuple | None = None
    module: str | None = None
    weight: str | None = None  # what went in: "the weight Linear.bias", or a buffer
    value: float | None = None
    largest: float | None = None  # absolute value of what went in
    empty: bool = False  # was that nothing?
    steps: tuple[str, ...] = ()
    setting: float | None = None  # a number in the call that is not finite

    def __lt__(self, other: Event) -> bool:
        return self.order < other.order

    @property
    def index(self) -> tuple[int, ...]:
        return tuple(self.bad.nonzero()[0].tolist())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.bad.shape)

    @property
    def whole(self) -> bool:
        """Is all of it not finite?"""
        return self.bad.numel() > 1 and bool(self.bad.all())

    def rows(self, axis: int) -> list[int]:
        """Where along an axis it is not finite."""
        return self.bad.transpose(0, axis).reshape(self.bad.shape[axis], -1).any(dim=1).nonzero().flatten().tolist()


class _Call:
    """One call of an operation, looked at before it runs, for it may work in place."""

    def __init__(self, function, arguments, origin: dict[int, Event]):
        (args, kwargs), schema = arguments, function._schema
        self.schema, self.operation = schema, schema.name.split("::")[-1].lstrip("_")
        others = ("softmax", "foreach", "copy")  # each number comes of the one in its place, or its row
        self.pointwise = torch.Tag.pointwise in function.tags or any(one in self.operation for one in others)
        inputs, self.leaves = _tensors(arguments), tree_leaves(arguments)
        given = [kwargs.get(one.name, args[at] if at < len(args) else None) for at, one in enumerate(schema.arguments)]
        self.written = _tensors([one for one, of in zip(given, schema.arguments) if of.alias_info and of.alias_info.is_write])
        bad = [one for one in inputs if not finite(one)]
        self.sound = [one for one in inputs if not any(one is other for other in bad)]
        small = [one for one in inputs if one.numel() < LARGE]
        self.inputs = [one.clone() if any(one is other for other in self.written) else one for one in small]
        if "div" in self.operation:
            self.inputs += [torch.tensor(one) for one in args[1:2] if isinstance(one, (int, float))]
        nans = [one for one in bad if bool(torch.isnan(one).any())]
        events = [origin[_storage(one)] for one in bad if _storage(one) in origin]
        self.known, self.meant = [one for one in events if not one.meant], [one for one in events if one.meant]
        literals = [one for one in self.leaves if isinstance(one, float) and not math.isfinite(one)]
        # All NaNs that go in are there on purpose; and so may be the infinities that go in or stand in the call.
        self.wanted, self.setting = any(map(math.isnan, literals)), next(iter(literals), None)
        self.wanted |= bool(nans) and all(getattr(origin.get(_storage(one)), "meant", False) for one in nans)
        self.infinite, self.nan, self.soft = bool(bad), bool(nans), bool(literals or (bad and not nans))
        if "softmax" in self.operation and bad and not nans and not any(bool((one == math.inf).any()) for one in bad):
            # Minus infinity is what a mask means, be it a log of 0 and 1; a row of nothing else is what softmax cannot do.
            self.known = [one for one in self.known if "log" not in one.operation]


class Tracer(TorchDispatchMode):
    """Sees each tensor operation of an iteration, and remembers where each non-finite tensor has its origin.

    modules, batch      give names and sizes
    names, buffers      {id of a weight: (its name, the weight)}, and the same of buffers
    """

    def __init__(self, modules: Iterable[nn.Module] = (), batch=None, names: dict | None = None, buffers: dict | None = None):
        super().__init__()
        modules = [modules] if isinstance(modules, nn.Module) else list(modules)
        parts = ((part, title, name) for title, one in zip(titles(modules), modules) for name, part in one.named_modules())
        self.paths = {id(part): f"{title}.{name}".rstrip(".") for part, title, name in parts}
        held = [
            (f"the {what} {name}", one)
            for what, of in (("weight", names), ("buffer", buffers))
            for name, one in (of or {}).values()
        ]
        self.weights = {_storage(one): name for name, one in held if one.numel()}
        self.shapes = {tuple(weight.shape) for _, weight in (names or {}).values()}
        self.forwards: dict[int, tuple] = {}  # autograd node: (operation, place, module, weight) of its forward pass
        self.origin: dict[int, Event] = {}  # storage of a non-finite tensor: the event it comes from
        self.in_a_loss: list[Event] = []  # events that reached a number on which backward was called
        self.read: Event | None = None  # the last one that an operation read
        self.recent: deque[tuple[str, list, torch.Tensor]] = deque(maxlen=64)
        self.count, self.batch_sizes, self.held = 0, {len(leaf) for leaf in batched(batch)}, []
        self.drawn: set[int] = set()  # lengths of what the body drew at random, such as latents
        for path, leaf in opened(batch):
            if hasattr(leaf, "__array_interface__") and getattr(leaf, "ndim", 0) and leaf.dtype.kind == "f":
                leaf = torch.from_numpy(leaf)
            if isinstance(leaf, torch.Tensor) and not finite(leaf) and not mask(leaf):
                bad, meant = ~torch.isfinite(leaf), not bool(torch.isinf(leaf).any())
                self.origin[_storage(leaf)] = Event(0, "batch", f"batch{keystr(path)}", bad, scalar(leaf[bad][0]), meant)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        call, kwargs = None, kwargs or {}
        self.count += 1
        with contextlib.suppress(Exception):  # what cannot be followed must not stop the user's loop
            call = _Call(function, (args, kwargs), self.origin)
            arrived = [one for one in call.meant if one.phase == "batch"] if self.read is None else []
            self.read = min(call.known or arrived, default=self.read)
        result = function(*args, **kwargs)
        with contextlib.suppress(Exception):
            if call is not None:
                self._follow(call, result)
        return result

    def _follow(self, call: _Call, result) -> None:
        """What came out, and whose it is."""
        written = call.written + [one for one in call.sound if not finite(one)]  # not every schema says so: batch_norm's
        node = torch._C._current_autograd_node()
        number = node._sequence_nr() if node else torch._C._autograd._get_sequence_nr() - 1
        if node is None:
            self.forwards.setdefault(number, (call.operation, where()[0], self._module(), self._weight(call.sound)))
        returns = call.schema.returns
        if any(one.alias_info and not one.alias_info.is_write for one in returns) or "empty" in call.operation:
            return  # a view reads no number, and memory that nobody has written yet means nothing
        events = call.known + call.meant
        if call.operation == "ones_like" and events and "torch/autograd/__init__" in where()[1]:
            self.in_a_loss += events  # how a backward pass begins: with a 1 for its loss
        first = min(call.known, default=None)
        for output in {id(one): one for one in (*_tensors(result), *written)}.values():
            self.recent.append((call.operation, call.inputs, output))
            if call.operation.startswith(("rand", "normal", "uniform")) and output.dim():
                self.drawn.add(len(output))
            if output.numel() * output.element_size() == output.untyped_storage().nbytes():  # else a part of it is written
                self.origin.pop(_storage(output), None)
            if finite(output):
                continue
            meant = first is None and (call.wanted or (call.soft and not bool(torch.isnan(output).any())))
            event = min(call.meant, default=None) if meant and call.operation != "logsumexp" else first
            if event is None:
                event = self._event(call, node, number, output, meant)
                first = None if meant else event
            self.origin[_storage(output)] = event
            self.held.append(output)  # or its memory might be given to another tensor

    def _event(self, call: _Call, node, number, output, meant: bool) -> Event:
        bad, nan = ~torch.isfinite(output.detach()), torch.isnan(output.detach())
        bad = nan if call.infinite and bool(nan.any()) else bad  # infinities came in, and NaN is new
        index = tuple(bad.nonzero()[0].tolist())
        (place, through), module, operation = where(), self._module(), call.operation
        ill = [one for one in call.inputs if not finite(one)]
        phase, weight = "forward", self._weight(ill or call.inputs)
        if node is not None:
            if place is None or "_engine_run_backward" in through:  # else a Function's own backward, or a hook
                operation, place, module, weight = self.forwards.get(number, (node.name(), place, module, weight))
                operation = "a scripted function" if "jit" in node.name() else operation  # whose parts are not known here
            phase = "backward"
        elif place is None or "torch/optim/" in through:
            phase = "optimiser"
        steps = self._steps(output, index) if phase == "forward" else ()
        # Running statistics were written without a word in the schema: they are no inputs any more, and none belongs to one.
        stale = [one for one in call.inputs if any(one is other for other in call.sound) and not finite(one)]
        inputs = [one for one in call.inputs if not any(one is other for other in stale)]
        fitting = inputs if call.pointwise and (phase != "backward" or operation in PLAIN) else []
        values = [value for one in fitting if (value := _at(one, output, index)) is not None]
        value = (values[-1] if "div" in call.operation else values[0]) if values else None  # of a division, the divisor
        largest = max((one.detach().abs().max().item() for one in inputs if one.numel()), default=None)
        empty = bool(inputs) and largest is None
        masked = operation == "logsumexp"  # of a row of masks alone: perhaps meant, but made here
        phase = "outside" if call.nan or (meant and call.infinite and not masked) else phase
        result = scalar(output[index])
        return Event(
            self.count, phase, operation, bad, result, meant, place, module, weight, value, largest, empty, steps, call.setting
        )

    def _module(self) -> str | None:
        """Path of the innermost module that is running; how many samples the outermost one was given is noted."""
        calls = [one.f_locals for one, _ in walk_stack(sys._getframe()) if one.f_code.co_name == "_call_impl"]
        given = calls[-1]["args"][:1] if calls else ()
        self.batch_sizes |= {len(one) for one in given if isinstance(one, torch.Tensor) and one.dim()}
        return self.paths.get(id(calls[0]["self"]), type(calls[0]["self"]).__name__) if calls else None

    def _weight(self, inputs: list[torch.Tensor]) -> str | None:
        return next((self.weights[_storage(one)] for one in inputs if _storage(one) in self.weights), None)

    def _steps(self, output: torch.Tensor, index: tuple[int, ...], most: int = 4) -> tuple[str, ...]:
        """How one element came about: "sigmoid(17.7) = 1", "rsub(1) = 0", "log(0) = -inf"."""
        steps, wanted, over = [], output, set()  # memory that was written again since: what it held is gone
        for operation, inputs, made in reversed(self.recent):
            same = (made.data_ptr(), made.shape) == (wanted.data_ptr(), wanted.shape)
            if same and any(_storage(one) in over for one in (made, *inputs)):
                break
            over |= {_storage(made)} if operation.endswith("_") else set()
            if not same:
                continue
            values, result = [_at(one, output, index) for one in inputs], _at(made, output, index)
            if None in values or not values or result is None or len(steps) == most:
                break
            steps.append(f"{operation}({', '.join(f'{value:.9g}' for value in values)}) = {result:.9g}")
            wanted = ([one for one, value in zip(inputs, values) if value == result] or inputs)[-1]  # what `where` took
        return tuple(reversed(steps))

    def culprit(self, damage: Iterable[torch.Tensor], raised: bool = False) -> Event | None:
        """The first event that reached a loss or a damaged tensor; None if none that was seen did.

        A gradient is a computation of its own: that of log at 0 is 1/0, an infinity that does not descend from log(0).
        So a loss that is not finite counts too, or its line would go unnamed. A body that raised had read the last one.
        """
        damage = [one for one in damage if not one.is_sparse]
        events = self.in_a_loss + [self.origin[_storage(one)] for one in damage if _storage(one) in self.origin]
        if (raised or not events) and self.read is not None:
            return self.read
        return min(events, default=None)


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
