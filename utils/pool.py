"""Runs in worker processes: some at a time, none made twice, none lost when another one fails, no worker left behind.

Uses watchdog. What a run is, sweep.py says; joblib starts the processes, here or, by configuration, on a cluster.
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

from utils.watchdog import end_with


class RunsFailed(RuntimeError):
    """Some runs failed: `failed` is {(recipe, seed): why, with its traceback}, `finished` is what the others returned."""

    def __init__(self, failed: dict[tuple, str], finished: list):
        self.failed, self.finished = failed, finished
        named = []
        for (recipe, seed), why in list(failed.items())[:3]:
            changes = ", ".join(f"{name}={value!r}" for name, value in recipe.changes.items())
            named.append(f"Recipe({changes}), seed {seed}: {why.splitlines()[-1]}")
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        super().__init__(f"{len(failed)} of {len(failed) + len(finished)} runs failed: {'; '.join(named)}{more}")


class Run(NamedTuple):
    """One call of a sweep; `claim` is the file that it is about to make, if any: no two processes make it at once."""

    recipe: object
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
    """What _attempt says of each run, in the order of their end; of one whose process was killed: (index, "failed", why)."""
    while runs:
        begun = set()
        calls = (begun.add(index) or joblib.delayed(_attempt)(index, run) for index, run in list(runs.items()))
        options = {"return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": "n_jobs"}
        try:
            for outcome in joblib.Parallel(jobs, **options, initializer=end_with, initargs=(os.getpid(),))(calls):
                del runs[outcome[0]]
                yield outcome
        except Exception as error:  # of the pool, not of a run: a worker process was killed, and which one is not told
            suspects, why = [index for index in runs if index in begun], f"its process was killed ({type(error).__name__})"
            if not suspects:
                raise
            if len(suspects) == 1:
                del runs[suspects[0]]
                yield suspects[0], "failed", why
            else:  # each of them again and alone, in a process of its own, which tells
                for index in suspects:
                    yield from _outcomes({index: runs.pop(index)}, jobs=2)


def _attempt(index: int, run: Run) -> tuple[int, str, object]:
    """(index, "done", result), (index, "failed", why) or, while another process makes the same file, (index, "taken", None)."""
    lock = FileLock(lock_of(run.claim)) if run.claim else None  # it ends with its process
    try:
        with contextlib.suppress(Timeout):
            if lock:
                lock.acquire(timeout=0)
        if lock and not lock.is_locked:
            return index, "taken", None
        return index, "done", run.function(*run.arguments)
    except Exception:
        return index, "failed", traceback.format_exc()
    finally:
        if lock and lock.is_locked:
            with contextlib.suppress(OSError):  # Windows keeps open files
                os.unlink(lock.lock_file)  # while it is held: whoever waits for it finds out and opens a new one
            lock.release()


def lock_of(path: Path) -> Path:
    """The file whose lock says that `path` is being made or written."""
    return path.with_name(f".{path.name}.lock")
