"""Recorded runs in the words of view/types.d.ts, and the lives among them. Nothing is trained. Uses trace and autopsy."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import numpy as np

from utils.autopsy import explain_trace
from utils.checks import of_type, shown
from utils.lab.run import about, verdict
from utils.recipe import Recipe
from utils.trace import ATLAS_Z, QUANTITIES, Trace

FAR = np.abs(ATLAS_Z) <= 2  # what 95 of 100 draws look like


def checked(folder) -> Path:
    """`folder` as a Path; TypeError or ValueError unless it is an existing folder."""
    path = Path(of_type("folder", folder, (str, Path), "a path to recorded runs"))
    if not path.is_dir():
        raise ValueError(f"folder must be an existing folder of recorded runs, not {shown(str(folder))}")
    return path


def listed(folder: Path) -> list[dict]:
    """The RecordedRuns of a folder, the main data set first."""
    paths = sorted(folder.glob("*_lr*"), key=lambda path: (not path.name.startswith("pulses"), path.name))
    counts = {path.name: len(list(path.glob("seed*.npz"))) for path in paths}
    return [{"id": name, "label": name.replace("_lr", ", "), "seeds": count} for name, count in counts.items() if count]


def settings(recipe: Recipe) -> dict:
    """What the controls say of a recipe that has no fix."""
    return {"fix": "no fix"} | {name: getattr(recipe, name) for name in ("data", "batch", "latent", "hidden_g", "hidden_d")}


@functools.cache
def lives(folder: Path) -> list[dict]:
    """The Lives in a folder: when each of its runs turned NaN. A damaged file counts for nothing."""
    found = []
    for run in listed(folder):
        (name, _, rate), ends = run["id"].rpartition("_lr"), []
        for path in (folder / run["id"]).glob("seed*.npz"):
            with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as file:  # open() says what is wrong with it
                if not np.isfinite([file["values.loss_g"][-1], file["values.loss_d"][-1]]).all():
                    ends.append(int(file["width"].sum()))
        with contextlib.suppress(ValueError):  # a foreign folder
            recipe = Recipe(data=name, lr=float(rate))
            found.append({"lr": recipe.lr, "settings": settings(recipe), "iterations": sorted(ends)})
    return found


class Recorded:
    """One recorded run; what was not recorded stays empty. Raises ValueError for a damaged file."""

    def __init__(self, tag: int, path: Path):
        self.tag, self.trace = tag, Trace.load(path)
        self.rewind = [1, self.trace.iterations]

    def about(self) -> dict:
        """The Run message."""
        trace, end = self.trace, self.trace.iterations
        # stops: the first and last iterations, each atlas, and evenly between
        kept, even = trace.atlas.get("iteration", []), np.linspace(1, end, 200)
        stops = np.concatenate([np.arange(1, 41), np.arange(end - 40, end + 1), kept, even]).clip(1, end)
        recipe, title = trace.recipe, f"recorded: {trace.recipe.data}, seed {trace.seed}"
        more = {"recorded": True, "nanAt": trace.nan_at, "hazard": None, "stops": np.unique(stops.astype(int))}
        return about(self.tag, recipe, settings(recipe) | {"seed": trace.seed}, title, **more)

    def frame(self, *_) -> dict:
        """The Frame with all its rows."""
        trace = self.trace
        lows, highs = (np.stack(part, 1) for part in zip(*(trace.envelope(name) for name in QUANTITIES)))
        return self.moment(trace.iterations) | {
            "type": "frame", "state": "ended" if trace.nan_at else "paused",
            "at": trace.iteration, "lows": lows, "highs": highs,
            "rates": [[1, trace.recipe.lr]], "rate": trace.recipe.lr, "speed": None, "dead": False, "rewind": None,
        }  # fmt: skip

    def moment(self, iteration: int) -> dict:
        """A Picture: the latest atlas at that iteration, and the last batch if it is the last one."""
        trace, none = self.trace, np.zeros(0)
        iteration = min(max(iteration, 1), trace.iterations)
        picture = dict.fromkeys(("z", "fakeLogits", "realLogits", "real", "fake", "curve", "image"), none)
        picture |= {"run": self.tag, "iteration": iteration, "atlasAt": iteration, "verdict": None}
        if trace.atlas:
            k = max(int(np.searchsorted(trace.atlas["iteration"], iteration, side="right")) - 1, 0)
            image = trace.atlas["image"][k].astype(np.float32)
            picture |= {"image": image, "curve": trace.atlas["logit"][k], "atlasAt": int(trace.atlas["iteration"][k])}
            picture["fake"] = image[FAR][:: max(FAR.sum() // 12, 1)]
        if iteration == trace.iterations and trace.last_batch:
            picture |= self._last_batch(picture["image"])
        elif iteration == trace.nan_at:
            words = f"NaN at iteration {iteration:,}: its last batch was not recorded, so nobody can say why."
            picture["verdict"] = {"iteration": iteration, "words": words, "side": None, "index": None}
        return picture

    def _last_batch(self, image: np.ndarray) -> dict:
        trace, batch = self.trace, self.trace.last_batch
        z, logits, latent = batch["z"], batch["fake_logits"], self.trace.recipe.latent
        picture = {"z": z[:, 0], "fakeLogits": logits, "realLogits": batch["real_logits"], "fake": np.zeros(0)}
        if z.shape[1] > 1:  # the slice that training takes of a wider latent: through the largest logit's
            far = z[logits.argmax()]
            picture |= {"z": z @ (far / np.linalg.norm(far)), "lengths": np.linalg.norm(z[:, :latent], axis=1)}
        elif len(image):  # G was not recorded; between two columns of its atlas it is a straight line, or nearly
            picture["fake"] = np.stack([np.interp(z[:, 0], ATLAS_Z, column) for column in image.T], 1)
        if trace.nan_at:
            picture["verdict"] = verdict(trace.nan_at, explain_trace(trace))
        return picture
