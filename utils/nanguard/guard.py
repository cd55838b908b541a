"""guard: hands a loop its batches, looks after it, and says why it broke."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

from .recorder import FlightRecorder, clone, counted
from .tracer import Tracer, first_bad
from .verdict import Collapse, Verdict


class guard:
    """Hand out what `iterable` does; when the loop's body breaks its weights, say why.

    `for batch in guard(loader, G, D, opt_g, opt_d):` around the body as it stands.

    objects     every module and optimiser that the body changes, and what else it depends on and has a state: a
                torch.Generator, a GradScaler, a scheduler. For a loop that draws its own data: guard(range(n), ...)
    policy      "raise": run the fatal iteration again under the tracer, put the state before it back (random state
                included), and raise Collapse
                "skip": put the last good state back, warn, and go on with the next batch (`.skipped` lists them)
                "stop": like "raise", but only end the loop (`.verdict` says why)
    every       iterations between two copies: by default 4, and 1 with "skip". With more than 1, up to every - 1 more
                bodies run after the NaN, and the healthy ones since the last copy run twice, to find the fatal one
    keep        how many copies are kept, for `.recorder.rewind(back)`

    The body runs again as it stands: what it appends or prints, it does each time. What it draws must come
    from `iterable`, from the global random state or from a guarded Generator; an iterator of its own goes on instead.
    Raises ValueError or TypeError for an argument that no loop can have.
    """

    def __init__(self, iterable: Iterable, *objects, policy: str = "raise", keep: int = 1, every: int | None = None):
        if policy not in ("raise", "skip", "stop"):
            raise ValueError(f"policy must be raise, skip or stop, not {policy!r}")
        if every is None:  # where the loop goes on, nothing healthy should have run twice
            every = 1 if policy == "skip" else 4
        counted("every", every)
        self.iterable, self.policy, self.every = iterable, policy, every
        self.recorder = FlightRecorder(*objects, keep=keep)
        self.skipped: list[int] = []
        self.verdict: Verdict | None = None

    def __len__(self) -> int:
        return len(self.iterable)

    def __iter__(self) -> Iterator:
        if not self.recorder.capture():
            name, tensor = self.recorder.damage()[0]
            cause = f"before the first iteration: {name} is not finite"
            index = first_bad(tensor)
            self.verdict = Verdict(
                0, cause, operation="none", phase="before", shape=tuple(tensor.shape), result=tensor[index].item(), module=name
            )
            raise Collapse(self.verdict)
        window = []  # (iteration, batch, random state) since the last good copy
        for iteration, batch in enumerate(self.iterable, 1):
            window.append((iteration, clone(batch), self.recorder.random_state()))
            yield batch
            # Most NaNs show at a glance. The next body might not survive one: BCELoss raises, on a GPU past all repair.
            if (len(window) == self.every or not self.recorder.glance()) and (yield from self._look(window)):
                return
        yield from self._look(window)

    def _look(self, window: list) -> Iterator:
        """Is all well after this window of iterations? If not, do what the policy says; True ends the loop."""
        while window and not self.recorder.capture():
            after = self.recorder.random_state()
            self.recorder.rewind()
            for number, (fatal, batch, state) in enumerate(window, 1):  # noqa: B007, the last one is what counts
                self.recorder.set_random_state(state)
                if number == len(window):
                    break  # all before it were healthy, so it is this one
                yield clone(batch)
                if not self.recorder.capture():
                    self.recorder.rewind()
                    break
            if self.policy != "skip":
                self.recorder.set_random_state(state)
                with Tracer(self.recorder.modules, batch) as tracer:
                    yield batch
                self.verdict = tracer.verdict(fatal, self.recorder.damage())
                self.recorder.rewind()
                self.recorder.set_random_state(state)
                if self.policy == "raise":
                    raise Collapse(self.verdict)
                return True
            self.skipped.append(fatal)
            warnings.warn(f"skipped iteration {fatal}: it left numbers that are not finite", stacklevel=3)
            del window[:number]
            self.recorder.set_random_state(after)
            for _, batch, state in window:  # what came after the fatal one ran in vain
                self.recorder.set_random_state(state)
                yield clone(batch)
        window.clear()
        return False
