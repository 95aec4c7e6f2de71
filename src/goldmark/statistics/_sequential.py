"""Looks after 5, 10 and 20 seeds: how small p must be for an alarm, where a check may end, and what it detects."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goldmark.case import LOOKS
from goldmark.statistics._power import POWER, Design, critical_limits, rounded, spread_bound, spreads
from goldmark.statistics._scale import Array
from goldmark.statistics._split import MetricRule, split_alpha

LookDecision = Literal["alarm", "holds", "go on"]

# a larger p at the first or second look is no reason to train more; the last look ends the check anyway
ENOUGH_P = (0.3, 0.1)
_NODES = 64  # of the integrals over a Brownian motion between its bounds: 1e-14 of a probability, up to bounds of 7
_POINTS = 2**14  # quasi-random paths of a check: .002 of a power
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)  # a dimension each


def look_alphas(alpha: float, times: tuple[float, ...]) -> tuple[float, ...]:
    """Return the two-sided level of each look, at times that are shares of the final information.

    All looks together alarm with probability alpha: |Z| >= c / sqrt(t) at time t, which is a Brownian motion at a
    distance of c or more (O'Brien and Fleming, Biometrics 35, 1979). That a check may also end early without an alarm
    is not counted, so that alpha holds for whoever trains on. Applied to the p-value of t tests the levels keep the
    size nearly (Jennison and Turnbull, "Group Sequential Methods", 2000, section 4.4), and their sum bounds it: 1.002
    alpha in pairs, at alpha .001.
    """
    from scipy import special

    bound = _brownian_bound(alpha, times)
    return tuple(2 * float(special.ndtr(-bound / math.sqrt(t))) for t in times)


@cache
def _brownian_bound(alpha: float, times: tuple[float, ...]) -> float:
    """Return the distance that a Brownian motion reaches, at one of some times, with probability alpha."""
    from scipy import special

    low, high = (-float(special.ndtri(alpha / 2 / n)) for n in (1, len(times)))  # a single look; Bonferroni
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _crossing(middle, times) > alpha else (low, middle)
    return high


def _crossing(bound: float, times: tuple[float, ...]) -> float:
    """Return how often a Brownian motion lies at a bound or beyond, on either side, at one of some times.

    Its density between the bounds is carried from look to look by numerical integration: Armitage, McPherson and Rowe,
    Journal of the Royal Statistical Society A 132 (1969).
    """
    from scipy import special

    nodes, weights = _nodes()
    places, masses, before, crossed = np.zeros(1), np.ones(1), 0.0, 0.0
    for t in times:
        step = math.sqrt(t - before)
        crossed += float(masses @ sum(special.ndtr((side * places - bound) / step) for side in (-1, 1)))
        kernel = np.exp(-(((bound * nodes[:, None] - places) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        places, masses, before = bound * nodes, bound * weights * (kernel @ masses), t
    return crossed


@cache
def _nodes() -> tuple[Array, Array]:
    """Return the nodes and weights of Gauss and Legendre's integral from -1 to 1."""
    return np.polynomial.legendre.leggauss(_NODES)


def look_rule(rule: MetricRule, n: int, *, paired: bool, n_golden: int) -> MetricRule:
    """Return the rule of a look at n seeds: that of the metric with the part of its alpha that this look has.

    Information is 1 / error^2: n in pairs, 1 / (1 / n + 1 / N) of two groups. More seeds than the last look asks for
    are a last look.
    """
    errors = [Design.of(look, n_golden, paired=paired).errors for look in LOOKS]
    times = tuple((errors[-1] / error) ** 2 for error in errors)
    return replace(rule, alpha=look_alphas(rule.alpha, times)[_index(n)])


def _index(n: int) -> int:
    return LOOKS.index(min(n, LOOKS[-1]))


def decided(p: Array, n: int, alpha: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a look at n seeds alarms and where it holds, for p-values (...) of its rule; elsewhere go on."""
    return p <= alpha, p > (alpha if n >= LOOKS[-1] else ENOUGH_P[_index(n)])


def look_decision(p: float, n: int, alpha: float) -> LookDecision:
    """Return what a look at n seeds decides of a metric, alpha that of the look's rule."""
    alarms, holds = decided(np.asarray(p), n, alpha)
    return "alarm" if alarms else ("holds" if holds else "go on")


def sequential_effect(sd: float, rule: MetricRule, *, paired: bool, n_golden: int) -> float:
    """Return the shift that a sequential check finds with power .9, against a golden of so many seeds.

    As `detectable_effect`, with an upper bound of the spread, and how far beyond the margin a shift must lie for one of
    the looks to alarm before an earlier one has ended the check. NaN for a golden of too few seeds, and for an alpha
    that is none.
    """
    if n_golden < LOOKS[-1] or math.isnan(sd) or not 0 < rule.alpha < 1:
        return math.nan
    bound = sd * spread_bound(n_golden - 1)
    beyond = _detected(rounded(rule.margin / bound), rule.alpha, None if paired else n_golden) if bound else 0.0
    return rule.margin + bound * beyond


def sequential_power(effect: float, sd: float, rule: MetricRule, *, paired: bool, n_golden: int) -> float:
    """Return how often a sequential check finds a shift of the mean where the true spread is sd, by t alone."""
    if not sd:
        return float(effect > rule.margin)
    limits = _limits(rule.margin / sd, rule.alpha, None if paired else n_golden)
    return _power(effect / sd, rule.margin / sd, limits, None if paired else n_golden)


@cache
def _detected(margin: float, alpha: float, n_golden: int | None) -> float:
    """Return how far beyond the margin, both in sd, a shift must lie to be seen with power .9: by bisection."""
    limits = _limits(margin, alpha, n_golden)
    low, high = 0.0, 1.0
    while _power(margin + high, margin, limits, n_golden) < POWER:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        enough = _power(margin + middle, margin, limits, n_golden) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def _power(effect: float, margin: float, limits: list[tuple[Array, Array]], n_golden: int | None) -> float:
    """Return the share of paths on which a look alarms before one holds; all in sd."""
    going, alarmed = np.ones(_POINTS, dtype=bool), np.zeros(_POINTS, dtype=bool)
    for errors, (alarm, enough) in zip(_paths(n_golden).errors, limits, strict=True):
        beyond = np.abs(effect + errors) - margin
        alarmed |= going & (beyond >= alarm)
        going &= (beyond < alarm) & (beyond > enough)
    return float(alarmed.mean())


def _limits(margin: float, alpha: float, n_golden: int | None) -> list[tuple[Array, Array]]:
    """Return how far beyond the margin, in sd, each look alarms and goes on, by the estimated spread of each path."""
    rule = MetricRule(margin=margin, alpha=alpha)
    paired, n_others = n_golden is None, n_golden or LOOKS[-1]
    limits = []
    for n, spread, enough_p in zip(LOOKS, _paths(n_golden).spreads, (*ENOUGH_P, None), strict=True):
        design = Design.of(n, n_golden, paired=paired)
        look = look_rule(rule, n, paired=paired, n_golden=n_others)
        share = split_alpha(look, n, n_others, paired=paired)["mean"]
        levels = [share, share] if enough_p is None else [share, enough_p * share / look.alpha]
        # the limits are smooth functions of the spread: taken at the nodes of its integral, and interpolated
        by_spread = [critical_limits(design.df, level, rounded(margin / design.errors))[0] for level in levels]
        nodes = spreads(design.df)[0]
        alarm, enough = (np.interp(spread, nodes, limit) * design.errors for limit in by_spread)
        limits.append((alarm, enough))
    return limits


class _Paths(NamedTuple):
    """What chance makes of a check, in sd: the error of the shift and the estimated spread, (looks, points) each."""

    errors: Array
    spreads: Array


@cache
def _paths(n_golden: int | None) -> _Paths:
    """Return equally likely paths of a check, in pairs or against a golden of so many seeds.

    Means and sums of squares of the seeds that a look adds are independent, and are put together as by Chan, Golub and
    LeVeque (The American Statistician 37, 1983). Their quantiles are the fractions of multiples of square roots of
    primes, one prime a dimension: a fixed sequence of low discrepancy (Richtmyer 1951), the same on every machine.
    """
    from scipy import special

    quantiles = np.modf(np.outer(np.sqrt(_PRIMES), np.arange(1, _POINTS + 1)))[0]
    mean, squares, n = np.zeros(_POINTS), np.zeros(_POINTS), 0
    golden_mean, golden_squares = mean, squares
    if n_golden is not None:
        golden_mean = special.ndtri(quantiles[6]) / math.sqrt(n_golden)
        golden_squares = special.chdtri(n_golden - 1, quantiles[7])
    errors, estimates = [], []
    for look, total in enumerate(LOOKS):
        added = total - n
        apart = special.ndtri(quantiles[2 * look]) / math.sqrt(added) - mean
        squares = squares + special.chdtri(added - 1, quantiles[2 * look + 1]) + apart**2 * n * added / total
        mean, n = mean + apart * added / total, total
        errors.append(mean - golden_mean)
        df = Design.of(n, n_golden, paired=n_golden is None).df
        estimates.append(np.sqrt((squares + golden_squares) / df))
    return _Paths(np.array(errors), np.array(estimates))
