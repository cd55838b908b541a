"""What is right in the exercises of notebook 05, and what is wrong because of what."""

import functools
import math

import torch

from utils.autopsy import autopsy, cliffs
from utils.exercises import Exercise, Mistake, near
from utils.hazard import hazard
from utils.sweep import recorded
from utils.training import GAN, Recipe


@functools.cache
def counted(threshold):
    """(hits, false alarms) of the recorded runs at 1e-4 when the hazard warns above the threshold."""
    hits = false = 0
    for trace in recorded("pulses_lr1e-4"):
        back = trace.nan_at - trace.watched["iteration"][trace.watched["hazard"] > threshold]
        stretches = {int((distance - 1) // 1000) for distance in back if distance > 0}
        hits, false = hits + (0 in stretches), false + len(stretches - {0})
    return hits, false


def pair(answer):
    return tuple(int(one) for one in answer)


def chances(answer):
    half, single, double = (float(one) for one in answer)
    return half, single, double


@functools.cache
def computed():
    """The hazard of the GAN of notebook 05, just before its end, with the cliffs of three kinds of numbers."""
    gan = GAN(Recipe(lr=1e-3), seed=0)
    autopsy(gan, iterations=200)
    return tuple(hazard(gan, cliffs(kind)) for kind in (torch.float16, torch.float32, torch.float64))


def as_computed(answer):
    return all(math.isclose(one, right, rel_tol=0.02, abs_tol=1e-5) for one, right in zip(chances(answer), computed()))


EXERCISES = {
    "5.1": Exercise(
        right=near(1 - 0.8**4, 0.005),
        notice="a larger batch buys more tickets an iteration; it protects nobody.",
        mistakes=[
            Mistake.near(0.8, "chances do not add up. Multiply the chances to survive."),
            Mistake.near(0.2, "each of the 256 samples can go over the cliff, not only 64 of them."),
            Mistake.near(0.05, "one sample beyond the cliff ends the run, whatever the mean divides by."),
            Mistake.near(59, "that is per cent: a chance goes from 0 to 1."),
            Mistake.near(0.8**4, "that is the chance to survive. The hazard is 1 minus it."),
        ],
    ),
    "5.2": Exercise(
        right=near(math.exp(-2), 0.01),
        notice="one run in seven or eight. The longest life among many is luck, not a better seed.",
        mistakes=[
            Mistake.near(1 - math.exp(-2), "that is the share that has ended by then."),
            Mistake.near(13.5, "that is per cent: a share goes from 0 to 1.", by=1),
            Mistake.near(0.5, "half of the runs have ended at ln 2 = 0.69 already."),
            Mistake.near(0, "a summed hazard of 1 is the mean, not a limit: a sum of chances may pass 1.", by=0.01),
        ],
    ),
    "5.3": Exercise(
        right=lambda answer: pair(answer) == counted(1e-2),
        notice="fewer false alarms, and ends without a warning: a threshold trades one for the other.",
        mistakes=[
            Mistake((24, 129), lambda answer: pair(answer) == counted(1e-4), "that is above 1 in 10,000; asked is 1 in 100."),
            Mistake(
                (24, 153),
                lambda answer: pair(answer)[1] - pair(answer)[0] in (counted(1e-4)[1], counted(1e-2)[1]),
                "the last stretch of each run is a hit, and counts as no false alarm: leave it out of the second number.",
            ),
            Mistake((24, 84), lambda answer: pair(answer) == counted(1e-3), "that is above 1 in 1,000; asked is 1 in 100."),
        ],
    ),
    "5.4": Exercise(
        right=as_computed,
        notice="a cliff further out is reached more rarely, and it is still there: more bits delay.",
        mistakes=[
            Mistake([0.0, 0.0, 0.0], lambda answer: not any(chances(answer)), "this GAN is safe: run autopsy on it first."),
            Mistake(
                [0.2, 0.2, 0.2],
                lambda answer: len(set(chances(answer))) == 1,
                "three times the same: without a second argument the cliffs are float32's.",
            ),
            Mistake(
                [1e-9, 0.2, 0.9],
                lambda answer: chances(answer)[0] < chances(answer)[1] < chances(answer)[2],
                "the order is float16, float32, float64, and the nearest cliff is the most dangerous.",
            ),
            Mistake(
                [0.9, 0.5, 0.1],
                lambda answer: chances(answer)[0] > chances(answer)[1] > chances(answer)[2],
                "the order is right, and the GAN another one: seed 0 at 1e-3, as autopsy leaves it.",
            ),
        ],
    ),
}
