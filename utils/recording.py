"""Recorder: collects what a run leaves behind, makes its Trace, and writes and reads its checkpoint.

Uses checks, machine and trace; train() gives it the GAN.
"""

from __future__ import annotations

import io
import itertools
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from utils.checks import function, of_type, shown, whole
from utils.machine import provenance, replacing, writable
from utils.trace import QUANTITIES, Trace, watch_names

FORMAT = 2  # of a checkpoint
ATLASES = 10_000  # that a run may keep, 130 MB
BATCH = ("z", "real_logits", "fake_logits")  # what is kept of the last one


class Recorder:
    """The rows of one run of `gan`, its atlases, and what `watch` saw; arguments as in train()."""

    def __init__(self, gan, atlas_at: Iterable[int], watch: dict[str, Callable] | None, watch_every: int):
        if isinstance(atlas_at, (str, bytes)) or not isinstance(atlas_at, Iterable):
            raise TypeError(f"atlas_at must be iterations, not {shown(atlas_at)}")
        asked = list(itertools.islice(atlas_at, ATLASES + 1))
        if len(asked) > ATLASES:
            raise ValueError(f"atlas_at must be at most {ATLASES:,} iterations, not {shown(atlas_at)}")
        self.watch = {} if watch is None else dict(of_type("watch", watch, dict, "{name: function}"))
        self.gan, self.watch_every = gan, whole("watch_every", watch_every, at_least=1)
        self.atlas_at = {whole("atlas_at", iteration, at_least=1) for iteration in asked}
        for name in watch_names(self.watch):
            function(f"watch[{name!r}]", self.watch[name])
        self.rows = np.empty((1024, len(QUANTITIES)), dtype=np.float32)
        self.count, self.broken, self.last = 0, False, {}
        self.path, self.kept = None, 0  # of the checkpoint, and how many iterations stand in it
        self.settled = True  # do rows and weights belong together, no iteration half made?
        self.atlases: list[tuple[int, np.ndarray, np.ndarray]] = []
        self.looks: list[list[float]] = []  # the iteration, then what each function of `watch` said

    def look(self) -> None:
        """Ask the functions of `watch`, if it is time."""
        if not self.watch or self.count % self.watch_every:
            return
        answers = []
        for name, ask in self.watch.items():
            answer = ask(self.gan)
            try:
                answers.append(float(answer))
            except (TypeError, ValueError, OverflowError, RuntimeError):
                raise TypeError(f"watch[{name!r}] must answer with a number, not {shown(answer)}") from None
        self.looks.append([self.gan.iteration + 1, *answers])

    def record(self, step) -> None:
        """Keep a Step's row, before its update."""
        if self.count == len(self.rows):  # twice the room
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[self.count] = step.row
        self.count, self.broken = self.count + 1, not (step.finite or self.gan.goes_on)
        self.last = {name: getattr(step, name).detach().float() for name in BATCH}
        if self.broken or self.gan.iteration in self.atlas_at:
            self._keep_atlas()

    def _keep_atlas(self) -> None:
        loudest = self.last["z"][self.last["fake_logits"].argmax()]
        direction = None if len(loudest) == 1 else loudest / loudest.norm()
        # float16 is plenty for a picture; what overflows it is off the colour scale anyway.
        samples, logits = self.gan.atlas(direction)
        with np.errstate(over="ignore"):
            self.atlases.append((self.gan.iteration, samples.astype(np.float16), logits))

    def trace(self) -> Trace:
        """The Trace so far; its last atlas is of the weights behind the last loss, or of those after it if it was finite."""
        values = {name: self.rows[: self.count, column].copy() for column, name in enumerate(QUANTITIES)}
        if not self.last:
            return Trace(self.gan.recipe, self.gan.seed, values, provenance=provenance())
        if not self.atlases or self.atlases[-1][0] != self.gan.iteration:
            self._keep_atlas()
        iteration, image, logit = (np.stack(part) for part in zip(*self.atlases))
        watched = {}
        if self.looks:
            iterations, *answers = zip(*self.looks)
            watched = {"iteration": np.array(iterations, dtype=np.int64)}
            with np.errstate(over="ignore"):
                watched |= {name: np.array(answer, dtype=np.float32) for name, answer in zip(self.watch, answers)}
        return Trace(
            self.gan.recipe, self.gan.seed, values, watched=watched, provenance=provenance(),
            last_batch={name: batch.numpy().copy() for name, batch in self.last.items()},
            atlas={"iteration": iteration.astype(np.int64), "image": image, "logit": logit},
        )  # fmt: skip

    def _asked(self, until: int) -> dict:
        """What has been asked of the run until that iteration."""
        atlas_at = sorted(iteration for iteration in self.atlas_at if iteration <= until)
        return {"watch": list(self.watch), "watch_every": self.watch_every if self.watch else 0, "atlas_at": atlas_at}

    def open(self, checkpoint, iterations: int) -> None:
        """From now on save() writes there; go on from what is there. ValueError if that cannot be."""
        if checkpoint is not None:
            self.path = writable("checkpoint", checkpoint)
            if self.path.is_file():
                self._resume(self.path, iterations)

    def save(self) -> None:
        """Write the checkpoint, if one is asked for and anything is new; one that cannot be written is a warning."""
        if self.path is None or not self.settled or self.count == self.kept:
            return
        atlases = [(iteration, torch.from_numpy(image), torch.from_numpy(logit)) for iteration, image, logit in self.atlases]
        content = {
            "format": FORMAT, "gan": self.gan.state(), "rows": torch.from_numpy(self.rows[: self.count]), "atlases": atlases,
            "looks": self.looks, "last": self.last, "asked": self._asked(self.gan.iteration),
        }  # fmt: skip
        try:
            with replacing(self.path) as unfinished:
                torch.save(content, unfinished)
            self.kept = self.count
        except Exception as error:  # the disk is full, the folder gone: the run is worth more
            warnings.warn(f"the checkpoint {self.path} could not be written ({error}); training goes on", stacklevel=4)

    def _resume(self, path: Path, iterations: int) -> None:
        """Go on from the checkpoint at `path`; ValueError, and nothing changed, if it is none of this run."""
        saved = _loaded(path)
        self.gan.check_state(saved["gan"])
        count = len(saved["rows"])
        if count > iterations:
            raise ValueError(f"iterations must be at least the {count:,} that {path} holds, not {iterations:,}")
        for name, here in self._asked(saved["gan"]["iteration"]).items():
            if saved["asked"][name] != here:
                raise ValueError(f"{name} must be as in {path}, {shown(saved['asked'][name])}, not {shown(here)}")
        self.gan.load_state(saved["gan"])
        self.count = self.kept = count
        self.rows = np.concatenate([saved["rows"].numpy(), np.empty_like(self.rows)])
        finite = count == 0 or all(math.isfinite(loss) for loss in self.rows[count - 1, :2])
        self.broken = not (finite or self.gan.goes_on)
        self.looks, self.last = saved["looks"], saved["last"]
        self.atlases = [(iteration, image.numpy(), logit.numpy()) for iteration, image, logit in saved["atlases"]]


def _loaded(path: Path) -> dict:
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as file:  # torch does not compare zip's checksums
            if file.testzip() is not None:
                raise ValueError("checksum")
        saved = torch.load(io.BytesIO(content), weights_only=True)
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError("written by another version")
        return {name: saved[name] for name in ("gan", "rows", "atlases", "looks", "last", "asked")}
    except Exception as error:  # a foreign file can be wrong in every way there is
        reason = error if isinstance(error, ValueError) and "\n" not in str(error) else type(error).__name__
        raise ValueError(f"{path} is not a checkpoint of a run, or it is damaged ({reason})") from None
