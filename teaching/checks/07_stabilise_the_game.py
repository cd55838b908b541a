"""The exercises of notebook 07: what is right, and what the usual mistakes are."""

import functools
import math

from utils import data
from utils.exercises import Exercise, Mistake, near
from utils.metrics import pulse_quality
from utils.sweep import table


def real():
    return data.pulses(2000, seed=3).samples


def in_order(order, gamma, rate, steps):
    """The last (theta, psi) of the Dirac-GAN from (1, 1): "DG" in turns, D first; "GD" G first; "both" at once."""
    theta, psi = 1.0, 1.0
    for _ in range(steps):
        before = theta, psi
        for who in order if order != "both" else "GD":
            x, slope = before if order == "both" else (theta, psi)
            score = 1 / (1 + math.exp(-slope * x))
            if who == "G":
                theta += rate * slope * score
            else:
                psi -= rate * (x * score + gamma * slope)
    return theta, psi


def plays(order):
    """A test: does a function of (gamma, rate, steps) play in that order?"""
    games = [(0, 0.2, 50), (0.1, 0.4, 30)]
    return lambda player: all(math.dist(player(*game), in_order(order, *game)) < 1e-6 for game in games)


@functools.cache
def nearer(rates, farthest):
    """The fixes of the group "cured" whose farthest run (or median, as named) is nearer than that of "no fix", at those rates."""
    floors = table("fixes.csv").query("group == 'cured'").groupby(["fix", "lr"]).floors
    ours, bar = (floors.max(), floors.min()) if farthest else (floors.median(), floors.median())
    ours, bar = (each.unstack()[list(rates)] for each in (ours, bar))
    return frozenset(ours.index[(ours < bar.loc["no fix"]).all(axis=1)])


BOTH = (1e-3, 1e-4)

EXERCISES = {
    "7.1": Exercise(
        right=lambda pulses: pulse_quality(pulses)["plausible"] >= 0.9 and pulse_quality(pulses)["floors"] > 3,
        notice="each looks real and the crowd is wrong: a metric that looks at single samples cannot see it.",
        mistakes=[
            Mistake(
                real(),
                lambda pulses: pulse_quality(pulses)["floors"] <= 3,
                "that crowd is within 3 floors. Repeat a pulse, or leave a part of the family out.",
            ),
            Mistake(
                real() / 2,
                lambda pulses: pulse_quality(pulses)["plausible"] < 0.9,
                "fewer than 90 % of these are plausible. Keep the pulses as they are, and change how often each comes.",
            ),
        ],
    ),
    "7.2": Exercise(
        right=plays("DG"),
        notice="without a penalty it circles for ever near 0: it neither leaves nor arrives. A penalty is needed all the same.",
        mistakes=[
            Mistake(
                functools.partial(in_order, "both"),
                plays("both"),
                "that is the simultaneous game: G must answer the new psi, not the old one.",
            ),
            Mistake(
                functools.partial(in_order, "GD"), plays("GD"), "there G moves first, and D answers. It is D's turn first."
            ),
        ],
    ),
    "7.3": Exercise(
        right=near(0.1, by=0.005),
        notice="it is a quarter of the rate: a larger rate needs more penalty. (The squared factor is 1 - hγ + h²/4.)",
        mistakes=[
            Mistake(0.2, lambda least: least > 0.1, "the pair comes closer there, and with a smaller penalty too."),
            Mistake(0.05, lambda least: least < 0.1, "there the pair still moves away."),
        ],
    ),
    "7.4": Exercise(
        right=lambda names: set(names) == nearer(BOTH, True),
        notice="all three are zero-centred penalties on D's slope, as the two-parameter game suggested.",
        mistakes=[
            Mistake(
                sorted(nearer((1e-3,), True)),
                lambda names: set(names) == nearer((1e-3,), True),
                "that holds at 1e-3 alone. Ask the same at 1e-4.",
            ),
            Mistake(
                sorted(nearer((1e-4,), True)),
                lambda names: set(names) == nearer((1e-4,), True),
                "that holds at 1e-4 alone. Ask the same at 1e-3.",
            ),
            Mistake(
                sorted(nearer(BOTH, False)),
                lambda names: set(names) == nearer(BOTH, False),
                "their medians are nearer; some of their runs are not. Four seeds overlap easily.",
            ),
        ],
    ),
}
