"""`make bench`: what recording costs, train() against a plain loop of the same arithmetic, A B A B in one process."""

import time

import numpy as np
import torch

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


def seconds(function, iterations: int) -> float:
    start = time.perf_counter()
    function(iterations)
    return time.perf_counter() - start


def ratio(rounds: int = 15, iterations: int = 150) -> float:
    """Median over A B rounds of (train with recording) / (plain loop)."""
    seconds(plain, 50), seconds(recording, 50)
    return float(np.median([seconds(recording, iterations) / seconds(plain, iterations) for _ in range(rounds)]))


if __name__ == "__main__":
    print(f"train() with recording / plain loop: {ratio():.3f} (bar: 1.10)")
