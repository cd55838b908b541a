"""The black box: a collapse in one file, which somebody else can run again."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils._pytree import tree_map

from .guard import guard
from .verdict import Verdict


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


def replay(path, step, *objects) -> Verdict:
    """Run `step(batch)` on a saved collapse, with its state in `objects`, which are what the guard was given; the verdict.

    ValueError if the file is none of save()'s, or was saved with other objects; ArithmeticError if the step does not break
    here as it did there. The objects keep the state before the step.
    """
    saved = torch.load(Path(path), weights_only=True)
    if not isinstance(saved, dict) or not {"state", "batch", "random"} <= saved.keys():
        raise ValueError(f"{path} is not a collapse that save() wrote")
    watch = guard.step(*objects, every=1)(step)
    if len(watch.recorder.objects) != len(saved["state"]):
        raise ValueError(f"{path} was saved with {len(saved['state'])} objects, not {len(watch.recorder.objects)}")
    for thing, state in zip(watch.recorder.objects, saved["state"]):
        thing.set_state(state) if isinstance(thing, torch.Generator) else thing.load_state_dict(state)
    (version, numbers, drawn), numpy, cpu = saved["random"]
    numpy = (numpy[0], numpy[1].numpy().astype("uint32"), *numpy[2:]) if numpy and "numpy" in sys.modules else None
    watch.recorder.set_random_state([(version, tuple(numbers), drawn), numpy, cpu, None, []])
    with contextlib.suppress(Exception):  # its own error, or a Collapse
        watch(saved["batch"])
    verdict = Verdict(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved["verdict"].items()})
    here = watch.verdict
    if here is None or (here.operation, str(here.result)) != (verdict.operation, str(verdict.result)):
        raise ArithmeticError(f"run here, the step did not break at {verdict.operation} as it did there:\n{verdict}")
    return verdict


def _plain(leaf):
    """What weights_only can load."""
    if isinstance(leaf, getattr(sys.modules.get("numpy"), "ndarray", ())):
        return torch.from_numpy(leaf) if leaf.dtype.kind in "fiub" else repr(leaf)
    return leaf if isinstance(leaf, (bool, int, float, str, bytes, type(None), torch.Tensor)) else repr(leaf)
