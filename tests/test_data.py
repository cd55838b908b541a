"""Data sets keep their units and what is promised of them; wrong arguments are refused."""

import pytest
import torch

from utils import data


@pytest.mark.parametrize(
    "name, shape, unit, full_scale",
    [
        ("pulses", (20_000, 64), "mV", 20),
        ("digits", (1797, 64), "grey levels", 16),
        ("ring", (100_000, 2), "length units", 1),
        ("grid", (100_000, 2), "length units", 4),
    ],
)
def test_shape_unit_and_full_scale(name, shape, unit, full_scale):
    made = data.load(name)
    assert (tuple(made.samples.shape), made.unit, made.full_scale, made.dimension) == (shape, unit, full_scale, shape[1])
    assert made.samples.dtype == torch.float32


def test_pulses_ring_die_away_and_carry_the_noise_they_should():
    samples = data.pulses().samples / 20
    power = samples.square().mean(0)
    # E[A^2] E[sin^2] at t = 0, and the noise; then the decay takes power away.
    assert power[0].item() == pytest.approx((1 / 4 + 1 / 2 + 1) / 3 / 2 + 0.2**2, rel=0.05)
    assert power[-1] < 0.5 * power[0]
    assert data.pulses(seed=1).samples.ne(data.pulses().samples).any()


@pytest.mark.parametrize("name, modes, sd", [("ring", 8, 0.01), ("grid", 25, 0.05)])
def test_mixtures_have_their_modes_equally_often_and_their_width(name, modes, sd):
    samples = data.load(name).samples
    if name == "ring":
        angle = torch.arctan2(samples[:, 1], samples[:, 0]) / (2 * torch.pi / 8)
        nearest = angle.round().remainder(8).long()
        spread = samples.norm(dim=1).std()
    else:
        nearest = ((samples + 4) / 2).round().long() @ torch.tensor([5, 1])
        spread = (samples[:, 0] - (samples[:, 0] / 2).round() * 2).std()
    counts = torch.bincount(nearest)
    assert len(counts) == modes
    assert counts.min() > 0.9 * len(samples) / modes
    assert spread.item() == pytest.approx(sd, rel=0.03)


def test_unknown_data_set_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="data must be one of pulses, digits, ring, grid, not 'faces'"):
        data.load("faces")


@pytest.mark.parametrize("make", [data.pulses, data.ring, data.grid])
@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"count": 0}, "count must be at least 1, not 0"),
        ({"count": 10**9}, "count must be at most 2,000,000, not 1000000000"),
        ({"count": 1e3}, "count must be a whole number, not 1000.0"),
        ({"count": "many"}, "count must be a whole number, not 'many'"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"seed": None}, "seed must be a whole number, not None"),
    ],
)
def test_a_wrong_count_or_seed_is_refused_before_anything_is_drawn(make, wrong, sentence, monkeypatch):
    for draw in ("rand", "randn", "randint"):
        monkeypatch.setattr(torch, draw, lambda *sizes, **options: pytest.fail("it was drawn"))
    with pytest.raises((ValueError, TypeError), match=sentence):
        make(**wrong)


@pytest.mark.parametrize("name", [["pulses"], None, 3])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="data must be one of pulses, digits, ring, grid, not"):
        data.load(name)


def test_one_sample_is_enough():
    assert data.pulses(1).samples.shape == (1, 64) and data.ring(1, seed=0).samples.shape == (1, 2)
