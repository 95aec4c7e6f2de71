"""Losses of signs and of logarithms that are given what looks wrong: ties, examples left out, rates above 1."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import mlp, regressor
from zoo.pairs_numbers import counted, told_apart


@healthy
def pairs_of_which_some_are_left_out():
    def loss_of(output, alike):
        known = torch.arange(len(alike)) % 4 > 0
        return functional.cosine_embedding_loss(*output.unbind(1), (2 * alike - 1) * known, margin=0.2)

    return told_apart(loss_of, model=mlp(8, 16, 4))


@healthy
def ranks_with_ties():
    def loss_fn(output, targets):
        order = targets.round().argsort(descending=True, dim=0).flatten()
        scores, grades = output[order, 0], targets.round()[order, 0]
        first, second = torch.triu_indices(len(order), len(order), offset=1)
        higher = torch.sign(grades[first] - grades[second])
        return functional.margin_ranking_loss(scores[first], scores[second], higher, margin=0.5)

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn)


@healthy
def logarithms_of_rates_of_counts():
    return counted(None, full=True)
