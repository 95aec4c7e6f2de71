"""Class weights: whether the rare class counts as much as the frequent one."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


def check_unbalanced_weight(weight: float, labels: Tensor, threshold: float = 0.01) -> Finding:
    """Find out whether a weight of the positive labels makes them count as much as the negative ones.

    That is (1 - p) / p for a share p of positives, the `pos_weight` of `BCEWithLogitsLoss`; 1 / p is one too many. The
    threshold is relative.
    """
    positives = float(labels.double().sum())
    ratio = weight * positives / (labels.numel() - positives)
    return Finding(
        name="unbalanced_weight",
        trouble=not abs(ratio - 1) <= threshold,
        numbers={"weight": weight, "positives_over_negatives": ratio},
        threshold=threshold,
        advice="the class weight does not balance the classes: use (1 - p) / p for a share p of positives, not 1 / p",
    )
