"""The losses against their closed form and against torch's own, the penalties against finite differences."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from utils.losses import CLAMP, EPSILON, LOSSES, bce, clamp, epsilon, logits, matlab, slope, smoothed, wgan_gp, zero_centred
from utils.networks import Discriminator

FAR = 1e4  # a logit beyond all cliffs


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log1p(math.exp(x))


# {loss: (D's cost of a real logit r, D's cost of a generated logit f, G's cost of f)}, one sample each
CLOSED = {
    "matlab": (lambda r: softplus(-r), softplus, lambda f: softplus(-f)),
    "logits": (lambda r: softplus(-r), softplus, lambda f: softplus(-f)),
    "bce": (lambda r: softplus(-r), softplus, lambda f: softplus(-f)),
    "epsilon": (
        lambda r: -math.log(sigmoid(r) + EPSILON),
        lambda f: -math.log(1 - sigmoid(f) + EPSILON),
        lambda f: -math.log(sigmoid(f) + EPSILON),
    ),
    "clamp": (
        lambda r: -math.log(min(max(sigmoid(r), CLAMP), 1 - CLAMP)),
        lambda f: -math.log(1 - min(max(sigmoid(f), CLAMP), 1 - CLAMP)),
        lambda f: -math.log(min(max(sigmoid(f), CLAMP), 1 - CLAMP)),
    ),
    "lsgan": (lambda r: (r - 1) ** 2 / 2, lambda f: f**2 / 2, lambda f: (f - 1) ** 2 / 2),
    "hinge": (lambda r: max(0, 1 - r), lambda f: max(0, 1 + f), lambda f: -f),
    "wgan": (lambda r: -r, lambda f: f, lambda f: -f),
}
REAL = [-12.0, -1.5, -0.3, 0.0, 0.7, 2.0, 9.0]
FAKE = [0.4, -7.0, 3.0, 0.9, -0.2, 15.0, -20.0]


def doubles(*lists):
    return tuple(torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in lists)


def mean(cost, *values):
    return sum(map(cost, *values)) / len(values[0])


def relativistic_by_hand(real, fake, flipped):
    loss_d = mean(lambda r, f, wrong: softplus(r - f if wrong else f - r), real, fake, flipped)
    return loss_d, mean(lambda r, f: softplus(r - f), real, fake)


def by_hand(name, real, fake, flipped=None):
    """(loss_d, loss_g) from the formulas: a flipped real sample costs what a generated one of its logit costs."""
    flipped = flipped or [False] * len(real)
    if name == "relativistic":
        return relativistic_by_hand(real, fake, flipped)
    as_real, as_fake, for_g = CLOSED[name]
    loss_d = mean(lambda r, wrong: as_fake(r) if wrong else as_real(r), real, flipped) + mean(as_fake, fake)
    return loss_d, mean(for_g, fake)


def test_every_loss_has_its_closed_form_here():
    assert set(LOSSES) == {*CLOSED, "relativistic"}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_closed_form(name):
    ours = LOSSES[name](*doubles(REAL, FAKE))
    assert [loss.item() for loss in ours] == pytest.approx(by_hand(name, REAL, FAKE), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_the_closed_form(name):
    real, fake = doubles(REAL, FAKE)
    for which, loss in enumerate(LOSSES[name](real, fake)):
        gradients = torch.autograd.grad(loss, (real, fake), retain_graph=True, materialize_grads=True)
        for side, gradient in enumerate(gradients):
            for sample in range(len(REAL)):
                moved = [[list(REAL), list(FAKE)] for _ in range(2)]
                moved[0][side][sample] += 1e-4
                moved[1][side][sample] -= 1e-4
                slope_ = (by_hand(name, *moved[0])[which] - by_hand(name, *moved[1])[which]) / 2e-4
                assert gradient[sample].item() == pytest.approx(slope_, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_flipped_sample_is_told_to_d_as_generated_and_g_does_not_notice(name):
    flipped = [True, False, True, False, False, True, False]
    ours = LOSSES[name](*doubles(REAL, FAKE), torch.tensor(flipped))
    assert [loss.item() for loss in ours] == pytest.approx(by_hand(name, REAL, FAKE, flipped), rel=1e-9)
    assert ours[1].item() == LOSSES[name](*doubles(REAL, FAKE))[1].item()


@pytest.mark.parametrize("name", LOSSES)
def test_smoothing_is_the_mean_of_both_labels(name):
    everything = [True] * len(REAL)
    right, wrong = by_hand(name, REAL, FAKE), by_hand(name, REAL, FAKE, everything)
    loss_d, loss_g = smoothed(LOSSES[name], *doubles(REAL, FAKE), 0.1)
    assert loss_d.item() == pytest.approx(0.9 * right[0] + 0.1 * wrong[0], rel=1e-9)
    assert loss_g.item() == pytest.approx(right[1], rel=1e-9)


def test_a_smoothed_label_is_the_soft_label_of_torch_and_a_flipped_one_its_mirror():
    real, fake = doubles(REAL, FAKE)
    flipped = torch.tensor([False, True] * 3 + [False])
    for mark, labels in ((None, torch.full((7,), 0.8)), (flipped, torch.where(flipped, 0.2, 0.8))):
        loss_d, _ = smoothed(logits, real, fake, 0.2, mark)
        told = binary_cross_entropy_with_logits(real, labels.double())
        assert loss_d.item() == pytest.approx((told + torch.nn.functional.softplus(fake).mean()).item(), rel=1e-7)


CROSS_ENTROPIES = ("matlab", "logits", "bce", "epsilon", "clamp")


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_an_ideal_game_costs_two_log_two_and_log_two(name):
    loss_d, loss_g = LOSSES[name](torch.zeros(8), torch.zeros(8))
    assert loss_d.item() == pytest.approx(2 * math.log(2))
    assert loss_g.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("ours", [logits, bce])
@pytest.mark.parametrize("scale", [1.0, 30.0, FAR])
def test_torch_has_the_same_in_value_and_gradient(ours, scale):
    real = (scale * torch.linspace(-1, 1, 9)).requires_grad_()
    fake = (scale * torch.linspace(1, -0.5, 9)).requires_grad_()
    ones, zeros = torch.ones(9), torch.zeros(9)

    def theirs(x, labels):
        return binary_cross_entropy_with_logits(x, labels) if ours is logits else binary_cross_entropy(x.sigmoid(), labels)

    torchs = (theirs(real, ones) + theirs(fake, zeros), theirs(fake, ones))
    for mine, his in zip(ours(real, fake), torchs):
        assert torch.allclose(mine, his)
        gradients = (torch.autograd.grad(x, (real, fake), retain_graph=True, materialize_grads=True) for x in (mine, his))
        for one, other in zip(*gradients):
            assert torch.allclose(one, other, atol=1e-7)


# ---- at the ends of the line

LARGEST = -math.log(1 - float(torch.tensor(1 - CLAMP)))  # what clamp's rounded 1 - 1e-7 leaves of log(1 - D)


def far(name, real, fake):
    """(loss_d, loss_g, gradient of loss_d by the real and the generated logit, gradient of loss_g by the generated one)."""
    real, fake = (torch.full((4,), x, requires_grad=True) for x in (real, fake))
    loss_d, loss_g = LOSSES[name](real, fake)
    by_d = torch.autograd.grad(loss_d, (real, fake), retain_graph=True)
    (by_g,) = torch.autograd.grad(loss_g, fake)
    return [loss_d.item(), loss_g.item(), *((4 * gradient[0]).item() for gradient in (*by_d, by_g))]


@pytest.mark.parametrize(
    "name, d_fooled, d_right",
    [  # D gives real samples -1e4 and generated ones 1e4, and the other way round
        ("matlab", (math.inf, 0, math.nan, math.nan, 0), (0, math.inf, 0, 0, math.nan)),
        ("logits", (2e4, 0, -1, 1, 0), (0, 1e4, 0, 0, -1)),
        ("bce", (200, 0, 0, 0, 0), (0, 100, 0, 0, 0)),
        ("epsilon", (-2 * math.log(1e-8), 0, 0, 0, 0), (0, -math.log(1e-8), 0, 0, 0)),
        ("clamp", (LARGEST - math.log(1e-7), 0, 0, 0, 0), (0, -math.log(1e-7), 0, 0, 0)),
        ("lsgan", (1e8 + 1e4, 5e7 - 1e4, -1e4, 1e4, 1e4), (1e8 - 1e4, 5e7 + 1e4, 1e4, -1e4, -1e4)),
        ("hinge", (2e4 + 2, -1e4, -1, 1, -1), (0, 1e4, 0, 0, -1)),
        ("wgan", (2e4, -1e4, -1, 1, -1), (-2e4, 1e4, -1, 1, -1)),
        ("relativistic", (2e4, 0, -1, 1, 0), (0, 2e4, 0, 0, -1)),
    ],
)
def test_far_out_each_loss_is_loud_silent_or_alive(name, d_fooled, d_right):
    assert far(name, -FAR, FAR) == pytest.approx(d_fooled, rel=1e-4, abs=1e-6, nan_ok=True)
    assert far(name, FAR, -FAR) == pytest.approx(d_right, rel=1e-4, abs=1e-6, nan_ok=True)


def test_a_mask_freezes_the_loss_and_leaves_exactly_no_gradient():
    for loss, frozen in ((bce, 100.0), (epsilon, -math.log(1e-8)), (clamp, LARGEST)):
        fake = torch.full((64,), 17.5, requires_grad=True)  # just beyond the cliff
        loss_d, _ = loss(torch.full((64,), 50.0), fake)
        assert loss_d.item() == pytest.approx(frozen, rel=1e-6)
        assert not torch.autograd.grad(loss_d, fake)[0].any()
    assert bce(torch.full((64,), 50.0), torch.full((64,), 17.5))[0].item() == 100.0


def test_one_generated_sample_above_the_cliff_makes_ds_loss_infinite_and_leaves_gs_finite():
    fake = torch.zeros(64)
    fake[17] = 17.0
    loss_d, loss_g = matlab(torch.zeros(64), fake)
    assert math.isinf(loss_d.item())
    assert math.isfinite(loss_g.item())
    for name in set(LOSSES) - {"matlab"}:
        assert all(math.isfinite(loss.item()) for loss in LOSSES[name](torch.zeros(64), fake)), name


# ---- penalties


def discriminator(**options):
    """A small one in double precision, with a generator of random numbers."""
    random = torch.Generator().manual_seed(1)
    return Discriminator(5, 16, random, depth=2, **options).double(), random


def by_differences(function, x, step=1e-6):
    """The gradient of a scalar function at x by central differences."""
    gradient = torch.zeros_like(x)
    with torch.no_grad():
        for i in range(x.numel()):
            old = x.view(-1)[i].item()
            values = []
            for sign in (1, -1):
                x.view(-1)[i] = old + sign * step
                values.append(float(function()))
            x.view(-1)[i] = old
            gradient.view(-1)[i] = (values[0] - values[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("unit", [1.0, 20.0])
def test_the_slope_and_its_penalty_are_those_of_finite_differences(unit):
    d, random = discriminator(unit=unit)
    x = unit * torch.randn(6, 5, generator=random).double()
    expected = torch.stack([by_differences(lambda one=one: d(one[None]), one, unit * 1e-6) for one in x.clone()]) * unit
    x.requires_grad_()
    assert torch.allclose(slope(d(x), x, unit), expected, atol=1e-7)
    assert zero_centred(slope(d(x), x, unit)).item() == pytest.approx((expected**2).sum(1).mean().item() / 2, rel=1e-6)


def test_the_penalty_of_a_linear_d_is_its_squared_slope_in_the_units_d_reads():
    d = torch.nn.Linear(3, 1)
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    square = d.weight.square().sum().item()
    assert zero_centred(slope(d(x).squeeze(1), x)).item() == pytest.approx(square / 2)
    assert zero_centred(slope(d(x).squeeze(1), x, 20.0)).item() == pytest.approx(400 * square / 2)
    gp = wgan_gp(lambda x: d(x).squeeze(1), x, -x, torch.Generator().manual_seed(0), 20.0)
    assert gp.item() == pytest.approx((20 * math.sqrt(square) - 1) ** 2, rel=1e-5)


@pytest.mark.parametrize("name", ["r1", "wgan-gp", "wgan-gp unsafe"])
def test_the_gradient_of_a_penalty_by_ds_weights_is_that_of_finite_differences(name):
    d, random = discriminator()
    real, fake = torch.randn(2, 6, 5, generator=random).double()
    weights = tuple(d.parameters())

    def penalty():
        with torch.enable_grad():
            if name == "r1":
                x = real.clone().requires_grad_()
                return zero_centred(slope(d(x), x))
            return wgan_gp(d, real, fake, torch.Generator().manual_seed(7), safe=name == "wgan-gp")

    gradients = torch.autograd.grad(penalty(), weights, materialize_grads=True)
    for gradient, weight in zip(gradients, weights):
        assert torch.allclose(gradient, by_differences(penalty, weight), atol=1e-7)
    assert sum(gradient.abs().sum() for gradient in gradients) > 0.01


def test_the_points_of_wgan_gp_lie_between_real_and_generated_and_carry_no_gradient_to_g():
    seen = []
    real, fake = torch.zeros(50, 2), torch.ones(50, 2).requires_grad_()
    weight = torch.ones(2, requires_grad=True)
    wgan_gp(lambda x: (seen.append(x), x @ weight)[1], real, fake, torch.Generator().manual_seed(0)).backward()
    assert ((seen[0] >= 0) & (seen[0] <= 1)).all() and torch.equal(seen[0][:, 0], seen[0][:, 1])
    assert 0.3 < seen[0].mean() < 0.7 and fake.grad is None and weight.grad is not None


def test_at_a_flat_d_the_unsafe_norm_gives_nan_and_the_safe_one_does_not():
    d, random = discriminator()
    with torch.no_grad():
        d.layers[-1].weight.zero_()
    real, fake = torch.randn(2, 6, 5, generator=random).double()
    for safe in (True, False):
        penalty = wgan_gp(d, real, fake, random, safe=safe)
        assert penalty.item() == 1.0
        gradients = torch.autograd.grad(penalty, tuple(d.parameters()), materialize_grads=True)
        assert all(gradient.isfinite().all() for gradient in gradients) == safe


# ---- wrong arguments


@pytest.mark.parametrize("name", LOSSES)
def test_what_are_no_logits_is_refused_in_one_sentence(name):
    good = torch.zeros(4)
    for wrong, sentence in (
        (([0.0], good), r"real_logits must be a tensor of one or more floating point numbers, not \[0.0\]"),
        ((good, None), "fake_logits must be a tensor of one or more floating point numbers, not None"),
        ((good, torch.zeros(4, dtype=torch.int64)), "fake_logits must be a tensor of one or more floating point numbers"),
        ((torch.zeros(0), good), "real_logits must be a tensor of one or more floating point numbers"),
        ((good, good, [True] * 4), "flipped must be a tensor of bool, one for each real logit, not"),
        ((good, good, torch.ones(3, dtype=torch.bool)), "flipped must be a tensor of bool, one for each real logit, not"),
    ):
        with pytest.raises(TypeError, match=sentence):
            LOSSES[name](*wrong)


def test_the_arguments_of_pairs_penalties_and_smoothing_are_checked():
    good, random = torch.zeros(4, 2), torch.Generator().manual_seed(0)
    for call, sentence in (
        (lambda: LOSSES["relativistic"](good[:, 0], good[0]), "fake_logits must be as many as real_logits, 4, not 2"),
        (lambda: smoothed(logits, good[0], good[0], 1.5), "smoothing must be at least 0 and below 1, not 1.5"),
        (lambda: slope(torch.zeros(4), good), "samples must require a gradient before D judges them"),
        (lambda: zero_centred(torch.zeros(4)), r"slopes must have the shape \(any, any\), not \(4,\)"),
        (lambda: wgan_gp(torch.nn.Linear(2, 1), good, good[:3], random), r"fake must have the shape \(4, 2\), not \(3, 2\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()
