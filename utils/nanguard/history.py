"""History: a few numbers of each of the last iterations, and what they say about how a loop came to its end."""

from __future__ import annotations

import math
from collections import deque

import torch


class History:
    """rows: {"iteration", "loss", "gradient", "update", "rate", "scale"} of the last 64 iterations, NaN where unknown.

    loss is the last number that backward was called on; gradient and update (over weight, an iteration) are those of the
    last small weights of each network.
    """

    def __init__(self):
        self.rows, self.then = deque(maxlen=64), {}

    def add(self, number: int, losses: list[float], gradient: float, recorder) -> None:
        """One more iteration."""
        scale = recorder.scaler.get_scale() if recorder.scaler is not None else math.nan
        rates = [float(one.param_groups[0].get("lr", math.nan)) for one in recorder.of(torch.optim.Optimizer)[:1]]
        row = {"iteration": number, "loss": losses[-1] if losses else math.nan, "gradient": gradient, "update": math.nan}
        self.rows.append(row | {"rate": rates[0] if rates else math.nan, "scale": scale})

    @torch.no_grad()
    def look(self, recorder, iterations: int) -> None:
        """How far the weights went since the last look, an iteration, over how large they are."""
        pairs = [(one, self.then[id(one)]) for one in recorder.tails if id(one) in self.then]
        if pairs and self.rows:
            now, then = zip(*pairs)  # norms in one call: a tensor at a time costs
            moved, size = (math.hypot(*map(float, torch._foreach_norm(of))) for of in (torch._foreach_sub(now, then), now))
            self.rows[-1]["update"] = moved / max(size, 1e-15) / iterations
        self.then = {id(one): one.detach().clone() for one in recorder.tails}

    def words(self, until: int) -> tuple[str | None, bool]:
        """(what went before iteration `until`, had something been growing?)."""
        rows = [row for row in self.rows if row["iteration"] < until]
        scales = [(row["iteration"], row["scale"]) for row in rows if row["scale"] == row["scale"]]
        falls = [now[0] for last, now in zip(scales, scales[1:]) if now[1] < last[1]]
        if len(falls) > 2 and scales[-1][1] < scales[0][1]:
            return f"the loss scale was falling since iteration {falls[0]}, to {scales[-1][1]:g}", False
        for name, words in (("gradient", "the gradient norm"), ("loss", "the loss")):
            series = [(row["iteration"], abs(row[name])) for row in self.rows if row["iteration"] <= until]
            series = [pair for pair in series if math.isfinite(pair[1]) and pair[1] > 0]
            start = len(series) - 1
            while start > 0 and series[start - 1][1] < series[start][1]:
                start -= 1
            steps = len(series) - 1 - start
            if steps > 1 and series[-1][1] > 100 * series[start][1]:
                factor = (series[-1][1] / series[start][1]) ** (1 / steps)
                return f"divergence: {words} grew {factor:.1f}x an iteration from iteration {series[start][0]} on", True
        return ("nothing had been growing: out of the blue" if len(rows) > 2 else None), False
