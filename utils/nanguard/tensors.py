"""Small questions about tensors and trees of them."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable

import torch
from torch.utils._pytree import MappingKey, SequenceKey, tree_flatten_with_path, tree_leaves, tree_map

MOST = 100  # entries of a container that are looked at


@torch.no_grad()
def finite(*tensors: torch.Tensor) -> bool:
    """Are all numbers of all of them finite? One look at the sum of their sums, and only if that is not finite at each one."""
    devices, tensors = {}, [one.coalesce().values() if one.is_sparse else one for one in tensors]
    tensors = [one for one in tensors if one.numel() and (one.is_floating_point() or one.is_complex())]
    for one in tensors:
        devices.setdefault(one.device, []).append(one)
    quick = all(math.isfinite(torch.stack(_totals(of)).sum().item()) for of in devices.values())
    return quick or all(bool(torch.isfinite(one).all()) for one in tensors)


def _totals(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """A number for each that is not finite if one of its own is not."""
    if tensors[0].is_cuda:  # one kernel for all
        return [one.float() for one in torch._foreach_norm(tensors, math.inf)]
    small = [one if one.dtype == torch.float32 else one.abs() for one in tensors]
    return [one.sum(dtype=torch.float32) if one.dim() else one.float() for one in small]


def array() -> type | tuple:
    """numpy's array, if the loop has loaded that."""
    return getattr(sys.modules.get("numpy"), "ndarray", ())


def clone(tree):
    """The same tree of tensors and arrays in memory of its own."""
    if isinstance(tree, int):  # of guard(range(n), ...)
        return tree

    def anew(leaf):
        if isinstance(leaf, torch.Tensor):
            return leaf.detach().clone()
        return leaf.copy() if isinstance(leaf, array()) else leaf

    return mapped(anew, tree)


def _holds(leaf) -> bool:
    """Is it a batch of the user's own class, with tensors for attributes?"""
    own = None if isinstance(leaf, torch.Tensor) else getattr(leaf, "__dict__", None)
    return isinstance(own, dict) and any(isinstance(one, torch.Tensor) for one in tree_leaves(list(own.values())))


def mapped(function: Callable, tree):
    """tree_map that also maps the attributes of such batches."""

    def each(leaf):
        if not _holds(leaf):
            return function(leaf)
        leaf = copy.copy(leaf)
        vars(leaf).update(tree_map(function, vars(leaf)))
        return leaf

    return tree_map(each, tree)


def opened(tree) -> list[tuple]:
    """(path, leaf) of all leaves, also of such batches."""
    return tree_flatten_with_path(tree_map(lambda leaf: dict(vars(leaf)) if _holds(leaf) else leaf, tree))[0]


def plain(leaf):
    """What a file that is loaded with weights_only=True may hold."""
    if isinstance(leaf, array()):
        return torch.from_numpy(leaf) if leaf.dtype.kind in "fiub" else repr(leaf)
    return leaf if isinstance(leaf, (bool, int, float, str, bytes, type(None), torch.Tensor)) else repr(leaf)


def batched(tree) -> list:
    """Its tensors and arrays whose first axis may be that of the samples: no packed sequences, no list of samples."""
    groups, packed = {}, torch.nn.utils.rnn.PackedSequence
    tree = tree_map(lambda one: None if isinstance(one, packed) else one, tree, is_leaf=lambda one: isinstance(one, packed))
    for path, leaf in opened(tree):
        each = any(isinstance(one, SequenceKey) and isinstance(two, MappingKey) for one, two in zip(path, path[1:]))
        if (
            isinstance(leaf, (torch.Tensor, array())) and leaf.ndim and not each and not getattr(leaf, "is_sparse", False)
        ):  # a list of dicts, such as the boxes of each picture
            groups.setdefault(path[:-1], []).append(leaf)

    def pictures(of: list) -> bool:
        return len(of) > 1 and all(one.ndim == 3 and len(one) in (1, 3, 4) and min(one.shape[1:]) > 4 for one in of)

    return [leaf for of in groups.values() if not pictures(of) for leaf in of]


def mask(tensor: torch.Tensor) -> bool:
    """Does it hold nothing but 0 and minus infinity?"""
    return not tensor.is_complex() and bool(((tensor == 0) | (tensor == -math.inf)).all())


def numbers(tensors: list[torch.Tensor]) -> list[float]:
    """Of tensors of one number each; from a GPU at once if they can be, for each fetch waits until it has done its work."""
    cuda = bool(tensors) and tensors[0].is_cuda and len({(one.device, one.dtype) for one in tensors}) == 1
    return torch.stack(tensors).tolist() if cuda else [one.item() for one in tensors]


def scalar(tensor: torch.Tensor) -> float:
    """Its one number; of a complex one the absolute value."""
    return (tensor.detach().abs() if tensor.is_complex() else tensor.detach()).item()


def titles(things: list) -> list[str]:
    """The name of each one's class; of two Sequentials "Sequential#1" and "Sequential#2"."""
    kinds = [type(one).__name__ for one in things]
    return [name if kinds.count(name) == 1 else f"{name}#{kinds[: at + 1].count(name)}" for at, name in enumerate(kinds)]
