"""The metrics on samples whose answers are known, and what becomes of runs."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from utils import data, metrics
from utils.hazard import hazard
from utils.losses import LOSSES
from utils.metrics import alive, floor, measure, mode_quality, outcome, plausible, pulse_quality, ring_down, sliced_wasserstein
from utils.recipe import FIXES, Recipe
from utils.sweep import table
from utils.training import GAN, train


def ringing(amplitude, frequency, phase, decay):
    """One pulse (1, 64) in mV without noise, its amplitude in full scales."""
    time = torch.arange(64, dtype=torch.float64) / 64
    return 20 * amplitude * torch.sin(2 * math.pi * frequency * time + phase)[None] * torch.exp(-decay * time)


# ---- pulses


@pytest.mark.parametrize("amplitude, frequency, phase, decay", [(0.8, 5.0, 0.3, 1.5), (0.5, 2.3, 4.0, 0.0), (3, 8.8, 1, 3)])
def test_a_ring_down_without_noise_is_recovered(amplitude, frequency, phase, decay):
    fit = ring_down(ringing(amplitude, frequency, phase, decay))
    assert fit.amplitude == pytest.approx([amplitude], rel=1e-4)
    assert fit.frequency == pytest.approx([frequency], rel=1e-6) and fit.decay == pytest.approx([decay], abs=1e-6)
    assert fit.residual == pytest.approx([0], abs=1e-4)


def test_what_a_fit_leaves_over_is_the_noise():
    noise = 20 * 0.2 * torch.randn(400, 64, generator=torch.Generator().manual_seed(0))
    residual = ring_down(ringing(0.8, 5.0, 0.3, 1.5) + noise).residual
    assert residual.mean() == pytest.approx(0.2 * math.sqrt((64 - 4) / 64), rel=0.02)  # four numbers were fitted


def test_real_pulses_are_plausible_and_at_the_noise_floor():
    found = pulse_quality(data.pulses(2000, seed=77).samples)
    assert 0.95 <= found["plausible"] <= 0.985  # seven limits, each for at most one of 200, the residual's for one of 100
    assert found["floors"] == pytest.approx(1, abs=0.25)
    assert found["amplitude"] < 0.02 and found["frequency"] < 0.25 and found["decay"] < 0.15
    assert outcome({"data": "pulses", "nan_at": None, "alive": True, **found}) == "good"


def test_louder_and_mixed_pulses_and_plain_noise_are_not_plausible():
    real, other = (data.pulses(1000, seed=seed).samples for seed in (77, 78))
    # over the root of two, so that the noise of a mixture is that of one pulse
    loud, mixed = pulse_quality(3 * real), pulse_quality((real + other) / 2**0.5)
    assert loud["plausible"] < 0.05 and loud["floors"] > 10
    assert loud["amplitude"] == pytest.approx(2 * ring_down(real).amplitude.mean(), rel=0.05)
    assert mixed["plausible"] < 0.5
    noise = torch.randn(1000, 64, generator=torch.Generator().manual_seed(0))
    assert plausible(ring_down(8 * noise)).mean() < 0.01
    assert plausible(ring_down(torch.zeros(3, 64))).mean() == 0


def test_one_pulse_over_and_over_is_plausible_but_far_from_the_data():
    one = data.pulses(500, seed=77).samples
    one = one[plausible(ring_down(one)).argmax()].repeat(500, 1)
    found = pulse_quality(one)
    assert found["plausible"] == 1 and found["floors"] > 3
    assert outcome({"data": "pulses", "nan_at": None, "alive": True, **found}) == "poor"


def test_the_limits_are_those_of_the_physics_and_a_little_noise():
    (a_low, a_high), (f_low, f_high), (d_low, d_high), (_, rest) = metrics.limits().values()
    assert 0.3 < a_low < 0.55 and 0.95 < a_high < 1.4 and 1.8 < f_low < 2.2 and 7.8 < f_high < 8.2
    assert -1 <= d_low < 0.3 and 2.7 < d_high <= 6 and 0.2 < rest < 0.27


def test_samples_with_nan_have_no_quality():
    pulses, points = torch.zeros(10, 64), torch.zeros(10, 2)
    pulses[3, 5], points[2, 1] = math.nan, math.inf
    for found in (pulse_quality(pulses), mode_quality(points, data.load("ring"))):
        assert len(found) >= 3 and all(math.isnan(value) for value in found.values())


def test_the_sliced_distance_of_shifted_samples_is_the_mean_projection_of_the_shift():
    random = torch.Generator().manual_seed(0)
    one = torch.randn(500, 3, generator=random)
    assert sliced_wasserstein(one, one[torch.randperm(500, generator=random)]) == pytest.approx(0, abs=1e-6)
    # the mean of |cos| over directions in space is 1/2
    shift = torch.tensor([0.0, 4.0, 0.0])
    assert sliced_wasserstein(one, one + shift, projections=5000) == pytest.approx(4 / 2, rel=0.02)
    # and of two samples of shifted Gaussians nearly so
    other = torch.randn(500, 3, generator=random) + shift
    assert sliced_wasserstein(one, other, projections=5000) == pytest.approx(4 / 2, rel=0.05)
    # in one dimension, N(0, 1) and N(0, 3^2): E|2 z|
    one, other = torch.randn(2, 20_000, 1, generator=random)
    wide = sliced_wasserstein(one, 3 * other, projections=10)
    assert wide == pytest.approx(2 * math.sqrt(2 / math.pi), rel=0.03)


def test_the_sliced_distance_needs_samples_of_one_shape():
    with pytest.raises(ValueError, match=r"same shape, not \(4, 2\) and \(5, 2\)"):
        sliced_wasserstein(torch.zeros(4, 2), torch.zeros(5, 2))


def test_the_noise_floor_falls_with_the_root_of_the_count():
    assert floor(500) / floor(2000) == pytest.approx(2, rel=0.25)


# ---- ring and grid


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_real_points_have_all_modes_high_quality_and_even_shares(name):
    found = mode_quality(data.load(name).samples[:2500], data.load(name))
    assert found["modes"] == len(data.load(name).centres)
    assert found["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.006)  # a plane Gaussian within 3 sd
    assert 0 <= found["reverse_kl"] < 0.02 and 0 <= found["reverse_kl_near"] < 0.02
    assert found["width"] == pytest.approx(1, abs=0.04)
    row = {"nan_at": None, "alive": True, "data": name, **found}
    assert outcome(row) == "good"


def test_a_dropped_mode_points_between_modes_and_the_edge_of_a_mode():
    grid = data.load("grid")
    found = mode_quality(grid.centres[:24].repeat(10, 1), grid)
    missing = pytest.approx(math.log(25 / 24))
    assert found == {"modes": 24, "high_quality": 1, "width": 0, "reverse_kl": missing, "reverse_kl_near": missing}
    assert outcome({"nan_at": None, "alive": True, "data": "grid", **found}) == "poor"
    # half of the points far from everything: they count for the nearest mode's share, and for no mode's capture
    halves = torch.cat([grid.centres, grid.centres + 0.9])
    even = pytest.approx(0, abs=1e-12)
    assert mode_quality(halves, grid) == {
        "modes": 25, "high_quality": 0.5, "width": 0, "reverse_kl": even, "reverse_kl_near": even
    }  # fmt: skip
    edges = grid.centres[:1] + torch.tensor([[2.99 * grid.sd, 0.0], [3.01 * grid.sd, 0.0]])
    found = mode_quality(edges, grid)
    assert (found["modes"], found["high_quality"], found["reverse_kl"]) == (1, 0.5, pytest.approx(math.log(25)))
    empty = mode_quality(edges[1:], grid)
    assert empty["modes"] == 0 and math.isnan(empty["width"]) and math.isnan(empty["reverse_kl_near"])


@pytest.mark.parametrize("name", ["ring", "grid"])
@pytest.mark.parametrize("times", [0.5, 0.8, 1.0])
def test_the_width_is_that_of_the_islands_against_real_ones(name, times):
    dataset = data.load(name)
    spread = dataset.sd * torch.randn(5000, 2, generator=torch.Generator().manual_seed(1))
    spread = spread[spread.norm(dim=1) <= 3 * dataset.sd]  # so that a smaller crowd is the same one, shrunk
    found = mode_quality(dataset.centres[3] + times * spread, dataset)
    assert found["width"] == pytest.approx(times, rel=0.03)
    # what lies beside the islands does not count
    more = torch.cat([dataset.centres[3] + times * spread, torch.full((99, 2), 0.5)])
    assert mode_quality(more, dataset)["width"] == pytest.approx(found["width"])


def test_the_two_reverse_kl_differ_where_the_lost_samples_are_uneven():
    grid = data.load("grid")
    found = mode_quality(torch.cat([grid.centres, grid.centres[:1] + 0.9]), grid)
    assert found["reverse_kl_near"] == pytest.approx(0, abs=1e-12) and found["reverse_kl"] > 0.01


def test_uneven_shares_have_the_divergence_of_the_formula():
    ring = data.load("ring")
    counts = torch.tensor([5, 1, 1, 1, 1, 1, 1, 1])
    share = counts.double() / 12
    found = mode_quality(ring.centres.repeat_interleave(counts, 0), ring)
    assert found["reverse_kl"] == pytest.approx((share * (8 * share).log()).sum().item())


def test_data_without_modes_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="pulses has no modes; ring and grid have"):
        mode_quality(torch.zeros(4, 64), data.load("pulses"))


# ---- digits


def test_real_digits_are_near_each_other_and_impostors_are_not():
    one, other = metrics._halves()
    assert metrics.digit_quality(other) == {
        "precision": pytest.approx(0.91, abs=0.02), "recall": pytest.approx(0.91, abs=0.02), "floors": 1
    }  # fmt: skip
    digits, random = data.load("digits").samples, torch.Generator().manual_seed(1)
    spread = torch.linalg.cholesky(torch.cov(digits.T) + 1e-3 * torch.eye(64))
    crowd = metrics.digit_quality(digits.mean(0) + torch.randn(898, 64, generator=random) @ spread.T)
    assert crowd["precision"] < 0.2 and crowd["recall"] > 0.7  # right as a crowd, one by one no digit
    few = metrics.digit_quality(digits[torch.arange(898) % 100])
    assert few["precision"] > 0.95 and few["recall"] < 0.1 and few["floors"] > 2
    assert all(math.isnan(value) for value in metrics.digit_quality(torch.full((898, 64), math.nan)).values())


# ---- any GAN


def test_the_signal_is_the_slope_of_the_loss_at_each_sample():
    gan = GAN(Recipe(loss="logits"))
    pull = metrics.signal(gan, 300)
    z = gan.latents(300, torch.Generator().manual_seed(0))
    assert pull == pytest.approx(torch.sigmoid(-gan.sample(z)[1]).numpy(), rel=1e-5)
    assert metrics.signal(GAN(Recipe(loss="wgan")), 50) == pytest.approx(np.ones(50))


@pytest.mark.parametrize("seed", range(2))
def test_a_mask_dies_where_the_logits_loss_lives_on(seed):
    found = {}
    for fix in ("BCELoss", "logits loss"):
        gan = GAN(Recipe(lr=1e-3, **FIXES[fix]), seed)
        assert train(gan, 80, progress=False).nan_at is None
        found[fix] = alive(gan)
    assert found == {"BCELoss": False, "logits loss": True}


def test_a_healthy_run_is_alive_and_one_with_nan_weights_is_not():
    gan = GAN(Recipe(lr=1e-5))
    assert alive(gan)
    train(gan, 20, progress=False)
    assert alive(gan)
    with torch.no_grad():
        gan.weights_d[0][3, 4] = math.nan
    assert not alive(gan)


@pytest.mark.parametrize("shift, expected", [(0, True), (16.0, False), (-60.0, False)])
def test_alive_asks_for_a_gradient_at_more_than_one_sample_of_a_hundred(shift, expected):
    gan = GAN(Recipe(loss="bce"))
    with torch.no_grad():
        gan.weights_d[-2].mul_(0.001)
        gan.weights_d[-1].fill_(shift)
    assert alive(gan) == expected
    if shift < 0:  # as far down, the same loss computed from the logit pulls with all its strength
        gan.loss = LOSSES["logits"]
        assert alive(gan)


def test_looking_at_a_gan_changes_nothing():
    for recipe in (Recipe(data="ring", spectral=True, ema=0.9), Recipe(data="ring", noise=0.1, flips=0.1, penalty="wgan-gp")):
        gan, other = GAN(recipe), GAN(recipe)
        before = torch.get_rng_state()
        alive(gan), metrics.quality(gan, 100), gan.draw(10), gan.sample(torch.zeros(3, 1)), gan.atlas()
        assert torch.equal(before, torch.get_rng_state())
        for _ in range(3):
            assert gan.step().row == other.step().row


POINTS = {"nan_at": None, "alive": True, "data": "ring", "modes": 8, "high_quality": 0.99}
DIGITS = {"nan_at": None, "alive": True, "data": "digits", "precision": 0.9, "recall": 0.85}
PULSES = {"nan_at": None, "alive": True, "data": "pulses", "plausible": 0.95, "floors": 2.0}


@pytest.mark.parametrize(
    "row, expected",
    [
        (PULSES, "good"),
        (PULSES | {"plausible": 0.89}, "poor"),
        (PULSES | {"floors": 3.1}, "poor"),
        (PULSES | {"plausible": math.nan, "floors": math.nan}, "poor"),
        (PULSES | {"alive": False}, "dead"),
        (PULSES | {"nan_at": 12, "alive": False, "plausible": None}, "NaN"),
        (POINTS, "good"),
        (POINTS | {"modes": 7}, "poor"),
        (POINTS | {"high_quality": 0.94}, "poor"),
        (POINTS | {"width": 1.05}, "good"),
        (POINTS | {"width": 0.6}, "poor"),
        (POINTS | {"width": 1.2}, "poor"),
        (POINTS | {"alive": False}, "dead"),
        (POINTS | {"plausible": None}, "good"),  # as a table with pulses beside it has it
        (pd.Series(POINTS | {"nan_at": pd.NA, "plausible": math.nan}), "good"),
        (pd.Series(PULSES | {"nan_at": math.nan, "modes": math.nan}), "good"),
        (pd.Series(PULSES | {"nan_at": 12, "alive": False, "plausible": math.nan}), "NaN"),
        (POINTS | {"modes": pd.NA}, "poor"),
        (PULSES | {"alive": np.False_}, "dead"),
        (DIGITS, "good"),
        (DIGITS | {"precision": 0.5}, "poor"),
        (DIGITS | {"recall": math.nan}, "poor"),
    ],
)
def test_the_outcome_of_a_run(row, expected):
    assert outcome(row) == expected


def test_every_recorded_run_has_the_outcome_that_its_row_says():
    rows = table("fixes.csv")
    assert [outcome(row) for _, row in rows.iterrows()] == list(rows["outcome"])


def test_a_run_is_dead_whose_loss_is_nan_although_its_weights_are_finite():
    gan, broken = GAN(Recipe(lr=1e-3)), 0
    for _ in range(60):  # what people do who clean their gradients
        step = gan.forward()
        broken += not step.finite
        for optimiser, weights, loss in (
            (gan.optimiser_d, gan.weights_d, step.loss_d), (gan.optimiser_g, gan.weights_g, step.loss_g)
        ):  # fmt: skip
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, retain_graph=True)):
                weight.grad = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            optimiser.step()
    assert broken > 30 and all(torch.isfinite(weights).all() for weights in gan.weights_g + gan.weights_d)
    assert not alive(gan)


def test_a_naive_run_near_the_end_of_its_lottery_is_alive():
    recipe = Recipe(lr=1e-3)
    gan = GAN(recipe)
    train(gan, train(recipe, 200, progress=False).nan_at - 1, progress=False)
    assert 0 < hazard(gan) < 0.5 and alive(gan)


def test_measure_says_what_became_of_a_run():
    row, trace = measure(Recipe(lr=1e-3), 200)
    assert row["outcome"] == "NaN" and row["nan_at"] == row["iterations"] == trace.nan_at and row["first_broken"] == "D"
    assert not row["alive"] and "plausible" not in row and row["fake_max"] == trace.fake_max.max() > 16
    row, trace = measure(Recipe(lr=1e-5, data="ring", hidden_d=64), 5, seed=3)
    assert (row["nan_at"], row["alive"], row["outcome"], row["seed"], row["iterations"]) == (None, True, "poor", 3, 5)
    assert row["score_g"] == pytest.approx(trace.score_g.mean()) and row["cpu_ms"] > 0
    assert {"modes", "high_quality", "reverse_kl"} <= set(row)


def test_a_run_cut_short_is_no_measurement(monkeypatch):
    forward = GAN.forward

    def interrupted(gan):
        if gan.iteration == 3:
            raise KeyboardInterrupt
        return forward(gan)

    monkeypatch.setattr(GAN, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(Recipe(data="ring", hidden_d=64), 5)


PAIR = torch.zeros(4, 2)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: ring_down(torch.zeros(64)), r"pulses must have the shape \(any, 64\), not \(64,\)"),
        (lambda: ring_down(torch.zeros(3, 63)), r"pulses must have the shape \(any, 64\), not \(3, 63\)"),
        (lambda: ring_down(torch.zeros(0, 64)), r"pulses must have the shape \(any, 64\), not \(0, 64\)"),
        (lambda: ring_down(np.zeros((3, 64))), "pulses must be a tensor of floating point numbers, not array"),
        (lambda: ring_down(torch.zeros(3, 64), 0), "full_scale must be a finite number above 0, not 0"),
        (lambda: plausible(PAIR), "fit must be a RingDown, such as ring_down.. gives, not tensor"),
        (lambda: pulse_quality(PAIR), r"pulses must have the shape \(any, 64\), not \(4, 2\)"),
        (lambda: pulse_quality(torch.zeros(1, 64).expand(100_001, 64)), "the number of pulses must be at most 100,000, not"),
        (lambda: sliced_wasserstein(PAIR[0], PAIR[0]), r"one must have the shape \(any, any\), not \(2,\)"),
        (lambda: sliced_wasserstein(PAIR[:0], PAIR[:0]), r"one must have the shape \(any, any\), not \(0, 2\)"),
        (lambda: sliced_wasserstein(PAIR, PAIR, projections=0), "projections must be at least 1, not 0"),
        (lambda: sliced_wasserstein(PAIR, PAIR, seed=-1), "seed must be at least 0, not -1"),
        (lambda: floor(0), "count must be at least 1, not 0"),
        (lambda: floor([100]), r"count must be a whole number, not \[100\]"),
        (lambda: floor(10**9), "count must be at most 100,000, not 1000000000"),
        (lambda: floor(100, pairs=0), "pairs must be at least 1, not 0"),
        (lambda: mode_quality(torch.zeros(4, 64), data.load("ring")), r"samples must have the shape \(any, 2\), not \(4, 64\)"),
        (lambda: mode_quality(PAIR, "ring"), "dataset must be a DataSet, such as data.load.'ring'. gives, not 'ring'"),
        (lambda: metrics.digit_quality(torch.zeros(9, 64)), "the number of digits must be 898, half of the real ones, not 9"),
        (lambda: metrics.quality(Recipe()), r"gan must be a GAN, not Recipe\("),
        (lambda: metrics.quality(GAN(Recipe()), 0), "count must be at least 1, not 0"),
        (lambda: metrics.quality(GAN(Recipe(data="digits")), -1), "count must be at least 1, not -1"),
        (lambda: metrics.quality(GAN(Recipe()), 1.5), "count must be a whole number, not 1.5"),
        (lambda: metrics.signal("gan"), "gan must be a GAN, not 'gan'"),
        (lambda: metrics.signal(GAN(Recipe()), 0), "count must be at least 1, not 0"),
        (lambda: alive(train), "gan must be a GAN, not <function train"),
        (lambda: alive(GAN(Recipe()), least=-1), "least must be a finite number of at least 0, not -1"),
        (lambda: alive(GAN(Recipe()), share=1), "share must be at least 0 and below 1, not 1"),
        (lambda: outcome("good"), "row must be a row of measure.. or of a table, not 'good'"),
        (lambda: outcome({"data": "ring"}), "this one lacks nan_at, alive"),
        (lambda: measure("recipe", 5), "recipe must be a Recipe, not 'recipe'"),
        (lambda: measure(Recipe(), 0), "iterations must be at least 1, not 0"),
        (lambda: measure(Recipe(), 10**9, count=0), "count must be at least 1, not 0"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_metrics_take_what_a_generator_drew_as_it_is():
    gan = GAN(Recipe())
    drawn = gan.generator(torch.zeros(3, 1))  # with its graph
    assert drawn.requires_grad and pulse_quality(drawn) == pulse_quality(drawn.detach())
    assert sliced_wasserstein(PAIR, PAIR.double() + 1) == sliced_wasserstein(PAIR, PAIR + 1)
