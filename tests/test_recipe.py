"""Recipe: what no run can have is refused in one sentence, and numbers become plain ones."""

import json
import math
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from utils.recipe import FIXES, RECOMMENDED, Recipe, rate_text


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"lr": -1e-3}, "lr must be a finite number above 0, not -0.001"),
        ({"lr": 0}, "lr must be a finite number above 0, not 0"),
        ({"lr": math.inf}, "lr must be a finite number above 0, not inf"),
        ({"lr": math.nan}, "lr must be a finite number above 0, not nan"),
        ({"lr": "fast"}, "lr must be a number, not 'fast'"),
        ({"lr": True}, "lr must be a number, not True"),
        ({"loss": "magic"}, "loss must be one of matlab, logits.*, not 'magic'"),
        ({"data": "faces"}, "data must be one of pulses, digits, ring, grid, not 'faces'"),
        ({"batch": 1}, "batch must be at least 2, not 1"),
        ({"batch": 2.5}, "batch must be a whole number, not 2.5"),
        ({"latent": 0}, "latent must be at least 1, not 0"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1, not 1.0"),
        ({"loss": ["logits"]}, r"loss must be one of matlab, logits.*, not \['logits'\]"),
        ({"prior": "cauchy"}, "prior must be one of normal, uniform, not 'cauchy'"),
        ({"penalty": "r3"}, r"penalty must be one of none, r1, r2, r1\+r2, wgan-gp, wgan-gp unsafe, not 'r3'"),
        ({"penalty": None}, "penalty must be one of .*, not None"),
        ({"gamma": -1}, "gamma must be a finite number of at least 0, not -1"),
        ({"noise": math.nan}, "noise must be a finite number of at least 0, not nan"),
        ({"clip": math.inf}, "clip must be a finite number of at least 0, not inf"),
        ({"clip": "1"}, "clip must be a number, not '1'"),
        ({"d_rate": 0}, "d_rate must be a finite number above 0, not 0"),
        ({"normalise": 1}, "normalise must be True or False, not 1"),
        ({"bounded": "yes"}, "bounded must be True or False, not 'yes'"),
        ({"spectral": None}, "spectral must be True or False, not None"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and below 1, not 1.0"),
        ({"flips": -0.1}, "flips must be at least 0 and below 1, not -0.1"),
        ({"ema": 1}, "ema must be at least 0 and below 1, not 1"),
        ({"ema": math.nan}, "ema must be at least 0 and below 1, not nan"),
        ({"alternating": 1}, "alternating must be True or False, not 1"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"head_start": -1}, "head_start must be at least 0, not -1"),
        ({"anneal": 10.0}, "anneal must be a whole number, not 10.0"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"lr": 10**400}, r"lr must be a finite number above 0, not 10+\.\.\. \(int\)"),
        ({"lr": 10**5000}, "lr must be a finite number above 0, not an unprintable int"),
        ({"lr": Fraction(10**400)}, "lr must be a finite number above 0, not Fraction"),
        ({"lr": Decimal("0.001")}, "lr must be a number, not Decimal"),
        ({"lr": torch.tensor(1e-3)}, "lr must be a number, not tensor"),
        ({"lr": np.array(1e-3)}, "lr must be a number, not array"),
        ({"lr": 1e-3 + 0j}, "lr must be a number"),
        ({"lr": 5e-324}, "lr must be between 1e-37 and 1e37"),
        ({"lr": 1e300}, "lr must be between 1e-37 and 1e37"),
        ({"gamma": 1e300}, "gamma must be between 1e-37 and 1e37"),
        ({"beta1": np.float64("nan")}, "beta1 must be at least 0 and below 1, not "),
        ({"batch": 10**9}, "batch must be at most 65,536, not 1000000000"),
        ({"latent": 10**9}, "latent must be at most 65,536"),
        ({"hidden_g": 10**9}, "hidden_g must be at most 65,536"),
        ({"layers": 10**9}, "layers must be at most 100"),
        ({"hidden_d": 65_536, "layers": 2}, "a run must need at most 4 GiB of memory, not the .* GiB of batch=64, latent=1"),
        ({"warmup": 2**63}, "warmup must be below 2"),
        ({"normalise": np.bool_(True)}, "normalise must be True or False"),
        ({"loss": np.array(["logits"])}, "loss must be one of "),
    ],
)
def test_a_recipe_no_run_can_have_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Recipe(**wrong)


def test_a_rate_is_written_as_people_write_it():
    assert [rate_text(lr) for lr in (1e-3, 3e-4, 2.5e-5, 0.1)] == ["1e-3", "3e-4", "2.5e-5", "1e-1"]


def test_numbers_become_plain_ones_and_an_equal_recipe():
    numpys = Recipe(lr=np.float64(1e-3), batch=np.int32(32), gamma=np.float32(2), clip=Fraction(1, 2), beta1=np.float64(0))
    plain = Recipe(lr=1e-3, batch=32, gamma=2.0, clip=0.5, beta1=0.0)
    assert numpys == plain and hash(numpys) == hash(plain) and repr(numpys) == repr(plain)
    assert {type(value) for value in asdict(numpys).values()} <= {int, float, str, bool}
    assert Recipe(**json.loads(json.dumps(asdict(numpys)))) == plain
    assert numpys.changes == {"lr": 1e-3, "batch": 32, "beta1": 0.0, "gamma": 2.0, "clip": 0.5}


def test_a_number_keeps_its_own_text():
    assert [repr(value) for value in Recipe(gamma=10, clip=10.0).changes.values()] == ["10", "10.0"]


def test_every_fix_and_the_recommended_recipe_can_run():
    assert all(Recipe(lr=1e-3, **changes).gib < 0.1 for changes in (*FIXES.values(), RECOMMENDED))
