"""The exercises of notebook 08: what is right, and what the usual mistakes are."""

import functools
import math

import torch

from utils import data
from utils.exercises import Exercise, Mistake, near
from utils.sweep import table

FACTOR = math.sqrt(-4.5 / math.log(0.007))


@functools.cache
def crowds():
    """Three crowds on the grid: half as wide, one island with a sample on each other, and uneven islands, of 300, 70 and 30."""
    grid, random = data.load("grid"), torch.Generator().manual_seed(5)
    spread = grid.sd * torch.randn(2500, 2, generator=random)
    narrow = grid.centres.repeat(100, 1) + spread / 2
    one = torch.cat([grid.centres[12] + spread[25:], grid.centres])
    uneven = grid.centres.repeat_interleave(torch.tensor([300] * 5 + [70] * 10 + [30] * 10), 0) + spread / 2
    return narrow, one, uneven


def counted(samples, dataset, share=0.5, near=True, at_least=None):
    """Modes with that part of their fair share (or `at_least` samples), of all samples or of those within 3 sd."""
    distance, mode = torch.cdist(samples, dataset.centres).min(1)
    mode = mode[distance <= 3 * dataset.sd] if near else mode
    count = torch.bincount(mode, minlength=len(dataset.centres))
    return int((count >= (at_least or share * len(samples) / len(dataset.centres))).sum())


def counts_as(**how):
    """A test: does a function of (samples, dataset) count that way, on the three crowds and a fourth one beside the islands?"""

    def test(function):
        grid = data.load("grid")
        beside = crowds()[0] + 4 * grid.sd
        return all(function(samples, grid) == counted(samples, grid, **how) for samples in (*crowds(), beside))

    return test


@functools.cache
def share(fix):
    return table("fixes.csv").query("group == 'draft' and fix == @fix").high_quality.mean()


WIDE, NARROW = "at the draft's rate", "at the draft's rate, latent of 2"


EXERCISES = {
    "8.1": Exercise(
        right=near(FACTOR, by=0.005),
        notice="it is drawn too narrow, and 5 % are enough to beat perfection.",
        mistakes=[
            Mistake.near(FACTOR**2, "that is its square: sd enters the exponent squared. Take the root."),
            Mistake.near(1 / FACTOR, "more samples are inside, so the island is narrower than it should be, not wider."),
            Mistake.near(
                0.993 / (1 - math.exp(-4.5)), "a ratio of shares is no ratio of widths. How far out do 0.7 % of a Gaussian lie?"
            ),
        ],
    ),
    "8.2": Exercise(
        right=counts_as(),
        notice='"half as wide" still passes: no count of samples in a circle can see where in it they are.',
        mistakes=[
            Mistake(
                functools.partial(counted, at_least=1),
                counts_as(at_least=1),
                "that is the generous rule: one sample is enough.",
            ),
            Mistake(
                functools.partial(counted, near=False),
                counts_as(near=False),
                "it counts samples outside the circles too. Leave out what is farther than 3 sd.",
            ),
            Mistake(
                functools.partial(counted, share=1),
                counts_as(share=1),
                "that demands the whole fair share; half was asked for.",
            ),
        ],
    ),
    "8.3": Exercise(
        right=near(share(NARROW) - share(WIDE), by=0.005),
        notice="three trials each, at one rate: 62 random numbers too many cost most of the quality.",
        mistakes=[
            Mistake.near(share(WIDE) - share(NARROW), "the size is right, the sign is not: latent of 2 minus latent of 64."),
            Mistake.near(share(NARROW) / share(WIDE), "that is the ratio. A difference was asked for."),
            Mistake.near(
                share("recommended") - share(WIDE),
                '"recommended" has another rate as well, ten times the draft\'s. Change one thing.',
            ),
        ],
    ),
}
