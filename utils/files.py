"""Files that are never left half written, and what a run was made with.

Imports nothing of utils.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import glob
import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch


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
