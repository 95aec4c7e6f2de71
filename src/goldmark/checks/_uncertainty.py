"""Uncertainty weights: what they would settle at, how far they get, and whether they had the time.

Every term counts as L / (2 sigma^2) + log sigma, where log sigma is learned (Kendall, Gal and Cipolla, "Multi-task
learning using uncertainty to weigh losses", CVPR 2018, equation 7).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from goldmark.case import Finding


def settled_log_sigma(loss: float) -> float:
    """Return log sigma where L / (2 sigma^2) + log sigma is lowest: at sigma^2 = L, where every term counts 1/2."""
    return math.log(loss) / 2


def simulated_log_sigma(losses: Sequence[float], start: float, lr: float) -> float:
    """Return where AdamW, as torch has it by default, takes log sigma from its start when a term has these losses.

    One step a loss. Betas are .9 and .999, epsilon 1e-8 and the weight decay .01 (Loshchilov and Hutter, "Decoupled
    weight decay regularization", ICLR 2019, algorithm 2).
    """
    log_sigma, mean, square = start, 0.0, 0.0
    for step, loss in enumerate(losses, start=1):
        slope = 1 - loss * math.exp(-2 * log_sigma)  # of L / (2 sigma^2) + log sigma
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        log_sigma *= 1 - lr * 0.01
        log_sigma -= lr * (mean / (1 - 0.9**step)) / (math.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return log_sigma


def check_weights_without_time(
    losses: Mapping[str, float], log_sigma: Mapping[str, float], lr: float, steps: int, threshold: float = 1.0
) -> Finding:
    """Find out whether an uncertainty weight is further from where it settles than its optimiser can take it.

    `losses` are those that the terms end at, `log_sigma` what the weights start from. Adam moves a parameter by about
    `lr` a step at most (Kingma and Ba, "Adam", ICLR 2015, section 2.1). The threshold is in such journeys.
    """
    travel = lr * steps
    distances = {name: abs(settled_log_sigma(loss) - log_sigma[name]) for name, loss in losses.items()}
    furthest = max(distances, key=lambda name: distances[name])
    return Finding(
        name="weights_without_time",
        trouble=not distances[furthest] <= threshold * travel,
        numbers={"distance": distances[furthest], "travel": travel},
        threshold=threshold,
        advice=f"the uncertainty weights have no time to settle, '{furthest}' least of all: "
        "give them a higher learning rate, or start them at half the log of their losses",
    )
