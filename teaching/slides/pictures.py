"""The pictures and tables of the deck, drawn from data/: each a text for `include`, pictures with their alt text."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import torch

from utils import data, hazard, plots, sweep
from utils.plots import DISCRIMINATOR_COLOUR, GENERATOR_COLOUR, NAN_COLOUR, Picture

RATES = ("1e-3", "1e-4", "1e-5")
CLIFF = hazard.cliffs()[1]
WIDE, HIGH, DPI = 8.0, 3.7, 144  # inches; large letters on a slide of 1280 pixels
# What the naive recipe is changed by, at 1e-3, in the order of the slide; the verdicts are notebook 06's.
VERDICTS = {
    "logits loss": "cures", "BCELoss": "masks", "log(. + 1e-8)": "masks", "gradient clipping": "delays", "warm-up": "delays",
    "faster D": "hastens",
}  # fmt: skip


@functools.cache
def runs(rate: str):
    return sweep.recorded(f"pulses_lr{rate}")


def published() -> dict[str, float]:
    return sweep.published().query("quantity == 'nan_at'").set_index("learning_rate")["value"].to_dict()


# ---- pictures


def pulses() -> Picture:
    real = data.load("pulses")
    picture = Picture(alt=f"Eight real samples: ring-down pulses, in {real.unit}.", width=WIDE, height=HIGH)
    for axes, sample in zip(picture.subplots(2, 4, sharex=True, sharey=True).flat, real.samples.numpy()):
        axes.plot(sample, color="#444444", linewidth=1)
    picture.supxlabel("time (samples)", fontsize=10)
    picture.supylabel(real.unit, fontsize=10)
    return picture


def first_run() -> Picture:
    return plots.losses_and_scores(runs("1e-3")[0])


def three_rates() -> Picture:
    picture = plots.triptych([runs(rate)[0] for rate in RATES], published())
    for axes, rate in zip(picture.axes, RATES):  # short words, in large letters
        axes.set_title(f"{rate}: {runs(rate)[0].nan_at:,}\npublished: {published()[rate]:,.0f}")
        axes.locator_params(axis="x", nbins=3)
    picture.set_size_inches(WIDE, HIGH)
    return picture


def lives() -> Picture:
    return plots.collapse_times({rate: runs(rate) for rate in RATES}, published())


def last_losses() -> Picture:
    """The losses of one run at 1e-3 to its end: D's line ends first."""
    trace = runs("1e-3")[0]
    ends = [int(trace.iteration[np.isfinite(loss)].max()) for loss in (trace.loss_g, trace.loss_d)]
    alt = f"Losses of seed 0 at 1e-3. G's last finite loss is at iteration {ends[0]}, D's at {ends[1]}."
    picture = Picture(alt=alt, width=WIDE, height=HIGH)
    axes = picture.subplots()
    for loss, name, colour, style, end in (
        (trace.loss_g, "generator", GENERATOR_COLOUR, "o-", ends[0]),
        (trace.loss_d, "discriminator", DISCRIMINATOR_COLOUR, "s--", ends[1]),
    ):
        axes.plot(trace.iteration, np.where(np.isfinite(loss), loss, np.nan), style, color=colour, label=f"{name}: to {end}")
    axes.axvline(trace.nan_at, color=NAN_COLOUR, linestyle=":", label=f"first loss not finite: {trace.nan_at}")
    axes.set(xlabel="iteration", ylabel="loss (nats)", ylim=(0, None))
    axes.legend(fontsize=9)
    return picture


def cliff() -> Picture:
    """log(1 - sigmoid(x)) in float32, and the same function computed without the sigmoid."""
    x = torch.linspace(10, 20, 2001)
    naive = -torch.log(1 - torch.sigmoid(x)).numpy()
    alt = f"-log(1 - sigmoid(x)) in float32 follows softplus(x), in steps that grow, to x = {CLIFF:.2f}; beyond it is infinite."
    picture = Picture(alt=alt, width=WIDE, height=HIGH)
    axes = picture.subplots()
    axes.plot(x, torch.nn.functional.softplus(x), color="#999999", linewidth=4, label="from the logit: softplus(x)")
    axes.plot(x, np.where(np.isfinite(naive), naive, np.nan), color=DISCRIMINATOR_COLOUR, label="-log(1 - sigmoid(x)), float32")
    axes.axvline(CLIFF, color="black", linestyle="--", label=f"the cliff, {CLIFF:.2f}")
    axes.text(CLIFF + 0.15, 11, "sigmoid(x) is 1\nlog(0) = -inf", fontsize=10)
    axes.set(xlabel="logit x", ylabel="term of D's loss (nats)")
    axes.legend(fontsize=9)
    return picture


def two_deaths() -> Picture:
    """The generated logits of every fatal batch, sorted, at 1e-3 and at 1e-4."""
    told, picture = [], Picture(alt="", width=WIDE, height=HIGH)
    for axes, rate in zip(picture.subplots(1, 2, sharey=True), RATES):
        batches = np.sort([trace.last_batch["fake_logits"] for trace in runs(rate)])
        several = int(((batches > CLIFF).sum(axis=1) > 1).sum())
        told.append(f"{rate}: middle logit {np.median(batches):.1f}\nmore than one beyond in {several} of {len(batches)} runs")
        axes.plot(batches.T, color="#888888", linewidth=0.5, alpha=0.5)
        axes.plot(np.median(batches, axis=0), color=GENERATOR_COLOUR, linewidth=2)
        axes.axhline(CLIFF, color="black", linestyle="--")
        axes.set(xlabel="the batch, sorted", title=told[-1], ylim=(-30, 45))
    picture.axes[0].set_ylabel("D's logit")
    picture.axes[1].text(1, CLIFF + 1, f"cliff {CLIFF:.2f}", fontsize=9)
    picture.alt = f"Logits of the fatal batches, their median bold. {'; '.join(told)}.".replace("\n", ", ")
    return picture


def atlas() -> Picture:
    trace = runs("1e-4")[0]
    late = int(np.searchsorted(trace.atlas["iteration"], 0.8 * trace.iterations))
    return plots.atlas(trace, (0, late, -2, -1), CLIFF)


def gauge() -> Picture:
    """The largest generated logit of each batch in the last 2,000 iterations of seed 0 at 1e-4, and D's loss."""
    trace, last = runs("1e-4")[0], 2000
    loudest = float(trace.fake_max[-last:-1].max())
    alt = f"Last {last:,} iterations of seed 0 at 1e-4. Before the last one the largest logit reaches {loudest:.1f}, "
    alt += f"D's loss stays below {np.nanmax(trace.loss_d[-last:-1]):.1f}."
    picture = Picture(alt=alt, width=WIDE, height=HIGH)
    upper, lower = picture.subplots(2, 1, sharex=True)
    upper.plot(trace.iteration[-last:], trace.loss_d[-last:], color=DISCRIMINATOR_COLOUR, linewidth=0.8)
    upper.set_ylabel("D's loss")
    lower.plot(trace.iteration[-last:], trace.fake_max[-last:], color=GENERATOR_COLOUR, linewidth=0.8)
    lower.axhline(CLIFF, color="black", linestyle="--")
    lower.set(xlabel="iteration", ylabel="largest logit")
    lower.xaxis.set_major_formatter("{x:,.0f}")
    return picture


def lottery() -> Picture:
    """The chance that the next batch ends the run, all along seed 0 at 1e-4, and the sums of all seeds."""
    trace = runs("1e-4")[0]
    sums = [hazard.summed_hazard(one)[1][-1] for one in runs("1e-4")]
    title = f"summed to its end: {sums[0]:.2f}; the mean of {len(sums)} runs: {np.mean(sums):.2f}"
    picture = Picture(alt=f"Hazard of seed 0 at 1e-4 against iteration, {title}.", width=WIDE, height=HIGH)
    axes = picture.subplots()
    axes.plot(trace.watched["iteration"], np.maximum(trace.watched["hazard"], 1e-12), color="#444444", linewidth=0.8)
    axes.axvline(trace.nan_at, color=NAN_COLOUR, linestyle=":", label=f"NaN, iteration {trace.nan_at:,}")
    axes.set(yscale="log", xlabel="iteration", ylabel="chance for the next batch", title=title)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(fontsize=9)
    return picture


# ---- tables


def cliffs() -> list[list[str]]:
    kinds = {"bfloat16": torch.bfloat16, "float16 (half)": torch.float16, "float32": torch.float32, "float64": torch.float64}
    ends = {name: hazard.cliffs(kind) for name, kind in kinds.items()}
    return [["", "lowest logit", "highest logit"], *([name, f"{low:.2f}", f"{high:.2f}"] for name, (low, high) in ends.items())]


def verdicts() -> list[list[str]]:
    """What became of five runs at 1e-3 under each change, and notebook 06's verdict."""
    table = sweep.table("fixes.csv").query("group == 'naive' and lr == 0.001")
    rows = [["one change, at 1e-3", "runs that turned NaN", "median iteration", "verdict"]]
    for fix in ("no fix", *VERDICTS):
        ends = table[table.fix == fix].nan_at
        middle = f"{ends.median():,.0f}" if ends.notna().any() else "none"
        rows.append([fix, f"{ends.notna().sum()} of {len(ends)}", middle, VERDICTS.get(fix, "")])
    return rows


AWAITED = (first_run, cliff)  # answers: they wait for a key
PICTURES = (pulses, first_run, three_rates, lives, last_losses, cliff, two_deaths, atlas, gauge, lottery)
TABLES = (cliffs, verdicts)


def draw(folder: Path) -> None:
    """Write every picture and table into the folder."""
    folder.mkdir(exist_ok=True)
    for picture in PICTURES:
        drawn = picture()
        wide, high = drawn.get_size_inches()
        drawn.set_size_inches(WIDE, min(WIDE * high / wide, 3.8))  # narrower than on a page: larger letters
        drawn.savefig(folder / f"{picture.__name__}.png", dpi=DPI)
        options = f"   :alt: {drawn.alt}\n" + "   :class: fragment\n" * (picture in AWAITED)
        (folder / f"{picture.__name__}.txt").write_text(f".. image:: drawn/{picture.__name__}.png\n{options}", "utf-8")
    for table in TABLES:
        lines = [f"   * - {cells[0] or ' '}\n" + "".join(f"     - {cell}\n" for cell in cells[1:]) for cells in table()]
        (folder / f"{table.__name__}.txt").write_text(f".. list-table::\n   :header-rows: 1\n\n{''.join(lines)}", "utf-8")


if __name__ == "__main__":
    sys.exit(draw(Path(__file__).parent / "drawn"))
