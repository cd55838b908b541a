"""Figures, as functions of a Trace, each a matplotlib Figure that shows itself in a notebook. No pyplot state.

Uses checks, data, recipe, trace and matplotlib. Generator blue and solid, discriminator orange and dashed, NaN a dotted line.
"""

from __future__ import annotations

import base64
import io
import numbers
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.checks import array, number, one_of, shown, whole
from utils.data import load
from utils.recipe import rate_text
from utils.trace import ATLAS_Z, Trace

# Okabe and Ito's palette, which colour-blind readers can tell apart. What is neither network's, a run or real, is grey.
GENERATOR_COLOUR, DISCRIMINATOR_COLOUR, NAN_COLOUR, GREY = "#0072B2", "#D55E00", "#222222", "0.4"
ATLAS_COLOURS = "PuOr"  # orange below zero, purple above, white at zero


class Picture(Figure):
    """A Figure with alt text, which displays itself as PNG in any notebook (a Figure alone needs pyplot for that)."""

    def __init__(self, *, alt: str, width: float = 9, height: float = 3.4):
        super().__init__(figsize=(width, height), layout="constrained", dpi=100)
        self.alt = alt

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        image = base64.b64encode(self.png()).decode()
        return {"image/png": image, "text/plain": f"<Picture: {self.alt}>"}, {"image/png": {"alt": self.alt}}


def losses_and_scores(trace: Trace, title: str | None = None, last: int | None = None) -> Picture:
    """Scores left, losses right, over the `last` iterations; a band shows the extremes of thinned stretches."""
    _traces("trace", [trace])
    last = trace.iterations if last is None else whole("last", last, 1, trace.iterations)
    title = title or f"{trace.recipe.data}, learning rate {rate_text(trace.recipe.lr)}, seed {trace.seed}: {_end(trace)}"
    picture = Picture(alt=f"Scores and losses against iteration. {title}. {_ends(trace)}", height=3.8)
    picture.suptitle(title)
    for axes, quantity in zip(picture.subplots(1, 2), ("score", "loss")):
        _pair(axes, trace, quantity, last, 6, f"first loss not finite: {trace.nan_at or 0:,}")
    picture.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)  # no curve is there
    return picture


def _traces(name: str, traces) -> list[Trace]:
    """The traces as a list; TypeError or ValueError unless there is one, and each is a Trace of at least one iteration."""
    traces = list(traces) if isinstance(traces, (Sequence, np.ndarray)) else [traces]
    if wrong := [trace for trace in traces if not isinstance(trace, Trace)]:
        raise TypeError(f"{name} must be made of Traces, not of {shown(wrong[0])}")
    if not traces or not all(trace.iterations for trace in traces):
        raise ValueError(f"{name} must hold a run of at least one iteration, not {shown(traces)}")
    return traces


def _pair(axes, trace: Trace, quantity: str, last: int, ticks: int, nan_label: str) -> None:
    """Draw "score" or "loss" of both networks, and their end, over the last iterations."""
    drawn = (("generator", GENERATOR_COLOUR, "-", "o"), ("discriminator", DISCRIMINATOR_COLOUR, "--", "s"))
    for who, colour, style, marker in drawn:
        iteration, low, mean, high = _reduced(trace, f"{quantity}_{who[0]}", trace.iterations - last)
        short = len(iteration) <= 60
        axes.plot(
            iteration, mean, style, color=colour, label=who, linewidth=1.5 if short else 0.9,
            marker=marker if short else None, markersize=4,
        )  # fmt: skip
        if (low < high).any():
            axes.fill_between(iteration, low, high, color=colour, alpha=0.2, linewidth=0)
    if trace.nan_at:
        axes.axvline(trace.nan_at, color=NAN_COLOUR, linestyle=":", label=nan_label)
    label, limits = {"score": ("score (0 to 1)", (-0.03, 1.03)), "loss": ("loss (nats)", (0, None))}[quantity]
    axes.set(xlabel="iteration", ylabel=label, ylim=limits)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _reduced(trace: Trace, quantity: str, first: int, points: int = 300) -> tuple[np.ndarray, ...]:
    """Iteration, lowest, mean and highest finite value after iteration `first`, in at most about `points` buckets.

    More would only be ink: neighbouring iterations differ by the noise of their batches.
    """
    low, high = trace.envelope(quantity)
    rows = pd.DataFrame({"low": low, "mean": trace.values[quantity], "high": high}, dtype="float64")
    rows = rows.where(np.isfinite(rows)).assign(iteration=trace.iteration, width=trace.width)[trace.iteration > first]
    if len(rows) > 2 * points:
        rows = rows.assign(width=rows["width"].where(rows["mean"].notna()), mean=rows["mean"] * rows["width"])
        buckets = rows.groupby((rows["iteration"] - first - 1) * points // (trace.iterations - first))
        # Each bucket stands at its last iteration, as the entries of a Trace do; one without any finite value stays NaN.
        rows = buckets.agg({"iteration": "last", "low": "min", "mean": "sum", "high": "max", "width": "sum"})
        rows["mean"] /= rows["width"]
    return tuple(rows[name].to_numpy() for name in ("iteration", "low", "mean", "high"))


def _end(trace: Trace) -> str:
    return f"the loss stops being finite at {trace.nan_at:,}" if trace.nan_at else f"finite for {trace.iterations:,} iterations"


def _ends(trace: Trace) -> str:
    return {
        None: "Both losses stay finite.",
        "D": "The discriminator's loss is the first that is not finite; the generator's still is.",
        "G": "The generator's loss is the first that is not finite; the discriminator's still is.",
        "both": "Both losses stop being finite at the same iteration.",
    }[trace.first_broken]


def _published(values) -> dict[str, float]:
    """{learning rate: iteration} of a dict or a pandas Series."""
    if not isinstance(values, (Mapping, pd.Series)):
        raise TypeError(f"published must be such as {{'1e-3': 10}}, not {shown(values)}")
    return {rate: number(f"published[{rate!r}]", value, above=0) for rate, value in values.items()}


def triptych(traces: Sequence[Trace], published: dict[str, float]) -> Picture:
    """The losses of several runs side by side, each title with its collapse beside the published one: {rate: iteration}."""
    titles, traces, published = [], _traces("traces", traces), _published(published)
    for trace in traces:
        rate = rate_text(trace.recipe.lr)
        if rate not in published:
            raise ValueError(f"published must name each trace's learning rate, and lacks {rate}; it has {', '.join(published)}")
        titles.append(f"learning rate {rate}\n{_end(trace)}\npublished: {published[rate]:,.0f}")
    alt = "Losses of three runs until they stop being finite. " + "; ".join(title.replace("\n", ", ") for title in titles)
    picture = Picture(alt=alt, width=12, height=3.8)
    for axes, trace, title in zip(picture.subplots(1, len(traces), squeeze=False)[0], traces, titles):
        _pair(axes, trace, "loss", trace.iterations, 5, "first not finite")
        axes.set_title(title)
    picture.axes[0].legend(loc="upper left", fontsize=8)
    return picture


def collapse_times(groups: dict[str, Sequence[Trace]], published: dict[str, float] | None = None) -> Picture:
    """A row of dots a group: the iteration of each collapse, and the published one, a star; a run without is a triangle."""
    if not isinstance(groups, Mapping) or not groups:
        raise ValueError(f"groups must be named groups of Traces, such as {{'1e-3': [...]}}, not {shown(groups)}")
    groups = {name: _traces(f"groups[{name!r}]", traces) for name, traces in groups.items()}
    published = _published({} if published is None else published)
    counts = ", ".join(f"{name}: {_median_text(traces)}" for name, traces in groups.items())
    picture = Picture(alt=f"Iteration of the collapse of each run, by learning rate. {counts}.", height=1.1 + 0.9 * len(groups))
    axes = picture.subplots()
    for row, (name, traces) in enumerate(groups.items()):
        # Dots side by side instead of on top of each other; the height means nothing.
        heights = row + 0.5 * ((np.arange(len(traces)) * 0.618) % 1 - 0.5)
        times = np.array([trace.nan_at or np.nan for trace in traces], dtype=float)
        axes.plot(times, heights, "o", markersize=4, alpha=0.6, color=GREY, label="end of one run")
        capped = [(trace.iterations, height) for trace, height in zip(traces, heights) if trace.nan_at is None]
        if capped:
            axes.plot(*zip(*capped), ">", markersize=6, fillstyle="none", color=GREY, label="no end by its cap")
        if len(capped) < len(traces):
            axes.plot([np.nanmedian(times)] * 2, [row - 0.35, row + 0.35], color=NAN_COLOUR, linewidth=2, label="median end")
        if name in published:
            axes.plot(published[name], row, "*", ms=16, color="#CC79A7", markeredgecolor="black", label="published run")
    axes.set_yticks(range(len(groups)), groups)
    axes.set(ylim=(len(groups) - 0.4, -0.6), xscale="log", xlabel="iteration of the first loss that is not finite")
    axes.set(ylabel="learning rate", title="When a run ends, at each learning rate")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(dict(zip(labels, handles)).values(), dict.fromkeys(labels), fontsize=9, loc="upper right")  # each once
    return picture


def _median_text(traces: Sequence[Trace]) -> str:
    times = [trace.nan_at for trace in traces if trace.nan_at]
    return f"{len(times)} of {len(traces)} collapse, median {np.median(times):,.0f}" if times else "none collapses"


def samples(rows: dict[str, np.ndarray], data: str) -> Picture:
    """A row of samples a name: {name: (count, 64)}, at most 30 each, as curves (pulses) or small images (digits)."""
    unit, full_scale = load(one_of("data", data, ("pulses", "digits"))).unit, load(data).full_scale
    if not isinstance(rows, Mapping) or not rows:
        raise ValueError(f"rows must be named rows of samples, such as {{'real': ...}}, not {shown(rows)}")
    rows = {name: array(f"rows[{name!r}]", batch, None, 64) for name, batch in rows.items()}
    whole("the number of rows", len(rows), 1, 30), whole("the samples of a row", max(map(len, rows.values())), 1, 30)
    columns = max(len(batch) for batch in rows.values())
    broken = [name for name, batch in rows.items() if np.isnan(batch).all()]
    alt = f"Samples in {unit}: {', '.join(rows)}." + (f" All values of {', '.join(broken)} are NaN." if broken else "")
    picture = Picture(alt=alt, height=0.5 + 1.3 * len(rows))
    grid = picture.subplots(len(rows), columns, squeeze=False)
    for (name, batch), axes_row in zip(rows.items(), grid):
        axes_row[0].set_ylabel(f"{name}\n({unit})", fontsize=9)
        for axes, sample in zip(axes_row, batch):
            _sample(axes, sample, data, full_scale, GREY if str(name).startswith("real") else GENERATOR_COLOUR)
    for axes in grid[:, 1:].flat:
        axes.set_yticklabels([])
    picture.supxlabel(f"time, {batch.shape[1]} values a pulse" if data == "pulses" else "", fontsize=10)
    return picture


def _sample(axes, sample: np.ndarray, data: str, full_scale: float, colour: str) -> None:
    axes.set_xticks([])
    if data == "digits":
        axes.set_yticks([])
        axes.imshow(np.asarray(sample, dtype=float).reshape(8, 8), cmap="gray_r", vmin=0, vmax=full_scale)
    else:
        axes.plot(sample, color=colour, linewidth=0.9)
        axes.set_ylim(-2 * full_scale, 2 * full_scale)
    if np.isnan(sample).all():
        axes.text(0.5, 0.5, "NaN", transform=axes.transAxes, ha="center", va="center", fontsize=12)


def atlas(trace: Trace, at: Sequence[int] = (-1,), cliff: float | None = None) -> Picture:
    """The atlas of G: everything it can draw (latent across, sample index up), and below it D's logit for each drawing.

    `at` lists the trace's snapshots to show, `cliff` is a logit to mark. The last batch's draws are dots; the one with the
    largest logit is circled if it lies above the cliff.
    """
    _traces("trace", [trace])
    dataset, snapshots, cliff = load(trace.recipe.data), trace.atlas, None if cliff is None else number("cliff", cliff)
    count = len(snapshots.get("iteration", ()))
    indices = at if hasattr(at, "__len__") and 0 < len(at) <= 30 else ["none"]
    if not all(isinstance(index, numbers.Integral) and -count <= index < count for index in indices):
        have = f"{count} snapshots, {-count} to {count - 1}" if count else "no snapshot"
        raise ValueError(f"at must list some of the trace's snapshots, at most 30; there are {have}, not {shown(at)}")
    iterations = [int(snapshots["iteration"][index]) for index in at]
    alt = f"What G draws at each latent, and D's logit for it, at iteration {', '.join(f'{i:,}' for i in iterations)}."
    picture = Picture(alt=alt, width=9 if len(at) > 1 else 6, height=5)
    grid = picture.subplots(2, len(at), squeeze=False, sharex=True, sharey="row", height_ratios=[1, 1])
    for column, (index, iteration) in enumerate(zip(at, iterations)):
        image = draw_atlas(grid[0, column], snapshots["image"][index], dataset)
        last = trace.last_batch if iteration == trace.iterations else None
        _draw_logits(grid[1, column], snapshots["logit"][index], cliff, last)
        if cliff is not None and column == 0:
            grid[1, 0].text(-5.8, cliff + 1, f"{cliff:.2f}", fontsize=9, va="bottom")
        grid[0, column].set_title(f"iteration {iteration:,}")
    grid[0, 0].set_ylabel("time (samples)" if trace.recipe.data == "pulses" else "number of the value")
    grid[1, 0].set_ylabel("D's logit")
    picture.colorbar(image, ax=grid[0, :].tolist(), label=dataset.unit, extend="both")
    picture.colorbar(image, ax=grid[1, :].tolist()).ax.set_visible(False)  # an empty twin keeps both rows equally wide
    return picture


def draw_atlas(axes, image: np.ndarray, dataset):
    """Draw an atlas (97, dimension) in the data's unit on axes; the colour scale is twice the full scale either way."""
    image = array("image", image, len(ATLAS_Z), dataset.dimension)
    limit, extent = 2 * dataset.full_scale, (ATLAS_Z[0], ATLAS_Z[-1], -0.5, dataset.dimension - 0.5)
    return axes.imshow(
        image.astype(np.float32).T, cmap=ATLAS_COLOURS, vmin=-limit, vmax=limit, origin="lower", aspect="auto",
        extent=extent, interpolation="nearest",
    )  # fmt: skip


def _draw_logits(axes, logit: np.ndarray, cliff: float | None, batch: dict | None) -> None:
    axes.plot(ATLAS_Z, logit, color=DISCRIMINATOR_COLOUR, linewidth=1.8)
    axes.set(ylim=(-30, 30), xlim=(ATLAS_Z[0], ATLAS_Z[-1]), xlabel="latent z")
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    if cliff is not None:
        axes.axhline(cliff, color=NAN_COLOUR, linestyle="--", linewidth=1.2)
    if batch is not None and batch["z"].shape[1] == 1:
        z, logits = batch["z"][:, 0], batch["fake_logits"]
        axes.plot(z, logits, "o", color="black", markersize=3)
        loudest = logits.argmax()
        if cliff is not None and logits[loudest] > cliff:
            axes.plot(z[loudest], logits[loudest], "o", color=NAN_COLOUR, fillstyle="none", markersize=12)
            right, high = z[loudest] > 0, logits[loudest] > 20  # the words stand inside the frame, off the curve
            axes.annotate(
                f"z = {z[loudest]:.2f}\nlogit {logits[loudest]:.1f}", (z[loudest], logits[loudest]), textcoords="offset points",
                xytext=(-12 if right else 12, -8 if high else 2), fontsize=9,
                va="top" if high else "bottom", ha="right" if right else "left",
            )  # fmt: skip
