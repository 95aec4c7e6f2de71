"""Leaks: validation windows that were cut from the same stretch of a series as training windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._structures import row_keys

_BASE = 1_000_003  # of hashes of several steps


def overlap_share(train: Tensor, val: Tensor, run: int = 4) -> float:
    """Return the share of validation windows (M, T, F) that have a stretch in common with a training window (N, T, F).

    A stretch is `run` consecutive steps, equal value for value; one that holds a step twice, as padding does, does not
    count. Pass windows before they are scaled one by one.
    Raises `ValueError` where windows are shorter than a stretch or differ in their features.
    """
    _refuse_unlike(train, val, run)
    known, wanted = _stretches(train, run), _stretches(val, run)
    common = torch.isin(wanted, known[known != 0]) & (wanted != 0)
    return float(common.any(dim=1).double().mean())


def continued_share(train: Tensor, val: Tensor, run: int = 4) -> float:
    """Return the share of validation windows (M, T, F) that begin with the end of a training window, or the reverse.

    Two windows of one series that start d steps apart are equal in all T - d steps that they share, not in some; rows
    of a table and pictures are not, where stretches of a few values agree in other places. A match of `run` steps or
    more counts unless steps of these frequencies would match by chance once in 100 comparisons of all windows.
    Raises `ValueError` as `overlap_share` does, and where windows differ in length.
    """
    _refuse_unlike(train, val, run)
    if train.shape[1] != val.shape[1]:
        raise ValueError(f"windows of {train.shape[1]} and {val.shape[1]} steps; their ends are compared at one length")
    windows = torch.cat([train, val]).detach().cpu().double()
    keys = row_keys(windows.flatten(0, 1)).reshape(windows.shape[:2])
    sides = []
    for backwards in (False, True):  # its beginning is an end; read backwards, its end is a beginning
        both = keys.flip(1) if backwards else keys
        ends, begins = both[: len(train)], both[len(train) :]
        first, second = (torch.isin(ends[:, place:], begins[:, place]) for place in (0, 1))
        starts = (first[:, :-1] & second).any(dim=0).tolist()  # where two steps are such as windows begin with
        sides += [(backwards, ends, begins, starts)] if any(starts[1:]) else []
    if not sides:
        return 0.0
    series, continued = _Steps.of(windows, keys), torch.zeros(len(val), dtype=torch.bool)
    needed = math.log(100 * 2 * len(train) * len(val) * train.shape[1])
    for backwards, ends, begins, starts in sides:
        surprise = series.surprise(backwards=backwards)[len(train) :]
        for length, first, last in _ends_and_beginnings(begins, ends):
            if length >= run and starts[1 - length]:
                continued |= torch.isin(first, last) & (surprise[:, length - 1] > needed)
    return float(continued.double().mean())


def check_overlapping_windows(
    train: Tensor, val: Tensor, threshold: float = 0.0, *, continued: bool = False
) -> Finding:
    """Find out whether more than a share `threshold` of validation windows overlap a training window.

    Windows that start every few steps of a long series overlap; a random split of them has nearly every validation
    window in training too, a split in time a few at the seam. The share is `overlap_share`, or, of what may be no
    series, `continued_share`.
    """
    share = continued_share(train, val) if continued else overlap_share(train, val)
    return Finding(
        name="overlapping_windows",
        trouble=not share <= threshold,
        numbers={"share": share},
        threshold=threshold,
        relation="no stretch of a series may lie in both halves",
        advice="windows overlap across the split, so that validation data was trained on: split in time, with a gap",
    )


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """The steps of windows (N, T, F), and how little each tells by being what it is: -log of how frequent it is."""

    keys: Tensor  # (N, T) hashes
    values: Tensor  # (N, T) of the step itself
    jumps: Tensor  # (N, T - 1) of the change from the step before

    @classmethod
    def of(cls, windows: Tensor, keys: Tensor) -> _Steps:
        """Return the steps of windows (N, T, F) that have these hashes (N, T)."""
        spread = windows[windows.isfinite()].std() + 1e-12
        changes = (windows.diff(dim=1) / spread * 1e4).round()  # decimals differ by rounding
        jumps = row_keys(changes.flatten(0, 1)).reshape(changes.shape[:2])
        return cls(keys=keys, values=_rareness(keys), jumps=_rareness(jumps))

    def surprise(self, *, backwards: bool) -> Tensor:
        """Return -log of the chance (N, T) to see the first 1, 2, ... steps of each window, or the last ones.

        The larger of two chances: of unlike values drawn one by one, and of a first value with the changes after it.
        """
        keys, values, jumps = (one.flip(1) if backwards else one for one in (self.keys, self.values, self.jumps))
        order = keys.argsort(dim=1, stable=True)
        in_order = keys.gather(1, order)
        repeated = torch.zeros_like(keys, dtype=torch.bool)
        repeated.scatter_(1, order[:, 1:], in_order[:, 1:] == in_order[:, :-1])
        unlike = values.masked_fill(repeated, 0).cumsum(dim=1)
        changing = torch.cat([values[:, :1], jumps], dim=1).cumsum(dim=1)
        return torch.minimum(unlike, changing)


def _rareness(keys: Tensor) -> Tensor:
    """Return -log of the share of all entries that are what an entry is."""
    _, places, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    rareness: Tensor = -(counts.double() / keys.numel()).log()
    return rareness[places]


def _ends_and_beginnings(begins: Tensor, ends: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield 1, 2, ... up to T - 1 steps, hashes (M,) of the first so many and hashes (N,) of the last so many."""
    first, last = torch.zeros_like(begins[:, 0]), torch.zeros_like(ends[:, 0])
    factor = torch.tensor(1)  # overflows as the hashes do
    for length in range(1, begins.shape[1]):
        first = first + begins[:, length - 1] * factor
        last = last * _BASE + ends[:, -length]
        factor = factor * _BASE
        yield length, first, last


def _refuse_unlike(train: Tensor, val: Tensor, run: int) -> None:
    if train.shape[2:] != val.shape[2:] or min(train.shape[1], val.shape[1]) < run:
        raise ValueError(
            f"windows {tuple(train.shape)} and {tuple(val.shape)}: both are (N, T, F) with equal F and T >= {run}"
        )


def _stretches(windows: Tensor, run: int) -> Tensor:
    """Return a hash (N, T - run + 1) for every stretch, 0 for one that holds a step twice."""
    steps = row_keys(windows.flatten(0, 1)).reshape(windows.shape[:2]).unfold(1, run, 1)
    keys = sum(steps[..., place] * (_BASE**place) for place in range(run))
    twice = [(steps[..., lag:] == steps[..., :-lag]).any(dim=-1) for lag in range(1, run)]
    return torch.where(torch.stack(twice).any(dim=0), 0, keys)
