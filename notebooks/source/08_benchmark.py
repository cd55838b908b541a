# %% [markdown]
# # 08 Benchmark: beside the published tables
#
# After this notebook you will be able to
# - score a generator the way the literature does on toy data, and say what a perfect one would score;
# - read a published benchmark table, and name the protocol behind each number before you compare;
# - report your own numbers with trials, standard errors, cost and every deviation, and say what they do not show.
#
# **Time:** 1 minute to run, 36 to read. **Prerequisites:** notebook 07.

# %% tags=["setup"]
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from utils import data, plots
from utils.metrics import mode_quality
from utils.recipe import rate_text
from utils.sweep import recipe_of, table
from utils.training import GAN, train

ring, grid = data.load("ring"), data.load("grid")
fixes = table("fixes.csv")
rows = fixes[fixes.group == "benchmark"]
pd.options.display.max_colwidth = None  # a table below holds sentences

# %% [markdown]
# ## Eight islands, twenty-five islands
#
# So far we have judged pulses with metrics of our own making. Nobody else has pulses, so nobody can compare. GAN papers of the years after 2016 shared two toy data sets: eight narrow Gaussians on
# a circle, and twenty-five on a grid. They show one disease, **mode collapse**: a generator that draws a few islands well and has forgotten the others.

# %% tags=["setup", "hide-input"]
# How islands are drawn
ANGLE = np.linspace(0, 2 * np.pi, 100)


def islands(axes, samples, dataset, colour="0.55", title=""):
    """Samples as dots, and around each centre the circle of 3 sd."""
    axes.plot(*samples.T, ".", color=colour, markersize=2, alpha=0.6)
    for x, y in dataset.centres.tolist():
        axes.plot(x + 3 * dataset.sd * np.cos(ANGLE), y + 3 * dataset.sd * np.sin(ANGLE), color=plots.NAN_COLOUR, linewidth=0.8)
    limit = 1.3 * dataset.full_scale
    axes.set(title=title, aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))


def zoom(axes, samples, dataset, mode, colour="0.55", title=""):
    """One island: samples within 3 sd as dots, the others as crosses."""
    (x, y), reach = dataset.centres[mode].tolist(), 3 * dataset.sd
    near = (samples - dataset.centres[mode]).norm(dim=1) <= reach
    islands(axes, samples[near], dataset, colour, title)
    axes.plot(*samples[~near].T, "x", color=plots.DISCRIMINATOR_COLOUR, markersize=5)
    axes.set(xlim=(x - 1.6 * reach, x + 1.6 * reach), ylim=(y - 1.6 * reach, y + 1.6 * reach))


# %% tags=["hide-input"]
# The two data sets as a figure
picture = plots.Picture(alt="Ring of 8 and grid of 25 Gaussians; one island of each enlarged, with its circle of 3 sd.", width=10, height=2.9)
panels = picture.subplots(1, 4)
for pair, dataset in zip((panels[:2], panels[2:]), (ring, grid)):
    islands(pair[0], dataset.samples[:2500], dataset, title=f"{dataset.name}, 2,500 samples")
    zoom(pair[1], dataset.samples[:25_000], dataset, 0, title="one island enlarged")
picture

# %% [markdown]
# The score is counted with circles of three standard deviations around each centre. Draw 2,500 samples; then
#
# - a sample is of **high quality** if it lies in one of the circles (dots; the crosses are real samples that do not);
# - a mode is **captured** if its circle holds at least one sample.
#
# On the ring, sd is 0.01 and the next island 77 sd away; on the grid 0.05 and 40 sd. **Predict:** of perfect samples, how many are of high quality? In one dimension the rule of three sd keeps
# 99.7 %. Theory answers first, then forty batches of real samples:

# %%
print(f"theory: {1 - np.exp(-4.5):.2%}")
for dataset in (ring, grid):
    found = [mode_quality(batch, dataset) for batch in dataset.samples.split(2500)]
    share = np.array([one["high_quality"] for one in found])
    print(
        f"{dataset.name}: {share.mean():.2%} high quality, batch to batch sd {share.std(ddof=1):.2%}; modes {min(one['modes'] for one in found):.0f} in the "
        f"worst batch; reverse KL {np.mean([one['reverse_kl'] for one in found]):.4f}"
    )

# %% [markdown]
# In two dimensions the squared distance from the centre, in units of sd, is exponentially distributed with mean 2, so a circle of 3 sd keeps $1 - e^{-9/2}$.
# So 98.9 % is the score of perfection, not 100 %, and one trial of 2,500 samples moves it by about 0.2 points either way. **Reverse KL** asks whether the islands get equal shares: with $p_k$ the share of *all* samples that
# are nearest to centre k, of m centres, it is $\sum_k p_k \log(m\, p_k)$, from 0 for equal shares to $\log m$ for a single island. Even real samples are not at 0, because n draws never fall evenly; that noise floor is about $(m - 1)/2n$.
#
# ## What the papers report
#
# Two papers, both with tables over data sets of these names and with this score. These are the lines we compare with, not all that the papers have (means of 5 and of 10 trials; standard errors as far as the paper gives them):

# %% tags=["setup", "hide-input"]
# What the papers report
COLUMNS = ("ring: modes of 8", "ring: high quality, %", "grid: modes of 25", "grid: high quality, %")
UNKNOWN = float("nan")
# protocol, method, then (mean, standard error) in the order of COLUMNS
PUBLISHED = [
    ("VEEGAN", "GAN", (1, UNKNOWN), (99.3, UNKNOWN), (3.3, UNKNOWN), (0.5, UNKNOWN)),
    ("VEEGAN", "ALI", (2.8, UNKNOWN), (0.13, UNKNOWN), (15.8, UNKNOWN), (1.6, UNKNOWN)),
    ("VEEGAN", "Unrolled GAN", (7.6, UNKNOWN), (35.6, UNKNOWN), (23.6, UNKNOWN), (16, UNKNOWN)),
    ("VEEGAN", "VEEGAN", (8, UNKNOWN), (52.9, UNKNOWN), (24.6, UNKNOWN), (40, UNKNOWN)),
    ("PacGAN", "GAN", (6.3, 0.5), (98.2, 0.2), (17.3, 0.8), (94.8, 0.7)),
    ("PacGAN", "ALI", (6.6, 0.3), (97.6, 0.4), (24.1, 0.4), (95.7, 0.6)),
    ("PacGAN", "PacGAN2", (7.9, 0.1), (95.6, 2.0), (23.8, 0.7), (91.3, 0.8)),
    ("PacGAN", "PacGAN4", (7.8, 0.1), (95.9, 1.4), (24.8, 0.2), (93.6, 0.6)),
]


# %% tags=["setup", "hide-input"]
def told(mean, error):
    return "not recorded" if np.isnan(mean) else f"{mean:.4g}" + ("" if np.isnan(error) else f" ± {error:.2g}")


def score_table(lines):
    """One line a method, its mean and standard error under each of COLUMNS."""
    cells = [(protocol, method, *(told(*score) for score in scores)) for protocol, method, *scores in lines]
    return pd.DataFrame(cells, columns=["protocol", "method", *COLUMNS]).set_index(["protocol", "method"])


# %%
score_table(PUBLISHED)

# %% [markdown]
# Sources: VEEGAN's table, arXiv 1705.07761; PacGAN's table, arXiv 1712.04086.
#
# Find the method called "GAN" in both. One table gives it 1 mode of 8, the other 6.3; on the grid, 0.5 % against 94.8 % high quality. It is the same idea and the same score. What
# differs is everything that a method's name does not say: networks, batch, learning rate, length of training. The *protocol* alone moves one method from 1 mode to 6.3 and from 0.5 % to 94.8 %, as much as one method differs from another within a
# table. So a number without its protocol means nothing.
#
# Look once more at the first line. One mode, 99.3 %: above perfection. Each of the two numbers alone can be had cheaply. (Exercise 1 asks whether 99.3 is luck.)
#
# ## Our protocol, and how it deviates
#
# We take PacGAN's data and score, and the recommended game of notebook 07: relativistic loss, a penalty on D's slope, averaged weights (with a latent of two numbers, a wider G, a larger batch, a weaker penalty, and without G's own noise). The recipe is read from the recorded runs. Everything that is
# not the same is a **deviation** and has to be named:

# %% tags=["setup"]
recommended = recipe_of(rows[(rows.fix == "recommended") & (rows.data == "ring")].iloc[0])
trials = rows.groupby(["fix", "data"])
METHODS, LENGTH = ["plain GAN", "recommended"], rows.groupby("data").cap.max()[["ring", "grid"]]

# %% tags=["hide-input"]
# The two protocols as a table
r, counts = recommended, " and ".join(str(trials.size()["recommended", name]) for name in LENGTH.index)
protocol = [
    ("data *", "100,000 samples; ring sd 0.01, grid sd 0.05", "the same, but one fixed draw for all trials"),
    ("score", "2,500 samples, circles of 3 sd", "the same"),
    ("trials", "10", f"{counts} (ring and grid); seed 0, on which we searched, is among them"),
    ("latent", "2 normal numbers", f"{r.latent} normal numbers"),
    ("generator *", "4 x 400, batch normalisation, ReLU", f"{r.layers} x {r.hidden_g}, no normalisation layer, ReLU"),
    ("discriminator *", "3 x 200, maxout of 5", f"{r.layers} x {r.hidden_d}, LeakyReLU"),
    ("units *", "as they are", "G times, D divided by the full scale (1 and 4)"),
    ("loss *", "GAN", f"{r.loss}, penalty {r.penalty} with gamma {r.gamma:g} in normalised units ({r.gamma:g} and {16 * r.gamma:g} in the data's)"),
    ("updates *", "simultaneous", "alternating" if r.alternating else "simultaneous"),
    ("Adam *", "rate 1e-4, betas 0.8 and 0.999", f"rate {r.lr:g}, betas {r.beta1:g} and {r.beta2:g}, cosine annealing in the second half"),
    ("samples drawn by *", "G", f"the running average of G (decay {r.ema:g})"),
    ("initial weights *", "normal, sd 0.02", "PyTorch's default"),
    ("batch *", "100", f"{r.batch}"),
    ("iterations *", "400,000", " and ".join(f"{cap:,}" for cap in LENGTH)),
    ("real samples seen *", "40 million", " and ".join(f"{r.batch * cap / 1e6:.1f}" for cap in LENGTH) + " million"),
]
pd.DataFrame([both for _, *both in protocol], [what for what, *_ in protocol], ["PacGAN's protocol, its row GAN", "ours, recommended"])

# %% [markdown]
# A star: a deviation. With that many, beating a row of the table would not show that our *method* is better than that row's; it may be the networks, the optimiser, the units. One more deviation stands in no table: the settings of our recipe were
# searched for on these two data sets with this score, on seed 0. The authors tuned theirs too, and neither side can say how much.
#
# Therefore the control that counts most is our own: a **plain GAN** with the same networks, units, rate, annealing, batch and length, and without what the recommendation changed in the *game*: logits loss, simultaneous
# updates, no penalty, no averaging, Adam with the usual betas 0.5 and 0.999. **Predict:** how many modes of the ring will it capture, 1 as in one table, or 6 as in the other? And of the grid?
#
# ## The recorded trials

# %% tags=["setup"]
counted = rows.fillna({"modes": 0, "high_quality": 0}).groupby(["fix", "data"])  # a trial that ended in NaN captured nothing
means, errors = (getattr(counted[["modes", "high_quality"]], what)() for what in ("mean", "sem"))

# %% tags=["setup", "hide-input"]
def scored(fix):
    cells = [(name, column, scale) for name in LENGTH.index for column, scale in (("modes", 1), ("high_quality", 100))]
    scores = [(scale * means.loc[(fix, name), column], scale * errors.loc[(fix, name), column]) for name, column, scale in cells]
    return "here", f"{fix} ({'/'.join(str(trials.size()[fix, name]) for name in LENGTH.index)} trials)", *scores


OURS = [scored(fix) for fix in METHODS]
FLAWLESS = 100 * (1 - np.exp(-4.5)), UNKNOWN
BEST = ("", "perfect samples", (8, UNKNOWN), FLAWLESS, (25, UNKNOWN), FLAWLESS)

# %%
score_table([*PUBLISHED, *OURS, BEST])

# %% [markdown]
# Mean ± standard error over as many trials as the line names (ring/grid); a trial that ends in NaN would count as 0 modes and 0 %. "± 0" says that all trials agreed, not that the next one must (exercise 3). The same as a picture; the quality axes show
# what is missing from 100 %, on a logarithmic scale, and the dashed line is what perfect samples score.

# %% tags=["hide-input"]
def scale(axes, column):
    """The axis of a panel, and the dashed line of perfect samples."""
    perfect = BEST[2 + column][0]
    axes.axvline(100 - perfect if column % 2 else perfect, color=plots.NAN_COLOUR, linestyle="--", linewidth=1)
    if column % 2:
        axes.set(xscale="log", xlim=(300, 0.5))
        axes.set_xticks((100, 10, 1), ("0 %", "90 %", "99 %"))
    else:
        axes.set(xlim=(-0.25 * perfect, 1.06 * perfect), xticks=range(0, int(perfect) + 1, 2 if perfect < 10 else 5))


# %% tags=["hide-input"]
def beside(lines):
    picture = plots.Picture(alt=f"Modes and high quality of {len(lines)} methods on ring and grid, with standard errors.", width=11, height=4.6)
    names = [f"{protocol}: {method}" for protocol, method, *_ in lines]
    looks = {"VEEGAN": ("o", "none", "0.35"), "PacGAN": ("s", "0.35", "0.35"), "here": ("D", plots.GENERATOR_COLOUR, plots.GENERATOR_COLOUR)}
    for column, (axes, title) in enumerate(zip(picture.subplots(1, 4, sharey=True), COLUMNS)):
        for y, (protocol, _, *scores) in enumerate(lines):
            (mean, error), (marker, face, edge) = scores[column], looks[protocol]
            if not np.isnan(mean):
                x = 100 - mean if column % 2 else mean  # quality: what is missing
                axes.errorbar(x, y, xerr=None if np.isnan(error) else error, fmt=marker, mfc=face, mec=edge, ecolor=edge, capsize=3)
                axes.annotate(f"{mean:.3g}", (x, y), (-6, 3), textcoords="offset points", ha="right", fontsize=8)
        scale(axes, column)
        axes.set_title(title)
    picture.axes[0].set_yticks(range(len(lines)), names)
    picture.axes[0].set_ylim(len(lines) - 0.5, -0.8)
    return picture


# %%
beside([*PUBLISHED, *OURS])

# %% [markdown]
# Hollow circles: VEEGAN's protocol; grey squares: PacGAN's; blue diamonds: ours. Read each line across: a method is good if it comes near the dashed line in *all four* panels. Which published
# lines are ahead of our recommended one in at least one number?

# %%
own = next(line for line in OURS if "recommended" in line[1])
for column, title in enumerate(COLUMNS):
    ahead = [f"{protocol}'s {method} ({scores[column][0]:g})" for protocol, method, *scores in PUBLISHED if scores[column][0] > own[2 + column][0]]
    print(f"{title}: here {own[2 + column][0]:.4g}; published and higher: {', '.join(ahead) or 'none'}")

# %% [markdown]
# A line that is ahead in one number may be far behind in the other; look it up above before you call it better. A mean can also hide the worst trial, and a score without its price is half a result:

# %%
columns = {
    "trials": trials.size(),
    "NaN": trials.outcome.agg(lambda outcome: (outcome == "NaN").sum()),
    "all modes captured": counted.apply(lambda its: (its.modes == len(data.load(its.name[1]).centres)).sum()),
    "modes, worst": counted.modes.min().astype(int),
    "high quality, worst": counted.high_quality.min().map("{:.1%}".format),
    "reverse KL, mean of the finite": trials.reverse_kl.mean().round(4),
    "minutes a trial": trials.apply(lambda its: (its.cpu_ms * its.iterations).mean() / 60_000).round(1),
}
pd.DataFrame(columns).rename_axis(["method", "data"])

# %% [markdown]
# Minutes of one processor core, as measured while recording on a shared machine: an order of magnitude, and a reminder that a penalty costs time: equal length is not equal cost.
#
# Why does no generator reach the dashed line easily? The islands are separate, while G is continuous and its latent is one connected cloud. To draw two islands it must draw something in between: it can make these bridges
# improbable, by making G steep, but not remove them. (Tanielian and others, 2020, turn this into a theorem.)

# %% [markdown]
# ## A third protocol: sixty-four random numbers
#
# PacGAN gives G a latent of two numbers, as many as a point has. A textbook draft of 2026 plays the twenty-five islands with 64, and scores 10,000 samples: the share within 3 sd (its "on-mode fraction", ideally 0.989) is what we call high quality. Its networks
# are small (2 x 256), its run short (20,000 iterations, batch 256, Adam 2e-4 with betas 0 and 0.99, penalties with gamma 1). We have its settings and its three results at second hand and could not check them; the grid is taken to be PacGAN's. So read the quoted lines with
# more caution than those above. **Predict:** a latent with 62 numbers too many: easier, or harder?

# %% tags=["setup", "hide-input"]
# The draft's games and ours
draft = fixes[fixes.group == "draft"].fillna({"modes": 0, "high_quality": 0}).groupby("fix")
QUOTED = [("GAN", 21, 0.06), ("GAN+R1+R2", 25, 0.10), ("relativistic+R1+R2", 25, 0.09)]
GAMES = ["GAN", "relativistic+R1+R2", "at the draft's rate", "at the draft's rate, latent of 2"]
GAMES += ["recommended, no head start", "recommended, no head start, D as fast", "recommended"]


def draft_line(fix):
    """Trials, latent, rates, modes and on-mode fraction of our recorded trials of that game."""
    found, share = draft.get_group(fix), draft.get_group(fix).high_quality
    recipe, error = recipe_of(found.iloc[0]), f" ± {share.sem():.3f}" if len(share) > 1 else ""
    rates = f"{rate_text(recipe.lr)}, {rate_text(recipe.lr * recipe.d_rate)}"
    return len(found), recipe.latent, rates, int(found.modes.min()), f"{share.mean():.3f}{error}", f"{share.min():.3f}", (share < 0.5).sum()


# %% tags=["hide-input"]
# All of them as a table
noise = len(grid.centres) * np.pi * (3 * grid.sd) ** 2 / 10**2
lines = {f"quoted: {name}": ("", 64, "2e-4, 2e-4", modes, f"{share:.2f}", "", "") for name, modes, share in QUOTED}
lines |= {f"here: {fix}": draft_line(fix) for fix in GAMES}
lines["by arithmetic: uniform noise on a square of side 10"] = ("", "", "", 25, f"{noise:.3f}", "", "")
columns = ["trials", "latent", "rates of G, D", "modes (here: in the worst trial)", "on-mode fraction, mean", "worst trial", "trials below 0.5"]
pd.DataFrame.from_dict(lines, orient="index", columns=columns)

# %% [markdown]
# In the draft's three games as quoted, and in the two of them that we ran, about nine samples in ten are off the islands (the last line is what pure noise would have). Our other lines keep its networks, batch, length, betas and number of samples. They deviate in the game (relativistic, R1 alone and weaker, normalised units, alternating), in
# averaging, annealing and D's head start. The lines called "recommended" also deviate in the rates, ten times the draft's for G. Those were searched for on this score; the lines at the draft's rate have settings that nobody tuned here.
#
# A mean can hide a story. Here are the trials of the last three lines one by one, by seed:

# %%
for fix in GAMES[-3:]:
    each = draft.get_group(fix).sort_values("seed").itertuples()
    print(f"{fix}, on-mode fraction (modes):", ", ".join(f"{one.high_quality:.2f} ({one.modes:.0f})" for one in each))

# %% [markdown]
# The search was about a dozen tries with seed 0, and ended in the line "no head start". It did as well with seeds 1 to 4. The next three trials failed: one ended on a single island, the other two with all 25 modes, but most of their samples beside them. So the recording was
# stopped. With D as fast as G no trial of four failed like that, but they were on average below the five good ones before; that recording was stopped as well. So now D has a head start: over the first 2,000 iterations the rate of G alone rises to its full size. Tried on seed 6, then recorded on all ten: the last of our lines, without such a failure, and on average a little below those five as well. A search on one seed finds what is good on that
# seed.
#
# The line with a latent of 2 answers the prediction, at the draft's rate. And "recommended" differs from "at the draft's rate" in nothing but the rates of G and D. A possible reason for both, which no run here tests: a G of 64 numbers must first learn which of them to ignore, and be nearly flat on each
# island and steep in between, so its weights have a long way to go, and at a small rate 20,000 iterations are over before they arrive. What the table does show: with a cured loss and a tamed D, a rate may be raised, and it paid to. The series began with a rate that was lowered and
# lowered again, and it helped nothing.
#
# ## Watch it live
#
# The recorded trials take minutes each. Here is a shorter one: the recommended recipe on the ring with half the batch, an average over some 100 iterations instead of 1,000, and at most 3,000 iterations, or as many as your machine makes in 40 s, annealed over that length.
# **Predict:** which comes first, all eight modes, or high quality?

# %% tags=["setup", "hide-input"]
def live(recipe, longest=3000, seconds=40):
    """Train within about that time; [(iteration, 2,500 samples)] at four moments, and the GAN."""
    start = time.monotonic()
    train(GAN(recipe), iterations=100, progress=False)  # how fast is this machine?
    length = int(np.clip(100 * seconds / (time.monotonic() - start), 1000, longest))
    gan, seen = GAN(replace(recipe, anneal=length)), []
    for part in (0.1, 0.3, 0.6, 1):
        if seen and time.monotonic() - start > seconds + 12:
            break
        train(gan, int(part * length) - gan.iteration, progress=False, stop=lambda: time.monotonic() - start > seconds + 12)
        seen.append((gan.iteration, gan.draw(2500)))
    return seen, gan


# %% tags=["setup", "hide-input"]
def filmstrip(seen, title):
    found = [mode_quality(samples, ring) for _, samples in seen]
    alt = f"Samples of the {title} on the ring at iterations {', '.join(str(iteration) for iteration, _ in seen)}."
    picture = plots.Picture(alt=alt, width=10, height=3.1)
    picture.suptitle(title)
    for axes, (iteration, samples), score in zip(picture.subplots(1, len(seen), sharey=True, squeeze=False)[0], seen, found):
        islands(axes, samples, ring, plots.GENERATOR_COLOUR)
        axes.set_title(f"iteration {iteration:,}\nmodes {score['modes']:.0f}, high quality {score['high_quality']:.1%}", fontsize=10)
    return picture


# %%
short = replace(recommended, batch=128, ema=0.99)
seen, stable = live(short)
filmstrip(seen, "recommended recipe")

# %% [markdown]
# And the plain GAN, the same networks and as many iterations:

# %%
plain = replace(short, loss="logits", penalty="none", alternating=False, beta1=0.5, beta2=0.999, ema=0.0)
seen, unstable = live(plain, longest=stable.iteration)
filmstrip(seen, "plain GAN")

# %% tags=["hide-input"]
# Live and recorded as a table
now = pd.DataFrame({"plain GAN": mode_quality(unstable.draw(2500), ring), "recommended": mode_quality(stable.draw(2500), ring)}).T
full, count, length = means.xs("ring", level="data"), trials.size()["recommended", "ring"], LENGTH["ring"]
columns = {
    "iterations, live": pd.Series({"plain GAN": unstable.iteration, "recommended": stable.iteration}),
    "modes, live": now.modes.astype(int),
    f"modes, recorded: mean of {count} of {length:,}": full.modes.round(2),
    "high quality, live": now.high_quality.map("{:.1%}".format),
    "high quality, recorded": full.high_quality.map("{:.1%}".format),
}
pd.DataFrame(columns).rename_axis(index=None, columns="ring")

# %% [markdown]
# One live trial of one seed is an illustration, and the recorded columns are the measurement. So short a run, and of a smaller batch, can end anywhere: compare the two. In the pictures, look at what lies *outside* the circles: threads from island to island are the bridges; a cloud or a clump elsewhere
# is a generator that has not arrived, or has wandered off.
#
# ## What the score does not see
#
# A score that one can compute is a score that one can fool. Here are seven "generators" that nobody trained, on the grid. **Predict** each line before you look: which of them get 25 modes, and which a high quality of over 98 %?

# %% tags=["setup", "hide-input"]
def width(samples, dataset):
    """How wide the islands are: rms distance of the samples within 3 sd from their centre, over that of a Gaussian's."""
    distance = torch.cdist(samples, dataset.centres).min(1).values
    near = distance[distance <= 3 * dataset.sd]
    whole = 2 * dataset.sd**2 * (1 - 4.5 * np.exp(-4.5) / (1 - np.exp(-4.5)))  # mean square of a Gaussian cut at 3 sd
    return float((near.square().mean() / whole).sqrt())


def scores(crowds, dataset):
    """One line for each {name: samples}."""
    found = pd.DataFrame({name: mode_quality(samples, dataset) | {"width": width(samples, dataset)} for name, samples in crowds.items()}).T
    columns = {
        "modes": found.modes.astype(int),
        "high quality": found.high_quality.map("{:.1%}".format),
        "reverse KL": found.reverse_kl.round(3),
        "width": found.width.map("{:.2f}".format, na_action="ignore").fillna("-"),
    }
    return pd.DataFrame(columns).rename_axis(index=None, columns="samples")


# %% tags=["setup"]
random = torch.Generator().manual_seed(0)
everywhere, spread = grid.centres.repeat(100, 1), grid.sd * torch.randn(2500, 2, generator=random)
fakes = {
    "real samples": grid.samples[:2500],
    "exact centres": everywhere,
    "half as wide": everywhere + spread / 2,
    "empty rings": everywhere + 1.4 * grid.sd * spread / spread.norm(dim=1, keepdim=True),
    "one island only": grid.centres[12] + spread,
    "one island, and 1 sample on each other": torch.cat([grid.centres[12] + spread[25:], grid.centres]),
    "more noise than signal": torch.cat([(everywhere + spread)[:1000], 10 * torch.rand(1500, 2, generator=random) - 5]),
}

# %%
scores(fakes, grid)

# %% [markdown]
# - *Exact centres* beat reality: all modes, 100 %, even shares. The score knows nothing of what happens inside a circle. Only the last column, which is ours and in no table, sees it: a **width** other than 1 is wrong. A width of 1 alone proves nothing: the *empty rings* have it, and full marks everywhere else.
# ("Half as wide" is not quite 0.5, because the real islands are cut off at 3 sd and the narrow ones are not.)
# - *One island, and 1 sample on each other* has 25 modes and nearly full quality. "Captured" means one sample of 2,500. **Reverse KL** sees it at once: the shares are nearly as uneven as they can be ($\log 25 = 3.22$).
# - *More noise than signal* has 25 modes and even shares. High quality sees it.
#
# Dropping modes and adding noise are different diseases, and each number is blind to one of them. So report all of them, and look at the picture. How do the two live generators do inside the circles?

# %% tags=["hide-input"]
# The fullest islands as a figure
picture = plots.Picture(alt="The fullest island of the ring: real samples, exact centres, and the two live generators.", width=10, height=2.9)
exact = ring.centres.repeat(1250, 1)
crowds = {"real": ring.samples, "exact centres": exact, "plain GAN, live": unstable.draw(10_000), "recommended, live": stable.draw(10_000)}
for axes, (name, samples) in zip(picture.subplots(1, 4), crowds.items()):
    distance, mode = torch.cdist(samples[:10_000], ring.centres).min(1)
    fullest = int(mode[distance <= 3 * ring.sd].bincount(minlength=8).argmax())
    zoom(axes, samples[:10_000], ring, fullest, "0.55" if name == "real" else plots.GENERATOR_COLOUR, title=name)
    axes.set(xticks=[], yticks=[])
picture

# %%
scores({name: samples[:2500] for name, samples in crowds.items()}, ring)

# %% [markdown]
# Each panel shows the island that got most of 10,000 samples, its circle of 3 sd and what lies outside (an empty panel: the run was too short to reach one; "-": no width without samples). A generator with all modes and a good share may still draw an island as a thread or as a
# blot of the wrong width: its samples pass, its distribution does not.
#
# ## What may be claimed
#
# Suppose that the recommended line stands above every line of both tables. Then one may say: *these numbers are higher than those numbers, under the deviations listed.* One may not say that a relativistic loss with R1 beats packing:
# nobody has run PacGAN with our networks, rate, units and length, nor our game with theirs, and our settings were searched for on this very score. Nor is it a comparison at equal budget: they saw more
# samples with larger networks, while we did the searching. The least unfair comparison in this notebook is the one between the two lines marked "here", where networks, data, rate, length and score are the same. Even there the settings were searched for one side only, an iteration of that side costs
# more time, and five things change at once, so it says that the combination works, not which part does. And two dimensions are not a photograph: passing this test is necessary, not sufficient.
#
# ## Summary
# - Perfect samples score 98.9 % high quality, not 100; a score above that by more than luck is a sign of islands drawn too narrow.
# - The same method's name covers 1 mode and 6.3 modes: a number belongs to a protocol. List yours beside theirs, deviation by deviation.
# - Run a control with the same networks and the same length, report mean, standard error, the worst trial and the cost.
# - Once nothing can turn NaN, the learning rate is free again, in both directions: search there too, and say that you did.
# - Modes, high quality and reverse KL see different diseases, and none sees inside the circle. Look at the samples.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (5 minutes, easy). VEEGAN's table gives its GAN 99.3 % on the ring, a mean of five runs of 2,500 samples each. Perfect samples score 98.9 %. How likely are 99.3 % or more by luck, if its samples were
# perfect within their one mode? What does it suggest about the width of that mode?

# %% tags=["solution"]
perfect = 1 - np.exp(-4.5)
error = np.sqrt(perfect * (1 - perfect) / (5 * 2500))
print(f"five runs have a standard error of {100 * error:.3f} points: 99.3 is {(0.993 - perfect) / error:.1f} of them above {perfect:.1%}")
draws = np.random.default_rng(0).binomial(5 * 2500, perfect, 1_000_000) / (5 * 2500)
print(f"as high by luck: {np.sum(draws >= 0.993)} of a million tries")
print(f"a Gaussian mode of {3 / np.sqrt(-2 * np.log(1 - 0.993)):.2f} times the true sd would score 99.3 %: it is drawn too narrow")

# %% [markdown]
# **Exercise 2** (10 minutes, easy). "One sample captures a mode" is generous. Call a mode captured if it holds at least half of its fair share of the 2,500, in high-quality samples. How many modes do
# the seven "generators" have then? Which of the tricks survives?

# %% tags=["solution"]
def strictly_captured(samples, dataset):
    distance, mode = torch.cdist(samples, dataset.centres).min(1)
    count = torch.bincount(mode[distance <= 3 * dataset.sd], minlength=len(dataset.centres))
    return int((count >= len(samples) / len(dataset.centres) / 2).sum())


for name, samples in fakes.items():
    print(f"{name:40} captured: {mode_quality(samples, grid)['modes']:2.0f}, strictly: {strictly_captured(samples, grid)}")
print("too narrow still passes: no count of samples in a circle can see where in the circle they are")

# %% [markdown]
# **Exercise 3** (10 minutes, medium). Suppose that all n recorded trials captured every mode. What is the largest chance of a failure, per trial, that would still let that happen in 1 of 20 recordings? Compute it for the number of recorded trials, for 10 and for 100. What
# may "in every trial" then promise?

# %% tags=["solution"]
for n in (trials.size()["recommended"].max(), 10, 100):
    print(f"{n:3} of {n} trials: failures of up to {1 - 0.05 ** (1 / n):.0%} of all trials are still possible (1 in 20); the rule of three says 3/n = {min(1, 3 / n):.0%}")
print("ten trials without a failure exclude that it usually fails; they do not show that it never does")

# %% [markdown]
# ## References
# - A. Srivastava, L. Valkov, C. Russell, M. U. Gutmann, C. Sutton, "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", arXiv 1705.07761: the score, and the first table.
# - Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: The power of two samples in generative adversarial networks", arXiv 1712.04086: the second table. Networks, rates and updates are also in its code, github.com/fjxmlzn/PacGAN.
# - V. Dumoulin et al., "Adversarially Learned Inference" (ALI), arXiv 1606.00704. L. Metz et al., "Unrolled Generative Adversarial Networks", arXiv 1611.02163.
# - Y. Huang et al., "The GAN is dead; long live the GAN!", arXiv 2501.05441: relativistic pairing with penalties.
# - U. Tanielian et al., "Learning disconnected manifolds: a no GAN's land", arXiv 2006.04596: why a continuous generator draws bridges.
# - The textbook draft of 2026 is quoted at second hand, without a link that we could check.
# - `data/README.md`: how the table was made, and how to remake it.
