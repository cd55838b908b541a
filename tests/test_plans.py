"""The plans are data that every recipe accepts, and record.py makes exactly the recorded runs of them."""

import runpy
import sys
from dataclasses import fields

import pytest

from utils import plans
from utils.recipe import FIXES, RECOMMENDED, Recipe
from utils.sweep import DATA

RECORD = runpy.run_path(str(DATA / "record.py"))


def test_the_fixes_and_the_recommended_recipe_are_those_of_the_plans():
    assert FIXES is plans.FIXES and RECOMMENDED is plans.RECOMMENDED


@pytest.mark.parametrize("group, changes", [(row[0], changes) for row in plans.TABLE for changes in row[1].values()])
def test_a_plan_names_fields_of_a_recipe_and_keeps_its_own_rate_to_the_column(group, changes):
    assert set(changes) <= {field.name for field in fields(Recipe)} - {"lr"} | {"remedy"}
    assert RECORD["experiment"](group, "fix", changes, 1e-3, 1, 1).remedy == changes.get("remedy", "none")


def test_no_run_stands_in_the_table_twice():
    lines = [tuple(line.values()) for one in RECORD["FIX_PLAN"] for line in one.lines()]
    assert len(lines) == len(set(lines))


def test_a_fix_of_the_cured_game_is_on_top_of_the_cure():
    (hinge,) = (one for one in RECORD["FIX_PLAN"] if (one.group, one.fix, one.recipe.lr) == ("cured", "hinge", 1e-3))
    assert hinge.recipe == Recipe(lr=1e-3, normalise=True, latent=64, loss="hinge")


def test_without_a_part_is_the_whole_recipe_less_that_part():
    for group, whole in (("reduced", RECOMMENDED), ("without", plans.COMBINATION)):
        without = {one.fix: one.recipe for one in RECORD["FIX_PLAN"] if one.group == group}
        assert without["without depth"] == Recipe(lr=1e-3, **whole | {"layers": 1})
        assert all(recipe != Recipe(lr=1e-3, **whole) for recipe in without.values())


def test_the_controls_end_at_the_recommended_recipe():
    *_, last = plans.CONTROLS.values()
    assert Recipe(**plans.NETWORKS, **last, alternating=True) == Recipe(**RECOMMENDED)
    assert len(RECOMMENDED) < len(plans.COMBINATION) and Recipe(**plans.NETWORKS).penalty == "none"


def test_the_atlas_is_asked_for_at_iterations_that_a_run_can_reach():
    for _, lr, _, cap in (*plans.RECORDINGS, ("pulses", 6e-4, 3, 300)):  # and in a short one, too
        iterations = RECORD["atlas_iterations"](lr, cap)
        assert iterations == sorted(set(iterations)) and 1 <= iterations[0] and iterations[-1] <= cap


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--jobs", "0"], "jobs must be at least 1, or -1 for one a processor core, not 0"),
        (["--jobs", "1.5"], "invalid int value: '1.5'"),
        (["nonsense"], "there is no recording named nonsense; there are pulses_lr1e-5,"),
    ],
)
def test_record_refuses_in_one_sentence(arguments, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["record.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        RECORD["main"]()
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_record_makes_nothing_where_all_is_recorded(monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in DATA.rglob("*") if path.is_file()}
    monkeypatch.setattr(sys, "argv", ["record.py", "digits_lr1e-3", "fixes/bar"])
    RECORD["main"]()
    assert capsys.readouterr().out == "digits_lr1e-3: 40 runs, each to its NaN or to 200 iterations\nfixes: 42 runs\n"
    after = {path: path.stat().st_mtime_ns for path in DATA.rglob("*") if path.is_file()}
    assert {path: time for path, time in after.items() if not path.name.startswith(".")} == before
