# %% [markdown]
# # 06 Fix the loss: cure, mask or delay?
#
# After this notebook you will be able to
# - say what nine GAN losses do with the batch that killed a run: their value, their gradient, the weights afterwards;
# - tell a cure from a mask: a loss that stays finite is not yet a network that learns;
# - judge a remedy by arithmetic and by runs together, and say how much runs with a cap can prove.
#
# **Time:** 1 to 2 minutes to run, 45 to read. **Prerequisites:** notebooks 02 and 04.

# %% tags=["setup"]
import numpy as np
import pandas as pd
import torch

from utils import plots
from utils.autopsy import FlightRecorder, autopsy, cliffs, counterfactual
from utils.losses import LOSSES
from utils.metrics import alive, signal
from utils.recipe import FIXES, rate_text
from utils.sweep import recorded, table
from utils.trace import ATLAS_Z
from utils.training import GAN, Recipe, train
from utils.verdicts import FLOORS, PLAUSIBLE

CLIFF = cliffs(torch.float32)[1]

# %% [markdown]
# ## One fatal batch, nine losses
#
# Notebook 04 ended a run at 1e-3 and looked at the culprit: log(1 - D(G(z))) of a score that had been rounded to 1. Many remedies are on offer. Four compute the same
# function of the logit in another way:
#
# - **logits**: never round to a score; softplus(x) = log(1 + exp(x)) of the logit, which is what torch's `BCEWithLogitsLoss` computes;
# - **bce**: torch's `BCELoss`, which cuts each log off at -100;
# - **epsilon**: log(score + 1e-8), the remedy of many forums;
# - **clamp**: keep the score at least 1e-7 away from 0 and from 1, as Keras' cross-entropy does.
#
# Four play another game: **lsgan**, **hinge**, **wgan** and **relativistic**. All nine are a few lines each in `utils/losses.py`. We bring one run to the brink:

# %%
gan = GAN(Recipe(lr=1e-3), seed=0)
verdict = autopsy(gan, iterations=200)  # puts gan back to just before the fatal iteration
print(verdict.cause)
print("in", verdict.line)

# %% [markdown]
# and run the fatal iteration once under each loss: same weights, same batch, same latents. **Predict:** in how many of the nine do the weights survive? In how
# many does D learn that its loudest fake is a fake?

# %%
replayed = pd.DataFrame(counterfactual(gan)).T.round(3)
replayed.insert(2, "D's loss finite?", np.where(np.isfinite(replayed.loss_d), "yes", "no"))
replayed["finite"] = replayed["finite"].map({1.0: "yes", 0.0: "no"})
words = {"loss_d": "D's loss", "loss_g": "G's loss", "push": "push on the loudest fake", "finite": "weights finite afterwards?"}
replayed.rename(columns=words).rename_axis(columns="loss")

# %% [markdown]
# Only the naive loss breaks (its loss is infinite; the gradient of it multiplies 0 by infinity, and that is the NaN), so that every remedy passes the test "no NaN". Now read the *push*: the gradient of D's loss at the logit of the loudest fake, the sample that
# broke the naive loss, times the batch, since the loss is a mean. 1 means "push it down with full strength". With `bce`, `epsilon` and `clamp` it is zero: D's loss has noticed the sample, since it counts in the mean,
# but nobody tells D. With the other five D gets its correction, and with `lsgan` one as large as the mistake.
#
# ## Saved for one iteration. Saved for the game?
#
# From the same brink, 150 iterations on under each loss. `alive` (in `utils/metrics.py`) asks what a loss curve cannot show: does G still get a gradient? It draws 1,000 fresh
# samples and looks how strongly G's loss pulls at the logit of each; a G is alive if more than 1 sample of 100 is pulled by more than a millionth. (Does Adam not rescale its gradients? It divides by their recent size plus 1e-8, so what has faded far below that moves nothing.) **Predict:** which of the finite ones are alive at the end?

# %%
SAME = ("matlab", "logits", "bce", "epsilon", "clamp")  # one function on paper, of a score that is a probability
recorder, later = FlightRecorder(gan), {}
recorder.capture()
brink = recorder.random_state()
for name, loss in LOSSES.items():
    recorder.rewind()
    recorder.set_random_state(brink)
    gan.loss = loss
    trace = train(gan, iterations=150, progress=False)
    state = "NaN" if trace.nan_at else "alive" if alive(gan) else "dead"
    pulled = "-" if trace.nan_at else f"{(signal(gan) > 1e-6).mean():.0%}"
    score = f"{trace.score_g[-1]:.3f}" if name in SAME else "-"
    later[name] = [f"{trace.loss_d[-1]:.3f}", f"{trace.loss_g[-1]:.3f}", score, pulled, state]
columns = ["last loss of D", "last loss of G", "last G score", "G's samples with a pull", "state"]
pd.DataFrame.from_dict(later, orient="index", columns=columns).rename_axis(columns="loss")

# %% [markdown]
# A row that says *dead* has ordinary, finite numbers in its loss columns, and no NaN would ever have been reported. They are the three losses whose push was zero in the table before. But look at the G score, the mean probability that D gives a fake of being real (printed for the five losses where D's output means that): only one of them died where the push was zero,
# with a score of 1. The other two died on the other side, with a score of 0 and G's loss high and stuck. So there must be a second place where such a loss falls silent.
#
# ## The gradient, drawn
#
# What a loss *teaches* is its slope. Here it is for each logit that a generated sample may have, computed by torch in 32-bit numbers from the same functions that train.

# %% tags=["setup"]
def gradients(name, x):
    """The slope of D's loss and of G's at each generated logit of x, beside real logits of 0: two tensors like x."""
    fake = x.clone().requires_grad_()
    losses = LOSSES[name](torch.zeros_like(x), fake)
    return [len(x) * torch.autograd.grad(loss, fake, retain_graph=True)[0] for loss in losses]


# %% [markdown]
# First the five that are one function on paper. The broad grey line is the gradient on paper, 1/(1 + exp(-x)) for D and that minus 1 for G. D should push a fake down when its
# logit is high (right half of the left column); G should pull it up when it is low (left half of the right column). **Predict:** where do the black lines leave the grey one?

# %% tags=["hide-input"]
# The slopes of five losses as a figure
x = torch.linspace(-40, 40, 1601)
paper = 1 / (1 + np.exp(-x.double().numpy()))
alt = "Gradient of five losses against the logit: only logits follows the curve on paper everywhere; the others are cut off."
picture = plots.Picture(alt=alt, height=8)
grid = picture.subplots(len(SAME), 2, sharex=True, sharey="col")
for name, row in zip(SAME, grid, strict=True):
    for axes, slope, ideal in zip(row, gradients(name, x), (paper, paper - 1), strict=True):
        axes.plot(x, ideal, color="0.8", linewidth=6)
        axes.plot(x, slope, color="black", linewidth=1.4)
        axes.axvline(CLIFF, color=plots.NAN_COLOUR, linestyle=":", linewidth=1)
        if slope.isnan().any():
            axes.axvspan(x[slope.isnan()][0], 40, facecolor="none", edgecolor="0.4", hatch="//")
            axes.text(29, 0.4, "NaN", ha="center", fontsize=11, backgroundcolor="white")
    row[0].set_ylabel(name)
grid[0, 0].set_title("slope of D's loss at a generated logit")
grid[0, 1].set_title("slope of G's loss at a generated logit")
picture.supxlabel("logit of a generated sample")
picture

# %% [markdown]
# One row keeps to the grey line from end to end: `logits`. The naive loss follows it up to the cliff (dotted) and is NaN from there on. The three remedies below it remove the
# hatching by laying the slope flat: beyond the cut D is not told anything, and on the other side G is not either. A loss that sits on its ceiling
# cannot show the way down. (On G's side `bce` falls silent even below its ceiling of 100: its gradient divides by score times (1 - score), or by 1e-12 if that is more, and so it fades from a logit of log(1e-12) = -27.6 on.)
#
# How high are the ceilings, and where do they begin? The *cut* is the logit from which on less than half of the slope on paper is left.

# %%
def cut(slope, right, least=0.5):
    """The logit nearest to 0, on its right or left, where the slope is below `least` (of 1 on paper); "none" up to 200."""
    side = (wide > 0) if right else (wide < 0)
    lost = wide[side & ~(slope.abs() >= least)]
    return "none" if len(lost) == 0 else f"{lost.abs().min() * (1 if right else -1):.2f}"


wide, limits = torch.linspace(-200, 200, 40_001), {}
for name in SAME:
    (d, g), zero = gradients(name, wide), torch.zeros(1)
    high = LOSSES[name](zero, zero + 200)[0] - LOSSES[name](zero, zero - 200)[0]  # what the real logit of 0 adds cancels
    low = LOSSES[name](zero, zero - 200)[1]
    limits[name] = [f"{float(high):.2f}", cut(d, True), f"{float(low):.2f}", cut(g, False)]
columns = ["D's loss of a fake at logit 200", "cut of D", "G's loss of a fake at logit -200", "cut of G"]
pd.DataFrame.from_dict(limits, orient="index", columns=columns).rename_axis(columns="loss")

# %% [markdown]
# Remember the finite numbers in the columns of losses: `bce` has its ceiling at 100, `epsilon` at 18.42 = -log(1e-8), `clamp` near 16. You will see them again. Note also that the
# cut of D is where the cliff was, whatever the ceiling: the score has been rounded to 1 before any of these remedies gets to see it.
# Only a loss that never makes the detour over the score escapes.
#
# Now the other games. Here the slope is not meant to be a sigmoid.

# %% tags=["hide-input"]
# The slopes of the other games as a figure
alt = "Slopes against the logit: lsgan grows, wgan and one side of hinge are constant, relativistic is a sigmoid."
picture = plots.Picture(alt=alt, height=3.8)
styles = {"logits": ("-", 5, "0.8"), "lsgan": ("-", 1.6, "black"), "hinge": ("--", 1.6, "#0072B2")}
styles |= {"wgan": (":", 2.6, "#D55E00"), "relativistic": ("-.", 1.6, "#009E73")}
for axes, which, title in zip(picture.subplots(1, 2), (0, 1), ("slope of D's loss", "slope of G's loss"), strict=True):
    for name, (line, width, colour) in styles.items():
        axes.plot(x, gradients(name, x)[which], line, linewidth=width, color=colour, label=name)
    axes.set_yscale("symlog", linthresh=1)
    axes.set(title=title, xlabel="logit of a generated sample (real ones at 0)", ylim=(-60, 60))
    axes.set_yticks([-40, -10, -1, 0, 1, 10, 40], ["-40", "-10", "-1", "0", "1", "10", "40"])
picture.axes[0].legend(fontsize=8, loc="lower right")
picture

# %% [markdown]
# (The vertical axis is linear up to 1 and logarithmic beyond.) None of them has a cut where it matters: a fake that D takes for real always pushes back. `lsgan` pushes
# the harder the further a logit is from its target, on both sides: a fake above 1 is pulled *down* again by G's loss, for fooling D too well. `hinge` stops teaching D at logits below -1 *on purpose*: such a fake is judged well enough. `wgan` never stops, in either
# direction, and nothing in it bounds D. `relativistic` compares with a real sample, so only the difference of two logits counts.
#
# ## A loud failure turned silent
#
# Back to the remedies with a ceiling, from the first iteration this time. `watch` asks every tenth iteration what share of G's samples still gets a pull above one millionth.
# With the naive loss each of these seeds is NaN within a few dozen iterations. **Predict:** what will the loss curves look like?

# %%
def pulled(gan):
    return float((signal(gan, count=250) > 1e-6).mean())


gans, traces = {}, {}
for loss, seed in (("logits", 0), ("bce", 0), ("bce", 1), ("epsilon", 0)):
    name = f"{loss}, seed {seed}"
    gans[name] = GAN(Recipe(lr=1e-3, loss=loss), seed=seed)
    traces[name] = train(gans[name], 300, watch={"pulled": pulled}, watch_every=10, atlas_at=range(1, 101))
    print(traces[name])

# %%
ended = {name: "alive" if alive(gan) else "dead" for name, gan in gans.items()}

# %% tags=["hide-input"]
# The four runs as a figure
alt = f"Losses above, share of G's samples with a pull below. {'; '.join(f'{name}: {end}' for name, end in ended.items())}."
picture = plots.Picture(alt=alt, width=12, height=5)
grid = picture.subplots(2, len(traces), sharex=True, sharey="row")
for (name, trace), (top, bottom) in zip(traces.items(), grid.T, strict=True):
    top.plot(trace.iteration, trace.loss_g, color=plots.GENERATOR_COLOUR, linewidth=0.8, label="generator")
    top.plot(trace.iteration, trace.loss_d, "--", color=plots.DISCRIMINATOR_COLOUR, linewidth=0.8, label="discriminator")
    top.set(title=f"{name}: {ended[name]}", yscale="symlog", ylim=(0, 300))
    top.set_yticks([0, 1, 10, 18.42, 100], ["0", "1", "10", "18.42", "100"])
    top.grid(axis="y", linestyle=":", color="0.6")
    bottom.plot(trace.watched["iteration"], trace.watched["pulled"], "o-", markersize=3, color=plots.GENERATOR_COLOUR)
    bottom.set(xlabel="iteration", ylim=(-0.05, 1.05))
for axes, label in zip(grid[:, 0], ("loss (nats)", "share of G's samples\nwith a pull"), strict=True):
    axes.set_ylabel(label)
grid[0, 0].legend(fontsize=8)
picture

# %% [markdown]
# The upper row is all that a training plot shows, and there is no NaN in it; the ticks 18.42 and 100 are the ceilings. A flat line there may even pass for convergence. The lower row
# says what happened: where it has fallen to zero and stays there, G learns nothing any more. Look how early that is. Here are the last 50 iterations in numbers:

# %% tags=["hide-input"]
def span(values):
    low, high = values[-50:].min(), values[-50:].max()
    return f"exactly {low:.6g}" if low == high else f"{low:.3f} to {high:.3f}"


ends = {}
for name, trace in traces.items():
    pull, score = signal(gans[name]), trace.score_g[-1]
    who = "G gets a gradient" if ended[name] == "alive" else "D calls all fakes real" if score > 0.5 else "D calls all fakes fake"
    pulls = [f"{np.median(pull):.1e}", f"{pull.max():.1e}"]
    ends[name] = [span(trace.loss_d), span(trace.loss_g), f"{score:.3g}", *pulls, who]
columns = ["D's loss, last 50", "G's loss, last 50", "G score", "median pull", "strongest pull of 1,000", "state"]
pd.DataFrame.from_dict(ends, orient="index", columns=columns).rename_axis(columns="run")

# %% [markdown]
# There are two ways to be dead, and the last column says which one a run has found:
# - **D calls every fake real.** G's score is 1 and D's loss sits on the ceiling of its second term, 100 for `bce`. D is as wrong as can be, and gets no gradient to learn it. G is content:
#   its loss is 0.
# - **D calls every fake fake.** G's score is 0. With `epsilon`, G's loss is its ceiling to the last digit, 18.42. With `bce` it may still *move*, between about 30 and 100, and yet be dead: the
#   figure of slopes showed that the gradient of `bce` fades at logits near -28, long before the loss reaches its ceiling. What still moves the curve is D.
#
# The naive loss had at least been loud. With the ceiling the run goes on for as long as you pay for it. So count pulls, not NaNs: `alive(gan)`
# is one line in a training loop. (It looks at G only, at one moment; of `hinge` and `wgan`, whose pull on G is 1 by construction, and of `lsgan`, whose pull grows with the mistake, it can say little.)
#
# ## Survival, over seeds and rates
#
# Single runs again cannot tell luck from cause. `data/fixes.csv` holds recorded runs of every fix in `utils.recipe.FIXES`, not only of losses; the naive runs are those of notebook 02.
# If a fix was run twice with the same rate and seed, the run with the longer cap counts.

# %%
RATES = ("1e-3", "1e-4", "1e-5")
runs = table("fixes.csv").query("group in ('bar', 'naive') and data == 'pulses' and fix != 'no fix'")
runs = runs.sort_values("cap").drop_duplicates(["fix", "lr", "seed"], keep="last")  # the longest cap comes last
naive = [(rate, trace.seed, trace.nan_at) for rate in RATES for trace in recorded(f"pulses_lr{rate}")]
naive = pd.DataFrame(naive, columns=["rate", "seed", "nan_at"]).assign(fix="no fix", outcome="NaN")
runs = pd.concat([naive, runs.assign(rate=runs.lr.map(rate_text))], ignore_index=True)
runs["state"] = runs.outcome.where(runs.outcome.isin(["NaN", "dead"]), "alive")
runs["life"] = runs.nan_at.fillna(runs.cap).astype(float)  # a run without a NaN counts with its cap
cells = dict(list(runs.groupby(["fix", "rate"])))
fixes = [fix for fix in FIXES if fix in set(runs.fix)]

# %% [markdown]
# Each mark is one run: a cross where it turned NaN, or, at the cap where the run was stopped, a triangle if it was alive then and a filled square if it was finite and dead. The dotted line is
# the median life without a fix. **Predict:** which rows have squares?

# %% tags=["hide-input"]
# How a row of marks is drawn
MARKS = {"NaN": ("x", "full", plots.NAN_COLOUR), "dead": ("s", "full", plots.DISCRIMINATOR_COLOUR)}
MARKS["alive"] = (">", "none", plots.GENERATOR_COLOUR)


def strip(axes, rate, rows):
    for height, fix in enumerate(rows):
        if (fix, rate) not in cells:
            axes.text(0.02, height, "not run", transform=axes.get_yaxis_transform(), fontsize=8, color="0.4", va="center")
            continue
        for row in cells[fix, rate].itertuples():
            marker, fill, colour = MARKS[row.state]
            spread = 0.6 * ((row.seed * 0.618) % 1 - 0.5)  # side by side instead of on top of each other
            axes.plot(row.life, height + spread, marker, fillstyle=fill, color=colour, markersize=5)
        axes.text(1.01, height, f"n = {len(cells[fix, rate])}", transform=axes.get_yaxis_transform(), fontsize=8, va="center")
    axes.axvline(cells["no fix", rate].life.median(), color="0.5", linestyle=":")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xscale="log", xlabel="iteration", title=f"learning rate {rate}", ylim=(len(rows) - 0.4, -0.6))
    axes.grid(axis="y", color="0.92")


# %% tags=["hide-input"]
def legend(axes):
    for name, (marker, fill, colour) in MARKS.items():
        words = {"NaN": "NaN", "dead": "finite and dead at the cap", "alive": "alive at the cap"}[name]
        axes.plot([], [], marker, fillstyle=fill, color=colour, label=words)
    axes.figure.legend(loc="outside upper right", ncols=3, fontsize=8)


counts = runs[runs.rate == "1e-3"].state.value_counts()
alt = f"Runs at 1e-3, one row a fix. Ends: {', '.join(f'{counts.get(kind, 0)} {kind}' for kind in MARKS)}."
picture = plots.Picture(alt=alt, height=1.2 + 0.27 * len(fixes))
axes = picture.subplots()
strip(axes, "1e-3", fixes)
legend(axes)
picture

# %% [markdown]
# At 1e-3 the naive runs are over after a few dozen iterations at most, so that a cap of thousands is a long test. Go down the rows: crosses near the dotted line are fixes that change nothing about
# this NaN; crosses further right only delay it; squares have traded the NaN for a silent end; rows of triangles came through. At the smaller rates, where a run costs minutes, fewer fixes were run:

# %% tags=["hide-input"]
# The same for the smaller rates
slow = [fix for fix in fixes if (fix, "1e-4") in cells or (fix, "1e-5") in cells]
alt = f"Runs at 1e-4 and 1e-5, one row a fix: {', '.join(slow)}."
picture = plots.Picture(alt=alt, width=11, height=1.3 + 0.3 * len(slow))
for axes, rate in zip(picture.subplots(1, 2, sharey=True), ("1e-4", "1e-5"), strict=True):
    strip(axes, rate, slow)
legend(axes)
picture

# %% [markdown]
# A triangle is not a promise. It says *alive at the cap*; what comes after, nobody has seen. Two numbers keep us honest. First, how many naive runs were alive at the same cap: if many were, then
# surviving it is nothing special. Second, what n clean runs can exclude: were the chance of a NaN by the cap larger than $1 - 0.05^{1/n}$, then n clean runs in a row would happen less than once in twenty times.
# For the logits loss, which has the most runs:

# %%
def excluded(clean):
    """The chance of a NaN that so many clean runs exclude."""
    return f"{1 - 0.05 ** (1 / clean):.0%}" if clean else "-"


rows = {}
for rate in RATES:
    mine, naive = cells["logits loss", rate], cells["no fix", rate]
    cap = mine.cap.max()
    ends = mine[mine.cap == cap].state.value_counts().reindex(list(MARKS), fill_value=0)
    survived = f"{(naive.life > cap).sum()} of {len(naive)}"
    bound = excluded(ends.sum() if ends["NaN"] == 0 else 0)
    rows[rate] = [f"{ends.sum()} to {cap:,.0f}", " / ".join(ends.astype(str)), survived, bound]
columns = ["runs with logits", "NaN / dead / alive", "naive runs alive at that cap", "excluded: a chance of NaN above"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(columns="rate")

# %% [markdown]
# The last column is large where runs are few. Runs alone never prove "never". It is the arithmetic that can: softplus is finite at every finite logit, so *this* NaN cannot come back. The
# two kinds of evidence need each other: arithmetic covers every batch but only the operation you thought of, runs cover whatever happens but only as long as they last.
#
# ## The verdict
#
# Arithmetic first, by asking each loss about badly judged fakes with logits up to 10,000 either way:

# %%
def arithmetic(fix):
    """ "cliff", "cut" or "sound": how the loss of a fix answers when D (or G) is badly wrong about a fake."""
    far = torch.tensor([20.0, 50.0, 200.0, 10_000.0])
    name = FIXES[fix].get("loss", "matlab")
    answers = torch.cat([gradients(name, far)[0], gradients(name, -far)[1]])
    return "cliff" if not answers.isfinite().all() else "cut" if answers.abs().min() < 0.5 else "sound"


for word in ("cliff", "cut", "sound"):
    print(f"{word:6}", ", ".join(fix for fix in fixes if arithmetic(fix) == word))

# %% [markdown]
# *Cliff*: not finite somewhere. *Cut*: finite, but no answer. *Sound*: an answer for every mistake. Every fix that leaves the loss alone has its cliff still there; it can only keep the logits away from it.
#
# Then the rule, one for all fixes. (The typical life is the geometric mean, since lives differ by factors; a run that was alive at its cap counts with the cap.)
#
# - some run NaN: **delays** where the typical life at that rate is more than twice the naive one, otherwise **no help**;
# - no NaN, but a run that ended dead: **masks**;
# - no NaN, none dead, and a sound loss: **cures the NaN**; with a cliff or a cut still there: **unproven**, the runs came through and the arithmetic does not say why they must.

# %%
def typical(fix, rate):
    return np.exp(np.log(cells[fix, rate].life).mean())


def judge(fix):
    mine = runs[runs.fix == fix]
    broke = [rate for rate in RATES if (mine[mine.rate == rate].state == "NaN").any()]
    dead = [rate for rate in RATES if (mine[mine.rate == rate].state == "dead").any()]
    if broke:
        return ", ".join(f"{'delays' if typical(fix, at) > 2 * typical('no fix', at) else 'no help'} at {at}" for at in broke)
    if dead:
        return f"{'masks' if arithmetic(fix) == 'cut' else 'dead without a cut,'} at {', '.join(dead)}"
    return "cures the NaN" if arithmetic(fix) == "sound" else "unproven"


# %% tags=["hide-input"]
def told(mine):
    """How the runs of one fix at one rate ended, in words."""
    times = mine.life[mine.state == "NaN"]
    parts = [f"{len(times)} NaN (median {times.median():,.0f})"] if len(times) else []
    for kind, caps in mine[mine.state != "NaN"].sort_values("cap").groupby("state", sort=False).cap:
        parts.append(f"{len(caps)} {kind} at {' and '.join(f'{cap:,.0f}' for cap in caps.unique())}")
    return ", ".join(parts)


# %% tags=["hide-input"]
# The verdicts as a table
verdicts = pd.Series(cells).map(told).unstack().reindex(fixes).fillna("not run")
clean = runs.groupby(["fix", "rate"]).state.agg(lambda state: len(state) * (state != "NaN").all()).groupby("fix").max()
verdicts["excluded: a chance of NaN above"] = clean.map(excluded)
verdicts["the loss"] = [arithmetic(fix) for fix in fixes]
verdicts["verdict"] = [judge(fix) if fix != "no fix" else "-" for fix in fixes]
verdicts.rename_axis(index=None, columns="fix")

# %% [markdown]
# Read the last two columns together. Where the loss is sound and no run broke, two independent witnesses agree. Where it says *not run*, no verdict covers that rate. The bound is that of the rate with the most clean runs: five runs exclude very little, and it is the arithmetic that carries those verdicts. And each fix was run with one strength: notebook 07 shows what R1 does with another.
#
# Three rows. Warm-up dies before its 1,000 iterations are over, while the rate is still on its way up: it is a smaller rate for a while, and the series has said what a smaller rate does. And averaging G's
# weights never enters the game, so those runs are the naive ones, iteration by iteration. A third is a puzzle solved: a bounded latent is no help at 1e-3, where D takes nearly the whole batch for real (the G scores of notebook 04); at 1e-4, where notebook 04 found one rare latent to
# be the culprit, and where nothing is rare any more, its runs came through. (But read its bound.)
#
# Where the verdict is *unproven*, ask by how much the logits were kept away from the cliff, and where it is *masks*, how far beyond it they went:

# %%
print(f"largest generated logit of each run (the cliff: {CLIFF:.2f})")
for (fix, rate), mine in cells.items():
    if fix != "no fix" and judge(fix).startswith(("unproven", "masks")):
        print(f"{fix:18} {rate}:", ", ".join(f"{logit:.1f}" for logit in sorted(mine.fake_max)))

# %% [markdown]
# Of an unproven fix the distance left is all the protection there is. Would a longer run, another seed, another data set keep it? Such a fix may make a better game, and notebook 07 uses some of them, but beside a sound loss, not in its place.
#
# Look also at the masks at the smaller rates. Where such a run is alive, samples have passed the cut, as its largest logit shows, and the game went on without them; notebook 04 found that at these rates they are single rare ones. It is the same cut that at 1e-3 takes the whole batch.
# (What became of each is in the table; a run that is alive there is not cured: its D hears nothing of its loudest fakes.) And "cures the NaN"
# is a verdict on the NaN alone: the test for life is weak for `hinge`, `wgan` and `lsgan`, and says nothing about the samples.
#
# ## The atlas, beyond the line
#
# How can a logit above 16.64 be harmless? Here is the run with the logits loss from above: at the iteration at which the naive run with the same seed died, at the two that followed, and where
# the largest logit of the first 100 iterations was drawn.

# %% tags=["hide-input"]
# The atlas as a figure
trace = traces["logits, seed 0"]
loudest = int(np.nanargmax(trace.fake_max[:100]))
fatal = verdict.iteration - 1  # the atlas holds iterations 1 to 100 and the last
picture = plots.atlas(trace, at=(fatal, fatal + 1, fatal + 2, loudest), cliff=CLIFF)
shown = trace.atlas["logit"][[fatal, fatal + 1, fatal + 2, loudest]]
picture.axes[4].set_ylim(min(-30, 1.1 * shown.min()), max(30, 1.1 * shown.max()))  # no curve leaves the picture
picture.axes[4].texts[0].set_x(-2)
picture

# %% [markdown]
# In the first panel D's logit passes the line: on that batch the naive run ended. Here nothing ends. The line is only a line: D is told with full strength that these are
# fakes, and the next panels show where it has put them since. Later the logit may pass the line again, and much higher, as often as the game wants. (These pulses are loud and ragged. That is the game at 1e-3; the last section puts numbers to it.)
#
# And the discriminators that the four runs have at their end, along the same latent:

# %% tags=["hide-input"]
# The four discriminators as a figure
picture = plots.Picture(alt="D's logit along the latent at the end of four runs, against the cliff and the cuts.", height=4)
axes = picture.subplots()
looks = (("-", "black"), ("--", "#009E73"), ("-.", "#CC79A7"), (":", "#56B4E9"))  # runs, so not the colours of G and D
for (name, trace), (line, colour) in zip(traces.items(), looks, strict=True):
    axes.plot(ATLAS_Z, trace.atlas["logit"][-1], line, color=colour, linewidth=1.8, label=f"{name}: {ended[name]}")
silent = {name: float(cut(gradients(name, wide)[1], False, least=1e-6)) for name in ("epsilon", "bce")}
words = " or ".join(f"{level:.1f} ({name})" for name, level in silent.items())
axes.text(5.9, CLIFF, f"above {CLIFF:.2f}: D hears nothing (bce, epsilon)", fontsize=8, va="bottom", ha="right")
axes.text(-5.9, silent["epsilon"], f"below {words}: no pull above 1e-6 on G", fontsize=8, va="bottom")
for level in (CLIFF, *silent.values()):
    axes.axhline(level, color=plots.NAN_COLOUR, linestyle="--", linewidth=0.8)
axes.set_yscale("symlog", linthresh=20)
axes.set_yticks([-300, -100, -10, 0, 10, 100, 300], ["-300", "-100", "-10", "0", "10", "100", "300"])
axes.set(xlabel="latent z", ylabel="D's logit (logarithmic beyond 20)")
picture.legend(fontsize=8, loc="outside right center")
picture

# %% [markdown]
# A dead run is one whose curve lies where nobody is heard, wherever a latent may be drawn: above the upper line, or below the one of its loss. The curve of the logits loss may lie anywhere, since it has no such lines.
#
# ## Cured of NaN is not a good game
#
# Is the NaN all that was wrong? The table also holds what the surviving runs draw: the share of generated pulses that pass for real ring-downs (plausible: amplitude, frequency, decay and
# remaining noise as 99 of 100 real ones have), and their distance from real pulses, in units of the distance of two real samples from each other (noise floors). Notebook 07 introduces both; the first line below says from where on a run is called good.

# %%
print(f"good: at least {PLAUSIBLE:.0%} plausible and at most {FLOORS:g} noise floors away")

# %% tags=["hide-input"]
# What the surviving runs draw, as a table
drawn = runs[runs.state == "alive"].groupby(["fix", "rate"])
quality = drawn[["plausible", "floors", "score_g"]].median().reindex(fixes, level="fix")
is_score = [FIXES[fix].get("loss", "matlab") in SAME for fix, _ in quality.index]  # of the others, D's output is another quantity
columns = {
    "runs alive": drawn.size(),
    "plausible (median)": quality.plausible.map("{:.0%}".format),
    "noise floors (median)": quality.floors.round(1),
    "late G score (median)": quality.score_g.map("{:.2f}".format).where(is_score, "-"),
    "good": drawn.outcome.agg(lambda outcome: f"{(outcome == 'good').sum()} of {len(outcome)}"),
}
pd.DataFrame(columns).reindex(quality.index)

# %% [markdown]
# The last column is the sobering one. (A G score stands where it is a probability. With the other losses D's output is another quantity: that of a relativistic D or of a WGAN critic may be shifted by any number without a change of the game.) Take the row of the logits loss at 1e-3: it cannot turn NaN, and its D still wins the game by a distance, with a G score far below one half. The NaN was the symptom that made somebody
# look; raw units, a latent of one number and two networks that fight with unequal weapons are still there. Curing the arithmetic is the first step, since nothing can be judged before it. Making the game itself better is the subject of [notebook 07](07_stabilise_the_game.ipynb).
#
# ## Summary
# - The same function of the logit can be computed so that it breaks (log of a sigmoid), so that it falls silent (epsilon, clamp, `BCELoss`), or so that it always answers (logits: `BCEWithLogitsLoss`, softplus).
# - A ceiling on a loss is a loss without a slope. Beyond it no network is corrected: the run is finite, and dead.
# - A finite loss is no proof of life. Ask whether G's samples still get a pull.
# - Runs that reached a cap say "alive until then". Arithmetic says "never", but only about the operation you checked. A verdict needs both.
# - Fixes that leave the loss alone can move the logits away from the cliff; they do not remove it. And a cure of the NaN is not yet a good game.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (5 minutes, easy). "Use double precision", a forum says. At which logit does D's push end in 64-bit numbers, under the naive loss and under `bce`? Predict both from notebook 04's table of cliffs (one of them is a
# trap). Cure, mask or delay?

# %% tags=["solution"]
x = torch.linspace(0, 60, 6001, dtype=torch.float64)
for name in ("matlab", "bce", "logits"):
    lost = x[~(gradients(name, x)[0].abs() >= 0.5)]
    print(f"{name:7} no push from logit", f"{lost[lost > 1].min():.2f}" if (lost > 1).any() else "none up to 60")
print(f"The cliff of float64 is at {cliffs(torch.float64)[1]:.2f}. bce goes silent before it comes there:")
print("its gradient divides by at least 1e-12, and score x (1 - score) is smaller than that from logit 27.6 on.")
print("So double precision delays the NaN of the naive loss, and the silence of bce; it cures neither.")

# %% [markdown]
# **Exercise 2** (10 minutes, medium). "Your epsilon is too large, take 1e-30." Predict the two cuts and the two ceilings. Then compute the slopes.

# %% tags=["solution"]
def tiny(real_logits, fake_logits, flipped=None):
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    return -torch.log(real + 1e-30).mean() - torch.log(1 - fake + 1e-30).mean(), -torch.log(fake + 1e-30).mean()


LOSSES["tiny"] = tiny  # in this notebook only
x = torch.tensor([-80.0, -75.0, -68.0, -60.0, 16.0, 17.0])
for logit, d, g in zip(x, *gradients("tiny", x), strict=True):
    print(f"logit {logit:5.0f}: slope of D's loss {d:.3f}, of G's {g:.3f}")
print(f"ceiling {-np.log(1e-30):.1f}: G's cut is where the score is as small as epsilon, at {np.log(1e-30):.1f}.")
print("D's cut is where it was: 1 - score is 0 from 16.64 on, however small the number added to it.")

# %% [markdown]
# **Exercise 3** (10 minutes, medium). Two people keep the naive loss and bound the logit instead: one with `logit.clamp(-15, 15)`, one with `15 * torch.tanh(logit / 15)`. Both are finite for ever. Which of them
# is a mask? Replay the fatal iteration at 1e-3 under each, and let each play on for 200 iterations.

# %% tags=["solution"]
LOSSES["clamped logit"] = lambda real, fake, flipped=None: LOSSES["matlab"](real.clamp(-15, 15), fake.clamp(-15, 15))
LOSSES["tanh"] = lambda real, fake, flipped=None: LOSSES["matlab"](15 * torch.tanh(real / 15), 15 * torch.tanh(fake / 15))
for name in ("clamped logit", "tanh", "logits"):
    gan = GAN(Recipe(lr=1e-3), seed=0)
    autopsy(gan, iterations=200)
    what = counterfactual(gan, [name])[name]
    gan.loss = LOSSES[name]
    trace = train(gan, iterations=200)
    end = "alive" if alive(gan) else "dead"
    print(f"{name:13}  push on the loudest fake {what['push']:.3f}; 200 iterations later {end},", end=" ")
    print(f"median pull {np.median(signal(gan)):.1e}, G score {trace.score_g[-1]:.3g}")
print("The clamp is a cut; tanh is one as well, only with a soft edge: D's slope at logit 60 is", end=" ")
x = torch.tensor([60.0])
print(f"{gradients('tanh', x)[0].item():.1e}")

# %% [markdown]
# **Exercise 4** (10 minutes, hard). Can the dead be woken? Train with `bce` until it is dead (1e-3, seeds 0 and 1, 200 iterations), exchange the loss for `logits`, and go on for 200. Predict first: which of the two deaths is easier to leave?

# %% tags=["solution"]
for seed in (0, 1):
    gan = GAN(Recipe(lr=1e-3, loss="bce"), seed=seed)
    train(gan, iterations=200)
    print(f"seed {seed}, {'alive' if alive(gan) else 'dead'} after 200 iterations of bce", end="; ")
    gan.loss = LOSSES["logits"]
    trace = train(gan, iterations=200)
    print(f"G score {trace.score_g[0]:.2g}; 200 iterations of logits later {trace.score_g[-1]:.2g}", end=", ")
    print(f"{'alive' if alive(gan) else 'dead'}, median pull {np.median(signal(gan)):.2g}")
print("Where they wake, the weights had been fit to learn all the time: it was the loss that did not speak.")

# %% [markdown]
# ## References
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661.
# - X. Mao et al., "Least squares generative adversarial networks", arXiv 1611.04076.
# - J. H. Lim and J. C. Ye, "Geometric GAN" (hinge loss), arXiv 1705.02894.
# - M. Arjovsky, S. Chintala and L. Bottou, "Wasserstein GAN", arXiv 1701.07875; I. Gulrajani et al., its gradient penalty, arXiv 1704.00028.
# - A. Jolicoeur-Martineau, "The relativistic discriminator", arXiv 1807.00734.
# - M. Arjovsky and L. Bottou, "Towards principled methods for training generative adversarial networks", arXiv 1701.04862: gradients that vanish in theory, not by rounding.
# - PyTorch documentation, "torch.nn.BCELoss" (the logs are cut off at -100) and "torch.nn.BCEWithLogitsLoss".
# - J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983): what n clean runs can exclude.
