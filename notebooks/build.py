"""Build the notebooks: `make notebooks`, or `python notebooks/build.py 02` for one.

notebooks/source/NN_title.py (jupytext percent) becomes NN_title.ipynb, executed in a fresh kernel, and
solutions/NN_title.ipynb with the solutions of its exercises. Tags of cells:
  solution   only in solutions/, which hold the "Exercises" section and the cells tagged setup
  setup      what the solutions need too: imports and settings
"""

from __future__ import annotations

import argparse
import csv
import datetime
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import torch
from nbclient import NotebookClient

from utils import plots
from utils.hazard import cliffs
from utils.sweep import DATA, recorded
from utils.trace import replacing

FOLDER = Path(__file__).parent
SECONDS_A_CELL = 600
WIDGET = "application/vnd.jupyter.widget-view+json"


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook in a source file, with cell ids that do not change from build to build."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def reader(source: Path) -> nbformat.NotebookNode:
    """What people read and run: everything but the solutions."""
    notebook = read(source)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    return notebook


def solutions(source: Path) -> nbformat.NotebookNode | None:
    """The exercises with their solutions, or None if the source has none."""
    notebook = read(source)
    if not any("solution" in tags(cell) for cell in notebook.cells):
        return None
    cells, in_exercises = [], False
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            in_exercises = cell.source.startswith("## Exercises")
        if in_exercises or number == 0 or "setup" in tags(cell):
            cells.append(cell)
    cells[0] = nbformat.v4.new_markdown_cell(cells[0].source.split("\n")[0] + ": solutions", id="cell-000")
    notebook.cells = cells
    return notebook


def seconds(cell) -> float:
    """How long nbclient measured a code cell to run."""
    times = cell.metadata.get("execution", {})
    stamps = [times.get(key) for key in ("iopub.execute_input", "shell.execute_reply")]
    begin, end = (datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")) for stamp in stamps)
    return (end - begin).total_seconds()


def execute(notebook: nbformat.NotebookNode, folder: Path = FOLDER) -> nbformat.NotebookNode:
    """Run every cell in a fresh kernel; what only a live kernel can show (widgets) is left out of the outputs."""
    NotebookClient(
        notebook, timeout=SECONDS_A_CELL, kernel_name="python3", store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()  # fmt: skip
    times = [seconds(cell) for cell in notebook.cells if cell.cell_type == "code"]
    print(f"  {sum(times):.0f} s, slowest cell {max(times):.0f} s", flush=True)
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # Widgets and progress bars (stderr of tqdm) mean nothing to somebody who reads the file.
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {}) and out.get("name") != "stderr"]
    return notebook


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    with replacing(path) as unfinished:
        nbformat.write(notebook, unfinished)


def pictures() -> None:
    """The pictures that README.md shows, from the recorded runs with seed 0."""
    with open(DATA / "published.csv", newline="") as file:
        published = {row["learning_rate"]: float(row["value"]) for row in csv.DictReader(file) if row["quantity"] == "nan_at"}
    traces = {rate: recorded(f"pulses_lr{rate}")[0] for rate in published}
    (FOLDER / "triptych.png").write_bytes(plots.triptych(list(traces.values()), published).png())
    trace = traces["1e-4"]
    late = int(np.searchsorted(trace.atlas["iteration"], 0.8 * trace.iterations))
    cliff = cliffs(torch.float32)[1]
    (FOLDER / "atlas.png").write_bytes(plots.atlas(trace, (0, late, -2, -1), cliff).png())


def sources() -> list[Path]:
    return sorted((FOLDER / "source").glob("[0-9][0-9]_*.py"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build and execute the notebooks.")
    parser.add_argument("numbers", nargs="*", metavar="NN", help="which, such as 02 (all of them by default)")
    numbers = parser.parse_args().numbers
    chosen = [source for source in sources() if not numbers or source.name[:2] in numbers]
    if len(chosen) < len(set(numbers)):
        parser.error(f"no such notebook; there are {', '.join(source.name[:2] for source in sources())}")
    pictures()
    for source in chosen:
        print(source.stem, flush=True)
        write(execute(reader(source)), FOLDER / f"{source.stem}.ipynb")
        if (solved := solutions(source)) is not None:
            write(execute(solved, FOLDER / "solutions"), FOLDER / "solutions" / f"{source.stem}.ipynb")
