"""GAN: one step, each fix's own part of it, its state, and wrong arguments."""

import copy
import math

import numpy as np
import pytest
import torch

from utils.gan import GAN
from utils.recipe import Recipe
from utils.trace import QUANTITIES
from utils.training import train

SMALL = {"lr": 1e-5, "hidden_g": 16, "hidden_d": 16}


def test_what_is_recorded_is_what_the_batch_says():
    gan = GAN(Recipe(), seed=0)
    step = gan.step()
    row = dict(zip(QUANTITIES, step.row))
    real, fake = torch.sigmoid(step.real_logits), torch.sigmoid(step.fake_logits)
    assert row["score_g"] == pytest.approx(fake.mean().item(), rel=1e-6)
    assert row["score_d"] == pytest.approx(((real.mean() + (1 - fake).mean()) / 2).item(), rel=1e-6)
    assert row["loss_d"] == step.loss_d.item() and row["loss_g"] == step.loss_g.item()
    assert row["fake_max"] == step.fake_logits.max().item() and row["real_min"] == step.real_logits.min().item()
    assert row["fake_max_z"] == step.z[step.fake_logits.argmax(), 0].item()


def test_the_update_is_simultaneous_and_can_be_of_one_network_only():
    both, only_d, only_g = (GAN(Recipe(), seed=0) for _ in range(3))
    both.step()
    only_d.update(only_d.forward(), g=False)
    only_g.update(only_g.forward(), d=False)
    start = GAN(Recipe(), seed=0)

    def equal(one, other):
        return all(torch.equal(a, b) for a, b in zip(one, other))

    assert equal(both.weights_d, only_d.weights_d) and equal(both.weights_g, only_g.weights_g)
    assert equal(only_d.weights_g, start.weights_g) and equal(only_g.weights_d, start.weights_d)
    assert not equal(both.weights_d, start.weights_d) and not equal(both.weights_g, start.weights_g)


def test_the_learning_rate_can_change_during_a_run():
    slow, fast = GAN(Recipe(lr=1e-5), seed=0), GAN(Recipe(lr=1e-5), seed=0)
    slow.step(), fast.step()
    fast.lr = 1e-3
    before = slow.weights_d[0].clone()
    slow.step(), fast.step()
    moved = [(gan.weights_d[0] - before).abs().mean().item() for gan in (slow, fast)]
    assert moved[1] / moved[0] == pytest.approx(100, rel=1e-3)


def test_a_rate_changed_by_hand_comes_back_with_the_checkpoint_and_the_warm_up_goes_on():
    recipe = Recipe(**SMALL | {"warmup": 10, "ema": 0.9, "spectral": True})
    gan, other = GAN(recipe), GAN(recipe)
    gan.step()
    gan.lr = 3e-4
    gan.step()
    other.load_state(copy.deepcopy(gan.state()))
    assert other.lr == 3e-4
    for _ in range(12):
        assert gan.step().row == other.step().row
    assert other.optimiser_d.param_groups[0]["lr"] == 3e-4
    assert all(torch.equal(*pair) for pair in zip(gan.averaged.parameters(), other.averaged.parameters()))


def test_warm_up_and_annealing_set_the_rates_of_both_networks():
    gan = GAN(Recipe(**SMALL | {"lr": 1e-3, "warmup": 4, "anneal": 12, "d_rate": 0.5}))
    for iteration in range(1, 15):
        before = [weight.clone() for weight in gan.weights_g]
        gan.step()
        # up over four iterations; down from the sixth on, by half at the ninth, to nothing at the twelfth
        rate = 1e-3 * min(1, iteration / 4) * (1 if iteration <= 6 else (1 + math.cos(math.pi * (iteration - 6) / 6)) / 2)
        rate = rate if iteration < 12 else 0.0
        found = [optimiser.param_groups[0]["lr"] for optimiser in (gan.optimiser_g, gan.optimiser_d)]
        assert found == pytest.approx([rate, 0.5 * rate])
        moved = max((weight - old).abs().max().item() for weight, old in zip(gan.weights_g, before))
        assert moved <= 3 * rate and (moved > 0) == (iteration < 12)
    assert gan.lr == 1e-3


def test_a_head_start_lets_only_the_rate_of_g_rise():
    gan = GAN(Recipe(**SMALL | {"lr": 1e-3, "head_start": 4, "d_rate": 0.5}))
    for iteration in range(1, 7):
        gan.step()
        found = [optimiser.param_groups[0]["lr"] for optimiser in (gan.optimiser_g, gan.optimiser_d)]
        assert found == pytest.approx([1e-3 * min(1, iteration / 4), 0.5e-3])


@pytest.mark.parametrize("d_rate", [0.25, 4.0])
def test_two_time_scales_are_seen_in_the_first_update(d_rate):
    gan, start = (GAN(Recipe(**SMALL | {"lr": 1e-3, "d_rate": d_rate})) for _ in range(2))
    gan.step()  # Adam's first update is the rate, with the sign of the gradient
    for weights, old, rate in ((gan.weights_g, start.weights_g, 1e-3), (gan.weights_d, start.weights_d, d_rate * 1e-3)):
        assert max((a - b).abs().max().item() for a, b in zip(weights, old)) == pytest.approx(rate, rel=1e-3)


def test_the_average_of_g_is_the_one_computed_by_hand_and_draws_the_samples():
    gan = GAN(Recipe(**SMALL | {"lr": 1e-3, "ema": 0.9}))
    by_hand = [weight.double() for weight in gan.weights_g]
    for _ in range(5):
        gan.step()
        by_hand = [0.9 * mean + 0.1 * weight.double() for mean, weight in zip(by_hand, gan.weights_g)]
    for mean, expected, weight in zip(gan.averaged.parameters(), by_hand, gan.weights_g):
        assert torch.allclose(mean.double(), expected, atol=1e-7) and not torch.allclose(mean, weight, atol=1e-5)
    z = gan.latents(4, torch.Generator().manual_seed(5))
    assert torch.equal(gan.draw(4, seed=5), gan.averaged(z))
    assert not torch.equal(gan.draw(4, seed=5), gan.generator(z))
    plain = GAN(Recipe(**SMALL))
    assert torch.equal(plain.draw(4, seed=5), plain.generator(z))


def test_clipping_shortens_each_networks_gradient_and_keeps_its_direction():
    gans = {clip: GAN(Recipe(**SMALL | {"clip": clip})) for clip in (0.0, 1e-3, 1e9)}
    rows = [gan.step().row for gan in gans.values()]
    assert rows[0] == rows[1] == rows[2]
    for weights in ("weights_g", "weights_d"):
        plain, short, same_ = (torch.cat([w.grad.flatten() for w in getattr(gan, weights)]) for gan in gans.values())
        assert short.norm().item() == pytest.approx(1e-3, rel=1e-3) and torch.equal(plain, same_)
        assert torch.allclose(short / short.norm(), plain / plain.norm(), atol=1e-5)


def test_noise_is_added_to_what_d_reads_and_to_nothing_else():
    gan, read = GAN(Recipe(**SMALL | {"noise": 0.1, "alternating": True})), []
    gan.discriminator.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].detach()))
    step = gan.step()
    for shown, clean in zip(read, 2 * (step.real, step.fake), strict=True):
        assert (shown - clean).std().item() == pytest.approx(0.1 * 20, rel=0.05)
        assert (shown - clean).mean().item() == pytest.approx(0, abs=0.2)
    plain = GAN(Recipe(**SMALL)).forward()
    assert torch.equal(step.real, plain.real) and torch.equal(step.fake, plain.fake)


def test_label_flips_reach_the_loss_in_their_share_and_join_with_smoothing():
    gan, told = GAN(Recipe(**SMALL | {"flips": 0.35, "smoothing": 0.1})), []
    loss = gan.loss
    gan.loss = lambda real, fake, flipped: (told.append(flipped), loss(real, fake, flipped))[1]
    for _ in range(40):
        gan.forward()
    first, mirrored = torch.stack(told[::2]).float(), torch.stack(told[1::2]).float()
    assert first.mean().item() == pytest.approx(0.35, abs=0.03) and torch.equal(mirrored, 1 - first)


def test_the_uniform_prior_is_bounded_and_as_wide_as_the_normal_one():
    gan = GAN(Recipe(**SMALL | {"prior": "uniform", "latent": 2}))
    z = gan.latents(20_000, torch.Generator().manual_seed(0))
    assert z.abs().max() <= math.sqrt(3) and z.abs().max() > 1.7
    assert z.var(0).numpy() == pytest.approx([1, 1], abs=0.02) and z.mean(0).numpy() == pytest.approx([0, 0], abs=0.03)
    assert gan.forward().z.abs().max() <= math.sqrt(3)


def test_a_bounded_output_stays_within_two_full_scales_and_leaves_small_ones_alone():
    bounded, free = GAN(Recipe(**SMALL | {"bounded": True})), GAN(Recipe(**SMALL))
    z = torch.linspace(-1, 1, 50)[:, None]
    small, same_ = bounded.generator(z) / 20, free.generator(z) / 20
    assert ((small - same_).abs() <= same_.abs() ** 3 / 12 + 1e-6).all()
    with torch.no_grad():
        bounded.weights_g[0].mul_(1e6)
    assert bounded.generator(z).abs().max().item() == pytest.approx(40) and bounded.generator(z).isfinite().all()


def test_normalised_units_are_what_d_reads():
    gan, raw = GAN(Recipe(**SMALL | {"normalise": True})), GAN(Recipe(**SMALL))
    samples = gan.data.samples[:5]
    assert torch.equal(gan.judge(samples), raw.judge(samples / 20)) and gan.judge(samples).shape == (5,)


def test_spectral_norm_holds_ds_slope_and_looking_at_samples_does_not_change_it():
    gan = GAN(Recipe(**SMALL | {"lr": 1e-3, "spectral": True}))
    for _ in range(30):
        gan.step()
    before = {name: value.clone() for name, value in gan.discriminator.state_dict().items()}
    gan.sample(torch.zeros(5, 1)), gan.atlas(), gan.draw(5)
    assert all(torch.equal(value, before[name]) for name, value in gan.discriminator.state_dict().items())
    for layer in gan.discriminator.layers[::2]:
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.1)
    assert gan.discriminator.training


def test_alternating_updates_show_g_the_d_that_has_already_moved():
    recipe = {**SMALL, "lr": 1e-2, "loss": "logits"}
    gan, by_hand = GAN(Recipe(**recipe, alternating=True)), GAN(Recipe(**recipe))
    gan.step()
    step = by_hand.forward()
    by_hand.update(step, g=False)
    _, loss_g = by_hand.loss(by_hand.discriminator(step.real), by_hand.discriminator(step.fake))
    expected = torch.autograd.grad(loss_g, by_hand.weights_g)
    assert all(torch.equal(weight.grad, gradient) for weight, gradient in zip(gan.weights_g, expected))
    simultaneous = GAN(Recipe(**recipe))
    simultaneous.step()
    assert not torch.equal(simultaneous.weights_g[0].grad, expected[0])
    assert all(torch.equal(*pair) for pair in zip(gan.weights_d, simultaneous.weights_d))


def test_more_layers_are_as_many_linear_ones_and_one():
    gan = GAN(Recipe(**SMALL | {"layers": 3}))
    for network in (gan.generator, gan.discriminator):
        assert sum(isinstance(layer, torch.nn.Linear) for layer in network.layers) == 4
    assert np.isfinite(train(gan, 3, progress=False).loss_d).all()


@pytest.mark.parametrize("penalty, gamma", [("r1", 2.0), ("r2", 2.0), ("r1+r2", 2.0), ("wgan-gp", 10.0)])
def test_a_penalty_is_added_to_ds_loss_with_its_weight_and_in_the_units_d_reads(penalty, gamma):
    step = GAN(Recipe(**SMALL | {"penalty": penalty, "gamma": gamma, "normalise": True})).forward()
    gan = GAN(Recipe(**SMALL | {"normalise": True}))
    plain = gan.forward()
    assert step.loss_g.item() == pytest.approx(plain.loss_g.item(), rel=1e-6)

    def squares(samples):
        x = (samples.detach() / 20).requires_grad_()
        (slope,) = torch.autograd.grad(gan.discriminator.layers(x).sum(), x)
        return slope.square().sum(1)

    between = torch.rand(64, 1, generator=gan.random)
    expected = {
        "r1": lambda: squares(plain.real).mean() / 2,
        "r2": lambda: squares(plain.fake).mean() / 2,
        "r1+r2": lambda: (squares(plain.real).mean() + squares(plain.fake).mean()) / 2,
        "wgan-gp": lambda: (squares(between * plain.real + (1 - between) * plain.fake).sqrt() - 1).square().mean(),
    }[penalty]().item()
    assert (step.loss_d - plain.loss_d).item() == pytest.approx(gamma * expected, rel=1e-3)
    (to_g,) = torch.autograd.grad(step.loss_g, step.fake_logits)
    assert to_g.isfinite().all()


def test_a_state_put_into_another_gan_is_a_copy():
    one, other = GAN(Recipe(lr=1e-4), seed=0), GAN(Recipe(lr=1e-4), seed=0)
    for _ in range(3):
        one.step()
    other.load_state(one.state())
    rows = [one.step().row for _ in range(3)]
    assert [other.step().row for _ in range(3)] == rows


def test_grain_is_white_noise_on_gs_output_with_a_strength_that_is_learned():
    gan = GAN(Recipe(latent=2, hidden_g=16, hidden_d=16, loss="logits", normalise=True, lr=1e-3, grain=True))
    z = gan.latents(1000, torch.Generator().manual_seed(0))
    assert z.shape == (1000, 2 + 64)
    still = torch.cat([z[:, :2], torch.zeros(1000, 64)], 1)
    with torch.no_grad():
        noise = gan.generator(z) - gan.generator(still)
    assert torch.allclose(noise, 0.1 * gan.data.full_scale * z[:, 2:], atol=1e-4)
    before = gan.generator.grain.detach().clone()
    assert train(gan, 20).nan_at is None
    assert not torch.equal(before, gan.generator.grain) and gan.atlas()[0].shape == (97, 64)


# ---- wrong arguments


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda gan: gan.draw(0), "count must be at least 1, not 0"),
        (lambda gan: gan.draw(10**12), "count must be at most 5,000,000, not 1000000000000"),
        (lambda gan: gan.draw(2.0), "count must be a whole number, not 2.0"),
        (lambda gan: gan.draw(5, seed=-1), "seed must be at least 0, not -1"),
        (lambda gan: gan.latents(5, 0), "random must be a torch.Generator, not 0"),
        (lambda gan: gan.sample(torch.zeros(5, 1)), r"z must have the shape \(any, 2\), not \(5, 1\)"),
        (lambda gan: gan.sample([[0.0, 0.0]]), "z must be a tensor of floating point numbers"),
        (lambda gan: gan.judge(torch.zeros(5, 2)), r"samples must have the shape \(any, 64\), not \(5, 2\)"),
        (lambda gan: gan.judge(np.zeros((5, 64))), "samples must be a tensor of floating point numbers"),
        (lambda gan: gan.atlas(torch.ones(3)), r"direction must have the shape \(2\), not \(3,\)"),
        (lambda gan: gan.atlas("up"), "direction must be a tensor of floating point numbers, not 'up'"),
        (lambda gan: setattr(gan, "lr", -1), "lr must be a finite number above 0, not -1"),
        (lambda gan: setattr(gan, "lr", math.nan), "lr must be a finite number above 0, not nan"),
        (lambda gan: setattr(gan, "lr", "fast"), "lr must be a number, not 'fast'"),
        (lambda gan: gan.load_state({}), "state must be what GAN.state.. returned, not {}"),
        (lambda gan: gan.load_state(None), "state must be what GAN.state.. returned, not None"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence_and_changes_nothing(call, sentence):
    gan, untouched = (GAN(Recipe(**SMALL, latent=2)) for _ in range(2))
    with pytest.raises((ValueError, TypeError), match=sentence):
        call(gan)
    assert gan.step().row == untouched.step().row and gan.lr == untouched.lr
