"""Builds site/lab/index.html, the lab in one file, from the view, the worker, engine.wasm and the recorded runs.

`python site/lab/build.py`. It needs no Node. `--engine` compiles engine.ts first, which does, and writes down what
engine.wasm was compiled from.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from utils.lab.recorded import Recorded, lives  # noqa: E402
from utils.lab.view import STYLE, bundle, join  # noqa: E402
from utils.sweep import DATA  # noqa: E402

PAGE, ENGINE, NOTE = HERE / "index.html", HERE / "engine.wasm", HERE / "engine.json"
WORKER = ("chances", "verdict", "run", "recorded", "worker")  # each uses only those before it
SOURCES = ("engine.ts", "package.json", "package-lock.json")  # what the engine's bytes follow from
RECORDED = {"pulses_lr1e-5": 4, "pulses_lr3e-4": 1}  # runs in the page, of folders that are there
ATLASES, NONE = 6, np.zeros(0)  # of a run, at most; no numbers


def text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


# ---- JavaScript without what only its readers need

PIECES = re.compile(
    r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"""  # a string stays
    r"""|/\*.*?\*/|(?:^|(?<=\s))//[^\n]*""",  # a comment goes
    flags=re.S | re.M,
)


def bare(code: str) -> str:
    """JavaScript without comments, indentation and empty lines."""
    return re.sub(r"\s*\n\s*", "\n", PIECES.sub(lambda found: found[1] or "", code)).strip()


def packed(value) -> str:
    """JSON, gzip, base64. The bytes may differ between versions of zlib; unpacked() of them does not."""
    text = json.dumps(value, separators=(",", ":"), default=numbers)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def numbers(array: np.ndarray) -> dict:
    """An array as recorded.js reads it: whole numbers, or to the 3 digits that the view shows; what is not finite as a word."""
    words = {np.inf: "Infinity", -np.inf: "-Infinity"}
    rounded = array.tolist() if array.dtype.kind == "i" else [float(f"{v:.3g}") for v in array.ravel().tolist()]
    return {"numbers": [v if np.isfinite(v) else words.get(v, "NaN") for v in rounded]}


def unpacked(page: str) -> list:
    """What the elements "packed" and "records" of a page hold, and the page around them."""
    found = re.findall(r'<script type="text/plain" id="\w+">(.*?)</script>', page)
    values = [json.loads(gzip.decompress(base64.b64decode(data))) for data in found]
    return [*values, re.sub(r'(<script type="text/plain" id="\w+">).*?(</script>)', r"\1\2", page)]


# ---- what is recorded: the lab's own messages, with fewer numbers


def settings(lab: dict) -> dict:
    """The lab's settings as this page has them."""
    return {"loss": "naive"} | {name: lab[name] for name in ("batch", "latent", "seed") if name in lab}


def page_lives() -> list[dict]:
    """The recorded lives of the main recipe, a rate each, for guesses to be drawn over."""
    return [one | {"settings": settings(one["settings"])} for one in lives(DATA) if one["settings"]["data"] == "pulses"]


def thin(frame: dict, buckets: int = 400, keep: int = 100) -> dict:
    """Iteration, lowest and highest values of a frame's rows: the last `keep` iterations one by one, the others in buckets."""
    at = frame["at"]
    edges = np.searchsorted(at, np.linspace(0, at[-1] - keep, buckets + 1), side="right")
    starts = np.unique(np.concatenate([edges[:-1], np.arange(edges[-1], len(at))]))
    lows, highs = np.fmin.reduceat(frame["lows"], starts), np.fmax.reduceat(frame["highs"], starts)
    return {"at": at[np.append(starts[1:], len(at)) - 1], "lows": lows, "highs": highs}


def record(path: Path) -> dict:
    """A recorded run as recorded.js reads it: its Run, its Frame, and some of its atlases."""
    recorded = Recorded(0, path)
    run, frame, kept = recorded.about(), recorded.frame(), recorded.trace.atlas["iteration"]
    chosen = kept[np.unique(np.linspace(0, len(kept) - 1, ATLASES).round().astype(int))]
    atlases = [{name: recorded.moment(at)[name] for name in ("atlasAt", "curve", "image")} for at in chosen]
    for atlas in atlases:
        atlas["image"] = np.round(2 * atlas["image"]) / 2  # steps of 0.5 mV pack well
    title = f"recorded with PyTorch, naive loss, batch {recorded.trace.recipe.batch}, seed {recorded.trace.seed}"
    run |= {"title": title, "settings": settings(run["settings"]), "real": NONE}  # the page draws its own
    return {"run": run, "frame": frame | thin(frame) | dict.fromkeys(("fake", "image", "curve"), NONE), "atlases": atlases}


# ---- the page


def page() -> str:
    """The page, from what stands in the repository now."""
    worker = join(*(text(f"{name}.js") for name in WORKER))
    parts = {
        "style": bare(STYLE), "page": bare(bundle(text("page.js"))), "worker": bare(worker),
        "wasm": base64.b64encode(ENGINE.read_bytes()).decode(), "lives": page_lives(),
    }  # fmt: skip
    paths = {name: [DATA / name / f"seed{seed:03d}.npz" for seed in range(seeds)] for name, seeds in RECORDED.items()}
    there = {name: found for name, found in paths.items() if (DATA / name).is_dir()}
    records = {name.replace("_lr", ", "): [record(path) for path in found] for name, found in there.items()}
    return text("page.html").replace("PACKED", packed(parts)).replace("RECORDS", packed(records))


def sources() -> str:
    """The SHA-256 of all that the engine's bytes follow from."""
    return hashlib.sha256(b"\0".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()


def compile_engine() -> None:
    """engine.ts to engine.wasm, with the compiler that package-lock.json pins."""
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=HERE, check=True)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=HERE, check=True)
    digest = hashlib.sha256(ENGINE.read_bytes()).hexdigest()
    NOTE.write_text(json.dumps({"sources": sources(), "engine.wasm": digest}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", action="store_true", help="compile engine.ts first (needs Node)")
    if parser.parse_args().engine:
        compile_engine()
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {PAGE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
