"""Write the handout's numbers between its markers: `python teaching/sheets.py`; --check says whether they are as computed."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from utils.hazard import cliffs  # noqa: E402

KINDS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


def between(text: str, name: str, new: str) -> str:
    """`text` with `new` between <!-- name --> and <!-- /name -->; ValueError unless these markers stand there once."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the markers <!-- {name} --> and <!-- /{name} --> must stand in the text once")
    return pattern.sub(lambda found: f"{found[1]}{new}\n{found[2]}", text)


def cliff_table() -> str:
    """The lines of a table: between which logits both logarithms of a score are finite, by kind of number."""
    ends = {name: cliffs(kind) for name, kind in KINDS.items()}
    return "\n".join(f"<tr><td>{name}</td><td>{low:.2f}</td><td>{high:.2f}</td></tr>" for name, (low, high) in ends.items())


def written() -> dict[Path, str]:
    """{file: its text as it should be}."""
    path = HERE / "handout.html"
    return {path: between(path.read_text(encoding="utf-8"), "cliffs", cliff_table())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not as computed")
    late = {path: text for path, text in written().items() if path.read_text(encoding="utf-8") != text}
    if parser.parse_args().check:
        sys.exit("\n".join(f"{path.name} is out of date: run python teaching/sheets.py" for path in late) or 0)
    for path, text in late.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
