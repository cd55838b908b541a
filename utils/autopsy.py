"""The autopsy of a NaN: a flight recorder, a replay of the fatal iteration under a tracer, a verdict; guard() for any loop.

Uses hazard (whose names can be imported from here too), losses and training. How it works, in four steps: the recorder copies
weights, gradients and optimiser state after every few iterations and looks whether they are finite; if they are not, it
puts the last copy back, random state included, and the iterations since then run again one by one until one breaks; that
one runs once more on the same batch, while the tracer sees every tensor operation; and the weight that broke is followed
back to the operation it came from.
"""

from __future__ import annotations

import ast
import ctypes
import html
import linecache
import math
import random
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from utils.hazard import cliffs, hazard
from utils.losses import LOSSES
from utils.recipe import Recipe, whole
from utils.trace import Trace
from utils.training import GAN

__all__ = ["Collapse", "FlightRecorder", "Tracer", "Verdict", "autopsy", "cliffs", "counterfactual", "guard", "hazard"]

_NOT_THE_USER = (str(Path(torch.__file__).parent), __file__)


# ---------------------------------------------------------------- the verdict


@dataclass(frozen=True)
class Verdict:
    """Where the first non-finite value came from; a field is None where the question has no answer.

    iteration   1-based number of the fatal iteration
    cause       one sentence
    loss        name of the variable that the user's line assigns, such as "loss_d"
    term        the expression in it, such as "torch.log(1 - fake)" (Python 3.11 or newer; before, the whole line)
    operation   the operation, such as "log"; in the backward pass the operation whose gradient it is
    phase       "forward", "backward", "optimiser", "batch" or "before" (the first iteration)
    kernel      what torch calls the function that ran, such as "aten::log"
    shape       of the tensor it wrote
    sample      0-based index along the batch dimension of its first non-finite element
    feature     the other indices of that element, for a batch that was not finite when it arrived
    value       the number that went in (the divisor, for a division), and `result`, what came out
    steps       how that number came about, operation by operation, such as "sigmoid(17.7) = 1"
    module      path of the module that was running, such as "Discriminator.layers.2"
    line        file, line number and text of the user's code
    """

    iteration: int
    cause: str
    loss: str | None = None
    term: str | None = None
    operation: str | None = None
    phase: str | None = None
    kernel: str | None = None
    shape: tuple[int, ...] | None = None
    sample: int | None = None
    feature: tuple[int, ...] | None = None
    value: float | None = None
    result: float | None = None
    steps: tuple[str, ...] = ()
    module: str | None = None
    line: str | None = None

    def rows(self) -> list[tuple[str, str]]:
        """(name, text) of every field that has an answer."""
        answers = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [(name, _text(answer)) for name, answer in answers if answer is not None and answer != ()]

    def __str__(self) -> str:
        return "\n".join(f"{name:>10}  {text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left">'
        rows = (f"<tr>{cell}<b>{name}</b></td>{cell}{html.escape(text)}</td></tr>" for name, text in self.rows())
        return f"<table>{''.join(rows)}</table>"


class Collapse(ArithmeticError):
    """A training loop's weights, gradients or optimiser state are no longer finite; `.verdict` says why."""

    def __init__(self, verdict: Verdict):
        super().__init__(verdict)
        self.verdict = verdict

    def __str__(self) -> str:
        return f"{self.verdict.cause}\n{self.verdict}"


def _text(answer) -> str:
    if isinstance(answer, float):
        return f"{answer:g}"
    if isinstance(answer, tuple):
        return "  ->  ".join(answer) if answer and isinstance(answer[0], str) else " x ".join(map(str, answer))
    return str(answer)


# ---------------------------------------------------------------- the flight recorder


class FlightRecorder:
    """Copies of everything that a training loop changes, the last `keep` of them, in memory allocated once.

    objects     modules, optimisers, torch.Generators, a GAN of this project, or anything with state_dict and
                load_state_dict (learning-rate schedulers, GradScaler)
    Raises TypeError for any other object, and for no object at all.
    """

    def __init__(self, *objects, keep: int = 1):
        whole("keep", keep, at_least=1)
        self.gans = [thing for thing in objects if isinstance(thing, GAN)]
        objects = [part for thing in objects for part in _parts(thing)]
        if not objects:
            raise TypeError("there is nothing to guard: name the modules and the optimisers that the loop trains")
        self.modules = [thing for thing in objects if isinstance(thing, nn.Module)]
        self.optimisers = [thing for thing in objects if isinstance(thing, torch.optim.Optimizer)]
        self.generators = [thing for thing in objects if isinstance(thing, torch.Generator)]
        known = (*self.modules, *self.optimisers, *self.generators)
        self.others = [thing for thing in objects if not any(thing is one for one in known)]
        self.names = {}  # of every weight, by its id
        for module in self.modules:
            for name, weight in module.named_parameters():
                self.names.setdefault(id(weight), (f"{type(module).__name__}.{name}", weight))
        for optimiser in self.optimisers:
            for index, weight in enumerate(w for group in optimiser.param_groups for w in group["params"]):
                self.names.setdefault(id(weight), (f"{type(optimiser).__name__}'s weight {index}", weight))
        self.weights = [weight for _, weight in self.names.values()]
        buffers = {id(one): one for module in self.modules for one in module.buffers()}.values()
        # A mask of -inf is a buffer that is meant to be infinite: only those that start finite are watched.
        self.buffers = [one for one in buffers if _finite(one)]
        self.masks = [one for one in buffers if not _finite(one)]
        # A GradScaler meets infinite gradients on purpose and skips them.
        self.check_gradients = not any(isinstance(thing, torch.amp.GradScaler) for thing in self.others)
        # The last number of each network, mostly of the bias of its output, which a NaN reaches first.
        last = [list(one.parameters())[-1:] for one in self.modules]
        last += [one.param_groups[-1]["params"][-1:] for one in self.optimisers]
        last = {id(weight): weight.detach() for weights in last for weight in weights if weight.numel()}
        self.probes = [weight[(-1,) * weight.dim()] for weight in last.values()]
        self.ring: deque[_Snapshot] = deque()
        self.keep, self.spare, self.numpy = keep, None, (None, None)

    @property
    def nbytes(self) -> int:
        """Memory that the copies hold, in bytes."""
        kept = [*self.ring, *([self.spare] if self.spare else [])]
        return sum(flat.nbytes for snapshot in kept for flat, _ in snapshot.blocks)

    def capture(self) -> bool:
        """Copy the present state; True if it is finite. One that is not is not kept."""
        states = [value for one in self.optimisers for entry in one.state.values() for value in entry.values()]
        watched = [*self.weights, *self.buffers, *(one for one in states if isinstance(one, torch.Tensor))]
        owners = [weight for weight in self.weights if weight.grad is not None and not weight.grad.is_sparse]
        gradients = [weight.grad for weight in owners]
        if not self.check_gradients:
            loose, checked = [*self.masks, *gradients], watched
        else:
            loose, checked = self.masks, [*watched, *gradients]
        if self.spare is None or not self.spare.fits(checked, loose):
            self.spare = _Snapshot(checked, loose)
        snapshot = self.spare
        finite = snapshot.copy(checked, loose)
        if finite:
            snapshot.owners = owners
            snapshot.entries = [{weight: dict(entry) for weight, entry in one.state.items()} for one in self.optimisers]
            snapshot.settings = [
                [{key: value for key, value in group.items() if key != "params"} for group in one.param_groups]
                for one in self.optimisers
            ]
            snapshot.others = [_clone(thing.state_dict()) for thing in self.others]
            snapshot.iterations = [gan.iteration for gan in self.gans]
            self.ring.append(snapshot)
            self.spare = self.ring.popleft() if len(self.ring) > self.keep else None
        return finite

    def glance(self) -> bool:
        """Does a look at one number of each network find nothing? It costs next to nothing, and only capture() is sure."""
        return all(math.isfinite(abs(number.item())) for number in self.probes)

    @torch.no_grad()
    def rewind(self, back: int = 0) -> None:
        """Put the last captured state back, or the one `back` captures before it; IndexError if it is not kept."""
        if not 0 <= back < len(self.ring):
            raise IndexError(f"back must be below the {len(self.ring)} states that are kept, not {back}")
        snapshot = self.ring[-1 - back]
        for tensor, copy in snapshot.pairs:
            tensor.copy_(copy)
        copies = {id(tensor): copy for tensor, copy in snapshot.pairs}
        for weight in self.weights:
            weight.grad = None
        for weight, gradient in zip(snapshot.owners, snapshot.gradients, strict=True):
            weight.grad = copies[id(gradient)].clone()
        for optimiser, entries, settings in zip(self.optimisers, snapshot.entries, snapshot.settings, strict=True):
            optimiser.state.clear()
            optimiser.state.update({weight: dict(entry) for weight, entry in entries.items()})
            for group, setting in zip(optimiser.param_groups, settings, strict=True):
                group.update(setting)
        for thing, state in zip(self.others, snapshot.others, strict=True):
            thing.load_state_dict(_clone(state))
        for gan, iteration in zip(self.gans, snapshot.iterations, strict=True):
            gan.iteration = iteration

    def random_state(self) -> list:
        """The state of Python's, numpy's and torch's random numbers, and of the generators that are guarded."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        ours = [one.get_state() for one in self.generators]
        return [random.getstate(), self._numpy_state(), torch.get_rng_state(), cuda, ours]

    def _numpy_state(self):
        """np.random.get_state(), which takes 60 microseconds, made anew only if the generator's memory has changed."""
        generator, (memory, state) = np.random.get_bit_generator(), self.numpy
        if not isinstance(generator, np.random.MT19937):  # 624 numbers of 4 bytes and a position
            return np.random.get_state()
        now = (ctypes.c_char * (625 * 4)).from_address(generator.ctypes.state_address).raw
        if now != memory or state[3]:  # normal numbers are made in pairs: the second one waits elsewhere
            self.numpy = now, np.random.get_state()
        return self.numpy[1]

    def set_random_state(self, state: list) -> None:
        """Go back to a random_state()."""
        python, numpy, cpu, cuda, ours = state
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        for generator, one in zip(self.generators, ours, strict=True):
            generator.set_state(one)

    def damage(self) -> list[tuple[str, torch.Tensor]]:
        """(name, tensor) of all that is not finite now: weights, gradients, buffers, optimiser state."""
        found = [(name, weight) for name, weight in self.names.values()]
        found += [("a buffer", one) for one in self.buffers]
        if self.check_gradients:
            found += [(f"the gradient of {name}", weight.grad) for name, weight in self.names.values()]
        for optimiser in self.optimisers:
            for weight, entry in optimiser.state.items():
                name = self.names[id(weight)][0]
                found += [(f"{type(optimiser).__name__}'s {key} of {name}", value) for key, value in entry.items()]
        return [(name, one.detach()) for name, one in found if isinstance(one, torch.Tensor) and not _finite(one)]


class _Snapshot:
    """Copies of tensors, one flat block of memory for each kind of number, so that one sum tells whether all are finite."""

    def __init__(self, checked: list[torch.Tensor], loose: list[torch.Tensor]):
        self.layout = _layout(checked, loose)
        self.blocks: list[tuple[torch.Tensor, bool]] = []
        copies = {}
        for watch, tensors in ((True, checked), (False, loose)):
            kinds: dict[tuple, list[tuple[int, torch.Tensor]]] = {}
            for index, tensor in enumerate(tensors):
                kinds.setdefault((tensor.dtype, tensor.device), []).append((index, tensor))
            for (dtype, device), members in kinds.items():
                flat = torch.zeros(sum(tensor.numel() for _, tensor in members), dtype=dtype, device=device)
                self.blocks.append((flat, watch and dtype.is_floating_point))
                sizes = [tensor.numel() for _, tensor in members]
                for (index, tensor), piece in zip(members, flat.split(sizes), strict=True):
                    copies[watch, index] = piece.view(tensor.shape)
        self.copies = [copies[True, index] for index in range(len(checked))]
        self.copies += [copies[False, index] for index in range(len(loose))]

    def fits(self, checked: list[torch.Tensor], loose: list[torch.Tensor]) -> bool:
        return self.layout == _layout(checked, loose)

    @torch.no_grad()
    def copy(self, checked: list[torch.Tensor], loose: list[torch.Tensor]) -> bool:
        tensors = [*checked, *loose]
        torch._foreach_copy_(self.copies, tensors)
        self.tensors = tensors
        return all(_finite(flat) for flat, watch in self.blocks if watch)

    @property
    def pairs(self):
        return zip(self.tensors, self.copies, strict=True)

    @property
    def gradients(self) -> list[torch.Tensor]:
        """Those among the copied tensors that were gradients: the last ones, in the order of their weights."""
        return self.tensors[len(self.tensors) - len(self.owners) :] if self.owners else []


def _layout(checked, loose) -> tuple:
    return tuple((one.shape, one.dtype) for one in checked), tuple((one.shape, one.dtype) for one in loose)


def _parts(thing) -> list:
    if isinstance(thing, GAN):
        average = [] if thing.averaged is thing.generator else [thing.averaged]
        return [thing.generator, thing.discriminator, *average, thing.optimiser_g, thing.optimiser_d, thing.random]
    if isinstance(thing, torch.Generator) or (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
        return [thing]
    raise TypeError(f"guard watches modules, optimisers and whatever else has a state_dict, not {type(thing).__name__}")


def _finite(tensor: torch.Tensor) -> bool:
    """Are all of its numbers finite? A sum is the quickest look; only if it is not finite are the numbers looked at."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0:
        return True
    tensor = tensor.detach()
    return math.isfinite(abs(tensor.sum().item())) or bool(torch.isfinite(tensor).all())


def _clone(batch):
    """The same batch in memory of its own, so that a loop that changes its batch cannot change ours."""
    if isinstance(batch, int):  # of guard(range(n), ...): no tree to walk
        return batch
    copy = {torch.Tensor: lambda one: one.detach().clone(), np.ndarray: lambda one: one.copy()}
    return tree_map(lambda one: next((how(one) for kind, how in copy.items() if isinstance(one, kind)), one), batch)


# ---------------------------------------------------------------- the tracer


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
                if not _finite(tensor):
                    index = _first_bad(tensor)
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
        bad_inputs = [one for one in inputs if not _finite(one)]  # looked at before: the operation may work in place
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
            if _finite(output):
                self.origin.pop(_storage(output), None)
                continue
            event = min(known, key=lambda one: one.order, default=None)
            if event is None:
                event = self._event(operation, schema.name, node, number, before, output, arrived=bool(bad_inputs))
                known.append(event)
            self.origin[_storage(output)] = event
        return result

    def _event(self, operation, kernel, node, number, inputs, output, arrived: bool) -> _Event:
        index = _first_bad(output)
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


def _first_bad(tensor: torch.Tensor) -> tuple[int, ...]:
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


# ---------------------------------------------------------------- the guard


class guard:
    """Hand out what `iterable` does; when the loop's body breaks its weights, say why.

    `for batch in guard(loader, G, D, opt_g, opt_d):` around the body as it stands.

    objects     every module and optimiser that the body changes, and what else it depends on and has a state: a
                torch.Generator, a GradScaler, a scheduler. For a loop that draws its own data: guard(range(n), ...)
    policy      "raise": run the fatal iteration again under the tracer, put the state before it back (random state
                included), and raise Collapse
                "skip": put the last good state back, warn, and go on with the next batch (`.skipped` lists them)
                "stop": like "raise", but only end the loop (`.verdict` says why)
    every       iterations between two copies: by default 4, and 1 with "skip". With more than 1, up to every - 1 more
                bodies run after the NaN, and the healthy ones since the last copy run twice, to find the fatal one
    keep        how many copies are kept, for `.recorder.rewind(back)`

    The body runs again as it stands: what it appends or prints, it does each time. What it draws must come
    from `iterable`, from the global random state or from a guarded Generator; an iterator of its own goes on instead.
    Raises ValueError or TypeError for an argument that no loop can have.
    """

    def __init__(self, iterable: Iterable, *objects, policy: str = "raise", keep: int = 1, every: int | None = None):
        if policy not in ("raise", "skip", "stop"):
            raise ValueError(f"policy must be raise, skip or stop, not {policy!r}")
        if every is None:  # where the loop goes on, nothing healthy should have run twice
            every = 1 if policy == "skip" else 4
        whole("every", every, at_least=1)
        self.iterable, self.policy, self.every = iterable, policy, every
        self.recorder = FlightRecorder(*objects, keep=keep)
        self.skipped: list[int] = []
        self.verdict: Verdict | None = None

    def __len__(self) -> int:
        return len(self.iterable)

    def __iter__(self) -> Iterator:
        if not self.recorder.capture():
            name, tensor = self.recorder.damage()[0]
            cause = f"before the first iteration: {name} is not finite"
            index = _first_bad(tensor)
            self.verdict = Verdict(
                0, cause, operation="none", phase="before", shape=tuple(tensor.shape), result=tensor[index].item(), module=name
            )
            raise Collapse(self.verdict)
        window = []  # (iteration, batch, random state) since the last good copy
        for iteration, batch in enumerate(self.iterable, 1):
            window.append((iteration, _clone(batch), self.recorder.random_state()))
            yield batch
            # Most NaNs show at a glance. The next body might not survive one: BCELoss raises, on a GPU past all repair.
            if (len(window) == self.every or not self.recorder.glance()) and (yield from self._look(window)):
                return
        yield from self._look(window)

    def _look(self, window: list) -> Iterator:
        """Is all well after this window of iterations? If not, do what the policy says; True ends the loop."""
        while window and not self.recorder.capture():
            after = self.recorder.random_state()
            self.recorder.rewind()
            for number, (fatal, batch, state) in enumerate(window, 1):  # noqa: B007, the last one is what counts
                self.recorder.set_random_state(state)
                if number == len(window):
                    break  # all before it were healthy, so it is this one
                yield _clone(batch)
                if not self.recorder.capture():
                    self.recorder.rewind()
                    break
            if self.policy != "skip":
                self.recorder.set_random_state(state)
                with Tracer(self.recorder.modules, batch) as tracer:
                    yield batch
                self.verdict = tracer.verdict(fatal, self.recorder.damage())
                self.recorder.rewind()
                self.recorder.set_random_state(state)
                if self.policy == "raise":
                    raise Collapse(self.verdict)
                return True
            self.skipped.append(fatal)
            warnings.warn(f"skipped iteration {fatal}: it left numbers that are not finite", stacklevel=3)
            del window[:number]
            self.recorder.set_random_state(after)
            for _, batch, state in window:  # what came after the fatal one ran in vain
                self.recorder.set_random_state(state)
                yield _clone(batch)
        window.clear()
        return False


# ---------------------------------------------------------------- the one explanation of a NaN, in words


@dataclass(frozen=True)
class Explanation:
    """What made a GAN's loss not finite; a field is None where no single sample did.

    term    such as "log(1 - D(G(z)))"
    of      "generated" or "real", the half of the batch that `sample` (0-based) counts in
    logit   D's logit of that sample, and `value` what the term made of it
    count   how many samples of the batch broke the term
    words   all of it in one or two sentences
    """

    words: str
    term: str | None = None
    of: str | None = None
    sample: int | None = None
    logit: float | None = None
    value: float | None = None
    count: int = 0


def explain(real_logits: torch.Tensor, fake_logits: torch.Tensor, z: torch.Tensor, recipe: Recipe, flipped=None) -> Explanation:
    """Which term of which sample made this loss not finite, from D's logits for a batch, each (batch,).

    z are the latents (batch, latent) of the generated samples; `flipped` marks the real samples, (batch,) of bool, that D
    was told are generated. Where a recipe flips labels and nobody kept which, one sample is named only if it must be it.
    """
    for of, logits in (("real", real_logits), ("generated", fake_logits)):
        if not logits.isfinite().all():
            sample = _first(~logits.isfinite())
            words = f"D's logit for {of} sample {sample} is {logits[sample]:g}: the weights themselves overflowed."
            return Explanation(words, None, of, sample, float(logits[sample]), None, int((~logits.isfinite()).sum()))
    penalty = "" if recipe.penalty == "none" else f" or the penalty {recipe.penalty!r}"
    if recipe.loss != "matlab":
        lowest, highest = torch.cat([real_logits, fake_logits]).aminmax()
        return Explanation(f"the loss {recipe.loss!r}{penalty} overflowed at logits from {lowest:.3g} to {highest:.3g}.")
    for term, of, logits, values, certain in _terms(real_logits, fake_logits, recipe, flipped):
        broken = ~values.isfinite()
        count = int(broken.sum())
        if count > 1 and not certain:
            words = f"{term} of one of the {count} real samples beyond the cliff is -inf; which of them had flipped labels is not known."
            return Explanation(words, term, of, count=count)
        if count:
            sample = _first(broken)
            return Explanation(
                _sentence(term, of, sample, logits, values, z, recipe), term, of, sample, float(logits[sample]),
                float(values[sample]), count,
            )  # fmt: skip
    return Explanation(f"no single term is infinite: their sum{penalty} overflowed.")


def _terms(real_logits, fake_logits, recipe, flipped) -> list[tuple]:
    """(term, whose, logits, values, is it certain that D was told so) in the order in which the loss computes them."""
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    fakes = [
        ("log(1 - D(G(z)))", "generated", fake_logits, torch.log(1 - fake), True),
        ("log D(G(z))", "generated", fake_logits, torch.log(fake), True),
    ]
    told_real, told_generated = torch.log(real), torch.log(1 - real)
    certain = flipped is not None or not recipe.flips
    if certain and flipped is not None:
        nothing = torch.zeros_like(real)
        straight = [torch.where(flipped, nothing, told_real), torch.where(flipped, told_generated, nothing)]
        mirrored = [torch.where(flipped, told_real, nothing), torch.where(flipped, nothing, told_generated)]
    else:
        straight, mirrored = [told_real, torch.zeros_like(real)], [torch.zeros_like(real), told_generated]
    names = ("log D(x)", "log(1 - D(x))")
    first, second = (
        [(name, "real", real_logits, values, certain or bool(recipe.smoothing)) for name, values in zip(names, both)]
        for both in (straight, mirrored)
    )
    if not certain:  # what surely happened goes before what may have
        return [*fakes, *first, *second]
    return [*first, *fakes, *(second if recipe.smoothing else [])]


def _sentence(term, of, sample, logits, values, z, recipe) -> str:
    lowest, highest = cliffs(logits.dtype)
    kind = str(logits.dtype).removeprefix("torch.")
    side = f"above {highest:.2f} {kind} rounds D to 1" if logits[sample] > 0 else f"below {lowest:.1f} {kind} rounds D to 0"
    words = f"{term} of sample {sample} is {values[sample]:g}. Its logit is {logits[sample]:.1f}; {side}."
    count = int((~values.isfinite()).sum())
    if count > 1:
        words += f" The same happened to {count} of the {len(values)} samples."
    if of == "generated":
        words += f" Its latent is {rarity(z[sample, : recipe.latent], recipe.prior)}."
    return words


def _first(mask: torch.Tensor) -> int:
    return int(mask.nonzero()[0])


def explain_trace(trace: Trace) -> Explanation:
    """What explain() says of the last batch of a recorded run; ValueError for a run without NaN or without that batch."""
    if trace.nan_at is None or not trace.last_batch:
        raise ValueError(f"{trace} has no batch with a NaN to explain")
    batch = {name: torch.from_numpy(array) for name, array in trace.last_batch.items()}
    return explain(batch["real_logits"], batch["fake_logits"], batch["z"], trace.recipe)


def rarity(z: torch.Tensor, prior: str = "normal") -> str:
    """How rare a latent (latent,) is: how often a normal draw is at least that far out; of a bounded one, its bound."""
    length = float(z.double().norm())
    # the chi distribution; for a single number it is the two-sided tail of the normal one
    tail = float(torch.special.gammaincc(torch.tensor(len(z) / 2).double(), torch.tensor(length**2 / 2).double()))
    name = f"z = {float(z[0]):.2f}" if len(z) == 1 else f"|z| = {length:.2f}"
    if prior == "uniform":
        return f"{name}, of at most {math.sqrt(3 * len(z)):.2f}"
    if tail == 0:  # further out than float64 can tell
        return f"{name}, no draw is ever as far out"
    return f"{name}, {f'1 draw in {1 / tail:,.0f}' if tail < 0.1 else f'1 draw in {1 / tail:.1f}'} is as far out"


def autopsy(gan: GAN, iterations: int) -> Verdict | None:
    """Train `gan` until its NaN and return the verdict, with `gan` put back to just before the fatal iteration.

    None if all went well for `iterations`. The random state is put back too: gan.step() dies of the same batch.
    """
    if not isinstance(gan, GAN):
        raise TypeError(f"gan must be a GAN, not {gan!r}")
    whole("iterations", iterations, at_least=1)
    watch = guard(range(iterations), gan, policy="stop")
    for _ in watch:
        gan.step()
    return watch.verdict


def counterfactual(gan: GAN, losses: Iterable[str] = tuple(LOSSES)) -> dict[str, dict[str, float]]:
    """The next iteration of `gan` once under each of these losses: {loss: what would have happened}; `gan` stays as it is.

    loss_d, loss_g  their values
    push            D's gradient at the largest generated logit, times the batch: 1 is the full push back, 0 none
    finite          are all weights finite afterwards? (1.0 or 0.0)
    """
    if not isinstance(gan, GAN):
        raise TypeError(f"gan must be a GAN, not {gan!r}")
    recorder, kept = FlightRecorder(gan), gan.loss
    if not recorder.capture():
        raise ValueError("the weights of this GAN are not finite already: rewind it first")
    state, answers = recorder.random_state(), {}
    for name in losses:
        recorder.rewind()
        recorder.set_random_state(state)
        gan.loss = LOSSES[name]
        step = gan.forward()
        gradient = torch.autograd.grad(step.loss_d, step.fake_logits, retain_graph=True)[0]
        push = gradient[step.fake_logits.argmax()].item() * gan.recipe.batch
        gan.update(step)
        answers[name] = {
            "loss_d": step.loss_d.item(), "loss_g": step.loss_g.item(), "push": push, "finite": float(not recorder.damage())
        }  # fmt: skip
    recorder.rewind()
    recorder.set_random_state(state)
    gan.loss = kept
    return answers
