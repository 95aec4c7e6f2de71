"""Masks that lie elsewhere than what they mark, in the training half alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from goldmark.case import Finding

_MOST, _MOST_READ = 64, 256  # examples that are compared, and whose masks are read
_SIDE = 64  # pixels of a side; of larger images every second, third, ... is looked at
_MOST_CHANNELS, _MOST_MARKS = 3, 3  # of an image, and labels of which each is a mark
_MOST_LABELS = 64  # unlike values of a target that may be a mask
_FEWEST_PIXELS = 16  # of a mark, and beside it: fewer match a brightest pixel anywhere
_PART = 4  # of a side that a mask is moved by, at most: further on, the borders of a turned image look like marks
_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
_IN_PLACE, _ELSEWHERE = 0.8, 0.5  # shares of the best match that a mask reaches where it lies
_NEARLY_ALL = 0.8  # of the validation masks are in place by no chance


def check_masks_elsewhere(
    images: Tensor, masks: Tensor, val_images: Tensor, val_masks: Tensor, threshold: float = 0.5, fewest: int = 16
) -> Finding:
    """Find out whether most training masks match their images better elsewhere, and nearly all of validation are in place.

    Images are (N, C, H, W), masks (N, H, W) or (N, 1, H, W) of few whole numbers. A mask matches by the squares of its
    labels' correlations with the channels, and is moved by up to a quarter of a side, and mirrored. It lies elsewhere
    if it matches there twice as well, and half as well as validation masks do in place: noise that hides what is
    marked passes, as do marks that no brightness tells, which validation masks match nowhere, and fewer pixels than 16.
    """
    val_here, val_best = _matches(val_images, val_masks)
    placed = _share(val_here >= _IN_PLACE * val_best) if 2 * len(val_here) >= fewest else 0.0
    apart, n = 0.0, 0
    if placed >= _NEARLY_ALL:
        here, best = _matches(images, masks)
        apart, n = _share((here < _ELSEWHERE * best) & (best > 0.5 * val_here.median())), len(here)
    return Finding(
        name="masks_elsewhere",
        trouble=n >= fewest and apart > threshold,
        numbers={"elsewhere": apart, "validation_in_place": placed, "examples": float(n)},
        threshold=threshold,
        relation="masks must lie on what they mark, in training as in validation",
        advice="draw the random numbers of a flip, a crop or a turn once for an example, and give image and mask the "
        "same; look whether files of images and masks are listed in one order",
    )


def are_marked(images: Tensor, masks: Tensor) -> bool:
    """Tell whether images (N, C, H, W) have masks (N, H, W) or (N, 1, H, W) of few whole numbers."""
    shapes = [(*images.shape[:1], *between, *images.shape[-2:]) for between in ((), (1,))]
    if images.dim() != 4 or images.is_complex() or tuple(masks.shape) not in shapes or min(images.shape[-2:]) < _PART:
        return False
    labels = torch.unique(_read(masks.reshape(shapes[0]))[:_MOST])
    return 1 < len(labels) <= _MOST_LABELS and bool((labels == labels.round()).all())


def _read(masks: Tensor) -> Tensor:
    """Return some of the masks or images (N, ..., H, W), and of large ones some pixels."""
    height, width = (math.ceil(side / _SIDE) for side in masks.shape[-2:])
    return masks.detach()[:: math.ceil(len(masks) / _MOST_READ), ..., ::height, ::width].float()


def _matches(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how well masks match where they lie (N,), and at best, of those examples that have marks."""
    marks = _marks(_read(masks.reshape(len(masks), *masks.shape[-2:])))
    pictures = _read(images[:, :_MOST_CHANNELS])
    marked = marks.flatten(1).any(dim=1) & pictures.flatten(1).isfinite().all(dim=1)
    chosen = marked.nonzero().flatten()[:_MOST]
    return _matched(pictures[chosen], marks[chosen]) if len(chosen) else (chosen.float(), chosen.float())


def _marks(masks: Tensor) -> Tensor:
    """Return where the most frequent labels (N, K, H, W) lie, about 0; 0 where an example has too few of a label."""
    labels, counts = torch.unique(masks[:_MOST], return_counts=True)
    most = labels[counts.argsort(descending=True)][: _MOST_MARKS if len(labels) > 2 else 1]
    marks = (masks[:, None] == most[:, None, None]).float()
    n_pixels = marks.sum((-2, -1), keepdim=True)
    rest = masks[0].numel() - n_pixels
    centred: Tensor = marks - marks.mean((-2, -1), keepdim=True)
    return centred * (torch.minimum(n_pixels, rest) >= _FEWEST_PIXELS)


def _matched(pictures: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
    """Match marks (N, K, H, W) about 0 with pictures (N, C, H, W), by Fourier transforms at all places at once."""
    height, width = pictures.shape[-2:]
    pictures = pictures - pictures.mean((-2, -1), keepdim=True)
    whole = pictures.square().sum((1, 2, 3)) * marks.square().sum((1, 2, 3))
    spectra = torch.fft.rfft2(pictures)[:, :, None]
    near = _near(height, marks.device)[:, None] & _near(width, marks.device)
    matches = []
    for flip in _FLIPS:
        moved = torch.fft.rfft2(marks.flip(flip)).conj()[:, None]
        squares = torch.fft.irfft2(spectra * moved, s=(height, width)).square().sum((1, 2))
        matches.append(squares / whole.clamp_min(1e-12)[:, None, None])
    return matches[0][:, 0, 0], torch.stack([one[:, near].amax(dim=1) for one in matches]).amax(dim=0)


def _near(side: int, device: torch.device) -> Tensor:
    """Tell of every place of a side whether it is a quarter of it from the first at most, around the end as well."""
    places = torch.arange(side, device=device)
    near: Tensor = torch.minimum(places, side - places) <= side // _PART
    return near


def _share(true: Tensor) -> float:
    return float(true.double().mean()) if len(true) else 0.0
