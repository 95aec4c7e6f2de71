"""Augmentation: windows that are rolled, scaled and damaged, drawn anew in every training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

# the record names these augmentations and gives their probabilities, but not how far they go: these are the project's
MAX_SHIFT = 5  # samples
MAX_SCALING = 0.1
CUTOUT = 0.1  # of the window's length


def augmented(x: Tensor, noise_sd: Tensor, draws: Draws, settings: EegSettings) -> Tensor:
    """Return windows (B, C, T) with the augmentations that the settings name, in the record's order."""
    if settings.roll_p:
        x = rolled(x, draws, settings.roll_p)
    if settings.scale_p:
        x = scaled(x, draws, settings.scale_p)
    if settings.noise_sd:
        x = noisy(x, draws, noise_sd, settings.noise_p)
    if settings.channel_drop_p:
        x = x * (draws.uniform("channel dropout", *x.shape[:2], 1) >= settings.channel_drop_p)
    if settings.cutout_p:
        x = cut_out(x, draws, settings.cutout_p)
    return x


def rolled(x: Tensor, draws: Draws, p: float) -> Tensor:
    """Return windows of which a share p is rolled in time, by up to MAX_SHIFT samples either way."""
    shift = (draws.uniform("roll shift", len(x)) * (2 * MAX_SHIFT + 1)).long() - MAX_SHIFT
    shift = shift * (draws.uniform("roll applied", len(x)) < p)
    at = (torch.arange(x.shape[-1], device=x.device) - shift[:, None]) % x.shape[-1]
    return x.gather(-1, at[:, None].expand(x.shape))


def scaled(x: Tensor, draws: Draws, p: float) -> Tensor:
    """Return windows of which a share p is multiplied by a factor of up to MAX_SCALING from 1."""
    change = MAX_SCALING * (2 * draws.uniform("scaling", len(x)) - 1) * _applied("scaling", x, draws, p)
    return x * (1 + change)[:, None, None].to(x.dtype)


def noisy(x: Tensor, draws: Draws, sd: Tensor, p: float) -> Tensor:
    """Return windows of which a share p has white noise, of an sd in the windows' own unit: 0.01 is 10 mV, too."""
    sds = sd * _applied("noise", x, draws, p)
    return x + sds[:, None, None].to(x.dtype) * draws.normal("noise", *x.shape).to(x.dtype)


def cut_out(x: Tensor, draws: Draws, p: float) -> Tensor:
    """Return windows of which a share p is 0 for a tenth of its time, in all channels; the end goes on at the start."""
    length = x.shape[-1]
    start = (draws.uniform("cutout start", len(x)) * length).long()
    since = (torch.arange(length, device=x.device) - start[:, None]) % length
    cut = (since < round(CUTOUT * length)) & _applied("cutout", x, draws, p)[:, None]
    return x * ~cut[:, None]


def _applied(site: str, x: Tensor, draws: Draws, p: float) -> Tensor:
    """Return which windows (B,) are augmented at a site: each with probability p."""
    return draws.uniform(f"{site} applied", len(x)) < p
