"""Figures draw the trace they are given, can be shown without pyplot, and say in words what they show."""

import subprocess
import sys

import numpy as np
import pytest

from utils import plots
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
    assert any(line.get_label() == f"NaN, iteration {trace.nan_at}" for line in losses.lines)


def test_a_picture_shows_itself_with_alt_text(trace):
    data, metadata = plots.losses_and_scores(trace)._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert f"NaN at iteration {trace.nan_at}" in metadata["image/png"]["alt"]


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
