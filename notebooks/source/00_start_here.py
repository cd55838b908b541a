# %% [markdown]
# # 00 Start here
#
# *Why did my loss turn NaN, and what cures it?*
#
# After this notebook you will be able to
# - say whether your environment is ready, and how fast it is;
# - tell the published story that this series explains, with its numbers;
# - find the notebook that answers your question.
#
# **Time:** 1 minute to run, 10 to read. **Prerequisites:** none for reading; Python for the rest.

# %% [markdown]
# ## Is everything here?
#
# The next cell imports what the notebooks use and prints the versions. An error here means that the set-up is not complete: `README.md`
# has the two commands.

# %% tags=["setup"]
import ipywidgets
import jupyterlab
import matplotlib
import numpy as np
import pandas as pd
import torch

from utils.plots import DISCRIMINATOR_COLOUR, GENERATOR_COLOUR, Picture
from utils.sweep import published
from utils.training import GAN, Recipe, train

for package in (torch, np, pd, matplotlib, jupyterlab, ipywidgets):
    print(f"{package.__name__:12} {package.__version__}")

# %% [markdown]
# How fast is this machine? Two hundred iterations of the main recipe tell, and with them how long the live run of notebook 02 will take.

# %%
import time

gan = GAN(Recipe(lr=1e-5))
train(gan, iterations=50)  # not timed: torch prepares itself on the first few
start = time.perf_counter()
train(gan, iterations=200)
milliseconds = 1000 * (time.perf_counter() - start) / 200
print(f"{milliseconds:.1f} ms an iteration: 14,000 iterations take about {14 * milliseconds:.0f} s")

# %% [markdown]
# ## The story
#
# In April 2024 a blog post described a GAN, trained in MATLAB on confidential data, whose losses became NaN "without any early signs".
# The author lowered the learning rate, twice. The collapse came later each time, but it came. The post ends with the conclusion that smaller learning
# rates help but cannot prevent it, and that "there must be other inappropriate settings".
#
# Those are its three figures as numbers.

# %% tags=["setup"]
story = published()
ends = story[story.iteration.isna()].pivot(index="learning_rate", columns="quantity", values="value")

# %% tags=["hide-input"]
# The three published figures as a table
columns = {"iterations until NaN": ends.nan_at.map("{:,.0f}".format), "epochs": ends.epoch.astype(int), "minutes": ends.elapsed_s / 60}
pd.DataFrame(columns).round(1).rename_axis(index=None, columns="learning rate")

# %% [markdown]
# ## A question before you go on
#
# The figure for 1e-3 is short enough to read off point by point. **Before you look:** a run that ends in NaN has two loss curves,
# the generator's and the discriminator's. Do you expect both to end at the same iteration?

# %% tags=["hide-input"]
# The published run at 1e-3 as a figure
digitised = story[story.iteration.notna()].pivot(index="iteration", columns="quantity", values="value")  # all of them are of 1e-3
picture = Picture(alt="The published run at 1e-3: scores and losses of its ten iterations. D's loss ends at 9, G's at 10.")
for axes, what in zip(picture.subplots(1, 2), ("score", "loss")):
    axes.plot(digitised[f"{what}_g"], "-o", color=GENERATOR_COLOUR, label="generator")
    axes.plot(digitised[f"{what}_d"], "--s", color=DISCRIMINATOR_COLOUR, label="discriminator")
    axes.set(xlabel="iteration", ylabel=what, xticks=range(1, 11), title=f"published run, learning rate 1e-3: {what}")
axes.legend()
picture

# %% [markdown]
# The gap in the discriminator's score at iteration 9 is only the legend of the published figure. The end of its loss is not: the
# discriminator's loss has no point at iteration 10, while the generator's loss has one, and a small one. Keep that in mind. It is the
# first clue, and notebook 04 reads it.
#
# ## The map
#
# | | notebook | the question it answers |
# |---|---|---|
# | 00 | start_here | is everything installed, and what is the story? |
# | 01 | [build_a_gan](01_build_a_gan.ipynb) | what exactly is being trained? |
# | 02 | [reproduce_the_nan](02_reproduce_the_nan.ipynb) | does it happen here too, and is it luck? |
# | 03 | [learning_rate_lab](03_learning_rate_lab.ipynb) | what happens at the rate I choose? |
# | 04 | [autopsy](04_autopsy.ipynb) | which term, which sample, which operation; was there a sign? |
# | 06 | [fix_the_loss](06_fix_the_loss.ipynb) | which fix cures the NaN, which one only hides or delays it? |
# | 07 | [stabilise_the_game](07_stabilise_the_game.ipynb) | the NaN is gone: which change makes the game itself better? |
# | 08 | [benchmark](08_benchmark.ipynb) | how good is that beside the published tables? |
# | 09 | [other_nans](09_other_nans.ipynb) | what else turns a network NaN? |
# | 10 | [guard_your_own_gan](10_guard_your_own_gan.ipynb) | my own loop went NaN last night: why? |
#
# In a hurry, with a NaN of your own? Go to 10. Otherwise read them in order.
#
# ## Summary
# - A GAN's losses turned NaN at three learning rates; a smaller rate only delayed it.
# - In the published run at 1e-3 the discriminator's loss ends one iteration before the generator's.
# - The series rebuilds the GAN on a small scale, so that the collapse fits into a lesson.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (2 minutes, easy). The post's runs have about how many iterations an epoch? With a batch of 128, how many samples
# did its data set have? The table above is enough.

# %% tags=["solution"]
iterations, epochs = ends.loc["1e-5", ["nan_at", "epoch"]]
print(f"{iterations / epochs:.0f} iterations an epoch; times 128, about {128 * iterations / epochs:,.0f} samples, if the batch was 128")

# %% [markdown]
# ## References
# - "Smaller learning rate could prevent from loss value becoming NaN in a way when training GAN", blog post, 2024-04-29.
# - MathWorks, "Train Generative Adversarial Network (GAN)", Deep Learning Toolbox documentation: the example that the post's code descends from.
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661.
