# %% [markdown]
# # 09 Other NaNs
#
# After this notebook you will be able to
# - walk from a symptom to its cause along one flowchart, with one line of code a question;
# - recognise twelve kinds of NaN, each in its smallest form;
# - name the quantity to plot beforehand and the fix for each.
#
# **Time:** 1 minute to run, 28 to read. **Prerequisites:** notebook 04.
#
# ## The flowchart
#
# Click on your answer: at most three clicks. The numbers are sections.
#
# <details><summary><b>Is every batch finite?</b> <code>torch.isfinite(batch).all()</code>&nbsp; No</summary>
#
# The data did it: a missing value, a constant column that was standardised, a logarithm of 0 in the preparation. Drop or fill such values before training. Section 8.
# </details>
# <details><summary><b>Is every batch finite?</b>&nbsp; Yes</summary>
# <details><summary>&nbsp;<b>Did the loss grow before?</b> <code>print(loss.item())</code>&nbsp; Yes, for several iterations</summary>
#
# Divergence: lower the learning rate, or bound the network. Section 1, and section 12 if the loss is a square.
# </details>
# <details><summary>&nbsp;<b>Did the loss grow before?</b>&nbsp; No, and in 32 bits it stays finite: <code>torch.autocast(..., enabled=False)</code></summary>
#
# Half precision: the cliff of a sigmoid or a softmax, an overflow, a shared scaler (4), an epsilon that is 0 (5). Compute loss and optimiser in float32.
# </details>
# <details><summary>&nbsp;<b>Did the loss grow before?</b>&nbsp; No, and it ends in 32 bits, too</summary>
# <details><summary>&nbsp;&nbsp;<b>Which came first?</b> <code>torch.isfinite(loss)</code> is False</summary>
#
# The forward pass: the log of a sigmoid or a softmax (2) or of a spectrum (10), a mean of nothing (6), the std of one sample (7), a division by 0 (11). Bound what goes in from below; let one function take sigmoid and log.
# </details>
# <details><summary>&nbsp;&nbsp;<b>Which came first?</b> The loss was finite, <code>[torch.isfinite(p.grad).all() for p in model.parameters()]</code> holds a False</summary>
#
# The backward pass: a root or a norm at 0 (3), a variance of 0 (7), a log in a `where` (9). Add a small number *inside* the root; in a `where`, choose the argument, too.
# </details>
# <details><summary>&nbsp;&nbsp;<b>Which came first?</b> Loss and gradients were finite, <code>torch.isfinite(p).all()</code> is not</summary>
#
# The optimiser: its epsilon or its moments. Keep them in float32. Section 5.
# </details>
# <details><summary>&nbsp;&nbsp;<b>Which came first?</b> I cannot tell</summary>
#
# Put `guard` around the loop and read its verdict: notebook 10.
# </details>
# </details>
# </details>

# %% tags=["setup"]
import math
import warnings

import pandas as pd
import torch
from torch import nn

from utils import plots
from utils.autopsy import Collapse, guard
from utils.exercises import ____, check, guess, outcome
from utils.sweep import recorded

# %% tags=["setup", "hide-input"]
pd.options.display.max_colwidth = None  # the tables hold sentences
warnings.filterwarnings("ignore", message="std")  # torch warns of the std of one number: that is one of our cases
catalogue = []


def judge(cause, loss, lr=0.1, iterations=5, dtype=torch.float32, optimiser=torch.optim.SGD):
    """Minimise loss(w, i) from w = 1 under the guard, print what it says, and note it for the table at the end."""
    w = nn.Parameter(torch.ones(1, dtype=dtype))
    steps = optimiser([w], lr=lr)
    try:
        for i in guard(range(iterations), steps):
            steps.zero_grad()
            loss(w, i).backward()
            steps.step()
    except Collapse as collapse:
        verdict = collapse.verdict
        catalogue.append((cause, verdict))
        return print(verdict.cause, *verdict.steps[:4], verdict.advice, sep="\n    ")
    return print("all finite")


def message(function):
    """The first line of the error that a call raises."""
    try:
        function()
    except Exception as error:
        return str(error).splitlines()[0].split(" of distribution")[0]


# %% tags=["hide-input"]
# One iteration from left to right, and the sections by the phase in which their NaN is born
BORN = {  # phase: what it makes, how to ask whether that is finite, the sections
    "the data": ("batch", "isfinite(batch)", {8: "constant column"}),
    "forward pass": (
        "loss", "isfinite(loss)",
        {1: "divergence", 2: "log of a sigmoid", 4: "half precision", 6: "empty mean", 7: "std of one sample",
         10: "log of a spectrum", 11: "spectral norm", 12: "overflow"},
    ),
    "backward pass": ("gradients", "isfinite(p.grad)", {3: "root at 0", 7: "variance of 0", 9: "where"}),
    "optimiser": ("weights", "isfinite(p)", {5: "Adam in float16"}),
}  # fmt: skip
sections = "; ".join(f"{phase}: {', '.join(born.values())}" for phase, (_, _, born) in BORN.items())
picture = plots.Picture(
    alt=f"The phases of one iteration and the sections that belong to each. {sections}.", width=11, height=4.6
)
axes = picture.subplots()
left = 0.0
for phase, (made, ask, born) in BORN.items():
    width = 2.0 if len(born) > 4 else 1.25
    axes.axvspan(left + 0.03, left + width - 0.03, color="0.95")
    axes.text(left + 0.08, 0.94, phase, fontsize=13, weight="bold", va="center")
    axes.annotate("", (left + width - 0.5, 0.78), (left + 0.08, 0.78), arrowprops={"arrowstyle": "-|>", "linewidth": 2})
    axes.text(left + width - 0.28, 0.78, made, ha="center", va="center", fontsize=11, bbox={"boxstyle": "round", "fc": "white"})
    axes.text(left + 0.08, 0.64, ask, family="monospace", fontsize=10, va="center")
    for place, (number, words) in enumerate(born.items()):
        x, y = left + 0.14 + 0.98 * (place // 4), 0.5 - 0.115 * (place % 4)
        axes.plot(x, y, "o", color="black", markersize=17)
        axes.text(x, y, number, color="white", ha="center", va="center", fontsize=10, weight="bold")
        axes.text(x + 0.12, y, words, va="center", fontsize=10)
    left += width
axes.annotate("", (0.3, 0.03), (left - 0.3, 0.03), arrowprops={"arrowstyle": "-|>", "linestyle": ":", "linewidth": 1.5})
axes.text(left / 2, 0.045, "a NaN in the weights is in every later loss", ha="center", fontsize=10)
axes.set(xlim=(0, left), ylim=(0, 1))
axes.set_axis_off()
picture

# %% [markdown]
# *One iteration from left to right: what each phase makes, how to ask it, and the sections whose NaN is born there.* Ask in this order: the first no names the phase.
#
# ## The messages
#
# As PyTorch raises them here, and where each leads.

# %% tags=["hide-input"]
BAD, ZERO = torch.tensor([math.nan, 1.0]), torch.zeros(1, requires_grad=True)


def anomaly(function):
    """A call that runs forward and backward under detect_anomaly."""

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it is slow
            with torch.autograd.detect_anomaly():
                function(ZERO).sum().backward()

    return run


parameter = nn.Parameter(torch.zeros(1))
parameter.grad = torch.tensor([math.nan])
RAISED = [
    (anomaly(lambda x: 0 * x.sqrt()), "a root at 0: 3"),
    (anomaly(lambda x: torch.where(x > 0, x.log(), x)), "a log at 0: 2, 9"),
    (anomaly(lambda x: -torch.log(1 - torch.sigmoid(17 + x))), "the victim of a log behind it: 2"),
    (anomaly(lambda x: x / x), "0 divided by 0: 3, 7, 11"),
    (anomaly(lambda x: 0 * x**0.5), "a power below 1 at 0: 3"),
    (lambda: nn.BCELoss()(BAD, torch.ones(2)), "NaN arrived in the score: go upstream with the flowchart"),
    (lambda: torch.multinomial(BAD, 1), "the same, in sampled text or actions"),
    (lambda: torch.distributions.Categorical(logits=BAD), "the same, in reinforcement learning"),
    (lambda: torch.linalg.svd(torch.full((2, 2), math.nan)), "the same, in linear algebra"),
    (lambda: nn.utils.clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True), "a gradient; clipping cannot mend it"),
]
messages = pd.DataFrame([(message(call), where) for call, where in RAISED], columns=["PyTorch says", "section"])
messages.style.hide(axis="index").set_properties(**{"text-align": "left"})

# %% [markdown]
# Trainers have words of their own: `loss=nan` in a progress bar, "NaN/Inf found in loss", "Loss became infinite or NaN at iteration=..." (detectron2),
# "Invalid loss, terminating training" (Keras). They name no cause: start at the flowchart. "Gradient overflow. Skipping step" (apex) and "Minimum loss
# scale reached" (fairseq) belong to section 4.
#
# ## 1. Plain divergence
#
# Each section trains one weight, which starts at 1, with `judge`: three lines under the guard of notebook 10, whose words it prints. The first NaN needs no
# cliff: a linear regression, and a learning rate of 1.
#
# **Predict:** after how many iterations does the loss overflow?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# About 27. The error grows by the same factor each time, and no 32-bit number is above 3.4e38.
# </details>

# %%
guess("09.divergence", "iterations until the loss is infinite", unit="iterations")

# %%
x = torch.linspace(-3, 3, 50)
judge("a learning rate that is too high", lambda w, i: ((w - 2) * x).square().mean(), lr=1.0, iterations=200)
outcome("09.divergence", catalogue[-1][1].iteration)

# %% [markdown]
# The guard looked back: the gradient grew by the same factor each iteration. Its loss beside that of the recorded GAN at 1e-4, seed 0:

# %% tags=["hide-input"]
error, grown = torch.tensor(-1.0), []  # w - 2, which one step at a rate of 1 multiplies by 1 - 2 x mean of x²
while not grown or math.isfinite(grown[-1]):
    grown.append((error * x).square().mean().item())
    error = error * (1 - 2 * x.square().mean())
out_of_the_blue = recorded("pulses_lr1e-4")[0].loss_d[-len(grown) : -1]
picture = plots.Picture(
    alt="Before the end a diverging loss climbs a straight line on a log axis; D's loss stays where it was."
)
axes = picture.subplots()
before = range(1 - len(grown), 0)
axes.plot(before, grown[:-1], "s-", color="#117733", markersize=4)
axes.plot(before, out_of_the_blue, "o--", color=plots.DISCRIMINATOR_COLOUR, markersize=4)
axes.axvline(0, color=plots.NAN_COLOUR, linestyle=":")
axes.text(-0.3, 1e10, "the end", ha="right")
axes.text(-14, 1e24, "divergence: it climbs", ha="right", color="#117733")
axes.text(-14, 1e3, "this series: D's loss, out of the blue", ha="right", color=plots.DISCRIMINATOR_COLOUR)
axes.set(yscale="log", xlabel="iterations before the first loss that is not finite", ylabel="loss")
axes.set_title("Did the loss grow before? Two answers")
picture

# %% [markdown]
# A loss that climbs a straight line on a log axis diverges: lower the rate. A loss that stays flat to the last had no such warning.
#
# ## 2. The log of a saturated sigmoid
#
# The one that you know, at a logit of 17.

# %%
judge("the log of a saturated sigmoid", lambda w, i: -torch.log(1 - torch.sigmoid(17 * w)).sum())

# %% [markdown]
# ## 3. A root at 0
#
# The penalty of WGAN-GP needs the length of a gradient. If D's ReLUs are all dead, that length is 0.
#
# **Predict:** who turns NaN first?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# A gradient. The slope of the root at 0 is infinite, that of the square inside it is 0: their product is NaN.
# </details>

# %%
guess("09.root", "first", choices=["the loss", "a gradient", "a weight"])

# %%
judge("a square root at 0", lambda w, i: ((w * torch.zeros(3)).square().sum().sqrt() - 1) ** 2)
outcome("09.root", "a gradient" if catalogue[-1][1].phase == "backward" else "the loss")
judge("the same with Tensor.norm", lambda w, i: ((w * torch.zeros(3)).norm() - 1) ** 2)

# %% [markdown]
# `Tensor.norm` defines its slope at 0 as 0, and survives. Perceptual losses divide features by their length and add the epsilon *outside* the root, where
# it protects the division and not the slope:


# %%
def perceptual(w, i, inside=0.0):
    features = w * torch.zeros(3)
    return (features / ((features.square().sum() + inside).sqrt() + 1e-10)).sum()


judge("a root with the epsilon outside", perceptual)
judge("the same with the epsilon inside", lambda w, i: perceptual(w, i, inside=1e-10))

# %% [markdown]
# ## 4. Half precision
#
# The cliff of the sigmoid is nearer: at 12 ln 2 = 8.3 in float16 and at 9 ln 2 = 6.2 in bfloat16. Autocast takes the logit there without being asked.


# %%
def autocast(w, i):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return -torch.log(1 - torch.sigmoid(nn.functional.linear(w, torch.full((1, 1), 7.0)))).sum()


judge("a loss under bfloat16 autocast", autocast)
judge("an overflow in float16", lambda w, i: (300 * w.half()).square().float().sum())

# %% [markdown]
# float16 ends at 65,504. A `GradScaler` multiplies the loss by a scale; it skips a step whose gradients overflow, and halves the scale. Two networks share one here. D's gradient is
# 90,000, which fits at a scale of 0.5, and G's is 1e-8:


# %% tags=["hide-input"]
def last_gradients(shared):
    """G's scale and gradient after 20 iterations beside a D whose gradient overflows at any scale above 0.7."""
    weights = [nn.Parameter(torch.ones(1)) for _ in "GD"]
    steps = [torch.optim.SGD([w], 0.1) for w in weights]
    scalers = [torch.amp.GradScaler("cpu")] * 2 if shared else [torch.amp.GradScaler("cpu") for _ in "GD"]
    for _ in range(20):
        for w, step, scaler, size in zip(weights, steps, scalers, (1e-8, 90_000), strict=True):
            step.zero_grad()
            scaler.scale((size / 300 * w.half() * 300).float().sum()).backward()
            scaler.step(step)
        for scaler in set(scalers):
            scaler.update()
    return {"G's scale": scalers[0].get_scale(), "G's gradient": weights[0].grad.item()}


pd.DataFrame([last_gradients(True), last_gradients(False)], index=["one scaler for both", "a scaler each"])

# %% [markdown]
# Under the shared scaler G's gradient is exactly 0: no NaN, and no learning. Its own scaler stops halving once G's numbers fit. The sign is a scale below 1.
#
# ## 5. Adam's epsilon in half precision
#
# Adam divides by the root of its second moment plus 1e-8. Both are 0 in float16 for a gradient of 1e-4.


# %%
def adam(weights, lr):
    return torch.optim.Adam(weights, lr, foreach=False)


judge("Adam in half precision", lambda w, i: (1e-4 * w).sum(), dtype=torch.float16, optimiser=adam)

# %% [markdown]
# Neither the loss nor a gradient was ever wrong: the *optimiser* divided by 0. Keep weights and moments in float32.
#
# ## 6. A loss that is NaN while the weights are fine
#
# All labels of a batch are padding. The mean over no label is 0/0, and the gradient is 0: training goes on, and the log says NaN.

# %%
padding = torch.full((4,), -100)
judge("every label ignored", lambda w, i: nn.functional.cross_entropy(w * torch.ones(4, 3), padding))
logits = torch.ones(4, 3, requires_grad=True)
nn.functional.cross_entropy(logits, padding).backward()
print("largest gradient:", logits.grad.abs().max().item())

# %% [markdown]
# With gradient accumulation one empty micro-batch is enough, since the sum of all of them is NaN then:


# %%
def accumulated(w, i):
    masks = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    return sum((mask * (w - 2) ** 2).sum() / mask.sum() for mask in masks)


judge("an empty micro-batch", accumulated)

# %% [markdown]
# ## 7. A batch of one, a variance of 0
#
# The last batch of an epoch may hold one sample. And a feature that does not vary has a variance of 0.

# %%
judge("the std of a batch of one", lambda w, i: (w * torch.ones(1)).std())
judge("the root of a variance of 0", lambda w, i: (w * torch.ones(4)).var().sqrt())

# %% [markdown]
# ## 8. A constant column in the data
#
# A dead sensor, a pixel that is always black: standardising divides by its standard deviation. Drop the column, or bound the divisor.

# %%
data = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
data[:, 3] = 7.0
data = (data - data.mean(0)) / data.std(0)
judge("a constant column, standardised", lambda w, i: (w * data[20 * i : 20 * i + 20]).square().mean())
print("columns with a NaN:", data.isnan().any(0).nonzero().flatten().tolist())

# %% [markdown]
# ## 9. A `where` that does not protect
#
# Choose the log only where it is defined: the value is right, the gradient is not. The branch that was not chosen gets a gradient of 0, and multiplies it
# with the slope of the log at 0.

# %%
judge("log inside where", lambda w, i: torch.where(w > 1, torch.log(w - 1), w).sum())
judge("the same with two where", lambda w, i: torch.where(w > 1, torch.log(torch.where(w > 1, w - 1, 1.0)), w).sum())

# %% [markdown]
# ## 10. The log of a spectrum
#
# Silence has a spectrum of 0. Audio losses take its log.

# %%
window = torch.hann_window(16)
judge(
    "the log of a magnitude",
    lambda w, i: torch.stft(w * torch.zeros(64), 16, window=window, return_complex=True).abs().log().mean(),
)

# %% [markdown]
# ## 11. Spectral norm of a layer that starts at zero
#
# It divides the weights by their largest singular value. Start them elsewhere.

# %%
layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
nn.init.zeros_(layer.parametrizations.weight.original)
judge("spectral norm of zero weights", lambda w, i: layer(w * torch.ones(4, 3)).sum())

# %% [markdown]
# ## 12. A loss without a cliff still overflows
#
# LSGAN squares the logit: safe until the logit itself leaves all bounds.

# %%
judge("LSGAN at a huge logit", lambda w, i: ((2e19 * w - 1) ** 2).sum())

# %% [markdown]
# ## The catalogue

# %% tags=["hide-input"]
PLOT = {
    "a learning rate that is too high": "the gradient's norm, on a log axis",
    "the log of a saturated sigmoid": "the largest logit, against 16.64",
    "a square root at 0": "the smallest value under the root",
    "a root with the epsilon outside": "the smallest value under the root",
    "a loss under bfloat16 autocast": "the largest logit, against 6.24",
    "an overflow in float16": "the largest activation, against 65,504",
    "Adam in half precision": "the smallest second moment",
    "every label ignored": "the number of labels that count",
    "an empty micro-batch": "the sum of each mask",
    "the std of a batch of one": "the size of the last batch",
    "the root of a variance of 0": "the smallest variance",
    "a constant column, standardised": "each column's std, once, before training",
    "log inside where": "the smallest argument of the log",
    "the log of a magnitude": "the smallest magnitude",
    "spectral norm of zero weights": "the largest singular value",
    "LSGAN at a huge logit": "the largest logit",
}
rows = [
    (cause, verdict.operation, verdict.phase, PLOT[cause], verdict.advice.split("; notebook")[0])
    for cause, verdict in catalogue
]
pd.DataFrame(rows, columns=["cause", "operation", "phase", "plot this", "then"]).set_index("cause")

# %% [markdown]
# Operation, phase and advice are the guard's. Behind them stand four shapes:


# %% tags=["hide-input"]
# Four shapes, and which of them a verdict has
def shape(verdict):
    """Which of the four: what the backward pass made, a log, a number that grew; what is left divided by 0."""
    if verdict.phase == "backward":
        return "an infinite slope"
    return {"log": "a log of 0", "mean": "too large", "pow": "too large"}.get(verdict.operation, "a division by 0")


def draw_log(axes):
    x = torch.linspace(1e-4, 1, 500)
    axes.plot(x, x.log(), color="black")
    axes.annotate("-inf", (0, -9), (0.15, -7), arrowprops={"arrowstyle": "->"}, fontsize=11)
    axes.set(xlim=(-0.05, 1), ylim=(-9.5, 0.5), ylabel="log(x)")


def draw_slopes(axes):
    x = torch.linspace(0, 1, 500)
    axes.plot(x, x.sqrt(), color="black")
    for at in (0.5, 0.1, 0.01):
        axes.plot([at - 0.4, at + 0.4], [at**0.5 - 0.2 / at**0.5, at**0.5 + 0.2 / at**0.5], "--", color="0.5", linewidth=1)
    axes.plot([0, 0], [-0.3, 1.2], ":", color="black", linewidth=2)
    axes.annotate("slope inf", (0, 0.9), (0.35, 0.15), arrowprops={"arrowstyle": "->"}, fontsize=11)
    axes.set(xlim=(-0.2, 1), ylim=(-0.3, 1.2), ylabel="root of x, and its tangents")


# %% tags=["hide-input"]
def draw_quotients(axes):
    x = torch.linspace(1e-3, 1, 500)
    for above in (0.3, 0.1, 0.03, 0.01, 0.0):
        axes.plot(x, above / x, color="black", linewidth=1)
    axes.plot([0, 0], [0, 3], ":", color="black", linewidth=2)
    axes.annotate("inf; NaN for 0 / 0", (0, 1.5), (0.2, 2.5), arrowprops={"arrowstyle": "->"}, fontsize=11)
    axes.set(xlim=(-0.05, 1), ylim=(-0.1, 3), ylabel="c / x for five c, the last of them 0")


def draw_growth(axes):
    for dtype in (torch.float16, torch.float32):
        most = torch.finfo(dtype).max
        axes.axhline(most, color="black", linestyle="--", linewidth=1)
        axes.text(len(grown) - 1, most, f"{str(dtype)[6:]} ends at {most:.2g}", ha="right", va="bottom", fontsize=8)
    axes.plot(grown[:-1], "s-", color="#117733", markersize=3)
    axes.annotate("inf", (len(grown) - 1, 1e38), (12, 1e33), arrowprops={"arrowstyle": "->"}, fontsize=11)
    axes.set(yscale="log", ylim=(1, 1e43), ylabel="the loss of section 1, by iteration")


# %% tags=["hide-input"]
# The causes of the catalogue by the shape of what broke, as a figure
DRAW = {"a log of 0": draw_log, "an infinite slope": draw_slopes, "a division by 0": draw_quotients, "too large": draw_growth}
members = {name: [cause for cause, verdict in catalogue if shape(verdict) == name] for name in DRAW}
alt = "Four shapes behind the causes. " + "; ".join(f"{name}: {', '.join(causes)}" for name, causes in members.items())
picture = plots.Picture(alt=alt + ".", width=12, height=4.6)
for axes, (name, draw) in zip(picture.subplots(1, 4), DRAW.items(), strict=True):
    draw(axes)
    axes.set_title(name, fontsize=12, weight="bold")
    axes.tick_params(labelsize=8)
    axes.text(
        0, -0.14, "\n".join(members[name]) + "\n" * (6 - len(members[name])), transform=axes.transAxes, va="top", fontsize=9
    )
picture

# %% [markdown]
# *Below each its causes.* Bound what goes in: from below at a log, a root or a division, from above at a power.
#
# ## What does not help
#
# Clipping the gradient comes to mind first. It divides by the norm.

# %%
for gradient in ([math.inf, 1.0], [math.nan, 1.0]):
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor(gradient)
    nn.utils.clip_grad_norm_([parameter], max_norm=1.0)
    print(gradient, "becomes", parameter.grad.tolist())

# %% [markdown]
# Clipping is a remedy for large gradients. It spreads a NaN, and turns an infinity into one.
#
# ## Summary
# - A NaN has a phase: data, forward, backward or optimiser. Find the phase first, then the operation.
# - A finite loss proves little: several causes live in the backward pass or in the optimiser.
# - Each cause has a quantity to watch: plot that, not the loss.
# - Most fixes are one line, at the operation.
#
# ## Three questions
#
# **Predict.** A row of attention scores is masked everywhere with minus infinity. What does its softmax hold?
#
# <details><summary>A. Zeros</summary>
#
# The exp of minus infinity is 0. But a softmax divides by the sum of the row, and that is 0 too.
# </details>
# <details><summary>B. NaN</summary>
#
# Yes: 0 divided by 0. The infinity was meant; the row in which nothing is left was not.
# </details>
# <details><summary>C. Equal shares</summary>
#
# That is what a row of equal *finite* scores would give.
# </details>
#
# **Explain.** Why does `detect_anomaly` name the sigmoid in the table of messages, and the guard in section 2 the log?
#
# <details><summary>A. detect_anomaly is wrong</summary>
#
# It says truly which *backward* operation first returned NaN. It was handed an infinity, and does not say by whom.
# </details>
# <details><summary>B. The log made an infinity, the sigmoid turned it into NaN</summary>
#
# Yes: the slope of the sigmoid there is 0, and 0 times infinity is NaN.
# </details>
# <details><summary>C. The guard reports the last operation before the loss</summary>
#
# It reports the first one that makes something not finite out of finite numbers, wherever that stands.
# </details>
#
# **Transfer.** A loss is finite for 40,000 iterations and NaN at the next. The gradient's norm did not grow. What do you look at first?
#
# <details><summary>A. The learning rate</summary>
#
# Divergence shows in the norm for several iterations, as in section 1.
# </details>
# <details><summary>B. The batch, and the extreme values of what enters a log, a root or a division</summary>
#
# Yes: one sample out of the blue is the pattern of this series. Save the batch, and run it alone.
# </details>
# <details><summary>C. The optimiser's state</summary>
#
# It is NaN by now, as everything is. That says nothing about who was first.
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 9.1: cosine similarity** (5 minutes, easy). Write the cosine of the angle between `a` and `b` so that its value and its gradient stay finite when `a`
# is the zero vector. *Deliverable:* `cosine`, a function of two tensors. *Criterion:* right for ordinary vectors, finite at zero.
#
# <details><summary>Hint</summary>
#
# Section 3: where must the epsilon stand?
# </details>


# %% tags=["stub"]
def cosine(a, b):
    return ____


check("9.1", cosine)


# %% tags=["solution"]
def cosine(a, b):
    return (a * b).sum() / ((a.square().sum() + 1e-12) * (b.square().sum() + 1e-12)).sqrt()


check("9.1", cosine)

# %% [markdown]
# **Exercise 9.2: how fast is too fast** (10 minutes, medium). For the regression of section 1, find the largest learning rate at which it still converges.
# *Deliverable:* `limit`, a number. *Criterion:* within 2 %.
#
# <details><summary>Hint</summary>
#
# The loss is (w - 2)² times the mean of x². By which factor does one step multiply w - 2, and when is that factor between -1 and 1?
# </details>

# %% tags=["stub"]
limit = ____
check("9.2", limit)

# %% tags=["solution"]
limit = 1 / torch.linspace(-3, 3, 50).square().mean().item()
check("9.2", limit)

# %% [markdown]
# **Exercise 9.3: the cliff of a softmax** (10 minutes, medium). `-torch.log(torch.softmax(torch.tensor([0.0, x]), 0)[0])` is infinite for a large x.
# *Deliverable:* `softmax_cliff`, the smallest whole x at which it is, in float32. *Criterion:* the exact number.
#
# <details><summary>Hint</summary>
#
# Try all whole numbers in a loop. It is the other side of the cliff: the small probability must become 0.
# </details>

# %% tags=["stub"]
softmax_cliff = ____
check("9.3", softmax_cliff)


# %% tags=["solution"]
def minus_log(x):
    return -torch.log(torch.softmax(torch.tensor([0.0, float(x)]), 0)[0])


softmax_cliff = next(x for x in range(200) if minus_log(x).isinf())
check("9.3", softmax_cliff)

# %% [markdown]
# **Exercise 9.4: a masked mean** (5 minutes, easy). Repair section 6: a mean over a mask that is 0, not NaN, where the mask is empty. *Deliverable:*
# `masked_mean`, a function of values and mask. *Criterion:* the same as before where the mask holds something; value and gradient finite where it does not.
#
# <details><summary>Hint</summary>
#
# `Tensor.clamp` bounds a divisor from below.
# </details>


# %% tags=["stub"]
def masked_mean(values, mask):
    return ____


check("9.4", masked_mean)


# %% tags=["solution"]
def masked_mean(values, mask):
    return (mask * values).sum() / mask.sum().clamp(min=1)


check("9.4", masked_mean)

# %% [markdown]
# ## References
# - I. Gulrajani et al., "Improved training of Wasserstein GANs", [arXiv 1704.00028](https://arxiv.org/abs/1704.00028): the gradient penalty.
# - R. Zhang et al., [arXiv 1801.03924](https://arxiv.org/abs/1801.03924): features divided by their length.
# - P. Micikevicius et al., "Mixed precision training", [arXiv 1710.03740](https://arxiv.org/abs/1710.03740): loss scales and float32 state.
# - T. Miyato et al., "Spectral normalization for generative adversarial networks", [arXiv 1802.05957](https://arxiv.org/abs/1802.05957).
# - X. Mao et al., LSGAN, [arXiv 1611.04076](https://arxiv.org/abs/1611.04076).
