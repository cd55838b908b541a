"""Build what is out of date: `make notebooks`; `python notebooks/build.py 02` builds 02 in any case, `--all` everything.

notebooks/source/NN_title.py (jupytext percent) becomes NN_title.ipynb, executed in a fresh kernel, and
solutions/NN_title.ipynb with the solutions of its exercises. Tags of cells:
  stub        the cell that a student fills in: not in solutions/
  solution    only in solutions/, folded there, which hold the "Exercises" section and the cells tagged setup
  setup       what the solutions need too: imports and settings
  hide-input  helpers of drawing and tables: JupyterLab shows their output, and their code behind a click

A built notebook carries a fingerprint (fingerprint.py) of its code, the modules of utils it imports, the data files and
checks of exercises it opened, and torch. It is executed again when one of these has changed; where only text or tags have,
its outputs stay.
"""

from __future__ import annotations

import argparse
import datetime
import inspect
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
from fingerprint import ROOT, bare, changes, fingerprint, pattern
from nbclient import NotebookClient
from PIL import Image

from utils.sweep import DATA
from utils.trace import provenance, replacing

FOLDER = Path(__file__).parent
SECONDS_A_CELL = 600
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# Runs in the kernel before the first cell, and notes which files the notebook opens.
WATCH = """
import sys as _sys
def _watch(event, about, log=open({log!r}, "a", buffering=1, encoding="utf-8")):
    if event == "open" and isinstance(about[0], str):
        log.write(about[0] + chr(10))
_sys.addaudithook(_watch)
del _sys, _watch
"""

# ---- what a notebook holds


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook in a source file, with cell ids that do not change from build to build."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
        if "hide-input" in tags(cell):
            cell.metadata["jupyter"] = {"source_hidden": True}
    notebook.metadata = dict(METADATA)
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
        if (in_exercises or number == 0 or "setup" in tags(cell)) and "stub" not in tags(cell):
            cells.append(cell)
        if "solution" in tags(cell):
            cell.metadata["jupyter"] = {"source_hidden": True}
    cells[0] = nbformat.v4.new_markdown_cell(cells[0].source.split("\n")[0] + ": solutions", id="cell-000")
    notebook.cells = cells
    return notebook


def sources() -> list[Path]:
    return sorted((FOLDER / "source").glob("[0-9][0-9]_*.py"))


def products(source: Path) -> list[tuple[Callable, Path]]:
    """What is built from a source: (reader or solutions, the file)."""
    both = [(reader, FOLDER / f"{source.stem}.ipynb"), (solutions, FOLDER / "solutions" / f"{source.stem}.ipynb")]
    return [(make, path) for make, path in both if make(source) is not None]


# ---- is it up to date?


def codes(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def look(notebook) -> list[tuple]:
    """All of a notebook that a source determines: kind, text and metadata of each cell."""
    return [(cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]


def stale(path: Path, notebook) -> list[str]:
    """Why the outputs in the file at `path` are not those of `notebook` any more; [] if they are."""
    if not path.is_file():
        return ["(it is not built)"]
    built = nbformat.read(path, as_version=4)
    edited = [bare(code, cell=True) for code in codes(built)] != [bare(code, cell=True) for code in codes(notebook)]
    return changes(built.metadata.get("built_from"), codes(notebook)) or (["its own code"] if edited else [])


def stale_picture(path: Path, draw: Callable) -> list[str]:
    """The same for a picture, which carries its fingerprint as a comment."""
    if not path.is_file():
        return ["(it is not built)"]
    with Image.open(path) as image:
        text = image.info.get("Comment") or image.info.get("xmp")
    return changes(json.loads(text) if text else None, [inspect.getsource(draw)])


# ---- building


def seconds(cell) -> float:
    """How long nbclient measured a code cell to run."""
    times = cell.metadata.get("execution", {})
    stamps = [times.get(key) for key in ("iopub.execute_input", "shell.execute_reply")]
    begin, end = (datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")) for stamp in stamps)
    return (end - begin).total_seconds()


def execute(notebook: nbformat.NotebookNode, folder: Path = FOLDER) -> nbformat.NotebookNode:
    """Run every cell in a fresh kernel, and note in the metadata what the outputs depend on and where they were made.

    What only a live kernel can show (widgets) is left out of the outputs.
    """
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "opened"
        client = NotebookClient(
            notebook, timeout=SECONDS_A_CELL, kernel_name="python3", store_widget_state=False,
            resources={"metadata": {"path": str(folder)}},
        )  # fmt: skip
        watch = WATCH.format(log=str(log))
        client.on_notebook_start = lambda notebook: client.kc.execute(watch, silent=True, store_history=False) and None
        before = fingerprint(codes(notebook), [], provenance()["torch"])  # of the code as it is when the run begins
        client.execute()
        opened = {Path(folder, name).resolve() for name in log.read_text(encoding="utf-8").splitlines()}
    data = {pattern(path) for path in opened if DATA.resolve() in path.parents and path.is_file()}
    data |= {f"teaching/checks/{path.name}" for path in opened if path.parent == (ROOT / "teaching/checks").resolve()}
    times = [seconds(cell) for cell in notebook.cells if cell.cell_type == "code"]
    print(f"  {sum(times):.0f} s, slowest cell {max(times):.0f} s", flush=True)
    built_from = before | {"data": fingerprint([], data, "")["data"]}
    measured = {"built_from": built_from, "built_with": provenance(), "seconds": [round(time, 1) for time in times]}
    notebook.metadata = METADATA | measured  # of each code cell in turn
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            warned = [line for out in cell.outputs for line in out.get("text", "").splitlines() if "Warning: " in line]
            print(*(f"  {cell.id}: {line}" for line in warned), sep="\n", end="\n" * bool(warned))
            # Widgets and progress bars (stderr of tqdm) mean nothing to somebody who reads the file.
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {}) and out.get("name") != "stderr"]
    return notebook


def keep_outputs(notebook: nbformat.NotebookNode, path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of the one at `path`, whose code is the same."""
    built = nbformat.read(path, as_version=4)
    notebook.metadata = built.metadata
    pairs = zip(*([cell for cell in each.cells if cell.cell_type == "code"] for each in (notebook, built)))
    for cell, old in pairs:
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return notebook


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    with replacing(path) as unfinished:
        nbformat.write(notebook, unfinished)


def build(path: Path, notebook: nbformat.NotebookNode, force: bool = False) -> None:
    """Execute the notebook if something its outputs depend on has changed, and write it if anything has."""
    name, changed = path.relative_to(FOLDER), stale(path, notebook)
    if force or changed:
        print(f"{name}: {', '.join(changed) or 'asked for'}", flush=True)
        write(execute(notebook, path.parent), path)
    elif look(nbformat.read(path, as_version=4)) != look(notebook):
        print(f"{name}: only text has changed, the outputs stay")
        write(keep_outputs(notebook, path), path)


# ---- the pictures that README.md shows, from recorded runs: two of those with seed 0, and one that moves


def triptych():
    from utils import plots, sweep

    published = sweep.published().query("quantity == 'nan_at'").set_index("learning_rate")["value"].to_dict()
    return plots.triptych([sweep.recorded(f"pulses_lr{rate}")[0] for rate in published], published)


def atlas():
    import numpy as np

    from utils import hazard, plots, sweep

    trace = sweep.recorded("pulses_lr1e-4")[0]
    late = int(np.searchsorted(trace.atlas["iteration"], 0.8 * trace.iterations))
    return plots.atlas(trace, (0, late, -2, -1), hazard.cliffs()[1])


def lab() -> list:
    """Images, one an iteration, of the run at 1e-3 that was recorded with an atlas at each (seed 0): losses, atlas, logits."""
    import numpy as np

    from utils import data, hazard, plots, sweep
    from utils.trace import ATLAS_Z

    whole = [trace for trace in sweep.recorded("pulses_lr1e-3") if len(trace.atlas["iteration"]) == trace.iterations]
    traces = sorted(whole, key=lambda trace: trace.nan_at or np.inf)
    trace, pulses, cliff = traces[len(traces) // 2], data.load("pulses"), hazard.cliffs()[1]

    def losses(axes, count: int) -> None:
        at = np.arange(1, count + 1)
        axes.plot(at, trace.loss_g[:count], "o-", color=plots.GENERATOR_COLOUR, label="G")
        axes.plot(at, trace.loss_d[:count], "o--", color=plots.DISCRIMINATOR_COLOUR, label="D")
        axes.set(yscale="log", ylim=(1e-3, 30), xlim=(0.5, trace.iterations + 1.5), xlabel="iteration", title="losses")
        axes.legend(loc="lower left")
        if count == trace.nan_at:
            axes.axvline(count, color=plots.NAN_COLOUR, linestyle=":", linewidth=2)
            axes.text(count - 0.2, 15, f"NaN at {count}", ha="right", weight="bold")

    def logits(axes, count: int) -> None:
        axes.plot(ATLAS_Z, trace.atlas["logit"][count - 1], color=plots.DISCRIMINATOR_COLOUR)
        axes.axhline(cliff, color=plots.NAN_COLOUR, linestyle="--")
        axes.text(1.02, cliff, f"cliff\n{cliff:.2f}", va="center", transform=axes.get_yaxis_transform())  # beside all curves
        axes.plot(trace.fake_max_z[count - 1], trace.fake_max[count - 1], "o", color=plots.GENERATOR_COLOUR, markersize=9)
        axes.set(xlim=(-6, 6), ylim=(-15, 30), xlabel="latent z", title="D's logit; dot: the largest one of G's batch")

    frames = []
    for count in range(1, trace.iterations + 1):
        picture = plots.Picture(alt="", width=9, height=4.5)
        axes = picture.subplot_mosaic([["losses", "atlas"], ["losses", "logits"]])
        losses(axes["losses"], count)
        plots.draw_atlas(axes["atlas"], trace.atlas["image"][count - 1], pulses)
        axes["atlas"].set(title="all that G can draw", ylabel="time (samples)")
        logits(axes["logits"], count)
        picture.suptitle(f"learning rate 1e-3, iteration {count}", weight="bold")
        file = io.BytesIO()
        picture.savefig(file, format="png", dpi=90)
        frames.append(Image.open(file).convert("RGB"))
    return frames


PICTURES = {
    "triptych.png": (triptych, ["data/published.csv", *(f"data/pulses_lr{rate}/*.npz" for rate in ("1e-3", "1e-4", "1e-5"))]),
    "atlas.png": (atlas, ["data/pulses_lr1e-4/*.npz"]),
    "lab.webp": (lab, ["data/pulses_lr1e-3/*.npz"]),
}


def build_picture(name: str, force: bool = False) -> None:
    draw, data = PICTURES[name]
    changed = stale_picture(FOLDER / name, draw)
    if force or changed:
        print(f"{name}: {', '.join(changed) or 'asked for'}", flush=True)
        built_from = fingerprint([inspect.getsource(draw)], data, provenance()["torch"])
        drawn, note = draw(), json.dumps(built_from)
        with replacing(FOLDER / name) as unfinished:
            if isinstance(drawn, list):  # a second each, and the last one stays for a while
                more = {"append_images": drawn[1:], "duration": [1000] * (len(drawn) - 1) + [5000], "xmp": note.encode()}
                drawn[0].save(unfinished, format="WEBP", save_all=True, loop=0, quality=80, **more)
            else:
                drawn.savefig(unfinished, format="png", metadata={"Comment": note})


def check() -> list[str]:
    """One line for each file that is out of date."""
    late = [(path, stale(path, make(source))) for source in sources() for make, path in products(source)]
    late += [(FOLDER / name, stale_picture(FOLDER / name, draw)) for name, (draw, _) in PICTURES.items()]
    return [f"{path.relative_to(ROOT)}: {', '.join(changed)}" for path, changed in late if changed]


def main() -> None:
    parser = argparse.ArgumentParser(description="Build and execute the notebooks and pictures that are out of date.")
    parser.add_argument("numbers", nargs="*", metavar="NN", help="build these, such as 02, whether out of date or not")
    parser.add_argument("--all", action="store_true", help="build everything, whether out of date or not")
    parser.add_argument("--check", action="store_true", help="build nothing: say what is out of date, and fail if anything is")
    asked = parser.parse_args()
    known = [source.name[:2] for source in sources()]
    if not set(asked.numbers) <= set(known):
        parser.error(f"no such notebook; there are {', '.join(known)}")
    if asked.check:
        sys.exit("\n".join(check()) or 0)
    for name in [] if asked.numbers else PICTURES:
        build_picture(name, asked.all)
    for source in sources():
        if not asked.numbers or source.name[:2] in asked.numbers:
            for make, path in products(source):
                build(path, make(source), asked.all or bool(asked.numbers))


if __name__ == "__main__":
    main()
