"""How a run ended, what became of it, and what a fix did to it: finite_losses(), ending(), outcome(), verdicts().

Uses numpy, pandas, torch, checks, data, losses, remedies, tables and trace.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch

from utils import data
from utils.checks import array, number, one_of, shown
from utils.losses import LOSSES
from utils.remedies import CAPS, REMEDIES
from utils.tables import recipe_of
from utils.trace import Trace

PLAUSIBLE, FLOORS = 0.90, 3.0  # pulses are good from this share, and up to this many noise floors, on
CONFIDENCE = 0.99  # of the interval that decides whether a fix delays or hastens the end
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


def arithmetic(loss: str, remedy: str = "none") -> str:
    """ "cliff", "cut" or "sound": is a loss finite, and is there an answer, when D (or G) is badly wrong about a fake?

    Asked at logits of 20 to 10,000 either way; an answer is half of the slope that the mistake deserves.
    """
    loss, cap = LOSSES[one_of("loss", loss, LOSSES)], CAPS.get(one_of("remedy", remedy, REMEDIES), lambda logits: logits)
    far, answers = torch.tensor([20.0, 50.0, 200.0, 10_000.0]), []
    for side, logits in enumerate((far, -far)):  # D is wrong about a fake that it takes for real, G about one seen through
        logits.requires_grad_()
        (slope,) = torch.autograd.grad(loss(torch.zeros(4), cap(logits))[side], logits)
        answers.append(len(far) * slope)
    answers = torch.cat(answers)
    return "cliff" if not answers.isfinite().all() else "cut" if answers.abs().min() < 0.5 else "sound"


def excluded(clean: int, doubt: float = 0.05) -> float:
    """The chance of a NaN that `clean` runs without one exclude: were it larger, they would happen less often than `doubt`."""
    return 1 - doubt ** (1 / clean) if clean else math.nan


def ratio_of_lives(lives, naive, cap: float = math.inf, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(ratio, lowest, highest) of two samples of lives in iterations: of their geometric means, with a bootstrap interval.

    The interval is that of a fix that does nothing: lives and naive ones in one pot, two samples of their sizes drawn from it
    with replacement, 10,000 times; so much may the ratio differ from 1 by luck, and as much from its true value. (Resampling
    five lives alone calls 1 naive sample in 10 different at 99 %; this one calls 1 or 2 in 100.) Lives are compared up to
    `cap`: one that lasted longer, or was stopped there, counts with the cap on either side. That moves the ratio towards 1,
    never past it; where `lives` were stopped the highest is inf.
    """
    cap = math.inf if cap == math.inf else number("cap", cap, above=0)
    lives, naive = (np.log(np.minimum(array(name, one, None), cap)) for name, one in (("lives", lives), ("naive", naive)))
    doubt, random = (1 - number("confidence", confidence, above=0, below=1)) / 2, np.random.default_rng(0)
    pot, difference = np.concatenate([lives, naive]), lives.mean() - naive.mean()
    mine, theirs = (pot[random.integers(len(pot), size=(10_000, len(one)))].mean(1) for one in (lives, naive))
    low, high = np.exp(difference - np.quantile(mine - theirs, [1 - doubt, doubt]))
    return float(np.exp(difference)), float(low), math.inf if (lives >= np.log(cap)).any() else float(high)


def verdicts(runs: pd.DataFrame, naive: dict[float, list[float]]) -> pd.DataFrame:
    """What each fix does to the NaN at each rate: a row a (fix, lr) of `runs`, rows of a table of runs; naive: {lr: lives}.

    n runs; of these ended (by a loss that is not finite), dead, and hurt (went on past such a loss); ratio, low, high of lives
    as ratio_of_lives() has them; excluded: the chance of a NaN that they exclude; loss: its arithmetic(). One rule for all:
    some ended: "delays" or "hastens" if the interval lies above or below 1, else "no help"; none ended, but dead or hurt:
    "masks", or "dead" if the loss is sound; else "cures" if the loss is sound, "unproven" if it is not.
    """
    runs = runs.sort_values("cap").drop_duplicates(["fix", "lr", "seed"], keep="last")  # the longest one of a seed
    rows = {key: _verdict(mine, naive[key[1]]) for key, mine in runs.groupby(["fix", "lr"], sort=False)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["fix", "lr"])


def _verdict(mine: pd.DataFrame, naive: list[float]) -> dict:
    ended, dead, cap = mine["nan_at"].notna(), mine["outcome"] == "dead", mine["cap"].min()
    hurt = ~ended & (mine["broken"].fillna(0).astype(int) > 0)
    ratio, low, high = ratio_of_lives(mine["nan_at"].fillna(mine["cap"]).to_numpy(float), naive, cap)
    loss = arithmetic(recipe_of(mine.iloc[0]).loss, mine["remedy"].iloc[0])
    if ended.any():
        word = "delays" if low > 1 else "hastens" if high < 1 else "no help"
    elif dead.any() or hurt.any():
        word = "masks" if loss != "sound" else "dead"
    else:
        word = "cures" if loss == "sound" else "unproven"
    counts = {"n": len(mine), "ended": int(ended.sum()), "dead": int(dead.sum()), "hurt": int(hurt.sum()), "cap": int(cap)}
    bound = excluded(0 if ended.any() else len(mine))
    return counts | {"ratio": ratio, "low": low, "high": high, "excluded": bound, "loss": loss, "verdict": word}
