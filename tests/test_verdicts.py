"""How a run ended, from its last batch; the outcomes of rows are tested beside measure()."""

from utils.hazard import cliffs
from utils.metrics import measure
from utils.recipe import Recipe


def test_how_a_run_ended_is_told_from_its_last_batch():
    row, trace = measure(Recipe(lr=1e-3), 60)
    fake = trace.last_batch["fake_logits"]
    assert row["term"] == "log(1 - D(G(z)))" and row["first_broken"] == "D" and row["broken"] == 1
    assert row["beyond"] == (fake > cliffs()[1]).sum() >= 1 and row["fatal_logit"] == fake.max()
    assert row["fatal_z"] == trace.last_batch["z"][fake.argmax(), 0]
    row, trace = measure(Recipe(lr=1e-3), 60, 0, None, "RMSprop")
    assert row["term"] == "log D(G(z))" and row["first_broken"] == "G"
    assert row["fatal_logit"] == trace.last_batch["fake_logits"].min() < cliffs()[0]
    assert "term" not in measure(Recipe(data="ring", hidden_d=64), 5)[0]
