"""A GAN with its history, and what one frame of it shows. Uses training, and autopsy for the explanation of a NaN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from utils.autopsy import Explanation, explain, rarity
from utils.recipe import Recipe
from utils.trace import QUANTITIES
from utils.training import GAN, one_thread


@dataclass
class Picture:
    """What one frame shows: curves up to an iteration, a few samples, the atlas of G and the batch's draws on it."""

    iteration: int
    curves: dict  # {quantity: (x, y)}, already decimated
    real: np.ndarray  # (count, dimension) in the data's unit
    fake: np.ndarray  # likewise
    atlas: tuple[np.ndarray, np.ndarray]  # (97, dimension) samples and (97,) logits at ATLAS_Z
    thick: int | None = None  # the row of `fake` that is drawn thick
    z: np.ndarray | None = None  # (batch,) the draws along the atlas, if they are known, as are the next two
    logits: np.ndarray | None = None  # (batch,) D's logits for them
    real_logits: np.ndarray | None = None  # (batch,)
    nan_at: int | None = None  # iteration of the first loss that is not finite, if it is in the picture
    fatal: Explanation | None = None  # what made it so
    note: str = ""  # the words beside the ring around the fatal sample


class Run:
    """One GAN and its history. The same recipe and seed give the rows that train() gives, to the last bit."""

    def __init__(self, recipe: Recipe, seed: int):
        self.gan = GAN(recipe, seed)
        self.rows = np.empty((len(QUANTITIES), 1024), dtype=np.float32)
        self.count, self.broken = 0, False
        self.fatal: Explanation | None = None
        self.rates: list[float] = []
        self.shown: tuple | None = None

    @property
    def verdict(self) -> str:
        """Which NaN, and why; "" before there is one."""
        return f"NaN at iteration {self.count:,}: {self.fatal.words}" if self.broken else ""

    def advance(self, lr: float, picture: bool, d: bool = True, g: bool = True) -> None:
        """One iteration at learning rate `lr`; `picture` keeps what Picture needs, from before the weights move."""
        gan = self.gan
        if not self.rates or self.rates[-1] != lr:
            self.rates.append(lr)
            gan.lr = lr
        with one_thread():
            step = gan.forward()
            if self.count == self.rows.shape[1]:  # twice the room
                self.rows = np.concatenate([self.rows, np.empty_like(self.rows)], axis=1)
            self.rows[:, self.count] = step.row
            self.count, self.broken = self.count + 1, not step.finite
            if self.broken:
                self.fatal = explain(step.real_logits.detach(), step.fake_logits.detach(), step.z, gan.recipe)
            if picture or self.broken:
                # With a wider latent the atlas is a slice: along the draw that is drawn thick.
                along = slice_through(step.z[self._thick(step), : gan.recipe.latent])
                direction = torch.cat([along, step.z.new_zeros(step.z.shape[1] - len(along))])  # without G's own noise
                drawn = gan.averaged(step.z) if gan.recipe.ema else step.fake
                self.shown = step, gan.atlas(direction), step.z @ direction, drawn.detach().numpy()
            gan.update(step, d, g)

    def _thick(self, step) -> int:
        """The generated sample that broke the run, else the one that D finds the most real."""
        if self.fatal is not None and self.fatal.of == "generated" and self.fatal.sample is not None:
            return self.fatal.sample
        return int(step.fake_logits.argmax())

    def picture(self) -> Picture:
        """The run as it stands."""
        x = np.arange(1, self.count + 1)
        curves = {name: zigzag(x, row, row) for name, row in zip(QUANTITIES, self.rows[:, : self.count])}
        if self.shown is None:
            samples = self.gan.data.samples[:12].numpy()
            return Picture(0, curves, samples, samples[:0], self.gan.atlas())
        step, atlas, z, fake = self.shown
        return Picture(
            self.count, curves, step.real.numpy(), fake, atlas, self._thick(step), z.numpy(), step.fake_logits.detach().numpy(),
            step.real_logits.detach().numpy(), self.count if self.broken else None, self.fatal,
            note(self.fatal, step.z, self.gan.recipe),
        )  # fmt: skip


def slice_through(z: torch.Tensor) -> torch.Tensor:
    """The unit vector (latent,) along which an atlas is cut: the first axis, or through the latent `z` if it is wider."""
    return torch.ones(1) if len(z) == 1 else z / z.norm()


def note(fatal: Explanation | None, z: torch.Tensor, recipe: Recipe) -> str:
    """The words beside the ring around the sample that broke a run; z (batch, latent) are the latents of its batch."""
    if fatal is None or fatal.sample is None:
        return ""
    if fatal.of == "real":
        return f"real sample {fatal.sample}\nlogit {fatal.logit:.1f}"
    return rarity(z[fatal.sample, : recipe.latent], recipe.prior).replace(", ", "\n").removesuffix(" is as far out")


def zigzag(x: np.ndarray, low: np.ndarray, high: np.ndarray, buckets: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 x buckets points through the lowest and highest value of each bucket, so that no spike is lost."""
    if len(x) <= 2 * buckets:
        return np.repeat(x, 2), np.stack([low, high], axis=1).ravel()
    # equal stretches of iterations, of which a thinned trace may leave some empty
    edges = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], buckets + 1)))[:-1]
    ends = np.append(edges[1:], len(x)) - 1
    pairs = np.stack([np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)], axis=1)
    return np.repeat(x[ends], 2), pairs.ravel()
