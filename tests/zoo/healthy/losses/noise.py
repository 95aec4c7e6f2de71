"""Diffusion whose targets are made of the noise in its inputs, in a way that a correlation does not show."""

from __future__ import annotations

from zoo.healthy.register import healthy
from zoo.pairs_results import denoiser


@healthy
def velocity_that_is_uncorrelated_with_the_noisy_points():
    return denoiser(lambda clean, noise, kept: kept.sqrt() * noise - (1 - kept).sqrt() * clean)


@healthy
def score_which_is_the_noise_with_a_minus():
    return denoiser(lambda clean, noise, kept: -noise)
