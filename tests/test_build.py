"""A fingerprint changes with what outputs depend on, and with nothing else; only what is out of date is built again."""

import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))
import build  # noqa: E402
import fingerprint  # noqa: E402

CELLS = ["from utils import used\nx = used.f()", "x  # what it is"]


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A project of three modules (one imported by the notebook, one by that), a table and a folder of runs; its root."""
    files = {
        "constraints.txt": "numpy==2.0\ntorch==2.13.0\n",
        "utils/__init__.py": "",
        "utils/used.py": '"""Words."""\nfrom utils.deep import at\n\ndef f():\n    """More words."""\n    return 3  # three\n',
        "utils/deep/__init__.py": "",
        "utils/deep/at.py": "AT = 1\n",
        "utils/unused.py": "NOTHING = 0\n",
        "data/table.csv": "a,b\n1,2\n",
        "data/runs/seed0.npz": "run 0",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    return tmp_path


def built(torch="2.13.0+cpu"):
    return fingerprint.fingerprint(CELLS, ["data/table.csv", "data/runs/*.npz"], torch)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_nothing_has_changed_at_first(house):
    assert fingerprint.changes(built(), CELLS) == []
    assert set(built()["modules"]) == {"utils", "utils.used", "utils.deep", "utils.deep.at"}


@pytest.mark.parametrize(
    "old, new",
    [
        ('"""More words."""', '"""Other words,\n    and more of them."""'),
        ('"""More words."""\n    ', ""),
        ('"""Words."""', ""),
        ("  # three", "  # not four"),
        ("return 3", "# a line of its own\n\n    return (3)"),
    ],
)
def test_a_docstring_a_comment_and_layout_do_not_count(house, old, new):
    before = built()
    change(house / "utils/used.py", old, new)
    assert fingerprint.changes(before, CELLS) == []


@pytest.mark.parametrize(
    "file, old, new, told",
    [
        ("utils/used.py", "return 3", "return 4", "utils.used"),
        ("utils/used.py", "return 3", "return 3.0", "utils.used"),
        ("utils/deep/at.py", "AT = 1", "AT = 2", "utils.deep.at"),
        ("utils/__init__.py", "", "import os\n", "utils"),
        ("data/table.csv", "1,2", "1,3", "data/table.csv"),
        ("data/runs/seed0.npz", "run 0", "run zero", "data/runs/*.npz"),
        ("constraints.txt", "2.13.0", "2.14.0", "torch (2.14.0, then 2.13.0)"),
    ],
)
def test_one_change_in_what_is_used_is_named(house, file, old, new, told):
    before = built()
    change(house / file, old, new)
    assert fingerprint.changes(before, CELLS) == [told]


def test_two_threads_may_look_at_once(monkeypatch):
    texts = [path.read_text() for path in (NOTEBOOKS.parent / "utils").glob("*.py")] * 3
    yields = lambda *_: time.sleep(1e-6)  # noqa: E731, as what a collection calls back may: then the other thread runs
    before = gc.get_threshold()
    gc.callbacks.append(yields)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(2) as two:
            assert len(list(two.map(fingerprint.bare.__wrapped__, texts))) == len(texts)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(yields)


def test_what_is_not_used_does_not_count(house):
    before = built()
    change(house / "utils/unused.py", "0", "1")
    (house / "data/other.csv").write_text("new")
    (house / "data/runs/seed0.unfinished").write_text("a checkpoint")
    change(house / "constraints.txt", "numpy==2.0", "numpy==2.1")
    assert fingerprint.changes(before, CELLS) == []


def test_a_run_added_to_a_folder_and_one_taken_away_count(house):
    before = built()
    (house / "data/runs/seed1.npz").write_text("run 1")
    assert fingerprint.changes(before, CELLS) == ["data/runs/*.npz"]
    (house / "data/runs/seed1.npz").unlink()
    assert fingerprint.changes(before, CELLS) == []
    (house / "data/runs/seed0.npz").unlink()
    assert fingerprint.changes(before, CELLS) == ["data/runs/*.npz"]


def test_a_table_is_the_same_with_the_line_ends_of_windows(house):
    before = built()
    (house / "data/table.csv").write_bytes(b"a,b\r\n1,2\r\n")
    assert fingerprint.changes(before, CELLS) == []


@pytest.mark.parametrize("cells", [[CELLS[0], "x + 1"], ["\n".join(CELLS)], [*CELLS, "'shown'"], [CELLS[0], "'a'; x"]])
def test_other_code_in_the_notebook_counts(house, cells):
    assert fingerprint.changes(built(), cells) == ["its own code"]


def test_a_text_that_a_cell_shows_is_no_docstring(house):
    assert fingerprint.bare("'one'", cell=True) != fingerprint.bare("'two'", cell=True)
    assert fingerprint.bare("'one'") == fingerprint.bare("'two'")


def test_another_import_in_the_notebook_is_followed(house):
    changed = fingerprint.changes(built(), [*CELLS, "import utils.unused"])
    assert changed == ["its own code", "utils.unused"]


@pytest.mark.parametrize("line", ["from .at import AT", "from . import at", "from ..deep import at", "import utils.deep.at"])
def test_every_way_to_import_is_followed(house, line):
    (house / "utils/deep/near.py").write_text(f"def f():\n    {line}\n")
    assert "utils.deep.at" in fingerprint.modules(["import utils.deep.near"])


def test_a_notebook_without_a_fingerprint_is_out_of_date(house):
    assert fingerprint.changes(None, CELLS)


# ---- the builder


SOURCE = """# %%
from utils.sweep import published
len(published())

# %% [markdown]
# A text.

# %% tags=["hide-input"]
print("six", 2 * 3)
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A function that builds SOURCE, or another text, and says how often a notebook was executed for it."""
    executed = []
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    execute = build.execute
    monkeypatch.setattr(build, "execute", lambda notebook, folder: executed.append(1) or execute(notebook, folder))

    def make(text=SOURCE, force=False):
        (tmp_path / "00_small.py").write_text(text)
        before = len(executed)
        build.build(tmp_path / "00_small.ipynb", build.reader(tmp_path / "00_small.py"), force)
        return len(executed) - before, nbformat.read(tmp_path / "00_small.ipynb", as_version=4)

    return make


def test_only_what_is_out_of_date_is_executed_and_text_alone_never_is(workshop):
    times, first = workshop()
    assert times == 1
    assert list(first.metadata["built_from"]["data"]) == ["data/published.csv"]
    assert {"utils", "utils.sweep", "utils.trace"} <= set(first.metadata["built_from"]["modules"])
    assert first.cells[2].metadata["jupyter"] == {"source_hidden": True}
    assert first.cells[2].outputs[0].text == "six 6\n"
    assert workshop()[0] == 0

    text = SOURCE.replace("A text.", "Another text.").replace(' tags=["hide-input"]', "").replace("3)", "3)  # two threes")
    times, second = workshop(text)
    assert times == 0
    assert second.cells[1].source == "Another text." and "jupyter" not in second.cells[2].metadata
    assert [cell.get("outputs") for cell in second.cells] == [cell.get("outputs") for cell in first.cells]

    times, third = workshop(text.replace("2 * 3", "2 * 4"))
    assert times == 1 and third.cells[2].outputs[0].text == "six 8\n"
    assert workshop(text.replace("2 * 3", "2 * 4"), force=True)[0] == 1


def test_a_picture_carries_its_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    draw, data = build.PICTURES["atlas.png"]
    assert build.stale_picture(tmp_path / "atlas.png", draw) == ["(it is not built)"]
    build.build_picture("atlas.png")
    assert build.stale_picture(tmp_path / "atlas.png", draw) == []
    monkeypatch.setattr(fingerprint, "_content", lambda pattern: "other")
    assert build.stale_picture(tmp_path / "atlas.png", draw) == data
