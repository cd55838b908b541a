"""What people try beside a Recipe: each remedy takes a freshly made GAN and changes its step, its optimisers or its networks.

Uses torch, checks, games and gan. `train(remedied(GAN(recipe, seed), "AMSGrad"), 200)` plays with one; plans name them. The
hooks are torch's own, of optimisers and modules.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from utils import games
from utils.checks import of_type, one_of
from utils.gan import GAN, PARTS, Step

CAP = 15.0  # logits: below the lower of float32's cliffs, 16.6
EPOCH = 312  # iterations between two checkpoints of a restarting run: 20,000 pulses, 64 a batch
CLIPPED = 0.01  # the WGAN paper's bound of a critic's weights (arXiv 1701.07875)


def remedied(gan: GAN, name: str) -> GAN:
    """`gan` itself, which has made no iteration yet, changed by the remedy of that name; ValueError for another one."""
    if of_type("gan", gan, GAN, "a GAN").iteration:
        raise ValueError(f"a remedy is for a GAN at its start, and this one has made {gan.iteration:,} iterations")
    REMEDIES[one_of("remedy", name, REMEDIES)](gan)
    return gan


# ---- a loss that is not finite, and going on


def _before_each_step(gan: GAN, clean: Callable[[list[torch.Tensor]], None]) -> None:
    """Let `clean` see the weights of each network, with their gradients, before they move."""
    for optimiser in (gan.optimiser_g, gan.optimiser_d):
        optimiser.register_step_pre_hook(lambda optimiser, *_: clean(optimiser.param_groups[0]["params"]))


def nan_to_num(gan: GAN) -> None:
    """What is not finite in a gradient becomes 0, and the run goes on."""

    def clean(weights):
        for weight in weights:
            weight.grad = torch.nan_to_num(weight.grad, nan=0.0, posinf=0.0, neginf=0.0)

    gan.goes_on = True
    _before_each_step(gan, clean)


def skipping(gan: GAN) -> None:
    """A network whose gradient is not finite stays as it is for this iteration, as GradScaler does, and the run goes on."""

    def clean(weights):
        if not all(torch.isfinite(weight.grad).all() for weight in weights):
            for weight in weights:
                weight.grad = None

    gan.goes_on = True
    _before_each_step(gan, clean)


class Restarting(GAN):
    """Goes back to the networks and optimisers of the last epoch, with a tenth of the rate, up to three times."""

    left = 3

    @property
    def goes_on(self) -> bool:
        return self.left > 0

    def update(self, step: Step, d: bool = True, g: bool = True) -> None:
        if step.finite or not self.left:
            super().update(step, d, g)
            if self.iteration % EPOCH == 0:
                self.saved = self.parts()
            return
        for name in PARTS:
            getattr(self, name).load_state_dict(copy.deepcopy(self.saved[name]))
        self.left, self._lr = self.left - 1, self._lr / 10

    def parts(self) -> dict:
        return {name: copy.deepcopy(getattr(self, name).state_dict()) for name in PARTS}

    def state(self) -> dict:
        return super().state() | {"left": self.left, "saved": self.saved}

    def load_state(self, state: dict) -> None:
        super().load_state(state)
        self.left, self.saved = state["left"], state["saved"]


def restarting(gan: GAN) -> None:
    gan.__class__ = Restarting
    gan.saved = gan.parts()


# ---- arithmetic and gradients


class Double(GAN):
    """All numbers in double precision, but the random ones are drawn as ever."""

    def latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        return super().latents(count, random).double()

    def sample(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().sample(z.double())


def double(gan: GAN) -> None:
    gan.__class__ = Double
    gan.data = dataclasses.replace(gan.data, samples=gan.data.samples.double())
    gan.generator.double(), gan.discriminator.double()
    gan.equip()


CAPS = {  # what a remedy makes of a logit: cut at +-15, no gradient beyond; or bent below it by a tanh, whose gradient fades
    "logits cut": lambda logits: logits.clamp(-CAP, CAP),
    "logits bent": lambda logits: CAP * torch.tanh(logits / CAP),
}


def capped(gan: GAN, by: str) -> None:
    """D's logits never leave +-15, by one of CAPS."""
    gan.discriminator.register_forward_hook(lambda network, inputs, logits: CAPS[by](logits))


def clipped_values(gan: GAN, most: float = 0.5) -> None:
    """Each number of a gradient is cut at +-most; the other kind of clipping, of its norm, is the recipe's."""
    _before_each_step(gan, lambda weights: nn.utils.clip_grad_value_(weights, most))


@torch.no_grad()
def _clip(weights: list[torch.Tensor]) -> None:
    for weight in weights:
        weight.clamp_(-CLIPPED, CLIPPED)


def clipped_weights(gan: GAN) -> None:
    """D's weights are cut at +-0.01, from the start and after each of its steps, as the WGAN paper does."""
    _clip(gan.weights_d)
    gan.optimiser_d.register_step_post_hook(lambda *_: _clip(gan.weights_d))


# ---- optimisers and rates


def adam(gan: GAN, **options) -> None:
    """Adam with another setting, such as eps or amsgrad."""
    for optimiser in (gan.optimiser_g, gan.optimiser_d):
        optimiser.param_groups[0].update(options)


def adamw(gan: GAN) -> None:
    """Adam with decoupled weight decay, torch's 0.01."""
    gan.equip(partial(torch.optim.AdamW, betas=(gan.recipe.beta1, gan.recipe.beta2)))


class Turns(GAN):
    """D moves in each `every_d`-th iteration only, from the first on, and G in each `every_g`-th."""

    every_d = every_g = 1

    def update(self, step: Step, d: bool = True, g: bool = True) -> None:
        made = self.iteration - 1
        super().update(step, d and made % self.every_d == 0, g and made % self.every_g == 0)


class Raised(GAN):
    """The learning rate is another one after some iterations."""

    to, after = 1e-3, 0

    def update(self, step: Step, d: bool = True, g: bool = True) -> None:
        if self.iteration > self.after:
            self._lr = self.to
        super().update(step, d, g)


def playing(gan: GAN, kind: type[GAN], **settings) -> None:
    """The GAN plays as one of that kind."""
    gan.__class__ = kind
    vars(gan).update(settings)


# ---- networks


@contextlib.contextmanager
def _drawing_from(random: torch.Generator) -> Iterator[None]:
    """torch's layers draw from the global random state: here from a seed that the run draws, and the state is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=random)))
        yield


def _after_each(kind: type, layers: nn.Sequential, new: Callable[[], nn.Module]) -> nn.Sequential:
    """The layers with a new one after each of that kind, but not after the last."""
    parts = [(layer, new()) if isinstance(layer, kind) and layer is not layers[-1] else (layer,) for layer in layers]
    return nn.Sequential(*(layer for part in parts for layer in part))


class BatchNorm(nn.BatchNorm1d):
    """The batch's own mean and spread while it learns, the running ones where no gradient is asked for."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.training = torch.is_grad_enabled()
        return super().forward(x)


def normalised_g(gan: GAN) -> None:
    """Batch normalisation after each hidden linear layer of G."""
    gan.generator.layers = _after_each(nn.Linear, gan.generator.layers, partial(BatchNorm, gan.recipe.hidden_g))
    gan.equip()


def normalised_d(gan: GAN) -> None:
    """Batch normalisation after each hidden linear layer of D."""
    gan.discriminator.layers = _after_each(nn.Linear, gan.discriminator.layers, partial(BatchNorm, gan.recipe.hidden_d))
    gan.equip()


class Dropping(GAN):
    """Its networks draw random numbers."""

    def forward(self) -> Step:
        with _drawing_from(self.random):
            return super().forward()


def dropout_d(gan: GAN, share: float = 0.5) -> None:
    """Half of D's hidden numbers are dropped, as in MATLAB's example."""
    gan.__class__ = Dropping
    gan.discriminator.layers = _after_each(nn.LeakyReLU, gan.discriminator.layers, partial(nn.Dropout, share))


@torch.no_grad()
def small_weights(gan: GAN) -> None:
    """All weights from N(0, 0.02), all biases 0, as the DCGAN paper starts (arXiv 1511.06434)."""
    for weight in gan.weights_g + gan.weights_d:
        weight.normal_(0, 0.02, generator=gan.random) if weight.dim() > 1 else weight.zero_()


def convolutional(gan: GAN, width: int = 128) -> None:
    """Two convolutional networks of `width` and twice as many filters, for pictures of 8 x 8; PyTorch's initialisation."""
    with _drawing_from(gan.random):
        gan.generator = nn.Sequential(
            nn.Linear(gan.recipe.latent, 8 * width), nn.ReLU(), nn.Unflatten(1, (2 * width, 2, 2)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Flatten(),
        )  # fmt: skip
        gan.discriminator = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8 * width, 1), nn.Flatten(0),
        )  # fmt: skip
    gan.generator.register_forward_hook(lambda network, inputs, output: gan.data.full_scale * output)
    gan.equip()


def none(gan: GAN) -> None:
    """Nothing is changed."""


REMEDIES: dict[str, Callable[[GAN], None]] = {
    "none": none,
    "gradients through nan_to_num": nan_to_num,
    "steps skipped": skipping,
    "restarts": restarting,
    "float64": double,
    "logits cut": partial(capped, by="logits cut"),
    "logits bent": partial(capped, by="logits bent"),
    "gradient values cut": clipped_values,
    "D's weights cut": clipped_weights,
    "eps = 1e-3": partial(adam, eps=1e-3),
    "eps = 1e-4": partial(adam, eps=1e-4),
    "AMSGrad": partial(adam, amsgrad=True),
    "AdamW": adamw,
    "RMSprop": partial(GAN.equip, optimiser=torch.optim.RMSprop),
    "SGD": partial(GAN.equip, optimiser=torch.optim.SGD),
    "SGD with momentum": partial(GAN.equip, optimiser=partial(torch.optim.SGD, momentum=0.9)),
    "5 D : 1 G": partial(playing, kind=Turns, every_g=5),
    "1 D : 5 G": partial(playing, kind=Turns, every_d=5),
    "1e-3 after 300": partial(playing, kind=Raised, to=1e-3, after=300),
    "1e-3 after 3000": partial(playing, kind=Raised, to=1e-3, after=3000),
    "BatchNorm in G": normalised_g,
    "BatchNorm in D": normalised_d,
    "dropout in D": dropout_d,
    "small weights": small_weights,
    "convolutional": convolutional,
    "narrow convolutional": partial(convolutional, width=32),
    "lazy penalty": games.lazy,
    "optimistic Adam": games.optimistic,
    "packed by 3": games.packed,
}
