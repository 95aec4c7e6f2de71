"""Objective: a loss that jumps in one of its settings, or leaves the size of an output free."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from goldmark.case import Finding


def check_jumping_loss(
    loss: Callable[[float], float], at: float, step: float = 1e-4, threshold: float = 10.0
) -> Finding:
    """Find out whether a loss jumps where one of its settings (a temperature, a weight) takes the value `at`.

    `jump` is the larger change of the loss from `at` to `at` +- `step`, over the change that the next step brings on
    that side: about 1 for a smooth function, step / step^2 for a jump. A branch such as `if temperature != 1` makes
    one. Zero changes on both scales are no jump; NaN is trouble.
    """
    here = loss(at)
    jump = 0.0
    for side in (-step, step):
        first, second = loss(at + side), loss(at + 2 * side)
        rounding = 1e-12 * max(abs(here), abs(first))  # float64: differences below it are no change
        ratio = abs(first - here) / max(abs(second - first), rounding, 1e-300)
        jump = ratio if math.isnan(ratio) else max(jump, ratio)
    return Finding(
        name="jumping_loss",
        trouble=not jump <= threshold,
        numbers={"jump": jump},
        threshold=threshold,
        advice=f"the loss jumps where the setting is {at:g}: take the same formula on both sides, without a branch",
    )


def check_free_norm(
    loss: Callable[[Tensor], Tensor], outputs: Tensor, factor: float = 2.0, threshold: float = 1e-4
) -> Finding:
    """Find out whether a loss is the same for outputs that are `factor` times as large.

    `change` is |loss(factor outputs) - loss(outputs)| over the loss. A cosine says nothing about norms: what it trains
    points the right way and can be of any size, so that errors and R^2 of it mean nothing. Pass outputs that are wrong.
    """
    here, scaled = float(loss(outputs)), float(loss(factor * outputs))
    change = abs(scaled - here) / abs(here) if here else abs(scaled)
    return Finding(
        name="free_norm",
        trouble=not change >= threshold,
        numbers={"change": change},
        threshold=threshold,
        advice="the loss leaves the norm of an output free: add a squared error, or score by cosine alone",
    )
