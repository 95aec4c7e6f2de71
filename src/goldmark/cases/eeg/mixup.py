"""Mixup: training windows and their response times, averaged in pairs (Zhang et al., "mixup", ICLR 2018).

The weights of all steps are drawn before training, because the inverse of the Beta distribution is not there on a GPU;
the partners are drawn in each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.training import draws as keyed
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

N_PROBES = 16  # rows of a batch that the contract is checked on
_BELOW_1 = 1 - 2.0**-24  # the largest float32 below 1


def mixing_weights(settings: EegSettings, seed: int) -> Tensor:
    """Return the weights that windows keep of themselves: Beta(alpha, alpha), and 1 for one that is not mixed.

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
    """Return weight * row + (1 - weight) * row[index] of x (B, ...) and y (B,): equation 1 of the paper."""
    weights_x = weight.to(x.dtype)[(..., *(None,) * (x.dim() - 1))]
    return torch.lerp(x[index], x, weights_x), torch.lerp(y[index], y, weight.to(y.dtype))
