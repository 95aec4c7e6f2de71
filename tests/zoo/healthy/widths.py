"""Healthy programs with narrow layers: codes, targets of few dimensions, and noise that nothing could explain."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, mlp, regressor


def normal(n, n_features):
    """Standard normal numbers (N, F)."""
    return torch.randn(n, n_features, generator=torch.Generator().manual_seed(n + n_features))


def mixing(n_inputs, n_outputs):
    """A random linear map (I, O) that keeps variances."""
    return torch.randn(n_inputs, n_outputs, generator=torch.Generator().manual_seed(7)) / n_inputs**0.5


def halved(examples):
    """Batches of both halves, of a function from a number of examples to inputs and targets."""
    return {"train": batched(*examples(256)), "val": batched(*examples(64))}


@healthy
def forty_labels_by_four_units():
    def examples(n):
        x = normal(n, 12)
        return x, (x @ mixing(12, 40) > 0.5).float()

    return regressor(mlp(12, 32, 4, 40), loss_fn=functional.binary_cross_entropy_with_logits, **halved(examples))


@healthy
def twenty_numbers_of_two_dimensions():
    def examples(n):
        x = normal(n, 12)
        return x, x[:, :2].tanh() @ mixing(2, 20) + 0.05 * normal(n, 20)

    return regressor(mlp(12, 32, 4, 20), **halved(examples))


@healthy
def twenty_numbers_that_are_mostly_noise():
    def examples(n):
        x = normal(n, 12)
        return x, x[:, :1] @ mixing(1, 20) / 3 + normal(n, 20)

    return regressor(mlp(12, 32, 4, 20), **halved(examples))


@healthy
def noise_removed_by_a_code():
    def examples(n):
        clean = normal(n, 3) @ mixing(3, 24)
        return clean + 0.5 * normal(n, 24), clean

    return regressor(mlp(24, 32, 4, 24), **halved(examples))


@healthy
def a_curve_of_many_coordinates():
    def examples(n):
        place = normal(n, 1).tanh()
        return place, torch.exp(-((place - torch.linspace(-1, 1, 24)) ** 2) * 4) - 0.5

    return regressor(mlp(1, 32, 12, 24), **halved(examples))


@healthy
def convolutions_to_a_code_and_back():
    def examples(n):
        x = (normal(n, 4) @ mixing(4, 64)).reshape(n, 1, 8, 8)
        return x, x

    model = nn.Sequential(nn.Conv2d(1, 4, 4, stride=4), nn.ConvTranspose2d(4, 1, 4, stride=4))
    return regressor(model, **halved(examples))


@healthy
def a_code_before_an_activation():
    class Bent(nn.Module):
        """Numbers (B, 24) of an output that an activation makes of a few units."""

        def __init__(self):
            super().__init__()
            self.code, self.last = mlp(24, 32, 3), nn.Linear(3, 24)

        def forward(self, x):
            """The inputs, again, between -1 and 1."""
            return torch.sin(self.last(self.code(x)))

    def examples(n):
        x = torch.sin(normal(n, 3) @ mixing(3, 24) * 2)
        return x, x

    return regressor(Bent(), **halved(examples))


@healthy
def autoencoder_whose_decoder_is_its_encoder_turned_around():
    class Tied(nn.Module):
        """A code, and the way back by the same matrices."""

        def __init__(self):
            super().__init__()
            self.first, self.code = nn.Linear(24, 8), nn.Linear(8, 3)

        def forward(self, x):
            """The inputs, again."""
            code = self.code(self.first(x).tanh())
            return functional.linear(functional.linear(code, self.code.weight.T), self.first.weight.T)

    def examples(n):
        x = normal(n, 3) @ mixing(3, 24)
        return x, x

    return regressor(Tied(), **halved(examples))
