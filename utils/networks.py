"""Generator and Discriminator, by default with one hidden layer each, as small as the collapse allows.

Uses torch and checks. The weights are PyTorch's default ones, drawn from the run's own random generator.
"""

from __future__ import annotations

import functools
import math
import warnings

import torch
from torch import nn

from utils.checks import number, shown, tensor, whole


@functools.cache
def _load_the_rest_of_torch() -> None:
    """What torch loads with its first bare layer and its first optimiser, without the warning filters that this adds."""
    with warnings.catch_warnings():
        torch.optim.Adam(nn.utils.skip_init(nn.Linear, 1, 1).parameters())


def linear(inputs: int, outputs: int, random: torch.Generator) -> nn.Linear:
    """nn.Linear with PyTorch's default initialisation, U(-1, 1)/sqrt(inputs), drawn from `random`.

    nn.Linear itself draws from the global random state, which this project never touches.
    """
    whole("inputs", inputs, at_least=1), whole("outputs", outputs, at_least=1)
    if not isinstance(random, torch.Generator):
        raise TypeError(f"random must be a torch.Generator, not {shown(random)}")
    _load_the_rest_of_torch()
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=random)
    nn.init.uniform_(layer.bias, -bound, bound, generator=random)
    return layer


def layers(inputs: int, hidden: int, outputs: int, depth: int, activation: nn.Module, random: torch.Generator) -> nn.Sequential:
    """`depth` hidden layers of width `hidden` with `activation` after each, and a linear layer to `outputs`."""
    widths = [inputs] + whole("depth", depth, at_least=1) * [hidden]
    parts = [part for sizes in zip(widths, widths[1:]) for part in (linear(*sizes, random), activation)]
    return nn.Sequential(*parts, linear(hidden, outputs, random))


class Generator(nn.Module):
    """Latents (batch, latent) to samples (batch, dimension) in the unit of the data.

    bounded  no sample leaves +-2 full scales; a tanh bends the output there, and leaves small values as they are
    grain    the last `dimension` columns of the latents are white noise that is added to the output, each with a strength
             that is learned, as StyleGAN's noise inputs are (arXiv 1812.04948)
    """

    def __init__(
        self, latent: int, dimension: int, full_scale: float, hidden: int, random: torch.Generator,
        depth: int = 1, bounded: bool = False, grain: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.full_scale, self.bounded = number("full_scale", full_scale, above=0), bounded
        self.layers = layers(latent, hidden, dimension, depth, nn.ReLU(), random)
        self.grain = nn.Parameter(torch.full((dimension,), 0.1)) if grain else None

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        tensor("z", z, None, self.layers[0].in_features + (0 if self.grain is None else len(self.grain)))
        if self.grain is None:
            output = self.layers(z)
        else:
            z, noise = z.tensor_split([z.shape[1] - len(self.grain)], dim=1)
            output = self.layers(z) + self.grain * noise
        if self.bounded:
            output = 2 * torch.tanh(output / 2)
        return self.full_scale * output


class Discriminator(nn.Module):
    """Samples (batch, dimension) to logits (batch,): positive means "looks real".

    unit      what the samples are divided by before D reads them: 1 reads raw units, the full scale normalised ones
    spectral  divide each layer's weight by its largest singular value (torch's own; source: arXiv 1802.05957)
    """

    def __init__(
        self, dimension: int, hidden: int, random: torch.Generator,
        depth: int = 1, unit: float = 1.0, spectral: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.unit = number("unit", unit, above=0)
        self.layers = layers(dimension, hidden, 1, depth, nn.LeakyReLU(0.2), random)
        if spectral:
            # torch starts its power iteration from the global random state, which this project never touches.
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=random)))  # no GPU's
                for layer in self.layers[::2]:
                    nn.utils.parametrizations.spectral_norm(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tensor("x", x, None, self.layers[0].in_features)
        return self.layers(x if self.unit == 1 else x / self.unit).squeeze(1)
