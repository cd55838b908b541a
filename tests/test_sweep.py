"""Sweeps, recordings and tables of runs: what is made, kept and refused, here, on a cluster, by several processes."""

import itertools
import json
import math
import os
import subprocess
import sys
import time

import joblib
import numpy as np
import pandas as pd
import pytest
from same import same

from utils import sweep as sweeping
from utils.hazard import hazard
from utils.metrics import quality
from utils.recipe import Recipe
from utils.sweep import Experiment, RunsFailed, record, recorded, sweep, table, tabulate
from utils.trace import Trace
from utils.training import GAN, train

ODD = 10**-3.5  # a rate of seventeen digits
SMALL = Recipe(data="ring", loss="logits", hidden_g=16, hidden_d=16)
PLAN = [
    Experiment("naive", "no fix", Recipe(), 2, 50),  # a recipe without a change
    Experiment("cured", "R1", Recipe(lr=ODD, penalty="r1", loss="logits"), 2, 50),
    Experiment("cured", "hinge", Recipe(data="ring", loss="hinge", normalise=True), 1, 20),
]


def answer(recipe, iterations, seed=0, count=None, remedy="none", checkpoint=None):
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
    monkeypatch.setattr(sweeping, "measure", lambda *run: (calls.append((run[0].data, run[0].lr, run[2])), answer(*run))[1])
    return calls


def made(rows):
    """What a run made, without when and from which working copy: somebody may commit, or midnight pass, during a test."""
    return rows.drop(columns=["cpu_ms", "commit", "date"])


def make(path, plan=PLAN):
    return tabulate(path, plan, jobs=1, progress=False)


def test_an_experiment_is_as_many_lines_as_seeds():
    assert [line["seed"] for line in PLAN[0].lines()] == [0, 1] and PLAN[0].lines()[0]["recipe"] == ""
    assert PLAN[1].lines()[1] == {
        "group": "cured", "fix": "R1", "data": "pulses", "lr": ODD, "cap": 50,
        "recipe": f"lr={ODD!r}; loss='logits'; penalty='r1'", "remedy": "none", "seed": 1,
    }  # fmt: skip


def test_a_table_is_written_after_each_run_and_read_back_with_types(tmp_path, measured, monkeypatch):
    path, there = tmp_path / "new" / "fixes.csv", []
    counting = sweeping.measure

    def looking(*run):
        there.append(len(table(path)) if path.exists() else 0)
        return counting(*run)

    monkeypatch.setattr(sweeping, "measure", looking)
    rows = make(path)
    assert there == [0, 1, 2, 3, 4] and len(measured) == 5
    pd.testing.assert_frame_equal(rows, table(path))
    assert list(rows[["group", "fix", "seed"]].itertuples(index=False, name=None)) == [
        ("cured", "R1", 0), ("cured", "R1", 1), ("cured", "hinge", 0), ("naive", "no fix", 0), ("naive", "no fix", 1),
    ]  # fmt: skip
    cured, _, ring, _, naive = rows.to_dict("records")
    assert (naive["nan_at"], naive["first_broken"], naive["alive"], naive["outcome"]) == (13, "D", False, "NaN")
    assert naive["recipe"] == "" and math.isnan(naive["plausible"]) and math.isnan(naive["modes"])
    assert pd.isna(cured["nan_at"]) and pd.isna(cured["first_broken"]) and cured["alive"]
    assert cured["lr"] == ODD and cured["fake_max"] == 3.1416 and math.isnan(cured["plausible"])
    assert (ring["modes"], ring["data"], ring["cap"]) == (8, "ring", 20) and ring["recipe"].endswith("normalise=True")
    assert rows["date"].str.startswith("20").all() and rows[["torch", "commit"]].notna().all(axis=None)


def test_a_full_table_is_not_made_again_and_two_tables_are_the_same_bytes(tmp_path, measured):
    make(tmp_path / "one.csv")
    first, count = (tmp_path / "one.csv").read_bytes(), len(measured)
    make(tmp_path / "one.csv")
    assert len(measured) == count and (tmp_path / "one.csv").read_bytes() == first
    make(tmp_path / "two.csv")
    assert (tmp_path / "two.csv").read_bytes() == first


def test_an_interrupted_table_goes_on_with_the_runs_it_lacks(tmp_path, measured, monkeypatch):
    path, counting = tmp_path / "fixes.csv", sweeping.measure

    def interrupted(*run):
        if len(measured) == 3:
            raise KeyboardInterrupt
        return counting(*run)

    monkeypatch.setattr(sweeping, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(path)
    assert len(table(path)) == 3 and sorted(file.name for file in tmp_path.iterdir()) == [".fixes.csv.lock", "fixes.csv"]
    monkeypatch.setattr(sweeping, "measure", counting)
    assert len(make(path)) == 5
    assert measured[3:] == [("pulses", ODD, 1), ("ring", 1e-4, 0)]
    # a longer plan only makes what is new
    assert len(make(path, [*PLAN, Experiment("bar", "no fix", Recipe(), 1, 50)])) == 6 and len(measured) == 6


def test_an_experiment_may_be_scored_on_more_samples(tmp_path):
    recipe = Recipe(data="ring", loss="logits", hidden_g=16, hidden_d=16)
    few, many = (
        tabulate(tmp_path / f"{count}.csv", Experiment("test", "logits", recipe, 1, 5, count), jobs=1, progress=False).iloc[0]
        for count in (10, 400)
    )
    assert few["reverse_kl"] != many["reverse_kl"]
    gan = GAN(recipe)
    train(gan, 5, progress=False)
    assert few["reverse_kl"] == pytest.approx(quality(gan, 10)["reverse_kl"], rel=1e-4)
    assert many["reverse_kl"] == pytest.approx(quality(gan, 400)["reverse_kl"], rel=1e-4)


def test_an_empty_plan_is_an_empty_table(tmp_path):
    assert make(tmp_path / "none.csv", []).empty and not (tmp_path / "none.csv").exists()


def test_real_runs_in_two_processes_make_the_table_that_one_makes(tmp_path):
    recipe = Recipe(data="ring", loss="logits", hidden_g=16, hidden_d=16, layers=2)
    plan = [Experiment("test", "logits", recipe, 3, 20)]
    one, two = tabulate(tmp_path / "1.csv", plan, jobs=1), tabulate(tmp_path / "2.csv", plan, jobs=2)
    assert list(one["seed"]) == [0, 1, 2] and set(one["outcome"]) == {"poor"}
    pd.testing.assert_frame_equal(made(one), made(two))


# ---- nothing lost, nothing twice


def test_seeds_may_come_from_a_generator_and_serve_every_recipe(tmp_path):
    recipes = [SMALL, Recipe(data="grid", loss="logits", hidden_g=16, hidden_d=16)]
    traces = sweep(iter(recipes), (seed for seed in range(2)), 3, jobs=1)
    assert [(trace.recipe, trace.seed) for trace in traces] == list(itertools.product(recipes, range(2)))
    paths = record(tmp_path, SMALL, (seed for seed in range(2)), 3, jobs=1)
    assert [path.name for path in paths] == ["seed000.npz", "seed001.npz"] and len(recorded(tmp_path)) == 2


def test_ctrl_c_in_a_sweep_is_no_survivor_and_keeps_what_a_recording_has(tmp_path, monkeypatch):
    begun, training = [], sweeping.train

    def cut(recipe, iterations, seed, **options):
        begun.append(seed)
        return training(recipe, 2 if seed == 1 else iterations, seed, **options)  # as train does when Ctrl-C cuts it short

    monkeypatch.setattr(sweeping, "train", cut)
    with pytest.raises(KeyboardInterrupt):
        sweep(SMALL, range(3), 4, jobs=1)
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, SMALL, range(3), 4, jobs=1)
    assert begun == [0, 1, 0, 1] and [trace.seed for trace in recorded(tmp_path)] == [0]


def test_a_run_that_fails_is_named_and_the_others_are_kept(tmp_path, monkeypatch):
    def failing(recipe, iterations, seed, **options):
        if seed == 1:
            raise MemoryError("no room")
        return train(recipe, iterations, seed, **options)

    monkeypatch.setattr(sweeping, "train", failing)
    named = r"^1 of 3 runs failed: Recipe\(data='ring', .*\), seed 1: MemoryError: no room$"
    with pytest.raises(RunsFailed, match=named) as caught:
        sweep(SMALL, range(3), 3, jobs=1)
    assert [trace.seed for trace in caught.value.finished] == [0, 2] and list(caught.value.failed) == [(SMALL, 1)]
    with pytest.raises(RunsFailed, match="seed 1: MemoryError: no room"):
        record(tmp_path, SMALL, range(3), 3, jobs=1)
    assert [trace.seed for trace in recorded(tmp_path)] == [0, 2]


def test_a_run_of_a_table_that_fails_is_named_and_the_others_are_kept(tmp_path, monkeypatch):
    def failing(recipe, iterations, seed, *_):
        if seed == 0:
            raise RuntimeError("not enough memory: you tried to allocate 8 GB")
        return answer(recipe, iterations, seed)

    monkeypatch.setattr(sweeping, "measure", failing)
    with pytest.raises(RunsFailed, match=r"3 of 5 runs failed: Recipe\(\), seed 0: RuntimeError: not enough memory"):
        make(tmp_path / "t.csv")
    assert list(table(tmp_path / "t.csv")["seed"]) == [1, 1]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "is not a recorded run, or it is damaged"),
        (lambda path: train(Recipe(lr=2e-3), 5, 1, progress=False).save(path), "holds another run than asked for .recipe: "),
        (lambda path: os.replace(path.with_name("seed000.npz"), path), r"holds another run than asked for .seed: 0, not 1\)"),
        (lambda path: record(path.parent / "b", SMALL, [1], 4, jobs=1) and os.replace(path.parent / "b/seed001.npz", path),
         r"holds another run than asked for .cap: '4', not '3'\)"),
    ],
)  # fmt: skip
def test_a_file_that_is_damaged_or_of_another_run_is_not_taken_for_done(tmp_path, change, sentence):
    path = record(tmp_path, SMALL, range(2), 3, jobs=1)[1]
    change(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{path}.* {sentence}" if " " not in sentence[:3] else sentence) as caught:
        record(tmp_path, SMALL, [1, 2], 3, jobs=1)
    assert str(path) in str(caught.value) and path.read_bytes() == before and not (tmp_path / "seed002.npz").exists()


def test_a_recording_without_what_is_asked_to_be_watched_is_not_taken_for_done(tmp_path):
    recipe = Recipe(hidden_g=8, hidden_d=8)
    record(tmp_path, recipe, [0], 3, jobs=1)
    with pytest.raises(ValueError, match=r"watched: \[\], not \['hazard'\]"):
        record(tmp_path, recipe, [0], 3, jobs=1, watch={"hazard": hazard})
    with pytest.raises(ValueError, match=r"atlas: \[1, 3\], not \[3\]"):
        record(tmp_path, recipe, [0], 3, jobs=1, atlas_at={0: [1]})


def test_a_table_damaged_before_is_refused_before_any_run(tmp_path, measured):
    make(tmp_path / "t.csv", PLAN[:1])
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text()[:-9])
    with pytest.raises(ValueError, match="line 3, the last one, is cut"):
        make(tmp_path / "t.csv")
    assert len(measured) == 2


SCRIPT = """
import json, os, sys, time
from utils import sweep
from utils.sweep import Experiment, tabulate, record
from utils.recipe import Recipe

def measure(recipe, iterations, seed, count, remedy, checkpoint):
    with open(sys.argv[2], "a") as log:
        log.write(f"{recipe.lr} {seed}\\n")
    time.sleep(0.1)
    row = {"data": recipe.data, "lr": recipe.lr, "seed": seed, "iterations": iterations, "nan_at": None, "first_broken": None}
    return row | {"alive": True, "fake_max": seed + 0.5, "outcome": "good"}, None

sweep.measure = measure
tabulate(sys.argv[1], [Experiment("g", "f", Recipe(lr=lr), 6, 9) for lr in json.loads(sys.argv[3])], jobs=1, progress=False)
"""


def python(*arguments, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *map(str, arguments)], stderr=subprocess.PIPE, text=True, **options)


def test_two_processes_fill_one_table_lose_nothing_and_make_nothing_twice(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    path, log = tmp_path / "t.csv", tmp_path / "log"
    (tmp_path / ".t.csv.lock").touch()  # what a dead process leaves does not block
    plans = [[1e-3, 2e-3], [3e-3, 2e-3]]
    started = [python(tmp_path / "script.py", path, log, json.dumps(plan)) for plan in plans]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 2
    expected = sorted(itertools.product([1e-3, 2e-3, 3e-3], range(6)))
    assert list(table(path)[["lr", "seed"]].itertuples(index=False, name=None)) == expected
    assert sorted(log.read_text().split("\n")[:-1]) == [f"{lr} {seed}" for lr, seed in expected]
    assert sorted(file.name for file in tmp_path.iterdir()) == [".t.csv.lock", "log", "script.py", "t.csv"]


RECORD = """
import sys
from utils.recipe import Recipe
from utils.sweep import record
recipe = Recipe(data="ring", loss="logits", hidden_g=16, hidden_d=16)
record(sys.argv[1], recipe, range(5), 400, jobs=int(sys.argv[2]), progress=False)
"""


def alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc to find the workers")
def test_kill_9_loses_nothing_and_leaves_no_worker_and_the_next_start_ends_as_if_undisturbed(tmp_path):
    (tmp_path / "script.py").write_text(RECORD)
    folder = tmp_path / "runs"
    for jobs in (2, 1):  # the parent of two workers; a process that makes its runs itself, as a worker does
        before = len(list(folder.glob("seed*.npz")))
        process = python(tmp_path / "script.py", folder, jobs, start_new_session=True)
        while len(list(folder.glob("seed*.npz"))) == before and process.poll() is None:
            time.sleep(0.02)
        found = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True).stdout.split()
        assert len(found) >= jobs
        process.kill()
        process.communicate()
        end = time.monotonic() + 10
        while any(alive(int(pid)) for pid in found) and time.monotonic() < end:
            time.sleep(0.1)
        assert not [pid for pid in found if alive(int(pid))]
        kept = {path: path.read_bytes() for path in folder.glob("seed*.npz")}
        assert before < len(kept) and [Trace.load(path) for path in kept]
    record(folder, SMALL, range(5), 400, jobs=1)
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert sorted(path.name for path in folder.iterdir()) == [f"seed00{seed}.npz" for seed in range(5)]
    assert all(same(trace, train(SMALL, 400, trace.seed)) for trace in recorded(folder))


def test_a_sweep_on_a_cluster_gives_the_traces_of_train_to_the_last_bit(tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        traces = sweep(Recipe(lr=1e-3), seeds=range(4), iterations=60)
        rows = tabulate(tmp_path / "t.csv", Experiment("g", "f", SMALL, 3, 20))
    assert [trace.seed for trace in traces] == list(range(4))
    assert all(same(trace, train(Recipe(lr=1e-3), 60, trace.seed)) for trace in traces)
    alone = tabulate(tmp_path / "alone.csv", Experiment("g", "f", SMALL, 3, 20), jobs=1)
    pd.testing.assert_frame_equal(made(rows), made(alone))


# ---- refused before any work


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"jobs": 0}, "jobs must be at least 1, or -1 for one a processor core, not 0"),
        ({"jobs": -5}, "jobs must be at least 1, or -1 for one a processor core, not -5"),
        ({"jobs": 1.5}, "jobs must be a whole number, not 1.5"),
        ({"jobs": "two"}, "jobs must be a whole number, not 'two'"),
        ({"jobs": True}, "jobs must be a whole number, not True"),
        ({"jobs": None}, "jobs must be a whole number, not None"),
        ({"seeds": []}, "seeds must be at least one, not none"),
        ({"seeds": 5}, r"seeds must be whole numbers, such as range\(10\), not 5"),
        ({"seeds": "012"}, r"seeds must be whole numbers, such as range\(10\), not '012'"),
        ({"seeds": [0, 1.5]}, "a seed must be a whole number, not 1.5"),
        ({"seeds": [-1]}, "a seed must be at least 0, not -1"),
        ({"seeds": [3, 1, 3]}, "each seed must stand in seeds once, and 3 stands there 2 times"),
        ({"iterations": 0}, "iterations must be at least 1, not 0"),
        ({"iterations": 1.5}, "iterations must be a whole number, not 1.5"),
    ],
)
def test_a_sweep_and_a_recording_refuse_before_any_work(tmp_path, monkeypatch, wrong, sentence):
    monkeypatch.setattr(sweeping, "train", None)
    arguments = {"seeds": range(2), "iterations": 3, "jobs": 1} | wrong
    for call in (lambda: sweep(SMALL, **arguments), lambda: record(tmp_path / "new", SMALL, **arguments)):
        with pytest.raises((TypeError, ValueError), match=f"^{sentence}$"):
            call()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("recipes", [None, 5, "SMALL", {"lr": 1e-3}, [SMALL, None]])
def test_what_is_no_recipe_is_refused(tmp_path, recipes):
    with pytest.raises(TypeError, match="recipes must be of type Recipe, not"):
        sweep(recipes, range(2), 3, jobs=1)
    with pytest.raises(TypeError, match="recipe must be of type Recipe, not"):
        record(tmp_path, recipes, range(2), 3, jobs=1)
    with pytest.raises(ValueError, match="recipes must be at least one, not none"):
        sweep([], range(2), 3, jobs=1)


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"atlas_at": {7: [1]}}, r"atlas_at must name seeds of this recording \(\[0, 1\]\), not 7"),
        ({"atlas_at": {0: [0]}}, r"an iteration of atlas_at\[0\] must be at least 1, not 0"),
        ({"atlas_at": {0: 5}}, r"atlas_at\[0\] must be iterations, such as range\(1, 10\), not 5"),
        ({"atlas_at": [1, 2]}, r"atlas_at must be \{seed: iterations\}, not \[1, 2\]"),
        ({"watch": {"hazard": 5}}, r"watch\['hazard'\] must be a function, not 5"),
        ({"watch": [hazard]}, r"watch must be \{name: function\}, not"),
    ],
)
def test_a_recording_refuses_what_it_cannot_look_at(tmp_path, wrong, sentence):
    with pytest.raises((TypeError, ValueError), match=f"^{sentence}"):
        record(tmp_path / "new", SMALL, range(2), 3, jobs=1, **wrong)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file_and_a_table_that_is_a_folder_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ValueError, match="folder must be a folder that can be written to, and .*file.* is not one"):
            record(folder, SMALL, range(2), 3, jobs=1)
        with pytest.raises(ValueError, match="folder must be a folder that can be written to"):
            tabulate(folder / "t.csv", PLAN, jobs=1)
    with pytest.raises(ValueError, match="path must be the path of a file"):
        tabulate(tmp_path, PLAN, jobs=1)
    with pytest.raises(TypeError, match="folder must be a path, not 5"):
        record(5, SMALL, range(2), 3, jobs=1)
    with pytest.raises(TypeError, match="folder must be a path, such as 'pulses_lr1e-3', not None"):
        recorded(None)
    with pytest.raises(FileNotFoundError, match="there are no recorded runs in .*nonsense; data/README.md says"):
        recorded("nonsense")


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"group": ""}, "group must be a name on one line, not ''"),
        ({"fix": "two\nlines"}, "fix must be a name on one line, not "),
        ({"fix": None}, "fix must be a name on one line, not None"),
        ({"recipe": "SMALL"}, "recipe must be of type Recipe, not 'SMALL'"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        ({"seeds": range(3)}, r"seeds must be a whole number, not range\(0, 3\)"),
        ({"iterations": 0.5}, "iterations must be a whole number, not 0.5"),
        ({"count": 0}, "count must be at least 1, not 0"),
    ],
)
def test_an_experiment_with_a_bad_field_is_refused(wrong, sentence):
    with pytest.raises((TypeError, ValueError), match=f"^{sentence}"):
        Experiment(**{"group": "g", "fix": "f", "recipe": SMALL, "seeds": 2, "iterations": 3} | wrong)


def test_a_table_refuses_what_is_no_plan_before_any_run(tmp_path, measured):
    for plan, sentence in (
        ([*PLAN, PLAN[0]], "two of the experiments name the same runs"),
        ([SMALL], "experiments must be of type Experiment, not Recipe"),
        (None, "experiments must be of type Experiment, not None"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^{sentence}"):
            make(tmp_path / "t.csv", plan)
    with pytest.raises(ValueError, match="jobs must be at least 1"):
        tabulate(tmp_path / "t.csv", PLAN, jobs=0)
    assert not measured and not list(tmp_path.iterdir())


def test_numbers_of_numpy_become_plain_in_a_table_and_in_a_trace(tmp_path, measured):
    one = Experiment("g", "f", Recipe(lr=np.float64(0.3), loss="logits", latent=np.int64(2)), np.int64(2), np.int32(9))
    make(tmp_path / "t.csv", [one])
    text = (tmp_path / "t.csv").read_text()
    assert "np." not in text and "g,f,pulses,0.3,9,lr=0.3; loss='logits'; latent=2,none,1,9," in text
    (trace,) = sweep(SMALL, np.arange(1), np.int64(3), jobs=np.int64(1))
    trace.save(tmp_path / "t.npz")
    assert type(trace.seed) is int and Trace.load(tmp_path / "t.npz").seed == 0
