"""Verdict: where the first non-finite value of a run came from, as text and as a table; Collapse, the error that carries it."""

from __future__ import annotations

import html
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Verdict:
    """Where the first non-finite value came from; a field is None where the question has no answer.

    iteration   1-based number of the fatal iteration
    cause       one sentence
    loss        name of the variable that the user's line assigns, such as "loss_d"
    term        the expression in it, such as "torch.log(1 - fake)" (Python 3.11 or newer; before, the whole line)
    operation   the operation, such as "log"; in the backward pass the operation whose gradient it is
    phase       "forward", "backward", "optimiser", "batch" or "before" (the first iteration)
    kernel      what torch calls the function that ran, such as "aten::log"
    shape       of the tensor it wrote
    sample      0-based index along the batch dimension of its first non-finite element
    feature     the other indices of that element, for a batch that was not finite when it arrived
    value       the number that went in (the divisor, for a division), and `result`, what came out
    steps       how that number came about, operation by operation, such as "sigmoid(17.7) = 1"
    module      path of the module that was running, such as "Discriminator.layers.2"
    line        file, line number and text of the user's code
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

    def rows(self) -> list[tuple[str, str]]:
        """(name, text) of every field that has an answer."""
        answers = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [(name, _text(answer)) for name, answer in answers if answer is not None and answer != ()]

    def __str__(self) -> str:
        return "\n".join(f"{name:>10}  {text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left">'
        rows = (f"<tr>{cell}<b>{name}</b></td>{cell}{html.escape(text)}</td></tr>" for name, text in self.rows())
        return f"<table>{''.join(rows)}</table>"


class Collapse(ArithmeticError):
    """A training loop's weights, gradients or optimiser state are no longer finite; `.verdict` says why."""

    def __init__(self, verdict: Verdict):
        super().__init__(verdict)
        self.verdict = verdict

    def __str__(self) -> str:
        return f"{self.verdict.cause}\n{self.verdict}"


def _text(answer) -> str:
    if isinstance(answer, float):
        return f"{answer:g}"
    if isinstance(answer, tuple):
        return "  ->  ".join(answer) if answer and isinstance(answer[0], str) else " x ".join(map(str, answer))
    return str(answer)
