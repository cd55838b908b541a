"""The guard's verdict on each way to NaN, and that it changes nothing until then."""

import copy
import dataclasses
import math
import random
import warnings
from collections import UserList

import numpy as np
import pytest
import torch
from torch import nn

from utils.autopsy import autopsy
from utils.nanguard import Collapse, FlightRecorder, guard
from utils.training import GAN, Recipe


def verdict_on(loss, weight=(1.0,), dtype=torch.float32, optimiser=torch.optim.SGD, iterations=3, **settings):
    """What guard says about a loop that minimises loss(weight)."""
    weight = nn.Parameter(torch.tensor(weight, dtype=dtype))
    model = nn.Module()
    model.weight = weight
    steps = optimiser([weight], lr=0.1, **settings)
    with pytest.raises(Collapse) as caught:
        for i in guard(range(iterations), model, steps):
            steps.zero_grad()
            loss(weight, i).backward()
            steps.step()
    return caught.value.verdict


# ---------------------------------------------------------------- the catalogue

CATALOGUE = {
    "log of a saturated sigmoid": (lambda w, i: -torch.log(1 - torch.sigmoid(17 * w)).sum(), "log", "forward"),
    "root of a sum of squares at 0": (lambda w, i: (w * 0).square().sum().sqrt(), "sqrt", "backward"),
    "std of one": (lambda w, i: w.std(), "std", "forward"),
    "root of a variance of 0": (lambda w, i: (w * torch.ones(4)).var().sqrt(), "sqrt", "backward"),
    "constant column": (lambda w, i: (w * (torch.ones(4) - 1) / torch.ones(4).std()).sum(), "div", "forward"),
    "where over a log": (lambda w, i: torch.where(w > 5, torch.log(w - 1), 0 * w).sum(), "log", "backward"),
    "LSGAN at a huge logit": (lambda w, i: (2e19 * w - 1).square().sum(), "pow", "forward"),
    "exp overflows": (lambda w, i: torch.exp(89 * w).sum(), "exp", "forward"),
    "half precision overflows": (lambda w, i: (w.half() * 300 * 300).float().sum(), "mul", "forward"),
    "half precision sigmoid": (lambda w, i: -torch.log(1 - torch.sigmoid(9 * w.half())).float().sum(), "log", "forward"),
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue(name):
    loss, operation, phase = CATALOGUE[name]
    verdict = verdict_on(loss)
    assert (verdict.operation, verdict.phase, verdict.iteration) == (operation, phase, 1), str(verdict)
    assert "test_nanguard.py" in verdict.line


@pytest.mark.parametrize(
    "loss, advice",
    [
        (lambda w, i: (torch.log(1 - torch.sigmoid(40 * w))).sum(), "take the log of a sigmoid or softmax in one step"),
        (lambda w, i: (torch.log(w - 1)).sum(), "the log of 0: bound what goes in"),
        (lambda w, i: (torch.log(w - 3)).sum(), "log of a negative number"),
        (lambda w, i: (torch.sqrt(w - 3)).sum(), "sqrt of a negative number"),
        (lambda w, i: (torch.sqrt(w - 1)).sum(), "add a small number inside the root"),
        (lambda w, i: ((w - 3e30) ** 2).sum(), "numbers grew too large"),
        (lambda w, i: ((w * torch.ones(1)).std()).sum(), "no spread, or one sample alone"),
    ],
    ids=["log of a sigmoid", "log of 0", "log of -2", "root of -2", "root of 0", "square", "std of one"],
)
def test_the_advice_fits_what_went_in(loss, advice):
    assert advice in verdict_on(loss, iterations=1).advice


def test_adam_in_half_precision_divides_by_zero_in_the_optimiser():
    slope = [1e-4, 0.0, 0.0]
    verdict = verdict_on(lambda w, i: (w * slope[i]).sum(), dtype=torch.float16, optimiser=torch.optim.Adam, foreach=False)
    assert verdict.phase == "optimiser" and "div" in verdict.operation


def test_spectral_norm_of_zero_weights():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
    with torch.no_grad():
        layer.parametrizations.weight.original.zero_()
    steps = torch.optim.SGD(layer.parameters(), lr=0.1)
    with pytest.raises(Collapse) as caught:
        for _ in guard(range(3), layer, steps):
            steps.zero_grad()
            layer(torch.ones(5, 3)).sum().backward()
            steps.step()
    assert caught.value.verdict.operation == "div"


def test_double_backward_of_a_gradient_penalty():
    critic = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        critic[0].bias.fill_(-100)  # a dead ReLU: the gradient with respect to x is exactly 0
    steps = torch.optim.SGD(critic.parameters(), lr=0.1)
    with pytest.raises(Collapse) as caught:
        for _ in guard(range(3), critic, steps):
            x = torch.randn(5, 3, requires_grad=True)
            slope = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
            norm = slope.square().sum(1).sqrt()
            steps.zero_grad()
            ((norm - 1) ** 2).mean().backward()
            steps.step()
    verdict = caught.value.verdict
    assert (verdict.operation, verdict.phase, verdict.loss) == ("sqrt", "backward", "norm")


def test_a_masked_infinity_is_not_blamed():
    mask = torch.tensor([0.0, -math.inf])

    def loss(w, i):
        attention = torch.softmax(w * torch.ones(2) + mask, 0)
        return attention.sum() + torch.log(w - 1).sum()

    assert verdict_on(loss).operation == "log"


def test_an_operation_in_place_is_blamed_with_what_went_in():
    def loss(w, i):
        y = w * torch.tensor([2.0, 100.0])
        y.exp_()
        return y.sum()

    verdict = verdict_on(loss)
    assert verdict.operation == "exp_" and verdict.value == 100


def test_nan_in_the_data_names_the_sample_and_the_feature():
    model = nn.Linear(4, 1)
    steps = torch.optim.SGD(model.parameters(), lr=0.01)
    batches = [torch.randn(8, 4) for _ in range(5)]
    batches[3][6, 2] = math.nan
    with pytest.raises(Collapse) as caught:
        for x in guard(batches, model, steps):
            steps.zero_grad()
            model(x).square().mean().backward()
            steps.step()
    verdict = caught.value.verdict
    assert (verdict.iteration, verdict.phase, verdict.sample, verdict.feature) == (4, "batch", 6, (2,))


def test_nan_in_the_weights_before_the_first_iteration():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].bias[1] = math.nan
    with pytest.raises(Collapse) as caught:
        next(iter(guard(range(3), model)))
    assert caught.value.verdict.module == "Sequential.1.bias" and caught.value.verdict.phase == "before"


class Inner(nn.Module):
    def forward(self, x):
        return torch.log(x)


def test_nested_modules_give_their_path_and_a_supervised_model_its_sample():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sequential(nn.Softplus(), Inner()))
    with torch.no_grad():
        model[0].weight.fill_(1)
    steps = torch.optim.SGD(model.parameters(), lr=0.0)
    x = torch.ones(6, 2)
    x[4] = -100  # softplus is 0 there
    with pytest.raises(Collapse) as caught:
        for batch, _ in guard([(torch.ones(6, 2), 0), (x, 1)], model, steps):
            steps.zero_grad()
            model(batch).mean().backward()
            steps.step()
    verdict = caught.value.verdict
    assert (verdict.module, verdict.operation, verdict.sample) == ("Sequential.1.1", "log", 4)
    assert verdict.steps[-1] == "log(0) = -inf"


# ---------------------------------------------------------------- somebody else's loop


def foreign(watch, seed=0, lr=1e-3, iterations=40, extra=()):
    """A GAN the way people write it: two optimisers, alternating updates, the global random state."""
    torch.manual_seed(seed)
    g = nn.Sequential(nn.Linear(1, 256), nn.ReLU(), nn.Linear(256, 64))
    d = nn.Sequential(nn.Linear(64, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1), nn.Sigmoid())
    opt_g, opt_d = torch.optim.Adam(g.parameters(), lr, (0.5, 0.999)), torch.optim.Adam(d.parameters(), lr, (0.5, 0.999))
    history = []
    loop = guard(range(iterations), g, d, opt_g, opt_d, **watch) if watch is not None else range(iterations)
    error = None
    try:
        for _ in loop:
            real = 200 + 20 * torch.randn(32, 64) + random.random() + float(np.random.rand())
            fake = 20 * g(torch.randn(32, 1))
            d_real, d_fake = d(real).squeeze(1), d(fake.detach()).squeeze(1)
            d_loss = -torch.log(d_real).mean() - torch.log(1 - d_fake).mean()
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
            g_loss = -torch.log(d(fake).squeeze(1)).mean()
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
            history.append((d_loss.item(), g_loss.item()))
    except Collapse as collapse:
        error = collapse
    return history, error, [one.detach().clone() for one in (*g.parameters(), *d.parameters())], loop


def test_a_foreign_loop_is_bit_identical_until_its_verdict():
    random.seed(0), np.random.seed(0)
    free, _, _, _ = foreign(None)
    random.seed(0), np.random.seed(0)
    held, error, weights, _ = foreign({})
    broken = next(i for i, pair in enumerate(free) if not all(map(math.isfinite, pair)))
    verdict = error.verdict
    assert verdict.iteration == broken + 1
    assert str(held[: broken + 1]) == str(free[: broken + 1]), "the history tells each iteration once"
    assert verdict.operation == "log" and verdict.loss in ("d_loss", "g_loss") and 0 <= verdict.sample < 32
    assert all(one.isfinite().all() for one in weights), "the last good state is put back"


@pytest.mark.parametrize("every", [1, 2, 5])
def test_copies_every_few_iterations_give_the_same_verdict(every):
    expected = autopsy(GAN(Recipe(lr=1e-3), seed=1), 100)  # its cause is in words of its own
    gan = GAN(Recipe(lr=1e-3), seed=1)
    with pytest.raises(Collapse) as caught:
        for _ in guard(range(100), gan, every=every):
            gan.step()
    assert dataclasses.replace(caught.value.verdict, cause=expected.cause) == expected


def test_a_healthy_run_is_bit_identical_weights_and_random_state():
    recipe = Recipe(lr=1e-3, loss="logits")
    alone, watched = GAN(recipe), GAN(recipe)
    for _ in range(30):
        alone.step()
    for _ in guard(range(30), watched):
        watched.step()
    assert all(torch.equal(a, b) for a, b in zip(alone.weights_d, watched.weights_d, strict=True))
    assert torch.equal(alone.random.get_state(), watched.random.get_state())


def test_every_kind_of_numpy_draw_is_noticed():
    """The recorder reads numpy's state only if it has moved; of a pair of normal numbers the second moves nothing."""
    recorder = FlightRecorder(nn.Linear(1, 1))
    draws = [np.random.rand, np.random.randn, np.random.randn, lambda: None, np.random.rand, lambda: np.random.seed(1)]
    for draw in draws:
        draw()
        state, expected = recorder.random_state(), np.random.randn(3)
        recorder.set_random_state(state)
        assert np.array_equal(np.random.randn(3), expected)
        recorder.set_random_state(state)


def poisoned(policy, **settings):
    """A model that meets one bad batch, the third of six."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    steps = torch.optim.Adam(model.parameters(), lr=0.1)
    batches = [torch.ones(4, 2) * (math.nan if i == 2 else i) for i in range(6)]
    loop, seen = guard(batches, model, steps, policy=policy, **settings), UserList()
    for x in loop:
        seen.append(1)  # a count or a list would be put back
        steps.zero_grad()
        model(x).square().mean().backward()
        steps.step()
    return loop, len(seen), model


@pytest.mark.parametrize("every, bodies", [(None, 6), (1, 6)])
def test_skip_goes_on_as_if_the_bad_batch_had_not_been(every, bodies):
    with pytest.warns(UserWarning, match="skipped iteration 3"):
        loop, seen, model = poisoned("skip", every=every)
    assert loop.skipped == [3] and seen == bodies
    torch.manual_seed(0)
    clean = nn.Linear(2, 1)
    steps = torch.optim.Adam(clean.parameters(), lr=0.1)
    for i in (0, 1, 3, 4, 5):
        steps.zero_grad()
        clean(torch.ones(4, 2) * i).square().mean().backward()
        steps.step()
    assert torch.equal(model.weight, clean.weight)


@pytest.mark.parametrize("every, bodies", [(None, 6), (1, 4), (2, 4)])
def test_stop_ends_the_loop_with_a_verdict_and_good_weights(every, bodies):
    loop, seen, model = poisoned("stop", every=every)
    assert loop.verdict.iteration == 3 and seen == bodies and model.weight.isfinite().all()


def table(policy, every, bad, count=11, draws_its_own=False):
    """Fit a table of numbers, one a batch, in a loop that uses chance and changes its batches; everything it leaves behind.

    The batches `bad` (1-based) spoil their own number, never the last one, which the guard glances at after every body.
    """
    torch.manual_seed(0)
    model = nn.Module()
    model.weight = nn.Parameter(torch.ones(8))
    steps = torch.optim.Adam([model.weight], lr=0.1)
    batches = [torch.tensor([i % 7, math.nan if i + 1 in bad else 0.3 * i]) for i in range(count)]
    loop = guard(range(count) if draws_its_own else batches, model, steps, policy=policy, every=every)
    seen, verdict = UserList(), None  # which is not rewound
    try:
        for batch in loop:
            batch = batches[batch].clone() if draws_its_own else batch
            index = int(batch[0])
            seen.append(index)
            steps.zero_grad()
            loss = (model.weight[index] * model.weight.detach().mean() * torch.rand(()) - batch[1]).square()
            loss.backward()
            steps.step()
            batch.zero_()
    except Collapse as collapse:
        verdict = collapse.verdict
    moments = [entry[name] for entry in steps.state.values() for name in ("step", "exp_avg", "exp_avg_sq")]
    left = [model.weight.detach(), *moments, torch.get_rng_state()]
    return str(verdict or loop.verdict), loop.skipped, [one.tolist() for one in left], seen


@pytest.mark.filterwarnings("ignore:skipped iteration")
@pytest.mark.parametrize("draws_its_own", [False, True])
@pytest.mark.parametrize("bad", [(), (1,), (6,), (8,), (11,), (6, 7), (5, 8), (2, 3, 9, 11)])
@pytest.mark.parametrize("policy", ["raise", "skip", "stop"])
def test_however_rare_the_copies_what_is_left_is_the_same(policy, bad, draws_its_own):
    expected = table(policy, 1, bad, draws_its_own=draws_its_own)
    assert expected[1] == (list(bad) if policy == "skip" else [])
    assert f"iteration  {bad[0]}\n" in expected[0] if bad and policy != "skip" else expected[0] == "None"
    for every in (None,) if policy == "skip" else (None, 2, 4, 7):
        assert table(policy, every, bad, draws_its_own=draws_its_own)[:3] == expected[:3]


@pytest.mark.filterwarnings("ignore:skipped iteration")
def test_which_bodies_run_again():
    first, last = [0, 1, 2, 3], [1, 2, 3]  # iterations 5 to 8 fit the numbers 4, 5, 6, 0; 9 to 11 fit 1, 2, 3
    # A loss that is NaN is seen at once: the window so far again, and the fatal one traced, and without the bad sample.
    assert table("stop", 4, (6,))[3] == [*first, 4, 5, 4, 5, 5]
    assert table("skip", 4, (6,))[1::2] == ([5, 6], [*first, 4, 5, 6, 0, *last])  # with "skip" nothing does
    assert table("stop", 4, (11,))[3] == [*first, 4, 5, 6, 0, *last, 1, 2, 3, 3]  # in a window of three
    assert table("skip", None, (6, 7))[3] == [*first, 4, 5, 6, 0, *last]


def test_a_body_that_imports_and_defines_runs_again():
    model, batches = nn.Linear(2, 1), [torch.rand(4, 2) + 0.1 for _ in range(4)]
    batches[2][1, 0] = -50
    with pytest.raises(Collapse) as caught:
        for i, x in enumerate(guard(batches, model, every=1)):
            if i == 0:  # what the first body makes, the later ones use
                import cmath

                def half(v):
                    return v / 2

            def parts(whole):  # a generator within the body
                yield half(whole)

            try:
                float("none")
            except ValueError as error:
                loss = x[:, 0].log().mean() * len(str(error)) / cmath.pi
            model.zero_grad()
            (loss * sum(parts(model(x).mean()))).backward()
    assert (caught.value.verdict.sample, caught.value.verdict.operation) == (1, "log")
    assert "verified" in caught.value.verdict.check


def test_a_body_that_itself_raises_at_a_nan_still_gets_its_verdict():
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    steps = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(Collapse) as caught:
        for i in guard(range(6), model, steps):
            steps.zero_grad()
            score = model(torch.ones(3, 2))
            loss = nn.functional.binary_cross_entropy(score, torch.ones(3, 1))  # an error if the score is NaN
            (loss + (score * (i != 1)).sum().sqrt()).backward()
            steps.step()
    assert (caught.value.verdict.iteration, caught.value.verdict.operation) == (2, "sqrt")


@pytest.mark.parametrize("every", [1, 4])
def test_a_nan_that_does_not_come_again_is_a_collapse_without_a_cause(every):
    model, runs = nn.Linear(2, 1), UserList([0] * 4)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(Collapse, match="left nothing non-finite"):
        for i in guard(range(4), model, every=every):
            runs[i] += 1
            with torch.no_grad():
                model.weight.fill_(math.nan if i == 3 and runs[i] == 1 else i)
    assert (model.weight == 2).all() and torch.equal(model.bias, before["bias"])


def test_the_running_average_of_a_gan_is_put_back_too():
    def collapsed(every):
        gan = GAN(Recipe(lr=1e-3, ema=0.9), seed=3)
        for _ in guard(range(200), gan, policy="stop", every=every):
            gan.step()
        return list(gan.averaged.parameters())

    once, seldom = collapsed(1), collapsed(4)
    assert all(a.isfinite().all() and torch.equal(a, b) for a, b in zip(once, seldom, strict=True))


def test_the_tracer_is_gone_after_every_way_out():
    def depth():
        return torch._C._len_torch_dispatch_stack()

    model = nn.Linear(2, 1)
    for way in ("collapse", "break", "error"):
        seen = UserList()
        try:
            for _ in guard(range(3), model):
                seen.append(1)
                if len(seen) == 2 and way == "break":
                    break
                if len(seen) == 2 and way == "error":
                    raise KeyError("in the replay")
                with torch.no_grad():
                    model.bias.fill_(math.nan)
        except (Collapse, KeyError):
            pass
        assert depth() == 0 and len(seen) >= 2
        with torch.no_grad():
            model.bias.fill_(0)


@pytest.mark.parametrize("every, iterations", [(1, 12), (None, 30)])
def test_memory_is_bounded_and_allocated_once(every, iterations):
    gan = GAN(Recipe(loss="logits"))
    loop, sizes = guard(range(iterations), gan, every=every), []
    for _ in loop:
        gan.step()
        sizes.append(loop.recorder.nbytes)
    weights = sum(one.nbytes for one in (*gan.weights_g, *gan.weights_d))
    assert len(set(sizes[iterations // 2 :])) == 1
    assert sizes[-1] <= 4.1 * weights  # weight, gradient, two moments


def test_a_gradient_scaler_may_meet_infinities():
    model = nn.Linear(2, 1)
    steps, scaler = torch.optim.SGD(model.parameters(), lr=1e-3), torch.amp.GradScaler("cpu", init_scale=2.0**127)
    for _ in guard(range(10), model, steps, scaler):
        steps.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(torch.ones(3, 2)).square().mean() * 100
        scaler.scale(loss).backward()
        scaler.step(steps)
        scaler.update()
    assert scaler.get_scale() < 2.0**127 and model.weight.isfinite().all()


@pytest.mark.parametrize(
    "arguments, settings, error, text",
    [
        ((), {}, TypeError, "nothing to guard"),
        ((3,), {}, TypeError, "not int"),
        ((nn.Linear(1, 1),), {"policy": "ignore"}, ValueError, "ignore"),
        ((nn.Linear(1, 1),), {"every": 0}, ValueError, "every"),
    ],
)
def test_bad_input_gets_one_clear_sentence(arguments, settings, error, text):
    with pytest.raises(error, match=text):
        guard(range(3), *arguments, **settings)


def test_a_verdict_reads_as_text_and_as_a_table():
    verdict = verdict_on(CATALOGUE["log of a saturated sigmoid"][0])
    assert "operation  log" in str(verdict) and "<table>" in verdict._repr_html_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(Collapse(verdict), ArithmeticError)
