"""Diffusion whose targets are made of the noise in its inputs, in a way that a correlation does not show."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, mlp, regressor
from zoo.pairs_results import Denoiser, denoiser, denoiser_of_clean_points, made_noisy


@healthy
def velocity_that_is_uncorrelated_with_the_noisy_points():
    return denoiser(lambda clean, noise, kept: kept.sqrt() * noise - (1 - kept).sqrt() * clean)


@healthy
def score_which_is_the_noise_with_a_minus():
    return denoiser(lambda clean, noise, kept: -noise)


@healthy
def prices_that_nobody_can_foresee():
    """A standardised week, and the next one: there is no noise that was added."""
    weeks = torch.randn(322, 8, generator=torch.Generator().manual_seed(0))
    halves = [batched(weeks[part][:-1], weeks[part][1:]) for part in (slice(0, 257), slice(257, 322))]
    return regressor(mlp(8, 16, 8), train=halves[0], val=halves[1], lr=1e-3, epochs=14)


class DrawsItself(Denoiser):
    """A model that makes its inputs noisy, and gives the noise beside what it tells of it."""

    def forward(self, clean):
        """What it tells, and the noise (B, 2)."""
        noisy, kept, noise = made_noisy(clean)
        return super().forward(noisy, kept), noise


@healthy
def a_model_that_draws_the_noise_itself():
    def loss_of(model, clean):
        output, noise = model(clean)
        return functional.mse_loss(output, noise), output

    return denoiser_of_clean_points(DrawsItself(), loss_of, lr=1e-6)


@healthy
def noise_in_a_model_that_has_learnt_nothing_yet():
    """Its last layer starts at zero and its rate has yet to rise."""

    def loss_of(model, clean):
        noisy, kept, noise = made_noisy(clean)
        output = model(noisy, kept)
        return functional.mse_loss(noise, output), output

    model = Denoiser()
    nn.init.zeros_(model.net[-1].weight)
    nn.init.zeros_(model.net[-1].bias)
    return denoiser_of_clean_points(model, loss_of, lr=1e-6)
