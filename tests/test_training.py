"""Recipe, GAN, train and sweep: refusals, the fixes, determinism, checkpoints, and the collapse as a statistic."""

import copy
import json
import math

import numpy as np
import pytest
import torch

from utils.recipe import FIXES, rate_text
from utils.sweep import DATA, record, recorded, sweep
from utils.trace import QUANTITIES, Trace
from utils.training import GAN, Recipe, train


def same(one: Trace, other: Trace) -> bool:
    """Equal to the last bit, NaN included?"""
    arrays = ([*t.values.values(), *t.last_batch.values(), *t.atlas.values(), t.width] for t in (one, other))
    return (one.recipe, one.seed) == (other.recipe, other.seed) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(*arrays, strict=True)
    )


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"lr": -1e-3}, "lr must be a finite number above 0, not -0.001"),
        ({"lr": 0}, "lr must be a finite number above 0, not 0"),
        ({"lr": math.inf}, "lr must be a finite number above 0, not inf"),
        ({"lr": math.nan}, "lr must be a finite number above 0, not nan"),
        ({"lr": "fast"}, "lr must be a number, not 'fast'"),
        ({"lr": True}, "lr must be a number, not True"),
        ({"loss": "magic"}, "loss must be one of matlab, logits.*, not 'magic'"),
        ({"data": "faces"}, "data must be one of pulses, digits, ring, grid, not 'faces'"),
        ({"batch": 1}, "batch must be at least 2, not 1"),
        ({"batch": 2.5}, "batch must be a whole number, not 2.5"),
        ({"latent": 0}, "latent must be at least 1, not 0"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1, not 1.0"),
        ({"loss": ["logits"]}, r"loss must be one of matlab, logits.*, not \['logits'\]"),
        ({"prior": "cauchy"}, "prior must be one of normal, uniform, not 'cauchy'"),
        ({"penalty": "r3"}, r"penalty must be one of none, r1, r2, r1\+r2, wgan-gp, wgan-gp unsafe, not 'r3'"),
        ({"penalty": None}, "penalty must be one of .*, not None"),
        ({"gamma": -1}, "gamma must be a finite number of at least 0, not -1"),
        ({"noise": math.nan}, "noise must be a finite number of at least 0, not nan"),
        ({"clip": math.inf}, "clip must be a finite number of at least 0, not inf"),
        ({"clip": "1"}, "clip must be a number, not '1'"),
        ({"d_rate": 0}, "d_rate must be a finite number above 0, not 0"),
        ({"normalise": 1}, "normalise must be True or False, not 1"),
        ({"bounded": "yes"}, "bounded must be True or False, not 'yes'"),
        ({"spectral": None}, "spectral must be True or False, not None"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and below 1, not 1.0"),
        ({"flips": -0.1}, "flips must be at least 0 and below 1, not -0.1"),
        ({"ema": 1}, "ema must be at least 0 and below 1, not 1"),
        ({"ema": math.nan}, "ema must be at least 0 and below 1, not nan"),
        ({"alternating": 1}, "alternating must be True or False, not 1"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"head_start": -1}, "head_start must be at least 0, not -1"),
        ({"anneal": 10.0}, "anneal must be a whole number, not 10.0"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
    ],
)
def test_a_recipe_no_run_can_have_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Recipe(**wrong)


@pytest.mark.parametrize("iterations", [0, -3, 1.5, "many"])
def test_iterations_below_one_are_refused(iterations):
    with pytest.raises((ValueError, TypeError), match="iterations must be"):
        train(Recipe(), iterations)


def test_seed_and_recipe_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match="recipe must be a Recipe, not 0.001"):
        train(1e-3, 10)
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        train(Recipe(), 10, seed=-1)
    with pytest.raises(ValueError, match="seed must be below 2"):
        train(Recipe(), 10, seed=2**70)


def test_a_rate_is_written_as_people_write_it():
    assert [rate_text(lr) for lr in (1e-3, 3e-4, 2.5e-5, 0.1)] == ["1e-3", "3e-4", "2.5e-5", "1e-1"]


def test_the_main_recipe_and_the_quantities_other_work_relies_on():
    assert (Recipe().lr, Recipe().data, Recipe().loss) == (1e-4, "pulses", "matlab")
    trace = train(Recipe(lr=1e-5), iterations=20, seed=3)
    assert trace.nan_at is None and trace.recipe == Recipe(lr=1e-5) and trace.seed == 3
    for name in ("loss_g", "loss_d", "score_g", "score_d", "fake_max", "fake_min", "real_max", "real_min"):
        assert getattr(trace, name).shape == (20,)
    assert ((trace.score_g >= 0) & (trace.score_g <= 1) & (trace.score_d >= 0) & (trace.score_d <= 1)).all()
    assert (trace.fake_max >= trace.fake_min).all() and (trace.real_max >= trace.real_min).all()


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


def test_same_seed_same_trace_alone_in_a_sweep_and_resumed(tmp_path):
    recipe, seeds = Recipe(lr=2e-4), (0, 1)
    alone = [train(recipe, 300, seed) for seed in seeds]
    for one, other in zip(alone, sweep(recipe, seeds, 300, jobs=2)):
        assert same(one, other)
    count = iter(range(1000))
    first = train(recipe, 300, 1, checkpoint=tmp_path / "run", checkpoint_seconds=0, stop=lambda: next(count) >= 150)
    assert first.iterations == 151 and (tmp_path / "run").exists()
    assert same(alone[1], train(recipe, 300, 1, checkpoint=tmp_path / "run"))
    assert not same(alone[0], alone[1])


def test_a_trace_does_not_depend_on_the_global_random_state_nor_touch_it():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = train(Recipe(), 20)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    assert same(one, train(Recipe(), 20))


def test_a_gan_goes_on_where_it_stood():
    whole = train(Recipe(), 60)
    gan = GAN(Recipe())
    parts = [train(gan, 25), train(gan, 35)]
    assert np.array_equal(whole.loss_d, np.concatenate([part.loss_d for part in parts]))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(ValueError, match="is not a checkpoint of a run, or it is damaged"):
        train(Recipe(), 10, checkpoint=tmp_path / "run")


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train(Recipe(), 64, seed=0, checkpoint=tmp_path / "run", checkpoint_seconds=0)
    with pytest.raises(ValueError, match="that state belongs to .* seed 0, not to this run"):
        train(Recipe(), 10, seed=1, checkpoint=tmp_path / "run")


def test_an_interrupt_returns_the_trace_so_far():
    count = iter(range(100))

    def interrupt():
        if next(count) == 9:
            raise KeyboardInterrupt

    trace = train(Recipe(), 100, stop=interrupt)
    assert trace.iterations == 10
    assert np.array_equal(trace.loss_d, train(Recipe(), 10).loss_d)


@pytest.mark.parametrize("data, latest, seeds", [("pulses", 60, 30), ("digits", 60, 20)])
def test_at_1e_3_nearly_every_seed_collapses_within_a_few_iterations_and_d_breaks_first(data, latest, seeds):
    traces = sweep(Recipe(lr=1e-3, data=data), range(seeds), iterations=200)
    times = [trace.nan_at or math.inf for trace in traces]
    assert sum(3 <= time <= latest for time in times) >= 0.95 * seeds
    assert 8 <= np.median(times) <= 25
    assert sum(trace.first_broken == "D" for trace in traces) >= 0.95 * seeds


def test_the_fatal_iteration_is_kept_and_breaks_d_at_once_and_g_one_iteration_later():
    gan = GAN(Recipe(lr=1e-3), seed=0)
    trace = train(gan, 200)
    assert trace.nan_at == trace.iterations == len(trace.loss_g)
    assert not np.isfinite(trace.loss_d[-1]) and np.isfinite(trace.loss_g[-1])
    assert trace.last_batch["fake_logits"].max() == trace.fake_max[-1] > 16
    assert trace.atlas["iteration"][-1] == trace.nan_at and np.isfinite(trace.atlas["logit"][-1]).all()
    assert all(weights.isnan().any() for weights in gan.weights_d)
    assert all(weights.isfinite().all() for weights in gan.weights_g)
    gan.step()
    assert gan.sample(torch.zeros(1, 1))[0].isnan().all()


def test_the_seeds_that_the_naive_loss_kills_survive_with_the_logits_loss():
    assert sum(trace.nan_at is not None for trace in sweep(Recipe(lr=1e-3), range(10), iterations=200)) >= 9
    traces = sweep(Recipe(lr=1e-3, loss="logits"), range(10), iterations=200)
    assert all(trace.nan_at is None for trace in traces)
    assert max(trace.fake_max.max() for trace in traces) > 17  # beyond the cliff that kills the naive loss


# ---- the fixes


SMALL = {"lr": 1e-5, "hidden_g": 16, "hidden_d": 16}


@pytest.mark.parametrize("fix", FIXES)
def test_every_fix_trains_leaves_the_global_random_state_alone_and_resumes_to_the_last_bit(fix, tmp_path):
    recipe = Recipe(**SMALL | FIXES[fix])
    state = torch.get_rng_state()
    alone = train(recipe, 70, progress=False)
    assert alone.nan_at is None and alone.iterations == 70
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(int(alone.loss_d[-1] * 1e6) % 1000)
    train(recipe, 64, checkpoint=tmp_path / "run", checkpoint_seconds=0, progress=False)
    resumed = GAN(recipe)
    assert same(alone, train(resumed, 70, checkpoint=tmp_path / "run", progress=False))
    gan = GAN(recipe)
    train(gan, 70, progress=False)
    assert torch.equal(gan.draw(20), resumed.draw(20))


@pytest.mark.parametrize("fix", FIXES)
def test_every_fix_but_no_fix_changes_the_run(fix):
    default = train(Recipe(**SMALL), 3, progress=False)
    recipe = Recipe(**SMALL | FIXES[fix])
    trace = train(recipe, 3, progress=False)
    # the average draws and does not play; the masks are the naive loss itself where nothing overflows
    unseen = {"no fix", "averaged G", "BCELoss", "clamped score"}
    assert np.array_equal(trace.loss_d, default.loss_d) == (fix in unseen), recipe.changes


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


def test_recordings_from_before_the_fixes_still_load(tmp_path):
    path = next(DATA.glob("pulses_lr1e-3/seed*.npz"))
    assert Trace.load(path).recipe == Recipe(lr=1e-3)
    train(Recipe(lr=1e-3), 5, progress=False).save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays["header"]))
    header["recipe"] = dict(list(header["recipe"].items())[:9])  # lr to beta2, all there was
    assert list(header["recipe"])[-1] == "beta2"
    np.savez(tmp_path / "old.npz", **arrays | {"header": np.array(json.dumps(header))})
    assert same(Trace.load(tmp_path / "old.npz"), Trace.load(tmp_path / "new.npz"))


# ---- recordings


def test_recording_saves_each_run_keeps_what_is_there_and_goes_on_after_an_interrupt(tmp_path, monkeypatch):
    recipe = Recipe(lr=1e-3)
    record(tmp_path, recipe, range(2), 200, jobs=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    record(tmp_path, recipe, range(3), 200, jobs=1)
    assert all(path.read_bytes() == content for path, content in before.items())
    traces = recorded(tmp_path)
    assert [trace.seed for trace in traces] == [0, 1, 2]
    assert same(traces[2], train(recipe, 200, 2))
    assert set(traces[0].provenance) >= {"torch", "processor", "date", "commit", "cap"}
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_folder_without_recordings_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no recorded runs in"):
        recorded(tmp_path)


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
