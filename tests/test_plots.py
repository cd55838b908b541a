"""Figures draw the trace they are given, can be shown without pyplot, and say in words what they show."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from utils import plots
from utils.data import load
from utils.trace import QUANTITIES, Trace
from utils.training import GAN, Recipe, train


@pytest.fixture(scope="module")
def trace():
    return train(Recipe(lr=1e-3), 200)


def test_losses_stop_where_they_broke(trace):
    _, losses = plots.losses_and_scores(trace).axes
    generator, discriminator = losses.lines[:2]
    assert (generator.get_label(), discriminator.get_label()) == ("generator", "discriminator")
    assert np.isfinite(generator.get_ydata()).sum() == trace.nan_at
    assert np.isfinite(discriminator.get_ydata()).sum() == trace.nan_at - 1
    assert generator.get_linestyle() != discriminator.get_linestyle()
    assert any(line.get_label() == f"first loss not finite: {trace.nan_at}" for line in losses.lines)


def test_a_picture_shows_itself_with_alt_text(trace):
    data, metadata = plots.losses_and_scores(trace)._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert f"the loss stops being finite at {trace.nan_at}" in metadata["image/png"]["alt"]


def test_long_curves_are_drawn_as_means_between_their_extremes():
    trace = Trace(Recipe(), 0, {name: np.arange(5000, dtype=np.float32) for name in QUANTITIES})
    trace.loss_d[-1] = np.inf
    line = plots.losses_and_scores(trace).axes[1].lines[0]
    assert 250 <= len(line.get_xdata()) <= 300 and line.get_xdata()[-1] == 5000
    iteration, low, mean, high = plots._reduced(trace, "loss_d", first=0)
    assert (low <= mean).all() and (mean <= high).all() and high[-1] == 4998
    assert np.allclose(mean[:-1], (low + high)[:-1] / 2)


def test_thinned_traces_show_their_extremes():
    long = train(Recipe(lr=1e-5), 60).thin(keep=5, buckets=10)
    assert len(plots.losses_and_scores(long).axes[0].collections) == 2


def test_collapse_times_show_every_run_and_the_median(trace):
    capped = train(Recipe(lr=1e-5), 10)
    picture = plots.collapse_times({"1e-3": [trace, trace], "1e-5": [capped, trace]}, {"1e-3": 10})
    assert "1e-3: 2 of 2 collapse" in picture.alt and "1e-5: 1 of 2 collapse" in picture.alt
    picture.png()


def test_samples_name_those_that_are_all_nan():
    rows = {"before": np.zeros((2, 64)), "after": np.full((2, 64), np.nan)}
    assert "All values of after are NaN" in plots.samples(rows, "pulses").alt
    plots.samples(rows, "digits").png()


def test_the_atlas_circles_the_draw_beyond_the_cliff(trace):
    z, logits = trace.last_batch["z"][:, 0], trace.last_batch["fake_logits"]
    texts = [text.get_text() for text in plots.atlas(trace, cliff=16.6).axes[1].texts]
    assert "16.60" in texts and any(f"z = {z[logits.argmax()]:.2f}" in text for text in texts)
    assert len(plots.atlas(trace, cliff=1000.0).axes[1].texts) == 1


def test_the_atlas_of_digits_and_of_a_wide_latent_can_be_drawn():
    for recipe in (Recipe(data="digits"), Recipe(latent=3), Recipe(data="ring", latent=2)):
        plots.atlas(train(GAN(recipe), 3)).png()


def test_plots_leave_pyplot_alone():
    code = "import sys, utils.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_plot_names_what_it_cannot_draw_and_what_it_could(trace):
    assert plots.triptych([train(Recipe(lr=1e-3), 2)], {"1e-3": 10}).axes[0].get_title().splitlines()[1] == (
        "finite for 2 iterations"
    )
    published = pd.Series({"1e-3": 10.0})  # as a table gives it
    assert "published: 10" in plots.triptych([trace], published).axes[0].get_title()
    assert "1 of 1 collapse" in plots.collapse_times({"1e-3": [trace]}, published).alt


def test_runs_without_a_collapse_are_drawn_without_a_median():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = plots.collapse_times({"1e-5": [train(Recipe(lr=1e-5), 3)]})
    assert "none collapses" in picture.alt


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda trace: plots.losses_and_scores(Recipe()), r"trace must be made of Traces, not of Recipe\("),
        (lambda trace: plots.losses_and_scores(trace, last=0), "last must be at least 1, not 0"),
        (lambda trace: plots.losses_and_scores(trace, last=-3), "last must be at least 1, not -3"),
        (lambda trace: plots.losses_and_scores(trace, last=10_000), "last must be at most [0-9]+, not 10000"),
        (lambda trace: plots.triptych([], {}), r"traces must hold a run of at least one iteration, not \[\]"),
        (lambda trace: plots.triptych([trace], {"1e-4": 5}), "lacks 1e-3; it has 1e-4"),
        (lambda trace: plots.triptych([trace], [10]), r"published must be such as {'1e-3': 10}, not \[10\]"),
        (lambda trace: plots.triptych([trace, 3], {"1e-3": 5}), "traces must be made of Traces, not of 3"),
        (lambda trace: plots.collapse_times({}), "groups must be named groups of Traces, such as {'1e-3': .*}, not {}"),
        (lambda trace: plots.collapse_times([trace]), "groups must be named groups of Traces"),
        (lambda trace: plots.collapse_times({"1e-3": []}), "must hold a run of at least one iteration, not"),
        (lambda trace: plots.collapse_times({"a": [trace]}, {"a": -1}), "must be a finite number above 0, not -1"),
        (lambda trace: plots.samples({}, "pulses"), "rows must be named rows of samples, such as {'real': ...}, not {}"),
        (lambda trace: plots.samples({"real": np.zeros((2, 64))}, "ring"), "data must be one of pulses, digits, not 'ring'"),
        (lambda trace: plots.samples({"real": np.zeros(64)}, "pulses"), r"must have the shape \(any, 64\), not \(64,\)"),
        (lambda trace: plots.samples({"real": np.zeros((0, 64))}, "pulses"), r"must have the shape \(any, 64\), not \(0, 64\)"),
        (lambda trace: plots.samples({"real": np.zeros((31, 64))}, "pulses"), "samples of a row must be at most 30, not 31"),
        (lambda trace: plots.samples({"real": [["a"] * 64]}, "pulses"), r"rows\['real'\] must be numbers, not"),
        (lambda trace: plots.atlas(trace, at=(5,)), r"there are 1 snapshots, -1 to 0, not \(5,\)"),
        (lambda trace: plots.atlas(trace, at=()), r"at must list some of the trace's snapshots.*, not \(\)"),
        (lambda trace: plots.atlas(trace, at=-1), "at must list some of the trace's snapshots.*, not -1"),
        (lambda trace: plots.atlas(trace, at=(0.5,)), r"at must list some of the trace's snapshots.*, not \(0.5,\)"),
        (lambda trace: plots.atlas(trace, cliff=math.nan), "cliff must be a finite number, not nan"),
        (lambda trace: plots.draw_atlas(None, np.zeros((5, 64)), load("pulses")), r"image must have the shape \(97, 64\)"),
    ],
)  # fmt: skip
def test_a_wrong_argument_gets_one_sentence(trace, call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        call(trace)
    assert "\n" not in str(caught.value)
