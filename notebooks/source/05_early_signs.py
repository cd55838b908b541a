# %% [markdown]
# # 05 Early signs
#
# After this notebook you will be able to
# - read the gauge that shows what the mean losses hide;
# - compute the chance that the next iteration ends a run, and test such a forecast;
# - judge a warning by its lead times and false alarms, and say why a smaller rate only delays.
#
# **Time:** 1 minute to run, 29 to read. **Prerequisites:** notebook 04.

# %% tags=["setup"]
import math

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import LogNorm
from scipy import stats

from utils import plots
from utils.autopsy import autopsy, cliffs
from utils.exercises import ____, check, guess, outcome
from utils.hazard import hazard, summed_hazard
from utils.sweep import recorded
from utils.training import GAN, Recipe, train

torch.set_num_threads(1)  # small networks: one thread is the quickest
LOWEST, CLIFF = cliffs(torch.float32)
slow = recorded("pulses_lr1e-4")

# %% [markdown]
# ## Do the losses jump?
#
# "NaN seemingly appears suddenly", the post says. We look at all recorded runs at 1e-4. **Predict:** in how many of the 24 is D's last finite loss larger than each of the 1,000 before it?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# In none: no jump announces the end.
#
# </details>

# %%
guess("05.jumps", "D's last finite loss stands out in", unit="of 24 runs")


# %%
def jumps(trace, loss):
    return trace.values[loss][-2] > trace.values[loss][-1002:-2].max()  # the very last one is that of the end


def climb(trace, loss):
    return stats.spearmanr(trace.iteration[:-1], trace.values[loss][:-1]).statistic  # 1: it only ever rises


outcome("05.jumps", sum(jumps(trace, "loss_d") for trace in slow))
for loss in ("loss_d", "loss_g"):
    climbs = [climb(trace, loss) for trace in slow]
    found = sum(jumps(trace, loss) for trace in slow)
    print(f"{loss}: jumps in {found} of {len(slow)} runs, climbs (rank correlation above 0.4) in {sum(np.array(climbs) > 0.4)}")

# %% [markdown]
# No jump, in either loss. G's loss does climb over the whole run, in nearly all of them. That says how the game goes, and not when it ends.
#
# ## The gauge
#
# A mean cannot show one sample: a logit of 16 in a batch of 64 moves it by 16/64 = 0.25. The largest logit of the batch can. It is our **gauge**. The last 2,000 iterations of the recorded run with seed 0:

# %% tags=["hide-input"]
# The gauge as a figure
trace = slow[0]
alt = "D's mean loss, without a jump at the end, above; the largest generated logit, spiking towards the cliff, below."
picture = plots.Picture(alt=alt, height=5)
top, bottom = picture.subplots(2, 1, sharex=True)
last = slice(-2000, None)
top.plot(trace.iteration[last], trace.loss_d[last], color=plots.DISCRIMINATOR_COLOUR, linewidth=0.7)
top.set(ylabel="D's mean loss", title=f"What is usually drawn, and the gauge: learning rate 1e-4, seed {trace.seed}")
bottom.plot(trace.iteration[last], trace.fake_max[last], color=plots.GENERATOR_COLOUR, linewidth=0.7)
bottom.plot(trace.nan_at, trace.fake_max[-1], "o", color="black", fillstyle="none", markersize=11)
words, there = f"beyond the cliff:\n{trace.fake_max[-1]:.1f} at {trace.nan_at:,}", (trace.nan_at - 120, 11)
bottom.annotate(words, (trace.nan_at, trace.fake_max[-1]), there, ha="right", fontsize=10, arrowprops={"arrowstyle": "-"})
bottom.axhline(CLIFF, color=plots.NAN_COLOUR, linestyle="--")
bottom.text(trace.iteration[-2000], CLIFF + 0.6, f"cliff, {CLIFF:.2f}")
bottom.axhline(CLIFF / 2, color="0.5", linewidth=0.8)
bottom.text(trace.iteration[-2000], CLIFF / 2 + 0.4, "half of it", color="0.4")
bottom.set(ylabel="largest generated logit", xlabel="iteration", ylim=(None, CLIFF + 3))
for axes in (top, bottom):
    axes.axvline(trace.nan_at, color=plots.NAN_COLOUR, linestyle=":")
top.text(trace.nan_at + 12, 1.7, "the\nend", va="top", fontsize=9)
picture

# %% [markdown]
# Above, nothing announces the dotted line. Below, single samples leap towards the cliff again and again, and one of them (circled) passes it.
#
# ## The hazard
#
# With a latent of one number we can do better than watch. All that G can draw lies on one line of z. D's logit along it shows which stretches of z lie beyond a cliff. A normal number falls into them with a known chance p, and a batch of 64
# has such a draw with chance $1 - (1 - p)^{64}$. That is the **hazard**: the chance that the *next* iteration ends the run. It needs the weights and the normal distribution, and no random number.
#
# **Predict:** how large is it for the GAN of notebook 04 at 1e-3, just before the iteration that ends it?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# About 0.15: a dangerous moment, and no certain end.
#
# </details>

# %%
guess("05.hazard", "the chance that the next iteration ends it (0 to 1)")

# %%
gan = GAN(Recipe(lr=1e-3), seed=0)
autopsy(gan, iterations=200)  # leaves it just before the fatal iteration
outcome("05.hazard", hazard(gan))

# %%
random, fatal = torch.Generator().manual_seed(1), 0
for _ in range(4000):
    logits = gan.sample(torch.randn(64, 1, generator=random))[1]
    fatal += bool(((logits > CLIFF) | (logits < LOWEST)).any())
print(f"computed {hazard(gan):.3f}, counted in 4,000 drawn batches {fatal / 4000:.3f}")

# %% [markdown]
# Computing and counting agree.
#
# ## How the hazard spreads over a life
#
# The recorded runs at 1e-4 hold the hazard of every fourth iteration. **Predict:** how does it spread over a life?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# In bursts: the worst tenth of a life holds nearly all of its hazard.
#
# </details>

# %%
guess("05.shape", "over a life the hazard is spread", choices=["evenly", "in bursts"])

# %% tags=["hide-input"]
STRETCH = 250


def by_stretch(trace):
    """The hazard summed over each stretch of 250 iterations, from the start."""
    stretch = (trace.watched["iteration"] - 1) // STRETCH
    return np.bincount(stretch, trace.watched["hazard"].astype(float) * 4)


def share_of_the_worst_tenth(trace):
    sums = np.sort(by_stretch(trace))[::-1]
    return sums[: math.ceil(len(sums) / 10)].sum() / sums.sum()


# %%
worst = np.median([share_of_the_worst_tenth(trace) for trace in slow])
outcome("05.shape", "in bursts" if worst > 0.5 else "evenly")
early = sum(by_stretch(trace)[: 7500 // STRETCH].sum() for trace in slow) / sum(by_stretch(trace).sum() for trace in slow)
print(f"the worst tenth of a run's stretches of {STRETCH} iterations holds {worst:.0%} of its hazard (median)")
print(f"of all hazard in {len(slow)} runs, {early:.0%} came in the first 7,500 iterations")

# %% tags=["hide-input"]
lives = sorted(slow, key=lambda trace: trace.nan_at)
chances = np.full((len(lives), 1 + lives[-1].nan_at // STRETCH), np.nan)
for height, trace in enumerate(lives):
    sums = by_stretch(trace)
    chances[height, : len(sums)] = -np.expm1(-sums)

# %% tags=["hide-input"]
# Every life as a strip
alt = "24 lives as strips: pale for thousands of iterations, then dark stretches, which are the bursts; the ends are marked."
picture = plots.Picture(alt=alt, height=5.5)
axes = picture.subplots()
extent = (0, chances.shape[1] * STRETCH, -0.5, len(lives) - 0.5)
style = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "none"}
strips = axes.imshow(chances.clip(1e-5), "YlGnBu", LogNorm(1e-5, 1), **style)
axes.plot([trace.nan_at for trace in lives], range(len(lives)), "X", color=plots.NAN_COLOUR, markersize=6, label="the end")
axes.set_yticks(range(len(lives)), [trace.seed for trace in lives], fontsize=8)
axes.set(
    xlabel="iteration", ylabel="seed", title=f"24 lives at 1e-4: the chance that a stretch of {STRETCH} iterations ends the run"
)
axes.text(3400, 13, "nearly safe", ha="center", fontsize=11)
survived = np.where(np.arange(chances.shape[1]) < np.array([[trace.nan_at // STRETCH - 4] for trace in lives]), chances, 0)
height, stretch = np.unravel_index(survived.argmax(), survived.shape)  # the worst stretch that was no run's last
axes.annotate("a burst, survived", ((stretch + 0.5) * STRETCH, height), (500, height - 3), arrowprops={"arrowstyle": "->"})
axes.legend(loc="lower right")
bar = picture.colorbar(strips, ticks=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1])
bar.ax.set_yticklabels(["1 in 100,000 or less", "1 in 10,000", "1 in 1,000", "1 in 100", "1 in 10", "certain"])
picture

# %% [markdown]
# Each row is a life, from left to right. Pale stretches are nearly safe, and most of the first 7,500 iterations are. Then come dark ones, the bursts. A run survives a burst or it does not.
#
# ## A lottery whose odds are known
#
# A forecast of chances can be checked. Somebody who waits for a six throws a die six times on average: six chances of 1/6 add up to 1. If the hazard is right, its sum over a life is 1 on average, too, and over many runs the sums spread like draws
# from an exponential distribution. Nothing is fitted.

# %%
sums = np.sort([summed_hazard(trace)[1][-1] for trace in slow])
test = stats.kstest(sums, "expon")
print(f"{len(sums)} recorded runs at 1e-4: mean {sums.mean():.2f}, standard error {1 / np.sqrt(len(sums)):.2f}")
print(f"Kolmogorov-Smirnov distance {test.statistic:.2f}, p = {test.pvalue:.2f} (a small p would speak against the forecast)")

# %% tags=["hide-input"]
# The sums as a figure
picture = plots.Picture(alt="Share of runs whose summed hazard is below x, close to the exponential distribution.")
axes = picture.subplots()
shares = np.arange(len(sums) + 1) / len(sums)
axes.step(np.append(0, sums), shares, where="post", linewidth=2, color="#117733", label=f"{len(sums)} recorded runs")
x = np.linspace(0, sums[-1], 200)
axes.plot(x, 1 - np.exp(-x), "--", color="black", label="a fair lottery: $1 - e^{-x}$")
axes.set(
    xlabel="summed hazard at the end",
    ylabel="share of runs",
    title="How much hazard a run had used up when it ended",
    ylim=(0, 1.03),
)
axes.legend(loc="lower right")
picture

# %% [markdown]
# The staircase stays near the curve: these runs do not contradict the forecast. A live check on fresh seeds, at 1e-3:

# %%
watch = {"watch": {"hazard": hazard}, "watch_every": 1, "progress": False}
live = [train(Recipe(lr=1e-3), 300, seed, **watch) for seed in range(1000, 1030)]
used = np.array([summed_hazard(trace)[1][-1] for trace in live])
ended = sum(trace.nan_at is not None for trace in live)
print(f"{ended} of {len(live)} ended; mean {used.mean():.2f}, standard error {used.std() / np.sqrt(len(used)):.2f}")

# %% [markdown]
# The mean should be 1 at any rate, and it is within two standard errors. (Only the mean is compared here: these runs take steps of up to 1 at once, too large for an exponential spread.)
#
# ## What is a warning worth?
#
# Two rules, in round numbers: warn when the hazard passes 1 in 10,000, or when the gauge passes half of the cliff. We cut each run into stretches of 1,000 iterations, counted back from its end. A warning in the last
# stretch is a hit, in another a false alarm.


# %% tags=["setup", "hide-input"]
def stretches(iteration, level, threshold, end):
    """Of each stretch of 1,000 iterations, the last first: was there a warning?"""
    before = iteration < end
    stretch = (end - 1 - iteration[before]) // 1000
    return np.bincount(stretch, level[before] > threshold) > 0


def warned_by_hazard(trace, threshold=1e-4):
    return stretches(trace.watched["iteration"], trace.watched["hazard"], threshold, trace.nan_at)


def warned_by_gauge(trace):
    return stretches(trace.iteration, trace.envelope("fake_max")[1], CLIFF / 2, trace.nan_at)


# %% tags=["hide-input"]
def score(warned):
    hits, false = sum(run[0] for run in warned), sum(run[1:].sum() for run in warned)
    others = sum(len(run) - 1 for run in warned)
    then, silent = sum(run[1] for run in warned), others - false  # the stretch before the last: the next one ends the run
    return {
        "hits": f"{hits} of {len(warned)}",
        "false alarms": f"{false} of {others}",
        "as a share": f"{false / others:.0%}",
        "next one ends it: after a warning": f"{then / false:.0%}",
        "after none": f"{(len(warned) - then) / silent:.0%}",
        "times as often": f"{then / false / ((len(warned) - then) / silent):.1f}",
    }


# %%
slowest = recorded("pulses_lr1e-5")
rules = {
    "1e-4: hazard above 1e-4": [warned_by_hazard(trace) for trace in slow],
    "1e-4: gauge above half the cliff": [warned_by_gauge(trace) for trace in slow],
    "1e-5: gauge above half the cliff": [warned_by_gauge(trace) for trace in slowest],
}
pd.DataFrame({rule: score(warned) for rule, warned in rules.items()}).T

# %% [markdown]
# Every end had a warning in its last stretch. So had a third or two fifths of all other stretches at 1e-4. The last three columns look ahead instead: how often does the next stretch end the run, after one with a warning and after one without?


# %% tags=["hide-input"]
def lead(iteration, level, threshold, end):
    """Iterations from the first warning of the last stretch to the end."""
    return end - iteration[(iteration >= end - 1000) & (iteration < end) & (level > threshold)].min()


def lead_of_gauge(trace):
    return lead(trace.iteration, trace.envelope("fake_max")[1], CLIFF / 2, trace.nan_at)


leads = {
    "gauge, 1e-5": [lead_of_gauge(trace) for trace in slowest],
    "gauge, 1e-4": [lead_of_gauge(trace) for trace in slow],
    "hazard, 1e-4": [lead(trace.watched["iteration"], trace.watched["hazard"], 1e-4, trace.nan_at) for trace in slow],
}


# %% tags=["hide-input"]
def spread(axes, height, values):
    """One dot a value, side by side, and a bar at their median."""
    axes.plot(values, height + 0.4 * ((np.arange(len(values)) * 0.618) % 1 - 0.5), "o", color="#117733", alpha=0.6, ms=5)
    axes.plot([np.median(values)] * 2, [height - 0.32, height + 0.32], color="black", linewidth=2)


picture = plots.Picture(alt="Lead times of the warnings: most some hundreds of iterations, some fewer than twenty.", height=3.2)
axes = picture.subplots()
for height, times in enumerate(leads.values()):
    spread(axes, height, times)
    short = sum(np.array(times) < 100)
    axes.text(1150, height, f"median {np.median(times):.0f}\nbelow 100: {short} of {len(times)}", va="center", fontsize=9)
axes.axvspan(0.8, 100, color="0.94", zorder=0)
axes.text(0.9, 2.45, "fewer than 100", fontsize=9, va="top")
axes.set_yticks(range(len(leads)), leads)
axes.set(xscale="log", xlim=(0.8, 6000), ylim=(-0.6, 2.6))
axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
axes.set_xlabel("iterations from the first warning of the last stretch to the end")
axes.set_title("How long before the end? One dot a run, the bar is the median")
picture

# %% [markdown]
# Most warnings come hundreds of iterations ahead, out of 1,000 at most. A few come so late that nobody could act. A warning says that the ticket is in the drum, and not when it is drawn: at 1e-4 the next stretch ends the
# run several times as often after a warning as without one, and mostly it still does not. So a warning is good for saving the weights and mending the loss, and not for telling the end.
#
# <details><summary>For the referee</summary>
#
# Both thresholds are round numbers; others give other shares (Exercise 5.3). Counting back from the end uses what nobody knows in advance, and makes hits generous: a warning one iteration before the end counts. The hazard was recorded at 1e-4 only. Where a run is thinned, the gauge uses the recorded extremes. A wide latent has no such
# integral. There `utils.hazard.tail_hazard` fits a tail to the gauge, and assumes that the next 1,000 iterations are like the last.
#
# </details>
#
# ## Why a smaller rate only delays
#
# Compare the lives at four rates in iterations, and in *training*: the learning rate times the iterations.

# %% tags=["hide-input"]
# Lives in iterations and in training
runs = {"1e-3": recorded("pulses_lr1e-3"), "3e-4": recorded("pulses_lr3e-4"), "1e-4": slow, "1e-5": slowest}
ends = {rate: np.array([trace.nan_at for trace in traces]) for rate, traces in runs.items()}
alt = "Lives in iterations grow with each smaller rate; lives in training, at 1e-5, are no longer than at 1e-4."
picture = plots.Picture(alt=alt, height=3.4)
left, right = picture.subplots(1, 2, sharey=True)
for height, (rate, times) in enumerate(ends.items()):
    middle = np.median(times)
    spread(left, height, times), spread(right, height, times * float(rate))
    left.text(middle, height + 0.36, f"{middle:,.0f}", ha="center", fontsize=9)
    right.text(middle * float(rate), height + 0.36, f"{middle * float(rate):.2g}", ha="center", fontsize=9)
left.set_yticks(range(len(ends)), ends)
left.set(xscale="log", xlabel="life in iterations", ylabel="learning rate", title="Smaller rates live longer ...")
right.set(
    xscale="log",
    xlabel="life in training = rate x iterations",
    title="... and at 1e-5 get no further than at 1e-4",
    ylim=(-0.6, len(ends) - 0.2),
)
picture


# %%
def rarest(traces):
    return np.median([abs(trace.last_batch["z"][trace.last_batch["fake_logits"].argmax(), 0]) for trace in traces])


longer = np.median(ends["1e-5"]) / np.median(ends["1e-4"])
print(f"from 1e-4 to 1e-5: {longer:.1f} times the iterations and draws, {longer / 10:.2f} times the training")
print(f"median |z| of the fatal sample: {rarest(slow):.2f} at 1e-4, {rarest(slowest):.2f} at 1e-5")

# %% [markdown]
# At 1e-5 a run gets no further in training than at 1e-4 (medians), and draws several times as many latents on the way: more tickets. Those that end it are rarer: they lie further out. At 1e-3 it is the explosion of notebook 04. A smaller rate does not move the
# cliff, and it does not keep the logits from it.
#
# ## Summary
# - Before the end the mean losses show no jump. The largest logit shows leaps towards the cliff.
# - With a latent of one number the chance that the next iteration ends the run can be computed. It comes in bursts, and its sum at the end agrees with theory, as far as these runs can tell.
# - A warning is a reason to act and no date: leads go from hundreds of iterations to a few, and many warnings come to nothing.
# - A smaller rate changes when the ticket is drawn, not whether.
#
# ## Three questions
#
# **1. Predict.** A run has survived a burst in which its summed hazard rose by 2. What does that say about its chance to survive the next burst like it?
#
# <details><summary>A. It is smaller: its luck is used up.</summary>
#
# A lottery has no memory. What was survived does not count against it.
#
# </details>
# <details><summary>B. It is the same as before.</summary>
#
# Yes: the chance depends on the weights of that moment alone, and is exp(-2) for a burst like that.
#
# </details>
# <details><summary>C. It is larger: this run is robust.</summary>
#
# It was lucky. The hazard is computed from the weights, and weights that give a burst of 2 are dangerous for every run.
#
# </details>
#
# **2. Explain.** Why does D's mean loss not show a logit of 16?
#
# <details><summary>A. D's loss at 16 is small.</summary>
#
# It is about 16, far above the mean. But it is one of 64.
#
# </details>
# <details><summary>B. It is divided by the batch size.</summary>
#
# Yes: 16/64 = 0.25 is within the noise from batch to batch.
#
# </details>
# <details><summary>C. Adam smooths it.</summary>
#
# Adam smooths gradients. The loss that is drawn is of the batch alone.
#
# </details>
#
# **3. Transfer.** A monitor for another failure warns before all of 24 failures. What do you ask first?
#
# <details><summary>A. How often it warns when nothing follows, and how early.</summary>
#
# Yes: a light that is always on is also lit before every failure.
#
# </details>
# <details><summary>B. Nothing: 24 of 24 is perfect.</summary>
#
# So is an alarm that never stops. Hits alone say nothing.
#
# </details>
# <details><summary>C. Whether it can be made more sensitive.</summary>
#
# That would add false alarms, and it misses nothing as it is.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 5.1: a larger batch** (5 minutes, easy). The hazard is 0.2 with a batch of 64. The weights stay the same. What is it with a batch of 256?
# *Deliverable:* `larger`, a number. *Criterion:* within 0.005.
#
# <details><summary>Hint</summary>
#
# A batch of 256 is four batches of 64, and survives if all four do.
#
# </details>

# %% tags=["stub"]
larger = ____
check("5.1", larger)

# %% tags=["solution"]
larger = 1 - (1 - 0.2) ** 4
check("5.1", larger)

# %% [markdown]
# **Exercise 5.2: a lucky run** (5 minutes, medium). What share of runs live until their summed hazard is 2? *Deliverable:* `share`, a number. *Criterion:* within 0.01.
#
# <details><summary>Hint</summary>
#
# The dashed curve in the figure of the sums says which share has ended by then.
#
# </details>

# %% tags=["stub"]
share = ____
check("5.2", share)

# %% tags=["solution"]
share = math.exp(-2)
check("5.2", share)

# %% [markdown]
# **Exercise 5.3: a stricter alarm** (10 minutes, medium). Let the hazard warn only above 1 in 100. How many of the ends still have a warning in their last stretch, and how many other stretches have one?
# *Deliverable:* `hits, false`, two numbers. *Criterion:* as the recorded runs at 1e-4 say.
#
# <details><summary>Hint</summary>
#
# `warned_by_hazard(trace, 1e-2)` gives a run's stretches, the last first.
#
# </details>

# %% tags=["stub"]
hits, false = ____, ____
check("5.3", (hits, false))

# %% tags=["solution"]
warned = [warned_by_hazard(trace, 1e-2) for trace in recorded("pulses_lr1e-4")]
hits, false = sum(run[0] for run in warned), sum(run[1:].sum() for run in warned)
check("5.3", (hits, false))

# %% [markdown]
# **Exercise 5.4: other kinds of numbers** (15 minutes, hard). `hazard(gan, cliffs(kind))` is the hazard with the cliffs of another kind of number. Compute it for float16, float32 and float64, for the GAN at 1e-3, seed 0, just before its end.
# *Deliverable:* `chances`, a list of three. *Criterion:* in that order, each within 2 % of what your machine says.
#
# <details><summary>Hint</summary>
#
# `autopsy` leaves its GAN just before the fatal iteration.
#
# </details>

# %% tags=["stub"]
chances = ____
check("5.4", chances)

# %% tags=["solution"]
gan = GAN(Recipe(lr=1e-3), seed=0)
autopsy(gan, iterations=200)
chances = [hazard(gan, cliffs(kind)) for kind in (torch.float16, torch.float32, torch.float64)]
check("5.4", chances)

# %% [markdown]
# ## References
# - "Smaller learning rate could prevent from loss value becoming NaN in a way when training GAN", blog post, 2024-04-29.
# - D. R. Cox and D. Oakes, "Analysis of Survival Data", Chapman and Hall 1984: hazards and residuals.
# - J. Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3 (1975): what `tail_hazard` fits.
