"""Layout of images: whether channels are moved, or the same numbers are read in another shape."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding

_MOST_CHANNELS = 4
_ALIKE = 0.8  # of the difference of neighbours: right images of photographs lie above 1, whatever the distance


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


def check_interleaved_channels(images: Tensor) -> Finding:
    """Find out whether images (N, C, H, W) are images (N, H, W, C), read in another shape before they came here.

    Neighbours in an image are more alike than what lies further apart; there each C-th number of a row is of the same
    channel, and more alike than its neighbours. Images whose channels are equal cannot be told.
    """
    n_channels = images.shape[1] if images.dim() == 4 else 0
    fits = 1 < n_channels <= _MOST_CHANNELS < min(images.shape[2:]) and images.is_floating_point()
    share = float(_interleaved(images.double()).double().mean()) if fits else 0.0
    return Finding(
        name="interleaved_channels",
        trouble=share > 0.5,
        numbers={"share_of_images": share, "channels": float(n_channels)},
        threshold=0.5,
        relation="neighbours in a row of an image are more alike than numbers that lie as far apart as it has channels",
        advice="move channels by permute(0, 3, 1, 2): view and reshape of images (N, H, W, C) mix them with columns",
    )


def _interleaved(images: Tensor) -> Tensor:
    """Return for which images (N, C, H, W) numbers C apart in a row are closer than neighbours in rows and columns."""
    n = images.shape[1]
    apart, beside, below = (
        (one - other).abs().flatten(1).mean(dim=1)
        for one, other in (
            (images[..., n:], images[..., :-n]),
            (images[..., 1:], images[..., :-1]),
            (images[..., 1:, :], images[..., :-1, :]),
        )
    )
    return apart < _ALIKE * torch.minimum(beside, below)


def _furthest(images: Tensor, given: Tensor) -> float:
    """Return the largest difference of two sets of numbers, one by one, in standard deviations."""
    one, other = ((x - x.mean()) / (x.std() + 1e-12) for x in (images.double().flatten(), given.double().flatten()))
    return float(torch.minimum((one - other).abs(), (one + other).abs()).max())
