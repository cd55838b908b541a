"""Recipe: everything that determines a run, except its seed.

Uses the names of the data sets and of the losses, so that a wrong one is refused before any work starts.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

from utils.data import DATA_SETS
from utils.losses import LOSSES


@dataclass(frozen=True)
class Recipe:
    """One setting of the GAN; the default is the main recipe of the series.

    lr                  Adam's learning rate, the same for both networks
    data                "pulses", "digits", "ring" or "grid"
    loss                "matlab" (the naive log of a sigmoid) or "logits"
    batch               real samples an iteration, and as many generated ones
    latent              standard normal numbers that G starts from
    hidden_g, hidden_d  width of the hidden layer of G and of D
    beta1, beta2        Adam's decay rates

    Raises ValueError or TypeError, in one sentence, for a value no run can have.
    """

    lr: float = 1e-4
    data: str = "pulses"
    loss: str = "matlab"
    batch: int = 64
    latent: int = 1
    hidden_g: int = 512
    hidden_d: int = 2048
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self):
        number("lr", self.lr)
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a finite number above 0, not {self.lr!r}")
        for name, known in (("data", DATA_SETS), ("loss", LOSSES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        whole("batch", self.batch, at_least=2)
        for name in ("latent", "hidden_g", "hidden_d"):
            whole(name, getattr(self, name), at_least=1)
        for name in ("beta1", "beta2"):
            number(name, getattr(self, name))
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)!r}")


def rate_text(lr: float) -> str:
    """A learning rate the way people write it: 0.0003 is "3e-4"."""
    mantissa, exponent = f"{lr:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def number(name: str, value) -> None:
    """TypeError unless value is a real number (a bool is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, not {value!r}")


def whole(name: str, value, at_least: int) -> None:
    """TypeError unless value is a whole number, ValueError below at_least or from 2**63 on."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {value!r}")
    if value >= 2**63:
        raise ValueError(f"{name} must be below 2**63, not {value!r}")
