# %% [markdown]
# # 06 Fix the loss: cure, mask, delay or hasten?
#
# After this notebook you will be able to
# - say what nine GAN losses do with the batch that ended a run;
# - tell a cure from a mask: a loss that stays finite is not yet a network that learns;
# - judge what people try, by rate.
#
# **Time:** 1 minute to run, 26 to read. **Prerequisites:** notebooks 02 and 04.

# %% tags=["setup"]
import numpy as np
import pandas as pd
import torch

from utils import plots
from utils.autopsy import FlightRecorder, autopsy, cliffs, counterfactual
from utils.exercises import ____, check, guess, outcome
from utils.losses import LOSSES
from utils.metrics import alive, signal
from utils.sweep import recorded, table
from utils.training import GAN, Recipe, train
from utils.verdicts import verdicts

CLIFF = cliffs(torch.float32)[1]
SAME = ("matlab", "logits", "bce", "epsilon", "clamp")  # one function on paper

# %% [markdown]
# ## One fatal batch, nine losses
#
# Notebook 04 found the culprit: log(1 - score) of a score that had been rounded to 1. This naive loss is "matlab" in the code and "no fix" in the tables. Four
# remedies compute the same function of the logit in another way, but for what each cuts off:
#
# - **logits**: never round to a score; log(1 + exp(x)) of the logit x, which is what `BCEWithLogitsLoss` computes;
# - **bce**: `BCELoss`, which cuts each log off at -100;
# - **epsilon**: log(score + 1e-8), the remedy of many forums;
# - **clamp**: the score is kept at least 1e-7 away from 0 and from 1.
#
# Four play another game, without a score: **lsgan**, **hinge**, **wgan**, and **relativistic**, which takes the difference of a real and a generated logit. We run one fatal iteration under each: same weights, batch and latents.
#
# **Predict:** under how many of the nine do the weights survive?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# All but the naive one. "No NaN" is a test that every remedy passes.
# </details>

# %%
guess("06.survive", "losses under which the weights survive", unit="of 9")

# %%
gan = GAN(Recipe(lr=1e-3), seed=0)
verdict = autopsy(gan, iterations=200)  # puts gan back to just before the fatal iteration
replayed = pd.DataFrame(counterfactual(gan)).T
outcome("06.survive", int(replayed.finite.sum()))

# %% tags=["hide-input"]
replayed["finite"] = replayed.finite.map({1.0: "yes", 0.0: "no"})
words = {"loss_d": "D's loss", "loss_g": "G's loss", "push": "push on the loudest fake", "finite": "weights finite afterwards"}
replayed.rename(columns=words).rename_axis(columns="loss").style.format(precision=3, na_rep="NaN")

# %% [markdown]
# Now read the *push*: the slope of D's loss at the logit of the loudest fake, times the batch. 1 means "push it down with full strength". With `bce`, `epsilon` and
# `clamp` it is 0: the sample is in D's loss, and D learns nothing from it.
#
# ## Saved for one iteration. Saved for the game?
#
# From the same brink, 150 iterations on. `alive` asks what a loss curve cannot show: does G still get a gradient? It is alive if weights and losses are finite and G's loss pulls at the logits of more
# than 1 sample in 100 by more than a millionth.

# %% tags=["hide-input"]
recorder, later = FlightRecorder(gan), {}
recorder.capture()
brink = recorder.random_state()
for name, loss in LOSSES.items():
    recorder.rewind()
    recorder.set_random_state(brink)
    gan.loss = loss
    trace = train(gan, iterations=150, progress=False)
    pulled = np.nan if trace.nan_at else (signal(gan) > 1e-6).mean()
    state = "NaN" if trace.nan_at else "alive" if alive(gan) else "dead"
    later[name] = [trace.loss_d[-1], trace.loss_g[-1], trace.score_g[-1] if name in SAME else np.nan, pulled, state]
columns = ["last loss of D", "last loss of G", "last G score", "share of samples with a pull", "state"]
later = pd.DataFrame.from_dict(later, orient="index", columns=columns).rename_axis(columns="loss")
later.style.format(precision=3, na_rep="")

# %% [markdown]
# The dead rows are those whose push was 0 above, and all their losses are finite. A G score near 1 says that D calls every fake real; near 0, that it calls every
# fake fake. So there are two places where such a loss falls silent.
#
# ## The slope, drawn
#
# What a loss *teaches* is its slope. The broad grey line is the slope on paper, the thin one what torch computes in 32 bits.


# %% tags=["setup", "hide-input"]
def gradients(name, x):
    """The slope of D's loss and of G's at each generated logit of x, beside real logits of 0: two tensors like x."""
    fake = x.clone().requires_grad_()
    losses = LOSSES[name](torch.zeros_like(x), fake)
    return [len(x) * torch.autograd.grad(loss, fake, retain_graph=True)[0] for loss in losses]


# %% tags=["hide-input"]
x = torch.linspace(-40, 40, 1601)
paper = 1 / (1 + np.exp(-x.double().numpy()))
alt = "Slope of five losses against the logit: only logits follows the curve on paper everywhere; the others are cut off."
picture = plots.Picture(alt=alt, height=7)
grid = picture.subplots(len(SAME), 2, sharex=True, sharey="col")
for name, row in zip(SAME, grid, strict=True):
    sides = zip(row, gradients(name, x), (paper, paper - 1), (plots.DISCRIMINATOR_COLOUR, plots.GENERATOR_COLOUR), strict=True)
    for axes, slope, ideal, colour in sides:
        axes.plot(x, ideal, color="0.8", linewidth=6)
        axes.plot(x, slope, color=colour, linewidth=1.8)
        axes.axvline(CLIFF, color="black", linestyle="--", linewidth=1)
        if slope.isnan().any():
            axes.axvspan(x[slope.isnan()][0], 40, facecolor="none", edgecolor="0.4", hatch="//")
            axes.text(29, 0.4, "NaN", ha="center", fontsize=11, backgroundcolor="white")
    if name in SAME[2:]:
        row[0].text(28, 0.3, "D is told\nnothing", ha="center", fontsize=9)
        row[1].text(-36, -0.7, "G is told\nnothing", ha="center", fontsize=9)
    row[0].set_ylabel(name, fontsize=11)
grid[1, 0].text(18, 0.1, f"cliff, {CLIFF:.2f}", fontsize=9)
grid[0, 0].set_title("slope of D's loss at a generated logit")
grid[0, 1].set_title("slope of G's loss at a generated logit")
picture.supxlabel("logit of a generated sample")
picture

# %% [markdown]
# `logits` keeps to the grey line from end to end. The naive loss follows it up to the cliff (dashed) and is NaN beyond. The three below remove the hatching by laying the
# slope flat: on the right D is told nothing, on the left G is told nothing. A loss on its ceiling cannot show the way down.
#
# ## A loud failure turned silent
#
# Four runs at 1e-3 from the first iteration on. Some are dead after 300 iterations: finite, and G learns nothing.
#
# **Predict:** in how many of the dead ones does G's loss still move, in the last 100 iterations?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# In the saved run in one of three: D still moves there, and G's loss with it.
# </details>

# %%
guess("06.dead", "dead runs in which G's loss still moves", unit="of 4 runs")


# %%
def pulled(gan):
    return float((signal(gan, count=250) > 1e-6).mean())


gans, traces = {}, {}
for loss, seed in (("logits", 0), ("bce", 0), ("bce", 1), ("epsilon", 0)):
    name = f"{loss}, seed {seed}"
    gans[name] = GAN(Recipe(lr=1e-3, loss=loss), seed=seed)
    traces[name] = train(gans[name], 300, watch={"pulled": pulled}, watch_every=10)
ended = {name: "alive" if alive(gan) else "dead" for name, gan in gans.items()}
moves = {name: bool(np.ptp(trace.loss_g[-100:]) > 0.01) for name, trace in traces.items()}
outcome("06.dead", sum(moves[name] for name in moves if ended[name] == "dead"))

# %% tags=["hide-input"]
alt = f"Losses above, share of G's samples with a pull below. {'; '.join(f'{name}: {end}' for name, end in ended.items())}."
picture = plots.Picture(alt=alt, height=4.6)
grid = picture.subplots(2, len(traces), sharex=True, sharey="row")
for (name, trace), (top, bottom) in zip(traces.items(), grid.T, strict=True):
    top.plot(trace.iteration, trace.loss_g, color=plots.GENERATOR_COLOUR, linewidth=0.8, label="generator")
    top.plot(trace.iteration, trace.loss_d, "--", color=plots.DISCRIMINATOR_COLOUR, linewidth=0.8, label="discriminator")
    top.set_title(f"{name}: {ended[name]}", fontsize=10)
    top.set(yscale="symlog", ylim=(0, 300))
    top.set_yticks([0, 1, 10, 18.42, 100], ["0", "1", "10", "18.42", "100"])
    top.grid(axis="y", linestyle=":", color="0.6")
    bottom.plot(trace.watched["iteration"], trace.watched["pulled"], "o-", markersize=3, color=plots.GENERATOR_COLOUR)
    bottom.set(ylim=(-0.05, 1.05))
grid[0, 0].set_ylabel("loss")
picture.supxlabel("iteration")
grid[1, 0].set_ylabel("share of G's samples\nwith a pull")
grid[0, 0].legend(fontsize=8)
picture

# %% [markdown]
# The upper row is all that a training plot shows. Dotted at 18.42 and 100 are the ceilings of `epsilon` and `bce`. The
# lower row says what happened: where it falls to 0 and stays there, G learns nothing any more. So count pulls, not NaNs: `alive(gan)`.
# (It looks at G only. The pull of `hinge` and `wgan` is always 1, and that of `lsgan` 0 at a logit of 1 only, so it says little of them.)

# %% [markdown]
# ## What people try
#
# `data/fixes.csv` holds recorded runs of what people try on the naive GAN. A run is over at the first loss that is not finite, unless the remedy is to go on. One rule
# judges all, at each rate by itself:
#
# - some runs ended: **delays** or **hastens** if the typical life differs from that of the naive runs by more than luck (a bootstrap interval, 99 %), otherwise **no help**;
# - none ended, but one is dead, or went on past a broken loss: **masks** (**dead**, if the loss itself is sound);
# - none ended, all alive: **cures** if this loss is finite and answers every mistake, otherwise **unproven**. So only another loss can cure.
#
# **Predict:** somebody skips each step whose gradient is bad. Which verdict at 1e-3?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# It masks. The weights stay one step from the cliff, and the next batch goes over it, too.
# </details>

# %%
guess("06.skip", "skipping bad steps", choices=["cures", "masks", "delays", "hastens", "no help"])

# %%
lives = {rate: [trace.nan_at for trace in recorded(f"pulses_lr{rate:.0e}".replace("e-0", "e-"))] for rate in (1e-3, 1e-4, 1e-5)}
runs = table("fixes.csv").query("group in ('bar', 'naive', 'tried') and data == 'pulses' and fix != 'no fix'")
runs = runs.sort_values("cap").drop_duplicates(["fix", "lr", "seed"], keep="last")  # the longest run of each seed
judged = verdicts(runs, lives)
outcome("06.skip", judged.verdict.get(("steps skipped", 1e-3), "not recorded yet"))

# %% tags=["hide-input"]
FAMILIES = {
    "another loss": "logits loss; hinge; LSGAN; relativistic; WGAN, unclipped; WGAN clipped; WGAN-GP; BCELoss; log(. + 1e-8); clamped score; logits cut; logits bent; float64",
    "repairs of the step": "gradients through nan_to_num; steps skipped; restarts; gradient clipping; gradient values cut",
    "the optimiser": "eps = 1e-3; eps = 1e-4; AMSGrad; AdamW; RMSprop; SGD; SGD with momentum; beta1 = 0; beta2 = 0.9; warm-up; slower D; faster D; 5 D : 1 G; 1 D : 5 G; alternating updates; averaged G",
    "penalties, noise, labels": "R1; R1, gamma 120 mV²; R2; R1 and R2; spectral norm; instance noise; label smoothing; label flips; dropout in D",
    "networks, latent, units, batch": "normalised units; bounded output; bounded latent; wider latent; G's own noise; BatchNorm in G; BatchNorm in D; small weights; narrower D; batch of 16; batch of 256; batch of 512",
}
MARKS = {"NaN": ("x", "black"), "dead": ("s", "#777777"), "alive": (">", "none"), "hurt": ("D", "none")}
# By verdict, the best first.
COLOURS = {
    "cures": "#006D4F",
    "unproven": "#7A5C00",
    "delays": "#9A2E6F",
    "masks": "#666666",
    "dead": "#666666",
    "no help": "black",
    "hastens": "black",
}
shown = judged.xs(1e-3, level="lr")
shown = shown.assign(order=shown.verdict.map(list(COLOURS).index)).sort_values(["order", "ratio"], ascending=[True, False])
placed = {family: [fix for fix in shown.index if fix in text.split("; ")] for family, text in FAMILIES.items()}
placed["others"] = [fix for fix in shown.index if not any(fix in fixes for fixes in placed.values())]
ROWS = [row for family, fixes in placed.items() if fixes for row in (family, *fixes)]


def state(row):
    return "NaN" if row.outcome == "NaN" else "dead" if row.outcome == "dead" else "hurt" if (row.broken or 0) > 0 else "alive"


# %% tags=["hide-input"]
def strip(axes, rate):
    axes.axvspan(np.min(lives[rate]), np.max(lives[rate]), color="0.9")
    axes.axvline(np.median(lives[rate]), color="0.5", linestyle=":")
    for row in runs[runs.lr == rate].fillna({"broken": 0}).itertuples():
        marker, face = MARKS[state(row)]
        at = row.cap if pd.isna(row.nan_at) else row.nan_at
        axes.plot(at, ROWS.index(row.fix) + 0.5 * ((row.seed * 0.618) % 1 - 0.5), marker, mec="black", mfc=face, markersize=4)
    for fix, rated in shown.iterrows():
        ratio = f" {rated.ratio:.3g} ({rated.low:.3g} to {rated.high:.3g})" if rated.ended else ""
        axes.text(
            1.02,
            ROWS.index(fix),
            rated.verdict + ratio,
            color=COLOURS[rated.verdict],
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    axes.set(xscale="log", xlabel="iteration", ylim=(len(ROWS) - 0.4, -0.6))
    axes.set_xlim(min(lives[rate]) / 4, 4 * runs.cap[runs.lr == rate].max())
    axes.grid(axis="y", color="0.95")


counts = shown.verdict.value_counts()
alt = "Runs of every remedy at 1e-3 by family: " + "; ".join(f"{word} {n}" for word, n in counts.items()) + "."
picture = plots.Picture(alt=alt, height=1.2 + 0.24 * len(ROWS))
strip(picture.subplots(), 1e-3)
picture.axes[0].set_yticks(range(len(ROWS)), ROWS)
for label in picture.axes[0].get_yticklabels():
    label.set_fontweight("bold" if label.get_text() in placed else "normal")
for name, (marker, face) in MARKS.items():
    words = {"NaN": "ended", "dead": "dead at the cap", "alive": "alive at the cap", "hurt": "went on past a broken loss"}[name]
    picture.axes[0].plot([], [], marker, mec="black", mfc=face, label=words)
picture.legend(loc="outside upper center", ncols=4, title="What became of each run at 1e-3")
picture

# %% [markdown]
# Each mark is a run. The grey band holds the lives of the naive runs, the dotted line is their median. Beside each row stands its verdict; where runs ended, also the ratio of
# its typical life to the naive one, with the interval. Where the loss is still the naive one, there still is a cliff: what is *unproven* there has not met it yet. What was recorded at several rates:

# %% tags=["hide-input"]
by_rate = judged.verdict.unstack("lr").reindex(columns=[1e-3, 1e-4, 1e-5], index=shown.index)
by_rate = by_rate[by_rate.notna().sum(axis=1) > 1].fillna("not run")
by_rate.columns = pd.Index(["1e-3", "1e-4", "1e-5"], name="remedy at the rate")
by_rate.rename_axis(index=None)

# %% [markdown]
# A mask at 1e-3 may be *unproven* at 1e-4, where its few runs met no sample that shows it. The flat piece is in the loss all the same.
#
# <details><summary>For the referee: what runs can prove</summary>
#
# A run that was alive at its cap counts with the cap, which moves a ratio towards 1. Five clean runs exclude little (exercise 6.4), so it is the arithmetic that carries "cures". "WGAN, unclipped" is the critic's loss alone. R1 and R2 have gamma 1 mV² where no other is named. The rule is `utils/verdicts.py`.
# </details>
#
# ## Cured of the NaN is not a good game

# %%
lasted = runs[runs.outcome.isin(["poor", "good"])]
good = (lasted.outcome == "good").sum()
print(f"{good} of {len(lasted)} runs that came through are good; the nearest has {lasted.floors.min():.1f} floors")
quality = lasted.groupby(["lr", "fix"]).agg(
    runs=("seed", "size"), plausible=("plausible", "median"), floors=("floors", "median")
)
near = quality.sort_values(["lr", "floors"], ascending=[False, True]).groupby("lr").head(3).reset_index()
near.rename(columns={"lr": "rate", "fix": "remedy"}).style.format({"rate": "{:.0e}"}, precision=2).hide()

# %% [markdown]
# The three remedies of each rate that come nearest; medians of the runs that were alive at the cap. *Plausible* is the share of pulses that pass for real ring-downs; *floors* is the distance from real
# ones, where 1 is as near as two real crowds are. Good is at least 0.9 and at most 3 (notebook 07).
#
# ## The same in MATLAB
#
# MATLAB's example takes -log(YReal), -log(1 - YGenerated) and -log(YGenerated) of sigmoids Y. Leave the sigmoid out of D, so that it returns XReal and XGenerated, and write:
#
# ```matlab
# softplus = @(x) max(x, 0) + log(1 + exp(-abs(x)));
# lossD = mean(softplus(-XReal)) + mean(softplus(XGenerated));
# lossG = mean(softplus(-XGenerated));
# ```
#
# The plots take sigmoid(XReal) and sigmoid(XGenerated). `data/matlab.m` computes D's loss of one generated sample both ways in single precision:

# %%
matlab = pd.read_csv("../data/matlab.csv")
print(f"computed with {matlab.program[0]} {matlab.version[0]}")
(matlab[["logit", "by_score", "from_logit", "exact"]] + 0.0).style.format("{:.4g}").hide()

# %% [markdown]
# The column *exact* is double precision. At 17 the way over the score is infinite, the one from the logit is right; at -17 it loses only 4e-8. It was not run in MATLAB.
#
# ## Summary
# - One function of the logit can be computed so that it breaks (log of a sigmoid), falls silent (epsilon, clamp, `BCELoss`), or always answers (from the logit).
# - A ceiling on a loss is a loss without a slope: finite, and nobody is corrected.
# - A verdict needs its rate, runs, and arithmetic: runs say "alive until the cap", arithmetic says "never" of one operation.
# - A cure of the NaN is not yet a good game: notebook 07.
#
# ## Three questions
#
# **Predict.** "Use double precision", a forum says. What becomes of the naive GAN at 1e-3?
#
# <details><summary>A. It is cured</summary>
#
# The cliff moves to 36.74. A logit can be 40.
# </details>
# <details><summary>B. It lives longer, and ends the same way</summary>
#
# Yes: the cliff is further away, and still there.
# </details>
# <details><summary>C. Nothing changes</summary>
#
# Logits from 16.64 to 36.74 end the run in 32 bits, and are harmless in 64.
# </details>
#
# **Explain.** Why does `log(1 - score + 1e-8)` not help D, although it keeps the loss finite?
#
# <details><summary>A. 1e-8 is too small a number for float32</summary>
#
# float32 holds it. The harm was done before.
# </details>
# <details><summary>B. The score has been rounded to 1 before, and a constant has no slope</summary>
#
# Yes: beyond the cliff the score is exactly 1, so the loss does not change with the logit.
# </details>
# <details><summary>C. The epsilon makes the loss biased</summary>
#
# At a middling score by some 1e-8. That is not what silences D.
# </details>
#
# **Transfer.** A classifier clamps its probabilities to [1e-7, 1 - 1e-7]. Which samples does it stop learning from?
#
# <details><summary>A. The ones it gets right with certainty</summary>
#
# Their slope is near 0 in any case, as it should be.
# </details>
# <details><summary>B. The ones it gets wrong with certainty</summary>
#
# Yes: the worst mistakes lie beyond the clamp, where the slope is 0. `cross_entropy` of the logits hears them.
# </details>
# <details><summary>C. None, the clamp only bounds the loss</summary>
#
# A bound on a loss is a flat piece, and a flat piece teaches nothing.
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 6.1: where BCELoss falls silent** (10 minutes, medium). Find the logit of a generated sample below which G's slope under `bce` is less than half of
# the slope on paper, in size. *Deliverable:* `silent`, a number. *Criterion:* within 0.1. (`gradients("bce", x)` gives the slopes of D's and of G's loss at logits x.)
#
# <details><summary>Hint</summary>
#
# On paper G's slope is nearly -1 there.
# </details>

# %% tags=["stub"]
silent = ____
check("6.1", silent)

# %% tags=["solution"]
x = torch.linspace(-40, 0, 40_001)
silent = float(x[gradients("bce", x)[1] > -0.5 * (1 - torch.sigmoid(x))].max())
check("6.1", silent)

# %% [markdown]
# **Exercise 6.2: a smaller epsilon** (5 minutes, easy). "Your epsilon is too large, take 1e-30." At which logit does *D* stop hearing its loudest fakes with
# log(1 - score + 1e-30)? *Deliverable:* `cut_of_d`, a number. *Criterion:* within 0.05.
#
# <details><summary>Hint</summary>
#
# At which logit is 1 - score exactly 0?
# </details>

# %% tags=["stub"]
cut_of_d = ____
check("6.2", cut_of_d)

# %% tags=["solution"]
cut_of_d = cliffs(torch.float32)[1]
check("6.2", cut_of_d)

# %% [markdown]
# **Exercise 6.3: a safe loss of your own** (10 minutes, medium). Write D's loss of generated logits so that value and slope are right at -200, 2 and 200, with
# `torch.log`, `torch.exp`, `abs` and `clamp` only. *Deliverable:* `loss_of_fakes`, a function of a tensor of logits that returns the mean. *Criterion:* value and slope within 1e-4.
#
# <details><summary>Hint</summary>
#
# The MATLAB section has it.
# </details>


# %% tags=["stub"]
def loss_of_fakes(logits):
    return ____


check("6.3", loss_of_fakes)


# %% tags=["solution"]
def loss_of_fakes(logits):
    return (logits.clamp(min=0) + torch.log(1 + torch.exp(-logits.abs()))).mean()


check("6.3", loss_of_fakes)

# %% [markdown]
# **Exercise 6.4: what n clean runs prove** (5 minutes, medium). A run of some fix turns NaN with chance p. At which p would five clean runs in a row be a luck of exactly 1 in 20?
# *Deliverable:* `chance`, that p, a number from 0 to 1. *Criterion:* within 0.01.
#
# <details><summary>Hint</summary>
#
# One clean run has the chance 1 - p. What is that of five?
# </details>

# %% tags=["stub"]
chance = ____
check("6.4", chance)

# %% tags=["solution"]
chance = 1 - 0.05 ** (1 / 5)
check("6.4", chance)

# %% [markdown]
# ## References
# - I. Goodfellow et al., "Generative Adversarial Networks", [arXiv 1406.2661](https://arxiv.org/abs/1406.2661).
# - X. Mao et al., "Least squares generative adversarial networks", [arXiv 1611.04076](https://arxiv.org/abs/1611.04076).
# - J. H. Lim and J. C. Ye, "Geometric GAN" (hinge loss), [arXiv 1705.02894](https://arxiv.org/abs/1705.02894).
# - M. Arjovsky, S. Chintala and L. Bottou, "Wasserstein GAN", [arXiv 1701.07875](https://arxiv.org/abs/1701.07875).
# - A. Jolicoeur-Martineau, "The relativistic discriminator", [arXiv 1807.00734](https://arxiv.org/abs/1807.00734).
# - PyTorch documentation, "torch.nn.BCELoss": the logs are cut off at -100.
# - J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983): what n clean runs can exclude.
