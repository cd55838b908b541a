"""The lab's second tab: recorded runs in the same figure. Nothing is trained. Uses trace and autopsy."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import torch

from utils import data
from utils.autopsy import explain_trace
from utils.checks import shown
from utils.lab.run import Picture, note, slice_through, zigzag
from utils.lab.view import ORANGE, View
from utils.recipe import rate_text
from utils.sweep import DATA
from utils.trace import ATLAS_Z, QUANTITIES, Trace

# As wide as the page, but never so high that a projector cuts it off.
PICTURE_LAYOUT = {"width": "100%", "max_width": "1320px", "max_height": "70vh", "object_fit": "contain"}
BATCH = ("z", "fake_logits", "real_logits")


def recorded_picture(trace: Trace, iteration: int) -> Picture:
    """A recorded run up to `iteration`: the latest atlas before it, and the last batch if it is the last iteration.

    What was not recorded stays empty.
    """
    x = trace.iteration
    until = int(np.searchsorted(x, iteration)) + 1
    curves = {}
    for name in QUANTITIES:
        low, high = trace.envelope(name)
        curves[name] = zigzag(x[:until], low[:until], high[:until])
    dataset = data.load(trace.recipe.data)
    image, logit = np.full((len(ATLAS_Z), dataset.dimension), np.nan, np.float32), np.full(len(ATLAS_Z), np.nan, np.float32)
    usual = image[:0]
    if trace.atlas:
        at = max(int(np.searchsorted(trace.atlas["iteration"], iteration, side="right")) - 1, 0)
        image, logit = trace.atlas["image"][at].astype(np.float32), trace.atlas["logit"][at]
        usual = image[np.abs(ATLAS_Z) <= 2]  # what 95 of 100 draws look like
    picture = Picture(
        iteration, curves, dataset.samples[:12].numpy(), usual[:: max(len(usual) // 12, 1)][:12], (image, logit)
    )  # fmt: skip
    if iteration == trace.iterations:
        picture.nan_at = trace.nan_at
        if trace.last_batch:
            _last_batch(picture, trace)
    return picture


def _last_batch(picture: Picture, trace: Trace) -> None:
    z, picture.logits, picture.real_logits = (torch.from_numpy(trace.last_batch[name]) for name in BATCH)
    loudest = z[picture.logits.argmax()]  # the slice that training takes of a wider latent
    picture.z = (z @ slice_through(loudest)).numpy()
    picture.logits, picture.real_logits = picture.logits.numpy(), picture.real_logits.numpy()
    if trace.nan_at:
        picture.fatal = explain_trace(trace)
        picture.note = note(picture.fatal, z, trace.recipe)


def verdict(trace: Trace) -> str:
    """How a recorded run that ended in NaN ended."""
    why = explain_trace(trace).words if trace.last_batch else "its last batch was not recorded, so nobody can say why."
    return f"NaN at iteration {trace.nan_at:,}: {why}"


class Recorded(widgets.VBox):
    """The second tab: the recorded runs of a folder, by data set and rate, seed and iteration. Nothing is trained.

    Raises TypeError or ValueError if `folder` is no folder; one without runs gets a sentence.
    """

    def __init__(self, folder: Path | str = DATA):
        if not isinstance(folder, str | Path):
            raise TypeError(f"folder must be a path to recorded runs, not {shown(folder)}")
        if not Path(folder).is_dir():
            raise ValueError(f"folder must be an existing folder of recorded runs, not {shown(str(folder))}")
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
            self.paths = sorted((self.folder / self.name.value).glob("seed*.npz"))
            self.seed.max = len(self.paths) - 1
            self._run()

    def _run(self, *_) -> None:
        with self.lock:
            path = self.paths[min(self.seed.value, len(self.paths) - 1)]
            try:
                self.trace = trace = Trace.load(path)
            except (OSError, ValueError) as error:
                self.trace, self.image.value = None, b""
                self._say(f"<b style='color:{ORANGE}'>{escape(str(error))}</b>")
                return
            end = trace.iterations
            # The slider stops at the first and last iterations, at each atlas, and evenly between.
            even = np.linspace(1, end, 200).astype(int)
            kept = trace.atlas.get("iteration", [])
            stops = np.unique(np.concatenate([range(1, 31), range(end - 30, end + 1), kept, even])).astype(int)
            self.stops = stops[(stops >= 1) & (stops <= end)]
            self.view = View(trace.recipe, span=max(int(end * 1.03), 4))
            if trace.atlas:  # room for all of them at once, not while dragging
                self.view.room(trace.atlas["image"][:, np.abs(ATLAS_Z) <= 2].astype(np.float32))
            self.position.max = len(self.stops) - 1
            self.position.value = min(self.position.value, self.position.max)
            self._draw()

    def _draw(self, *_) -> None:
        with self.lock:
            trace = self.trace
            if trace is None:
                return
            iteration = int(self.stops[min(self.position.value, len(self.stops) - 1)])
            picture = recorded_picture(trace, iteration)
            self.image.value = self.view.png(picture)
            facts = [f"iteration <b>{iteration:,}</b> of {trace.iterations:,}", f"seed {escape(str(trace.seed))}"]
            facts.append(f"learning rate <b>{rate_text(trace.recipe.lr)}</b>")
            if picture.nan_at:
                facts.append(f"<br><b style='color:{ORANGE}'>{escape(verdict(trace))}</b>")
            self._say(" &middot; ".join(facts))

    def _say(self, html: str) -> None:
        self.text.value = f"<div style='font-size:16px; min-height:4.1em'>{html}</div>"
