"""Remake the recorded runs of this folder: `make record`, or `python data/record.py [NAME ...]` for some of them.

What is recorded stands in utils/plans.py. A run whose file is there is kept; delete the file to remake it. An interrupted
recording goes on where it stopped, and several of these commands may run at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils.hazard import hazard
from utils.plans import RECORDINGS, TABLE, WITH_HAZARD
from utils.recipe import Recipe, rate_text
from utils.sweep import Experiment, check_jobs, record, tabulate

FOLDER = Path(__file__).parent


def experiment(group: str, fix: str, changes: dict, lr: float, seeds: int, cap: int, count: int | None = None) -> Experiment:
    """A line of the plan; among the changes of the recipe may stand a remedy."""
    changes = {"remedy": "none", "lr": lr} | changes
    remedy = changes.pop("remedy")
    return Experiment(group, fix, Recipe(**changes), seeds, cap, count, remedy)


FIX_PLAN = [
    experiment(group, fix, changes, lr, *sizes)
    for group, fixes, rates, *sizes in TABLE
    for fix, changes in fixes.items()
    for lr in rates
]


def atlas_iterations(lr: float, cap: int) -> list[int]:
    """Ten a decade, and evenly over the length that a run at that rate has: what the recorded atlas of seed 0 shows."""
    if lr >= 1e-3:
        return list(range(1, cap + 1))
    decades = {round(10 ** (tenth / 10)) for tenth in range(40)}
    return sorted(at for at in decades | set(range(0, cap, round(0.1 / lr))) if 0 < at <= cap)


def record_folder(name: str, data: str, lr: float, seeds: int, cap: int, jobs: int) -> None:
    """Record one folder of runs, such as pulses_lr1e-3."""
    print(f"{name}: {seeds} runs, each to its NaN or to {cap:,} iterations", flush=True)
    watch = {"hazard": hazard} if (data, lr) == WITH_HAZARD else None
    atlas_at = {0: atlas_iterations(lr, cap)}
    record(FOLDER / name, Recipe(lr=lr, data=data), range(seeds), cap, jobs=jobs, atlas_at=atlas_at, watch=watch)


def main() -> None:
    """Read the command line and record."""
    recordings = {f"{data}_lr{rate_text(lr)}": (data, lr, seeds, cap) for data, lr, seeds, cap in RECORDINGS}
    names = [*recordings, "fixes", *dict.fromkeys(f"fixes/{one.group}" for one in FIX_PLAN)]
    parser = argparse.ArgumentParser(description="Remake the recorded runs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(names)} (all of them by default)")
    parser.add_argument("--jobs", type=int, default=-1, help="runs at a time (default: one a processor core)")
    arguments = parser.parse_args()
    try:
        check_jobs(arguments.jobs)
    except ValueError as error:
        parser.error(str(error))
    if unknown := sorted(set(arguments.names) - set(names)):
        parser.error(f"there is no recording named {', '.join(unknown)}; there are {', '.join(names)}")
    wanted = set(arguments.names or names)
    for name, recording in recordings.items():
        if name in wanted:
            record_folder(name, *recording, arguments.jobs)
    experiments = [one for one in FIX_PLAN if wanted & {"fixes", f"fixes/{one.group}"}]
    if experiments:
        print(f"fixes: {sum(one.seeds for one in experiments)} runs", flush=True)
        tabulate(FOLDER / "fixes.csv", experiments, jobs=arguments.jobs)


if __name__ == "__main__":
    main()
