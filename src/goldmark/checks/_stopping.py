"""Early stopping: how long a loss has not improved, and whether a rule stops when it says it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from goldmark.case import Finding


def stale_epochs(losses: Iterable[float], min_delta: float = 0.0) -> int:
    """Return how many epochs ago the lowest loss was: early stopping is `stale_epochs(val_losses) >= patience`.

    Each loss is compared with the best one before it, never with a minimum that it is already part of: nothing is
    below that, so that a rule that compares so stops every run in epoch patience + 1. A loss counts as better if it is
    lower by more than `min_delta`; a NaN never is.
    """
    best, stale = math.inf, 0
    for loss in losses:
        if loss < best - min_delta:
            best, stale = loss, 0
        else:
            stale += 1
    return stale


def check_wrong_stopping(rule: Callable[[], Callable[[float], bool]], patience: int) -> Finding:
    """Find out whether early stopping stops elsewhere than `patience` epochs after the lowest loss.

    `rule` makes a fresh rule, which is given the loss of one epoch after another and returns whether to stop. It is
    tried on losses whose answer is known: they fall for some epochs and then stay above their lowest, up and down, or
    are NaN.
    """
    late = {}
    for n_falling in (1, patience + 3, 3 * patience + 2):
        falling = [1 / epoch for epoch in range(1, n_falling + 1)]
        for kind, tail in (("above", (1.5, 1.1)), ("nan", (math.nan, math.nan))):
            losses = falling + [falling[-1] * factor for factor in tail] * (patience + 1)
            late[f"epochs_late_{kind}_{n_falling}"] = _stopped_after(rule(), losses) - (n_falling + patience)
    return Finding(
        name="wrong_stopping",
        trouble=any(late.values()),
        numbers=late,
        threshold=0.0,
        advice="early stopping does not stop `patience` epochs after the lowest loss: compare each loss with the best "
        "one before it, not with a running minimum that includes it",
    )


def _stopped_after(stop: Callable[[float], bool], losses: Iterable[float]) -> float:
    """Return after how many losses a rule says stop; infinity where it never does."""
    return next((float(epoch) for epoch, loss in enumerate(losses, start=1) if stop(loss)), math.inf)
