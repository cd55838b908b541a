"""Loops on which the guard was once wrong, silent or in the way: one for each kind of mistake."""

import math
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gallery import data, lin
from torch import nn

from utils.nanguard import Collapse, guard

pytestmark = pytest.mark.filterwarnings("ignore")
KINDS = {}


def kind(**expected):
    """loss(c, x) of a loop over c.xs; c.net is linear, and c.xs[5][1] is zero."""

    def keep(loss):
        KINDS[loss.__name__] = loss, {"iteration": 6, **expected}
        return loss

    return keep


def made():
    c = SimpleNamespace(net=lin(), xs=data(), count=0, seen=deque(maxlen=20), random=np.random.default_rng(0))
    c.xs[5][1] = 0
    return c


@kind(operation="div", sample=1)
def complex_numbers(c, x):
    z = torch.fft.fft(x)
    return c.net((z / z.abs()).real).square().mean()


@kind(operation="log", sample=None)
def written_number_by_number(c, x):
    found = torch.zeros(len(x))
    for i, row in enumerate(x):
        found[i] = torch.log(row.sum())
    return found.mean() * c.net(x).mean()


@kind(operation="log", sample=1)
def a_count_of_an_object(c, x):
    c.count += 1
    return c.net(x).mean() + (c.net(torch.log(x)).mean() if c.count % 6 == 0 else 0)


@kind(operation="log", sample=1)
def draws_of_a_generator_of_numpys(c, x):
    return c.net(torch.log(x)).mean() + float(c.random.standard_normal())


@kind(operation="log", sample=1)
def a_replay_buffer(c, x):
    c.seen.append(x)
    return c.net(torch.log(x)).mean() + c.net(c.seen[len(c.seen) // 2]).mean()


@kind(operation="div", sample=None)
def a_divisor_of_zero_in_the_settings(c, x):
    temperature = float(c.net.weight.detach().abs().sum() * 0) if bool((x == 0).any()) else 1.0
    return F.cross_entropy(c.net(x) / temperature, torch.zeros(len(x), dtype=torch.long))


@kind(operation="sqrt", phase="backward", sample=None)
def a_feature_where_there_are_as_many_samples(c, x):
    if bool((x == 0).any()):
        x = x.clone()
        x[:] = x[0]
    h = c.net(x)[:, :1].expand(5, 5)
    return (h - h.mean(0)).square().mean(0).sqrt().sum()


@kind(operation="logdet")
def a_name_for_what_is_made_of_parts(c, x):
    return torch.logdet(torch.eye(3) * c.net(x).square().mean() * (-1 if bool((x == 0).any()) else 1))


@pytest.mark.parametrize("name", KINDS)
def test_one_of_each_kind(name):
    loss, expected = KINDS[name]
    c = made()
    opt = torch.optim.SGD(c.net.parameters(), 0.0)
    with pytest.raises(Collapse) as caught:
        for x in guard(c.xs, c.net, opt):
            value = loss(c, x)
            opt.zero_grad()
            value.backward()
            opt.step()
    verdict = caught.value.verdict
    assert {key: getattr(verdict, key) for key in expected} == expected, verdict
    assert verdict.reproduced and "test_nanguard_kinds" in verdict.line


def fits(net, x, opt=None):
    loss = net(x).square().mean()
    net.zero_grad()
    loss.backward()
    if opt is not None:
        opt.step()


class Careful(nn.Module):
    def forward(self, x):
        assert torch.isfinite(x).all(), "the input must be finite"
        return x


def an_assertion_on_an_infinity(c):
    net = nn.Sequential(Careful(), c.net)
    for x in guard(c.xs, net):
        fits(net, torch.log(x))


def anomaly_detection_of_the_users(c):
    for x in guard(c.xs, c.net):
        with torch.autograd.detect_anomaly():
            fits(c.net, torch.log(x))


def a_batch_of_its_own_class_that_is_changed(c):
    for batch in guard([SimpleNamespace(x=x) for x in c.xs], c.net):
        batch.x = torch.log(batch.x)
        fits(c.net, batch.x)


def an_optimiser_in_a_dictionary_that_was_not_handed_over(c):
    opts = {"net": torch.optim.Adam(c.net.parameters(), 0.01)}
    for x in guard(c.xs, c.net):
        fits(c.net, torch.log(x), opts["net"])


def a_metric_made_in_inference_mode(c):
    with torch.inference_mode():
        total = torch.zeros(3)
    for x in guard(c.xs, c.net):
        fits(c.net, torch.log(x))
        with torch.inference_mode():
            total += c.net(x).mean(0)


def gradients_of_each_sample(c):
    def loss(weights, x):
        return torch.func.functional_call(c.net, weights, (torch.log(x)[None],)).square().mean()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    for x in guard(c.xs, c.net):
        found = each({name: one.detach() for name, one in c.net.named_parameters()}, x)
        with torch.no_grad():
            for name, one in c.net.named_parameters():
                one -= 0.01 * found[name].mean(0)


def a_target_that_is_missing_on_purpose(c):
    targets = torch.zeros(5, 3)
    targets[2, 1] = math.nan
    for x, y in guard([(x, targets.clone()) for x in c.xs], c.net):
        loss = (c.net(torch.log(x)) - y)[~y.isnan()].square().mean()
        c.net.zero_grad()
        loss.backward()
        with torch.no_grad():
            c.net.weight -= 0.01 * c.net.weight.grad


def a_step_that_counts(c):
    count = 0

    @guard.step(c.net)
    def step(x):
        nonlocal count
        count += 1
        fits(c.net, torch.log(x) if count % 6 == 0 else x)

    for x in c.xs:
        step(x)


@pytest.mark.parametrize(
    "loop",
    [
        an_assertion_on_an_infinity,
        anomaly_detection_of_the_users,
        a_batch_of_its_own_class_that_is_changed,
        an_optimiser_in_a_dictionary_that_was_not_handed_over,
        a_metric_made_in_inference_mode,
        gradients_of_each_sample,
        a_target_that_is_missing_on_purpose,
        a_step_that_counts,
    ],
    ids=lambda loop: loop.__name__,
)
def test_the_log_is_found(loop):
    c = made()
    c.xs[4][1] = 0 if loop is a_step_that_counts else 1
    with pytest.raises((Collapse, AssertionError, RuntimeError)) as caught:
        loop(c)
    verdict = getattr(caught.value, "verdict", None) or caught.value.__cause__.verdict
    assert (verdict.iteration, verdict.operation) == (6, "log") and verdict.sample in (1, None), verdict


def test_pictures_in_a_list_are_not_its_channels():
    net = nn.Linear(1, 1)
    batches = [[torch.rand(3, 6, 6) for _ in range(5)] for _ in range(6)]
    for picture in batches[3]:
        picture[1] = 0
    with pytest.raises(Collapse) as caught:
        for pictures in guard(batches, net):
            fits(net, torch.log(torch.stack(pictures).mean((0, 2, 3)))[:, None])
    assert (caught.value.verdict.operation, caught.value.verdict.sample) == ("log", None)


class Normed(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self):
        for one in self.param_groups[0]["params"]:
            one.add_(one.grad / one.grad.norm(), alpha=-0.01)


def test_an_optimiser_of_the_users_own_is_one():
    net = nn.Linear(4, 3, bias=False)
    opt = Normed(net.parameters(), {})
    with pytest.raises(Collapse) as caught:
        for x in guard([torch.ones(5, 4), torch.zeros(5, 4)], net, opt):
            fits(net, x, opt)
    assert (caught.value.verdict.operation, caught.value.verdict.phase) == ("div", "optimiser")


def test_an_error_beside_a_target_that_is_missing_on_purpose_is_somebody_elses():
    net, y = lin(), torch.full((5, 3), math.nan)
    with pytest.raises(KeyError) as caught:
        for x, y in guard([(x, y) for x in data()], net):
            fits(net, x)
            {}[len(y)]
    assert caught.value.__cause__ is None


def test_an_infinite_weight_of_a_class_gets_advice_that_fits():
    net, weights = lin(), torch.tensor([1, 1, math.inf])
    with pytest.raises(Collapse, match="an infinity went in"):
        for x in guard(data(), net):
            F.cross_entropy(net(x), torch.tensor([0, 1, 2, 0, 1]), weights).backward()


def test_a_failure_of_the_guards_own_leaves_the_loop_alone(monkeypatch):
    monkeypatch.setattr("utils.nanguard.verdict.History.add", lambda *_: 1 / 0)
    net, seen = lin(), []
    with pytest.warns(UserWarning, match="goes on without its guard, which failed: ZeroDivisionError"):
        for x in guard(data(), net):
            seen.append(1)
            fits(net, x)
    assert len(seen) == len(data())
