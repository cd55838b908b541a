"""`make bench`: what recording costs, and what the guard costs, each against a plain loop, A B A B in one process."""

import time
import warnings
from collections.abc import Iterator
from itertools import count

import numpy as np
import torch

from utils.autopsy import guard
from utils.losses import matlab
from utils.training import GAN, Recipe, train


def plain(iterations: int) -> None:
    """The loop of notebook 01, without a record."""
    gan = GAN(Recipe(lr=1e-5))
    data, random, generator, discriminator = gan.data.samples, gan.random, gan.generator, gan.discriminator
    for _ in range(iterations):
        real = data[torch.randint(len(data), (64,), generator=random)]
        z = torch.randn(64, 1, generator=random)
        loss_d, loss_g = matlab(discriminator(real), discriminator(generator(z)))
        gradients_d = torch.autograd.grad(loss_d, gan.weights_d, retain_graph=True)
        gradients_g = torch.autograd.grad(loss_g, gan.weights_g)
        for weight, gradient in zip(gan.weights_d + gan.weights_g, gradients_d + gradients_g):
            weight.grad = gradient
        gan.optimiser_d.step()
        gan.optimiser_g.step()


def recording(iterations: int) -> None:
    train(Recipe(lr=1e-5), iterations, progress=False)


def stepping(gan: GAN, batches: Iterator):
    """A function that runs so many iterations of one loop, and goes on with the same loop when it is called again."""

    def run(iterations: int) -> None:
        for _ in zip(range(iterations), batches):
            gan.step()

    return run


def seconds(function, iterations: int) -> float:
    start = time.perf_counter()
    function(iterations)
    return time.perf_counter() - start


def ratio(function, base, rounds: int = 15, iterations: int = 150) -> str:
    """Of function's time to base's: the median over A B rounds, and the quartiles."""
    seconds(base, 50), seconds(function, 50)
    ratios = [seconds(function, iterations) / seconds(base, iterations) for _ in range(rounds)]
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    print(f"train() with recording / plain loop: {ratio(recording, plain)} (bar: 1.10)")
    free, held = GAN(Recipe(loss="logits")), GAN(Recipe(loss="logits"))
    alone = stepping(free, count())
    guarded = stepping(held, iter(guard(count(), held.generator, held.discriminator, held.optimiser_g, held.optimiser_d)))
    # Short turns: a machine that does other things too changes its pace within seconds.
    print(f"guard() around the loop / plain loop: {ratio(guarded, alone, rounds=120, iterations=25)} (bar: 1.10)")

    def anomaly(iterations: int) -> None:
        with torch.autograd.detect_anomaly():
            alone(iterations)

    warnings.simplefilter("ignore")  # detect_anomaly says that it is slow
    print(f"detect_anomaly around the loop / plain loop: {ratio(anomaly, alone, rounds=30, iterations=25)}")
