"""The machinery of many runs: order, claims, killed workers, and no worker that outlives its parent."""

import os
import signal
import subprocess
import sys
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


SCRIPT = """
import os, sys, time
from utils.pool import Run, finish
from utils.recipe import Recipe

def begin(seed, folder=sys.argv[1]):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    end = time.monotonic() + 600
    while time.monotonic() < end:  # busy, as a run is
        pass
finish([Run(Recipe(), seed, begin, (seed,)) for seed in range(2)], 2, False)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_no_worker_outlives_a_killed_parent(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    workers = tmp_path / "workers"
    workers.mkdir()
    parent = subprocess.Popen([sys.executable, tmp_path / "script.py", workers], stderr=subprocess.DEVNULL)
    while len(list(workers.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    end, left = time.monotonic() + 10, [int(path.name) for path in workers.iterdir()]
    while left and time.monotonic() < end:
        time.sleep(0.1)
        left = [worker for worker in left if alive(worker)]
    assert not left


def alive(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")
