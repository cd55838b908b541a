"""Built notebooks are no older than their code, data and text; they are clean; and they run from their source.

Running all of them takes minutes. `make notebooks` has already run each one with the code, data and torch that its
fingerprint names, so here one runs again if it is quick, if it is out of date, or if it was built with another Python, torch
or system than this one; NOTEBOOKS=all in the environment runs every one. Two run at a time.
"""

import ast
import os
import re
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))
import build  # noqa: E402

from utils.trace import provenance  # noqa: E402

SOURCES = build.sources()
BUILT = {path: (source, make) for source in SOURCES for make, path in build.products(source)}
NAMES = [str(path.relative_to(NOTEBOOKS)) for path in BUILT]
QUICK = {"00", "01", "03", "09"}  # a minute or less each; they use the run, the lab and the guard


def cells(source, kind="code"):
    return [cell for cell in build.read(source).cells if cell.cell_type == kind]


# ---- they run


def due(path) -> bool:
    """Must this notebook run here, or is its own record of having run enough?"""
    source, make = BUILT[path]
    if source.name[:2] in QUICK or os.environ.get("NOTEBOOKS") == "all" or build.stale(path, make(source)):
        return True
    there, here = nbformat.read(path, as_version=4).metadata["built_with"], provenance()
    versions = [(about["torch"].split("+")[0], about["python"].split(".")[:2], about["system"]) for about in (there, here)]
    return versions[0] != versions[1]


@pytest.fixture(scope="module")
def runs():
    """{path: the run of that notebook, under way} of all that are due."""
    with ThreadPoolExecutor(2) as two:
        started = {}
        for path, (source, make) in BUILT.items():
            if due(path):
                started[path] = two.submit(build.execute, make(source), path.parent)
        yield started
        two.shutdown(wait=False, cancel_futures=True)


@pytest.mark.parametrize("path", BUILT, ids=NAMES)
def test_runs_from_its_source_in_a_fresh_kernel(path, runs):
    if path not in runs:
        pytest.skip("make notebooks ran it with this code, data, torch and Python; NOTEBOOKS=all runs it again")
    notebook = runs[path].result()
    assert not [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]


# ---- they are up to date, and clean


@pytest.mark.parametrize("path", BUILT, ids=NAMES)
def test_the_outputs_are_no_older_than_code_and_data(path):
    source, make = BUILT[path]
    changed = build.stale(path, make(source))
    assert not changed, f"{path.name} is older than {', '.join(changed)}: run make notebooks"


@pytest.mark.parametrize("name", build.PICTURES)
def test_the_pictures_of_the_readme_are_no_older_than_code_and_data(name):
    changed = build.stale_picture(NOTEBOOKS / name, build.PICTURES[name][0])
    assert not changed, f"{name} is older than {', '.join(changed)}: run make notebooks"


@pytest.mark.parametrize("path", BUILT, ids=NAMES)
def test_the_built_notebook_is_in_step_and_clean(path):
    source, make = BUILT[path]
    assert path.is_file(), f"{path.name} is not built: run make notebooks"
    built = nbformat.read(path, as_version=4)
    nbformat.validate(built)
    assert build.look(built) == build.look(make(source)), f"{path.name} has not the text of its source: run make notebooks"
    assert "widgets" not in built.metadata
    assert path.stat().st_size < 2_000_000
    code = [cell for cell in built.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or build.WIDGET in output.get("data", {})]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert all(output.metadata.get("image/png", {}).get("alt") for output in images), "a figure without alt text"


@pytest.mark.parametrize("path", BUILT, ids=NAMES)
def test_no_table_is_cut_or_holds_a_nan_percent(path):
    tables = [
        output.data["text/html"]
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if "<table" in output.get("data", {}).get("text/html", "")
    ]
    for text in (re.sub(r"<style.*?</style>", "", table, flags=re.S) for table in tables):
        assert "nan%" not in text and "<NA>" not in text and "&lt;NA&gt;" not in text and "...</t" not in text


# ---- they read as lessons


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_exercise_has_a_solution(source):
    # What an exercise needs, its setup, may stand between it and its solution.
    solved = [cell for cell in build.solutions(source).cells if "setup" not in build.tags(cell)]
    exercises = [number for number, cell in enumerate(solved) if "**Exercise " in cell.source]
    assert exercises
    assert all("solution" in build.tags(solved[number + 1]) for number in exercises)
    assert not [cell for cell in build.reader(source).cells if "solution" in build.tags(cell)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_reads_as_a_lesson(source):
    text = "\n".join(cell.source for cell in cells(source, "markdown"))
    for part in ("you will be able to", "**Time:**", "**Prerequisites:**", "## Summary", "## Exercises", "## References"):
        assert part in text, f"{source.stem} has no {part}"
    for cell in cells(source):
        most = 40 if "hide-input" in build.tags(cell) else 20  # what stands behind a click may be as long as a function
        assert len(cell.source.splitlines()) <= most, f"{source.stem} has a code cell of more than {most} lines"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_long_cells_that_draw_are_hidden_behind_a_click(source):
    drawing = [cell for cell in build.reader(source).cells if "Picture(" in cell.source and len(cell.source.splitlines()) > 8]
    assert all(cell.metadata.get("jupyter") == {"source_hidden": True} for cell in drawing)
    hidden = [cell for cell in build.read(source).cells if "jupyter" in cell.metadata]
    assert all("hide-input" in build.tags(cell) for cell in hidden)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_table_is_glued_together_from_strings(source):
    glued = []
    for cell in cells(source):
        texts = [node.value for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Constant)]
        glued += [text for text in texts if isinstance(text, str) and re.search(r"(^|\s)\|(\s|-|$)", text)]
        assert "Markdown(" not in cell.source and "HTML(answer" not in cell.source
    assert not glued, f"{source.stem} glues a table: {glued}"


# ---- they are short: what a student's notebook may hold at most

BARS = {"words": 1800, "longest paragraph": 90, "lines of code seen": 120, "median cell seen": 6}


def sizes(notebook) -> dict[str, float]:
    """Words of all Markdown, of its longest paragraph, item or row; lines of the code that is not behind a click."""
    texts = [re.sub(r"<[^>]+>", "", cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]
    texts = [re.sub(r"\]\([^)]*\)", "]", text) for text in texts]  # nobody reads the address of a link
    paragraphs = [part for text in texts for part in re.split(r"\n\s*\n|\n(?=[-*] |\||#)", text)]
    words = [sum(bool(re.search(r"\w", word)) for word in paragraph.split()) for paragraph in paragraphs]
    seen = [cell.source for cell in notebook.cells if cell.cell_type == "code" and "hide-input" not in build.tags(cell)]
    lines = [len([line for line in code.splitlines() if line.strip()]) for code in seen]
    return dict(zip(BARS, (sum(words), max(words), sum(lines), statistics.median(lines))))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_is_short(source):
    assert {what: size for what, size in sizes(build.reader(source)).items() if size > BARS[what]} == {}


def test_sizes_are_counted_as_a_reader_would():
    """What is folded counts too; tags, addresses and what stands behind a click do not."""
    text = "# One two\n\nthree [four](a_long address.md) 5 %\n- six seven\n- eight\n\n<details><summary>nine</summary>\n\nten"
    shown = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell("a = 1\n\nb = 2")]
    notebook = nbformat.v4.new_notebook(cells=shown)
    notebook.cells.append(nbformat.v4.new_code_cell("hidden", metadata={"tags": ["hide-input"]}))
    assert list(sizes(notebook).values()) == [10, 3, 2, 2]
