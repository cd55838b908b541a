"""Each remedy changes what it says and nothing else, resumes to the last bit, and none of them is the plain run."""

import math
from dataclasses import replace

import pytest
import torch
from same import same

from utils import remedies
from utils.hazard import cliffs
from utils.metrics import alive, measure
from utils.plans import TABLE
from utils.recipe import Recipe
from utils.remedies import REMEDIES, remedied
from utils.sweep import record, recorded
from utils.training import GAN, train

SMALL = {"hidden_g": 32, "hidden_d": 32, "loss": "logits", "lr": 1e-3}
DYING = Recipe(lr=1e-3)  # the naive recipe: its seed 0 dies at iteration 7


def made(name, recipe=None, seed=0):
    return remedied(GAN(recipe or Recipe(**SMALL), seed), name)


def played(name, iterations=6, recipe=None):
    gan = made(name, recipe)
    return gan, train(gan, iterations, progress=False)


def weights(gan):
    return [weight.detach().clone() for weight in gan.weights_g + gan.weights_d]


def test_no_remedy_is_the_plain_run():
    assert same(played("none", 20, DYING)[1], train(DYING, 20, progress=False))
    rows = [measure(DYING, 20, 0, 100, *remedy)[0] | {"cpu_ms": 0} for remedy in ((), ("none",))]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("name", [name for name in REMEDIES if name != "none"])
def test_every_other_remedy_is_another_run_and_resumes_to_the_last_bit(name, tmp_path):
    recipe = Recipe(lr=3e-4, data="digits", hidden_g=32, hidden_d=256)
    if name in ("logits cut", "gradient values cut", "restarts", "steps skipped", "gradients through nan_to_num"):
        recipe = DYING  # only a game in trouble feels these
    if name == "lazy penalty":
        recipe = replace(recipe, penalty="r1")
    iterations = 3003 if name == "1e-3 after 3000" else 303 if name == "1e-3 after 300" else 16
    gan, whole = played(name, iterations, recipe)
    plain = train(recipe, iterations, progress=False)
    assert not same(whole, plain)
    cut = whole.iterations - 2
    train(made(name, recipe), cut, checkpoint=tmp_path / "run", progress=False)
    resumed = made(name, recipe)
    assert same(train(resumed, iterations, checkpoint=tmp_path / "run", progress=False), whole)
    for one, other in zip(weights(gan), weights(resumed), strict=True):
        assert torch.equal(one, other) or not torch.isfinite(one).all()


@pytest.mark.parametrize("name", REMEDIES)
def test_looking_at_a_remedied_run_changes_nothing(name):
    recipe = Recipe(lr=1e-3, data="digits", hidden_g=32, hidden_d=32, loss="logits")
    gan, other = made(name, recipe), made(name, recipe)
    before = torch.get_rng_state()
    gan.step(), other.step()
    alive(gan), gan.draw(10), gan.sample(torch.zeros(3, 1)), gan.atlas(), gan.judge(gan.data.samples[:5])
    assert gan.step().row == other.step().row and gan.step().row == other.step().row
    assert all(torch.equal(*pair) for pair in zip(gan.generator.buffers(), other.generator.buffers()))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["gradients through nan_to_num", "steps skipped"])
def test_a_run_that_goes_on_has_finite_weights_and_is_dead(name):
    row, trace = measure(DYING, 60, 0, 100, name)
    assert trace.nan_at == 7 and trace.iterations == 60
    assert row["nan_at"] is None and row["broken"] > 30 and not row["alive"] and row["outcome"] == "dead"
    gan, _ = played(name, 60, DYING)
    assert all(torch.isfinite(weight).all() for weight in weights(gan))


def test_a_skipped_network_stays_where_it_is():
    gan = made("steps skipped", DYING)
    train(gan, 6, progress=False)
    step, before = gan.forward(), weights(gan)
    gan.update(step)
    assert not step.finite and math.isinf(step.row[1])
    moved = [not torch.equal(*pair) for pair in zip(before, weights(gan))]
    assert moved == [True] * 4 + [False] * 4  # D's gradient was bad, G's was not


def test_a_restart_takes_networks_and_optimisers_back_at_a_tenth_of_the_rate_and_three_times_only():
    gan = made("restarts", DYING)
    start = weights(gan)
    train(gan, 7, progress=False)
    assert gan.lr == 1e-4 and gan.left == 2 and gan.goes_on
    assert all(torch.equal(*pair) for pair in zip(start, weights(gan)))
    for left in (1, 0):
        with torch.no_grad():
            gan.weights_d[-1].fill_(100.0)
        step = gan.step()
        assert not step.finite and gan.left == left
        assert all(torch.equal(*pair) for pair in zip(start, weights(gan)))
    assert gan.lr == pytest.approx(1e-6) and not gan.goes_on
    with torch.no_grad():
        gan.weights_d[-1].fill_(100.0)
    assert train(gan, 5, progress=False).iterations == 1


def test_a_checkpoint_of_a_restarting_run_is_as_old_as_the_last_epoch(monkeypatch):
    monkeypatch.setattr(remedies, "EPOCH", 3)
    gan = made("restarts", DYING)
    train(gan, 3, progress=False)
    third = weights(gan)
    train(gan, 4, progress=False)
    assert gan.left == 3 - (gan.iteration == 7)
    while gan.left == 3:
        gan.step()
    assert gan.iteration == 7 and not all(torch.equal(*pair) for pair in zip(third, weights(gan)))  # those of iteration 6


def test_double_precision_moves_the_cliff():
    row, trace = measure(DYING, 60, 0, 100, "float64")
    assert row["outcome"] == "NaN" and row["nan_at"] > 7 and row["fatal_logit"] > cliffs(torch.float64)[1] > 36
    gan, _ = played("float64")
    assert {weight.dtype for weight in weights(gan)} == {torch.float64} and gan.draw(3).dtype == torch.float64
    assert alive(gan)


@pytest.mark.parametrize("name, pull", [("logits cut", 0.0), ("logits bent", 0.07)])
def test_a_capped_logit_has_no_gradient_or_little(name, pull):
    gan = made(name, DYING)
    with torch.no_grad():
        gan.weights_d[-1].fill_(30.0)
    step = gan.forward()
    assert step.fake_logits.max() <= 15 and step.finite
    (gradient,) = torch.autograd.grad(step.fake_logits.mean(), gan.weights_d[-1])
    assert gradient.item() == pytest.approx(pull, abs=0.02)


def test_gradients_and_weights_are_cut_where_it_says():
    gan, _ = played("D's weights cut", 3, Recipe(lr=1e-3, loss="wgan"))
    assert max(weight.abs().max().item() for weight in gan.weights_d) <= 0.01 < gan.weights_g[0].abs().max().item()
    gan, _ = played("gradient values cut", 3, DYING)
    assert all(weight.grad.abs().max() <= 0.5 for weight in gan.weights_g + gan.weights_d)
    assert any(weight.grad.abs().max() == 0.5 for weight in gan.weights_g + gan.weights_d)


@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("eps = 1e-3", "Adam", {"eps": 1e-3}), ("eps = 1e-4", "Adam", {"eps": 1e-4}), ("AMSGrad", "Adam", {"amsgrad": True}),
        ("AdamW", "AdamW", {"weight_decay": 0.01, "betas": (0.5, 0.999)}), ("RMSprop", "RMSprop", {"alpha": 0.99}),
        ("SGD", "SGD", {"momentum": 0}), ("SGD with momentum", "SGD", {"momentum": 0.9}),
    ],
)  # fmt: skip
def test_an_optimiser_is_the_one_named(name, kind, options):
    gan, _ = played(name, 2)
    for optimiser in (gan.optimiser_g, gan.optimiser_d):
        (group,) = optimiser.param_groups
        assert type(optimiser).__name__ == kind and {key: group[key] for key in options} == options and group["lr"] == 1e-3
    if name == "AMSGrad":
        assert "max_exp_avg_sq" in gan.optimiser_g.state[gan.weights_g[0]]


@pytest.mark.parametrize("name, d, g", [("5 D : 1 G", 10, 2), ("1 D : 5 G", 2, 10)])
def test_the_networks_take_turns(name, d, g):
    gan, moves = made(name), {"d": 0, "g": 0}
    for _ in range(10):
        before = weights(gan)
        gan.step()
        moved = [not torch.equal(*pair) for pair in zip(before, weights(gan))]
        moves = {"d": moves["d"] + moved[-1], "g": moves["g"] + moved[0]}
    assert moves == {"d": d, "g": g}


def test_the_rate_rises_in_flight_and_not_before():
    recipe = Recipe(**SMALL | {"lr": 1e-4})
    gan, trace = played("1e-3 after 300", 302, recipe)
    plain = train(recipe, 302, progress=False)
    assert (trace.loss_g[:301] == plain.loss_g[:301]).all() and trace.loss_g[301] != plain.loss_g[301]
    assert gan.lr == gan.optimiser_d.param_groups[0]["lr"] == 1e-3 and gan.recipe.lr == 1e-4


@pytest.mark.parametrize("name", ["BatchNorm in G", "BatchNorm in D"])
def test_batch_norm_learns_with_the_batch_and_judges_with_the_run(name):
    gan, _ = played(name, 40)
    network = gan.generator if name.endswith("G") else gan.discriminator
    (norm,) = (layer for layer in network.layers if isinstance(layer, remedies.BatchNorm))
    assert norm.num_batches_tracked == (40 if name.endswith("G") else 80) and any(
        norm.weight is one for one in gan.weights_g + gan.weights_d
    )
    z = gan.latents(50, torch.Generator().manual_seed(1))
    alone = torch.cat([torch.cat([one, two[:, None]], 1) for one, two in (gan.sample(z[at : at + 1]) for at in range(50))])
    together = torch.cat([gan.sample(z)[0], gan.sample(z)[1][:, None]], 1)
    assert torch.allclose(alone, together, rtol=1e-4, atol=1e-4)


def test_dropout_drops_half_while_it_learns_and_nothing_when_it_judges():
    gan = made("dropout in D")
    samples = gan.data.samples[:200]
    assert torch.equal(gan.judge(samples), gan.judge(samples))
    passed = torch.nn.functional.leaky_relu(gan.discriminator.layers[0](samples), 0.2)
    dropped = gan.discriminator.layers[2](passed)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_small_weights_are_those_of_the_paper():
    gan = made("small weights", Recipe())
    assert gan.discriminator.layers[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert all((weight == 0).all() for weight in gan.weights_g + gan.weights_d if weight.dim() == 1)


def test_the_convolutional_pair_draws_in_grey_levels_and_starts_as_torch_does():
    recipe = Recipe(data="digits", latent=100)
    gan, again = made("convolutional", recipe, 3), made("convolutional", recipe, 3)
    assert all(torch.equal(*pair) for pair in zip(weights(gan), weights(again)))
    drawn, random = gan.draw(500), gan.latents(500, torch.Generator().manual_seed(0))
    unscaled = random
    for layer in gan.generator:
        unscaled = layer(unscaled)
    assert drawn.shape == (500, 64) and torch.equal(drawn, 16 * unscaled)
    first = gan.discriminator[1].weight
    assert first.abs().max().item() == pytest.approx(1 / 4, rel=0.02)  # U(-1, 1)/sqrt(1 channel x 4 x 4)
    assert not torch.equal(first, made("convolutional", recipe, 4).discriminator[1].weight)


def test_a_recording_with_a_remedy_names_it_and_is_no_other_recording(tmp_path):
    recipe = Recipe(**SMALL)
    record(tmp_path, recipe, [0], 4, remedy="AMSGrad", jobs=1)
    (trace,) = recorded(tmp_path)
    assert trace.provenance["remedy"] == "AMSGrad" and same(trace, played("AMSGrad", 4)[1])
    with pytest.raises(ValueError, match="remedy: 'AMSGrad', not 'none'"):
        record(tmp_path, recipe, [0], 4, jobs=1)


def test_every_remedy_that_a_plan_names_is_there():
    assert {changes["remedy"] for row in TABLE for changes in row[1].values() if "remedy" in changes} <= set(REMEDIES)


def test_a_remedy_that_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="remedy must be one of none, gradients through nan_to_num,.* not 'prayer'"):
        made("prayer")
    with pytest.raises(TypeError, match="gan must be a GAN, not 5"):
        remedied(5, "AMSGrad")
    gan = GAN(Recipe(**SMALL))
    gan.step()
    with pytest.raises(ValueError, match="this one has made 1 iterations"):
        remedied(gan, "AMSGrad")
