"""Targets that were mixed with those of other examples than their inputs were."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_mixed_targets

N = 16
GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(N, 3, 6, generator=GENERATOR)
TARGETS = functional.one_hot(torch.randint(0, 5, (N,), generator=GENERATOR), 5).float()
ORDER, OTHER = (torch.randperm(N, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
KEPT = torch.linspace(0.55, 0.95, N)


def mixed(rows, order, kept=KEPT):
    """Rows (N, ...), each with a share of another."""
    kept = kept.reshape(-1, *[1] * (rows.dim() - 1))
    return kept * rows + (1 - kept) * rows[order]


def test_targets_of_other_examples_are_trouble():
    """Where they are mixed at all: of inputs that are mixed alone nothing is said."""
    finding = check_mixed_targets(INPUTS, TARGETS, mixed(INPUTS, ORDER), mixed(TARGETS, OTHER))
    assert finding.trouble
    assert finding.numbers["mixed"] >= N / 2
    assert not check_mixed_targets(INPUTS, TARGETS, mixed(INPUTS, ORDER), TARGETS).trouble


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (mixed(INPUTS, ORDER), mixed(TARGETS, ORDER)),
        (mixed(INPUTS, ORDER), 0.9 * mixed(TARGETS, ORDER) + 0.02),
        (INPUTS[OTHER], mixed(TARGETS, ORDER)),
        (INPUTS + 0.1 * torch.randn_like(INPUTS), mixed(TARGETS, ORDER)),
        (mixed(mixed(INPUTS, ORDER), OTHER), mixed(TARGETS, OTHER)),
    ],
    ids=["right", "smoothed", "unmixed inputs", "noise", "of four"],
)
def test_right_mixtures_and_what_is_no_mixture_pass(inputs, targets):
    """Label smoothing lies on a line; inputs must be sums of two."""
    assert not check_mixed_targets(INPUTS, TARGETS, inputs, targets).trouble


def test_examples_that_are_sums_of_each_other_tell_no_weights():
    """Fewer numbers than examples."""
    few = INPUTS.flatten(1)[:, :8]
    assert not check_mixed_targets(few, TARGETS, mixed(few, ORDER), mixed(TARGETS, OTHER)).trouble
