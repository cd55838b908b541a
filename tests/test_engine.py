"""The page's engine, site/lab/engine.wasm, held to utils.training: one step on the same weights and batch, the cliff to the
last bit, the distribution of lives, survival. Runs in wasmtime: no browser and no Node.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from utils.hazard import cliffs
from utils.losses import LOSSES
from utils.sweep import recorded
from utils.training import GAN, Recipe

ROOT = Path(__file__).parent.parent
FOLDER, VIEW = ROOT / "site" / "lab", ROOT / "utils" / "lab" / "view"
NUMBER = {"matlab": 0, "logits": 1, "bce": 2, "epsilon": 3}  # of the losses, in the engine
UNREACHABLE = re.compile(r"E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|NETUNREACH|HOSTUNREACH)|SOCKET_TIMEOUT")
FIRST_LIVES = [11, 15, 15, 18, 9, 13, 15, 15, 11, 14]  # at 1e-3, of seeds 0 to 9, here and in every browser


class Engine:
    """engine.wasm with its arrays as numpy's."""

    def __init__(self, batch: int = 64, latent: int = 1, loss: str = "matlab"):
        wasmtime = pytest.importorskip("wasmtime", reason="wasmtime is not installed: pip install -e .[test]")
        self.store = wasmtime.Store()
        module = wasmtime.Module(self.store.engine, (FOLDER / "engine.wasm").read_bytes())
        assert not list(module.imports)
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.batch, self.padded, self.latent = batch, -(-batch // 8) * 8, latent
        self.call("setup", batch, latent)
        self.choose(loss)

    def choose(self, loss: str) -> None:
        self.exports["loss"].set_value(self.store, NUMBER[loss])

    def call(self, name: str, *values):
        return self.exports[name](self.store, *values)

    def value(self, name: str):
        return self.exports[name].value(self.store)

    def get(self, name: str, *shape: int) -> np.ndarray:
        start = self.value(name)
        raw = self.exports["memory"].read(self.store, start, start + 4 * int(np.prod(shape)))
        return np.frombuffer(raw, np.float32).reshape(shape).copy()

    def put(self, name: str, values) -> None:
        self.exports["memory"].write(self.store, np.ascontiguousarray(values, np.float32).tobytes(), self.value(name))

    def state(self) -> bytes:
        start = self.value("state")
        return bytes(self.exports["memory"].read(self.store, start, start + self.value("stateBytes")))

    def logits(self) -> np.ndarray:
        """(2, batch): of the real and of the generated samples."""
        return self.get("logits", 2, self.padded)[:, : self.batch]

    def step(self, lr: float) -> int:
        """One iteration; 0, or which loss is not finite: 1 D's, 2 G's, 3 both."""
        self.call("draw")
        broken = self.call("forward")
        if not broken:
            self.call("update", lr, 1, 1)
        return broken

    def life(self, seed: int, lr: float, most: int = 200) -> tuple[int | None, int]:
        """(iteration of the first loss that is not finite or None, which)."""
        self.call("start", seed)
        for iteration in range(1, most + 1):
            broken = self.step(lr)
            if broken:
                return iteration, broken
        return None, 0


@pytest.fixture(scope="module")
def engine():
    return Engine()


def layout(tensors) -> list[np.ndarray]:
    """torch's weights or gradients of G, then of D, as the engine lays them out."""
    parts = [tensor.detach().numpy() for tensor in tensors]
    parts[2] = parts[2].T  # G's second layer
    return [part.ravel() for part in parts]


def shared(loss: str, batch: int, latent: int, steps: int) -> tuple[GAN, Engine, torch.Tensor, torch.Tensor]:
    """A GAN some steps old, the engine with the same weights and batch, and that batch: real samples and latents."""
    gan, engine = GAN(Recipe(lr=1e-3, batch=batch, latent=latent, loss="logits"), seed=3), Engine(batch, latent, loss)
    for _ in range(steps):
        gan.step()
    real = gan.data.samples[torch.randint(len(gan.data.samples), (batch,), generator=gan.random)]
    z = gan.latents(batch, gan.random)
    engine.call("start", 0)
    engine.put("weights", np.concatenate(layout([*gan.weights_g, *gan.weights_d])))
    engine.put("samples", real)
    engine.put("z", z)
    return gan, engine, real, z


def flat(engine: Engine, name: str, sizes: list[int]) -> list[np.ndarray]:
    return np.split(engine.get(name, sum(sizes)), np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("loss", NUMBER)
@pytest.mark.parametrize("batch, latent, steps", [(64, 1, 0), (64, 1, 8), (10, 16, 3)])
def test_one_step_on_the_same_weights_and_batch_is_torchs(loss, batch, latent, steps):
    gan, engine, real, z = shared(loss, batch, latent, steps)
    real_logits, fake_logits = gan.discriminator(real), gan.discriminator(gan.generator(z))
    loss_d, loss_g = LOSSES[loss](real_logits, fake_logits)
    gradients_g = torch.autograd.grad(loss_g, gan.weights_g, retain_graph=True)
    gradients = layout([*gradients_g, *torch.autograd.grad(loss_d, gan.weights_d)])

    assert engine.call("forward") == 0
    logits = torch.stack([real_logits, fake_logits]).detach().numpy()
    np.testing.assert_allclose(engine.logits(), logits, rtol=0, atol=3e-6 * np.abs(logits).max())
    np.testing.assert_allclose([engine.value("lossD"), engine.value("lossG")], [loss_d.item(), loss_g.item()], rtol=1e-5)
    scores = torch.sigmoid(real_logits).mean().item(), torch.sigmoid(fake_logits).mean().item()
    np.testing.assert_allclose([engine.value("scoreReal"), engine.value("scoreFake")], scores, rtol=1e-5)

    sizes = [part.size for part in gradients]
    before = flat(engine, "weights", sizes)
    engine.call("update", 1e-3, 1, 1)
    ours = flat(engine, "gradients", sizes)
    for mine, theirs in zip(ours, gradients):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())

    # Adam on the engine's own gradients: an entry near 0 may have another sign there, and its first step is the full rate
    for start, gradient, after in zip(before, ours, flat(engine, "weights", sizes)):
        weight = torch.nn.Parameter(torch.from_numpy(start.copy()))
        weight.grad = torch.from_numpy(gradient)
        torch.optim.Adam([weight], lr=1e-3, betas=(0.5, 0.999), fused=True).step()
        np.testing.assert_allclose(after, weight.detach().numpy(), rtol=0, atol=2e-7)


def test_ten_steps_of_adam_are_torchs():
    engine = Engine()
    engine.call("start", 1)
    sizes = [512, 512, 512 * 64, 64, 2048 * 64, 2048, 2048, 1]
    weight = torch.nn.Parameter(torch.from_numpy(engine.get("weights", sum(sizes))))
    adam = torch.optim.Adam([weight], lr=1e-4, betas=(0.5, 0.999), fused=True)
    for _ in range(10):
        assert engine.step(1e-4) == 0
        weight.grad = torch.from_numpy(engine.get("gradients", sum(sizes)))
        adam.step()
    np.testing.assert_allclose(engine.get("weights", sum(sizes)), weight.detach().numpy(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("d, g", [(1, 0), (0, 1)])
def test_only_one_network_moves_when_only_that_is_asked_for(d, g):
    engine = Engine()
    engine.call("start", 0)
    count_g, count_d = 512 * 2 + 512 * 64 + 64, 2048 * 66 + 1
    before = engine.get("weights", count_g + count_d)
    engine.call("draw")
    engine.call("forward")
    engine.call("update", 1e-3, d, g)
    moved = engine.get("weights", count_g + count_d) != before
    assert (moved[:count_g].mean() > 0.5) == bool(g) and (moved[count_g:].mean() > 0.5) == bool(d)
    assert moved[:count_g].any() == bool(g) and moved[count_g:].any() == bool(d)


def test_a_batch_that_fills_no_vector_draws_no_padding_into_the_loss():
    """Batch 10 is padded to 16: what is added must not count."""
    engine = Engine(10)
    engine.call("start", 0)
    engine.call("draw")
    engine.call("forward")
    real, fake = (torch.from_numpy(row) for row in engine.logits())
    loss_d, loss_g = LOSSES["matlab"](real, fake)
    np.testing.assert_allclose([engine.value("lossD"), engine.value("lossG")], [loss_d, loss_g], rtol=1e-6)


# ---- the head


def test_the_cliffs_are_float32s_to_the_last_bit(engine):
    engine.choose("matlab")
    lowest, highest = (np.float32(value) for value in cliffs())
    for last, outwards, real in ((highest, np.float32(np.inf), 0), (lowest, np.float32(-np.inf), 1)):
        assert np.isfinite(engine.call("head", float(last), real))
        assert not np.isfinite(engine.call("head", float(np.nextafter(last, outwards)), real))
    assert np.nextafter(highest, np.float32(np.inf)) == np.float32(24 * np.log(2))  # 16.6355324


def test_zeros_and_infinities_are_torchs_on_40002_logits(engine):
    x = np.concatenate([np.linspace(-110, 40, 20_001), np.linspace(15, 18, 20_001)]).astype(np.float32)
    score = torch.sigmoid(torch.from_numpy(x))
    ours = np.array([engine.call("sigmoid", value) for value in x.tolist()], np.float32)
    assert ((ours == 0) == (score == 0).numpy()).all() and ((ours == 1) == (score == 1).numpy()).all()
    engine.choose("matlab")
    for real, values in ((1, -torch.log(score)), (0, -torch.log(1 - score))):
        heads = np.array([engine.call("head", value, real) for value in x.tolist()], np.float32)
        assert (np.isinf(heads) == np.isinf(values.numpy())).all()
        assert ((heads == 0) == (values == 0).numpy()).all()
        finite = np.isfinite(heads)
        np.testing.assert_allclose(heads[finite], values.numpy()[finite], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", NUMBER)
def test_each_loss_and_its_slope_are_torchs_at_any_logit(engine, loss):
    engine.choose(loss)
    x = torch.linspace(-120, 120, 961, dtype=torch.float32, requires_grad=True)
    zero = torch.zeros(1)
    (at_zero,) = LOSSES[loss](zero, zero)[1:]
    as_fake = torch.stack([LOSSES[loss](zero, value[None])[0] for value in x]) - at_zero  # less what the real half adds
    as_real = torch.stack([LOSSES[loss](zero, value[None])[1] for value in x])
    for real, values in ((0, as_fake), (1, as_real)):
        (slopes,) = torch.autograd.grad(values.sum(), x, retain_graph=True)
        for value, expected, slope in zip(x.tolist(), values.tolist(), slopes.tolist()):
            mine = engine.call("head", value, real)
            if not np.isfinite(expected):
                assert mine == expected
                continue
            assert mine == pytest.approx(expected, rel=1e-5, abs=2e-6), (loss, real, value)
            assert engine.value("slope") == pytest.approx(slope, rel=1e-5, abs=1e-7), (loss, real, value)


# ---- whole runs


def test_lives_at_1e_3_have_torchs_distribution():
    """200 lives of the engine against the 100 recorded ones of torch; D's loss breaks first in all."""

    def run(seeds: range) -> list[tuple]:
        engine = Engine()
        return [engine.life(seed, 1e-3) for seed in seeds]

    with ThreadPoolExecutor(2) as pool:  # WebAssembly runs without Python's lock
        halves = pool.map(run, (range(100), range(100, 200)))
        lives, broken = zip(*(life for half in halves for life in half))
    theirs = [trace.nan_at for trace in recorded("pulses_lr1e-3")]
    assert list(lives[:10]) == FIRST_LIVES
    assert set(broken) == {1}
    assert abs(np.mean(lives) - np.mean(theirs)) < 1.2  # three standard errors of the difference
    assert stats.mannwhitneyu(lives, theirs).pvalue > 0.01 and stats.ks_2samp(lives, theirs).pvalue > 0.01


def test_the_logits_loss_survives_where_the_naive_one_dies():
    assert Engine(loss="logits").life(0, 1e-3, 400) == (None, 0)


@pytest.mark.parametrize("loss", ["bce", "epsilon"])
def test_the_masks_leave_a_run_finite_and_dead(loss):
    engine = Engine(loss=loss)
    assert engine.life(2, 1e-3, 150) == (None, 0)
    assert engine.value("pulled") == 0  # no generated sample pulls at G any more


def test_a_run_repeats_to_the_last_bit_and_a_checkpoint_leads_back(engine):
    engine.choose("matlab")
    states = []
    for _ in range(2):
        engine.call("start", 7)
        for iteration in range(10):
            if iteration == 6:
                kept = engine.state()
            engine.step(1e-3)
        states.append(engine.state())
    assert states[0] == states[1] and len(states[0]) > 2_000_000
    engine.exports["memory"].write(engine.store, kept, engine.value("state"))
    for _ in range(4):
        engine.step(1e-3)
    assert engine.state() == states[0]


# ---- the committed bytes


def test_the_committed_engine_was_compiled_from_the_committed_source():
    build = runpy.run_path(str(FOLDER / "build.py"))
    note = json.loads((FOLDER / "engine.json").read_text())
    compiled = (FOLDER / "engine.wasm").read_bytes()
    assert note == {"sources": build["sources"](), "engine.wasm": hashlib.sha256(compiled).hexdigest()}
    assert len(compiled) < 10_000
    assert len((FOLDER / "engine.ts").read_text().splitlines()) <= 300


@pytest.fixture(scope="module")
def compilers(tmp_path_factory):
    """A copy of the page and the view, with the two compilers that package.json names."""
    if not shutil.which("npm"):
        if os.environ.get("CI"):
            pytest.fail("no npm: .ci/run installs it")
        pytest.skip("no npm here, so nothing is compiled again; the committed bytes are tested all the same")
    root = tmp_path_factory.mktemp("compilers")
    for folder in (FOLDER, VIEW):
        unwanted = shutil.ignore_patterns("node_modules", "index.html", "__pycache__")
        shutil.copytree(folder, root / folder.relative_to(ROOT), ignore=unwanted)
    fetch = ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=30000"]
    fetched = subprocess.run(fetch, cwd=root / "site" / "lab", capture_output=True, text=True)
    if fetched.returncode and UNREACHABLE.search(fetched.stderr):
        pytest.skip(f"npm cannot fetch the compilers ({UNREACHABLE.search(fetched.stderr)[0]}), so nothing is compiled again")
    assert fetched.returncode == 0, f"npm ci failed, and not for want of a network:\n{fetched.stdout}{fetched.stderr}"
    return root / "site" / "lab"


def test_compiling_the_engine_again_gives_the_same_bytes(compilers):
    (compilers / "engine.wasm").unlink()
    ended = subprocess.run(["npm", "run", "build"], cwd=compilers, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (compilers / "engine.wasm").read_bytes() == (FOLDER / "engine.wasm").read_bytes()


def test_the_types_of_the_page_and_the_view_hold(compilers):
    ended = subprocess.run(["npm", "run", "types"], cwd=compilers, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_committed_page_is_what_a_fresh_build_gives():
    build = runpy.run_path(str(FOLDER / "build.py"))
    committed, fresh = (build["unpacked"](page) for page in (build["PAGE"].read_text(), build["page"]()))
    assert committed == fresh, "site/lab/index.html is older than what it is built from: make lab-page"
