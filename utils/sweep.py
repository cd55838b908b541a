"""Many runs side by side: one run a process, on this machine (joblib) or, by configuration, on a cluster (Dask).

Uses training, trace and metrics. To spread a sweep over a Dask cluster, wrap the call, nothing else changes:
`with joblib.parallel_config(backend="dask"): sweep(...)`.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import joblib
from tqdm.auto import tqdm

from utils.metrics import measure
from utils.recipe import Recipe, whole
from utils.trace import Trace, provenance, replacing
from utils.training import GAN, train

DATA = Path(__file__).parent.parent / "data"


def sweep(
    recipes: Recipe | Iterable[Recipe],
    seeds: Iterable[int],
    iterations: int,
    *,
    jobs: int = -1,
    progress: bool = True,
) -> list[Trace]:
    """Every recipe with every seed, each until its NaN or for `iterations`: Traces in that order, recipe by recipe.

    jobs is the number of runs at a time; -1 is one a processor core. A run is the same run as `train` alone makes.
    """
    whole("iterations", iterations, at_least=1)
    pairs = [(recipe, seed) for recipe in _several(recipes) for seed in seeds]
    calls = (joblib.delayed(train)(recipe, iterations, seed, progress=False) for recipe, seed in pairs)
    return list(_finished(calls, len(pairs), jobs, progress))


def record(
    folder: Path | str,
    recipe: Recipe,
    seeds: Iterable[int],
    iterations: int,
    *,
    atlas_at: dict[int, Iterable[int]] | None = None,
    watch: dict[str, Callable[[GAN], float]] | None = None,
    jobs: int = -1,
    progress: bool = True,
) -> list[Path]:
    """Like sweep, but each run is thinned and saved to folder/seedNNN.npz when it ends; a file that is there is not remade.

    atlas_at gives, for a seed, the iterations whose atlas of G is kept; `watch` is passed on to `train`. An interrupted
    run leaves a checkpoint beside its file and goes on from it the next time.
    """
    folder, atlas_at = Path(folder), atlas_at or {}
    paths = [folder / f"seed{seed:03d}.npz" for seed in seeds]
    missing = [(path, seed) for path, seed in zip(paths, seeds) if not path.exists()]
    calls = (
        joblib.delayed(_record)(path, recipe, iterations, seed, tuple(atlas_at.get(seed, ())), watch) for path, seed in missing
    )
    list(_finished(calls, len(missing), jobs, progress))
    return paths


def recorded(folder: Path | str) -> list[Trace]:
    """The runs recorded in a folder, or in that folder of data/, by seed; FileNotFoundError if there are none."""
    folder = Path(folder) if Path(folder).is_dir() else DATA / folder
    paths = sorted(folder.glob("seed*.npz"))
    if not paths:
        raise FileNotFoundError(f"there are no recorded runs in {folder}; data/README.md says how to remake them")
    return [Trace.load(path) for path in paths]


# ---- tables: many runs, one line each


@dataclass(frozen=True)
class Experiment:
    """Runs of one recipe that stand together in a table, with the words they stand under there.

    group and fix say what the recipe is for; seeds is how many, 0, 1, 2 ...; iterations is the cap of each run; count the
    samples it is scored on, if not metrics.quality's own number.
    """

    group: str
    fix: str
    recipe: Recipe
    seeds: int
    iterations: int
    count: int | None = None

    def lines(self) -> list[dict]:
        """What identifies each of the runs in the table."""
        about = {"group": self.group, "fix": self.fix, "data": self.recipe.data, "lr": self.recipe.lr, "cap": self.iterations}
        changes = "; ".join(f"{name}={value!r}" for name, value in self.recipe.changes.items())
        return [about | {"recipe": changes, "seed": seed} for seed in range(self.seeds)]


def tabulate(path: Path | str, experiments: Iterable[Experiment], *, jobs: int = -1, progress: bool = True) -> list[dict]:
    """Make the runs that the table at `path` (.csv) lacks, and return the table: one line a run, what metrics.measure says.

    The file is written again after each run, so an interruption costs only the runs under way; a run that is there
    is not made again. Each line says with what, where and when it was made.
    """
    path = Path(path)
    rows = {_key(row): row for row in table(path)} if path.is_file() else {}
    wanted = [(line, one) for one in experiments for line in one.lines() if _key(line) not in rows]
    calls = (joblib.delayed(_measured)(line, one) for line, one in wanted)
    for row in _finished(calls, len(wanted), jobs, progress, "generator_unordered"):
        rows[_key(row)] = row
        _write(path, rows.values())
    return table(path) if rows else []


def table(path: Path | str) -> list[dict]:
    """The lines of a table that tabulate wrote, or of that one of data/: numbers as numbers, None where nothing stands."""
    path = Path(path) if Path(path).is_file() else DATA / path
    if not path.is_file():
        raise FileNotFoundError(f"there is no table at {path}; data/README.md says how to remake it")
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(file)]


def recipe_of(row: dict) -> Recipe:
    """The Recipe that made a line of a table."""
    parts = (part.split("=", 1) for part in (row["recipe"] or "").split("; ") if part)
    return Recipe(**{name: ast.literal_eval(value) for name, value in parts})


def _measured(line: dict, one: Experiment) -> dict:
    row, _ = measure(one.recipe, one.iterations, line["seed"], one.count)
    return line | row | provenance()


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in ("group", "fix", "data", "lr", "cap", "recipe", "seed"))


def _write(path: Path, rows: Iterable[dict]) -> None:
    rows = sorted(rows, key=_key)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _text(name, value) for name, value in row.items()} for row in rows)


def _text(name: str, value):
    # The rate identifies a run, so it is kept to the last digit; of what was measured, five are plenty.
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) and name != "lr" else value


def _value(name: str, text: str):
    if name in ("group", "fix", "data", "recipe"):
        return text  # "" is the recipe without a change
    if name in ("outcome", "first_broken", *provenance()):
        return text or None
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _record(path: Path, recipe: Recipe, iterations: int, seed: int, atlas_at: tuple[int, ...], watch) -> None:
    checkpoint = path.with_suffix(".unfinished")
    trace = train(recipe, iterations, seed, checkpoint=checkpoint, atlas_at=atlas_at, watch=watch, progress=False)
    # A run that was interrupted has its checkpoint to go on from; only a finished one is a recording.
    if trace.nan_at is None and trace.iterations < iterations:
        raise KeyboardInterrupt
    trace.provenance["cap"] = str(iterations)
    trace.thin().save(path)
    checkpoint.unlink(missing_ok=True)


def _several(recipes: Recipe | Iterable[Recipe]) -> list[Recipe]:
    return [recipes] if isinstance(recipes, Recipe) else list(recipes)


def _finished(calls, count: int, jobs: int, progress: bool, order: str = "generator"):
    """The results as they come, in the order of the calls or of their end, with a bar if it takes longer than two seconds."""
    results = joblib.Parallel(n_jobs=jobs, return_as=order)(calls)
    return tqdm(results, total=count, delay=2, leave=False, unit=" runs", disable=not progress)
