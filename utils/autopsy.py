"""The autopsy of a GAN's NaN: explain() from a batch's logits, autopsy() by replay, counterfactual() under other losses.

Uses hazard, losses, trace, training and nanguard, whose names can be imported from here too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from utils.hazard import cliffs, hazard
from utils.losses import LOSSES
from utils.nanguard import Collapse, FlightRecorder, Tracer, Verdict, guard
from utils.recipe import Recipe, whole
from utils.trace import Trace
from utils.training import GAN, one_thread

__all__ = [
    "Collapse", "Explanation", "FlightRecorder", "Tracer", "Verdict", "autopsy", "cliffs", "counterfactual", "explain",
    "explain_trace", "guard", "hazard", "rarity",
]  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """What made a GAN's loss not finite; a field is None where no single sample did.

    term    such as "log(1 - D(G(z)))"
    of      "generated" or "real", the half of the batch that `sample` (0-based) counts in
    logit   D's logit of that sample, and `value` what the term made of it
    count   how many samples of the batch broke the term
    words   all of it in one or two sentences
    """

    words: str
    term: str | None = None
    of: str | None = None
    sample: int | None = None
    logit: float | None = None
    value: float | None = None
    count: int = 0


def explain(real_logits: torch.Tensor, fake_logits: torch.Tensor, z: torch.Tensor, recipe: Recipe, flipped=None) -> Explanation:
    """Which term of which sample made this loss not finite, from D's logits for a batch, each (batch,).

    z are the latents (batch, latent) of the generated samples; `flipped` marks the real samples, (batch,) of bool, that D
    was told are generated. Where a recipe flips labels and nobody kept which, one sample is named only if it must be it.
    """
    for of, logits in (("real", real_logits), ("generated", fake_logits)):
        if not logits.isfinite().all():
            sample = _first(~logits.isfinite())
            words = f"D's logit for {of} sample {sample} is {logits[sample]:g}: {_overflowed(logits[sample], of, recipe)}."
            return Explanation(words, None, of, sample, float(logits[sample]), None, int((~logits.isfinite()).sum()))
    penalty = "" if recipe.penalty == "none" else f" or the penalty {recipe.penalty!r}"
    if recipe.loss != "matlab":
        lowest, highest = torch.cat([real_logits, fake_logits]).aminmax()
        return Explanation(f"the loss {recipe.loss!r}{penalty} overflowed at logits from {lowest:.3g} to {highest:.3g}.")
    for term, of, logits, values, certain in _terms(real_logits, fake_logits, recipe, flipped):
        broken = ~values.isfinite()
        count = int(broken.sum())
        if count > 1 and not certain:
            words = f"{term} of one of {count} real samples is -inf, of one with a flipped label; which these are nobody kept."
            return Explanation(words, term, of, count=count)
        if count:
            sample = _first(broken)
            return Explanation(
                _sentence(term, of, sample, logits, values, z, recipe), term, of, sample, float(logits[sample]),
                float(values[sample]), count,
            )  # fmt: skip
    return Explanation(f"no single term is infinite: their sum{penalty} overflowed.")


def _overflowed(logit: torch.Tensor, of: str, recipe: Recipe) -> str:
    """What is behind a logit that is not finite; of a NaN it is known where it begins, as real samples do not pass G."""
    if not logit.isnan():
        return "the weights themselves overflowed"
    words = f"{'D' if of == 'real' else 'G'}'s weights themselves overflowed or became NaN in the step before"
    unseen = of != "real" and recipe.alternating
    return words + (", perhaps of the loss that it takes after D's step, which no row holds" if unseen else "")


def _terms(real_logits, fake_logits, recipe, flipped) -> list[tuple]:
    """(term, whose, logits, values, is it certain that D was told so) in the order in which the loss computes them."""
    real, fake = torch.sigmoid(real_logits), torch.sigmoid(fake_logits)
    fakes = [
        ("log(1 - D(G(z)))", "generated", fake_logits, torch.log(1 - fake), True),
        ("log D(G(z))", "generated", fake_logits, torch.log(fake), True),
    ]
    told_real, told_generated = torch.log(real), torch.log(1 - real)
    certain = flipped is not None or not recipe.flips
    if certain and flipped is not None:
        nothing = torch.zeros_like(real)
        straight = [torch.where(flipped, nothing, told_real), torch.where(flipped, told_generated, nothing)]
        mirrored = [torch.where(flipped, told_real, nothing), torch.where(flipped, nothing, told_generated)]
    else:
        straight, mirrored = [told_real, torch.zeros_like(real)], [torch.zeros_like(real), told_generated]
    names = ("log D(x)", "log(1 - D(x))")
    first, second = (
        [(name, "real", real_logits, values, certain or bool(recipe.smoothing)) for name, values in zip(names, both)]
        for both in (straight, mirrored)
    )
    if not certain:  # what surely happened goes before what may have
        return [*fakes, *first, *second]
    return [*first, *fakes, *(second if recipe.smoothing else [])]


def _sentence(term, of, sample, logits, values, z, recipe) -> str:
    lowest, highest = cliffs(logits.dtype)
    kind = str(logits.dtype).removeprefix("torch.")
    side = f"above {highest:.2f} {kind} rounds D to 1" if logits[sample] > 0 else f"below {lowest:.1f} {kind} rounds D to 0"
    words = f"{term} of sample {sample} is {values[sample]:g}. Its logit is {logits[sample]:.1f}; {side}."
    count = int((~values.isfinite()).sum())
    if count > 1:
        words += f" The same happened to {count} of the {len(values)} samples."
    if of == "generated":
        words += f" Its latent is {rarity(z[sample, : recipe.latent], recipe.prior)}."
    return words


def _first(mask: torch.Tensor) -> int:
    return int(mask.nonzero()[0])


def explain_trace(trace: Trace) -> Explanation:
    """What explain() says of the last batch of a recorded run; ValueError for a run without NaN or without that batch."""
    if trace.nan_at is None or not trace.last_batch:
        raise ValueError(f"{trace} has no batch with a NaN to explain")
    batch = {name: torch.from_numpy(array) for name, array in trace.last_batch.items()}
    return explain(batch["real_logits"], batch["fake_logits"], batch["z"], trace.recipe)


def rarity(z: torch.Tensor, prior: str = "normal") -> str:
    """How rare a latent (latent,) is: how often a normal draw is at least that far out; of a bounded one, its bound."""
    length = float(z.double().norm())
    # the chi distribution; for a single number it is the two-sided tail of the normal one
    tail = float(torch.special.gammaincc(torch.tensor(len(z) / 2).double(), torch.tensor(length**2 / 2).double()))
    name = f"z = {float(z[0]):.2f}" if len(z) == 1 else f"|z| = {length:.2f}"
    if prior == "uniform":
        return f"{name}, of at most {math.sqrt(3 * len(z)):.2f}"
    if tail == 0:  # further out than float64 can tell
        return f"{name}, no draw is ever as far out"
    return f"{name}, {f'1 draw in {1 / tail:,.0f}' if tail < 0.1 else f'1 draw in {1 / tail:.1f}'} is as far out"


def autopsy(gan: GAN, iterations: int) -> Verdict | None:
    """Train `gan` until its NaN and return the verdict, with `gan` put back to just before the fatal iteration.

    None if all went well for `iterations`. The random state is put back too: gan.step() dies of the same batch. Where the
    loss itself broke, cause and sample are those of explain().
    """
    _check(gan)
    whole("iterations", iterations, at_least=1)
    with one_thread():
        watch = guard(range(iterations), gan, policy="stop")
        for _ in watch:
            gan.step()
        verdict = watch.verdict
        if verdict is None or verdict.phase != "forward":
            return verdict
        fatal = _fatal(gan)
    if fatal.term is None or verdict.operation != "log" or verdict.sample not in (None, fatal.sample):
        return verdict  # the replay saw another operation overflow, and it was there
    return replace(verdict, cause=f"iteration {verdict.iteration:,}: {fatal.words}", sample=fatal.sample)


def _fatal(gan: GAN) -> Explanation:
    """What explain() says of the next iteration of `gan`, which stays as it is."""
    recorder, loss, told = FlightRecorder(gan), gan.loss, []

    def listen(real_logits, fake_logits, flipped=None):
        told.append(flipped)
        return loss(real_logits, fake_logits, flipped)

    recorder.capture()
    state = recorder.random_state()
    try:
        gan.loss = listen
        step = gan.forward()
    finally:
        gan.loss = loss
        recorder.rewind()
        recorder.set_random_state(state)
    return explain(step.real_logits.detach(), step.fake_logits.detach(), step.z, gan.recipe, told[0])


def counterfactual(gan: GAN, losses: Iterable[str] = tuple(LOSSES)) -> dict[str, dict[str, float]]:
    """The next iteration of `gan` once under each of these losses: {loss: what would have happened}; `gan` stays as it is.

    loss_d, loss_g  their values
    push            D's gradient at the largest generated logit, times the batch: 1 is the full push back, 0 none
    finite          are all weights finite afterwards? (1.0 or 0.0)
    """
    _check(gan)
    losses = [losses] if isinstance(losses, str) else list(losses)
    for name in losses:
        if name not in tuple(LOSSES):
            raise ValueError(f"losses must be among {', '.join(LOSSES)}, not {name!r}")
    recorder, kept, answers = FlightRecorder(gan), gan.loss, {}
    if not recorder.capture():
        raise ValueError("the weights of this GAN are not finite already: rewind it first")
    state = recorder.random_state()
    for name in losses:
        try:
            gan.loss = LOSSES[name]
            with one_thread():
                answers[name] = _next(gan, recorder)
        finally:
            gan.loss = kept
            recorder.rewind()
            recorder.set_random_state(state)
    return answers


def _next(gan: GAN, recorder: FlightRecorder) -> dict[str, float]:
    step = gan.forward()
    gradient = torch.autograd.grad(step.loss_d, step.fake_logits, retain_graph=True)[0]
    push = gradient[step.fake_logits.argmax()].item() * gan.recipe.batch
    gan.update(step)
    values = {"loss_d": step.loss_d.item(), "loss_g": step.loss_g.item(), "push": push}
    return values | {"finite": float(recorder.status() == "fine")}


def _check(gan) -> None:
    if not isinstance(gan, GAN):
        raise TypeError(f"gan must be a GAN, not {gan!r}")
