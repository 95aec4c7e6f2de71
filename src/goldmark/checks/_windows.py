"""Leaks: validation windows that were cut from the same stretch of a series as training windows."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._structures import row_keys


def overlap_share(train: Tensor, val: Tensor, run: int = 4, *, shifted: bool = False) -> float:
    """Return the share of validation windows (M, T, F) that have a stretch in common with a training window (N, T, F).

    A stretch is `run` consecutive steps, equal value for value; one that holds a step twice, as padding does, does not
    count. Pass windows before they are scaled one by one. `shifted` counts stretches alone that lie elsewhere in the
    training window: in a table whose columns are no series, columns of few values agree in their place by chance.
    Raises `ValueError` where windows are shorter than a stretch or differ in their features.
    """
    if train.shape[2:] != val.shape[2:] or min(train.shape[1], val.shape[1]) < run:
        raise ValueError(
            f"windows {tuple(train.shape)} and {tuple(val.shape)}: both are (N, T, F) with equal F and T >= {run}"
        )
    known, wanted = _stretches(train, run), _stretches(val, run)
    usable = [keys != 0 for keys in (known, wanted)]
    common = torch.isin(wanted, known[usable[0]]) & usable[1]
    if shifted and bool(common.any()):
        places = [keys + 7_046_029 * torch.arange(keys.shape[1]) for keys in (known, wanted)]
        common &= ~torch.isin(places[1], places[0][usable[0]])
    return float(common.any(dim=1).double().mean())


def check_overlapping_windows(train: Tensor, val: Tensor, threshold: float = 0.0, *, shifted: bool = False) -> Finding:
    """Find out whether more than a share `threshold` of validation windows overlap a training window.

    Windows that start every few steps of a long series overlap; a random split of them has nearly every validation
    window in training too, a split in time a few at the seam.
    """
    share = overlap_share(train, val, shifted=shifted)
    return Finding(
        name="overlapping_windows",
        trouble=not share <= threshold,
        numbers={"share": share},
        threshold=threshold,
        relation="no stretch of a series may lie in both halves",
        advice="windows overlap across the split, so that validation data was trained on: split in time, with a gap",
    )


def _stretches(windows: Tensor, run: int) -> Tensor:
    """Return a hash (N, T - run + 1) for every stretch, 0 for one that holds a step twice."""
    steps = row_keys(windows.flatten(0, 1)).reshape(windows.shape[:2]).unfold(1, run, 1)
    keys = sum(steps[..., place] * (1_000_003**place) for place in range(run))
    twice = [(steps[..., lag:] == steps[..., :-lag]).any(dim=-1) for lag in range(1, run)]
    return torch.where(torch.stack(twice).any(dim=0), 0, keys)
