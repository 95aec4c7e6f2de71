"""What a training step does to a batch of EEG: it moves, scales and damages windows, then mixes them in pairs (mixup).

Which windows are augmented is drawn anew in every step; with which weight they are mixed is drawn here for all steps of
a run at once, because the inverse of the Beta distribution is not there on a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.training import draws as keyed
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

# the record names these augmentations and gives their probabilities, but not how far they go: these are the project's
MAX_SHIFT = 5  # samples
MAX_SCALING = 0.1
CUTOUT = 0.1  # of the window's length
N_PROBES = 16  # rows of a batch that the contract is checked on
_BELOW_1 = 1 - 2.0**-24  # the largest float32 below 1


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
    """Draw which windows (B,) something is done to, a share p of them."""
    return draws.uniform(f"{site} applied", len(x)) < p


def mixing_weights(settings: EegSettings, seed: int) -> Tensor:
    """Draw the weight that a mixed window keeps of itself, Beta(alpha, alpha), 1 for one that is not mixed.

    Shape (S, M, 1), or (S, M, B) where every window of a batch has its own, for S steps and M members of an ensemble.
    Every step draws, mixed or not, so that variants share one stream and compare in pairs.
    """
    from scipy import special

    per_batch = 1 if settings.mixup_of == "batches" else min(settings.batch, settings.n_train)
    steps, shape = torch.arange(settings.steps), (settings.members, per_batch)
    mixed = keyed.uniform(keyed.key(seed, steps, "mixup applied"), shape) < settings.mixup_fraction
    quantiles = keyed.uniform(keyed.key(seed, steps, "mixup weight"), shape)
    alpha = settings.mixup_alpha
    weights = torch.from_numpy(special.betaincinv(alpha, alpha, quantiles.cpu().numpy())).to(quantiles.device)
    # small alphas draw weights that round to 1, and then nobody could tell whether a batch was mixed
    return torch.where(mixed, weights.clamp_max(_BELOW_1), 1.0)


def share_mixed(settings: EegSettings) -> float:
    """Return the share of batches of probes in which mixup shows: where a window was not mixed with itself."""
    if settings.mixup_of == "batches":
        return settings.mixup_fraction
    return 1 - (1 - settings.mixup_fraction * (1 - 1 / N_PROBES)) ** N_PROBES


def mix_batch(x: Tensor, y: Tensor, weight: Tensor, draws: Draws, settings: EegSettings) -> tuple[Tensor, Tensor]:
    """Return windows (B, ...) and response times (B,), mixed in pairs by the weights (1,) or (B,) of the step."""
    index = draws.permutation("mixup index", len(x))
    mixed_x, mixed_y = mixup(x, y, weight, index)
    return mixed_x, mixed_y if settings.mix_targets else y


def mixup(x: Tensor, y: Tensor, weight: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight * row + (1 - weight) * row[index] of x (B, ...) and y (B,) (Zhang et al., "mixup", ICLR 2018)."""
    weights_x = weight.to(x.dtype)[(..., *(None,) * (x.dim() - 1))]
    return torch.lerp(x[index], x, weights_x), torch.lerp(y[index], y, weight.to(y.dtype))
