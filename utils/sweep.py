"""Many runs side by side: one run a process, on this machine (joblib) or, by configuration, on a cluster (Dask).

Uses training, trace, metrics, tables and pool. To spread runs over a Dask cluster, connect to it and wrap the call, nothing
else changes (`pip install -e ".[cluster]"`; the workers need this package, and for record and tabulate a folder they all see):

    with Client("tcp://scheduler:8786"), joblib.parallel_config(backend="dask"):
        traces = sweep(Recipe(lr=1e-3), seeds=range(10), iterations=200)
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock

from utils.checks import file_path, function, shown, whole
from utils.machine import provenance
from utils.metrics import measure
from utils.pool import Run, RunsFailed, check_jobs, finish, lock_of
from utils.recipe import Recipe
from utils.tables import DATA, KEY, KINDS, changes_text, published, recipe_of, table, typed_rows, write
from utils.trace import Trace
from utils.training import GAN, train

__all__ = ["DATA", "Experiment", "RunsFailed", "published", "recipe_of", "record", "recorded", "sweep", "table", "tabulate"]


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
    Raises ValueError or TypeError before any work, RunsFailed at the end if a run failed; Ctrl-C raises KeyboardInterrupt.
    """
    recipes, seeds, jobs = _several("recipes", recipes, Recipe), _seeds(seeds), check_jobs(jobs)
    iterations = whole("iterations", iterations, at_least=1)
    runs = [Run(recipe, seed, _trained, (recipe, iterations, seed)) for recipe in recipes for seed in seeds]
    return finish(runs, jobs, progress)


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
    run leaves a checkpoint beside its file and goes on from it the next time. Several processes may fill one folder.
    Raises ValueError for a file that is damaged or holds another run than asked for, and what sweep raises.
    """
    (recipe,), seeds, jobs = _several("recipe", [recipe], Recipe), _seeds(seeds), check_jobs(jobs)
    iterations = whole("iterations", iterations, at_least=1)
    looks = _looks(atlas_at or {}, seeds)
    if not isinstance(watch, dict | None):
        raise TypeError(f"watch must be {{name: function}}, not {shown(watch)}")
    watch = {name: function(f"watch[{name!r}]", value) for name, value in (watch or {}).items()}
    paths = [_folder(folder).absolute() / f"seed{seed:03d}.npz" for seed in seeds]
    orders = [(path, recipe, iterations, seed, looks.get(seed, ()), watch) for path, seed in zip(paths, seeds)]
    missing = [order for order in orders if not _is_recorded(*order)]
    finish([Run(recipe, order[3], _record, order, order[0]) for order in missing], jobs, progress)
    return paths


def recorded(folder: Path | str) -> list[Trace]:
    """The runs recorded in a folder, or in that folder of data/, by seed; FileNotFoundError if there are none."""
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path, such as 'pulses_lr1e-3', not {shown(folder)}")
    folder = Path(folder) if Path(folder).is_dir() else DATA / folder
    paths = sorted(folder.glob("seed*.npz"), key=lambda path: (len(path.name), path.name))
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

    def __post_init__(self):
        for name in ("group", "fix"):
            value = getattr(self, name)
            if not isinstance(value, str) or not re.fullmatch(KINDS["name"][0], value):
                raise ValueError(f"{name} must be a name on one line, not {shown(value)}")
        _several("recipe", [self.recipe], Recipe)
        for name in ("seeds", "iterations", "count"):
            if name != "count" or self.count is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name), at_least=1))

    def lines(self) -> list[dict]:
        """What identifies each of the runs in the table."""
        about = {"group": self.group, "fix": self.fix, "data": self.recipe.data, "lr": self.recipe.lr, "cap": self.iterations}
        return [about | {"recipe": changes_text(self.recipe), "seed": seed} for seed in range(self.seeds)]


def tabulate(path: Path | str, experiments: Iterable[Experiment], *, jobs: int = -1, progress: bool = True) -> pd.DataFrame:
    """Make the runs that the table at `path` (.csv) lacks, and return the table: one line a run, what metrics.measure says.

    The file is written again after each run, so an interruption costs only the runs under way; a run that is there is not
    made again. Each line says with what, where and when it was made. Several processes may fill one table.
    Raises ValueError for a damaged table, and what sweep raises.
    """
    path = file_path("path", path)
    experiments, jobs = _several("experiments", experiments, Experiment, or_none=True), check_jobs(jobs)
    plan = {_key(line): (line, one) for one in experiments for line in one.lines()}
    if len(plan) < sum(one.seeds for one in experiments):
        raise ValueError("two of the experiments name the same runs: group, fix, recipe and iterations are equal")
    path = _folder(path.parent).absolute() / path.name
    made = _keys(path)
    runs = []
    for key, (line, one) in plan.items():
        if key not in made:
            claim = path.with_name(f"{path.name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}")
            runs.append(Run(one.recipe, line["seed"], _add_line, (path, line, one), claim))
    finish(runs, jobs, progress)
    return table(path) if path.is_file() else typed_rows([])


def _add_line(path: Path, line: dict, one: Experiment) -> None:
    if _key(line) in _keys(path):
        return  # another process made it in the meantime
    row, _ = measure(one.recipe, one.iterations, line["seed"], one.count)
    row = typed_rows([line | row | provenance()])
    # Read again and merge: other processes have written in the meantime.
    with FileLock(lock_of(path), timeout=600):
        write(path, pd.concat([table(path), row]).drop_duplicates(list(KEY)) if path.is_file() else row)


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in KEY)


def _keys(path: Path) -> set[tuple]:
    return set(table(path)[list(KEY)].itertuples(index=False, name=None)) if path.is_file() else set()


# ---- the runs of a sweep, a recording


def _trained(recipe: Recipe, iterations: int, seed: int, **options) -> Trace:
    """train, but a run that Ctrl-C cut short is no result."""
    trace = train(recipe, iterations, seed, progress=False, **options)
    if trace.nan_at is None and trace.iterations < iterations:
        raise KeyboardInterrupt
    return trace


def _record(path: Path, recipe: Recipe, iterations: int, seed: int, atlas_at: tuple[int, ...], watch: dict) -> None:
    if _is_recorded(path, recipe, iterations, seed, atlas_at, watch):
        return  # another process made it in the meantime
    checkpoint = path.with_suffix(".unfinished")
    trace = _trained(recipe, iterations, seed, checkpoint=checkpoint, atlas_at=atlas_at, watch=watch)
    trace.provenance["cap"] = str(iterations)
    trace.thin().save(path)
    checkpoint.unlink(missing_ok=True)


def _is_recorded(path: Path, recipe: Recipe, iterations: int, seed: int, atlas_at: tuple[int, ...], watch: dict) -> bool:
    """Is there a file at `path`? ValueError unless it holds that run, and all of it."""
    if not path.exists():
        return False
    trace = Trace.load(path)
    looks = {int(at) for at in trace.atlas.get("iteration", ())}
    for what, found, wanted in (
        ("recipe", trace.recipe, recipe),
        ("seed", trace.seed, seed),
        ("cap", trace.provenance.get("cap"), str(iterations)),
        ("iterations", trace.iterations, trace.nan_at or iterations),
        ("watched", sorted(set(trace.watched) - {"iteration"}), sorted(watch)),
        ("atlas", sorted(looks | {at for at in atlas_at if at <= trace.iterations}), sorted(looks)),
    ):
        if found != wanted:
            raise ValueError(f"{path} holds another run than asked for ({what}: {shown(found)}, not {shown(wanted)})")
    return True


# ---- arguments, looked at before any work


def _several(name: str, values, kind: type, or_none: bool = False) -> list:
    values = [values] if isinstance(values, kind) else values
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, dict)):
        raise TypeError(f"{name} must be of type {kind.__name__}, not {shown(values)}")
    values = list(values)
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be of type {kind.__name__}, not {shown(value)}")
    if not values and not or_none:
        raise ValueError(f"{name} must be at least one, not none")
    return values


def _seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as plain numbers; each once, since a seed's run is always the same run."""
    if not isinstance(seeds, Iterable) or isinstance(seeds, (str, bytes)):
        raise TypeError(f"seeds must be whole numbers, such as range(10), not {shown(seeds)}")
    seeds = [whole("a seed", seed) for seed in seeds]
    if not seeds:
        raise ValueError("seeds must be at least one, not none")
    if len(set(seeds)) < len(seeds):
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        raise ValueError(f"each seed must stand in seeds once, and {twice} stands there {seeds.count(twice)} times")
    return seeds


def _looks(atlas_at: dict[int, Iterable[int]], seeds: list[int]) -> dict[int, tuple[int, ...]]:
    """The iterations whose atlas is asked for, by seed."""
    if not isinstance(atlas_at, dict):
        raise TypeError(f"atlas_at must be {{seed: iterations}}, not {shown(atlas_at)}")
    for seed, iterations in atlas_at.items():
        if seed not in seeds:
            raise ValueError(f"atlas_at must name seeds of this recording ({shown(seeds)}), not {shown(seed)}")
        if not isinstance(iterations, Iterable):
            raise TypeError(f"atlas_at[{seed}] must be iterations, such as range(1, 10), not {shown(iterations)}")
    return {
        seed: tuple(whole(f"an iteration of atlas_at[{seed}]", at, at_least=1) for at in iterations)
        for seed, iterations in atlas_at.items()
    }


def _folder(folder: Path | str) -> Path:
    """`folder`, made if it is not there."""
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path, not {shown(folder)}")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except (OSError, ValueError):
        writable = False
    if not writable:
        raise ValueError(f"folder must be a folder that can be written to, and {shown(str(folder))} is not one")
    return Path(folder)
