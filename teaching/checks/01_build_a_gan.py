"""What is right and what is wrong because of what, in the exercises of notebook 01."""

import math

import torch

from utils.exercises import Exercise, Mistake, near

RARE = math.erfc(3 / math.sqrt(2))  # the chance that one normal number lies beyond 3
WEIGHTS_G, WEIGHTS_D = 512 + 512 + 512 * 64 + 64, 64 * 2048 + 2048 + 2048 + 1


def same(other):
    """A test: does a function of real and generated logits give what `other` gives, for three batches?"""
    random = torch.Generator().manual_seed(1)
    batches = [(3 * torch.randn(8, generator=random) + 1, 3 * torch.randn(8, generator=random) - shift) for shift in (0, 1, 2)]
    return lambda answer: all(abs(float(answer(*batch)) - float(other(*batch))) < 1e-4 for batch in batches)


def right_score(real, fake):
    return (torch.sigmoid(real).mean() + 1 - torch.sigmoid(fake).mean()) / 2


def of_real_alone(real, fake):
    return torch.sigmoid(real).mean()


def share_called_real(real, fake):
    return (torch.sigmoid(real).mean() + torch.sigmoid(fake).mean()) / 2


def sigmoid_of_means(real, fake):
    return (torch.sigmoid(real.mean()) + 1 - torch.sigmoid(fake.mean())) / 2


EXERCISES = {
    "1.1": Exercise(
        right=near((16 - math.log(2)) / 64, 0.002),
        notice="a quarter of a unit: a mean can hide a sample that D is certain about.",
        mistakes=[
            Mistake.near(16 / 64, "that forgets that this sample, too, cost log 2 before"),
            Mistake.near(16.0, "that is the sample's own cost; the loss is a mean over 64", by=0.7),
            Mistake.near(0.9323, "that is the generated half afterwards; the question asks how much it rises"),
            Mistake.near(1.6255, "that is the loss afterwards; the question asks how much it rises"),
        ],
    ),
    "1.2": Exercise(
        right=near(1 / (1 - (1 - RARE) ** 64), 0.1),
        notice="every sixth batch or so holds a latent from where G is hardly trained.",
        mistakes=[
            Mistake.near(0.159, "that is the chance of one iteration; the wait is its inverse"),
            Mistake.near(1 / RARE, "that is how many draws it takes; an iteration makes 64"),
            Mistake.near(1 / RARE / 64, "that counts a batch with two outliers twice"),
            Mistake.near(1 / (1 - (1 - RARE / 2) ** 64), "that is one side only; |z| > 3 also means z < -3"),
        ],
    ),
    "1.3": Exercise(
        right=same(right_score),
        notice="it is 0.5 for a D that guesses, and it says nothing about any single sample.",
        mistakes=[
            Mistake(of_real_alone, same(of_real_alone), "that leaves out the generated half"),
            Mistake(share_called_real, same(share_called_real), "for a generated sample D is right when its score is low"),
            Mistake(sigmoid_of_means, same(sigmoid_of_means), "the sigmoid comes first, then the mean; they do not commute"),
        ],
    ),
    "1.4": Exercise(
        right=near(WEIGHTS_G + WEIGHTS_D, 0),
        notice="four fifths of them are D's. A very wide D is one of the settings that later notebooks change.",
        mistakes=[
            Mistake.near(512 + 512 * 64 + 64 * 2048 + 2048, "the biases are missing", by=0),
            Mistake.near(WEIGHTS_D, "that is D alone", by=0),
            Mistake.near(WEIGHTS_G, "that is G alone", by=0),
        ],
    ),
}
