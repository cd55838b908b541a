"""The black box: a collapse in one file, which somebody else can run again."""

from __future__ import annotations

import random
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils._pytree import tree_map

from .recorder import FlightRecorder
from .tensors import clone
from .tracer import Tracer
from .verdict import Verdict

PLAIN = (bool, int, float, str, bytes, type(None), torch.Tensor)


def save(watch, path) -> None:
    """Write what `watch` put back after its collapse: state, batch, random state and verdict, as tensors and plain data.

    ValueError if there was no collapse.
    """
    if watch.fatal is None or watch.verdict is None:
        raise ValueError("there is nothing to save: this guard has seen no collapse that ran again")
    recorder = watch.recorder
    python, numpy, cpu, _, generators = watch.fatal.state
    numpy = None if numpy is None else [numpy[0], torch.from_numpy(numpy[1].astype("int64")), *numpy[2:]]
    parts = [thing.get_state() if isinstance(thing, torch.Generator) else thing.state_dict() for thing in recorder.objects]
    content = {
        "state": parts, "batch": watch.fatal.batch, "iteration": watch.fatal.number, "verdict": asdict(watch.verdict),
        "random": [list(python), numpy, cpu], "generators": [state for _, state in generators],
        "versions": {"torch": str(torch.__version__), "python": sys.version.split()[0]},
    }  # fmt: skip
    torch.save(tree_map(_plain, content), Path(path))


def replay(path, step, *objects) -> Verdict:
    """Run `step(batch)` on a saved collapse, with its state in `objects`, which are what the guard was given; the verdict.

    ValueError if the file is none of save()'s, or was saved with other objects. The objects keep the state before the step.
    """
    saved = torch.load(Path(path), weights_only=True)
    if not isinstance(saved, dict) or not {"state", "batch", "random"} <= saved.keys():
        raise ValueError(f"{path} is not a collapse that save() wrote")
    recorder = FlightRecorder(*objects)
    if len(recorder.objects) != len(saved["state"]):
        raise ValueError(f"{path} was saved with {len(saved['state'])} objects, not {len(recorder.objects)}")
    for thing, state in zip(recorder.objects, saved["state"]):
        thing.set_state(state) if isinstance(thing, torch.Generator) else thing.load_state_dict(state)
    python, numpy, cpu = saved["random"]
    random.setstate((python[0], tuple(python[1]), python[2]))
    if numpy is not None and "numpy" in sys.modules:
        sys.modules["numpy"].random.set_state((numpy[0], numpy[1].numpy().astype("uint32"), *numpy[2:]))
    torch.set_rng_state(cpu)
    recorder.status()
    recorder.copy()
    batch, error = clone(saved["batch"]), None
    with Tracer(recorder.modules, batch, recorder.names) as tracer:
        try:
            step(batch)
        except Exception as raised:
            error = raised
    event = tracer.culprit([tensor for _, tensor in recorder.damage()], raised=error is not None)
    recorder.rewind()
    verdict = Verdict(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved["verdict"].items()})
    if event is None or (event.operation, event.result) != (verdict.operation, verdict.result):
        if not (event and event.operation == verdict.operation and event.result != event.result):
            raise ArithmeticError(f"run here, the step did not break at {verdict.operation} as it did there:\n{verdict}")
    return verdict


def _plain(leaf):
    """What weights_only can load."""
    array = getattr(sys.modules.get("numpy"), "ndarray", ())
    if isinstance(leaf, array):
        return torch.from_numpy(leaf) if leaf.dtype.kind in "fiub" else repr(leaf)
    return leaf if isinstance(leaf, PLAIN) else repr(leaf)
