"""What is right in the exercises of notebook 04, and what is wrong because of what."""

import math

from scipy.stats import norm

from utils.exercises import Exercise, Mistake, near


def chance(draws: int) -> float:
    """The chance of each of so many draws, if none of them happens in half of all cases."""
    return 1 - 0.5 ** (1 / draws)


EXERCISES = {
    "4.1": Exercise(
        right=near(5 * math.log(2), by=0.1),
        notice="rounded once, 4 + 1 bits count: 5 ln 2 = 3.47, a fifth of float32's way.",
        mistakes=[
            Mistake.near(
                4 * math.log(2), "only the score is rounded to 4 bits, not the sum: the gap below 1 counts, half as wide."
            ),
            Mistake.near(16.64, "that is the cliff of the 32-bit sigmoid, before its result is rounded to 8 bits.", by=0.8),
            Mistake.near(9 * math.log(2), "not all 8 bits count: one is the sign, four are the exponent.", by=1),
        ],
    ),
    "4.2": Exercise(
        right=lambda answer: answer.strip().upper().removeprefix("LOSS_") == "G",
        notice="log D(G(z)) stands in G's loss alone. D's loss holds log(1 - 0) = 0: D could not be happier.",
        mistakes=[
            Mistake(
                example="D",
                when=lambda answer: answer.strip().upper().removeprefix("LOSS_") == "D",
                because="D's loss holds log(1 - D(G(z))), and here D(G(z)) is 0: the log of 1 is 0.",
            ),
            Mistake(
                example="both",
                when=lambda answer: answer.strip().lower() == "both",
                because="the two losses hold different logs of this sample: log D(G(z)) stands only in one of them.",
            ),
            Mistake(
                example="none",
                when=lambda answer: answer.strip().lower() in ("none", "neither", ""),
                because="at -120 exp(-x) overflows in 32 bits, so the sigmoid is exactly 0, and there is a log of it.",
            ),
        ],
    ),
    "4.3": Exercise(
        right=lambda answer: any(term in answer.replace(" ", "").lower() for term in ("log(1-fake)", "log(1-d(g(z)))")),
        notice="other data, other units, the same term: the arithmetic does not know what the samples are.",
        mistakes=[
            Mistake(
                example="torch.log(fake)",
                when=lambda answer: "log(fake)" in answer.replace(" ", ""),
                because="that is G's term, whose cliff is at -88.7. Read the line `term` of the verdict.",
            ),
            Mistake(
                example="torch.log(real)",
                when=lambda answer: "log(real)" in answer.replace(" ", ""),
                because="that log is of the real samples. Read the line `term` of the verdict.",
            ),
            Mistake(
                example=None,
                when=lambda answer: answer is None,
                because="there was no collapse to judge: more iterations, or the naive loss and the rate 1e-3.",
            ),
        ],
    ),
    "4.4": Exercise(
        right=near(norm.isf(chance(64_000) / 2), by=0.01),
        notice=f"a draw beyond it comes once in {1 / chance(64_000):,.0f}, and still half of the runs meet one.",
        mistakes=[
            Mistake.near(norm.isf(chance(64_000)), "a latent of -a is as far out as one of a: both tails count.", by=0.01),
            Mistake.near(norm.isf(chance(1000) / 2), "a batch holds 64 draws, and each of them must stay below.", by=0.01),
            Mistake.near(norm.isf(1 / 64_000 / 2), "there the mean life is 1,000 batches, which 37 % survive.", by=0.01),
        ],
    ),
}
