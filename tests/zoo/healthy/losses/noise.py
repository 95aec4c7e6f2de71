"""Diffusion whose targets are made of the noise in its inputs, in a way that a correlation does not show."""

from __future__ import annotations

import torch
from zoo.healthy.register import healthy
from zoo.loops import batched, mlp, regressor
from zoo.pairs_results import denoiser


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
