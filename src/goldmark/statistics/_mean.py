"""Tests of the mean by t: how far two groups lie apart, how certain that is, and whether it is more than a margin."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from goldmark.case import UsageError
from goldmark.statistics._scale import Array

FEWEST_SEEDS = 5


class MeanShift(NamedTuple):
    """The difference of two means with what its uncertainty is made of; arrays over the leading axes of samples."""

    shift: Array  # mean new - mean golden
    sd: Array  # of the paired differences, or of one value within the groups
    error: Array  # standard error of the shift
    df: Array  # degrees of freedom of that error

    def p(self, margin: float) -> Array:
        """Return P(t >= (|shift| - margin) / error) + P(t >= (|shift| + margin) / error): 1 within the margin.

        That is the chance of a mean so far out, on either side, where the true shift is the margin. Without a margin it
        is the two-sided p-value, with one wider than the spread the one-sided: doubling that would halve alpha.
        """
        size = np.abs(self.shift)
        if (size <= margin).all():  # never an alarm, and most comparisons need no scipy
            return np.ones_like(size)
        from scipy import special

        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = ((size + side * margin) / self.error for side in (-1, 1))
        p = special.stdtr(self.df, -near) + special.stdtr(self.df, -far)
        beyond = size > margin
        result: Array = np.where(beyond, np.where(self.error > 0, p, 0.0), 1.0)
        return result

    def interval(self, confidence: float) -> tuple[Array, Array]:
        """Return the two-sided confidence interval of the shift."""
        from scipy import special

        half = special.stdtrit(self.df, (1 + confidence) / 2) * self.error
        return self.shift - half, self.shift + half


def paired_shift(x: Array, y: Array) -> MeanShift:
    """Return the mean of x - y, seed by seed: x, y (..., n) -> (...)."""
    d = x - y
    n = d.shape[-1]
    sd = d.std(axis=-1, ddof=1)
    return MeanShift(d.mean(axis=-1), sd, sd / math.sqrt(n), np.asarray(n - 1.0))


def group_shift(x: Array, y: Array) -> MeanShift:
    """Return mean x - mean y of two groups: x (..., n), y (..., N) -> (...).

    Of equal sizes the variances need not be equal: Welch, Biometrika 34 (1947). A larger golden shares its spread with
    the few new values (Student's test): Welch's degrees of freedom then rest on the few alone, which sees less and
    alarms too often (at alpha .001, 5 new normal values against 40 alarm in .44 % of comparisons).
    """
    n, n_golden = x.shape[-1], y.shape[-1]
    shift = x.mean(axis=-1) - y.mean(axis=-1)
    u, v = x.var(axis=-1, ddof=1), y.var(axis=-1, ddof=1)
    if n != n_golden:
        df = n + n_golden - 2.0
        sd = np.sqrt(((n - 1) * u + (n_golden - 1) * v) / df)
        return MeanShift(shift, sd, sd * math.sqrt(1 / n + 1 / n_golden), np.asarray(df))
    # Welch and Satterthwaite, with equal n: df = (u + v)^2 / ((u^2 + v^2) / (n - 1)); 0 / 0 where nothing varies
    with np.errstate(invalid="ignore"):
        df = np.nan_to_num((n - 1) * (u + v) ** 2 / (u**2 + v**2), nan=n - 1.0)
    return MeanShift(shift, np.sqrt((u + v) / 2), np.sqrt((u + v) / n), df)


def paired_lower_p(differences: ArrayLike) -> float:
    """Return the one-sided paired t p-value for a mean difference below 0; NaN where a difference is NaN.

    Raise `UsageError` for fewer than 5 pairs.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size < FEWEST_SEEDS:
        raise UsageError(spread_is_a_guess(d.size))
    error = float(d.std(ddof=1)) / math.sqrt(d.size)
    if error == 0:
        return 0.0 if d.mean() < 0 else 1.0
    from scipy import special

    return float(special.stdtr(d.size - 1, d.mean() / error))


def spread_is_a_guess(n: int) -> str:
    """Return why so few seeds are refused."""
    needed = FEWEST_SEEDS
    return f"{n} seeds are too few: with fewer than {needed} the spread itself is a guess; train {needed} or more"
