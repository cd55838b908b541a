"""History: a few numbers of each of the last iterations, and what they say about how a loop came to its end."""

from __future__ import annotations

import math
from collections import deque

import torch

SMALL, MANY = 16_384, 16  # numbers in a weight that is looked at, and weights looked at


class History:
    """rows: {"iteration", "loss", "gradient", "update", "rate", "scale"} of the last 64 iterations, NaN where unknown.

    loss is the last number that backward was called on; gradient and update (over weight) are norms of the small weights.
    """

    def __init__(self):
        self.rows: deque[dict] = deque(maxlen=64)
        self.before: list[torch.Tensor] = []

    @torch.no_grad()
    def add(self, number: int, losses: list[float], recorder) -> tuple:
        """One more iteration; its norms()."""
        weights = _small(recorder)
        gradient, weight = norms(recorder)
        row = {"iteration": number, "loss": losses[-1] if losses else math.nan, "gradient": gradient, "update": math.nan}
        if len(self.before) == len(weights) and all(a.shape == b.shape for a, b in zip(self.before, weights)) and weights:
            torch._foreach_sub_(self.before, weights)
            row["update"] = _norm(self.before) / max(weight, 1e-30)
            torch._foreach_copy_(self.before, weights)
        else:
            self.before = [one.detach().clone() for one in weights]
        rates = [one.param_groups[0].get("lr", math.nan) for one in recorder.optimisers]
        row["rate"] = float(rates[0]) if rates else math.nan
        row["scale"] = recorder.scaler.get_scale() if recorder.scaler is not None else math.nan
        self.rows.append(row)
        return gradient, weight

    def words(self, until: int) -> tuple[str | None, bool]:
        """(what went before iteration `until`, had something been growing?)."""
        rows = [row for row in self.rows if row["iteration"] < until]
        scales = [(row["iteration"], row["scale"]) for row in rows if row["scale"] == row["scale"]]
        falls = [now[0] for last, now in zip(scales, scales[1:]) if now[1] < last[1]]
        if len(falls) > 2 and scales[-1][1] < scales[0][1]:
            return f"the loss scale was falling since iteration {falls[0]}, to {scales[-1][1]:g}", False
        for name, words in (("gradient", "the gradient norm"), ("loss", "the loss")):
            series = [(row["iteration"], abs(row[name])) for row in self.rows if row["iteration"] <= until]
            grown = _growth([pair for pair in series if math.isfinite(pair[1]) and pair[1] > 0])
            if grown:
                return f"divergence: {words} grew {grown[1]:.1f}x an iteration from iteration {grown[0]} on", True
        return ("nothing had been growing: out of the blue" if len(rows) > 2 else None), False


def _growth(series: list[tuple[int, float]]) -> tuple[int, float] | None:
    """(since when, factor an iteration) of a rise over the last three numbers or more, by at least a hundred; else None."""
    start = len(series) - 1
    while start > 0 and series[start - 1][1] < series[start][1]:
        start -= 1
    steps = len(series) - 1 - start
    if steps < 2 or series[-1][1] < 100 * series[start][1]:
        return None
    return series[start][0], (series[-1][1] / series[start][1]) ** (1 / steps)


def norms(recorder) -> tuple[float, float]:
    """Norms of the gradients and of the weights, of small weights only: it costs next to nothing."""
    weights = _small(recorder)
    return (_norm([one.grad for one in weights]), _norm(weights)) if weights else (math.nan, math.nan)


def _small(recorder) -> list[torch.Tensor]:
    weights = [one for one in recorder.weights if one.numel() <= SMALL and one.grad is not None and not one.grad.is_sparse]
    return [one for one in weights[-MANY:] if one.is_floating_point() and one.device == weights[-1].device]


@torch.no_grad()
def _norm(tensors: list[torch.Tensor]) -> float:
    return torch.stack([one.float() for one in torch._foreach_norm(tensors)]).norm().item()
