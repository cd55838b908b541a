"""Every notebook runs from its source in a fresh kernel; every built one is in step with its source and clean."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
spec = importlib.util.spec_from_file_location("build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

SOURCES = build.sources()
BUILT = [(source, build.reader, NOTEBOOKS / f"{source.stem}.ipynb") for source in SOURCES] + [
    (source, build.solutions, NOTEBOOKS / "solutions" / f"{source.stem}.ipynb")
    for source in SOURCES
    if build.solutions(source) is not None
]


def test_there_are_notebooks():
    assert {"00_start_here", "01_build_a_gan", "02_reproduce_the_nan"} <= {source.stem for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_runs_from_its_source_in_a_fresh_kernel(source):
    notebook = build.reader(source)
    build.execute(notebook)
    assert not [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_exercise_has_a_solution(source):
    cells = build.solutions(source).cells
    exercises = [number for number, cell in enumerate(cells) if "**Exercise " in cell.source]
    assert exercises
    assert all("solution" in build.tags(cells[number + 1]) for number in exercises)
    assert not [cell for cell in build.reader(source).cells if "solution" in build.tags(cell)]


@pytest.mark.parametrize("source", [s for s, make, _ in BUILT if make is build.solutions], ids=lambda source: source.stem)
def test_the_solutions_run(source):
    build.execute(build.solutions(source), NOTEBOOKS / "solutions")


@pytest.mark.parametrize("source, make, path", BUILT, ids=[str(path.relative_to(NOTEBOOKS)) for *_, path in BUILT])
def test_the_built_notebook_is_in_step_and_clean(source, make, path):
    assert path.is_file(), f"{path.name} is not built: run make notebooks"
    built, expected = nbformat.read(path, as_version=4), make(source)
    nbformat.validate(built)
    texts, wanted = ([(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (built, expected))
    assert texts == wanted, f"{path.name} was built from another version of its source: run make notebooks"
    assert "widgets" not in built.metadata
    assert path.stat().st_size < 2_000_000
    code = [cell for cell in built.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or build.WIDGET in output.get("data", {})]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert all(output.metadata.get("image/png", {}).get("alt") for output in images), "a figure without alt text"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_reads_as_a_lesson(source):
    notebook = build.reader(source)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for part in ("you will be able to", "**Time:**", "**Prerequisites:**", "## Summary", "## Exercises", "## References"):
        assert part in text, f"{source.stem} has no {part}"
    longest = max(len(cell.source.splitlines()) for cell in notebook.cells if cell.cell_type == "code")
    assert longest <= 20, f"{source.stem} has a code cell of {longest} lines"
