"""Games that papers play with the same two networks, each a change of a freshly made GAN: lazy(), optimistic(), packed().

Uses torch, gan and networks. remedies.py gives them their names.
"""

from __future__ import annotations

import dataclasses

import torch

from utils.gan import GAN, Step
from utils.networks import Discriminator

EVERY = 16  # iterations from one penalty to the next, StyleGAN2's choice


class Lazy(GAN):
    """A GAN whose penalty counts in every 16th iteration only."""

    def forward(self) -> Step:
        whole, strong = self.recipe, {"gamma": EVERY * self.recipe.gamma}
        self.recipe = dataclasses.replace(whole, **({"penalty": "none"} if self.iteration % EVERY else strong))
        try:
            return super().forward()
        finally:
            self.recipe = whole


def lazy(gan: GAN) -> None:
    """The penalty counts in every 16th iteration only, 16 times as strongly (arXiv 1912.04958)."""
    gan.__class__ = Lazy


def optimistic(gan: GAN) -> None:
    """Each step of Adam goes on by what it differs from the one before: optimistic Adam (arXiv 1711.00141)."""

    @torch.no_grad()
    def before(optimiser, *_):
        optimiser.old = [weight.clone() for weight in optimiser.param_groups[0]["params"]]

    @torch.no_grad()
    def after(optimiser, *_):
        for weight, old in zip(optimiser.param_groups[0]["params"], optimiser.old):
            step, state = weight - old, optimiser.state[weight]
            weight += step - state.get("step_before", step)
            state["step_before"] = step  # beside Adam's averages, so that a checkpoint holds it

    for optimiser in (gan.optimiser_g, gan.optimiser_d):
        optimiser.register_step_pre_hook(before)
        optimiser.register_step_post_hook(after)


class Packed(Discriminator):
    """Judges each sample together with the next two of its batch, which were drawn at random."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.cat([x, x.roll(1, 0), x.roll(2, 0)], 1))


def packed(gan: GAN) -> None:
    """D judges three samples at once, as in PacGAN3 (arXiv 1712.04086); a penalty would mix real and generated ones."""
    if gan.recipe.penalty != "none":
        raise ValueError(f"packing needs a recipe without a penalty, not {gan.recipe.penalty!r}")
    size, recipe = 3 * gan.data.dimension, gan.recipe
    gan.discriminator = Packed(size, recipe.hidden_d, gan.random, recipe.layers, gan.discriminator.unit, recipe.spectral)
    gan.equip()
