"""The exercises of notebook 09: what is right, and what the usual mistakes are."""

import torch

from utils.exercises import Exercise, Mistake, near

A, B = torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0])
LIMIT = 1 / torch.linspace(-3, 3, 50).square().mean().item()


def at_zero(cosine):
    """Are value and gradient finite for a zero vector?"""
    a = torch.zeros(2, requires_grad=True)
    value = cosine(a, B)
    value.backward()
    return bool(torch.isfinite(value)), bool(torch.isfinite(a.grad).all())


def without_epsilon(a, b):
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def epsilon_outside(a, b):
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt() + 1e-8)


def empty(masked_mean):
    """Value and gradient of a masked mean over nothing."""
    values = torch.ones(3, requires_grad=True)
    mean = masked_mean(values, torch.zeros(3))
    mean.backward()
    return mean, values.grad


def same(masked_mean):
    values, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 0.0, 1.0])
    return near(3.5, by=1e-4)(masked_mean(values, mask))


def with_epsilon(values, mask):
    return (mask * values).sum() / (mask.sum() + 1)


def hidden_afterwards(values, mask):
    return torch.nan_to_num((mask * values).sum() / mask.sum())


EXERCISES = {
    "9.1": Exercise(
        right=lambda cosine: near(0.96, by=1e-4)(cosine(A, B)) and all(at_zero(cosine)),
        notice="value and slope are bounded now. An epsilon under the root does it, or a norm whose slope at 0 is defined.",
        mistakes=[
            Mistake(
                example=without_epsilon,
                when=lambda cosine: not at_zero(cosine)[0],
                because="at the zero vector its value is 0 divided by 0.",
            ),
            Mistake(
                example=epsilon_outside,
                when=lambda cosine: at_zero(cosine) == (True, False),
                because="the value at zero is finite now, and the gradient is not: the root still has slope infinity at 0.",
            ),
            Mistake(
                example=lambda a, b: (a * b).sum() / (a.square().sum() * b.square().sum() + 1e-12),
                when=lambda cosine: not near(0.96, by=1e-4)(cosine(A, B)),
                because="for (3, 4) and (4, 3) the cosine is 24/25 = 0.96, and yours is another number.",
            ),
        ],
    ),
    "9.2": Exercise(
        right=near(LIMIT),
        notice="2 divided by the curvature. Above it each step overshoots by more than it gained, at any starting point.",
        mistakes=[
            Mistake.near(2 * LIMIT, "the slope of (w - 2)² is 2 (w - 2): the curvature is twice the mean of x²."),
            Mistake.near(
                LIMIT / 2, "that rate lands on the minimum in one step. Larger ones overshoot, and may still converge."
            ),
        ],
    ),
    "9.3": Exercise(
        right=near(104, by=0),
        notice="6 times as far as the cliff of log(1 - sigmoid), since a small probability can be 1e-45 before it is 0.",
        mistakes=[
            Mistake.near(103, "there it is still finite, if only just. Asked is the first whole x at which it is not.", by=0),
            Mistake.near(17, "that is where the LARGE probability rounds to 1. Here the log is taken of the small one.", by=1),
            Mistake.near(88, "there exp(-x) leaves the normal numbers. The subnormal ones below them reach further.", by=1),
        ],
    ),
    "9.4": Exercise(
        right=lambda mean: same(mean) and empty(mean)[0] == 0 and bool(torch.isfinite(empty(mean)[1]).all()),
        notice="an empty micro-batch adds nothing now, and the other micro-batches keep their gradient.",
        mistakes=[
            Mistake(
                example=hidden_afterwards,
                when=lambda mean: not torch.isfinite(empty(mean)[1]).all(),
                because="the value is repaired after the fact, and the gradient of 0 divided by 0 is still NaN.",
            ),
            Mistake(
                example=with_epsilon,
                when=lambda mean: not same(mean),
                because="it changes the mean where the mask holds something: 1 and 6 have mean 3.5.",
            ),
        ],
    ),
}
