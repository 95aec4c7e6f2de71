"""Masks that lie elsewhere than what they mark, in the training half alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._augmentation import is_mask

_MOST, _MOST_READ = 64, 256  # examples that are compared, and whose masks are read
_SIDE = 64  # pixels of a side; of larger images every second, third, ... is looked at
_MOST_CHANNELS, _MOST_MARKS = 3, 3  # of an image, and labels of which each is a mark
_FEWEST_PIXELS = 16  # of a mark, and beside it: fewer match a brightest pixel anywhere
_PART = 4  # of a side that a mask is moved by, at most: further on, the borders of a turned image look like marks
_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
_IN_PLACE, _ELSEWHERE = 0.8, 0.5  # shares of the best match that a mask reaches where it lies
_NEARLY_ALL = 0.8  # of the validation masks are in place by no chance
_TOLD = 0.5  # of what images tell of their masks in validation


def check_masks_elsewhere(
    images: Tensor, masks: Tensor, val_images: Tensor, val_masks: Tensor, threshold: float = 1 / 3, fewest: int = 16
) -> Finding:
    """Find out whether training masks match their images better elsewhere, and nearly no validation masks do.

    Images are (N, C, H, W), masks (N, H, W) or (N, 1, H, W) of few whole numbers. A mask matches by the squares of its
    labels' correlations with the channels, and is moved by up to a quarter of a side, and mirrored. It lies elsewhere
    if it matches there twice as well, and half as well as validation masks do in place. More than `threshold` of them
    are trouble where images go with their own masks, beyond how they go with those of others, by less than half of what
    they do in validation: holes that are cut into images match any mask, and take nothing from this on average. Marks
    that noise hides pass, or that no brightness tells, and those of less than 16 pixels.
    """
    labels = _frequent(val_masks)
    train, val = _marked(images, masks, labels), _marked(val_images, val_masks, labels)
    enough = len(train[0]) >= fewest and 2 * len(val[0]) >= fewest
    numbers = _compared(*train, *val) if enough else {"elsewhere": 0.0, "told": 1.0, "validation_in_place": 0.0}
    placed = numbers["validation_in_place"] >= _NEARLY_ALL
    return Finding(
        name="masks_elsewhere",
        trouble=placed and numbers["elsewhere"] > threshold and numbers["told"] < _TOLD,
        numbers=numbers,
        threshold=threshold,
        relation="masks must lie on what they mark, in training as in validation",
        advice="draw the random numbers of a flip, a crop or a turn once for an example, and give image and mask the "
        "same; look whether files of images and masks are listed in one order",
    )


def _compared(pictures: Tensor, marks: Tensor, val_pictures: Tensor, val_marks: Tensor) -> dict[str, float]:
    """Return which shares of masks lie elsewhere and in place, and `told`.

    It is the share of what validation images tell of their masks that training images tell of theirs, at most: the mean
    of examples, and two standard errors.
    """
    val_here, val_best = _matches(val_pictures, val_marks)
    here, best = _matches(pictures, marks)
    usual = _told(val_pictures, val_marks).mean(dim=0)
    told = (_told(pictures, marks) * usual).sum((1, 2)) / usual.square().sum().clamp_min(1e-12)
    elsewhere = (here < _ELSEWHERE * best) & (best > 0.5 * val_here.median())
    return {
        "elsewhere": float(elsewhere.double().mean()),
        "told": float(told.mean() + 2 * told.std() / len(told) ** 0.5),
        "validation_in_place": float((val_here >= _IN_PLACE * val_best).double().mean()),
    }


def are_marked(images: Tensor, masks: Tensor) -> bool:
    """Tell whether images (N, C, H, W) have masks (N, H, W) or (N, 1, H, W) of few whole numbers."""
    shapes = [(*images.shape[:1], *between, *images.shape[-2:]) for between in ((), (1,))]
    if images.dim() != 4 or images.is_complex() or tuple(masks.shape) not in shapes or min(images.shape[-2:]) < _PART:
        return False
    read = _read(masks.reshape(shapes[0]))[:_MOST]
    return is_mask(read) and bool((read != read.flatten()[0]).any())


def _read(masks: Tensor) -> Tensor:
    """Return some of the masks or images (N, ..., H, W), and of large ones some pixels."""
    height, width = (math.ceil(side / _SIDE) for side in masks.shape[-2:])
    read: Tensor = masks.detach()[:: math.ceil(len(masks) / _MOST_READ), ..., ::height, ::width]
    return read.float()


def _frequent(masks: Tensor) -> Tensor:
    """Return the most frequent labels; one of two, which tells the other."""
    labels, counts = torch.unique(_read(masks)[:_MOST], return_counts=True)
    frequent: Tensor = labels[counts.argsort(descending=True)]
    return frequent[: _MOST_MARKS if len(labels) > 2 else 1]


def _marked(images: Tensor, masks: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures (N, C, H, W), and where labels lie (N, K, H, W), about 0.

    Those are left out that have too few pixels of all labels, or numbers that are not finite.
    """
    marks = (_read(masks.reshape(len(masks), 1, *masks.shape[-2:])) == labels[:, None, None]).float()
    n_pixels = marks.sum((-2, -1), keepdim=True)
    shown = torch.minimum(n_pixels, marks[0, 0].numel() - n_pixels) >= _FEWEST_PIXELS
    pictures = _read(images[:, :_MOST_CHANNELS])
    chosen = shown.flatten(1).any(dim=1) & pictures.flatten(1).isfinite().all(dim=1)
    chosen = chosen.nonzero().flatten()[:_MOST]
    return pictures[chosen], ((marks - marks.mean((-2, -1), keepdim=True)) * shown)[chosen]


def _matches(pictures: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how well marks match pictures where they lie (N,), and at best: all places at once, by Fourier."""
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


def _told(pictures: Tensor, marks: Tensor) -> Tensor:
    """Return how pictures go with their own marks (N, C, K), beyond how they go with those of other examples."""
    return torch.einsum("nchw,nkhw->nck", pictures, marks - marks.mean(dim=0))


def _near(side: int, device: torch.device) -> Tensor:
    """Tell of every place of a side whether it is a quarter of it from the first at most, around the end as well."""
    places = torch.arange(side, device=device)
    near: Tensor = torch.minimum(places, side - places) <= side // _PART
    return near
