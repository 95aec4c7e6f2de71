"""Weights of a loss that are learnt as plain factors of its terms: the loss falls without end as they fall below 0."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from goldmark.case import Finding


def check_unbounded_loss(loss_of: Callable[[], Tensor], weights: Tensor, threshold: float = 1e-3) -> Finding:
    """Find out whether a loss falls in a straight line, and without end, as weights of its own fall.

    `loss_of()` gives the loss, of outputs that have a gradient and with the same random numbers each time. `deviation`
    is how far it is from that line, over the length of its fall: for weights that are 1, 10 and 100 smaller, and for
    some that make it negative. Weights of what has no gradient itself are multipliers, which passes.
    """
    loss = loss_of().sum()
    (slope,) = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    falls = slope is not None and slope.requires_grad and bool((slope >= 0).all()) and bool(slope.any())
    deviation = _deviation(loss_of, weights, float(loss.detach()), slope.detach(), threshold) if falls else 1.0
    return Finding(
        name="unbounded_loss",
        trouble=deviation <= threshold,
        numbers={"deviation": deviation},
        threshold=threshold,
        relation="a loss must have a lower bound in the weights of its terms that are trained by it",
        advice="exp(-s) * term + s (Kendall et al. 2018), a softmax over the weights, or weights that are not trained",
    )


def _deviation(loss_of: Callable[[], Tensor], weights: Tensor, start: float, slope: Tensor, threshold: float) -> float:
    """Return the largest deviation of a loss from the line that begins with a slope, or the first that is too large.

    The weights are put back.
    """
    known, steepness, largest = weights.detach().clone(), float(slope.double().sum()), 0.0
    try:
        for step in (1.0, 10.0, 100.0, 100 + 10 * abs(start) / steepness):
            with torch.no_grad():
                weights.copy_(known - step * (slope > 0))
                fall = start - float(loss_of().sum())
            deviation = abs(fall / (step * steepness) - 1)
            if not deviation <= threshold:  # so that a loss that counts its calls sees no odd weights without need
                return deviation
            largest = max(largest, deviation)
    finally:
        with torch.no_grad():
            weights.copy_(known)
    return largest
