"""How a run ended, and what became of it: finite_losses(), ending(), outcome().

Uses numpy, pandas, checks, data and trace.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from utils import data
from utils.checks import shown
from utils.trace import Trace

PLAUSIBLE, FLOORS = 0.90, 3.0  # pulses are good from this share, and up to this many noise floors, on
HIGH_QUALITY, WIDTH = 0.95, (0.9, 1.1)  # ring and grid are good with all modes, this share and islands so wide
ALIKE = 0.80  # digits are good from this precision and this recall on; real ones have 0.91 of both


def finite_losses(trace: Trace) -> np.ndarray:
    """(entries,) bool: are both losses finite?"""
    return np.isfinite(trace.loss_g) & np.isfinite(trace.loss_d)


def ending(trace: Trace, cliff: tuple[float, float]) -> dict:
    """How a run with the naive loss ended, from its last batch: the term that broke, how many samples lie beyond the cliff,
    the furthest of their logits, and its latent as in Trace.fake_max_z; {} for other losses and other ends.
    """
    real, fake, z = (trace.last_batch[name] for name in ("real_logits", "fake_logits", "z"))
    terms = (
        ("log(1 - D(G(z)))", "D", fake, fake > cliff[1], np.argmax),
        ("log D(x)", "D", real, real < cliff[0], np.argmin),
        ("log D(G(z))", "G", fake, fake < cliff[0], np.argmin),
    )
    for term, side, logits, beyond, furthest in terms:
        if trace.recipe.loss == "matlab" and trace.first_broken in (side, "both") and beyond.any():
            at = furthest(logits)
            length = z[at, 0] if z.shape[1] == 1 else np.linalg.norm(z[at])
            found = {"term": term, "beyond": int(beyond.sum()), "fatal_logit": float(logits[at])}
            return found | ({"fatal_z": float(length)} if logits is fake else {})
    return {}


def outcome(row: dict | pd.Series) -> str:
    """ "NaN", "dead", "poor" or "good": what became of a run, a row of measure() or of a table."""
    if not isinstance(row, (dict, pd.Series)):
        raise TypeError(f"row must be a row of measure() or of a table, not {shown(row)}")
    if missing := [name for name in ("data", "nan_at", "alive") if name not in row]:
        raise ValueError(f"a row of a run has data, nan_at and alive; this one lacks {', '.join(missing)}")
    if not pd.isna(row["nan_at"]):
        return "NaN"
    if pd.isna(row["alive"]) or not row["alive"]:
        return "dead"
    # A quality of NaN, that of samples which are NaN, is no good one.
    names = ("plausible", "floors", "modes", "high_quality", "width", "precision", "recall")
    measured = {name: math.nan if pd.isna(row.get(name)) else row[name] for name in names}
    if row["data"] == "pulses":
        return "good" if measured["plausible"] >= PLAUSIBLE and measured["floors"] <= FLOORS else "poor"
    if (centres := data.load(row["data"]).centres) is not None:
        all_near = measured["modes"] == len(centres) and measured["high_quality"] >= HIGH_QUALITY
        wrong = measured["width"] < WIDTH[0] or measured["width"] > WIDTH[1]  # a width of NaN is that of an older table
        return "good" if all_near and not wrong else "poor"
    return "good" if measured["precision"] >= ALIKE and measured["recall"] >= ALIKE else "poor"
