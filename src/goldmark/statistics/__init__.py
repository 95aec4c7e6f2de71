"""Whether a metric moved by more than a margin, by several tests with one alpha, and the effect that they can detect.

The question is always one: is |mean new - mean golden|, on the metric's scale, larger than a margin that nobody would
mind? Both directions count. Beside the mean, a sign-flip test sees a bug whose own scatter hides it from t, a test of
single seeds sees one that went wild, and Fisher's test counts seeds that failed outright; alpha is split between them.
The cores take samples with a leading axis, so that the simulations behind the stated error rates run the code that
judges goldens. docs/statistics.md holds the rates.
"""

from __future__ import annotations

from goldmark.statistics._mean import MeanShift, group_shift, paired_lower_p, paired_shift
from goldmark.statistics._null import null_bound
from goldmark.statistics._permutation import permutation, sign_flip
from goldmark.statistics._power import detectable_effect, fewest_dead_seeds, power_at, seeds_that_detect
from goldmark.statistics._rule import Judgement, Shift, TestName, compare_values, weighed_p
from goldmark.statistics._scale import Array, on_scale, read_margin, spread
from goldmark.statistics._seeds import dead_seeds, fisher, wild_seed
from goldmark.statistics._sequential import (
    ENOUGH_P,
    LookDecision,
    decided,
    look_alphas,
    look_decision,
    look_rule,
    sequential_effect,
    sequential_power,
)
from goldmark.statistics._split import MetricRule, seeds_needed, split_alpha, why_too_few

__all__ = [
    "ENOUGH_P",
    "Array",
    "Judgement",
    "LookDecision",
    "MeanShift",
    "MetricRule",
    "Shift",
    "TestName",
    "compare_values",
    "dead_seeds",
    "decided",
    "detectable_effect",
    "fewest_dead_seeds",
    "fisher",
    "group_shift",
    "look_alphas",
    "look_decision",
    "look_rule",
    "null_bound",
    "on_scale",
    "paired_lower_p",
    "paired_shift",
    "permutation",
    "power_at",
    "read_margin",
    "seeds_needed",
    "seeds_that_detect",
    "sequential_effect",
    "sequential_power",
    "sign_flip",
    "split_alpha",
    "spread",
    "weighed_p",
    "why_too_few",
    "wild_seed",
]
