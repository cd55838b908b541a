"""Recorder: a checkpoint is loaded as it was written, or refused in one sentence."""

import numpy as np
import pytest
import torch

from utils.recipe import Recipe
from utils.recording import _loaded
from utils.training import GAN, train


def flat(content):
    """Everything in a checkpoint, comparable."""
    if isinstance(content, torch.Tensor):
        return str(content.dtype), tuple(content.shape), content.numpy().tobytes()
    if isinstance(content, dict):
        return [(name, flat(value)) for name, value in content.items()]
    return [flat(value) for value in content] if isinstance(content, (list, tuple)) else content


@pytest.fixture
def checkpoint(tmp_path):
    recipe = Recipe(batch=4, hidden_g=8, hidden_d=8)
    train(recipe, 40, checkpoint=tmp_path / "run", atlas_at=[3], watch={"a": lambda gan: 1.0}, progress=False)
    return tmp_path / "run"


def test_no_flipped_bit_and_no_cut_of_a_checkpoint_goes_unnoticed(checkpoint):
    good, whole, random, refused = checkpoint.read_bytes(), flat(_loaded(checkpoint)), np.random.default_rng(0), 0
    directory = good.index(b"PK\1\2")
    for number in range(250):
        damaged = bytearray(good)
        at = int(random.integers(directory if number % 2 else 0, len(good)))
        damaged[at] ^= 1 << int(random.integers(8))
        checkpoint.write_bytes(damaged[:at] if number % 10 == 9 else damaged)
        try:
            assert flat(_loaded(checkpoint)) == whole
        except ValueError as error:
            refused += 1
            assert "is not a checkpoint of a run, or it is damaged" in str(error) and "\n" not in str(error)
    assert refused > 125


@pytest.mark.parametrize("content", [{"gan": 1, "rows": 2, "atlases": 3, "looks": 4}, {"format": 9}, [1], torch.zeros(3)])
def test_a_file_of_torch_that_is_no_checkpoint_of_this_version_is_refused_and_stays(content, tmp_path):
    torch.save(content, tmp_path / "run")
    before, gan = (tmp_path / "run").read_bytes(), GAN(Recipe())
    with pytest.raises(ValueError, match="is not a checkpoint of a run, or it is damaged") as refused:
        train(gan, 10, checkpoint=tmp_path / "run", progress=False)
    assert "\n" not in str(refused.value) and (tmp_path / "run").read_bytes() == before and gan.iteration == 0
