# %% [markdown]
# # 04 The autopsy
#
# After this notebook you will be able to
# - name the term, the sample and the operation that turned a GAN's loss into NaN;
# - compute the chance that the next iteration ends a run, and say why a smaller learning rate only delays the end;
# - read two published training curves like a detective.
#
# **Time:** 1 to 2 minutes to run, 40 to read. **Prerequisites:** notebooks 01 and 02.

# %% tags=["setup"]
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from scipy import stats

from utils import plots
from utils.autopsy import autopsy, cliffs, counterfactual, guard, hazard
from utils.hazard import summed_hazard, tail_hazard
from utils.sweep import recorded, sweep
from utils.training import GAN, Recipe

torch.set_num_threads(1)  # small networks: one thread is the quickest, and by far where the machine is busy
runs = {rate: recorded(f"pulses_lr{rate}") for rate in ("1e-3", "1e-4", "1e-5")}
LOWEST, CLIFF = cliffs(torch.float32)

# %% [markdown]
# ## The suspect
#
# The loss holds `log(1 - sigmoid(x))`, where x is the logit that D gives a generated sample. On paper that is finite for every x. **Predict:** from which x on
# is it infinite in 32-bit arithmetic?

# %%
x = torch.tensor([1.0, 5.0, 10.0, 15.0, 16.5, 16.7, 20.0])
for logit, score in zip(x, torch.sigmoid(x), strict=True):
    print(f"x = {logit:5.1f}   1 - sigmoid(x) = {1 - score:.3e}   log of it = {torch.log(1 - score):.3f}")

# %% [markdown]
# Between 16.5 and 16.7 the sigmoid becomes exactly 1: between 1 and the next smaller 32-bit number there is nothing. The difference is 0, its log is minus
# infinity. On the other side the sigmoid may get much closer to 0 before it is 0. `cliffs` finds both edges for each kind of number, by bisection of
# torch's own sigmoid; nothing in this table is typed in.

# %%
kinds = {str(kind)[6:]: kind for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
edges = pd.DataFrame({name: cliffs(kind) for name, kind in kinds.items()}, index=["lowest finite logit", "highest"]).T
edges["lowest, subnormals flushed"] = [cliffs(kind, flush=True)[0] for kind in kinds.values()]
edges.round(2).rename_axis(columns="kind of number")

# %% [markdown]
# The cliff on the positive side is the nearer one for every kind of number, and half precision moves it closer. Double precision moves it away and removes
# nothing: a logit can be 40.
#
# ## The body: 1e-3
#
# `autopsy` trains with a flight recorder. After each iteration the recorder copies weights, gradients, optimiser state and random state, and looks whether
# all of it is finite. When it is not, it goes one iteration back and runs the same lines again while a tracer looks at every tensor operation.
# **Predict:** which of the three logs in the loss is it?

# %%
gan = GAN(Recipe(lr=1e-3), seed=0)
start = time.monotonic()
verdict = autopsy(gan, iterations=200)
print(f"trained, rewound, replayed and judged in {time.monotonic() - start:.1f} s")
verdict

# %% [markdown]
# Read it from the bottom. The *line* is in `utils/losses.py`, the *term* is the second log of D's loss, and *steps* shows how its 0 came about: one logit a
# little too large, a sigmoid of exactly 1, a difference of 0. One sample of 64 is enough, since the mean of anything and minus infinity is infinite.
#
# PyTorch has a tool of its own for this, `detect_anomaly`. What does it say?

# %%
state = gan.random.get_state()
try:
    with torch.autograd.detect_anomaly():
        gan.step()
except RuntimeError as error:
    print(error)
gan.random.set_state(state)
gan.iteration -= 1

# %% [markdown]
# It names the backward pass of the sigmoid, the first place where a gradient is NaN. That is a victim: the sigmoid multiplied its own slope, 0, with an
# infinite gradient it was handed. The log is the culprit.
#
# ## The same iteration under another loss
#
# `autopsy` left `gan` just before the fatal iteration. Nothing stops us from running that iteration with the loss written another way. **Predict:** will
# D's loss be large?

# %%
replayed = pd.DataFrame(counterfactual(gan, ("matlab", "logits"))).T.round(3)
replayed["finite"] = replayed["finite"].map({1.0: "yes", 0.0: "no"})
replayed.columns = ["D's loss", "G's loss", "push on the loudest fake", "weights finite afterwards"]
replayed.rename_axis(columns="loss")

# %% [markdown]
# The same batch, the same weights, the same mathematical function: computed from the logit it is an ordinary number, and the gradient pushes the loud sample
# back with full strength, 1. Notebook 06 looks at this cure, and at remedies that look like it.
#
# ## The body: 1e-4
#
# At 1e-3 the whole batch was on its way up. At 1e-4 and 1e-5 the losses were calm. Here are all recorded collapses: how many of the 64 generated
# samples were beyond the cliff, and how rare was the latent of the loudest?

# %% tags=["hide-input"]
def found(trace):
    """What the last batch of a recorded run tells."""
    logits, z = trace.last_batch["fake_logits"], trace.last_batch["z"][:, 0]
    return {"nan_at": trace.nan_at, "beyond": (logits > CLIFF).sum(), "z": abs(z[logits.argmax()]), "score": trace.score_g[-1]}


bodies = pd.DataFrame([{"rate": rate} | found(trace) for rate, traces in runs.items() for trace in traces])
by_rate = bodies.groupby("rate")
columns = {
    "collapses": by_rate.size(),
    "just one sample beyond": by_rate.beyond.agg(lambda beyond: (beyond == 1).sum()),
    "median beyond": by_rate.beyond.median().astype(int),
    "abs(z) of the loudest, least": by_rate.z.min(),
    "and most": by_rate.z.max(),
    "G score, median": by_rate.score.median(),
}
pd.DataFrame(columns).round(2).rename_axis(index=None, columns="rate")

# %% [markdown]
# Two different deaths. At 1e-3 it is an explosion: often many samples at once, and G's score is near 1 because D takes nearly every fake for real. At
# 1e-4 and 1e-5 it is one sample in every recorded run, and its latent is always beyond 3. How many draws does such a latent take?

# %%
extreme = by_rate.z.agg(["min", "median", "max"]).loc[["1e-4", "1e-5"]].set_axis(["least", "median", "most"], axis=1).stack()
extreme.index = extreme.index.map(": ".join)
draws = 1 / (2 * stats.norm.sf(extreme))
columns = {"abs(z) of the loudest": extreme.round(2), "one draw in": draws, "one batch in": draws / 64}
pd.DataFrame(columns).transform({name: form.format for name, form in zip(columns, ("{:.2f}", "{:,.0f}", "{:,.0f}"))})

# %% [markdown]
# Live, the recorded seed with the shortest life, so that nobody has to wait (on another processor the same seed has another life). The loop is an ordinary
# one; `guard` around it is the tool that notebook 10 puts around other people's loops.

# %%
shortest = min(runs["1e-4"], key=lambda trace: trace.nan_at)
rare, start = GAN(Recipe(lr=1e-4), seed=shortest.seed), time.monotonic()
watched = guard(range(30_000), rare, policy="stop")
for _ in watched:
    rare.step()
    if time.monotonic() - start > 50:
        break
print(watched.verdict or f"no NaN in 50 s, {rare.iteration:,} iterations; recorded: {shortest}")
if watched.verdict:
    step = rare.forward()  # rare stands just before the fatal iteration, random state included
    print(f"\nits latent: {step.z[watched.verdict.sample].item():.2f}; the recorded run ended at {shortest.nan_at:,}")

# %% [markdown]
# A live verdict and 24 recorded last batches tell one story: the same term, one sample, a rare latent. G is seldom trained at such latents. A
# network of ReLUs continues in a straight line where it has seen nothing: whatever the pulse does between 2 and 3, it goes on doing at 4. The atlas of the recorded run with seed 0 at its last iteration:

# %%
plots.atlas(runs["1e-4"][0], at=(-1,), cliff=CLIFF)

# %% [markdown]
# The circled draw sits far from all others, where the pulse is louder than anything in the data, and where D, a straight line out there as well, is certain. The other
# 63 draws are far below the line.
#
# ## There was a sign
#
# "NaN seemingly appears suddenly", the post says. The mean loss cannot show it: one sample of 64 at logit 16 moves it by 16/64 = 0.25. The largest logit
# of the batch can. This is the **gauge**, over the last 2,000 iterations of the recorded run:

# %% tags=["hide-input"]
# The gauge as a figure
trace = runs["1e-4"][0]
picture = plots.Picture(alt="Loss of D, calm, above; largest generated logit, spiking towards the cliff, below.", height=4.5)
top, bottom = picture.subplots(2, 1, sharex=True)
last = slice(-2000, None)
top.plot(trace.iteration[last], trace.loss_d[last], color=plots.DISCRIMINATOR_COLOUR, linewidth=0.7)
top.set_ylabel("D's mean loss")
bottom.plot(trace.iteration[last], trace.fake_max[last], color=plots.GENERATOR_COLOUR, linewidth=0.7)
bottom.axhline(CLIFF, color="black", linestyle="--", linewidth=1)
bottom.text(trace.iteration[-2000], CLIFF + 0.4, f"cliff, {CLIFF:.2f}", fontsize=9)
bottom.set(ylabel="largest generated logit", xlabel="iteration")
for axes in (top, bottom):
    axes.axvline(trace.nan_at, color=plots.NAN_COLOUR, linestyle=":")
picture

# %% [markdown]
# ## The hazard
#
# With a latent of one normal number we can do better than watch. Everything G can draw lies on one line; D's logit along it shows which stretches lie
# beyond the cliff; a normal number falls into them with a known chance p; and a batch of 64 has such a draw with chance $1 - (1 - p)^{64}$. That is the
# chance that the *next* iteration ends the run, and no random number is needed to know it. Here for the GAN of the autopsy above, beside a count over
# many drawn batches:

# %%
random, fatal = torch.Generator().manual_seed(1), 0
for _ in range(4000):
    logits = gan.sample(torch.randn(64, 1, generator=random))[1]
    fatal += bool(((logits > CLIFF) | (logits < LOWEST)).any())
print(f"computed: {hazard(gan):.3f}   counted in 4,000 batches: {fatal / 4000:.3f}")

# %% [markdown]
# The recorded runs at 1e-4 hold the hazard of every fourth iteration. **Predict:** does it rise steadily, or in bursts?

# %% tags=["hide-input"]
# The hazard as a figure
picture = plots.Picture(alt="The hazard comes in bursts; its running sum is a staircase that ends at the collapse.", height=5)
top, bottom = picture.subplots(2, 1, sharex=True)
for trace, style in zip(runs["1e-4"][:3], ("-", "--", "-."), strict=True):
    chance = np.maximum(trace.watched["hazard"], 1e-9)
    top.plot(trace.watched["iteration"], chance, style, linewidth=0.5, alpha=0.8)
    iteration, total = summed_hazard(trace)
    bottom.plot(iteration, total, style, label=f"seed {trace.seed}, NaN at {trace.nan_at:,}")
top.set(yscale="log", ylabel="chance, this iteration", ylim=(1e-9, 1))
bottom.set(ylabel="summed since the start", xlabel="iteration")
bottom.legend()
picture

# %% [markdown]
# In bursts. Between them the run is nearly safe, in them it may have a per cent or more to lose *each iteration*. A run survives a burst or it does not.
#
# ## Is the forecast right?
#
# A forecast of chances can be checked. If the hazard is right, then its sum up to the collapse is a lottery with a known distribution: on average 1, and
# spread like draws from an exponential distribution. Nothing was fitted: the hazard follows from the weights and the normal distribution alone.

# %%
sums = np.sort([summed_hazard(trace)[1][-1] for trace in runs["1e-4"]])
test = stats.kstest(sums, "expon")
print(f"{len(sums)} runs: mean summed hazard {sums.mean():.2f} (1 is perfect, standard error {1 / np.sqrt(len(sums)):.2f})")
print(f"Kolmogorov-Smirnov distance {test.statistic:.2f}, p = {test.pvalue:.2f} (small would speak against the forecast)")

# %% tags=["hide-input"]
# The sums as a figure
picture = plots.Picture(alt="Share of runs whose summed hazard is below x, close to the exponential distribution.", width=6)
axes = picture.subplots()
axes.step(sums, np.arange(1, len(sums) + 1) / len(sums), where="post", label="recorded runs")
x = np.linspace(0, sums[-1], 200)
axes.plot(x, 1 - np.exp(-x), "--", color="black", label="exponential distribution")
axes.set(xlabel="summed hazard at the collapse", ylabel="share of runs")
axes.legend()
picture

# %% [markdown]
# The staircase stays near the curve, as the test says: 24 runs do not contradict the forecast. The collapse is a lottery, and its odds can be computed.
#
# ## What a careful reader could have known
#
# Round numbers, chosen before these runs were scored and not changed since: the hazard passes 1 in 10,000 (one in ten over the next 1,000 iterations); or the gauge passes
# half of the cliff. Each run is cut into stretches of 1,000 iterations, counted back from its end. A *hit* is a warning in the last stretch, a *false alarm*
# a warning in any other.

# %% tags=["hide-input"]
def warnings_of(trace, iteration, level, threshold):
    before = iteration < trace.nan_at
    stretch = (trace.nan_at - 1 - iteration[before]) // 1000  # 0 is the last one
    return np.unique(stretch[level[before] > threshold]), stretch.max()


def score(cases):
    hits = sum(0 in warned for warned, _ in cases)
    false = sum((warned > 0).sum() for warned, _ in cases)
    return hits, len(cases) - hits, f"{false} of {sum(others for _, others in cases)}"


# %% tags=["hide-input"]
# The warnings as a table
by_hazard = [warnings_of(trace, trace.watched["iteration"], trace.watched["hazard"], 1e-4) for trace in runs["1e-4"]]
scores = {"1e-4: hazard above 1e-4": score(by_hazard)}
for rate in ("1e-4", "1e-5"):
    by_gauge = [warnings_of(trace, trace.iteration, trace.envelope("fake_max")[1], CLIFF / 2) for trace in runs[rate]]
    scores[f"{rate}: gauge above half the cliff"] = score(by_gauge)
columns = ["hits", "misses", "false alarms (ordinary stretches)"]
pd.DataFrame.from_dict(scores, orient="index", columns=columns).rename_axis(columns="warning")

# %% [markdown]
# No last stretch was without a warning, though it may come late in it, and many ordinary stretches have one too: the last column, to be compared with the
# hits. That is what a lottery looks like: a warning says that the ticket is in the drum, not when it is drawn. "Without any early signs" is true of the losses and not of the logits. (The hazard was recorded
# at 1e-4 only; where a run is thinned, the gauge uses the recorded extremes.)
#
# A GAN with a wide latent has no such integral. There, extreme-value statistics can look at the largest logits of the last 1,000 iterations and judge how
# far their tail reaches. Asked 1,000 iterations before each end, with what is known then:

# %%
def tail(trace):
    return tail_hazard(trace.fake_max[-2000:-1000], CLIFF, ahead=1000)


for rate in ("1e-4", "1e-5"):
    chances = np.sort([tail(trace) for trace in runs[rate]])
    print(f"{rate}: chance of a collapse in the next 1,000, {len(chances)} runs: median {np.median(chances):.3f},", end=" ")
    print(f"lowest {chances[0]:.3f}, highest {chances[-1]:.3f}; above one in ten in {(chances > 0.1).sum()}")

# %% [markdown]
# It warns of fewer than half of the collapses, and misses those whose last burst had not begun. It is the weaker tool: it assumes that the next 1,000
# iterations are like the last, and training is not like that.
#
# ## Why a smaller rate only delays
#
# A run at 1e-5 needs ten times the iterations of one at 1e-4 to get equally far, and each iteration draws 64 latents. Compare the collapse times in
# iterations and in *training*, the learning rate times the number of iterations:

# %%
at = by_rate.nan_at.median()
columns = {"runs": by_rate.size(), "median NaN at": at.map("{:,.0f}".format)}
columns["median training (rate x iterations)"] = (at.index.astype(float) * at).map("{:.3g}".format)
columns["median latents drawn"] = (64 * at).map("{:,.0f}".format)
pd.DataFrame(columns).rename_axis(index=None, columns="rate")

# %% [markdown]
# From 1e-4 to 1e-5 the number of draws grows several times, the amount of training changes little (the last row has few runs): the run comes to the same
# dangerous stretch, more slowly, and buys more tickets while it is there. The first row is the other death, the explosion, which needs hardly any training. A run at 1e-5, with its many draws, lives to meet rarer latents (the table of z above): those that end it lie further out. A smaller rate does not move
# the cliff, and does not keep the logits from it.
#
# ## A larger batch buys more tickets
#
# **Predict** from $1 - (1 - p)^{batch}$: does a larger batch make it safer? First the formula, for the weights just before the end above, then runs at 1e-3.

# %%
for batch in (16, 64, 256):
    other = SimpleNamespace(recipe=Recipe(lr=1e-3, batch=batch), sample=gan.sample)
    traces = sweep(Recipe(lr=1e-3, batch=batch), seeds=range(20), iterations=300, progress=False)
    at = [trace.nan_at or 300 for trace in traces]
    print(f"batch {batch:3}: hazard {hazard(other):.3f}; 20 runs: {min(at)} to {max(at)}, median {np.median(at):.1f}")

# %% [markdown]
# With the same weights the hazard rises with the batch. In the runs the median moves much less: at 1e-3 nearly the whole batch is taken for real and often
# several samples cross at once, so that one draw more or less hardly matters. A larger batch is no protection in either case.
#
# ## Reading the published figures like a detective
#
# The post shows only curves (numbers in notebook 00). What we know now throws light on four details that its author did not mention:
# - **D's line ends one iteration before G's.** At its last iteration the generator's loss is drawn and the discriminator's is not. Only D's loss holds
#   log(1 - D(G(z))), the term with the near cliff. In every recorded collapse here D breaks first.
# - **G's score is 0.92 at that moment.** D takes nearly all fakes for real: large positive logits, the explosion of the 1e-3 runs above.
# - **D's score reaches 0.99 at other times.** MATLAB's example can flip real labels with probability 0.35. The best D then says 0.65 on real data and at
#   most (0.65 + 1) / 2 = 0.825 in the score. A score of 0.99 speaks against flipping, and so against the other route to log(0), over
#   flipped labels. It is evidence, not proof: for a few iterations a D that is not the best can exceed that bound.
# - **The losses at 1e-4 and 1e-5 look calm to the end.** One sample in a batch is invisible in a mean.
#
# The post's conclusion, that there must be other inappropriate settings, was right. Here they are: the log of a rounded sigmoid; data in raw units
# and a D wide enough to turn them into logits of 16; a latent without bounds. The learning rate decides when.
#
# ## Summary
# - The culprit is log(1 - D(G(z))) in D's loss: a sigmoid of a logit above 16.64 is exactly 1 in 32-bit numbers, and the log of 0 is infinite.
# - At 1e-3 the batch explodes. At 1e-4 and 1e-5 one sample does it, drawn from a latent far out, where G was seldom trained.
# - The largest logit warns where the mean loss cannot; with a one-number latent the chance of the collapse is computable, and its sum at the collapse
#   behaves as theory says.
# - A smaller rate changes when the ticket is drawn, not whether.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (5 minutes, easy). Which term would break first if the logit of a *real* sample went below the lower cliff? Compute both losses.

# %% tags=["solution"]
from utils.losses import matlab

loss_d, loss_g = matlab(torch.tensor([-200.0, 0.0]), torch.zeros(2))
print(loss_d, loss_g, "so log D(x), in D's loss")

# %% [markdown]
# **Exercise 2** (10 minutes, medium). Get a verdict on the handwritten digits at 1e-3. Is it the same term?

# %% tags=["solution"]
print(autopsy(GAN(Recipe(lr=1e-3, data="digits"), seed=0), iterations=200))

# %% [markdown]
# **Exercise 3** (10 minutes, medium). Would double precision have saved the run at 1e-3? Compute the hazard of the GAN just before its end with the cliffs of
# float64 and of float16.

# %% tags=["solution"]
gan = GAN(Recipe(lr=1e-3), seed=0)
autopsy(gan, iterations=200)
for kind in (torch.float16, torch.float32, torch.float64):
    print(f"{kind}: chance that the next iteration ends the run {hazard(gan, cliffs(kind)):.2g}")
print("a cliff further out is reached more rarely, but it is there: double precision delays")

# %% [markdown]
# ## References
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661: the losses.
# - D. Goldberg, "What every computer scientist should know about floating-point arithmetic", ACM Computing Surveys 23 (1991).
# - J. Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3 (1975): peaks over threshold.
# - "Train Generative Adversarial Network (GAN)", MathWorks documentation: scores and label flipping.
