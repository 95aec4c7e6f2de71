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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldmark.case import Scale, UsageError

Array = NDArray[np.float64]
TestName = Literal["paired t", "Welch", "paired permutation", "permutation", "equal"]

_FEWEST_SEEDS = 5
_POWER = 0.9  # of the detectable effect
_LARGEST_GRID = 2**20  # subset sums held at once for half of the values: 40 different values are counted exactly
_SAMPLED_SUBSETS = 50_000
_ROUNDING = 1e-12  # of the sum of magnitudes: subset sums this close are ties, and ties count against an alarm


@dataclass(frozen=True)
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


def on_scale(values: ArrayLike, scale: Scale) -> Array:
    """Return values on the scale on which they are compared, as float64; raise `UsageError` for a log of 0 or less."""
    array = np.asarray(values, dtype=np.float64)
    if scale == "identity":
        return array
    if (array <= 0).any():
        raise UsageError(f"a log scale needs positive values, not {array.min():g}; use the identity scale and the unit")
    return np.log(array)


def read_margin(margin: float | str, scale: Scale) -> tuple[Scale, float]:
    """Return the scale and the margin on it without looking at values; raise `UsageError` for anything but a margin."""
    try:
        number = float(margin.removesuffix("%")) if isinstance(margin, str) else float(margin)
    except ValueError:
        number = math.nan
    if isinstance(margin, str) and not margin.endswith("%"):
        number = math.nan
    if not 0 <= number < math.inf:
        raise UsageError(f"a margin is a number of at least 0 or a percentage such as '2%', not {margin!r}")
    return ("log", math.log1p(number / 100)) if isinstance(margin, str) else (scale, number)


def allows_percent(values: ArrayLike) -> bool:
    """Tell whether a change of the values in percent means something: all are positive and the mean exceeds 3 sd."""
    array = np.asarray(values, dtype=np.float64)
    return bool((array > 0).all() and array.mean() > 3 * (array.std(ddof=1) if array.size > 1 else 0.0))


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
) -> Shift:
    """Compare the values of every seed with a golden's: `paired` by seed, on the same stream, or as two groups.

    Raise `UsageError` for seeds that differ, for too few of them, and for values that are not finite.
    """
    _refuse_seeds(new, golden, why_too_few(len(golden), test, alpha, paired=paired))
    x = on_scale([new[seed] for seed in golden], scale)
    y = on_scale(list(golden.values()), scale)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UsageError("values that are not finite cannot be compared; find out why training left them")
    core = {"t": paired_t if paired else welch, "permutation": paired_flip if paired else split}[test]
    shift, sd, p = (float(number) for number in core(x, y, margin))
    return Shift(p <= alpha, shift, margin, sd, len(y), p, _test_name(test, sd, paired=paired), alpha, paired)


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

    Degrees of freedom by Welch, Biometrika 34 (1947).
    """
    n = x.shape[-1]
    shift = x.mean(axis=-1) - y.mean(axis=-1)
    u, v = x.var(axis=-1, ddof=1), y.var(axis=-1, ddof=1)
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


def paired_flip(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, sd of the differences and two-sided p of the sign-flip test with a margin: x, y (n,) -> ().

    Under |shift| <= margin a difference beyond the margin is as likely on either side of it, at most. Flipping the
    signs of the subset S turns the sum T into T - 2 sum(S), which is as large as T where sum(S) <= 0.
    """
    d = x - y
    shift = d.mean()
    beyond = np.sign(shift) * d - margin
    p = min(1.0, 2 * _share_of_subsets(beyond, None, 0.0))
    return shift, d.std(ddof=1), np.asarray(p)


def split(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, pooled sd and two-sided p of the permutation test of two groups with a margin: x, y (n,) -> ()."""
    shift = x.mean() - y.mean()
    sign = np.sign(shift)
    group = sign * x - margin
    p = min(1.0, 2 * _share_of_subsets(-np.concatenate([group, sign * y]), len(x), -group.sum()))
    return shift, np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2), np.asarray(p)


def _share_of_subsets(values: Array, size: int | None, limit: float) -> float:
    """Return the share of the subsets (of a size, or of any) whose sum is at most a limit, ties included.

    Subsets are counted, not drawn, from the sums of two halves; beyond what fits in memory a fixed sample stands in.
    """
    different, counts = np.unique(values, return_counts=True)
    limit += _ROUNDING * float(np.abs(values).sum())
    half = len(different) // 2
    if max(math.prod((counts[:half] + 1).tolist()), math.prod((counts[half:] + 1).tolist())) > _LARGEST_GRID:
        return _share_of_sampled_subsets(values, size, limit)
    left, right = (_Sums.of(different[part], counts[part]) for part in (slice(half), slice(half, None)))
    if size is None:
        return _pairs_within(left, right, limit) / 2.0 ** len(values)
    found = sum(_pairs_within(left.of_size(k), right.of_size(size - k), limit) for k in range(size + 1))
    return found / math.comb(len(values), size)


@dataclass(frozen=True)
class _Sums:
    """The sums of all subsets of some values with repeats: how many values each takes, its sum, in how many ways."""

    sizes: NDArray[np.int64]
    sums: Array
    ways: Array

    @classmethod
    def of(cls, different: Array, counts: NDArray[np.int64]) -> _Sums:
        sizes, sums, ways = np.zeros(1, dtype=np.int64), np.zeros(1), np.ones(1)
        for value, count in zip(different.tolist(), counts.tolist(), strict=True):
            taken = np.arange(count + 1)
            sizes = np.add.outer(sizes, taken).ravel()
            sums = np.add.outer(sums, taken * value).ravel()
            ways = np.multiply.outer(ways, [math.comb(count, k) for k in range(count + 1)]).ravel()
        order = sums.argsort()
        return cls(sizes[order], sums[order], ways[order])

    def of_size(self, size: int) -> _Sums:
        kept = self.sizes == size
        return _Sums(self.sizes[kept], self.sums[kept], self.ways[kept])


def _pairs_within(left: _Sums, right: _Sums, limit: float) -> float:
    """Count the pairs of a left and a right subset whose sums add up to at most the limit; both are sorted by sum."""
    below = np.concatenate([[0.0], np.cumsum(right.ways)])
    return float(left.ways @ below[np.searchsorted(right.sums, limit - left.sums, side="right")])


def _share_of_sampled_subsets(values: Array, size: int | None, limit: float) -> float:
    """Return the share among a fixed sample, the observed arrangement included, so that the test keeps its level."""
    generator = np.random.default_rng(0)
    found, block = 1, 2_000
    for _ in range(_SAMPLED_SUBSETS // block):
        draws = generator.random((block, len(values)))
        taken = draws < 0.5 if size is None else draws.argsort(axis=1).argsort(axis=1) < size
        found += int((taken @ values <= limit).sum())
    return found / (_SAMPLED_SUBSETS + 1)


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
    core, golden = paired_flip if paired else split, np.zeros(n)
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

    return math.sqrt(df / float(special.chdtri(df, 0.8)))


def spread(values: Sequence[float] | Array) -> float:
    """Return the sd over seeds (n - 1 in the denominator): NaN for fewer than two."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.std(ddof=1)) if array.size > 1 else math.nan


def paired_p_value(a: ArrayLike, b: ArrayLike, scale: Scale) -> float:
    """Return the one-sided paired t p-value for mean(a) < mean(b) on a scale; NaN where a value is NaN.

    Raise `UsageError` for fewer than 5 pairs.
    """
    d = on_scale(a, scale) - on_scale(b, scale)
    if d.size < _FEWEST_SEEDS:
        raise UsageError(why_too_few(d.size, "t", 0.05, paired=True))
    error = float(d.std(ddof=1)) / math.sqrt(d.size)
    if error == 0:
        return 0.0 if d.mean() < 0 else 1.0
    from scipy import special

    return float(special.stdtr(d.size - 1, d.mean() / error))
