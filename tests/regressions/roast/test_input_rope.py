"""RoastFormer's "rope" rotated the input embedding once, so that it was no rotary position embedding.

Of a rotary embedding, predictions depend on how far steps lie apart, not on where they lie. Sinusoidal positions and
none at all fail the same question.
"""

from __future__ import annotations

import pytest
import torch

import goldmark.cases.roast.model as module
from goldmark.checks import check_not_relative

N_STEPS = 10


@pytest.fixture
def findings(small, monkeypatch):
    """`findings(positions)`: what the check says of a whole model whose steps stand at other places."""
    angles = module.position_angles

    def look(positions):
        _, data, model = small(positions=positions if positions != "none" else "learned", layers=2)
        if positions == "none":
            torch.nn.init.zeros_(model.positions.weight)
        bean = tuple(data[f"val_{part}"] for part in ("categories", "flavors", "continuous"))
        temps = torch.linspace(0.8, 0.1, N_STEPS, dtype=torch.float64).expand(6, -1)

        def predict(places):
            moved = lambda start, length, width, device: angles(0, 1000, width, device)[places]  # noqa: E731
            monkeypatch.setattr(module, "position_angles", moved)
            with torch.no_grad():
                return model(temps, bean)

        return check_not_relative(predict, N_STEPS)

    return look


def test_rotary_positions_are_relative(findings):
    """Moved together, the steps give the same predictions; further apart, others."""
    finding = findings("rotary")
    assert not finding.trouble, f"'rotary' does not rotate queries and keys: {finding}"


def test_record_s_rope_is_not(findings):
    """The record's changes with the place; so do sinusoidal positions, and a model without positions with nothing."""
    assert findings("rope").numbers["shift_change"] > 1e-3
    assert findings("rope").trouble
    assert findings("sinusoidal").trouble
    assert 0 == findings("none").numbers["stretch_change"]
    assert findings("none").trouble
