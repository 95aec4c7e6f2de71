"""Thresholds: a decision at 1/2 where one class is rare."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from goldmark.case import Finding


class BestThreshold(NamedTuple):
    """The threshold from which on scores are called positive, and the F1 that it gives."""

    threshold: float
    f1: float


def f1_above(scores: Tensor, labels: Tensor, threshold: float) -> float:
    """Return 2 TP / (2 TP + FP + FN), pooled over all entries, where scores >= threshold are called positive."""
    called = scores >= threshold
    return float(2 * (called * labels).sum() / (called.sum() + labels.sum()))


def best_threshold(scores: Tensor, labels: Tensor) -> BestThreshold:
    """Return the threshold, one of the scores, with the highest pooled F1; choose it on training data.

    Raises `ValueError` where no label is 1, as F1 is 0 then whatever is called positive.
    """
    if not labels.sum() > 0:
        raise ValueError(f"none of the {labels.numel()} labels is 1, and F1 is 0 at every threshold; pass more of them")
    ordered, order = scores.flatten().double().sort(descending=True)
    hits = labels.flatten()[order].double().cumsum(dim=0)
    f1 = 2 * hits / (torch.arange(1, len(hits) + 1) + hits[-1])
    last_of_score = torch.cat([ordered.diff() != 0, torch.tensor([True])])  # tied scores are called alike
    best = int(torch.where(last_of_score, f1, -1.0).argmax())
    return BestThreshold(float(ordered[best]), float(f1[best]))


def check_misplaced_threshold(scores: Tensor, labels: Tensor, at: float = 0.5, threshold: float = 0.5) -> Finding:
    """Find out whether calling scores positive from `at` on has less than a share `threshold` of the best F1.

    Scores and labels have one shape. Where one bar in fourteen is positive, a calibrated probability hardly ever
    reaches 1/2: F1 is 0 then however well the scores rank.
    """
    f1, best = f1_above(scores, labels, at), best_threshold(scores, labels)
    return Finding(
        name="misplaced_threshold",
        trouble=not f1 >= threshold * best.f1,
        numbers={"f1": f1, "best_f1": best.f1, "best_threshold": best.threshold},
        threshold=threshold,
        advice=f"a threshold of {at:g} hides what the scores tell, as one class is rare: choose it on training data, "
        "or weight the rare class in the loss",
    )
