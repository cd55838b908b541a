"""Where float arithmetic ends (cliffs), and the chance that the next batch of a GAN goes over the edge (hazard).

Uses torch, numpy, scipy and checks; of a GAN it uses what GAN.sample computes.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from utils.checks import array, flag, number, shown, whole


def cliffs(dtype: torch.dtype = torch.float32, flush: bool = False) -> tuple[float, float]:
    """(lowest, highest) logit x at which log(sigmoid(x)) and log(1 - sigmoid(x)) are both finite in `dtype`.

    Nothing is typed in: torch's own sigmoid is bisected down to two neighbouring numbers. flush: numbers below the smallest
    normal one count as 0, as on hardware that flushes subnormals. TypeError for a dtype that is not a floating-point one.
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point torch.dtype, not {shown(dtype)}")
    return _bisected(dtype, flag("flush", flush))


@functools.cache
def _bisected(dtype: torch.dtype, flush: bool) -> tuple[float, float]:
    smallest = torch.finfo(dtype).smallest_normal if flush else 0.0

    def alive(logit: torch.Tensor) -> bool:
        score = torch.sigmoid(logit.expand(64))  # as wide as a batch: torch rounds single numbers by another routine
        both = torch.stack([score, 1 - score]).double()
        return bool(((both > 0) & (both >= smallest)).all())

    def last_alive(dead: float) -> float:
        inside, outside = torch.zeros((), dtype=dtype), torch.tensor(dead, dtype=dtype)
        while (middle := ((inside.double() + outside.double()) / 2).to(dtype)) not in (inside, outside):
            inside, outside = (middle, outside) if alive(middle) else (inside, middle)
        return inside.item()

    return last_alive(-1000.0), last_alive(1000.0)


@torch.no_grad()
def hazard(gan, cliff: tuple[float, float] | None = None, reach: float = 8.0, points: int = 321) -> float:
    """The chance, in [0, 1], that the next batch of `gan` holds a generated logit beyond a cliff: the end, with the naive loss.

    The latent must be one standard normal number. Then D(G(z)) on a grid of z from -reach to reach shows which stretches
    of z lie beyond (linearly interpolated inside a cell), p is their normal weight, and a batch has one of them with
    chance 1 - (1 - p)^batch. `cliff` is (lowest, highest) logit, by default float32's. No random number is drawn and no
    weight is touched; NaN if a weight is. Raises ValueError for a wider latent and what is out of range.
    """
    if not hasattr(gan, "sample") or not hasattr(gan, "recipe"):
        raise TypeError(f"the hazard is that of a GAN, not of {shown(gan)}")
    if gan.recipe.prior != "normal":
        raise ValueError(f"the hazard is an integral over a normal latent; this prior is {gan.recipe.prior!r}")
    if gan.recipe.latent != 1 or gan.recipe.grain:
        width = "as wide as its noise" if gan.recipe.grain else f"{gan.recipe.latent} wide"
        raise ValueError(f"the hazard is an integral over one latent number; this latent is {width}")
    try:
        lowest, highest = cliffs() if cliff is None else cliff
    except (TypeError, ValueError):
        raise TypeError(f"cliff must be two logits, (lowest, highest), not {shown(cliff)}") from None
    lowest, highest = number("cliff[0]", lowest), number("cliff[1]", highest, above=lowest)
    reach, points = number("reach", reach, above=0, at_most=40), whole("points", points, 2, 1_000_000)
    z = torch.linspace(-reach, reach, points)
    logit = gan.sample(z[:, None])[1].double().numpy()
    if np.isnan(logit).any():
        return math.nan
    z = z.double().numpy()
    p = normal_weight(z, logit - highest) + normal_weight(z, lowest - logit)
    return -math.expm1(gan.recipe.batch * math.log1p(-min(p, 1.0))) if p < 1 else 1.0


def normal_weight(z: np.ndarray, excess: np.ndarray) -> float:
    """The chance that a standard normal number falls where `excess`, given at ascending z, both (points,), is above 0."""
    left, right, before, after = z[:-1], z[1:], excess[:-1], excess[1:]
    with np.errstate(all="ignore"):  # cells without a crossing divide by zero here, and are not used
        crossing = left + (right - left) * before / (before - after)
    start = np.where(before > 0, left, crossing)
    end = np.where(after > 0, right, crossing)
    some = (before > 0) | (after > 0)
    below = torch.special.ndtr(torch.from_numpy(np.stack([start[some], end[some]]))).numpy()
    return float((below[1] - below[0]).sum())


def tail_hazard(maxima, cliff: float, ahead: int = 1000, share: float = 0.1) -> float:
    """The chance that one of the next `ahead` batches passes `cliff`, judged from recent batches' largest logits.

    For a latent too wide for `hazard`: peaks over threshold. The `share` largest of `maxima` (iterations,) get a
    generalised Pareto distribution (Pickands 1975) above their threshold, and its tail says how rare the cliff is.
    Raises ValueError for fewer than 200 numbers or fewer than 10 above the threshold.
    """
    from scipy import stats  # imported here: most readers of this module never fit a tail

    maxima, cliff = array("maxima", maxima, None).astype(np.float64), number("cliff", cliff)
    ahead, share = whole("ahead", ahead, 1), number("share", share, above=0, below=1)
    if len(maxima) < 200 or not np.isfinite(maxima).all():
        raise ValueError(f"a tail needs at least 200 finite numbers, not {np.isfinite(maxima).sum()} of {len(maxima)}")
    threshold = np.quantile(maxima, 1 - share)
    peaks = maxima[maxima > threshold] - threshold
    if len(peaks) < 10:
        raise ValueError(f"a tail needs at least 10 numbers above its threshold, not {len(peaks)}; share is {share}")
    shape, _, scale = stats.genpareto.fit(peaks, floc=0)
    each = share * stats.genpareto.sf(cliff - threshold, shape, scale=scale) if cliff > threshold else share
    return float(-np.expm1(ahead * np.log1p(-each)))


def summed_hazard(trace, name: str = "hazard") -> tuple[np.ndarray, np.ndarray]:
    """(iteration, sum of the hazard until then), (looks,) each, of a Trace recorded with watch={"hazard": hazard}, else
    ValueError; a look stands for every iteration until the next one.
    """
    if not hasattr(trace, "watched"):
        raise TypeError(f"trace must be a Trace, not {shown(trace)}")
    if name == "iteration" or name not in trace.watched:
        raise ValueError(f"{trace} was recorded without its {name}")
    iteration = trace.watched["iteration"]
    width = np.diff(np.append(iteration, trace.iterations + 1))
    return iteration + width - 1, np.cumsum(trace.watched[name].astype(np.float64) * width)
