"""Runs in worker processes: some at a time, none made twice, none lost when another one fails, no worker left behind.

Uses recipe and watchdog. sweep.py says what the runs are; joblib starts the processes, here or, by configuration, on a cluster.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import joblib
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from utils.checks import whole
from utils.recipe import Recipe
from utils.watchdog import end_with


class RunsFailed(RuntimeError):
    """Some runs failed or were killed. `finished` holds what the others returned (record and tabulate have saved it);
    `failed` is {(recipe, seed): why}, with the traceback where there is one.
    """

    def __init__(self, failed: dict[tuple[Recipe, int], str], finished: list):
        self.failed, self.finished = failed, finished
        named = [f"{_named(recipe)}, seed {seed}: {why.splitlines()[-1]}" for (recipe, seed), why in list(failed.items())[:3]]
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        super().__init__(f"{len(failed)} of {len(failed) + len(finished)} runs failed: {'; '.join(named)}{more}")


def _named(recipe: Recipe) -> str:
    return f"Recipe({', '.join(f'{name}={value!r}' for name, value in recipe.changes.items())})"


class Run(NamedTuple):
    """One call of a sweep; `claim` is the file that it is about to make, if any: no two processes make it at once."""

    recipe: Recipe
    seed: int
    function: Callable
    arguments: tuple
    claim: Path | None = None


def finish(runs: list[Run], jobs: int, progress: bool) -> list:
    """What each run returned, in the order of `runs`; RunsFailed once all have ended, if some failed."""
    results, failed, left = {}, {}, dict(enumerate(runs))
    with tqdm(total=len(runs), delay=2, leave=False, unit=" runs", disable=not progress) as bar:
        while left:
            for index, state, value in _outcomes(dict(left), min(jobs, len(left))):
                if state != "taken":
                    (results if state == "done" else failed)[index] = value
                    del left[index]
                    bar.update()
            if left:  # other processes are making these: look again
                time.sleep(0.5)
    finished = [results[index] for index in sorted(results)]
    if failed:
        raise RunsFailed({(runs[index].recipe, runs[index].seed): failed[index] for index in sorted(failed)}, finished)
    return finished


def _outcomes(runs: dict[int, Run], jobs: int) -> Iterator[tuple[int, str, object]]:
    """(index, "done", result), (index, "failed", why) or (index, "taken", None) of each run, in the order of their end."""
    while runs:
        begun = set()
        calls = (begun.add(index) or joblib.delayed(_attempt)(index, run) for index, run in list(runs.items()))
        pool = joblib.Parallel(
            jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs",
            initializer=end_with, initargs=(os.getpid(),),
        )  # fmt: skip
        try:
            for outcome in pool(calls):
                begun.discard(outcome[0])
                del runs[outcome[0]]
                yield outcome
        except Exception as error:  # of the pool, not of a run: a worker process was killed, and which one is not told
            suspects, why = [index for index in runs if index in begun], f"its process was killed ({type(error).__name__})"
            if not suspects:
                raise
        else:
            return
        if len(suspects) == 1:
            del runs[suspects[0]]
            yield suspects[0], "failed", why
        else:  # each of them again and alone, in a process of its own, which tells
            for index in suspects:
                yield from _outcomes({index: runs.pop(index)}, jobs=2)


def _attempt(index: int, run: Run) -> tuple[int, str, object]:
    try:
        with _claimed(run.claim) as ours:
            return (index, "done", run.function(*run.arguments)) if ours else (index, "taken", None)
    except Exception:
        return index, "failed", traceback.format_exc()


@contextlib.contextmanager
def _claimed(path: Path | None) -> Iterator[bool]:
    """May this process make `path`? Not while another one is at it. The claim is a lock, which ends with its process."""
    if path is None:
        yield True
        return
    lock = FileLock(lock_of(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):  # Windows keeps open files
            os.unlink(lock.lock_file)  # while it is held: whoever waits for it finds out and opens a new one
        lock.release()


def lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def check_jobs(jobs: int) -> int:
    """`jobs` as a plain int; TypeError or ValueError unless it is -1 or at least 1."""
    jobs = whole("jobs", jobs, at_least=-(2**62))
    if jobs < -1 or jobs == 0:
        raise ValueError(f"jobs must be at least 1, or -1 for one a processor core, not {jobs}")
    return jobs
