"""How large a shift must be to be detected, with how many seeds: by t tests, and where single seeds fail outright."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from goldmark.statistics._mean import FEWEST_SEEDS
from goldmark.statistics._permutation import permutation, sign_flip
from goldmark.statistics._scale import Array
from goldmark.statistics._seeds import fisher
from goldmark.statistics._split import MetricRule, split_alpha

POWER = 0.9  # of the detectable effect
_MOST_SEEDS = 1000  # that anybody would train
_NODES = 64  # of the integral over estimated spreads: 1e-8 of a power with 4 degrees of freedom
_WIDEST = 9.0  # sd of the estimated spread that the integral takes in
_SIGNIFICANT = 6  # digits of a margin over its error: what is cached


def detectable_effect(
    sd: float,
    n: int,
    rule: MetricRule,
    *,
    paired: bool = True,
    n_golden: int | None = None,
    guard_effect: float | None = None,
) -> float:
    """Return the shift that n seeds find with power .9, against as many of a golden or against all its n_golden.

    That is margin + k s_u e: s_u = sd sqrt((N - 1) / chi2_{.2, N - 1}) is the 80 % upper bound of the spread, estimated
    from the N seeds of the golden; e is 1 / sqrt(n) in pairs and sqrt(1 / n + 1 / N) of two groups, whose sd is that of
    one; k is how far beyond the margin, in errors, t exceeds its critical value with that power at the share of alpha
    that the test of the mean has. Without a spread (NaN, one seed) the effect is NaN.

    A permutation test counts: k of n seeds as bad as the guard make a shift of guard_effect k / n, and below
    `fewest_dead_seeds` it cannot alarm while the others repeat, however far they are off. So many dead seeds are found;
    a bug that kills each seed with probability k / n leaves fewer at times: 12 to 20 seeds find it in 60 to 80 %.
    """
    if n < 2 or math.isnan(sd):
        return math.nan
    design = Design.of(n, n_golden, paired=paired)
    share = split_alpha(rule, n, design.n_golden, paired=paired)["mean"]
    error = sd * spread_bound(design.n_golden - 1) * design.errors
    beyond = error * _noncentrality(design.df, share, rounded(rule.margin / error)) if error else 0.0
    if rule.test == "t" or guard_effect is None:
        return rule.margin + beyond
    dead = fewest_dead_seeds(n, guard_effect, rule, paired=paired, n_golden=n_golden)
    return max(rule.margin + beyond, guard_effect * (dead / n))


def power_at(
    effect: float, sd: float, n: int, rule: MetricRule, *, paired: bool = True, n_golden: int | None = None
) -> float:
    """Return how often a shift of the mean is found where the true spread is sd: the power of the t test alone."""
    design = Design.of(n, n_golden, paired=paired)
    share = split_alpha(rule, n, design.n_golden, paired=paired)["mean"]
    error = sd * design.errors
    if not error:
        return float(effect > rule.margin)
    margin = rule.margin / error
    return _power(effect / error - margin, *critical_limits(design.df, share, margin), margin)


def seeds_that_detect(effect: float, sd: float, rule: MetricRule, *, paired: bool = True) -> int | None:
    """Return the fewest seeds, in golden and check alike, that detect an effect with power .9; None: no number does."""
    return _fewest(lambda n: effect >= detectable_effect(sd, n, rule, paired=paired, guard_effect=effect))


def seeds_within(sd: float, gap: float, *, paired: bool, confidence: float) -> int | None:
    """Return the fewest seeds of each side whose interval reaches no further than the gap; None: no number does."""
    from scipy import special

    def enough(n: int) -> bool:
        design = Design.of(n, None, paired=paired)
        return bool(special.stdtrit(design.df, (1 + confidence) / 2) * sd * design.errors <= gap)

    return _fewest(enough)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number of seeds from 5 on that is enough, found by bisection."""
    low, high = FEWEST_SEEDS, _MOST_SEEDS
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def fewest_dead_seeds(n: int, effect: float, rule: MetricRule, *, paired: bool, n_golden: int | None = None) -> int:
    """Return how many of n seeds must move by an effect, the others staying, for an alarm; n + 1: not even n suffice.

    By the permutation test, or by Fisher's where a dead seed is told by its value (`dead_below`) and the golden has
    none. Without a margin the first needs ceil(log2(2 / alpha)) in pairs, 11 at alpha .001.
    """
    others = n_golden or n
    split = split_alpha(rule, n, others, paired=paired)
    core, golden = (sign_flip, np.zeros(n)) if paired else (permutation, np.zeros(others))
    for dead in range(1, n + 1):
        moved = np.where(np.arange(n) < dead, effect, 0.0)
        if "dead seeds" in split and fisher(dead, 0, n, others) <= split["dead seeds"]:
            return dead
        if effect > rule.margin and core(moved, golden, rule.margin)[2] <= split["mean"]:
            return dead
    return n + 1


@dataclass(frozen=True)
class Design:
    """How many values are compared with how many, and what that makes of the spread of one."""

    n_golden: int
    df: int
    errors: float  # standard error of the shift over the sd

    @classmethod
    def of(cls, n: int, n_golden: int | None, *, paired: bool) -> Design:
        others = n_golden or n
        if paired:
            return cls(others, n - 1, math.sqrt(1 / n))
        return cls(others, n + others - 2, math.sqrt(1 / n + 1 / others))


def rounded(number: float) -> float:
    """Return a number with few digits, so that what follows from it is cached."""
    return float(f"{number:.{_SIGNIFICANT}g}")


@cache
def _noncentrality(df: int, alpha: float, margin: float) -> float:
    """Return how far beyond the margin, both in errors, a shift must lie to be found with the power of the effect."""
    critical = critical_limits(df, alpha, margin)
    low, high = 0.0, 1.0
    while _power(high, *critical, margin) < POWER:
        low, high = high, 2 * high
    for _ in range(50):  # bisection to the last digit
        middle = (low + high) / 2
        low, high = (low, middle) if _power(middle, *critical, margin) >= POWER else (middle, high)
    return high


def _power(beyond: float, limits: Array, weights: Array, margin: float) -> float:
    """Return the power against a shift that lies beyond the margin, both in errors."""
    from scipy import special

    # the estimated shift is normal, and independent of the estimated spread, over which the weights average
    powers = special.ndtr(beyond - limits) + special.ndtr(-beyond - 2 * margin - limits)
    return float(weights @ powers)


@cache
def critical_limits(df: int, alpha: float, margin: float) -> tuple[Array, Array]:
    """Return how far beyond the margin a shift alarms for estimated spreads, and the weights of these: (nodes,) each.

    An estimated spread over the true one, s, is chi over sqrt(df). It is the root x s of
    P(t > x) + P(t > x + 2 margin / s) = alpha, found by Newton's method: the left side is convex and decreasing in x.
    """
    from scipy import special

    s, weights = spreads(df)
    x = np.full_like(s, -special.stdtrit(df, alpha))
    for _ in range(12):  # from below, quadratic: 7 steps reach float64
        far = x + 2 * margin / s
        excess = special.stdtr(df, -x) + special.stdtr(df, -far) - alpha
        x += excess / (_density(df, x) + _density(df, far))
    return x * s, weights


def _density(df: int, t: Array) -> Array:
    log_constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    density: Array = np.exp(log_constant - (df + 1) / 2 * np.log1p(t * t / df))
    return density


@cache
def spreads(df: int) -> tuple[Array, Array]:
    """Return nodes and weights that average over sqrt(chi2_df / df): Gauss and Legendre's on its density."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half_width = _WIDEST / math.sqrt(2 * df)
    low, high = max(0.0, 1 - half_width), 1 + half_width
    s = low + (high - low) * (nodes + 1) / 2
    log_density = (df - 1) * np.log(s) - df * s * s / 2
    density = weights * np.exp(log_density - log_density.max())
    return s, density / density.sum()


@cache
def spread_bound(df: int) -> float:
    """Return the 80 % upper bound of an sd over its estimate."""
    from scipy import special

    # df s^2 / sigma^2 is chi-square with df degrees of freedom: with probability .8 it exceeds its .2 quantile, and
    # then sigma < s sqrt(df / quantile). `chdtri` takes the upper tail.
    return math.sqrt(df / float(special.chdtri(df, 0.8)))
