# %% [markdown]
# # 03 The learning-rate lab
#
# After this notebook you will be able to
# - change the learning rate of a GAN while it trains, and say what you expect before you look;
# - read the distance to the numerical cliff off a live picture;
# - explain which single sample ended a run, and how rare it was.
#
# **Time:** the cells run in under a minute; play for as long as you like. **Prerequisites:** notebook 02.

# %% tags=["setup"]
from utils import plots
from utils.hazard import cliffs
from utils.lab import Lab
from utils.sweep import recorded
from utils.training import GAN, Recipe, train

# %% [markdown]
# ## The lab
#
# The next cell shows a live GAN. (On GitHub and in a static page it shows nothing: a widget needs a kernel. The ordinary figures further down are for
# such readers.) The rate can be moved while the run goes on: it takes effect at the next iteration.
#
# - **Left:** the losses, the scores, and the largest and smallest logit of each batch. Dashed black lines across are the cliffs: logits beyond
#   which float32 can no longer compute the log of the sigmoid.
# - **Middle:** real samples, and generated ones. Click on a dot at the right, and its sample is drawn here; the one that ends a run is drawn by itself.
# - **Right:** everything that G can draw, one column for each latent z, and D's logit for it below. The dots are the draws of the batch.
# - **Above:** the chance that the next batch kills this run, computed from the weights as they are.
#
# *Normal* speed starts in slow motion and accelerates, because at 1e-3 the whole story takes a few dozen milliseconds. After *Pause* or the end, the bar
# below the picture steps back through the last 40 iterations, and *Fork here* goes on from there with the rate and the fix that the controls show.
#
# **Predict:** type the iteration at which you expect the NaN (a whole class's guesses can be pasted), then press *Start*. The table below the picture
# keeps your guesses beside the outcomes.

# %%
lab = Lab(Recipe(lr=1e-3))
lab

# %% [markdown]
# *For the teacher.* Ask "what happens at 3e-4?", let everybody write a number down, paste them all, type 3e-4 and press *Start*. If the live run misbehaves,
# or time is short, the menu *Show* has runs that were recorded beforehand, in the same picture: choose one, press *Play* or drag the iteration. Nothing
# is trained there, so it always works. *Only D* and *Only G* move one network at a time, with the same kind of batch. `make app` serves this page without
# the code. A run that no page shows any more pauses by itself.

# %% [markdown]
# ## Step 1: the fast collapse
#
# **Predict:** at 1e-3, does the loss of G or of D lose its last point first?

# %%
fast = train(Recipe(lr=1e-3), iterations=200, seed=0)
print(fast, "- first not finite: the loss of", fast.first_broken)
plots.losses_and_scores(fast)

# %% [markdown]
# The figure is the run that the lab shows with its first settings, number for number. The printed line says when it ended, and whose loss broke first. Compare the
# curves with your guess: did they announce the end?

# %% [markdown]
# ## Step 2: the slow collapse
#
# At 1e-4 a live run takes a minute or more, so here is one that was recorded. In the lab: *Show*, "pulses, 1e-4", drag the iteration to the end.
#
# **Predict:** where along z does the draw that ends the run lie: in the middle, where most draws are, or far out?

# %%
slow = recorded("pulses_lr1e-4")[0]
print(slow)
plots.atlas(slow, at=(0, -1), cliff=cliffs()[1])

# %% [markdown]
# Left the first recorded moment, right the last one. The dots are the 64 draws of the last batch. Find the dot nearest to the dashed line, and read its z.

# %% [markdown]
# ## Step 3: the same game with another loss
#
# In the lab, choose the fix "logits loss" and press *Start*: the same function, computed without the sigmoid. The cliff lines are gone. The menu has more
# than twenty fixes, each one change of the recipe, and the table of predictions keeps the fix beside the outcome. A run that is still finite, but
# whose generator gets no gradient any more, is called dead while it runs.
#
# **Predict:** does the run at 1e-3 still end?

# %%
stable = train(Recipe(lr=1e-3, loss="logits"), iterations=1000, seed=0)
print(stable, f"- largest generated logit {stable.fake_max.max():.1f}")
plots.losses_and_scores(stable)

# %% [markdown]
# The printed line says how the 1,000 iterations ended, and how large D's logits became. A loss that stays finite is not yet a good game: look at the
# scores, and in the lab at the samples. Notebooks 06 and 07 go into it.

# %% [markdown]
# ## Summary
#
# - The learning rate sets how fast both networks move; moving the slider shows it within one iteration.
# - The mean losses say little about the end; the largest logit, against the cliff, says more.
# - One infinite term of one sample is enough to end a run, and the lab names it.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (10 minutes, easy). Start at 1e-3, pause after three iterations, and press *Only D* ten times. What happens to the scores, and why? Then Reset, and
# do the same with *Only G*.

# %% tags=["solution"]
def scores_of_one_network(**only):
    gan = GAN(Recipe(lr=1e-3), seed=0)
    train(gan, iterations=3)
    for _ in range(10):
        step = gan.forward()
        gan.update(step, **only)
    return {"score of G": round(step.row[2], 3), "score of D": round(step.row[3], 3)}


print("only D:", scores_of_one_network(g=False), "- nobody answers D, so it wins")
print("only G:", scores_of_one_network(d=False), "- D stands still, so G finds what it takes for real")

# %% [markdown]
# **Exercise 2** (5 minutes, easy). Does a larger batch end sooner? Run the lab with batch 16 and 256, then check with code: the median of ten seeds each.

# %% tags=["solution"]
import numpy as np

from utils.sweep import sweep

for batch in (16, 64, 256):
    ends = [trace.nan_at or np.inf for trace in sweep(Recipe(lr=1e-3, batch=batch), range(10), 100, progress=False)]
    print(f"batch {batch}: median NaN at iteration {np.median(ends):g}")

# %% [markdown]
# ## References
#
# - I. Goodfellow and others, *Generative Adversarial Networks*, 2014, [arXiv 1406.2661](https://arxiv.org/abs/1406.2661).
# - M. Kahng and others, *GAN Lab*, 2018, [arXiv 1809.01587](https://arxiv.org/abs/1809.01587): a GAN in the browser, one step at a time.
