"""The games of papers: what each of them changes, number by number. That they resume, test_remedies.py says of all remedies."""

import numpy as np
import pytest
import torch

from utils.games import EVERY
from utils.recipe import Recipe
from utils.remedies import remedied
from utils.training import GAN

SMALL = {"hidden_g": 16, "hidden_d": 16, "loss": "logits", "lr": 1e-3, "normalise": True, "data": "digits"}


def weights(gan):
    return [weight.detach().clone() for weight in gan.weights_g + gan.weights_d]


def test_a_lazy_penalty_counts_sixteen_times_every_sixteenth_iteration():
    recipe = {**SMALL, "penalty": "r1", "gamma": 0.5}
    lazy, strong = remedied(GAN(Recipe(**recipe)), "lazy penalty"), GAN(Recipe(**recipe | {"gamma": 0.5 * EVERY}))
    none = GAN(Recipe(**recipe | {"penalty": "none"}))
    assert lazy.step().row == strong.step().row
    for other in (strong, none):
        other.load_state(lazy.state() | {"recipe": other.state()["recipe"]})
    rows = [np.array([gan.step().row for _ in range(EVERY)]) for gan in (lazy, none)]
    assert np.allclose(*(its[:-1] for its in rows), rtol=1e-4) and not np.allclose(*(its[-1] for its in rows), rtol=1e-4)
    assert lazy.recipe.penalty == "r1" and lazy.recipe.gamma == 0.5


def test_an_optimistic_step_is_two_of_this_one_less_one_of_the_last():
    plain, optimistic = GAN(Recipe(**SMALL)), remedied(GAN(Recipe(**SMALL)), "optimistic Adam")
    steps = []
    for _ in range(2):
        before, both = weights(plain), (plain.step(), optimistic.step())
        steps.append([after - old for after, old in zip(weights(plain), before)])
        assert both[0].row == both[1].row  # the second one's losses come from where both were after the first step
    for one, other, first, second in zip(weights(optimistic), weights(plain), *steps):
        assert torch.allclose(one, other + second - first, atol=1e-7)
    assert any(not torch.equal(*pair) for pair in zip(weights(plain), weights(optimistic)))


def test_a_packed_discriminator_sees_three_samples_at_once():
    gan = remedied(GAN(Recipe(**SMALL)), "packed by 3")
    samples = gan.data.samples[:5]
    logits = gan.judge(samples)
    assert logits.shape == (5,) and gan.discriminator.layers[0].in_features == 3 * 64
    changed = samples.clone()
    changed[0] = 16 - changed[0]
    assert (gan.judge(changed) != logits).tolist() == [True, True, True, False, False]
    with pytest.raises(ValueError, match="packing needs a recipe without a penalty, not 'r1'"):
        remedied(GAN(Recipe(**SMALL, penalty="r1")), "packed by 3")
