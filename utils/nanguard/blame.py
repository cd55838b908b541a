"""Blame: from what the tracer saw to a Verdict; which sample, and does the iteration live without it?"""

from __future__ import annotations

import math
import re
from collections import Counter

import torch

from . import verdict as words
from .frame import source
from .tensors import array, batched, clone, opened
from .verdict import Verdict

MOST = 16  # trials


class Blame:
    """The event of the fatal iteration, and what can be tried on it."""

    def __init__(self, watch, entry, tracer, again):
        self.watch, self.entry, self.tracer, self.event, self.damage = watch, entry, tracer, again.event, again.damaged
        self.leaves = batched(entry.batch)
        sizes = Counter(len(one) for one in self.leaves).most_common(1)
        agreed = bool(sizes) and (2 * sizes[0][1] > len(self.leaves) or len(self.leaves) == 2)
        self.count = sizes[0][0] if agreed else None  # samples in the batch
        # does the body draw its samples?
        self.own = not any(isinstance(one, (torch.Tensor, array())) for _, one in opened(entry.batch))

    def verdict(self) -> Verdict:
        number = self.entry.number
        if self.event is None:
            names = ", ".join(self.damage[:3]) or "nothing"
            because = f"run again, the iteration left {names} non-finite, by no operation that torch shows"
            return Verdict(number, because, advice=words.turn("look for what numpy or a kernel of its own makes", "guard"))
        samples, lives, check = self._samples()
        self.watch.doubtful = lives is False or self.event.meant or self.event.phase == "outside"
        event, sample = self.event, samples[0] if samples else None
        count = self.count if self.count and event.phase != "outside" else event.shape[0] if event.shape else None
        before, grew = self.watch.records.words(number)
        grew = grew and words.HUGE < (event.largest or 0) < math.inf and not lives  # else it was no overflow
        loss, term, line = source(event.place)
        if event.operation == "scalar_tensor" and (called := re.match(r"(?:return )?[\w.]*?(\w+)\(", term or "")):
            event.operation = called[1]  # such as logdet, which is made of others
        because = words.cause(number, event, sample, count) + (f"; {before}" if grew else "")
        whole = False if grew else None
        if check is None and not grew:
            whole, check = self._with_the_batch_before()
        return Verdict(
            number, because, loss, term, event.operation, event.phase, event.shape, sample,
            event.index[1:] if event.phase == "batch" else None, event.value, event.result, event.steps, event.module, line,
            words.extent(event, samples, count, whole), check, before, words.advice(event, grew),
        )  # fmt: skip

    def _samples(self) -> tuple[list[int], bool | None, str | None]:
        """(the samples to blame, if any, does the iteration live without them, the same in words)."""
        if not self.event.shape or self.event.phase == "optimiser":
            return [], None, None
        guesses, sure = self._guesses(self.event)
        if not guesses:
            return [], None, None
        untried = guesses[0] if sure else []
        if self.count is None:
            return untried, None, "not tried: the batch holds no tensors, or not one sample each"
        if 2 * len(guesses[0]) > self.count:
            return untried, None, "not tried: too few samples are left"
        if not self.watch.loop.runnable():
            return untried, None, "not tried: the body cannot be run from here"
        tried = [self._without(0, guess) for guess in guesses[:MOST]]
        lived = [guess for guess, (lives, _) in zip(guesses, tried) if lives]
        if all(lives is None for lives, _ in tried):
            return untried, None, "not tried: the body does not run without it"
        if len(lived) == 1 and not any(self._without(1, rows)[0] for rows in self._across()):
            return self._verified(lived[0])
        return ([], None, None) if lived or not sure else self._moved(guesses[0], tried[0][1])

    def _verified(self, samples: list[int]) -> tuple[list[int], bool, str]:
        """Those of them without which the iteration lives: another one's numbers may be masked."""
        for one in samples if len(samples) <= MOST else ():
            rest = [other for other in samples if other != one]
            samples = rest if rest and self._without(0, rest)[0] else samples
        names = ", ".join(map(str, samples[:5])) + (" ..." if len(samples) > 5 else "")
        return samples, True, f"verified: without sample {names} the iteration is finite"

    def _moved(self, samples: list[int], other) -> tuple[list[int], bool, str]:
        """What is to blame if the iteration breaks without these samples too, there by the event `other`."""
        check, event = f"without sample {samples[0]} of the batch it breaks all the same", self.event
        if other is None or (_what(other) == _what(event) and set(other.rows(0)) & set(samples)):
            drawn = event.shape[0] in self.tracer.drawn
            return samples if drawn else [], False, check + (": the body draws its own" if drawn else ", so it is no sample's")
        guesses, sure = self._guesses(other)
        if sure and guesses:
            for rows, culprit in ((guesses[0], other), (sorted({*samples, *guesses[0]}), event)):
                if self._without(0, rows)[0]:
                    self.event = culprit
                    return self._verified(rows)
        return samples, False, f"{check}, at {other.operation}"

    def _guesses(self, event) -> tuple[list[list[int]], bool]:
        """Lists of samples that the event's index may mean, and whether the first is good without a trial."""
        if not event.shape:
            return [], False
        rows, size, count = event.rows(0), event.shape[0], self.count
        # A weight may have a gradient that happens to be as long as the batch, or a part of it.
        doubtful = event.shape in self.tracer.shapes and event.weight is not None
        if size == count or (self.own and size in self.tracer.batch_sizes):
            return ([] if 1 < len(rows) == size else [rows]), not doubtful
        if not count or doubtful:
            return [], False
        starts = range(0, count, size) if count % size == 0 else ()  # a part of the batch
        split = [[row + start for row in rows] for start in starts]
        if size % count == 0:  # flattened or regrouped
            each = size // count
            split = [sorted({row // each for row in rows}), sorted({row % count for row in rows})]
        return [one for at, one in enumerate(split) if one not in split[:at] and len(one) < count], False

    def _across(self) -> list[list[int]]:
        """Rows along the other axis of a sequence, which might be the samples' just as well."""
        shape, found = self.event.shape, []
        for leaf in self.leaves:
            if leaf.ndim == 3 or (leaf.ndim == 2 and "float" not in str(leaf.dtype)):
                if shape[:2] == leaf.shape[:2]:
                    found.append(self.event.rows(1))
                elif shape[0] == leaf.shape[0] * leaf.shape[1]:
                    found.append(sorted({row % leaf.shape[1] for row in self.event.rows(0)}))
        return found[:1]

    def _without(self, axis: int, samples: list[int]) -> tuple[bool | None, object]:
        """trial() with those samples replaced by another one."""
        size = Counter(leaf.shape[axis] for leaf in self.leaves if leaf.ndim > axis).most_common(1)[0][0]
        others = [one for one in range(size) if one not in samples]
        others.sort(key=self.event.rows(0).__contains__)  # whole ones first
        if not others:
            return None, None

        batch, at = clone(self.entry.batch), (slice(None),) * axis
        for leaf in batched(batch):
            if leaf.ndim > axis and leaf.shape[axis] == size:
                leaf[(*at, samples)] = leaf[(*at, [others[0]])]
        return self.watch.drive(self.watch.trial(batch))

    def _with_the_batch_before(self) -> tuple[bool | None, str | None]:
        """Where everything is broken: does the iteration live with the batch before it? None if that cannot be tried."""
        if self.event.phase == "optimiser":
            return False, None
        known = self.event.phase in ("forward", "backward") and self.event.whole
        if not known or self.own or self.watch.earlier is None or not self.watch.loop.runnable():
            return None, None
        lives, _ = self.watch.drive(self.watch.trial(clone(self.watch.earlier)))
        return lives, words.WHOLE[lives][1]


def _what(event) -> tuple:
    """Which operation of which line, also in a body that runs from its source."""
    return event.operation, event.place and event.place[2]


def unlike(watch, cut: bool = False) -> Verdict:
    """What can be said where the iteration did something else when it ran again, or the loop was left before it had."""
    entries = watch.window
    first = next((entry for entry in entries if entry.bad), entries[-1])
    known = first.bad or len(entries) == 1
    span = f"iteration {first.number}" if known else f"one of the iterations {entries[0].number} to {first.number}"
    left = ", ".join(watch.damaged[:3]) or "a loss"
    if cut or not watch.replayed:
        because = f"{span} left {left} non-finite, and the loop was left before it had run again"
        advice = "use guard.step on a function that does one iteration"
    else:
        did = "it left nothing non-finite or did something else"
        because = f"{span}: not reproduced: run again, {did}; before, it damaged {left}"
        missing = "" if watch.recorder.optimisers else "an optimiser, if there is one, "
        advice = f"hand over or rewind what the loop keeps by itself: {missing}{watch.loop.hints()}"
    return Verdict(first.number, because, advice=words.turn(advice, "guard"), reproduced=False)
