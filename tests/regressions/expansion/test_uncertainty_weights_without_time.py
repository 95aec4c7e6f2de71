"""Uncertainty weights "could not compensate": at their rate they had no time to, and were on the way when it ended."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.full import DOCUMENTED, FULL
from goldmark.cases.expansion.terms import TERMS, log_sigma_at_start, total_loss, weighted
from goldmark.checks import check_dominated_gradient, check_weights_without_time

LOSSES = {term: DOCUMENTED["weak_clipped"][f"loss_{term}"] for term in TERMS}  # of the record, at epoch 100
SHARE = 0.4  # of one term out of four, at most


def journey(variant, epochs=100):
    """Find out whether the weights of a variant at its documented size get to where the record's losses hold them."""
    settings = FULL.settings_of(variant)
    start = dict(zip(TERMS, log_sigma_at_start(settings.sigma_start).tolist(), strict=True))
    rate = CASE.learning_rate(settings, "log_sigma")
    return check_weights_without_time(LOSSES, start, rate, settings.steps * epochs // 100)


def countdown_of_what_counts(variant):
    """Find out whether the countdown has most of the weighted loss after the variant's steps, its losses held."""
    settings = FULL.settings_of(variant)
    model = SimpleNamespace(log_sigma=nn.Parameter(log_sigma_at_start(settings.sigma_start)))
    optimizer = torch.optim.AdamW([model.log_sigma], lr=CASE.learning_rate(settings, "log_sigma"))
    losses = {term: torch.tensor(loss) for term, loss in LOSSES.items()}
    for _ in range(settings.steps):
        optimizer.zero_grad()
        total_loss(model, losses, settings).backward()
        optimizer.step()
    counting = {term: float(loss.detach()) for term, loss in weighted(model, losses, settings).items()}
    return check_dominated_gradient(counting, "countdown", SHARE)


@pytest.mark.parametrize("variant", ["equilibrium_sigma", "fast_sigma"])
def test_weights_that_have_time_balance_the_terms(variant):
    """The right forms: weights that start where they settle, and weights at ten times the rate of the trunk."""
    finding = journey(variant)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"
    share = countdown_of_what_counts(variant)
    assert not share.trouble, f"the uncertainty weights have no time to settle: {dict(share.numbers)}"
    assert pytest.approx(0.25, abs=0.02) == share.numbers["share"]  # all alike, but for the last steps of AdamW


def test_weights_of_the_record_have_no_time():
    """The broken form: at 0.001 a step they end before they arrive, and the countdown still has most of the loss."""
    assert journey("clipped_countdown").trouble
    assert countdown_of_what_counts("clipped_countdown").trouble


def test_twice_as_many_epochs_are_not_enough():
    """The control: the pointers' weight would need four times the record's budget."""
    assert journey("clipped_countdown", epochs=200).trouble
    assert journey("clipped_countdown", epochs=400).trouble
    assert not journey("clipped_countdown", epochs=500).trouble
