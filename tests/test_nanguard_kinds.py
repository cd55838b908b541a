"""Loops on which the guard was once wrong, silent or in the way: one for each kind of mistake."""

import math
import sys
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gallery import carried, data, lin
from torch import nn

from utils.nanguard import Collapse, Tracer, guard, replay
from utils.nanguard.verdict import History

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
    verdict = carried(caught.value)
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


# ---------------------------------------------------------------- who is to blame, once more


def verdict_of(loss, batches, net=None, **settings):
    net = lin() if net is None else net
    with pytest.raises(Collapse) as caught:
        for x in guard(batches, net, **settings):
            fits_loss(net, loss(net, x))
    return caught.value.verdict


def fits_loss(net, loss):
    net.zero_grad()
    loss.backward()
    with torch.no_grad():
        for weight in net.parameters():
            weight -= 0.01 * weight.grad


def with_numbers(*entries):
    """Batches of 5 x 4 positive numbers; each entry is (batch, sample, feature, number)."""
    batches = [x.abs() + 0.5 for x in data()]
    for batch, sample, feature, number in entries:
        batches[batch][sample, feature] = number
    return batches


def test_a_row_that_belongs_to_a_class_is_no_sample():
    def centres(net, x):
        label = torch.tensor([0, 1, 3, 4, 0] if x[0, 0] < 0 else [0, 1, 2, 3, 4])  # nobody is of class 2
        sums = torch.zeros(5, 3).index_add(0, label, net(x))
        return (sums / torch.bincount(label, minlength=5)[:, None]).square().mean()

    verdict = verdict_of(centres, with_numbers((5, 0, 0, -1.0)))
    assert (verdict.operation, verdict.sample) == ("div", None) and "no sample's" in verdict.check


def test_a_sample_that_the_body_drew_beside_its_batch_is_one():
    def game(net, x):
        z = torch.randn(5, 4).abs() + 0.5
        if x[0, 0] < 0:
            z[3] = 0
        return net(x).mean() + net(torch.log(z)).mean()

    verdict = verdict_of(game, with_numbers((5, 0, 0, -1.0)))
    assert (verdict.operation, verdict.sample) == ("log", 3) and "draws its own" in verdict.check


def test_of_rows_that_broke_the_one_without_which_it_lives_is_named():
    def masked(net, x):
        ratio = x[:, 0] / x[:, 1]  # 0/0 in row 0, which is padding
        return net(x).mean() * torch.where(torch.arange(5) > 0, ratio, 0).mean()

    batches = with_numbers(*[(k, 0, j, 0.0) for k in range(8) for j in (0, 1)], *[(5, 3, j, 0.0) for j in (0, 1)])
    verdict = verdict_of(masked, [x.requires_grad_(False) for x in batches])
    assert (verdict.iteration, verdict.sample, verdict.extent) == (6, 3, "one sample of 5")


@pytest.mark.parametrize("harmless", [True, False])
def test_where_a_second_operation_breaks_too_the_fatal_one_is_told_from_the_other(harmless):
    def gumbel(net, x):
        inner = -torch.log(x[:, :3])  # infinite at 0: noise of minus infinity, which softmax allows
        noise = -torch.log(inner if harmless else inner.abs())
        return torch.softmax(net(x) + noise, 1)[:, 0].mean() if harmless else (net(x) * inner + noise).mean()

    batches = [x.clamp(0.5, 0.9) for x in with_numbers()]
    batches[5][1, 2], batches[5][4, 1] = 0, 1
    verdict = verdict_of(gumbel, batches)
    if harmless:
        assert verdict.sample == 4 and "noise =" in verdict.line and "verified" in verdict.check
    else:  # both must go
        assert verdict.sample == 1 and "without sample 1, 4" in verdict.check


def boxes(net, batch):
    """As torchvision's detectors take them: pictures, and for each one a dict with boxes."""
    pictures, targets = batch
    found = [net(picture).mean() * torch.log(target["boxes"]).mean() for picture, target in zip(pictures, targets)]
    return torch.stack(found).mean()


def packed(net, batch):
    return net(torch.log(batch.data)).mean()


def test_a_row_of_what_belongs_to_one_sample_is_no_sample():
    pairs = [
        ((torch.rand(5, 4), torch.rand(5, 4), torch.rand(5, 4)), [{"boxes": torch.ones(2, 4)} for _ in "123"]) for _ in range(7)
    ]
    pairs[5][1][1]["boxes"][0, 3] = 0
    square = [(torch.rand(3, 4), [{"boxes": torch.ones(3, 4)} for _ in "123"]) for _ in range(7)]
    square[5][1][2]["boxes"][0, 3] = 0
    rows = with_numbers((5, 1, 2, 0.0))
    sequences = [nn.utils.rnn.pack_sequence([x[:3], x[3:5]]) for x in rows]
    for loss, batches in ((boxes, pairs), (boxes, square), (packed, sequences)):
        verdict = verdict_of(loss, batches)
        assert (verdict.iteration, verdict.operation, verdict.sample) == (6, "log", None), verdict


def test_a_buffer_that_was_broken_before_is_named():
    net = nn.Sequential(lin(), nn.BatchNorm1d(3).eval())
    net[1].running_var[2] = math.nan
    verdict = verdict_of(lambda net, x: net(x).mean(), with_numbers(), net)
    assert verdict.phase == "outside" and "with the buffer Sequential.1.running_var" in verdict.cause


def test_small_numbers_by_chance_begin_no_divergence():
    history = History()
    for number, loss in enumerate((1.0, 0.9, 0.0098, 0.51, 1.94), 1):
        history.rows.append({"iteration": number, "loss": loss, "gradient": math.nan, "scale": math.nan})
    assert history.words(6)[0] is None or "divergence" not in history.words(6)[0]
    for number in range(6, 10):
        history.rows.append(
            {"iteration": number, "loss": 8.0 * history.rows[-1]["loss"], "gradient": math.nan, "scale": math.nan}
        )
    assert "divergence" in history.words(10)[0]


def test_a_jump_of_one_sample_is_no_divergence():
    batches = [x * 1.02**k for k, x in enumerate(with_numbers((6, 2, 0, 1e6)))]
    verdict = verdict_of(
        lambda net, x: net(x).exp().square().mean() * 0 + torch.exp(x.sum(1) - 5).mean() * net(x).mean(), batches
    )
    assert verdict.sample == 2 and "learning rate" not in verdict.advice


def test_the_samples_of_a_batch_of_arrays_are_tried_too():
    batches = [(x.numpy(), "name") for x in with_numbers((5, 1, 2, 0.0))]
    verdict = verdict_of(lambda net, batch: net(torch.log(torch.as_tensor(batch[0]))).square().mean(), batches)
    assert (verdict.operation, verdict.sample) == ("log", 1) and "verified: without sample 1" in verdict.check


def test_of_two_networks_of_one_class_it_says_which():
    g, d = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 3), nn.Softplus())
    nn.init.ones_(d[0].weight)
    with pytest.raises(Collapse) as caught:
        for x in guard(with_numbers((5, 1, 2, 3e38), (5, 1, 3, 3e38)), g, d):
            fits_loss(d, d(x).mean() * 1e-3)
    assert (caught.value.verdict.iteration, caught.value.verdict.module) == (6, "Sequential#2.0")
    with torch.no_grad():
        g[0].bias.fill_(math.nan)
    with pytest.raises(Collapse, match="Sequential#1.0.bias is not finite"):
        next(iter(guard(with_numbers(), g, d)))


def test_a_tracer_tells_two_networks_of_one_class_apart():
    first, second = (nn.Sequential(nn.Linear(4, 4)) for _ in range(2))
    with torch.no_grad():
        first[0].bias.fill_(3e38)
    with Tracer([first, second]) as tracer:
        out = first(torch.ones(2, 4)) * 2
    assert tracer.culprit([out]).operation == "mul" and tracer.paths[id(first[0])] == "Sequential#1.0"
    with torch.no_grad():
        second[0].weight.fill_(3e38)
    with Tracer([first, second]) as tracer:
        out = second(torch.ones(2, 4))
    assert tracer.culprit([out]).module == "Sequential#2.0"


def test_an_expression_of_several_lines_is_named_whole():
    def ratio(net, x):
        return (
            net(x).mean(1)
            / x[:, 1]
        ).mean()  # fmt: skip

    verdict = verdict_of(ratio, with_numbers((5, 1, 1, 0.0)))
    assert verdict.operation == "div" and (sys.version_info < (3, 11) or verdict.term == "net(x).mean(1) / x[:, 1]")


def test_a_chain_ends_where_its_numbers_were_written_over():
    def scaled(net, x):
        x = x.clone()
        x -= x.amin(1, keepdim=True)
        x /= x.amax(1, keepdim=True)
        return net(x).mean()

    batches = with_numbers(*((5, 1, feature, 1.0) for feature in range(4)))
    verdict = verdict_of(scaled, batches)
    assert (verdict.operation, verdict.sample) == ("div_", 1)
    assert not any("nan" in step.split("=")[0] for step in verdict.steps), verdict.steps


def test_logsumexp_of_a_row_that_is_masked_is_to_blame_not_its_mask():
    def energy(net, x):
        return torch.logsumexp(net(x).masked_fill(x[:, :3] < 0, -math.inf), 1).mean()

    entries = [(batch, 0, 0, -1.0) for batch in range(8)]
    verdict = verdict_of(energy, with_numbers(*entries, (5, 1, 0, -1.0), (5, 1, 1, -1.0), (5, 1, 2, -1.0)))
    assert (verdict.iteration, verdict.operation, verdict.sample) == (6, "logsumexp", 1) and "masked" in verdict.advice


def test_routine_infinities_of_logsumexp_are_not_to_blame():
    moves = torch.zeros(3, 3).masked_fill(torch.eye(3) + torch.eye(3).roll(1, 1) == 0, -math.inf)

    def forward(net, x):  # in log space: not every state can be reached at once
        with torch.no_grad():
            alpha = torch.full((5, 3), -math.inf).index_fill(1, torch.tensor([0]), 0.0)
            alpha = torch.logsumexp(alpha[:, :, None] + moves, 1) + net(torch.sqrt(x))
        return (torch.softmax(alpha, 1) * net(x)).mean()

    verdict = verdict_of(forward, with_numbers((5, 1, 2, -1.0)))
    assert (verdict.iteration, verdict.operation, verdict.sample) == (6, "sqrt", 1), verdict


def test_steps_in_place_that_are_over_stay_in_the_chain():
    verdict = verdict_of(lambda net, x: torch.log(torch.relu_(x - 0.4)).mean() * net(x).mean(), with_numbers((5, 1, 2, 0.1)))
    assert verdict.steps[-2:] == ("relu_(-0.3) = 0", "log(0) = -inf") or verdict.steps[-2].startswith("relu_(-0.3")


@pytest.mark.parametrize("every", [1, 4])
def test_a_loss_scale_that_falls_without_end_is_no_excuse(every):
    net, scaler = lin(), torch.amp.GradScaler("cpu", init_scale=64.0)
    opt = torch.optim.SGD(net.parameters(), 0.01)
    batches = with_numbers() + with_numbers(*((batch, 2, 0, -1.0) for batch in range(8))) * 3
    with pytest.raises(Collapse) as caught:
        for x in guard(batches, net, opt, scaler, every=every):
            loss = torch.sqrt((net(x) * (x[:, :1] > 0)).square().sum(1)).mean()
            opt.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
    verdict = caught.value.verdict
    assert (verdict.operation, verdict.sample, verdict.phase) == ("sqrt", 2, "backward") and 8 < verdict.iteration < 24
    assert "falling since iteration" in verdict.history


def test_a_falling_loss_scale_that_began_before_the_record_is_said_to_have():
    history = History()
    for number in range(1, 101):
        history.rows.append({"iteration": number, "loss": 1.0, "gradient": 1.0, "scale": 2.0**-number})
    assert "since iteration 38 or before" in history.words(101)[0]


def test_a_nan_in_a_batch_of_its_own_class_came_with_the_batch():
    batches = [SimpleNamespace(x=x) for x in with_numbers((5, 2, 1, math.nan))]
    verdict = verdict_of(lambda net, batch: net(batch.x).square().mean(), batches)
    assert (verdict.phase, verdict.sample, verdict.feature) == ("batch", 2, (1,)) and "verified" in verdict.check


# ---------------------------------------------------------------- words that mislead

ZERO = torch.zeros(5, 3)


@pytest.mark.parametrize(
    ("loss", "operation", "words", "value"),
    [
        (lambda out: torch.lgamma(ZERO + out.detach() * 0), "lgamma", "a pole at 0", 0),
        (lambda out: F.layer_norm(out * 0 + 0.5, (3,), eps=0.0), "native_layer_norm", "no spread", None),
        (lambda out: (out.detach() * 0) ** -0.5, "pow", "a divisor was 0", 0),
        (lambda out: torch.linalg.vector_norm(out.detach() * 1e30), "linalg_vector_norm", "too large", None),
        (lambda out: torch.logit(out.detach() * 0 + 1), "logit", "both ends", 1),
        (lambda out: torch.softmax(out.masked_fill(out == out, -math.inf), 1), "softmax", "all is masked", -math.inf),
        (
            lambda out: torch._weight_norm(out, ZERO[:, :1], 0) * 0 + torch._weight_norm(ZERO, ZERO[:, :1], 0),
            "weight_norm_interface",
            "divisor",
            None,
        ),
        (lambda out: out[:0].detach(), "mean", "a mean over nothing", None),
        (
            lambda out: torch.linalg.svd(torch.eye(3) + out.mean() * 0)[0].square(),
            "linalg_svd",
            "two of its values are equal",
            None,
        ),
        (lambda out: out.detach() / 0.0, "div", "divisor", 0),
        (lambda out: torch.acos((out * 0 + 1).clamp(-1, 1)), "acos", "at the ends", None),
        (lambda out: F.linear(out * 1e38, torch.full((3, 3), 1e30), torch.full((3,), 0.25)), "addmm", "too large", None),
    ],
    ids=lambda one: one if isinstance(one, str) and " " not in one else "",
)
def test_advice_and_value_are_those_of_the_operation(loss, operation, words, value):
    verdict = verdict_of(
        lambda net, x: (net(x) + 1).mean() * (1 if x[0, 0] > 0 else loss(net(x)).mean()), with_numbers((5, 0, 0, -1.0))
    )
    assert (verdict.iteration, verdict.operation, verdict.value) == (6, operation, value) and words in verdict.advice
    assert "up to" not in verdict.cause or verdict.phase == "forward", "in the backward pass that is a number of the derivative"


# ---------------------------------------------------------------- healthy, or dead without a word


def a_mask_that_is_a_weight(net, batches):
    mask = nn.Module()
    mask.weight = nn.Parameter(torch.tensor([0.0, 0.0, -math.inf]), requires_grad=False)
    for x in guard(batches, net, mask):
        fits_loss(net, torch.softmax(net(x) + mask.weight, 1)[:, 0].mean())


def a_metric_that_is_nan_and_a_break(net, batches):
    for k, x in enumerate(guard(batches, net)):
        out = net(x)
        _recall = out[x[:, 0] > 9].mean()  # of a class that nobody is in
        fits_loss(net, out.square().mean())
        if k == 5:
            break


def a_metric_of_the_body_before(net, batches):
    for k, x in enumerate(guard(batches, net)):
        if k % 4 == 3:
            continue
        out = net(x)
        _recall = out[x[:, 0] > 9].mean()
        fits_loss(net, out.square().mean())


def gradients_made_by_hand(net, batches):
    for x in guard(batches, net):
        logits = net(x).masked_fill(torch.tensor([True, False, False]), -math.inf)
        net.zero_grad()
        logits.backward(torch.tensor([0.0, 1.0, -1.0]).expand(5, 3))


def asks_for_what_its_loader_has(net, batches):
    loader = guard(torch.utils.data.DataLoader(torch.cat(batches), batch_size=5), net)
    for x in loader:
        fits_loss(net, net(x).square().mean() / len(loader.dataset) / loader.batch_size)


@pytest.mark.parametrize(
    "loop",
    [
        asks_for_what_its_loader_has,
        a_mask_that_is_a_weight,
        a_metric_that_is_nan_and_a_break,
        a_metric_of_the_body_before,
        gradients_made_by_hand,
    ],
    ids=lambda loop: loop.__name__,
)
@pytest.mark.filterwarnings("error")
def test_nothing_is_said_of_a_healthy_loop(loop):
    net = nn.Linear(4, 3)
    for weight in net.parameters():
        weight.grad = torch.zeros_like(weight)
    loop(net, with_numbers())


class Trainer:
    def __init__(self, leave):
        self.net, self.leave = lin(), leave

    def train(self, batches):
        self.guard = guard(batches, self.net)
        for x in self.guard:
            self.losses = {"total": self.net(torch.log(x)).square().mean()}
            if self.leave == "break" and not torch.isfinite(self.losses["total"]):
                break
            if not torch.isfinite(self.losses["total"]):
                raise ValueError("no number")
            fits_loss(self.net, self.losses["total"])


@pytest.mark.parametrize("leave", ["break", "raise"])
def test_a_loss_is_seen_where_it_hangs(leave):
    trainer = Trainer(leave)
    try:
        trainer.train(with_numbers((5, 2, 1, 0.0)))
    except (Collapse, ValueError):
        pass
    assert (trainer.guard.verdict.operation, trainer.guard.verdict.sample) == ("log", 2)


def outputs(net, x):
    return {"losses": {"total": net(torch.log(x)).square().mean()}}


def in_a_dict_of_a_helper(net, x, past):
    found = outputs(net, x)
    if not all(math.isfinite(one) for one in found["losses"].values()):
        raise FloatingPointError("no number")
    return found["losses"]["total"]


def match(costs):
    if not np.isfinite(costs).all():
        raise ValueError("matrix contains invalid numeric entries")


def in_an_array(net, x, past):
    match(net(torch.log(x)).detach().numpy())
    return net(torch.log(x)).mean()


def in_a_gradient(net, x, past):
    loss = torch.sqrt(net(x).square().sum(1) * (x[:, 1] > 0)).mean()
    if not all(torch.isfinite(one).all() for one in torch.autograd.grad(loss, net.parameters(), retain_graph=True)):
        loss.backward()
        raise ValueError("a gradient is no number")
    return loss


def in_the_losses_so_far(net, x, past):
    loss = net(torch.log(x)).square().mean()
    past["all"].append(loss.item())
    if not math.isfinite(np.average(past["all"])):
        raise ValueError("the mean is no number")
    return loss


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize(
    "loss", [in_a_dict_of_a_helper, in_an_array, in_a_gradient, in_the_losses_so_far], ids=lambda f: f.__name__
)
def test_an_error_that_a_nan_causes_gets_its_verdict_wherever_it_lies(loss, every):
    net, past = lin(), {"all": []}
    watch = guard(with_numbers((5, 2, 1, 0.0)), net, every=every)
    with pytest.raises((Collapse, ValueError, FloatingPointError)):
        for x in watch:
            fits_loss(net, loss(net, x, past))
    assert watch.verdict.operation in ("log", "sqrt") and watch.verdict.sample == 2, watch.verdict
    assert len(past["all"]) in (0, 6), "a history tells each iteration once"


def test_an_error_beside_labels_that_are_masked_on_purpose_is_the_users():
    net = lin()
    watch = guard(with_numbers(), net)
    with pytest.raises(KeyError):
        for k, x in enumerate(watch):
            y = torch.randn(5, 3)
            y[::2, 1] = math.nan
            mask = ~torch.isnan(y)
            fits_loss(net, ((net(x) - torch.nan_to_num(y)).square() * mask).sum() / mask.sum())
            {"known": 1}["unknown" if k == 4 else "known"]
    assert watch.verdict is None


@pytest.mark.parametrize("every", [1, 4])
def test_a_buffer_that_dies_by_a_count_does_so_in_its_iteration(every):
    net = lin()
    net.register_buffer("average", torch.ones(3))
    with pytest.raises(Collapse) as caught:
        for i, x in enumerate(guard(with_numbers(), net, every=every)):
            fits_loss(net, net(x).square().mean())
            if i % 7 == 2:
                net.average.copy_(torch.log(net.average - 1))
    assert (caught.value.verdict.iteration, caught.value.verdict.operation) == (3, "log")


@pytest.mark.parametrize("every", [1, 4])
def test_a_long_replay_buffer_is_cut_back(every):
    net, memory = lin(), [torch.rand(4) + 0.5 for _ in range(150)]
    with pytest.raises(Collapse) as caught:
        for x in guard(with_numbers((5, 2, 1, 0.0)), net, every=every):
            memory.extend(x)
            fits_loss(net, net(torch.log(torch.stack(memory[-8:]))).square().mean())
    assert (caught.value.verdict.iteration, caught.value.verdict.operation, len(memory)) == (6, "log", 175)


def test_an_error_at_a_nan_that_a_setting_made_gets_its_verdict():
    net, heat = lin(), 5.0
    watch = guard(with_numbers(), net)
    with pytest.raises((Collapse, RuntimeError)):
        for x in watch:
            heat -= 1
            shares = torch.softmax(net(x) / heat, 1)
            torch.multinomial(shares, 1)
            fits_loss(net, net(x).square().mean())
    assert (watch.verdict.iteration, watch.verdict.operation, watch.verdict.value) == (5, "div", 0)


def test_a_step_goes_on_after_a_collapse_that_was_caught():
    net, found = lin(), []
    step = guard.step(net)(lambda x: fits_loss(net, net(torch.log(x)).square().mean()))
    for x in with_numbers((2, 0, 0, 0.0), (5, 1, 0, 0.0)):
        try:
            step(x)
        except Collapse as collapse:
            found.append((collapse.verdict.iteration, collapse.verdict.sample))
    assert found == [(3, 0), (6, 1)]


def test_a_replay_that_a_range_might_cut_is_announced():
    net = lin()
    batches = iter(guard(with_numbers((6, 1, 0, 0.0)), net))
    with pytest.warns(UserWarning, match="iteration 5 and on again"):
        for _ in range(8):
            fits_loss(net, net(torch.log(next(batches))).square().mean())
    batches.close()


def test_a_state_that_is_loaded_while_the_loop_runs():
    """As Accelerate does when it prepares an optimiser: its state is another dict then."""
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    with pytest.raises(Collapse) as caught:
        for i, x in enumerate(guard(with_numbers((5, 1, 0, 0.0)), net, opt)):
            if i == 0:
                opt.load_state_dict(opt.state_dict())
            loss = net(torch.log(x)).square().mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
    assert (caught.value.verdict.operation, caught.value.verdict.sample) == ("log", 1)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net, junk: guard.step(lambda x: None), "the function comes after what it trains"),
        (lambda net, junk: guard.step(net, every=-1), "every must be at least 1, not -1"),
        (lambda net, junk: guard([], nn.Linear), "not the class Linear"),
        (lambda net, junk: guard(net, net), "iterable must be .* not Linear"),
        (lambda net, junk: guard(torch.utils.data.DataLoader, net), "iterable must be .* not the class DataLoader"),
        (lambda net, junk: replay(junk, lambda x: None, net), "is not a collapse that"),
    ],
)
def test_what_cannot_be_guarded_is_said_in_a_sentence(call, words, tmp_path):
    (tmp_path / "junk.pt").write_text("junk")
    with pytest.raises((TypeError, ValueError), match=words):
        call(nn.Linear(2, 2), tmp_path / "junk.pt")
