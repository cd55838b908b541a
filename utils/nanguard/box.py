"""The black box: a collapse in one file, which somebody else can run again (guard.replay)."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils._pytree import tree_map


def save(watch, path) -> None:
    """Write what `watch` put back after its collapse: state, batch, random state and verdict, as tensors and plain data.

    ValueError if there was no collapse.
    """
    if watch.fatal is None or watch.verdict is None:
        raise ValueError("there is nothing to save: this guard has seen no collapse that ran again")
    python, numpy, cpu, _, generators = watch.fatal.state
    numpy = None if numpy is None else [numpy[0], torch.from_numpy(numpy[1].astype("int64")), *numpy[2:]]
    content = {
        "state": [one.get_state() if isinstance(one, torch.Generator) else one.state_dict() for one in watch.recorder.objects],
        "batch": watch.fatal.batch, "verdict": asdict(watch.verdict), "iteration": watch.fatal.number,
        "random": [list(python), numpy, cpu], "generators": [state for _, state in generators],
        "versions": {"torch": str(torch.__version__), "python": sys.version.split()[0]},
    }  # fmt: skip
    torch.save(tree_map(_plain, content), Path(path))


def _plain(leaf):
    """What weights_only can load."""
    if isinstance(leaf, getattr(sys.modules.get("numpy"), "ndarray", ())):
        return torch.from_numpy(leaf) if leaf.dtype.kind in "fiub" else repr(leaf)
    return leaf if isinstance(leaf, (bool, int, float, str, bytes, type(None), torch.Tensor)) else repr(leaf)
