"""Generator and Discriminator, one hidden layer each, as small as the collapse allows.

Uses torch only. The weights are PyTorch's default ones, drawn from the run's own random generator.
"""

from __future__ import annotations

import math

import torch
from torch import nn


def linear(inputs: int, outputs: int, random: torch.Generator) -> nn.Linear:
    """nn.Linear with PyTorch's default initialisation, U(-1, 1)/sqrt(inputs), drawn from `random`.

    nn.Linear itself draws from the global random state, which this project never touches.
    """
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=random)
    nn.init.uniform_(layer.bias, -bound, bound, generator=random)
    return layer


class Generator(nn.Module):
    """Latents (batch, latent) to samples (batch, dimension) in the unit of the data."""

    def __init__(self, latent: int, dimension: int, full_scale: float, hidden: int, random: torch.Generator):
        super().__init__()
        self.full_scale = full_scale
        self.layers = nn.Sequential(linear(latent, hidden, random), nn.ReLU(), linear(hidden, dimension, random))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.full_scale * self.layers(z)


class Discriminator(nn.Module):
    """Samples (batch, dimension) to logits (batch,): positive means "looks real"."""

    def __init__(self, dimension: int, hidden: int, random: torch.Generator):
        super().__init__()
        self.layers = nn.Sequential(linear(dimension, hidden, random), nn.LeakyReLU(0.2), linear(hidden, 1, random))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).squeeze(1)
