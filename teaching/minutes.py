"""How long everything takes: `python teaching/minutes.py` writes it into guide.md; --state also into the notebooks' **Time:**.

Running is measured: the seconds that the build noted in each built notebook. Reading is counted at the speeds below.
--check writes nothing, and fails if the guide is out of date or a stated time is off by more than a quarter.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "notebooks")]

import build  # noqa: E402
import nbformat  # noqa: E402
from sheets import between  # noqa: E402

WORDS, LINES, THINGS = 100, 8, 1  # a minute: words of a technical text, visible lines of code, pictures and predictions
STATED = re.compile(r"\*\*Time:\*\* (?:about |under )?(\d+) minutes? to run, (\d+) to read")
EXERCISE = re.compile(r"\*\*Exercise [\d.]+[^(]*\((\d+) minutes?")


@dataclass
class Section:
    """What stands below one ## heading, or in "solutions" what an exercise takes by its own word."""

    title: str
    words: int = 0
    lines: int = 0
    things: int = 0
    seconds: float = 0.0
    exercises: list[int] = field(default_factory=list)

    @property
    def read(self) -> float:
        return self.words / WORDS + self.lines / LINES + self.things / THINGS


def sections(notebook) -> list[Section]:
    """The sections of a built notebook; ValueError if the build noted no times in it."""
    times = iter(notebook.metadata.get("seconds", []))
    found = [Section("(begin)")]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"^(?=## )", cell.source, flags=re.M):
                if part.startswith("## "):
                    found.append(Section(part.splitlines()[0].removeprefix("## ")))
                if found[-1].title != "References":
                    found[-1].words += len(re.findall(r"\w[\w'.,-]*", re.sub(r"<[^>]+>|\(http\S+\)", " ", part)))
                found[-1].exercises += map(int, EXERCISE.findall(part))
        else:
            if (seconds := next(times, None)) is None:
                raise ValueError("no times: run make notebooks")
            found[-1].seconds += seconds
            found[-1].lines += 0 if cell.metadata.get("jupyter") else len(cell.source.splitlines())
            found[-1].things += sum("image/png" in output.get("data", {}) for output in cell.outputs)
            found[-1].things += cell.source.count("\nguess(") + cell.source.startswith("guess(")
    return found


def notebooks() -> Iterator[tuple[str, list[Section]]]:
    """(name, sections) of every notebook that was built and timed; what is not, is said."""
    for source in build.sources():
        try:
            yield source.stem, sections(nbformat.read(build.FOLDER / f"{source.stem}.ipynb", as_version=4))
        except (FileNotFoundError, ValueError):
            print(f"{source.stem} has no times: run make notebooks", file=sys.stderr)


def totals(parts: list[Section]) -> tuple[int, int, int]:
    """Minutes to run (at least 1) and to read without the exercises, and what the exercises say of themselves."""
    text = [part for part in parts if not part.exercises]
    run = sum(part.seconds for part in parts) / 60
    return max(round(run), 1), max(round(sum(part.read for part in text)), 1), sum(sum(part.exercises) for part in parts)


def table() -> str:
    """A row a notebook, and below each its sections."""
    lines = ["| notebook, section | to run | to read | exercises |", "|---|---|---|---|"]
    for name, parts in notebooks():
        run, read, exercises = totals(parts)
        lines.append(f"| **{name}** | **{run}** | **{read}** | **{exercises}** |")
        for part in parts:
            if part.title not in ("(begin)", "References") and not part.exercises:
                lines.append(f"| {part.title} | {part.seconds / 60:.1f} | {part.read:.0f} | |")
    return "\n".join(lines)


def deck() -> list[tuple[str, int, str]]:
    """(title, minutes, what to say) of each slide, from its speaker notes."""
    text = (HERE / "slides" / "index.rst").read_text(encoding="utf-8")
    found = re.findall(r"^(.+)\n[=-]{3,}\n(?:(?!^[=-]{3}).*\n)*?\s+:data-notes: (\d+) min\. (.+)", text, flags=re.M)
    return [(title, int(minutes), notes) for title, minutes, notes in found]


def clock() -> str:
    """The 90 minutes as a table with the time at which each slide begins."""
    lines, now = ["| begins at | minutes | slide |", "|---|---|---|"], 0
    for title, minutes, _ in deck():
        lines.append(f"| {now // 60}:{now % 60:02} | {minutes} | {title} |")
        now += minutes
    return "\n".join([*lines, f"| {now // 60}:{now % 60:02} | | end |"])


def misstated() -> list[str]:
    """One line for each notebook whose **Time:** is off by more than a quarter; below four minutes, by more than one."""
    found = []
    for name, parts in notebooks():
        text = (build.FOLDER / "source" / f"{name}.py").read_text(encoding="utf-8")
        run, read, _ = totals(parts)
        stated = STATED.search(text)
        said = tuple(map(int, stated.groups())) if stated else ()
        if not said or any(abs(one - other) > max(other / 4, 1) for one, other in zip(said, (run, read))):
            found.append(f"{name} says {said or 'no time'}, and it takes {run} minutes to run, {read} to read")
    return found


def state() -> None:
    """Write the times into the notebooks' sources."""
    for name, parts in notebooks():
        path = build.FOLDER / "source" / f"{name}.py"
        run, read, _ = totals(parts)
        words = f"**Time:** {run} minute{'s' * (run > 1)} to run, {read} to read"
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"\*\*Time:\*\*[^.\n]*(?=\.)", words, text, count=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something is out of date")
    parser.add_argument("--state", action="store_true", help="also write each notebook's **Time:** into its source")
    asked, path = parser.parse_args(), HERE / "guide.md"
    before = path.read_text(encoding="utf-8")
    text = between(between(before, "minutes", table()), "clock", clock())
    if asked.check:
        late = ["teaching/guide.md is out of date: run python teaching/minutes.py"] * (text != before)
        sys.exit("\n".join(late + misstated()) or 0)
    path.write_text(text, encoding="utf-8")
    if asked.state:
        state()


if __name__ == "__main__":
    main()
