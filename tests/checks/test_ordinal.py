"""Losses of grades in an order, and what they want of each output."""

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_merged_grades

K = 4
STEPS = torch.arange(K)
OUTPUT = torch.randn(12, K, generator=torch.Generator().manual_seed(0))


def crossed(output, levels):
    """The binary cross-entropy of outputs and levels."""
    return functional.binary_cross_entropy_with_logits(output, levels.float())


def coral(output, levels):
    """The sum of logarithms over steps, as it is written for CORAL (Cao et al. 2020)."""
    logs = functional.logsigmoid(output)
    return -(logs * levels + (logs - output) * (1 - levels.float())).sum(1).mean()


def conditional(output, grades):
    """The loss of CORN (Shi et al. 2021): each step by the grades that reach it."""
    each = functional.binary_cross_entropy_with_logits(output, (grades[:, None] > STEPS).float(), reduction="none")
    return (each * (grades[:, None] >= STEPS)).sum(1).mean()


def quantiles(output, grades):
    """Pinball losses of K quantiles of a count."""
    shares, off = (STEPS + 0.5) / K, grades[:, None] - output
    return torch.maximum(shares * off, (shares - 1) * off).mean()


@pytest.mark.parametrize("loss_of", [crossed, coral, lambda o, levels: (o.sigmoid() - levels.int()).square().mean()])
def test_the_wrong_comparison_is_named(loss_of):
    """By whatever loss levels are told, the last two grades are one."""
    finding = check_merged_grades(lambda output, grades: loss_of(output, grades[:, None] >= STEPS), OUTPUT)
    assert finding.trouble
    assert finding.numbers == {"grades": 5.0, "grades_told_apart": 4.0}
    for right in (lambda grades: grades > STEPS, lambda grades: grades >= STEPS + 1):
        healthy = check_merged_grades(lambda output, grades: loss_of(output, right(grades[:, None])), OUTPUT)  # noqa: B023
        assert not healthy.trouble


@pytest.mark.parametrize("loss_fn", [conditional, quantiles])
def test_other_losses_of_grades_pass(loss_fn):
    """Steps that only some grades reach, and quantiles, wherever they lie."""
    between = torch.arange(K).expand(12, K) - 0.5
    assert not check_merged_grades(loss_fn, OUTPUT).trouble
    assert not check_merged_grades(loss_fn, between).trouble


def test_classes_with_one_that_does_not_count_pass():
    """The last label may be void."""
    assert not check_merged_grades(
        lambda o, grades: functional.cross_entropy(o, grades, ignore_index=K), OUTPUT
    ).trouble
