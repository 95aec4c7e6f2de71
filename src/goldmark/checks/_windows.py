"""Leaks: validation windows that were cut from the same stretch of a series as training windows."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


def overlap_share(train: Tensor, val: Tensor, run: int = 4) -> float:
    """Return the share of validation windows (M, T, F) that have a stretch in common with a training window (N, T, F).

    A stretch is `run` consecutive steps, equal value for value: pass windows before they are scaled one by one, and
    without padding. Raises `ValueError` where windows are shorter than that or differ in their features.
    """
    if train.shape[2:] != val.shape[2:] or min(train.shape[1], val.shape[1]) < run:
        raise ValueError(
            f"windows {tuple(train.shape)} and {tuple(val.shape)}: both are (N, T, F) with equal F and T >= {run}"
        )
    known = {stretch for window in train for stretch in _stretches(window, run)}
    return sum(any(stretch in known for stretch in _stretches(window, run)) for window in val) / len(val)


def overlapping_windows(train: Tensor, val: Tensor, threshold: float = 0.0) -> Finding:
    """Find out whether more than a share `threshold` of validation windows overlap a training window.

    Windows that start every few steps of a long series overlap; a random split of them has nearly every validation
    window in training too.
    """
    share = overlap_share(train, val)
    return Finding(
        name="overlapping_windows",
        trouble=not share <= threshold,
        numbers={"share": share},
        threshold=threshold,
        advice="windows overlap across the split, so that validation data was trained on: split in time, with a gap",
    )


def _stretches(window: Tensor, run: int) -> list[bytes]:
    steps = window.detach().cpu().contiguous().numpy()
    return [steps[start : start + run].tobytes() for start in range(len(steps) - run + 1)]
