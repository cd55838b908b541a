"""The files around the code agree with each other: environments, README's commands, sizes, style."""

import ast
import re
import runpy
import subprocess
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib
from pathlib import Path

import pandas as pd
import pytest

from utils.plans import RECORDINGS
from utils.recipe import Recipe, rate_text
from utils.sweep import DATA, recorded, table
from utils.trace import provenance
from utils.verdicts import verdicts

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
    text = "\n".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "data/README.md"))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, flags=re.M))
    assert {"lab", "test"} <= named <= targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text()):
        assert target.startswith("https://") or ((ROOT / name).parent / target.split("#")[0]).exists(), target


def test_every_extra_is_named_where_people_install_it():
    text = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "Makefile", ".ci/run"))
    assert set(re.findall(r"\.\[([a-z]+)\]", text)) == set(PROJECT["optional-dependencies"])


def test_the_readme_is_short():
    """At most 900 words, tables and code included, addresses of links and punctuation not."""
    text = re.sub(r"\]\([^)]*\)", "]", (ROOT / "README.md").read_text())
    assert sum(bool(re.search(r"\w", word)) for word in text.split()) <= 900


def test_the_readme_judges_fixes_as_the_rule_does():
    """Each fix that README's table names has the verdict that its recorded runs at 1e-3 give it."""
    section = (ROOT / "README.md").read_text().split("## What cures it")[1].split("## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")][1:]
    said = {fix.split(" (`")[0].strip(): verdict for fixes, _, verdict in rows for fix in fixes.split(", ")}
    runs = table("fixes.csv").query("group == 'naive' and lr == 1e-3")
    ruled = verdicts(runs, {1e-3: [trace.nan_at for trace in recorded("pulses_lr1e-3")]}).verdict.droplevel("lr")
    assert len(said) > 15
    assert {fix: verdict for fix, verdict in said.items() if ruled[fix] not in verdict} == {}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_python_of_the_documents_imports_what_there_is(name):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.S)
    assert blocks
    for block in blocks:
        imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, (ast.Import, ast.ImportFrom))]
        exec("\n".join(ast.unparse(node) for node in imports), {})


def test_the_readme_names_every_module():
    text = (ROOT / "README.md").read_text().split("## What is where")[1].split("## ")[0]
    files, folders = (ROOT / "utils").glob("*.py"), (ROOT / "utils").glob("*/__init__.py")
    modules = {path.stem for path in files} - {"__init__"} | {f"{path.parent.name}/" for path in folders}
    rows = "".join(line.split("|")[2] for line in text.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+/?)`", rows)) - {"utils"} == modules


def test_contributing_names_files_and_tests_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:utils|tests|data|notebooks)/[\w/.]+\.(?:py|md|csv))`", text)
    paths = [path for path in paths if "NN_title" not in path]
    assert len(paths) > 8 and not [path for path in paths if not (ROOT / path).is_file()]
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    assert {name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests} == set()


def test_the_readme_of_data_describes_what_is_there():
    text = (DATA / "README.md").read_text()
    named = {name for line in re.findall(r"^\| (`[^|]+`) \|", text, flags=re.M) for name in re.findall(r"`([\w-]+)`", line)}
    assert {f"{data}_lr{rate_text(lr)}" for data, lr, _, _ in RECORDINGS} <= named
    assert set(table("fixes.csv").columns) - set(provenance()) <= named
    for data, lr, seeds, cap in RECORDINGS:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{data}_lr{rate_text(lr)}`")]
        assert f"{cap:,}" in line and (f"0 to {seeds - 1} " in line or f"0 and {seeds - 1} " in line)


def test_every_notebook_is_on_the_map():
    text = (ROOT / "README.md").read_text()
    for source in (ROOT / "notebooks" / "source").glob("[0-9][0-9]_*.py"):
        assert f"(notebooks/{source.stem}.ipynb)" in text, source.stem


def test_data_stays_small():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 20_000_000


@pytest.mark.parametrize(
    "folder, recipe, seeds, lowest, highest",
    [
        ("pulses_lr1e-3", Recipe(lr=1e-3), 100, 8, 20),
        ("pulses_lr1e-4", Recipe(lr=1e-4), 24, 8_000, 25_000),
        ("pulses_lr3e-4", Recipe(lr=3e-4), 20, 300, 20_000),
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
    rows, key = table("fixes.csv"), list(planned[0])
    recorded, planned = set(rows[key].itertuples(index=False, name=None)), {tuple(line.values()) for line in planned}
    assert not recorded - planned, "these are in no plan"
    assert not planned - recorded, "these are not recorded"
    assert rows[["torch", "processor", "date", "commit"]].notna().all(axis=None)


def chosen(group: str, **conditions) -> pd.DataFrame:
    rows = table("fixes.csv").query("group == @group")
    return rows[(rows[list(conditions)] == pd.Series(conditions)).all(axis=1)] if conditions else rows


@pytest.mark.parametrize(
    "group, lr, runs",
    [
        ("bar", 1e-3, 20), ("bar", 1e-4, 20), ("bar", 1e-5, 2),
        ("combination", 1e-3, 10), ("combination", 1e-4, 10), ("combination", 1e-5, 10),
    ],
)  # fmt: skip
def test_what_is_said_to_cure_survived_in_every_recorded_run(group, lr, runs):
    rows = chosen(group, lr=lr)
    assert len(rows) == runs and (rows["iterations"] == rows["cap"]).all() and rows["cap"].min() >= 20_000
    assert rows["nan_at"].isna().all() and rows["alive"].all()


def test_the_recommended_recipe_is_good_at_its_rate():
    rows = chosen("recommended")
    assert len(rows) == 10 and (rows["outcome"] == "good").all()
    assert rows["plausible"].min() >= 0.92 and rows["floors"].max() <= 1.5  # README says so


def test_the_recommended_recipe_is_good_in_proportion():
    """At a tenth of the rate, ten times as long, and at a hundredth."""
    for group, lr, runs, cap in (("longer", 1e-4, 5, 100_000), ("longest", 1e-5, 2, 1_000_000)):
        rows = chosen(group, fix="recommended", lr=lr, cap=cap)
        assert len(rows) == runs and (rows["outcome"] == "good").all(), group
        assert rows["plausible"].min() >= 0.92 and rows["floors"].max() <= 1.6  # as data/LOG.md rounds them


def test_what_notebook_07_says_of_the_controls():
    parts = chosen("controls").groupby("fix")
    plain, averaging = parts.get_group("plain"), parts.get_group("averaging")
    assert averaging["plausible"].min() > plain["plausible"].max() and averaging["floors"].max() < plain["floors"].min()
    floors = parts["floors"].median()
    alone = ["averaging", "R1", "annealing", "plain", "normalised units"]
    assert list(floors[alone].sort_values().index) == alone
    assert (parts.get_group("R1, averaging, annealing, betas 0 and 0.99")["outcome"] == "good").all()


def test_the_combination_is_good_at_its_rate():
    rows = chosen("combination", lr=1e-3)
    assert len(rows) == 10 and rows["plausible"].min() >= 0.9 and rows["floors"].max() <= 3
    assert rows[["plausible", "floors"]].notna().all(axis=None)


@pytest.mark.parametrize("data, modes, quality", [("ring", 8, 0.97), ("grid", 25, 0.95)])
def test_the_recommended_recipe_captures_every_mode_in_every_trial(data, modes, quality):
    rows = chosen("benchmark", fix="recommended", data=data)
    assert len(rows) >= 10 and (rows["modes"] == modes).all() and (rows["high_quality"] >= quality).all()


def test_the_drafts_protocol_is_won_on_average():
    shares = chosen("draft", fix="recommended")["high_quality"]
    assert len(shares) >= 10 and shares.notna().all() and shares.mean() > 0.9 and shares.min() > 0.5


def test_the_code_is_clean():
    ended = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", str(ROOT)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_no_path_of_a_machine_and_no_registry_is_named():
    private = re.compile("/" + "tmp/|/" + "work/|/" + "root/|" + "pypi" + r"\.org|\.\./" + "shared")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if name.endswith((".py", ".md", ".toml", ".yml", ".ipynb", ".txt", "Makefile")):
            assert not private.search((ROOT / name).read_text(errors="replace")), name
