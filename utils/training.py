"""GAN (networks, optimisers, random state; .step()) and train(), which turns a Recipe into a Trace.

Uses everything above it: data, networks, losses, recipe, trace.
"""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from utils import data
from utils.losses import LOSSES, slope, smoothed, wgan_gp, zero_centred
from utils.networks import Discriminator, Generator
from utils.recipe import Recipe, whole
from utils.trace import ATLAS_Z, QUANTITIES, Trace, provenance, replacing

__all__ = ["GAN", "Recipe", "Step", "one_thread", "train"]

# The number of threads is torch's own for each Python thread; a new one starts with the number that was set last.
_running, _threads_before, _here, _lock = 0, 1, threading.local(), threading.Lock()


@contextlib.contextmanager
def one_thread():
    """One torch thread inside, the old number afterwards; may be nested, and entered in several Python threads at once.

    The networks here are small: one thread is faster than two, and the bits do not depend on the user's number.
    """
    global _running, _threads_before
    if getattr(_here, "inside", False):
        yield
        return
    with _lock:
        before = torch.get_num_threads()
        if _running == 0:
            _threads_before = before
        elif before == 1:  # a Python thread that started during another run found that run's number
            before = _threads_before
        _running += 1
        torch.set_num_threads(1)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        with _lock:
            _running -= 1
            torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Step:
    """What one iteration computed, before the weights moved.

    row is the iteration's entry in a Trace, in the order of QUANTITIES; z is (batch, latent), real and fake are
    (batch, dimension), the logits (batch,); the losses are scalars that still carry their graph.
    """

    row: list[float]
    z: torch.Tensor
    real: torch.Tensor
    fake: torch.Tensor
    real_logits: torch.Tensor
    fake_logits: torch.Tensor
    loss_d: torch.Tensor
    loss_g: torch.Tensor

    @property
    def finite(self) -> bool:
        """Are both losses finite?"""
        return math.isfinite(self.row[0]) and math.isfinite(self.row[1])


class GAN:
    """The two networks, their optimisers and the one random generator a run draws from."""

    def __init__(self, recipe: Recipe, seed: int = 0):
        if not isinstance(recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, not {recipe!r}")
        whole("seed", seed, at_least=0)
        self.recipe, self.seed, self.iteration = recipe, seed, 0
        self.data = data.load(recipe.data)
        self.loss = LOSSES[recipe.loss]
        self.random = torch.Generator().manual_seed(seed)
        size, full_scale = self.data.dimension, self.data.full_scale
        self.generator = Generator(
            recipe.latent, size, full_scale, recipe.hidden_g, self.random, recipe.layers, recipe.bounded, recipe.grain
        )  # fmt: skip
        self.discriminator = Discriminator(
            size, recipe.hidden_d, self.random, recipe.layers, full_scale if recipe.normalise else 1.0, recipe.spectral
        )  # fmt: skip
        self.weights_g, self.weights_d = tuple(self.generator.parameters()), tuple(self.discriminator.parameters())
        # fused: the same Adam in one pass over the weights, a tenth of the time of an iteration saved.
        adam = {"betas": (recipe.beta1, recipe.beta2), "fused": True}
        self.optimiser_g = torch.optim.Adam(self.weights_g, lr=recipe.lr, **adam)
        self.optimiser_d = torch.optim.Adam(self.weights_d, lr=recipe.lr * recipe.d_rate, **adam)
        self._lr = recipe.lr
        # The running average of G's weights draws the samples, but never plays.
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False) if recipe.ema else self.generator

    @property
    def lr(self) -> float:
        """The learning rate in force, G's, before warm-up and annealing; setting it takes effect at the next update."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = lr
        self._set_rates()

    def _set_rates(self) -> None:
        recipe, share = self.recipe, 1.0
        if recipe.warmup:
            share *= min(1.0, self.iteration / recipe.warmup)
        if recipe.anneal:
            share *= (1 + math.cos(math.pi * min(max(2 * self.iteration / recipe.anneal - 1, 0.0), 1.0))) / 2
        start = min(1.0, self.iteration / recipe.head_start) if recipe.head_start else 1.0
        self.optimiser_g.param_groups[0]["lr"] = share * start * self._lr
        self.optimiser_d.param_groups[0]["lr"] = share * self._lr * recipe.d_rate

    def latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """`count` latents (count, latent) drawn from the recipe's prior; a recipe with grain adds a column an output."""
        if self.recipe.prior == "normal":
            z = torch.randn(count, self.recipe.latent, generator=random)
        else:
            z = math.sqrt(3) * (2 * torch.rand(count, self.recipe.latent, generator=random) - 1)  # variance 1 too
        if self.recipe.grain:
            z = torch.cat([z, torch.randn(count, self.data.dimension, generator=random)], 1)
        return z

    def forward(self) -> Step:
        """Draw a batch and latents, and compute logits and losses: one forward pass serves both networks."""
        samples, recipe = self.data.samples, self.recipe
        real = samples[torch.randint(len(samples), (recipe.batch,), generator=self.random)]
        z = self.latents(recipe.batch, self.random)
        fake = self.generator(z)
        shown_real, shown_fake = self._shown(real), self._shown(fake)
        if recipe.penalty == "none":
            real_logits, fake_logits = self.discriminator(shown_real), self.discriminator(shown_fake)
            loss_d, loss_g = self._losses(real_logits, fake_logits)
        else:
            # One pass over both halves, so that one more backward pass gives D's slope at all of them.
            shown = torch.cat([shown_real, shown_fake])
            logits = self.discriminator(shown)
            real_logits, fake_logits = logits.split(recipe.batch)
            loss_d, loss_g = self._losses(real_logits, fake_logits)
            loss_d = loss_d + recipe.gamma * self._penalty(shown, logits)
        self.iteration += 1
        row = _row(z, real_logits.detach(), fake_logits.detach(), loss_d.detach(), loss_g.detach())
        return Step(row, z, real, fake, real_logits, fake_logits, loss_d, loss_g)

    def _shown(self, samples: torch.Tensor) -> torch.Tensor:
        """What D reads of `samples`: themselves, or with the recipe's noise."""
        if not self.recipe.noise:
            return samples
        return samples + self.recipe.noise * self.data.full_scale * torch.randn(samples.shape, generator=self.random)

    def _losses(self, real_logits: torch.Tensor, fake_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flipped = None
        if self.recipe.flips:
            flipped = torch.rand(len(real_logits), generator=self.random) < self.recipe.flips
        if self.recipe.smoothing:
            return smoothed(self.loss, real_logits, fake_logits, self.recipe.smoothing, flipped)
        return self.loss(real_logits, fake_logits, flipped)

    def _penalty(self, shown: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The recipe's penalty on D's slope; `shown` (2 batch, dimension) are the real, then the generated samples."""
        unit, real = self.discriminator.unit, self.recipe.batch
        if self.recipe.penalty.startswith("wgan-gp"):
            safe = self.recipe.penalty == "wgan-gp"
            return wgan_gp(self.discriminator, shown[:real], shown[real:], self.random, unit, safe)
        slopes = slope(logits, shown, unit)
        r1, r2 = zero_centred(slopes[:real]), zero_centred(slopes[real:])
        return {"r1": r1, "r2": r2, "r1+r2": r1 + r2}[self.recipe.penalty]

    def update(self, step: Step, d: bool = True, g: bool = True) -> None:
        """Move the weights of D and of G by the gradients of `step`, whatever these are: nobody checks for NaN here."""
        if self.recipe.warmup or self.recipe.head_start or self.recipe.anneal:
            self._set_rates()
        alternating = self.recipe.alternating
        # Both gradients are taken before either network moves, a simultaneous update, unless the recipe alternates.
        if d:
            gradients_d = torch.autograd.grad(step.loss_d, self.weights_d, retain_graph=g)
        if g and not alternating:
            gradients_g = torch.autograd.grad(step.loss_g, self.weights_g)
        if d:
            _apply(self.optimiser_d, self.weights_d, gradients_d, self.recipe.clip)
        if g and alternating:
            _, loss_g = self.loss(self.discriminator(self._shown(step.real)), self.discriminator(self._shown(step.fake)))
            gradients_g = torch.autograd.grad(loss_g, self.weights_g)
        if g:
            _apply(self.optimiser_g, self.weights_g, gradients_g, self.recipe.clip)
        if self.averaged is not self.generator:
            with torch.no_grad():
                torch._foreach_lerp_(list(self.averaged.parameters()), self.weights_g, 1 - self.recipe.ema)

    def step(self) -> Step:
        """One iteration."""
        with one_thread():
            step = self.forward()
            self.update(step)
        return step

    @torch.no_grad()
    def sample(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What G draws at latents z (count, latent), and D's logits for it: (count, dimension) and (count,)."""
        samples = self.generator(z)
        return samples, self.judge(samples)

    @torch.no_grad()
    def judge(self, samples: torch.Tensor) -> torch.Tensor:
        """D's logits (count,) for samples (count, dimension); nothing is changed."""
        # In training mode, D's spectral norm would take a step of its power iteration.
        self.discriminator.eval()
        try:
            return self.discriminator(samples)
        finally:
            self.discriminator.train()

    @torch.no_grad()
    def draw(self, count: int, seed: int = 0) -> torch.Tensor:
        """`count` samples (count, dimension) from G, or from its running average, at latents of their own seed."""
        return self.averaged(self.latents(count, torch.Generator().manual_seed(seed)))

    def atlas(self, direction: torch.Tensor | None = None) -> tuple[np.ndarray, np.ndarray]:
        """G's samples (97, dimension) and D's logits (97,) at latents ATLAS_Z times `direction`, a unit vector (latent,).

        With a latent of one number that is everything G can draw; the default direction is the first axis.
        """
        if direction is None:
            direction = torch.eye(self.recipe.latent + (self.data.dimension if self.recipe.grain else 0))[0]
        samples, logits = self.sample(torch.from_numpy(ATLAS_Z)[:, None] * direction)
        return samples.numpy(), logits.numpy()

    def guarded(self) -> tuple[list, tuple[str, ...]]:
        """What an iteration changes, for nanguard: networks, optimisers and generator; and the attributes that count."""
        average = [] if self.averaged is self.generator else [self.averaged]
        networks = [self.generator, self.discriminator, *average]
        return [*networks, self.optimiser_g, self.optimiser_d, self.random], ("iteration", "_lr")

    def state(self) -> dict:
        """Everything that the next iteration depends on, as tensors and numbers."""
        return {
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "iteration": self.iteration,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "averaged": self.averaged.state_dict() if self.recipe.ema else {},
            "lr": self._lr,
            "random": self.random.get_state(),
        }

    def load_state(self, state: dict) -> None:
        """Go back (or forward) to a state of the same recipe and seed; ValueError for another one's."""
        if (state["recipe"], state["seed"]) != (asdict(self.recipe), self.seed):
            raise ValueError(f"that state belongs to {Recipe(**state['recipe'])} with seed {state['seed']}, not to this run")
        self.iteration = state["iteration"]
        for name in ("generator", "discriminator", "optimiser_g", "optimiser_d"):
            # a copy: an optimiser would go on writing into the tensors that it is given
            getattr(self, name).load_state_dict(copy.deepcopy(state[name]))
        if self.recipe.ema:
            self.averaged.load_state_dict(state["averaged"])
        self._lr = state["lr"]
        self.random.set_state(state["random"])


def _row(z, real_logits, fake_logits, loss_d, loss_g) -> list[float]:
    """One entry of a Trace, in the order of QUANTITIES."""
    real_score, fake_score = torch.sigmoid(real_logits).mean(), torch.sigmoid(fake_logits).mean()
    fake_min, fake_max = fake_logits.aminmax()
    real_min, real_max = real_logits.aminmax()
    z_max = z[fake_logits.argmax()]
    z_max = z_max[0] if len(z_max) == 1 else z_max.norm()
    score_d = (real_score + 1 - fake_score) / 2
    return torch.stack([loss_g, loss_d, fake_score, score_d, fake_max, fake_min, real_max, real_min, z_max]).tolist()


def _apply(optimiser, weights, gradients, clip: float) -> None:
    for weight, gradient in zip(weights, gradients):
        weight.grad = gradient
    if clip:
        torch.nn.utils.clip_grad_norm_(weights, clip)
    optimiser.step()


def train(
    recipe: Recipe | GAN,
    iterations: int,
    seed: int = 0,
    *,
    stop: Callable[[], bool] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    atlas_at: Iterable[int] = (),
    watch: dict[str, Callable[[GAN], float]] | None = None,
    watch_every: int = 4,
    progress: bool = True,
) -> Trace:
    """Train until the first loss that is not finite, for at most `iterations`, and return what was recorded.

    recipe              a Recipe, or a GAN to go on with (its own seed counts then)
    stop                asked after each iteration; True ends the run
    checkpoint          file that keeps the unfinished run, written every `checkpoint_seconds`; a run that finds it there
                        goes on from it, to the last bit as if it had never stopped
    atlas_at            iterations whose atlas of G is kept; the last iteration's always is
    watch               {name: function(gan)} asked before iterations 1, 1 + watch_every ..., with the weights that
                        these use; the answers stand in trace.watched. A function must not change the GAN.
    progress            show a bar on runs that last longer than two seconds

    The iteration with the broken loss is recorded, and its update made.
    KeyboardInterrupt ends the run like `stop` and returns the Trace so far.
    Raises ValueError or TypeError for an argument no run can have, before any work starts.
    """
    whole("iterations", iterations, at_least=1)
    whole("watch_every", watch_every, at_least=1)
    gan = recipe if isinstance(recipe, GAN) else GAN(recipe, seed)
    recorder = _Recorder(gan, set(atlas_at), watch or {})
    if checkpoint is not None and Path(checkpoint).is_file():
        recorder.resume(Path(checkpoint))
    saved = time.monotonic()
    bar = tqdm(
        total=iterations, initial=recorder.count, delay=2, mininterval=0.5, leave=False, unit=" iterations",
        disable=not progress,
    )  # fmt: skip
    try:
        while recorder.count < iterations and not recorder.broken:
            if watch and recorder.count % watch_every == 0:
                recorder.look()
            step = gan.forward()
            recorder.record(step)
            gan.update(step)
            if recorder.count % 64 == 0:
                bar.update(recorder.count - bar.n)
                if checkpoint is not None and time.monotonic() - saved > checkpoint_seconds:
                    recorder.save(Path(checkpoint))
                    saved = time.monotonic()
            if stop is not None and stop():
                break
    except KeyboardInterrupt:
        pass
    finally:
        bar.close()
    return recorder.trace()


class _Recorder:
    """Collects the rows of one run, and writes and reads its checkpoint."""

    def __init__(self, gan: GAN, atlas_at: set[int], watch: dict[str, Callable[[GAN], float]]):
        self.gan, self.atlas_at, self.watch = gan, atlas_at, watch
        self.rows = np.empty((1024, len(QUANTITIES)), dtype=np.float32)
        self.count, self.broken, self.last = 0, False, None
        self.atlases: list[tuple[int, np.ndarray, np.ndarray]] = []
        self.looks: list[list[float]] = []  # the iteration, then what each function of `watch` said

    def look(self) -> None:
        self.looks.append([self.gan.iteration + 1, *(function(self.gan) for function in self.watch.values())])

    def record(self, step: Step) -> None:
        if self.count == len(self.rows):  # twice the room
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[self.count] = step.row
        self.count, self.last, self.broken = self.count + 1, step, not step.finite
        if self.broken or self.gan.iteration in self.atlas_at:
            self.keep_atlas()

    def keep_atlas(self) -> None:
        loudest = self.last.z[self.last.fake_logits.argmax()]
        direction = None if len(loudest) == 1 else loudest / loudest.norm()
        # float16 is plenty for a picture; what overflows it is off the colour scale anyway.
        samples, logits = self.gan.atlas(direction)
        with np.errstate(over="ignore"):
            self.atlases.append((self.gan.iteration, samples.astype(np.float16), logits))

    def trace(self) -> Trace:
        """The Trace so far; its last atlas is of the weights behind the last loss, or of those after it if it was finite."""
        values = {name: self.rows[: self.count, column].copy() for column, name in enumerate(QUANTITIES)}
        if self.last is None:
            return Trace(self.gan.recipe, self.gan.seed, values, provenance=provenance())
        if not self.atlases or self.atlases[-1][0] != self.gan.iteration:
            self.keep_atlas()
        last_batch = {name: getattr(self.last, name).detach().numpy().copy() for name in ("z", "real_logits", "fake_logits")}
        iteration, image, logit = (np.stack(part) for part in zip(*self.atlases))
        atlas = {"iteration": iteration, "image": image, "logit": logit}
        watched = {}
        if self.looks:
            iterations, *answers = zip(*self.looks)
            watched = {"iteration": np.array(iterations, dtype=np.int64)}
            watched |= {name: np.array(answer, dtype=np.float32) for name, answer in zip(self.watch, answers)}
        return Trace(
            self.gan.recipe, self.gan.seed, values, last_batch=last_batch, atlas=atlas, watched=watched,
            provenance=provenance(),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        atlases = [(iteration, torch.from_numpy(image), torch.from_numpy(logit)) for iteration, image, logit in self.atlases]
        rows = torch.from_numpy(self.rows[: self.count])
        with replacing(path) as unfinished:
            torch.save({"gan": self.gan.state(), "rows": rows, "atlases": atlases, "looks": self.looks}, unfinished)

    def resume(self, path: Path) -> None:
        try:
            saved = torch.load(path, weights_only=True)
            state, rows, atlases, looks = saved["gan"], saved["rows"], saved["atlases"], saved["looks"]
        except Exception as error:  # torch.load raises almost anything on a foreign file
            raise ValueError(f"{path} is not a checkpoint of a run, or it is damaged ({type(error).__name__})") from None
        self.gan.load_state(state)
        self.count, self.looks = len(rows), looks
        self.rows = np.concatenate([rows.numpy(), np.empty_like(self.rows)])
        self.atlases = [(iteration, image.numpy(), logit.numpy()) for iteration, image, logit in atlases]
