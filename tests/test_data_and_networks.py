"""Data sets keep their units, networks PyTorch's own initialisation, and nobody touches the global random state."""

import numpy as np
import pytest
import torch
from torch import nn

from utils import data
from utils.networks import Discriminator, Generator


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


def test_initial_weights_are_torchs_own():
    torch.manual_seed(7)
    torchs = [nn.Linear(1, 512), nn.Linear(512, 64)]
    ours = Generator(1, 64, 20.0, 512, torch.Generator().manual_seed(7))
    for mine, theirs in zip(ours.parameters(), (p for layer in torchs for p in layer.parameters())):
        assert torch.equal(mine, theirs)


def test_networks_compute_what_their_formula_says():
    random = torch.Generator().manual_seed(0)
    generator, discriminator = Generator(1, 64, 20.0, 512, random), Discriminator(64, 2048, random)
    z = torch.randn(5, 1, generator=random)
    w1, b1, w2, b2 = generator.parameters()
    samples = 20 * (torch.relu(z @ w1.T + b1) @ w2.T + b2)
    assert torch.allclose(generator(z), samples, atol=1e-4)
    w1, b1, w2, b2 = discriminator.parameters()
    hidden = samples @ w1.T + b1
    expected = (torch.where(hidden > 0, hidden, 0.2 * hidden) @ w2.T + b2)[:, 0]
    assert discriminator(samples).shape == (5,)
    assert np.allclose(discriminator(samples).detach(), expected.detach(), atol=1e-4)
