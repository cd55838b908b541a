# %% [markdown]
# # 03 The learning-rate lab
#
# After this notebook you will be able to
# - change the learning rate of a GAN while it trains, and say beforehand what you expect;
# - read the distance to the cliff, and the chance of the next batch, off a live picture;
# - go back to the batch that ended a run, and try another rate or another loss from there.
#
# **Time:** 1 minute to run, 21 to read. **Prerequisites:** notebook 02.

# %% tags=["setup"]
import numpy as np

from utils import plots
from utils.exercises import ____, check, guess, outcome
from utils.hazard import cliffs
from utils.lab import Lab
from utils.sweep import DATA, recorded, sweep
from utils.training import GAN, Recipe, train

# %% [markdown]
# ## Your guess, then a run
#
# At which iteration does a loss turn NaN, at learning rate 1e-3? The lab asks this first. Type a number (a class can paste all of its numbers), then press
# *Start*.

# %%
lab = Lab(Recipe(lr=1e-3))
lab

# %% [markdown]
# Left: losses, scores, and the largest and smallest logit of each batch. The dashed lines across are the cliffs, beyond which float32 cannot compute the log of the
# sigmoid. Middle: real and generated samples. Right: all that G can draw, one column for each latent z, and below it D's logit with the dots of the batch.
# Above: the chance that the next batch ends the run. Point at anything for numbers; click on a dot to see its sample.
#
# Without a kernel nothing stands above. There are two ways to see it all the same: the [page that trains in your browser](../site/lab/index.html)
# (download it, then a double click), and this recorded run, one iteration a second:
#
# ![Animation of a recorded run at learning rate 1e-3. The losses of G and D move up and down; below what G can draw, D's logit bends upwards until the largest
# logit of a batch touches the dashed cliff at 16.64, and the loss of D ends in NaN.](lab.webp)

# %% [markdown]
# ## What happens at 3e-4?
#
# Write a guess down before you read on. Then type 3e-4 into the box beside the slider and press *Start*. A run can take from seconds to minutes.
# If time is short, the menu *Show* has recorded runs in the same picture: press *Play*, or drag the iteration. All recorded lives of the main recipe:

# %%
folders = sorted(DATA.glob("pulses_lr*"), key=lambda folder: -float(folder.name.removeprefix("pulses_lr")))
plots.collapse_times({folder.name.removeprefix("pulses_lr"): recorded(folder) for folder in folders})

# %% [markdown]
# Each row is a learning rate, each dot the end of one run; the axis is logarithmic. A smaller rate moves the ends to the right. The dots of one rate
# are far apart too: only the seed differs between them.

# %% [markdown]
# ## Whose loss ends first?
#
# Both networks have a loss. The infinite term stands in one of them at first.
#
# <details><summary>Answer, if you have no kernel</summary>
#
# In the recorded run above, D's. D's loss holds log(1 - D(G(z))), which is infinite where D is quite sure that a generated sample is real.
#
# </details>

# %%
guess("03.first", "whose loss is first not finite at 1e-3", choices=["D", "G"])

# %%
fast = train(Recipe(lr=1e-3), iterations=200, seed=0, progress=False)
print(fast)
outcome("03.first", fast.first_broken)
plots.losses_and_scores(fast)

# %% [markdown]
# This is the run that the lab shows with its first settings, number for number. Neither losses nor scores announce the end. Go back with the bar below the lab's
# picture, and watch the largest logit instead: it walks towards the dashed line.

# %% [markdown]
# ## Where does the last draw lie?
#
# Most draws of z lie near 0. The largest logit of the last batch belongs to one draw.
#
# <details><summary>Answer, if you have no kernel</summary>
#
# Far out. In the recorded run at 1e-4 the figure below circles it.
#
# </details>

# %%
guess("03.z", "the distance from 0 of the draw that ends the run at 1e-4")

# %%
slow = recorded("pulses_lr1e-4")[0]
last = slow.last_batch
z = float(last["z"][last["fake_logits"].argmax(), 0])
outcome("03.z", round(abs(z), 2))
plots.atlas(slow, at=(0, -1), cliff=cliffs()[1])

# %% [markdown]
# Left the first recorded moment, right the last one. The dots are the 64 draws of the last batch. D's logit is largest near an edge, where few
# draws fall; one of them was enough.

# %% [markdown]
# ## The same game with another loss
#
# Choose the fix "logits loss" in the lab and press *Start*: the same function, computed without the sigmoid. The cliff lines disappear.
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
# A loss that stays finite is not yet a good game: look at the scores here, and at the samples in the lab. A run that is finite, but whose generator gets
# no gradient any more, is called dead while it runs. Notebooks 06 and 07 go into it.
#
# Now rewind a run that ended. Drag the bar to its last iteration, choose "logits loss", press *Fork here* and *Start*: the very weights that died go on, and the old
# curve stays beside the new one.

# %% [markdown]
# ## Summary
#
# - The learning rate sets how fast both networks move; a change acts at the next iteration.
# - The mean losses say little about the end; the largest logit against the cliff says more.
# - One infinite term of one sample ends a run, and the lab names it.
# - A fork changes one thing and keeps all others: the cleanest comparison there is.

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
# Yes: the weights hardly move, so D's logit along z keeps its shape, and only the draws change.
#
# </details>
# <details><summary>C. It is NaN at once.</summary>
#
# One could think that a change of rate is a shock. It changes no weight by itself.
#
# </details>
#
# **Explain.** The chance of the next batch was 9 %, and that batch ended the run. Was the number wrong?
#
# <details><summary>A. Yes, it should have been near 100 %.</summary>
#
# One could think that a warning must be large to be right. It is the chance of a draw: ends at 9 % happen, in about 9 of 100 such batches.
#
# </details>
# <details><summary>B. No: the weights were the same before, and another batch would probably have been survived.</summary>
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
# **Exercise 3.1: one network alone** (10 minutes, easy). In the lab, start at 1e-3, pause after three iterations, and press *Only D* ten times. Then do it in code: train a GAN of
# seed 0 for 3 iterations, then update D alone ten times. *Deliverable:* `score`, the score of G (`step.row[2]`) in the last of these ten. *Criterion:* within 0.05.
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
# **Exercise 3.2: larger batches** (5 minutes, easy). Does a larger batch end sooner or later? Guess, then measure the median life of seeds 0 to 9 at 1e-3.
# *Deliverable:* `medians`, a list for batch 16, 64 and 256. *Criterion:* each within 5 iterations of what was measured when this was written.
#
# <details><summary>Hint</summary>
#
# `sweep(Recipe(lr=1e-3, batch=16), range(10), 100, progress=False)` gives ten traces; `trace.nan_at` is the life of one.
#
# </details>

# %% tags=["stub"]
medians = [____, ____, ____]
check("3.2", medians)

# %% tags=["solution"]
runs = [sweep(Recipe(lr=1e-3, batch=batch), range(10), 100, progress=False) for batch in (16, 64, 256)]
medians = [float(np.median([trace.nan_at or np.inf for trace in traces])) for traces in runs]
check("3.2", medians)

# %% [markdown]
# **Exercise 3.3: how rare was the last draw?** (10 minutes, medium). Take the z that you found in the run at 1e-4. *Deliverable:* `chance`, the chance that a batch of 64 normal draws
# holds at least one that is at least as far from 0, on either side. *Criterion:* within 5 %.
#
# <details><summary>Hint</summary>
#
# One draw: `math.erfc(abs(z) / math.sqrt(2))` covers both sides. Then think of 64 draws, none of which may be as far out.
#
# </details>

# %% tags=["stub"]
chance = ____
check("3.3", chance)

# %% tags=["solution"]
import math

last = recorded("pulses_lr1e-4")[0].last_batch
z = float(last["z"][last["fake_logits"].argmax(), 0])
chance = 1 - (1 - math.erfc(abs(z) / math.sqrt(2))) ** 64
check("3.3", chance)

# %% [markdown]
# **To hand in:** in a new cell, `from utils.exercises import report`, then `report("report.html", "your name", lab=lab)`. It writes your guesses, the checks and the lab's runs into
# one file, beside this notebook.
#
# ## References
#
# - I. Goodfellow and others, *Generative Adversarial Networks*, 2014, [arXiv 1406.2661](https://arxiv.org/abs/1406.2661).
# - M. Kahng and others, *GAN Lab*, 2018, [arXiv 1809.01587](https://arxiv.org/abs/1809.01587): a GAN in the browser, one step at a time.
