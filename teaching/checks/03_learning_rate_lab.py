"""What is right in the exercises of notebook 03."""

import math
from functools import cache

from utils.exercises import Exercise, Mistake
from utils.sweep import recorded

MEASURED = (15.5, 14.0, 12.0)  # median lives of 20 seeds at batch 16, 64 and 256


@cache
def one_draw() -> float:
    """The chance that one normal draw is as far from 0 as the one with the largest logit of the recorded run at 1e-4."""
    batch = recorded("pulses_lr1e-4")[0].last_batch
    return math.erfc(abs(float(batch["z"][batch["fake_logits"].argmax(), 0])) / math.sqrt(2))


def of_64(p: float) -> float:
    return 1 - (1 - p) ** 64


def close(value, expected: float) -> bool:
    return abs(value / expected - 1) < 0.05


EXERCISES = {
    "3.1": Exercise(
        right=lambda answer: -0.001 <= answer < 0.05,
        notice="nobody answers D, so it wins: it is sure that every generated sample is generated.",
        mistakes=[
            Mistake(
                example=0.99999,
                when=lambda answer: answer > 0.95,
                because="that is G's score when G is updated alone, or D's own (row[3]): here D moves, and G's is row[2].",
            ),
            Mistake(
                example=0.5,
                when=lambda answer: 0.3 < answer < 0.7,
                because="an even game would stay near 0.5, but here only one side learns. Is D updated at all, with g=False?",
            ),
        ],
    ),
    "3.2": Exercise(
        right=lambda answer: [abs(a - b) <= 5 for a, b in zip(answer, MEASURED)] == [True] * 3 and answer[2] <= answer[0],
        notice="more draws a batch reach farther out, so the end comes a little sooner; 16 times as many draws change little.",
        mistakes=[
            Mistake(
                example=[12.0, 14.0, 15.5],
                when=lambda answer: answer[0] < answer[2],
                because="a larger batch averages its gradient, but the most extreme draw ends the run, and more draws reach "
                "farther out. Is the order 16, 64, 256?",
            ),
            Mistake(
                example=[40.0, 14.0, 3.0],
                when=lambda answer: answer[0] > 2 * answer[1],
                because="the life shrinks much less than the batch grows: four times as many draws reach a little farther. "
                "Are these medians of nan_at?",
            ),
        ],
    ),
    "3.3": Exercise(
        right=lambda answer: close(answer, of_64(one_draw())),
        notice="rare for one batch; a run draws thousands of batches.",
        mistakes=[
            Mistake(
                example=one_draw(),
                when=lambda answer: close(answer, one_draw()),
                because="that is the chance of one draw; a batch has 64 of them.",
            ),
            Mistake(
                example=of_64(one_draw() / 2),
                when=lambda answer: close(answer, of_64(one_draw() / 2)),
                because="that counts one side only; the exercise asks for both.",
            ),
        ],
    ),
}
