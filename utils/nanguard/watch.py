"""Watch: the window of iterations since the last good copy, and the search for the one in it that broke."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import nn
from torch.utils._pytree import tree_map

from .blame import Blame, unlike
from .frame import evidence
from .loop import SOME, Ear, Entry, Loop
from .recorder import FlightRecorder
from .tensors import clone, plain
from .tracer import Tracer
from .verdict import Collapse, History, Verdict, turn

LONGEST = 64  # iterations that may wait for infinite gradients to be skipped or to reach a weight
PENDING: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # verdicts on loops that were left before they could be told


class Unlike(Exception):
    """An iteration that ran again did something else."""


class Watch:
    """What both forms share: a window of iterations since the last good copy, and the search in it."""

    def __init__(self, objects: tuple, policy: str, every: int | None, scaled: bool):
        if policy not in ("raise", "skip", "stop"):
            raise ValueError(f"policy must be raise, skip or stop, not {policy!r}")
        if every is None:  # where the loop goes on, nothing healthy should have run twice
            every = 1 if policy == "skip" else 4
        if isinstance(every, bool) or not isinstance(every, int):
            raise TypeError(f"every must be a whole number, not {every!r}")
        if every < 1:
            raise ValueError(f"every must be at least 1, not {every!r}")
        if not isinstance(scaled, bool):
            raise TypeError(f"scaled must be True or False, not {scaled!r}")
        self.policy, self.every, self.scaled = policy, every, scaled
        self.recorder, self.records, self.loop = FlightRecorder(*objects), History(), Loop()
        self.skipped: list[int] = []
        self.verdict: Verdict | None = None
        self.window: list[Entry] = []
        self.earlier = None  # the batch before the window's
        self.damaged: list[str] = []
        self.fatal: Entry | None = None  # of the last collapse
        self.running: int | None = None  # number of the iteration that runs again
        self.replayed = self.only_gradients = self.lame = False
        self.doubtful = False  # would what ends the last iteration have done so without its NaN?

    @property
    def history(self) -> list[dict]:
        """Loss, gradient norm, update over weight, learning rate and loss scale of the last iterations."""
        return list(self.records.rows)

    @property
    def kinds(self) -> list[str]:
        return ["module" if isinstance(one, nn.Module) else type(one).__name__ for one in self.recorder.objects]

    def save(self, path) -> None:
        """Write the last collapse to one file, for replay(): state before it, batch, random state and verdict.

        ValueError if there was no collapse.
        """
        if self.fatal is None or self.verdict is None:
            raise ValueError("there is nothing to save: this guard has seen no collapse that ran again")
        objects = self.recorder.objects
        content = {
            "state": [one.get_state() if isinstance(one, torch.Generator) else one.state_dict() for one in objects],
            "batch": self.fatal.batch, "iteration": self.fatal.number, "verdict": asdict(self.verdict),
            "random": self.fatal.state[:3], "kinds": self.kinds,
            "versions": {"torch": str(torch.__version__), "python": sys.version.split()[0]},
        }  # fmt: skip
        torch.save(tree_map(plain, content), path)

    def _begin(self, loop: Loop) -> None:
        self.loop, self.window, self.earlier, self.running, self.replayed = loop, [], None, None, False
        self.recorder.carried = loop.slots
        self.recorder.adopt()
        self.verdict = next((PENDING.pop(one) for one in self.recorder.objects if one in PENDING), None)
        if self.verdict is None and self.recorder.status() == "broken":
            name, tensor = self.recorder.damage()[0]
            self.verdict = Verdict(
                0, f"before the first iteration: {name} is not finite", operation="none", phase="before", module=name,
                shape=tuple(tensor.shape), result=tensor[~torch.isfinite(tensor)][0].item(),
                advice=turn("load or initialise it anew", "other"),
            )  # fmt: skip
        if self.verdict is not None:
            raise Collapse(self.verdict)
        self.recorder.copy()

    def _try(self, function, *arguments):
        """What it returns; an error of the guard's own ends the guard, not the loop."""
        try:
            return None if self.lame else function(*arguments)
        except Collapse:
            raise
        except Exception as error:
            self.lame = True
            self.window.clear()
            words = f"the loop goes on without its guard, which failed: {type(error).__name__}: {error}"
            if "device-side assert" in str(error):  # as BCELoss on a GPU has it at a NaN
                words = "after a device-side assert a GPU runs nothing again: run the loop on the CPU for a verdict"
            warnings.warn(words, stacklevel=4)

    def _open(self, number: int, batch) -> Entry:
        self.window.append(Entry(number, clone(batch), self.recorder.random_state(), Ear()))
        return self.window[-1]

    def _note(self, entry: Entry) -> None:
        """What a body did."""
        entry.losses, entry.norms = entry.ear.heard(), self.recorder.norms()
        lenient = self.scaled or self.recorder.lenient
        entry.bad = any(math.isnan(one) or (math.isinf(one) and not lenient) for one in entry.losses)
        if self.recorder.scaler is not None and not lenient:  # the steps that it skips would be skipped for ever
            entry.bad |= not self.recorder.clean()
        if not entry.losses and not self.scaled and entry.error is None:  # backward was not called
            entry.bad |= self.loop.broken_loss()

    def _close(self, entry: Entry) -> bool:
        """Note what the body did; is it time for a look?"""
        self._note(entry)
        self.records.add(entry.number, entry.losses, entry.norms[0], self.recorder)
        born = self.recorder.unborn and entry.number == 1  # a lazy layer has its weights now
        return born or entry.bad or len(self.window) >= self.every or not math.isfinite(entry.norms[1])

    def _ill(self) -> bool:
        """Does the window end in a death? A healthy one is closed; one with infinite gradients and nothing else waits."""
        status = self.recorder.status(quick=True)
        if status == "broken" or any(entry.bad for entry in self.window):
            self.damaged = [name for name, _ in self.recorder.damage()]
            return True
        if status == "fine" or len(self.window) >= LONGEST:
            self.records.rows[-1]["update"] = self.recorder.moved(self.window[-1].norms[1]) / len(self.window)
            self.recorder.copy()
            self._done(len(self.window))
        return False

    def _done(self, count: int) -> None:
        """The first iterations of the window need not run again."""
        self.earlier = self.window[count - 1].batch if count else self.earlier
        del self.window[:count]

    def _look(self) -> Iterator:
        """Is all well after this window of iterations? If not, do what the policy says; True ends the loop."""
        if not self.window or not self._ill():
            return False
        if self.policy == "skip":
            state, numbers = self.recorder.random_state(), [entry.number for entry in self.window]
            with self.recorder.keeping():
                self.recorder.rewind()
            self.recorder.set_random_state(state)
            self.skipped += numbers
            self.window.clear()
            words = "skipped iteration {}: it left numbers that are not finite"
            warnings.warn(words.format(", ".join(map(str, numbers))), stacklevel=3)
            return False
        with self.recorder.keeping():
            self.verdict = yield from self._judge()
        self.window.clear()  # a step may be called again
        if self.policy == "raise":
            raise Collapse(self.verdict)
        return True

    # -- running iterations again: generators that yield a batch for each body and are told how it went

    def _again(self, entry: Entry, batch=None, mode=None) -> Iterator:
        again = Entry(entry.number, None, None, Ear(entry.ear.taken, self.recorder.clean))
        self.running, self.replayed = entry.number, True
        self.recorder.set_random_state(entry.state)
        with again.ear, mode or contextlib.nullcontext():
            again.error = yield clone(entry.batch) if batch is None else batch
        self._note(again)
        return again

    def _find(self) -> Iterator:
        """Run the window again up to the fatal iteration, which is then window[0] with the state before it put back.

        It is the one that broke a loss or a weight; where gradients were infinite before it, the first one that these go
        back to. Raises Unlike if an iteration does something else than before.
        """
        at, status = 0, "fine"
        self.recorder.rewind()
        while at + 1 < len(self.window) or status == "gradients":
            again = yield from self._again(self.window[at])
            if not self.window[at].like(again):
                raise Unlike
            self.window[at].clean, status = again.ear.clean or at == 0, self.recorder.status()
            if again.bad or status == "broken":
                break
            at += 1
            if at == len(self.window):
                raise Unlike
            if status == "fine":
                self.recorder.copy()
                self._done(at)
                at = 0
        self.recorder.rewind()
        at = max((one for one in range(at + 1) if self.window[one].clean), default=0)
        for entry in self.window[:at]:
            yield from self._again(entry)
        if at:
            self.recorder.status()
            self.recorder.copy()
            self.recorder.rewind()
        self._done(at)
        del self.window[1:]

    def _investigate(self) -> Iterator:
        """A Blame, from a replay that did the same; None if it did not.

        Then the window begins with the first iteration that may have done something else.
        """
        try:
            yield from self._find()
        except Unlike:
            return None
        entry = self.window[0]
        again, tracer = yield from self._traced(entry, clone(entry.batch))
        if not entry.like(again, "torch._dynamo" in sys.modules) or not (again.damaged or again.bad or again.error):
            return None
        self.fatal = entry
        self.only_gradients = not again.bad and self.recorder.status() != "broken"
        self.recorder.rewind()
        return Blame(self, entry, tracer, again)

    def _traced(self, entry: Entry, batch) -> Iterator:
        """(the entry of its run on that batch, the tracer that saw it)."""
        eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else contextlib.nullcontext()
        recorder = self.recorder
        modules = [one for one in recorder.things if isinstance(one, nn.Module)]
        tracer = Tracer(modules, batch, recorder.names, recorder.buffers)
        with eager:
            again = yield from self._again(entry, batch, tracer)
        damage = recorder.damage()
        again.damaged = [name for name, _ in damage]
        again.event = tracer.culprit([tensor for _, tensor in damage], raised=again.error is not None)
        return again, tracer

    def _judge(self) -> Iterator:
        """The verdict on the window: from the frame itself, or from its source, or what little the first run shows.

        The state before the fatal iteration is put back, whatever happens.
        """
        number = self.window[0].number
        if self.loop.body is None and self.loop.function is None:  # next() hands them out, and may not be called again
            left = ", ".join(self.damaged[:3]) or "a loss"
            warnings.warn(f"{left} broke: now iteration {number} and on again are handed out, to find why", stacklevel=4)
        try:
            alone = self.loop.space is None and self.loop.runnable()  # it can also run from its source
            blame = self.drive(self._investigate()) if alone and self.loop.counts else None  # an enumerate has counted on
            blame = blame or (yield from self._investigate())
            if blame is None and alone and not self.loop.counts:
                blame = self.drive(self._investigate())
            verdict = unlike(self) if blame is None else blame.verdict()
        except Exception as error:
            because = f"iteration {number} broke; why could not be analysed ({type(error).__name__}: {error})"
            verdict = Verdict(number, because, advice=turn("look at its batch: watch.save(path) keeps it", "guard"))
        self.recorder.rewind()
        self.recorder.set_random_state(self.window[0].state)
        self.running = None
        return verdict

    def _last(self, raised: list, error: BaseException | None) -> Verdict | None:
        """The verdict on a body that was left by an error or a break; None if nothing that is not finite is behind that."""
        entry, replaying = self.window[-1], self.running is not None
        if not replaying:
            self._note(entry)
        sure = replaying or entry.bad or self.loop.broken_loss() or self.recorder.status() == "broken"
        if not sure and not (self.loop.runnable() and (not self.recorder.clean() or evidence(raised, self.loop))):
            return None
        entry.error = error
        self.damaged = self.damaged if replaying else [name for name, _ in self.recorder.damage()]
        if not self.loop.runnable():
            return unlike(self, cut=replaying)
        with self.recorder.keeping():
            verdict = self.drive(self._judge())
            if sure or (verdict.operation is not None and not self.doubtful):
                return verdict
            for entry in self.window:  # back to where it ended, by another reason
                self.drive(self._again(entry))
        return None

    def drive(self, generator: Iterator):
        """Run such a generator to its end, each body from here."""
        with self.loop.apart():
            try:
                batch = next(generator)
                while True:
                    error = None
                    try:
                        self.loop.run(self.running, batch)
                    except (KeyboardInterrupt, GeneratorExit):
                        raise
                    except BaseException as raised:
                        error = raised
                    batch = generator.send(error)
            except StopIteration as stop:
                return stop.value

    def trial(self, batch) -> Iterator:
        """(does the fatal iteration live with this batch? None if the body raises something else, the event that ends it)."""
        self.recorder.rewind()
        again, _ = yield from self._traced(self.fatal, batch)
        if again.error is not None and type(again.error) is not type(self.fatal.error) and self.fatal.error is not SOME:
            return None, None
        status = self.recorder.status()
        healthy = status == "fine" or (status == "gradients" and not self.only_gradients)
        return again.error is None and not again.bad and healthy, again.event
