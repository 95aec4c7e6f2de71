"""Whether a metric moved by more than a margin: paired, Welch and permutation tests, and the effect they can detect.

Every test asks one question: is |mean new - mean golden|, on the metric's scale, larger than a margin that nobody would
mind? Both directions count, each with half of alpha. The cores take samples with a leading axis, so that the
simulations behind the stated error rates run the code that judges goldens.

The false-alarm rate is at most alpha for the permutation tests on exchangeable seeds, for Welch on two groups from one
distribution (normal, log-normal), and for paired differences between two such trainings: either could have been the
golden, so they are symmetric. An innocent change of code need not be. At alpha .001, with 5, 10 and 20 seeds, paired
differences that are a centered log-normal (sigma .8) alarm in 1.2 %, 2.1 % and 1.9 % of comparisons, and symmetric ones
without tails (uniform) in .33 %, .24 % and .17 %. A margin well above the spread of an innocent change absorbs both.
"""

from __future__ import annotations

from goldmark.statistics._permutation import permutation, sign_flip
from goldmark.statistics._power import detectable_effect, fewest_dead_seeds
from goldmark.statistics._scale import Array, allows_percent, on_scale, read_margin, spread
from goldmark.statistics._shift import (
    Shift,
    TestName,
    compare_values,
    paired_lower_p,
    paired_t,
    seeds_needed,
    welch,
    why_too_few,
)

__all__ = [
    "Array",
    "Shift",
    "TestName",
    "allows_percent",
    "compare_values",
    "detectable_effect",
    "fewest_dead_seeds",
    "on_scale",
    "paired_lower_p",
    "paired_t",
    "permutation",
    "read_margin",
    "seeds_needed",
    "sign_flip",
    "spread",
    "welch",
    "why_too_few",
]
