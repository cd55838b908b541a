"""FlightRecorder: a copy of all that a training loop changes, to look at and to go back to. Uses torch only."""

from __future__ import annotations

import contextlib
import ctypes
import math
import random
import sys
from collections.abc import Iterator
from functools import partial

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from .memory import plain_list, put_back, refill, remember
from .tensors import finite, mask, numbers, titles

STATEFUL = (nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler, torch.Generator)
SMALL = 4096  # numbers in a weight whose norm is taken after every iteration


class FlightRecorder:
    """A copy of everything that a training loop changes, in memory that is used again.

    objects     modules, optimisers, torch.Generators, anything with state_dict and load_state_dict (learning-rate
                schedulers, GradScaler), or an object whose method guarded() returns (list of such parts, names of
                its attributes that an iteration changes)
    Raises TypeError for any other object, and for no object at all.
    """

    def __init__(self, *objects):
        # (owner, name) of each attribute that counts something, of objects that list their own parts
        self.counters = [(thing, name) for thing in objects if hasattr(thing, "guarded") for name in thing.guarded()[1]]
        self.objects = [part for thing in objects for part in _parts(thing)]
        if not self.objects:
            raise TypeError("there is nothing to guard: name the modules and the optimisers that the loop trains")
        self.things, self.offered, self.known = self.objects, [], []
        self.carried, self.slots = list, []  # a function that tells, and (name, put, value) of, what else the loop changes
        self.sound: dict[tuple, bool] = {}  # was a buffer finite when first seen?
        self.tensors, self.copies, self.gradients, self.shapes, self.undo = [], [], [], None, []
        self.numpy = (None,) * 4  # its generator, where the state of that lies, and what it was, twice
        self.accumulates = self.hold = False  # does the loop change a gradient where it lies? Are all made anew?
        self._list()

    def adopt(self) -> None:
        """Look after what the loop carries, too, but for modules that are larger than its own."""
        slots = list(self.carried())
        self.slots = [slot for slot in slots if not isinstance(slot[2], STATEFUL)]
        self.slots += [(name, partial(setattr, owner, name), getattr(owner, name)) for owner, name in self.counters]
        found = [value for _, _, value in slots if isinstance(value, STATEFUL)]
        if [id(one) for one in found] == self.offered:
            return
        self.offered, self.things = [id(one) for one in found], list(self.objects)
        room = sum(one.nbytes for one in self.weights)
        for thing in found:
            known = {id(part) for one in self.things for part in (one.modules() if isinstance(one, nn.Module) else [one])}
            weights = list(thing.parameters()) if isinstance(thing, nn.Module) else []
            if id(thing) not in known and sum(one.nbytes for one in weights if not is_lazy(one)) <= room:
                self.things.append(thing)
        self.known = []
        self._list()

    def of(self, kind: type) -> list:
        return [one for one in self.things if isinstance(one, kind)]

    def _list(self) -> None:
        """List weights, buffers and optimiser state, each with its name; anew if there are others than last time."""
        if self.known and self.known == self._known():
            return
        names, buffers, tails, self.places, self.unborn = {}, [], {}, [], False
        for thing, prefix in zip(self.things, titles(self.things)):
            weights = []
            if isinstance(thing, nn.Module):
                self.places += [place for one in thing.modules() for place in (one._parameters, one._buffers, one._modules)]
                weights = list(thing.named_parameters(prefix))
                buffers += [(id(thing), name, one) for name, one in thing.named_buffers(prefix) if not is_lazy(one)]
            elif isinstance(thing, torch.optim.Optimizer):
                self.places += [thing.state, *thing.state.values()]
                weights = enumerate(one for group in thing.param_groups for one in group["params"])
                weights = [(f"{prefix}'s weight {index}", one) for index, one in weights]
            born = [pair for pair in weights if not is_lazy(pair[1])]
            self.unborn |= len(born) < len(weights)  # a lazy layer has no weights yet
            names |= {id(one): (name, one) for name, one in born if id(one) not in names}
            small = [one for _, one in born if one.numel() <= SMALL and one.is_floating_point()]
            tails |= {id(one): one for one in small[-1:]}  # the last of each network, which a NaN reaches first
        for owner, name, one in buffers:
            if (owner, name) not in self.sound:
                self.sound[owner, name] = finite(one)
        self.optimisers, self.generators = self.of(torch.optim.Optimizer), self.of(torch.Generator)
        self.names, self.weights, self.tails = names, [one for _, one in names.values()], list(tails.values())
        self.buffers = {id(one): (name, one) for _, name, one in buffers}
        # Masks of -inf are meant to be so, be they buffers or weights that do not learn.
        masks = {id(one): one for _, one in names.values() if not one.requires_grad and not finite(one) and mask(one)}
        weights = [pair for key, pair in names.items() if key not in masks]
        self.loose = [*masks.values(), *(one for owner, name, one in buffers if not self.sound[owner, name])]
        self.lasting = [*weights, *((name, one) for owner, name, one in buffers if self.sound[owner, name]), *self._states()]
        # A GradScaler meets infinite gradients on purpose, and skips them.
        self.scaler = next((one for one in self.of(torch.amp.GradScaler) if one.is_enabled()), None)
        self.restless = self.unborn or any(type(one) is list for place in self.places for one in place.values())  # LBFGS's
        self.known = self._known()

    def _states(self) -> list[tuple[str, torch.Tensor]]:
        """(name, tensor) of all that the optimisers keep of each weight."""
        return [
            (f"{type(optimiser).__name__}'s {key} of {self.names.get(id(weight), ('a weight',))[0]}", leaf)
            for optimiser in self.optimisers
            for weight, entry in optimiser.state.items()
            for key, value in entry.items()
            for leaf in ((value,) if isinstance(value, torch.Tensor) else tree_leaves(value))
            if isinstance(leaf, torch.Tensor)
        ]

    def _known(self) -> list[int]:
        """What tells whether there are others: which tensors and modules lie in which places; empty if that does not tell."""
        found = [id(one) for place in self.places for one in place.values()]
        for optimiser in self.optimisers:  # a state that was loaded is another dict
            found += [id(optimiser.state), len(optimiser.param_groups)]
        return [] if self.restless else found

    @property
    def nbytes(self) -> int:
        """Memory that the copies hold, in bytes, and the gradients that are held instead of copied."""
        own = {id(one): one for one in self.tensors}
        held = [one for _, one, _ in self.gradients if id(one) not in own]
        return sum(one.nbytes for one in (*held, *self.copies))

    @torch.no_grad()
    def norms(self) -> tuple[float, float]:
        """Of the gradients and of the weights that come last in each network: a look that costs next to nothing."""
        gradients = [one.grad for one in self.tails if one.grad is not None and not one.grad.is_sparse]
        norms = numbers(torch._foreach_norm([*gradients, *self.tails])) if self.tails else []
        return math.hypot(*norms[: len(gradients)]) if gradients else math.nan, math.hypot(*norms[len(gradients) :])

    @torch.no_grad()
    def moved(self, size: float) -> float:
        """How far those weights, of this norm, have gone since the last copy, over their norm."""
        last = {id(one) for one in self.tails}
        pairs = [(now, then) for now, then in zip(self.tensors, self.copies) if id(now) in last]
        return math.hypot(*numbers([torch.dist(now, then) for now, then in pairs])) / max(size, 1e-15) if pairs else math.nan

    def clean(self) -> bool:
        """Are the gradients finite?"""
        return finite(*self._gradients())

    def _gradients(self) -> list[torch.Tensor]:
        return [one.grad for one in self.weights if one.grad is not None]

    @property
    def lenient(self) -> bool:
        """May gradients be infinite, because a loss scale is too large? One below 1 makes nothing overflow."""
        return self.scaler is not None and self.scaler.get_scale() >= 1

    def damage(self) -> list[tuple[str, torch.Tensor]]:
        """(name, tensor) of all that is not finite now: weights, buffers, optimiser state, gradients."""
        self._list()
        owners = () if self.lenient else self.names.values()
        found = [*self.lasting, *((f"the gradient of {name}", one.grad) for name, one in owners if one.grad is not None)]
        return [(name, one.detach()) for name, one in found if not finite(one)]

    def status(self, quick: bool = False) -> str:
        """ "fine", "gradients" if nothing else is not finite, or "broken".

        A quick look leaves out gradients that each iteration makes anew: nothing comes of them but through the others.
        """
        self._list()
        lasting = [one for _, one in self.lasting]
        if finite(*lasting, *(() if self.scaler is not None or (quick and self.hold) else self._gradients())):
            return "fine"
        return "gradients" if finite(*lasting) else "broken"

    def capture(self) -> bool:
        """Copy the present state; True if it is finite. One that is not is not kept."""
        if self.status() != "fine":
            return False
        self.copy()
        return True

    @torch.no_grad()
    def copy(self) -> None:
        """Copy the state that status() has just looked at, into the same memory if the shapes are the same."""
        self.adopt()
        # Gradients that a loop makes anew need no copy: while we hold the old ones, they stay what they are.
        self.accumulates |= any(one._version != version or weight.grad is one for weight, one, version in self.gradients)
        self.hold = bool(self.gradients) and not self.accumulates
        self.gradients = [(weight, weight.grad, weight.grad._version) for weight in self.weights if weight.grad is not None]
        self.tensors = [*(one for _, one in self.lasting), *self.loose, *(() if self.hold else self._gradients())]
        shapes = [(one.shape, one.dtype, one.device) for one in self.tensors]
        if shapes != self.shapes:
            self.copies = []  # their memory first
            self.copies, self.shapes = [torch.empty_like(one, requires_grad=False) for one in self.tensors], shapes
        if self.tensors:
            torch._foreach_copy_(self.copies, self.tensors)
        held = [*(("", None, thing) for thing in self.things), *self.slots]
        self.undo = [partial(put_back, put, value, remember(value)) for _, put, value in held]

    @torch.no_grad()
    def rewind(self) -> None:
        """Put the copied state back; IndexError if nothing was copied."""
        if self.shapes is None:
            raise IndexError("there is no copy to go back to: capture() makes one")
        copies = {id(tensor): kept for tensor, kept in zip(self.tensors, self.copies)}
        for tensor, kept in zip(self.tensors, self.copies):
            tensor.copy_(kept)
        for weight in self.weights:
            weight.grad = None
        for weight, one, version in self.gradients:
            kept = copies.get(id(one), one if one._version == version else None)
            weight.grad = None if kept is None else kept.clone()
        for undo in self.undo:
            undo()

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """After it the loop's lists of plain numbers are as before: a history tells what happened, once."""
        kept = [(one, list(one)) for _, _, one in self.slots if plain_list(one)]
        try:
            yield
        finally:
            for one, content in kept:
                refill(one, content)

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
        generator, (known, memory, now, state) = numpy.random.get_bit_generator(), self.numpy
        if not isinstance(generator, numpy.random.MT19937):
            return numpy.random.get_state()
        if generator is not known:  # 624 numbers of 4 bytes and a position
            memory = (ctypes.c_char * 2500).from_address(generator.ctypes.state_address)
        if memory.raw != now or state[3]:  # normal numbers are made in pairs: the second one waits elsewhere
            self.numpy = generator, memory, memory.raw, numpy.random.get_state()
        return self.numpy[3]

    def set_random_state(self, state: list) -> None:
        """Go back to a random_state()."""
        python, drawn, cpu, cuda, ours = state
        self.numpy = (None,) * 4
        random.setstate(python)
        if drawn is not None and "numpy" in sys.modules:
            sys.modules["numpy"].random.set_state(drawn)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        for generator, one in ours:
            generator.set_state(one)


def _parts(thing) -> list:
    if not isinstance(thing, type) and hasattr(thing, "guarded"):
        return list(thing.guarded()[0])
    stateful = hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict") and not isinstance(thing, type)
    if isinstance(thing, torch.Generator) or stateful:
        return [thing]
    raise TypeError(f"guard watches modules, optimisers and whatever else has a state_dict, not {kind(thing)}")


def kind(thing) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
