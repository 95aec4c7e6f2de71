"""Tests of single seeds: one that went wild against the golden's spread, and seeds that failed outright."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from goldmark.statistics._scale import Array

_TAILS = 3  # degrees of freedom: metrics of trained models have heavier tails than the normal distribution


def wild_seed(x: Array, y: Array, margin: float) -> Array:
    """Return the p-value of the new value farthest from the golden's mean: x (..., n), y (..., N) -> (...).

    A new value from the golden's distribution lies t sd sqrt(1 + 1 / N) from the golden's mean; the worst of n counts n
    times (Bonferroni). t has the tails of 3 degrees of freedom at most: with those of the normal distribution a
    log-normal metric (sigma .8, 20 seeds) would alarm in one comparison of ten. On a common stream a new value lies
    nearer to its own golden value, so that the test is on the safe side; it asks for the golden's spread and not for
    that of the differences, which is nearly nothing where most seeds repeat.
    """
    from scipy import special

    n_golden = y.shape[-1]
    far = np.abs(x - y.mean(axis=-1, keepdims=True)).max(axis=-1) - margin
    error = y.std(axis=-1, ddof=1) * math.sqrt(1 + 1 / n_golden)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, far / error, np.where(far > 0, np.inf, -np.inf))
    p: Array = np.minimum(1.0, 2 * x.shape[-1] * special.stdtr(min(n_golden - 1, _TAILS), -t))
    return p


def dead_seeds(x: Array, y: Array, dead_below: float) -> Array:
    """Return the p-value of as many dead seeds in x (..., n) as there are, given those of y (..., N): (...)."""
    new, golden = (np.asarray((side < dead_below).sum(axis=-1)) for side in (x, y))
    sizes = x.shape[-1], y.shape[-1]
    p: Array = np.vectorize(lambda a, b: fisher(int(a), int(b), *sizes), otypes=[float])(new, golden)
    return p


@cache
def fisher(dead: int, golden_dead: int, n: int, n_golden: int) -> float:
    """Return the two-sided p-value of Fisher's exact test: so many dead of n, and so many of the golden's seeds.

    The sum over all tables with these margins that are no likelier than the one seen (Fisher 1922).
    """
    total = dead + golden_dead
    ways = [math.comb(n, k) * math.comb(n_golden, total - k) for k in range(min(n, total) + 1)]
    return sum(way for way in ways if way <= ways[dead]) / math.comb(n + n_golden, total)
