"""How large a shift must be to be detected: by t tests, and by permutation tests where single seeds fail outright."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np

from goldmark.statistics._permutation import permutation, sign_flip

_POWER = 0.9  # of the detectable effect


def detectable_effect(
    sd: float,
    n: int,
    *,
    margin: float,
    alpha: float,
    paired: bool = True,
    test: Literal["t", "permutation"] = "t",
    guard_effect: float | None = None,
) -> float:
    """Return the shift that a test with n seeds finds with power .9: margin + k s_u / sqrt(n).

    k is the noncentrality at which t exceeds its critical value with that power, s_u = sd sqrt((n-1) / chi2_{.2, n-1})
    the 80 % upper bound of the spread, estimated from n seeds. Unpaired, sd is that of one group: two groups make
    the error s_u sqrt(2 / n). Without a spread (NaN, one seed) the effect is NaN.

    A permutation test counts: k of n seeds as bad as the guard make a shift of guard_effect k / n, and below
    `fewest_dead_seeds` it cannot alarm while the others repeat, however far they are off. So many dead seeds are found;
    a bug that kills each seed with probability k / n leaves fewer at times: 12 to 20 seeds find it in 60 to 80 %.
    """
    if n < 2 or math.isnan(sd):
        return math.nan
    errors = math.sqrt((1 if paired else 2) / n)
    df = n - 1 if paired else 2 * n - 2
    effect = margin + (_noncentrality(df, alpha, _POWER) * sd * _spread_bound(n - 1) * errors if sd else 0.0)
    if test == "t" or guard_effect is None:
        return effect
    dead = fewest_dead_seeds(n, guard_effect, margin=margin, alpha=alpha, paired=paired)
    return max(effect, guard_effect * (dead / n))


def fewest_dead_seeds(n: int, effect: float, *, margin: float, alpha: float, paired: bool) -> int:
    """Return how many of n seeds must move by an effect, the others staying, for a permutation test to alarm.

    Without a margin that is ceil(log2(2 / alpha)) in pairs, 11 at alpha .001. It is n + 1 where not even n suffice.
    """
    core, golden = sign_flip if paired else permutation, np.zeros(n)
    if not effect > margin:
        return n + 1
    moved = (np.where(np.arange(n) < dead, effect, 0.0) for dead in range(1, n + 1))
    return next((dead for dead, new in enumerate(moved, 1) if core(new, golden, margin)[2] <= alpha), n + 1)


@cache
def _noncentrality(df: int, alpha: float, power: float) -> float:
    from scipy import special

    return float(special.nctdtrinc(df, 1 - power, special.stdtrit(df, 1 - alpha / 2)))


@cache
def _spread_bound(df: int) -> float:
    """Return the 80 % upper bound of an sd over its estimate."""
    from scipy import special

    # df s^2 / sigma^2 is chi-square with df degrees of freedom: with probability .8 it exceeds its .2 quantile, and
    # then sigma < s sqrt(df / quantile). `chdtri` takes the upper tail.
    return math.sqrt(df / float(special.chdtri(df, 0.8)))
