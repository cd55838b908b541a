"""Checks of arguments: each returns a plain Python value, or raises one sentence with the argument, its value and the range.

Imports nothing of utils, so that everything can use it. TypeError says wrong kind, ValueError says out of range.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch


def shown(value) -> str:
    """repr(value) on one line of at most 80 characters, whatever the value is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of 5,000 digits has no repr
        text = f"an unprintable {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:60]}... ({type(value).__name__})"


def number(name: str, value, *, above=None, at_least=None, below=None, at_most=None) -> int | float:
    """`value` as a plain, finite int or float within the bounds; a bool, text or tensor is no number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    try:
        plain = int(value) if isinstance(value, numbers.Integral) else float(value)
        finite = math.isfinite(plain)
    except (OverflowError, ValueError):  # beyond float64
        finite = False
    low = finite and (above is None or plain > above) and (at_least is None or plain >= at_least)
    if low and (below is None or plain < below) and (at_most is None or plain <= at_most):
        return plain
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    bounds = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    wanted = " and ".join(bounds) if len(bounds) > 1 else " ".join(["a finite number", *bounds]).replace("r at", "r of at")
    raise ValueError(f"{name} must be {wanted}, not {shown(value)}")


def whole(name: str, value, at_least: int = 0, at_most: int | None = None) -> int:
    """`value` as a plain int from at_least to at_most, and below 2**63."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    value = int(value)
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {shown(value)}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most:,}, not {shown(value)}")
    if value >= 2**63:
        raise ValueError(f"{name} must be below 2**63, not {shown(value)}")
    return value


def flag(name: str, value) -> bool:
    """`value`, which is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return value


def one_of(name: str, value, names: Iterable[str]) -> str:
    """`value`, which is one of the names."""
    names = list(names)  # a list, so that a value that cannot be hashed is refused in words too
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, not {shown(value)}")
    return value


def function(name: str, value):
    """`value`, which can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {shown(value)}")
    return value


def file_path(name: str, value) -> Path:
    """`value` as a Path that is no folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {shown(value)}")
    try:
        path = Path(value)
        wrong = path.exists() and not path.is_file() or not path.name or "\0" in str(path)
    except (OSError, ValueError):  # a name too long, or bytes that are none
        wrong = True
    if wrong:
        raise ValueError(f"{name} must be the path of a file, not {shown(os.fspath(value))}")
    return path


def tensor(name: str, value, *shape: int | None) -> torch.Tensor:
    """`value`, which is a tensor of floating point numbers of that shape; None allows any length of at least 1."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise TypeError(f"{name} must be a tensor of floating point numbers, not {shown(value)}")
    return _of_shape(name, value, shape)


def array(name: str, value, *shape: int | None) -> np.ndarray:
    """`value`, a list, array or tensor of numbers, as an array of that shape; None allows any length of at least 1."""
    try:
        found = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
    except ValueError:  # rows of different lengths
        found = np.array("ragged")
    if found.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers, not {shown(value)}")
    return _of_shape(name, found, shape)


def _of_shape(name: str, value, shape: tuple[int | None, ...]):
    fits = len(shape) == value.ndim and all(found and wanted in (None, found) for wanted, found in zip(shape, value.shape))
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must have the shape ({wanted}), not {tuple(value.shape)}")
    return value
