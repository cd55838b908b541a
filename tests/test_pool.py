"""The machinery of many runs: order, claims, and killed workers."""

import os
import signal
import threading
import time

import pytest
from filelock import FileLock

from utils.pool import Run, RunsFailed, finish, lock_of
from utils.recipe import Recipe

RECIPE = Recipe(lr=1e-3)


def square(seed: int, wait: float = 0.0) -> int:
    time.sleep(wait)
    return seed**2


def killed_at_two(seed: int) -> int:
    if seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory runs out
    return square(seed, 0.1)


def runs(function, count: int, claim=None) -> list[Run]:
    return [Run(RECIPE, seed, function, (seed,), claim) for seed in range(count)]


def test_results_stand_in_the_order_of_the_runs_whichever_ends_first():
    slow_first = [Run(RECIPE, seed, square, (seed, 0.3 if seed == 0 else 0.0)) for seed in range(5)]
    assert finish(slow_first, jobs=2, progress=False) == [0, 1, 4, 9, 16]


def test_a_killed_run_is_named_and_the_others_are_kept():
    named = r"^1 of 5 runs failed: Recipe\(lr=0.001\), seed 2: its process was killed \("
    with pytest.raises(RunsFailed, match=named) as caught:
        finish(runs(killed_at_two, 5), jobs=2, progress=False)
    assert caught.value.finished == [0, 1, 9, 16] and list(caught.value.failed) == [(RECIPE, 2)]


def test_of_many_failed_runs_three_are_named():
    with pytest.raises(RunsFailed, match=r"5 of 5 runs failed: .*seed 0: .*seed 1: .*seed 2: TypeError: .*; and 2 more$"):
        finish(runs(lambda seed: seed + "", 5), jobs=1, progress=False)


def test_a_run_that_another_process_is_at_is_waited_for_and_then_made(tmp_path):
    claim = tmp_path / "seed000.npz"
    lock = FileLock(lock_of(claim), thread_local=False)
    lock.acquire()
    start = time.monotonic()
    threading.Timer(0.7, lock.release).start()
    assert finish(runs(square, 1, claim), jobs=1, progress=False) == [0]
    assert time.monotonic() - start >= 0.7 and not list(tmp_path.iterdir())


def test_ctrl_c_ends_all_the_runs():
    def interrupted(seed: int):
        begun.append(seed)
        raise KeyboardInterrupt

    begun = []
    with pytest.raises(KeyboardInterrupt):
        finish(runs(interrupted, 3), jobs=1, progress=False)
    assert begun == [0]
