# %% [markdown]
# # 03 The learning-rate lab
#
# After this notebook you will be able to
# - change the learning rate of a GAN while it trains, and say beforehand what you expect;
# - read the distance to the cliff, and the chance that the next batch ends the run, off a live picture;
# - go back to the batch that ended a run, and try another rate or another loss from there.
#
# **Time:** 1 minute to run, 22 to read. **Prerequisites:** notebook 02.

# %% tags=["setup"]
import numpy as np

from utils import plots
from utils.exercises import ____, check, guess, outcome
from utils.hazard import cliffs
from utils.lab import Lab
from utils.sweep import recorded
from utils.training import GAN, Recipe, train

# %% [markdown]
# ## Your guess, then a run
#
# At which iteration does a loss stop being finite, at a learning rate of 1e-3? The lab asks this first. Type a number (a class can paste all of its numbers), then press
# *Start*.

# %%
lab = Lab(Recipe(lr=1e-3))
lab

# %% [markdown]
# - *Left:* losses, scores, and the largest and smallest logit of each batch. The dashed lines are the cliffs: beyond them the log in a loss is infinite.
# - *Middle:* real and generated samples.
# - *Right:* the atlas of G. Below it D's logit, with a dot for each draw of the batch.
# - *Above:* the chance that the next batch ends the run.
#
# Point at anything for numbers; click on a dot to see its sample.
#
# Without a kernel nothing stands above. The same lab is a [page that trains in your browser](../site/lab/index.html): download it and open it. And this is a
# recorded run with seed 0, one iteration a second:
#
# ![Animation of a recorded run at learning rate 1e-3. The losses of G and D move up and down; below what G can draw, D's logit bends upwards until the largest
# logit of a batch touches the dashed cliff at 16.64, and the loss of D ends.](lab.webp)

# %% [markdown]
# ## What happens at 3e-4?
#
# In notebook 02 the median life was 14 iterations at 1e-3, and 13,804 at 1e-4. The rate 3e-4 lies about half-way, on a logarithmic scale.
#
# **Predict:** the median life of the 20 recorded runs at 3e-4?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# About 4,800 iterations: a third of the life at 1e-4, and hundreds of times that at 1e-3.
#
# </details>

# %%
guess("03.middle", "the median life at 3e-4", unit="iterations")

# %%
runs = {rate: recorded(f"pulses_lr{rate}") for rate in ("1e-3", "3e-4", "1e-4", "1e-5")}
lives = [trace.nan_at for trace in runs["3e-4"]]
outcome("03.middle", np.median(lives), where="recorded")
print(f"the shortest {min(lives)}, the longest {max(lives):,}")
plots.collapse_times(runs)

# %% [markdown]
# *Each dot is the end of one run; the axis is logarithmic.* A smaller rate moves the ends to the right. At 3e-4 the shortest and the longest life are a factor of 18
# apart, and only the seed differs. In the lab, type 3e-4 into the box beside the slider and press *Start*. If time is short, the menu *Show* has recorded runs:
# press *Play*, or drag the iteration.
#
# ## Is there a sign in the iteration before?
#
# The cliff is a logit of 16.64. **Predict:** at 1e-3, seed 0, how large is the largest generated logit one iteration before the end?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# Below 0, as in 91 of 100 recorded runs: nowhere near the cliff.
#
# </details>

# %%
guess("03.before", "the largest generated logit, one iteration before the end")

# %%
fast = train(Recipe(lr=1e-3), iterations=200, seed=0, atlas_at=range(1, 30), progress=False)
outcome("03.before", round(float(fast.fake_max[-2]), 1))
before = np.array([trace.fake_max[-2] for trace in runs["1e-3"]])
print(f"recorded: median {np.median(before):.1f}, below 0 in {(before < 0).sum()} of {len(before)} runs")
plots.atlas(fast, at=(-4, -3, -2, -1), cliff=cliffs()[1])

# %% [markdown]
# *The last four iterations. Above: what G draws. Below: D's logit for it.* In this run one iteration lifts the whole curve, and the largest logit gives no
# warning. It is the run that the lab shows with its first settings. At smaller rates there is something to read: see notebook 05.
#
# ## A change of rate in flight
#
# A calm start first: 100 iterations at 1e-4. Then the slider goes to 1e-3. **Predict:** how many more iterations?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# About as few as from a fresh start at 1e-3: 7 on the machine that built this notebook.
#
# </details>

# %%
guess("03.raised", "iterations after the change")

# %%
gan = GAN(Recipe(lr=1e-4), seed=0)
train(gan, iterations=100, progress=False)
gan.lr = 1e-3
raised = train(gan, iterations=200, progress=False)
outcome("03.raised", raised.nan_at)

# %% [markdown]
# The new rate acts at the next update, and here the calm start bought nothing. Is that luck? Exercise 3.2 asks ten seeds. In the lab, move the slider while a
# run trains.

# %% [markdown]
# ## The same game with another loss
#
# The fix "logits loss" is the same function, computed from the logit without the sigmoid. **Predict:** does the run at 1e-3 end with it?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# It goes on. D's logits pass the place where the cliff was, and nothing overflows.
#
# </details>

# %%
guess("03.logits", "does the run at 1e-3 with this loss end within 500 iterations", choices=["yes", "no"])

# %%
stable = train(Recipe(lr=1e-3, loss="logits"), iterations=500, seed=0, progress=False)
outcome("03.logits", "yes" if stable.nan_at else "no")
print(f"largest generated logit {stable.fake_max.max():.1f}, the cliff was at {cliffs()[1]:.2f}")
plots.losses_and_scores(stable)

# %% [markdown]
# *Left: scores. Right: losses, all of them finite.* A loss that stays finite is not yet a good game: the scores leap up and down. Notebooks 06 and 07 go into it.
# In the lab, choose "logits loss" and press *Start*: the cliffs are gone.
#
# Now rewind a run that ended. Drag the bar to its last iteration, choose "logits loss", press *Fork here* and *Start*. The weights from before the fatal batch go on,
# and the old curve stays beside the new one.

# %% [markdown]
# ## Summary
#
# - A smaller rate lives longer, and not in proportion. A change of rate acts at the next update.
# - At 1e-3 even the largest logit seldom announces the end: one iteration can lift D's curve over the cliff.
# - With the logits loss the same run goes past the cliff and stays finite.
# - A fork changes one thing and keeps all others.

# %% [markdown]
# ## Three questions
#
# **Predict.** You pause at iteration 5 and move the slider to 1e-6. What does the largest logit do after *Start*?
#
# <details><summary>A. It falls back to where it began.</summary>
#
# One could think that a small rate undoes what a large one did. It only moves slowly from where the weights are.
#
# </details>
# <details><summary>B. It stays about where it is, up to the luck of each batch.</summary>
#
# Yes: the weights hardly move, so D's logit along z keeps its shape, and mainly the draws change.
#
# </details>
# <details><summary>C. It is NaN at once.</summary>
#
# One could think that a change of rate is a shock. It changes no weight by itself.
#
# </details>
#
# **Explain.** The lab says that the next batch ends the run with a chance of 15 %, and that batch ends it. Was the number wrong?
#
# <details><summary>A. Yes, it should have been near 100 %.</summary>
#
# One could think that a warning must be large to be right. It is the chance of a draw: 15 of 100 such batches end a run.
#
# </details>
# <details><summary>B. No: with the same weights, most other batches would have been survived.</summary>
#
# Yes: the number is a property of the weights. The draw is luck.
#
# </details>
# <details><summary>C. One cannot say, since the loss was finite.</summary>
#
# One could think that only the loss counts. The chance is computed from D's logit along z, which is known before the draw.
#
# </details>
#
# **Transfer.** Your own GAN has 100 latent numbers. Which picture of this lab is no longer the whole story?
#
# <details><summary>A. The losses.</summary>
#
# They are means over a batch, whatever the latent is.
#
# </details>
# <details><summary>B. The logits against the cliffs.</summary>
#
# They are the extremes of a batch, whatever the latent is.
#
# </details>
# <details><summary>C. The atlas.</summary>
#
# Yes: it shows everything only for one latent number. For more the lab draws one slice through them, and says so.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 3.1: one network alone** (10 minutes, easy). In the lab, press *One iteration* three times, then *Only D* ten times. Then in code: train a GAN of
# seed 0 for 3 iterations, and update D alone ten times. *Deliverable:* `score`, G's score (`step.row[2]`) in the last of these ten. *Criterion:* within 0.05.
#
# <details><summary>Hint</summary>
#
# `step = gan.forward()` computes a batch, `gan.update(step, g=False)` moves D alone.
#
# </details>

# %% tags=["stub"]
gan = GAN(Recipe(lr=1e-3), seed=0)
train(gan, iterations=3, progress=False)
score = ____
check("3.1", score)

# %% tags=["solution"]
gan = GAN(Recipe(lr=1e-3), seed=0)
train(gan, iterations=3, progress=False)
for _ in range(10):
    step = gan.forward()
    gan.update(step, g=False)
score = step.row[2]
check("3.1", score)

# %% [markdown]
# **Exercise 3.2: does a calm start help?** (10 minutes, medium). Seeds 0 to 9: 100 iterations at 1e-4, then 1e-3. How many iterations does each last after the change?
# *Deliverable:* `lives`, a list of ten numbers. *Criterion:* their median is within 3 of that on the machine that wrote this.
#
# <details><summary>Hint</summary>
#
# Put the cell above into a loop. `train` counts what it trained itself, so `nan_at` begins at the change.
#
# </details>

# %% tags=["stub"]
lives = [____ for seed in range(10)]
check("3.2", lives)

# %% tags=["solution"]
lives = []
for seed in range(10):
    gan = GAN(Recipe(lr=1e-4), seed)
    train(gan, iterations=100, progress=False)
    gan.lr = 1e-3
    lives.append(train(gan, iterations=200, progress=False).nan_at)
check("3.2", lives)

# %% [markdown]
# **Exercise 3.3: how rare was the last draw?** (10 minutes, medium). The draw that ended the recorded run at 1e-4 was z = 3.21 (circled in notebook 02). How likely
# is it that a batch of 64 normal draws holds one at least as far from 0, on either side? *Deliverable:* `chance`, between 0 and 1. *Criterion:* within 5 %.
#
# <details><summary>Hint</summary>
#
# One draw: `math.erfc(3.21 / math.sqrt(2))` covers both sides. Then think of 64 draws, none of which may be as far out.
#
# </details>

# %% tags=["stub"]
chance = ____
check("3.3", chance)

# %% tags=["solution"]
import math

chance = 1 - (1 - math.erfc(3.21 / math.sqrt(2))) ** 64
check("3.3", chance)

# %% [markdown]
# **To hand in:** in a new cell, `from utils.exercises import report`, then `report("report.html", "your name", lab=lab)`. It writes your guesses, the checks and the lab's runs into
# one file, beside this notebook.
#
# ## References
#
# - I. Goodfellow and others, *Generative Adversarial Networks*, 2014, [arXiv 1406.2661](https://arxiv.org/abs/1406.2661).
# - M. Kahng and others, *GAN Lab*, 2018, [arXiv 1809.01587](https://arxiv.org/abs/1809.01587): a GAN in the browser, one step at a time.
