"""Pairs whose bug lies in how embeddings of several views are compared."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import classes, classifier, mlp, pair, watch_steps


def views(n=256, seed=0):
    """Batches of two noisy views of examples ((B, 8), (B, 8)), with their places as ids."""
    x, _ = classes(n, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    first, second = (x + 0.3 * torch.randn(x.shape, generator=generator) for _ in range(2))
    ids = torch.arange(n)
    return [((a, b), i) for a, b, i in zip(*(one.split(32) for one in (first, second, ids)), strict=True)]


def of_views(model, loss_fn, *, lr=1e-3, **how):
    """Look at a model of two views, whose loss ignores the ids of examples."""
    return classifier(model, train=views(), val=views(64, 1), loss_fn=loss_fn, lr=lr, spread=True, **how)


class Codes(nn.Module):
    """Codes (2B, 16) of two views."""

    def __init__(self):
        super().__init__()
        self.code = mlp(8, 32, 16)

    def forward(self, a, b):
        """The first views, then the second ones."""
        return self.code(torch.cat([a, b]))


def itself(n):
    """Which entries of a matrix (N, N) stand for an example and itself."""
    return torch.eye(n, dtype=torch.bool)


@pair("self_among_negatives")
def similarities_of_examples_with_themselves(bug):
    def loss_fn(codes, ids):
        codes = functional.normalize(codes, dim=1)
        likeness = codes @ codes.T / 0.2
        if not bug:
            likeness = likeness.masked_fill(itself(len(codes)), -math.inf)
        return functional.cross_entropy(likeness, torch.arange(len(codes)).roll(len(codes) // 2))

    return of_views(Codes(), loss_fn)


@pair("self_among_negatives")
def products_of_long_codes_with_themselves(bug):
    model, batches = Codes(), views() * 5

    def step_of():
        inputs, ids = batches.pop()
        codes = model(*inputs)
        likeness = codes @ codes.T
        if not bug:
            likeness = likeness - 1e9 * itself(len(codes))
        pairs = torch.arange(len(codes)).roll(len(ids))
        return (inputs, ids), codes, functional.nll_loss(likeness.log_softmax(1), pairs), None

    return watch_steps(model, step_of, lr=1e-3)


class Siamese(nn.Module):
    """Codes (B, 16) of two views, and what is predicted of each for the other."""

    def __init__(self):
        super().__init__()
        self.code = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16))
        self.predict = mlp(16, 8, 16)

    def forward(self, a, b):
        """Predictions, then codes."""
        codes = self.code(a), self.code(b)
        return *map(self.predict, codes), *codes


@pair("collapsing_objective")
def codes_that_follow_their_predictions(bug):
    def loss_fn(output, ids):
        predicted, codes = output[:2], output[2:]
        if not bug:
            codes = [code.detach() for code in codes]
        return -sum(functional.cosine_similarity(p, c).mean() for p, c in zip(predicted, codes[::-1], strict=True)) / 2

    return of_views(Siamese(), loss_fn)


class Bootstrap(nn.Module):
    """What one network predicts of another's codes (B, 16), which follows it or is trained as well."""

    def __init__(self, *, trained):
        super().__init__()
        self.code, self.predict = mlp(8, 32, 16), mlp(16, 8, 16)
        self.target = copy.deepcopy(self.code).requires_grad_(trained)

    def forward(self, a, b):
        """Predictions of the first view, and codes of the second."""
        return {"predicted": self.predict(self.code(a)), "wanted": self.target(b)}


def distance_of_directions(output, ids):
    """The squared distance of predictions and codes of length 1."""
    return functional.mse_loss(*(functional.normalize(one, dim=1) for one in output.values()))


@pair("collapsing_objective")
def a_target_network_that_is_trained(bug):
    return of_views(Bootstrap(trained=bug), distance_of_directions)


@pair("mutual_targets")
def codes_of_two_calls_that_follow_each_other(bug):
    class Predicting(nn.Module):
        """A code (B, 16), and what is predicted of it."""

        def __init__(self):
            super().__init__()
            self.code, self.predict = mlp(8, 32, 16), mlp(16, 8, 16)

        def forward(self, x):
            """Both."""
            code = self.code(x)
            return code, self.predict(code)

    model, batches = Predicting(), views() * 5

    def step_of():
        (a, b), _ = batches.pop()
        (first, of_first), (second, of_second) = model(a), model(b)
        wanted = [code if bug else code.detach() for code in (first, second)]
        likeness = [
            functional.cosine_similarity(*two).mean() for two in zip((of_second, of_first), wanted, strict=True)
        ]
        return ((a, b), None), (of_first, of_second, first, second), 1 - sum(likeness) / 2, None

    return watch_steps(model, step_of, lr=1e-2)
