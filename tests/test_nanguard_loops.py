"""The guard around loops as people write them: the gallery's deaths get their verdict, healthy ones stay as they are."""

import copy
import gc
import itertools
import random
import warnings
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gallery import LOOPS, carried, data, lin
from torch import nn

from utils.nanguard import Collapse, guard, replay

pytestmark = pytest.mark.filterwarnings("ignore")


def judged(verdict, expected):
    """{field: what was found} of all that is not as expected."""
    wrong = {}
    for name, want in expected.items():
        found, options = getattr(verdict, name), want if isinstance(want, set) else {want}
        parts = name in ("line", "cause", "history")
        if not any(one in (found or "") for one in options) if parts else found not in options:
            wrong[name] = found
    return wrong


@pytest.mark.parametrize("every", [4, 1])
@pytest.mark.parametrize("name", LOOPS)
def test_the_gallery(name, every):
    loop, expected = LOOPS[name]
    verdict = None
    try:
        loop(lambda iterable, *objects: guard(iterable, *objects, every=every))
    except (Exception, SystemExit) as error:
        verdict = carried(error)
        if verdict is None:
            raise
    assert (verdict is None) == (not expected), verdict
    if expected:
        assert judged(verdict, expected) == {} and verdict.reproduced and "; notebook " in verdict.advice


# ---------------------------------------------------------------- healthy loops, in fifteen shapes

Pair = namedtuple("Pair", "x y")


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, i):
        own = torch.Generator().manual_seed(i)
        return {"x": torch.randn(4, generator=own), "y": torch.randn(1, generator=own), "name": str(i), "at": i}


def pairs():
    return [Pair(torch.randn(4, 4), torch.randn(4, 1)) for _ in range(10)]


def loader(**settings):
    return torch.utils.data.DataLoader(Rows(), batch_size=4, shuffle=True, **settings)


def step(c, x, y):
    x = x + 0.1 * random.random() + 0.1 * np.random.rand()
    loss = (c.net(x) - y).square().mean()
    c.opt.zero_grad()
    loss.backward()
    c.opt.step()
    c.bodies += 1


def accumulating(c, watch):
    for i, b in enumerate(watch(pairs())):
        ((c.net(b.x) - b.y).square().mean() / 3).backward()
        c.bodies += 1
        if i % 3 == 2:
            c.opt.step()
            c.opt.zero_grad()


def breaking(c, watch):
    for i, b in enumerate(watch(pairs())):
        if i == 7:
            break
        if i % 3 != 1:
            step(c, b.x, b.y)


def by_next(c, watch):
    batches = iter(watch(pairs()))
    for _ in range(10):
        b = next(batches)
        step(c, b.x, b.y)


def thawing(c, watch):
    c.net[0].requires_grad_(False)
    for i, b in watch(list(enumerate(pairs()))):
        if i == 4:
            c.net[0].requires_grad_(True)
        step(c, b.x, b.y)


def own_batches(c, watch):
    batches = itertools.cycle(pairs())
    for _ in watch(range(8)):
        for _ in range(3):
            b = next(batches)
            step(c, b.x, b.y)


def own_loader(c, watch):
    batches = iter(loader())
    for b in watch(pairs()):
        try:
            other = next(batches)
        except StopIteration:
            batches = iter(loader())
            other = next(batches)
        step(c, other["x"] + b.x, b.y)


SHAPES = {
    "dictionaries": lambda c, watch: [step(c, b["x"], b["y"]) for b in watch(loader())],
    "workers": lambda c, watch: [step(c, b["x"], b["y"]) for b in watch(loader(num_workers=1))],
    "epochs": lambda c, watch: [step(c, b["x"], b["y"]) for _ in range(3) for b in watch(loader())],
    "enumerate outside": lambda c, watch: [step(c, b.x * (i % 3), b.y) for i, b in enumerate(watch(pairs()))],
    "enumerate inside": lambda c, watch: [step(c, b.x * (i % 3), b.y) for i, b in watch(enumerate(pairs()))],
    "zip inside": lambda c, watch: [step(c, a.x + b.x, b.y) for a, b in watch(zip(pairs(), pairs()))],
    "zip outside": lambda c, watch: [step(c, a.x + b.x, b.y) for a, b in zip(watch(pairs()), pairs())],
    "a batch that is changed": lambda c, watch: [step(c, b.x.mul_(0.5), b.y) for b in watch(pairs())],
    "a generator": lambda c, watch: [step(c, b.x, b.y) for b in watch(b for b in pairs())],
    "accumulation": accumulating,
    "break and continue": breaking,
    "next": by_next,
    "frozen at first": thawing,
    "batches of its own": own_batches,
    "a loader of its own": own_loader,
}


def ran(shape, watch):
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    c = SimpleNamespace(bodies=0, net=nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)))
    c.opt = torch.optim.Adam(c.net.parameters(), 1e-2)
    shape(c, lambda iterable: watch(iterable, c.net, c.opt))
    moments = [one[name] for one in c.opt.state.values() for name in ("step", "exp_avg", "exp_avg_sq")]
    left = [*c.net.state_dict().values(), *moments, torch.get_rng_state()]
    return c.bodies, [one.tolist() for one in left], random.getstate(), str(np.random.get_state())


@pytest.mark.parametrize("name", SHAPES)
def test_a_healthy_loop_is_the_same_to_the_last_bit(name):
    assert ran(SHAPES[name], guard) == ran(SHAPES[name], lambda iterable, *objects: iterable)


# ---------------------------------------------------------------- the step form, errors, the black box


def failing(opt, net, check):
    def train_step(x):
        loss = net(torch.log(x)).mean()
        check(loss)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss.item()

    return train_step


def refuse(loss):
    if not torch.isfinite(loss):
        raise ValueError("loss is not finite")


@pytest.mark.parametrize("every", [1, 4])
def test_a_step_that_raises_at_a_nan_raises_its_own_error_with_the_verdict(every):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    before, batches = None, data()
    batches[5][2] = -1
    train_step = guard.step(net, opt, every=every)(failing(opt, net, refuse))
    with pytest.raises(ValueError, match="loss is not finite") as caught:
        for x in batches:
            before = copy.deepcopy(net.state_dict())
            assert isinstance(train_step(x), float)
    verdict = caught.value.__cause__.verdict
    assert (verdict.iteration, verdict.operation, verdict.sample) == (6, "log", 2)
    assert verdict.check == "verified: without sample 2 the iteration is finite"
    assert all(torch.equal(net.state_dict()[name], one) for name, one in before.items())
    if hasattr(caught.value, "__notes__"):
        assert "torch.log(x)" in caught.value.__notes__[0]


def test_a_step_that_goes_on_gets_a_collapse_and_one_that_is_well_gets_its_result():
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    bare, batches = copy.deepcopy(net), data()
    train_step = guard.step(net, opt)(failing(opt, net, lambda loss: None))
    own = failing(torch.optim.SGD(bare.parameters(), 0.01), bare, lambda loss: None)
    assert [train_step(x) for x in batches] == [own(x) for x in batches] and train_step.check() is None
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), bare.parameters()))
    with pytest.raises(Collapse) as caught:
        train_step(torch.full((5, 4), -1.0))
    assert caught.value.verdict.iteration == 9 and "everything" in caught.value.verdict.extent


def test_an_error_that_has_nothing_to_do_with_a_nan_is_left_alone():
    net = lin()
    for watch in (guard(data(), net), [guard.step(net)(lambda: [][1])]):
        with pytest.raises(IndexError) as caught:
            for batch in watch:
                batch() if callable(batch) else [][1]
        assert caught.value.__cause__ is None


def left(check):
    net = lin()
    batches = data()
    batches[3][2] = -1
    opt = torch.optim.SGD(net.parameters(), 0.01)
    for x in guard(batches, net, opt):
        failing(opt, net, check)(x)


def test_an_error_at_a_nan_in_a_plain_loop_becomes_a_collapse():
    with pytest.raises((Collapse, ValueError)) as caught:
        left(refuse)
    verdict = carried(caught.value)
    assert (verdict.iteration, verdict.operation, verdict.sample) == (4, "log", 2)


def test_an_error_that_is_caught_beside_the_loop_stays_what_it_is():
    net, seen = lin(), []
    batches = data()
    batches[3][2] = -1
    watch = guard(batches, net)
    try:
        for x in watch:
            refuse(net(torch.log(x)).mean())
    except ValueError as error:
        seen.append(error)
    assert len(seen) == 1 and watch.verdict.operation == "log"
    with pytest.raises(KeyError):
        raise KeyError("not met by anything of the guard's")


@pytest.mark.parametrize("form", ["loop", "step"])
def test_a_collapse_goes_into_a_file_and_dies_again_elsewhere(tmp_path, form):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    batches = data()
    batches[5][2] = -1
    step = failing(opt, net, lambda loss: None)
    watch = guard(batches, net, opt) if form == "loop" else guard.step(net, opt)(step)
    with pytest.raises(ValueError, match="nothing to save"):
        watch.save(tmp_path / "early.pt")
    with pytest.raises(Collapse):
        for x in watch if form == "loop" else batches:
            step(x) if form == "loop" else watch(x)
    watch.save(tmp_path / "box.pt")
    assert torch.load(tmp_path / "box.pt", weights_only=True)["iteration"] == 6
    other = nn.Linear(4, 3)
    theirs = torch.optim.Adam(other.parameters(), 0.5)
    again = failing(theirs, other, lambda loss: None)
    run = again if form == "loop" else lambda batch: again(*batch[0], **batch[1])
    assert str(replay(tmp_path / "box.pt", run, other, theirs)) == str(watch.verdict)
    assert torch.equal(other.weight, net.weight) and theirs.param_groups[0]["lr"] == 0.01
    with pytest.raises(ArithmeticError, match="did not break"):
        replay(tmp_path / "box.pt", lambda batch: None, other, theirs)
    with pytest.raises(ValueError, match="saved with module, Adam, not module, SGD"):
        replay(tmp_path / "box.pt", run, other, torch.optim.SGD(other.parameters(), 0.5))


# ---------------------------------------------------------------- what cannot be known is said


def test_an_iterator_of_the_bodys_own_is_named_and_nothing_else_is_blamed():
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    own = iter([torch.full((5, 4), 0.0 if i == 5 else 1.0) for i in range(20)])
    with pytest.raises(Collapse) as caught:
        for x in guard(data(), net, opt):
            loss = net(x * torch.log(next(own))).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
    verdict = caught.value.verdict
    assert not verdict.reproduced and verdict.operation is None and "not reproduced" in verdict.cause
    assert verdict.iteration == 6 and "the iterator own" in verdict.advice


def test_a_failure_of_the_analysis_reaches_nobody_and_the_state_is_put_back(monkeypatch):
    monkeypatch.setattr("utils.nanguard.blame.source", lambda place: 1 / 0)
    net = lin()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(Collapse, match="could not be analysed .ZeroDivisionError"):
        for _ in guard(range(2), net):
            (net(torch.ones(1, 4)) * 0).sqrt().sum().backward()
            with torch.no_grad():
                net.weight.fill_(np.nan)
    assert torch.equal(net.weight, before["weight"])


def test_copies_are_at_most_four_times_the_weights_for_adam():
    net = nn.Sequential(*[nn.Linear(200, 200) for _ in range(4)])
    opt = torch.optim.Adam(net.parameters())
    watch = guard(range(10), net, opt)
    for _ in watch:
        opt.zero_grad()
        net(torch.randn(3, 200)).square().mean().backward()
        opt.step()
    assert watch.recorder.nbytes / sum(one.nbytes for one in net.parameters()) < 4.01


def test_nothing_of_torch_is_changed_when_the_loop_is_over():
    gc.collect()  # a loop by next() that nobody ended still listens
    engine, fetch = torch.autograd._engine_run_backward, torch.utils.data.dataloader._BaseDataLoaderIter.__next__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("a_break_in_the_fatal_body", "asserts", "penalty_of_a_flat_critic_fed_by_next"):
            with pytest.raises((Collapse, AssertionError)):
                LOOPS[name][0](guard)
    assert torch.autograd._engine_run_backward is engine
    assert torch.utils.data.dataloader._BaseDataLoaderIter.__next__ is fetch
