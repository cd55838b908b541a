"""The explanation of a GAN's NaN in words, its autopsy by replay, and what other losses would have done."""

import copy
import math

import numpy as np
import pytest
import torch

from utils.autopsy import autopsy, cliffs, counterfactual, explain, explain_trace, rarity
from utils.training import GAN, Recipe, train


def dead(recipe, seed=0, then=None, iterations=4000):
    """A GAN whose next iteration has a loss that is not finite; its rate becomes `then` after 200 iterations."""
    gan = GAN(recipe, seed)
    for count in range(iterations):
        if count == 200 and then:
            gan.lr = then
        state = copy.deepcopy(gan.state())
        step = gan.forward()
        if not step.finite:
            gan.load_state(state)
            return gan, step
        gan.update(step)
    raise AssertionError("this recipe should have died")


def quick(gan, step):
    return explain(step.real_logits.detach(), step.fake_logits.detach(), step.z, gan.recipe)


@pytest.mark.parametrize("seed", range(10))
def test_ten_collapses_of_the_main_recipe_get_the_right_verdict(seed):
    trace = train(Recipe(lr=1e-3), 200, seed, progress=False)
    verdict = autopsy(GAN(Recipe(lr=1e-3), seed), 200)
    beyond = np.flatnonzero(trace.last_batch["fake_logits"] > cliffs()[1])
    assert (verdict.iteration, verdict.sample) == (trace.nan_at, beyond[0])
    assert (verdict.operation, verdict.phase, verdict.loss) == ("log", "forward", "loss_d")
    assert verdict.value == 0 and verdict.result == -math.inf and verdict.shape == (64,)
    assert "torch.log(1 - fake)" in verdict.term and verdict.line.startswith("losses.py:")
    assert verdict.steps[0].startswith("sigmoid(") and verdict.steps[0].endswith("= 1")


def test_a_collapse_at_the_middle_rate_gets_the_right_verdict():
    gan = GAN(Recipe(lr=1e-4), seed=21)  # the soonest of the recorded ones; on another processor it may come elsewhere
    verdict = autopsy(gan, 30_000)
    if verdict is None:
        pytest.skip("no NaN in 30,000 iterations on this processor")
    assert gan.iteration == verdict.iteration - 1
    logits = gan.forward().fake_logits.detach().numpy()
    assert verdict.sample == np.flatnonzero(logits > cliffs()[1])[0]
    assert (verdict.operation, verdict.phase, verdict.loss, verdict.value) == ("log", "forward", "loss_d", 0)
    assert "torch.log(1 - fake)" in verdict.term and verdict.steps[0].startswith("sigmoid(")


def test_the_gan_is_put_back_so_that_it_dies_again():
    gan = GAN(Recipe(lr=1e-3), seed=3)
    verdict = autopsy(gan, 200)
    assert gan.iteration == verdict.iteration - 1
    step = gan.forward()
    assert not step.finite and step.fake_logits[verdict.sample] > cliffs()[1]
    assert autopsy(GAN(Recipe(lr=1e-3, loss="logits")), 20) is None


def test_the_counterfactual_is_the_same_iteration_under_another_loss():
    gan = GAN(Recipe(lr=1e-3), seed=0)
    autopsy(gan, 200)
    before = copy.deepcopy(gan.state())
    answers = counterfactual(gan)
    assert not math.isfinite(answers["matlab"]["loss_d"]) and answers["matlab"]["finite"] == 0
    assert answers["logits"]["loss_d"] > 0 and answers["logits"]["finite"] == 1
    assert answers["logits"]["push"] == pytest.approx(1, abs=1e-4)
    after = gan.state()
    assert after["iteration"] == before["iteration"] and torch.equal(after["random"], before["random"])
    assert all(torch.equal(after["discriminator"][name], one) for name, one in before["discriminator"].items())


@pytest.mark.parametrize("call", [lambda: autopsy(Recipe(), 10), lambda: counterfactual(Recipe())])
def test_something_else_than_a_gan_is_refused_in_one_sentence(call):
    with pytest.raises(TypeError, match="gan must be a GAN, not Recipe"):
        call()


def test_an_autopsy_needs_an_iteration():
    with pytest.raises(ValueError, match="iterations must be at least 1, not 0"):
        autopsy(GAN(Recipe()), iterations=0)


# ---------------------------------------------------------------- the one explanation, at two speeds


def placed(slope):
    """A GAN whose D finds logit = slope * |one number of the sample|, and whose real samples are all zero."""
    gan = GAN(Recipe(), seed=5)
    gan.data = type(gan.data)("flat", torch.zeros_like(gan.data.samples), "mV", 20.0)
    with torch.no_grad():
        for layer in (gan.discriminator.layers[0], gan.discriminator.layers[2]):
            layer.weight.zero_(), layer.bias.zero_()
        gan.discriminator.layers[0].weight[0, 32], gan.discriminator.layers[0].weight[1, 32] = 1, -1
        gan.discriminator.layers[2].weight[0, :2] = slope / 0.8  # of two leaky units
    return gan


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "recipe, then, terms",
    [
        ({"lr": 1e-3}, None, {"log(1 - D(G(z)))"}),
        ({"lr": 3e-4}, 1e-3, {"log(1 - D(G(z)))", "log D(G(z))"}),
        ({"lr": 1e-3, "flips": 0.35}, None, None),
        ({"lr": 1e-3, "smoothing": 0.1}, None, None),
        ({"lr": 1e-3, "batch": 9, "latent": 4}, None, None),
    ],
)
def test_the_quick_and_the_slow_explanation_are_the_same_sentence_and_the_same_sample(recipe, then, terms, seed):
    gan, step = dead(Recipe(**recipe), seed, then)
    fast, slow = quick(gan, step), autopsy(gan, 3)
    assert slow.iteration == 1
    if fast.sample is None:  # a real sample with a flipped label, and nobody kept which
        assert recipe.get("flips") and fast.of == "real" and fast.count > 1
        return
    assert slow.sample == fast.sample and slow.cause == f"iteration {slow.iteration:,}: {fast.words}"
    assert terms is None or fast.term in terms


@pytest.mark.parametrize("slope, term", [(20, "log(1 - D(G(z)))"), (-100, "log D(G(z))")])
def test_the_sample_that_broke_is_named_whichever_cliff_it_passed(slope, term):
    gan = placed(slope)
    step = copy.deepcopy(gan).forward()
    fast, slow = quick(gan, step), autopsy(gan, 1)
    beyond = step.fake_logits > cliffs()[1] if slope > 0 else step.fake_logits < cliffs()[0]
    assert (fast.term, fast.of, fast.sample) == (term, "generated", int(beyond.nonzero()[0]))
    assert fast.count == int(beyond.sum()) and fast.logit == step.fake_logits[fast.sample].item()
    assert slow.sample == fast.sample and fast.words in slow.cause


def test_only_a_real_sample_with_a_flipped_label_can_break_log_1_minus_d():
    z, fake = torch.zeros(4, 1), torch.zeros(4)
    real, recipe = torch.tensor([0.0, 20.0, 1.0, 30.0]), Recipe(flips=0.35)
    known = explain(real, fake, z, recipe, torch.tensor([True, False, False, True]))
    assert (known.term, known.of, known.sample, known.count) == ("log(1 - D(x))", "real", 3, 1)
    unknown = explain(real, fake, z, recipe)
    assert unknown.sample is None and unknown.count == 2 and "nobody kept" in unknown.words
    only = explain(torch.tensor([0.0, 0.0, 20.0, 0.0]), fake, z, recipe)
    assert only.sample == 2 and only.words.startswith("log(1 - D(x)) of sample 2 is -inf. Its logit is 20.0")
    assert "no single term" in explain(real, fake, z, Recipe()).words  # without flips nobody told D so
    assert explain(real, fake, z, Recipe(smoothing=0.1)).sample == 1  # with smoothing every real sample is told a little


def test_what_no_term_explains_is_said_so():
    z, small = torch.zeros(2, 1), torch.zeros(2)
    assert "overflowed at logits from 0 to 1e+30" in explain(small, torch.tensor([0, 1e30]), z, Recipe(loss="wgan")).words
    broken = explain(torch.tensor([0.0, math.nan]), small, z, Recipe())
    assert (broken.of, broken.sample, broken.term) == ("real", 1, None) and "weights themselves" in broken.words


def test_a_recorded_run_is_explained_from_its_last_batch():
    trace = train(Recipe(lr=1e-3), 100, 2, progress=False)
    assert explain_trace(trace).sample == np.flatnonzero(trace.last_batch["fake_logits"] > cliffs()[1])[0]
    with pytest.raises(ValueError, match="no batch with a NaN to explain"):
        explain_trace(train(Recipe(loss="logits"), 2, progress=False))


def test_how_rare_a_latent_is():
    assert "1 draw in 20 " in rarity(torch.tensor([-1.96])) and "|z| = 5.00" in rarity(torch.tensor([3.0, 4.0]))
    assert "no draw" in rarity(torch.tensor([60.0])) and "of at most 1.73" in rarity(torch.tensor([1.7]), "uniform")


def test_a_wrong_name_of_a_loss_leaves_the_gan_as_it_was():
    gan = GAN(Recipe())
    loss, before = gan.loss, copy.deepcopy(gan.state())
    for losses in (["logits", "nonsense"], "nonsense", [None]):
        with pytest.raises(ValueError, match="losses must be among matlab, logits"):
            counterfactual(gan, losses)
    assert gan.loss is loss and gan.iteration == before["iteration"]
    assert list(counterfactual(gan, "logits")) == ["logits"] and gan.loss is loss
