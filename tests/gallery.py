"""Loops that die, as people write them, with what a helpful tool has to say; and healthy ones, of which it has to say nothing.

A loop is a function of watch: watch(iterable, *objects) goes where guard(iterable, *objects) would. `expected` are fields of
the verdict; a set means any of these, and of a line a part is enough. Nothing is expected of a healthy loop.
"""

import copy
import itertools
import math
import sys
import threading
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

LOOPS = {}


def case(**expected):
    def keep(loop):
        LOOPS[loop.__name__] = loop, expected
        return loop

    return keep


def carried(error):
    """The verdict with an error: a Collapse has one, and from Python 3.12 on an error of the body's own keeps its kind."""
    return getattr(error, "verdict", None) or getattr(error.__cause__, "verdict", None)


def lin(inputs=4, outputs=3):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs)


def data(count=8, batch=5, width=4, seed=1):
    random = torch.Generator().manual_seed(seed)
    return [torch.rand(batch, width, generator=random) + 0.5 for _ in range(count)]


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def bce_raises(watch):
    net = lin(outputs=1)
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2, 1] = -1
    for x in watch(xs, net, opt):
        p = torch.sigmoid(net(torch.log(x)))
        loss = nn.BCELoss()(p, torch.ones_like(p))
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation={"div"}, sample=2, line="x / x.sum")
def categorical(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for x in watch(xs, net, opt):
        x = x / x.sum(1, keepdim=True)
        d = torch.distributions.Categorical(logits=net(x))
        loss = -d.log_prob(d.sample()).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def asserts(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for x in watch(xs, net, opt):
        loss = net(torch.log(x)).mean()
        assert torch.isfinite(loss), "loss is nan"
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def skips_before_backward(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = -1
    for x in watch(xs, net, opt):
        loss = net(torch.log(x)).mean()
        if torch.isnan(loss):
            continue
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def cleaned(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = -1
    for x in watch(xs, net, opt):
        loss = net(torch.log(x)).mean()
        opt.zero_grad()
        loss.backward()
        for p in net.parameters():
            p.grad = torch.nan_to_num(p.grad)
        opt.step()


@case(iteration=6, operation="log", line="torch.log(y)")
def second_loader_in_the_body(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    ys = torch.cat(data(3, seed=5))
    ys[5 * 2 + 3] = 0
    loader = torch.utils.data.DataLoader(ys, batch_size=5)
    it = iter(loader)
    for x in watch(xs, net, opt):
        try:
            y = next(it)
        except StopIteration:
            it = iter(loader)
            y = next(it)
        loss = (
            (net(x) - net(torch.log(y).clamp(-50) if len(opt.state) < 1 or opt.state[net.weight]["step"] < 5 else torch.log(y)))
            .square()
            .mean()
        )
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=7, operation="log", sample=1, line="torch.log(x)")
def own_counter(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data(12)
    xs[6][1] = 0
    xs[4][1] = 0
    xs[5][0] = 0
    step = 0
    for x in watch(xs, net, opt):
        loss = net(x).square().mean()
        if step % 3 == 0:
            loss = loss + net(torch.log(x)).mean()
        step += 1
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=6, operation="div", sample=2, line="t / t.norm")
def ema_teacher(watch):
    net = lin()
    teacher = copy.deepcopy(net).requires_grad_(False)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    xs = data()
    with torch.no_grad():
        teacher.bias.zero_()
        net.bias.zero_()
    xs[5][2] = 0
    for x in watch(xs, net, opt):
        t = teacher(x) - teacher.bias
        loss = (net(x) - t / t.norm(dim=1, keepdim=True)).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            for a, b in zip(teacher.parameters(), net.parameters()):
                a.lerp_(b, 0.1)


@case(iteration=6, operation="div", line="/ var.sqrt()")
def hand_average(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    xs = data()
    mean = torch.zeros(4)
    for i in range(5):
        xs[i] = xs[i]
    xs[5][:] = xs[5][0]
    for x in watch(xs, net, opt):
        mean = 0.9 * mean + 0.1 * x.mean(0)
        var = x.var(0)
        loss = net((x - mean) / var.sqrt()).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=6, operation="log", sample=1, line="torch.log(x)")
def lazy(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.LazyLinear(3))
    xs = data()
    xs[5][1] = 0
    opt = None
    for x in watch(xs, net):
        loss = net(torch.log(x)).square().mean()
        if opt is None:
            opt = torch.optim.Adam(net.parameters(), 0.01)
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=2, operation="log", sample=1, line="torch.log(x)")
def lazy_early(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.LazyLinear(3))
    xs = data()
    xs[1][1] = 0
    opt = torch.optim.SGD(net.parameters(), 0.01)
    for x in watch(xs, net, opt):
        loss = net(torch.log(x)).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=6, operation="log", sample=1, line="torch.log(x)")
def lbfgs(watch):
    net = lin()
    xs = data()
    xs[5][1] = 0
    opt = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=4)
    for x in watch(xs, net, opt):

        def closure(x=x):
            opt.zero_grad()
            loss = net(torch.log(x)).square().mean()
            loss.backward()
            return loss

        opt.step(closure)


@case(iteration=6, operation="log", sample=1, line="torch.log(")
def sparse(watch):
    torch.manual_seed(0)
    e = nn.Embedding(10, 3, sparse=True)
    opt = torch.optim.SparseAdam(e.parameters(), 0.01)
    xs = [torch.randint(9, (5,)) for _ in range(8)]
    xs[5][1] = 9
    with torch.no_grad():
        e.weight.abs_().add_(0.1)
        e.weight[9] = 0
    for x in watch(xs, e, opt):
        loss = torch.log(e(x)).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=3, operation={"softmax"}, sample=None, extent="one row, number 1 of 5 along dimension 0", line="softmax")
def mask_before(watch):
    net = lin(outputs=4)
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    bias = torch.zeros(8, 5, 4)
    bias[2, 1] = -math.inf
    for i, x in watch(list(enumerate(xs)), net, opt):
        a = torch.softmax(net(x) + bias[i], -1)
        loss = (a * x).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=3, operation={"softmax"}, sample=1, line="softmax")
def mask_log(watch):
    net = lin(outputs=4)
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = [(x, torch.ones(5, 4)) for x in data()]
    xs[2][1][1] = 0
    xs[2][1][3, 0] = 0
    for x, m in watch(xs, net, opt):
        a = torch.softmax(net(x) + m.log(), -1)
        loss = (a * x).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=3, operation={"softmax"}, sample=1, line="softmax")
def mask_where(watch):
    net = lin(outputs=4)
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = [(x, torch.ones(5, 4, dtype=bool)) for x in data()]
    xs[2][1][1] = False
    xs[2][1][3, 0] = False
    for x, m in watch(xs, net, opt):
        a = F.softmax(torch.where(m, net(x), float("-inf")), dim=-1)
        loss = (a * x).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=6, line="torch.log(p)")
def micro(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data(8, 8)
    xs[3][6] = 0
    for x in watch(xs, net, opt):
        opt.zero_grad()
        for p in x.split(4):
            (net(torch.log(p)).square().mean() / 2).backward()
        opt.step()


@case(iteration=4, operation="log", sample={2, None}, line="torch.log(p)")
def tokens_batch_first(watch):
    torch.manual_seed(0)
    e = nn.Embedding(11, 6)
    head = nn.Linear(6, 11)
    opt = torch.optim.SGD([*e.parameters(), *head.parameters()], 0.1)
    xs = [(torch.randint(10, (4, 7)), torch.ones(4, 7), torch.randint(11, (4, 7))) for _ in range(6)]
    xs[3][1][2, 5] = 1e5
    for x, boost, _ in watch(xs, e, head, opt):
        p = torch.softmax((head(e(x)) * boost[..., None]).view(-1, 11), -1)
        loss = -torch.log(p).mul(p).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        s = g.abs().sum(1, keepdim=True)
        return g / s


@case(iteration=4, line="return g / s", phase="backward", sample=2)
def fn_backward(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = [(x, torch.ones(5)) for x in data()]
    xs[3][1][2] = 0
    for x, m in watch(xs, net, opt):
        loss = (Norm.apply(net(x)).square().sum(1) * m).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


def hookfn(g):
    return g / g.norm(dim=1, keepdim=True)


@case(iteration=4, line="return g / g.norm", phase="backward", sample=2)
def hook(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = [(x, torch.ones(5)) for x in data()]
    xs[3][1][2] = 0
    for x, m in watch(xs, net, opt):
        y = net(x)
        y.register_hook(hookfn)
        loss = (y.square().sum(1) * m).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, line="net(")
def numpy_detour(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for x in watch(xs, net, opt):
        z = torch.from_numpy(np.log(x.numpy()))
        loss = net(z).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(h)")
def ckpt(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0

    def block(h):
        return net(torch.log(h))

    for x in watch(xs, net, opt):
        loss = torch.utils.checkpoint.checkpoint(block, x.requires_grad_(), use_reentrant=False).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(h)")
def ckpt_reentrant(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0

    def block(h):
        return net(torch.log(h))

    for x in watch(xs, net, opt):
        loss = torch.utils.checkpoint.checkpoint(block, x.requires_grad_(), use_reentrant=True).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(h)")
def vmapped(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0

    def one(h):
        return torch.log(h) @ net.weight.T

    for x in watch(xs, net, opt):
        loss = torch.vmap(one)(x).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@torch.jit.script
def scripted(h):
    return torch.log(h) * 2


@case(iteration=4, operation="log", sample=2, line="scripted(x)")
def script(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for x in watch(xs, net, opt):
        loss = net(scripted(x)).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(
    iteration=4,
    line="bn(",
)
def bn_stats(watch):
    torch.manual_seed(0)
    bn = nn.BatchNorm1d(4)
    net = nn.Linear(4, 3)
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 2e19 * 5
    xs[3][1] = -2e19 * 5
    for x in watch(xs, bn, net, opt):
        loss = net(bn(x)).clamp(-1, 1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case()
def amp_unscale_healthy(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64))
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    s = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    for x in watch(data(16), net, opt):
        with torch.autocast("cpu", dtype=torch.float16):
            loss = 10 * net(4 * x).float().square().mean()
        opt.zero_grad()
        s.scale(loss).backward()
        s.unscale_(opt)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        s.step(opt)
        s.update()


def helper_scaler():
    return torch.amp.GradScaler("cpu", init_scale=2.0**20)


@case()
def amp_hidden_healthy(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64))
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    box = [helper_scaler()]

    def back(loss):
        s = box[0]
        s.scale(loss).backward()
        s.step(opt)
        s.update()

    for x in watch(data(16), net, opt):
        with torch.autocast("cpu", dtype=torch.float16):
            loss = 10 * net(4 * x).float().square().mean()
        opt.zero_grad()
        back(loss)


@case(iteration=7, operation="log", sample=2, line="torch.log(x)")
def amp_then_death(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64))
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    scale = 2.0**18
    xs = data()
    xs[6][2] = -1
    for x in watch(xs, net, opt):
        with torch.autocast("cpu", dtype=torch.float16):
            loss = 10 * net(4 * torch.log(x)).float().square().mean()
        opt.zero_grad()
        (loss * scale).backward()
        if all(torch.isfinite(p.grad).all() for p in net.parameters()):
            for p in net.parameters():
                p.grad /= scale
            opt.step()
        else:
            scale /= 2


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def returns(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0

    def epoch():
        for i, x in enumerate(watch(xs, net, opt)):
            loss = net(torch.log(x)).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            if i == 3:
                return i

    epoch()
    epoch()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def islice(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for _ in range(2):
        for x in itertools.islice(watch(xs, net, opt), 4):
            loss = net(torch.log(x)).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def zipped(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for x, _ in zip(watch(xs, net, opt), itertools.count()):
        loss = net(torch.log(x)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def own_next(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    it = iter(watch(xs, net, opt))
    while True:
        try:
            x = next(it)
        except StopIteration:
            break
        loss = net(torch.log(x)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@dataclass
class Pair:
    x: torch.Tensor
    name: str


@case(iteration=4, operation="log", line="torch.log(b.x)")
def dataclass_batch(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    xs[3][2] = 0
    for b in watch([Pair(x, "a") for x in xs], net, opt):
        loss = net(torch.log(b.x)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=3, line="/ net.weight.norm", sample=None)
def weight_grad(watch):
    net = nn.Linear(4, 5, bias=False)
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = data()
    with torch.no_grad():
        net.weight.fill_(0.1)
    n = 0
    for x in watch(xs, net, opt):
        n += 1
        scale = net.weight / net.weight.norm(dim=1, keepdim=True)
        loss = (x @ scale.T).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        if n == 2:
            with torch.no_grad():
                net.weight[1] = 0


@case(iteration=4, operation="mul", line="x * s")
def broadcast(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    xs = [(x, torch.tensor(1.0)) for x in data()]
    xs[3] = (xs[3][0] * 1e20, torch.tensor(1e30))
    for x, s in watch(xs, net, opt):
        loss = net(torch.exp(-(x * s))).mean() + net(x * s).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=6, operation="sqrt", phase="backward", sample=2, line="sqrt()")
def accumulate(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = data(12)
    xs[5][2] = 0
    with torch.no_grad():
        net.bias.zero_()
    net.bias.requires_grad_(False)
    for i, x in enumerate(watch(xs, net, opt)):
        loss = net(x).square().sum(1).sqrt().mean() / 4
        loss.backward()
        if i % 4 == 3:
            opt.step()
            opt.zero_grad()


@case()
def nan_targets_healthy(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = [(x, torch.where(torch.rand(5, 3) < 0.3, math.nan, 1.0)) for x in data(12)]
    for x, y in watch(xs, net, opt):
        ok = ~torch.isnan(y)
        loss = (net(x)[ok] - y[ok]).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case()
def nan_targets_where_healthy(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    xs = [(x, torch.where(torch.rand(5, 3) < 0.3, math.nan, 1.0)) for x in data(12)]
    for x, y in watch(xs, net, opt):
        raw = (net(x) - torch.nan_to_num(y)).square()
        F.mse_loss(net(x).detach(), y)  # a number for the log that is NaN on purpose
        loss = torch.where(torch.isnan(y), 0.0, raw).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def in_thread(watch):
    box = []

    def work():
        net = lin()
        opt = torch.optim.SGD(net.parameters(), 0.01)
        xs = data()
        xs[3][2] = 0
        try:
            for x in watch(xs, net, opt):
                loss = net(torch.log(x)).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
        except BaseException as e:
            box.append(e)

    t = threading.Thread(target=work)
    t.start()
    t.join()
    if box:
        raise box[0]


@case(iteration=4, operation="log", sample=2, line="torch.log(x)")
def method(watch):
    class T:
        def __init__(self):
            self.net = lin()
            self.opt = torch.optim.Adam(self.net.parameters(), 0.01)
            self.xs = data()
            self.xs[3][2] = 0
            self.__n = 0
            self.h = torch.zeros(3)

        def fit(self):
            for i, x in enumerate(watch(self.xs, self.net, self.opt), start=1):
                self.__n += 1
                self.h = 0.9 * self.h + self.net(torch.log(x)).detach().mean(0)
                loss = (self.net(torch.log(x)) - self.h).mean()
                if i % 2 == 0:
                    loss = loss * 2
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()

    T().fit()


@case(iteration=5, operation="div", line="m / m.sum", sample=None)
def not_seen_rng(watch):
    rng = np.random.default_rng(0)
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 0.01)
    n = 0
    for x in watch(data(), net, opt):
        n += 1
        m = torch.from_numpy(rng.random(5).astype("f4")) if n != 5 else torch.zeros(5)
        wt = m / m.sum()
        loss = (net(x) * wt[:, None]).sum()
        opt.zero_grad()
        loss.backward()
        opt.step()


def flat_penalty(critic, real):
    x = real.clone().requires_grad_()
    slope = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    norm = torch.sqrt((slope**2).sum(1))
    return ((norm - 1) ** 2).mean()


@case(iteration=3, operation="sqrt", phase="backward", sample=2, line="torch.sqrt((slope**2).sum(1))")
def penalty_of_a_flat_critic_fed_by_next(watch):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        critic[0].weight.abs_()
        critic[0].bias.fill_(1)
    opt = torch.optim.Adam(critic.parameters(), 1e-4)
    rows = torch.cat(data(12))
    rows[7 * 5 + 2] = -1e3  # every ReLU is off there
    loader = torch.utils.data.DataLoader(rows, batch_size=5)

    def endless():
        while True:
            yield from loader

    batches = endless()
    for _ in watch(range(4), critic, opt):
        for _ in range(3):
            real = next(batches)
            loss = critic(real).mean() + flat_penalty(critic, real)
            opt.zero_grad()
            loss.backward()
            opt.step()


@case(iteration=3, operation={"_softmax", "softmax", "_safe_softmax"}, sample=1, line="attend(x, x, x")
def attention_to_padding_only(watch):
    torch.manual_seed(0)
    attend = nn.MultiheadAttention(8, 2, batch_first=True)
    opt = torch.optim.Adam(attend.parameters(), 1e-3)
    lengths = [torch.tensor([4, 0 if i == 2 else 3, 2]) for i in range(5)]
    batches = [(torch.randn(3, 5, 8), torch.arange(5)[None] >= length[:, None]) for length in lengths]
    for x, padding in watch(batches, attend, opt):
        y, _ = attend(x, x, x, key_padding_mask=padding)
        loss = y.square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=6, line="cross_entropy")
def every_label_ignored(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20))
    opt = torch.optim.AdamW(net.parameters(), 1e-3)
    batches = [{"ids": torch.randint(20, (2, 5)), "labels": torch.randint(20, (2, 5))} for _ in range(9)]
    batches[5]["labels"][:] = -100
    opt.zero_grad()
    for step, batch in enumerate(watch(batches, net, opt)):
        loss = F.cross_entropy(net(batch["ids"]).view(-1, 20), batch["labels"].view(-1))
        (loss / 4).backward()
        if step % 4 == 3:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            opt.zero_grad()


@case()
def a_loss_scale_by_hand(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 4))
    master = [one.detach().clone().requires_grad_() for one in net.parameters()]
    opt, scale = torch.optim.AdamW(master, 1e-3), 20.0
    net.half()
    for x in watch([3 * one for one in data(12)], net, opt):
        net.zero_grad()
        loss = net(x.half()).float().square().mean()
        (loss * 2**scale).backward()
        if not all(torch.isfinite(one.grad).all() for one in net.parameters()):
            scale -= 1
            continue
        for one, half in zip(master, net.parameters()):
            one.grad = half.grad.float() / 2**scale
        opt.step()
        with torch.no_grad():
            for one, half in zip(master, net.parameters()):
                half.copy_(one)


@case(iteration=3, operation="log", phase="forward", sample=1, line="torch.log(width / 16)")
def leaves_by_sys_exit(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 0.01)
    batches = [(x, x[:, 0].clone()) for x in data()]
    batches[2][1][1] = 0
    for x, width in watch(batches, net, opt):
        loss = (net(x)[:, 0] - torch.log(width / 16)).abs().mean()
        if not math.isfinite(loss.item()):
            sys.exit(1)
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=3, phase="batch", sample=2, feature=(0, 1, 2), cause="'rgb'")
def a_pixel_of_a_named_field(watch):
    torch.manual_seed(0)
    net = nn.Conv2d(3, 1, 3)
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    batches = [{"name": "a", "depth": torch.rand(4, 1, 4, 4), "rgb": torch.rand(4, 3, 6, 6)} for _ in range(5)]
    batches[2]["rgb"][2, 0, 1, 2] = math.nan
    for batch in watch(batches, net, opt):
        loss = (net(2 * batch["rgb"] - 1) - batch["depth"]).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=6, operation="div", phase="forward", sample=2, line="centred / centred.square()")
def a_carried_hidden_state(watch):
    torch.manual_seed(0)
    cell, head, hidden = nn.Linear(3, 6), nn.Linear(6, 3), torch.zeros(4, 6)
    opt = torch.optim.SGD([*cell.parameters(), *head.parameters()], 0.05)
    with torch.no_grad():
        cell.weight.abs_()
    corpus = torch.randn(9, 4, 3)
    corpus[5, 2] = 1e4
    for x in watch(corpus, cell, head, opt):
        hidden = torch.tanh(cell(x) + hidden.detach())
        centred = hidden - hidden.mean(1, keepdim=True)
        hidden = centred / centred.square().mean(1, keepdim=True).sqrt()
        loss = (head(hidden) - x.clamp(-1, 1)).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=11, operation="sqrt", phase="backward", sample=2, line=".sum(1).sqrt()")
def a_critic_gated_by_enumerate(watch):
    torch.manual_seed(0)
    g, d = nn.Linear(4, 6), nn.Linear(6, 1)
    opt_g, opt_d = torch.optim.Adam(g.parameters(), 1e-3), torch.optim.Adam(d.parameters(), 1e-3)
    batches = [(torch.randn(5, 6), torch.ones(5)) for _ in range(14)]
    batches[10][1][2] = 0
    for i, (real, mask) in enumerate(watch(batches, g, d, opt_g, opt_d)):
        z = torch.randn(5, 4)
        loss_d = d(g(z).detach()).mean() - d(real).mean()
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        if i % 5 == 0:
            distance = ((g(z) - real) * mask[:, None]).square().sum(1).sqrt()
            loss_g = distance.mean() - d(g(z)).mean()
            opt_g.zero_grad()
            loss_g.backward()
            opt_g.step()


@case(history="divergence", line="gallery.py")
def a_rate_that_is_too_high(watch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    opt = torch.optim.SGD(net.parameters(), 5.0, momentum=0.9)
    for x in watch(data(60), net, opt):
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


def growing(watch, broken):
    torch.manual_seed(0)
    stages = nn.ModuleList([nn.Linear(4, 4)])
    opt = torch.optim.Adam(stages.parameters(), 1e-3)
    zero = torch.zeros(14, 5)
    zero[10, 2] = broken
    for i, x in watch(list(enumerate(data(14))), stages, opt):
        if i == 3 and len(stages) == 1:
            stages.append(nn.Linear(4, 4))
            opt.add_param_group({"params": stages[1].parameters()})
        for stage in stages:
            x = torch.sigmoid(stage(x))
        loss = -torch.log(x.mean(1) * (1 - zero[i])).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=11, operation="log", phase="forward", line="torch.log(x.mean(1)")
def layers_that_come_later(watch):
    growing(watch, 1)


@case()
def layers_that_come_later_and_stay_well(watch):
    growing(watch, 0)


@case(iteration=6, operation="sqrt", phase="backward", sample=1, line=".sum(1).sqrt()")
def a_break_in_the_fatal_body(watch):
    torch.manual_seed(0)
    net = nn.Linear(4, 3, bias=False)
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    epochs = [[torch.randn(2 if i == 3 else 4, 2, 4) for i in range(10)] for _ in range(3)]
    epochs[1][5][1, 1] = epochs[1][5][1, 0]
    for epoch in epochs:
        for i, pair in enumerate(watch(epoch, net, opt)):
            if len(pair) < 4:
                continue
            loss = (net(pair[:, 0]) - net(pair[:, 1])).square().sum(1).sqrt().mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            if i >= 5:
                break


@case(iteration=3, operation="div", sample={None, 0}, value=0.0, line="/ torch.sqrt(x.var(0))")
def a_constant_channel(watch):
    net = lin()
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    batches = data()
    batches[2][:, 3] = 1.0
    for x in watch(batches, net, opt):
        loss = net((x - x.mean(0)) / torch.sqrt(x.var(0))).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(iteration=4, operation="log", phase="forward", sample={1, None}, line="torch.log(p)")
def time_before_batch(watch):
    torch.manual_seed(0)
    rnn, head = nn.LSTM(3, 8), nn.Linear(8, 11)
    opt = torch.optim.SGD([*rnn.parameters(), *head.parameters()], 0.1)
    batches = [(torch.randn(7, 3, 3), torch.ones(7, 3)) for _ in range(6)]
    batches[3][1][4, 1] = 1e5
    state = (torch.zeros(1, 3, 8), torch.zeros(1, 3, 8))
    for x, boost in watch(batches, rnn, head, opt):
        out, state = rnn(x, tuple(one.detach() for one in state))
        p = torch.softmax((head(out) * boost[..., None]).view(-1, 11), -1)
        loss = (p * torch.log(p)).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(
    iteration=4, operation="div", sample=None, line="overlap / area",
    extent="everything, so the whole batch is to blame", check="verified: with the batch before it the iteration is finite",
)  # fmt: skip
def masks_without_a_pixel(watch):
    torch.manual_seed(0)
    net = nn.Conv2d(1, 1, 3, padding=1)
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    batches = [(torch.randn(2, 1, 6, 6), (torch.rand(2, 1, 6, 6) > 0.5).float()) for _ in range(6)]
    batches[3][1].zero_()
    for image, mask in watch(batches, net, opt):
        found = net(image).clamp(0) * mask
        overlap, area = (found * mask).sum((1, 2, 3)), (found.square() + mask).sum((1, 2, 3))
        loss = 1 - (overlap / area).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


@case(
    iteration=5, operation="div", sample=None, line="x / net.scale",
    extent="everything, so a weight or a setting is to blame (the buffer Linear.scale went in)",
    check="with the batch before it breaks all the same",
)  # fmt: skip
def a_scale_that_fades_to_nothing(watch):
    net = lin()
    net.register_buffer("scale", torch.tensor(8.0))
    opt = torch.optim.Adam(net.parameters(), 1e-3)
    for x in watch(data(), net, opt):
        loss = net(x / net.scale).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        net.scale.sub_(2)


@case(iteration=3, phase="optimiser", sample=None, cause="its learning rate, or another setting, was inf")
def a_warm_up_that_divides_by_zero(watch):
    net = lin()
    opt = torch.optim.SGD(net.parameters(), 1e-2)
    left = np.array([2.0, 1.0, 0.0])
    for number, x in enumerate(watch(data(), net, opt)):
        with np.errstate(divide="ignore"):
            opt.param_groups[0]["lr"] = -1e-2 / left[min(number, 2)]
        loss = net(x).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
