"""The GAN losses, each a few lines, one signature: (real_logits, fake_logits) -> (loss_d, loss_g).

Uses torch only. Both inputs have shape (batch,); both results are scalars.
"""

from __future__ import annotations

import torch
from torch.nn.functional import softplus


def matlab(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Goodfellow's losses taken literally, the log of a sigmoid, as MathWorks' GAN example writes them.

    loss_d = -mean(log D(x)) - mean(log(1 - D(G(z)))) and loss_g = -mean(log D(G(z))), with D = sigmoid(logit).
    Sources: arXiv 1406.2661; "Train Generative Adversarial Network (GAN)", MathWorks documentation.
    """
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    loss_d = -torch.log(real).mean() - torch.log(1 - fake).mean()
    loss_g = -torch.log(fake).mean()
    return loss_d, loss_g


def logits(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same functions of the logit x, computed without the sigmoid: -log(sigmoid(x)) = softplus(-x).

    Finite at every finite logit, with gradient sigmoid(x) - y; torch's BCEWithLogitsLoss computes the same.
    """
    loss_d = softplus(-real_logits).mean() + softplus(fake_logits).mean()
    loss_g = softplus(-fake_logits).mean()
    return loss_d, loss_g


LOSSES = {"matlab": matlab, "logits": logits}
