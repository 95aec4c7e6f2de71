"""Weights of examples that meet a mean over all of them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_weights_after_mean

N = 8
OUTPUT = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
LABELS, WEIGHTS = torch.arange(N) % 3, torch.arange(1.0, N + 1)
EACH = functional.cross_entropy(OUTPUT, LABELS, reduction="none")

LATE = {
    "a loss that is averaged": lambda: (WEIGHTS * functional.cross_entropy(OUTPUT, LABELS)).mean(),
    "a sum by lengths": lambda: (EACH.sum() / WEIGHTS).mean(),
    "a mean of log-probabilities": lambda: -(OUTPUT.log_softmax(1)[:, 0].mean() * WEIGHTS).sum(),
    "a mean that is scaled": lambda: (0.5 * EACH.mean() * WEIGHTS[:, None]).sum(),
    "errors": lambda: (WEIGHTS[:, None] * functional.mse_loss(OUTPUT, torch.zeros(N, 3))).sum(),
}
RIGHT = {
    "each": lambda: (WEIGHTS * EACH).mean(),
    "one weight for all": lambda: (torch.full((N,), 2.0) * EACH.mean()).mean(),
    "weights of another number of things": lambda: (WEIGHTS[:5] * EACH.mean()).sum(),
    "a number that stands alone": lambda: (WEIGHTS * OUTPUT[0, 0]).sum() + EACH.mean(),
    "a parameter": lambda: (WEIGHTS * torch.ones((), requires_grad=True)).sum(),
    "weights of few terms": lambda: (torch.tensor([1.0, 2.0]) * EACH[:2].mean()).sum(),
    "features": lambda: (OUTPUT * torch.tensor([1.0, 2.0, 3.0])).mean(),
}


@pytest.mark.parametrize("loss_of", LATE.values(), ids=LATE)
def test_weights_that_come_too_late_are_trouble(loss_of):
    """Each then counts for all examples."""
    finding = check_weights_after_mean(loss_of())
    assert finding.trouble
    assert N == finding.numbers["examples"]


@pytest.mark.parametrize("loss_of", RIGHT.values(), ids=RIGHT)
def test_weights_that_count_pass(loss_of):
    """As do those that are no weights of examples."""
    assert not check_weights_after_mean(loss_of()).trouble
