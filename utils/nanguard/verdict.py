"""Verdict: where the first non-finite value came from, in words; Collapse, the error that carries it; and what went before."""

from __future__ import annotations

import html
import math
import re
from collections import deque
from dataclasses import dataclass, field, fields

NOTEBOOKS = {
    "loss": "06_fix_the_loss",
    "game": "07_stabilise_the_game",
    "other": "09_other_nans",
    "guard": "10_guard_your_own_gan",
}
HUGE = 1e4  # what no healthy network holds


@dataclass(frozen=True)
class Verdict:
    """Where the first non-finite value came from; a field is None where the question has no answer."""

    iteration: int  # 1-based number of the fatal iteration
    cause: str  # one sentence
    loss: str | None = None  # name of the variable that the user's line assigns, such as "loss_d"
    term: str | None = None  # the expression in it, such as "torch.log(1 - fake)" (before Python 3.11 the whole line)
    operation: str | None = None  # such as "log"; in the backward pass the operation whose gradient it is
    phase: str | None = None  # forward, backward, optimiser, batch, outside (of what torch shows), before (the first iteration)
    shape: tuple[int, ...] | None = None  # of the tensor it wrote
    sample: int | None = None  # 0-based index along the batch dimension of its first non-finite element
    feature: tuple[int, ...] | None = None  # the other indices, for a batch that was not finite when it arrived
    value: float | None = None  # the number that went in (the divisor, for a division)
    result: float | None = None  # what came out
    steps: tuple[str, ...] = ()  # how that number came about, operation by operation, such as "sigmoid(17.7) = 1"
    module: str | None = None  # path of the module that was running, such as "Discriminator.layers.2"
    line: str | None = None  # file, line number and text of the user's code
    extent: str | None = None  # how much of the tensor broke: one sample, some, one feature, everything
    check: str | None = field(default=None, compare=False)  # what the same iteration did without that sample
    history: str | None = field(default=None, compare=False)  # what went before: divergence, a falling loss scale, or nothing
    advice: str | None = None  # what to do next, and the notebook that treats it
    reproduced: bool = True  # did the iteration do the same when it ran again?

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
    if isinstance(answer, tuple):
        return "  ->  ".join(answer) if isinstance(answer[0], str) else " x ".join(map(str, answer))
    return _number(answer) if isinstance(answer, float) else str(answer)


def _number(value: float) -> str:
    """To six digits, or to nine where six would say that it is a whole number."""
    short = f"{value:g}"
    return short if float(short) == value or "." in short or "e" in short else f"{value:.9g}"


def cause(iteration: int, event, sample: int | None, sizes: int | None) -> str:
    """One sentence on an Event of the tracer."""
    began, made = f"iteration {iteration}: ", f"made {event.result:g}"
    if event.value is not None:
        made += f" from {_number(event.value)}"
    elif event.empty:
        made += " from an empty tensor"
    elif event.largest is not None and event.phase != "batch" and (event.phase != "backward" or HUGE < event.largest):
        made += f" from numbers of up to {event.largest:.3g}"
    if event.phase == "batch":
        return began + f"the {event.operation} held {event.result:g} when it arrived, at index {event.index}"
    if event.phase == "optimiser":
        setting = f": its learning rate, or another setting, was {event.setting:g}" if event.setting is not None else ""
        return began + f"the optimiser's {event.operation} {made}{setting}"
    if event.phase == "outside":
        through = f"{event.operation} with {event.weight}" if event.weight else event.operation
        what = f"an {event.result:g}" if math.isinf(event.result) else "a nan"
        came = f"{what} that no torch operation of this iteration made came in through {through}: "
        return began + came + "it was there before, or was made outside of what torch shows (numpy, a compiled kernel)"
    where = "" if sample is None else f" at sample {sample} of {sizes}"
    return began + f"{event.operation} {made}{where}, {event.phase} pass"


WHOLE = {  # does an iteration of which everything broke live with the batch before it? (who is to blame, check)
    None: (": a weight, a setting or the whole batch is to blame", None),
    True: (", so the whole batch is to blame", "verified: with the batch before it the iteration is finite"),
    False: (", so a weight or a setting is to blame", "with the batch before it breaks all the same"),
}


def extent(event, rows: list[int], count: int | None, lives: bool | None) -> str | None:
    """How much of the tensor of an Event is not finite; rows are the broken samples of `count`, `lives` as in WHOLE."""
    bad, named = event.bad, f" ({event.weight} went in)" if event.weight else ""
    if not event.shape:
        return None
    if event.whole:
        return "everything" if event.phase in ("batch", "outside") else f"everything{WHOLE[lives][0]}{'' if lives else named}"
    if count and 0 < len(rows) < count:
        return f"one sample of {count}" if len(rows) == 1 else f"{len(rows)} of {count} samples"
    for axis in range(bad.dim()):
        found = event.rows(axis)
        if len(found) == 1 and bad.shape[axis] > 1:
            what = "feature" if axis else "row"
            return f"one {what}, number {found[0]} of {bad.shape[axis]} along dimension {axis}{named}"
    return f"{int(bad.sum())} of {bad.numel()} numbers{named}"


ADVICE = (  # what an operation's name holds: what to do, and where it is treated
    ("softmax|attention|logsumexp", "a row of which all is masked has no softmax: leave it out, or unmask one entry", "other"),
    ("nll_loss|cross_entropy", "a mean over no label is 0/0: leave that batch out", "other"),
    ("gamma", "a pole at 0: bound what goes in from below", "other"),
    ("acos|asin", "its slope is infinite at the ends: clamp to just inside them", "other"),
    ("svd|linalg_eig", "its slope is infinite where two of its values are equal: keep them apart, or detach it", "other"),
    ("logit|atanh", "infinite at both ends: bound what goes in from both sides", "other"),
    ("log", "the log of 0: bound what goes in from below", "other"),
    ("std|var", "no spread, or one sample alone: a small number inside the root, or drop_last=True", "other"),
    ("layer_norm|batch_norm|group_norm", "no spread, or numbers grew too large: keep eps above 0, and bound them", "game"),
    ("div|reciprocal|weight_norm", "a divisor was 0 or too small: bound it from below", "other"),
    ("sqrt|norm", "add a small number inside the root, or use torch.linalg.norm", "other"),
    ("exp|pow|mul|square|mm$|linear|conv", "numbers grew too large: bound them", "game"),
)


def turn(words: str, where: str) -> str:
    """What to do next, and the notebook that treats it."""
    return f"{words}; notebook {NOTEBOOKS[where]}"


def advice(event, grew: bool) -> str:
    """What to do next, in one line."""
    operation = event.operation.lower()
    if event.phase == "batch":
        return turn("mend or leave out that sample in the data set", "other")
    if event.phase == "outside":
        return turn("look at what the line reads: print torch.isfinite(...).all() of each of its inputs", "other")
    if event.phase == "optimiser" and event.setting is not None:
        return turn("look at what sets the learning rate: a warm-up or a schedule that divides by 0", "game")
    rooted = operation.strip("_") in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "pow")
    if math.isnan(event.result) and (event.value or 0) < 0 and rooted:
        return turn(f"{event.operation} of a negative number: find out where that came from", "other")
    if math.isnan(event.result) and event.largest == math.inf and "softmax" not in operation and "attention" not in operation:
        return turn("an infinity went in: find out where that came from", "other")
    if operation == "pow" and event.value == 0:
        slope = "the slope of a root at 0 is infinite: add a small number inside it"
        return turn(slope if event.phase == "backward" else "a divisor was 0: bound it from below", "other")
    if event.empty:
        return turn("a mean over nothing is 0/0: leave that batch or group out", "other")
    if event.phase == "forward" and 1e18 < (event.largest or 0) < math.inf:  # the square of which float32 does not hold
        return turn("numbers grew too large: bound them", "game")
    if grew:
        return turn("lower the learning rate or bound the networks", "game")
    if operation == "log" and any(one in step for step in event.steps for one in ("sigmoid(", "softmax(")):
        return turn("take the log of a sigmoid or softmax in one step: logsigmoid, log_softmax", "loss")
    if "log" in operation and any(step.startswith("clamp") for step in event.steps):
        return turn("the bound of the clamp is 0, or rounded away at this precision: take a larger one", "loss")
    known = (turn(words, where) for names, words, where in ADVICE if re.search(names, operation))
    return next(known, turn("look at the line, and at what went in: there is a flowchart", "other"))


class History:
    """rows: {"iteration", "loss", "gradient", "update", "rate", "scale"} of the last 64 iterations, NaN where unknown.

    loss is the last number that backward was called on; gradient and update (over weight, an iteration) are those of the
    last small weights of each network.
    """

    def __init__(self):
        self.rows: deque[dict] = deque(maxlen=64)

    def add(self, number: int, losses: list[float], gradient: float, recorder) -> None:
        """One more iteration."""
        scale = recorder.scaler.get_scale() if recorder.scaler is not None else math.nan
        rates = [float(one.param_groups[0].get("lr", math.nan)) for one in recorder.optimisers[:1]]
        row = {"iteration": number, "loss": losses[-1] if losses else math.nan, "gradient": gradient, "update": math.nan}
        self.rows.append(row | {"rate": rates[0] if rates else math.nan, "scale": scale})

    def words(self, until: int) -> tuple[str | None, bool]:
        """(what went before iteration `until`, had something been growing?)."""
        rows = [row for row in self.rows if row["iteration"] < until]
        scales = [(row["iteration"], row["scale"]) for row in rows if row["scale"] == row["scale"]]
        falls = [now[0] for last, now in zip(scales, scales[1:]) if now[1] < last[1]]
        if len(falls) > 2 and scales[-1][1] < scales[0][1]:
            since = f"{falls[0]}{self._edge(falls[0] - 1)}"
            return f"the loss scale was falling since iteration {since}, to {scales[-1][1]:g}", False
        rising = False
        for name, words in (("gradient", "the gradient norm"), ("loss", "the loss")):
            series = [(row["iteration"], abs(row[name])) for row in self.rows if row["iteration"] <= until]
            series = [pair for pair in series if math.isfinite(pair[1]) and pair[1] > 0]
            start = len(series) - 1
            while start > 0 and series[start - 1][1] < series[start][1]:
                start -= 1
            factors = [now[1] / last[1] for last, now in zip(series[start:], series[start + 1 :])]
            rising |= len(factors) > 2
            total, before = math.prod(factors), max((value for _, value in series[:start]), default=0)
            if total > 100 and total > 10 * max(factors) and series[-1][1] > 10 * before:  # no single jump, nor back up
                factor = total ** (1 / len(factors))
                factor = f"{factor:.1f}" if factor < 1000 else f"{factor:.2g}"
                since = f"{series[start][0]}{self._edge(series[start][0])}"
                return f"divergence: {words} grew {factor}x an iteration from iteration {since} on", True
        return ("nothing had been growing: out of the blue" if len(rows) > 2 and not rising else None), False

    def _edge(self, first: int) -> str:
        """Of what was seen from iteration `first` on: where the record begins, it may have begun before."""
        return " or before" if 1 < first == self.rows[0]["iteration"] else ""
