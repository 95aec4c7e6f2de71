"""Schedules that wait for a metric to stop improving: what they are given, and whether they know which way is up."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import correlation

from goldmark.case import Finding

_MOST_COUNTED = 10_000  # examples of which a share may be one


def check_plateau_mode(
    mode: str,
    metrics: Sequence[float],
    losses: Sequence[float],
    fewest: int = 4,
    *,
    accuracy: float | None = None,
) -> Finding:
    """Find out whether a schedule that waits for a plateau takes each improvement of its metric for a setback.

    `metrics` are what the schedule was given, `losses` the mean training loss before each. Trouble is a first metric
    that none after it betters, by `mode`, while the loss has fallen by a third, or metrics that go with the losses
    where they should go against them, or the other way round; and which are scores under "min" or errors under "max":
    by their size beside the losses, or as shares of counted examples, by where they go, or by where they start beside
    the `accuracy` on training batches that were seen for the first time before that.
    """
    first, last = (losses[0], losses[-1]) if losses else (0.0, 0.0)
    climb = 1 if mode == "max" else -1
    better = [climb * (metric - metrics[0]) > 1e-4 * abs(metrics[0]) for metric in metrics]
    metric, latest = (metrics[0], metrics[-1]) if metrics else (0.0, 0.0)
    never = min(len(metrics), len(losses)) >= fewest and not any(better) and latest != metric and last < 0.7 * first
    wrong_way = never or _go_together(metrics, losses, climb)
    return Finding(
        name="plateau_mode",
        trouble=wrong_way and (_is_error(metrics, first) if mode == "max" else _is_score(metrics, losses, accuracy)),
        numbers={
            "first_metric": metric,
            "last_metric": latest,
            "first_loss": first,
            "last_loss": last,
        },
        threshold=0.0,
        relation=f"a metric that improves must count as improving: mode is '{mode}'",
        advice="ReduceLROnPlateau takes mode='min' for losses and errors, mode='max' for accuracies and scores",
    )


def _go_together(metrics: Sequence[float], losses: Sequence[float], sign: int, fewest: int = 6) -> bool:
    """Tell whether metrics rise and fall with losses, or against them (`sign` -1), and have moved by a tenth."""
    n = min(len(metrics), len(losses))
    if n < fewest or len(set(metrics[:n])) == 1 or len(set(losses[:n])) == 1:
        return False
    moved = abs(metrics[n - 1] - metrics[0]) > 0.1 * abs(metrics[0])
    return moved and sign * correlation(metrics[:n], losses[:n]) > 0.9


def _is_score(metrics: Sequence[float], losses: Sequence[float], accuracy: float | None) -> bool:
    """Tell whether metrics are far from all losses, or shares of examples that have come nearer to 1 by a fifth.

    An error rate that gets worse as noise is memorised does not go beyond a half; nor does it start where the accuracy
    is on examples that were new, and could not be memorised.
    """
    if _are_counted(metrics):
        as_accuracy = accuracy is not None and _is_nearer(accuracy, metrics[0], 1 - metrics[0])
        return metrics[-1] > 0.5 and (1 - metrics[-1] <= 0.8 * (1 - metrics[0]) or as_accuracy)
    return not any(0.25 <= metrics[0] / loss <= 4.0 for loss in losses if loss > 0)


def _is_nearer(value: float, one: float, other: float) -> bool:
    """Tell whether a share of examples is nearer to one than to the other, which it is far above.

    That is 0.15: four standard errors of a share of 256 examples are 0.125.
    """
    return abs(value - one) < value - other and value - other > 0.15


def _is_error(metrics: Sequence[float], first_loss: float) -> bool:
    """Tell whether metrics start like a loss, and no score near its ceiling of 1, or are shares that have halved."""
    ratio = metrics[0] / first_loss if first_loss > 0 else 0.0
    like_a_loss = 0.25 <= ratio <= 1.2 and not 0.9 <= metrics[0] <= 1
    return like_a_loss or (metrics[-1] <= 0.5 * metrics[0] and _are_counted(metrics))


def _are_counted(metrics: Sequence[float]) -> bool:
    """Tell whether metrics are shares k / n of one n, as accuracies and error rates are.

    That three losses, known to 7 digits, fit one n by chance is less likely than 1 in 10,000.
    """
    unlike = set(metrics)
    if len(unlike) < 3 or min(unlike) < 0 or max(unlike) > 1:
        return False
    counts = range(2, _MOST_COUNTED)
    return any(all(abs(n * one - round(n * one)) < 1e-7 * n for one in unlike) for n in counts)
