"""What a Kullback-Leibler divergence is given, read from the graph of the loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_normalized_outputs

LOGITS = torch.nn.Linear(4, 3)(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
TARGETS = torch.softmax(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), dim=1)
PROBABILITIES = LOGITS.softmax(1)


@pytest.mark.parametrize("reduction", ["batchmean", "sum"])
@pytest.mark.parametrize("log_target", [False, True])
def test_probabilities_are_no_logarithms(reduction, log_target):
    """Probabilities are named, also as one term of several; log-probabilities pass, however they were made."""

    def divergence(given):
        wanted = TARGETS.log() if log_target else TARGETS
        return functional.kl_div(given, wanted, reduction=reduction, log_target=log_target)

    finding = check_normalized_outputs(0.5 * LOGITS.square().mean() + 0.5 * divergence(PROBABILITIES))
    assert (True, "Softmax before kl_div") == (finding.trouble, finding.relation.rpartition(": ")[2])
    for fit in (LOGITS.log_softmax(1), PROBABILITIES.log(), (PROBABILITIES + 1e-8).log()):
        assert not check_normalized_outputs(divergence(fit)).trouble


@pytest.mark.parametrize(
    "loss",
    [
        (TARGETS - PROBABILITIES).square().mean(),
        (TARGETS * (TARGETS - PROBABILITIES)).square().mean(),
        1 - (TARGETS * PROBABILITIES).sum(1).mean(),
        (1 - TARGETS * PROBABILITIES).mean(),
        -(TARGETS * LOGITS.log_softmax(1)).sum(1).mean(),
        -(PROBABILITIES * PROBABILITIES.log()).sum(1).mean(),
        -(TARGETS * LOGITS).mean(),
        functional.poisson_nll_loss(LOGITS, TARGETS),
    ],
    ids=["brier", "weighted", "overlap", "shares", "cross-entropy", "entropy", "critic", "counts"],
)
def test_losses_that_look_alike_pass(loss):
    """Squares, overlaps, entropies and critics are no divergences."""
    assert not check_normalized_outputs(loss).trouble


@pytest.mark.parametrize("full", [False, True])
def test_logarithms_of_rates_may_be_negative(full):
    """Rates and what is above 0 are named; raw outputs, logarithms, and rates that are said to be some pass."""
    for wrong in (LOGITS.exp(), functional.softplus(LOGITS), LOGITS.relu()):
        assert check_normalized_outputs(functional.poisson_nll_loss(wrong, TARGETS, full=full)).trouble
        assert not check_normalized_outputs(functional.poisson_nll_loss(wrong, TARGETS, log_input=False)).trouble
    for fit in (LOGITS, (LOGITS.exp() + 1e-8).log(), -functional.softplus(LOGITS)):
        assert not check_normalized_outputs(functional.poisson_nll_loss(fit, TARGETS, full=full)).trouble
