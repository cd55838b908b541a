"""Tables of runs (.csv) as pandas DataFrames: read strictly, written so that nothing in them changes.

Uses recipe and machine. A table that is damaged is refused in one sentence with file, line and column, never read in part.
"""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pandas as pd

from utils.machine import replacing
from utils.recipe import Recipe

DATA = Path(__file__).parent.parent / "data"
KEY = ("group", "fix", "data", "lr", "cap", "recipe", "seed")  # what identifies a run, and its line

TEXT = pd.Series([""]).dtype  # what pandas holds texts in: str, or object before pandas 3
# {kind of cell: (all that may stand in it, that in words, its dtype)}
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
KINDS = {
    "name": (r"\S(?:.*\S)?", "a name", TEXT),
    "changes": (r"(?:\w+=[^;=]+(?:; |$))*", "a list of changes such as lr=0.001; loss='logits'", TEXT),
    "text": (r".*", "a text", TEXT),
    "side": (r"D|G|both|", "D, G, both or empty", TEXT),
    "outcome": (r"NaN|dead|poor|good", "NaN, dead, poor or good", TEXT),
    "commit": (r"(?:[0-9a-f]{7,40}\+?|unknown|)", "a commit", TEXT),
    "date": (r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|)", "a date such as 2026-11-25", TEXT),
    "truth": (r"True|False", "True or False", "bool"),
    "count": (r"0|[1-9][0-9]{0,17}", "a whole number", "int64"),
    "count or empty": (r"(?:0|[1-9][0-9]{0,17}|)", "a whole number or empty", "Int64"),
    "number": (NUMBER, "a number such as 0.001", "float64"),
    "number or empty": (rf"(?:{NUMBER}|-?inf|nan|)", "a number such as 0.25, or empty", "float64"),
}
# {column: kind}; what else a table holds are numbers
RUNS = {
    "group": "name", "fix": "name", "data": "name", "lr": "number", "cap": "count", "recipe": "changes", "seed": "count",
    "iterations": "count", "nan_at": "count or empty", "first_broken": "side", "alive": "truth",
    **dict.fromkeys(("fake_max", "score_g", "score_d", "cpu_ms"), "number or empty"),
    **dict.fromkeys(("plausible", "floors", "amplitude", "frequency", "decay"), "number or empty"),
    "outcome": "outcome", **dict.fromkeys(("torch", "numpy", "python", "system", "processor"), "text"),
    "commit": "commit", "date": "date", **dict.fromkeys(("modes", "high_quality", "reverse_kl"), "number or empty"),
}  # fmt: skip
PUBLISHED = {
    "learning_rate": "number", "quantity": "name", "iteration": "count or empty", "value": "number or empty", "source": "name",
}  # fmt: skip


def table(path: Path | str) -> pd.DataFrame:
    """The table of runs at `path`, or that one of data/: a row a run, sorted as it stands there.

    group, fix, data and recipe are str ("" is a recipe without a change); seed, cap and iterations int64; nan_at is Int64
    (<NA>: never); alive is bool; first_broken, outcome and what the run was made with are str or missing; the rest float64.
    Raises FileNotFoundError, or ValueError with line and column for a damaged table.
    """
    path = _find(path)
    frame = _typed(path, _cells(path), RUNS)
    if frame.empty:
        raise ValueError(f"{path} holds no runs, only the names of the columns")
    for line, row in enumerate(frame.to_dict("records"), start=2):
        _check_run(f"{path}, line {line}", row)
    again = frame.duplicated(list(KEY))
    if again.any():
        raise ValueError(f"{path}, line {again.argmax() + 2}: that run stands in the table twice")
    return frame


def published() -> pd.DataFrame:
    """data/published.csv, read off the post's figures: learning_rate (str), quantity, iteration (Int64), value, source."""
    path = DATA / "published.csv"
    frame = _typed(path, cells := _cells(path), PUBLISHED)
    return frame.assign(learning_rate=cells["learning_rate"])  # as people write it, "1e-3"


def recipe_of(row) -> Recipe:
    """The Recipe that made a row of a table (a Series or a dict); ValueError if it names none."""
    text = row["recipe"]
    try:
        parts = (part.split("=", 1) for part in text.split("; ") if part)
        changes = {name: ast.literal_eval(value) for name, value in parts}
    except (AttributeError, SyntaxError, TypeError, ValueError):
        raise ValueError(f"{text!r} is not the recipe of a run") from None
    try:
        return Recipe(**changes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r} is not the recipe of a run: {error}") from None


def changes_text(recipe: Recipe) -> str:
    """What differs from the main recipe, as a table holds it: recipe_of's way back."""
    return "; ".join(f"{name}={value!r}" for name, value in recipe.changes.items())


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of runs, sorted by what identifies them; the file is replaced at once or not at all."""
    columns = list(dict.fromkeys([*frame.columns, *RUNS]))
    text = frame.sort_values(list(KEY)).reindex(columns=columns).astype(object).map(_text)
    with replacing(path) as unfinished:
        text.to_csv(unfinished, index=False, lineterminator="\n", encoding="utf-8")


def typed_rows(rows: list[dict]) -> pd.DataFrame:
    """Rows of runs just made, as the table will hold them: what was measured is kept to five digits."""
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=list(dict.fromkeys([*RUNS, *frame.columns])))
    for name in frame.columns:
        kind = RUNS.get(name, "number or empty")
        values = frame[name].astype(object)
        if kind == "number or empty":
            values = values.map(lambda value: float(f"{value:.5g}"), na_action="ignore")
        frame[name] = _converted(values.where(values.notna(), None), kind)
    return frame


def _find(path: Path | str) -> Path:
    if not isinstance(path, (str, Path)):
        raise TypeError(f"a table is named by its path, such as 'fixes.csv', not by {path!r}")
    path = Path(path) if Path(path).is_file() else DATA / path
    if not path.is_file():
        raise FileNotFoundError(f"there is no table at {path}; data/README.md says how to remake it")
    return path


def _cells(path: Path) -> pd.DataFrame:
    """Every cell of a .csv as its text; ValueError unless each line is whole and holds a cell for each column."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: that is not UTF-8 text") from None
    if not text.strip():
        raise ValueError(f"{path} is empty")
    lines = text.replace("\r\n", "\n").split("\n")
    if lines.pop():
        raise ValueError(f"{path}, line {len(lines) + 1}, the last one, is cut: it has no end of line")
    header, *rows = (_line(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1))
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            at = header[len(row)] if len(row) < len(header) else header[-1]
            raise ValueError(f"{path}, line {number}, column {at}: there are {len(row)} cells, and {len(header)} columns")
    return pd.DataFrame(rows, columns=header, dtype=object)


def _line(where: str, line: str) -> list[str]:
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
        raise ValueError(f"{where}: {line[:20]!r} is left from a merge in git; the two versions must be made one")
    if "\0" in line or "\r" in line:
        raise ValueError(f"{where}: there is a control character in it")
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"{where}: the quotation marks are not closed as they should be ({error})") from None


def _typed(path: Path, cells: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """The cells with their column's dtype; ValueError for a column or a cell that is not what it should be."""
    names = list(cells.columns)
    if missing := [name for name in columns if name not in names]:
        hint = "; a comma must separate the columns" if len(names) == 1 else ""
        raise ValueError(f"{path}, line 1: the column {missing[0]!r} is missing{hint}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}, line 1: the column {twice[0]!r} stands there twice")
    typed = {}
    for name in names:
        kind = columns.get(name, "number or empty")
        wrong = ~cells[name].str.fullmatch(KINDS[kind][0]).astype(bool)
        if wrong.any():
            line = wrong.to_numpy().argmax()
            raise ValueError(f"{path}, line {line + 2}, column {name}: {cells[name].iloc[line]!r} is not {KINDS[kind][1]}")
        empty = cells[name].eq("") & (kind != "changes")
        typed[name] = _converted(cells[name].astype(object).mask(empty, None), kind)
    return pd.DataFrame(typed)


def _converted(values: pd.Series, kind: str) -> pd.Series:
    """Values of one column, plain, as text or None, in the dtype of their kind."""
    dtype = KINDS[kind][2]
    if dtype == TEXT:
        return values.astype(TEXT)
    if dtype == "bool":
        return values.map({"True": True, "False": False, True: True, False: False}).astype(bool)
    if dtype == "float64":
        return values.map(float, na_action="ignore").astype("float64")
    return values.map(int, na_action="ignore").astype(dtype)


def _check_run(where: str, row: dict) -> None:
    """ValueError if the cells of one run contradict each other."""
    try:
        recipe = recipe_of(row)
    except ValueError as error:
        raise ValueError(f"{where}, column recipe: {error}") from None
    never = pd.isna(row["nan_at"])
    broken = "nan_at is empty" if never else f"nan_at is {row['nan_at']}"
    for column, right, words in (
        ("lr", row["lr"] == recipe.lr, f"the recipe says {recipe.lr!r}"),
        ("data", row["data"] == recipe.data, f"the recipe says {recipe.data!r}"),
        ("iterations", row["iterations"] <= row["cap"], f"the cap is {row['cap']}"),
        ("nan_at", never or row["nan_at"] <= row["iterations"], f"the run has {row['iterations']} iterations"),
        ("first_broken", never == pd.isna(row["first_broken"]), broken),
        ("outcome", never == (row["outcome"] != "NaN"), broken),
        ("alive", never or not row["alive"], broken),
    ):
        if not right:
            raise ValueError(f"{where}, column {column}: {row[column]!r} cannot be, since {words}")


def _text(value) -> str:
    """A cell: a number as short as it can be without changing."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return short if float(short := f"{value:.5g}") == value else repr(value)
    return str(value)
