"""Ear: hears, while a loop's body runs, the losses that it calls backward on and what its own DataLoaders give it."""

from __future__ import annotations

import math
import threading
from collections import deque

import torch

from .tensors import clone

_ears: list[Ear] = []  # those that listen, the innermost last
_originals: list = []
_lock = threading.Lock()
_END = object()  # on a tape: the loader had no more


class Ear:
    """While it is entered, `losses` collects what this thread calls backward on, and `taken` what its loaders give.

    With a tape its loaders give once more what is on it. `asleep` hears nothing.
    """

    def __init__(self):
        self.thread, self.asleep = threading.get_ident(), False
        self.begin()

    def begin(self, tape: list | None = None, check=None) -> None:
        """A new body; with a tape its loaders repeat. What `check` says before the first backward becomes `clean`."""
        self.losses, self.taken, self.given, self.clean, self.check = [], [], {}, True, check
        for loader, item in tape or ():
            self.given.setdefault(loader, deque()).append(item)

    def heard(self) -> list[float]:
        """The losses as numbers; an infinity of half precision, which a loss scale may well cause, as 0."""
        numbers = [(one.dtype == torch.float16, one.item()) for one in self.losses]
        return [0.0 if half and math.isinf(number) else number for half, number in numbers]

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
    return next((ear for ear in reversed(_ears) if ear.thread == thread and not ear.asleep), None)


def _run_backward(roots, *arguments, **settings):
    ear = _mine()
    if ear is not None:
        if ear.check is not None:
            ear.clean, ear.check = ear.check(), None
        for root in (_bare(one) for one in roots if isinstance(one, torch.Tensor) and one.numel()):
            ear.losses.append(root.abs().amax() if root.is_complex() or root.numel() > 1 else root.reshape(()))
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
