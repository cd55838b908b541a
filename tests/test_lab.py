"""The lab's engine without a browser: the test plays the page, through the messages of utils/lab/view/types.d.ts."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import random
import threading
import time
import weakref
from array import array

import numpy as np
import pytest
import torch

from utils.data import load
from utils.hazard import hazard
from utils.lab import Lab, panel
from utils.lab.run import Run
from utils.plans import FIXES, RECOMMENDED
from utils.recipe import Recipe
from utils.trace import QUANTITIES
from utils.training import GAN, train

SMALL = Recipe(lr=1e-5, hidden_g=32, hidden_d=32)  # fast, and never ends within a test


class Page:
    """What a page sees of a lab: page(kind, ...) sends a command, .got are the messages it was sent."""

    def __init__(self, lab: Lab, answers: bool = True):
        self.lab, self.answers, self.got = lab, answers, []
        lab.send = self.hear
        self("hello")
        self.fields = {field["name"]: field["value"] for field in self.got[0]["fields"]}

    def __call__(self, kind: str, **more) -> None:
        self.lab.hear(json.loads(json.dumps({"type": kind, **more})))

    def hear(self, message: dict, buffers: list) -> None:
        message = json.loads(json.dumps(message, allow_nan=False))  # what JSON cannot carry fails here
        arrays = zip(message.pop("arrays"), buffers, strict=True)
        self.got.append(message | {name: np.frombuffer(buffer, "<f4") for name, buffer in arrays})
        if self.answers and message["type"] == "frame" and not message["quiet"]:  # as a page does: later, and on another thread
            command = {"type": "ack", "run": message["run"], "iteration": message["iteration"]}
            threading.Thread(target=self.lab.hear, args=(command,), daemon=True).start()

    def choice(self, lr: float | None = None, speed: str = "fast", **settings) -> dict:
        return {"settings": self.fields | settings, "lr": lr or self.lab.lr, "speed": speed}

    def last(self, kind: str) -> dict:
        return [message for message in self.got if message["type"] == kind][-1]

    def press(self, name: str, **choice) -> None:
        self(name, **({"only": None} if name == "one" else {}), **self.choice(**choice))

    def to_the_end(self, **choice) -> dict:
        """Start, and the last frame of the run."""
        self.press("start", **choice)
        self.lab.join()
        until(lambda: self.last("frame")["state"] != "running")
        return self.last("frame")


@pytest.fixture
def new():
    """Makes pages with a lab each, and leaves no thread behind."""
    pages = []

    def make(recipe=None, seed=0, answers=True, **options):
        pages.append(Page(Lab(recipe, seed, **options), answers))
        return pages[-1]

    yield make
    for page in pages:
        page.lab.pause()
        page.lab.join()
    assert threads() == 0


def threads() -> int:
    return sum(thread.name == "lab" for thread in threading.enumerate())


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def rows(page: Page) -> np.ndarray:
    """All rows of the run on show, as its frames brought them."""
    last = max(k for k, message in enumerate(page.got) if message["type"] == "run")
    return np.concatenate([m["rows"] for m in page.got[last:] if m["type"] == "frame"]).reshape(-1, len(QUANTITIES))


# ---- a run


def test_the_frames_bring_the_run_that_train_gives_each_row_once(new):
    page = new(Recipe(lr=1e-3), seed=3)
    page.to_the_end()
    trace = train(Recipe(lr=1e-3), 200, seed=3, progress=False)
    np.testing.assert_array_equal(rows(page), np.stack([getattr(trace, name) for name in QUANTITIES], 1))


def test_a_nan_is_named_with_its_sample_and_its_chance(new):
    page = new(Recipe(lr=1e-3))
    frame = page.to_the_end()
    verdict, count = frame["verdict"], page.lab.run.count
    assert frame["state"] == "ended" and frame["iteration"] == verdict["iteration"] == count
    assert verdict["words"].startswith(f"NaN at iteration {count}: log(1 - D(G(z))) of sample {verdict['index']} is -inf")
    z = frame["z"][verdict["index"]]
    assert verdict["side"] == "fake" and f"Its latent is z = {z:.2f}, 1 draw in" in verdict["words"]
    assert 0 < frame["chance"] < 1
    page.press("start", seed=1)
    assert page.last("run")["settings"]["seed"] == 1  # only another run goes on


@pytest.mark.parametrize("fix", [{"smoothing": 0.1}, {"flips": 0.35}])
def test_a_real_sample_that_died_is_the_one_that_is_named(fix):
    run = Run(1, Recipe(**fix), {"seed": 0}, "")
    run.advance(1e-4, True)
    step = run.gan.forward()
    real = torch.zeros_like(step.real_logits)
    real[2] = 20
    row = [float("inf"), *step.row[1:]]
    run.count += 1
    run._note(dataclasses.replace(step, real_logits=real, fake_logits=0 * step.fake_logits, row=row), False)
    assert (run.verdict["side"], run.verdict["index"]) == ("real", 2) and ": log(1 - D(x)) of sample 2" in run.verdict["words"]
    assert run.shown["verdict"] is run.verdict and len(run.shown["real"]) == 64


def test_a_sample_at_the_lower_cliff_is_the_one_that_is_named(new, monkeypatch):
    page, forward = new(SMALL), GAN.forward

    def broken(gan):
        step = forward(gan)
        logits = torch.full_like(step.fake_logits, 2.0)
        logits[5] = -120
        return dataclasses.replace(step, fake_logits=logits, row=[float("inf"), *step.row[1:]])

    monkeypatch.setattr(GAN, "forward", broken)
    page.press("one")
    verdict = page.last("frame")["verdict"]
    assert (verdict["side"], verdict["index"]) == ("fake", 5) and ": log D(G(z)) of sample 5 is" in verdict["words"]


def test_only_d_moves_d_alone_and_only_g_moves_g_alone(new):
    page = new(SMALL)

    def moved(only):
        before = [tuple(w.clone() for w in weights) for weights in (page.lab.run.gan.weights_d, page.lab.run.gan.weights_g)]
        page("one", only=only, **page.choice())
        after = (page.lab.run.gan.weights_d, page.lab.run.gan.weights_g)
        return [any(not torch.equal(a, b) for a, b in zip(*pair)) for pair in zip(before, after)]

    assert [moved(only) for only in ("d", "g", None)] == [[True, False], [False, True], [True, True]]


def test_the_rate_takes_effect_at_the_next_iteration_to_its_last_digit_and_is_said_at_once(new):
    page = new(SMALL)
    page.press("one", lr=3e-4)
    assert page.last("frame")["rates"] == [[1, 3e-4]] and page.lab.run.gan.lr == 3e-4
    page.press("one", lr=3e-4)
    for lr in (4e-4, 1e-3):
        page("rate", run=page.lab.run.tag, lr=lr)
        assert page.last("frame")["rate"] == lr and page.last("frame")["iteration"] == 2
    page.press("one", lr=1e-3)
    assert page.last("frame")["rates"] == [[1, 3e-4], [3, 1e-3]] and page.last("frame")["rate"] == 1e-3


def test_a_rate_chosen_before_the_first_iteration_is_the_one_the_run_begins_with(new):
    page = new(SMALL)
    page("rate", run=page.lab.run.tag, lr=3e-4)
    assert page.last("frame")["rates"] == [[1, 3e-4]] and page.last("frame")["state"] == "ready"
    page("hello")
    assert page.last("run")["lr"] == 3e-4
    page.press("one", lr=3e-4)
    page("fork", run=page.lab.run.tag, iteration=1, **page.choice(lr=1e-3))
    page("rate", run=page.lab.run.tag, lr=1e-4)
    assert page.last("frame")["rates"] == [[1, 1e-4]] and page.last("frame")["state"] == "ready"


def test_the_rate_acts_on_a_run_in_flight_up_to_its_nan(new):
    page = new()
    page.press("start", lr=1e-6)
    until(lambda: page.lab.run.count > 5)
    page("rate", run=page.lab.run.tag, lr=1e-1)
    page.lab.join()
    assert page.lab.run.verdict and page.last("frame")["state"] == "ended"
    assert [lr for _, lr in page.last("frame")["rates"]] == [1e-6, 1e-1]


def test_the_rate_in_force_is_the_one_a_warm_up_leaves(new):
    page = new(dataclasses.replace(SMALL, lr=1e-3, warmup=1000))
    page.press("one")
    assert page.last("frame")["rate"] == pytest.approx(1e-6)
    page("rate", run=page.lab.run.tag, lr=1e-2)
    assert page.last("frame")["rate"] == pytest.approx(1e-5)


# ---- what the controls say


def test_every_fix_is_applied_and_the_title_says_what_came_of_it(new):
    page = new(dataclasses.replace(SMALL, batch=16))
    assert page.got[0]["fields"][1]["options"] == [*FIXES, "recommended"]
    for fix, changes in (FIXES | {"recommended": RECOMMENDED}).items():
        page.press("one", fix=fix, lr=1e-5)
        recipe, title = page.lab.run.gan.recipe, page.last("run")["title"]
        assert recipe == Recipe(**vars(SMALL) | {"batch": 16} | changes | {"lr": 1e-5})
        assert fix in title and (f", latent {recipe.latent}" in title) == (recipe.latent > 1)
        assert np.isfinite(page.last("frame")["fake"]).all() and page.last("frame")["iteration"] == 1
        settings = page.last("run")["settings"]
        assert settings == page.fields | {"fix": fix}  # as chosen, or Start would begin a new run each time


@pytest.mark.parametrize("recipe, fix", [
    (Recipe(loss="logits"), "logits loss"), (Recipe(latent=3), "no fix"), (Recipe(**RECOMMENDED), "recommended"),
])  # fmt: skip
def test_a_labs_own_recipe_stands_in_the_menu_under_its_name(new, recipe, fix):
    page = new(recipe)
    assert page.fields["fix"] == fix and page.lab.run.gan.recipe == recipe


def test_a_recipe_without_a_name_is_an_option_of_its_own_and_fixes_are_applied_to_it(new):
    recipe = dataclasses.replace(SMALL, loss="hinge", penalty="r1")
    page = new(recipe)
    assert page.fields["fix"] == "own recipe: loss hinge, penalty r1" and page.lab.run.gan.recipe == recipe
    page.press("reset", fix="averaged G")
    assert page.lab.run.gan.recipe == dataclasses.replace(recipe, ema=0.999)


def test_a_large_batch_runs_as_such_and_the_picture_holds_part_of_it_with_the_loudest(new):
    page = new(SMALL)
    page.press("one", batch=5000)
    frame = page.last("frame")
    assert len(frame["z"]) == len(frame["fakeLogits"]) == 5000 and page.lab.run.gan.recipe.batch == 5000
    assert len(frame["fake"]) == 64 * len(frame["fakeIndex"]) <= 64 * 256
    assert {int(frame["fakeLogits"].argmax()), int(frame["fakeLogits"].argmin())} <= set(frame["fakeIndex"].astype(int))


def test_settings_become_a_run_at_start_not_before_and_reset_keeps_nothing(new):
    page = new(SMALL)
    page.press("one")
    tag = page.lab.run.tag
    page.press("start")
    until(lambda: page.lab.run.count > 3)
    page("pause")
    page.lab.join()
    assert page.lab.run.tag == tag
    page.press("start", seed=7)
    assert page.lab.run.tag != tag and page.lab.run.gan.seed == 7
    page.press("reset", seed=7)
    page.lab.join()
    assert page.lab.run.count == 0 and page.last("frame")["state"] == "ready" and threads() == 0


def test_what_no_run_can_have_is_a_sentence_and_the_lab_goes_on(new):
    page = new(SMALL)
    wrongs = [({"batch": "x"}, "batch must be a whole"), ({"fix": "no"}, "fix must be one of"), ({"lr": 5}, "rate must be")]
    for wrong, said in wrongs:
        page.press("start", **wrong)
        assert said in page.last("frame")["said"] and not page.lab.running
    page("rate", run=page.lab.run.tag, lr="fast")
    assert "learning rate must be a number" in page.last("frame")["said"]
    page("nonsense")
    page.press("one")
    assert page.last("frame")["iteration"] == 1


def test_commands_for_another_run_are_dropped(new):
    page = new(SMALL)
    page.press("one")
    tag, said = page.lab.run.tag, len(page.got)
    page("scrub", run=tag - 1, iteration=1)
    page("fork", run=tag - 1, iteration=1, **page.choice())
    assert page.lab.run.tag == tag and len(page.got) == said


def test_a_rate_that_is_typed_before_the_page_knows_its_new_run_is_not_lost(new):
    page = new(SMALL)
    old = page.lab.run.tag
    page.press("start", seed=1)  # a new run, which the page has not been told of when the next command leaves it
    page("rate", run=old, lr=3e-4)
    until(lambda: page.lab.run.gan.lr == 3e-4)


# ---- the thread


def test_double_presses_start_one_thread_and_one_run(new):
    page = new(SMALL)
    for _ in range(5):
        page.press("start")
    assert threads() == 1
    for _ in range(5):
        page("pause")
    page.lab.join()
    assert threads() == 0
    until(lambda: page.last("frame")["state"] == "paused")
    page.press("start")
    page("pause")
    page.press("start")  # while the first thread may still be on its last iteration
    until(lambda: page.lab.run.count > 20)
    assert page.lab.running


def test_a_new_lab_pauses_the_old_one_and_both_can_run(new):
    first = new(SMALL)
    first.press("start")
    second = new(SMALL, seed=1)
    assert threads() == 0
    first.press("start")
    second.press("start")
    counts = first.lab.run.count, second.lab.run.count
    until(lambda: first.lab.run.count > counts[0] and second.lab.run.count > counts[1])
    assert threads() == 2


def test_a_run_that_nobody_sees_is_paused(new, monkeypatch):
    assert panel.SILENCE <= 30
    monkeypatch.setattr(panel, "SILENCE", 0.3)
    page = new(SMALL, answers=False)
    page.press("start")
    page.lab.join()
    assert not page.lab.running and page.lab.run.count > 0
    frames = len([message for message in page.got if message["type"] == "frame" and message["state"] == "running"])
    assert frames <= panel.AHEAD  # no more are sent before one is answered
    page("ack", run=page.lab.run.tag, iteration=0)
    assert "nobody looked" in page.last("frame")["said"] and page.last("frame")["state"] == "paused"


def test_a_page_of_which_little_is_heard_is_asked_for_an_answer_with_each_frame(new):
    page = new(SMALL)
    page.press("one")
    assert page.last("frame")["quiet"]
    page.lab.heard -= panel.SILENCE / 2
    page.lab._publish()
    assert not page.last("frame")["quiet"]


def test_a_page_that_goes_away_pauses_and_a_page_that_comes_back_sees_all(new):
    page = new(SMALL)
    page.press("start")
    until(lambda: page.lab.run.count > 5)
    line = {"run": page.lab.run.tag, "rates": "1e-5", "settings": "", "guess": "none", "outcome": "none by 5"}
    page("outcome", outcome=line | {"outcome": "none by 4"})
    page("outcome", outcome=line)
    page("bye")
    page.lab.join()
    page("hello")
    assert page.last("lab")["outcomes"] == [line]
    assert page.last("run")["run"] == page.lab.run.tag and len(rows(page)) == page.lab.run.count


def test_labs_that_no_page_shows_keep_neither_thread_nor_networks():
    gone = []
    for _ in range(3):
        page = Page(Lab(SMALL))
        page.press("start")
        gone.append(weakref.ref(page.lab.run.gan))
        page("bye")
    Lab(SMALL)
    gc.collect()
    assert threads() == 0 and [one() for one in gone] == [None] * 3
    page("hello")  # and it comes back, afresh
    assert page.last("frame")["state"] == "ready"


def test_a_lab_makes_no_networks_before_a_page_asks(monkeypatch):
    monkeypatch.setattr(panel, "Run", lambda *_: pytest.fail("networks were made"))
    Lab(SMALL)


def test_without_threads_start_runs_for_a_while_sends_frames_and_returns(new, monkeypatch):
    monkeypatch.setattr(panel, "IN_TURN", 2.0)
    page = new(SMALL, threads=False, answers=False)
    page.press("start")
    assert page.lab.run.count > 0 and threads() == 0 and page.last("frame")["state"] == "paused"
    assert len([message for message in page.got if message["type"] == "frame"]) > 3


def test_an_error_in_the_thread_is_shown_in_words_and_leaves_no_dead_button(new, monkeypatch):
    page = new(SMALL)
    with monkeypatch.context() as broken:
        broken.setattr(Run, "advance", lambda *_: 1 / 0)
        page.press("start")
        page.lab.join()
    assert page.last("frame")["said"] == "Stopped by an error: ZeroDivisionError: division by zero"
    page.press("one")
    assert page.last("frame")["iteration"] == 1


def test_dead_is_said_while_the_run_goes_on(new):
    page = new(Recipe(lr=1e-3, loss="bce"))
    page.press("start")
    until(lambda: any(message.get("dead") and message["state"] == "running" for message in page.got))
    page.press("reset", fix="logits loss")
    page.lab.join()
    for _ in range(3):
        page.press("one", fix="logits loss")
    assert not page.last("frame")["dead"]


# ---- pictures


@pytest.mark.parametrize("data, kind", [("pulses", "series"), ("digits", "image"), ("ring", "plane"), ("grid", "plane")])
def test_every_data_set_has_its_picture(new, data, kind):
    page = new(dataclasses.replace(SMALL, data=data))
    page.press("one")
    run, frame = page.last("run"), page.last("frame")
    assert run["kind"] == kind and len(frame["curve"]) == 97 and len(frame["fake"]) == 64 * run["dimension"]
    if kind == "plane":
        assert len(frame["heat"]) == 32 * 32 and len(frame["cloud"]) == 2 * 256 and frame["box"][0] == -frame["box"][1]
    else:
        assert len(frame["image"]) == 97 * run["dimension"]


def test_the_heat_map_is_ds_logit_from_the_lowest_row_up():
    run = Run(1, dataclasses.replace(SMALL, data="grid"), {"seed": 0}, "")
    x0, x1, y0, y1 = run.shown["box"]
    corners = torch.tensor([[x0, y0], [x1, y0], [x0, y1], [x1, y1]])
    heat = run.shown["heat"].reshape(32, 32)[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(heat, run.gan.judge(corners), rtol=1e-5)


@pytest.mark.parametrize("more", [{"latent": 3}, {"latent": 3, "grain": True}])
def test_dots_of_a_wide_latent_are_projected_on_the_slice_and_noise_of_gs_own_is_not_counted(new, more):
    page = new(dataclasses.replace(SMALL, **more))
    page.press("one")
    run, frame = page.last("run"), page.last("frame")
    loudest = frame["fakeLogits"].argmax()
    assert run["slice"] and (np.abs(frame["z"]) <= frame["lengths"] + 1e-5).all()
    assert frame["z"][loudest] == pytest.approx(frame["lengths"][loudest], rel=1e-5) and frame["lengths"].max() < 6


def test_samples_and_atlas_of_an_averaged_g_are_those_of_the_average():
    run = Run(1, dataclasses.replace(SMALL, lr=1e-2, ema=0.99), {"seed": 0}, "")
    for _ in range(5):
        run.advance(1e-2, True)
    step = run.gan.forward()
    picture, gan = run._picture(step), run.gan
    np.testing.assert_array_equal(picture["fake"], gan.averaged(step.z))
    np.testing.assert_array_equal(picture["image"], gan.averaged(torch.linspace(-6, 6, 97)[:, None]))
    assert not np.allclose(picture["fake"], step.fake.detach()) and run.facts["averaged"]


def test_what_a_run_has_cliffs_scores_and_hazard_by_its_loss_and_latent():
    def facts(**more):
        run = Run(1, dataclasses.replace(SMALL, **more), {"seed": 0}, "").about()
        return run["high"] is not None, run["scores"], run["signed"], run["hazard"], round(run["reach"], 2)

    assert facts() == (True, True, False, "exact", 6)
    assert facts(loss="logits") == (False, True, False, None, 6)
    assert facts(loss="wgan") == (False, False, True, None, 6)
    assert facts(loss="lsgan") == (False, False, False, None, 6)
    assert facts(latent=4) == facts(grain=True) == facts(smoothing=0.1) == (True, True, False, "tail", 6)
    assert facts(prior="uniform") == (True, True, False, "tail", 1.73)


def test_the_hazard_of_a_wide_latent_comes_from_the_tail_of_the_batches():
    run = Run(1, dataclasses.replace(SMALL, latent=4), {"seed": 0}, "")
    run.advance(1e-5, True)
    assert run.chance is None  # too early to fit one
    run.rows[:] = array("f", np.random.default_rng(0).normal(0, 4, 1000).repeat(len(QUANTITIES)))
    run.gan.iteration = 1000
    run._look(run.gan.forward())
    assert 0 < run.chance < 0.01


# ---- going back


def test_the_last_forty_iterations_come_back_as_they_were_and_the_run_goes_on_unharmed(new):
    page, seen = new(SMALL), {}
    for iteration in range(1, 101):
        page.press("one")
        seen[iteration] = page.last("frame")
    assert seen[100]["rewind"] == [61, 100]
    page.got.clear()
    for iteration in (61, 80, 81, 100):
        page("scrub", run=page.lab.run.tag, iteration=iteration)
        moment = page.last("moment")
        assert moment["iteration"] == iteration
        for name in ("z", "fakeLogits", "realLogits", "fake", "curve", "image"):
            np.testing.assert_array_equal(moment[name], seen[iteration][name])
    page.press("one")
    alone = train(SMALL, 101, progress=False)
    assert page.last("frame")["rows"][0] == alone.loss_g[-1]


def test_a_fork_goes_on_from_the_same_weights_with_another_rate_and_loss(new):
    page = new(Recipe(lr=1e-3))
    end = page.to_the_end()
    parent, at = page.lab.run.tag, end["iteration"]
    before = page.lab.run.shown["curve"]
    page("fork", run=parent, iteration=at, **page.choice(lr=1e-4, fix="logits loss"))
    run, frame = page.last("run"), page.last("frame")
    assert (run["parent"], run["forkedAt"], run["settings"]["fix"]) == (parent, at, "logits loss")
    assert frame["state"] == "paused" and frame["rates"] == [[1, 1e-3], [at, 1e-4]]
    np.testing.assert_array_equal(frame["curve"], before)  # the very weights that died, under the other loss
    for _ in range(20):
        page.press("one", lr=1e-4, fix="logits loss")
    assert page.last("frame")["iteration"] == at + 19 and page.last("frame")["state"] == "paused"
    assert page.last("run")["run"] == run["run"]


def test_a_fork_of_the_same_recipe_is_the_same_run(new):
    page = new(SMALL)
    for _ in range(50):
        page.press("one")
    ends = rows(page)[44:]
    page("fork", run=page.lab.run.tag, iteration=45, **page.choice())
    for _ in range(6):
        page.press("one")
    np.testing.assert_array_equal(rows(page), ends)


def test_a_fork_that_would_need_other_networks_is_a_sentence_and_nothing_changes(new):
    page = new(SMALL)
    page.press("one")
    tag = page.lab.run.tag
    page("fork", run=tag, iteration=1, **page.choice(fix="wider latent"))
    assert page.last("frame")["said"] == "A fork keeps the networks and the data, and this fix changes latent."
    page.press("one")
    assert page.lab.run.tag == tag and page.lab.run.count == 2


# ---- recorded runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs at 1e-3, the second without atlas and last batch, and a damaged file."""
    home = tmp_path_factory.mktemp("data")
    for seed in (0, 1):
        trace = train(Recipe(lr=1e-3), 50, seed, atlas_at=range(1, 51), progress=False)
        if seed:
            trace.atlas, trace.last_batch = {}, {}
        trace.save(home / "pulses_lr1e-3" / f"seed00{seed}.npz")
    (home / "pulses_lr1e-3" / "seed002.npz").write_bytes(b"PK but no more")
    (home / "foreign").mkdir()
    return home


def test_a_recorded_run_is_shown_step_by_step_and_nothing_is_trained(new, folder, monkeypatch):
    page = new(SMALL, folder=folder)
    assert page.got[0]["recorded"] == [{"id": "pulses_lr1e-3", "label": "pulses, 1e-3", "seeds": 3}]
    monkeypatch.setattr(GAN, "forward", lambda *_: pytest.fail("something was trained"))
    page("open", id="pulses_lr1e-3", seed=0)
    run, frame = page.last("run"), page.last("frame")
    trace = train_of(folder, 0)
    assert run["recorded"] and run["nanAt"] == trace.nan_at and list(run["stops"]) == list(range(1, trace.nan_at + 1))
    np.testing.assert_array_equal(frame["highs"].reshape(-1, len(QUANTITIES))[:, 0], trace.loss_g)
    assert f"NaN at iteration {trace.nan_at}: log(1 - D(G(z))) of sample" in frame["verdict"]["words"]
    curves = set()
    for stop in run["stops"]:
        page("scrub", run=run["run"], iteration=int(stop))
        curves.add(page.last("moment")["curve"].tobytes())
        assert page.last("moment")["atlasAt"] == stop
    assert len(curves) == trace.nan_at
    page("live")
    assert not page.last("run")["recorded"]


def test_a_recording_without_atlas_and_last_batch_is_shown_as_far_as_it_goes(new, folder):
    page = new(SMALL, folder=folder)
    page("open", id="pulses_lr1e-3", seed=1)
    frame = page.last("frame")
    assert "its last batch was not recorded" in frame["verdict"]["words"] and len(frame["curve"]) == 0
    page("scrub", run=frame["run"], iteration=1)
    assert page.last("moment")["verdict"] is None


def test_a_damaged_recording_is_a_sentence_and_the_live_run_stays(new, folder):
    page = new(SMALL, folder=folder)
    page("open", id="pulses_lr1e-3", seed=2)
    assert "seed002.npz is not a recorded run, or it is damaged" in page.last("frame")["said"]
    page("open", id="../../etc", seed=0)
    assert page.last("frame")["said"] and page.lab.shown is page.lab.run


def test_the_recorded_lives_are_offered_for_a_class_and_its_guesses(new, folder):
    page = new(SMALL, folder=folder)
    (lives,) = page.got[0]["lives"]
    assert lives["lr"] == 1e-3 and lives["iterations"] == [train_of(folder, seed).nan_at for seed in (0, 1)]
    assert lives["settings"]["fix"] == "no fix" and lives["settings"]["batch"] == 64
    page("open", id="pulses_lr1e-3", seed=0)
    assert lives["settings"].items() < page.last("run")["settings"].items(), "they are drawn over a recorded run too"


def test_a_folder_without_recordings_is_a_sentence(new, tmp_path):
    assert "no recorded runs" in new(SMALL, folder=tmp_path).got[0]["note"]


def train_of(folder, seed):
    from utils.trace import Trace

    return Trace.load(folder / "pulses_lr1e-3" / f"seed00{seed}.npz")


# ---- abuse


def unharmed(page: Page) -> None:
    """No traceback was ever said, and each button still does what it says."""
    said = [message["said"] for message in page.got if message.get("said")]
    assert not [words for words in said if words.startswith("Stopped by an error")]
    page.press("reset", lr=1e-5, fix="no fix")
    page.lab.join()
    assert page.last("frame")["state"] == "ready" and page.last("frame")["iteration"] == 0
    for only, count in ((None, 1), ("d", 2), ("g", 3)):
        page("one", only=only, **page.choice(lr=1e-5, fix="no fix"))
        assert page.last("frame")["iteration"] == count
    page.press("start", lr=1e-5, fix="no fix")
    until(lambda: page.lab.run.count > 8)
    page("pause")
    page.lab.join()
    assert page.last("frame")["state"] == "paused" and threads() == 0


@pytest.mark.parametrize("seed", range(3))
def test_random_presses_leave_no_dead_button_no_traceback_and_no_thread(new, folder, seed):
    page, chance = new(SMALL, folder=folder), random.Random(seed)
    settings = {
        "fix": [*FIXES, "no"],
        "data": ["pulses", "digits", "ring", "grid"],
        "batch": [2, 7, 300, 0, "x"],
        "seed": [0, 1, -1],
    }
    kinds = "start start pause one one reset rate speed scrub fork open live hello bye outcome ack nonsense".split()
    for _ in range(150):
        run = page.lab.shown.tag - chance.choice([0, 0, 0, 1])
        name = chance.choice(sorted(settings))
        choice = page.choice(chance.choice([1e-6, 3e-4, 1e-1, 7.0]), chance.choice(["slow", "normal", "fast"]))
        choice["settings"] |= {name: chance.choice(settings[name])}
        line = {"run": run, "rates": "", "settings": "", "guess": "", "outcome": ""}
        kind, more = (
            chance.choice(kinds),
            choice | {"only": chance.choice([None, "d", "g"]), "iteration": chance.randrange(-5, 90)},
        )
        if kind not in ("open", "outcome"):
            page(kind, **more, **({"run": run} if kind in ("rate", "scrub", "fork", "ack") else {}))
        elif kind == "open":
            page(kind, id=chance.choice(["pulses_lr1e-3", "nowhere"]), seed=chance.randrange(4))
        else:
            page(kind, outcome=line)
    page("pause")
    page.lab.join()
    unharmed(page)


def test_240_combinations_of_the_menus_all_run(new):
    page, chance = new(SMALL), random.Random(0)
    menus = page.fields | {field["name"]: field["options"] for field in page.got[0]["fields"] if "options" in field}
    every = list(itertools.product(menus["data"], menus["fix"], (2, 9, 300), (1, 3)))
    for data, fix, batch, latent in chance.sample(every, 240):
        page.press("one", data=data, fix=fix, batch=batch, latent=latent)
        frame = page.last("frame")
        assert frame["iteration"] == 1 and not frame["said"], (data, fix, batch, latent, frame["said"])
        page.got.clear()
    page("hello")
    unharmed(page)


# ---- bad input


@pytest.mark.parametrize("arguments, words", [
    ({"recipe": "1e-3"}, "recipe must be a Recipe, not '1e-3'"),
    ({"recipe": Recipe(lr=1.0)}, "the lab's learning rate must be at least 1e-06 and at most 0.1, not 1.0"),
    ({"recipe": Recipe(batch=50_000)}, "the lab's batch must be at most 8,192, not 50000"),
    ({"seed": -1}, "the lab's seed must be at least 0, not -1"),
    ({"seed": 2**40}, "the lab's seed must be at most 4,294,967,295, not 1099511627776"),
    ({"seed": 0.5}, "the lab's seed must be a whole number, not 0.5"),
    ({"threads": "no"}, "threads must be True or False, not 'no'"),
    ({"folder": 3}, "folder must be a path to recorded runs, not 3"),
    ({"folder": "nowhere/at/all"}, "folder must be an existing folder of recorded runs, not 'nowhere/at/all'"),
])  # fmt: skip
def test_bad_input_gets_one_sentence_before_another_lab_is_paused(arguments, words, monkeypatch):
    monkeypatch.setattr(Lab, "existing", None)  # whoever looks for other labs fails here
    with pytest.raises((TypeError, ValueError)) as error:
        Lab(**arguments)
    assert str(error.value) == words


def test_a_lab_that_is_displayed_brings_a_sentence_for_a_page_without_its_kernel(monkeypatch):
    shown = []
    monkeypatch.setattr(panel, "display", lambda *bundles, **_: shown.extend(bundles))
    Lab(SMALL)._ipython_display_()
    assert "its kernel has gone: run this cell again." in shown[0]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in shown[1]


# ---- facts that were shown wrong


def test_the_rate_in_force_is_that_of_the_iteration_shown(new):
    """After a fork, at a NaN that a new rate met, and before the first iteration of a warm-up."""
    page = new(dataclasses.replace(SMALL, lr=1e-4))
    page.press("one")
    page("rate", run=page.lab.shown.tag, lr=1e-6)
    page("fork", run=page.lab.shown.tag, iteration=1, **page.choice())
    assert page.last("frame")["rate"] == 1e-6
    page("rate", run=page.lab.shown.tag, lr=5e-6)
    assert page.last("frame")["rate"] == 5e-6 and page.last("frame")["rates"] == [[1, 5e-6]]

    page = new(Recipe(lr=1e-3))
    for _ in range(6):
        page.press("one")
    page("rate", run=page.lab.shown.tag, lr=0.1)
    last = page.to_the_end()
    assert (last["state"], last["rate"], last["rates"]) == ("ended", 0.1, [[1, 1e-3], [7, 0.1]])
    page("rate", run=page.lab.shown.tag, lr=1e-5)
    assert page.last("frame")["rate"] == 0.1, "an ended run has no other rate any more"

    page = new(dataclasses.replace(SMALL, lr=1e-3, warmup=100))
    assert page.last("frame")["rate"] == pytest.approx(1e-5)


def test_a_step_that_nobody_recorded_is_not_blamed_on_a_sample():
    """Alternating updates: G's loss after D's step can break, and then the weights of G are NaN in the next iteration."""
    for seed in range(12):
        run = Run(1, Recipe(lr=0.03, alternating=True), {"seed": seed}, "")
        while not run.verdict and run.count < 50:
            run.advance(0.03, 0)
        networks = run.gan.generator, run.gan.discriminator
        broken = [any(weight.isnan().any() for weight in one.parameters()) for one in networks]
        if broken == [True, False]:
            break
    assert broken == [True, False], "no seed of twelve"
    assert run.verdict["side"] is run.verdict["index"] is None
    assert "G's weights themselves" in run.verdict["words"] and "after D's step" in run.verdict["words"]
    assert run.about()["hazard"] is None and run.shown["chance"] is None, "of that loss the hazard knows nothing"


def test_the_chance_of_an_earlier_iteration_is_that_of_its_own_weights(new):
    page = new(Recipe(lr=1e-3), seed=4)
    page.to_the_end()
    run, gan = page.lab.run, GAN(Recipe(lr=1e-3), 4)
    for at in range(1, run.count + 1):
        page("scrub", run=run.tag, iteration=at)
        step = gan.forward()
        assert page.last("moment")["chance"] == pytest.approx(hazard(gan), abs=1e-6)
        if step.finite:
            gan.update(step)


@pytest.mark.parametrize("data", ["pulses", "digits", "ring"])
def test_the_largest_real_number_is_that_of_all_samples(data):
    facts = Run(1, dataclasses.replace(SMALL, data=data), {"seed": 0}, "").about()
    assert facts["most"] == load(data).samples.abs().max() >= np.abs(facts["real"]).max()


def test_a_fork_says_where_it_began(new):
    page = new(SMALL)
    for _ in range(3):
        page.press("one")
    page("fork", run=page.lab.shown.tag, iteration=2, **page.choice(fix="logits loss"))
    assert page.last("run")["title"].endswith("forked at 2")


def test_a_run_can_be_paused_before_its_first_iteration_is_over(new):
    page = new(SMALL)
    page.press("start", batch=8192, hidden_d=2048)
    assert page.last("frame")["state"] == "running" and page.last("frame")["iteration"] == 0
    page("pause")
    page.lab.join()
    assert page.lab.run.count == 1


def test_one_of_two_pages_that_goes_away_pauses_nothing(new):
    page = new(SMALL)
    page("hello")
    page.press("start")
    page("bye")
    assert page.lab.running and not page.lab.stop.is_set()
    page("bye")
    page.lab.join()
    assert not page.lab.running


@pytest.mark.parametrize("threads", [True, False])
def test_an_interrupt_of_the_kernel_pauses_and_breaks_nothing(new, monkeypatch, threads):
    """While a command waits for the thread, or, where there is no thread, in the middle of an iteration."""
    page = new(SMALL, threads=threads)
    if threads:
        page.press("start")
        until(lambda: page.lab.run.count > 3)
        with monkeypatch.context() as patch:
            patch.setattr(page.lab, "lock", Interrupted(page.lab.lock))
            page("rate", run=page.lab.shown.tag, lr=2e-5)
        page("pause")
        page.lab.join(5)
    else:
        update, calls = GAN.update, itertools.count(1)

        def interrupted(gan, *arguments):
            update(gan, *arguments)
            if next(calls) == 5:
                raise KeyboardInterrupt

        monkeypatch.setattr(GAN, "update", interrupted)
        page.press("start")
        assert "interrupt" in page.last("frame")["said"]
        monkeypatch.undo()
    assert page.last("frame")["state"] == "paused" and not page.lab.running
    page.press("one")
    count = page.lab.run.count
    trace = train(SMALL, count, 0, progress=False)
    np.testing.assert_array_equal(rows(page), np.stack([getattr(trace, name) for name in QUANTITIES], 1))


def test_an_error_that_comes_again_when_the_iterations_are_repeated_ends_the_run_too(new, monkeypatch):
    page = new(SMALL)
    page.press("one")

    def update(*_):
        raise ValueError("it never works")

    monkeypatch.setattr(GAN, "update", update)
    page.press("start")
    page.lab.join()
    assert not page.lab.running and page.last("frame")["said"] == "it never works"


class Interrupted:
    """A lock at which the main thread is interrupted while it waits."""

    def __init__(self, lock):
        self.lock = lock

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)
