"""Collapsed output: a model that answers every input with nearly the same number."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


def spread_ratio(predictions: Tensor, targets: Tensor) -> float:
    """Return sd(predictions) / sd(targets) over all entries; 1 is as varied as the targets, 0 a constant.

    Pass the valid entries only. Raises `ValueError` where shapes differ or the targets do not vary.
    """
    if predictions.shape != targets.shape:
        raise ValueError(f"predictions {tuple(predictions.shape)} and targets {tuple(targets.shape)} differ in shape")
    spread = targets.double().std()
    if not spread > 0:
        raise ValueError(f"the {targets.numel()} targets do not vary, so that any constant is right; pass more of them")
    return float(predictions.double().std() / spread)


def check_collapsed_output(predictions: Tensor, targets: Tensor, threshold: float = 0.1) -> Finding:
    """Find out whether predictions vary less than `threshold` times as much as their targets.

    A falling loss does not rule this out: the best constant has a low loss too.
    """
    ratio = spread_ratio(predictions, targets)
    return Finding(
        name="collapsed_output",
        trouble=not ratio >= threshold,
        numbers={"spread_ratio": ratio},
        threshold=threshold,
        relation="unlike targets must get unlike predictions",
        advice="the model predicts nearly a constant: look at the scale of inputs and targets before anything else",
    )
