"""Losses of signs, logarithms and grades that are given what looks wrong: ties, examples left out, rates above 1."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import classifier, mlp, regressor
from zoo.pairs_numbers import counted, told_apart
from zoo.pairs_terms import of_grades


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


@healthy
def steps_between_grades_of_those_that_reach_them():
    def loss_fn(output, grades):
        steps = torch.arange(4)
        each = functional.binary_cross_entropy_with_logits(output, (grades[:, None] > steps).float(), reduction="none")
        return (each * (grades[:, None] >= steps)).sum(1).mean()

    return of_grades(loss_fn)


@healthy
def quantiles_of_grades():
    def loss_fn(output, grades):
        shares, off = torch.tensor([0.1, 0.4, 0.6, 0.9]), grades[:, None] - output
        return torch.maximum(shares * off, (shares - 1) * off).mean()

    return of_grades(loss_fn)


@healthy
def levels_of_which_the_highest_grades_are_one_on_purpose():
    def loss_fn(output, grades):
        levels = grades.clamp(max=3)[:, None] > torch.arange(3)
        return functional.binary_cross_entropy_with_logits(output, levels.float())

    return of_grades(loss_fn, n_outputs=3)


@healthy
def a_likelihood_of_outputs_and_what_normalises_them():
    def loss_fn(output, targets):
        return functional.nll_loss(output, targets) + output.logsumexp(1).mean()

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)
