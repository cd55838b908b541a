"""How a run ended, from its last batch, and what a fix did to the NaN; the outcomes of rows are tested beside measure()."""

import math

import numpy as np
import pandas as pd
import pytest

from utils.hazard import cliffs
from utils.metrics import measure
from utils.plans import MASKS
from utils.recipe import Recipe
from utils.sweep import recorded, table
from utils.verdicts import arithmetic, excluded, ratio_of_lives, verdicts

NAIVE = {lr: [trace.nan_at for trace in recorded(f"pulses_lr{name}")] for lr, name in ((1e-3, "1e-3"), (1e-4, "1e-4"))}


def test_how_a_run_ended_is_told_from_its_last_batch():
    row, trace = measure(Recipe(lr=1e-3), 60)
    fake = trace.last_batch["fake_logits"]
    assert row["term"] == "log(1 - D(G(z)))" and row["first_broken"] == "D" and row["broken"] == 1
    assert row["beyond"] == (fake > cliffs()[1]).sum() >= 1 and row["fatal_logit"] == fake.max()
    assert row["fatal_z"] == trace.last_batch["z"][fake.argmax(), 0]
    row, trace = measure(Recipe(lr=1e-3), 60, 0, None, "RMSprop")
    assert row["term"] == "log D(G(z))" and row["first_broken"] == "G"
    assert row["fatal_logit"] == trace.last_batch["fake_logits"].min() < cliffs()[0]
    assert "term" not in measure(Recipe(data="ring", hidden_d=64), 5)[0]


@pytest.mark.parametrize(
    "loss, remedy, expected",
    [
        ("matlab", "none", "cliff"), ("matlab", "float64", "cliff"), ("matlab", "logits cut", "cut"),
        ("matlab", "logits bent", "cut"), ("bce", "none", "cut"), ("epsilon", "none", "cut"), ("clamp", "none", "cut"),
        ("logits", "none", "sound"), ("lsgan", "none", "sound"), ("wgan", "none", "sound"), ("relativistic", "none", "sound"),
    ],
)  # fmt: skip
def test_the_arithmetic_of_a_loss(loss, remedy, expected):
    assert arithmetic(loss, remedy) == expected


def test_clean_runs_exclude_a_chance():
    assert excluded(5) == pytest.approx(1 - 0.05**0.2) and 0.45 < excluded(5) < 0.46 and math.isnan(excluded(0))


def test_the_ratio_is_that_of_geometric_means_and_its_interval_holds_it():
    ratio, low, high = ratio_of_lives([20, 80], [10, 10, 10, 40])
    assert ratio == pytest.approx(40 / 200**0.5) and low < ratio < high
    many = ratio_of_lives([20, 80] * 20, [10, 10, 10, 40] * 20)
    assert many[0] == pytest.approx(ratio) and low < many[1] < many[2] < high


def test_a_life_that_was_stopped_counts_with_the_cap_on_both_sides():
    assert ratio_of_lives([100, 100], [200, 300], cap=100)[0] == 1
    ratio, low, high = ratio_of_lives([100, 100], [20, 30], cap=100)
    assert ratio == pytest.approx(100 / 600**0.5) and high == math.inf and low < ratio
    assert ratio_of_lives([5, 6, 4], [20, 30, 25, 22] * 5, cap=100)[2] < 1


@pytest.mark.parametrize("lr, seeds", [(1e-3, 5), (1e-4, 3)])
def test_naive_runs_themselves_are_seldom_said_to_delay_or_hasten(lr, seeds):
    lives, random, wrong = np.array(NAIVE[lr]), np.random.default_rng(0), 0
    for _ in range(100):
        order = random.permutation(len(lives))
        _, low, high = ratio_of_lives(lives[order[:seeds]], lives[order[seeds:]])
        wrong += low > 1 or high < 1
    assert wrong <= 6  # 1 expected at 99 %; of a binomial with 2 %, more than 6 come once in 250 times


def test_a_factor_of_three_is_seen_with_five_seeds():
    lives = np.array(NAIVE[1e-3])
    assert all(ratio_of_lives(3 * lives[at : at + 5], lives)[1] > 1 for at in range(0, 100, 5))
    assert all(ratio_of_lives(lives[at : at + 5] / 3, lives)[2] < 1 for at in range(0, 100, 5))


def runs(fix, nan_at, outcome=None, broken=0, recipe="lr=0.001", remedy="none", cap=2000):
    """Rows of one fix at 1e-3."""
    ends = pd.array(nan_at, dtype="Int64")
    rows = {"fix": fix, "lr": 1e-3, "seed": range(len(ends)), "cap": cap, "nan_at": ends, "broken": broken, "recipe": recipe}
    return pd.DataFrame(rows | {"remedy": remedy, "outcome": outcome or ["poor" if pd.isna(end) else "NaN" for end in ends]})


NEVER = [pd.NA] * 5


@pytest.mark.parametrize(
    "rows, expected",
    [
        (runs("later", [60, 55, 70, 66, 48], broken=1), "delays"),
        (runs("never, but once", [*NEVER[1:], 400], broken=1), "delays"),
        (runs("sooner", [3, 3, 4, 2, 3], broken=1), "hastens"),
        (runs("as soon", [14, 15, 12, 11, 17], broken=1), "no help"),
        (runs("logits", NEVER, recipe="lr=0.001; loss='logits'"), "cures"),
        (runs("naive", NEVER), "unproven"),
        (runs("bce", NEVER, "dead", recipe="lr=0.001; loss='bce'"), "masks"),
        (runs("on and on", NEVER, "dead", broken=1994, remedy="steps skipped"), "masks"),
        (runs("once", NEVER, broken=1, remedy="restarts"), "masks"),
        (runs("dead", NEVER, "dead", recipe="lr=0.001; loss='logits'"), "dead"),
    ],
)
def test_the_verdict_is_one_rule_for_all(rows, expected):
    found = verdicts(rows, NAIVE).iloc[0]
    assert found["verdict"] == expected and found["n"] == 5
    assert (found["ended"] == 0) == (not math.isnan(found["excluded"]))
    assert (found["high"] == math.inf) == rows["nan_at"].isna().any()


def test_the_longest_run_of_a_seed_counts():
    rows = pd.concat([runs("later", NEVER), runs("later", [2500, 2400, 2600, 2700, 2800], broken=1, cap=9000)])
    found = verdicts(rows, NAIVE).iloc[0]
    assert (found["n"], found["ended"], found["cap"], found["verdict"]) == (5, 5, 9000, "delays")


def test_the_recorded_fixes_have_the_verdicts_that_the_series_tells():
    rows = table("fixes.csv").query("group in ('bar', 'naive', 'tried') and data == 'pulses' and fix != 'no fix'")
    found = verdicts(rows, NAIVE | {1e-5: [trace.nan_at for trace in recorded("pulses_lr1e-5")]})
    words = found["verdict"].unstack()
    assert set(words[1e-3].dropna()) <= {"cures", "masks", "delays", "hastens", "no help", "unproven", "dead"}
    assert (words.loc[list(MASKS), 1e-3] == "masks").all() and (words.loc[["logits loss"]] == "cures").all(axis=None)
    assert words.loc["averaged G", 1e-3] == "no help" and words.loc["faster D", 1e-3] == "hastens"
    assert found.loc[("warm-up", 1e-3), "low"] > 5
