"""The whole rule for one metric: whether new values lie further from golden ones than a margin, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from goldmark.case import UsageError
from goldmark.statistics._mean import MeanShift, group_shift, paired_shift
from goldmark.statistics._permutation import permutation, sign_flip
from goldmark.statistics._power import detectable_effect, seeds_within
from goldmark.statistics._scale import Array, on_scale
from goldmark.statistics._seeds import dead_seeds, wild_seed
from goldmark.statistics._split import MetricRule, Part, split_alpha, why_too_few

TestName = Literal[
    "paired t",
    "Welch",
    "pooled t",
    "paired permutation",
    "permutation",
    "sign flip",
    "wild seed",
    "dead seeds",
    "equal",
]
Judgement = Literal["changed", "equal", "undecided"]

_Core = Callable[[Array, Array, float], tuple[Array, Array, Array]]  # shift, sd and p of one pair of samples

CONFIDENCE = 0.99  # of the interval of a shift


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far new values lie from golden ones on the metric's scale, and whether that is more than the margin."""

    alarm: bool
    shift: float  # mean new - mean golden
    interval: tuple[float, float]  # of the shift, 99 %, by t
    rule: MetricRule
    sd: float  # of the paired differences, or of one value within the groups
    n: int
    n_golden: int  # seeds of the golden that were used: n in pairs
    p: float  # the smallest of all tests, each over its share of alpha
    test: TestName  # that test
    paired: bool

    @property
    def margin(self) -> float:
        """The margin on the metric's scale."""
        return self.rule.margin

    @property
    def judgement(self) -> Judgement:
        """Changed: an alarm. Equal: the whole interval lies within the margin. Undecided: neither."""
        if self.alarm:
            return "changed"
        return "equal" if max(map(abs, self.interval)) <= self.margin else "undecided"

    @property
    def deciding_seeds(self) -> int | None:
        """The seeds with which an interval of this spread would lie clear of the margin, or None where none would."""
        gap = abs(abs(self.shift) - self.margin)
        return seeds_within(self.sd, gap, paired=self.paired, confidence=CONFIDENCE)

    @property
    def detectable(self) -> float:
        """The shift that a t test would have found with power .9, given the spread of this comparison."""
        rule = replace(self.rule, test="t")
        return detectable_effect(self.sd, self.n, rule, paired=self.paired, n_golden=self.n_golden)


def compare_values(
    new: Mapping[str, float], golden: Mapping[str, float], rule: MetricRule, *, paired: bool, allow_few: bool = False
) -> Shift:
    """Compare new values, of some or all of a golden's seeds, with the golden's: `paired` by seed, or as two groups.

    Raise `UsageError` for seeds that the golden lacks, for too few of them, and for values that are not finite.
    `allow_few` takes as few as the test can be computed with, two: it keeps its level, but a spread from so few is a
    guess.
    """
    few_enough = allow_few and len(new) > 1
    too_few = why_too_few(len(new), rule, paired=paired, n_golden=len(golden))
    _refuse_seeds(new, golden, None if few_enough else too_few)
    values = list(new.values())
    golden_values = [golden[seed] for seed in (*new, *(seed for seed in golden if seed not in new))]
    if not np.isfinite([*values, *golden_values]).all():
        raise UsageError("values that are not finite cannot be compared; find out why training left them")
    return _shift(on_scale(values, rule.scale), on_scale(golden_values, rule.scale), rule, paired=paired)


def _refuse_seeds(new: Mapping[str, float], golden: Mapping[str, float], too_few: str | None) -> None:
    if not new or not set(new) <= set(golden):
        raise UsageError(f"the seeds are {', '.join(new)}, the golden's are {', '.join(golden)}; train the same seeds")
    if too_few:
        raise UsageError(too_few)


def _shift(x: Array, y: Array, rule: MetricRule, *, paired: bool) -> Shift:
    mean = mean_shift(x, y, paired=paired)
    tests = weighed_p(x, y, rule, paired=paired)
    test, p = min(((name, float(value)) for name, value in tests.items()), key=lambda pair: pair[1])
    low, high = mean.interval(CONFIDENCE)
    return Shift(
        alarm=p <= rule.alpha,
        shift=float(mean.shift),
        interval=(float(low), float(high)),
        rule=rule,
        sd=float(mean.sd),
        n=len(x),
        n_golden=len(x) if paired else len(y),
        p=min(1.0, p),
        test="equal" if mean.sd == 0 else test,
        paired=paired,
    )


def mean_shift(x: Array, y: Array, *, paired: bool) -> MeanShift:
    """Return the shift of the mean of x (..., n) from y (..., N); in pairs from the first n of y."""
    return paired_shift(x, y[..., : x.shape[-1]]) if paired else group_shift(x, y)


def weighed_p(x: Array, y: Array, rule: MetricRule, *, paired: bool) -> dict[TestName, Array]:
    """Return {test: its p-value over its share of alpha} of x (..., n) against y (..., N), both on the rule's scale.

    An alarm is any value of alpha or less: by Bonferroni all tests together alarm with probability alpha at most.
    """
    n, n_golden, margin = x.shape[-1], y.shape[-1], rule.margin
    split = split_alpha(rule, n, n_golden, paired=paired)
    parts: dict[Part, tuple[TestName, Array]] = {"mean": _mean_p(x, y, rule, paired=paired)}
    if "sign flip" in split:
        parts["sign flip"] = ("sign flip", _sign_flip_p(x, y[..., :n], margin, split["sign flip"]))
    if "wild seed" in split:
        parts["wild seed"] = ("wild seed", wild_seed(x, y, margin))
    if "dead seeds" in split and rule.dead_below is not None:
        parts["dead seeds"] = ("dead seeds", dead_seeds(x, y, float(on_scale(rule.dead_below, rule.scale))))
    return {name: p * (rule.alpha / split[part]) for part, (name, p) in parts.items()}


def _mean_p(x: Array, y: Array, rule: MetricRule, *, paired: bool) -> tuple[TestName, Array]:
    n, n_golden = x.shape[-1], y.shape[-1]
    if rule.test == "t":
        name: TestName = "paired t" if paired else ("Welch" if n == n_golden else "pooled t")
        return name, mean_shift(x, y, paired=paired).p(rule.margin)
    if paired:
        return "paired permutation", _each(sign_flip, x, y[..., :n], rule.margin)
    return "permutation", _each(permutation, x, y, rule.margin)


def _sign_flip_p(x: Array, y: Array, margin: float, share: float) -> Array:
    """Return the p-values of the sign-flip test, or a lower bound of them where that exceeds the share already.

    To flip any of the k differences that do not lie beyond the margin leaves the mean as far out: p >= 2^(k - n).
    """
    d = x - y
    beyond = np.sign(d.mean(axis=-1, keepdims=True)) * d - margin
    p = np.array(2.0 ** ((beyond <= 0).sum(axis=-1) - d.shape[-1]))
    open_ = p <= share
    p[open_] = _each(sign_flip, x[open_], y[open_], margin)
    return p


def _each(core: _Core, x: Array, y: Array, margin: float) -> Array:
    """Return the p-values of a test that takes one pair of samples at a time."""
    rows = zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), strict=True)
    return np.reshape([core(a, b, margin)[2] for a, b in rows], x.shape[:-1])
