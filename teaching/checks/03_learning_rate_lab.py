"""What is right in the exercises of notebook 03."""

import math

import numpy as np

from utils.exercises import Exercise, Mistake, near

CALM = 5.5  # median life of seeds 0 to 9 at 1e-3, after 100 iterations at 1e-4


ONE_DRAW = math.erfc(3.21 / math.sqrt(2))  # the chance that one normal draw is as far from 0 as the fatal one


def of_64(p: float) -> float:
    return 1 - (1 - p) ** 64


def between(low: float, high: float):
    """A test: does a number (also as text, as a tensor or alone in a list) lie between the two?"""
    return lambda answer: low < np.asarray(answer, dtype=float).item() < high


EXERCISES = {
    "3.1": Exercise(
        right=between(-0.001, 0.05),
        notice="nobody answers D, so it wins: it is sure that every generated sample is generated.",
        mistakes=[
            Mistake(
                example=0.99999,
                when=between(0.95, 1.01),
                because="that is G's score when G is updated alone, or D's own (row[3]): here D moves, and G's is row[2].",
            ),
            Mistake(
                example=0.5,
                when=between(0.3, 0.7),
                because="an even game would stay near 0.5, but here only one side learns. Is D updated at all, with g=False?",
            ),
        ],
    ),
    "3.2": Exercise(
        right=lambda answer: len(answer) == 10 and abs(np.median(answer) - CALM) <= 3,
        notice="from scratch the median is 14. A calm start at a smaller rate makes the larger one end a run sooner.",
        mistakes=[
            Mistake(
                example=[7, 14, 12, 10, 15, 14, 16, 13, 14, 18],
                when=lambda answer: len(answer) == 10 and 9.5 <= np.median(answer) <= 20,
                because="that is the life from scratch. Is the second train called with the GAN that was trained, not with a Recipe?",
            ),
            Mistake(
                example=[107, 104, 104, 104, 111, 106, 108, 105, 105, 104],
                when=lambda answer: len(answer) == 10 and 100 < np.median(answer) < 130,
                because="that counts the 100 calm iterations too; count from the change on.",
            ),
            Mistake(
                example=[None] * 10,
                when=lambda answer: len(answer) == 10 and all(one is None or one == 200 for one in answer),
                because="none ended. Is gan.lr set to 1e-3 before the second train?",
            ),
            Mistake(
                example=5.5,
                when=lambda answer: np.asarray(answer, dtype=float).size == 1,
                because="that is one number. The list of all ten was asked for; check takes their median.",
            ),
        ],
    ),
    "3.3": Exercise(
        right=near(of_64(ONE_DRAW), by=0.05 * of_64(ONE_DRAW)),
        notice="rare for one batch; a run draws thousands of batches.",
        mistakes=[
            Mistake.near(ONE_DRAW, "that is the chance of one draw; a batch has 64 of them."),
            Mistake.near(of_64(ONE_DRAW / 2), "that counts one side only; the exercise asks for both."),
        ],
    ),
}
