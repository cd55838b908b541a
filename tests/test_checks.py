"""Checks: plain values come back, and what is wrong is named in one sentence."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from utils.checks import file_path, flag, function, number, one_of, shown, tensor, whole


@pytest.mark.parametrize("value", [1, np.int8(1), 0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
def test_a_number_comes_back_as_a_plain_one(value):
    assert number("x", value) == value and type(number("x", value)) in (int, float)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_comes_back_as_a_plain_one(value):
    assert whole("x", value) == 3 and type(whole("x", value)) is int


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: number("x", math.nan), "x must be a finite number, not nan"),
        (lambda: number("x", 10**400, at_most=5), "x must be a finite number of at most 5, not 10"),
        (lambda: number("x", 0, above=0), "x must be a finite number above 0, not 0"),
        (lambda: number("x", 1, at_least=0, below=1), "x must be at least 0 and below 1, not 1"),
        (lambda: number("x", "1"), "x must be a number, not '1'"),
        (lambda: number("x", True), "x must be a number, not True"),
        (lambda: number("x", np.bool_(True)), "x must be a number, not "),
        (lambda: number("x", torch.tensor(1.0)), "x must be a number, not tensor"),
        (lambda: number("x", None), "x must be a number, not None"),
        (lambda: whole("x", 2.0), "x must be a whole number, not 2.0"),
        (lambda: whole("x", -1), "x must be at least 0, not -1"),
        (lambda: whole("x", 2**63), r"x must be below 2\*\*63, not 9223372036854775808"),
        (lambda: whole("x", 1001, at_most=1000), "x must be at most 1,000, not 1001"),
        (lambda: flag("x", 1), "x must be True or False, not 1"),
        (lambda: one_of("x", [], ["a", "b"]), r"x must be one of a, b, not \[\]"),
        (lambda: function("x", "print"), "x must be a function, not 'print'"),
        (lambda: file_path("x", 3), "x must be a path, not 3"),
        (lambda: file_path("x", ""), "x must be the path of a file, not ''"),
        (lambda: tensor("x", [1.0], None), r"x must be a tensor of floating point numbers, not \[1.0\]"),
        (lambda: tensor("x", torch.zeros(2, 3), None, 4), r"x must have the shape \(any, 4\), not \(2, 3\)"),
        (lambda: tensor("x", torch.zeros(0, 3), None, 3), r"x must have the shape \(any, 3\), not \(0, 3\)"),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=f"^{sentence}"):
        call()


def test_any_value_is_shown_on_one_short_line():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    for value in (10**5000, "a\nb" * 1000, np.zeros((50, 50)), Odd()):
        assert len(shown(value)) <= 80 and "\n" not in shown(value)
