"""The losses against their closed form and against torch's own."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from utils.losses import LOSSES, logits, matlab


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_an_ideal_game_costs_two_log_two_and_log_two(loss):
    loss_d, loss_g = loss(torch.zeros(8), torch.zeros(8))
    assert loss_d.item() == pytest.approx(2 * math.log(2))
    assert loss_g.item() == pytest.approx(math.log(2))


def test_both_are_the_same_function_where_floats_can_hold_it():
    real, fake = torch.linspace(-8, 8, 33, dtype=torch.float64), torch.linspace(5, -9, 33, dtype=torch.float64)
    for ours, other in zip(matlab(real, fake), logits(real, fake)):
        assert ours.item() == pytest.approx(other.item(), rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_logits_loss_agrees_with_torch_in_value_and_gradient(scale):
    real = (scale * torch.linspace(-1, 1, 9)).requires_grad_()
    fake = (scale * torch.linspace(1, -0.5, 9)).requires_grad_()
    ones, zeros = torch.ones(9), torch.zeros(9)
    cross_entropy = binary_cross_entropy_with_logits
    torchs = (cross_entropy(real, ones) + cross_entropy(fake, zeros), cross_entropy(fake, ones))
    for ours, theirs in zip(logits(real, fake), torchs):
        assert torch.allclose(ours, theirs)
        gradients = (torch.autograd.grad(x, (real, fake), retain_graph=True, materialize_grads=True) for x in (ours, theirs))
        for mine, his in zip(*gradients):
            assert torch.allclose(mine, his, atol=1e-7)


def test_one_generated_sample_above_the_cliff_makes_ds_loss_infinite_and_leaves_gs_finite():
    fake = torch.zeros(64)
    fake[17] = 17.0
    loss_d, loss_g = matlab(torch.zeros(64), fake)
    assert math.isinf(loss_d.item())
    assert math.isfinite(loss_g.item())
    assert all(math.isfinite(loss.item()) for loss in logits(torch.zeros(64), fake))
