"""FlightRecorder: copies of all that a training loop changes, to look at and to go back to. Uses torch only."""

from __future__ import annotations

import ctypes
import math
import random
import sys
from collections import deque

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map


class FlightRecorder:
    """Copies of everything that a training loop changes, the last `keep` of them, in memory that is used again.

    objects     modules, optimisers, torch.Generators, anything with state_dict and load_state_dict (learning-rate
                schedulers, GradScaler), or an object whose method guarded() returns (list of such parts, names of
                its attributes that an iteration changes)
    Raises TypeError for any other object, and for no object at all.
    """

    def __init__(self, *objects, keep: int = 1):
        counted("keep", keep)
        # (owner, names of its attributes that count something), of each object that lists its own parts
        self.counters = [(thing, thing.guarded()[1]) for thing in objects if hasattr(thing, "guarded")]
        objects = [part for thing in objects for part in _parts(thing)]
        if not objects:
            raise TypeError("there is nothing to guard: name the modules and the optimisers that the loop trains")
        self.objects, self.found = objects, []
        self.modules, self.optimisers, self.generators, self.others = _sorted(objects)
        self.loop = None  # a Loop, whose carried variables are copied too
        self.masks: dict[int, torch.Tensor] = {}  # buffers that were not finite when first seen are meant to be so
        self.seen: dict[int, torch.Tensor] = {}
        self.ring: deque[_Snapshot] = deque()
        self.keep, self.numpy = keep, (None, None)
        self.unborn = any(_lazy(module) for module in self.modules)
        self._name()

    def adopt(self, things: list) -> None:
        """Copy these too, which the loop uses and nobody handed over; whether they are finite is nobody's concern."""
        room = sum(one.nbytes for one in self.weights)
        known = {id(part) for thing in self.objects for part in _family(thing)}
        self.found = []
        for thing in things:
            size = sum(one.nbytes for one in thing.parameters()) if isinstance(thing, nn.Module) and not _lazy(thing) else 0
            if id(thing) not in known and size <= room:
                known |= {id(part) for part in _family(thing)}
                self.found.append(thing)
        self.modules, self.optimisers, self.generators, self.others = _sorted(self.objects + self.found)

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """A GradScaler, which meets infinite gradients on purpose and skips them; None if the loop has none."""
        scalers = (one for one in self.others if isinstance(one, torch.amp.GradScaler) and one.is_enabled())
        return next(scalers, None)

    def _name(self) -> None:
        """List weights and buffers anew: a loop may add some."""
        names = {}  # of every weight, by its id
        for module in (one for one in self.modules if not any(one is other for other in self.found)):
            for name, weight in module.named_parameters():
                names.setdefault(id(weight), (f"{type(module).__name__}.{name}", weight))
        for optimiser in (one for one in self.optimisers if not any(one is other for other in self.found)):
            for index, weight in enumerate(w for group in optimiser.param_groups for w in group["params"]):
                names.setdefault(id(weight), (f"{type(optimiser).__name__}'s weight {index}", weight))
        self.names = {key: pair for key, pair in names.items() if not _unborn(pair[1])}
        self.weights = [weight for _, weight in self.names.values()]
        buffers = {id(one): one for module in self.modules for one in module.buffers() if not _unborn(one)}
        for key in buffers.keys() - self.seen.keys():
            self.seen[key] = buffers[key]
            if not finite(buffers[key]):
                self.masks[key] = buffers[key]
        loose = [one for module in self.found if isinstance(module, nn.Module) for one in module.parameters()]
        loose = [one for one in loose if not _unborn(one) and id(one) not in self.names]
        self.buffers = [one for key, one in buffers.items() if key not in self.masks]
        self.loose = [*loose, *(one for key, one in buffers.items() if key in self.masks)]
        # The last number of each network, mostly of the bias of its output, which a NaN reaches first.
        last = [list(one.parameters())[-1:] for one in self.modules]
        last += [one.param_groups[-1]["params"][-1:] for one in self.optimisers]
        last = {id(weight): weight for weights in last for weight in weights if id(weight) in self.names and weight.numel()}
        self.probes = [weight.detach()[(-1,) * weight.dim()] for weight in last.values()]

    @property
    def nbytes(self) -> int:
        """Memory that the copies hold, in bytes."""
        return sum(copy.nbytes for snapshot in self.ring for copy in snapshot.copies)

    @property
    def gradients(self) -> list[torch.Tensor]:
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def status(self) -> str:
        """"fine", "gradients" if nothing else is not finite, or "broken"."""
        self._name()
        states = [value for one in self.optimisers for entry in one.state.values() for value in tree_leaves(entry)]
        self.states = [value for value in states if isinstance(value, torch.Tensor)]
        if not all_finite([*self.weights, *self.buffers, *self.states]):
            return "broken"
        return "fine" if self.scaler is not None or all_finite(self.gradients) else "gradients"

    def capture(self) -> bool:
        """Copy the present state; True if it is finite. One that is not is not kept."""
        status = self.status()
        if status == "fine":
            self.copy()
        return status == "fine"

    def back_to(self, snapshot: _Snapshot) -> None:
        """Forget what was copied after `snapshot`."""
        while self.ring[-1] is not snapshot:
            self.ring.pop()

    def copy(self, beside: _Snapshot | None = None) -> None:
        """Copy the state that status() has just looked at; `beside` is kept, whatever `keep` is."""
        dense = [one for one in self.gradients if not one.is_sparse]
        tensors = [*self.weights, *self.buffers, *self.loose, *self.states, *dense]
        if beside is not None:
            self.back_to(beside)
        full = beside is None and len(self.ring) >= self.keep
        snapshot = self.ring.popleft() if full else _Snapshot()
        while beside is None and len(self.ring) >= self.keep:
            self.ring.popleft()
        snapshot.copy(tensors)
        snapshot.owners = [weight for weight in self.weights if weight.grad is not None]
        snapshot.sparse = {id(weight): weight.grad.clone() for weight in snapshot.owners if weight.grad.is_sparse}
        snapshot.dense = dense
        snapshot.optimisers = [
            (one, {weight: _shell(entry) for weight, entry in one.state.items()}, [_settings(g) for g in one.param_groups])
            for one in self.optimisers
        ]
        snapshot.others = [(thing, clone(thing.state_dict())) for thing in self.others]
        snapshot.counts = [{name: getattr(owner, name) for name in names} for owner, names in self.counters]
        slots = self.loop.slots() if self.loop is not None else []
        snapshot.slots = [(owner, name, value, [_copied(leaf) for leaf in tree_leaves(value)]) for owner, name, value in slots]
        snapshot.values = self.loop.values() if self.loop is not None else {}
        self.ring.append(snapshot)

    def glance(self) -> bool:
        """Does a look at one number of each network find nothing? It costs next to nothing, and only status() is sure."""
        return all(math.isfinite(abs(number.item())) for number in self.probes)

    @torch.no_grad()
    def rewind(self, back: int = 0) -> None:
        """Put the last captured state back, or the one `back` captures before it; IndexError if it is not kept."""
        if not 0 <= back < len(self.ring):
            raise IndexError(f"back must be below the {len(self.ring)} states that are kept, not {back}")
        snapshot = self.ring[-1 - back]
        for tensor, copy in zip(snapshot.tensors, snapshot.copies, strict=True):
            tensor.copy_(copy)
        copies = {id(tensor): copy for tensor, copy in zip(snapshot.tensors, snapshot.copies, strict=True)}
        kept = [snapshot.sparse[id(w)] if id(w) in snapshot.sparse else None for w in snapshot.owners]
        for weight in self.weights:
            weight.grad = None
        dense = iter(snapshot.dense)
        for weight, gradient in zip(snapshot.owners, kept, strict=True):
            weight.grad = gradient.clone() if gradient is not None else copies[id(next(dense))].clone()
        for optimiser, entries, settings in snapshot.optimisers:
            optimiser.state.clear()
            optimiser.state.update({weight: _shell(entry) for weight, entry in entries.items()})
            for group, setting in zip(optimiser.param_groups, settings):  # a group that came later stays
                group.update(setting)
        for thing, state in snapshot.others:
            thing.load_state_dict(clone(state))
        for (owner, _), counts in zip(self.counters, snapshot.counts, strict=True):
            for name, count in counts.items():
                setattr(owner, name, count)
        for owner, name, value, leaves in snapshot.slots:
            _put_back(value, leaves)
            self.loop.set(owner, name, value)

    def random_state(self) -> list:
        """The state of Python's, numpy's and torch's random numbers, and of the generators that are guarded."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        ours = [(one, one.get_state()) for one in self.generators]
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
        """(name, tensor) of all that is not finite now: weights, gradients, buffers, optimiser state."""
        self._name()
        found = list(self.names.values()) + [("a buffer", one) for one in self.buffers]
        if self.scaler is None:
            found += [(f"the gradient of {name}", weight.grad) for name, weight in self.names.values()]
        for optimiser in self.optimisers:
            for weight, entry in optimiser.state.items():
                name = self.names.get(id(weight), ("a weight",))[0]
                found += [(f"{type(optimiser).__name__}'s {key} of {name}", value) for key, value in entry.items()]
        return [(name, one.detach()) for name, one in found if isinstance(one, torch.Tensor) and not finite(one)]


class _Snapshot:
    """One state; the memory of its copies is used again by the next one where the shapes are the same."""

    def __init__(self):
        self.tensors, self.copies = [], []

    @torch.no_grad()
    def copy(self, tensors: list[torch.Tensor]) -> None:
        if [(a.shape, a.dtype, a.device) for a in tensors] != [(b.shape, b.dtype, b.device) for b in self.copies]:
            self.copies = [torch.empty_like(one, requires_grad=False) for one in tensors]
        if tensors:
            torch._foreach_copy_(self.copies, [one.detach() for one in tensors])
        self.tensors = tensors


def _parts(thing) -> list:
    if hasattr(thing, "guarded"):
        return list(thing.guarded()[0])
    if isinstance(thing, torch.Generator) or (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
        return [thing]
    raise TypeError(f"guard watches modules, optimisers and whatever else has a state_dict, not {type(thing).__name__}")


def _sorted(objects: list) -> tuple[list, list, list, list]:
    """Modules, optimisers, generators, and the rest."""
    modules = [one for one in objects if isinstance(one, nn.Module)]
    optimisers = [one for one in objects if isinstance(one, torch.optim.Optimizer)]
    generators = [one for one in objects if isinstance(one, torch.Generator)]
    known = {id(one) for one in (*modules, *optimisers, *generators)}
    return modules, optimisers, generators, [one for one in objects if id(one) not in known]


def _family(thing) -> list:
    return list(thing.modules()) if isinstance(thing, nn.Module) else [thing]


def _unborn(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)


def _lazy(module: nn.Module) -> bool:
    return any(_unborn(one) for one in module.parameters())


def _settings(group: dict) -> dict:
    return {key: value for key, value in group.items() if key != "params"}


def _shell(entry):
    """The same dicts and lists around the same tensors, so that what appends to a list does not append to ours."""
    return tree_map(lambda leaf: leaf, entry) if isinstance(entry, (dict, list)) else entry


def _copied(leaf):
    return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf


def _put_back(value, leaves: list) -> None:
    """Give a tree of tensors the numbers that it had."""
    now = tree_leaves(value)
    for tensor, copy in zip(now, leaves) if len(now) == len(leaves) else ():
        if isinstance(tensor, torch.Tensor) and isinstance(copy, torch.Tensor) and tensor.shape == copy.shape:
            if not torch.equal(tensor, copy):
                tensor.copy_(copy)


def all_finite(tensors: list[torch.Tensor]) -> bool:
    """Are all numbers of all of them finite? One look at the sum of their sums, and only if that is not finite a second one."""
    tensors = [one.coalesce().values() if one.is_sparse else one for one in tensors]
    tensors = [one.detach() for one in tensors if (one.is_floating_point() or one.is_complex()) and one.numel()]
    sums = {}
    for one in tensors:
        total = one.abs().sum() if one.is_complex() else one.sum(dtype=torch.float32)
        sums.setdefault(one.device, []).append(total)
    if all(math.isfinite(torch.stack(of).sum().item()) for of in sums.values()):
        return True
    return all(finite(one) for one in tensors)


def finite(tensor: torch.Tensor) -> bool:
    """Are all of its numbers finite?"""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0:
        return True
    if tensor.is_sparse:
        return finite(tensor.coalesce().values())
    return bool(torch.isfinite(tensor.detach()).all())


def clone(batch):
    """The same batch in memory of its own, so that a loop that changes its batch cannot change ours."""
    if isinstance(batch, int):  # of guard(range(n), ...): no tree to walk
        return batch
    array = getattr(sys.modules.get("numpy"), "ndarray", ())

    def copy(leaf):
        return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf.copy() if isinstance(leaf, array) else leaf

    return tree_map(copy, batch)


def counted(name: str, value) -> None:
    """TypeError or ValueError, in one sentence, unless value is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
