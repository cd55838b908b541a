"""What a run asks of the machine: one thread, interrupts that wait, files that are never left half written; and its name.

Uses checks.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import glob
import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from utils.checks import file_path

# The number of threads is torch's own for each Python thread; a new one starts with the number that was set last.
_running, _threads_before, _here, _lock = 0, 1, threading.local(), threading.Lock()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, the old number afterwards; may be nested, and entered in several Python threads at once.

    The networks here are small: one thread is faster than two, and the bits do not depend on the user's number.
    """
    global _running, _threads_before
    if getattr(_here, "inside", False):
        yield
        return
    with _lock:
        before = torch.get_num_threads()
        if _running == 0:
            _threads_before = before
        elif before == 1:  # a Python thread that started during another run found that run's number
            before = _threads_before
        _running += 1
        torch.set_num_threads(1)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        with _lock:
            _running -= 1
            torch.set_num_threads(before)


@contextlib.contextmanager
def interrupts_wait() -> Iterator[Callable[[], bool]]:
    """Ctrl-C inside only makes the function that this yields say True, so that what is under way ends whole.

    One more, 3 seconds later or more, does not wait. In another thread, or where somebody handles interrupts, nothing changes.
    """
    pressed = []

    def press(number, frame):
        pressed.append(time.monotonic())
        if pressed[-1] - pressed[0] > 3:
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` if the block ends well, else it is deleted.

    What killed processes left beside the same path is deleted first. PermissionError, in one sentence, if another program
    keeps `path` open, where the system does not let it be replaced then (Windows).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f".{path.name}.{platform.node()}-"
    for left in path.parent.glob(glob.escape(start) + "*.tmp"):
        if not _alive(left.name[len(start) :].split("-")[0]):
            left.unlink(missing_ok=True)
    unfinished = path.with_name(f"{start}{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield unfinished
        _replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def writable(name: str, value) -> Path:
    """`value` as the path of a file that can be written: its folder is made, and a temporary file in it tried."""
    path = file_path(name, value)
    try:
        with replacing(path) as tried:
            tried.touch()
            raise InterruptedError  # what is there stays
    except InterruptedError:
        return path
    except OSError as error:
        raise ValueError(f"{name} must be a file that can be written, not {path} ({error.strerror or error})") from None


def _alive(process: str) -> bool:
    """May a process of this machine still be writing? On Windows nobody asks: there, os.kill would end it."""
    if os.name == "nt" or not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _replace(source: Path, target: Path) -> None:
    for wait in (0.05, 0.1, 0.2, 0.4, 0.8, None):
        try:
            return os.replace(source, target)
        except PermissionError:
            if wait is None:
                raise PermissionError(f"{target} cannot be replaced: is it open in another program?") from None
            time.sleep(wait)


@functools.cache
def machine() -> dict[str, str]:
    """What a run was made with: versions, processor, commit ("+" if the files of utils differ from it)."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor}, {os.cpu_count()} cores",
        "commit": _commit(),
    }


def provenance() -> dict[str, str]:
    """machine() and today's date."""
    return machine() | {"date": datetime.date.today().isoformat()}


def _commit() -> str:
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", str(folder)) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
