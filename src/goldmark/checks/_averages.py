"""Averages: whether a score over a whole set is the mean over its samples, or over batches of unequal size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from goldmark.case import Finding

_SMALLEST = 1e-12  # of a mean loss that a relative error is taken of


def check_uneven_batches(
    evaluate: Callable[[Sequence[int]], float], n_samples: int, threshold: float = 1e-4
) -> Finding:
    """Find out whether a mean loss over all samples differs from the mean of the samples' own losses.

    `evaluate` takes the numbers of some samples, 0 ... n_samples - 1, and returns their loss as it is reported; it is
    called with all of them, and with each alone. A mean over batches counts the samples of a small last batch more than
    the others. The threshold is relative: sums of float32 in another order stay well below it.
    """
    whole = evaluate(range(n_samples))
    mean = fmean(evaluate([sample]) for sample in range(n_samples))
    error = abs(whole - mean) / max(abs(mean), _SMALLEST)
    return Finding(
        name="uneven_batches",
        trouble=not error <= threshold,
        numbers={"reported": whole, "mean_over_samples": mean, "relative_error": error},
        threshold=threshold,
        advice="the loss is averaged over batches of unequal size: weight each batch by its number of samples",
    )
