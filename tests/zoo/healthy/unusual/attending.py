"""Softmaxes over another dimension than attention has, as of slots and capsules, and sums that mean something."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classifier, images, mlp, regressor
from zoo.pairs_layers import Attention, Rows


def of_rows(attention):
    """Look at a classifier of images whose rows attend to each other."""
    return classifier(Rows(attention), train=batched(*images(128)), val=batched(*images(64, seed=1)), lr=3e-3, epochs=2)


@healthy
def queries_that_compete_for_what_they_attend_to():
    def normalized(scores):
        weights = scores.softmax(2) + 1e-8
        return weights / weights.sum(3, keepdim=True)

    return of_rows(Attention(16, normalized))


@healthy
def weights_over_the_heads_that_are_normalized_again():
    def normalized(scores):
        weights = scores.softmax(1)
        return weights / weights.sum(3, keepdim=True)

    return of_rows(Attention(16, normalized))


@healthy
def capsules_that_are_routed_by_agreement():
    class Routed(nn.Module):
        """Eight capsules vote (B, 4, 8, 4) for four, and count where they agree (Sabour et al. 2017)."""

        def __init__(self):
            super().__init__()
            self.votes = nn.Linear(16, 16)

        def forward(self, x):
            """What the rows (B, T, 16) of an image say together."""
            votes = self.votes(x).unflatten(2, (4, 4)).transpose(1, 2)
            scores = torch.zeros(len(x), 4, 1, x.shape[1])
            for _ in range(3):
                routed = scores.softmax(1) @ votes
                routed = routed * routed.norm(dim=3, keepdim=True) / (1 + routed.square().sum(3, keepdim=True))
                scores = scores + routed @ votes.transpose(2, 3)
            return routed.flatten(1)[:, None]

    return of_rows(Routed())


@healthy
def every_edge_is_of_one_of_three_types():
    class Typed(nn.Module):
        """Messages (B, 3, T, 16) along edges whose types are guessed by three bilinear forms (Kipf et al. 2018)."""

        def __init__(self):
            super().__init__()
            self.forms, self.messages = nn.Parameter(torch.randn(3, 16, 16) / 16), nn.Linear(16, 48)

        def forward(self, x):
            """The sum of messages along all edges, each by its type (B, T, 16)."""
            messages = self.messages(x).unflatten(2, (3, 16)).transpose(1, 2)
            types = (x[:, None] @ self.forms @ x[:, None].transpose(2, 3)).softmax(1)
            return functional.relu(types @ messages / x.shape[1]).sum(1)

    return of_rows(Typed())


@healthy
def probabilities_that_a_distribution_divides_by_their_sum():
    def loss_fn(output, targets):
        return -Categorical(probs=output).log_prob(targets).mean()

    return classifier(mlp(8, 16, 3, last=nn.Softmax(dim=1)), loss_fn=loss_fn)


@healthy
def an_overlap_over_the_sum_of_all_probabilities():
    def loss_fn(output, targets):
        shares, wanted = output.softmax(1), functional.one_hot(targets, 3)
        return functional.cross_entropy(output, targets) - 2 * (shares * wanted).sum() / (shares.sum() + wanted.sum())

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@healthy
def the_place_of_a_spot_by_the_sums_of_a_map():
    class Place(nn.Module):
        """The mean place (B, 2) of a map of probabilities, in [-1, 1] (Sun et al. 2018)."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))

        def forward(self, x):
            """Row and column."""
            shares = self.layers(x).flatten(1).softmax(1).view(-1, 8, 8)
            return torch.stack([shares.sum(dim) @ torch.linspace(-1, 1, 8) for dim in (2, 1)], dim=1)

    def spots(n, seed):
        places = torch.randint(0, 8, (n, 2), generator=torch.Generator().manual_seed(seed))
        x = 0.5 * torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        x[torch.arange(n), 0, places[:, 0], places[:, 1]] += 4
        return x, places / 3.5 - 1

    return regressor(Place(), train=batched(*spots(128, 0)), val=batched(*spots(64, 1)), epochs=2)
