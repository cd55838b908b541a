"""GAN: the two networks, their optimisers and their random state; .step() is one iteration.

Uses checks, machine, data, networks, losses, recipe and trace.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from utils import data
from utils.checks import of_type, shown, tensor, whole
from utils.losses import LOSSES, slope, smoothed, wgan_gp, zero_centred
from utils.machine import one_thread
from utils.networks import Discriminator, Generator
from utils.recipe import Recipe, rate
from utils.trace import ATLAS_Z

PARTS = ("generator", "discriminator", "optimiser_g", "optimiser_d")  # that keep a state of their own


@dataclass(frozen=True, eq=False)
class Step:
    """What one iteration computed, before the weights moved.

    row is the iteration's entry in a Trace, in the order of QUANTITIES; z is (batch, latent), real and fake are
    (batch, dimension), the logits (batch,); the losses are scalars that still carry their graph.
    """

    row: list[float]
    z: torch.Tensor
    real: torch.Tensor
    fake: torch.Tensor
    real_logits: torch.Tensor
    fake_logits: torch.Tensor
    loss_d: torch.Tensor
    loss_g: torch.Tensor

    @property
    def finite(self) -> bool:
        """Are both losses finite?"""
        return math.isfinite(self.row[0]) and math.isfinite(self.row[1])


class GAN:
    """The two networks, their optimisers and the one random generator a run draws from."""

    goes_on = False  # after a loss that is not finite: only some remedies do

    @one_thread()
    def __init__(self, recipe: Recipe, seed: int = 0):
        self.recipe, self.seed, self.iteration = of_type("recipe", recipe, Recipe, "a Recipe"), whole("seed", seed), 0
        self.data, self.loss = data.load(recipe.data), LOSSES[recipe.loss]
        self.random = torch.Generator().manual_seed(self.seed)
        size, full_scale = self.data.dimension, self.data.full_scale
        self.generator = Generator(
            recipe.latent, size, full_scale, recipe.hidden_g, self.random, recipe.layers, recipe.bounded, recipe.grain
        )
        unit = full_scale if recipe.normalise else 1.0
        self.discriminator = Discriminator(size, recipe.hidden_d, self.random, recipe.layers, unit, recipe.spectral)
        self.equip()

    def equip(self, optimiser: Callable | None = None) -> None:
        """Give the networks, as they are, new optimisers, by default the recipe's Adam, and the running average."""
        recipe = self.recipe
        self.weights_g, self.weights_d = tuple(self.generator.parameters()), tuple(self.discriminator.parameters())
        # fused: the same Adam in one pass over the weights, a tenth of the time of an iteration saved.
        optimiser = optimiser or partial(torch.optim.Adam, betas=(recipe.beta1, recipe.beta2), fused=True)
        self.optimiser_g = optimiser(self.weights_g, lr=recipe.lr)
        self.optimiser_d = optimiser(self.weights_d, lr=recipe.lr * recipe.d_rate)
        self._lr = recipe.lr
        # The running average of G's weights draws the samples, but never plays.
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False) if recipe.ema else self.generator

    @property
    def columns(self) -> int:
        """Numbers in one latent: the recipe's, and with grain one for each number of a sample."""
        return self.recipe.latent + (self.data.dimension if self.recipe.grain else 0)

    @property
    def lr(self) -> float:
        """The learning rate in force, G's, before warm-up and annealing; setting it takes effect at the next update."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = rate("lr", lr)

    def rates(self, iteration: int, lr: float) -> tuple[float, float]:
        """What warm-up, annealing and the recipe make of a learning rate in an iteration, for G and for D."""
        recipe, share = self.recipe, 1.0
        if recipe.warmup:
            share *= min(1.0, iteration / recipe.warmup)
        if recipe.anneal:
            share *= (1 + math.cos(math.pi * min(max(2 * iteration / recipe.anneal - 1, 0.0), 1.0))) / 2
        start = min(1.0, iteration / recipe.head_start) if recipe.head_start else 1.0
        return share * start * lr, share * lr * recipe.d_rate

    def latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """`count` latents (count, latent) drawn from the recipe's prior; a recipe with grain adds a column an output."""
        whole("count", count, at_least=1, at_most=10_000_000 // self.columns)
        of_type("random", random, torch.Generator, "a torch.Generator")
        if self.recipe.prior == "normal":
            z = torch.randn(count, self.recipe.latent, generator=random)
        else:
            z = math.sqrt(3) * (2 * torch.rand(count, self.recipe.latent, generator=random) - 1)  # variance 1 too
        if self.recipe.grain:
            z = torch.cat([z, torch.randn(count, self.data.dimension, generator=random)], 1)
        return z

    @one_thread()
    def forward(self) -> Step:
        """Draw a batch and latents, and compute logits and losses: one forward pass serves both networks."""
        samples, recipe = self.data.samples, self.recipe
        real = samples[torch.randint(len(samples), (recipe.batch,), generator=self.random)]
        z = self.latents(recipe.batch, self.random)
        fake = self.generator(z)
        shown_real, shown_fake = self._shown(real), self._shown(fake)
        if recipe.penalty == "none":
            real_logits, fake_logits = self.discriminator(shown_real), self.discriminator(shown_fake)
        else:
            # One pass over both halves, so that one more backward pass gives D's slope at all of them.
            shown = torch.cat([shown_real, shown_fake])
            logits = self.discriminator(shown)
            real_logits, fake_logits = logits.split(recipe.batch)
        loss_d, loss_g = self._losses(real_logits, fake_logits)
        if recipe.penalty != "none":
            loss_d = loss_d + recipe.gamma * self._penalty(shown, logits)
        self.iteration += 1
        row = _row(z, real_logits.detach(), fake_logits.detach(), loss_d.detach(), loss_g.detach())
        return Step(row, z, real, fake, real_logits, fake_logits, loss_d, loss_g)

    def _shown(self, samples: torch.Tensor) -> torch.Tensor:
        """What D reads of `samples`: themselves, or with the recipe's noise."""
        if not self.recipe.noise:
            return samples
        return samples + self.recipe.noise * self.data.full_scale * torch.randn(samples.shape, generator=self.random)

    def _losses(self, real_logits: torch.Tensor, fake_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flips, smoothing = self.recipe.flips, self.recipe.smoothing
        flipped = torch.rand(len(real_logits), generator=self.random) < flips if flips else None
        if smoothing:
            return smoothed(self.loss, real_logits, fake_logits, smoothing, flipped)
        return self.loss(real_logits, fake_logits, flipped)

    def _penalty(self, shown: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The recipe's penalty on D's slope; `shown` (2 batch, dimension) are the real, then the generated samples."""
        unit, real = self.discriminator.unit, self.recipe.batch
        if self.recipe.penalty.startswith("wgan-gp"):
            safe = self.recipe.penalty == "wgan-gp"
            return wgan_gp(self.discriminator, shown[:real], shown[real:], self.random, unit, safe)
        slopes = slope(logits, shown, unit)
        r1, r2 = zero_centred(slopes[:real]), zero_centred(slopes[real:])
        return {"r1": r1, "r2": r2, "r1+r2": r1 + r2}[self.recipe.penalty]

    @one_thread()
    def update(self, step: Step, d: bool = True, g: bool = True) -> None:
        """Move the weights of D and of G by the gradients of `step`, whatever these are: nobody checks for NaN here."""
        of_g, of_d = self.optimiser_g.param_groups[0], self.optimiser_d.param_groups[0]
        of_g["lr"], of_d["lr"] = self.rates(self.iteration, self._lr)
        alternating = self.recipe.alternating
        # Both gradients are taken before either network moves, a simultaneous update, unless the recipe alternates.
        if d:
            gradients_d = torch.autograd.grad(step.loss_d, self.weights_d, retain_graph=g)
        if g and not alternating:
            gradients_g = torch.autograd.grad(step.loss_g, self.weights_g)
        if d:
            _apply(self.optimiser_d, self.weights_d, gradients_d, self.recipe.clip)
        if g and alternating:
            _, loss_g = self.loss(self.discriminator(self._shown(step.real)), self.discriminator(self._shown(step.fake)))
            gradients_g = torch.autograd.grad(loss_g, self.weights_g)
        if g:
            _apply(self.optimiser_g, self.weights_g, gradients_g, self.recipe.clip)
        if self.recipe.ema:
            with torch.no_grad():
                torch._foreach_lerp_(list(self.averaged.parameters()), self.weights_g, 1 - self.recipe.ema)

    def step(self) -> Step:
        """One iteration."""
        step = self.forward()
        self.update(step)
        return step

    @one_thread()
    @torch.no_grad()
    def sample(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What G draws at latents z (count, latent), and D's logits for it: (count, dimension) and (count,)."""
        samples = self.generator(tensor("z", z, None, self.columns))
        return samples, self.judge(samples)

    @one_thread()
    @torch.no_grad()
    def judge(self, samples: torch.Tensor) -> torch.Tensor:
        """D's logits (count,) for samples (count, dimension); nothing is changed."""
        tensor("samples", samples, None, self.data.dimension)
        # In training mode, D's spectral norm would take a step of its power iteration.
        self.discriminator.eval()
        try:
            return self.discriminator(samples)
        finally:
            self.discriminator.train()

    @one_thread()
    @torch.no_grad()
    def draw(self, count: int, seed: int = 0) -> torch.Tensor:
        """`count` samples (count, dimension) from G, or from its running average, at latents of their own seed."""
        return self.averaged(self.latents(count, torch.Generator().manual_seed(whole("seed", seed))))

    def atlas(self, direction: torch.Tensor | None = None) -> tuple[np.ndarray, np.ndarray]:
        """G's samples (97, dimension) and D's logits (97,) at latents ATLAS_Z times `direction`, a unit vector (latent,).

        With a latent of one number that is everything G can draw; the default direction is the first axis.
        """
        if direction is None:
            direction = torch.eye(1, self.columns)[0]
        tensor("direction", direction, self.columns)
        samples, logits = self.sample(torch.from_numpy(ATLAS_Z)[:, None] * direction)
        return samples.numpy(), logits.float().numpy()

    def guarded(self) -> tuple[list, tuple[str, ...]]:
        """What an iteration changes, for nanguard: networks, optimisers and generator; and the attributes that count."""
        average = [self.averaged] if self.recipe.ema else []
        parts = [self.generator, self.discriminator, *average, self.optimiser_g, self.optimiser_d, self.random]
        return parts, ("iteration", "_lr")

    def state(self) -> dict:
        """Everything that the next iteration depends on, as tensors and numbers."""
        return {name: getattr(self, name).state_dict() for name in PARTS} | {
            "averaged": self.averaged.state_dict() if self.recipe.ema else {},
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "iteration": self.iteration,
            "lr": self._lr,
            "random": self.random.get_state(),
        }

    def check_state(self, state: dict) -> None:
        """ValueError or TypeError unless `state` is one of this recipe and seed."""
        if not isinstance(state, dict) or set(state) != set(self.state()):
            raise TypeError(f"state must be what GAN.state() returned, not {shown(state)}")
        if (state["recipe"], state["seed"]) != (asdict(self.recipe), self.seed):
            raise ValueError(f"that state belongs to {state['recipe']} with seed {state['seed']}, not to this run")

    def load_state(self, state: dict) -> None:
        """Go back (or forward) to a state of the same recipe and seed; ValueError for another one's."""
        self.check_state(state)
        self.iteration, self._lr = state["iteration"], state["lr"]
        for name in (*PARTS, "averaged") if self.recipe.ema else PARTS:
            # a copy: an optimiser would go on writing into the tensors that it is given
            getattr(self, name).load_state_dict(copy.deepcopy(state[name]))
        self.random.set_state(state["random"])


def _row(z, real_logits, fake_logits, loss_d, loss_g) -> list[float]:
    """One entry of a Trace, in the order of QUANTITIES."""
    real_score, fake_score = torch.sigmoid(real_logits).mean(), torch.sigmoid(fake_logits).mean()
    fake_min, fake_max = fake_logits.aminmax()
    real_min, real_max = real_logits.aminmax()
    z_max = z[fake_logits.argmax()]
    z_max = z_max[0] if len(z_max) == 1 else z_max.norm()
    score_d = (real_score + 1 - fake_score) / 2
    return torch.stack([loss_g, loss_d, fake_score, score_d, fake_max, fake_min, real_max, real_min, z_max]).tolist()


def _apply(optimiser, weights, gradients, clip: float) -> None:
    for weight, gradient in zip(weights, gradients):
        weight.grad = gradient
    if clip:
        torch.nn.utils.clip_grad_norm_(weights, clip)
    optimiser.step()
