"""Predictions that are kept and exercises that answer back: guess, outcome, check, the blank `____`, a report to hand in.

Uses checks, plots and ipywidgets. All stays in the kernel. Under Run All, without guesses and with every blank, all runs.
"""

from __future__ import annotations

import base64
import contextlib
import html
import re
import runpy
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, SimpleNamespace

import numpy as np
import pandas as pd
from IPython import display, get_ipython
from ipywidgets import HTML, HBox, RadioButtons, Text

from utils.checks import array, file_path, number, one_of
from utils.plots import Picture

CHECKS = Path(__file__).parent.parent / "teaching" / "checks"
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?k?", re.I)
# By its name, such as "02.lives": a question, the guesses (numbers, or one choice), whether they came late, and the outcome.
KEPT = defaultdict(lambda: SimpleNamespace(question="", guesses=[], late=False, outcome=""))
CHECKED: dict[str, str] = {}  # by exercise, what check said last


def said(value) -> str:
    """12600 as "12,600", 0.36787944 as "0.3679", None as "never", a text as itself, of several numbers the median."""
    if isinstance(value, list):
        return f"{len(value)} guesses, median {said(np.median(value))}" if len(value) > 1 else "".join(map(said, value))
    if value is None or isinstance(value, str):
        return "never" if value is None else value
    return f"{value:,.0f}" if value == value // 1 and abs(value) < 1e15 else f"{value:.4g}"


def numbers_in(text: str) -> tuple[list[float], list[str]]:
    """The numbers in "1e4", "12k" or a class's "33, 500, 12,600", and the words that are none, read as the lab reads them."""
    found, left = [], []  # a comma before three digits separates thousands, unless that gives more than 10 million
    for word in filter(None, re.split(r"[ \t\r\n;]+|,(?!\d{3}(?!\d))", text)):
        for parts in ([re.sub("[,'\u2019\u00a0\u202f]", "", word)], word.split(",")):
            values = [float(part.rstrip("kK")) * 1000 ** (part[-1] in "kK") for part in parts if NUMBER.fullmatch(part)]
            if len(values) == len(parts) and max(map(abs, values)) <= 1e7:
                found += values
                break
        else:
            left.append(word)
    return found, left


def guess(name: str, question: str, unit: str = "", choices: Sequence[str] | None = None) -> None:
    """Ask for a number (or several: a class's), or for one of the choices, in a box that keeps it for outcome(name, ...)."""
    kept, heard, asked = KEPT[name], HTML(), HTML(html.escape(f"I guess, {question}:"))
    kept.question = question
    box = RadioButtons(options=choices, value=(*kept.guesses, None)[0]) if choices else Text(" ".join(map(said, kept.guesses)))
    box.layout.width = "max-content" if choices else "12em"

    def keep(change) -> None:
        kept.guesses, left = ([change["new"]], []) if choices else numbers_in(change["new"])
        kept.late = bool(kept.outcome)
        heard.value = html.escape(f"kept: {said(kept.guesses)}" + f"; not understood: {left}" * bool(left))

    box.observe(keep, "value")
    if get_ipython() is not None:
        display.display(HBox([asked, box, HTML(html.escape(unit)), heard], layout={"flex_flow": "wrap"}))


def outcome(name: str, value, where: str = "this machine") -> None:
    """Print guess and outcome (a number, a choice or None): "you 100, this machine 14: off by a factor of 7"."""
    kept, guesses = KEPT[name], KEPT[name].guesses
    kept.outcome = said(value)
    text = f"you {said(guesses)}{' (typed after the outcome)' * kept.late}, {where} {said(value)}" if guesses else ""
    if not guesses or value is None or isinstance(value, str):
        return print(text + ": as you said" * (value in guesses) or f"no guess; {where}: {said(value)}")
    middle = float(np.median(guesses))
    factor = max(middle / value, value / middle) if middle * value > 0 else 0
    off = f"a factor of {said(round(factor, int(factor < 3)))}" if factor > 1.05 else said(abs(middle - value))
    print(f"{text}: {'exactly right' if middle == value else f'off by {off}'}")


def class_guesses(guesses: str | Sequence[float], lives: Sequence[float]) -> Picture:
    """A histogram of a class's guesses (a pasted text or numbers) over recorded lives, all above 0."""
    guesses = array("guesses", numbers_in(guesses)[0] if isinstance(guesses, str) else guesses, None)
    lives = array("lives", lives, None)
    low = number("the smallest guess or life", min(guesses.min(), lives.min()), above=0)
    medians = f"medians {said(np.median(guesses))} and {said(np.median(lives))}"
    title = f"{len(guesses)} guesses (hatched), {len(lives)} recorded lives (grey); {medians}"
    picture = Picture(alt=f"Histogram over the iteration of the first NaN: {title}.")
    axes, edges = picture.subplots(), np.geomspace(low / 1.1, max(guesses.max(), lives.max()) * 1.1, 25)
    axes.hist(lives, edges, color="#999999")
    axes.hist(guesses, edges, histtype="step", color="#222222", hatch="//")
    axes.set(xscale="log", xlabel="iteration of the first NaN", ylabel="how many", title=title)
    return picture


class Blank:
    """`____` in a stub: what is done with it gives it again or, where Python insists, NaN, 0 or nothing; check() knows."""

    used: int | None = None  # the cell in which it last became a plain value

    def __getattr__(self, name: str) -> Blank:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def plain(self, value):
        Blank.used = getattr(get_ipython(), "execution_count", 0)
        return value

    __repr__ = __format__ = lambda self, *spec: "____"
    __torch_function__ = classmethod(lambda cls, *others, **named: ____)


_NAMES = "add sub mul truediv floordiv mod pow matmul and or xor".split()
_NAMES += [f"r{name}" for name in _NAMES]
for _name in [*_NAMES, *"call getitem neg pos abs invert round eq ne lt le gt ge array_ufunc array_function".split()]:
    setattr(Blank, f"__{_name}__", lambda self, *others, **named: self)
for _name, _value in dict(float=np.nan, int=0, index=0, len=0, bool=False, iter=iter(()), array=np.array(np.nan)).items():
    setattr(Blank, f"__{_name}__", lambda self, *_, value=_value, **__: self.plain(value))
____ = Blank()


def is_open(answer) -> bool:
    """Is the answer a blank, or does it hold one, or is it a function that uses one?"""
    if isinstance(answer, (Blank, str)):
        return "____" in str(answer)
    answer = getattr(answer, "__code__", answer)
    if isinstance(answer, CodeType):
        return "____" in answer.co_names or any(is_open(part) for part in answer.co_consts if isinstance(part, CodeType))
    if hasattr(answer, "iloc") or isinstance(answer, np.ndarray):
        answer = np.asarray(answer).ravel().tolist()
    parts = [*answer, *answer.values()] if isinstance(answer, dict) else answer
    return isinstance(parts, (list, tuple, set)) and any(map(is_open, parts))


def near(value, by=None) -> Callable[[object], bool]:
    """A test: is a number (or several; also as text, as a tensor or alone in a list) that close to `value`, by default 2 %?"""
    value = np.asarray(value, dtype=float)
    by = np.abs(value) / 50 if by is None else by
    return lambda answer: bool(np.all(np.abs(np.asarray(answer, dtype=float).reshape(value.shape) - value) <= by))


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give: an example, how to tell it, and why it is wrong."""

    example: object
    when: Callable[[object], bool]
    because: str

    @classmethod
    def near(cls, value, because: str, by=None) -> Mistake:
        """The mistake of giving that number (or several), or what is near()."""
        return cls(value, near(value, by), because)


@dataclass(frozen=True)
class Exercise:
    """What is right, what to notice then, and the mistakes that have their own sentence; a test that raises says no."""

    right: Callable[[object], bool]
    notice: str
    mistakes: Sequence[Mistake] = ()

    def judge(self, answer) -> str:
        """What check says: right (and what to notice), or wrong (because of what)."""
        known = [(mistake.when, f"wrong, because {mistake.because}") for mistake in self.mistakes]
        for test, words in [(self.right, f"right, and notice: {self.notice}"), *known]:
            with contextlib.suppress(Exception):  # an answer can be anything
                if test(answer):
                    return words
        return "wrong, and not in a way that we foresaw: read the criterion again, then the hint"


def exercises(number: str) -> dict[str, Exercise]:
    """The exercises of the notebook of that number, such as "04", by their names, from teaching/checks."""
    files = [runpy.run_path(str(path))["EXERCISES"] for path in CHECKS.glob(f"{number:0>2}_*.py")]
    return {name: exercise for file in files for name, exercise in file.items()}


def check(name: str, answer) -> None:
    """Print whether the answer to an exercise, such as "4.1", is not attempted, right, or wrong because of what."""
    known = exercises(str(name).split(".")[0])
    judged = known[one_of("name", name, known)].judge(answer)
    used = Blank.used == getattr(get_ipython(), "execution_count", 0)  # in this cell
    CHECKED[name] = "not attempted yet" if used or is_open(answer) else judged
    Blank.used = None
    print(f"Exercise {name}: {CHECKED[name].rstrip('.')}.")


def report(path, student: str = "", *, verdict="", picture: Picture | None = None, lab=None) -> None:
    """Write an HTML file to hand in: guesses, outcomes and checks of this kernel; where given, a Lab's runs, a picture ..."""
    kept = {k.question or name: [said(k.guesses or "none"), k.outcome, "yes" * k.late] for name, k in KEPT.items()}
    guesses = pd.DataFrame(kept, index=["guess", "this machine", "typed after the outcome"]).T
    tables = {"Guesses": guesses, "Exercises": pd.Series(CHECKED, name="check", dtype=object).to_frame()}
    tables["Runs in the lab"] = pd.DataFrame(lab.outcomes.values() if lab else [])
    parts = ['<!doctype html><html lang="en"><meta charset="utf-8"><title>Report</title>']
    parts += [f"<h1>Why did my GAN turn NaN? {html.escape(student)}</h1><p>{html.escape(str(verdict))}</p>"]
    with pd.option_context("display.max_colwidth", None):
        parts += [f"<h2>{name}</h2>{table.to_html()}" for name, table in tables.items() if len(table)]
    image = f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}" if picture else ""
    parts += [f'<img width="800" alt="{html.escape(picture.alt)}" src="{image}">'] if picture else []
    file_path("path", path).write_text("\n".join(parts), encoding="utf-8")
