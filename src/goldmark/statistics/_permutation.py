"""Permutation tests with a margin, exact where the subsets can be counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldmark.statistics._scale import Array

COUNTED_SEEDS = 40  # whose subsets are counted exactly, however different their values are
_LARGEST_GRID = 2 ** (COUNTED_SEEDS // 2)  # subset sums held at once for half of the values
_SAMPLED_SUBSETS = 50_000
_ROUNDING = 1e-12  # of the sum of magnitudes: subset sums this close are ties, and ties count against an alarm


def sign_flip(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, sd of the differences and p of the sign-flip test with a margin: x, y (n,) -> ().

    Where the true shift is the margin, a difference is as likely beyond it as short of it. p is the share of all flips
    around the margin that bring the mean as far out as it is, on either side. Flipping the signs of the subset S turns
    the sum T into T - 2 sum(S): as large as T where sum(S) <= 0, and beyond the other side where the subset that is not
    flipped has a sum of -n margin at most.
    """
    d = x - y
    shift = d.mean()
    beyond = np.sign(shift) * d - margin
    p = sum(_shares_of_subsets(beyond, None, (0.0, -len(d) * margin))) if abs(shift) > margin else 1.0
    return shift, d.std(ddof=1), np.asarray(min(1.0, p))


def permutation(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, pooled sd and p of the permutation test of two groups with a margin: x (n,), y (N,) -> ().

    The new group is moved back by the margin. p is the share of all groups of n that lie as far from the others as it
    did, on either side.
    """
    shift = x.mean() - y.mean()
    sign, size = np.sign(shift), abs(shift)
    both = np.concatenate([sign * x - margin, sign * y])
    weight = 1 / len(x) + 1 / len(y)  # a group of sum G lies weight G - sum / N from the others
    short = (both.sum() / len(y) - size - margin) / weight  # the largest G that is as far out on the other side
    p = 1.0
    if size > margin:
        (above,) = _shares_of_subsets(-both, len(x), (-both[: len(x)].sum(),))
        (below,) = _shares_of_subsets(both, len(x), (short,))
        p = min(1.0, above + below)
    variances = ((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / (len(x) + len(y) - 2)
    return shift, np.sqrt(variances), np.asarray(p)


def _shares_of_subsets(values: Array, size: int | None, limits: Sequence[float]) -> list[float]:
    """Return the share of the subsets (of a size, or of any) whose sum is at most each limit, ties included.

    Subsets are counted, not drawn, from the sums of two halves; beyond what fits in memory a fixed sample stands in.
    """
    different, counts = np.unique(values, return_counts=True)
    rounding = _ROUNDING * float(np.abs(values).sum())
    limits = [limit + rounding for limit in limits]
    half = len(different) // 2
    if max(math.prod((counts[:half] + 1).tolist()), math.prod((counts[half:] + 1).tolist())) > _LARGEST_GRID:
        return _shares_of_sampled_subsets(values, size, limits)
    left, right = (_Sums.of(different[part], counts[part]) for part in (slice(half), slice(half, None)))
    if size is None:
        return [_pairs_within(left, right, limit) / 2.0 ** len(values) for limit in limits]
    sized = [(left.of_size(k), right.of_size(size - k)) for k in range(size + 1)]
    total = math.comb(len(values), size)
    return [sum(_pairs_within(*pair, limit) for pair in sized) / total for limit in limits]


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
    """Count the pairs of a left and a right subset whose sums add up to at most the limit; both are sorted by sum.

    Meet in the middle (Horowitz and Sahni, "Computing partitions with applications to the knapsack problem", Journal of
    the ACM 21, 1974): 2^(n / 2) sums of each half and a search stand for the 2^n sums of the whole.
    """
    below = np.concatenate([[0.0], np.cumsum(right.ways)])
    return float(left.ways @ below[np.searchsorted(right.sums, limit - left.sums, side="right")])


def _shares_of_sampled_subsets(values: Array, size: int | None, limits: Sequence[float]) -> list[float]:
    """Return the shares among a fixed sample, the observed arrangement included, so that the test keeps its level."""
    generator = np.random.default_rng(0)
    counts, block = np.ones(len(limits)), 2_000
    for _ in range(_SAMPLED_SUBSETS // block):
        draws = generator.random((block, len(values)))
        taken = draws < 0.5 if size is None else draws.argsort(axis=1).argsort(axis=1) < size
        counts += (taken @ values <= np.reshape(limits, (-1, 1))).sum(axis=1)
    return [float(count) for count in counts / (_SAMPLED_SUBSETS + 1)]
