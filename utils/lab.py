"""The learning-rate lab: a live widget on one GAN run, and the recorded runs behind a second tab.

Uses everything above it. Three parts: Run (the GAN and its history), View (the figure, as PNG bytes), Lab (the widgets
and the one thread that trains and draws). Only notebooks import this file.
"""

from __future__ import annotations

import io
import math
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from utils import data
from utils.hazard import cliffs
from utils.metrics import alive
from utils.plots import ATLAS_COLOURS, DISCRIMINATOR_COLOUR, GENERATOR_COLOUR
from utils.recipe import FIXES, RECOMMENDED, Recipe, rate_text, whole
from utils.sweep import DATA, recorded
from utils.trace import ATLAS_Z, QUANTITIES, Trace
from utils.training import GAN

BLUE, ORANGE, GREY = GENERATOR_COLOUR, DISCRIMINATOR_COLOUR, "#555555"  # grey: real samples
SPEEDS = {"slow motion": 0.4, "normal": None, "flat out": 0.0}  # seconds an iteration; normal accelerates
DUTY = 0.2  # the share of the time that drawing may take
# As wide as the page, but never so high that a projector cuts it off.
PICTURE_LAYOUT = {"width": "100%", "max_width": "1320px", "max_height": "70vh", "object_fit": "contain"}
MENU = FIXES | {"the combination": RECOMMENDED}  # one fix at a time, or what notebook 06 recommends
IN_TURN = 15.0  # seconds that Start runs for where no thread can update the view


LOWEST, HIGHEST = cliffs()


# ---- the run


@dataclass
class Picture:
    """What one frame shows: curves up to an iteration, a few samples, the atlas of G and the batch's draws on it.

    curves         {quantity: (x, y)}, already decimated
    real, fake     (count, dimension) in the data's unit; loudest is the row of `fake` with the largest logit, or None
    atlas          (97, dimension) samples and (97,) logits at ATLAS_Z
    z, logits      (batch,) the draws and D's logits for them; None where they were not recorded
    real_logits    (batch,) or None
    nan_at         iteration of the first loss that is not finite, if it is in the picture
    rare           how rare the draw with the largest logit is, in words
    """

    iteration: int
    curves: dict
    real: np.ndarray
    fake: np.ndarray
    loudest: int | None
    atlas: tuple[np.ndarray, np.ndarray]
    z: np.ndarray | None = None
    logits: np.ndarray | None = None
    real_logits: np.ndarray | None = None
    nan_at: int | None = None
    rare: str = ""


class Run:
    """One GAN and its history. The same recipe and seed give the rows that train() gives, to the last bit."""

    def __init__(self, recipe: Recipe, seed: int):
        self.gan = GAN(recipe, seed)
        self.rows = np.empty((len(QUANTITIES), 1024), dtype=np.float32)
        self.count, self.broken, self.verdict = 0, False, ""
        self.rates: list[float] = []
        self.shown: tuple | None = None

    def advance(self, lr: float, picture: bool, d: bool = True, g: bool = True) -> None:
        """One iteration at learning rate `lr`; `picture` keeps what Picture needs, from before the weights move."""
        gan = self.gan
        if not self.rates or self.rates[-1] != lr:
            self.rates.append(lr)
            gan.lr = lr
        step = gan.forward()
        if self.count == self.rows.shape[1]:  # twice the room
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)], axis=1)
        self.rows[:, self.count] = step.row
        self.count, self.broken = self.count + 1, not step.finite
        if picture or self.broken:
            worst = step.z[step.fake_logits.argmax()]
            # With a wider latent the atlas is a slice: along the draw with the largest logit.
            direction = None if len(worst) == 1 else worst / worst.norm()
            drawn = gan.averaged(step.z) if gan.recipe.ema else step.fake
            self.shown = step, gan.atlas(direction), drawn.detach().numpy()
        if self.broken:
            words = blame(step.real_logits.detach(), step.fake_logits.detach(), step.z, gan.recipe)
            self.verdict = f"NaN at iteration {self.count:,}: {words}"
        gan.update(step, d, g)

    def picture(self) -> Picture:
        """The run as it stands."""
        x = np.arange(1, self.count + 1)
        curves = {name: zigzag(x, row, row) for name, row in zip(QUANTITIES, self.rows[:, : self.count])}
        if self.shown is None:
            samples = self.gan.data.samples[:12].numpy()
            return Picture(0, curves, samples, samples[:0], None, self.gan.atlas())
        step, atlas, fake = self.shown
        logits, z = step.fake_logits.detach().numpy(), step.z
        z = (z[:, 0] if z.shape[1] == 1 else z.norm(dim=1)).numpy()
        nan_at = self.count if self.broken else None
        return Picture(
            self.count, curves, step.real.numpy(), fake, int(logits.argmax()), atlas,
            z, logits, step.real_logits.detach().numpy(), nan_at, rarity(step.z[logits.argmax()], self.gan.recipe.prior),
        )  # fmt: skip


def zigzag(x: np.ndarray, low: np.ndarray, high: np.ndarray, buckets: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 x buckets points through the lowest and highest value of each bucket, so that no spike is lost."""
    if len(x) <= 2 * buckets:
        return np.repeat(x, 2), np.stack([low, high], axis=1).ravel()
    # equal stretches of iterations, of which a thinned trace may leave some empty
    edges = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], buckets + 1)))[:-1]
    ends = np.append(edges[1:], len(x)) - 1
    pairs = np.stack([np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)], axis=1)
    return np.repeat(x[ends], 2), pairs.ravel()


def blame(real: torch.Tensor, fake: torch.Tensor, z: torch.Tensor, recipe: Recipe) -> str:
    """Which term of which sample made this loss not finite, in words, computed from D's logits for a batch, each (batch,).

    z are the latents (batch, latent) of the generated samples.
    """
    for name, logits in (("real", real), ("generated", fake)):
        if not logits.isfinite().all():
            sample = int((~logits.isfinite()).float().argmax())
            return f"D's logit for {name} sample {sample} is {logits[sample]:g}: the weights themselves overflowed."
    penalty = "" if recipe.penalty == "none" else f" or the penalty {recipe.penalty!r}"
    if recipe.loss != "matlab":
        lowest, highest = torch.cat([real, fake]).aminmax()
        return f"the loss {recipe.loss!r}{penalty} overflowed at logits from {lowest:.3g} to {highest:.3g}."
    terms = {
        "log(1 - D(G(z)))": (torch.log(1 - torch.sigmoid(fake)), fake, 1),
        "log D(G(z))": (torch.log(torch.sigmoid(fake)), fake, -1),
        "log D(x)": (torch.log(torch.sigmoid(real)), real, -1),
    }
    if recipe.smoothing or recipe.flips:  # D is also told that real samples are generated
        terms["log(1 - D(x))"] = (torch.log(1 - torch.sigmoid(real)), real, 1)
    for term, (values, logits, sign) in terms.items():
        broken = ~values.isfinite()
        if broken.any():
            sample = int((sign * logits).argmax())
            side = f"above {HIGHEST:.2f} float32 rounds D to 1"
            if sign < 0:
                side = f"below {LOWEST:.1f} float32 rounds D to 0"
            words = f"{term} of sample {sample} is {values[sample]:g}. Its logit is {logits[sample]:.1f}; {side}."
            if int(broken.sum()) > 1:
                words += f" The same happened to {int(broken.sum())} of the {len(values)} samples."
            if logits is fake:
                words += f" Its latent is {rarity(z[sample], recipe.prior)}."
            return words
    return f"no single term is infinite: their sum{penalty} overflowed."


def rarity(z: torch.Tensor, prior: str = "normal") -> str:
    """How rare a latent (latent,) is: how often a normal draw is at least that far out; of a bounded one, its bound."""
    length = float(z.double().norm())
    # the chi distribution; for a single number it is the two-sided tail of the normal one
    tail = float(torch.special.gammaincc(torch.tensor(len(z) / 2).double(), torch.tensor(length**2 / 2).double()))
    name = f"z = {float(z[0]):.2f}" if len(z) == 1 else f"|z| = {length:.2f}"
    if prior == "uniform":
        return f"{name}, of at most {math.sqrt(3 * len(z)):.2f}"
    return f"{name}, {f'1 draw in {1 / tail:,.0f}' if tail < 0.1 else f'1 draw in {1 / tail:.1f}'} is as far out"


def recorded_picture(trace: Trace, iteration: int) -> Picture:
    """A recorded run up to `iteration`: the latest atlas before it, and the last batch if it is the last iteration."""
    x = trace.iteration
    until = int(np.searchsorted(x, iteration)) + 1
    curves = {}
    for name in QUANTITIES:
        low, high = trace.envelope(name)
        curves[name] = zigzag(x[:until], low[:until], high[:until])
    at = max(int(np.searchsorted(trace.atlas["iteration"], iteration, side="right")) - 1, 0)
    image = trace.atlas["image"][at].astype(np.float32)
    usual = image[np.abs(ATLAS_Z) <= 2]  # what 95 of 100 draws look like
    picture = Picture(
        iteration, curves, data.load(trace.recipe.data).samples[:12].numpy(), usual[:: max(len(usual) // 12, 1)][:12],
        None, (image, trace.atlas["logit"][at]),
    )  # fmt: skip
    if iteration == trace.iterations:
        z = trace.last_batch["z"]
        picture.z = z[:, 0] if z.shape[1] == 1 else np.linalg.norm(z, axis=1)
        picture.logits, picture.real_logits = trace.last_batch["fake_logits"], trace.last_batch["real_logits"]
        picture.nan_at = trace.nan_at
        picture.rare = rarity(torch.from_numpy(z[picture.logits.argmax()]), trace.recipe.prior)
    return picture


def recorded_verdict(trace: Trace) -> str:
    """What blame() says of the last batch of a recorded run."""
    batch = {name: torch.from_numpy(array) for name, array in trace.last_batch.items()}
    words = blame(batch["real_logits"], batch["fake_logits"], batch["z"], trace.recipe)
    return f"NaN at iteration {trace.nan_at:,}: {words}"


# ---- the view

STYLE = {  # quantity: (axes, colour, line style, name)
    "loss_g": ("loss", BLUE, "-", "G"),
    "loss_d": ("loss", ORANGE, "--", "D"),
    "score_g": ("score", BLUE, "-", "G"),
    "score_d": ("score", ORANGE, "--", "D"),
    "fake_max": ("logit", BLUE, "-", "max generated"),
    "fake_min": ("logit", BLUE, ":", "min generated"),
    "real_min": ("logit", GREY, "--", "min real"),
}


class View:
    """The figure. What stands still is drawn once and kept as pixels; a frame redraws only what moves."""

    def __init__(self, recipe: Recipe, span: int = 16):
        self.recipe, self.dataset, self.span, self.background = recipe, data.load(recipe.data), span, None
        self.cliff = recipe.loss == "matlab"  # the only loss with a log that can overflow
        self.reach = 2 * self.dataset.full_scale
        self.widest = 6.0 if recipe.prior == "normal" else min(6.0, math.sqrt(3 * recipe.latent))  # the latents shown
        self.figure = Figure(figsize=(11, 5.2), dpi=120)
        self.canvas = FigureCanvasAgg(self.figure)
        left = self.figure.add_gridspec(3, 1, left=0.06, right=0.375, top=0.94, bottom=0.1, hspace=0.34)
        middle = self.figure.add_gridspec(2, 1, left=0.445, right=0.635, top=0.93, bottom=0.1, hspace=0.36)
        right = self.figure.add_gridspec(
            2, 2, left=0.705, right=0.985, top=0.93, bottom=0.1, hspace=0.12, wspace=0.06, width_ratios=[6, 1]
        )
        self.axes = {name: self.figure.add_subplot(left[row]) for row, name in enumerate(("loss", "score", "logit"))}
        self.axes |= {name: self.figure.add_subplot(middle[row]) for row, name in enumerate(("real", "fake"))}
        self.axes |= {"atlas": self.figure.add_subplot(right[0, 0]), "along": self.figure.add_subplot(right[1, 0])}
        self.axes["gauge"] = self.figure.add_subplot(right[1, 1])
        self._curves()
        self._samples()
        self._atlas()
        for axes in self.axes.values():
            axes.tick_params(labelsize=10)
            axes.spines[["top", "right"]].set_visible(False)
        self.axes["gauge"].tick_params(axis="x", labelsize=8)

    def _curves(self) -> None:
        self.lines = {}
        for quantity, (name, colour, style, label) in STYLE.items():
            (self.lines[quantity],) = self.axes[name].plot(
                [], [], style, color=colour, lw=2, label=label, ms=4, animated=True
            )  # fmt: skip
        self.nan = [self.axes[n].axvline(0, color="k", ls=":", lw=2, animated=True) for n in ("loss", "score", "logit")]
        self.nan_text = self.axes["loss"].text(0, 60, "", ha="right", va="top", size=13, weight="bold", animated=True)
        self.axes["loss"].set(ylabel="loss", yscale="log", ylim=(0.001, 100))
        ticks = (0.01, 1, 100)
        if self.recipe.loss in ("lsgan", "hinge", "wgan"):  # no logarithms: they pass 0 and grow as fast as the logits
            self.axes["loss"].set_yscale("symlog", linthresh=1)
            self.axes["loss"].set_ylim(-1e4, 1e4)
            ticks = (-100, 0, 100)
        self.axes["loss"].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        self.axes["loss"].set_yticks([], minor=True)
        self.axes["score"].set(ylabel="score", ylim=(-0.03, 1.03), yticks=(0, 0.5, 1))
        self.axes["logit"].set(ylabel="logit", xlabel="iteration")
        above = {"loc": "lower left", "bbox_to_anchor": (0, 0.97), "frameon": False, "borderaxespad": 0, "fontsize": 10}
        self.axes["loss"].legend(ncols=2, **above)
        self.axes["logit"].legend(ncols=3, columnspacing=0.8, handlelength=1.3, handletextpad=0.4, **above)
        for name in ("loss", "score"):
            self.axes[name].set_xticklabels([])

    def _samples(self) -> None:
        self.drawn = {}
        generated = "averaged G" if self.recipe.ema else "generated"
        for name, colour, title in (("real", GREY, "real"), ("fake", BLUE, generated)):
            axes = self.axes[name]
            axes.set_title(title, size=13, color=colour, weight="bold")
            if self.dataset.name == "digits":
                self.drawn[name] = [axes.imshow(np.zeros((30, 40)), cmap="Greys", vmin=0, vmax=16, animated=True)]
                axes.set(xticks=[], yticks=[])
            elif self.dataset.dimension == 2:
                self.drawn[name] = axes.plot([], [], ".", color=colour, animated=True)
                axes.set(xlabel="length units" if name == "fake" else None)
            else:
                styles = (("-", 1.2), ("--", 1.2), ("-", 2.6))  # the third is the one D finds the most real
                self.drawn[name] = [axes.plot([], [], s, lw=lw, color=colour, animated=True)[0] for s, lw in styles]
                axes.set(xlim=(0, 1), ylabel=self.dataset.unit, xlabel="time" if name == "fake" else None)

    def _atlas(self) -> None:
        atlas, along, gauge = self.axes["atlas"], self.axes["along"], self.axes["gauge"]
        reach = 2 * self.dataset.full_scale
        self.image = atlas.imshow(
            np.zeros((self.dataset.dimension, len(ATLAS_Z))), aspect="auto", origin="lower", cmap=ATLAS_COLOURS, vmin=-reach,
            vmax=reach, extent=(-6, 6, 0, 1), animated=True,
        )  # fmt: skip
        title = "all that G can draw" if self.recipe.latent == 1 and not self.recipe.grain else "one slice of G"
        atlas.set_title(f"{title} (±{reach:g} {self.dataset.unit})", size=11, weight="bold")
        limits = -self.widest, self.widest
        atlas.set(ylabel="time" if self.dataset.name == "pulses" else "pixel", xlim=limits, xticklabels=[], yticks=[])
        (self.curve,) = along.plot([], [], color="k", lw=1.5, animated=True)
        (self.dots,) = along.plot([], [], "o", color=BLUE, ms=5, alpha=0.7, animated=True)
        (self.fatal,) = along.plot([], [], "o", ms=15, mfc="none", mec=ORANGE, mew=3, animated=True)
        self.fatal_text = along.text(0, 0, "", size=13, weight="bold", ha="center", va="bottom", animated=True)
        along.set(xlim=limits, xlabel="latent z", ylabel="D's logit")
        self.bars = [gauge.plot([], [], color=c, lw=9, solid_capstyle="butt", animated=True)[0] for c in (BLUE, GREY)]
        gauge.set(xlim=(-0.6, 1.6), xticks=(-0.1, 1.1), xticklabels=("gen.", "real"), yticklabels=[])
        for axes in (self.axes["logit"], along, gauge):
            # linear between -20 and 20, logarithmic beyond: both cliffs and a runaway stay in the picture
            axes.set_yscale("symlog", linthresh=20)
            axes.set_ylim(-400, 400)
            axes.set_yticks([-100, -20, -10, 0, 10, 20, 100], ["-100", "-20", "", "0", "", "20", "100"])
            axes.set_yticks([], minor=True)
            if self.cliff:
                for cliff in (LOWEST, HIGHEST):
                    axes.axhline(cliff, color=ORANGE, ls=(0, (6, 2)), lw=1.5)
        if self.cliff:
            along.text(-0.98 * self.widest, HIGHEST * 1.35, f"cliff {HIGHEST:.2f}", color=ORANGE, size=11, weight="bold")
            along.text(-0.98 * self.widest, LOWEST * 0.92, f"cliff {LOWEST:.0f}", color=ORANGE, size=11, weight="bold")
        gauge.set_yticklabels([])

    def png(self, picture: Picture) -> bytes:
        """The picture as PNG bytes."""
        self._fill(picture)
        if self.background is None:
            self._scales()
            self.canvas.draw()
            self.background = self.canvas.copy_from_bbox(self.figure.bbox)
        self.canvas.restore_region(self.background)
        samples = [artist for artists in self.drawn.values() for artist in artists]
        curves = [*self.lines.values(), *self.nan, self.nan_text]
        for artist in [*curves, *samples, self.image, self.curve, self.dots, *self.bars, self.fatal, self.fatal_text]:
            artist.axes.draw_artist(artist)
        file = io.BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3]).save(file, "png", compress_level=1)
        return file.getvalue()

    def _scales(self) -> None:
        for name in ("loss", "score", "logit"):
            self.axes[name].set_xlim(0.5 if self.span < 100 else 0, self.span)
        if self.dataset.name != "digits":
            for name in ("real", "fake"):
                self.axes[name].set_ylim(-self.reach, self.reach)
                if self.dataset.dimension == 2:
                    self.axes[name].set_xlim(-self.reach, self.reach)

    def _fill(self, picture: Picture) -> None:
        for quantity, line in self.lines.items():
            line.set_data(*picture.curves[quantity])
            line.set_marker("o" if picture.iteration <= 40 else "")
        while picture.iteration > self.span:  # room for as much again: the axes are redrawn once a doubling
            self.span, self.background = 2 * self.span, None
        broken = picture.nan_at is not None
        for line in self.nan:
            line.set_xdata([picture.nan_at or 0] * 2)
            line.set_visible(broken)
        self.nan_text.set_text(f"NaN at {picture.nan_at:,} " if broken else "")
        if broken:
            self.nan_text.set_x(picture.nan_at)
            self.nan_text.set_ha("right" if picture.nan_at > self.span / 2 else "left")
        self._fill_samples("real", picture.real, None)
        self._fill_samples("fake", picture.fake, picture.loudest)
        image, logits = picture.atlas
        self.image.set_data(image.T)
        self.curve.set_data(ATLAS_Z, logits)
        none = picture.z is None
        self.dots.set_data(([], []) if none else (picture.z, picture.logits))
        for side, (bar, values) in enumerate(zip(self.bars, (picture.logits, picture.real_logits))):
            bar.set_data(([], []) if values is None else ([side, side], [values.min(), values.max()]))
        worst = int(picture.logits.argmax()) if broken and not none else None
        self.fatal.set_data(([], []) if worst is None else ([picture.z[worst]], [picture.logits[worst]]))
        self.fatal_text.set_text("" if worst is None else picture.rare.replace(", ", "\n").removesuffix(" is as far out"))
        if worst is not None:
            inside = 0.53 * self.widest
            self.fatal_text.set_position((np.clip(picture.z[worst], -inside, inside), min(picture.logits[worst] * 1.5, 90)))

    def _fill_samples(self, name: str, samples: np.ndarray, loudest: int | None) -> None:
        artists, dimension = self.drawn[name], self.dataset.dimension
        if self.dataset.name == "digits":
            tiles = np.zeros((12, 10, 10), dtype=np.float32)  # a margin around each digit
            tiles[: len(samples[:12]), 1:9, 1:9] = samples[:12].reshape(-1, 8, 8)
            artists[0].set_data(tiles.reshape(3, 4, 10, 10).swapaxes(1, 2).reshape(30, 40))
            return
        if dimension == 2:
            artists[0].set_data(samples[:, 0], samples[:, 1])
            shown = samples
        else:
            rows = [0, len(samples) // 2, len(samples) - 1 if loudest is None else loudest] if len(samples) else []
            shown = samples[rows]
            for line, sample in zip(artists, shown):
                line.set_data(np.arange(dimension) / dimension, sample)
        self.room(shown)

    def room(self, samples: np.ndarray) -> None:
        """Let the axes of the samples reach as far as these: a loud pulse must not leave the picture."""
        biggest = float(np.abs(samples).max()) if len(samples) else 0.0
        while self.reach < biggest < math.inf:
            self.reach, self.background = 2 * self.reach, None


# ---- the widgets


class Lab(widgets.VBox):
    """The learning-rate lab as one widget: put `Lab()` on the last line of a cell.

    recipe       what the controls show at the start, and what the chosen fix is applied to: all else stays as it is there
    seed         of the first run
    iterations   Start runs no longer than this ...
    minutes      ... and for no longer than this
    threads      False where a thread cannot update the view (Google Colab, recognised by itself): then Start runs for
                 15 seconds at a time
    folder       of the recorded runs

    A new lab pauses those that exist, so running the cell again leaves no thread behind; Start goes on with either.
    Raises ValueError or TypeError for an argument no lab can have.
    """

    existing: weakref.WeakSet = weakref.WeakSet()

    def __init__(
        self, recipe: Recipe | None = None, seed: int = 0, *, iterations: int = 400_000, minutes: float = 30,
        threads: bool | None = None, folder: Path | str = DATA,
    ):  # fmt: skip
        whole("seed", seed, at_least=0)
        whole("iterations", iterations, at_least=1)
        if not minutes > 0:
            raise ValueError(f"minutes must be above 0, not {minutes!r}")
        self.recipe = recipe or Recipe(lr=1e-3)
        if not 1e-6 <= self.recipe.lr <= 1e-1:
            raise ValueError(f"the lab's slider has learning rates between 1e-6 and 1e-1, not {self.recipe.lr!r}")
        self.cap, self.minutes = iterations, minutes
        self.threads = "google.colab" not in sys.modules if threads is None else threads
        self.lock, self.stop, self.thread = threading.RLock(), threading.Event(), None
        self.stop.set()
        self.speed_text, self.outcomes, self.guessed = "", [], None
        self._build(seed)
        for other in list(Lab.existing):
            other.pause()
            other.join()
        Lab.existing.add(self)
        self.reset()
        tabs = widgets.Tab([self.live, Recorded(folder)], titles=("Live run", "Recorded runs"))
        super().__init__([tabs])

    def _build(self, seed: int) -> None:
        wide, narrow = widgets.Layout(width="520px"), widgets.Layout(width="140px")
        wrap = widgets.Layout(flex_flow="row wrap")
        self.rate = widgets.FloatLogSlider(
            value=self.recipe.lr, base=10, min=-6, max=-1, step=0.05, description="Learning rate", readout=False,
            layout=wide, style={"description_width": "100px"}, continuous_update=True,
        )  # fmt: skip
        self.rate_label = widgets.HTML()
        self.data = widgets.Dropdown(options=list(data.DATA_SETS), value=self.recipe.data, description="Data")
        self.fix = widgets.Dropdown(options=list(MENU), description="Fix")
        self.batch = widgets.BoundedIntText(self.recipe.batch, min=2, max=1024, description="Batch")
        self.seed = widgets.BoundedIntText(seed, min=0, max=10**6, description="Seed")
        for widget in (self.data, self.fix, self.batch, self.seed):
            widget.layout, widget.style.description_width = narrow, "45px"
            widget.observe(self.reset, "value")
        self.fix.layout, self.fix.style.description_width = widgets.Layout(width="190px"), "25px"
        self.guess = widgets.BoundedIntText(
            0, min=0, max=10**7, description="I predict: NaN at iteration",
            layout=widgets.Layout(width="290px"), style={"description_width": "initial"},
        )  # fmt: skip
        self.buttons = {}
        for name, act, tip in (
            ("Start", self.start, "train, and draw while training"),
            ("Pause", self.pause, "stop after the next iteration"),
            ("One iteration", self.one, "both networks, once"),
            ("Only D", self.only_d, "one update of the discriminator alone"),
            ("Only G", self.only_g, "one update of the generator alone"),
            ("Reset", self.reset, "the same recipe and seed from the beginning"),
        ):
            width = "112px" if len(name) > 6 else "80px"
            button = widgets.Button(description=name, tooltip=tip, layout=widgets.Layout(width=width))
            button.on_click(act)
            self.buttons[name] = button
        self.speed = widgets.ToggleButtons(options=list(SPEEDS), value="normal", style={"button_width": "106px"})
        self.image = widgets.Image(format="png", layout=PICTURE_LAYOUT)
        self.status, self.table = widgets.HTML(), widgets.HTML()
        self.rate.observe(self._label, "value")
        self._label()
        self.live = widgets.VBox([
            widgets.HBox([self.rate, self.rate_label]),
            widgets.HBox([self.data, self.fix, self.batch, self.seed, self.guess], layout=wrap),
            widgets.HBox([*self.buttons.values(), self.speed], layout=wrap),
            self.status, self.image, self.table,
        ])  # fmt: skip

    # What the buttons do. Callbacks may come from several threads at once, so whatever touches the run holds the lock.

    @property
    def lr(self) -> float:
        """The slider's learning rate, to the three digits that the text beside it shows."""
        return float(f"{self.rate.value:.3g}")

    @property
    def running(self) -> bool:
        """Is a run going on?"""
        return not self.stop.is_set()

    def start(self, *_) -> None:
        """Go on from where the run stands; nothing happens if it is going on already, or has ended in NaN."""
        with self.lock:
            if self.running or self.run.broken:
                return
            if self.run.count == 0:
                self.guessed = self.guess.value or None
            # Each start has its own Event, so that a thread told to stop is never woken by the next start.
            self.stop = threading.Event()
            self._enable()
            if self.threads:
                arguments = (self.stop, self.minutes * 60)
                self.thread = threading.Thread(target=self._work, args=arguments, daemon=True, name="lab")
                self.thread.start()
                return
        self._work(self.stop, IN_TURN)

    def pause(self, *_) -> None:
        """Stop after one more iteration. Takes no lock, so it never waits."""
        self.stop.set()

    def join(self, seconds: float = 30.0) -> None:
        """Wait until the thread, if there is one, has ended."""
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def reset(self, *_) -> None:
        """The recipe and the seed of the controls, from the beginning."""
        self.pause()
        with self.lock:
            if getattr(self, "run", None) is not None and self.run.count and not self.run.broken:
                self._keep(f"none by {self.run.count:,}{'' if alive(self.run.gan) else ', but dead'}")
            fields = {"lr": self.lr, "data": self.data.value, "batch": self.batch.value, **MENU[self.fix.value]}
            self.run = Run(Recipe(**{**vars(self.recipe), **fields}), self.seed.value)
            self.view = View(self.run.gan.recipe)
            self.guessed, self.fixed = None, self.fix.value
            self._show()
            self._enable()

    def one(self, *_, d: bool = True, g: bool = True) -> None:
        """One iteration, of both networks or of one."""
        with self.lock:
            if self.running or self.run.broken:
                return
            if self.run.count == 0:
                self.guessed = self.guess.value or None
            try:
                self.run.advance(self.lr, True, d, g)
            except Exception as error:
                self._show(f"Stopped by an error: {error}")
            else:
                self._finished()

    def only_d(self, *_) -> None:
        """One update of D alone."""
        self.one(g=False)

    def only_g(self, *_) -> None:
        """One update of G alone."""
        self.one(d=False)

    # The thread.

    def _work(self, stop: threading.Event, seconds: float) -> None:
        """Train and draw until told to stop, NaN or a cap. An error goes to the status line: a thread has no other voice."""
        run, first = self.run, self.run.count
        started = last_frame = time.monotonic()
        drawing, counted = 0.0, first
        try:
            while True:
                now = time.monotonic()
                wait = SPEEDS[self.speed.value]
                if wait is None:
                    wait = 0.4 * 0.85 ** (run.count - first)
                with self.lock:
                    if self.run is not run or run.broken:  # Reset, or one iteration by hand, came in between
                        stop.set()
                        return self._enable()
                    capped = now - started > seconds or run.count + 1 - first >= self.cap
                    last = stop.is_set() or capped
                    due = last or wait > 0.05 or now - last_frame > max(0.1, drawing * (1 / DUTY - 1))
                    run.advance(self.lr, due)
                    if last or run.broken:
                        stop.set()
                        return self._finished("Stopped at the cap of this lab; Start goes on." if capped else "")
                    if due:
                        begun, axes = time.monotonic(), self.view.background
                        speed = (run.count - counted) / max(begun - last_frame, 1e-3)
                        self.speed_text = f"{speed:,.0f} iterations/s"
                        self._show(going=True)
                        last_frame, counted = time.monotonic(), run.count
                        if self.view.background is axes:  # not when the axes were drawn too: that is rare
                            drawing = last_frame - begun
                if wait > 0.002:
                    stop.wait(wait)
        except Exception as error:
            stop.set()
            self._show(f"Stopped by an error: {type(error).__name__}: {error}", draw=False)
            self._enable()

    def _finished(self, words: str = "") -> None:
        if self.run.broken:
            self._keep(f"{self.run.count:,}")
        elif not alive(self.run.gan):
            words = f"Finite but dead: G gets no gradient. {words}"
        self._show(words)
        self._enable()

    # What the reader sees.

    def _label(self, *_) -> None:
        self.rate_label.value = f"<span style='font-size:22px'>learning rate <b>{rate_text(self.lr)}</b></span>"

    def _enable(self) -> None:
        running, broken = self.running, self.run.broken
        for name, button in self.buttons.items():
            button.disabled = {"Pause": not running, "Reset": False}.get(name, running or broken)
        self.buttons["Start"].button_style = "" if running or broken else "success"
        self.buttons["Reset"].button_style = "warning" if broken else ""

    def _show(self, words: str = "", draw: bool = True, going: bool = False) -> None:
        run = self.run
        if draw:
            self.image.value = self.view.png(run.picture())
        state = "running" if going else "ended" if run.broken else "paused" if run.count else "ready"
        rate = run.gan.optimiser_g.param_groups[0]["lr"]  # the slider's, times what a warm-up leaves of it
        facts = [f"<b>{state}</b>", f"iteration {run.count:,}", f"rate in force {rate_text(rate)}"]
        if going and self.speed_text:
            facts.append(self.speed_text)
        if run.count:
            low, high = (float(run.rows[QUANTITIES.index(name), run.count - 1]) for name in ("fake_min", "fake_max"))
            cliff = f" (cliffs {LOWEST:.1f}, {HIGHEST:.2f})" if self.view.cliff else ""
            facts.append(f"generated logits {low:.1f} to {high:.1f}{cliff}")
        hint = {"ready": "Predict first (0 means no guess), then press Start."}.get(state, "")
        verdict = run.verdict if run.broken else words or hint
        colour = ORANGE if run.broken else "inherit"
        self.status.value = (
            f"<div style='font-size:16px; line-height:1.35; min-height:4.1em'>{' &middot; '.join(facts)}<br>"
            f"<span style='color:{colour}; font-weight:bold'>{verdict}</span></div>"
        )

    def _keep(self, outcome: str) -> None:
        """One line more in the table of predictions."""
        recipe, rates = self.run.gan.recipe, " then ".join(rate_text(lr) for lr in self.run.rates)
        guess = f"{self.guessed:,}" if self.guessed else "none"
        self.outcomes.append((rates, recipe.data, self.fixed, recipe.batch, self.run.gan.seed, guess, outcome))
        head = ("learning rate", "data", "fix", "batch", "seed", "predicted NaN", "NaN at iteration")
        cells = "".join(f"<th style='padding:2px 14px'>{name}</th>" for name in head)
        rows = "".join(
            "<tr>" + "".join(f"<td style='padding:2px 14px; text-align:right'>{cell}</td>" for cell in row) + "</tr>"
            for row in reversed(self.outcomes[-12:])
        )
        self.table.value = f"<table style='font-size:15px'><tr>{cells}</tr>{rows}</table>"


class Recorded(widgets.VBox):
    """The second tab: the recorded runs of a folder, by data set and rate, seed and iteration. Nothing is trained."""

    def __init__(self, folder: Path | str = DATA):
        self.folder, self.lock, self.trace = Path(folder), threading.RLock(), None
        names = [path.name for path in self.folder.glob("*_lr*") if any(path.glob("seed*.npz"))]
        names.sort(key=lambda name: (not name.startswith("pulses"), name))  # the main data set first
        if not names:
            super().__init__([widgets.HTML("There are no recorded runs here; <code>make record</code> makes them.")])
            return
        options = [(name.replace("_lr", ", learning rate "), name) for name in names]
        self.name = widgets.Dropdown(options=options, description="Runs")
        self.seed = widgets.IntSlider(0, 0, 1, description="Seed", layout=widgets.Layout(width="300px"))
        self.position = widgets.IntSlider(0, 0, 1, description="Iteration", readout=False, layout=widgets.Layout(width="600px"))
        self.text = widgets.HTML()
        self.image = widgets.Image(format="png", layout=PICTURE_LAYOUT)
        self._runs()
        self.name.observe(self._runs, "value")
        self.seed.observe(self._run, "value")
        self.position.observe(self._draw, "value")
        super().__init__([widgets.HBox([self.name, self.seed]), widgets.HBox([self.position]), self.text, self.image])

    def _runs(self, *_) -> None:
        with self.lock:
            self.traces = recorded(self.folder / self.name.value)
            self.seed.max = len(self.traces) - 1
            self._run()

    def _run(self, *_) -> None:
        with self.lock:
            self.trace = trace = self.traces[min(self.seed.value, len(self.traces) - 1)]
            end = trace.iterations
            # The slider stops at the first and last iterations, at each atlas, and evenly between.
            even = np.linspace(1, end, 200).astype(int)
            stops = np.unique(np.concatenate([range(1, 31), range(end - 30, end + 1), trace.atlas["iteration"], even]))
            self.stops = stops[(stops >= 1) & (stops <= end)]
            self.view = View(trace.recipe, span=max(int(end * 1.03), 4))
            self.view.room(trace.atlas["image"][:, np.abs(ATLAS_Z) <= 2].astype(np.float32))  # once, not while dragging
            self.position.max = len(self.stops) - 1
            self.position.value = min(self.position.value, self.position.max)
            self._draw()

    def _draw(self, *_) -> None:
        with self.lock:
            trace, iteration = self.trace, int(self.stops[min(self.position.value, len(self.stops) - 1)])
            picture = recorded_picture(trace, iteration)
            self.image.value = self.view.png(picture)
            facts = [f"iteration <b>{iteration:,}</b> of {trace.iterations:,}", f"seed {trace.seed}"]
            facts.append(f"learning rate <b>{rate_text(trace.recipe.lr)}</b>")
            if picture.nan_at:
                facts.append(f"<br><b style='color:{ORANGE}'>{recorded_verdict(trace)}</b>")
            self.text.value = f"<div style='font-size:16px; min-height:4.1em'>{' &middot; '.join(facts)}</div>"
