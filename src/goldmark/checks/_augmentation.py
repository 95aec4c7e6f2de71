"""Test-time augmentation: whether the predictions that it is judged by have moved at all."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


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
