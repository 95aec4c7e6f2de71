"""Placeholders: numbers that stand for missing labels and are trained on as if they had been measured."""

from __future__ import annotations

import math
from collections import Counter

from torch import Tensor

from goldmark.case import Finding


def check_placeholder_labels(labels: Tensor, threshold: float = 0.05) -> Finding:
    """Find out whether more than a share `threshold` of measured labels is one and the same number, or any is NaN.

    `value` is the number that most of them share. Measured numbers seldom repeat; a default does: 0 in the place of
    what is missing, -1 for "unknown". For labels of a continuous quantity only: classes, counts and clipped values
    repeat by right.
    """
    entries = labels.double().flatten().tolist()
    known = [label for label in entries if math.isfinite(label)]
    (value, count), *_ = Counter(known).most_common(1) or [(math.nan, 0)]
    share = count / len(entries) if count > 2 else 0.0  # of few, two are equal by rounding
    return Finding(
        name="placeholder_labels",
        trouble=not known or len(known) < len(entries) or share > threshold,
        numbers={"share": share, "value": value, "n_not_finite": float(len(entries) - len(known))},
        threshold=threshold,
        advice=f"leave out the examples whose label is missing: {value:g} is no measurement where so many share it",
    )
