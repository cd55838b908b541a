"""Tables of runs: what tabulate writes, and when, and what table reads back."""

import math

import pytest

from utils import sweep
from utils.metrics import quality
from utils.recipe import Recipe
from utils.sweep import Experiment, recipe_of, table, tabulate
from utils.training import GAN, train

ODD = 10**-3.5  # a rate of seventeen digits
PLAN = [
    Experiment("naive", "no fix", Recipe(), 2, 50),  # a recipe without a change
    Experiment("cured", "R1", Recipe(lr=ODD, penalty="r1", loss="logits"), 2, 50),
    Experiment("cured", "hinge", Recipe(data="ring", loss="hinge", normalise=True), 1, 20),
]


def answer(recipe, iterations, seed=0, count=None):
    """What metrics.measure might say, at once."""
    row = {"data": recipe.data, "lr": recipe.lr, "seed": seed, "iterations": iterations, "nan_at": None, "first_broken": None}
    row |= {"alive": True, "fake_max": 3.14159265 + seed, "cpu_ms": 2.0}
    if recipe.loss == "matlab":
        return row | {"nan_at": 12 + seed, "first_broken": "D", "alive": False, "outcome": "NaN"}, None
    return row | ({"modes": 8.0} if recipe.data == "ring" else {"plausible": math.nan}) | {"outcome": "poor"}, None


@pytest.fixture
def measured(monkeypatch):
    """The (data, lr, seed) that were measured."""
    calls = []
    monkeypatch.setattr(sweep, "measure", lambda *run: (calls.append((run[0].data, run[0].lr, run[2])), answer(*run))[1])
    return calls


def make(path, plan=PLAN):
    return tabulate(path, plan, jobs=1, progress=False)


def test_an_experiment_is_as_many_lines_as_seeds():
    assert [line["seed"] for line in PLAN[0].lines()] == [0, 1] and PLAN[0].lines()[0]["recipe"] == ""
    assert PLAN[1].lines()[1] == {
        "group": "cured", "fix": "R1", "data": "pulses", "lr": ODD, "cap": 50,
        "recipe": f"lr={ODD!r}; loss='logits'; penalty='r1'", "seed": 1,
    }  # fmt: skip


def test_a_table_is_written_after_each_run_and_read_back_with_types(tmp_path, measured, monkeypatch):
    path, there = tmp_path / "new" / "fixes.csv", []
    counting = sweep.measure

    def looking(*run):
        there.append(len(table(path)) if path.exists() else 0)
        return counting(*run)

    monkeypatch.setattr(sweep, "measure", looking)
    rows = make(path)
    assert there == [0, 1, 2, 3, 4] and len(measured) == 5
    assert repr(rows) == repr(table(path))
    assert [(row["group"], row["fix"], row["seed"]) for row in rows] == [
        ("cured", "R1", 0), ("cured", "R1", 1), ("cured", "hinge", 0), ("naive", "no fix", 0), ("naive", "no fix", 1),
    ]  # fmt: skip
    naive, cured, ring = rows[4], rows[0], rows[2]
    assert (naive["nan_at"], naive["first_broken"], naive["alive"], naive["outcome"]) == (13, "D", False, "NaN")
    assert naive["recipe"] == "" and naive["plausible"] is None and naive["modes"] is None
    assert (cured["nan_at"], cured["first_broken"], cured["alive"]) == (None, None, True)
    assert cured["lr"] == ODD and cured["fake_max"] == 3.1416 and math.isnan(cured["plausible"])
    assert (ring["modes"], ring["data"], ring["cap"]) == (8, "ring", 20) and ring["recipe"].endswith("normalise=True")
    assert all(isinstance(row["torch"], str) and row["date"].startswith("20") and row["commit"] for row in rows)
    assert [type(naive[name]) for name in ("seed", "cap", "lr", "alive")] == [int, int, float, bool]


def test_a_full_table_is_not_made_again_and_two_tables_are_the_same_bytes(tmp_path, measured):
    make(tmp_path / "one.csv")
    first, count = (tmp_path / "one.csv").read_bytes(), len(measured)
    make(tmp_path / "one.csv")
    assert len(measured) == count and (tmp_path / "one.csv").read_bytes() == first
    make(tmp_path / "two.csv")
    assert (tmp_path / "two.csv").read_bytes() == first


def test_an_interrupted_table_goes_on_with_the_runs_it_lacks(tmp_path, measured, monkeypatch):
    path, counting = tmp_path / "fixes.csv", sweep.measure

    def interrupted(*run):
        if len(measured) == 3:
            raise KeyboardInterrupt
        return counting(*run)

    monkeypatch.setattr(sweep, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(path)
    assert len(table(path)) == 3 and [file.name for file in tmp_path.iterdir()] == ["fixes.csv"]
    monkeypatch.setattr(sweep, "measure", counting)
    assert len(make(path)) == 5
    assert measured[3:] == [("pulses", ODD, 1), ("ring", 1e-4, 0)]
    # a longer plan only makes what is new
    assert len(make(path, [*PLAN, Experiment("bar", "no fix", Recipe(), 1, 50)])) == 6 and len(measured) == 6


def test_an_experiment_may_be_scored_on_more_samples(tmp_path):
    recipe = Recipe(data="ring", loss="logits", hidden_g=16, hidden_d=16)
    few, many = (
        tabulate(tmp_path / f"{count}.csv", [Experiment("test", "logits", recipe, 1, 5, count)], jobs=1, progress=False)[0]
        for count in (10, 400)
    )
    assert few["reverse_kl"] != many["reverse_kl"]
    gan = GAN(recipe)
    train(gan, 5, progress=False)
    assert few["reverse_kl"] == pytest.approx(quality(gan, 10)["reverse_kl"], rel=1e-4)
    assert many["reverse_kl"] == pytest.approx(quality(gan, 400)["reverse_kl"], rel=1e-4)


def test_an_empty_plan_is_an_empty_table(tmp_path):
    assert make(tmp_path / "none.csv", []) == [] and not (tmp_path / "none.csv").exists()


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no table at .*nothing.csv; data/README.md says how to remake it"):
        table(tmp_path / "nothing.csv")


def test_real_runs_in_two_processes_make_the_table_that_one_makes(tmp_path):
    recipe = Recipe(data="ring", loss="logits", hidden_g=16, hidden_d=16, layers=2)
    plan = [Experiment("test", "logits", recipe, 3, 20)]
    one, two = tabulate(tmp_path / "1.csv", plan, jobs=1), tabulate(tmp_path / "2.csv", plan, jobs=2)
    assert [row["seed"] for row in one] == [0, 1, 2] and {row["outcome"] for row in one} == {"poor"}
    for row, other in zip(one, two, strict=True):
        assert row | {"cpu_ms": 0} == other | {"cpu_ms": 0}


def test_the_recipe_of_a_line_is_the_one_that_made_it():
    recipes = [Recipe(), Recipe(lr=3e-5, loss="wgan", penalty="wgan-gp", gamma=10.0, normalise=True, anneal=100, ema=0.9)]
    for recipe in recipes:
        (line,) = Experiment("group", "fix", recipe, 1, 10).lines()
        assert recipe_of(line) == recipe
