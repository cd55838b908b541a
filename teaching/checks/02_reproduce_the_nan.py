"""What is right and what is wrong because of what, in the exercises of notebook 02."""

import numpy as np

from utils.exercises import Exercise, Mistake, near

LISTS = ([14, 9, 20], [5, None, 8], [None, 3, None], [None] * 5, [100, 7, None, 50, None])


def same(other):
    """A test: does a function of a list of lives give what `other` gives, for all LISTS?"""

    def found(function):
        medians = [function(list(lives)) for lives in LISTS]
        return [None if median is None or np.isnan(median) else median for median in medians]  # of no numbers it is NaN

    return lambda answer: found(answer) == found(other)


def right_median(lives):
    middle = np.median([np.inf if life is None else life for life in lives])
    return None if np.isinf(middle) else middle


def of_the_dead(lives):
    dead = [life for life in lives if life is not None]
    return np.median(dead) if dead else None


def of_zeros(lives):
    return np.median([life or 0 for life in lives])


def with_inf(lives):
    return np.median([np.inf if life is None else life for life in lives])


def two(lowest: float, highest: float):
    """A test: are these two numbers within those bounds?"""
    return lambda answer: len(answer) == 2 and all(lowest <= float(one) <= highest for one in answer)


def two_near(values: tuple[float, float], factor: float):
    """A test: are these two numbers within that factor of `values`?"""
    return lambda answer: len(answer) == 2 and all(1 / factor <= float(a) / v <= factor for a, v in zip(answer, values))


EXERCISES = {
    "2.1": Exercise(
        right=near(24, 0),
        notice="in all 24. At 1e-4 it takes one sample of one batch; the other 63 lie below the line.",
        mistakes=[
            Mistake.near(1, "that is how many logits one run has above the line; count the runs"),
            Mistake.near(0, "did you take the real logits? The fatal sample is a generated one"),
        ],
    ),
    "2.2": Exercise(
        right=near(0.73, 0.005),
        notice="at 1e-3 mostly several samples of a batch cross the line together; at 1e-4 never. One NaN, two ways to it.",
        mistakes=[
            Mistake.near(0.27, "that is the share with exactly one"),
            Mistake.near(1.0, "that is the share with at least one: more than one was asked for"),
            Mistake.near(73, "that is the count; the share is between 0 and 1"),
        ],
    ),
    "2.3": Exercise(
        right=same(right_median),
        notice="runs that have not ended are not missing: without them a delay looks like nothing.",
        mistakes=[
            Mistake(of_the_dead, same(of_the_dead), "that drops the survivors, who live longest"),
            Mistake(of_zeros, same(of_zeros), "that counts a survivor as one that died at once"),
            Mistake(with_inf, same(with_inf), "nearly: where the middle run has not ended, return None"),
        ],
    ),
    "2.4": Exercise(
        right=two_near((15.5, 12.0), 2),  # medians of 20 seeds each, on the machine that recorded the rest
        notice="batches of 16 and 256 end about as soon as those of 64: the batch is not to blame.",
        mistakes=[
            Mistake([300, 300], two(300, 300), "300 is the cap. Is the rate 1e-3?"),
            Mistake([0.1, 0.2], two(0, 2), "lives are counted in iterations; that looks like losses or shares"),
            Mistake([14_000.0, 10_000.0], two(300, 1e6), "that is the order of 1e-4; the exercise asks for 1e-3"),
        ],
    ),
}
