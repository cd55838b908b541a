"""Where float arithmetic ends, and the chance that the next batch goes there."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from utils.hazard import cliffs, hazard, normal_weight, summed_hazard, tail_hazard
from utils.training import GAN, Recipe, train

TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_the_loss_is_finite_on_the_cliff_and_not_one_number_beyond(dtype, flush):
    smallest = torch.finfo(dtype).smallest_normal if flush else 0
    lowest, highest = (torch.full((64,), edge, dtype=dtype) for edge in cliffs(dtype, flush))
    far = torch.full((64,), math.inf, dtype=dtype)
    assert (1 - torch.sigmoid(highest) > 0).all() and (torch.sigmoid(lowest) >= smallest).all()
    assert not torch.log(1 - torch.sigmoid(torch.nextafter(highest.float(), far.float()).to(dtype) if dtype in TYPES[2:3]
                                           else highest * (1 + torch.finfo(dtype).eps))).isfinite().any()  # fmt: skip
    assert (torch.sigmoid(lowest * (1 + 2 * torch.finfo(dtype).eps)) <= smallest).all()


@pytest.mark.parametrize("dtype, bits", list(zip(TYPES, (11 + 1, 8 + 1, 24, 53))))
def test_the_cliff_is_the_last_number_below_bits_times_ln_2(dtype, bits):
    # torch forms 1/(1+exp(-x)): the sum rounds to 1 once exp(-x) is half of the gap above 1, 2**-24 for float32. Half precision
    # is computed in float32 and rounded once, so there half of the gap below 1 counts, which is one bit more.
    edge = torch.tensor(cliffs(dtype)[1], dtype=dtype)
    beyond = torch.nextafter(edge, torch.tensor(math.inf, dtype=dtype)).item()
    assert edge.item() <= bits * math.log(2) + 1e-6 and beyond > bits * math.log(2) - 0.003


def test_a_correctly_rounded_sigmoid_has_another_cliff():
    x = torch.linspace(16, 18, 20_001, dtype=torch.float64)
    once = torch.sigmoid(x).float()  # computed in float64 and rounded once
    assert x[once < 1].max().item() == pytest.approx(25 * math.log(2), abs=2e-4)


def test_cliffs_refuses_what_is_no_floating_point_type():
    with pytest.raises(TypeError, match="int64"):
        cliffs(torch.int64)


def test_the_weight_of_an_interval_is_that_of_the_normal_distribution():
    z = np.linspace(-8, 8, 321)
    inside = normal_weight(z, 1.23 - np.abs(z))
    assert inside == pytest.approx(math.erf(1.23 / math.sqrt(2)), abs=1e-9)


def line(slope, batch=64, latent=1, prior="normal", grain=False):
    """A GAN whose logit is slope times z."""
    sample = lambda z: (z, slope * z[:, 0])  # noqa: E731
    return SimpleNamespace(recipe=SimpleNamespace(latent=latent, batch=batch, prior=prior, grain=grain), sample=sample)


def test_the_hazard_of_a_straight_line_is_known():
    beyond = 0.5 * math.erfc(3.217 / math.sqrt(2))
    chance = hazard(line(1.0), cliff=(-50.0, 3.217))
    assert chance == pytest.approx(1 - (1 - beyond) ** 64, rel=1e-4)
    assert hazard(line(-1.0), cliff=(-50.0, 3.217)) == pytest.approx(chance)
    assert hazard(line(1.0), cliff=(-3.217, 50.0)) == pytest.approx(chance)
    assert hazard(line(0.0)) == 0.0
    assert math.isnan(hazard(line(math.nan)))


def test_the_hazard_needs_a_latent_of_one_normal_number():
    with pytest.raises(ValueError, match="latent"):
        hazard(line(1.0, latent=2))
    with pytest.raises(ValueError, match="this prior is .uniform."):
        hazard(line(1.0, prior="uniform"))
    with pytest.raises(ValueError, match="this latent is as wide as its noise"):
        hazard(line(1.0, grain=True))


def test_the_hazard_agrees_with_drawing_many_batches():
    gan = GAN(Recipe(lr=1e-3), seed=0)
    for _ in range(6):
        gan.step()
    state = gan.random.get_state()
    chance = hazard(gan)
    assert torch.equal(state, gan.random.get_state())
    random, fatal = torch.Generator().manual_seed(1), 0
    for _ in range(4000):
        logits = gan.sample(torch.randn(64, 1, generator=random))[1]
        fatal += bool(((logits < cliffs()[0]) | (logits > cliffs()[1])).any())
    error = math.sqrt(chance * (1 - chance) / 4000)
    assert fatal > 0 and abs(fatal / 4000 - chance) < 4 * error


def test_watching_changes_nothing_and_survives_a_checkpoint_and_a_file(tmp_path):
    recipe, watch = Recipe(lr=1e-4), {"hazard": hazard, "iteration_seen": lambda gan: gan.iteration}
    alone = train(recipe, 60, progress=False)
    watched = train(recipe, 60, watch=watch, progress=False)
    for name, values in alone.values.items():
        assert np.array_equal(values, watched.values[name])
    assert watched.watched["iteration"].tolist() == list(range(1, 61, 4))
    assert watched.watched["iteration_seen"].tolist() == list(range(0, 60, 4))
    asked = iter(range(1000))
    train(recipe, 60, watch=watch, progress=False, checkpoint=tmp_path / "c", stop=lambda: next(asked) >= 29)
    path = tmp_path / "run.npz"
    train(recipe, 60, watch=watch, progress=False, checkpoint=tmp_path / "c").thin().save(path)
    again = type(watched).load(path)
    for name, values in watched.watched.items():
        assert np.array_equal(values, again.watched[name])


def test_the_sum_counts_each_look_for_the_iterations_until_the_next():
    trace = train(Recipe(lr=1e-4), 10, watch={"hazard": lambda gan: 1.0}, progress=False)
    iteration, total = summed_hazard(trace)
    assert iteration.tolist() == [4, 8, 10] and total.tolist() == [4, 8, 10]
    with pytest.raises(ValueError, match="hazard"):
        summed_hazard(train(Recipe(lr=1e-4), 3, progress=False))


def test_the_tail_of_known_draws_is_forecast():
    maxima = np.random.default_rng(0).exponential(size=5000)
    truth = 1 - (1 - math.exp(-8)) ** 1000  # the chance that one of 1,000 exponential draws passes 8
    assert tail_hazard(maxima, 8.0) == pytest.approx(truth, abs=0.15)
    assert tail_hazard(maxima, 25.0) < 0.01 and tail_hazard(maxima, 2.0) > 0.99
    with pytest.raises(ValueError, match="200"):
        tail_hazard([1.0, math.nan], 8.0)


MAXIMA = np.random.default_rng(1).normal(size=400)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: cliffs("float32"), "dtype must be a floating-point torch.dtype, not 'float32'"),
        (lambda: cliffs([]), r"dtype must be a floating-point torch.dtype, not \[\]"),
        (lambda: cliffs(torch.float32, "no"), "flush must be True or False, not 'no'"),
        (lambda: hazard(Recipe()), r"the hazard is that of a GAN, not of Recipe\("),
        (lambda: hazard(line(1.0), reach=-8), "reach must be above 0 and at most 40, not -8"),
        (lambda: hazard(line(1.0), reach=math.nan), "reach must be above 0 and at most 40, not nan"),
        (lambda: hazard(line(1.0), points=0), "points must be at least 2, not 0"),
        (lambda: hazard(line(1.0), points=2.5), "points must be a whole number, not 2.5"),
        (lambda: hazard(line(1.0), cliff=(math.nan, math.nan)), r"cliff\[0\] must be a finite number, not nan"),
        (lambda: hazard(line(1.0), cliff=(5.0, -5.0)), r"cliff\[1\] must be a finite number above 5.0, not -5.0"),
        (lambda: hazard(line(1.0), cliff=16.6), r"cliff must be two logits, \(lowest, highest\), not 16.6"),
        (lambda: hazard(line(1.0), cliff=()), r"cliff must be two logits, \(lowest, highest\), not \(\)"),
        (lambda: tail_hazard(np.zeros((20, 20)), 8.0), r"maxima must have the shape \(any\), not \(20, 20\)"),
        (lambda: tail_hazard(MAXIMA, math.nan), "cliff must be a finite number, not nan"),
        (lambda: tail_hazard(MAXIMA, 8.0, ahead=-5), "ahead must be at least 1, not -5"),
        (lambda: tail_hazard(MAXIMA, 8.0, share=1.5), "share must be above 0 and below 1, not 1.5"),
        (lambda: tail_hazard(MAXIMA, 8.0, share=0.01), "a tail needs at least 10 numbers above its threshold, not 4"),
        (lambda: tail_hazard(np.ones(400), 8.0), "a tail needs at least 10 numbers above its threshold, not 0"),
        (lambda: summed_hazard("a trace"), "trace must be a Trace, not 'a trace'"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
