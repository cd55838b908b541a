"""train: refusals before any work, determinism, checkpoints, interrupts, and the collapse as a statistic."""

import math
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from same import same

from utils import training
from utils.recipe import FIXES
from utils.sweep import record, recorded, sweep
from utils.training import GAN, Recipe, train

SMALL = {"lr": 1e-5, "hidden_g": 16, "hidden_d": 16}


@pytest.mark.parametrize("iterations", [0, -3, 1.5, "many"])
def test_iterations_below_one_are_refused(iterations):
    with pytest.raises((ValueError, TypeError), match="iterations must be"):
        train(Recipe(), iterations)


def test_seed_and_recipe_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match="recipe must be a Recipe, not 0.001"):
        train(1e-3, 10)
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        train(Recipe(), 10, seed=-1)
    with pytest.raises(ValueError, match="seed must be below 2"):
        train(Recipe(), 10, seed=2**70)


def test_the_main_recipe_and_the_quantities_other_work_relies_on():
    assert (Recipe().lr, Recipe().data, Recipe().loss) == (1e-4, "pulses", "matlab")
    trace = train(Recipe(lr=1e-5), iterations=20, seed=3)
    assert trace.nan_at is None and trace.recipe == Recipe(lr=1e-5) and trace.seed == 3
    for name in ("loss_g", "loss_d", "score_g", "score_d", "fake_max", "fake_min", "real_max", "real_min"):
        assert getattr(trace, name).shape == (20,)
    assert ((trace.score_g >= 0) & (trace.score_g <= 1) & (trace.score_d >= 0) & (trace.score_d <= 1)).all()
    assert (trace.fake_max >= trace.fake_min).all() and (trace.real_max >= trace.real_min).all()


def test_same_seed_same_trace_alone_in_a_sweep_and_resumed(tmp_path):
    recipe, seeds = Recipe(lr=2e-4), (0, 1)
    alone = [train(recipe, 300, seed) for seed in seeds]
    for one, other in zip(alone, sweep(recipe, seeds, 300, jobs=2)):
        assert same(one, other)
    count = iter(range(1000))
    first = train(recipe, 300, 1, checkpoint=tmp_path / "run", checkpoint_seconds=0, stop=lambda: next(count) >= 150)
    assert first.iterations == 151 and (tmp_path / "run").exists()
    assert same(alone[1], train(recipe, 300, 1, checkpoint=tmp_path / "run"))
    assert not same(alone[0], alone[1])


def test_a_trace_does_not_depend_on_the_global_random_state_nor_touch_it():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = train(Recipe(), 20)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    assert same(one, train(Recipe(), 20))


def test_a_gan_goes_on_where_it_stood():
    whole = train(Recipe(), 60)
    gan = GAN(Recipe())
    parts = [train(gan, 25), train(gan, 35)]
    assert np.array_equal(whole.loss_d, np.concatenate([part.loss_d for part in parts]))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(ValueError, match="is not a checkpoint of a run, or it is damaged"):
        train(Recipe(), 10, checkpoint=tmp_path / "run")


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train(Recipe(), 64, seed=0, checkpoint=tmp_path / "run", checkpoint_seconds=0)
    with pytest.raises(ValueError, match="that state belongs to .* seed 0, not to this run"):
        train(Recipe(), 10, seed=1, checkpoint=tmp_path / "run")


def test_an_interrupt_returns_the_trace_so_far():
    count = iter(range(100))

    def interrupt():
        if next(count) == 9:
            raise KeyboardInterrupt

    trace = train(Recipe(), 100, stop=interrupt)
    assert trace.iterations == 10
    assert np.array_equal(trace.loss_d, train(Recipe(), 10).loss_d)


@pytest.mark.parametrize("data, latest, seeds", [("pulses", 60, 30), ("digits", 60, 20)])
def test_at_1e_3_nearly_every_seed_collapses_within_a_few_iterations_and_d_breaks_first(data, latest, seeds):
    traces = sweep(Recipe(lr=1e-3, data=data), range(seeds), iterations=200)
    times = [trace.nan_at or math.inf for trace in traces]
    assert sum(3 <= time <= latest for time in times) >= 0.95 * seeds
    assert 8 <= np.median(times) <= 25
    assert sum(trace.first_broken == "D" for trace in traces) >= 0.95 * seeds


def test_the_fatal_iteration_is_kept_and_breaks_d_at_once_and_g_one_iteration_later():
    gan = GAN(Recipe(lr=1e-3), seed=0)
    trace = train(gan, 200)
    assert trace.nan_at == trace.iterations == len(trace.loss_g)
    assert not np.isfinite(trace.loss_d[-1]) and np.isfinite(trace.loss_g[-1])
    assert trace.last_batch["fake_logits"].max() == trace.fake_max[-1] > 16
    assert trace.atlas["iteration"][-1] == trace.nan_at and np.isfinite(trace.atlas["logit"][-1]).all()
    assert all(weights.isnan().any() for weights in gan.weights_d)
    assert all(weights.isfinite().all() for weights in gan.weights_g)
    gan.step()
    assert gan.sample(torch.zeros(1, 1))[0].isnan().all()


def test_the_seeds_that_the_naive_loss_kills_survive_with_the_logits_loss():
    assert sum(trace.nan_at is not None for trace in sweep(Recipe(lr=1e-3), range(10), iterations=200)) >= 9
    traces = sweep(Recipe(lr=1e-3, loss="logits"), range(10), iterations=200)
    assert all(trace.nan_at is None for trace in traces)
    assert max(trace.fake_max.max() for trace in traces) > 17  # beyond the cliff that kills the naive loss


@pytest.mark.parametrize("fix", FIXES)
def test_every_fix_trains_leaves_the_global_random_state_alone_and_resumes_to_the_last_bit(fix, tmp_path):
    recipe = Recipe(**SMALL | FIXES[fix])
    state = torch.get_rng_state()
    alone = train(recipe, 70, progress=False)
    assert alone.nan_at is None and alone.iterations == 70
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(int(alone.loss_d[-1] * 1e6) % 1000)
    train(recipe, 64, checkpoint=tmp_path / "run", checkpoint_seconds=0, progress=False)
    resumed = GAN(recipe)
    assert same(alone, train(resumed, 70, checkpoint=tmp_path / "run", progress=False))
    gan = GAN(recipe)
    train(gan, 70, progress=False)
    assert torch.equal(gan.draw(20), resumed.draw(20))


@pytest.mark.parametrize("fix", FIXES)
def test_every_fix_but_no_fix_changes_the_run(fix):
    default = train(Recipe(**SMALL), 3, progress=False)
    recipe = Recipe(**SMALL | FIXES[fix])
    trace = train(recipe, 3, progress=False)
    # the average draws and does not play; the masks are the naive loss itself where nothing overflows
    unseen = {"no fix", "averaged G", "BCELoss", "clamped score"}
    assert np.array_equal(trace.loss_d, default.loss_d) == (fix in unseen), recipe.changes


def test_recording_saves_each_run_keeps_what_is_there_and_goes_on_after_an_interrupt(tmp_path, monkeypatch):
    recipe = Recipe(lr=1e-3)
    record(tmp_path, recipe, range(2), 200, jobs=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    record(tmp_path, recipe, range(3), 200, jobs=1)
    assert all(path.read_bytes() == content for path, content in before.items())
    traces = recorded(tmp_path)
    assert [trace.seed for trace in traces] == [0, 1, 2]
    assert same(traces[2], train(recipe, 200, 2))
    assert set(traces[0].provenance) >= {"torch", "processor", "date", "commit", "cap"}
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_folder_without_recordings_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no recorded runs in"):
        recorded(tmp_path)


# ---- nothing global changes, and no bit depends on what is global


def test_neither_importing_nor_training_changes_anything_global():
    code = """
import os, pkgutil, random, signal, sys, warnings
import matplotlib, numpy, torch
torch.set_num_threads(2); torch.manual_seed(7); numpy.random.seed(7); random.seed(7)
def state():
    return [torch.get_num_threads(), list(warnings.filters), torch.get_rng_state().tolist(), random.getstate(),
            numpy.random.get_state()[1].tolist(), dict(matplotlib.rcParams), signal.getsignal(signal.SIGINT),
            torch.get_default_dtype(), torch.is_grad_enabled(), numpy.geterr(), os.getcwd()]
names = ["threads", "filters", "torch", "python", "numpy", "matplotlib", "signal", "dtype", "grad", "errors", "folder"]
def check(what):
    for name, old, new in zip(names, before, state()):
        assert old == new, (what, name)
before = state()
import utils
for module in ("recipe", "data", "networks", "losses", "trace", "gan", "recording", "training", "plots", "metrics", "sweep",
               "hazard", "autopsy", "nanguard", "lab"):
    __import__(f"utils.{module}")
    check(module)
from utils.training import Recipe, train
for recipe in (Recipe(lr=1e-3), Recipe(data="digits", spectral=True)):
    train(recipe, 20, progress=False)
    check(recipe)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_same_bits_alone_in_a_sweep_resumed_and_with_two_threads_of_torch(tmp_path):
    recipe, before = Recipe(lr=2e-4, spectral=True, penalty="r1"), torch.get_num_threads()
    alone = train(recipe, 100, progress=False)
    assert same(alone, sweep([recipe], [0], 100, jobs=1, progress=False)[0])
    torch.set_num_threads(2)
    try:
        assert same(alone, train(recipe, 100, progress=False))
        assert torch.get_num_threads() == 2
        gan = GAN(recipe)
        rows = [gan.step().row for _ in range(100)]
        assert np.array_equal(np.array(rows, dtype=np.float32)[:, 1], alone.loss_d)
        count = iter(range(1000))
        train(recipe, 100, checkpoint=tmp_path / "run", stop=lambda: next(count) == 50, progress=False)
        assert same(alone, train(recipe, 100, checkpoint=tmp_path / "run", progress=False))
    finally:
        torch.set_num_threads(before)


# ---- wrong arguments


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"stop": 5}, "stop must be a function, not 5"),
        ({"watch": [len]}, "watch must be {name: function}, not "),
        ({"watch": {"a": 1}}, r"watch\['a'\] must be a function, not 1"),
        ({"watch": {3: len}}, "watch's names must be texts .* not 3"),
        ({"watch": {"a/b": len}}, "watch's names must be texts .* not 'a/b'"),
        ({"watch": {"<b>": len}}, "watch's names must be texts .* not '<b>'"),
        ({"watch": {"iteration": len}}, "watch's names must not be 'iteration'"),
        ({"watch": {"a": lambda gan: "loud"}}, r"watch\['a'\] must answer with a number, not 'loud'"),
        ({"watch": {"a": lambda gan: torch.zeros(3)}}, r"watch\['a'\] must answer with a number"),
        ({"watch_every": 0}, "watch_every must be at least 1, not 0"),
        ({"watch_every": 1.5}, "watch_every must be a whole number, not 1.5"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds must be a finite number of at least 0, not -1"),
        ({"checkpoint_seconds": math.nan}, "checkpoint_seconds must be a finite number"),
        ({"checkpoint_seconds": "30"}, "checkpoint_seconds must be a number, not '30'"),
        ({"checkpoint": 7}, "checkpoint must be a path, not 7"),
        ({"checkpoint": "."}, "checkpoint must be the path of a file"),
        ({"checkpoint": "x" * 300}, "checkpoint must be "),
        ({"checkpoint": "file/run"}, "checkpoint must be a file that can be written, not file.run"),
        ({"atlas_at": 5}, "atlas_at must be iterations, not 5"),
        ({"atlas_at": "12"}, "atlas_at must be iterations, not '12'"),
        ({"atlas_at": [0]}, "atlas_at must be at least 1, not 0"),
        ({"atlas_at": [1.5]}, "atlas_at must be a whole number, not 1.5"),
        ({"atlas_at": range(1, 10**12)}, "atlas_at must be at most 10,000 iterations"),
        ({"progress": None}, "progress must be True or False, not None"),
        ({"iterations": 10**30}, "iterations must be below 2"),
        ({"iterations": True}, "iterations must be a whole number, not True"),
        ({"seed": 1.0}, "seed must be a whole number, not 1.0"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_done(wrong, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(GAN, "update", lambda *arguments: pytest.fail("work was done"))
    with pytest.raises((ValueError, TypeError), match=sentence):
        train(**{"recipe": Recipe(), "iterations": 5, "checkpoint": tmp_path / "new" / "run"} | wrong)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file"]


def test_numpy_s_whole_numbers_are_as_good_as_python_s(tmp_path):
    trace = train(Recipe(batch=np.int64(8)), np.int32(3), np.int64(5), atlas_at=np.arange(1, 3), progress=False)
    trace.save(tmp_path / "run.npz")
    assert same(trace, train(Recipe(batch=8), 3, 5, atlas_at=[1, 2], progress=False))


# ---- what is kept


def test_a_checkpoint_at_a_nan_on_a_multiple_of_64_or_at_the_cap_comes_back_whole(tmp_path):
    for seed, cap, end in ((48, 200, 64), (0, 64, 64)):
        recipe, path = Recipe(lr=5e-4), tmp_path / str(seed)
        alone = train(recipe, cap, seed, progress=False)
        assert alone.iterations == end and (alone.nan_at == 64) == (seed == 48)
        train(recipe, cap, seed, checkpoint=path, checkpoint_seconds=0, progress=False)
        resumed = train(recipe, cap, seed, checkpoint=path, progress=False)
        assert same(alone, resumed) and set(resumed.last_batch) == {"z", "real_logits", "fake_logits"}
        assert resumed.atlas["iteration"][-1] == end


@pytest.mark.parametrize("who", ["stop", "watch"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_of_stop_or_watch_loses_nothing(who, error, tmp_path):
    count = iter(range(1000))

    def fail(*gan):
        if next(count) == 20:
            raise error("enough")
        return False

    asked = {"stop": fail} if who == "stop" else {"watch": {"w": fail}, "watch_every": 1}
    try:
        assert train(Recipe(), 40, checkpoint=tmp_path / "run", progress=False, **asked).iterations < 40
        assert error is KeyboardInterrupt
    except RuntimeError:
        assert error is RuntimeError
    assert (tmp_path / "run").is_file()
    resumed = train(Recipe(), 40, checkpoint=tmp_path / "run", progress=False, **asked)
    assert np.array_equal(resumed.loss_d, train(Recipe(), 40, progress=False).loss_d)
    if who == "watch":
        assert resumed.watched["iteration"].tolist() == list(range(1, 41))


def test_ctrl_c_in_the_middle_of_an_iteration_keeps_whole_iterations_and_leaves_a_checkpoint(tmp_path, monkeypatch):
    alone, update = train(Recipe(), 30, progress=False), GAN.update

    def interrupted(gan, step):
        if gan.iteration == 17:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # impatient
        update(gan, step)

    with monkeypatch.context() as patch:
        patch.setattr(GAN, "update", interrupted)
        assert train(Recipe(), 30, checkpoint=tmp_path / "run", progress=False).iterations == 17
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same(alone, train(Recipe(), 30, checkpoint=tmp_path / "run", progress=False))


def test_an_iteration_that_fails_halfway_is_not_kept(tmp_path, monkeypatch):
    update = GAN.update

    def fail(gan, step):
        update(gan, step, g=gan.iteration != 70)
        if gan.iteration == 70:
            raise MemoryError

    monkeypatch.setattr(GAN, "update", fail)
    for path, seconds in (("none", 30), ("kept", 0)):
        with pytest.raises(MemoryError):
            train(Recipe(), 100, checkpoint=tmp_path / path, checkpoint_seconds=seconds, progress=False)
    monkeypatch.setattr(GAN, "update", update)
    assert not (tmp_path / "none").exists()
    assert train(Recipe(), 64, checkpoint=tmp_path / "kept", progress=False).iterations == 64


def test_a_checkpoint_that_cannot_be_written_warns_keeps_the_old_one_and_training_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "run"
    train(Recipe(), 64, checkpoint=path, progress=False)
    before = path.read_bytes()

    def full(content, file):
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.warns(UserWarning, match="could not be written .no space left on device.; training goes on"):
        trace = train(Recipe(), 70, checkpoint=path, progress=False)
    assert trace.iterations == 70 and path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_goes_on_only_with_what_it_was_asked(tmp_path):
    path, asked = tmp_path / "run", {"watch": {"a": lambda gan: 1.0}, "atlas_at": [2], "progress": False}
    train(Recipe(), 8, checkpoint=path, **asked)
    before = path.read_bytes()
    wrong = [
        ({"watch": {"b": len}}, r"watch must be as in .*run, \['a'\], not \['b'\]"),
        ({"watch": None}, r"watch must be as in .*run, \['a'\], not \[\]"),
        ({"watch_every": 2}, "watch_every must be as in .*run, 4, not 2"),
        ({"atlas_at": [2, 3]}, r"atlas_at must be as in .*run, \[2\], not \[2, 3\]"),
        ({"iterations": 7}, "iterations must be at least the 8 that .*run holds, not 7"),
        ({"seed": 1}, "that state belongs to .* seed 0, not to this run"),
        ({"recipe": Recipe(lr=1e-3)}, "that state belongs to .*"),
    ]
    for change, sentence in wrong:
        with pytest.raises(ValueError, match=sentence):
            train(**{"recipe": Recipe(), "iterations": 12, "checkpoint": path} | asked | change)
    gan = GAN(Recipe())
    with pytest.raises(ValueError, match="watch must be as in"):
        train(gan, 12, checkpoint=path, progress=False)
    assert gan.iteration == 0 and path.read_bytes() == before
    later = asked | {"atlas_at": [2, 10]}  # what is still to come may change
    assert train(Recipe(), 12, checkpoint=path, **later).atlas["iteration"].tolist() == [2, 10, 12]


@pytest.mark.parametrize("recipe, iterations", [(Recipe(lr=1e-3), 200), (Recipe(), 70)])
def test_the_bar_is_full_when_it_closes_after_a_healthy_run(recipe, iterations, monkeypatch):
    closed = []

    class Bar(training.tqdm):
        def close(self):
            closed.append((self.n, self.total))
            super().close()

    monkeypatch.setattr(training, "tqdm", Bar)
    trace = train(recipe, iterations)
    assert closed[0] == (trace.iterations, trace.iterations)


def test_no_warning_is_heard_from_a_run():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(Recipe(lr=1e-3), 200, watch={"huge": lambda gan: 1e300}, progress=False)
