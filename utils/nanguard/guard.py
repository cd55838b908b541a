"""guard: hands a loop its batches, looks after it, and says why it broke; guard.step does so for a step function."""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FunctionType

import torch

from .frame import raise_through, tracebacks, users
from .loop import SOME, Ear, Loop
from .recorder import kind
from .verdict import Verdict, attach
from .watch import PENDING, Watch


class guard(Watch):
    """Hand out what `iterable` does; when the loop's body breaks its loss or its weights, say why.

    `for batch in guard(loader, G, D, opt_g, opt_d):` around the body as it stands.

    objects     every module and optimiser that the body changes, and what else it depends on and has a state: a
                torch.Generator, a GradScaler, a scheduler. For a loop that draws its own data: guard(range(n), ...)
    policy      "raise": run the fatal iteration again under the tracer, put the state before it back (random state
                included), and raise Collapse
                "skip": put the last good copy back, warn, and go on with the next batch (`.skipped` lists all iterations
                that are lost so; nothing runs again)
                "stop": like "raise", but only end the loop (`.verdict` says why)
    every       iterations between two copies: by default 4, and 1 with "skip". With more than 1, up to every - 1 more
                bodies run after the NaN, and the healthy ones since the last copy run twice, to find the fatal one; with
                "skip" they are lost
    scaled      the body scales its loss by hand and skips a step whose gradients overflow: infinite losses are no death

    The body runs again as it stands: what it prints, it prints each time. What it draws must come from `iterable`, a
    DataLoader, the global random state or a guarded Generator. A loop that is left by break or an error gets one more look.
    What else `iterable` has, such as a loader's `dataset`, the guard has too.
    A loss that is not finite is a collapse even if the body leaves it out; `policy="skip"` does that for it.
    Raises ValueError or TypeError for an argument that no loop can have.
    """

    def __init__(self, iterable: Iterable, *objects, policy: str = "raise", every: int | None = None, scaled: bool = False):
        known = hasattr(iterable, "__iter__") or hasattr(iterable, "__getitem__")
        if not known or isinstance(iterable, (type, torch.nn.Module)):
            raise TypeError(f"iterable must be what a for loop can go through, a DataLoader or the like, not {kind(iterable)}")
        super().__init__(objects, policy, every, scaled)
        self.iterable = iterable

    @staticmethod
    def step(*objects, policy: str = "raise", every: int | None = None, scaled: bool = False) -> Callable:
        """A decorator for a function that does one iteration: `train_step = guard.step(G, D, opt_g, opt_d)(train_step)`.

        It sees too when the function raises: that error goes on, with the verdict as a note and as its __cause__. `.check()`
        has one more look after the last call; the rest is as with guard(). ValueError for policy "stop".
        """
        if policy == "stop":
            raise ValueError("policy must be raise or skip for a step, which cannot end a loop, not 'stop'")
        if any(isinstance(one, FunctionType) for one in objects):
            raise TypeError("the function comes after what it trains: guard.step(model, optimiser)(function)")
        Watch(objects, policy, every, scaled)  # what is wrong is said here
        return lambda function: Step(function, objects, policy, every, scaled)

    def __len__(self) -> int:
        return len(self.iterable)

    def __getattr__(self, name: str):
        if name == "iterable":  # not there yet
            raise AttributeError(name)
        return getattr(self.iterable, name)

    def __iter__(self) -> Iterator:
        frame = users(sys._getframe(1))
        self._try(self._begin, Loop(frame))
        try:
            with Ear(deaf=True):  # the others are sooner entered then
                for number, batch in enumerate(self.iterable, 1):
                    entry = self._try(self._open, number, batch)
                    with contextlib.nullcontext() if entry is None else entry.ear:
                        yield batch
                    # Most NaNs show at a glance. The next body might not survive one: BCELoss raises, on a GPU past repair.
                    if self._try(self._close, entry) and (yield from self._look()):
                        return
            yield from self._look()
        except GeneratorExit:
            self._try(self._left, frame)
            raise
        finally:
            self.loop = Loop()  # or it would keep the loop's variables alive
            self.recorder.carried, self.recorder.slots, self.recorder.undo = list, [], []

    def _left(self, frame) -> None:
        """The loop was left by a break or an error: one more look, with the bodies run from their source."""
        raised, replaying = tracebacks(frame), self.running is not None
        verdict = self._last(raised, SOME if raised else None) if self.window and not sys.is_finalizing() else None
        if verdict is None:
            return
        self.verdict = verdict
        if raised and raise_through(frame, raised, verdict):
            return
        warnings.warn(f"the loop was left after a collapse: {verdict.cause}\n{verdict}", stacklevel=3)
        if not raised and not replaying and self.policy == "raise":
            PENDING[self.recorder.objects[0]] = verdict


class Step(Watch):
    """A step function under guard; call it like the function itself."""

    def __init__(self, function: Callable, objects: tuple, policy: str, every: int | None, scaled: bool):
        if not callable(function):
            raise TypeError(f"a step must be a function, not {kind(function)}")
        super().__init__(objects, policy, every, scaled)
        self.function, self.count = function, 0
        functools.update_wrapper(self, function)

    def __call__(self, *args, **kwargs):
        if not self.count:
            self._try(self._begin, Loop(function=self.function))
        self.count += 1
        entry = self._try(self._open, self.count, (args, kwargs))
        try:
            with contextlib.nullcontext() if entry is None else entry.ear:
                result = self.function(*args, **kwargs)
        except (Exception, SystemExit) as error:
            verdict = self._try(self._last, [error.__traceback__], error) if self.window else None
            if verdict is not None:
                self.verdict = verdict
                self.window.clear()
                attach(error, verdict)
            raise
        if self._try(self._close, entry):
            self.drive(self._look())
        return result

    def check(self) -> None:
        """One more look, after the last call."""
        self.drive(self._look())


def replay(path, step, *objects) -> Verdict:
    """Run `step(batch)` on a saved collapse, with its state in `objects`, which are what the guard was given; the verdict.

    ValueError if the file is none of save()'s, or was saved with other objects; ArithmeticError if the step does not break
    here as it did there. The objects keep the state before the step.
    """
    watch = guard.step(*objects, every=1)(step)
    try:
        saved = torch.load(Path(path), weights_only=True)
        state, kinds, random, batch = (saved[name] for name in ("state", "kinds", "random", "batch"))
        verdict = Verdict(**saved["verdict"])
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is not a collapse that save() wrote") from error
    if kinds != watch.kinds:
        raise ValueError(f"{path} was saved with {', '.join(kinds)}, not {', '.join(watch.kinds)}")
    try:
        for thing, one in zip(watch.recorder.objects, state):
            thing.set_state(one) if isinstance(thing, torch.Generator) else thing.load_state_dict(one)
    except Exception as error:
        raise ValueError(f"{path} was saved with other objects: {error}") from error
    watch.recorder.set_random_state([*random, None, []])
    raised = None
    try:
        watch(batch)
    except Exception as error:  # its own, or a Collapse
        raised = error
    here = watch.verdict
    if here is None or (here.operation, str(here.result)) != (verdict.operation, str(verdict.result)):
        raise ArithmeticError(
            f"run here, the step did not break at {verdict.operation} as it did there:\n{verdict}"
        ) from raised
    return verdict
