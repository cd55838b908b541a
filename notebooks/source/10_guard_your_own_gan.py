# %% [markdown]
# # 10 Guard your own GAN
#
# After this notebook you will be able to
# - put the guard around a training loop that you did not write, and read its verdict, in five minutes;
# - say why a verdict can be trusted, and when it says that it does not know;
# - choose between stopping and skipping, and use the guard inside a trainer.
#
# **Time:** 1 minute to run, 31 to read. **Prerequisites:** notebook 04.

# %% tags=["setup", "hide-input"]
import time
import warnings

import numpy as np
import pandas as pd
import torch
from IPython.display import display
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from utils import plots
from utils.autopsy import Collapse, cliffs, guard
from utils.exercises import ____, check, guess, outcome
from utils.sweep import DATA
from utils.training import GAN, Recipe

torch.set_num_threads(1)  # small networks: one thread is the quickest, and by far where the machine is busy


def make_networks():
    torch.manual_seed(0)
    g = nn.Sequential(
        nn.ConvTranspose2d(16, 64, 4), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1), nn.Softplus(),
    )  # fmt: skip
    d = nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(64 * 16, 512), nn.LeakyReLU(0.2), nn.Linear(512, 1), nn.Sigmoid(),
    )  # fmt: skip
    return g, d, torch.optim.Adam(g.parameters(), 2e-3, (0.5, 0.999)), torch.optim.Adam(d.parameters(), 2e-3, (0.5, 0.999))


images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None]
loader = DataLoader(TensorDataset(images), batch_size=64, shuffle=True, drop_last=True)

# %% [markdown]
# ## Five minutes
#
# **Copy.** Take the folder `utils/nanguard` into your project, or run `pip install "git+ADDRESS#subdirectory=utils/nanguard"` with this repository's address.
# It needs torch and nothing else, and leaves alone a package `utils` of your own.
#
# **Change one line.** Hand over every module and optimiser that the body changes.
#
# ```python
# from nanguard import guard
#
# for batch in guard(loader, G, D, opt_g, opt_d):  # was: for batch in loader:
#     ...
# ```
#
# **Read the verdict.** At the first NaN the loop ends in an error, `Collapse`, that prints it. Here is a loop the way tutorials write it: two small convolutional networks on 8 x 8 digits, two optimisers, D first. The sigmoid is inside D,
# the grey levels run from 0 to 16, and the learning rate is bold.


# %% tags=["setup"]
def train_on(batches, g, d, opt_g, opt_d):
    for (real,) in batches:
        fake = g(torch.randn(len(real), 16, 1, 1))

        d_loss = -torch.log(d(real)).mean() - torch.log(1 - d(fake.detach())).mean()
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()

        g_loss = -torch.log(d(fake)).mean()
        opt_g.zero_grad()
        g_loss.backward()
        opt_g.step()


# %% [markdown]
# **Predict:** which expression will the verdict name?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# In the saved run, the log of `1 - d(fake.detach())`: a generated image for which D's sigmoid rounds to 1. On another machine it may be another of the three logs.
#
# </details>

# %%
TERMS = ["torch.log(d(real))", "torch.log(1 - d(fake.detach()))", "torch.log(d(fake))"]
guess("10.term", "the expression that breaks first", choices=TERMS)

# %%
networks, verdict = make_networks(), None
try:
    for _ in range(5):
        watched = guard(loader, *networks)
        train_on(watched, *networks)
except Collapse as collapse:
    verdict = collapse.verdict
print(verdict or "no collapse on this machine in five epochs")
outcome("10.term", verdict.term if verdict else "none")

# %% [markdown]
# Read it from the top: `cause` is the whole story in one sentence. `term` is the expression within your `line`; `sample` is the index in the batch; `steps` says how the
# number came about. `advice` is the next thing to do, and the notebook that treats it. The iteration counts from the start of the guarded loop, here the epoch.
#
# Networks and random numbers are back where they were before that iteration. So its fakes can be drawn again:

# %%
g, d = networks[:2]
with torch.no_grad():
    fakes = g(torch.randn(64, 16, 1, 1))
    logits = d[:-1](fakes).flatten().numpy()  # without the sigmoid


# %% tags=["hide-input"]
# How a collapse is drawn: history, what ran again, the fatal batch
def draw_history(axes, history, end):
    numbers, loss, gradient = zip(*((row["iteration"], row["loss"], row["gradient"]) for row in history))
    axes.plot(numbers, loss, "o-", color=plots.GENERATOR_COLOUR, markersize=4, label="G's loss")
    axes.plot(numbers, gradient, "s--", color="0.5", markersize=3, label="gradient's norm")
    axes.axvline(end, color=plots.NAN_COLOUR, linestyle=":")
    axes.set(yscale="log", title=f"the history, up to the NaN at iteration {end}")
    axes.legend(fontsize=8, loc="lower left")


def draw_lanes(axes, verdict, every):
    """Which iterations ran, and which ran again: from the last copy on, then without the named sample."""
    end = verdict.iteration
    copies = range(0, end, every)
    axes.plot(copies, [0] * len(copies), "s", color="black", markersize=5)
    for y, first in ((1, 1), (2, copies[-1] + 1)):
        axes.plot(range(first, end), [y] * (end - first), "o", color="0.6", markersize=5)
        axes.plot(end, y, "X", color="black", markersize=8)
    axes.annotate("", (copies[-1] + 0.7, 2), (copies[-1], 0.2), arrowprops={"arrowstyle": "->"})
    finite = (verdict.check or "").startswith("verified")
    axes.plot(end, 3, "o" if finite else "X", color="0.6" if finite else "black", markersize=8)
    axes.set_yticks(range(4), ["copies", "the run", "run again", f"without sample {verdict.sample}"], fontsize=9)
    axes.set(ylim=(3.6, -0.6), xlim=(-0.6, end + 0.8), xlabel="iteration")


def draw_batch(axes, logits, sample):
    cliff = cliffs(torch.float32)[1]
    beyond = logits > cliff
    axes.plot(np.flatnonzero(~beyond), logits[~beyond], "o", color=plots.GENERATOR_COLOUR, markersize=4)
    axes.plot(np.flatnonzero(beyond), logits[beyond], "X", color="black", markersize=7)
    axes.axhline(cliff, color="black", linestyle="--", linewidth=1)
    axes.text(0, cliff, "the cliff", va="bottom", fontsize=9)
    axes.annotate(f"sample {sample}", (sample, logits[sample]), (8, 0), textcoords="offset points", va="center")
    axes.set(
        xlabel="sample of the batch", ylabel="D's logit", title=f"its fakes: {beyond.sum()} of {len(logits)} beyond the cliff"
    )


# %% tags=["hide-input"]
# What the guard saw of that run, as a figure
if verdict:
    named = verdict.sample or 0
    alt = f"History of a run up to iteration {verdict.iteration}; which iterations ran again; logits of the fatal batch, sample {named} named."
    picture = plots.Picture(alt=alt, width=11, height=4.2)
    panels = picture.subplot_mosaic([["history", "batch", "fake"], ["lanes", "batch", "real"]], width_ratios=[4, 4, 1.5])
    draw_history(panels["history"], watched.history, verdict.iteration)
    draw_lanes(panels["lanes"], verdict, watched.every)
    panels["history"].sharex(panels["lanes"])
    draw_batch(panels["batch"], logits, named)
    for name, image in (("fake", fakes[named, 0]), ("real", images[0, 0])):
        panels[name].imshow(image, cmap="gray_r", vmin=0, vmax=16)
        panels[name].set(xticks=[], yticks=[], title=f"fake {named}" if name == "fake" else "a real one")
    display(picture)

# %% [markdown]
# *Crosses: not finite; at D's logits: beyond the cliff. Below left: copies, the run, what ran again from the last copy on, the trial without the named sample.* In the saved run nothing had been growing. Just before the end G's loss *fell*: D took fakes for real,
# and the logits of several lie beyond the cliff. So it breaks without the named one, too.
#
# ## Why trust it?
#
# Three things back a verdict. **The replay:** the fatal iteration runs again, and its losses and norms are compared with the first run's, bit by bit.
# **The but-for trial:** where one sample is named, the iteration runs once more with another sample in its place. **The history:** had anything been growing?
# Spoil one image, number 7 of the third batch:


# %% tags=["setup"]
def fit(batches, watch=guard):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for x in watch(batches, net, adam):
        loss = net(torch.sqrt(x)).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()


# %%
spoilt = [batch.clone() for (batch,) in loader][:5]
spoilt[2][7] = -1.0  # no grey level is below 0
try:
    fit(spoilt)
except Collapse as collapse:
    for name in ("cause", "extent", "reproduced", "check", "history", "advice"):
        print(f"{name:>10}  {getattr(collapse.verdict, name)}")

# %% [markdown]
# The replay broke as the first run had. `check` says that the iteration lives without sample 7, so that sample is the cause and no bystander. Two iterations are too few for a `history`.
#
# And when the replay does something else? Here the body keeps an iterator of its own, which the guard cannot rewind:

# %%
own = iter([torch.full((4,), float(i != 5)) for i in range(20)])
weight = nn.Linear(4, 1)
try:
    for x in guard([torch.ones(3, 4)] * 9, weight, torch.optim.SGD(weight.parameters(), 0.1)):
        weight(x * torch.log(next(own))).mean().backward()
except Collapse as collapse:
    print(collapse.verdict)

# %% [markdown]
# It says *not reproduced*, names what it could not rewind, and blames no operation. Not to know is allowed; a wrong culprit is not.
#
# ## What does it cost?
#
# **Predict:** how many times as long does an iteration of this series' GAN take under the guard? Under `detect_anomaly`?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# Under the guard a little longer; under `detect_anomaly` several times as long. The next two cells print this machine's ratios.
#
# </details>

# %%
guess("10.cost", "the guarded run takes this many times as long")
guess("10.anomaly", "detect_anomaly takes this many times as long")


# %%
def milliseconds(gan, batches):
    start = time.perf_counter()
    for _ in batches:
        gan.step()
    return (time.perf_counter() - start) / len(batches) * 1e3


free, held = GAN(Recipe(loss="logits")), GAN(Recipe(loss="logits"))
pairs = [(milliseconds(free, range(100)), milliseconds(held, guard(range(100), held))) for _ in range(8)]
same = all(torch.equal(a, b) for a, b in zip(free.weights_d + free.weights_g, held.weights_d + held.weights_g, strict=True))
print(f"weights equal to the last bit: {same}")
outcome("10.cost", round(float(np.median([b / a for a, b in pairs])), 2))

# %%
ratios = []
for _ in range(3):  # in turns, for a machine's pace changes
    plain = milliseconds(GAN(Recipe(loss="logits")), range(50))
    with torch.autograd.detect_anomaly(check_nan=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ratios.append(milliseconds(GAN(Recipe(loss="logits")), range(50)) / plain)
outcome("10.anomaly", round(float(np.median(ratios)), 2))

# %% [markdown]
# A guarded healthy run is the same run, to the last bit. The cost is that of looking at and copying weights and Adam's two moments, every 4 iterations unless you say `every=`.
# After a collapse the iterations since the last copy run again, one by one, until one breaks. So the verdict is the same whatever `every` is.
#
# ## Stop, or skip?
#
# `policy="raise"` is the default. `policy="stop"` ends the loop and leaves `.verdict`. `policy="skip"` puts the last good state back and goes on with the next batch.
#
# **Predict:** how many of the 140 iterations in five epochs will it skip?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# About half in the saved run, and nearly all in the last two epochs: the state that is put back is as close to the cliff as before, and the next batch finds it, too.
#
# </details>

# %%
guess("10.skipped", "iterations skipped, of 140", unit="iterations")

# %%
networks, skipped = make_networks(), []
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # one warning a skipped iteration
    for _ in range(5):
        watched = guard(loader, *networks, policy="skip")
        train_on(watched, *networks)
        skipped.append(watched.skipped)
outcome("10.skipped", sum(map(len, skipped)))

# %% tags=["hide-input"]
# What was skipped, as a strip an epoch
counts = [len(numbers) for numbers in skipped]
strip = np.zeros((len(skipped), len(loader)))
for row, numbers in zip(strip, skipped, strict=True):
    row[[number - 1 for number in numbers]] = 1
picture = plots.Picture(alt=f"Iterations of five epochs, black where skipped: {counts} of {len(loader)}.", height=2.4)
axes = picture.subplots()
axes.pcolormesh(strip, cmap="gray_r", edgecolors="0.7", linewidth=0.5, vmin=0, vmax=1)
axes.set_yticks(np.arange(len(skipped)) + 0.5, [f"epoch {row + 1}: {count} skipped" for row, count in enumerate(counts)])
axes.set(xlabel="iteration of the epoch", xticks=[0.5, 9.5, 19.5, 27.5], xticklabels=[1, 10, 20, 28])
axes.invert_yaxis()
picture

# %% [markdown]
# *Black: skipped.* The weights stay finite, and the cause stays. Skipping is for the one bad batch in a million, and for a deadline. If an epoch skips more than a few, read a verdict
# and change the line it names: here D's sigmoid and the log belong in one function (notebook 06).
#
# ## A step, a file, mixed precision
#
# If your body raises at the sight of a NaN, make it a function and wrap that: `train_step = guard.step(G, D, opt_g, opt_d)(train_step)`. Your own error then carries the
# verdict as a note. After a collapse `watch.save(path)`, of a `watch = guard(...)`, writes state, batch, random state and verdict to one file, and `nanguard.replay(path, step, *objects)` runs it elsewhere.
#
# A `GradScaler` meets infinite gradients on purpose and skips such steps: hand it over too. Where you scale the loss by hand, say `guard(..., scaled=True)`.
#
# ## Inside a trainer
#
# Hand over the optimiser too, or its state cannot be rewound. Each snippet runs in the tests where its package is installed; it was run with Lightning 2.6.6,
# transformers 5.24.0 and accelerate 1.15.0.
#
# ```python
# trainer.fit(module, guard(loader, module, optimizer))           # Lightning; the optimizer that configure_optimizers returns
#
# class Guarded(transformers.Trainer):                            # Hugging Face
#     def get_train_dataloader(self):
#         return guard(super().get_train_dataloader(), self.model, self.optimizer)
#
# model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
# for batch in guard(loader, model, optimizer):                   # Accelerate: around what prepare() gives
# ```
#
# ## Limits
#
# - The iterations since the last copy run more than once, and print as often.
# - DataLoaders of the body's own are rewound, and so are tensors, numbers, lists and modules that it carries. Other iterators are not: the verdict names them.
# - Compiled code is traced uncompiled. What numpy or a kernel of its own makes is said to come from outside.
# - On a GPU a device-side assert, such as BCELoss's at a NaN, ends the process's work there: run on the CPU for a verdict.
# - Time-first sequences: where the batch axis is in doubt, no sample is named.
#
# <details><summary>For the referee</summary>
#
# A loop left by an error of its own ends in a Collapse from it on Python 3.10 and 3.11, and in that error with the verdict attached from 3.12 on. A trainer that counts its
# steps counts the repeated ones too: in its last few the repetition may not fit. The samples of time-first batches are not tried.
#
# </details>
#
# ## What does each public tool name?
#
# `make bench ARGS=--gallery` runs every loop of `tests/gallery.py` under three tools and records whether each named the right operation **and** the right line:

# %%
gallery = pd.read_csv(DATA / "gallery.csv")
tools = gallery[["guard", "detect_anomaly", "dispatch hook"]]
print(f"{len(gallery)} loops, torch {gallery['torch'][0]}, {gallery['processor'][0]}, commit {gallery['commit'][0]}")
pd.DataFrame({"operation and line right": tools.sum(), "names a sample": ["yes", "no", "no"]})

# %% [markdown]
# The table counts recorded runs; the last column is what the tools are built to do. These loops were gathered while the guard was made, so they flatter it. `torch.autograd.detect_anomaly`
# watches the backward pass, and misses what is born in the forward pass without a NaN gradient. A dispatch hook with `isfinite` stops at the first infinity, masks that are meant included.
#
# ## Summary
# - One line around a loop: `for batch in guard(loader, G, D, opt_g, opt_d):`.
# - The verdict names line, expression, sample and number, and what to do next.
# - It replays bit by bit, tries the iteration without the sample, and says when it does not know.
# - Skipping keeps a run alive and its cause in place.
#
# ## Three questions
#
# **1. Predict.** The guard copies every 4 iterations, and the loss turns NaN in iteration 10. In which state are the weights when `Collapse` is raised?
#
# <details><summary>A. As after iteration 8, the last copy.</summary>
#
# The copy is where the search begins. But iteration 9 was healthy, so it is run again and kept.
#
# </details>
# <details><summary>B. As after iteration 9.</summary>
#
# Yes: the guard goes back to iteration 8, runs 9 again, and stops before the fatal one.
#
# </details>
# <details><summary>C. As after iteration 10, with NaN.</summary>
#
# One could think so, since the exception comes after it. But a state full of NaN helps nobody: it is put back.
#
# </details>
#
# **2. Explain.** Why does the guard look at what reached a loss or a weight, rather than at the first infinity?
#
# <details><summary>A. Infinities are too many to store.</summary>
#
# The replay is one iteration; storage is no problem.
#
# </details>
# <details><summary>B. Some infinities are meant, such as those of a mask.</summary>
#
# Yes: `masked_fill(-inf)` before a softmax is healthy. Only what arrives at a loss or a weight did harm.
#
# </details>
# <details><summary>C. An infinity cannot turn into NaN.</summary>
#
# It can: inf - inf, inf / inf and 0 times inf are NaN.
#
# </details>
#
# **3. Transfer.** A colleague's verdict says *divergence: the gradient norm grew 4.0x an iteration*, and no sample. What next?
#
# <details><summary>A. Leave out the batch of that iteration.</summary>
#
# No sample is named: the growth began before that batch, and the next one would do the same.
#
# </details>
# <details><summary>B. Use policy="skip".</summary>
#
# That keeps the state that was already diverging. The next batch breaks it too.
#
# </details>
# <details><summary>C. Lower the learning rate, or bound the networks.</summary>
#
# Yes: every iteration enlarged the last one's step. Notebook 07 measures what bounds D's slope.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 10.1: find it** (5 minutes, easy). One image in `mystery` is spoilt. Let `fit`, from above, find it. *Deliverable:* `found`, a pair (iteration, sample) as the verdict gives them.
# *Criterion:* both numbers.
#
# <details><summary>Hint</summary>
#
# `try: fit(mystery)`, then `except Collapse as collapse:` and look at `collapse.verdict`.
#
# </details>

# %% tags=["setup", "hide-input"]
mystery = [images[at : at + 32].clone() for at in range(0, 320, 32)]
mystery[6][11, 0, 3] = -2.0

# %% tags=["stub"]
found = ____
check("10.1", found)

# %% tags=["solution"]
try:
    fit(mystery)
except Collapse as collapse:
    found = collapse.verdict.iteration, collapse.verdict.sample
check("10.1", found)

# %% [markdown]
# **Exercise 10.2: what to hand over** (5 minutes, easy). A loop trains `G` and `D` with `opt_g` and `opt_d`, scales its losses with `scaler`, lowers the rate with `schedule`, and draws from `loader`.
# *Deliverable:* `handed`, a list of names: what stands in the guard after its first argument. *Criterion:* all that the body changes, and nothing else.
#
# <details><summary>Hint</summary>
#
# What must be as it was, if the iteration is to do the same again?
#
# </details>

# %% tags=["stub"]
handed = ____
check("10.2", handed)

# %% tags=["solution"]
handed = ["G", "D", "opt_g", "opt_d", "scaler", "schedule"]
check("10.2", handed)

# %% [markdown]
# **Exercise 10.3: the but-for trial** (15 minutes, medium). Write `without(batch, sample)`: a batch for the trial in which that sample can do no harm. *Deliverable:* the function; `batch` is a tensor.
# *Criterion:* same shape; every other sample as it was; in the sample's place another one of the batch; the given batch is not changed.
#
# <details><summary>Hint</summary>
#
# `clone()`, then copy a neighbour. What would a shorter batch do to a mean, or to batch normalisation? What would zeros do to a log?
#
# </details>


# %% tags=["stub"]
def without(batch, sample):
    return ____


check("10.3", without)


# %% tags=["solution"]
def without(batch, sample):
    batch = batch.clone()
    batch[sample] = batch[(sample + 1) % len(batch)]
    return batch


check("10.3", without)

# %% [markdown]
# ## References
# - PyTorch documentation, "torch.utils._python_dispatch" and "Automatic mixed precision".
# - A. Radford et al., "Unsupervised representation learning with deep convolutional GANs", arXiv 1511.06434.
# - P. Micikevicius et al., "Mixed precision training", arXiv 1710.03740.
