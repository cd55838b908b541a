"""What is right and what is wrong because of what, in the exercises of notebook 00."""

import numpy as np

from utils.exercises import Exercise, Mistake


def near(value: float, within: float):
    """A test: is a number (also as text, as a tensor or alone in a list or table) that close to `value`?"""
    return lambda answer: abs(np.asarray(answer, dtype=float).item() - value) <= within


def both_near(values: list[float], share: float):
    """A test: are two numbers that close to `values`, each by a share of itself?"""
    return lambda answer: len(answer) == 2 and all(abs(float(a) - v) <= share * v for a, v in zip(answer, values))


EXERCISES = {
    "0.1": Exercise(
        right=near(361, 2),
        notice="an epoch of 361 iterations and 695 epochs: the author's patience, not ours, makes 250,800.",
        mistakes=[
            Mistake(250_800 / 39_720, near(6.3, 0.1), "that is iterations a second: divide by the epochs"),
            Mistake(695 / 250_800, near(0.00277, 0.0001), "that is epochs an iteration, the inverse"),
            Mistake(12_200 / 34, near(358.8, 0.1), "that is the run at 1e-4; the question is about 1e-5"),
        ],
    ),
    "0.2": Exercise(
        right=near(128 * 361, 300),
        notice="about 46,000 samples, if the batch was 128. The post does not say.",
        mistakes=[
            Mistake(361, near(361, 2), "that is the number of batches; each holds 128 samples"),
            Mistake(64 * 361, near(64 * 361, 150), "that takes our batch of 64; MATLAB's example has 128"),
            Mistake(128 * 250_800, near(128 * 250_800, 1000), "that counts each sample once an epoch, 695 times in all"),
        ],
    ),
    "0.3": Exercise(
        right=both_near([1220, 250_800 / 12_200], 0.03),
        notice="if only the length of a step counted, both would be 10. So the rate does more than set the pace.",
        mistakes=[
            Mistake([10, 10], both_near([10, 10], 0.01), "that is what the rate was divided by; divide the lives"),
            Mistake([12_190, 238_600], both_near([12_190, 238_600], 0.01), "those are differences; a factor is a quotient"),
            Mistake([1 / 1220, 1 / 20.56], both_near([1 / 1220, 1 / 20.56], 0.03), "upside down: the longer life stands above"),
            Mistake([20.56, 1220], both_near([20.56, 1220], 0.03), "the other order: first from 1e-3 to 1e-4"),
        ],
    ),
    "0.4": Exercise(
        right=near(0.921, 0.005),
        notice="D took nearly every generated sample for real, in the very iteration in which its loss broke.",
        mistakes=[
            Mistake(0.541, near(0.541, 0.001), "that is the discriminator's score; the question asks for the generator's"),
            Mistake(0.051, near(0.051, 0.001), "that is iteration 9, where D's score is hidden; its loss is missing at 10"),
            Mistake(0.323, near(0.323, 0.001), "that is the generator's loss, not its score"),
            Mistake(10, near(10, 0), "that is the iteration; the question asks for the score there"),
        ],
    ),
}
