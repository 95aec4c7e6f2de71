"""Flows, and models whose outputs look like theirs."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import Normal
from zoo.healthy.register import healthy
from zoo.loops import mlp
from zoo.pairs_flows import Flow, flowing, likelihood


class Normalised(nn.Module):
    """A flow behind a layer that takes its scales from the first batch, as Glow does."""

    def __init__(self, n_columns=8):
        super().__init__()
        self.flow = Flow(n_columns)
        self.scale, self.shift = nn.Parameter(torch.zeros(n_columns)), nn.Parameter(torch.zeros(n_columns))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, x):
        """Outputs like x (B, D), and the log-determinants (B,)."""
        if self.training and not self.ready:
            with torch.no_grad():
                self.shift.copy_(-x.mean(0))
                self.scale.copy_(-x.std(0).log())
                self.ready.fill_(True)
        z, told = self.flow((x + self.shift) * self.scale.exp())
        return z, told + self.scale.sum()


class Scored(nn.Module):
    """A reconstruction of its inputs, and a number for each of them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = mlp(8, 16, 8), mlp(8, 16, 1)

    def forward(self, x):
        """Outputs like x (B, D), and log-variances (B,)."""
        return self.first(x), self.second(x).squeeze(1)


@healthy
def a_flow_that_is_normalised_by_its_first_batch():
    return flowing(Normalised(), likelihood(1))


@healthy
def a_flow_from_noise_to_a_density():
    """Inputs are noise; what counts is the density of outputs, and how far they are stretched."""

    def loss_fn(output, _):
        made, told = output
        return -(Normal(1.0, 0.5).log_prob(made).sum(1) + told).mean()

    return flowing(Flow(), loss_fn)


@healthy
def a_variance_for_each_reconstruction():
    def loss_fn(output, targets):
        made, log_variance = output
        return (((made - targets).square().mean(1) * (-log_variance).exp() + log_variance) / 2).mean()

    return flowing(Scored(), loss_fn)
