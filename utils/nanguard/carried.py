"""What a loop carries from one iteration to the next beside modules and optimisers: how to find it, and how to put it back."""

from __future__ import annotations

import contextlib
import copy
import random
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType, MethodType, ModuleType

import torch
from torch import nn

STATEFUL = (nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler, torch.Generator)
NUMBERS = (bool, int, float)
MOST, LARGE = 100, 1 << 20  # entries of a container, and numbers in a tensor, that are kept


def hanging(name: str, value) -> Iterator[tuple[str, Callable, object]]:
    """(name, put, value) of an object's attributes, and of what a function closes over or takes from its module."""
    value = value.__self__ if isinstance(value, MethodType) else value
    if isinstance(value, FunctionType):
        for key, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
            with contextlib.suppress(ValueError):  # a name that is not bound yet
                yield key, partial(setattr, cell, "cell_contents"), cell.cell_contents
        others = value.__globals__
        for key in value.__code__.co_names:
            if key in others:
                yield key, partial(others.__setitem__, key), others[key]
    opaque = isinstance(value, (type, ModuleType, FunctionType, torch.Tensor, *STATEFUL[1:])) or hasattr(value, "__iter__")
    own = {} if opaque else getattr(value, "__dict__", {})
    for key, one in list(own.items()):
        if not isinstance(value, nn.Module) or isinstance(one, (torch.Tensor, *NUMBERS)):  # its buffers are copied elsewhere
            yield f"{name}.{key}", partial(own.__setitem__, key), one


def remember(value) -> Callable | None:
    """A function that gives `value` its present content back; None if it holds nothing that a body changes, or too much.

    Lists of plain numbers are not put back: a history keeps what a body that runs again appends.
    """
    if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
        return partial(_fill, value, value.detach().clone()) if value.numel() <= LARGE else None
    if type(value) in NUMBERS:
        return int  # does nothing: to bind it is enough
    if isinstance(value, random.Random):
        return partial(value.setstate, value.getstate())
    if hasattr(value, "bit_generator"):  # a generator of numpy's own
        return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    if not isinstance(value, (deque, dict, list, tuple)) or len(value) > MOST:
        return None
    content = list(value.values() if isinstance(value, dict) else value)
    parts = [one for part in content for one in (part if isinstance(part, (tuple, list)) and len(part) < 20 else (part,))]
    tensors = [known for one in parts if isinstance(one, torch.Tensor) and (known := remember(one))]
    counts = isinstance(value, dict) and any(type(one) in NUMBERS for one in content)
    return partial(_refill, value, copy.copy(value), tensors) if tensors or counts or isinstance(value, deque) else None


def _fill(tensor: torch.Tensor, numbers: torch.Tensor) -> None:
    if not torch.equal(tensor, numbers):
        with torch.inference_mode(tensor.is_inference()), torch.no_grad():
            tensor.copy_(numbers)


def _refill(container, content, tensors: list) -> None:
    for restore in tensors:
        restore()
    if not isinstance(container, tuple):
        container.clear()
        (container.update if isinstance(container, dict) else container.extend)(content)
