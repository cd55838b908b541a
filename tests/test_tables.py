"""Tables: what is read is what stands there, what is written changes nothing, and a damaged one is refused in a sentence."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from utils.recipe import Recipe
from utils.tables import DATA, KEY, changes_text, published, recipe_of, table, typed_rows, write

LINES = (DATA / "fixes.csv").read_text(encoding="utf-8").splitlines()
HEADER, FINE, BROKEN = LINES[0], LINES[1], next(line for line in LINES if line.endswith(",,,") and ",NaN," in line)
WIDTH = len(HEADER.split(","))


def saved(path, *lines, end="\n"):
    path.write_bytes(("\n".join(lines) + end).encode())
    return path


def put(line, column, value):
    """The line with another cell."""
    cells = re.findall(r'(?:^|(?<=,))("[^"]*"|[^,]*)', line)
    cells[HEADER.split(",").index(column)] = value
    return ",".join(cells)


def test_reading_and_writing_the_recorded_table_gives_the_same_bytes(tmp_path):
    write(tmp_path / "again.csv", table("fixes.csv"))
    assert (tmp_path / "again.csv").read_bytes() == (DATA / "fixes.csv").read_bytes()


def test_the_columns_have_their_types():
    rows = table("fixes.csv")
    assert len(rows) == len(LINES) - 1
    text = pd.Series([""]).dtype
    assert {name: str(rows[name].dtype) for name in ("seed", "cap", "iterations", "nan_at", "alive", "lr", "modes")} == {
        "seed": "int64", "cap": "int64", "iterations": "int64", "nan_at": "Int64", "alive": "bool", "lr": "float64",
        "modes": "float64",
    }  # fmt: skip
    assert all(rows[name].dtype == text for name in ("group", "fix", "data", "recipe", "first_broken", "outcome", "commit"))
    assert rows["recipe"].notna().all() and rows["nan_at"].isna().sum() == (rows["outcome"] != "NaN").sum() > 460
    points = rows["data"].isin(["ring", "grid"])
    assert rows["modes"].notna().sum() == points.sum() - rows["modes"].isna()[points].sum()


def test_a_rate_keeps_all_its_digits_and_what_was_measured_five(tmp_path):
    line = {"group": "g", "fix": "f", "data": "pulses", "lr": 10**-3.5, "cap": 9, "recipe": f"lr={10**-3.5!r}", "seed": 0}
    line |= {"remedy": "none"}
    row = line | {"iterations": 9, "nan_at": None, "first_broken": None, "alive": True, "outcome": "poor"}
    write(tmp_path / "t.csv", typed_rows([row | {"fake_max": np.float64(3.14159265), "cpu_ms": 123456.7, "own": 1 / 3}]))
    read = table(tmp_path / "t.csv").iloc[0]
    assert (read["lr"], read["fake_max"], read["cpu_ms"], read["own"]) == (10**-3.5, 3.1416, 123460.0, 0.33333)
    assert "np." not in (tmp_path / "t.csv").read_text() and pd.isna(read["nan_at"]) and math.isnan(read["plausible"])


def test_a_number_with_more_digits_than_we_write_is_kept(tmp_path):
    path = saved(tmp_path / "t.csv", HEADER, put(FINE, "floors", "11.2361234"))
    write(path, table(path))
    assert "11.2361234" in path.read_text()


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + (DATA / "fixes.csv").read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(table(tmp_path / "t.csv"), table("fixes.csv"))


@pytest.mark.parametrize(
    "lines, sentence",
    [
        ([HEADER, FINE, BROKEN[:99]], rf"line 3, column \w+: there are \d+ cells, and {WIDTH} columns"),
        ([HEADER, FINE[:99], BROKEN], rf"line 2, column \w+: there are \d+ cells, and {WIDTH} columns"),
        ([HEADER, FINE, FINE.split('"')[0] + '"AMD', BROKEN], "line 3: the quotation marks are not closed"),
        ([HEADER, FINE + ",7"], f"line 2, column {HEADER.split(',')[-1]}: there are {WIDTH + 1} cells, and {WIDTH} columns"),
        ([HEADER, "", FINE], "line 2, column group: there are 0 cells"),
        ([HEADER, "<<<<<<< HEAD", FINE, "=======", BROKEN], "line 2: '<<<<<<< HEAD' is left from a merge in git"),
        ([HEADER, FINE, "=======", BROKEN, ">>>>>>> theirs"], "line 3: '=======' is left from a merge in git"),
        ([HEADER, put(FINE, "alive", "TRUE")], "line 2, column alive: 'TRUE' is not True or False"),
        ([HEADER, put(FINE, "alive", "")], "line 2, column alive: '' is not True or False"),
        ([HEADER, put(FINE, "floors", '"11,236"')], "line 2, column floors: '11,236' is not a number"),
        ([HEADER, put(FINE, "seed", "0.0")], "line 2, column seed: '0.0' is not a whole number"),
        ([HEADER, put(FINE, "seed", "٣")], "line 2, column seed: '٣' is not a whole number"),
        ([HEADER, put(FINE, "lr", "")], "line 2, column lr: '' is not a number"),
        ([HEADER, put(FINE, "fake_max", "1_000")], "line 2, column fake_max: '1_000' is not a number"),
        ([HEADER, put(FINE, "fake_max", " 19.28")], "line 2, column fake_max: ' 19.28' is not a number"),
        ([HEADER, put(FINE, "outcome", "fine")], "line 2, column outcome: 'fine' is not NaN, dead, poor or good"),
        ([HEADER, put(FINE, "date", "25.11.2026")], "line 2, column date: '25.11.2026' is not a date such as 2026-11-25"),
        ([HEADER, put(FINE, "commit", "1.78E+25")], "line 2, column commit: '1.78E.25' is not a commit"),
        ([HEADER, put(FINE, "recipe", "lr=1e-05; loss=logits")], "line 2, column recipe: 'lr=1e-05; loss=logits' is not"),
        ([HEADER, put(FINE, "recipe", "lr=1e-05; loss='no'")], "line 2, column recipe: .* a run: loss must be one of"),
        ([HEADER, put(FINE, "lr", "0.001")], "line 2, column lr: 0.001 cannot be, since the recipe says 1e-05"),
        ([HEADER, put(FINE, "iterations", "300001")], "line 2, column iterations: 300001 cannot be, since the cap is 300000"),
        ([HEADER, put(BROKEN, "nan_at", "")], "line 2, column first_broken: 'D' cannot be, since nan_at is empty"),
        ([HEADER, put(BROKEN, "alive", "True")], "line 2, column alive: True cannot be, since nan_at is"),
        ([HEADER, FINE, BROKEN, FINE], "line 4: that run stands in the table twice"),
        ([HEADER.replace("floors", "floor"), FINE], "line 1: the column 'floors' is missing"),
        ([HEADER + ",floors", FINE + ",1"], "line 1: the column 'floors' stands there twice"),
        ([HEADER.replace(",", ";"), FINE.replace(",", ";")], "line 1: the column 'group' is missing; a comma must separate"),
        ([HEADER, FINE.replace("poor", "po\0r")], "line 2: there is a control character in it"),
        ([FINE, BROKEN], "line 1: the column 'group' is missing"),
        ([HEADER], "holds no runs"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_refused_with_file_line_and_column(tmp_path, lines, sentence):
    path = saved(tmp_path / "t.csv", *lines)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))},? {sentence}") as caught:
        table(path)
    assert "\n" not in str(caught.value) and path.read_bytes() == before


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        ("\n".join(LINES[:3]).encode(), "line 3, the last one, is cut"),
        ("\n".join(LINES[:3]).encode("utf-16"), "line 1: that is not UTF-8 text"),
        (HEADER.encode() + b"\n\xff\xfe\n", "line 2: that is not UTF-8 text"),
        (b"\0" * 100, "line 1"),
        (f"\n{HEADER}\n{FINE}\n".encode(), "line 1, column none: there are 0 cells"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, sentence):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        table(tmp_path / "t.csv")


def test_no_cut_anywhere_in_the_recorded_table_is_read_as_less(tmp_path):
    whole = "\n".join(LINES[:4]) + "\n"
    for end in range(1, len(whole)):
        if whole[end - 1] != "\n":
            (tmp_path / "t.csv").write_text(whole[:end], encoding="utf-8")
            with pytest.raises(ValueError):
                table(tmp_path / "t.csv")


@pytest.mark.parametrize("path", [None, 5, ["fixes.csv"]])
def test_a_table_is_named_by_a_path(path):
    with pytest.raises(TypeError, match="a table is named by its path"):
        table(path)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no table at .*nothing.csv; data/README.md says how to remake it"):
        table(tmp_path / "nothing.csv")


def test_the_published_numbers_are_a_table():
    rows = published()
    (end,) = rows[(rows["learning_rate"] == "1e-4") & (rows["quantity"] == "nan_at")]["value"]
    assert end == 12200 and rows["iteration"].dtype == "Int64" and rows["value"].isna().sum() == 2
    assert len(rows) == len((DATA / "published.csv").read_text().splitlines()) - 1


def test_the_recipe_of_a_row_is_the_one_that_made_it():
    recipes = [Recipe(), Recipe(lr=3e-5, loss="wgan", penalty="wgan-gp", gamma=10.0, normalise=True, anneal=100, ema=0.9)]
    for recipe in recipes:
        assert recipe_of({"recipe": changes_text(recipe)}) == recipe
    for row in table("fixes.csv").drop_duplicates("recipe").to_dict("records"):
        assert changes_text(recipe_of(row)) == row["recipe"] and recipe_of(pd.Series(row)) == recipe_of(row)


@pytest.mark.parametrize("text", ["lr", "lr=", "lr=1e-3; lr2=5", "__import__('os')=1", "lr=open('x')", 5, None])
def test_what_is_no_recipe_is_called_so(text):
    with pytest.raises(ValueError, match="is not the recipe of a run"):
        recipe_of({"recipe": text})


def test_the_key_identifies_every_recorded_run():
    assert not table("fixes.csv").duplicated(list(KEY)).any()
