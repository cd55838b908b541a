"""The machine: the number of threads comes back, interrupts wait, and files are whole or not there."""

import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from utils import machine
from utils.machine import interrupts_wait, one_thread, provenance, replacing, writable


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_one_thread_inside_and_the_old_number_afterwards(two_threads):
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError), one_thread():
        raise RuntimeError
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("first_out", ["this", "other"])
def test_overlapping_runs_in_several_python_threads_each_get_their_number_back(first_out, two_threads):
    entered, may_leave, seen = threading.Event(), threading.Event(), []

    def other():
        with one_thread():
            seen.append(torch.get_num_threads())
            entered.set()
            may_leave.wait(30)
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    with one_thread():
        thread.start()
        assert entered.wait(30)
        if first_out == "other":
            may_leave.set()
            thread.join(30)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    may_leave.set()
    thread.join(30)
    assert seen == [1, 1, 2] and torch.get_num_threads() == 2
    in_a_thread(lambda: seen.append(torch.get_num_threads()))
    assert seen[-1] == 2


def test_an_interrupt_waits_a_late_second_one_does_not_and_the_old_handler_comes_back(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(machine.time, "monotonic", lambda: now[0])
    with interrupts_wait() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        now[0] = 4.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_are_left_to_who_handles_them_and_to_the_main_thread():
    def own(number, frame):
        pass

    signal.signal(signal.SIGINT, own)
    try:
        with interrupts_wait():
            assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def elsewhere():
        with interrupts_wait() as interrupted:
            assert not interrupted()

    in_a_thread(elsewhere)


def test_a_file_is_replaced_when_the_block_ends_well_and_left_alone_otherwise(tmp_path):
    path = tmp_path / "new" / "file"
    with replacing(path) as unfinished:
        unfinished.write_text("one")
    with pytest.raises(RuntimeError), replacing(path) as unfinished:
        unfinished.write_text("two")
        raise RuntimeError
    assert path.read_text() == "one" and list(path.parent.iterdir()) == [path]


def test_two_python_threads_write_to_different_temporary_files(tmp_path):
    names = []

    def note():
        with replacing(tmp_path / "file") as unfinished:
            names.append(unfinished)
            unfinished.touch()

    with replacing(tmp_path / "file") as unfinished:
        unfinished.touch()
        in_a_thread(note)
    assert unfinished not in names and len(names) == 1


@pytest.mark.skipif(os.name == "nt", reason="nobody can be asked whether he lives")
def test_what_a_killed_process_left_is_cleaned_up_and_a_living_one_s_is_not(tmp_path):
    code = """
import os, pathlib, signal, sys
from utils.machine import replacing
with replacing(pathlib.Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "file[1].csv"
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert len(list(tmp_path.iterdir())) == 1
    living = tmp_path / f".{path.name}.{platform.node()}-{os.getppid()}-1.tmp"
    elsewhere = tmp_path / f".{path.name}.another.machine-999999999-1.tmp"
    living.touch(), elsewhere.touch()
    with replacing(path) as unfinished:
        unfinished.write_text("whole")
    assert set(tmp_path.iterdir()) == {path, living, elsewhere} and path.read_text() == "whole"


def test_temporary_files_are_ignored_by_git(tmp_path):
    with replacing(tmp_path / "fixes.csv") as unfinished:
        unfinished.touch()
    data = Path(__file__).parent.parent / "data"
    if (data.parent / ".git").exists():
        asked = subprocess.run(["git", "check-ignore", "-q", str(data / unfinished.name)], cwd=data)
        assert asked.returncode == 0


@pytest.mark.parametrize("opened, result", [(3, "new"), (99, "old")])
def test_a_file_that_is_open_elsewhere_is_tried_again_and_then_named(opened, result, tmp_path, monkeypatch):
    path, replace, tries = tmp_path / "file", os.replace, iter(range(100))
    path.write_text("old")

    def locked(source, target):
        if next(tries) < opened:
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", locked)
    monkeypatch.setattr(machine.time, "sleep", lambda seconds: None)
    try:
        with replacing(path) as unfinished:
            unfinished.write_text("new")
    except PermissionError as error:
        assert "file cannot be replaced: is it open in another program?" in str(error)
    assert path.read_text() == result and list(tmp_path.iterdir()) == [path]


def test_whether_a_file_can_be_written_is_found_out_without_writing_it(tmp_path):
    (tmp_path / "file").write_text("old")
    assert writable("x", tmp_path / "file").read_text() == "old"
    assert not writable("x", tmp_path / "new" / "file").exists() and (tmp_path / "new").is_dir()
    with pytest.raises(ValueError, match="x must be a file that can be written, not .*file.deeper"):
        writable("x", tmp_path / "file" / "deeper")
    assert not list(tmp_path.rglob("*.tmp"))


def test_provenance_says_versions_machine_date_and_commit():
    assert set(provenance()) == {"torch", "numpy", "python", "system", "processor", "commit", "date"}
    provenance()["cap"] = "5"
    assert "cap" not in provenance()
