"""Whether new values lie further from golden ones than a margin: paired t, Welch and permutation tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from goldmark.case import Scale, UsageError
from goldmark.statistics._permutation import permutation, sign_flip
from goldmark.statistics._power import detectable_effect
from goldmark.statistics._scale import Array, on_scale

TestName = Literal["paired t", "Welch", "paired permutation", "permutation", "equal"]

_FEWEST_SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far new values lie from golden ones on the metric's scale, and whether that is more than the margin."""

    alarm: bool
    shift: float  # mean new - mean golden
    margin: float
    sd: float  # of the paired differences, or the pooled sd of both groups
    n: int
    p: float  # two-sided, of a shift no larger than the margin
    test: TestName
    alpha: float
    paired: bool

    @property
    def detectable(self) -> float:
        """The shift that a t test would have found with power .9, given the spread of this comparison."""
        return detectable_effect(self.sd, self.n, margin=self.margin, alpha=self.alpha, paired=self.paired)


def seeds_needed(test: Literal["t", "permutation"], alpha: float, *, paired: bool) -> int:
    """Return the fewest seeds with which a test can alarm at all, and never less than 5.

    A permutation test reaches p = 2 / (number of arrangements) at best: 2^n paired, (2n choose n) unpaired.
    """
    n = _FEWEST_SEEDS
    while test == "permutation" and (2**n if paired else math.comb(2 * n, n)) * alpha < 2:
        n += 1
    return n


def why_too_few(n: int, test: Literal["t", "permutation"], alpha: float, *, paired: bool) -> str | None:
    """Return why n seeds are too few for a test, with the number needed, or None where they are enough."""
    needed = seeds_needed(test, alpha, paired=paired)
    if n >= needed:
        return None
    if needed == _FEWEST_SEEDS:
        return f"{n} seeds are too few: with fewer than {needed} the spread itself is a guess; train {needed} or more"
    kind = "paired" if paired else "unpaired"
    return f"{n} {kind} seeds cannot reach alpha {alpha:g} in a permutation test; train {needed} or more"


def compare_values(
    new: Mapping[str, float],
    golden: Mapping[str, float],
    *,
    scale: Scale,
    margin: float,
    alpha: float,
    test: Literal["t", "permutation"],
    paired: bool,
    allow_few: bool = False,
) -> Shift:
    """Compare the values of every seed with a golden's: `paired` by seed, on the same stream, or as two groups.

    Raise `UsageError` for seeds that differ, for too few of them, and for values that are not finite. `allow_few` takes
    as few as the test can be computed with, two: it keeps its level, but a spread from so few is a guess.
    """
    few_enough = allow_few and len(golden) > 1
    _refuse_seeds(new, golden, None if few_enough else why_too_few(len(golden), test, alpha, paired=paired))
    x = on_scale([new[seed] for seed in golden], scale)
    y = on_scale(list(golden.values()), scale)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UsageError("values that are not finite cannot be compared; find out why training left them")
    core = {"t": paired_t if paired else welch, "permutation": sign_flip if paired else permutation}[test]
    shift, sd, p = (float(number) for number in core(x, y, margin))
    return Shift(
        alarm=p <= alpha,
        shift=shift,
        margin=margin,
        sd=sd,
        n=len(y),
        p=p,
        test=_test_name(test, sd, paired=paired),
        alpha=alpha,
        paired=paired,
    )


def _refuse_seeds(new: Mapping[str, float], golden: Mapping[str, float], too_few: str | None) -> None:
    if set(new) != set(golden):
        raise UsageError(f"the seeds are {', '.join(new)}, the golden's are {', '.join(golden)}; train the same seeds")
    if too_few:
        raise UsageError(too_few)


def _test_name(test: Literal["t", "permutation"], sd: float, *, paired: bool) -> TestName:
    if sd == 0:
        return "equal"
    if test == "t":
        return "paired t" if paired else "Welch"
    return "paired permutation" if paired else "permutation"


def paired_t(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, sd of the differences and two-sided p of |mean of x - y| <= margin: x, y (..., n) -> (...)."""
    d = x - y
    shift, sd = d.mean(axis=-1), d.std(axis=-1, ddof=1)
    n = d.shape[-1]
    return shift, sd, _p_of_t(shift, sd / math.sqrt(n), np.asarray(n - 1.0), margin)


def welch(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, pooled sd and two-sided p of |mean x - mean y| <= margin for equal group sizes: (..., n) -> (...).

    The variances need not be equal. Degrees of freedom by Welch, Biometrika 34 (1947).
    """
    n = x.shape[-1]
    shift = x.mean(axis=-1) - y.mean(axis=-1)
    u, v = x.var(axis=-1, ddof=1), y.var(axis=-1, ddof=1)
    # Welch and Satterthwaite, with equal n: df = (u + v)^2 / ((u^2 + v^2) / (n - 1)); 0 / 0 where nothing varies
    with np.errstate(invalid="ignore"):
        df = np.nan_to_num((n - 1) * (u + v) ** 2 / (u**2 + v**2), nan=n - 1.0)
    return shift, np.sqrt((u + v) / 2), _p_of_t(shift, np.sqrt((u + v) / n), df, margin)


def _p_of_t(shift: Array, error: Array, df: Array, margin: float) -> Array:
    """Return min(1, 2 P(t_df >= (|shift| - margin) / error)); without any spread 0 beyond the margin and 1 within."""
    beyond = np.abs(shift) - margin
    if (beyond <= 0).all():  # a shift within the margin is never an alarm, and most comparisons need no scipy
        return np.ones_like(beyond)
    from scipy import special

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, beyond / error, np.where(beyond > 0, np.inf, -np.inf))
    p: Array = np.minimum(1.0, 2 * special.stdtr(df, -t))
    return p


def paired_lower_p(differences: ArrayLike) -> float:
    """Return the one-sided paired t p-value for a mean difference below 0; NaN where a difference is NaN.

    Raise `UsageError` for fewer than 5 pairs.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size < _FEWEST_SEEDS:
        raise UsageError(why_too_few(d.size, "t", 0.05, paired=True))
    error = float(d.std(ddof=1)) / math.sqrt(d.size)
    if error == 0:
        return 0.0 if d.mean() < 0 else 1.0
    from scipy import special

    return float(special.stdtr(d.size - 1, d.mean() / error))
