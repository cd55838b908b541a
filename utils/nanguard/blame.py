"""Blame: from what the tracer saw to a Verdict; which sample, and does the iteration live without it?"""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from . import verdict as words
from .frame import source
from .recorder import clone
from .verdict import Verdict

MOST = 16  # trials


class Blame:
    """The event of the fatal iteration, and what can be tried on it."""

    def __init__(self, watch, entry, tracer, event, damage: list[str]):
        self.watch, self.entry, self.tracer, self.event, self.damage = watch, entry, tracer, event, damage
        self.leaves = [one for one in tree_leaves(entry.batch) if isinstance(one, torch.Tensor) and one.dim()]
        # The batch is the first axis, but for recurrent and attention modules that want time first.
        kinds = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
        parts = [part for module in watch.recorder.modules for part in module.modules() if isinstance(part, kinds)]
        firsts = {bool(getattr(getattr(part, "self_attn", part), "batch_first", True)) for part in parts}
        self.axis, self.known = (1 if firsts == {False} else 0), firsts == {True}
        sizes = [one.shape[self.axis] for one in self.leaves if one.dim() > self.axis]
        self.count = Counter(sizes).most_common(1)[0][0] if sizes else None

    def verdict(self) -> Verdict:
        event, number = self.event, self.entry.number
        if event is None:
            names = ", ".join(self.damage[:3]) or "nothing"
            return Verdict(number, f"run again, the iteration left {names} non-finite, by no operation that torch shows")
        samples, check = self._samples()
        sample = samples[0] if samples else None
        count = self.count if self.count and event.phase != "outside" else event.shape[0] if event.shape else None
        before, grew = self.watch.records.words(number)
        loss, term, line = source(event.place)
        feature = event.index[1:] if event.phase == "batch" else None
        because = words.cause(number, event, sample, count)
        if grew:
            because += f"; {before}"
        return Verdict(
            number, because, loss, term, event.operation, event.phase, event.kernel or None, event.shape, sample, feature,
            event.value, event.result, event.steps, event.module, line, words.extent(event, samples, count), check, before,
            words.advice(event, grew),
        )  # fmt: skip

    def _rows(self, axis: int) -> list[int]:
        """Where along an axis of its tensor the event is not finite."""
        bad = self.event.bad
        others = [other for other in range(bad.dim()) if other != axis]
        return (bad.any(dim=others) if others else bad).nonzero().flatten().tolist()

    def _samples(self) -> tuple[list[int], str | None]:
        """The samples to blame, if any, and what came of trying without them."""
        event = self.event
        if event.bad is None or not event.shape or event.phase == "optimiser":
            return [], None
        guesses, sure = self._guesses()
        if not guesses:
            return [], None
        if self.count is None:
            return (guesses[0] if sure else []), "not tried: the body draws its own samples"
        if not self.watch.here():
            return (guesses[0] if sure else []), "not tried: the body cannot be run from here"
        tried = [self._without(guess, self.axis) for guess in guesses[:MOST]]
        lived = [guess for guess, lives in zip(guesses, tried) if lives]
        if set(tried) == {None}:
            return (guesses[0] if sure else []), "not tried: the body does not run without it"
        if len(lived) == 1 and not self._ambiguous(lived[0]):
            names = ", ".join(map(str, lived[0][:5])) + (" ..." if len(lived[0]) > 5 else "")
            return lived[0], f"verified: without sample {names} the iteration is finite"
        if lived or not sure:
            return [], None
        return guesses[0], f"without sample {guesses[0][0]} of the batch it breaks all the same"

    def _guesses(self) -> tuple[list[list[int]], bool]:
        """Lists of samples that the event's index may mean, and whether the first is good without a trial."""
        shape, axis, count = self.event.shape, self.axis, self.count
        if axis and count and len(shape) > 1 and shape[1] == count:
            return [self._rows(1)], True
        if axis == 0 and (shape[0] == count or (count is None and shape[0] in self.tracer.batch_sizes)):
            # A weight may have a gradient that happens to be as long as the batch.
            doubtful = shape in self.tracer.shapes and self.event.weight is not None
            rows = self._rows(0)
            return ([] if 1 < len(rows) == shape[0] else [rows]), not doubtful
        if not count:
            return [], False
        rows = self._rows(0)
        if shape[0] % count == 0 and shape[0] > count:  # flattened or regrouped
            each = shape[0] // count
            split = [sorted({row // each for row in rows}), sorted({row % count for row in rows})]
            return [one for at, one in enumerate(split) if one not in split[:at] and (at or not axis)], False
        if axis == 0 and count % shape[0] == 0:  # a part of the batch
            return [[row + start for row in rows] for start in range(0, count, shape[0])], False
        return [], False

    def _ambiguous(self, samples: list[int]) -> bool:
        """Might the other axis of a batch be the samples' just as well?"""
        shape, rows = self.event.shape, None
        for leaf in self.leaves:
            tokens = leaf.dim() == 2 and not leaf.is_floating_point()
            if not self.known and self.axis == 0 and (leaf.dim() == 3 or tokens):
                if len(shape) > 1 and shape[:2] == leaf.shape[:2]:
                    rows = self._rows(1)
                elif shape[0] == leaf.shape[0] * leaf.shape[1]:
                    rows = sorted({row % leaf.shape[1] for row in self._rows(0)})
        return rows is not None and self._without(rows, 1) is True

    def _without(self, samples: list[int], axis: int) -> bool | None:
        """Does the iteration live with those samples replaced by another one?"""
        size = self.count if axis == self.axis else max(leaf.shape[axis] for leaf in self.leaves if leaf.dim() > axis)
        others = [one for one in range(size) if one not in samples]
        if not others:
            return None

        def mended(leaf):
            if not isinstance(leaf, torch.Tensor) or leaf.dim() <= axis or leaf.shape[axis] != size:
                return leaf
            leaf = leaf.clone()
            leaf.index_copy_(axis, torch.tensor(samples), leaf.index_select(axis, torch.tensor([others[0]] * len(samples))))
            return leaf

        return self.watch.drive(self.watch.trial(tree_map(mended, clone(self.entry.batch))))


def unlike(watch) -> Verdict:
    """What can be said where the iteration did something else when it ran again."""
    entries = watch.window
    first = next((entry for entry in entries if watch._bad(entry)), entries[-1])
    known = watch._bad(first) or len(entries) == 1
    span = f"iteration {first.number}" if known else f"one of the iterations {entries[0].number} to {first.number}"
    left = ", ".join(watch.damaged[:3]) or "a loss"
    if not watch.replayed:
        because = f"{span} left {left} non-finite, and the loop was left before it could run again"
        return Verdict(first.number, because, advice="use guard.step on a function that does one iteration", reproduced=False)
    because = f"{span}: not reproduced: run again, it left nothing non-finite or did something else; before, it damaged {left}"
    advice = f"hand over or rewind what the loop keeps by itself: {watch.loop.hints()}"
    return Verdict(first.number, because, advice=advice, reproduced=False)
