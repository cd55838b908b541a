"""Many runs side by side: one run a process, on this machine (joblib) or, by configuration, on a cluster (Dask).

Uses training, trace and metrics. To spread a sweep over a Dask cluster, wrap the call, nothing else changes:
`with joblib.parallel_config(backend="dask"): sweep(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import joblib
import pandas as pd
from tqdm.auto import tqdm

from utils.metrics import measure
from utils.recipe import Recipe, whole
from utils.tables import DATA, KEY, changes_text, published, recipe_of, table, typed_rows, write
from utils.trace import Trace, provenance
from utils.training import GAN, train

__all__ = ["DATA", "Experiment", "published", "recipe_of", "record", "recorded", "sweep", "table", "tabulate"]


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
        return [about | {"recipe": changes_text(self.recipe), "seed": seed} for seed in range(self.seeds)]


def tabulate(path: Path | str, experiments: Iterable[Experiment], *, jobs: int = -1, progress: bool = True) -> pd.DataFrame:
    """Make the runs that the table at `path` (.csv) lacks, and return the table: one line a run, what metrics.measure says.

    The file is written again after each run, so an interruption costs only the runs under way; a run that is there
    is not made again. Each line says with what, where and when it was made.
    """
    path = Path(path)
    rows = table(path) if path.is_file() else typed_rows([])
    known = set(rows[list(KEY)].itertuples(index=False, name=None))
    wanted = [(line, one) for one in experiments for line in one.lines() if tuple(line[name] for name in KEY) not in known]
    calls = (joblib.delayed(_measured)(line, one) for line, one in wanted)
    for row in _finished(calls, len(wanted), jobs, progress, "generator_unordered"):
        rows = pd.concat([rows, typed_rows([row])]) if len(rows) else typed_rows([row])
        write(path, rows)
    return table(path) if len(rows) else rows


def _measured(line: dict, one: Experiment) -> dict:
    row, _ = measure(one.recipe, one.iterations, line["seed"], one.count)
    return line | row | provenance()


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
