"""Trace: saved and loaded without loss, thinned within its promise, and honest about damaged files."""

import copy
import io
import json
import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from same import same

from utils.recipe import Recipe
from utils.trace import QUANTITIES, Trace
from utils.training import train

DATA = Path(__file__).parent.parent / "data"


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


def test_a_trace_with_fewer_iterations_between_its_ends_than_two_a_bucket_is_thinned_too():
    trace = made_up(4750)  # some buckets hold one iteration alone, and its extremes are itself
    thin = trace.thin(keep=2000, buckets=400)
    assert thin.iterations == 4750 and len(thin.loss_g) == 4400 and (thin.width == 1).sum() > 4000
    low, high = thin.envelope("loss_g")
    single = thin.width == 1
    assert np.array_equal(low[single], high[single]) and (low <= high).all()


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


# ---- what a file or a caller says is checked


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict[str, np.ndarray]:
    """The arrays of a file that holds everything a trace can hold."""
    path = tmp_path_factory.mktemp("trace") / "run.npz"
    trace = train(Recipe(batch=4, hidden_g=8, hidden_d=8), 60, atlas_at=[3], watch={"a": lambda gan: 1.0}, progress=False)
    trace.thin(5, 10).save(path)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def written(path: Path, content: dict[str, np.ndarray], **header) -> Path:
    said = json.loads(str(content["header"])) | header
    np.savez(path, **content | {"header": np.array(json.dumps({k: v for k, v in said.items() if v != "gone"}))})
    return path


def test_what_is_right_loads(content, tmp_path):
    trace = Trace.load(written(tmp_path / "run.npz", content))
    assert trace.iterations == 60 and set(trace.watched) == {"iteration", "a"} and len(trace.low) == len(QUANTITIES)


@pytest.mark.parametrize(
    "header",
    [
        {"seed": "<img src=x onerror=alert(1)>"}, {"seed": -1}, {"seed": 1.0}, {"seed": True}, {"seed": None}, {"seed": 2**64},
        {"seed": float("nan")}, {"seed": [0]}, {"seed": "gone"}, {"format": "gone"}, {"format": "1"}, {"format": 0},
        {"format": True}, {"recipe": []}, {"recipe": {"lr": "<b>"}}, {"recipe": {"lr": {"a": 1}}}, {"recipe": {"speed": 1}},
        {"recipe": {"lr": float("inf")}}, {"recipe": {"data": "<script>"}}, {"recipe": {"latent": 3}}, {"recipe": "gone"},
        {"provenance": ["torch"]}, {"provenance": {"torch": 2}}, {"provenance": {"torch": {"a": "b"}}},
        {"provenance": {"torch": "x" * 2000}}, {"provenance": "gone"}, {"extra": 1},
    ],
)  # fmt: skip
def test_a_header_with_anything_odd_is_refused_in_one_sentence(header, content, tmp_path):
    with pytest.raises(ValueError, match="is not a recorded run, or it is damaged") as refused:
        Trace.load(written(tmp_path / "run.npz", content, **header))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "1", "{", "null", '"a"', "[" * 100_000, '{"format": %s}' % ("9" * 5000)])
def test_a_header_that_is_no_header_is_refused(text, content, tmp_path):
    np.savez(tmp_path / "run.npz", **content | {"header": np.array(text)})
    with pytest.raises(ValueError, match="is not a recorded run, or it is damaged"):
        Trace.load(tmp_path / "run.npz")


def test_a_newer_format_is_called_newer_and_not_damaged(content, tmp_path):
    with pytest.raises(ValueError, match=r"was written by a newer version of this project \(format 2, here 1\)") as refused:
        Trace.load(written(tmp_path / "run.npz", content, format=2, extra=1))
    assert "damaged" not in str(refused.value)


WRONG = {
    "width": [None, np.ones(3), np.zeros(20, dtype=np.int64), np.ones((20, 1), dtype=np.int64), np.full(20, 2**62)],
    "values.loss_g": [None, np.zeros(20), np.zeros(3, dtype=np.float32), np.zeros((20, 1), dtype=np.float32)],
    "values.accuracy": [np.zeros(20, dtype=np.float32)],
    "low.loss_g": [None, np.zeros(3, dtype=np.float32)],
    "last_batch.z": [None, np.zeros((4, 2), dtype=np.float32), np.zeros((5, 1), dtype=np.float32)],
    "last_batch.real_logits": [np.zeros(4, dtype=complex), np.array(list("abcd"))],
    "atlas.iteration": [np.array([3, 3]), np.array([0, 60]), np.array([60.0, 3.0])],
    "atlas.image": [None, np.zeros((2, 96, 64), dtype=np.float16), np.zeros((1, 97, 64), dtype=np.float16)],
    "watched.iteration": [None, np.arange(15)],
    "watched.<b>": [np.zeros(15, dtype=np.float32)],
    "notes.a": [np.zeros(3)],
    "plain": [np.zeros(3)],
}


@pytest.mark.parametrize("name, array", [(name, array) for name, arrays in WRONG.items() for array in arrays])
def test_an_array_of_another_name_kind_or_shape_is_refused(name, array, content, tmp_path):
    arrays = {key: value for key, value in (content | {name: array}).items() if value is not None}
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(ValueError, match="is not a recorded run, or it is damaged") as refused:
        Trace.load(tmp_path / "run.npz")
    assert "\n" not in str(refused.value)


def test_a_small_file_does_not_fill_the_memory(content, tmp_path):
    entries = 30_000_000  # that is 1.3 GB in all
    with zipfile.ZipFile(tmp_path / "run.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in content.items():
            start = io.BytesIO()
            if name == "values.loss_g":
                np.lib.format.write_array_header_1_0(start, {"descr": "<f4", "fortran_order": False, "shape": (entries,)})
                with file.open(f"{name}.npy", "w") as entry:
                    entry.write(start.getvalue())
                    for _ in range(40):
                        entry.write(bytes(entries // 10))
            else:
                np.lib.format.write_array(start, array)
                file.writestr(f"{name}.npy", start.getvalue())
    assert (tmp_path / "run.npz").stat().st_size < 1e6
    tracemalloc.start()
    with pytest.raises(ValueError, match="is not a recorded run, or it is damaged"):
        Trace.load(tmp_path / "run.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_random_damages_are_refused_in_one_sentence_or_change_nothing(content, tmp_path):
    path, random, refused = written(tmp_path / "run.npz", content), np.random.default_rng(0), 0
    good, whole = path.read_bytes(), Trace.load(path)
    directory = good.index(b"PK\1\2")
    for number in range(400):
        damaged = bytearray(good)
        start = directory if number % 2 else 0  # zip's own table is where the delicate bytes are
        at = int(random.integers(start, len(good)))
        damaged[at] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged[:at] if number % 10 == 9 else damaged)
        try:
            assert same(Trace.load(path), whole)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and re.search("is not a recorded run, or it is damaged|newer version", str(error))
    assert refused > 200


def test_a_trace_that_no_run_leaves_behind_cannot_be_made_nor_saved(tmp_path):
    values = made_up(5).values
    wrong = [
        ({"recipe": "fast"}, "recipe must be a Recipe, not 'fast'"),
        ({"seed": "0"}, "seed must be a whole number, not '0'"),
        ({"values": {"loss_g": values["loss_g"]}}, "values must hold loss_g, loss_d"),
        ({"values": [1, 2]}, "values must be a dict of arrays, not"),
        ({"values": {name: [1.0] for name in QUANTITIES}}, "values must be a dict of arrays, not"),
        ({"values": values | {"loss_d": np.zeros(4, dtype=np.float32)}}, r"must be float32 of shape \(5\), not .* \(4,\)"),
        ({"width": np.full(5, 2)}, "low and high must have one entry"),
        ({"width": 5}, "width must be an array, not 5"),
        ({"last_batch": {"z": values["loss_g"]}}, "last_batch must hold z, real_logits, fake_logits, not"),
        ({"provenance": {"torch": 2}}, "provenance must be a dict of texts"),
        ({"watched": {"iteration": np.arange(1, 3), "a": np.zeros(3, dtype=np.float32)}}, "watched's a must be float32"),
    ]
    for change, sentence in wrong:
        with pytest.raises((ValueError, TypeError), match=sentence):
            Trace(**{"recipe": Recipe(), "seed": 0, "values": values} | change)
    trace = made_up(5)
    trace.provenance["cap"] = 5
    with pytest.raises(ValueError, match="provenance must be"):
        trace.save(tmp_path / "new" / "run.npz")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_of_a_trace_are_refused(tmp_path):
    trace = made_up(50)
    for call, sentence in (
        (lambda: trace.envelope("accuracy"), "quantity must be one of loss_g, .* not 'accuracy'"),
        (lambda: trace.thin(keep=0), "keep must be at least 1, not 0"),
        (lambda: trace.thin(buckets=-1), "buckets must be at least 1, not -1"),
        (lambda: trace.thin(keep=1.5), "keep must be a whole number, not 1.5"),
        (lambda: trace.save(5), "path must be a path, not 5"),
        (lambda: trace.save(tmp_path), "path must be the path of a file"),
        (lambda: Trace.load(None), "path must be a path, not None"),
        (lambda: Trace.load(tmp_path), "path must be the path of a file"),
        (lambda: Trace.load("a\0b"), "path must be the path of a file"),
    ):
        with pytest.raises((ValueError, TypeError), match=sentence):
            call()


def test_a_trace_can_be_copied():
    trace = made_up(5)
    assert same(copy.deepcopy(trace), trace)


def test_every_recording_of_the_repository_loads():
    paths = sorted(DATA.rglob("*.npz"))
    assert len(paths) >= 182 and all(Trace.load(path).iterations for path in paths)
