"""Remake the recorded runs of this folder: `make record`, or `python data/record.py [NAME ...]` for some of them.

A run whose file is there is kept; delete the file to remake it. An interrupted recording goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils.hazard import hazard
from utils.recipe import FIXES, RECOMMENDED, Recipe, rate_text
from utils.sweep import Experiment, record, tabulate

FOLDER = Path(__file__).parent
# (recipe, number of seeds: 0, 1, 2 ..., cap in iterations), the longest first
PLAN = [
    (Recipe(lr=1e-5), 8, 400_000),
    (Recipe(lr=1e-5, data="digits"), 2, 400_000),
    (Recipe(lr=1e-4), 24, 60_000),
    (Recipe(lr=1e-4, data="digits"), 8, 60_000),
    (Recipe(lr=1e-3), 100, 200),
    (Recipe(lr=1e-3, data="digits"), 40, 200),
]
WITH_HAZARD = [Recipe(lr=1e-4)]  # whose recordings also hold the chance of the collapse, every fourth iteration

# fixes.csv: what became of each fix at each rate. "naive" changes the main recipe, "cured" the same with the logits loss,
# normalised units and a latent wide enough for the family of pulses; "bar" is the logits loss alone, for longer.
RATES = (1e-3, 1e-4, 1e-5)
CURED = {"loss": "logits", "normalise": True, "latent": 64}
MASKS = ["BCELoss", "log(. + 1e-8)", "clamped score"]
ON_CURED = [fix for fix in FIXES if fix not in ("logits loss", "normalised units", "wider latent", *MASKS)]
SLOW = [*MASKS, "LSGAN", "relativistic", "normalised units", "bounded latent", "gradient clipping"]
# The recommended recipe with one ingredient taken back: what each of them is worth in company.
WITHOUT = {
    "relativistic loss": {"loss": "logits"}, "penalty": {"penalty": "none"}, "alternating updates": {"alternating": False},
    "normalised units": {"normalise": False, "gamma": RECOMMENDED["gamma"] * 20**2},  # the same penalty, in millivolts
    "wider latent": {"latent": 1}, "depth": {"layers": 1},
    "narrow G": {"hidden_g": 512}, "beta1 = 0": {"beta1": 0.5}, "averaged G": {"ema": 0.0}, "annealing": {"anneal": 0},
    "G's own noise": {"grain": False},
}  # fmt: skip
# The same game on ring and grid: the benchmark of notebook 07.
POINTS = {**RECOMMENDED, "latent": 2, "gamma": 0.02, "hidden_g": 128, "batch": 256, "grain": False}
PLAIN = {**POINTS, "loss": "logits", "penalty": "none", "alternating": False, "beta1": 0.5, "beta2": 0.999, "ema": 0.0}
LENGTH = {"ring": 14_000, "grid": 12_000}
# The 25 Gaussians once more, with the networks, latent, batch, length and samples of a textbook draft of 2026 (notebook 07):
# its own two games, ours at its rate, and ours at rates that were searched for on seed 0, then corrected twice.
DRAFT = {"data": "grid", "layers": 2, "hidden_g": 256, "hidden_d": 256, "latent": 64, "batch": 256, "beta1": 0.0, "beta2": 0.99}
OURS = {name: POINTS[name] for name in ("loss", "penalty", "gamma", "alternating", "normalise", "ema")} | {"anneal": 20_000}
DRAFTS = {
    "recommended": (Recipe(lr=2e-3, d_rate=0.5, head_start=2000, **DRAFT, **OURS), 10),
    "recommended, no head start": (Recipe(lr=2e-3, d_rate=0.5, **DRAFT, **OURS), 8),
    "recommended, no head start, D as fast": (Recipe(lr=2e-3, **DRAFT, **OURS), 4),
    "at the draft's rate": (Recipe(lr=2e-4, head_start=2000, **DRAFT, **OURS), 3),
    "at the draft's rate, latent of 2": (Recipe(lr=2e-4, head_start=2000, **DRAFT | {"latent": 2}, **OURS), 3),
    "relativistic+R1+R2": (Recipe(lr=2e-4, **DRAFT, loss="relativistic", penalty="r1+r2"), 3),
    "GAN": (Recipe(lr=2e-4, **DRAFT, loss="logits"), 3),
}
FIX_PLAN = [
    *(Experiment("recommended", "recommended", Recipe(lr=lr, **RECOMMENDED), 10, 20_000) for lr in RATES),
    *(Experiment("bar", "logits loss", Recipe(lr=lr, loss="logits"), 20, 20_000) for lr in (1e-3, 1e-4)),
    Experiment("bar", "logits loss", Recipe(lr=1e-5, loss="logits"), 2, 300_000),
    *(Experiment("naive", fix, Recipe(lr=1e-3, **FIXES[fix]), 5, 2_000) for fix in FIXES),
    *(Experiment("cured", fix, Recipe(lr=lr, **{**CURED, **FIXES[fix]}), 4, 3_000) for fix in ON_CURED for lr in RATES[:2]),
    *(Experiment("naive", fix, Recipe(lr=1e-4, **FIXES[fix]), 2, 20_000) for fix in SLOW),
    *(Experiment("naive", fix, Recipe(lr=1e-5, **FIXES[fix]), 2, 300_000) for fix in MASKS),
    *(
        Experiment("benchmark", fix, Recipe(lr=1e-3, data=data, **{**changes, "anneal": LENGTH[data]}), 10, LENGTH[data])
        for fix, changes in (("recommended", POINTS), ("plain GAN", PLAIN))
        for data in LENGTH
    ),
    *(Experiment("draft", fix, recipe, seeds, 20_000, 10_000) for fix, (recipe, seeds) in DRAFTS.items()),
    *(
        Experiment("without", f"without {part}", Recipe(lr=1e-3, **{**RECOMMENDED, **change}), 5, 20_000)
        for part, change in WITHOUT.items()
    ),
]


def atlas_iterations(recipe: Recipe, cap: int) -> list[int]:
    """Ten a decade, and evenly over the length that a run at that rate has: what the recorded atlas of seed 0 shows."""
    if recipe.lr >= 1e-3:
        return list(range(1, cap + 1))
    decades = {round(10 ** (tenth / 10)) for tenth in range(40)}
    return sorted(decades | set(range(0, cap, round(0.1 / recipe.lr))) - {0})


def name(recipe: Recipe) -> str:
    """The folder of a recipe's runs, such as pulses_lr1e-3."""
    return f"{recipe.data}_lr{rate_text(recipe.lr)}"


if __name__ == "__main__":
    groups = list(dict.fromkeys(f"fixes/{one.group}" for one in FIX_PLAN))
    names = [name(recipe) for recipe, _, _ in PLAN] + ["fixes", *groups]
    parser = argparse.ArgumentParser(description="Remake the recorded runs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(names)} (all of them by default)")
    parser.add_argument("--jobs", type=int, default=-1, help="runs at a time (default: one a processor core)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"there is no recording named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for recipe, seeds, cap in PLAN:
        if not arguments.names or name(recipe) in arguments.names:
            print(f"{name(recipe)}: {seeds} runs, each to its NaN or to {cap:,} iterations", flush=True)
            watch = {"hazard": hazard} if recipe in WITH_HAZARD else None
            record(
                FOLDER / name(recipe), recipe, range(seeds), cap, jobs=arguments.jobs,
                atlas_at={0: atlas_iterations(recipe, cap)}, watch=watch,
            )  # fmt: skip
    all_of_it = not arguments.names or "fixes" in arguments.names
    experiments = [one for one in FIX_PLAN if all_of_it or f"fixes/{one.group}" in arguments.names]
    if experiments:
        print(f"fixes: {sum(one.seeds for one in experiments)} runs", flush=True)
        tabulate(FOLDER / "fixes.csv", experiments, jobs=arguments.jobs)
