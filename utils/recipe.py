"""Recipe: everything that determines a run, except its seed.

Uses the names of the data sets and of the losses, so that a wrong one is refused before any work starts.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, fields

from utils.data import DATA_SETS
from utils.losses import LOSSES, PENALTIES


@dataclass(frozen=True)
class Recipe:
    """One setting of the GAN; the default is the main recipe of the series, which has none of the fixes.

    lr                  Adam's learning rate, of G and (times d_rate) of D
    data                "pulses", "digits", "ring" or "grid"
    loss                "matlab" (the naive log of a sigmoid), "logits" or another name in losses.LOSSES
    batch               real samples an iteration, and as many generated ones
    latent              random numbers that G starts from
    hidden_g, hidden_d  width of the hidden layers of G and of D
    beta1, beta2        Adam's decay rates
    layers              hidden layers in each network
    normalise           D reads samples divided by the instrument's full scale, instead of raw units
    prior               the latent's distribution: "normal", or the bounded "uniform" of the same variance
    bounded             G's output stays within two full scales
    grain               G adds white noise to its output, with a strength that it learns for each number of a sample
    penalty, gamma      on D's slope in the units D reads: a name in losses.PENALTIES, and its weight
    spectral            spectral norm on D's layers
    smoothing           one-sided label smoothing: D is told that real samples are real with weight 1 - smoothing
    flips               share of the real labels that are flipped at random each iteration, as in MATLAB's example
    noise               sd of the noise added to all that D reads, in full scales
    clip                largest norm of each network's gradient; 0 clips nothing
    d_rate              D's learning rate as a multiple of G's (two time scales, arXiv 1706.08500)
    ema                 decay an iteration of the running average of G's weights that draws the samples; 0 averages nothing
    warmup              iterations over which the rates rise to lr
    head_start          iterations over which G's rate alone rises, so that D leads at first
    anneal              iteration at which the rates have reached 0, falling over the second half of the way along a
                        cosine (arXiv 1608.03983); 0 never lets them fall
    alternating         G learns from D as D is after its own update, not from the same forward pass

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
    layers: int = 1
    normalise: bool = False
    prior: str = "normal"
    bounded: bool = False
    penalty: str = "none"
    gamma: float = 1.0
    spectral: bool = False
    smoothing: float = 0.0
    flips: float = 0.0
    noise: float = 0.0
    clip: float = 0.0
    d_rate: float = 1.0
    ema: float = 0.0
    warmup: int = 0
    head_start: int = 0
    anneal: int = 0
    alternating: bool = False
    grain: bool = False

    def __post_init__(self):
        for name in ("lr", "d_rate"):
            _positive(name, getattr(self, name))
        known = {"data": DATA_SETS, "loss": LOSSES, "prior": PRIORS, "penalty": PENALTIES}
        for name, names in known.items():
            if getattr(self, name) not in tuple(names):  # a tuple, so that a list is refused in words too
                raise ValueError(f"{name} must be one of {', '.join(names)}, not {getattr(self, name)!r}")
        whole("batch", self.batch, at_least=2)
        for name in ("latent", "hidden_g", "hidden_d", "layers"):
            whole(name, getattr(self, name), at_least=1)
        for name in ("warmup", "head_start", "anneal"):
            whole(name, getattr(self, name), at_least=0)
        for name in ("normalise", "bounded", "spectral", "alternating", "grain"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for name in ("gamma", "noise", "clip"):
            _positive(name, getattr(self, name), or_zero=True)
        for name in ("beta1", "beta2", "smoothing", "flips", "ema"):
            number(name, getattr(self, name))
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)!r}")

    @property
    def changes(self) -> dict:
        """{field: value} of all that differs from the main recipe."""
        return {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}


PRIORS = ("normal", "uniform")

# One change of the recipe each: what the lab's menu offers and what the fix matrix measures.
FIXES = {
    "no fix": {},
    "logits loss": {"loss": "logits"},
    "BCELoss": {"loss": "bce"},
    "log(. + 1e-8)": {"loss": "epsilon"},
    "clamped score": {"loss": "clamp"},
    "LSGAN": {"loss": "lsgan"},
    "hinge": {"loss": "hinge"},
    "WGAN": {"loss": "wgan"},
    "WGAN-GP": {"loss": "wgan", "penalty": "wgan-gp", "gamma": 10.0},
    "relativistic": {"loss": "relativistic"},
    "normalised units": {"normalise": True},
    "bounded latent": {"prior": "uniform"},
    "bounded output": {"bounded": True},
    "R1": {"penalty": "r1"},
    "R2": {"penalty": "r2"},
    "R1 and R2": {"penalty": "r1+r2"},
    "spectral norm": {"spectral": True},
    "label smoothing": {"smoothing": 0.1},
    "label flips": {"flips": 0.35},
    "instance noise": {"noise": 0.1},
    "gradient clipping": {"clip": 1.0},
    "slower D": {"d_rate": 0.25},
    "faster D": {"d_rate": 4.0},
    "averaged G": {"ema": 0.999},
    "warm-up": {"warmup": 1000},
    "alternating updates": {"alternating": True},
    "beta1 = 0": {"beta1": 0.0},
    "wider latent": {"latent": 16},
    "G's own noise": {"grain": True},
}
# What the series recommends for pulses, at 1e-3: found by trying. Notebook 06 says how, and what each part is worth.
RECOMMENDED = {
    "loss": "relativistic", "penalty": "r1", "gamma": 0.3, "alternating": True, "normalise": True, "latent": 4,
    "layers": 3, "hidden_g": 64, "hidden_d": 128, "beta1": 0.0, "beta2": 0.99, "ema": 0.999, "anneal": 20_000, "grain": True,
}  # fmt: skip


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


def _positive(name: str, value, or_zero: bool = False) -> None:
    number(name, value)
    if not (math.isfinite(value) and (value > 0 or (or_zero and value == 0))):
        raise ValueError(f"{name} must be a finite number {'of at least' if or_zero else 'above'} 0, not {value!r}")
