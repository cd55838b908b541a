"""Watch: the window of iterations since the last good copy, and the search for the one in it that broke."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from .blame import Blame, unlike
from .frame import Loop
from .history import History, norms
from .listen import Ear
from .recorder import FlightRecorder, all_finite, clone, counted
from .tracer import Tracer
from .verdict import Collapse, Verdict

LONGEST = 64  # iterations that may wait for infinite gradients to be skipped or to reach a weight
PENDING: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # verdicts on loops that were left before they could be told


class Unlike(Exception):
    """An iteration that ran again did something else."""


SOME = Exception()  # an error that nobody holds yet


@dataclass(eq=False, repr=False)
class Entry:
    """One iteration: its batch and the random state before it; what it called backward on, what its loaders gave it."""

    number: int
    batch: object
    state: list
    values: dict = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    taken: list = field(default_factory=list)
    error: BaseException | None = None
    silent: bool = False  # a loss was not finite and backward was not called
    clean: bool = True  # the gradients that it began with were finite
    mark: tuple | None = None  # norms that it ended with

    def like(self, other: Entry, compiled: bool) -> bool:
        """Did both do the same? To the last bit, but for compiled code that is traced uncompiled."""
        errors = other.error is not None if self.error is SOME else type(self.error) is type(other.error)
        if not errors or len(self.losses) != len(other.losses):
            return False
        if not compiled and self.mark is not None and repr(self.mark) != repr(other.mark):
            return False
        near = math.isclose if compiled else (lambda a, b, **_: repr(a) == repr(b))
        return all(near(a, b, rel_tol=1e-2) or repr(a) == repr(b) for a, b in zip(self.losses, other.losses))


class Watch:
    """What both forms share: a window of iterations since the last good copy, and the search in it."""

    def __init__(self, objects: tuple, policy: str, keep: int, every: int | None, scaled: bool):
        if policy not in ("raise", "skip", "stop"):
            raise ValueError(f"policy must be raise, skip or stop, not {policy!r}")
        if every is None:  # where the loop goes on, nothing healthy should have run twice
            every = 1 if policy == "skip" else 4
        counted("every", every)
        if not isinstance(scaled, bool):
            raise TypeError(f"scaled must be True or False, not {scaled!r}")
        self.policy, self.every, self.scaled = policy, every, scaled
        self.recorder, self.records = FlightRecorder(*objects, keep=keep), History()
        self.skipped: list[int] = []
        self.verdict: Verdict | None = None
        self.window: list[Entry] = []
        self.loop, self.ear, self.damaged = Loop(None), None, []
        self.fatal: Entry | None = None  # of the last collapse
        self.running: Entry | None = None  # what runs again
        self.replayed = self.only_gradients = False

    @property
    def history(self) -> list[dict]:
        """Loss, gradient norm, update over weight, learning rate and loss scale of the last iterations."""
        return list(self.records.rows)

    def save(self, path) -> None:
        """Write the last collapse to one file, for replay(): state before it, batch, random state and verdict."""
        from .box import save

        save(self, path)

    def _begin(self, frame) -> None:
        self.loop, self.ear, self.window, self.running, self.replayed = Loop(frame), Ear(), [], None, False
        self.recorder.loop = self.loop
        self.recorder.adopt(self.loop.stateful())
        verdict = next((PENDING.pop(one) for one in self.recorder.objects if one in PENDING), None)
        if verdict is None and self.recorder.status() == "broken":
            name, tensor = self.recorder.damage()[0]
            index = tuple((~torch.isfinite(tensor)).nonzero()[0].tolist())
            verdict = Verdict(
                0, f"before the first iteration: {name} is not finite", operation="none", phase="before",
                shape=tuple(tensor.shape), result=tensor[index].item(), module=name,
            )  # fmt: skip
        if verdict is not None:
            self.verdict = verdict
            raise Collapse(verdict)
        self.recorder.copy()

    def _open(self, number: int, batch) -> Entry:
        entry = Entry(number, clone(batch), self.recorder.random_state(), self.loop.values())
        self.window.append(entry)
        self.ear.begin()
        return entry

    def _bad(self, entry: Entry) -> bool:
        lenient = self.scaled or self.recorder.scaler is not None
        return entry.silent or any(math.isnan(one) or (math.isinf(one) and not lenient) for one in entry.losses)

    def _close(self, entry: Entry) -> bool:
        """Note what the body did; is it time for a look?"""
        entry.losses, entry.taken = self.ear.heard(), self.ear.taken
        entry.silent = not entry.losses and not self.scaled and self.loop.broken_loss()
        entry.mark = self.records.add(entry.number, entry.losses, self.recorder)
        born = self.recorder.unborn and entry.number == 1  # a lazy layer has its weights now
        return born or len(self.window) >= self.every or self._bad(entry) or not self.recorder.glance()

    def _ill(self) -> bool:
        """Does the window end in a death? A healthy one is closed; one with infinite gradients and nothing else waits."""
        status = self.recorder.status()
        if status == "broken" or any(self._bad(entry) for entry in self.window):
            self.damaged = [name for name, _ in self.recorder.damage()]
            return True
        if status == "fine" or len(self.window) >= LONGEST:
            self.recorder.adopt(self.loop.stateful())
            self.recorder.copy()
            self.window.clear()
        return False

    def _look(self) -> Iterator:
        """Is all well after this window of iterations? If not, do what the policy says; True ends the loop."""
        while self.window and self._ill():
            after = self.recorder.random_state()
            if self.policy != "skip":
                self.verdict = yield from self._judge()
                if self.policy == "raise":
                    raise Collapse(self.verdict)
                return True
            window, base = list(self.window), self.recorder.ring[-1]
            try:
                yield from self._find()
                bad, self.window = self.window[:1], window[window.index(self.window[0]) + 1 :]
            except Unlike:
                self.recorder.back_to(base)
                bad, self.window = window, []
            self.recorder.rewind()
            self.skipped += [entry.number for entry in bad]
            numbers = ", ".join(str(entry.number) for entry in bad)
            warnings.warn(f"skipped iteration {numbers}: it left numbers that are not finite", stacklevel=3)
            self.recorder.set_random_state(after)
            for entry in self.window:  # what came after the fatal one ran in vain
                again = yield from self._again(entry)
                entry.losses, entry.taken, entry.silent, entry.mark = again.losses, again.taken, again.silent, again.mark
            self.running = None
        return False

    # -- running iterations again: generators that yield a batch for each body and are told how it went

    def _again(self, entry: Entry, batch=None) -> Iterator:
        again, self.replayed = Entry(entry.number, None, None), True
        self.recorder.set_random_state(entry.state)
        self.ear.begin(entry.taken, lambda: all_finite(self.recorder.gradients))
        self.running = entry
        try:
            yield clone(entry.batch) if batch is None else batch
        except GeneratorExit:
            raise
        except BaseException as error:
            again.error = error
        again.losses, again.taken = self.ear.heard(), self.ear.taken
        again.silent = not again.losses and not self.scaled and again.error is None and self.loop.broken_loss()
        again.clean, again.mark = self.ear.clean, norms(self.recorder)
        return again

    def _find(self) -> Iterator:
        """Run the window again up to the fatal iteration, which is then window[0] with the state before it put back.

        Raises Unlike if an iteration does something else than before.
        """
        base = self.recorder.ring[-1]
        self.recorder.rewind()
        carried = 0  # iterations at whose end only gradients were not finite
        while len(self.window) > carried + 1:
            entry = self.window[carried]
            again = yield from self._again(entry)
            if not entry.like(again, False):
                raise Unlike
            status = self.recorder.status()
            if self._bad(again) or status == "broken":
                del self.window[carried + 1 :]
                break
            carried += 1
            if status == "fine":
                self.recorder.copy(beside=base)
                del self.window[:carried]
                carried = 0
        if carried:
            yield from self._carried(base)
        self.recorder.rewind()

    def _carried(self, base) -> Iterator:
        """Whose gradients killed the last one of the window: its own, or those that an iteration before it left behind?"""
        self.recorder.rewind()
        for entry in self.window:
            again = yield from self._again(entry)
            if not entry.like(again, False):
                raise Unlike
            entry.clean = again.clean
        fatal = max(at for at, entry in enumerate(self.window) if entry.clean or at == 0)
        self.recorder.rewind()
        for entry in self.window[:fatal]:
            yield from self._again(entry)
        if fatal:
            self.recorder.status()
            self.recorder.copy(beside=base)
        self.window = self.window[fatal : fatal + 1]

    def _investigate(self) -> Iterator:
        """The verdict on the window, from a replay that did the same; the state before the fatal iteration is put back."""
        yield from self._find()
        entry = self.window[0]
        batch, compiled = clone(entry.batch), "torch._dynamo" in sys.modules
        eager = torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()
        with Tracer(self.recorder.modules, batch, self.recorder.names) as tracer, eager:
            again = yield from self._again(entry, batch)
        damage = self.recorder.damage()
        if not entry.like(again, compiled) or not (damage or self._bad(again) or again.error):
            raise Unlike
        event = tracer.culprit([tensor for _, tensor in damage], raised=again.error is not None)
        self.fatal = entry
        self.only_gradients = not self._bad(again) and all("gradient" in name for name, _ in damage)
        self.recorder.rewind()
        return Blame(self, entry, tracer, event, [name for name, _ in damage])

    def _judge(self) -> Iterator:
        """The verdict on the window: from the frame itself, or from its source, or what little the first run shows."""
        window, base = list(self.window), self.recorder.ring[-1]
        try:
            blame = yield from self._investigate()
        except Unlike:
            so_far, last = self.window, self.recorder.ring[-1]
            self.window = window
            self.recorder.back_to(base)
            blame = self._elsewhere()
            if blame is None and last is not base:  # up to there it did the same
                self.window = so_far
                self.recorder.ring.append(last)
        return self._told(blame)

    def _told(self, blame: Blame | None) -> Verdict:
        """The verdict in words, with the state before the fatal iteration put back, whatever happens."""
        try:
            return unlike(self) if blame is None else blame.verdict()
        except Exception as error:
            number = self.window[0].number
            return Verdict(number, f"iteration {number} broke; why could not be analysed ({type(error).__name__}: {error})")
        finally:
            self.recorder.rewind()
            self.recorder.set_random_state(self.window[0].state)

    def _elsewhere(self) -> Blame | None:
        """The investigation once more, with the bodies run from here; None if it cannot be, or does something else again."""
        window, base = list(self.window), self.recorder.ring[-1]
        try:
            return self.drive(self._investigate()) if self.runnable() else None
        except Unlike:
            self.window = window
            self.recorder.back_to(base)
            return None

    def runnable(self) -> bool:
        """Can bodies run from here, rather than where the loop stands?"""
        return self.loop.runnable()

    def drive(self, generator: Iterator):
        """Run such a generator to its end, each body from here, with its errors told to the generator."""
        with self.loop.apart(self.recorder.ring[-1].values):
            try:
                batch = next(generator)
                while True:
                    try:
                        self.run(self.running, batch)
                    except (KeyboardInterrupt, GeneratorExit):
                        raise
                    except BaseException as error:
                        batch = generator.throw(error)
                    else:
                        batch = next(generator)
            except StopIteration as stop:
                return stop.value

    here = runnable  # for trials

    def run(self, entry: Entry, batch) -> None:
        """One body from here."""
        self.loop.run(entry.number, batch, entry.values)

    def trial(self, batch) -> Iterator:
        """Does the fatal iteration live with this batch? None if the body raises something else."""
        self.recorder.rewind()
        again = yield from self._again(self.fatal, batch)
        if again.error is not None and type(again.error) is not type(self.fatal.error) and self.fatal.error is not SOME:
            return None
        status = self.recorder.status()
        harmless = status == "fine" or (status == "gradients" and not self.only_gradients)
        return again.error is None and not self._bad(again) and harmless
