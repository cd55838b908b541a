"""Networks start from PyTorch's own initialisation, compute their formula and leave the global random state alone."""

import numpy as np
import pytest
import torch
from torch import nn

from utils.networks import Discriminator, Generator


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


def random():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: Generator(0, 64, 20.0, 8, random()), "inputs must be at least 1, not 0"),
        (lambda: Generator(1, 64, -20.0, 8, random()), "full_scale must be a finite number above 0, not -20.0"),
        (lambda: Generator(1, 64, 20.0, 8.5, random()), "outputs must be a whole number, not 8.5"),
        (lambda: Generator(1, 64, 20.0, 8, 0), "random must be a torch.Generator, not 0"),
        (lambda: Generator(1, 64, 20.0, 8, random(), depth=0), "depth must be at least 1, not 0"),
        (lambda: Discriminator(64, 8, random(), unit=0), "unit must be a finite number above 0, not 0"),
        (lambda: Generator(2, 64, 20.0, 8, random())(torch.zeros(5, 1)), r"z must have the shape \(any, 2\), not \(5, 1\)"),
        (lambda: Generator(2, 64, 20.0, 8, random(), grain=True)(torch.zeros(5, 2)), r"z must have the shape \(any, 66\)"),
        (lambda: Discriminator(64, 8, random())(torch.zeros(64)), r"x must have the shape \(any, 64\), not \(64,\)"),
        (lambda: Discriminator(64, 8, random())([[0.0] * 64]), "x must be a tensor of floating point numbers"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
