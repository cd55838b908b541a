"""Trace: what a run leaves behind, one array a quantity, with its recipe, its seed and where it was made.

Uses numpy, checks and Recipe. A trace is saved as .npz without pickle, so loading a file never runs code; what a file
says about itself is checked before anything is unpacked.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import asdict, dataclass, field

import numpy as np

from utils.checks import file_path, of_type, one_of, shown, whole
from utils.machine import provenance, replacing
from utils.recipe import Recipe, rate_text

__all__ = ["ATLAS_Z", "GROUPS", "QUANTITIES", "Trace", "provenance", "replacing"]

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
FORMAT = 1
LARGEST = 2**28  # bytes that a saved trace may unpack to
WATCHED = 50  # functions that a run may watch

# A Trace's arrays, by the attribute they stand in: kind and shape, in which a name is the same length wherever it stands.
LAYOUT = {
    "values": {name: ("float32", ("entries",)) for name in QUANTITIES},
    **{group: {name: ("float32", ("buckets",)) for name in QUANTITIES} for group in ("low", "high")},
    "last_batch": {
        "z": ("float32", ("batch", "latent")), "real_logits": ("float32", ("batch",)), "fake_logits": ("float32", ("batch",)),
    },
    "atlas": {
        "iteration": ("int64", ("snapshots",)), "image": ("float16", ("snapshots", "points", "dimension")),
        "logit": ("float32", ("snapshots", "points")),
    },
    "watched": {"iteration": ("int64", ("looks",))},  # and float32 (looks,) under the name of each function
}  # fmt: skip
GROUPS = tuple(LAYOUT)


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

    Raises ValueError or TypeError for arrays that no run leaves behind.
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
        if self.width is None and isinstance(self.values, dict):
            self.width = np.ones(np.shape(self.values.get("loss_g", ()))[:1], dtype=np.int64)
        self._check()

    def _check(self) -> None:
        of_type("recipe", self.recipe, Recipe, "a Recipe")
        self.seed = whole("seed", self.seed)
        of_type("provenance", self.provenance, dict, "a dict of texts")
        for text in (*self.provenance, *self.provenance.values()):
            if not isinstance(text, str) or len(text) > 1000:
                raise ValueError(f"provenance must be a dict of texts of at most 1,000 letters, not {shown(text)}")
        _check_layout(self.recipe, self.width, {group: getattr(self, group) for group in GROUPS})
        if (self.width < 1).any() or self.width.sum(dtype=float) >= 2**53:
            raise ValueError("width must be at least 1 everywhere, and the iterations fewer than 2**53")
        if len(self.low.get("loss_g", ())) != (self.width > 1).sum():
            raise ValueError("low and high must have one entry for each entry of values that stands for several iterations")
        for group in ("atlas", "watched"):
            if np.any(np.diff(getattr(self, group).get("iteration", ()), prepend=0) < 1):
                raise ValueError(f"{group}'s iterations must be at least 1 and rise")

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
        one_of("quantity", quantity, QUANTITIES)
        low, high = self.values[quantity].copy(), self.values[quantity].copy()
        thinned = self.width > 1
        if thinned.any():
            low[thinned], high[thinned] = self.low[quantity], self.high[quantity]
        return low, high

    def thin(self, keep: int = 2000, buckets: int = 400) -> Trace:
        """A smaller trace: the first and last `keep` iterations whole, between them minimum, mean and maximum a bucket.

        Values keep 12 bits of precision (1 part in 4,000), which halves the file.
        """
        keep, buckets, entries = whole("keep", keep, at_least=1), whole("buckets", buckets, at_least=1), len(self.width)
        if (self.width > 1).any() or entries <= 2 * keep + buckets:
            return self
        edges = np.unique(np.linspace(keep, entries - keep, buckets + 1).astype(int))[:-1]
        inner, counts = slice(keep, entries - keep), np.diff(np.append(edges, entries - keep))
        values, low, high = {}, {}, {}
        for name, full in self.values.items():
            mean = np.add.reduceat(full[inner].astype(np.float64), edges - keep) / counts
            values[name] = _short(np.concatenate([full[:keep], mean, full[-keep:]]))
            low[name] = _short(np.minimum.reduceat(full[inner], edges - keep)[counts > 1])
            high[name] = _short(np.maximum.reduceat(full[inner], edges - keep)[counts > 1])
        ones = np.ones(keep, dtype=np.int64)
        return Trace(
            self.recipe, self.seed, values, np.concatenate([ones, counts, ones]), low, high,
            self.last_batch, self.atlas, self.watched, self.provenance,
        )  # fmt: skip

    def save(self, path) -> None:
        """Write the trace to `path` (.npz), first to a temporary file that is then renamed, so none is left half written."""
        path = file_path("path", path)
        self._check()
        header = {"format": FORMAT, "recipe": asdict(self.recipe), "seed": self.seed, "provenance": self.provenance}
        arrays = {"header": np.array(json.dumps(header)), "width": self.width}
        for group in GROUPS:
            arrays |= {f"{group}.{name}": array for name, array in getattr(self, group).items()}
        if (size := sum(array.nbytes + 200 for array in arrays.values())) > LARGEST:
            raise ValueError(f"a trace of {size:,} bytes is more than the {LARGEST:,} that can be saved: thin() it first")
        with replacing(path) as unfinished, open(unfinished, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path) -> Trace:
        """The trace saved at `path`; FileNotFoundError if there is none, ValueError if the file is damaged or no trace."""
        path = file_path("path", path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no recorded run at {path}")
        try:
            with zipfile.ZipFile(path) as file:
                return cls(**_read(file))
        except _NewerError as error:
            raise ValueError(f"{path} {error}") from None
        except Exception as error:  # a file can be wrong in every way there is
            reason = error if isinstance(error, (ValueError, TypeError)) else type(error).__name__
            raise ValueError(f"{path} is not a recorded run, or it is damaged ({reason})") from None


def _short(values: np.ndarray) -> np.ndarray:
    """float32 with the lowest 12 bits of the mantissa rounded away; inf and NaN stay what they are."""
    values = np.asarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = ((bits + np.uint32(0x800)) & np.uint32(0xFFFFF000)).view(np.float32)
    return np.where(np.isfinite(values), rounded, values)


# ---- what a trace may hold


class _NewerError(ValueError):
    pass


def _check_layout(recipe: Recipe, width: np.ndarray, groups: dict[str, dict[str, np.ndarray]]) -> None:
    """ValueError or TypeError unless names, kinds and shapes of all arrays are those that a run of the recipe leaves behind."""
    lengths = {"batch": recipe.batch, "points": len(ATLAS_Z)} | ({} if recipe.grain else {"latent": recipe.latent})
    for group, arrays in groups.items():
        if not isinstance(arrays, dict) or not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise TypeError(f"{group} must be a dict of arrays, not {shown(arrays)}")
        layout = LAYOUT[group]
        if group == "watched" and arrays:
            layout = layout | {name: ("float32", ("looks",)) for name in watch_names(set(arrays) - set(layout))}
        if set(arrays) != set(layout) and (arrays or group == "values"):
            raise ValueError(f"{group} must hold {', '.join(layout)}, not {shown(list(arrays))}")
        for name, array in arrays.items():
            _check_array(f"{group}'s {name}", array, *layout[name], lengths)
    _check_array("width", of_type("width", width, np.ndarray, "an array"), "int64", ("entries",), lengths)


def _check_array(name: str, array: np.ndarray, kind: str, shape: tuple[str, ...], lengths: dict[str, int]) -> None:
    for length, found in zip(shape, array.shape):
        lengths.setdefault(length, found)
    wanted = tuple(lengths.get(length, length) for length in shape)
    if array.dtype != kind or array.shape != wanted:
        wanted = ", ".join(map(str, wanted))
        raise ValueError(f"{name} must be {kind} of shape ({wanted}), not {array.dtype} of shape {array.shape}")


def watch_names(names) -> list[str]:
    """The names of what a run watches, which are short, printable texts that can stand in a file's table of contents."""
    names = list(names)
    if len(names) > WATCHED:
        raise ValueError(f"watch must hold at most {WATCHED} functions, not {len(names)}")
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= 60 or not name.isprintable() or set(name) & set('/\\"<>&'):
            raise ValueError(f"watch's names must be texts of 1 to 60 letters without / \\ \" < > &, not {shown(name)}")
        if name == "iteration":
            raise ValueError("watch's names must not be 'iteration', under which the iterations themselves stand")
    return names


def _read(file: zipfile.ZipFile) -> dict:
    """The arguments of Trace from an opened .npz: every array's kind and shape is checked before any is unpacked."""
    entries = {entry.filename.removesuffix(".npy"): entry for entry in file.infolist()}
    if len(entries) != len(file.infolist()) or sum(entry.file_size for entry in entries.values()) > LARGEST:
        raise ValueError(f"an entry stands there twice, or there are more than {LARGEST:,} bytes")
    if "header" not in entries or entries["header"].file_size > 400_000 or "width" not in entries:
        raise ValueError("no header, or no width")
    said = {name: _said(file, entry) for name, entry in entries.items()}

    def unpacked(name: str) -> np.ndarray:  # the whole entry, so that zip's own checksum is compared too
        return np.lib.format.read_array(io.BytesIO(file.read(entries[name])), allow_pickle=False)

    header = json.loads(str(unpacked("header")))  # a NaN in it is refused where it stands
    if set(header) >= {"format"} and whole("format", header["format"], at_least=1) > FORMAT:
        raise _NewerError(f"was written by a newer version of this project (format {header['format']}, here {FORMAT})")
    if set(header) != {"format", "recipe", "seed", "provenance"}:
        raise ValueError("another header")
    recipe, groups, width = Recipe(**header["recipe"]), {group: {} for group in GROUPS}, said.pop("width")
    said.pop("header")
    for name, array in said.items():
        group, _, key = name.partition(".")
        groups[one_of("group", group, GROUPS)][key] = array
    _check_layout(recipe, width, groups)
    arrays = {group: {name: unpacked(f"{group}.{name}") for name in names} for group, names in groups.items()}
    return {"recipe": recipe, "seed": header["seed"], "provenance": header["provenance"], "width": unpacked("width"), **arrays}


def _said(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """An array of the kind and shape that the entry says it has, which takes no memory: all its numbers are one 0."""
    with file.open(entry) as start:
        if np.lib.format.read_magic(start) != (1, 0):
            raise ValueError("another version of .npy")
        shape, _, kind = np.lib.format.read_array_header_1_0(start)
        if kind.hasobject or start.tell() + kind.itemsize * math.prod(shape) != entry.file_size:
            raise ValueError(f"{entry.filename} has another size than it says")
    return np.broadcast_to(np.zeros((), kind), shape)
