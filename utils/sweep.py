"""Many runs side by side: one run a process, on this machine (joblib) or, by configuration, on a cluster (Dask).

Uses training, remedies, metrics, tables and pool. CONTRIBUTING shows the call on a Dask cluster: its workers need this
package, and for record and tabulate a folder that they all see.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import pandas as pd
from filelock import FileLock

from utils.checks import file_path, function, one_of, shown, whole
from utils.machine import provenance
from utils.metrics import measure
from utils.pool import Run, RunsFailed, finish, lock_of
from utils.recipe import Recipe
from utils.remedies import REMEDIES, remedied
from utils.tables import DATA, KEY, KINDS, changes_text, published, recipe_of, table, typed_rows, write
from utils.trace import Trace
from utils.training import GAN, train
from utils.verdicts import finite_losses

__all__ = ["DATA", "Experiment", "RunsFailed", "published", "recipe_of", "record", "recorded", "sweep", "table", "tabulate"]


def sweep(
    recipes: Recipe | Iterable[Recipe], seeds: Iterable[int], iterations: int, *, jobs: int = -1, progress: bool = True
) -> list[Trace]:
    """Every recipe with every seed, each until its NaN or for `iterations`: Traces in that order, recipe by recipe.

    jobs is the number of runs at a time; -1 is one a processor core. A run is the same run as `train` alone makes.
    Raises ValueError or TypeError before any work, RunsFailed at the end if a run failed; Ctrl-C raises KeyboardInterrupt.
    """
    recipes, seeds, jobs = _all_of("recipes", recipes, Recipe), _seeds(seeds), check_jobs(jobs)
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
    remedy: str = "none",
    jobs: int = -1,
    progress: bool = True,
) -> list[Path]:
    """Like sweep, but each run is thinned and saved to folder/seedNNN.npz when it ends; a file that is there is not remade.

    atlas_at gives, for a seed, the iterations whose atlas of G is kept; `watch` is passed on to `train`, and `remedy`
    names one of utils.remedies. An interrupted run leaves a checkpoint beside its file and goes on from it the next time.
    Several processes may fill one folder.
    Raises ValueError for a file that is damaged or holds another run than asked for, and what sweep raises.
    """
    (recipe,), seeds, jobs = _all_of("recipe", [recipe], Recipe), _seeds(seeds), check_jobs(jobs)
    iterations = whole("iterations", iterations, at_least=1)
    for name, value, kind in (("atlas_at", atlas_at, "{seed: iterations}"), ("watch", watch, "{name: function}")):
        if not isinstance(value, dict | None):
            raise TypeError(f"{name} must be {kind}, not {shown(value)}")
    looks, remedy = _looks(atlas_at or {}, seeds), one_of("remedy", remedy, REMEDIES)
    watch = {name: function(f"watch[{name!r}]", value) for name, value in (watch or {}).items()}
    folder = _folder(folder)
    runs = []
    for seed in seeds:
        path = folder / f"seed{seed:03d}.npz"
        runs.append(Run(recipe, seed, _record, (path, recipe, iterations, seed, looks.get(seed, ()), watch, remedy), path))
    finish([run for run in runs if not _is_recorded(*run.arguments)], jobs, progress)
    return [run.claim for run in runs]


def recorded(folder: Path | str) -> list[Trace]:
    """The runs recorded in a folder, or in that folder of data/, by seed; FileNotFoundError if there are none."""
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path, such as 'pulses_lr1e-3', not {shown(folder)}")
    folder = Path(folder) if Path(folder).is_dir() else DATA / folder
    paths = sorted(folder.glob("seed*.npz"), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise FileNotFoundError(f"there are no recorded runs in {folder}; data/README.md says how to remake them")
    return [Trace.load(path) for path in paths]


@dataclass(frozen=True)
class Experiment:
    """Runs of one recipe that stand in a table under the words `group` and `fix`: so many seeds, 0, 1, 2 ..., each to its NaN
    or for `iterations`, scored on `count` samples (None: as many as metrics.quality takes); remedy is one of utils.remedies.
    """

    group: str
    fix: str
    recipe: Recipe
    seeds: int
    iterations: int
    count: int | None = None
    remedy: str = "none"

    def __post_init__(self):
        for name in ("group", "fix"):
            if not isinstance(value := getattr(self, name), str) or not re.fullmatch(KINDS["name"][0], value):
                raise ValueError(f"{name} must be a name on one line, not {shown(value)}")
        _all_of("recipe", [self.recipe], Recipe), one_of("remedy", self.remedy, REMEDIES)
        for name in ("seeds", "iterations", "count"):
            if name != "count" or self.count is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name), at_least=1))

    def lines(self) -> list[dict]:
        """What identifies each of the runs in the table."""
        about = {"group": self.group, "fix": self.fix, "data": self.recipe.data, "lr": self.recipe.lr, "cap": self.iterations}
        about |= {"recipe": changes_text(self.recipe), "remedy": self.remedy}
        return [about | {"seed": seed} for seed in range(self.seeds)]


_key = itemgetter(*KEY)


def tabulate(path: Path | str, experiments: Iterable[Experiment], *, jobs: int = -1, progress: bool = True) -> pd.DataFrame:
    """Make the runs that the table at `path` (.csv) lacks, and return the table: one line a run, what metrics.measure says.

    The file is written again after each run, so an interruption costs only the runs under way; a run that is there is not
    made again. Each line says with what, where and when it was made. Several processes may fill one table.
    Raises ValueError for a damaged table, and what sweep raises.
    """
    path = file_path("path", path)
    experiments, jobs = _all_of("experiments", experiments, Experiment, or_none=True), check_jobs(jobs)
    plan = {_key(line): (line, one) for one in experiments for line in one.lines()}
    if len(plan) < sum(one.seeds for one in experiments):
        raise ValueError("two of the experiments name the same runs: group, fix, recipe and iterations are equal")
    path = _folder(path.parent) / path.name
    made, runs = _keys(path), []
    for key, (line, one) in plan.items():
        if key not in made:
            claim = path.with_name(f"{path.name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}")
            runs.append(Run(one.recipe, line["seed"], _add_line, (path, line, one, Path(f"{claim}.unfinished")), claim))
    finish(runs, jobs, progress)
    return table(path) if path.is_file() else typed_rows([])


def _keys(path: Path) -> set[tuple]:
    return set(table(path)[list(KEY)].itertuples(index=False, name=None)) if path.is_file() else set()


def _add_line(path: Path, line: dict, one: Experiment, checkpoint: Path) -> None:
    if _key(line) in _keys(path):
        return  # another process made it in the meantime
    row, _ = measure(one.recipe, one.iterations, line["seed"], one.count, one.remedy, checkpoint)
    row = typed_rows([line | row | provenance()])
    with FileLock(lock_of(path), timeout=600):  # read again and merge: others have written in the meantime
        write(path, pd.concat([table(path), row]).drop_duplicates(list(KEY)) if path.is_file() else row)
    checkpoint.unlink(missing_ok=True)


def _trained(recipe: Recipe, iterations: int, seed: int, remedy: str = "none", **options) -> Trace:
    """train, but a run that Ctrl-C cut short is no result."""
    gan = remedied(GAN(recipe, seed), remedy)
    trace = train(gan, iterations, seed, progress=False, **options)
    if trace.iterations < iterations and (finite_losses(trace)[-1] or gan.goes_on):
        raise KeyboardInterrupt
    return trace


def _record(path: Path, recipe: Recipe, iterations: int, seed: int, atlas_at, watch: dict, remedy: str) -> None:
    if _is_recorded(path, recipe, iterations, seed, atlas_at, watch, remedy):
        return  # another process made it in the meantime
    checkpoint = path.with_suffix(".unfinished")
    trace = _trained(recipe, iterations, seed, remedy, checkpoint=checkpoint, atlas_at=atlas_at, watch=watch)
    trace.provenance |= {"cap": str(iterations), "remedy": remedy}
    trace.thin().save(path)
    checkpoint.unlink(missing_ok=True)


def _is_recorded(path: Path, recipe: Recipe, iterations: int, seed: int, atlas_at, watch: dict, remedy: str) -> bool:
    """Is there a file at `path`? ValueError unless it holds that run, and all of it."""
    if not path.exists():
        return False
    trace = Trace.load(path)
    looks = {int(at) for at in trace.atlas.get("iteration", ())}
    for what, found, wanted in (
        ("recipe", trace.recipe, recipe),
        ("seed", trace.seed, seed),
        ("cap", trace.provenance.get("cap"), str(iterations)),
        ("remedy", trace.provenance.get("remedy", "none"), remedy),
        ("iterations", trace.iterations, iterations if finite_losses(trace)[-1] else trace.iterations),
        ("watched", sorted(set(trace.watched) - {"iteration"}), sorted(watch)),
        ("atlas", sorted(looks | {at for at in atlas_at if at <= trace.iterations}), sorted(looks)),
    ):
        if found != wanted:
            raise ValueError(f"{path} holds another run than asked for ({what}: {shown(found)}, not {shown(wanted)})")
    return True


def _several(name: str, values, wanted: str, or_none: bool = False) -> list:
    """The values as a list; TypeError or ValueError if they are none."""
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, dict)):
        raise TypeError(f"{name} must be {wanted}, not {shown(values)}")
    values = list(values)
    if not values and not or_none:
        raise ValueError(f"{name} must be at least one, not none")
    return values


def _all_of(name: str, values, kind: type, or_none: bool = False) -> list:
    """The values, or the only one, as a list; TypeError unless all are of that type."""
    wanted = f"of type {kind.__name__}"
    values = _several(name, [values] if isinstance(values, kind) else values, wanted, or_none)
    if wrong := [value for value in values if not isinstance(value, kind)]:
        raise TypeError(f"{name} must be {wanted}, not {shown(wrong[0])}")
    return values


def _seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as plain numbers; each once, since a seed's run is always the same run."""
    seeds = [whole("a seed", seed) for seed in _several("seeds", seeds, "whole numbers, such as range(10)")]
    if len(set(seeds)) < len(seeds):
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        raise ValueError(f"each seed must stand in seeds once, and {twice} stands there {seeds.count(twice)} times")
    return seeds


def _looks(atlas_at: dict[int, Iterable[int]], seeds: list[int]) -> dict[int, list[int]]:
    """The iterations whose atlas is asked for, by seed."""
    looks = {}
    for seed, iterations in atlas_at.items():
        if seed not in seeds:
            raise ValueError(f"atlas_at must name seeds of this recording ({shown(seeds)}), not {shown(seed)}")
        looks[seed] = _several(f"atlas_at[{seed}]", iterations, "iterations, such as range(1, 10)", or_none=True)
        looks[seed] = [whole(f"an iteration of atlas_at[{seed}]", at, at_least=1) for at in looks[seed]]
    return looks


def check_jobs(jobs: int) -> int:
    """`jobs` as a plain int; TypeError or ValueError unless it is -1 or at least 1."""
    if (jobs := whole("jobs", jobs, at_least=-(2**62))) < -1 or jobs == 0:
        raise ValueError(f"jobs must be at least 1, or -1 for one a processor core, not {jobs}")
    return jobs


def _folder(folder: Path | str) -> Path:
    """The full path of `folder`, which is made if it is not there."""
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path, not {shown(folder)}")
    with contextlib.suppress(OSError, ValueError):
        Path(folder).mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return Path(folder).absolute()
    raise ValueError(f"folder must be a folder that can be written to, and {shown(str(folder))} is not one")
