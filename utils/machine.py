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
import re
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
    if getattr(_here, "inside", False):  # to set the number again would cost more than all the rest here
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
    pressed, default = [], signal.default_int_handler

    def press(number, frame):
        pressed.append(time.monotonic())
        if pressed[-1] - pressed[0] > 3:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is default
    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        if ours:
            signal.signal(signal.SIGINT, default)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` if the block ends well, else it is deleted.

    What killed processes left beside the same path is deleted first. PermissionError, in one sentence, if another program
    keeps `path` open, where the system does not let it be replaced then (Windows).
    """
    unfinished = _unfinished(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(platform.node())}-*-*.tmp"):
        if _ended(left.name.split("-")[-2]):
            left.unlink(missing_ok=True)
    try:
        yield unfinished
        _replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def writable(name: str, value) -> Path:
    """`value` as the path of a file that can be written: its folder is made, and a temporary file in it tried."""
    path = file_path(name, value)
    try:
        tried = _unfinished(path)
        tried.touch()
        tried.unlink()
    except OSError as error:
        raise ValueError(f"{name} must be a file that can be written, not {path} ({error.strerror or error})") from None
    return path


def _unfinished(path: Path) -> Path:
    """This thread's temporary path beside `path`, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}-{threading.get_ident()}.tmp")


def _ended(process: str) -> bool:
    """Is that process of this machine no more? On Windows nobody asks: there, os.kill would end it."""
    try:
        if os.name != "nt" and process.isdecimal():
            os.kill(int(process), 0)
    except PermissionError:  # somebody else's
        return False
    except (ProcessLookupError, OverflowError):
        return True
    return False


def _replace(source: Path, target: Path) -> None:
    for wait in (0.05, 0.1, 0.2, 0.4, 0.8):
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(wait)
    raise PermissionError(f"{target} cannot be replaced: is it open in another program?")


def provenance() -> dict[str, str]:
    """What a run is made with: versions, processor, commit ("+" if the files of utils differ from it), today's date."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: *(.*)", cpuinfo.read_text() if cpuinfo.is_file() else "", re.MULTILINE)
    return names[0].strip() if names else platform.processor() or platform.machine()


@functools.cache
def _commit() -> str:
    def git(*asked: str) -> str:
        return subprocess.check_output(["git", *asked], cwd=Path(__file__).parent, stderr=subprocess.DEVNULL, text=True).strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
