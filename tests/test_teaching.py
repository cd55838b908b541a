"""What a class gets: exercises whose stubs are open, whose solutions pass and whose mistakes are named; the teacher's kit."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from test_browser import browser  # noqa: F401

from utils import exercises, hazard

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "notebooks"), str(ROOT / "teaching")]
import build  # noqa: E402
import minutes  # noqa: E402
import sheets  # noqa: E402

# ---- one source, two notebooks

SOURCE = """# %% [markdown]
# # A lesson

# %% tags=["setup"]
from utils.exercises import ____, check

# %% [markdown]
# ## Exercises
#
# **Exercise 4.1** (5 minutes, easy).

# %% tags=["stub"]
x = ____

# %% tags=["solution"]
x = 36.7
"""


def test_a_stub_is_only_in_the_students_notebook_and_a_solution_only_in_the_other_one_and_folded(tmp_path):
    (tmp_path / "04_small.py").write_text(SOURCE)
    student, solved = (make(tmp_path / "04_small.py").cells for make in (build.reader, build.solutions))
    assert [cell.source for cell in student if cell.source.startswith("x")] == ["x = ____"]
    assert [cell.source for cell in solved if cell.source.startswith("x")] == ["x = 36.7"]
    assert [cell.source for cell in solved if cell.metadata.get("jupyter") == {"source_hidden": True}] == ["x = 36.7"]


# ---- exercises

SOURCES = build.sources()
NAMES = [source.stem for source in SOURCES]
ABOUT = re.compile(r"\*\*Exercise (\d+\.\d+)[^*]*\*\* \((\d+) minutes?, (easy|medium|hard)\)")


@functools.cache
def notebook(source):
    return build.read(source)


def tagged(source, tag):
    """(exercise, code) of the cells with that tag, by the exercise whose check they end with."""
    cells = [cell.source for cell in notebook(source).cells if tag in build.tags(cell)]
    return [(re.findall(r'^check\("([\d.]+)"', code, flags=re.M), code) for code in cells]


def text_of(source):
    return "\n\n".join(cell.source for cell in notebook(source).cells if cell.cell_type == "markdown")


def test_every_notebook_has_exercises_that_answer_back():
    checks = {path.stem for path in exercises.CHECKS.glob("*.py")}
    assert checks == {source.stem for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_an_exercise_says_minutes_difficulty_deliverable_and_criterion(source):
    cells = [cell.source for cell in notebook(source).cells if cell.cell_type == "markdown" and "**Exercise " in cell.source]
    found = [ABOUT.search(cell) for cell in cells]
    assert all(found), f"no minutes or difficulty: {[cell[:60] for cell, one in zip(cells, found) if not one]}"
    names = [one[1] for one in found]
    assert 3 <= len(names) <= 5 and names == list(exercises.exercises(source.name[:2])), names
    assert names == [f"{int(source.name[:2])}.{place + 1}" for place in range(len(names))]
    assert all("*Deliverable:*" in cell and "*Criterion:*" in cell and "<summary>Hint</summary>" in cell for cell in cells)
    for tag in ("stub", "solution"):
        assert [name for checked, _ in tagged(source, tag) for name in checked] == names, f"each {tag} ends with its check"


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_three_questions_each_choice_with_its_feedback(source):
    part = re.search(r"^## Three questions$(.*?)^## ", text_of(source), flags=re.M | re.S)
    assert part, "no section ## Three questions"
    choices = re.findall(r"<details>\s*<summary>([A-E])\. .*?</summary>\n\n(.*?)\n+</details>", part[1], flags=re.S)
    questions = [number for number, (letter, _) in enumerate(choices) if letter == "A"]
    assert len(questions) == 3
    for begin, end in zip(questions, [*questions[1:], len(choices)]):
        feedback = [words for _, words in choices[begin:end]]
        assert len(feedback) >= 3 and sum(words.startswith("Yes") for words in feedback) == 1, feedback


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_mistake_gets_its_own_sentence(source):
    for name, exercise in exercises.exercises(source.name[:2]).items():
        assert len(exercise.mistakes) >= 2 and exercise.notice, f"{name}: at least two mistakes, and something to notice"
        for mistake in exercise.mistakes:
            assert exercise.judge(mistake.example) == f"wrong, because {mistake.because}", f"{name}, {mistake.example!r}"
        assert len({mistake.because for mistake in exercise.mistakes}) == len(exercise.mistakes), name


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_every_stub_is_open_and_every_solution_passes(source, capsys, monkeypatch, tmp_path):
    """Setup, then stub and solution of each exercise, in one process, as the notebooks run them."""
    monkeypatch.chdir(tmp_path)
    space, said = {"__name__": "__main__"}, {"stub": [], "solution": []}
    for cell in notebook(source).cells:
        kind = {"stub", "solution", "setup"}.intersection(build.tags(cell))
        if cell.cell_type != "code" or not kind:
            continue
        code, before = cell.source, dict(space)
        exec(compile(code, source.stem, "exec"), space)
        checked = re.findall(r"^Exercise [\d.]+: .*", capsys.readouterr().out, flags=re.M)
        if "stub" in kind:
            said["stub"] += checked
            space.clear()  # what a stub leaves behind is no help for the solution; the functions keep this dict
            space.update(before)
        elif "solution" in kind:
            said["solution"] += checked
    names = list(exercises.exercises(source.name[:2]))
    assert said["stub"] == [f"Exercise {name}: not attempted yet." for name in names]
    assert [line.split(", and")[0] for line in said["solution"]] == [f"Exercise {name}: right" for name in names], said[
        "solution"
    ]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_no_solution_is_in_a_students_notebook(source):
    whole = build.FOLDER / f"{source.stem}.ipynb"
    built = [nbformat.read(whole, as_version=4)] if whole.is_file() else []  # test_notebooks says so if it is not
    for student in (build.reader(source), *built):
        codes = [cell.source for cell in student.cells]
        for _, code in tagged(source, "solution"):
            assert not [text for text in codes if code in text]


def test_the_predictions_have_names_of_their_own_and_an_outcome():
    asked = {}
    for source in SOURCES:
        codes = "\n".join(cell.source for cell in build.reader(source).cells if cell.cell_type == "code")
        guesses = re.findall(r'\bguess\("([^"]+)"', codes)
        assert sorted(guesses) == sorted(set(re.findall(r'\boutcome\("([^"]+)"', codes))), source.stem
        assert len(set(guesses)) == len(guesses) and all(name.startswith(source.name[:2]) for name in guesses)
        asked[source.stem] = len(guesses)
    assert all(2 <= count <= 4 for count in asked.values()), asked


# ---- the guide and its minutes


def test_the_minutes_of_the_guide_are_those_of_the_deck_and_add_up():
    slides = minutes.deck()
    assert len(slides) == (ROOT / "teaching/slides/index.rst").read_text().count(":data-notes:")
    assert sum(each for _, each, _ in slides) == 90 and 18 <= len(slides) <= 24
    assert minutes.clock() in (ROOT / "teaching/guide.md").read_text()


def test_the_minutes_of_the_guide_are_those_of_the_last_build():
    assert minutes.table() in (ROOT / "teaching/guide.md").read_text(), "run python teaching/minutes.py"


def test_the_minutes_a_notebook_states_are_within_a_quarter():
    assert not minutes.misstated()


def test_minutes_are_counted_and_compared():
    code = nbformat.v4.new_code_cell("a = 1\nguess('x', 'y')\n" * 4)
    hidden = nbformat.v4.new_code_cell("b = 1", metadata={"jupyter": {"source_hidden": True}})
    words = nbformat.v4.new_markdown_cell(
        "# T\n\n## One\n" + "word " * 199 + "\n## Exercises\n**Exercise 1.1: x** (5 minutes, easy)."
    )
    cells = nbformat.v4.new_notebook(cells=[words, code, hidden], metadata={"seconds": [90, 30]})
    parts = minutes.sections(cells)
    assert [part.title for part in parts] == ["(begin)", "One", "Exercises"]
    assert (parts[2].lines, parts[2].things, parts[2].seconds, parts[2].exercises) == (8, 4, 120, [5])
    assert minutes.totals(parts) == (2, 2, 5)
    cells.metadata.seconds = [90]
    with pytest.raises(ValueError, match="no times"):
        minutes.sections(cells)


def test_what_the_guide_names_is_there():
    text = (ROOT / "teaching/guide.md").read_text()
    titles = [title for title, _, _ in minutes.deck()]
    for named in re.findall(r"slides? \*([^*]+)\*", text) + re.findall(r"skip \*([^*]+)\* and", text):
        assert any(title.startswith(named.rstrip("?")) for title in titles), named
    for link in re.findall(r"\]\(([\w.]+)\)", text):
        assert (ROOT / "teaching" / link).is_file()
    for number, title in re.findall(r"notebook (\d\d), \*([^*]+)\*", text):
        assert any(f"# ## {title}\n" in path.read_text() for path in build.sources() if path.name.startswith(number)), title
    (cell,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    bound = (ROOT / "notebooks/source/03_learning_rate_lab.py").read_text()
    used = {node.id for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)} - {"report"}
    assert used and all(re.search(rf"^{name} = |import {name}$", bound, flags=re.M) for name in used), used


def test_slides_and_guess_sheet_count_alike():
    sheet = (ROOT / "teaching/guess_sheet.html").read_text()
    lines = re.findall(r"<tr><td>(\w+)</td>", sheet)
    named = [re.search(r"Guess sheet, lines? ([^.,]+)", notes) for _, _, notes in minutes.deck()]
    named = [line for found in named if found for line in re.split(" and | to ", found[1])]
    assert named == ["1", "2a", "2b", "3", "4a", "4f", "5"] and set(named) < set(lines) and len(set(lines)) == len(lines)


def test_the_numbers_of_the_handout_are_computed():
    for path, text in sheets.written().items():
        assert path.read_text() == text, "run python teaching/sheets.py"
    assert f"<td>{hazard.cliffs()[1]:.2f}</td>" in (ROOT / "teaching/handout.html").read_text()
    with pytest.raises(ValueError, match="markers"):
        sheets.between("none", "cliffs", "x")


# ---- the crosswalk


def test_what_the_crosswalk_says_of_torch_is_so():
    defaults = torch.optim.Adam([torch.zeros(1, requires_grad=True)]).defaults
    assert (defaults["lr"], defaults["betas"], defaults["eps"]) == (0.001, (0.9, 0.999), 1e-8)
    assert torch.nn.LeakyReLU().negative_slope == 0.01
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = torch.nn.Linear(400, 1000)
    assert layer.weight.abs().max() <= 1 / 20 and layer.bias.abs().max() <= 1 / 20
    assert abs(layer.weight.var().item() * 3 * 400 - 1) < 0.02
    assert torch.nn.BCELoss()(torch.ones(1), torch.zeros(1)) == 100


def test_the_cure_as_matlab_would_write_it_is_finite_and_the_naive_loss_is_not():
    x = np.array([-1e4, -110, -17, -1, 0, 1, 16, 17, 100, 1e4], dtype=np.float32)
    for sign in (1, -1):
        cure = np.maximum(sign * x, 0) + np.log(1 + np.exp(-np.abs(x)))
        assert cure.dtype == np.float32
        np.testing.assert_allclose(cure, np.logaddexp(0, sign * x.astype(np.float64)), rtol=1e-5, atol=1e-6)
    with np.errstate(all="ignore"):
        assert np.isinf(-np.log(1 - 1 / (1 + np.exp(-x)))[x >= 17]).all()


# ---- in a browser


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """The slides, built into a folder of their own."""
    folder = tmp_path_factory.mktemp("slides")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "revealjs", "-d", str(folder / "trees")]
    ended = subprocess.run([*command, "teaching/slides", str(folder / "out")], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder / "out" / "index.html"


OUTSIDE = """() => [Reveal.getCurrentSlide(), ...Reveal.getCurrentSlide().querySelectorAll("*")].map(element => {
  const {left, top, right, bottom, width} = element.getBoundingClientRect();
  const out = width && (left < 0 || top < 0 || right > 1280 || bottom > 720);
  return out || element.scrollWidth > element.clientWidth + 1 && element.clientWidth ? element.tagName : "";
}).filter(Boolean)"""


def test_no_slide_overflows_and_nothing_is_loaded_from_outside(deck, browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(deck.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=60_000)
    count, noted = page.evaluate("Reveal.getTotalSlides()"), []
    for number in range(count):
        page.evaluate("i => { const {h, v} = Reveal.getIndices(Reveal.getSlides()[i]); Reveal.slide(h, v); }", number)
        assert page.evaluate(OUTSIDE) == [], f"slide {number + 1} overflows"
        broken = (
            "[...Reveal.getCurrentSlide().querySelectorAll('img')].filter(i => !i.naturalWidth || !i.alt || /png$/.test(i.alt))"
        )
        assert page.evaluate(f"{broken}.length") == 0, f"slide {number + 1}: a picture is missing, or its text"
        noted.append(page.evaluate("Reveal.getSlideNotes()"))
    assert [int(re.match(r"(\d+) min\. ", note)[1]) for note in noted] == [each for _, each, _ in minutes.deck()]
    assert page.locator("img.fragment").count() == 2  # what would give a guess away waits for a key
    page.evaluate("document.querySelector('.reveal .slides section.present h2').style.fontSize = '400px'")
    assert page.evaluate(OUTSIDE), "the look for overflow is blind"
    page.close()
    assert not [url for url in asked if not url.startswith("file:")] and not said


@pytest.mark.parametrize("name", ["handout", "guess_sheet"])
def test_a_sheet_is_one_page_of_a4_and_of_letter(browser, name):  # noqa: F811
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((ROOT / "teaching" / f"{name}.html").as_uri())
    for form in ("A4", "Letter"):
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=form))) == 1, form
    page.evaluate("document.body.append(document.body.cloneNode(true))")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) > 1, "the count of pages is blind"
    page.close()
    assert not [url for url in asked if not url.startswith("file:")]
