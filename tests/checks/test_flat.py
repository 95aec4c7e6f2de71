"""Terms of a loss whose value changes and whose gradient does not exist, or cancels."""

from __future__ import annotations

import pytest
import torch

from goldmark import checks
from goldmark.checks._flat import Slopes

RISING_AND_FALLING = (0.3, -0.2, 0.1, 0.4, -0.3)


@pytest.mark.parametrize(
    ("values", "norm", "trouble"),
    [
        (RISING_AND_FALLING, 0.0, True),
        (RISING_AND_FALLING, 3e-7, True),  # what rounding leaves of two parts that cancel
        (RISING_AND_FALLING, 1e-6, False),
        (RISING_AND_FALLING[1:], 0.0, False),  # too few to tell
        ((0.0,) * 8, 0.0, False),  # a hinge that is satisfied
        ((0.5,) * 8, 0.0, False),  # a limit
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.5), 0.0, False),  # a limit that a schedule moves
    ],
)
def test_a_term_that_rises_and_falls_has_a_gradient(values, norm, trouble):
    """To rounding of the largest of its values."""
    assert trouble is checks.check_flat_term({"term": [(value, norm) for value in values]}).trouble


def noted(terms_of, n_steps=6):
    """The terms that had no gradient in any step, of those that `terms_of(weight, x)` gives and adds up as they are."""
    weight, slopes = torch.ones(3, requires_grad=True), Slopes()
    for step in range(n_steps):
        terms = terms_of(weight, torch.randn(3, generator=torch.Generator().manual_seed(step)))
        slopes.note(sum(terms.values()), terms)
    return slopes.flat


def test_what_cancels_and_what_is_rounded_is_flat():
    """Beside a term that has a gradient."""
    flat = noted(
        lambda w, x: {
            "slope": (w * x).square().sum(),
            "ratio": ((w * x - w * x).exp() * x).mean(),
            "rounded": ((w * 0.9).round() * x).mean(),
        }
    )
    assert {"ratio", "rounded"} == set(flat)
    assert checks.check_flat_term(flat).trouble


def test_a_small_weight_is_no_lack_of_a_gradient():
    """Terms are judged without the number that they are multiplied by, and not while it is 0."""
    steps = iter(range(6))
    flat = noted(lambda w, x: {"slope": (w * x).square().sum(), "small": 1e-9 * (w * x).sum()})
    assert not checks.check_flat_term(flat).trouble
    flat = noted(lambda w, x: {"slope": (w * x).sum(), "limit": (next(steps) % 3) * (w.sum() - 9).clamp(2, 8)})
    assert [2.0] * 4 == [value for value, _ in flat["limit"]]


def test_what_is_no_part_of_the_loss_is_for_a_log():
    """It may have no gradient."""
    weight, slopes = torch.ones(3, requires_grad=True), Slopes()
    for step in range(6):
        loss = (weight * step).sum()
        slopes.note(loss, {"loss": loss, "rounded": (weight.round() * (step % 2)).sum(), "number": 0.3, "leaf": weight})
    assert {} == slopes.flat
