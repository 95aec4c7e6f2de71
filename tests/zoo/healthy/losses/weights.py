"""Losses with parameters of their own, in which they have a lower bound, or which are no part of what goes down."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, look, mlp
from zoo.pairs_numbers import Cosines, of_cosines
from zoo.pairs_terms import TwoErrors, of_two_errors


@healthy
def weights_of_terms_that_sum_up_to_1():
    return of_two_errors(TwoErrors(lambda weights, errors: weights.softmax(0) * errors))


@healthy
def weights_of_terms_that_have_a_floor():
    return of_two_errors(TwoErrors(lambda weights, errors: weights.clamp(min=0.1) * errors))


@healthy
def weights_of_terms_that_climb():
    def optimizers_of(model, loss_fn):
        groups = [{"params": model.parameters()}, {"params": loss_fn.parameters(), "maximize": True, "lr": 1e-3}]
        return torch.optim.Adam(groups, lr=1e-2)

    return of_two_errors(TwoErrors(lambda weights, errors: weights * errors), optimizers_of)


@healthy
def multipliers_of_what_should_stay_below_a_bound():
    def weigh(multipliers, errors):
        bounded = multipliers.clamp(min=0).detach() * errors - multipliers * (errors.detach() - 0.5)
        return errors.flip(0) + 0.1 * bounded

    return of_two_errors(TwoErrors(weigh))


class Proxies(nn.Module):
    """A cross-entropy of cosines with a vector for each class, less a margin, times a scale: all three are learnt."""

    def __init__(self):
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(3, 16))
        self.scale, self.margin = nn.Parameter(torch.tensor(4.0)), nn.Parameter(torch.tensor(0.1))

    def forward(self, output, labels):
        """The mean over embeddings (B, 16)."""
        cosines = functional.normalize(output) @ functional.normalize(self.proxies).T
        wanted = functional.one_hot(labels, 3)
        return functional.cross_entropy(self.scale * (cosines - self.margin * wanted), labels)


@healthy
def vectors_of_classes_a_scale_and_a_margin():
    model, loss_fn = mlp(8, 32, 16), Proxies()
    optimizer = torch.optim.Adam([*model.parameters(), *loss_fn.parameters()], lr=1e-3)
    return look(model, optimizer, batched(*classes()), batched(*classes(64, seed=1)), loss_fn)


@healthy
def cosines_of_three_classes_as_they_are():
    return of_cosines(Cosines(3, 1), 3)


@healthy
def cosines_with_directions_that_nothing_trains():
    model = Cosines(6, 1)
    model.vectors.requires_grad_(False)
    return of_cosines(model, 6)


@healthy
def features_of_one_length_that_is_learnt():
    class Scaled(Cosines):
        """Features of one length, and vectors of length 1."""

        def __init__(self):
            super().__init__(6, 1)
            self.length = nn.Parameter(torch.tensor(8.0))

        def forward(self, x):
            """Logits in [-length, length]."""
            features = self.length * functional.normalize(self.body(x))
            return functional.linear(features, functional.normalize(self.vectors))

    return of_cosines(Scaled(), 6)
