"""One live run for the view: a GAN with its history, its pictures, and the way back. Uses gan, hazard and autopsy.

A run repeats to the last bit, so its past is not kept: there are two checkpoints and a log of what was done since, and
going back is doing it again. What the messages hold is written in view/types.d.ts.
"""

from __future__ import annotations

import contextlib
import copy
import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch

from utils.autopsy import Explanation, explain
from utils.data import load
from utils.hazard import cliffs, hazard, tail_hazard
from utils.recipe import Recipe
from utils.trace import ATLAS_Z, QUANTITIES
from utils.training import GAN, Step, one_thread

BACK, SAMPLES, REALS = 40, 256, 64  # iterations that one can go back; samples of a batch that a picture holds at most
REST = 100  # times as long as the last look at hazard and pull took, until the next one: they take 1 % of the time at most
LOWEST, HIGHEST = cliffs()
NETWORKS = ("data", "latent", "hidden_g", "hidden_d", "layers", "normalise", "prior", "bounded", "grain", "spectral")


def about(tag: int, recipe: Recipe, settings: dict, title: str, **more) -> dict:
    """The Run message of a live or a recorded run, with what only the one or the other has in `more`."""
    data = load(recipe.data)
    naive, exact = recipe.loss == "matlab", recipe.latent == 1 and recipe.prior == "normal"  # only matlab's log can overflow
    exact = exact and not (recipe.grain or recipe.noise or recipe.smoothing or recipe.flips)
    naive_once = naive and not recipe.alternating  # or G's loss after D's step is one more chance, which no row tells of
    return {
        "type": "run", "run": tag, "settings": settings, "title": title, "dimension": data.dimension, "unit": data.unit,
        "real": data.samples[:REALS].numpy(), "most": float(data.samples.abs().max()),
        "recorded": False, "nanAt": None, "parent": None, "lr": recipe.lr, "averaged": bool(recipe.ema),
        "kind": {"pulses": "series", "digits": "image"}.get(recipe.data, "plane"),
        "low": LOWEST if naive else None, "high": HIGHEST if naive else None,
        "scores": recipe.loss in ("matlab", "logits", "bce", "epsilon", "clamp"), "signed": recipe.loss in ("hinge", "wgan"),
        "reach": 6.0 if recipe.prior == "normal" else min(6.0, (3 * recipe.latent) ** 0.5),
        "slice": recipe.latent > 1 or recipe.grain, "hazard": ("exact" if exact else "tail") if naive_once else None,
    } | more  # fmt: skip


class Run:
    """A GAN and what was done with it; `parent` is the run whose weights a fork goes on with, as that run now has them.

    The same recipe and seed give the rows that train() gives, to the last bit.
    """

    def __init__(self, tag: int, recipe: Recipe, settings: dict, title: str, parent: Run | None = None):
        self.tag, self.settings, self.gan, self.rates = tag, settings, GAN(recipe, settings["seed"]), []
        self.facts = about(tag, recipe, settings, title)
        if parent:
            self._inherit(parent.gan)
            self.facts |= {"parent": parent.tag, "forkedAt": self.gan.iteration + 1}
            self.rates = [[at, lr] for at, lr in parent.rates if at <= self.gan.iteration]  # from which iteration, which
        self.count = self.gan.iteration  # iterations made, the parent's included
        self.first = self.count + 1
        self._turn(recipe.lr)
        self.rows = array("f")  # of all iterations, in the order of QUANTITIES
        self.chance: float | None = None  # that a batch ends the run, at the last look
        self.next_look, self.sent = 0.0, 0  # sent: numbers of the rows that the view has
        self.pulls: deque[float] = deque(maxlen=16)  # of the generated samples looked at, the share that pulls at G
        self.verdict: dict | None = None
        self.log: dict[int, tuple] = {}  # of an iteration: the rate, and whether D and G moved
        self.past: dict[int, dict] = {}  # pictures of the last iterations, once somebody has asked for one
        self.states = deque([(self.count, copy.deepcopy(self.gan.state()))], maxlen=2)  # behind which iteration, and what
        self.shown = self._picture(None)

    def _inherit(self, other: GAN) -> None:
        """The state of a GAN with the same networks, under this one's own recipe."""
        recipe = self.gan.recipe
        averaged = other.averaged.state_dict() if recipe.ema else {}  # the generator itself, where nothing was averaged
        self.gan.load_state(other.state() | {"recipe": asdict(recipe), "averaged": averaged})
        for optimiser in (self.gan.optimiser_g, self.gan.optimiser_d):
            optimiser.param_groups[0]["betas"] = (recipe.beta1, recipe.beta2)
        self.gan.lr = recipe.lr

    @property
    def rewind(self) -> list[int] | None:
        """The first and the last iteration that one can go back to, if there are any."""
        return [max(self.first, self.count - BACK + 1), self.count] if self.count >= self.first else None

    # ---- iterations

    @one_thread()
    def advance(self, lr: float, wanted: int, d: bool = True, g: bool = True) -> None:
        """One iteration more, of both networks or of one; `wanted`: picture the weights before, 2: in haste, half the atlas."""
        self._turn(lr)
        if self.count % BACK == 0 and self.count > self.states[-1][0]:
            self.states.append((self.count, copy.deepcopy(self.gan.state())))
        self.past.clear()
        self.count += 1
        self.log[self.count] = lr, d, g
        self.log.pop(self.count - 2 * BACK, None)  # the older state is not that old
        self._compute(self.count, lambda step: self._note(step, wanted))

    def _compute(self, iteration: int, see: Callable[[Step], None] | None) -> None:
        """Do what the log says of an iteration; `see` is shown its batch, before the weights move."""
        self.gan.lr, d, g = self.log[iteration]
        step = self.gan.forward()
        if see:
            see(step)
        if step.finite:
            self.gan.update(step, d, g)

    def _turn(self, lr: float) -> None:
        if self.rates and self.rates[-1][0] > self.count:  # nothing was done at that rate
            self.rates.pop()
        if not self.rates or self.rates[-1][1] != lr:
            self.rates.append([self.count + 1, lr])

    def _note(self, step: Step, wanted: int) -> None:
        """The row of an iteration, and its picture if it is wanted or the last one."""
        self.rows.extend(step.row)
        if not step.finite:
            why = explain(step.real_logits.detach(), step.fake_logits.detach(), step.z, self.gan.recipe)
            self.verdict = verdict(self.count, why)
        if wanted or self.verdict:
            every = 1 if self.verdict else wanted
            if every == 1 or time.perf_counter() > self.next_look:
                self._look(step)
            self.shown = self._picture(step, every)

    def _look(self, step: Step) -> None:
        """How many samples pull at G, and the chance that a batch of these weights ends the run."""
        began = time.perf_counter()
        logits = step.fake_logits.detach().requires_grad_()
        (pull,) = torch.autograd.grad(self.gan.loss(step.real_logits.detach(), logits)[1], logits)
        self.pulls.append(float((len(pull) * pull.abs() > 1e-6).float().mean()))
        self.chance = self._chance()
        self.next_look = began + (REST + 1) * (time.perf_counter() - began)

    @property
    def dead(self) -> bool:
        """Finite but dead, as metrics.alive has it: of 16 batches at most 1 sample in 100 pulls at G."""
        return not self.verdict and len(self.pulls) == self.pulls.maxlen and np.mean(self.pulls) <= 0.01

    def _chance(self) -> float | None:
        """That a batch of the weights at hand ends the run; None where nobody can say."""
        with contextlib.suppress(ValueError):  # too few iterations for a tail
            kind = self.facts["hazard"]
            chance = hazard(self.gan) if kind == "exact" else self._tail() if kind else np.nan
            return float(chance) if np.isfinite(chance) else None

    def _tail(self) -> float:
        width, end = len(QUANTITIES), self.gan.iteration - self.first  # without the batch under way
        before = np.array(self.rows[max(end - 1000, 0) * width : end * width], np.float32).reshape(-1, width)
        recent = dict(zip(QUANTITIES, before.T))
        sides = [(recent["fake_max"], HIGHEST), (-recent["fake_min"], -LOWEST), (-recent["real_min"], -LOWEST)]
        if self.gan.recipe.smoothing or self.gan.recipe.flips:
            sides.append((recent["real_max"], HIGHEST))
        # a side that is far from its cliff has nothing to fit
        near = [(values, cliff) for values, cliff in sides if len(values) < 200 or values.max() > cliff / 4]
        return float(1 - np.prod([1 - tail_hazard(values, cliff, ahead=1) for values, cliff in near]))

    # ---- pictures

    @torch.no_grad()
    def _picture(self, step: Step | None, every: int = 1) -> dict:
        """A Picture: the batch of `step` (None: there is none yet) and the atlas of the same weights."""
        at, direction = self.gan.iteration, torch.eye(1, self.gan.columns)[0]
        end = self.verdict if self.verdict and self.verdict["iteration"] == at else None
        batch = dict.fromkeys(("z", "fakeLogits", "realLogits", "real", "fake"), torch.zeros(0))
        if step:
            batch, direction = self._batch(step, end, direction)
        picture = {"run": self.tag, "iteration": at, "atlasAt": at, "verdict": end, "chance": self.chance}
        picture |= batch | self._atlas(direction, every)
        return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in picture.items()}

    def _batch(self, step: Step, end: dict | None, direction: torch.Tensor) -> tuple[dict, torch.Tensor]:
        """A batch for a Picture, and the direction (columns,) of its atlas: of a wider latent a slice, through a sample."""
        gan, latent, z, logits = self.gan, self.gan.recipe.latent, step.z, step.fake_logits.detach()
        fatal, best, worst = {end["side"]: end["index"]} if end else {}, int(logits.argmax()), int(logits.argmin())
        fake, marked = gan.averaged(z) if gan.recipe.ema else step.fake.detach(), fatal.get("fake", best)
        batch = {
            "fakeLogits": logits, "realLogits": step.real_logits.detach(), "fake": fake,
            "real": step.real[: max(REALS, 1 + fatal.get("real", 0))],
        }  # fmt: skip
        if len(z) > SAMPLES:
            kept = torch.tensor(sorted({marked, best, worst, *range(SAMPLES - 3)}))
            batch |= {"fake": fake[kept], "fakeIndex": kept}
        if latent > 1:
            direction[:latent] = z[marked, :latent] / z[marked, :latent].norm()
            batch["lengths"] = z[:, :latent].norm(dim=1)
        return batch | {"z": z @ direction}, direction

    def _atlas(self, direction: torch.Tensor, every: int) -> dict:
        gan = self.gan
        along = torch.from_numpy(ATLAS_Z[::every]) * (self.facts["reach"] / 6)
        image = gan.averaged(along[:, None] * direction)
        if self.facts["kind"] != "plane":
            return {"image": image, "curve": gan.judge(image)}
        side = 1.5 * gan.data.full_scale
        grid = torch.cartesian_prod(*2 * [torch.linspace(-side, side, 32)]).flip(1)  # rows from the lowest y
        heat, box = gan.judge(grid), torch.tensor([-side, side, -side, side])
        return {"image": torch.zeros(0), "curve": gan.judge(image), "heat": heat, "box": box, "cloud": gan.draw(256)}

    # ---- messages

    def about(self) -> dict:
        """The Run message."""
        return self.facts | {"lr": self.rates[0][1]}

    def frame(self, lr: float, running: bool, everything: bool) -> dict:
        """A Frame: what is new since the last one, or everything; `lr` is what the slider says."""
        if self.count < self.first:
            self._turn(lr)
        rows = np.array(self.rows[0 if everything else self.sent :])
        self.sent = len(self.rows)
        state = "running" if running else "ended" if self.verdict else "paused" if self.count else "ready"
        return self.shown | {
            "type": "frame", "state": state, "rows": rows, "rates": self.rates,
            "rate": self.gan.rates(max(self.count, 1), self.rates[-1][1] if self.verdict else lr)[0],  # as a warm-up leaves G's
            "dead": bool(self.dead), "rewind": None if running else self.rewind,
        }  # fmt: skip

    # ---- going back

    @one_thread()
    def mend(self) -> None:
        """After an interrupt in the middle of an iteration: back behind the last one that has a row."""
        self.count = self.first - 1 + len(self.rows) // len(QUANTITIES)
        self.past.clear()
        self._again(self.count + 1, self.count)

    def _again(self, first: int, until: int, see: Callable[[Step], None] | None = None) -> None:
        """Do the iterations up to `until` once more; `see` is shown those from `first` on."""
        count, state = next(one for one in reversed(self.states) if one[0] < first)
        self.gan.load_state(state)
        for at in range(count + 1, until + 1):
            self._compute(at, see if at >= first else None)

    @one_thread()
    def moment(self, iteration: int) -> dict:
        """One of the last iterations as it was, as a Picture."""
        first, last = self.rewind

        def see(step: Step) -> None:
            self.past[self.gan.iteration] = self._picture(step) | {"chance": self._chance()}

        if not self.past:
            self._again(first, last, see)
        return self.past[min(max(iteration, first), last)]

    @one_thread()
    def fork(self, tag: int, iteration: int, recipe: Recipe, settings: dict, title: str) -> Run:
        """The weights before one of the last iterations once more, under another recipe, which ends this run.

        Raises ValueError if that recipe has other networks.
        """
        if other := [name for name in NETWORKS if getattr(recipe, name) != getattr(self.gan.recipe, name)]:
            raise ValueError(f"A fork keeps the networks and the data, and this fix changes {' and '.join(other)}.")
        at = min(max(iteration, self.rewind[0]), self.count)
        self._again(at, at - 1)
        return Run(tag, recipe, settings, f"{title}, forked at {at:,}", self)


def verdict(iteration: int, why: Explanation) -> dict:
    """A Verdict from an Explanation."""
    known = why.sample is not None and not np.isnan(why.logit)  # a NaN of the weights is no sample's doing
    side, index = ({"real": "real", "generated": "fake"}[why.of], why.sample) if known else (None, None)
    return {"iteration": iteration, "words": f"NaN at iteration {iteration:,}: {why.words}", "side": side, "index": index}
