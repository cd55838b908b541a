"""One figure of a run, as PNG bytes: what stands still is drawn once and kept as pixels. Uses matplotlib, no pyplot."""

from __future__ import annotations

import io
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from utils import data
from utils.hazard import cliffs
from utils.lab.run import Picture
from utils.plots import ATLAS_COLOURS, DISCRIMINATOR_COLOUR, GENERATOR_COLOUR
from utils.recipe import Recipe
from utils.trace import ATLAS_Z

BLUE, ORANGE, GREY = GENERATOR_COLOUR, DISCRIMINATOR_COLOUR, "#555555"  # grey: real samples
LOWEST, HIGHEST = cliffs()
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
        self.canvas, self.axes = FigureCanvasAgg(self.figure), {}
        for names, rows, columns, left, right, top, space in (
            (("loss", "score", "logit"), 3, 1, 0.06, 0.375, 0.94, 0.34),
            (("real", "fake"), 2, 1, 0.445, 0.635, 0.93, 0.36),
            (("atlas", "", "along", "gauge"), 2, 2, 0.705, 0.985, 0.93, 0.12),
        ):
            grid = self.figure.add_gridspec(
                rows, columns, left=left, right=right, top=top, bottom=0.1, hspace=space, wspace=0.06,
                width_ratios=[6, 1][:columns],
            )  # fmt: skip
            self.axes |= {name: self.figure.add_subplot(cell) for name, cell in zip(names, grid) if name}
        self._curves()
        self._samples()
        self._atlas()
        for name, axes in self.axes.items():
            axes.tick_params(labelsize=10)
            axes.tick_params(axis="x", labelsize=8 if name == "gauge" else 10)
            axes.spines[["top", "right"]].set_visible(False)

    def _curves(self) -> None:
        self.lines = {}
        for quantity, (name, colour, style, label) in STYLE.items():
            (self.lines[quantity],) = self.axes[name].plot([], [], style, color=colour, lw=2, label=label, ms=4, animated=True)
        self.nan = [self.axes[n].axvline(0, color="k", ls=":", lw=2, animated=True) for n in ("loss", "score", "logit")]
        self.nan_text = self.axes["loss"].text(0, 60, "", ha="right", va="top", size=13, weight="bold", animated=True)
        if self.recipe.loss in ("lsgan", "hinge", "wgan"):  # no logarithms: they pass 0 and grow as fast as the logits
            _signed(self.axes["loss"], 1, 1e4, (-100, 0, 100))
        else:
            self.axes["loss"].set(yscale="log", ylim=(0.001, 100))
            self.axes["loss"].set_yticks([0.01, 1, 100], ["0.01", "1", "100"])
            self.axes["loss"].set_yticks([], minor=True)
        self.axes["score"].set(ylim=(-0.03, 1.03), yticks=(0, 0.5, 1))
        for name in ("loss", "score", "logit"):
            self.axes[name].set(ylabel=name)
        above = {"loc": "lower left", "bbox_to_anchor": (0, 0.97), "frameon": False, "borderaxespad": 0, "fontsize": 10}
        self.axes["loss"].legend(ncols=2, **above)
        self.axes["logit"].legend(ncols=3, columnspacing=0.8, handlelength=1.3, handletextpad=0.4, **above)
        self.axes["logit"].set_xlabel("iteration")
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
                styles = (("-", 1.2), ("--", 1.2), ("-", 2.6))  # the third: Picture.thick
                self.drawn[name] = [axes.plot([], [], s, lw=lw, color=colour, animated=True)[0] for s, lw in styles]
                axes.set(xlim=(0, 1), ylabel=self.dataset.unit, xlabel="time" if name == "fake" else None)

    def _atlas(self) -> None:
        atlas, along, gauge = self.axes["atlas"], self.axes["along"], self.axes["gauge"]
        reach = 2 * self.dataset.full_scale
        still = {"aspect": "auto", "origin": "lower", "extent": (-6, 6, 0, 1), "cmap": ATLAS_COLOURS, "animated": True}
        self.image = atlas.imshow(np.zeros((self.dataset.dimension, len(ATLAS_Z))), vmin=-reach, vmax=reach, **still)
        title = "all that G can draw" if self.recipe.latent == 1 and not self.recipe.grain else "one slice of G"
        atlas.set_title(f"{title} (±{reach:g} {self.dataset.unit})", size=11, weight="bold")
        limits = -self.widest, self.widest
        atlas.set(ylabel="time" if self.dataset.name == "pulses" else "pixel", xlim=limits, xticklabels=[], yticks=[])
        (self.curve,) = along.plot([], [], color="k", lw=1.5, animated=True)
        (self.dots,) = along.plot([], [], "o", color=BLUE, ms=5, alpha=0.7, animated=True)
        ring = {"ms": 15, "mfc": "none", "mec": ORANGE, "mew": 3, "animated": True}
        self.rings = {"generated": along.plot([], [], "o", **ring)[0], "real": gauge.plot([], [], "o", **ring)[0]}
        self.fatal_text = along.text(0, 0, "", size=13, weight="bold", ha="center", va="bottom", animated=True)
        along.set(xlim=limits, xlabel="latent z", ylabel="D's logit")
        self.bars = [gauge.plot([], [], color=c, lw=9, solid_capstyle="butt", animated=True)[0] for c in (BLUE, GREY)]
        gauge.set(xlim=(-0.6, 1.6), xticks=(-0.1, 1.1), xticklabels=("gen.", "real"), yticklabels=[])
        for axes in (self.axes["logit"], along, gauge):
            _signed(axes, 20, 400, (-100, -20, 0, 20, 100))  # both cliffs and a runaway stay in the picture
            for cliff in (LOWEST, HIGHEST) if self.cliff else ():
                axes.axhline(cliff, color=ORANGE, ls=(0, (6, 2)), lw=1.5)
        for cliff, height in ((LOWEST, 0.92 * LOWEST), (HIGHEST, 1.35 * HIGHEST)) if self.cliff else ():
            along.text(-0.98 * self.widest, height, f"cliff {cliff:.4g}", color=ORANGE, size=11, weight="bold")
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
        for artist in [*curves, *samples, self.image, self.curve, self.dots, *self.bars, *self.rings.values(), self.fatal_text]:
            artist.axes.draw_artist(artist)
        file = io.BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3]).save(file, "png", compress_level=1)
        return file.getvalue()

    def _scales(self) -> None:
        for name in ("loss", "score", "logit"):
            self.axes[name].set_xlim(0.5 if self.span < 100 else 0, self.span)
        for name in ("real", "fake") if self.dataset.name != "digits" else ():
            self.axes[name].set_ylim(-self.reach, self.reach)
            if self.dataset.dimension == 2:
                self.axes[name].set_xlim(-self.reach, self.reach)

    def _fill(self, picture: Picture) -> None:
        for quantity, line in self.lines.items():
            line.set_data(*picture.curves[quantity])
            line.set_marker("o" if picture.iteration <= 40 else "")
        while picture.iteration > self.span:  # room for as much again: the axes are redrawn once a doubling
            self.span, self.background = 2 * self.span, None
        end = picture.nan_at or -1
        for line in self.nan:
            line.set_xdata([end, end])
        self.nan_text.set(text=f"NaN at {end:,} " if end > 0 else "", x=end, ha="right" if end > self.span / 2 else "left")
        self._fill_samples("real", picture.real, None)
        self._fill_samples("fake", picture.fake, picture.thick)
        image, logits = picture.atlas
        self.image.set_data(image.T)
        self.curve.set_data(ATLAS_Z, logits)
        none = picture.z is None
        self.dots.set_data(([], []) if none else (picture.z, picture.logits))
        for side, (bar, values) in enumerate(zip(self.bars, (picture.logits, picture.real_logits))):
            bar.set_data(([], []) if values is None else ([side, side], [values.min(), values.max()]))
        self._mark(picture)

    def _mark(self, picture: Picture) -> None:
        """A ring around the sample that broke the run: on the atlas if it was generated, on the gauge if it was real."""
        for ring in self.rings.values():
            ring.set_data([], [])
        self.fatal_text.set_text("")
        fatal = picture.fatal
        if fatal is None or fatal.sample is None:
            return
        x = float(picture.z[fatal.sample]) if fatal.of == "generated" else 1.0  # the gauge's column of real samples
        y = float(np.clip(fatal.logit, -380, 380))  # an infinite logit has its ring at the edge
        self.rings[fatal.of].set_data([x], [y])
        inside = 0.53 * self.widest
        self.fatal_text.set_text(picture.note)
        beside = np.clip(x, -inside, inside) if fatal.of == "generated" else inside
        self.fatal_text.set_position((beside, min(1.5 * y if y > 0 else 0.55 * y, 90)))

    def _fill_samples(self, name: str, samples: np.ndarray, thick: int | None) -> None:
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
            rows = [0, len(samples) // 2, len(samples) - 1 if thick is None else thick] if len(samples) else []
            shown = samples[rows]
            for line, sample in zip(artists, shown):
                line.set_data(np.arange(dimension) / dimension, sample)
        self.room(shown)

    def room(self, samples: np.ndarray) -> None:
        """Let the axes of the samples reach as far as these: a loud pulse must not leave the picture."""
        biggest = float(np.abs(samples).max()) if len(samples) else 0.0
        while self.reach < biggest < math.inf:
            self.reach, self.background = 2 * self.reach, None


def _signed(axes, linear: float, reach: float, ticks: tuple[float, ...]) -> None:
    """A vertical axis to +-reach, linear within +-linear and logarithmic beyond."""
    axes.set_yscale("symlog", linthresh=linear)
    axes.set_ylim(-reach, reach)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
