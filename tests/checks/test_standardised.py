"""Batches that have mean 0 and sd 1 by themselves, each of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from goldmark.checks import check_standardised_batches, preflight

ROWS = torch.randn(6, 32, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("correction", [0, 1])
def test_each_batch_by_its_own_statistics(correction):
    """By either kind of spread, with something added to it; not by statistics of all, nor one batch again and again."""
    own = [(batch - batch.mean(0)) / (batch.std(0, correction=correction) + 1e-5) for batch in ROWS]
    assert check_standardised_batches(own).trouble
    assert not check_standardised_batches(list((ROWS - ROWS.mean((0, 1))) / ROWS.std((0, 1)))).trouble
    assert not check_standardised_batches(own[:1] * 6).trouble


def test_signs_and_normalised_rows_are_no_standardised_batches():
    """As many of each sign in a batch have mean 0 and sd 1; so do the numbers of an example, in spectra."""
    signs = [torch.ones(32).index_fill(0, batch[:, 0].argsort()[:16], -1.0) for batch in ROWS]
    assert not check_standardised_batches(signs).trouble
    rows = ROWS.transpose(1, 2)
    assert not check_standardised_batches(list((rows - rows.mean(2, keepdim=True)) / rows.std(2, keepdim=True))).trouble


def standardised(targets):
    """Targets (B, 1) of mean 0 and sd 1."""
    return (targets - targets.mean()) / (targets.std() + 1e-6)


LOSSES = {
    "by their own": (lambda output, targets: 3 * functional.mse_loss(output, standardised(targets)), True),
    "of all": (lambda output, targets: functional.mse_loss(output, (targets - 5) / 2), False),
    "both": (lambda output, targets: functional.mse_loss(standardised(output), standardised(targets)), False),
}


@pytest.mark.parametrize(("loss_fn", "expected"), LOSSES.values(), ids=LOSSES)
def test_targets_may_be_standardised_where_the_loss_is_taken(loss_fn, expected):
    """A squared distance from them tells what they became; outputs that are scaled alike are correlated with them."""
    model, targets = nn.Linear(3, 1), 5 + 2 * ROWS[:, :, :1].flatten(0, 1)
    loader = DataLoader(TensorDataset(ROWS.flatten(0, 1), targets), batch_size=4, shuffle=True)
    found = preflight(model, torch.optim.SGD(model.parameters(), lr=0.01), loader, None, loss_fn)
    assert expected == ("standardised_batches" in found.names)
