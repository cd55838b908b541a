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
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from utils.sweep import DATA, recorded  # noqa: E402
from utils.trace import Trace  # noqa: E402

VIEW = runpy.run_path(str(ROOT / "utils" / "lab" / "view" / "__init__.py"))
STYLE, bundle, join = (VIEW[name] for name in ("STYLE", "bundle", "join"))
PAGE, ENGINE, NOTE = HERE / "index.html", HERE / "engine.wasm", HERE / "engine.json"
WORKER = ("chances", "verdict", "run", "recorded", "worker")  # each uses only those before it
SOURCES = ("engine.ts", "package.json", "package-lock.json")  # what the engine's bytes follow from
RECORDED = {"pulses_lr1e-5": 4, "pulses_lr3e-4": 1}  # runs in the page, of folders that are there
ATLASES = 6  # of a run, at most


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
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 9, mtime=0)).decode()


def unpacked(page: str) -> list:
    """What the elements "packed" and "records" of a page hold, and the page around them."""
    found = re.findall(r'<script type="text/plain" id="\w+">(.*?)</script>', page)
    values = [json.loads(gzip.decompress(base64.b64decode(data))) for data in found]
    return [*values, re.sub(r'(<script type="text/plain" id="\w+">).*?(</script>)', r"\1\2", page)]


# ---- what is recorded


def lives() -> list[dict]:
    """The recorded lives of the main recipe, a rate each, for guesses to be drawn over."""
    settings, rates = {"loss": "naive", "batch": 64, "latent": 1}, []
    for folder in sorted(DATA.glob("pulses_lr*")):
        traces = recorded(folder)
        ends = [trace.nan_at for trace in traces if trace.nan_at]
        rates.append({"lr": traces[0].recipe.lr, "settings": settings, "iterations": ends})
    return rates


def thin(trace: Trace, buckets: int = 400, keep: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The last `keep` iterations one by one and the others in buckets: (their last iterations (entries,), lowest and highest
    values (entries, 9) each)."""
    envelopes = [trace.envelope(name) for name in trace.values]
    low, high = (np.stack([pair[side] for pair in envelopes], 1) for side in (0, 1))
    edges = np.searchsorted(trace.iteration, np.linspace(0, trace.iterations - keep, buckets + 1), side="right")
    starts = np.unique(np.concatenate([edges[:-1], np.arange(edges[-1], len(trace.iteration))]))
    ends = np.append(starts[1:], len(trace.iteration)) - 1
    return trace.iteration[ends], np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)


def half(array) -> str:
    with np.errstate(over="ignore"):
        return "half:" + base64.b64encode(np.asarray(array).astype("<f2").tobytes()).decode()


def single(array) -> str:
    return "single:" + base64.b64encode(np.asarray(array).astype("<f4").tobytes()).decode()


def record(trace: Trace) -> dict:
    """A run as recorded.js reads it."""
    at, lows, highs = thin(trace)
    atlas, batch = trace.atlas, trace.last_batch
    chosen = np.unique(np.linspace(0, len(atlas["iteration"]) - 1, ATLASES).round().astype(int))
    image = np.round(2 * atlas["image"][chosen].astype(np.float32)) / 2  # steps of 0.5 mV pack well
    return {
        "lr": trace.recipe.lr, "seed": trace.seed, "batch": trace.recipe.batch,
        "iterations": trace.iterations, "nanAt": trace.nan_at,
        "at": single(at), "lows": half(lows), "highs": half(highs),
        "atlasAt": single(atlas["iteration"][chosen]), "curve": half(atlas["logit"][chosen]), "image": half(image),
        "z": single(batch["z"]), "realLogits": single(batch["real_logits"]), "fakeLogits": single(batch["fake_logits"]),
    }  # fmt: skip


# ---- the page


def page() -> str:
    """The page, from what stands in the repository now."""
    worker = join(*(text(f"{name}.js") for name in WORKER))
    parts = {
        "style": bare(STYLE), "page": bare(bundle(text("page.js"))), "worker": bare(worker),
        "wasm": base64.b64encode(ENGINE.read_bytes()).decode(), "lives": lives(),
    }  # fmt: skip
    there = {name: seeds for name, seeds in RECORDED.items() if (DATA / name).is_dir()}
    records = {name.replace("_lr", ", "): [record(trace) for trace in recorded(name)[:seeds]] for name, seeds in there.items()}
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
