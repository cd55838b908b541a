"""Recipe: everything that determines a run, except its seed.

Uses checks, and the names of the data sets and of the losses, so that a wrong one is refused before any work starts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from utils.checks import flag, number, one_of, shown, whole
from utils.data import DATA_SETS
from utils.losses import LOSSES, PENALTIES
from utils.plans import FIXES, RECOMMENDED

__all__ = ["FIXES", "PRIORS", "RECOMMENDED", "Recipe", "number", "rate_text", "whole"]

PRIORS = ("normal", "uniform")
LARGEST = {"batch": 65_536, "latent": 65_536, "hidden_g": 65_536, "hidden_d": 65_536, "layers": 100}
MEMORY = 4  # GiB that a run may need
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
        known = {"data": DATA_SETS, "loss": LOSSES, "prior": PRIORS, "penalty": PENALTIES}
        plain = {name: one_of(name, getattr(self, name), names) for name, names in known.items()}
        for name in ("lr", "d_rate"):
            plain[name] = rate(name, getattr(self, name))
        for name, largest in LARGEST.items():
            plain[name] = whole(name, getattr(self, name), at_least=2 if name == "batch" else 1, at_most=largest)
        for name in ("warmup", "head_start", "anneal"):
            plain[name] = whole(name, getattr(self, name), at_least=0)
        for name in ("normalise", "bounded", "spectral", "alternating", "grain"):
            plain[name] = flag(name, getattr(self, name))
        for name in ("gamma", "noise", "clip"):
            plain[name] = number(name, getattr(self, name), at_least=0)
            _in_float32(name, plain[name])
        for name in ("beta1", "beta2", "smoothing", "flips", "ema"):
            plain[name] = number(name, getattr(self, name), at_least=0, below=1)
        for name, value in plain.items():
            object.__setattr__(self, name, value)  # plain numbers: numpy's would fail at the end, when the run is saved
        if self.gib > MEMORY:
            sizes = ", ".join(f"{name}={getattr(self, name)}" for name in LARGEST)
            raise ValueError(f"a run must need at most {MEMORY} GiB of memory, not the {self.gib:.0f} GiB of {sizes}")

    @property
    def gib(self) -> float:
        """About how much memory a run needs: weights, gradients, Adam's two averages; what the layers pass on and back."""
        dimension, deep = 64, self.layers - 1  # no data set here has more dimensions
        weights = sum(
            (inputs + deep * hidden + outputs) * hidden
            for inputs, hidden, outputs in ((self.latent, self.hidden_g, dimension), (dimension, self.hidden_d, 1))
        )
        passed = self.batch * (self.latent + 4 * dimension + 4 * self.layers * (self.hidden_g + self.hidden_d))
        return 4 * (6 * weights + passed) / 2**30

    @property
    def changes(self) -> dict:
        """{field: value} of all that differs from the main recipe."""
        return {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}


def rate_text(lr: float) -> str:
    """A learning rate the way people write it: 0.0003 is "3e-4"."""
    mantissa, exponent = f"{lr:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def rate(name: str, value) -> int | float:
    """`value` as a plain number that can be a learning rate: finite, above 0 and within what float32 holds."""
    value = number(name, value, above=0)
    _in_float32(name, value)
    return value


def _in_float32(name: str, value: int | float) -> None:
    if value and not 1e-37 <= value <= 1e37:
        raise ValueError(f"{name} must be between 1e-37 and 1e37, what float32 holds with ease, not {shown(value)}")
