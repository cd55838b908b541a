# %% [markdown]
# # 04 The autopsy
#
# After this notebook you will be able to
# - say why this loss is infinite from a logit of 16.64 on;
# - follow one infinite number from the loss into every weight of D;
# - name the term, the sample and the operation that ended a run.
#
# **Time:** 1 minute to run, 33 to read. **Prerequisites:** notebooks 01 and 02.

# %% tags=["setup"]
import copy
import math

import ipywidgets as widgets
import numpy as np
import pandas as pd
import torch
from scipy import stats

from utils import plots
from utils.autopsy import autopsy, cliffs, counterfactual
from utils.data import load
from utils.exercises import ____, check, guess, outcome
from utils.sweep import published, recorded, table
from utils.trace import ATLAS_Z
from utils.training import GAN, Recipe, train

torch.set_num_threads(1)  # small networks: one thread is the quickest
LOWEST, CLIFF = cliffs(torch.float32)

# %% [markdown]
# ## The suspect
#
# D's loss holds `log(1 - sigmoid(x))`, where x is the logit that D gives a generated sample. On paper this is finite for every x. In 32-bit numbers it is not.
#
# **Predict:** from which x on is it infinite?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# From 16.64 on. At 16.5 the log is about -15.9, at 16.7 it is minus infinity.
#
# </details>

# %%
guess("04.edge", "log(1 - sigmoid(x)) is infinite from this x on")

# %%
x = torch.tensor([5.0, 10.0, 15.0, 16.5, 16.7, 20.0])
rest = 1 - torch.sigmoid(x)
outcome("04.edge", CLIFF)
columns = {"x": x, "1 - sigmoid(x)": rest, "log of it": torch.log(rest)}
pd.DataFrame(columns, dtype=float).style.format("{:.4g}").hide()

# %% [markdown]
# `cliffs` bisects torch's own sigmoid down to two neighbouring numbers. On one the log is finite, on the next it is not. This edge is the **cliff**.
#
# ## Why 16.64
#
# torch forms `1 / (1 + exp(-x))`, and the sum comes first. A 32-bit number has 24 bits that count, so the neighbour of 1 above is $1 + 2^{-23}$. Up to half of that gap the sum rounds to 1. That is so
# once $e^{-x} \le 2^{-24}$, from $x = 24 \ln 2$ on. Move the slider and watch the score step onto 1.

# %% tags=["hide-input"]
UNIT = 2.0**-24


def row(axes, height, x):
    """The sum and the score of one logit: open where they are exactly, filled where 32 bits put them."""
    score = torch.sigmoid(torch.full((64,), x))[0].double().item()  # as wide as a batch, as in the loss
    total = (1 + torch.exp(-torch.tensor(x))).double().item()
    exact = {"s": (math.exp(-x), total), "o": (-1 / (1 + math.exp(x)), score)}
    for marker, (ideal, rounded) in exact.items():
        start, end = ideal / UNIT, (rounded - 1) / UNIT
        axes.annotate("", (end, height), (start, height), arrowprops={"arrowstyle": "->", "color": "0.4"})
        axes.plot(start, height, marker, color=plots.DISCRIMINATOR_COLOUR, fillstyle="none", markersize=9)
        axes.plot(end, height, marker, color=plots.DISCRIMINATOR_COLOUR, ms=12 if marker == "s" else 8, mec="white")
    if score == 1:
        words = "1 - score is 0: its log is -inf"
        axes.text(-1.3, height, words, ha="right", va="center", fontsize=10, backgroundcolor="white")


# %% tags=["hide-input"]
def number_line(logits):
    words = ", ".join(f"{x:g}" for x in logits)
    alt = f"Sum and score on a number line of float32 near 1, at logits {words}."
    picture = plots.Picture(alt=alt, height=1.6 + 0.6 * len(logits))
    axes = picture.subplots()
    for number in (*range(-9, 0), *range(0, 10, 2)):
        axes.axvline(number, color="0.6" if number else "black", linewidth=0.8 if number else 2, zorder=0)
    axes.axvline(1, color=plots.NAN_COLOUR, linestyle="--", zorder=0)
    for height, x in enumerate(reversed(logits)):
        row(axes, height, x)
    axes.text(1.1, -0.75, "half-way: up to here the sum rounds to 1", fontsize=9, backgroundcolor="white")
    axes.set_yticks(range(len(logits)), [f"x = {x:g}" for x in reversed(logits)])
    axes.set_xticks(range(-8, 9, 2))
    axes.set(xlim=(-9.3, 9.3), ylim=(-1, len(logits) - 0.4))
    for x, words in ((-5, "score = 1 / sum (circles)"), (0, "1"), (5, "sum = 1 + exp(-x) (squares)")):
        axes.text(x, len(logits) - 0.3, words, ha="center", fontsize=11)
    axes.set_xlabel("distance from 1, in units of $2^{-24}$ = 6.0e-8; each line is a 32-bit number")
    return picture


# %% tags=["hide-input"]
slider = widgets.FloatSlider(value=16.5, min=14.5, max=18, step=0.05, description="logit x")
view = widgets.Image(value=number_line([16.5]).png(), layout={"width": "100%"})
slider.observe(lambda change: setattr(view, "value", number_line([change["new"]]).png()), "value")
widgets.VBox([slider, view])

# %%
number_line([14.5, 15.5, 16.5, 16.7])

# %% [markdown]
# Open marks are exact, filled ones are what 32 bits keep. At 16.7 the sum lies left of the dashed line and becomes 1, and the score with it.
#
# With $b$ bits the cliff is at $b \ln 2$. In half precision torch computes in 32 bits and rounds only the score. So the gap *below* 1 counts: half as wide, it is worth one more bit. Does
# the formula hold?

# %%
counted = {torch.float32: 24, torch.float64: 53, torch.float16: 11 + 1, torch.bfloat16: 8 + 1}  # bits that count
rows = {str(kind)[6:]: [bits, bits * math.log(2), *reversed(cliffs(kind))] for kind, bits in counted.items()}
columns = ["bits", "bits x ln 2", "cliff, bisected", "cliff on the other side"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns).style.format("{:.4f}", subset=columns[1:])

# %% [markdown]
# It does: the bisection finds the last number of each kind before b ln 2. Double precision moves the cliff and removes nothing. On the other side the 32-bit sigmoid is 0 only below -88.72, where `exp(-x)` overflows.
#
# The cliff is that of *this* sigmoid. A correctly rounded one has another:

# %%
x = torch.linspace(16, 18, 200_001, dtype=torch.float64)
once = torch.sigmoid(x).float()
print(f"rounded once, it is below 1 up to x = {x[once < 1].max():.2f}; 25 ln 2 = {25 * math.log(2):.2f}")

# %% [markdown]
# ## The picture of the cliff

# %% tags=["hide-input"]
# log(1 - sigmoid(x)) and its slope: exactly, naive in 32 bits, and from the logit in 32 bits
x = torch.linspace(11, 20, 3601, requires_grad=True)
wide = x.detach().double()
exact = [-torch.nn.functional.softplus(wide), -torch.sigmoid(wide)]
curves = [torch.log(1 - torch.sigmoid(x)), -torch.nn.functional.softplus(x)]
curves = [(curve.detach(), torch.autograd.grad(curve.sum(), x)[0]) for curve in curves]
styles = [("#882255", "-", "log(1 - sigmoid(x)), 32 bits"), ("#009E73", ":", "-softplus(x), 32 bits")]


# %% tags=["hide-input"]
alt = "Naive log: a staircase that ends at the cliff. From the logit: a straight line. Slopes: -1, then NaN or -1."
picture = plots.Picture(alt=alt, height=4)
for number, axes in enumerate(picture.subplots(1, 2)):
    axes.plot(wide, exact[number], color="0.8", linewidth=8, label="exact")
    for curve, (colour, style, label) in zip(curves, styles):
        finite = curve[number].isfinite()
        axes.plot(wide[finite], curve[number][finite], style, color=colour, linewidth=2.5, label=label)
    axes.axvline(CLIFF, color=plots.NAN_COLOUR, linestyle="--")
    axes.set_xlabel("logit x")
left, right = picture.axes
left.text(CLIFF + 0.15, -12.4, f"cliff, {CLIFF:.2f}\nnaive: -inf\nfrom here", fontsize=10)
left.set(title="The term", ylabel="log(1 - D)")
left.legend(fontsize=9, loc="lower left")
right.text(CLIFF + 0.15, -0.55, "naive: NaN\nfrom here", fontsize=10)
right.set(title="Its slope, as autograd has it", ylabel="slope by the logit", ylim=(-1.3, 0.1))
picture

# %% [markdown]
# The naive term is a staircase that ends. Its slope is -1 to the last, so no gradient announces the cliff. From the logit, both go on as on paper: the cure of notebook 06.
#
# ## The body: 1e-3
#
# `autopsy` trains. When something is not finite, it runs that iteration again while a tracer watches every operation. **Predict:** which of the three logs
# in the two losses ends the run?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# `torch.log(1 - fake)`, the second log of D's loss. Its cliff is the nearer one.
#
# </details>

# %%
guess("04.term", "the log that ends the run", choices=["torch.log(real)", "torch.log(1 - fake)", "torch.log(fake)"])

# %%
gan = GAN(Recipe(lr=1e-3), seed=0)
verdict = autopsy(gan, iterations=200)
outcome("04.term", verdict.term)
verdict

# %% [markdown]
# Read *term*, then *steps*, down to a log that is minus infinity. One *sample* of 64 is enough: a mean with one infinite entry is infinite.
#
# ## How inf becomes NaN
#
# The loss is infinite. The NaN is born on the way back. The fatal sample, forwards and backwards:

# %%
fatal = copy.deepcopy(gan)  # autopsy left it just before the fatal iteration
step = fatal.forward()
x = step.fake_logits.detach().requires_grad_()
score = torch.sigmoid(x)
rest = 1 - score
log = torch.log(rest)
slopes = torch.autograd.grad(-log.mean(), (x, score, rest, log))

# %%
names = ["x", "sigmoid(x)", "1 - sigmoid(x)", "log(1 - sigmoid(x))"]
values = [quantity[verdict.sample].item() for quantity in (x, score, rest, log)]
back = [slope[verdict.sample].item() for slope in slopes]
pd.DataFrame({"its value": values, "slope of D's loss by it": back}, index=names).style.format("{:.6g}")

# %% [markdown]
# Read the last column upwards. The mean hands each log a slope of -1/64. The log divides it by its input: -1/64 / 0 = -inf. The difference turns the sign: +inf. The sigmoid
# multiplies by its own slope, s (1 - s) = 1 x 0, and **inf x 0 is NaN**. One Adam step later:

# %%
print(f"losses before the step: D {step.loss_d.item()}, G {step.loss_g.item():.3f}")
fatal.update(step)
for name, weights in (("D", fatal.weights_d), ("G", fatal.weights_g)):
    print(f"weights of {name} that are NaN: {torch.cat([part.flatten() for part in weights]).isnan().float().mean():.0%}")

# %% [markdown]
# Each weight of D sums slopes over the whole batch, and a sum with one NaN is NaN. Adam moves every weight by it. G follows one iteration later (notebook 02). "NaN at iteration n" means the first loss
# that is not finite. What does PyTorch's own tool, `detect_anomaly`, say?

# %%
try:
    with torch.autograd.detect_anomaly():
        copy.deepcopy(gan).step()
except RuntimeError as error:
    print(error)

# %% [markdown]
# It names the place of inf x 0. The infinity came from the log.
#
# ## The same iteration under another loss
#
# **Predict:** same batch, same weights. How large is D's loss if it is computed from the logits?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# About 3. The fatal sample adds 16.8 / 64 = 0.26 to it.
#
# </details>

# %%
guess("04.loss", "D's loss, computed from the logits")

# %%
replayed = counterfactual(gan, ("matlab", "logits"))
outcome("04.loss", replayed["logits"]["loss_d"])
columns = ["D's loss", "G's loss", "push on the loudest fake", "weights finite after it"]
under = pd.DataFrame(replayed).T.set_axis(columns, axis=1)
under.replace({"weights finite after it": {0: "no", 1: "yes"}}).round(3)

# %% [markdown]
# `matlab` is the naive loss, `logits` the one from the logits. The *loudest fake* has the largest logit;
# *push* is 64 times the slope there: 1 is full strength.
#
# ## The body: 1e-4 and 1e-5
#
# **Predict:** how far from 0 is the latent of the fatal sample at 1e-4, in the median run? (Half of all normal draws lie within 0.67.)
#
# <details><summary>Answer, if you have no kernel</summary>
#
# At about 3.8 either way: one draw in 6,500 is as far out.
#
# </details>

# %%
guess("04.latent", "median of |z| of the fatal samples at 1e-4")

# %% tags=["hide-input"]
runs = {rate: recorded(f"pulses_lr{rate}") for rate in ("1e-3", "1e-4", "1e-5")}


def found(trace):
    """What the last batch of a recorded run tells."""
    logits, z = trace.last_batch["fake_logits"], trace.last_batch["z"][:, 0]
    beyond, loudest = (logits > CLIFF).sum(), abs(z[logits.argmax()])
    return {"beyond": beyond, "z": loudest, "first": trace.first_broken, "score": trace.score_g[-1]}


# %% tags=["hide-input"]
bodies = pd.DataFrame([{"rate": rate} | found(trace) for rate, traces in runs.items() for trace in traces])
by_rate = bodies.groupby("rate")
rare = 1 - (1 - 2 * stats.norm.sf(by_rate.z.median())) ** 64  # the chance that a batch holds a latent as far out
columns = {
    "runs": by_rate.size(),
    "D's loss broke first": by_rate["first"].agg(lambda first: (first == "D").sum()),
    "one sample beyond the cliff": by_rate.beyond.agg(lambda beyond: (beyond == 1).sum()),
    "most samples beyond": by_rate.beyond.max(),
    "least fatal |z|": by_rate.z.min().round(2),
    "median |z|": by_rate.z.median().round(2),
    "largest |z|": by_rate.z.max().round(2),
    "one batch in": (1 / rare).round(0).astype(int),
    "median G score": by_rate.score.median().round(2),
}
summary = pd.DataFrame(columns).rename_axis(index=None, columns="rate")

# %%
outcome("04.latent", by_rate.z.median()["1e-4"])
summary

# %% [markdown]
# Two deaths. At 1e-3 it is an **explosion**: often many samples at once, and G's score is near 1, since D takes nearly every fake for real. At 1e-4 and 1e-5 it is **one rare draw** in every recorded run,
# with a latent beyond 3. *One batch in* says how seldom one of 64 draws lies as far out as the median.
#
# Why those latents? The last iteration at 1e-4, seed 0:

# %% tags=["hide-input"]
trace = runs["1e-4"][0]
real = load("pulses").samples
image, logit = trace.atlas["image"][-1].astype(float), trace.atlas["logit"][-1]
z, logits = trace.last_batch["z"][:, 0], trace.last_batch["fake_logits"]
killer = z[logits.argmax()]
pulse = np.array([np.interp(killer, ATLAS_Z, output) for output in image.T])  # between two latents of the atlas
loudest, far = abs(pulse).argmax(), ATLAS_Z >= 3
line = np.polyfit(ATLAS_Z[far], image[far, loudest], 1)
alt = "One output of G is straight beyond 3; D's logit passes the cliff there; the pulse is louder than real ones."
picture = plots.Picture(alt=alt, height=8.5)
top, middle, bottom = picture.subplots(3, 1)
for axes in (top, middle):
    axes.axvspan(3, 6, color="0.93"), axes.axvspan(-6, -3, color="0.93")
    axes.set_xlim(-6, 6)

# %% tags=["hide-input"]
# One output of G, D's logit, and the fatal pulse
top.plot(ATLAS_Z, image[:, loudest], color=plots.GENERATOR_COLOUR, linewidth=3)
top.plot(ATLAS_Z[ATLAS_Z > 0.5], np.polyval(line, ATLAS_Z[ATLAS_Z > 0.5]), color="white", linewidth=1, linestyle="--")
top.annotate("white: a straight line, fitted beyond 3", (4, np.polyval(line, 4)), (-1, 100), arrowprops={"arrowstyle": "-"})
top.set(title=f"One output of G: value {loudest} of the pulse's 64", ylabel="mV")
middle.plot(ATLAS_Z, logit, color=plots.DISCRIMINATOR_COLOUR, linestyle="--", linewidth=2)
middle.plot(z, logits, "o", color="black", markersize=4)
middle.plot(killer, logits.max(), "o", color="black", fillstyle="none", markersize=13)
middle.axhline(CLIFF, color=plots.NAN_COLOUR, linestyle="--")
middle.text(-5.9, CLIFF + 2, f"cliff, {CLIFF:.2f}")
middle.annotate(f"z = {killer:.2f}, logit {logits.max():.1f}", (killer, logits.max()), (-1, 28), arrowprops={"arrowstyle": "-"})
middle.set(title="D's logit for what G draws; dots: the last batch", ylabel="logit", ylim=(-40, 40), xlabel="latent z")
bottom.plot(real[:12].T.numpy(), color="0.6", linewidth=0.8)
bottom.plot(pulse, color=plots.GENERATOR_COLOUR, linewidth=2.5)
bottom.text(13, 56, "the fatal one", color=plots.GENERATOR_COLOUR)
bottom.text(45, 40, "grey: 12 real pulses", color="0.3")
bottom.set(title="The fatal pulse in its true size", xlabel="time (samples)", ylabel="mV")
picture

# %%
print(f"peak of the fatal pulse {abs(pulse).max():.0f} mV, of the median real one {real.abs().amax(1).median():.0f} mV")
print(f"a latent beyond 3, grey in the figure: one draw in {1 / (2 * stats.norm.sf(3)):.0f}")

# %% [markdown]
# A network of ReLUs is a chain of straight pieces. Beyond the latents that training brings, this output is one straight line, and the pulse grows louder. D's logit
# grows with it: on the right it climbs over the cliff.
#
# ## The other cliff: a rate raised in flight
#
# G's own loss holds log D(G(z)), with its cliff at -88.72. Train for 200 iterations at 3e-4 and go on at 1e-3, as one does with a slider:

# %%
gan = GAN(Recipe(lr=3e-4), seed=0)
train(gan, 200, progress=False)
gan.lr = 1e-3
other = autopsy(gan, iterations=100)
print(other.iteration, "iterations at 1e-3:", other.term, *other.steps, sep="\n    ")

# %% [markdown]
# D was so sure that this sample is generated that its score is exactly 0. How often is it this death? All recorded runs, at a steady rate and at one raised to 1e-3 (without three that ended before
# the rise):

# %% tags=["hide-input"]
rises = table("fixes.csv").query("group == 'raised'")
rises = rises.assign(at=rises.fix.str.split().str[-1].astype(int)).query("nan_at > at")
names = "from " + rises.lr.map("{:.0e}".format).str.replace("e-0", "e-") + " to " + rises.fix
steady = {f"steady {rate}": recorded(f"pulses_lr{rate}") for rate in ("1e-3", "3e-4", "1e-4", "1e-5")}
fates = [(name, trace.first_broken, trace.nan_at) for name, traces in steady.items() for trace in traces]
fates += [*zip(names, rises.first_broken, rises.nan_at - rises["at"])]
fates = pd.DataFrame(fates, columns=["rate", "first", "left"])
how_often = pd.crosstab(fates.rate, fates["first"]).reindex(columns=["D", "G", "both"], index=fates.rate.unique(), fill_value=0)
how_often["median life, or life since the rise"] = fates.groupby("rate").left.median().astype(int)

# %%
how_often.rename_axis(columns="the loss that broke first")

# %% [markdown]
# At a steady rate the other death is rare. Where the rate rose from 3e-4 after 300 iterations, G's loss broke in most runs.
#
# ## Only with one number?
#
# MATLAB's example has a latent of 100 and convolutional networks. Recorded runs of such a size at 1e-3, for at most 2,000 iterations:

# %%
larger = table("fixes.csv").query("group == 'larger' and lr == 1e-3")
same = larger.term == "log(1 - D(G(z)))"
groups = larger.assign(ended=larger.nan_at.notna(), same=same).rename(columns={"fix": "networks"}).groupby("networks")
size = groups.agg(
    runs=("seed", "size"), ended=("ended", "sum"), by_the_same_term=("same", "sum"),
    first_end=("nan_at", "min"), median_end=("nan_at", "median"), last_end=("nan_at", "max"),
)  # fmt: skip
size.rename(columns=lambda name: name.replace("_", " ")).map(lambda value: "-" if pd.isna(value) else f"{value:g}")

# %% [markdown]
# All that end do so by the same term: most with a latent of 100, and all convolutional ones of 128 and 256 filters, about as wide as MATLAB's.
# With a quarter of the filters none of five ends: the width decides here, not the kind of layer.
#
# ## Back to the published curves
#
# The post's data, units, widths and latent are unknown, its curves are not. Its run at 1e-3 ends like this (NaN: no point in the figure). MATLAB's score of D is the mean of D(x) and 1 - D(G(z)), so D(x) can be worked out:

# %%
story = published().query("learning_rate == '1e-3' and iteration >= 6")
story = story.pivot(index="iteration", columns="quantity", values="value")
last = story.loc[10]
print(f"mean D(x) at iteration 10: 2 x {last.score_d} - 1 + {last.score_g} = {2 * last.score_d - 1 + last.score_g:.2f}")
story

# %% [markdown]
# At iteration 10 G's loss is drawn and D's is not. D's two logs are log D(x) and log(1 - D(G(z))). The scores say that D(x) is about 1 on real samples, and that D takes most generated ones for real, too. That leaves
# log(1 - D(G(z))), the term that breaks in our reconstruction: strong evidence, no proof.
#
# <details><summary>For the referee: could it have been a flipped label?</summary>
#
# MATLAB's example can flip real labels with probability 0.35; then log(1 - D(x)) is in the loss too. But then the best D has D(x) = 0.65, a score of at most (0.65 + 1) / 2 = 0.825. The figure shows 0.988 at iteration 6: that speaks against flips, and does not exclude them.
#
# </details>
#
# ## Summary
# - torch's 32-bit sigmoid is exactly 1 from a logit of 24 ln 2 = 16.64 on, and log(1 - sigmoid) is infinite there.
# - The NaN is inf x 0 in the sigmoid's backward pass. One Adam step carries it into every weight of D.
# - At 1e-3 the batch explodes. At 1e-4 and 1e-5 it is one rare draw, far out, where G is a straight line.
# - A rate raised in flight can end the run at the other cliff, in G's own loss.
#
# ## Three questions
#
# **1. Predict.** Scores are computed in 32 bits and stored in 64. Where is the cliff of log(1 - score)?
#
# <details><summary>A. At 36.74, that of 64-bit numbers.</summary>
#
# The score was exactly 1 already. More room does not bring the rest back.
#
# </details>
# <details><summary>B. At 16.64, as before.</summary>
#
# Yes: the sum inside the sigmoid was rounded. What follows cannot undo it.
#
# </details>
# <details><summary>C. Nowhere: 64 bits hold every score.</summary>
#
# Also the one that is exactly 1.
#
# </details>
#
# **2. Explain.** One of 64 samples is over the cliff. Why is *every* weight of D lost?
#
# <details><summary>A. Adam divides by the largest gradient.</summary>
#
# Adam treats each weight for itself.
#
# </details>
# <details><summary>B. Each weight's gradient is a sum over the batch.</summary>
#
# Yes: each sum has one NaN in it, and is NaN.
#
# </details>
# <details><summary>C. The loss is infinite.</summary>
#
# Nobody computes with the value of the loss. What counts is the gradient, here inf x 0.
#
# </details>
#
# **3. Transfer.** A run with `BCEWithLogitsLoss` ends in NaN. What do you look at first?
#
# <details><summary>A. Whether a logit passed 16.64.</summary>
#
# That is the cliff of the log of a sigmoid. This loss is computed from the logit and has none there.
#
# </details>
# <details><summary>B. Which operation made the first number that is not finite.</summary>
#
# Yes: it is another culprit, and a replay names it (notebooks 09 and 10).
#
# </details>
# <details><summary>C. Whether the learning rate is small enough.</summary>
#
# It names no operation. Here a smaller rate prevented nothing.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 4.1: eight bits** (5 minutes, easy). The format `torch.float8_e4m3fn` has 4 bits where float32 has 24. A sigmoid is computed in 32 bits and rounded to it once. From which logit on is the score exactly 1?
# *Deliverable:* `cliff8`, a number. *Criterion:* within 0.1.
#
# <details><summary>Hint</summary>
#
# Treat it as the table treats float16.
#
# </details>

# %% tags=["stub"]
cliff8 = ____
check("4.1", cliff8)

# %% tags=["solution"]
cliff8 = (4 + 1) * math.log(2)
check("4.1", cliff8)

# %% [markdown]
# **Exercise 4.2: the cliff on the other side** (5 minutes, easy). D gives one *generated* sample a logit of -120, and 0 to all others. Which of the two naive losses is not finite?
# *Deliverable:* `broken`, "D", "G" or "both". *Criterion:* it is what `utils.losses.matlab` says.
#
# <details><summary>Hint</summary>
#
# `matlab(real_logits, fake_logits)` returns D's loss and G's.
#
# </details>

# %% tags=["stub"]
broken = ____
check("4.2", broken)

# %% tags=["solution"]
from utils.losses import matlab

loss_d, loss_g = matlab(torch.zeros(64), torch.tensor([-120.0] + 63 * [0.0]))
broken = "both" if not (loss_d.isfinite() or loss_g.isfinite()) else "D" if loss_g.isfinite() else "G"
check("4.2", broken)

# %% [markdown]
# **Exercise 4.3: real data** (10 minutes, medium). Get a verdict on the handwritten digits (`data="digits"`) at 1e-3. Which term is it?
# *Deliverable:* `term`, the verdict's term as a text. *Criterion:* the one that such a verdict names.
#
# <details><summary>Hint</summary>
#
# A `GAN` of a `Recipe`, then `autopsy` with 200 iterations.
#
# </details>

# %% tags=["stub"]
term = ____
check("4.3", term)

# %% tags=["solution"]
term = autopsy(GAN(Recipe(lr=1e-3, data="digits"), seed=0), iterations=200).term
check("4.3", term)

# %% [markdown]
# **Exercise 4.4: how far is far?** (10 minutes, medium). A run would end at any latent with |z| of `a` or more. For which `a` do half of all runs survive 1,000 batches of 64?
# *Deliverable:* `a`, a number. *Criterion:* within 0.01.
#
# <details><summary>Hint</summary>
#
# All 64,000 draws must stay below: which chance may one have? `stats.norm.isf(p)` is the number that a draw exceeds with chance p.
#
# </details>

# %% tags=["stub"]
a = ____
check("4.4", a)

# %% tags=["solution"]
one = 1 - 0.5 ** (1 / 64_000)
a = stats.norm.isf(one / 2)
check("4.4", a)

# %% [markdown]
# ## References
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661.
# - D. Goldberg, "What every computer scientist should know about floating-point arithmetic", ACM Computing Surveys 23 (1991).
# - "Train Generative Adversarial Network (GAN)", MathWorks documentation.
