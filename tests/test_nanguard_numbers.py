"""Numerical bugs as they stand in training loops, one in the fourth batch each; and loops on which the guard was once wrong."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.nanguard import Collapse, guard
from utils.nanguard.verdict import NOTEBOOKS

pytestmark = pytest.mark.filterwarnings("ignore")
BUGS = {}


def batches(count=8):
    random = torch.Generator().manual_seed(3)
    return [torch.rand(6, 4, generator=random) + 0.5 for _ in range(count)]


def bug(spoil, operation, sample=None, phase="forward"):
    """loss(net, x) has one, which spoil(batch) brings out; net is linear, without bias, with weights above 0."""

    def keep(loss):
        BUGS[loss.__name__] = loss, spoil, operation, sample, phase
        return loss

    return keep


def put(value, sample):
    return lambda x: x[sample].fill_(value)


@bug(put(1e4, 2), {"exp"}, 2)
def softmax_by_hand(net, x):
    e = torch.exp(net(x))
    return -torch.log(e / e.sum(1, keepdim=True))[:, 0].mean()


@bug(lambda x: x[4].copy_(torch.tensor([1e5, 0, 0, 0])), {"log"}, 4)
def cross_entropy_by_hand(net, x):
    p = torch.softmax(net(x), 1)
    return -(torch.ones_like(p) * torch.log(p)).sum(1).mean()


@bug(lambda x: x[:, 1].fill_(2), {"div"})
def a_column_without_spread(net, x):
    return net((x - x.mean(0)) / x.std(0)).square().mean()


@bug(put(0, 1), {"sqrt"}, 1, "backward")
def distance_of_equal_points(net, x):
    return torch.sqrt((net(x) ** 2).sum(1)).mean()


@bug(put(0, 3), {"div"}, 3)
def cosine_by_hand(net, x):
    h = net(x)
    return (h.sum(1) / h.norm(dim=1)).mean()


@bug(put(-9, 0), {"pow"}, 0)
def power_of_a_negative_number(net, x):
    return torch.pow(net(x).sum(1), 1.5).mean()


@bug(put(9, 2), {"acos"}, 2)
def angle(net, x):
    return torch.acos(0.1 * x[:, 0] + 0 * net(x)[:, 0] + 0.05 * x[:, 1]).mean()


@bug(put(1e5, 2), {"acos"}, 2, "backward")
def angle_at_one(net, x):
    return torch.acos(torch.tanh(net(x)).mean(1)).mean()


@bug(put(1e5, 3), {"exp"}, 3)
def logarithm_of_a_variance(net, x):
    mean, variance = net(x)[:, :1], net(x)[:, 1:]
    return (mean + torch.exp(0.5 * variance) * torch.randn_like(variance)).square().mean()


@bug(put(-1, 1), {"log1p"}, 1)
def log1p_of_minus_one(net, x):
    return (net(x)[:, 0] * torch.log1p(x[:, 0])).mean()


@bug(put(0, 2), {"reciprocal"}, 2)
def inverse_distance(net, x):
    weights = 1 / net(x).abs().sum(1)
    return (weights / weights.sum()).square().sum()


@bug(lambda x: x.fill_(0), {"div"})
def a_mean_over_nothing(net, x):
    some = (x[:, 0] > 0).float()
    return (net(x).square().mean(1) * some).sum() / some.sum()


@bug(put(1e5, 4), {"logit"}, 4)
def logit_of_one(net, x):
    return torch.logit(torch.sigmoid(net(x))).mean()


@bug(put(0, 1), {"rsqrt"}, 1)
def root_mean_square_without_epsilon(net, x):
    return net(x * torch.rsqrt(x.square().mean(-1, keepdim=True))).square().mean()


@bug(put(1e4, 0), {"cosh"}, 0)
def logarithm_of_a_cosh(net, x):
    return torch.log(torch.cosh(net(x) - 1)).mean()


def trained(loss, xs, watch=guard):
    torch.manual_seed(0)
    net = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        net.weight.abs_().add_(0.1)
    opt = torch.optim.SGD(net.parameters(), 1e-3)
    for x in watch(xs, net, opt):
        value = loss(net, x)
        opt.zero_grad()
        value.backward()
        opt.step()


@pytest.mark.parametrize("name", BUGS)
def test_a_numerical_bug(name):
    loss, spoil, operations, sample, phase = BUGS[name]
    xs = batches()
    spoil(xs[3])
    with pytest.raises(Collapse) as caught:
        trained(loss, xs)
    verdict = caught.value.verdict
    assert (verdict.iteration, verdict.sample, verdict.phase) == (4, sample, phase) and verdict.operation in operations, verdict
    assert "test_nanguard_numbers.py" in verdict.line and verdict.advice.split()[-1] in NOTEBOOKS.values()
    assert sample is None or verdict.check == f"verified: without sample {sample} the iteration is finite"


def test_an_infinity_from_numpy_is_not_blamed_on_the_operation_that_meets_it():
    def loss(net, x):
        weights = torch.tensor(np.log(x.numpy()).min(1))
        return (net(x).square().mean(1) * weights).mean()

    xs = batches()
    xs[3][1, 0] = 0  # 0 times infinity would be an event of its own
    with pytest.raises(Collapse) as caught:
        trained(loss, xs)
    assert (caught.value.verdict.phase, caught.value.verdict.sample) == ("outside", 1) and "np.log" in caught.value.verdict.line


def test_a_mask_over_the_label_is_named_for_it_reaches_the_loss():
    def loss(net, x):
        scores = net(x).masked_fill(x[:, :3] == 7, -math.inf)
        return F.cross_entropy(scores, torch.zeros(6, dtype=torch.long))

    xs = batches()
    xs[3][2, 0] = 7
    with pytest.raises(Collapse) as caught:
        trained(loss, xs)
    assert caught.value.verdict.operation == "masked_fill"


def test_an_error_beside_a_mask_is_somebody_elses():
    mask, best, seen = torch.triu(torch.full((6, 6), -math.inf), 1), math.inf, []

    def loss(net, x):
        seen.append(x)
        if len(seen) == 6:
            raise KeyError(best)
        return (torch.softmax(net(x) @ net(x).T + mask, -1) @ x).square().mean()

    with pytest.raises(KeyError) as caught:
        trained(loss, batches())
    assert caught.value.__cause__ is None and not isinstance(caught.value, Collapse)


def test_of_nested_guards_the_inner_one_says_it():
    xs, net = batches(), nn.Linear(4, 3)
    opt = torch.optim.SGD(net.parameters(), 1e-3)
    with pytest.raises(Collapse) as caught:
        for epoch in guard(range(2), net, opt):
            xs[3][1] = 1.0 - epoch
            for x in guard(xs, net, opt):
                loss = net(torch.log(x)).square().mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
    verdict = caught.value.verdict
    assert (verdict.iteration, verdict.operation, verdict.sample) == (4, "log", 1) and caught.value.__cause__ is None


def test_the_notebooks_that_advice_names_are_there():
    source = Path(__file__).parent.parent / "notebooks" / "source"
    assert all((source / f"{name}.py").is_file() for name in NOTEBOOKS.values())
