"""Data sets as tensors with their physical unit: pulses(), digits(), ring(), grid().

Uses torch and checks, and scikit-learn for the digits it ships. Nothing is downloaded.
Each data set is fixed (its own seed), so that two runs differ only by the run's seed.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache

import torch

from utils.checks import one_of, whole


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples with the unit they were recorded in.

    samples     float32 tensor (count, dimension)
    unit        of every number in samples, such as "mV"
    full_scale  a unit for sizes: the largest swing of a pulse without its noise, the darkest grey; G's output is times it
    centres     (modes, dimension) and sd of each mode, in that unit; None if the data are no mixture of Gaussians
    """

    name: str
    samples: torch.Tensor
    unit: str
    full_scale: float
    centres: torch.Tensor | None = None
    sd: float | None = None

    @property
    def dimension(self) -> int:
        return self.samples.shape[1]


def pulses(count: int = 20_000, seed: int = 2024) -> DataSet:
    """Ring-down pulses (count, 64) in millivolts: A sin(2 pi f t + phi) exp(-d t) + noise.

    t is in [0, 1), f is U(2, 8), phi U(0, 2 pi), A U(0.5, 1), d U(0, 3), the noise has sd 0.2; all times 20 mV.
    """
    count, random = _counted(count, seed)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, 1, generator=random)

    full_scale = 20.0
    time = torch.arange(64) / 64
    frequency, phase = uniform(2, 8), uniform(0, 2 * math.pi)
    amplitude, decay = uniform(0.5, 1), uniform(0, 3)
    pulse = amplitude * torch.sin(2 * math.pi * frequency * time + phase) * torch.exp(-decay * time)
    noise = 0.2 * torch.randn(count, 64, generator=random)
    return DataSet("pulses", full_scale * (pulse + noise), "mV", full_scale)


def digits() -> DataSet:
    """The 1,797 handwritten digits (1797, 64) exactly as scikit-learn ships them: 8 x 8 grey levels 0 to 16.

    Source: E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, through sklearn.datasets.load_digits.
    """
    with warnings.catch_warnings():  # without the filters that scikit-learn adds
        from sklearn.datasets import load_digits  # imported here: a second that only the digits should cost

    return DataSet("digits", torch.tensor(load_digits().data, dtype=torch.float32), "grey levels", 16.0)


def ring(count: int = 100_000, seed: int = 2024) -> DataSet:
    """Eight Gaussians (count, 2) of sd 0.01 on a circle of radius 1, the protocol of PacGAN (arXiv 1712.04086)."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    return _mixture("ring", torch.stack([angle.cos(), angle.sin()], 1), 0.01, 1.0, count, seed)


def grid(count: int = 100_000, seed: int = 2024) -> DataSet:
    """Twenty-five Gaussians (count, 2) of sd 0.05 at -4, -2, 0, 2, 4, the protocol of PacGAN (arXiv 1712.04086)."""
    axis = torch.arange(-4.0, 5.0, 2.0)
    return _mixture("grid", torch.cartesian_prod(axis, axis), 0.05, 4.0, count, seed)


def _counted(count: int, seed: int) -> tuple[int, torch.Generator]:
    count = whole("count", count, at_least=1, at_most=2_000_000)  # a few hundred MB
    return count, torch.Generator().manual_seed(whole("seed", seed))


def _mixture(name, centres, sd, full_scale, count, seed) -> DataSet:
    count, random = _counted(count, seed)
    mode = torch.randint(len(centres), (count,), generator=random)
    samples = centres[mode] + sd * torch.randn(count, 2, generator=random)
    return DataSet(name, samples, "length units", full_scale, centres, sd)


DATA_SETS = {make.__name__: cache(make) for make in (pulses, digits, ring, grid)}


def load(name: str) -> DataSet:
    """The data set of that name, made once a process; ValueError if there is none."""
    return DATA_SETS[one_of("data", name, DATA_SETS)]()
