"""Contrasts of examples with each other: masks, targets and products that keep an example with itself, or do not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import check_self_among_negatives

N = 24
PAIRS, ITSELF = torch.arange(N).roll(N // 2), torch.eye(N, dtype=torch.bool)


def codes(*, long=False):
    """Codes (N, 6) with a gradient, of length 1 or of any."""
    z = torch.randn(N, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return z * torch.linspace(0.5, 2, N)[:, None] if long else functional.normalize(z, dim=1)


def likeness(z):
    """Similarities (N, N)."""
    return z @ z.T / 0.2


KEPT = {
    "cross_entropy": lambda z: functional.cross_entropy(likeness(z), PAIRS),
    "module": lambda z: nn.CrossEntropyLoss(label_smoothing=0.1)(likeness(z), PAIRS),
    "log_softmax": lambda z: 0.3 * functional.nll_loss(likeness(z).log_softmax(1), PAIRS) + z.square().mean(),
    "neighbours": lambda z: functional.cross_entropy(likeness(z), torch.arange(N) ^ 1),
    "distances": lambda z: functional.cross_entropy(-torch.cdist(z, z).square(), PAIRS),
    "cosines": lambda z: functional.cross_entropy(functional.cosine_similarity(z[:, None], z, dim=2) / 0.1, PAIRS),
    "bfloat16": lambda z: functional.cross_entropy(likeness(z.bfloat16()).float(), PAIRS),
}
HEALTHY = {
    "infinite": lambda z: functional.cross_entropy(likeness(z).masked_fill(ITSELF, -math.inf), PAIRS),
    "large": lambda z: functional.cross_entropy(likeness(z) - 1e9 * ITSELF, PAIRS),
    "made_0": lambda z: functional.cross_entropy(likeness(z).masked_fill(ITSELF, 0.0), PAIRS),
    "removed": lambda z: functional.cross_entropy(
        likeness(z)[~ITSELF].view(N, N - 1), PAIRS - (PAIRS > PAIRS.roll(N // 2)).long()
    ),
    "own_place": lambda z: functional.cross_entropy(likeness(z), torch.arange(N)),
    "two_sides": lambda z: functional.cross_entropy(z @ z.detach().flip(0).T, PAIRS),
    "classes": lambda z: functional.cross_entropy(z @ torch.randn(6, N), PAIRS),
    "a_class": lambda z: functional.cross_entropy(likeness(z), torch.zeros(N, dtype=torch.long)),
    "few": lambda z: functional.cross_entropy(likeness(z[:4]), torch.arange(4) ^ 1),
    "alike": lambda z: functional.cross_entropy(0 * likeness(z), PAIRS),
    "numbers": lambda z: functional.mse_loss(likeness(z), torch.zeros(N, N)),
}


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("loss_of", KEPT.values(), ids=KEPT)
def test_examples_among_their_own_negatives_are_named(loss_of, long):
    """By whatever function the softmax is taken, of codes of any length: and the loss is above log 2."""
    loss = loss_of(codes(long=long))
    finding = check_self_among_negatives(loss)
    assert finding.trouble
    assert 0 < finding.numbers["probability_of_itself"] < 1


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("loss_of", HEALTHY.values(), ids=HEALTHY)
def test_contrasts_without_oneself_pass(loss_of, long):
    """Masked, removed, of two sides; and what is no contrast of pairs."""
    assert not check_self_among_negatives(loss_of(codes(long=long))).trouble


def test_a_graph_that_is_gone_does_not_end_a_watch():
    """A second backward pass raises what torch raises, and nothing else."""
    model = nn.Linear(6, 6)
    with goldmark.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)):
        loss = functional.cross_entropy(likeness(model(codes().detach())), PAIRS)
        loss.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            loss.backward()
