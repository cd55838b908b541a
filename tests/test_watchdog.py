"""No worker process outlives a parent that was killed."""

import os
import subprocess
import sys
import time

import pytest

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
