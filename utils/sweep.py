"""Many runs side by side: one run a process, on this machine (joblib) or, by configuration, on a cluster (Dask).

Uses training and trace. To spread a sweep over a Dask cluster, wrap the call, nothing else changes:
`with joblib.parallel_config(backend="dask"): sweep(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import joblib
from tqdm.auto import tqdm

from utils.recipe import Recipe, whole
from utils.trace import Trace
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
        joblib.delayed(_record)(path, recipe, iterations, seed, tuple(atlas_at.get(seed, ())), watch)
        for path, seed in missing
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


def _finished(calls, count: int, jobs: int, progress: bool):
    """The results in order, with a bar if it takes longer than two seconds."""
    results = joblib.Parallel(n_jobs=jobs, return_as="generator")(calls)
    return tqdm(results, total=count, delay=2, leave=False, unit=" runs", disable=not progress)
