"""Verdict: where the first non-finite value of a run came from, as text and as a table; Collapse, the error that carries it."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class Verdict:
    """Where the first non-finite value came from; a field is None where the question has no answer.

    iteration   1-based number of the fatal iteration
    cause       one sentence
    loss        name of the variable that the user's line assigns, such as "loss_d"
    term        the expression in it, such as "torch.log(1 - fake)" (Python 3.11 or newer; before, the whole line)
    operation   the operation, such as "log"; in the backward pass the operation whose gradient it is
    phase       "forward", "backward", "optimiser", "batch", "outside" (of what torch shows) or "before" (the first iteration)
    kernel      what torch calls the function that ran, such as "aten::log"
    shape       of the tensor it wrote
    sample      0-based index along the batch dimension of its first non-finite element
    feature     the other indices of that element, for a batch that was not finite when it arrived
    value       the number that went in (the divisor, for a division), and `result`, what came out
    steps       how that number came about, operation by operation, such as "sigmoid(17.7) = 1"
    module      path of the module that was running, such as "Discriminator.layers.2"
    line        file, line number and text of the user's code
    extent      how much of the tensor broke: one sample, some, one feature, everything
    check       what the same iteration did without that sample
    history     what went before: divergence, a falling loss scale, or nothing
    advice      what to do next
    reproduced  did the iteration do the same when it ran again?
    """

    iteration: int
    cause: str
    loss: str | None = None
    term: str | None = None
    operation: str | None = None
    phase: str | None = None
    kernel: str | None = None
    shape: tuple[int, ...] | None = None
    sample: int | None = None
    feature: tuple[int, ...] | None = None
    value: float | None = None
    result: float | None = None
    steps: tuple[str, ...] = ()
    module: str | None = None
    line: str | None = None
    extent: str | None = None
    check: str | None = field(default=None, compare=False)
    history: str | None = field(default=None, compare=False)
    advice: str | None = None
    reproduced: bool = True

    def rows(self) -> list[tuple[str, str]]:
        """(name, text) of every field that has an answer."""
        answers = ((one.name, getattr(self, one.name)) for one in fields(self) if one.name != "reproduced")
        return [(name, _text(answer)) for name, answer in answers if answer is not None and answer != ()]

    def __str__(self) -> str:
        return "\n".join(f"{name:>10}  {text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left">'
        rows = (f"<tr>{cell}<b>{name}</b></td>{cell}{html.escape(text)}</td></tr>" for name, text in self.rows())
        return f"<table>{''.join(rows)}</table>"


class Collapse(ArithmeticError):
    """A training loop's loss or weights are no longer finite; `.verdict` says why."""

    def __init__(self, verdict: Verdict):
        super().__init__(verdict)
        self.verdict = verdict

    def __str__(self) -> str:
        return f"{self.verdict.cause}\n{self.verdict}"


def attach(error: BaseException, verdict: Verdict) -> None:
    """Give somebody's error the verdict as a note (from Python 3.11 on) and as its cause."""
    if hasattr(error, "add_note"):
        error.add_note(f"nanguard: {verdict.cause}\n{verdict}")
    if error.__cause__ is None:
        error.__cause__ = Collapse(verdict)


def _text(answer) -> str:
    if isinstance(answer, float):
        return f"{answer:g}"
    if isinstance(answer, tuple):
        return "  ->  ".join(answer) if answer and isinstance(answer[0], str) else " x ".join(map(str, answer))
    return str(answer)


# ---------------------------------------------------------------- the words


def cause(iteration: int, event, sample: int | None, sizes: int | None) -> str:
    """One sentence on an Event of the tracer."""
    came = "" if event.value is None else f" from {event.value:g}"
    where = "" if sample is None else f" at sample {sample} of {sizes}"
    if event.phase == "batch":
        return f"iteration {iteration}: the {event.operation} held {event.result:g} when it arrived, at index {event.index}"
    if event.phase == "optimiser":
        return f"iteration {iteration}: the optimiser's {event.operation} made {event.result:g}{came}"
    if event.phase == "outside":
        return (
            f"iteration {iteration}: a {event.result:g} that no torch operation of this iteration made came in through "
            f"{event.operation}: it was there before, or was made outside of what torch shows (numpy, a compiled kernel)"
        )
    return f"iteration {iteration}: {event.operation} made {event.result:g}{came}{where}, {event.phase} pass"


def extent(event, rows: list[int], count: int | None) -> str | None:
    """How much of the tensor of an Event is not finite; rows are the broken samples of `count`."""
    bad, named = event.bad, f" (the weight {event.weight} went in)" if event.weight else ""
    if bad is None or not event.shape:
        return None
    if bool(bad.all()) and bad.numel() > 1:
        return f"everything, so a weight or a setting is to blame{named}"
    if count and len(rows) == 1:
        return f"one sample of {count}"
    if count and 1 < len(rows) < count:
        return f"{len(rows)} of {count} samples"
    for axis in range(1, bad.dim()):
        alive = bad.any(dim=[other for other in range(bad.dim()) if other != axis]) if bad.dim() > 1 else bad
        if int(alive.sum()) == 1 and bad.shape[axis] > 1:
            return f"one feature, number {int(alive.nonzero()[0])} of {bad.shape[axis]} along dimension {axis}{named}"
    return f"{int(bad.sum())} of {bad.numel()} numbers{named}"


ADVICE = (  # part of an operation's name: what to do, and the notebook that treats it
    (("softmax", "attention"), "a row of which all is masked has no softmax: leave it out, or unmask one entry", "Other NaNs"),
    (("log",), "the log of 0: bound what goes in from below", "Other NaNs"),
    (("std", "var"), "no spread, or one sample alone: a small number inside the root, or drop_last=True", "Other NaNs"),
    (("layer_norm", "batch_norm", "group_norm"), "numbers grew too large: bound them", "Stabilise the game"),
    (("sqrt", "norm"), "add a small number inside the root, or use torch.linalg.norm", "Other NaNs"),
    (("div", "reciprocal"), "a divisor was 0 or too small: bound it from below", "Other NaNs"),
    (("exp", "pow", "mul", "square", "mm", "linear", "conv"), "numbers grew too large: bound them", "Stabilise the game"),
)


def advice(event, grew: bool) -> str:
    """What to do next, in one line."""
    operation = event.operation.lower()
    if event.phase == "batch":
        return 'mend or leave out that sample in the data set; notebook "Other NaNs"'
    if event.phase == "outside":
        return "look at what the line reads: print torch.isfinite(...).all() of each of its inputs"
    if math.isnan(event.result) and (event.value or 0) < 0 and any(one in operation for one in ("log", "sqrt", "pow")):
        return f'{event.operation} of a negative number: find out where that came from; notebook "Other NaNs"'
    if grew:
        return 'lower the learning rate or bound the networks; notebook "Stabilise the game"'
    if operation == "log" and any(one in step for step in event.steps for one in ("sigmoid(", "softmax(")):
        return 'take the log of a sigmoid or softmax in one step: logsigmoid, log_softmax; notebook "Fix the loss"'
    for operations, words, notebook in ADVICE:
        if any(one in operation for one in operations):
            return f'{words}; notebook "{notebook}"'
    return 'look at the line, and at what went in; notebook "Other NaNs" has a flowchart'
