# %% [markdown]
# # 00 Start here
#
# *Why did my loss turn NaN, and what cures it?*
#
# After this notebook you will be able to
# - say whether your environment is ready, and how fast it is;
# - tell the published story that this series explains, with its numbers;
# - point at the first clue in its figures.
#
# **Time:** 1 minute to run, 17 to read. **Prerequisites:** none for reading; Python for the rest.

# %% [markdown]
# ## Is everything here?
#
# The next cell imports what the notebooks use and prints the versions. If it ends with an error, the set-up is not complete:
# `README.md` has the two commands.

# %% tags=["setup"]
import ipywidgets
import jupyterlab
import matplotlib
import numpy as np
import pandas as pd
import torch

from utils.exercises import ____, check, guess, outcome
from utils.plots import DISCRIMINATOR_COLOUR, GENERATOR_COLOUR, NAN_COLOUR, Picture
from utils.sweep import published
from utils.training import GAN, Recipe, train

# %%
for package in (torch, np, pd, matplotlib, jupyterlab, ipywidgets):
    print(f"{package.__name__:12} {package.__version__}")

# %% [markdown]
# How fast is this machine? The next cell times the GAN of this series in 8 blocks of 100 iterations. The first blocks can be slower, so only the
# last five count.

# %%
import time

gan, seconds = GAN(Recipe(lr=1e-5)), []
for _ in range(8):
    start = time.perf_counter()
    train(gan, iterations=100)
    seconds.append(time.perf_counter() - start)
print(f"{10 * np.median(seconds[-5:]):.1f} ms an iteration, so 10,000 iterations take {100 * np.median(seconds[-5:]):.0f} s")

# %% [markdown]
# ## The story
#
# A GAN is a pair of networks that train against each other: a **generator** draws samples, and a **discriminator** tells them from real ones. Each
# has a loss. NaN, "not a number", is what arithmetic answers when there is no answer, as to 0 × infinity.
#
# In April 2024 a blog post described a GAN, trained in MATLAB on confidential data. Its losses became NaN "without any early signs".
# At a learning rate of 1e-3 this took 10 iterations. The author then trained again with a rate ten times smaller, 1e-4.
#
# **Predict:** how many iterations did the second run last?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# 12,200: the rate was divided by 10, the life multiplied by more than 1,000.
#
# </details>

# %%
guess("00.slower", "iterations until the NaN at 1e-4", unit="iterations")

# %% tags=["setup"]
story = published()
ends = story[story.iteration.isna()].pivot(index="learning_rate", columns="quantity", values="value")

# %% tags=["hide-input"]
# The three published figures as a table
columns = {
    "iterations until NaN": ends.nan_at.map("{:,.0f}".format),
    "in epoch": ends.epoch.astype(int),
    "minutes": ends.elapsed_s / 60,
}
pd.DataFrame(columns).round(1).rename_axis(index=None, columns="learning rate")

# %%
outcome("00.slower", ends.nan_at["1e-4"], where="published")

# %% [markdown]
# The table holds the numbers in the titles of the post's three figures; an epoch is one pass through the data. At 1e-5 the run lasted 662 minutes,
# eleven hours, and ended in NaN as well. The author concludes that smaller rates help but cannot prevent it, and that "there must be other inappropriate settings".
# This series looks for those settings.
#
# ## The first clue
#
# The figure for 1e-3 is short enough to read off, point by point. It shows two losses: the generator's and the discriminator's.
#
# **Predict:** which of the two lines ends first?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# The discriminator's: it has no point at iteration 10, where the generator's loss is 0.32.
#
# </details>

# %%
guess("00.first", "the line that ends first", choices=["the generator's", "the discriminator's", "both end together"])

# %%
digitised = story[story.iteration.notna()].pivot(index="iteration", columns="quantity", values="value")  # the run at 1e-3
last_g, last_d = digitised.loss_g.last_valid_index(), digitised.loss_d.last_valid_index()

# %% tags=["hide-input"]
# The published run at 1e-3, with the missing point circled
picture = Picture(
    alt=f"Published scores and losses at 1e-3. D's loss ends at {last_d:.0f}, G's at {last_g:.0f}; the gap is circled."
)
for axes, what in zip(picture.subplots(1, 2), ("score", "loss")):
    axes.plot(digitised[f"{what}_g"], "-o", color=GENERATOR_COLOUR, label="generator")
    axes.plot(digitised[f"{what}_d"], "--s", color=DISCRIMINATOR_COLOUR, label="discriminator")
    axes.set(xlabel="iteration", ylabel=what, xlim=(0.5, 12), xticks=range(1, 11), title=f"published run at 1e-3: {what}")
picture.axes[0].text(8.4, 0.64, "9: behind\nthe legend", ha="center", va="center", fontsize=9, color="0.4")
axes.set_ylim(top=10)
axes.legend(loc="upper left", ncols=2, fontsize=9)
level = digitised.loss_d[last_d]
axes.plot(last_g, level, "o", markersize=22, fillstyle="none", color=NAN_COLOUR, linestyle="none")
axes.annotate("no point\nhere", (last_g, level), (10.8, 3.6), ha="center", arrowprops={"arrowstyle": "->", "shrinkB": 12})
picture

# %%
ended = {last_g: "the generator's", last_d: "the discriminator's"}[min(last_g, last_d)]
outcome("00.first", ended if last_g != last_d else "both end together", where="published")

# %% [markdown]
# *Left: scores, which notebook 01 explains. Right: losses. Both are read off the post's figure.* At iteration 10 the generator's loss has a point, and a low one. The
# discriminator's has none (circled): a figure has no place for infinity or NaN. So the two losses do not break together. Notebook 04 says why. The
# gap in the discriminator's score at 9 means nothing: the legend of the published figure hides that point.
#
# ## The map
#
# | | notebook | the question it answers |
# |---|---|---|
# | 01 | [build_a_gan](01_build_a_gan.ipynb) | what exactly is being trained? |
# | 02 | [reproduce_the_nan](02_reproduce_the_nan.ipynb) | does it happen here too, and is it luck? |
# | 03 | [learning_rate_lab](03_learning_rate_lab.ipynb) | what happens at the rate I choose? |
# | 04 | [autopsy](04_autopsy.ipynb) | which term, which sample, which operation? |
# | 05 | [early_signs](05_early_signs.ipynb) | was there a sign, and why does a smaller rate only delay it? |
# | 06 | [fix_the_loss](06_fix_the_loss.ipynb) | which fix cures the NaN, which one hides or delays it? |
# | 07 | [stabilise_the_game](07_stabilise_the_game.ipynb) | the NaN is gone: what makes the game itself better? |
# | 08 | [benchmark](08_benchmark.ipynb) | how good is that beside published tables? |
# | 09 | [other_nans](09_other_nans.ipynb) | what else turns a network NaN? |
# | 10 | [guard_your_own_gan](10_guard_your_own_gan.ipynb) | my own loop went NaN last night: why? |
#
# Read 00 to 06 in order. With a NaN of your own, go to 10 now. To end a run yourself before you read on, open
# [the lab page](../site/lab/index.html#lr=1e-3&seed=0&loss=naive): it trains this GAN in the browser, without an install.
#
# ![Animation of a run at learning rate 1e-3. The losses of G and D move up and down; below what G can draw, D's logit bends upwards until the largest logit
# of a batch touches the dashed line at 16.64, and the loss of D ends.](lab.webp)
#
# *One iteration a second: the GAN of this series with seed 0, and its end at iteration 7. Notebooks 01 to 04 explain all that moves here.*
#
# ## Summary
# - A GAN's losses turned NaN at three learning rates. A smaller rate delayed it and did not prevent it.
# - In the published run at 1e-3 the discriminator's loss ends one iteration before the generator's.
# - The post's data and networks are unknown. So the series builds a small GAN of its own, and asks why that one ends.

# %% [markdown]
# ## Three questions
#
# **Predict.** The author trains once more, at 1e-6. What do the three published runs tell you?
#
# <details><summary>A. It will never turn NaN: 1e-6 is small enough</summary>
#
# One could think so, because each step helped. But the run at 1e-5 had lasted 250,000 iterations, and ended.
#
# </details>
# <details><summary>B. It will end at about 2,508,000, ten times later</summary>
#
# That is proportion, and the table shows none. Compare the two steps that it holds: Exercise 0.3 does.
#
# </details>
# <details><summary>C. It will probably last longer; how long, nobody can say from this</summary>
#
# Yes: three runs show a direction and no law.
#
# </details>
#
# **Explain.** Why is it odd that the generator's last loss is low?
#
# <details><summary>A. It is not odd: before a NaN every loss is low</summary>
#
# One run cannot say that. And at iterations 1 and 5 this loss was below 1 too, and nothing ended.
#
# </details>
# <details><summary>B. A loss that explodes should climb first, and this network was winning</summary>
#
# Yes: a low loss means that the generator deceived the discriminator. What broke was the other loss, in the same iteration.
#
# </details>
# <details><summary>C. The generator had stopped learning</summary>
#
# Its loss fell from 5.3 to 0.3 in the last step. Something moved.
#
# </details>
#
# **Transfer.** A colleague trains at 1e-4. After 5,000 iterations all is finite. She says: "1e-4 is safe."
#
# <details><summary>A. She is right: the curves are calm</summary>
#
# The published run at 1e-4 was calm too, at 5,000.
#
# </details>
# <details><summary>B. She cannot know: the published run at 1e-4 ended at 12,200</summary>
#
# Yes: a run that is alive says only that it has not ended yet.
#
# </details>
# <details><summary>C. She is wrong: her run will end at 12,200</summary>
#
# That was one run of another GAN. Notebook 02 shows how much luck is in such a number.
#
# </details>

# %% [markdown]
# ## Exercises
#
# All four need only two tables of the cells above: `ends`, from the titles, and `digitised`, the curves at 1e-3.
#
# **Exercise 0.1: how long is an epoch?** (2 minutes, easy). About how many iterations did the post's run at 1e-5 make in one epoch?
# *Deliverable:* `per_epoch`, a number. *Criterion:* within 2.
#
# <details><summary>Hint</summary>
#
# `ends.loc["1e-5"]` holds the numbers of that figure.
#
# </details>

# %% tags=["stub"]
per_epoch = ____
check("0.1", per_epoch)

# %% tags=["solution"]
per_epoch = ends.nan_at["1e-5"] / ends.epoch["1e-5"]
check("0.1", per_epoch)

# %% [markdown]
# **Exercise 0.2: how many recordings had the author?** (2 minutes, easy). Suppose that the batch was 128, as in MATLAB's example. About how many
# samples are in that data set? *Deliverable:* `samples`, a number. *Criterion:* within 300.
#
# <details><summary>Hint</summary>
#
# An epoch shows each sample once.
#
# </details>

# %% tags=["stub"]
samples = ____
check("0.2", samples)

# %% tags=["solution"]
samples = 128 * ends.nan_at["1e-5"] / ends.epoch["1e-5"]
check("0.2", samples)

# %% [markdown]
# **Exercise 0.3: ten times slower, how many times longer?** (3 minutes, medium). By which factor did the life grow from 1e-3 to 1e-4, and from
# 1e-4 to 1e-5? *Deliverable:* `factors`, a list of two numbers. *Criterion:* within 3 %.
#
# <details><summary>Hint</summary>
#
# A factor is a quotient, not a difference.
#
# </details>

# %% tags=["stub"]
factors = [____, ____]
check("0.3", factors)

# %% tags=["solution"]
factors = [ends.nan_at["1e-4"] / ends.nan_at["1e-3"], ends.nan_at["1e-5"] / ends.nan_at["1e-4"]]
check("0.3", factors)

# %% [markdown]
# **Exercise 0.4: the second clue** (3 minutes, medium). Take the iteration at which the discriminator's loss is missing. What is the generator's
# score there? *Deliverable:* `score`, a number. *Criterion:* within 0.005.
#
# <details><summary>Hint</summary>
#
# `digitised.loss_d.isna()` says where the loss is missing.
#
# </details>

# %% tags=["stub"]
score = ____
check("0.4", score)

# %% tags=["solution"]
digitised = story[story.iteration.notna()].pivot(index="iteration", columns="quantity", values="value")
score = digitised.score_g[digitised.loss_d.isna()].item()
check("0.4", score)

# %% [markdown]
# ## References
# - "Smaller learning rate could prevent from loss value becoming NaN in a way when training GAN", blog post, 2024-04-29.
# - MathWorks, "Train Generative Adversarial Network (GAN)", Deep Learning Toolbox documentation: the example that the post's code descends from.
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661.
