"""Augmentation: whether masks and points move with their images, and predictions with what is done in a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from goldmark.case import Finding

Draw = tuple[Tensor, Tensor]  # inputs (..., H, W) and target of an example, as they were drawn once
_MOST_LABELS = 64  # unlike values of a target that may be a mask
_FEWEST = 2  # examples of which none is an accident, or points of one
_IMAGES, _CORNER = 3, 2  # dimensions of an image with its channels, numbers of a point
_STILL = 0  # the movement that leaves an image as it is


def check_misaligned_augmentation(examples: Iterable[Sequence[Draw]]) -> Finding:
    """Find out whether inputs are mirrored or turned by 90 degrees, and their masks or points otherwise or not at all.

    Each example was drawn several times; its inputs (..., H, W) may differ in brightness and contrast, too. Trouble is
    two draws of which one's inputs and one's mask are those of the other, moved, and no one movement does both, in at
    least 2 examples. A target whose labels or signs change as it moves is no mirror image of itself, and passes; so
    does one that is not made of few whole numbers, or is the input itself, which may be there to be turned back.
    Targets are points where all lie in their images, as shares or in pixels: (..., K, 2) of at least two, or boxes
    (..., 4) of two corners. Of these trouble is that they stay, to the bit, as their images move.
    """
    drawn = [list(draws) for draws in examples]
    points = [draws[0][1] for draws in drawn if are_points(*draws[0])]
    unlike = len(points) > 1 and any(not torch.equal(one, points[0]) for one in points)
    test = _leaves_points if len(points) == len(drawn) and unlike else _are_apart
    apart = [any(test(draws[0], other) for other in draws[1:]) for draws in drawn]
    return Finding(
        name="misaligned_augmentation",
        trouble=sum(apart) >= _FEWEST,
        numbers={"examples": float(len(apart)), "misaligned": float(sum(apart))},
        threshold=float(_FEWEST - 1),
        relation="a mask, and points of an image, must be mirrored and turned as the image is",
        advice="draw the random numbers of a flip once for an example, and apply it to the image and to its target",
    )


def _are_apart(one: Draw, other: Draw) -> bool:
    """Tell whether two draws have inputs that some movement takes to each other, and masks that only others do."""
    if one[0].shape[-2:] != one[1].shape[-2:]:
        return False
    inputs = _movements_to(_plain(one[0]), _plain(other[0]))
    masks = _movements_to(one[1], other[1]) if inputs else inputs
    if not masks or inputs & masks:
        return False
    return is_mask(one[1]) and not _movements_to(*one)


def _leaves_points(one: Draw, other: Draw) -> bool:
    """Tell whether the points of two draws are the same where their images are mirrored or turned."""
    movements = _movements_to(_plain(one[0]), _plain(other[0])) if torch.equal(one[1], other[1]) else set()
    return bool(movements) and _STILL not in movements


def are_points(image: Tensor, target: Tensor) -> bool:
    """Tell whether a target is several points of an image (..., H, W), or boxes whose second corner comes second."""
    if not target.is_floating_point() or image.dim() < _IMAGES or not target.numel():
        return False
    boxes = target.shape[-1:] == (2 * _CORNER,) and bool((target[..., _CORNER:] > target[..., :_CORNER]).all())
    several = target.dim() > 1 and target.shape[-1] == _CORNER and target.shape[-2] >= _FEWEST
    inside = bool((target >= 0).all()) and float(target.max()) <= max(image.shape[-2:])
    return inside and (boxes or several)


def is_mask(target: Tensor) -> bool:
    """Tell whether a target is made of few whole numbers."""
    labels = torch.unique(target)
    return len(labels) <= _MOST_LABELS and bool((labels == labels.round()).all())


def _plain(inputs: Tensor) -> Tensor:
    """Return inputs without their brightness and contrast."""
    values = inputs.float() - inputs.float().mean()
    return values / (values.std() + 1e-12)


def _movements_to(one: Tensor, other: Tensor) -> set[int]:
    """Return which of the 8 ways to mirror and turn an image (..., H, W) make another of it; 0 leaves it as it is."""
    made = enumerate(_moved(one.float()))
    return {place for place, moved in made if moved.shape == other.shape and _same(moved, other.float())}


def _moved(image: Tensor) -> Iterator[Tensor]:
    for turned in (image, image.transpose(-2, -1)):
        for dims in ((), (-1,), (-2,), (-2, -1)):
            yield turned.flip(dims)


def _same(one: Tensor, other: Tensor) -> bool:
    """Tell whether images are the same, but for the rounding of a change of brightness: first of all in one row."""
    parts = ((one[..., :1, :], other[..., :1, :]), (one, other))
    return all(torch.allclose(*part, rtol=1e-4, atol=1e-4) for part in parts)


def check_unmoved_by_augmentation(
    plain: Tensor, augmented: Tensor, targets: Tensor, threshold: float = 1e-3
) -> Finding:
    """Find out whether augmentation moves predictions by less than `threshold` sd of the targets, on average.

    Errors with and without it may be equal by chance; predictions are equal only where nothing was compared. Exactly 0
    is one function called twice, next to 0 is a model that does not look at its inputs.
    """
    if plain.shape != augmented.shape:
        raise ValueError(f"predictions {tuple(plain.shape)} and, augmented, {tuple(augmented.shape)} differ in shape")
    moved = float((augmented.double() - plain.double()).abs().mean() / targets.double().std())
    return Finding(
        name="unmoved_by_augmentation",
        trouble=not moved >= threshold,
        numbers={"moved": moved},
        threshold=threshold,
        advice=(
            "both sides are the same numbers: one function is compared with itself; look at what was imported"
            if moved == 0
            else "the model hardly looks at its inputs: it has collapsed, and says nothing about augmentation"
        ),
    )
