"""Recipe, GAN, train and sweep: refusals, determinism, checkpoints, and the collapse as a statistic."""

import math

import numpy as np
import pytest
import torch

from utils.recipe import rate_text
from utils.sweep import record, recorded, sweep
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


def test_the_same_seeds_survive_with_the_logits_loss():
    traces = sweep(Recipe(lr=1e-3, loss="logits"), range(10), iterations=200)
    assert all(trace.nan_at is None for trace in traces)
    assert max(trace.fake_max.max() for trace in traces) > 17  # beyond the cliff that kills the naive loss


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
