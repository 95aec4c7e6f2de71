"""Softmaxes that are summed over their own dimension, and sums of softmaxes that mean something."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional

from goldmark.checks import check_summed_softmax

B, T, S = 3, 5, 4


def scores():
    """Scores (B, T, S) that a layer has given."""
    return nn.Linear(6, S)(torch.randn(B, T, 6))


LOST = {
    "last": lambda x: x.softmax(-1).sum(-1),
    "kept": lambda x: x.softmax(1).sum(-2, keepdim=True),
    "mean": lambda x: x.softmax(2).mean((0, 2)),
    "all": lambda x: x.softmax(0).sum(),
    "mean_of_all": lambda x: x.softmax(0).mean(),
    "permuted": lambda x: x.softmax(1).permute(-2, 2, 0).sum(0),
    "transposed": lambda x: x.softmax(-1).mT.sum(-2),
    "viewed": lambda x: x.softmax(-1).reshape(B * T, S).unsqueeze(0).sum(2),
    "matrix": lambda x: x.flatten(0, 1).softmax(1).t().sum(0),
    "einsum": lambda x: torch.einsum("bts->bt", x.softmax(-1)),
    "twice": lambda x: x.softmax(1).sum(1).sum() + x.softmax(2).sum(2).sum(),
}
READ = {
    "other": lambda x: x.softmax(-1).sum(-2),
    "weighed": lambda x: (x.softmax(-1) * torch.arange(S)).sum(-1),
    "part": lambda x: x.softmax(-1)[..., 1:].sum(-1),
    "divided": lambda x: x.softmax(-1).unflatten(2, (2, 2)).sum(3),
    "normalised": lambda x: (x.softmax(-1) / x.softmax(-1).sum(-1, keepdim=True)).square(),
    "distribution": lambda x: Categorical(probs=x.softmax(-1)).log_prob(torch.zeros(B, T)),
    "squares": lambda x: x.softmax(-1).square().sum(-1),
    "logarithms": lambda x: x.log_softmax(-1).sum(-1),
    "of_one": lambda x: x[..., :1].softmax(-1).sum(-1) + x.sum(-1),
    "attention": lambda x: (x.softmax(-1) @ torch.randn(S, 2)).sum(-1),
    "cross_entropy": lambda x: functional.cross_entropy(x.flatten(0, 1), torch.zeros(B * T).long()),
}


@pytest.mark.parametrize("made", LOST.values(), ids=LOST)
def test_sums_that_are_one_whatever_the_scores(made):
    """Over one dimension or several, past views, before and after a backward pass."""
    loss = made(scores()).sum()
    before = check_summed_softmax(loss)
    loss.backward()
    assert before.trouble
    assert before == check_summed_softmax(loss)


@pytest.mark.parametrize("made", READ.values(), ids=READ)
def test_sums_that_mean_something(made):
    """Over another dimension, of a part, with weights; and beside what else is made of the softmax."""
    assert not check_summed_softmax(made(scores()).sum()).trouble


def test_all_softmaxes_are_counted():
    """Each of two that are lost, beside one that is read."""
    x, y = scores(), scores()
    loss = (x.softmax(-1).sum(-1) + y.softmax(1).sum(1)[:, :1]).sum() + scores().softmax(-1).square().sum()
    assert {"softmaxes": 2.0} == check_summed_softmax(loss).numbers
