"""A cosine loss whose temperature goes through tanh, but not at 1: the loss jumps where the setting has its default.

Poetry record, enhanced cosine loss: `if temperature != 1: cosine = tanh(cosine / temperature)`.
"""

from __future__ import annotations

import pytest

from goldmark.cases.poetry import objective
from goldmark.checks import check_jumping_loss
from goldmark.training import draws

WEIGHTS = ("cosine_weight", "mse_weight", "norm_power")


def cosines():
    """Cosines of outputs and targets that are half right."""
    targets, noise = (draws.normal(draws.key(0, 0, name), (8, 5)) for name in ("targets", "noise"))
    return objective.cosine(targets + noise, targets)


def one_formula(temperature):
    """A right form with a temperature: tanh everywhere."""
    return float(1 - (cosines() / temperature).tanh().mean())


def branching(temperature):
    """The bug."""
    tempered = cosines() if temperature == 1 else (cosines() / temperature).tanh()
    return float(1 - tempered.mean())


def one_sided(temperature):
    """A control: the plain cosine below 1 as well, so that the jump is on one side only."""
    tempered = cosines() if temperature <= 1 else (cosines() / temperature).tanh()
    return float(1 - tempered.mean())


@pytest.mark.parametrize(("loss", "jumps"), [(one_formula, False), (branching, True), (one_sided, True)])
def test_loss_that_jumps_at_a_temperature_of_1_is_found(loss, jumps):
    """One formula is smooth; a branch jumps by more than tanh changes in a thousand steps."""
    assert jumps == check_jumping_loss(loss, 1.0).trouble


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_branching_loss_is_smooth_elsewhere(temperature):
    """Self-proof: the check names the place."""
    assert not check_jumping_loss(branching, temperature).trouble


@pytest.mark.parametrize("name", ["sum", "mse", "cosine", "hybrid"])
@pytest.mark.parametrize("setting", WEIGHTS)
def test_the_objective_is_continuous_in_its_settings(windows, objective_of, name, setting):
    """The right form: the case's loss has no branch at any weight or power that a recipe names."""
    tokens, outputs = windows
    weights = dict(zip(WEIGHTS, objective.WEIGHTS[name], strict=True))
    finding = check_jumping_loss(
        lambda value: float(objective_of(outputs, tokens, **weights | {setting: value})), weights[setting]
    )
    assert not finding.trouble, f"the loss is discontinuous in {setting}: {finding.advice}, {finding.numbers}"
