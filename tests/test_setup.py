"""make setup notices what makes a .venv useless, says what is missing, and installs nothing twice.

Python and pip are a shell script here that writes down what it was asked, so a set-up takes a tenth of a second.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STUB = """#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
  *sysconfig*) echo "{name}" ;;
  "-m venv"*) for last; do :; done; rm -rf "$last"; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
esac
"""


class Folder:
    """A copy of what `make` reads, and pretended Pythons."""

    def __init__(self, path: Path):
        self.path, self.log = path / "project", path / "log"
        self.path.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.path)

    def python(self, name: str) -> str:
        path = self.log.parent / name
        path.write_text(STUB.format(log=self.log, name=name))
        path.chmod(0o755)
        return str(path)

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")}
        environment["PATH"] = f"{self.log.parent}:{environment['PATH']}"
        return subprocess.run(["make", *arguments], cwd=self.path, capture_output=True, text=True, env=environment)

    def asked(self) -> list[str]:
        """What the Pythons were asked to do since the last call: make a venv, install with pip."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.split()[1] for line in lines if line.startswith("-m ")]


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.python("python3")
    assert folder.make("setup").returncode == 0
    assert folder.asked() == ["venv", "pip", "pip"]
    return folder


def test_what_is_set_up_is_not_set_up_again(folder):
    assert folder.make("setup").returncode == 0 and folder.asked() == []
    assert folder.make("setup", f"PYTHON={folder.log.parent}/python3").returncode == 0 and folder.asked() == []


def test_new_requirements_are_installed_into_the_environment_that_is_there(folder):
    later = (folder.path / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(folder.path / "pyproject.toml", (later, later))
    folder.make("setup")
    assert folder.asked() == ["pip", "pip"]


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_folder_that_was_moved_or_copied_is_set_up_again(folder, how):
    there = folder.path.with_name("there, with spaces")
    {"moved": shutil.move, "copied": shutil.copytree}[how](folder.path, there)
    folder.path = there
    ended = folder.make("setup")
    assert ended.returncode == 0 and "made for another folder or another Python" in ended.stdout
    assert folder.asked() == ["venv", "pip", "pip"]
    assert folder.make("setup").returncode == 0 and folder.asked() == []


def test_another_python_under_the_environment_is_noticed(folder):
    inside = folder.path / ".venv" / "bin" / "python"
    inside.write_text(STUB.format(log=folder.log, name="a newer python3"))
    assert "made for another folder or another Python" in folder.make("setup").stdout
    assert folder.asked() == ["venv", "pip", "pip"]
    inside.unlink()  # what the environment stood on is gone
    folder.make("setup")
    assert folder.asked() == ["venv", "pip", "pip"]


def test_a_python_named_later_is_used_and_stays(folder):
    assert folder.make("setup", f"PYTHON={folder.python('python3.12')}").returncode == 0
    assert folder.asked() == ["venv", "pip", "pip"]
    assert "python3.12" in (folder.path / ".venv" / ".python").read_text()
    assert folder.make("setup").returncode == 0 and folder.asked() == []  # the plain command does not go back


def test_a_wrong_python_named_later_leaves_the_environment_as_it_is(folder):
    ended = folder.make("setup", "PYTHON=no-such-python")
    assert ended.returncode != 0 and "no-such-python is not on the PATH" in ended.stdout
    assert folder.make("setup").returncode == 0 and folder.asked() == []


def test_an_interrupted_set_up_is_finished_the_next_time(folder):
    (folder.path / ".venv" / ".installed").unlink()
    folder.make("setup")
    assert folder.asked() == ["pip", "pip"]
    (folder.path / ".venv" / ".python").unlink()
    assert "unfinished" in folder.make("setup").stdout and folder.asked() == ["venv", "pip", "pip"]


@pytest.mark.parametrize(
    "python, sentence", [("no-such-python", "is not on the PATH"), ("old-python", "3.10 or newer is needed")]
)
def test_setup_says_what_is_missing_in_one_sentence(tmp_path, python, sentence):
    folder = Folder(tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1\nexit 1\n')
    old.chmod(0o755)
    ended = folder.make("setup", f"PYTHON={old if python == 'old-python' else python}")
    assert ended.returncode != 0 and sentence in ended.stdout
    assert not (folder.path / ".venv").exists()


def test_help_names_every_command(tmp_path):
    phony = re.search(r"^\.PHONY: (.+)", (ROOT / "Makefile").read_text(), flags=re.M)[1].split()
    named = re.findall(r"^make ([a-z-]+) ", Folder(tmp_path).make("help").stdout, flags=re.M)
    assert sorted(named) == sorted(set(phony) - {"help", "venv"})  # venv is a step of setup
