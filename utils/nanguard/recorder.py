"""FlightRecorder: copies of all that a training loop changes, to look at and to go back to. Uses torch only."""

from __future__ import annotations

import ctypes
import math
import random
import sys
from collections import deque

import torch
from torch import nn
from torch.utils._pytree import tree_map


class FlightRecorder:
    """Copies of everything that a training loop changes, the last `keep` of them, in memory allocated once.

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
        self.buffers = [one for one in buffers if finite(one)]
        self.masks = [one for one in buffers if not finite(one)]
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
            snapshot.others = [clone(thing.state_dict()) for thing in self.others]
            snapshot.counts = [{name: getattr(owner, name) for name in names} for owner, names in self.counters]
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
            thing.load_state_dict(clone(state))
        for (owner, _), counts in zip(self.counters, snapshot.counts, strict=True):
            for name, count in counts.items():
                setattr(owner, name, count)

    def random_state(self) -> list:
        """The state of Python's, numpy's and torch's random numbers, and of the generators that are guarded."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        ours = [one.get_state() for one in self.generators]
        return [random.getstate(), self._numpy_state(), torch.get_rng_state(), cuda, ours]

    def _numpy_state(self):
        """numpy.random.get_state(), which takes 60 microseconds, made anew only if the generator's memory has changed."""
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
        return [(name, one.detach()) for name, one in found if isinstance(one, torch.Tensor) and not finite(one)]


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
        return all(finite(flat) for flat, watch in self.blocks if watch)

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
    if hasattr(thing, "guarded"):
        return list(thing.guarded()[0])
    if isinstance(thing, torch.Generator) or (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
        return [thing]
    raise TypeError(f"guard watches modules, optimisers and whatever else has a state_dict, not {type(thing).__name__}")


def finite(tensor: torch.Tensor) -> bool:
    """Are all of its numbers finite? A sum is the quickest look; only if it is not finite are the numbers looked at."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0:
        return True
    tensor = tensor.detach()
    return math.isfinite(abs(tensor.sum().item())) or bool(torch.isfinite(tensor).all())


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
