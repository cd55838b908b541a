"""The lab without a browser: its widgets are pressed in this process."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch

from utils.autopsy import explain
from utils.hazard import cliffs
from utils.lab import Lab, Recorded, panel, view
from utils.lab.run import Run, zigzag
from utils.lab.view import View
from utils.recipe import FIXES, RECOMMENDED, Recipe
from utils.sweep import record
from utils.trace import QUANTITIES
from utils.training import GAN, train

SLOW = Recipe(lr=1e-5)  # never ends within a test


@pytest.fixture
def new(tmp_path):
    """Makes labs that run flat out, and leaves no thread behind."""
    labs = []

    def make(recipe=None, **options):
        labs.append(Lab(recipe, folder=tmp_path, **options))
        labs[-1].speed.value = "flat out"
        return labs[-1]

    yield make
    for lab in labs:
        lab.pause()
        lab.join()
    assert threads() == 0


def threads() -> int:
    return sum(thread.name == "lab" for thread in threading.enumerate())


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_the_lab_gives_the_run_that_train_gives(new):
    lab = new(Recipe(lr=1e-3), seed=3)
    lab.buttons["Start"].click()
    lab.join()
    trace = train(Recipe(lr=1e-3), 200, seed=3, progress=False)
    assert lab.run.count == trace.nan_at
    for name, row in zip(QUANTITIES, lab.run.rows[:, : lab.run.count]):
        np.testing.assert_array_equal(row, getattr(trace, name))


def test_a_nan_is_named_and_only_reset_goes_on(new):
    lab = new(Recipe(lr=1e-3))
    lab.guess.value = 9
    lab.start()
    lab.join()
    step, verdict = lab.run.shown[0], lab.run.verdict
    assert verdict.startswith(f"NaN at iteration {lab.run.count}: log(1 - D(G(z))) of sample {lab.run.fatal.sample}")
    assert f"z = {float(step.z[step.fake_logits.argmax(), 0]):.2f}" in verdict and verdict in lab.status.value
    assert [name for name, button in lab.buttons.items() if not button.disabled] == ["Reset"]
    assert lab.outcomes[-1][-2:] == ("9", f"{lab.run.count}")
    count = lab.run.count
    for name in ("Start", "One iteration", "Only D", "Only G"):
        lab.buttons[name].click()
    assert lab.run.count == count
    lab.buttons["Reset"].click()
    assert lab.run.count == 0 and not lab.buttons["Start"].disabled


def test_double_clicks_start_one_thread_and_one_run(new):
    lab = new(SLOW)
    for _ in range(5):
        lab.start()
    assert threads() == 1
    for _ in range(5):
        lab.pause()
    lab.join()
    assert threads() == 0 and "paused" in lab.status.value
    lab.start()
    lab.pause()
    lab.start()  # while the first thread may still be on its last iteration
    until(lambda: lab.run.count > 5)
    assert lab.running


def test_paused_is_said_after_the_last_iteration(new):
    lab, said, png = new(SLOW), [], View.png
    lab.status.observe(lambda change: said.append(change["new"]), "value")
    lab.view.png = lambda picture: (lab.pause(), png(lab.view, picture))[1]  # Pause comes while a frame is drawn
    lab.start()
    lab.join()
    assert [("paused" in words) for words in said] == [False, True]


def test_reset_during_a_run_leaves_a_fresh_one(new):
    lab = new(SLOW)
    for _ in range(10):
        lab.start()
        until(lambda: lab.run.count > 2)
        lab.reset()
        lab.join()
        assert lab.run.count == 0 and "ready" in lab.status.value and threads() == 0


def test_a_new_lab_pauses_the_old_one_and_both_can_run(new):
    first = new(SLOW)
    first.start()
    second = new(SLOW, seed=1)
    assert threads() == 0
    first.start()
    second.start()
    counts = first.run.count, second.run.count
    until(lambda: first.run.count > counts[0] and second.run.count > counts[1])
    assert threads() == 2


def test_an_error_in_the_thread_is_shown_in_words(new, monkeypatch):
    lab = new(SLOW)
    monkeypatch.setattr(Run, "advance", lambda *_: 1 / 0)
    lab.start()
    lab.join()
    assert "Stopped by an error: ZeroDivisionError" in lab.status.value and not lab.buttons["Start"].disabled


def test_start_ends_at_either_cap_and_goes_on(new):
    lab = new(SLOW, iterations=7)
    lab.start()
    lab.join()
    assert lab.run.count == 7 and "cap" in lab.status.value
    lab.start()
    lab.join()
    assert lab.run.count == 14
    lab = new(SLOW, minutes=0.3 / 60)
    lab.start()
    lab.join()
    assert lab.run.count > 0 and "cap" in lab.status.value


def test_without_threads_start_runs_for_a_while_and_returns(new, monkeypatch):
    monkeypatch.setattr(panel, "IN_TURN", 0.3)
    lab = new(SLOW, threads=False)
    lab.start()
    assert lab.run.count > 0 and not lab.running and threads() == 0


def test_the_rate_takes_effect_at_the_next_iteration(new):
    lab = new(SLOW)
    lab.one()
    lab.rate.value = 3e-4
    before = lab.run.gan.weights_d[0].clone()
    lab.one()
    assert lab.run.gan.lr == 3e-4 and "rate in force 3e-4" in lab.status.value and "<b>3e-4</b>" in lab.rate_label.value
    # Adam's step at a steady rate is about lr a weight
    assert 1e-4 < (lab.run.gan.weights_d[0] - before).abs().max() < 2e-3


def test_wild_dragging_through_the_nan(new):
    lab = new(SLOW)
    lab.start()
    for rate in np.tile([1e-1, 1e-6, 1e-3, 3.3e-2], 20):
        lab.rate.value = rate
    lab.rate.value = 1e-1
    until(lambda: lab.run.broken)
    for rate in (1e-6, 1e-1, 1e-4):
        lab.rate.value = rate
    lab.join()
    assert "NaN at iteration" in lab.status.value and "error" not in lab.status.value


def test_only_d_moves_d_alone_and_only_g_moves_g_alone(new):
    lab = new(SLOW)

    def moved(button):
        before = [tuple(w.clone() for w in weights) for weights in (lab.run.gan.weights_d, lab.run.gan.weights_g)]
        lab.buttons[button].click()
        after = (lab.run.gan.weights_d, lab.run.gan.weights_g)
        return [any(not torch.equal(a, b) for a, b in zip(*pair)) for pair in zip(before, after)]

    assert moved("Only D") == [True, False]
    assert moved("Only G") == [False, True]
    assert moved("One iteration") == [True, True]


@pytest.mark.parametrize("data", ["digits", "ring", "grid"])
def test_every_data_set_and_loss_has_a_picture(new, data):
    lab = new(SLOW)
    lab.fix.value, lab.data.value = "logits loss", data
    lab.one()
    assert lab.run.gan.recipe.data == data and lab.run.gan.recipe.loss == "logits"
    assert bytes(lab.image.value).startswith(b"\x89PNG")


def test_a_wide_latent_and_the_logits_loss(new):
    lab = new(Recipe(lr=1e-1, latent=3, loss="logits"))
    for _ in range(3):
        lab.one()
    assert bytes(lab.image.value).startswith(b"\x89PNG")


def test_the_menu_has_every_fix_and_applies_it_to_the_labs_own_recipe(new, monkeypatch):
    base = {"lr": 1e-5, "latent": 3, "loss": "hinge", "hidden_g": 32, "hidden_d": 32}
    lab = new(Recipe(**base))
    assert lab.fix.options == (*FIXES, "the combination") and lab.fix.description == "Fix"
    assert lab.run.gan.recipe == lab.recipe  # no fix
    monkeypatch.setattr(Lab, "_show", lambda *_: None)  # a figure of each would take half a minute
    monkeypatch.setattr(panel, "View", lambda recipe: None)
    lab.batch.value = 32
    for fix, changes in (FIXES | {"the combination": RECOMMENDED}).items():
        lab.fix.value = fix
        assert lab.run.gan.recipe == Recipe(**base | {"batch": 32} | changes)
        lab.run.advance(lab.lr, True)
        assert np.isfinite(lab.run.picture().fake).all() and not lab.run.broken


def test_the_table_names_the_fix_and_what_is_finite_but_dead_is_called_dead(new):
    lab = new(Recipe(lr=1e-3), iterations=100)
    lab.start()
    lab.join()
    assert lab.outcomes[-1][2] == "no fix"
    lab.fix.value = "BCELoss"
    lab.start()
    lab.join()
    assert not lab.run.broken and "Finite but dead: G gets no gradient. Stopped at the cap" in lab.status.value
    lab.fix.value = "logits loss"
    lab.start()
    lab.join()
    assert not lab.run.broken and "Stopped at the cap" in lab.status.value and "dead" not in lab.status.value
    lab.reset()
    assert [line[2::4] for line in lab.outcomes[1:]] == [("BCELoss", "none by 100, but dead"), ("logits loss", "none by 100")]
    assert ">fix</th>" in lab.table.value and ">BCELoss</td>" in lab.table.value


def test_the_cliff_is_shown_only_where_a_log_can_overflow():
    assert [View(Recipe(loss=loss)).cliff for loss in ("matlab", "logits", "bce")] == [True, False, False]


def test_the_rate_in_force_is_the_one_a_warm_up_leaves(new):
    lab = new(Recipe(lr=1e-3, warmup=1000))
    lab.one()
    assert "rate in force 1e-6" in lab.status.value and "<b>1e-3</b>" in lab.rate_label.value


def test_the_pictures_of_an_averaged_g_are_those_of_the_average(new):
    lab = new(Recipe(lr=1e-3, loss="logits", ema=0.9))
    for _ in range(5):
        lab.one()
    fake, step = lab.run.picture().fake, lab.run.shown[0]
    assert fake.shape == step.fake.shape and not np.allclose(fake, step.fake.detach().numpy())
    assert lab.view.axes["fake"].get_title() == "averaged G"


def test_a_bounded_latent_is_shown_within_its_bound():
    view = View(Recipe(prior="uniform"))
    assert view.axes["atlas"].get_xlim() == view.axes["along"].get_xlim() == pytest.approx((-(3**0.5), 3**0.5))


@pytest.mark.parametrize("arguments, words", [
    ({"recipe": "1e-3"}, "recipe must be a Recipe, not '1e-3'"),
    ({"recipe": Recipe(lr=1.0)}, "the lab's learning rate must be at least 1e-06 and at most 0.1, not 1.0"),
    ({"recipe": Recipe(batch=50_000)}, "the lab's batch must be at most 10,000, not 50000"),
    ({"seed": -1}, "seed must be at least 0, not -1"),
    ({"seed": 10**7}, "seed must be at most 1,000,000, not 10000000"),
    ({"seed": 0.5}, "seed must be a whole number, not 0.5"),
    ({"iterations": 0}, "iterations must be at least 1, not 0"),
    ({"minutes": 0}, "minutes must be a finite number above 0, not 0"),
    ({"minutes": float("nan")}, "minutes must be a finite number above 0, not nan"),
    ({"minutes": float("inf")}, "minutes must be a finite number above 0, not inf"),
    ({"minutes": "5"}, "minutes must be a number, not '5'"),
    ({"threads": "no"}, "threads must be True or False, not 'no'"),
    ({"folder": 3}, "folder must be a path to recorded runs, not 3"),
    ({"folder": "nowhere/at/all"}, "folder must be an existing folder of recorded runs, not 'nowhere/at/all'"),
])  # fmt: skip
def test_bad_input_gets_one_sentence_before_another_lab_is_paused(arguments, words, monkeypatch):
    monkeypatch.setattr(Lab, "existing", None)  # whoever looks for other labs fails here
    with pytest.raises((TypeError, ValueError)) as error:
        Lab(**arguments)
    assert str(error.value) == words


@pytest.mark.parametrize("logit, term", [(-120.0, "log D(G(z))"), (40.0, "log(1 - D(G(z)))")])
def test_the_generated_sample_that_broke_is_ringed_whichever_term_it_was(new, monkeypatch, logit, term):
    lab, forward = new(SLOW), GAN.forward

    def broken(gan):
        step = forward(gan)
        logits = torch.full_like(step.fake_logits, -1.0)
        logits[5], logits[7] = logit, 2.0
        row = [float("nan"), *step.row[1:]]
        return dataclasses.replace(step, fake_logits=logits, row=row, real_logits=torch.zeros_like(logits))

    monkeypatch.setattr(GAN, "forward", broken)
    lab.one()
    picture, (x, y) = lab.run.picture(), lab.view.rings["generated"].get_data()
    assert lab.run.verdict.startswith(f"NaN at iteration 1: {term} of sample 5 is -inf")
    assert (list(x), list(y)) == ([picture.z[5]], [logit]) and picture.thick == 5
    assert lab.view.fatal_text.get_text().startswith(f"z = {picture.z[5]:.2f}") and not lab.view.rings["real"].get_xdata()


def test_a_real_sample_that_broke_is_ringed_among_the_real_logits():
    run, drawn = Run(Recipe(smoothing=0.1), 0), View(Recipe(smoothing=0.1))
    run.advance(1e-4, True)
    step, *rest = run.shown
    real = torch.zeros_like(step.real_logits)
    real[2], run.broken = 20, True
    run.fatal = explain(real, step.fake_logits.detach() * 0, step.z, run.gan.recipe)
    run.shown = dataclasses.replace(step, real_logits=real), *rest
    drawn.png(run.picture())
    assert run.verdict.startswith("NaN at iteration 1: log(1 - D(x)) of sample 2 is -inf. Its logit is 20.0")
    assert (drawn.rings["real"].get_ydata(), drawn.fatal_text.get_text()) == ([20], "real sample 2\nlogit 20.0")
    assert not drawn.rings["generated"].get_xdata()


def test_g_with_noise_of_its_own_has_its_dots_on_the_atlas():
    run = Run(Recipe(grain=True, latent=2), 0)
    run.advance(1e-4, True)
    z, picture = run.shown[0].z, run.picture()
    assert np.abs(picture.z).max() <= float(z[:, :2].norm(dim=1).max()) + 1e-5  # not the length of 66 numbers
    assert picture.z[picture.thick] == pytest.approx(float(z[picture.thick, :2].norm()), rel=1e-5)


def test_whatever_is_shown_is_escaped(new, monkeypatch):
    lab, evil = new(SLOW), "<img src=x onerror=alert(1)>"

    def fail(*_):
        raise ValueError(evil)

    lab.fixed = evil
    lab._keep(evil)
    monkeypatch.setattr(Run, "advance", fail)
    lab.one()
    shown = lab.table.value + lab.status.value
    assert "<img" not in shown and shown.count("&lt;img") == 3


def test_zigzag_keeps_every_extreme():
    values = np.sin(np.arange(10_000) * 0.37).astype(np.float32)
    values[1234], values[7777] = 50, -50
    x, y = zigzag(np.arange(1, 10_001), values, values)
    assert len(x) == len(y) <= 400 and y.max() == 50 and y.min() == -50
    few = zigzag(np.arange(1, 4), values[:3], values[:3])
    assert set(few[1]) == set(values[:3])


def test_recorded_runs_are_scrubbed_without_training(tmp_path, monkeypatch):
    record(tmp_path / "pulses_lr1e-3", Recipe(lr=1e-3), range(2), 50, atlas_at={0: range(1, 51)}, jobs=1, progress=False)
    monkeypatch.setattr(GAN, "forward", lambda *_: pytest.fail("the recorded tab trained"))
    tab = Recorded(tmp_path)
    frames = set()
    for position in range(tab.position.max + 1):
        tab.position.value = position
        frames.add(tab.image.value)
    assert len(frames) == tab.position.max + 1
    assert f"NaN at iteration {tab.trace.nan_at}: log(1 - D(G(z))) of sample" in tab.text.value
    tab.seed.value = 1
    assert tab.trace.seed == 1
    began = time.monotonic()
    for position in range(tab.position.max + 1):
        tab.position.value = position
    a_picture = (time.monotonic() - began) / (tab.position.max + 1)
    print(f"recorded tab: {1000 * a_picture:.0f} ms from drag to picture, in the kernel")
    assert a_picture < 0.5


def test_a_recording_without_atlas_and_last_batch_is_shown_as_far_as_it_goes(tmp_path):
    trace = train(Recipe(lr=1e-3), 50, progress=False)
    trace.atlas, trace.last_batch = {}, {}
    trace.save(tmp_path / "pulses_lr1e-3" / "seed000.npz")
    tab = Recorded(tmp_path)
    tab.position.value = tab.position.max
    assert bytes(tab.image.value).startswith(b"\x89PNG")
    assert f"NaN at iteration {trace.nan_at}: its last batch was not recorded" in tab.text.value


def test_a_damaged_recording_is_a_sentence_and_its_neighbour_is_shown(tmp_path):
    trace = train(Recipe(lr=1e-3), 50, progress=False)
    trace.save(tmp_path / "pulses_lr1e-3" / "seed001.npz")
    (tmp_path / "pulses_lr1e-3" / "seed000.npz").write_bytes(b"PK but no more")
    tab = Recorded(tmp_path)
    assert "seed000.npz is not a recorded run, or it is damaged" in tab.text.value and not tab.image.value
    tab.position.value = tab.position.max
    tab.seed.value = 1
    assert "iteration <b>" in tab.text.value and tab.image.value


def test_a_folder_without_recordings_is_a_sentence(tmp_path):
    (tmp_path / "pulses_lr1e-3").mkdir()
    (tmp_path / "something_else.txt").write_text("foreign")
    assert "no recorded runs" in Recorded(tmp_path).children[0].value


def test_the_cliff_in_the_picture_is_the_computed_one():
    assert (view.LOWEST, view.HIGHEST) == cliffs()


def test_the_view_leaves_most_of_the_time_to_the_training(new):
    lab, counts = new(Recipe(lr=1e-5), seed=5), {"view": 0, "bare": 0}
    lab.start()
    until(lambda: lab.run.count > 1100)  # in the first seconds the axes grow, which costs a fifth of a second each time
    lab.pause()
    lab.join()
    gan = GAN(Recipe(lr=1e-5), 5)
    seconds = {"view": 0.0, "bare": 0.0}
    for _ in range(2):  # A B A B: the machine's other work hits both alike
        began, first = time.monotonic(), lab.run.count
        lab.start()
        time.sleep(3)
        lab.pause()
        paused = time.monotonic()
        lab.join()
        latency = time.monotonic() - paused
        counts["view"], seconds["view"] = counts["view"] + lab.run.count - first, seconds["view"] + time.monotonic() - began
        began = time.monotonic()
        while time.monotonic() - began < 3:
            gan.step()
            counts["bare"] += 1
        seconds["bare"] += time.monotonic() - began
    view, bare = (counts[name] / seconds[name] for name in ("view", "bare"))
    print(f"{view:.0f} iterations/s with the view, {bare:.0f} without: {view / bare:.2f}; pause after {latency:.2f} s")
    assert view / bare > 0.4 and latency < 3
