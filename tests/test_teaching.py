"""What a class gets: exercises whose stubs are open, whose solutions pass and whose mistakes are named; the teacher's kit."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402

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
