# %% [markdown]
# # 01 Build a GAN
#
# After this notebook you will be able to
# - write a generator, a discriminator, their losses and the training loop;
# - read the two pairs of curves that a GAN shows while it trains: scores and losses;
# - draw everything a generator can draw in one picture, its atlas.
#
# **Time:** 1 minute to run, 29 to read. **Prerequisites:** notebook 00; you have trained some neural network before.

# %% tags=["setup"]
import math

import numpy as np
import torch
from torch import nn

from utils import plots
from utils.data import pulses
from utils.exercises import ____, check, guess, outcome
from utils.plots import DISCRIMINATOR_COLOUR, GENERATOR_COLOUR, Picture
from utils.trace import ATLAS_Z
from utils.training import GAN, Recipe, train

torch.set_num_threads(1)  # as utils does: two threads may round a sum another way, and below every bit counts

# %% [markdown]
# ## The data: pulses in millivolts
#
# The post's data are confidential, so we make our own: pulses that ring and die away, like those of a struck bell or an ultrasonic probe. Each has
# its own frequency, phase, amplitude and decay. An instrument records 64 values of each, in millivolts, with noise.

# %%
random = torch.Generator().manual_seed(2024)


def uniform(low, high):
    return low + (high - low) * torch.rand(20_000, 1, generator=random)


# %%
t = torch.arange(64) / 64
frequency, phase = uniform(2, 8), uniform(0, 2 * math.pi)
amplitude, decay = uniform(0.5, 1), uniform(0, 3)
pulse = amplitude * torch.sin(2 * math.pi * frequency * t + phase) * torch.exp(-decay * t)
data = 20 * (pulse + 0.2 * torch.randn(20_000, 64, generator=random))

# %%
print(f"without noise: at most {20 * pulse.abs().max():.1f} mV")
print(
    f"as recorded: {data.min():.0f} to {data.max():.0f} mV; {(data.abs() > 20).float().mean():.1%} of the values exceed 20 mV"
)
plots.samples({"real": data[:6].numpy()}, "pulses")

# %% [markdown]
# *Six recordings.* Grey is real, blue will be generated. A pulse without its noise stays within 20 mV. We call 20 mV the **full scale**: it is a unit for sizes, and the noise may exceed it.
# The networks get these millivolts as they are. Many textbooks would divide by the standard deviation first; many first scripts do not.
#
# ## Two networks
#
# The generator G turns a random number z, the *latent*, into a pulse. The discriminator D turns a pulse into one number, the *logit*: positive
# means "looks real". The sigmoid of the logit, 1 / (1 + exp(−logit)), is the *score* of that pulse, between 0 and 1. We write D(x) for the score of a
# real pulse x, and D(G(z)) for that of a generated one. Both losses are made of scores.

# %% tags=["hide-input"]
# The game as a diagram
alt = "z goes into G, its pulse into D, D's logit through a sigmoid into both losses. Dashed: the gradients' way back."
picture = Picture(alt=alt, height=3.4)
axes = picture.subplots()
axes.set(xlim=(0, 100), ylim=(3, 37))
axes.axis("off")
BLUE, ORANGE, GREY = GENERATOR_COLOUR, DISCRIMINATOR_COLOUR, "0.35"
places = {"latent $z$": (5, 24, GREY), " G ": (17, 24, BLUE), "generated\npulse $G(z)$": (31, 24, GREY)}
places |= {
    "real\npulse $x$": (31, 10, GREY),
    " D ": (45, 17, ORANGE),
    "logit": (55, 17, GREY),
    "score\n(sigmoid)": (67, 17, GREY),
}
places |= {"G's loss\n$-\\log D(G(z))$": (90, 25, BLUE), "D's loss\n$-\\log D(x)$\n$-\\log(1-D(G(z)))$": (90, 8, ORANGE)}
boxes = []
for text, (x, y, colour) in places.items():
    box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colour, "linewidth": 2}
    boxes.append(axes.text(x, y, text, ha="center", va="center", fontsize=12, bbox=box))
z, g, fake, real, d, logit, score, loss_of_g, loss_of_d = boxes


def arrow(start, end, colour=GREY, **style):
    shape = {"arrowstyle": "-|>", "color": colour, "patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    axes.annotate("", end.get_position(), start.get_position(), arrowprops=shape | {"shrinkA": 1, "shrinkB": 1} | style)


for start, end in [(z, g), (g, fake), (fake, d), (real, d), (d, logit), (logit, score), (score, loss_of_g), (score, loss_of_d)]:
    arrow(start, end)
arrow(loss_of_g, g, BLUE, linestyle="--", connectionstyle="arc3,rad=0.32")
arrow(loss_of_d, d, ORANGE, linestyle="--", connectionstyle="arc3,rad=-0.25")
axes.text(52, 34.5, "gradient of G's loss", color=BLUE, ha="center", fontsize=10, backgroundcolor="white")
axes.text(60, 5, "gradient of D's loss", color=ORANGE, ha="center", fontsize=10, backgroundcolor="white")
picture

# %% [markdown]
# *Solid: from numbers to losses. Dashed: each network learns from its own loss.* G sees no real pulse. All it learns comes back through D. The same
# D judges both kinds of pulse.
#
# Both networks have one hidden layer and PyTorch's usual initial weights. We draw these weights by hand, so that one random generator serves the whole run.

# %%
random = torch.Generator().manual_seed(0)


def linear(inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    for weights in layer.parameters():
        nn.init.uniform_(weights, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=random)
    return layer


# %%
network_g = nn.Sequential(linear(1, 512), nn.ReLU(), linear(512, 64))
network_d = nn.Sequential(linear(64, 2048), nn.LeakyReLU(0.2), linear(2048, 1))


# %%
def G(z):
    return 20 * network_g(z)  # in full scales, then in millivolts


def D(x):
    return network_d(x).squeeze(1)


# %% [markdown]
# ## The losses, as MATLAB's example writes them
#
# D wants high scores for real pulses x and low ones for generated pulses G(z). G wants the opposite for its own:
#
# $$L_D = -\operatorname{mean}\log D(x) - \operatorname{mean}\log(1 - D(G(z))) \qquad L_G = -\operatorname{mean}\log D(G(z))$$
#
# The code is this formula, term by term.


# %%
def losses(real_logits, fake_logits):
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    loss_d = -torch.log(real).mean() - torch.log(1 - fake).mean()
    loss_g = -torch.log(fake).mean()
    return loss_d, loss_g


# %% [markdown]
# **Predict:** D cannot tell real from generated at all, so each score is 0.5. What is D's loss?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# 2 log 2, about 1.39: log 2 for the real half and log 2 for the generated half.
#
# </details>

# %%
guess("01.draw", "D's loss when every score is 0.5")

# %%
loss_d, loss_g = losses(torch.zeros(64), torch.zeros(64))  # a logit of 0 is a score of 0.5
print(f"G's loss {loss_g:.3f}")
outcome("01.draw", loss_d.item())

# %% [markdown]
# The losses are 2 log 2 = 1.386 and log 2 = 0.693. The published run at 1e-3 starts close to them, at 1.368 and 0.707 (`data/published.csv`). Their unit is the *nat*, as the logarithm is the natural one.
#
# ## The loop
#
# One iteration takes a batch of 64 real pulses and 64 latents. One forward pass gives both losses. Then each network moves by the gradient of its own loss, both at the
# same time. The optimiser is Adam, with the betas of MATLAB's example.

# %%
adam = {"lr": 1e-4, "betas": (0.5, 0.999), "fused": True}  # fused, as utils has it: one pass over the weights, faster
optimiser_g = torch.optim.Adam(network_g.parameters(), **adam)
optimiser_d = torch.optim.Adam(network_d.parameters(), **adam)


# %%
def move(network, optimiser, gradients):
    for weights, gradient in zip(network.parameters(), gradients):
        weights.grad = gradient
    optimiser.step()


# %%
def iteration():
    real = data[torch.randint(len(data), (64,), generator=random)]
    real_logits, fake_logits = D(real), D(G(torch.randn(64, 1, generator=random)))
    loss_d, loss_g = losses(real_logits, fake_logits)
    gradients_d = torch.autograd.grad(loss_d, network_d.parameters(), retain_graph=True)
    gradients_g = torch.autograd.grad(loss_g, network_g.parameters())
    move(network_d, optimiser_d, gradients_d)
    move(network_g, optimiser_g, gradients_g)
    score_g = torch.sigmoid(fake_logits).mean()
    score_d = (torch.sigmoid(real_logits).mean() + 1 - score_g) / 2
    return [number.item() for number in (loss_g, loss_d, score_g, score_d)]


# %%
history = np.array([iteration() for _ in range(50)], dtype=np.float32)

# %% [markdown]
# ## Scores and losses
#
# MATLAB's example draws two panels while it trains, and so does the post. Both show means over the batch. **G's score** is the mean of D(G(z)). **D's score** is
# (mean D(x) + 1 − mean D(G(z))) / 2: it is 1 when D is always right and sure of it.

# %% tags=["hide-input"]
# Scores and losses of the 50 iterations
picture = Picture(alt="First 50 iterations: G's score falls and its loss rises, then both turn; D's do the opposite.")
for axes, name, columns in zip(picture.subplots(1, 2), ("score", "loss"), ((2, 3), (0, 1))):
    axes.plot(range(1, 51), history[:, columns[0]], "-", color=GENERATOR_COLOUR, label="generator")
    axes.plot(range(1, 51), history[:, columns[1]], "--", color=DISCRIMINATOR_COLOUR, label="discriminator")
    axes.set(xlabel="iteration", ylabel=name, title=f"50 iterations at 1e-4: {name}")
axes.legend()
picture

# %% [markdown]
# *Left: scores. Right: losses.* When G's score falls, its loss rises: both are made of the same D(G(z)). Our run starts less evenly than the published one,
# with G's score above 0.7. Each point is a mean over 64 pulses. What one pulse does, a mean can hide.
#
# ## The same from `utils`
#
# The other notebooks import these pieces. `Recipe` holds the settings. `train` runs the loop and returns a `Trace`, which is all that was recorded. The next cell
# compares both loops, bit by bit.

# %%
trace = train(Recipe(lr=1e-4), iterations=50, seed=0)
assert torch.equal(data, pulses().samples)
for column, quantity in enumerate(("loss_g", "loss_d", "score_g", "score_d")):
    assert np.array_equal(history[:, column], trace.values[quantity]), quantity
print("20,000 recordings and 50 iterations of four curves: equal to the last bit")

# %% [markdown]
# ## The atlas of G
#
# The latent is one number, so everything that G can draw fits into one picture: z across (from −6 to 6), time upwards, millivolts as colour. Each column is one pulse.
#
# **Predict:** after 2,000 iterations, where does G draw its loudest pulse?
#
# <details><summary>Answer, if you have no kernel</summary>
#
# Far from 0. Few latents fall there, so G is seldom corrected there.
#
# </details>

# %%
guess("01.loud", "the loudest pulse lies", choices=["near z = 0", "between |z| = 1 and 3", "beyond |z| = 3"])

# %%
gan = GAN(Recipe(lr=1e-4), seed=0)
trace = train(gan, iterations=2000, atlas_at=[1, 300])
plots.atlas(trace, at=(0, 1, 2))

# %%
print(f"beyond |z| = 3: one draw in {1 / math.erfc(3 / math.sqrt(2)):.0f}")
loudest = abs(ATLAS_Z[np.abs(trace.atlas["image"][-1]).max(axis=1).argmax()])
outcome("01.loud", "near z = 0" if loudest < 1 else "between |z| = 1 and 3" if loudest <= 3 else "beyond |z| = 3")

# %% [markdown]
# *Above: what G draws at each z, at iterations 1, 300 and 2,000. Below: D's logit for it; the black dots are the 64 draws of the last batch.* They lie in the
# middle, for a normal random number lies beyond 3 once in 370 draws. At the edges G is seldom trained. A ReLU network goes on in straight lines there (notebook
# 04 draws one), so its pulses grow loud.

# %%
z = torch.tensor([[-4.0], [-2.0], [-0.5], [0.5], [2.0], [4.0]])
plots.samples({"real": data[:6].numpy(), "generated": gan.sample(z)[0].numpy()}, "pulses")

# %% [markdown]
# *Above: real pulses. Below: generated ones at z = −4, −2, −0.5, 0.5, 2 and 4.* In the middle they have about the right size. The outer ones leave the frame. This
# GAN is trained without any of the usual remedies, and the question is how that ends.
#
# ## Summary
# - A GAN is two networks and two losses; in each iteration both networks move.
# - The losses are logs of a sigmoid, as in MATLAB's example. The data are raw millivolts.
# - Scores and losses are means over 64 samples. What one sample does, a mean can hide.
# - The atlas shows everything that this G can draw, and how D judges it.

# %% [markdown]
# ## Three questions
#
# **Predict.** D becomes perfect: its score is near 1 for real pulses and near 0 for generated ones. What happens to G's loss, −mean log D(G(z))?
#
# <details><summary>A. It goes to 0</summary>
#
# Then G would be content. But D(G(z)) near 0 has a large negative log.
#
# </details>
# <details><summary>B. It grows</summary>
#
# Yes: −log of a number near 0 is large. D's loss goes to 0 at the same time.
#
# </details>
# <details><summary>C. It goes to log 2</summary>
#
# That is the value when D guesses and every score is 0.5.
#
# </details>
#
# **Explain.** Why are both gradients taken before either network moves?
#
# <details><summary>A. Because PyTorch cannot move two networks one after the other</summary>
#
# It can. Many GANs are trained that way; in `utils` it is `Recipe(alternating=True)`.
#
# </details>
# <details><summary>B. So that both learn from the same forward pass, as in MATLAB's example</summary>
#
# Yes: neither network sees the other's next move. This is called a simultaneous update.
#
# </details>
# <details><summary>C. Because D's loss needs G's new weights</summary>
#
# D's loss was computed from the pulses that the old weights drew.
#
# </details>
#
# **Transfer.** You train a GAN on images with 100 latent numbers. Can you draw its atlas?
#
# <details><summary>A. Yes, exactly as here</summary>
#
# Here z is one number, and the picture shows all of its values. A hundred numbers do not fit on one axis.
#
# </details>
# <details><summary>B. No: with more than one number there is nothing to see</summary>
#
# A part can be seen: fix a direction and move along it.
#
# </details>
# <details><summary>C. Along one line through the latent space, but not as a whole</summary>
#
# Yes: `gan.atlas(direction)` does that. What lies beside the line stays unseen.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **Exercise 1.1: one loud sample** (3 minutes, easy). One generated pulse of 64 has logit 16, the other 63 have logit 0. By how much does that one
# raise D's loss, compared with 64 logits of 0? *Deliverable:* `rise`, a number. *Criterion:* within 0.002.
#
# <details><summary>Hint</summary>
#
# Only the generated half changes: −mean log(1 − sigmoid(logit)).
#
# </details>

# %% tags=["stub"]
rise = ____
check("1.1", rise)

# %% tags=["solution"]
quiet = torch.zeros(64)
loud = quiet.clone()
loud[0] = 16
before, after = (-torch.log(1 - torch.sigmoid(logits)).mean() for logits in (quiet, loud))
rise = (after - before).item()
check("1.1", rise)

# %% [markdown]
# **Exercise 1.2: how rare is an outlier?** (5 minutes, medium). Each iteration draws 64 latents. How many iterations does it take on average until one of
# them lies beyond |z| = 3? *Deliverable:* `wait`, a number. *Criterion:* within 0.1.
#
# <details><summary>Hint</summary>
#
# `math.erfc(3 / math.sqrt(2))` is the chance of one draw. First find the chance that none of 64 is out there.
#
# </details>

# %% tags=["stub"]
wait = ____
check("1.2", wait)

# %% tags=["solution"]
chance = math.erfc(3 / math.sqrt(2))
wait = 1 / (1 - (1 - chance) ** 64)
check("1.2", wait)

# %% [markdown]
# **Exercise 1.3: D's score** (5 minutes, medium). Write the score of the discriminator as MATLAB defines it. *Deliverable:* `score_of_d`, a function of two
# tensors of logits. *Criterion:* right for three batches that you do not see.
#
# <details><summary>Hint</summary>
#
# The formula stands above the panels of scores and losses. First the sigmoid, then the mean.
#
# </details>


# %% tags=["stub"]
def score_of_d(real_logits, fake_logits):
    return ____


check("1.3", score_of_d)


# %% tags=["solution"]
def score_of_d(real_logits, fake_logits):
    return (torch.sigmoid(real_logits).mean() + (1 - torch.sigmoid(fake_logits)).mean()) / 2


check("1.3", score_of_d)

# %% [markdown]
# **Exercise 1.4: how much moves?** (2 minutes, easy). How many numbers, biases included, does one iteration change in G and D together?
# *Deliverable:* `weights`, a number. *Criterion:* exact.
#
# <details><summary>Hint</summary>
#
# A layer from m to n numbers has m × n weights and n biases. Or let PyTorch count: `network_g.parameters()`.
#
# </details>

# %% tags=["stub"]
weights = ____
check("1.4", weights)

# %% tags=["solution"]
weights = (512 + 512 + 512 * 64 + 64) + (64 * 2048 + 2048 + 2048 + 1)
check("1.4", weights)

# %% [markdown]
# ## References
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661.
# - MathWorks, "Train Generative Adversarial Network (GAN)", Deep Learning Toolbox documentation.
# - D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980.
