# %% [markdown]
# # 01 Build a GAN
#
# After this notebook you will be able to
# - write a generator, a discriminator, their losses and the training loop, in about 30 lines;
# - read the two pairs of curves that every GAN user stares at: scores and losses;
# - draw everything a generator can draw in one picture, its atlas.
#
# **Time:** 1 minute to run, 30 to read. **Prerequisites:** notebook 00; you have trained some neural network before.

# %% tags=["setup"]
import math

import numpy as np
import torch
from torch import nn

from utils import plots
from utils.data import pulses
from utils.plots import DISCRIMINATOR_COLOUR, GENERATOR_COLOUR, Picture
from utils.training import GAN, Recipe, train

torch.set_num_threads(1)  # as utils does while it trains: two threads may round a sum another way, and below every bit counts

# %% [markdown]
# ## The data: something an instrument would record
#
# The post's data are confidential. Ours are pulses that ring and die away, as a struck bell, a switched circuit or an ultrasonic probe gives them.
# Each has its own frequency, phase, amplitude and decay, and some noise. The instrument reports millivolts, at 64 instants.

# %%
random = torch.Generator().manual_seed(2024)


def uniform(low, high):
    return low + (high - low) * torch.rand(20_000, 1, generator=random)


t = torch.arange(64) / 64
frequency, phase = uniform(2, 8), uniform(0, 2 * math.pi)
amplitude, decay = uniform(0.5, 1), uniform(0, 3)
pulse = amplitude * torch.sin(2 * math.pi * frequency * t + phase) * torch.exp(-decay * t)
data = 20 * (pulse + 0.2 * torch.randn(20_000, 64, generator=random))
print(f"{data.shape[0]:,} recordings of {data.shape[1]} values")
print(f"from {data.min():.0f} to {data.max():.0f} mV, sd {data.std():.1f} mV")

# %%
plots.samples({"real": data[:6].numpy()}, "pulses")

# %% [markdown]
# Six recordings, in millivolts. We feed them to the networks exactly so. Most textbooks would first divide by the
# standard deviation; most first scripts do not. Remember that we did not.
#
# ## Two networks
#
# The generator G turns a random number z, the latent, into a pulse. The discriminator D looks at a pulse and gives one number, the logit:
# positive means "real". Both have one hidden layer and PyTorch's usual initial weights; here the weights are drawn by hand, so that one
# random generator serves the whole run.

# %%
random = torch.Generator().manual_seed(0)


def linear(inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    for weights in layer.parameters():
        nn.init.uniform_(weights, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=random)
    return layer


network_g = nn.Sequential(linear(1, 512), nn.ReLU(), linear(512, 64))
network_d = nn.Sequential(linear(64, 2048), nn.LeakyReLU(0.2), linear(2048, 1))


def G(z):
    return 20 * network_g(z)  # 20 mV is the full scale of the instrument


def D(x):
    return network_d(x).squeeze(1)

# %% [markdown]
# ## The losses, as MATLAB's example writes them
#
# D's **score** for a sample is the sigmoid of its logit: D's estimate of the chance that the sample is real. D wants high scores
# for real samples and low ones for generated samples, G wants D to be wrong:
#
# $$L_D = -\operatorname{mean}\log D(x) - \operatorname{mean}\log(1 - D(G(z))) \qquad L_G = -\operatorname{mean}\log D(G(z))$$
#
# The code is the formula, character by character. That is how MathWorks' example has it, and many others.

# %%
def losses(real_logits, fake_logits):
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    loss_d = -torch.log(real).mean() - torch.log(1 - fake).mean()
    loss_g = -torch.log(fake).mean()
    return loss_d, loss_g


losses(D(data[:64]), D(G(torch.zeros(64, 1))))

# %% [markdown]
# **Predict:** if D cannot tell real from generated at all, every score is 0.5. What are the two losses then?

# %%
losses(torch.zeros(64), torch.zeros(64))

# %% [markdown]
# $2\log 2 \approx 1.39$ and $\log 2 \approx 0.69$: the values at which an ideal game would end. The published run starts there (1.368 and 0.707).
#
# ## The loop
#
# One iteration: a batch of real pulses, as many latents, one forward pass, and both networks move by their own gradient, at the same time.
# The optimiser is Adam with the settings of MATLAB's example.

# %%
adam = {"lr": 1e-4, "betas": (0.5, 0.999), "fused": True}  # fused: the same arithmetic in one pass, faster
optimiser_g, optimiser_d = torch.optim.Adam(network_g.parameters(), **adam), torch.optim.Adam(network_d.parameters(), **adam)
history = []
for _ in range(50):
    real = data[torch.randint(len(data), (64,), generator=random)]
    z = torch.randn(64, 1, generator=random)
    real_logits, fake_logits = D(real), D(G(z))
    loss_d, loss_g = losses(real_logits, fake_logits)
    gradients_d = torch.autograd.grad(loss_d, network_d.parameters(), retain_graph=True)
    gradients_g = torch.autograd.grad(loss_g, network_g.parameters())
    for network, gradients, optimiser in ((network_d, gradients_d, optimiser_d), (network_g, gradients_g, optimiser_g)):
        for weights, gradient in zip(network.parameters(), gradients):
            weights.grad = gradient
        optimiser.step()
    score_g = torch.sigmoid(fake_logits).mean()
    score_d = (torch.sigmoid(real_logits).mean() + 1 - score_g) / 2
    history.append([number.item() for number in (loss_g, loss_d, score_g, score_d)])
history = np.array(history, dtype=np.float32)

# %% [markdown]
# ## Scores against losses
#
# MATLAB's example draws two panels while it trains, and so does the post. G's score is the mean of D(G(z)); D's score is
# the share of confidence that goes the right way, (mean D(x) + 1 − mean D(G(z))) / 2. A score of 0.5 for both means that D is guessing.

# %%
picture = Picture(alt="Scores and losses of the first 50 iterations of the loop above.")
for axes, name, columns in zip(picture.subplots(1, 2), ("score", "loss"), ((2, 3), (0, 1))):
    axes.plot(range(1, 51), history[:, columns[0]], "-", color=GENERATOR_COLOUR, label="generator")
    axes.plot(range(1, 51), history[:, columns[1]], "--", color=DISCRIMINATOR_COLOUR, label="discriminator")
    axes.set(xlabel="iteration", ylabel=name)
axes.legend()
picture

# %% [markdown]
# The curves show the two networks pulling at each other: when D's score rises, G's loss does too. They are means over 64 samples. What a single
# sample does they cannot show.
#
# ## The same from `utils`
#
# The other notebooks do not repeat these cells; they import them. `Recipe` names the settings, `train` runs the loop above and returns
# what it recorded, a `Trace`. Is it really the same? The next cell does not say "nearly": it demands every bit.

# %%
trace = train(Recipe(lr=1e-4), iterations=50, seed=0)
assert torch.equal(data, pulses().samples)
for column, quantity in enumerate(("loss_g", "loss_d", "score_g", "score_d")):
    assert np.array_equal(history[:, column], trace.values[quantity]), quantity
print("the 20,000 recordings and 50 iterations of four curves: equal to the last bit")

# %% [markdown]
# ## The atlas of G
#
# The latent of this GAN is one number. So everything G can draw fits into one picture: z runs across, time runs up, colour is millivolts. One
# column is one pulse. Below it, the logit that D gives to that pulse. **Predict:** how will the picture change with training?

# %%
gan = GAN(Recipe(lr=1e-4), seed=0)
trace = train(gan, iterations=2000, atlas_at=[1, 300])
plots.atlas(trace, at=(0, 1, 2))

# %% [markdown]
# At iteration 1 G draws streaks without meaning. Later the columns near z = 0, where most draws fall, have the size of real pulses. Look at the
# edges: beyond |z| = 3 a standard normal number falls about once in 370 draws, so G is seldom corrected there. A ReLU network goes
# on in a straight line where it was not trained, and so the pulses at the edges grow loud. The dots are the 64 draws of the last batch.

# %%
z = torch.tensor([[-4.0], [-2.0], [-0.5], [0.5], [2.0], [4.0]])
plots.samples({"real": data[:6].numpy(), "generated,\nz = -4 ... 4": gan.sample(z)[0].numpy()}, "pulses")

# %% [markdown]
# Real pulses above, generated ones below, from z = −4 on the left to z = 4 on the right. This G is no masterpiece, and need not be: it is trained
# the way the post's was, and the question is what happens next.
#
# ## Summary
# - A GAN is two networks, two losses and a loop in which both move at once.
# - The losses here are the log of a sigmoid, written as in MATLAB's example, and the data are in millivolts.
# - Scores and losses are means over the batch; a single sample among 64 moves them by little.
# - The atlas shows everything this G can draw, and how D judges it.

# %% [markdown]
# ## Exercises
#
# **Exercise 1** (3 minutes, easy). One generated sample out of 64 has logit 16, the other 63 have logit 0. By how much does it move D's loss?

# %% tags=["solution"]
quiet = torch.zeros(64)
loud = quiet.clone()
loud[0] = 16
before = torch.nn.functional.softplus(quiet).mean()
after = torch.nn.functional.softplus(loud).mean()
print(f"the generated half of D's loss goes from {before:.3f} to {after:.3f}: by {after - before:.3f}")

# %% [markdown]
# **Exercise 2** (5 minutes, medium). How rare is |z| > 3, and how rare is |z| > 4? How many iterations with 64 draws does the first of each take, on average?

# %% tags=["solution"]
for edge in (3, 4):
    chance = math.erfc(edge / math.sqrt(2))
    print(f"|z| > {edge}: one draw in {1 / chance:,.0f}, one iteration in {1 / (1 - (1 - chance) ** 64):,.0f}")

# %% [markdown]
# ## References
# - I. Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661.
# - MathWorks, "Train Generative Adversarial Network (GAN)", Deep Learning Toolbox documentation.
# - D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980.
