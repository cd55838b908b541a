"""The exercises of notebook 06: what is right, and what the usual mistakes are."""

import math

import torch

from utils.exercises import Exercise, Mistake, near
from utils.hazard import cliffs

CLIFF = cliffs(torch.float32)[1]
CHANCE = 1 - 0.05 ** (1 / 5)


def value_and_slope(loss, logit):
    x = torch.tensor([float(logit)], requires_grad=True)
    value = loss(x)
    value.backward()
    return value.item(), x.grad.item()


def right_at(loss, logit):
    exact = max(logit, 0) + math.log1p(math.exp(-abs(logit)))
    return all(abs(one - other) < 1e-4 for one, other in zip(value_and_slope(loss, logit), (exact, 1 / (1 + math.exp(-logit)))))


def over_the_score(logits):
    return -torch.log(1 - torch.sigmoid(logits)).mean()


def summed(logits):
    return (logits.clamp(min=0) + torch.log(1 + torch.exp(-logits.abs()))).sum()


def naive_softplus(logits):
    return torch.log(1 + torch.exp(logits)).mean()


EXERCISES = {
    "6.1": Exercise(
        right=near(-28.32, by=0.1),
        notice="it is log(0.5e-12): BCELoss divides by score times (1 - score), or by 1e-12 if that is more.",
        mistakes=[
            Mistake.near(-100.0, "that is where its *value* reaches the ceiling. The slope is gone long before."),
            Mistake.near(-27.63, "from there on the slope falls; half of it is left lower."),
            Mistake.near(CLIFF, "that is D's cut. G's lies on the other side."),
            Mistake.near(28.32, "the size is right. A sample that G should pull up has a negative logit."),
        ],
    ),
    "6.2": Exercise(
        right=near(CLIFF, by=0.05),
        notice="D's cut does not depend on the epsilon at all: 1 - score is 0 from the cliff on, whatever is added to it.",
        mistakes=[
            Mistake(
                30 * math.log(10),
                lambda cut: abs(abs(cut) - 30 * math.log(10)) < 0.5,
                "that is where *G's* slope ends, with the opposite sign: where the score is as small as the epsilon.",
            ),
            Mistake.near(-16.64, "a fake that D takes for real has a positive logit."),
            Mistake.near(17, "near, but not within 0.05: notebook 04 has the formula.", by=0.5),
            Mistake.near(36.74, "that is the cliff of float64. The score was rounded in float32."),
        ],
    ),
    "6.3": Exercise(
        right=lambda loss: (
            all(right_at(loss, logit) for logit in (-200, 2, 200))
            and abs(float(loss(torch.tensor([0.0, 200.0]))) - 100.3466) < 1e-2
        ),
        notice="exp is only ever taken of a number that is not positive, so nothing can overflow.",
        mistakes=[
            Mistake(
                over_the_score,
                lambda loss: math.isinf(value_and_slope(loss, 20)[0]),
                "it is infinite at a logit of 20: the score is rounded to 1 on the way.",
            ),
            Mistake(
                naive_softplus,
                lambda loss: math.isinf(value_and_slope(loss, 200)[0]),
                "exp(200) is too large for float32. Take exp of minus the size of the logit.",
            ),
            Mistake(
                summed,
                lambda loss: right_at(loss, 2) and abs(float(loss(torch.tensor([0.0, 200.0]))) - 200.6931) < 1e-2,
                "it is right for one logit. Of a batch it is the sum; asked is the mean.",
            ),
            Mistake(
                lambda x: x.clamp(min=0) + torch.log(1 + torch.exp(-x.abs())),
                lambda loss: loss(torch.zeros(2)).numel() == 2,
                "it returns a loss for each logit; asked is their mean, one number.",
            ),
            Mistake(
                lambda x: x.clamp(min=0).mean(),
                lambda loss: not right_at(loss, 2),
                "at a logit of 2 the loss is 2.13 and its slope 0.88.",
            ),
        ],
    ),
    "6.4": Exercise(
        right=near(CHANCE, by=0.01),
        notice="nearly one in two. Five runs prove little, and it is the arithmetic that carries such a verdict.",
        mistakes=[
            Mistake.near(0.01, "1/20 divided by 5 is something else. Solve (1 - p) to the power of 5 = 0.05.", by=0.005),
            Mistake.near(45, "that is per cent: a chance goes from 0 to 1."),
            Mistake.near(1 - CHANCE, "that is the chance to come through. The chance of a NaN is 1 minus it."),
            Mistake.near(
                0.05, "with a chance of 1 in 20, five clean runs in a row happen in 77 of 100 tries: no surprise at all."
            ),
        ],
    ),
}
