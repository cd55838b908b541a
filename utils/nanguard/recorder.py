"""FlightRecorder: copies of all that a training loop changes, to look at and to go back to. Uses torch only."""

from __future__ import annotations

import contextlib
import ctypes
import math
import random
import sys
from collections import deque
from functools import partial
from itertools import zip_longest

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from .carried import remember
from .tensors import all_finite, clone, counted, finite

SMALL = 4096  # numbers in a weight whose norm is taken after every iteration


class FlightRecorder:
    """Copies of everything that a training loop changes, the last `keep` of them, in memory that is used again.

    objects     modules, optimisers, torch.Generators, anything with state_dict and load_state_dict (learning-rate
                schedulers, GradScaler), or an object whose method guarded() returns (list of such parts, names of
                its attributes that an iteration changes)
    Raises TypeError for any other object, and for no object at all.
    """

    def __init__(self, *objects, keep: int = 1):
        counted("keep", keep)
        # (owner, name) of each attribute that counts something, of objects that list their own parts
        self.counters = [(thing, name) for thing in objects if hasattr(thing, "guarded") for name in thing.guarded()[1]]
        self.objects = [part for thing in objects for part in _parts(thing)]
        if not self.objects:
            raise TypeError("there is nothing to guard: name the modules and the optimisers that the loop trains")
        self.things, self.offered = self.objects, []
        self.loop = None  # a Loop, whose carried variables are copied too
        self.seen: dict[int, tuple] = {}  # id of a buffer: (itself, was it finite when first seen?)
        self.ring: deque[_Snapshot] = deque()
        self.keep, self.numpy = keep, (None, None)
        self.accumulates = False  # does the loop change a gradient where it lies?
        self._name()

    def adopt(self, things: list) -> None:
        """Look after these too, which the loop uses and nobody handed over, but for modules that are larger than its own."""
        if [id(one) for one in things] == self.offered:
            return
        self.offered, self.things = [id(one) for one in things], list(self.objects)
        room = sum(one.nbytes for one in self.weights)
        for thing in things:
            known = {id(part) for one in self.things for part in (one.modules() if isinstance(one, nn.Module) else [one])}
            weights = list(thing.parameters()) if isinstance(thing, nn.Module) else []
            if id(thing) not in known and sum(one.nbytes for one in weights if not _unborn(one)) <= room:
                self.things.append(thing)
        self._name()

    def of(self, kind: type) -> list:
        return [one for one in self.things if isinstance(one, kind)]

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """A GradScaler, which meets infinite gradients on purpose and skips them; None if the loop has none."""
        return next((one for one in self.of(torch.amp.GradScaler) if one.is_enabled()), None)

    def _name(self) -> None:
        """List weights, buffers and optimiser state anew: a loop may add some."""
        names, buffers, tails, self.unborn = {}, {}, {}, False
        for thing in self.things:
            kind, weights = type(thing).__name__, []
            if isinstance(thing, nn.Module):
                weights = [(f"{kind}.{name}", one) for name, one in thing.named_parameters()]
                buffers |= {id(one): (f"{kind}.{name}", one) for name, one in thing.named_buffers() if not _unborn(one)}
            elif isinstance(thing, torch.optim.Optimizer):
                weights = enumerate(one for group in thing.param_groups for one in group["params"])
                weights = [(f"{kind}'s weight {index}", one) for index, one in weights]
            born = [pair for pair in weights if not _unborn(pair[1])]
            self.unborn |= len(born) < len(weights)  # a lazy layer has no weights yet
            names |= {id(one): (name, one) for name, one in born if id(one) not in names}
            small = (one for _, one in born[-2:] if one.numel() <= SMALL and one.is_floating_point())
            tails |= {id(one): one for one in small}  # the last weights of each network, which a NaN reaches first
        for key in buffers.keys() - self.seen.keys():
            self.seen[key] = buffers[key][1], finite(buffers[key][1])
        states = [
            (f"{type(optimiser).__name__}'s {key} of {names.get(id(weight), ('a weight',))[0]}", leaf)
            for optimiser in self.of(torch.optim.Optimizer)
            for weight, entry in optimiser.state.items()
            for key, value in entry.items()
            for leaf in ((value,) if isinstance(value, torch.Tensor) else tree_leaves(value))
            if isinstance(leaf, torch.Tensor)
        ]
        self.names, self.weights = names, [one for _, one in names.values()]
        self.lasting = [*names.values(), *(pair for key, pair in buffers.items() if self.seen[key][1]), *states]
        self.loose = [one for key, (_, one) in buffers.items() if not self.seen[key][1]]  # masks of -inf are meant to be so
        self.tails = [one for one in tails.values() if one.device == self.weights[-1].device][-8:]

    @property
    def nbytes(self) -> int:
        """Memory that the copies hold, in bytes, and the gradients that are held instead of copied."""
        held = [one for snapshot in self.ring for _, one, _, copy in snapshot.gradients if copy is None]
        return sum(one.nbytes for one in (*held, *(copy for snapshot in self.ring for copy in snapshot.copies)))

    @property
    def gradients(self) -> list[torch.Tensor]:
        return [weight.grad for weight in self.weights if weight.grad is not None]

    @torch.no_grad()
    def norms(self) -> tuple[float, float]:
        """Of the gradients and of the weights that come last in each network: a look that costs next to nothing."""
        gradients = [one.grad for one in self.tails if one.grad is not None and not one.grad.is_sparse]
        if not self.tails:
            return math.nan, 0.0
        norms, first = [one.item() for one in torch._foreach_norm([*gradients, *self.tails])], len(gradients)
        return math.hypot(*norms[:first]) if gradients else math.nan, math.hypot(*norms[first:])

    def status(self) -> str:
        """ "fine", "gradients" if nothing else is not finite, or "broken"."""
        self._name()
        lasting = [one for _, one in self.lasting]
        if all_finite([*lasting, *(self.gradients if self.scaler is None else ())]):
            return "fine"
        return "gradients" if all_finite(lasting) else "broken"

    def capture(self) -> bool:
        """Copy the present state; True if it is finite. One that is not is not kept."""
        fine = self.status() == "fine"
        if fine:
            self.copy()
        return fine

    def back_to(self, snapshot: _Snapshot) -> None:
        """Forget what was copied after `snapshot`."""
        while self.ring[-1] is not snapshot:
            self.ring.pop()

    def copy(self, beside: _Snapshot | None = None) -> None:
        """Copy the state that status() has just looked at; `beside` is kept, whatever `keep` is."""
        snapshot = _Snapshot()
        if beside is not None:
            self.back_to(beside)
        while beside is None and len(self.ring) >= self.keep:
            snapshot = self.ring.popleft()
        self.accumulates |= any(one._version != version or weight.grad is one for weight, one, version, _ in snapshot.gradients)
        # Gradients that a loop makes anew need no copy: while we hold the old ones, they stay what they are.
        anew = bool(snapshot.gradients) and not self.accumulates
        snapshot.copy([*(one for _, one in self.lasting), *self.loose], self.weights, anew)
        snapshot.undo = [partial(setattr, owner, name, getattr(owner, name)) for owner, name in self.counters]
        for thing in self.things:
            if isinstance(thing, torch.optim.Optimizer):
                entries = {weight: _shell(entry) for weight, entry in thing.state.items()}
                settings = [{key: value for key, value in group.items() if key != "params"} for group in thing.param_groups]
                snapshot.undo.append(partial(_restore, thing, entries, settings))
            elif not isinstance(thing, (nn.Module, torch.Generator)):
                state = clone(thing.state_dict())
                snapshot.undo.append(lambda thing=thing, state=state: thing.load_state_dict(clone(state)))
        if self.loop is not None:
            found = [(name, put, value, remember(value)) for name, put, value in self.loop.parts()]
            snapshot.undo += [partial(self._put_back, *slot) for slot in found if slot[-1]]
            snapshot.values = self.loop.values()
        self.ring.append(snapshot)

    @torch.no_grad()
    def rewind(self, back: int = 0) -> None:
        """Put the last captured state back, or the one `back` captures before it; IndexError if it is not kept."""
        if not 0 <= back < len(self.ring):
            raise IndexError(f"back must be below the {len(self.ring)} states that are kept, not {back}")
        snapshot = self.ring[-1 - back]
        for tensor, copy in zip(snapshot.tensors, snapshot.copies):
            tensor.copy_(copy)
        for weight in self.weights:
            weight.grad = None
        for weight, gradient, version, copy in snapshot.gradients:
            kept = copy if copy is not None else gradient if gradient._version == version else None
            weight.grad = None if kept is None else kept.clone()
        for undo in snapshot.undo:
            undo()

    def _put_back(self, name: str, put, value, restore) -> None:
        with contextlib.suppress(Exception):  # then the replay is another one, which is said
            (put or partial(self.loop.bind, name))(value)  # no method of the Loop's own, which would keep its frame alive
            restore()

    def random_state(self) -> list:
        """The state of Python's, numpy's and torch's random numbers, and of the generators that are guarded."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        ours = [(one, one.get_state()) for one in self.of(torch.Generator)]
        return [random.getstate(), self._numpy_state(), torch.get_rng_state(), cuda, ours]

    def _numpy_state(self):
        """np.random.get_state(), which takes 60 microseconds, made anew only if the generator's memory has changed."""
        numpy = sys.modules.get("numpy")
        if numpy is None:  # a loop that has not loaded it draws nothing from it
            return None
        generator, (memory, state) = numpy.random.get_bit_generator(), self.numpy
        if not isinstance(generator, numpy.random.MT19937):  # 624 numbers of 4 bytes and a position
            return numpy.random.get_state()
        now = (ctypes.c_char * (625 * 4)).from_address(generator.ctypes.state_address).raw
        if now != memory or state[3]:  # normal numbers are made in pairs: the second one waits elsewhere
            self.numpy = now, numpy.random.get_state()
        return self.numpy[1]

    def set_random_state(self, state: list) -> None:
        """Go back to a random_state()."""
        python, drawn, cpu, cuda, ours = state
        random.setstate(python)
        if drawn is not None:
            sys.modules["numpy"].random.set_state(drawn)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        for generator, one in ours:
            generator.set_state(one)

    def damage(self) -> list[tuple[str, torch.Tensor]]:
        """(name, tensor) of all that is not finite now: weights, buffers, optimiser state, gradients."""
        self._name()
        owners = [pair for pair in self.names.values() if pair[1].grad is not None and self.scaler is None]
        found = [*self.lasting, *((f"the gradient of {name}", weight.grad) for name, weight in owners)]
        return [(name, one.detach()) for name, one in found if not finite(one)]


class _Snapshot:
    """One state; the memory of its copies is used again by the next one where the shapes are the same.

    undo        what puts back that which is no tensor's number
    gradients   (weight, its gradient, that tensor's version, a copy or None: a tensor of the same version is as it was)
    """

    def __init__(self):
        self.tensors, self.copies, self.undo, self.gradients, self.values = [], [], [], [], {}

    @torch.no_grad()
    def copy(self, tensors: list[torch.Tensor], weights: list[torch.Tensor], anew: bool) -> None:
        owners = [(weight, weight.grad) for weight in weights if weight.grad is not None]
        self.tensors = tensors + [one for _, one in owners if not one.is_sparse and not anew]
        pairs = list(zip_longest(self.tensors, self.copies))[: len(self.tensors)]
        self.copies = [copy if _alike(one, copy) else torch.empty_like(one, requires_grad=False) for one, copy in pairs]
        if tensors:
            torch._foreach_copy_(self.copies, self.tensors)
        copies = {id(tensor): copy for tensor, copy in zip(self.tensors, self.copies)}
        copies |= {id(one): one.clone() for _, one in owners if one.is_sparse}
        self.gradients = [(weight, one, one._version, copies.get(id(one))) for weight, one in owners]


def _alike(one: torch.Tensor, copy: torch.Tensor | None) -> bool:
    return copy is not None and (one.shape, one.dtype, one.device) == (copy.shape, copy.dtype, copy.device)


def _parts(thing) -> list:
    if hasattr(thing, "guarded"):
        return list(thing.guarded()[0])
    if isinstance(thing, torch.Generator) or (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
        return [thing]
    raise TypeError(f"guard watches modules, optimisers and whatever else has a state_dict, not {type(thing).__name__}")


def _unborn(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)


def _shell(entry: dict) -> dict:
    """The same dicts and lists around the same tensors, so that what appends to a list does not append to ours."""
    return tree_map(lambda leaf: leaf, entry) if any(isinstance(one, (dict, list)) for one in entry.values()) else dict(entry)


def _restore(optimiser: torch.optim.Optimizer, entries: dict, settings: list[dict]) -> None:
    optimiser.state.clear()
    optimiser.state.update({weight: _shell(entry) for weight, entry in entries.items()})
    for group, setting in zip(optimiser.param_groups, settings):  # a group that came later stays
        group.update(setting)
