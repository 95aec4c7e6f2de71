"""Permutation tests with a margin, exact where the subsets can be counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldmark.statistics._scale import Array

_LARGEST_GRID = 2**20  # subset sums held at once for half of the values: 40 different values are counted exactly
_SAMPLED_SUBSETS = 50_000
_ROUNDING = 1e-12  # of the sum of magnitudes: subset sums this close are ties, and ties count against an alarm


def sign_flip(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
    """Return shift, sd of the differences and two-sided p of the sign-flip test with a margin: x, y (n,) -> ().

    Under |shift| <= margin a difference beyond the margin is as likely on either side of it, at most. Flipping the
    signs of the subset S turns the sum T into T - 2 sum(S), which is as large as T where sum(S) <= 0.
    """
    d = x - y
    shift = d.mean()
    beyond = np.sign(shift) * d - margin
    p = min(1.0, 2 * _share_of_subsets(beyond, None, 0.0))
    return shift, d.std(ddof=1), np.asarray(p)


def permutation(x: Array, y: Array, margin: float) -> tuple[Array, Array, Array]:
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
    count = sum(_pairs_within(left.of_size(k), right.of_size(size - k), limit) for k in range(size + 1))
    return count / math.comb(len(values), size)


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


def _share_of_sampled_subsets(values: Array, size: int | None, limit: float) -> float:
    """Return the share among a fixed sample, the observed arrangement included, so that the test keeps its level."""
    generator = np.random.default_rng(0)
    count, block = 1, 2_000
    for _ in range(_SAMPLED_SUBSETS // block):
        draws = generator.random((block, len(values)))
        taken = draws < 0.5 if size is None else draws.argsort(axis=1).argsort(axis=1) < size
        count += int((taken @ values <= limit).sum())
    return count / (_SAMPLED_SUBSETS + 1)
