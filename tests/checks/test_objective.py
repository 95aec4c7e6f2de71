"""Objectives: jumps of known functions, and norms that known losses see or do not."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_free_norm, check_jumping_loss


@pytest.mark.parametrize(
    ("loss", "jumps"),
    [
        (lambda x: 3.0 * x + 1, False),
        (lambda x: (x - 1) ** 2, False),
        (lambda x: abs(x - 1), False),
        (lambda x: 7.0, False),
        (math.exp, False),
        (lambda x: 1.0 if x == 1 else math.tanh(x), True),
        (lambda x: x + 0.01 * (x > 1), True),
        (lambda x: x + 0.01 * (x >= 1), True),
        (lambda x: 5.0 if x == 1 else 4.0, True),
        (lambda x: math.nan, True),
    ],
)
def test_jumps_are_told_from_slopes_and_kinks(loss, jumps):
    """At 1: lines, parabolas, kinks and constants are none; a single point, a step on either side and NaN are."""
    assert jumps == check_jumping_loss(loss, 1.0).trouble


def test_a_jump_is_counted_in_ordinary_changes():
    """A jump of 1 on a slope of 1 is 10,000 steps of 1e-4."""
    assert check_jumping_loss(lambda x: x + (x > 1), 1.0).numbers["jump"] == pytest.approx(
        1e4, rel=1e-3
    )  # and one more


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_squared_errors_see_the_norm_and_cosines_do_not(factor):
    """The change of a squared error is that of the formula; a cosine's is rounding."""
    outputs, targets = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    seen = check_free_norm(lambda outputs: (outputs - targets).square().mean(), outputs, factor)
    expected = abs(((factor - 2) ** 2 + (2 * factor) ** 2) / 5 - 1)
    assert (False, pytest.approx(expected)) == (seen.trouble, seen.numbers["change"])
    assert check_free_norm(
        lambda outputs: 1 - torch.cosine_similarity(outputs, targets).mean(), outputs, factor
    ).trouble
    assert check_free_norm(lambda outputs: outputs.sum() * math.nan, outputs, factor).trouble


def test_a_perfect_output_is_judged_by_the_loss_itself():
    """Where the loss is 0, the change is counted as it is."""
    targets = torch.ones(1, 2)
    assert check_free_norm(lambda outputs: (outputs - targets).square().mean(), targets).numbers["change"] == 1.0
