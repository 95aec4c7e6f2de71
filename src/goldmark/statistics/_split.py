"""The rule of one metric, and how its alpha is split between tests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from goldmark.case import MeanTest, Scale
from goldmark.statistics._mean import FEWEST_SEEDS, spread_is_a_guess
from goldmark.statistics._permutation import COUNTED_SEEDS
from goldmark.statistics._seeds import fisher

Part = Literal["mean", "sign flip", "wild seed", "dead seeds"]

# Shares of alpha. A wild seed and a noisy bug have p-values far below any limit, so that little is spent on them: the
# detectable effect of the mean grows by half a percent each. Seeds that fail outright are half of the question where
# they count.
_SHARES: dict[Part, float] = {"sign flip": 0.02, "wild seed": 0.02, "dead seeds": 0.5}


@dataclass(frozen=True, kw_only=True)
class MetricRule:
    """How the values of one metric are compared."""

    margin: float  # on the scale
    alpha: float  # false-alarm rate of all tests of the metric together
    scale: Scale = "identity"
    test: MeanTest = "t"
    dead_below: float | None = None  # a value below it, in the metric's unit, is that of a seed that failed outright


def split_alpha(rule: MetricRule, n: int, n_golden: int, *, paired: bool) -> dict[Part, float]:
    """Return the part of alpha that each test of a metric has; the test of the mean keeps what no other can use.

    A test takes part where its smallest possible p-value lies within its share: 2 / 2^n of the sign-flip test, and that
    of Fisher's test where all n new seeds died and none of the golden's. Where single seeds may fail outright
    (`dead_below`, or a permutation test) a wild seed is no sign of a bug.
    """
    smallest: dict[Part, float] = {}
    if rule.dead_below is not None:
        smallest["dead seeds"] = fisher(n, 0, n, n_golden)
    if rule.test == "t" and paired and n <= COUNTED_SEEDS:  # a sampled p-value is too coarse for so small a share
        smallest["sign flip"] = 2 / 2**n
    if rule.test == "t" and rule.dead_below is None:
        smallest["wild seed"] = 0.0
    parts = {part: _SHARES[part] * rule.alpha for part in smallest}
    shares = {part: share for part, share in parts.items() if smallest[part] <= share}
    return {"mean": rule.alpha - math.fsum(shares.values()), **shares}


def seeds_needed(rule: MetricRule, *, paired: bool, n_golden: int = 0) -> int:
    """Return the fewest seeds with which the test of the mean can alarm at all, and never less than 5.

    A permutation test reaches 1 / (number of arrangements) at best, twice that without a margin: 2^n paired,
    (n + N choose n) unpaired, N the golden's seeds where those are more.
    """
    n = FEWEST_SEEDS
    while rule.test == "permutation" and not _can_alarm(rule, n, max(n, n_golden), paired=paired):
        n += 1
    return n


def _can_alarm(rule: MetricRule, n: int, n_golden: int, *, paired: bool) -> bool:
    least = 1 if rule.margin > 0 else 2
    arrangements = 2**n if paired else math.comb(n + n_golden, n)
    return least / arrangements <= split_alpha(rule, n, n_golden, paired=paired)["mean"]


def why_too_few(n: int, rule: MetricRule, *, paired: bool, n_golden: int = 0) -> str | None:
    """Return why n seeds are too few for a test, with the number needed, or None where they are enough."""
    needed = seeds_needed(rule, paired=paired, n_golden=n_golden)
    if n >= needed:
        return None
    if needed == FEWEST_SEEDS:
        return spread_is_a_guess(n)
    kind = "paired" if paired else "unpaired"
    return f"{n} {kind} seeds cannot reach alpha {rule.alpha:g} in a permutation test; train {needed} or more"
