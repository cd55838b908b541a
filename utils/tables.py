"""Tables of runs (.csv) as pandas DataFrames: read strictly, written so that nothing in them changes.

Uses machine and recipe. A damaged table is refused in one sentence with file, line and column, never read in part.
"""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import pandas as pd

from utils.machine import replacing
from utils.recipe import Recipe

DATA = Path(__file__).parent.parent / "data"
KEY = ("group", "fix", "data", "lr", "cap", "recipe", "remedy", "seed")  # what identifies a run, and its line

TEXT = pd.Series([""]).dtype  # what pandas holds texts in: str, or object before pandas 3
NUMBER, WHOLE, MEASURED = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", r"0|[1-9][0-9]{0,17}", "number or empty"
KINDS = {  # {kind of cell: (all that may stand in it, that in words, its dtype)}
    "name": (r"\S(?:.*\S)?", "a name", TEXT),
    "changes": (rf"(?:\w+=(?:{NUMBER}|'[^';]+'|True|False)(?:; |$))*", "changes such as lr=0.001; loss='logits'", TEXT),
    "text": (r".*", "a text", TEXT),
    "side": (r"D|G|both|", "D, G, both or empty", TEXT),
    "outcome": (r"NaN|dead|poor|good", "NaN, dead, poor or good", TEXT),
    "commit": (r"[0-9a-f]{7,40}\+?|unknown|", "a commit", TEXT),
    "date": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}|", "a date such as 2026-11-25", TEXT),
    "truth": (r"True|False", "True or False", "bool"),
    "count": (WHOLE, "a whole number", "int64"),
    "count or empty": (rf"{WHOLE}|", "a whole number or empty", "Int64"),
    "number": (NUMBER, "a number such as 0.001", "float64"),
    "rate": (NUMBER, "a learning rate such as 1e-3", TEXT),  # as people write it
    MEASURED: (rf"{NUMBER}|-?inf|nan|", "a number such as 0.25, or empty", "float64"),
}
RUNS = {  # {column: kind}; whatever else stands in a table was measured
    "group": "name", "fix": "name", "data": "name", "lr": "number", "cap": "count", "recipe": "changes",
    "remedy": "name", "seed": "count",
    "iterations": "count", "nan_at": "count or empty", "first_broken": "side", "alive": "truth", "broken": "count or empty",
    "term": "text", "beyond": "count or empty", "fatal_logit": MEASURED, "fatal_z": MEASURED,
    **dict.fromkeys("fake_max score_g score_d cpu_ms plausible floors amplitude frequency decay".split(), MEASURED),
    "outcome": "outcome", **dict.fromkeys(("torch", "numpy", "python", "system", "processor"), "text"),
    "commit": "commit", "date": "date", **dict.fromkeys(("modes", "high_quality", "reverse_kl"), MEASURED),
}  # fmt: skip
PUBLISHED = {"learning_rate": "rate", "quantity": "name", "iteration": "count or empty", "value": MEASURED, "source": "name"}


def table(path: Path | str) -> pd.DataFrame:
    """The table of runs at `path`, or that one of data/: a row a run, with the dtypes of RUNS and KINDS.

    An empty cell is missing (nan_at is <NA>: no NaN), but the recipe is "" then, the one without a change.
    Raises FileNotFoundError, or ValueError with line and column for a damaged table.
    """
    if not isinstance(path, (str, Path)):
        raise TypeError(f"a table is named by its path, such as 'fixes.csv', not by {path!r}")
    path = Path(path) if Path(path).is_file() else DATA / path
    if not path.is_file():
        raise FileNotFoundError(f"there is no table at {path}; data/README.md says how to remake it")
    frame = _typed(path, RUNS)
    if frame.empty:
        raise ValueError(f"{path} holds no runs, only the names of the columns")
    for line, row in enumerate(frame.to_dict("records"), start=2):
        _check_run(f"{path}, line {line}", row)
    if (again := frame.duplicated(list(KEY))).any():
        raise ValueError(f"{path}, line {again.argmax() + 2}: that run stands in the table twice")
    return frame


def published() -> pd.DataFrame:
    """data/published.csv, read off the post's figures: learning_rate (str), quantity, iteration (Int64), value, source."""
    return _typed(DATA / "published.csv", PUBLISHED)


def recipe_of(row, where: str = "") -> Recipe:
    """The Recipe that made a row of a table (a Series or a dict); ValueError, beginning with `where`, if it names none."""
    text = row["recipe"]
    try:
        if not re.fullmatch(KINDS["changes"][0], text):
            raise ValueError(f"{KINDS['changes'][1]} say it")
        return Recipe(**{name: ast.literal_eval(value) for name, value in re.findall("([^=]+)=([^;]+)(?:; )?", text)})
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"{where}{text!r} is not the recipe of a run: {error}") from None


def changes_text(recipe: Recipe) -> str:
    """What differs from the main recipe, as a table holds it: recipe_of's way back."""
    return "; ".join(f"{name}={value!r}" for name, value in recipe.changes.items())


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of runs, sorted by what identifies them; the file is replaced at once or not at all."""

    def text(value: float) -> str:  # as short as it can be without changing
        return short if float(short := f"{value:.5g}") == value else repr(float(value))

    with replacing(path) as unfinished:
        frame.sort_values(list(KEY)).to_csv(unfinished, index=False, float_format=text, lineterminator="\n", encoding="utf-8")


def typed_rows(rows: list[dict]) -> pd.DataFrame:
    """Rows of runs just made, as the table will hold them: what was measured is kept to five digits."""
    kinds = RUNS | {name: RUNS.get(name, MEASURED) for row in rows for name in row}
    frame = pd.DataFrame(rows, columns=list(kinds), dtype=object)
    frame = frame.astype({name: KINDS[kind][2] for name, kind in kinds.items()})
    measured = [name for name, kind in kinds.items() if kind == MEASURED]
    return frame.assign(**frame[measured].map(lambda value: float(f"{value:.5g}")))


def _cells(path: Path) -> pd.DataFrame:
    """Every cell of a .csv as its text; ValueError unless each line is whole and holds a cell for each column."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: that is not UTF-8 text") from None
    if not text.strip():
        raise ValueError(f"{path} is empty")
    lines = text.replace("\r\n", "\n").split("\n")
    if lines.pop():
        raise ValueError(f"{path}, line {len(lines) + 1}, the last one, is cut: it has no end of line")
    rows = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
            raise ValueError(f"{where}: {line[:20]!r} is left from a merge in git; the two versions must be made one")
        if "\0" in line or "\r" in line:
            raise ValueError(f"{where}: there is a control character in it")
        try:
            rows += csv.reader([line], strict=True) if line else [[]]
        except csv.Error as error:
            raise ValueError(f"{where}: the quotation marks are not closed as they should be ({error})") from None
        header, row = rows[0] or ["none"], rows[-1]
        if len(row) != len(header):
            at = header[min(len(row), len(header) - 1)]
            raise ValueError(f"{where}, column {at}: there are {len(row)} cells, and {len(header)} columns")
    return pd.DataFrame(rows[1:], columns=header, dtype=object)


def _typed(path: Path, kinds: dict[str, str]) -> pd.DataFrame:
    """The cells of a .csv with their column's dtype; ValueError for a column or a cell that is not what it should be."""
    cells = _cells(path)
    names = list(cells)
    if missing := [name for name in kinds if name not in names]:
        hint = "; a comma must separate the columns" if len(names) == 1 else ""
        raise ValueError(f"{path}, line 1: the column {missing[0]!r} is missing{hint}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}, line 1: the column {twice[0]!r} stands there twice")
    typed = {}
    for name, values in cells.items():
        allowed, words, dtype = KINDS[kinds.get(name, MEASURED)]
        if (wrong := ~values.str.fullmatch(allowed).astype(bool)).any():
            line = wrong.to_numpy().argmax()
            raise ValueError(f"{path}, line {line + 2}, column {name}: {values.iloc[line]!r} is not {words}")
        if name != "recipe":  # there, "" says something
            values = values.mask(values == "", None)
        plain = {"bool": "True".__eq__, "float64": float, "int64": int, "Int64": int}.get(dtype)
        typed[name] = (values.map(plain, na_action="ignore") if plain else values).astype(dtype)
    return pd.DataFrame(typed)


def _check_run(where: str, row: dict) -> None:
    """ValueError if the cells of one run contradict each other."""
    recipe, never = recipe_of(row, f"{where}, column recipe: "), pd.isna(row["nan_at"])
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
