"""How good a GAN's samples are, and whether the GAN still learns: quality(), alive(), measure().

Uses numpy, torch, and of utils checks, data, hazard, recipe, remedies, trace, training and verdicts.
"""

from __future__ import annotations

import copy
import functools
import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from utils import data
from utils.checks import number, shown, tensor, whole
from utils.hazard import cliffs
from utils.recipe import Recipe
from utils.remedies import remedied
from utils.trace import Trace
from utils.training import GAN, one_thread, train
from utils.verdicts import ending, finite_losses, outcome

COUNT = 2000  # samples that a pulse metric looks at
MOST = 100_000  # samples that a metric looks at, at most


@dataclass(frozen=True, eq=False)
class RingDown:
    """The ring-down A sin(2 pi f t + phi) exp(-d t) nearest to each pulse, all (count,): amplitude A and residual (rms of
    what it leaves over) in full scales, frequency f in cycles and decay d in 1/window.
    """

    amplitude: np.ndarray
    frequency: np.ndarray
    decay: np.ndarray
    residual: np.ndarray


def ring_down(pulses: torch.Tensor, full_scale: float = 20.0) -> RingDown:
    """Fit a ring-down to each pulse (count, 64): least squares over a grid of frequencies 1 to 10 and decays -1 to 6."""
    pulses = tensor("pulses", pulses, None, 64).detach()
    x = (pulses / number("full_scale", full_scale, above=0)).double()
    bases, back, frequency, decay = _dictionary(x.shape[1])
    coefficients = torch.einsum("nt,gtk->ngk", x, bases)  # orthonormal bases: the energy is that of the coefficients
    best = coefficients.square().sum(2).argmax(1)
    chosen = coefficients[torch.arange(len(x)), best]
    residual = (x.square().sum(1) - chosen.square().sum(1)).clamp(min=0).div(x.shape[1]).sqrt()
    amplitude = torch.einsum("nkl,nl->nk", back[best], chosen).norm(dim=1)
    return RingDown(amplitude.numpy(), frequency[best].numpy(), decay[best].numpy(), residual.numpy())


@functools.cache
def _dictionary(length: int):
    """Orthonormal bases (grid, length, 2) of the damped sine and cosine of each frequency and decay, and the way back."""
    time_ = torch.arange(length, dtype=torch.float64) / length
    grid = torch.cartesian_prod(torch.arange(1.0, 10.01, 0.1), torch.arange(-1.0, 6.01, 0.25)).double()
    frequency, decay = grid[:, 0], grid[:, 1]
    phase = 2 * math.pi * frequency[:, None] * time_
    waves = torch.stack([phase.sin(), phase.cos()], 2) * torch.exp(-decay[:, None] * time_)[:, :, None]
    bases, triangles = torch.linalg.qr(waves)
    return bases, torch.linalg.inv(triangles), frequency, decay


@functools.cache
def limits() -> dict[str, tuple[float, float]]:
    """{property: (lowest, highest)} between which 99 of 100 real pulses lie; a residual only has a highest."""
    dataset = data.pulses(4000, seed=1)  # no GAN was trained on these
    fit = vars(ring_down(dataset.samples, dataset.full_scale))
    found = {name: tuple(np.quantile(values, (0.005, 0.995)).tolist()) for name, values in fit.items()}
    return found | {"residual": (0.0, float(np.quantile(fit["residual"], 0.99)))}


def plausible(fit: RingDown) -> np.ndarray:
    """(count,) bool: is each pulse a ring-down with amplitude, frequency, decay and remaining noise as real ones have?"""
    if not isinstance(fit, RingDown):
        raise TypeError(f"fit must be a RingDown, such as ring_down() gives, not {shown(fit)}")
    inside = [(low <= getattr(fit, name)) & (getattr(fit, name) <= high) for name, (low, high) in limits().items()]
    return np.logical_and.reduce(inside)


def sliced_wasserstein(one: torch.Tensor, other: torch.Tensor, projections: int = 200, seed: int = 0) -> float:
    """Mean over random directions of the 1-Wasserstein distance of the projected samples, both (count, dimension), in their
    unit. Source: Rabin et al. 2011, Wasserstein barycenter and its application to texture mixing.
    """
    one, other = tensor("one", one, None, None).detach(), tensor("other", other, None, None).detach()
    if one.shape != other.shape:
        raise ValueError(f"both samples must have the same shape, not {tuple(one.shape)} and {tuple(other.shape)}")
    projections, random = whole("projections", projections, 1, MOST), torch.Generator().manual_seed(whole("seed", seed))
    directions = torch.randn(one.shape[1], projections, generator=random)
    directions = (directions / directions.norm(dim=0)).to(one.dtype)
    return float(((one @ directions).sort(0).values - (other.to(one.dtype) @ directions).sort(0).values).abs().mean())


def floor(count: int = COUNT, pairs: int = 5) -> float:
    """The sliced Wasserstein distance of two samples of `count` real pulses, mean of `pairs`: what real ones score."""
    return _floor(whole("count", count, 1, MOST), whole("pairs", pairs, 1, 100))


@functools.cache
def _floor(count: int, pairs: int) -> float:
    draws = [data.pulses(count, seed=10 + draw).samples for draw in range(2 * pairs)]
    return float(np.mean([sliced_wasserstein(one, other) for one, other in zip(draws[::2], draws[1::2])]))


def pulse_quality(pulses: torch.Tensor) -> dict[str, float]:
    """Of generated pulses (count, 64) in mV: {"plausible": share, "floors": sliced Wasserstein in noise floors,
    "amplitude", "frequency", "decay": 1-Wasserstein distance of the fitted distributions, in their units}.
    """
    pulses = tensor("pulses", pulses, None, 64).detach()
    whole("the number of pulses", len(pulses), 1, MOST)
    real = data.pulses(len(pulses), seed=2)
    if not torch.isfinite(pulses).all():
        return dict.fromkeys(("plausible", "floors", "amplitude", "frequency", "decay"), math.nan)
    ours, theirs = ring_down(pulses), ring_down(real.samples)
    floors = sliced_wasserstein(pulses, real.samples) / floor(len(pulses))
    names = ("amplitude", "frequency", "decay")
    distances = {name: float(np.abs(np.sort(getattr(ours, name)) - np.sort(getattr(theirs, name))).mean()) for name in names}
    return {"plausible": float(plausible(ours).mean()), "floors": floors} | distances


def mode_quality(samples: torch.Tensor, dataset: data.DataSet) -> dict[str, float]:
    """Of generated points (count, 2): {"modes": captured, "high_quality": share, "width": of the islands, "reverse_kl" and
    "reverse_kl_near": in nats}.

    High quality: within 3 sd of the nearest centre. A mode is captured if it has one such sample. Width: rms distance of the
    high-quality samples from their centre over that of real ones, NaN without any. Reverse KL is that of the share of samples
    nearest to each centre from even shares, of all samples and of those near. Sources: VEEGAN (arXiv 1705.07761), PacGAN.
    """
    if not isinstance(dataset, data.DataSet):
        raise TypeError(f"dataset must be a DataSet, such as data.load('ring') gives, not {shown(dataset)}")
    if dataset.centres is None:
        raise ValueError(f"{dataset.name} has no modes; ring and grid have")
    samples = tensor("samples", samples, None, dataset.dimension).detach().to(dataset.centres.dtype)
    if not torch.isfinite(samples).all():
        return dict.fromkeys(("modes", "high_quality", "width", "reverse_kl", "reverse_kl_near"), math.nan)
    distance, mode = torch.cdist(samples, dataset.centres).min(1)
    real, _ = torch.cdist(dataset.samples, dataset.centres).min(1)
    near, real = distance <= 3 * dataset.sd, real[real <= 3 * dataset.sd]
    return {
        "modes": float(len(mode[near].unique())),
        "high_quality": float(near.double().mean()),
        "width": float((distance[near].square().mean() / real.square().mean()).sqrt()),
        "reverse_kl": _from_even(mode, len(dataset.centres)),
        "reverse_kl_near": _from_even(mode[near], len(dataset.centres)),
    }


def _from_even(mode: torch.Tensor, count: int) -> float:
    """Kullback-Leibler divergence of the shares of `count` modes from even ones, in nats; NaN without a sample."""
    share = torch.bincount(mode, minlength=count).double() / len(mode)
    return float(torch.special.xlogy(share, share * count).sum())


def digit_quality(samples: torch.Tensor) -> dict[str, float]:
    """Of generated digits (count, 64), as many as half of the real ones: {"precision": share as near to a real one as its third
    neighbour is, "recall": the same with generated and real exchanged, "floors": sliced Wasserstein in noise floors}.

    D has seen all digits, so a G that remembers them would not be found out. Source: Kynkaanniemi (arXiv 1904.06991).
    """
    samples = tensor("samples", samples, None, 64).detach()
    one, other = _halves()
    if len(samples) != len(one):
        raise ValueError(f"the number of digits must be {len(one)}, half of the real ones, not {len(samples)}")
    if not torch.isfinite(samples).all():
        return dict.fromkeys(("precision", "recall", "floors"), math.nan)
    floors = sliced_wasserstein(samples, one) / sliced_wasserstein(other, one)
    return {"precision": _within(samples, one), "recall": _within(one, samples), "floors": floors}


@functools.cache
def _halves() -> tuple[torch.Tensor, torch.Tensor]:
    """Two halves (898, 64) of the real digits, at random: they are written by different people."""
    digits = data.load("digits").samples
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    return digits[order[: len(digits) // 2]], digits[order[len(digits) // 2 :][: len(digits) // 2]]


def _within(samples: torch.Tensor, others: torch.Tensor) -> float:
    """Share of the samples that are as near to one of the others as that one's third neighbour is."""
    reach = torch.cdist(others, others).kthvalue(4, dim=1).values  # the nearest of all is the sample itself
    return float((torch.cdist(samples, others) <= reach).any(1).double().mean())


def quality(gan: GAN, count: int | None = None, seed: int = 0) -> dict[str, float]:
    """What its data set's metrics say of `count` fresh samples of `gan` (2,000 pulses, 2,500 points; of digits always 898)."""
    _gan(gan)
    standard = {"pulses": COUNT, "digits": len(gan.data.samples) // 2}.get(gan.recipe.data, 2500)
    count, seed = standard if count is None else whole("count", count, 1, MOST), whole("seed", seed)
    samples = gan.draw(standard if gan.recipe.data == "digits" else count, seed)
    own = {"pulses": pulse_quality, "digits": digit_quality}.get(gan.recipe.data)
    return own(samples) if own else mode_quality(samples, gan.data)


def _gan(gan) -> GAN:
    if not isinstance(gan, GAN):
        raise TypeError(f"gan must be a GAN, not {shown(gan)}")
    return gan


def signal(gan: GAN, count: int = 1000) -> np.ndarray:
    """How strongly G's loss pulls at each of `count` fresh generated samples: |d loss_g / d logit| times count, (count,);
    with the logits loss 1 minus the score, exactly 0 where a clamp or a rounded sigmoid has cut the gradient off.
    """
    _gan(gan), whole("count", count, 1, MOST)
    random = torch.Generator().manual_seed(0)
    _, fake = gan.sample(gan.latents(count, random))
    real = gan.judge(gan.data.samples[torch.randint(len(gan.data.samples), (count,), generator=random)])
    fake.requires_grad_()
    _, loss_g = gan.loss(real, fake)
    (pull,) = torch.autograd.grad(loss_g, fake)
    return (count * pull.abs()).numpy()


def alive(gan: GAN, least: float = 1e-6, share: float = 0.01) -> bool:
    """Does the GAN still learn: finite weights, most fresh losses finite, a pull above `least` at more than `share` of samples?

    A run can be finite and dead: the loss frozen, nothing learned. And it can be finite only because somebody cleans its
    gradients, with a loss that is NaN at nearly every iteration.
    """
    least, share = number("least", least, at_least=0), number("share", share, at_least=0, below=1)
    if not all(bool(torch.isfinite(weights).all()) for weights in _gan(gan).weights_g + gan.weights_d):
        return False
    twin = copy.copy(gan)  # losses as training would compute them, while `gan` stays as it is
    twin.random = torch.Generator().manual_seed(0)
    # spectral norm and batch norm keep an estimate that each forward pass refines
    twin.generator, twin.discriminator = copy.deepcopy((gan.generator, gan.discriminator))
    return sum(twin.forward().finite for _ in range(20)) > 10 and float((signal(gan) > least).mean()) > share


@one_thread()
def measure(
    recipe: Recipe, iterations: int, seed: int = 0, count: int | None = None, remedy: str = "none", checkpoint=None
) -> tuple[dict, Trace]:
    """Train, and say what became of it: (row, trace), the row as a table wants it, its means over the last 1,000 iterations,
    fake_max the largest generated logit, broken the losses that were not finite, cpu_ms an iteration's, what ending() says
    of the last batch and quality() of `count` samples. nan_at is the loss that ended the run, if one did.
    """
    if count is not None:
        whole("count", count, 1, MOST)
    gan, start = remedied(GAN(recipe, seed), remedy), time.thread_time()
    trace = train(gan, iterations, progress=False, checkpoint=checkpoint)
    finite = finite_losses(trace)
    ended = not finite[-1] and not gan.goes_on
    if not ended and trace.iterations < iterations:
        raise KeyboardInterrupt  # which ended train() early without a word; a run cut short is no measurement
    cpu_ms = 1000 * (time.thread_time() - start) / trace.iterations
    row = {
        "data": recipe.data, "lr": recipe.lr, "seed": seed, "iterations": trace.iterations,
        "nan_at": trace.iterations if ended else None, "first_broken": trace.first_broken if ended else None,
        "alive": not ended and alive(gan), "broken": int((~finite).sum()),
        "fake_max": float(np.max(trace.fake_max)), "score_g": float(trace.score_g[-1000:].mean()),
        "score_d": float(trace.score_d[-1000:].mean()), "cpu_ms": cpu_ms,
    }  # fmt: skip
    row |= ending(trace, cliffs(gan.data.samples.dtype)) if ended else quality(gan, count)
    return row | {"outcome": outcome(row)}, trace
