"""Small questions about tensors and trees of them."""

from __future__ import annotations

import copy
import math
import sys

import torch
from torch.utils._pytree import tree_flatten_with_path, tree_leaves, tree_map


@torch.no_grad()
def all_finite(tensors: list[torch.Tensor]) -> bool:
    """Are all numbers of all of them finite? One look at the sum of their sums, and only if that is not finite at each one."""
    sums = {}
    for one in tensors:
        one = one.coalesce().values() if one.is_sparse else one
        if one.is_floating_point() or one.is_complex():
            total = one.sum() if one.dtype == torch.float32 else one.abs().sum(dtype=torch.float32)
            sums.setdefault(one.device, []).append(total)
    return all(math.isfinite(torch.stack(of).sum().item()) for of in sums.values()) or all(map(finite, tensors))


def finite(tensor: torch.Tensor) -> bool:
    """Are all of its numbers finite?"""
    tensor = tensor.detach()
    if tensor.is_sparse:
        return finite(tensor.coalesce().values())
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0:
        return True
    if tensor.numel() > 4096 and math.isfinite(abs(tensor.sum().item())):  # isfinite() needs much memory
        return True
    return bool(torch.isfinite(tensor).all())


def clone(tree):
    """The same tree of tensors and arrays in memory of its own."""
    if isinstance(tree, int):  # of guard(range(n), ...)
        return tree
    array = getattr(sys.modules.get("numpy"), "ndarray", ())

    def anew(leaf):
        if isinstance(leaf, torch.Tensor):
            return leaf.detach().clone()
        if isinstance(leaf, array):
            return leaf.copy()
        own = getattr(leaf, "__dict__", None)
        if isinstance(own, dict) and any(isinstance(one, torch.Tensor) for one in tree_leaves(list(own.values()))):
            leaf = copy.copy(leaf)  # a batch of the user's own class
            vars(leaf).update(tree_map(anew, own))
        return leaf

    return tree_map(anew, tree)


def batched(tree) -> list[torch.Tensor]:
    """Its tensors whose first axis may be that of the samples: all but numbers, and pictures in a list of them."""
    groups = {}
    for path, leaf in tree_flatten_with_path(tree)[0]:
        if isinstance(leaf, torch.Tensor) and leaf.dim():
            groups.setdefault(path[:-1], []).append(leaf)

    def pictures(of: list) -> bool:
        return len(of) > 1 and all(one.dim() == 3 and len(one) in (1, 3, 4) and min(one.shape[1:]) > 4 for one in of)

    return [leaf for of in groups.values() if not pictures(of) for leaf in of]


def mask(tensor: torch.Tensor) -> bool:
    """Does it hold nothing but 0 and minus infinity?"""
    return not tensor.is_complex() and bool(((tensor == 0) | (tensor == -math.inf)).all())


def scalar(tensor: torch.Tensor) -> float:
    """Its one number; of a complex one the absolute value."""
    return (tensor.detach().abs() if tensor.is_complex() else tensor.detach()).item()


def counted(name: str, value) -> None:
    """TypeError or ValueError, in one sentence, unless value is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
