"""Layout of images: whether channels are moved, or the same numbers are read in another shape."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding

_MOST_CHANNELS = 4


def check_viewed_channels(images: Tensor, given: Tensor) -> Finding:
    """Find out whether images (N, H, W, C) were viewed as (N, C, H, W): the numbers in one order, in another shape.

    `given` is what the first convolution gets, which may be shifted and scaled.
    """
    fits = images.dim() == given.dim() == 4 and given.shape == (len(images), images.shape[3], *images.shape[1:3])
    small = fits and 1 < images.shape[3] <= _MOST_CHANNELS < min(images.shape[1:3])
    difference = _furthest(images, given) if small else 1.0
    return Finding(
        name="viewed_channels",
        trouble=difference < 1e-4,
        numbers={"furthest": difference},
        threshold=1e-4,
        relation="a channel of an image must stay a channel: a view mixes them with its columns",
        advice="images.permute(0, 3, 1, 2) in place of view or reshape",
    )


def _furthest(images: Tensor, given: Tensor) -> float:
    """Return the largest difference of two sets of numbers, one by one, in standard deviations."""
    one, other = ((x - x.mean()) / (x.std() + 1e-12) for x in (images.double().flatten(), given.double().flatten()))
    return float(torch.minimum((one - other).abs(), (one + other).abs()).max())
