"""Targets that torch broadcasts along the steps of a sequence, with a warning."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_broadcast_steps


@pytest.mark.parametrize(
    ("output", "targets", "steps"),
    [
        ((4, 10), (4, 1), 10),
        ((4, 10, 2), (4, 1, 2), 10),
        ((10, 4, 2), (4, 2), 10),
        ((4, 10), (4, 10), 1),
        ((4,), (1,), 1),
    ],
)
def test_steps_that_have_one_target_are_trouble(output, targets, steps):
    """Batches come first, or steps do; shapes that match are none."""
    finding = check_broadcast_steps(functional.mse_loss, torch.randn(output), torch.randn(targets))
    assert (steps > 1, float(steps)) == (finding.trouble, finding.numbers["steps"])


def test_targets_that_are_meant_for_all_steps_pass():
    """They are expanded, or compared by hand; a target for all examples is another thing."""
    output, targets = torch.randn(4, 10), torch.randn(4, 1)
    assert not check_broadcast_steps(lambda a, b: functional.mse_loss(a, b.expand_as(a)), output, targets).trouble
    assert not check_broadcast_steps(lambda a, b: (a - b).square().mean(), output, targets).trouble
    assert not check_broadcast_steps(functional.mse_loss, output, torch.randn(1, 10)).trouble
