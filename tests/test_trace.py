"""Trace: saved and loaded without loss, thinned within its promise, and honest about damaged files."""

import numpy as np
import pytest

from utils.recipe import Recipe
from utils.trace import QUANTITIES, Trace
from utils.training import train


def made_up(entries: int) -> Trace:
    random = np.random.default_rng(0)
    return Trace(Recipe(), 0, {name: random.normal(size=entries).astype(np.float32) for name in QUANTITIES})


def test_saved_and_loaded_it_is_the_same(tmp_path):
    trace = train(Recipe(lr=1e-3), 200)
    trace.save(tmp_path / "new" / "run.npz")
    loaded = Trace.load(tmp_path / "new" / "run.npz")
    assert (loaded.recipe, loaded.seed, loaded.nan_at) == (trace.recipe, trace.seed, trace.nan_at)
    assert loaded.provenance == trace.provenance
    for group in ("values", "last_batch", "atlas"):
        for name, array in getattr(trace, group).items():
            assert np.array_equal(array, getattr(loaded, group)[name], equal_nan=True)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.npz"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    made_up(5).save(path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        made_up(6).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_thinning_keeps_both_ends_and_the_extremes_between():
    trace = made_up(20_000)
    thin = trace.thin(keep=2000, buckets=400)
    assert len(thin.loss_g) == 4400 and thin.iterations == 20_000
    full = trace.loss_g
    for ends in (slice(None, 2000), slice(-2000, None)):
        assert np.allclose(thin.loss_g[ends], full[ends], rtol=2.5e-4)
    low, high = thin.envelope("loss_g")
    assert low.min() == pytest.approx(full.min(), rel=2.5e-4) and high.max() == pytest.approx(full.max(), rel=2.5e-4)
    assert (low <= thin.loss_g + 1e-3).all() and (thin.loss_g <= high + 1e-3).all()
    bucket = full[2000:-2000].reshape(400, 40)
    assert np.allclose(thin.loss_g[2000:2400], bucket.mean(1), rtol=2.5e-4, atol=1e-4)


def test_a_short_trace_is_not_thinned():
    trace = made_up(4000)
    assert trace.thin() is trace


def test_the_first_broken_loss_survives_thinning():
    trace = made_up(20_000)
    trace.loss_d[-1] = np.inf
    assert (trace.thin().nan_at, trace.thin().first_broken) == (20_000, "D")
    trace.loss_g[-1] = np.nan
    assert trace.first_broken == "both"
    trace.loss_d[-1] = 1.0
    assert trace.first_broken == "G"
    trace.loss_g[-1] = 1.0
    assert (trace.nan_at, trace.first_broken) == (None, None)


def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(tmp_path):
    good = tmp_path / "good.npz"
    made_up(50).save(good)
    for name, content in (("cut", good.read_bytes()[:-200]), ("empty", b""), ("text", b"hello"), ("flipped", None)):
        path = tmp_path / f"{name}.npz"
        if content is None:
            flipped = bytearray(good.read_bytes())
            flipped[len(flipped) // 2] ^= 0xFF
            content = bytes(flipped)
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a recorded run, or it is damaged"):
            Trace.load(path)
    np.savez(tmp_path / "foreign.npz", a=np.arange(3))
    np.save(tmp_path / "array.npy", np.arange(3))
    np.savez(tmp_path / "pickle.npz", header=np.array([{"a": 1}], dtype=object))
    for name in ("foreign.npz", "array.npy", "pickle.npz"):
        with pytest.raises(ValueError, match="is not a recorded run, or it is damaged") as refused:
            Trace.load(tmp_path / name)
        assert "pickle" not in str(refused.value).replace("pickle.npz", "")
    with pytest.raises(FileNotFoundError, match="there is no recorded run at"):
        Trace.load(tmp_path / "missing.npz")


def test_a_missing_quantity_is_named():
    with pytest.raises(AttributeError, match="a Trace has no 'accuracy'"):
        made_up(5).accuracy  # noqa: B018
