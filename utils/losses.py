"""The GAN losses and penalties, each a few lines.

Uses torch and checks. A loss is a function (real_logits, fake_logits, flipped=None) -> (loss_d, loss_g): the logits are
(batch,), the results scalars. `flipped` marks real samples, (batch,) of bool, that D is told are generated (label
flipping): a flipped sample gets the mirrored score. A penalty is a scalar that is added to D's loss:
zero_centred() of slope()s, or wgan_gp().
"""

from __future__ import annotations

import functools

import torch
from torch.nn.functional import binary_cross_entropy, relu, softplus

from utils.checks import number, shown, tensor

EPSILON = 1e-8  # what epsilon() adds before the log
CLAMP = 1e-7  # how near to 0 and 1 clamp() lets a score come; float32's 1 - 1e-7 is still below 1


LOSSES = {}  # by their names, in the order in which they stand here


def _loss(loss):
    """Enters the loss in LOSSES, and refuses in one sentence what are no logits."""

    @functools.wraps(loss)
    def checked(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None):
        for name, logits in (("real_logits", real_logits), ("fake_logits", fake_logits)):
            if not isinstance(logits, torch.Tensor) or not logits.is_floating_point() or not logits.numel():
                raise TypeError(f"{name} must be a tensor of one or more floating point numbers, not {shown(logits)}")
        if flipped is not None and (getattr(flipped, "dtype", None) != torch.bool or flipped.shape != real_logits.shape):
            raise TypeError(f"flipped must be a tensor of bool, one for each real logit, not {shown(flipped)}")
        return loss(real_logits, fake_logits, flipped)

    LOSSES[loss.__name__] = checked
    return checked


def _told(real: torch.Tensor, mirrored: torch.Tensor, flipped) -> torch.Tensor:
    """What D is told of real samples: the flipped ones count as their mirror image."""
    return real if flipped is None else torch.where(flipped, mirrored, real)


@_loss
def matlab(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Goodfellow's losses taken literally, the log of a sigmoid, as MathWorks' GAN example writes them.

    loss_d = -mean(log D(x)) - mean(log(1 - D(G(z)))) and loss_g = -mean(log D(G(z))), with D = sigmoid(logit).
    Sources: arXiv 1406.2661; "Train Generative Adversarial Network (GAN)", MathWorks documentation.
    """
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    real = _told(real, 1 - real, flipped)
    loss_d = -torch.log(real).mean() - torch.log(1 - fake).mean()
    loss_g = -torch.log(fake).mean()
    return loss_d, loss_g


@_loss
def logits(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The same functions of the logit x, computed without the sigmoid: -log(sigmoid(x)) = softplus(-x).

    Finite at every finite logit, with gradient sigmoid(x) - y; torch's BCEWithLogitsLoss computes the same.
    """
    real_logits = _told(real_logits, -real_logits, flipped)
    loss_d = softplus(-real_logits).mean() + softplus(fake_logits).mean()
    loss_g = softplus(-fake_logits).mean()
    return loss_d, loss_g


@_loss
def bce(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The naive loss through torch's BCELoss, which cuts each log off at -100: finite, but its gradient fades from logits of
    about -28 on, and is 0 above 16.64 where it should push hardest.

    Source: the documentation of torch.nn.BCELoss.
    """
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    real = _told(real, 1 - real, flipped)
    loss_d = binary_cross_entropy(real, torch.ones_like(real)) + binary_cross_entropy(fake, torch.zeros_like(fake))
    loss_g = binary_cross_entropy(fake, torch.ones_like(fake))
    return loss_d, loss_g


@_loss
def epsilon(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The naive loss with 1e-8 added inside each log, the remedy of many forums: at most -log(1e-8) = 18.42 a sample."""
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    real = _told(real, 1 - real, flipped)
    loss_d = -torch.log(real + EPSILON).mean() - torch.log(1 - fake + EPSILON).mean()
    loss_g = -torch.log(fake + EPSILON).mean()
    return loss_d, loss_g


@_loss
def clamp(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The naive loss of scores kept within [1e-7, 1 - 1e-7], as Keras' cross-entropy does: no gradient beyond."""
    real, fake = (torch.sigmoid(x).clamp(CLAMP, 1 - CLAMP) for x in (real_logits, fake_logits))
    real = _told(real, 1 - real, flipped)
    loss_d = -torch.log(real).mean() - torch.log(1 - fake).mean()
    loss_g = -torch.log(fake).mean()
    return loss_d, loss_g


@_loss
def lsgan(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Least squares: D's raw output should be 1 for real samples and 0 for generated ones.

    loss_d = mean((D(x) - 1)^2)/2 + mean(D(G(z))^2)/2, loss_g = mean((D(G(z)) - 1)^2)/2. Source: arXiv 1611.04076.
    """
    real_logits = _told(real_logits, 1 - real_logits, flipped)
    loss_d = ((real_logits - 1) ** 2).mean() / 2 + (fake_logits**2).mean() / 2
    loss_g = ((fake_logits - 1) ** 2).mean() / 2
    return loss_d, loss_g


@_loss
def hinge(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """D stops learning from a sample beyond the margin 1: loss_d = mean(max(0, 1 - D(x))) + mean(max(0, 1 + D(G(z)))).

    loss_g = -mean(D(G(z))). Source: arXiv 1705.02894.
    """
    real_logits = _told(real_logits, -real_logits, flipped)
    loss_d = relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()
    loss_g = -fake_logits.mean()
    return loss_d, loss_g


@_loss
def wgan(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The Wasserstein critic: loss_d = mean(D(G(z))) - mean(D(x)), loss_g = -mean(D(G(z))). Source: arXiv 1701.07875.

    Meant for a critic of bounded slope; nothing here bounds it, so give it a penalty, spectral norm or both.
    """
    real_logits = _told(real_logits, -real_logits, flipped)
    loss_d = fake_logits.mean() - real_logits.mean()
    loss_g = -fake_logits.mean()
    return loss_d, loss_g


@_loss
def relativistic(real_logits: torch.Tensor, fake_logits: torch.Tensor, flipped=None) -> tuple[torch.Tensor, torch.Tensor]:
    """RpGAN: D judges pairs, loss_d = mean(softplus(-(D(x) - D(G(z))))), loss_g = mean(softplus(D(x) - D(G(z)))).

    Needs as many real as generated logits. A flipped pair is one that D is told the wrong way round.
    Sources: arXiv 1807.00734; with R1 and R2 it is the game of arXiv 2501.05441.
    """
    if real_logits.shape != fake_logits.shape:
        raise ValueError(f"fake_logits must be as many as real_logits, {len(real_logits)}, not {len(fake_logits)}")
    lead = real_logits - fake_logits
    loss_d = softplus(-_told(lead, -lead, flipped)).mean()
    loss_g = softplus(lead).mean()
    return loss_d, loss_g


def smoothed(loss, real_logits: torch.Tensor, fake_logits: torch.Tensor, smoothing: float, flipped=None):
    """One-sided label smoothing: D is told that a real sample is real with weight 1 - smoothing. Source: arXiv 1606.03498."""
    number("smoothing", smoothing, at_least=0, below=1)
    others = torch.ones_like(real_logits, dtype=torch.bool) if flipped is None else ~flipped
    loss_d, loss_g = loss(real_logits, fake_logits, flipped)
    mirrored_d, _ = loss(real_logits, fake_logits, others)
    return (1 - smoothing) * loss_d + smoothing * mirrored_d, loss_g


# ---- penalties on D's slope


def slope(logits: torch.Tensor, samples: torch.Tensor, unit: float = 1.0) -> torch.Tensor:
    """D's gradient (batch, dimension) at `samples`, whose graph gave `logits`, with regard to samples / unit.

    It has a graph itself, so a penalty on it can be differentiated.
    """
    if not (samples.requires_grad and logits.requires_grad):
        raise ValueError("samples must require a gradient before D judges them, so that logits know their slope")
    return unit * torch.autograd.grad(logits.sum(), samples, create_graph=True)[0]


def zero_centred(slopes: torch.Tensor) -> torch.Tensor:
    """mean |slope|^2 / 2 of slopes (batch, dimension): R1 at real samples, R2 at generated ones.

    Sources: arXiv 1801.04406 (R1, R2), 1705.09367.
    """
    return tensor("slopes", slopes, None, None).square().sum(1).mean() / 2


def wgan_gp(discriminator, real, fake, random: torch.Generator, unit: float = 1.0, safe: bool = True) -> torch.Tensor:
    """mean (|gradient of D| - 1)^2 at random points between real and generated samples. Source: arXiv 1704.00028.

    safe: the norm by torch, whose derivative at 0 is 0. Otherwise sqrt(sum of squares), as many codes have it, whose
    derivative at 0 is 0/0 = NaN: the exhibit of notebook 09.
    """
    tensor("fake", fake, *tensor("real", real, None, None).shape)
    share = torch.rand(len(real), 1, generator=random)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    steepness = slope(discriminator(between), between, unit)
    norm = steepness.norm(dim=1) if safe else steepness.square().sum(1).sqrt()
    return (norm - 1).square().mean()


PENALTIES = ("none", "r1", "r2", "r1+r2", "wgan-gp", "wgan-gp unsafe")
