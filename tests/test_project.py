"""The files around the code agree with each other: environments, README's commands, sizes, style."""

import re
import runpy
import subprocess
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib
from pathlib import Path

import numpy as np
import pytest

from utils.recipe import Recipe
from utils.sweep import DATA, recorded, table

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}


def test_conda_and_pip_install_the_same():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    entries = [re.match(r"  - ([a-z_-]+)(>=[\d.]+)?(\s+# \S.*)?$", line) for line in lines]
    conda = {CONDA_NAMES.get(m[1], m[1]): m[2] for m in entries if m and m[2]}
    assert conda.pop("python") == PROJECT["requires-python"]
    pip = dict(re.match(r"([a-z_-]+)(>=.+)", entry).groups() for entry in PROJECT["dependencies"])
    assert conda == pip
    assert all(m[3] for m in entries if m and m[2]), "a pin without its reason"
    assert "  - conda-forge" in lines and "  - nodefaults" in lines and "      - -e ." in lines


def test_the_tested_versions_are_pinned_torch_exactly():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert "torch==2.13.0" in lines
    pinned = {re.split("==", line)[0].lower().replace("_", "-") for line in lines if "==" in line}
    wanted = PROJECT["dependencies"] + [entry for extra in PROJECT["optional-dependencies"].values() for entry in extra]
    # What only an older Python needs is not on the tested one; an extra may name another one of this project.
    wanted = [entry for entry in wanted if ";" not in entry and not entry.startswith(PROJECT["name"])]
    assert {re.match("[a-z-]+", entry)[0] for entry in wanted} <= pinned


def test_every_command_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    text = (ROOT / "README.md").read_text() + (DATA / "README.md").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, flags=re.M))
    assert {"lab", "test"} <= named <= targets


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_notebook_is_on_the_map():
    text = (ROOT / "README.md").read_text()
    for source in (ROOT / "notebooks" / "source").glob("[0-9][0-9]_*.py"):
        assert f"(notebooks/{source.stem}.ipynb)" in text, source.stem


def test_data_stays_small():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 15_000_000


@pytest.mark.parametrize(
    "folder, recipe, seeds, lowest, highest",
    [
        ("pulses_lr1e-3", Recipe(lr=1e-3), 100, 8, 20),
        ("pulses_lr1e-4", Recipe(lr=1e-4), 24, 8_000, 25_000),
        ("pulses_lr1e-5", Recipe(lr=1e-5), 8, 60_000, 350_000),
        ("digits_lr1e-3", Recipe(lr=1e-3, data="digits"), 40, 3, 60),
        ("digits_lr1e-4", Recipe(lr=1e-4, data="digits"), 8, 3_000, 60_000),
        ("digits_lr1e-5", Recipe(lr=1e-5, data="digits"), 2, 10_000, 400_000),
    ],
)
def test_the_recorded_runs_are_whole_and_named(folder, recipe, seeds, lowest, highest):
    traces = recorded(folder)
    assert [trace.seed for trace in traces] == list(range(seeds))
    assert all(trace.recipe == recipe for trace in traces)
    for trace in traces:
        assert {"torch", "processor", "date", "commit", "cap"} <= set(trace.provenance)
        assert trace.nan_at == trace.iterations or (trace.nan_at is None and trace.iterations == int(trace.provenance["cap"]))
    times = sorted(trace.nan_at or int(trace.provenance["cap"]) for trace in traces)
    assert lowest <= times[len(times) // 2] <= highest


def test_the_recorded_table_is_what_the_plan_makes():
    planned = [line for one in runpy.run_path(str(DATA / "record.py"))["FIX_PLAN"] for line in one.lines()]
    rows = table("fixes.csv")
    identities = [sorted(tuple(line[name] for name in planned[0]) for line in lines) for lines in (rows, planned)]
    assert identities[0] == identities[1]
    assert all(row[name] for row in rows for name in ("torch", "processor", "date", "commit"))


def chosen(group: str, **conditions) -> list[dict]:
    rows = [row for row in table("fixes.csv") if row["group"] == group]
    return [row for row in rows if all(row[name] == value for name, value in conditions.items())]


@pytest.mark.parametrize(
    "group, lr, runs",
    [
        ("bar", 1e-3, 20), ("bar", 1e-4, 20), ("bar", 1e-5, 2),
        ("recommended", 1e-3, 10), ("recommended", 1e-4, 10), ("recommended", 1e-5, 10),
    ],
)  # fmt: skip
def test_what_is_said_to_cure_survived_in_every_recorded_run(group, lr, runs):
    rows = chosen(group, lr=lr)
    assert len(rows) == runs and all(row["iterations"] == row["cap"] >= 20_000 for row in rows)
    assert all(row["nan_at"] is None and row["alive"] for row in rows)


def test_the_recommended_recipe_is_good_at_its_rate():
    rows = chosen("recommended", lr=1e-3)
    assert len(rows) == 10 and all(row["plausible"] >= 0.9 and row["floors"] <= 3 for row in rows)


@pytest.mark.parametrize("data, modes, quality", [("ring", 8, 0.97), ("grid", 25, 0.95)])
def test_the_recommended_recipe_captures_every_mode_in_every_trial(data, modes, quality):
    rows = chosen("benchmark", fix="recommended", data=data)
    assert len(rows) >= 10 and all(row["modes"] == modes and row["high_quality"] >= quality for row in rows)


def test_the_drafts_protocol_is_won_on_average():
    shares = [row["high_quality"] for row in chosen("draft", fix="recommended")]
    assert len(shares) >= 10 and np.mean(shares) > 0.9 and min(shares) > 0.5


def test_the_code_is_clean():
    ended = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", str(ROOT)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_no_path_of_a_machine_and_no_registry_is_named():
    private = re.compile("/" + "tmp/|/" + "work/|/" + "root/|" + "pypi" + r"\.org")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if name.endswith((".py", ".md", ".toml", ".yml", ".ipynb", ".txt", "Makefile")):
            assert not private.search((ROOT / name).read_text(errors="replace")), name
