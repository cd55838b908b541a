"""The exercises of notebook 10."""

import torch

from utils.exercises import Exercise, Mistake


def shorter(batch, sample):
    return torch.cat([batch[:sample], batch[sample + 1 :]])


def zeros(batch, sample):
    return torch.where((torch.arange(len(batch)) == sample)[:, None], torch.zeros(()), batch)


def in_place(batch, sample):
    batch[sample] = batch[(sample + 1) % len(batch)]
    return batch


def tried(function):
    """(the batch, what the function made of it, the batch afterwards); its last sample is the spoilt one."""
    batch = torch.arange(1.0, 13.0).reshape(4, 3)
    given = batch.clone()
    return batch, function(given, 3), given


def mended(function) -> bool:
    batch, made, given = tried(function)
    neighbour = any(torch.equal(made[3], batch[other]) for other in range(3))
    return made.shape == batch.shape and torch.equal(made[:3], batch[:3]) and neighbour and torch.equal(given, batch)


def names(answer) -> set:
    """The names in a list, a tuple, a set or a text such as "G, D"."""
    return set(answer.replace(",", " ").split()) if isinstance(answer, str) else set(answer)


NAMES = {"G", "D", "opt_g", "opt_d", "scaler", "schedule"}

EXERCISES = {
    "10.1": Exercise(
        right=lambda answer: tuple(answer) == (7, 11),
        notice="ten batches went by, and one number of 20,480 was to blame; its check says that the rest is innocent.",
        mistakes=[
            Mistake(example=(6, 11), when=lambda answer: answer[0] == 6, because="iterations count from 1: batch 6 of a list is iteration 7"),
            Mistake(example=(7, 12), when=lambda answer: answer[1] == 12, because="samples count from 0, as indices do"),
            Mistake(example=(11, 7), when=lambda answer: tuple(answer) == (11, 7), because="the iteration comes first, then the sample"),
        ],
    ),
    "10.2": Exercise(
        right=lambda answer: names(answer) == NAMES,
        notice="a state that is not handed over cannot be put back; the guard finds some by itself, and says what it missed.",
        mistakes=[
            Mistake(
                example=["loader", *NAMES], when=lambda answer: "loader" in names(answer),
                because="the loader is the first argument: the guard keeps the batches that it gave",
            ),
            Mistake(
                example=["G", "D"], when=lambda answer: not {"opt_g", "opt_d"} <= names(answer),
                because="an optimiser has a state of its own: Adam's moments must be rewound with the weights",
            ),
            Mistake(
                example=["G", "D", "opt_g", "opt_d"], when=lambda answer: not {"scaler", "schedule"} <= names(answer),
                because="scale and learning rate change too, and an infinite gradient under a scaler is no death",
            ),
        ],
    ),
    "10.3": Exercise(
        right=mended,
        notice="the batch keeps its length and its scale, so whatever changes in the iteration is that sample's doing.",
        mistakes=[
            Mistake(
                example=shorter, when=lambda answer: len(tried(answer)[1]) == 3,
                because="a shorter batch changes means and batch normalisation: it is another experiment",
            ),
            Mistake(
                example=zeros, when=lambda answer: not tried(answer)[1][3].any(),
                because="0 may be fatal itself: log(0), x / 0. Only a sample of the batch has been seen to live",
            ),
            Mistake(
                example=in_place, when=lambda answer: not torch.equal(tried(answer)[0], tried(answer)[2]),
                because="the given batch was changed: the next trial would begin with the wrong numbers",
            ),
        ],
    ),
}  # fmt: skip
