# %% [markdown]
# # 10 Guard your own GAN
#
# After this notebook you will be able to
# - put the guard around a training loop that you did not write, and read its verdict, in five minutes;
# - say why a verdict can be trusted, and when it says that it does not know;
# - choose between stopping and skipping, and use the guard in half precision and inside a trainer.
#
# **Time:** 1 to 2 minutes to run, 30 to read. **Prerequisites:** notebook 04.

# %% tags=["setup"]
import time
import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from utils import plots
from utils.autopsy import Collapse, autopsy, cliffs, guard
from utils.training import GAN, Recipe

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # small networks: one thread is the quickest, and by far where the machine is busy

# %% [markdown]
# ## Five minutes
#
# Copy the folder `utils/nanguard` into your project, under any name, or install it beside a package of your own called `utils`:
# `pip install "git+ADDRESS#subdirectory=utils/nanguard"`, with this repository's address. It needs torch and nothing else. Then change one line of your loop:
#
# ```python
# from nanguard import guard
#
# for batch in guard(loader, G, D, opt_g, opt_d):  # was: for batch in loader:
#     ...
# ```
#
# If your body is a function that raises at the sight of a NaN, wrap the function instead: `train_step = guard.step(G, D, opt_g, opt_d)(train_step)`. Your own error then
# carries the verdict as a note.
#
# ## Somebody else's GAN
#
# Two convolutional networks on the 8 x 8 digits, written the way tutorials write them. Three choices invite trouble: the sigmoid is inside D and the loss takes its
# log; the data are grey levels as they come, 0 to 16; the learning rate is bold.

# %% tags=["setup"]
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
    g, d = g.to(DEVICE), d.to(DEVICE)
    return g, d, torch.optim.Adam(g.parameters(), 2e-3, (0.5, 0.999)), torch.optim.Adam(d.parameters(), 2e-3, (0.5, 0.999))


images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None]
loader = DataLoader(TensorDataset(images), batch_size=64, shuffle=True, drop_last=True)

# %% [markdown]
# And the loop. It has two optimisers, D's update comes first, and it draws its latents from torch's global random state. **Predict:** which line will
# the verdict name?

# %% tags=["setup"]
def train_on(batches, g, d, opt_g, opt_d, history):
    for (real,) in batches:
        real = real.to(DEVICE)
        fake = g(torch.randn(len(real), 16, 1, 1, device=DEVICE))

        d_loss = -torch.log(d(real)).mean() - torch.log(1 - d(fake.detach())).mean()
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()

        g_loss = -torch.log(d(fake)).mean()
        opt_g.zero_grad()
        g_loss.backward()
        opt_g.step()
        history.append((d_loss.item(), g_loss.item()))


# %% [markdown]
# Without the guard:

# %%
history, networks = [], make_networks()
for _ in range(5):
    train_on(loader, *networks, history)
broken = [i for i, pair in enumerate(history, 1) if not np.isfinite(pair).all()]
print(f"{len(history)} iterations; the first with a loss that is not finite: {broken[0] if broken else 'none'}")

# %% [markdown]
# With it. One line changes: the loader goes into the guard, together with everything that the loop changes.

# %%
networks, verdict = make_networks(), None
try:
    for _ in range(5):
        train_on(guard(loader, *networks), *networks, history := [])
except Collapse as collapse:
    verdict = collapse.verdict
print(verdict or "no collapse on this machine in five epochs")

# %% [markdown]
# The verdict names the line and, within the line, the expression; the sample in the batch; the number that went in and how it came about. The iteration counts from
# the start of the guarded loop, here the epoch: with 28 iterations an epoch, iteration 14 of the third epoch is the 70th of all, if your counts are those saved here. The networks are back where they were before that iteration, so that they can be looked at:

# %%
g, d = networks[:2]
with torch.no_grad():
    drawn = g(torch.randn(8, 16, 1, 1, device=DEVICE)).flatten(1).cpu().numpy()
plots.samples({"real": images[:8].flatten(1).numpy(), "generated": drawn}, "digits")

# %% [markdown]
# ## Why trust it?
#
# - **The replay proves itself.** The fatal iteration runs again, and its losses and norms are compared with the first run's, bit by bit. If they differ, the verdict says
#   *not reproduced*, and names the iterator or the count that the loop kept by itself. It never blames another iteration.
# - **The sample is tried.** Where one sample is named, the iteration runs once more with another one in its place. `check` says whether it then lives.
# - **There is a history.** `history` says whether something had been growing, whether the loss scale was falling, or whether it came out of the blue.
#
# One spoilt image, number 7 of the third batch:

# %%
spoilt = [batch.clone() for (batch,) in loader][:5]
spoilt[2][7] = -1.0  # no grey level is below 0
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).to(DEVICE)
adam = torch.optim.Adam(net.parameters(), 1e-3)
try:
    for x in guard(spoilt, net, adam):
        loss = net(torch.sqrt(x.to(DEVICE))).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
except Collapse as collapse:
    for name in ("cause", "extent", "check", "history", "advice"):
        print(f"{name:>8}  {getattr(collapse.verdict, name)}")

# %% [markdown]
# After a collapse `watch.save(path)` writes state, batch, random state and verdict to one file, and `nanguard.replay(path, step, *objects)` runs it on another machine.
#
# What other tools name on the 41 loops of `tests/gallery.py`, as `make bench ARGS=--gallery` counted when this was written (one machine, one run):

# %% tags=["hide-input"]
pd.DataFrame(
    {"operation and line right, of 41": [41, 5, 32], "names a sample": ["yes", "no", "no"], "runs the loop on": ["yes", "no", "no"]},
    index=["guard", "torch.autograd.detect_anomaly", "dispatch hook with isfinite"],
)

# %% [markdown]
# ## What the guard does to a healthy run
#
# Nothing: the same weights to the last bit. And what it costs, A B A B in one process, on the main recipe of this series:

# %%
def milliseconds(gan, batches):
    start = time.perf_counter()
    for _ in batches:
        gan.step()
    return (time.perf_counter() - start) / len(batches) * 1e3


free, held = GAN(Recipe(loss="logits")), GAN(Recipe(loss="logits"))
pairs = [(milliseconds(free, range(150)), milliseconds(held, guard(range(150), held))) for _ in range(8)]
with torch.autograd.detect_anomaly(check_nan=True), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    anomaly = [milliseconds(GAN(Recipe(loss="logits")), range(60)) for _ in range(3)]
same = all(torch.equal(a, b) for a, b in zip(free.weights_d + free.weights_g, held.weights_d + held.weights_g, strict=True))
alone = np.median([a for a, _ in pairs])
print(f"weights equal to the last bit: {same}")
print(f"guarded: {np.median([b / a for a, b in pairs]):.2f} times the time; detect_anomaly: {np.median(anomaly) / alone:.2f} times")

# %% [markdown]
# The cost is mostly that of copying weights, gradients and Adam's two moments, every 4 iterations unless you say otherwise. After a collapse the iterations since the
# last copy run again, one by one, until one breaks. So the verdict is the same, and so is the state that is put back, whatever `every` is.

# %%
for every in (1, 4, 16):
    ratios = []
    for _ in range(5):
        watched = guard(range(160), held, every=every)
        ratios.append(milliseconds(held, watched) / milliseconds(free, range(160)))
    gan = GAN(Recipe(lr=1e-3), seed=1)
    try:
        for _ in guard(range(200), gan, every=every):
            gan.step()
    except Collapse as collapse:
        found = f"iteration {collapse.verdict.iteration}, {collapse.verdict.term}, sample {collapse.verdict.sample}"
    print(f"every {every:2}: {np.median(ratios):.2f} times, {watched.recorder.nbytes / 2**20:.1f} MiB; verdict: {found}")

# %% [markdown]
# ## Skip, or stop?
#
# `policy="skip"` puts the last good state back and goes on with the next batch. **Predict:** how often will it skip in five epochs?

# %%
networks, history, skipped = make_networks(), [], []
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # one warning a skipped iteration
    for _ in range(5):
        watched = guard(loader, *networks, policy="skip")
        train_on(watched, *networks, history)
        skipped.append(len(watched.skipped))
print(f"skipped in each epoch of {len(loader)} iterations: {skipped}")

# %% [markdown]
# The weights stay finite, and the cause stays. Skipping is for the one bad batch in a million, and for a deadline. If an epoch skips
# more than a few, read a verdict instead and change the line it names. Here that is the loss: give D no sigmoid and use
# `binary_cross_entropy_with_logits` (notebook 06).
#
# ## Half precision
#
# Mixed precision scales the loss, so that small gradients survive in 16-bit numbers. A `GradScaler` meets infinite gradients on purpose: it skips such a step and
# lowers the scale. Guard the scaler too, and the guard lets infinite *gradients* pass, but not infinite *weights*. The naive loss once more, on a model that is
# pushed to logits near 7. The cliff for these numbers, as in notebook 04:

# %%
KIND = torch.float16 if DEVICE == "cuda" else torch.bfloat16
print(f"{KIND} on {DEVICE}: {cliffs(KIND)[1]:.2f}")


def mixed(scaler, iterations=400):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 1)).to(DEVICE)
    steps = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in guard(range(iterations), model, steps, *([scaler] if scaler.is_enabled() else [])):
        with torch.autocast(DEVICE, dtype=KIND):
            score = torch.sigmoid(model(3 * torch.randn(64, 4, device=DEVICE)))
            loss = -torch.log(score).mean() - 0.001 * torch.log(1 - score).mean()
        steps.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(steps)
        scaler.update()
    return model


# %%
for enabled in (False, True):
    scaler = torch.amp.GradScaler(DEVICE, enabled=enabled)
    print("\nwith a GradScaler:" if enabled else "without a GradScaler:")
    try:
        mixed(scaler)
        print("all weights finite; the loss scale is", scaler.get_scale())
    except Collapse as collapse:
        print(collapse.verdict)
        if enabled:
            print("the loss scale before that iteration:", scaler.get_scale())

# %% [markdown]
# Without a scaler the guard names the log, and the line. With one the same infinite gradients arrive, and each such step is left out and halves the loss scale,
# which began at 65,536. The weights stay finite by not being trained. Here the scale went all the way down, and the verdict's `history` says since when. Long before
# the end, the scale itself was the early sign. Print it.
#
# ## A GPU
#
# Nothing changes: networks and batches are on the device, and so are the guard's copies. The cell says what it ran on; without a GPU
# it runs on the processor, and the timings for a GPU are yours to measure.

# %%
print("this notebook ran on:", torch.cuda.get_device_name() if DEVICE == "cuda" else "the processor, no GPU was found")
big = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 512)).to(DEVICE)
adam = torch.optim.Adam(big.parameters())
start = time.perf_counter()
for _ in guard(range(50), big, adam, every=10):
    adam.zero_grad()
    big(torch.randn(64, 512, device=DEVICE)).square().mean().backward()
    adam.step()
print(f"{(time.perf_counter() - start) / 50 * 1e3:.1f} ms an iteration, guarded")

# %% [markdown]
# ## Sweeps that outgrow the machine
#
# A verdict is a small frozen object. It can be collected from many processes: `joblib` runs them on this machine, and on a Dask cluster when the call is wrapped in
# `with joblib.parallel_config(backend="dask"):`. Ten verdicts, one a seed:

# %%
import joblib

verdicts = joblib.Parallel(n_jobs=2)(joblib.delayed(autopsy)(GAN(Recipe(lr=1e-3), seed), 200) for seed in range(10))
for verdict in verdicts:
    print(verdict.cause, "in", verdict.term)

# %% [markdown]
# ## Inside a trainer
#
# Each was run in the tests with Lightning 2.6.6, transformers 5.24.0 and accelerate 1.15.0. Hand over the optimiser too, or its state cannot be rewound.
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
# - The iterations since the last copy run more than once, and whatever the body prints or appends, it does as often.
# - DataLoaders of the body's own are rewound, and so are tensors and modules that it carries. Other iterators and generators are not: the verdict names them.
# - A trainer that counts its steps counts the repeated ones too: in its last few the repetition may not fit.
# - A loop left by an error of its own ends in a Collapse from it (Python 3.10 and 3.11), or in that error with the verdict attached (from 3.12 on; untried with torch).
# - Compiled code is traced uncompiled. What numpy or a kernel of its own makes is said to come from outside.
# - A loss scale by hand whose losses overflow: `guard(..., scaled=True)`.
#
# ## Summary
# - One line around a loop: `for batch in guard(loader, G, D, opt_g, opt_d):`.
# - The verdict names line, expression, sample and number; a guarded run equals an unguarded one to the last bit until then.
# - Skipping keeps a run alive and its cause in place.
# - With mixed precision, watch the loss scale as well.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (5 minutes, easy). Cure the digits GAN: no sigmoid in D, `binary_cross_entropy_with_logits` in the loop. Count what the guard skips now.

# %% tags=["solution"]
from torch.nn.functional import binary_cross_entropy_with_logits as bce

g, d, opt_g, opt_d = make_networks()
d = d[:-1]  # all but the sigmoid: the parameters, and so the optimiser, stay the same
watched = guard(loader, g, d, opt_g, opt_d, policy="skip")
for (real,) in watched:
    fake = g(torch.randn(len(real), 16, 1, 1, device=DEVICE))
    one, zero = torch.ones(len(real), 1, device=DEVICE), torch.zeros(len(real), 1, device=DEVICE)
    opt_d.zero_grad()
    (bce(d(real.to(DEVICE)), one) + bce(d(fake.detach()), zero)).backward()
    opt_d.step()
    opt_g.zero_grad()
    bce(d(fake), one).backward()
    opt_g.step()
print("skipped:", watched.skipped)

# %% [markdown]
# **Exercise 2** (10 minutes, medium). Break your own loop on purpose: put a NaN into one pixel of one image and let the guard find it.

# %% tags=["solution"]
spoilt = images.clone()
spoilt[300, 0, 4, 5] = float("nan")
networks = make_networks()
try:
    train_on(guard(DataLoader(TensorDataset(spoilt), batch_size=64), *networks), *networks, [])
except Collapse as collapse:
    print(collapse.verdict.cause)

# %% [markdown]
# ## References
# - PyTorch documentation, "torch.utils._python_dispatch" and "Automatic mixed precision".
# - A. Radford et al., "Unsupervised representation learning with deep convolutional GANs", arXiv 1511.06434.
# - P. Micikevicius et al., "Mixed precision training", arXiv 1710.03740.
