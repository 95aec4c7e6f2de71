"""Weights that add up to 1 over something else than what is summed up: slots, capsules, and types of edges compete."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classifier, images
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
