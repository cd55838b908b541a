# %% [markdown]
# # 09 Other NaNs
#
# After this notebook you will be able to
# - recognise nine ways in which training turns NaN, each in its smallest form;
# - name the early sign to plot and the fix for each;
# - walk from symptom to check to fix along one flowchart.
#
# **Time:** under 1 minute to run, 25 to read. **Prerequisites:** notebook 04.

# %% tags=["setup"]
import math
import warnings

import pandas as pd
import torch
from torch import nn

from utils.autopsy import Collapse, guard

pd.options.display.max_colwidth = None  # the catalogue holds sentences
warnings.filterwarnings("ignore", message="std")  # torch warns of the std of one number: that is one of our cases

# %% tags=["setup"]
catalogue = []


def judge(cause, loss, weights=(1.0,), dtype=torch.float32, optimiser=torch.optim.SGD, sign="", fix=""):
    """Minimise loss(w, i) for five iterations under the guard, note its verdict and print it."""
    w = nn.Parameter(torch.tensor(weights, dtype=dtype))
    steps, verdict = optimiser([w], lr=0.1), None
    try:
        for i in guard(range(5), steps):
            steps.zero_grad()
            loss(w, i).backward()
            steps.step()
    except Collapse as collapse:
        verdict = collapse.verdict
    catalogue.append((cause, verdict, sign, fix))
    return print(verdict or "all finite")


# %% [markdown]
# `judge` is a training loop of four lines on a handful of weights. The guard around it says what went wrong. For each cause: guess the operation first, then
# look.
#
# ## 1. The log of a saturated sigmoid
#
# The one you know. One logit of 17.

# %%
def saturated(w, i):
    score = torch.sigmoid(17 * w)
    return -torch.log(1 - score).sum()


judge("log of a saturated sigmoid", saturated, sign="largest logit near 16.64", fix="a loss computed from logits")

# %% [markdown]
# ## 2. A square root at 0
#
# The gradient penalty of WGAN-GP needs the length of a gradient. If D's ReLUs are all dead, the gradient is 0, its length is 0, and all is finite.
# **Predict:** what is the slope of the square root at 0?

# %%
def penalty(w, i):
    slope = w * torch.zeros(3)  # what a dead network returns as its gradient
    length = slope.square().sum().sqrt()
    return (length - 1) ** 2


judge("square root at 0 (gradient penalty)", penalty, sign="gradient norm of D near 0", fix="Tensor.norm, or + 1e-12 inside")

# %% [markdown]
# The forward pass is innocent: the verdict says *backward*. `Tensor.norm` defines its slope at 0 as 0, and survives:

# %%
def penalty_with_norm(w, i):
    slope = w * torch.zeros(3)
    return (slope.norm() - 1) ** 2


judge("the same with Tensor.norm", penalty_with_norm)

# %% [markdown]
# ## 3. Half precision
#
# The cliff of the sigmoid is at 8.3 in float16, and sums and products end at 65,504.

# %%
def half(w, i):
    score = torch.sigmoid(9 * w.half())
    return -torch.log(1 - score).float().sum()


judge("sigmoid in half precision", half, sign="the loss scale keeps shrinking", fix="head and loss in float32")

# %%
def overflow(w, i):
    activation = 300 * w.half()
    return (activation * activation).float().sum()


judge("overflow in half precision", overflow, sign="largest activation near 65,504", fix="bfloat16, or normalise")

# %% [markdown]
# ## 4. Adam's epsilon in half precision
#
# Adam divides by the root of its second moment plus 1e-8. **Predict:** how much is 1e-8 in 16-bit numbers?

# %%
def quiet(w, i):
    return (w * (1e-4 if i == 0 else 0.0)).sum()  # one small gradient, then none


def adam(weights, lr):
    return torch.optim.Adam(weights, lr, foreach=False)


judge("Adam in half precision", quiet, dtype=torch.float16, optimiser=adam, sign="second moment is 0", fix="float32 weights and state")

# %% [markdown]
# The square of 1e-4 is below the smallest 16-bit number, and so is 1e-8. The optimiser divides by 0: the verdict says *optimiser*, and neither the loss nor
# a gradient was ever wrong.
#
# ## 5. A batch of one, a variance of zero
#
# The last batch of an epoch may hold a single sample. And a feature that does not vary has a variance of 0.

# %%
def batch_of_one(w, i):
    return (w * torch.ones(1)).std()


judge("std of a batch of one", batch_of_one, sign="size of the last batch", fix="drop_last=True, or unbiased=False with an eps")

# %%
def no_variance(w, i):
    return (w * torch.ones(4)).var().sqrt()


judge("root of a variance of 0", no_variance, sign="std near 0", fix="+ eps inside the root")

# %% [markdown]
# ## 6. A constant column in the data
#
# A dead sensor channel, a pixel that is always black. Standardising divides by its standard deviation. This NaN is in the data before the first iteration.

# %%
torch.manual_seed(0)
table = torch.randn(100, 5)
table[:, 3] = 7.0
table = (table - table.mean(0)) / table.std(0)
model = nn.Linear(5, 1)
steps = torch.optim.SGD(model.parameters(), lr=0.1)
try:
    for batch in guard(table.split(20), model, steps):
        steps.zero_grad()
        model(batch).square().mean().backward()
        steps.step()
except Collapse as collapse:
    catalogue.append(("constant column, standardised", collapse.verdict, "std of a column is 0", "drop it, or divide by std + eps"))
    print(collapse.verdict)

# %% [markdown]
# The verdict names the batch, the sample and, as *feature*, the column: 3.
#
# ## 7. A `where` that does not protect
#
# The usual idea against the log of 0: choose the log only where it is defined. The value is right. **Predict:** the gradient?

# %%
def choose(w, i):
    x = w - 1
    return torch.where(x > 0, torch.log(x), x).sum()


judge("log inside where", choose, sign="none", fix="a second where, around the argument")

# %%
def choose_twice(w, i):
    x = w - 1
    safe = torch.where(x > 0, x, torch.ones_like(x))
    return torch.where(x > 0, torch.log(safe), x).sum()


judge("the same with two where", choose_twice)

# %% [markdown]
# The branch that was not chosen still gets a gradient, 0, and multiplies it with the slope of the log at 0. Zero times infinity is NaN.
#
# ## 8. Spectral norm of a layer that starts at zero
#
# Spectral norm divides the weights by their largest singular value. Some people initialise a last layer with zeros.

# %%
layer = nn.Linear(3, 2)
nn.init.zeros_(layer.weight)
layer = nn.utils.parametrizations.spectral_norm(layer)
steps = torch.optim.SGD(layer.parameters(), lr=0.1)
try:
    for _ in guard(range(3), layer, steps):
        steps.zero_grad()
        layer(torch.ones(4, 3)).sum().backward()
        steps.step()
except Collapse as collapse:
    catalogue.append(("spectral norm of zero weights", collapse.verdict, "singular value near 0", "no zero initialisation"))
    print(collapse.verdict)

# %% [markdown]
# ## 9. A loss without a cliff can still overflow
#
# LSGAN squares the logit: no log, no sigmoid. It is safe until the logit itself leaves all bounds.

# %%
def least_squares(w, i):
    logit = 2e19 * w
    return ((logit - 1) ** 2).sum()


judge("LSGAN at a huge logit", least_squares, sign="largest logit grows by factors", fix="bound the critic: penalty, spectral norm, clipping")

# %% [markdown]
# ## The catalogue

# %%
found = [(cause, verdict.operation, verdict.phase, sign, fix) for cause, verdict, sign, fix in catalogue if verdict]
columns = ["cause", "operation", "phase", "early sign", "fix"]
pd.DataFrame(found, columns=columns).set_index("cause").rename_axis(index=None, columns="cause")

# %% [markdown]
# ## What does not help
#
# Clipping the gradient comes to mind first. It divides by the norm. **Predict** what it makes of one infinite entry:

# %%
for gradient in ([math.inf, 1.0], [math.nan, 1.0]):
    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor(gradient)
    nn.utils.clip_grad_norm_([w], max_norm=1.0)
    print(gradient, "becomes", w.grad.tolist())

# %% [markdown]
# Clipping is a remedy for large gradients. It spreads a NaN, and turns an infinity into one.
#
# ## The flowchart
#
# ```
# The loss is NaN.
#  |
#  +- Is the first batch finite?             no -> the data: constant column, missing value, unit   (6)
#  |   torch.isfinite(batch).all()
#  +- Are the initial weights finite, and    no -> initialisation, spectral norm of zeros           (8)
#  |   the first output?
#  +- Is the loss infinite before any        yes -> forward: log, exp, division, overflow           (1, 3, 5, 9)
#  |   gradient is?
#  +- Is the loss finite, a gradient not?    yes -> backward: sqrt at 0, norm, where, std           (2, 5, 7)
#  +- Are loss and gradients finite,         yes -> optimiser: epsilon and moments in half          (4)
#  |   the weights not?                             precision
#  +- Only in half precision?                yes -> head, loss and optimiser state in float32       (3, 4)
#  +- Anything else, or no time?             put guard() around the loop and read the verdict       (notebook 10)
# ```
#
# ## Summary
# - A NaN has a phase: data, forward, backward or optimiser. Find the phase first, then the operation.
# - A finite loss proves little: several causes above live in the backward pass or in the optimiser.
# - Most causes have a quantity that approaches its limit beforehand: plot that, not the loss.
# - Most fixes are one line, at the operation. Clipping gradients is not one of them.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (5 minutes, easy). Cosine similarity divides by two lengths. Judge a hand-written one at the zero vector, then torch's.

# %% tags=["solution"]
other = torch.tensor([1.0, 2.0, 3.0])


def by_hand(w, i):
    x = w * torch.zeros(3)
    return (x * other).sum() / (x.norm() * other.norm())


judge("cosine by hand", by_hand)
judge("cosine of torch", lambda w, i: torch.cosine_similarity(w * torch.zeros(3), other, dim=0))

# %% [markdown]
# **Exercise 2** (5 minutes, medium). A softmax over a row of which everything is masked with minus infinity. Which operation does the guard blame, and why
# is that fair?

# %% tags=["solution"]
def all_masked(w, i):
    scores = (w * torch.ones(2, 3)).masked_fill(torch.tensor([[False] * 3, [True] * 3]), -math.inf)
    return (torch.softmax(scores, 1) * w).sum()


judge("a row that is masked everywhere", all_masked)

# %% [markdown] tags=["solution"]
# The mask made the infinity on purpose. A softmax turns it into 0 where anything is left in the row, and into 0/0 where nothing is: the row should not have
# been masked everywhere, so the line with the mask is where to look.

# %% [markdown]
# ## References
# - I. Gulrajani et al., "Improved training of Wasserstein GANs", arXiv 1704.00028: the gradient penalty.
# - P. Micikevicius et al., "Mixed precision training", arXiv 1710.03740: loss scales and float32 state.
# - T. Miyato et al., "Spectral normalization for generative adversarial networks", arXiv 1802.05957.
# - X. Mao et al., "Least squares generative adversarial networks", arXiv 1611.04076.
