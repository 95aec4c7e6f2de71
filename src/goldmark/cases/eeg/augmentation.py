"""What a training step does to a batch of EEG: noise on the windows, then mixup of windows and response times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings


def mixup(x: Tensor, y: Tensor, lam: float, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return lam * row + (1 - lam) * row[index] of x (B, ...) and of y (B, ...) (Zhang et al., "mixup", ICLR 2018)."""
    return mixed_rows(x, lam, index), mixed_rows(y, lam, index)


def mixed_rows(x: Tensor, lam: float, index: Tensor) -> Tensor:
    """Return lam * row + (1 - lam) * row[index] of x (B, ...)."""
    return torch.lerp(x[index], x, lam)


def mixing_weight(probability: float, alpha: float) -> float:
    """Return the value below which Beta(alpha, alpha) lies with a probability in (0, 1): its inverse distribution."""
    if alpha == 1:
        return probability
    from scipy import special

    return float(special.betaincinv(alpha, alpha, probability))


def mix_batch(x: Tensor, y: Tensor, draws: Draws, settings: EegSettings) -> tuple[Tensor, Tensor]:
    """Return windows (B, ...) and response times (B,), mixed in a share `mixup_fraction` of the steps.

    Every step draws all three numbers, used or not, so that variants share one stream and compare in pairs.
    """
    applied = float(draws.uniform("mixup applied", 1)) < settings.mixup_fraction
    lam = mixing_weight(float(draws.uniform("mixup weight", 1)), settings.mixup_alpha)
    index = draws.permutation("mixup index", len(x))
    if not applied:
        return x, y
    return mixup(x, y, lam, index) if settings.mix_targets else (mixed_rows(x, lam, index), y)


def add_noise(x: Tensor, draws: Draws, sd: float) -> Tensor:
    """Return windows with white noise, of an sd in the windows' own unit: 0.01 is little of a z-score and 10 mV."""
    return x + sd * draws.normal("noise", *x.shape).to(x.dtype) if sd else x
