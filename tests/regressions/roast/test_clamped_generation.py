"""RoastFormer's old generation clamped curves at 250 F: no real roast turns above 174 F."""

from __future__ import annotations

import pytest

from goldmark.cases.roast.scores import generate_f, score_generation
from goldmark.checks import check_clipped_targets

CLAMP_F = 250.0


@pytest.fixture
def generated(small, told):
    """The outputs (N, T) that a free-running model which knows the true curves ends with, and the true ones."""
    settings, data, _ = small()
    true_f = data["val_temp_f"][:, 1:]

    def outputs(answers_f):
        return generate_f(told(answers_f, data, settings), data, settings)[:, 1:]

    return outputs, true_f


def test_generation_reaches_the_real_turning_point(generated):
    """A model that answers the true temperatures generates them, the lowest included."""
    outputs, true_f = generated
    finding = check_clipped_targets(outputs, true_f)
    assert not finding.trouble, f"generation clamps above the real turning point: {finding}"
    assert true_f.min() < CLAMP_F


def test_record_s_clamp_cuts_the_turning_point_off(generated):
    """The same model, clamped as in the record, cannot go below 250 F, where a fifth of a roast lies or more."""
    outputs, true_f = generated
    finding = check_clipped_targets(lambda answers_f: outputs(answers_f).clamp_min(CLAMP_F), true_f)
    assert finding.trouble
    assert finding.numbers["share"] == pytest.approx(float((true_f < CLAMP_F).double().mean()))
    assert finding.numbers["share"] > 0.2


def test_a_perfect_model_has_no_generation_error(small, told):
    """Scored as in a run: float64 rounding alone."""
    settings, data, _ = small()
    model = told(data["val_temp_f"][:, 1:], data, settings)
    error_f = score_generation(generate_f(model, data, settings), data)["generation_mae_f"]
    assert pytest.approx(0, abs=1e-9) == error_f, f"generation is off by {error_f} F where the model is not: a clamp?"
