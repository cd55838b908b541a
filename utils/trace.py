"""Trace: what a run leaves behind, one array a quantity, with its recipe, its seed and where it was made.

Uses numpy and Recipe. A trace is saved as .npz without pickle, so loading a file never runs code.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import platform
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from utils.recipe import Recipe, rate_text

# The order of a row, as training records it.
QUANTITIES = (
    "loss_g",
    "loss_d",
    "score_g",  # mean D(G(z)), in [0, 1], as MATLAB's example defines the scores
    "score_d",  # (mean D(x) + mean(1 - D(G(z)))) / 2, in [0, 1]
    "fake_max",  # largest and smallest logit of the batch, generated and real
    "fake_min",
    "real_max",
    "real_min",
    "fake_max_z",  # the latent of the sample with the largest generated logit (its length, if the latent is wider than 1)
)
ATLAS_Z = np.linspace(-6, 6, 97, dtype=np.float32)  # where an atlas of G is drawn
GROUPS = ("values", "low", "high", "last_batch", "atlas", "watched")  # a Trace's arrays, by the attribute they stand in
FORMAT = 1


@dataclass(eq=False)
class Trace:
    """One run: equally long 1-D float32 arrays, one entry an iteration (or a bucket of iterations, once thinned).

    recipe, seed        what made it
    values              {quantity: (entries,)}, also reachable as trace.loss_g, trace.loss_d ...
    width               (entries,) iterations each entry stands for: 1, or more in a thinned trace, where values are means
    low, high           {quantity: (thinned entries,)} extremes of those buckets
    last_batch          {"z": (batch, latent), "real_logits": (batch,), "fake_logits": (batch,)} of the last iteration
    atlas               {"iteration": (snapshots,), "image": (snapshots, 97, dimension) in the data's unit,
                        "logit": (snapshots, 97)}: what G draws, and D's logit for it, at latents ATLAS_Z
    watched             {"iteration": (looks,), name: (looks,)}: what train's `watch` saw before these iterations
    provenance          versions, processor, date, commit
    """

    recipe: Recipe
    seed: int
    values: dict[str, np.ndarray]
    width: np.ndarray = None
    low: dict[str, np.ndarray] = field(default_factory=dict)
    high: dict[str, np.ndarray] = field(default_factory=dict)
    last_batch: dict[str, np.ndarray] = field(default_factory=dict)
    atlas: dict[str, np.ndarray] = field(default_factory=dict)
    watched: dict[str, np.ndarray] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if self.width is None:
            self.width = np.ones(len(self.values["loss_g"]), dtype=np.int64)

    def __getattr__(self, name: str) -> np.ndarray:
        if name in QUANTITIES:
            return self.values[name]
        raise AttributeError(f"a Trace has no {name!r}; its quantities are {', '.join(QUANTITIES)}")

    def __repr__(self) -> str:
        end = f"NaN at iteration {self.nan_at:,}" if self.nan_at else f"finite through iteration {self.iterations:,}"
        return f"Trace({self.recipe.data}, lr {rate_text(self.recipe.lr)}, loss {self.recipe.loss}, seed {self.seed}: {end})"

    @property
    def iteration(self) -> np.ndarray:
        """(entries,) the 1-based number of the (last) iteration each entry stands for."""
        return np.cumsum(self.width)

    @property
    def iterations(self) -> int:
        """How many iterations the run made."""
        return int(self.width.sum())

    @property
    def nan_at(self) -> int | None:
        """The 1-based iteration of the first loss that is not finite, or None."""
        broken = ~(np.isfinite(self.loss_g) & np.isfinite(self.loss_d))
        return int(self.iteration[broken.argmax()]) if broken.any() else None

    @property
    def first_broken(self) -> str | None:
        """Whose loss was not finite at nan_at: "D", "G" or "both"; None for a run that stayed finite."""
        if self.nan_at is None:
            return None
        at = np.searchsorted(self.iteration, self.nan_at)
        finite_g, finite_d = np.isfinite(self.loss_g[at]), np.isfinite(self.loss_d[at])
        return "both" if not (finite_g or finite_d) else "D" if finite_g else "G"

    def envelope(self, quantity: str) -> tuple[np.ndarray, np.ndarray]:
        """(lowest, highest) value of each entry, both (entries,): the value itself where nothing was thinned."""
        low, high = self.values[quantity].copy(), self.values[quantity].copy()
        thinned = self.width > 1
        if thinned.any():
            low[thinned], high[thinned] = self.low[quantity], self.high[quantity]
        return low, high

    def thin(self, keep: int = 2000, buckets: int = 400) -> Trace:
        """A smaller trace: the first and last `keep` iterations whole, between them minimum, mean and maximum a bucket.

        Values keep 12 bits of precision (1 part in 4,000), which halves the file.
        """
        entries = len(self.width)
        if (self.width > 1).any() or entries <= 2 * keep + buckets:
            return self
        edges = np.unique(np.linspace(keep, entries - keep, buckets + 1).astype(int))[:-1]
        inner, counts = slice(keep, entries - keep), np.diff(np.append(edges, entries - keep))
        values, low, high = {}, {}, {}
        for name, full in self.values.items():
            mean = np.add.reduceat(full[inner].astype(np.float64), edges - keep) / counts
            values[name] = _short(np.concatenate([full[:keep], mean, full[-keep:]]))
            low[name] = _short(np.minimum.reduceat(full[inner], edges - keep))
            high[name] = _short(np.maximum.reduceat(full[inner], edges - keep))
        ones = np.ones(keep, dtype=np.int64)
        return Trace(
            self.recipe, self.seed, values, np.concatenate([ones, counts, ones]), low, high,
            self.last_batch, self.atlas, self.watched, self.provenance,
        )  # fmt: skip

    def save(self, path) -> None:
        """Write the trace to `path` (.npz), first to a temporary file that is then renamed, so none is left half written."""
        path = Path(path)
        header = {"format": FORMAT, "recipe": asdict(self.recipe), "seed": self.seed, "provenance": self.provenance}
        arrays = {"header": np.array(json.dumps(header)), "width": self.width}
        for group in GROUPS:
            arrays |= {f"{group}.{name}": array for name, array in getattr(self, group).items()}
        with replacing(path) as unfinished, open(unfinished, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path) -> Trace:
        """The trace saved at `path`; FileNotFoundError if there is none, ValueError if the file is damaged or no trace."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no recorded run at {path}")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays.pop("header")))
            if header["format"] != FORMAT:
                raise ValueError(f"format {header['format']}, this version reads {FORMAT}")
            groups = {group: {} for group in GROUPS}
            width = arrays.pop("width")
            for name, array in arrays.items():
                group, _, key = name.partition(".")
                groups[group][key] = array
            if any(groups["values"][name].shape != width.shape for name in QUANTITIES):
                raise ValueError("arrays of different length")
            return cls(Recipe(**header["recipe"]), header["seed"], width=width, provenance=header["provenance"], **groups)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            # Not numpy's own words: for a foreign file they advise to unpickle it.
            raise ValueError(f"{path} is not a recorded run, or it is damaged ({type(error).__name__})") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` if the block ends well, else it is deleted."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _short(values: np.ndarray) -> np.ndarray:
    """float32 with the lowest 12 bits of the mantissa rounded away; inf and NaN stay what they are."""
    values = np.asarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = ((bits + np.uint32(0x800)) & np.uint32(0xFFFFF000)).view(np.float32)
    return np.where(np.isfinite(values), rounded, values)


@functools.cache
def machine() -> dict[str, str]:
    """What a run was made with: versions, processor, commit ("+" if the files of utils differ from it)."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor}, {os.cpu_count()} cores",
        "commit": _commit(),
    }


def provenance() -> dict[str, str]:
    """machine() and today's date."""
    return machine() | {"date": datetime.date.today().isoformat()}


def _commit() -> str:
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", str(folder)) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
