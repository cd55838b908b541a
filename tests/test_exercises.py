"""Guesses are kept and compared, a blank survives what a stub does with it, check tells open from wrong from right."""

import math

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from nbclient import NotebookClient
from test_view import GUESSES

from utils import exercises
from utils.exercises import (
    KEPT,
    Exercise,
    Mistake,
    ____,
    check,
    class_guesses,
    guess,
    is_open,
    near,
    numbers_in,
    outcome,
    report,
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    KEPT.clear()
    exercises.CHECKED.clear()
    exercises.Blank.used = None


@pytest.fixture
def one_exercise(tmp_path, monkeypatch):
    """An exercise 4.1 whose answer is 36.7, or a function that gives it."""
    (tmp_path / "04_small.py").write_text(
        "from utils.exercises import Exercise, Mistake\n"
        "value = lambda answer: answer(1) if callable(answer) else answer\n"
        'mistake = Mistake(16.6, lambda answer: abs(value(answer) - 16.6) < .1, "that is float32\'s cliff")\n'
        'EXERCISES = {"4.1": Exercise(lambda answer: abs(value(answer) - 36.7) < .1, "it moved", [mistake])}\n'
    )
    monkeypatch.setattr(exercises, "CHECKS", tmp_path)


# ---- guesses


def keep(name, *guesses, **more):
    KEPT[name].guesses = list(guesses)


@pytest.mark.parametrize(
    "guesses, value, told",
    [
        ([100], 14, "you 100, this machine 14: off by a factor of 7"),
        ([2], 14, "you 2, this machine 14: off by a factor of 7"),
        ([20], 14, "you 20, this machine 14: off by a factor of 1.4"),
        ([12_600], np.int64(12_600), "you 12,600, this machine 12,600: exactly right"),
        ([16.6], 16.6355, "you 16.6, this machine 16.64: off by 0.0355"),
        ([-2], 3.0, "you -2, this machine 3: off by 5"),
        ([0], 3, "you 0, this machine 3: off by 3"),
        ([500], None, "you 500, this machine never"),
        ([3, 500, 20_000], 14, "you 3 guesses, median 500, this machine 14: off by a factor of 36"),
        (["D"], "D", "you D, this machine D: as you said"),
        (["G"], "D", "you G, this machine D"),
        ([], 14, "no guess; this machine: 14"),
        ([], None, "no guess; this machine: never"),
        ([], "D", "no guess; this machine: D"),
    ],
)
def test_a_guess_stands_beside_the_outcome(capsys, guesses, value, told):
    keep("q", *guesses)
    outcome("q", value)
    assert capsys.readouterr().out == f"{told}\n"


def box(monkeypatch, *question, **more):
    """The input of the widget that guess() shows, and the line that answers."""
    shown = []
    monkeypatch.setattr(exercises, "get_ipython", lambda: type("Shell", (), {"execution_count": 1})())
    monkeypatch.setattr(exercises.display, "display", shown.append)
    guess(*question, **more)
    _, found, _, heard = shown[0].children
    return found, heard


def test_what_is_typed_is_kept_and_what_is_not_understood_is_said(monkeypatch, capsys):
    found, heard = box(monkeypatch, "q", "iterations at 1e-3", "iterations")
    found.value = "1e4"
    assert KEPT["q"].guesses == [10_000] and heard.value == "kept: 10,000"
    found.value = "a <lot>"
    assert KEPT["q"].guesses == [] and "not understood" in heard.value and "<lot>" not in heard.value
    found.value = "33, 500, 12,600"
    assert heard.value == "kept: 3 guesses, median 500"
    outcome("q", 14)
    assert "you 3 guesses, median 500, this machine 14" in capsys.readouterr().out
    again, _ = box(monkeypatch, "q", "iterations at 1e-3")
    assert numbers_in(again.value)[0] == [33, 500, 12_600]  # running the cell again loses nothing


def test_a_guess_typed_when_the_outcome_is_known_says_so(monkeypatch, capsys):
    found, _ = box(monkeypatch, "q", "who breaks first", choices=["D", "G"])
    assert found.value is None
    outcome("q", "D")
    found.value = "D"
    outcome("q", "D")
    assert capsys.readouterr().out.splitlines()[1] == "you D (typed after the outcome), this machine D: as you said"


@pytest.mark.parametrize(
    "text, numbers, left",
    [
        *GUESSES,
        ("never 14 1e9", [14], ["never", "1e9"]),
        ("-3 0.25 1e-3", [-3, 0.25, 0.001], []),
        ("nan inf 1__0 ____", [], ["nan", "inf", "1__0", "____"]),
    ],
)
def test_numbers_are_understood(text, numbers, left):
    assert numbers_in(text) == (numbers, left)


def test_a_classs_guesses_are_a_histogram_over_recorded_lives():
    picture = class_guesses("33, 500, 12,600", [11, 14, 15, 25])
    assert "3 guesses (hatched), 4 recorded lives (grey); medians 500 and 14.5" in picture.alt
    heights = {patch.get_hatch(): 0 for patch in picture.axes[0].patches}
    assert set(heights) == {None, "//"}
    assert sum(patch.get_height() for patch in picture.axes[0].patches if patch.get_hatch() is None) == 4


@pytest.mark.parametrize("guesses", ["", "never", [], "0, 14", [-1]])
def test_a_class_without_guesses_is_refused_in_words(guesses):
    with pytest.raises((ValueError, TypeError), match="guess"):
        class_guesses(guesses, [14])


# ---- the blank


@pytest.mark.parametrize(
    "use",
    [
        lambda: ____ + 1, lambda: 1 - ____, lambda: -____**2, lambda: ____(3).shape[0] @ ____, lambda: ____ > 1,
        lambda: torch.log(____), lambda: torch.ones(2) * ____, lambda: ____ / torch.ones(2), lambda: torch.relu(____),
        lambda: np.log(____), lambda: np.ones(2) * ____, lambda: np.float64(1) + ____, lambda: np.mean(____),
        lambda: [1, (____, 2)], lambda: {"a": ____}, lambda: f"{____:.3f}", lambda: lambda x: x + ____,
        lambda: pd.Series(["text", ____]), lambda: np.array([____, 1], dtype=object), lambda: {____},
        lambda: lambda x: [____ for _ in x],
    ],
)  # fmt: skip
def test_a_blank_stays_a_blank(use):
    assert is_open(use())


@pytest.mark.parametrize("answer", [1, "text", [1, 2], {"a": 1}, None, np.ones(3), torch.ones(2), math.nan, len, lambda x: x])
def test_an_answer_is_none(answer):
    assert not is_open(answer)


@pytest.mark.parametrize(
    "use",
    [
        lambda: math.log(____), lambda: float(____), lambda: int(____), lambda: sum(x for x in ____), lambda: list(range(____)),
        lambda: 1 if ____ > 2 else 2, lambda: max(____, default=0), lambda: len(____), lambda: np.array([1, ____]),
        lambda: pd.DataFrame({"a": [1, ____]}), lambda: (lambda cut=____: lambda x: cut + x)(),
    ],
)  # fmt: skip
def test_a_blank_that_became_a_plain_value_is_no_attempt_either(one_exercise, capsys, use):
    check("4.1", use())
    assert capsys.readouterr().out == "Exercise 4.1: not attempted yet.\n"
    check("4.1", 36.7)
    assert "right" in capsys.readouterr().out


# ---- checks


@pytest.mark.parametrize(
    "answer, told",
    [
        (36.74, "right, and notice: it moved."),
        (lambda x: 36.74, "right, and notice: it moved."),
        (16.6, "wrong, because that is float32's cliff."),
        (3, "wrong, and not in a way that we foresaw: read the criterion again, then the hint."),
        ("36.74", "wrong, and not in a way that we foresaw: read the criterion again, then the hint."),
        (____, "not attempted yet."),
        (lambda x: ____, "not attempted yet."),
    ],
)
def test_check_tells_open_from_wrong_from_right(one_exercise, capsys, answer, told):
    check("4.1", answer)
    assert capsys.readouterr().out == f"Exercise 4.1: {told}\n"


@pytest.mark.parametrize("name", ["4.2", "77.1", "", 4])
def test_an_exercise_that_is_none_is_refused_in_words(one_exercise, name):
    with pytest.raises(ValueError, match="name must be one of"):
        check(name, 1)


def test_an_answer_whose_truth_is_no_bool_is_wrong():
    both = Exercise(lambda answer: answer == np.ones(2), "", [Mistake(0, lambda answer: 1 / 0, "never")])
    assert both.judge(np.ones(2)).startswith("wrong")


@pytest.mark.parametrize(
    "answer, is_near",
    [
        (50, True), (51, True), (51.1, False), (-50, False), ("50", True), ([50], True), (torch.tensor([49.5]), True),
        (math.nan, False), ([50, 50], None), ("fifty", None), (None, False),
    ],
)  # fmt: skip
def test_near_a_number_means_within_two_per_cent_or_as_said(answer, is_near):
    """None: the answer is no such number, which raises, and an exercise takes for a no."""
    if is_near is None:
        with pytest.raises((TypeError, ValueError)):
            near(50)(answer)
    else:
        assert near(50)(answer) is is_near
    assert Exercise(near(7, by=0), "", [Mistake.near(50, "fifty")]).judge(answer).startswith("wrong, because") is (
        is_near is True
    )


def test_near_takes_several_numbers_and_a_reach_for_each():
    assert near([10, 200])((10.1, 203)) and not near([10, 200])((10.1, 205))
    assert near([10, 200], by=[0, 10])([10, 205]) and not near([10, 200], by=[0, 10])([10.1, 205])
    assert Mistake.near(3, "three", by=1).when(3.9) and Mistake.near(3, "three").example == 3


# ---- the report


def test_the_report_holds_guesses_checks_runs_verdict_and_picture(one_exercise, tmp_path, monkeypatch, capsys):
    found, _ = box(monkeypatch, "q", "iterations <at> 1e-3")
    found.value = "100"
    outcome("q", 14)
    guess("r", "left open")
    check("4.1", 16.6)
    run = {"rates": "1e-3", "settings": "pulses, seed 0", "guess": "100", "outcome": "NaN at 14"}
    lab = type("Lab", (), {"outcomes": {1: run}})()
    path = tmp_path / "report.html"
    report(path, "Ada & Co", verdict="log(0) in <D>", picture=class_guesses([100], [14]), lab=lab)
    text = path.read_text()
    for part in (
        "Ada &amp; Co",
        "log(0) in &lt;D&gt;",
        "iterations &lt;at&gt; 1e-3",
        "<td>100</td>",
        "left open",
        "<td>none</td>",
    ):
        assert part in text, part
    assert "wrong, because that is float32" in text
    assert "NaN at 14" in text and 'src="data:image/png;base64,' in text and "http" not in text
    report(path)  # with nothing else than what is kept
    assert "NaN at 14" not in path.read_text()


# ---- in a kernel


def test_in_a_notebook_without_a_guess_everything_runs(one_exercise, tmp_path):
    cells = [
        f"import sys; sys.path.insert(0, {str(exercises.CHECKS.parent)!r})",
        f"from pathlib import Path; from utils import exercises; exercises.CHECKS = Path({str(tmp_path)!r})",
        "from utils.exercises import ____, check, guess, outcome",
        "guess('q', 'iterations at 1e-3', unit='iterations')",
        "outcome('q', 14)",
        "x = float(____)\nraise ValueError",
        "check('4.1', 36.7)",
        "check('4.1', float(____))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    kernel = {"resources": {"metadata": {"path": str(exercises.__file__).rsplit("/utils/", 1)[0]}}, "kernel_name": "python3"}
    NotebookClient(notebook, allow_errors=True, timeout=60, **kernel).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert "application/vnd.jupyter.widget-view+json" in outputs[3][0].data
    assert [out.get("text") for out in outputs[4]] == ["no guess; this machine: 14\n"]
    # A blank used in an earlier cell, which then failed, is no blank of this one.
    assert "right" in outputs[6][0].text and "not attempted" in outputs[7][0].text
