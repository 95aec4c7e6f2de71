"""Pairs of flows, which map data to noise, or noise to data, and tell by how much they stretch them."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import Normal
from zoo.loops import batched, look, mlp, numbers, pair


class Coupling(nn.Module):
    """An affine coupling: half of the columns scale and shift the others."""

    def __init__(self, n_columns, flipped):
        super().__init__()
        self.flipped = flipped
        self.net = mlp(n_columns // 2, 16, n_columns, activation=nn.Tanh)

    def forward(self, x):
        """Outputs like x (B, D), and the log-determinants (B,)."""
        kept, moved = (x.flip(1) if self.flipped else x).chunk(2, dim=1)
        scale, shift = self.net(kept).chunk(2, dim=1)
        made = torch.cat([kept, moved * scale.tanh().exp() + shift], dim=1)
        return (made.flip(1) if self.flipped else made), scale.tanh().sum(1)


class Flow(nn.Module):
    """Couplings by turns; `sign` -1 tells the log-determinants of the inverse map."""

    def __init__(self, n_columns=8, n_layers=2, sign=1.0):
        super().__init__()
        self.sign = sign
        self.layers = nn.ModuleList(Coupling(n_columns, bool(k % 2)) for k in range(n_layers))

    def forward(self, x):
        """Outputs like x (B, D), and the log-determinants (B,)."""
        total = 0
        for layer in self.layers:
            x, told = layer(x)
            total = total + told
        return x, self.sign * total


def flowing(model, loss_fn, *, lr=1e-3, columns=8):
    """Look at a flow that is fitted to the inputs of a regression, which are their own targets."""
    halves = [batched(x[:, :columns], x[:, :columns]) for x in (numbers()[0], numbers(64, seed=1)[0])]
    return look(model, torch.optim.Adam(model.parameters(), lr=lr), *halves, loss_fn, epochs=1)


def likelihood(sign):
    """The negative logarithm of the density, or of another thing where `sign` is -1."""

    def loss_fn(output, _):
        z, told = output
        return -(Normal(0.0, 1.0).log_prob(z).sum(1) + sign * told).mean()

    return loss_fn


@pair("log_determinant_sign")
def a_log_determinant_that_is_taken_away(bug):
    return flowing(Flow(), likelihood(-1 if bug else 1))


@pair("log_determinant_sign")
def a_log_determinant_of_the_inverse(bug):
    """The loss takes what it is given for that of the way from data to noise, or for that of the way back."""
    return flowing(Flow(sign=-1.0), likelihood(1 if bug else -1))


@pair("log_determinant_sign")
def couplings_that_start_as_the_identity(bug):
    model = Flow()
    for layer in model.layers:
        nn.init.zeros_(layer.net[-1].weight)
        nn.init.zeros_(layer.net[-1].bias)
    return flowing(model, likelihood(-1 if bug else 1), lr=1e-2)
