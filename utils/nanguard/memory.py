"""What a loop's own variables held, and how they get that back."""

from __future__ import annotations

import contextlib
import copy
import random
from collections import deque
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from .tensors import MOST, clone

LARGE = 1 << 20  # numbers in a tensor of a loop's own that are kept


def remember(value) -> Callable | None:
    """A function that gives `value` its present content back; None if it holds nothing that a body changes, or too much.

    Tensors of modules and optimisers are copied elsewhere. A long list is only cut back to its length.
    """
    if isinstance(value, (nn.Module, torch.Generator)):
        return None
    if isinstance(value, torch.optim.Optimizer):
        entries = {weight: _shell(entry) for weight, entry in value.state.items()}
        settings = [{key: one for key, one in group.items() if key != "params"} for group in value.param_groups]
        return partial(_restore, value, entries, settings)
    if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
        return partial(_fill, value, value.detach().clone()) if value.numel() <= LARGE else None
    if isinstance(value, random.Random):
        return partial(value.setstate, value.getstate())
    if hasattr(value, "bit_generator"):  # a generator of numpy's own
        return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    if hasattr(value, "load_state_dict") and not isinstance(value, type):
        state = clone(value.state_dict())
        return lambda: value.load_state_dict(clone(state))
    if isinstance(value, (deque, dict, list)) and len(value) <= MOST:
        return partial(refill, value, copy.copy(value))
    return partial(_cut, value, len(value)) if isinstance(value, (deque, list)) else None


def _plain(value) -> bool:
    return isinstance(value, (int, float, str)) or (isinstance(value, tuple) and all(map(_plain, value)))


def plain_list(value) -> bool:
    """Is it a history: a list of numbers?"""
    return isinstance(value, list) and all(map(_plain, value))


def put_back(put: Callable | None, value, restore: Callable | None) -> None:
    with contextlib.suppress(Exception):  # then the replay is another one, which is said
        if restore is not None:
            restore()
        if put is not None and (restore is not None or isinstance(value, (int, float, tuple))):
            put(value)


def _fill(tensor: torch.Tensor, numbers: torch.Tensor) -> None:
    if not torch.equal(tensor, numbers):
        with torch.inference_mode(tensor.is_inference()), torch.no_grad():
            tensor.copy_(numbers)


def refill(container, content) -> None:
    container.clear()
    (container.update if isinstance(container, dict) else container.extend)(content)


def _cut(container, length: int) -> None:
    while len(container) > length:
        container.pop()


def _shell(entry: dict) -> dict:
    """The same dicts and lists around the same tensors, so that what appends to a list does not append to ours."""
    return {key: copy.copy(one) if isinstance(one, (dict, list)) else one for key, one in entry.items()}


def _restore(optimiser: torch.optim.Optimizer, entries: dict, settings: list[dict]) -> None:
    optimiser.state.clear()
    optimiser.state.update({weight: _shell(entry) for weight, entry in entries.items()})
    for group, setting in zip(optimiser.param_groups, settings):  # a group that came later stays
        group.update(setting)
