"""Evaluation: scores that do not come from the model, a yardstick that moves, and a comparison with nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from goldmark.case import Finding

Scores = Mapping[str, float]
M = TypeVar("M")


def check_constant_scores(evaluate: Callable[[M], Scores], models: Iterable[M]) -> Finding:
    """Find out whether an evaluation gives unlike models the same score, to the last bit.

    A number that does not depend on the model was typed in, read from a stale file, or cannot fail. Pass models that
    differ by their weights, two or more; of two fresh ones a score that counts something may agree by chance. Raises
    `ValueError` for fewer than two models.
    """
    rows = [evaluate(model) for model in models]
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} model has nothing to differ from; pass two or more with other weights")
    constant = [name for name in rows[0] if len({row[name] for row in rows}) == 1]
    return Finding(
        name="constant_scores",
        trouble=bool(constant),
        numbers={"constant": float(len(constant)), "scores": float(len(rows[0]))},
        threshold=0.0,
        advice=f"the same for {len(rows)} unlike models, so not of the model: {', '.join(constant)}; compute it anew"
        if constant
        else "every score depends on the model",
    )


def check_moving_validation(
    evaluate: Callable[[int], Scores], epochs: Sequence[int], threshold: float = 1e-6
) -> Finding:
    """Find out whether one and the same model scores differently in different epochs.

    `evaluate` returns what a validation in that epoch gives of a model that is not trained meanwhile. Where windows
    grow with a curriculum, or the validation set is drawn anew, its scores move with the yardstick, and the best epoch
    is the one with the shortest. `moved` is the largest range over the largest absolute value of a score. NaN is
    trouble. Raises `ValueError` for fewer than two epochs.
    """
    if len(epochs) < 2:
        raise ValueError(f"{len(epochs)} epochs cannot be compared; pass two or more, from every phase of the training")
    rows = [evaluate(epoch) for epoch in epochs]
    moved = {name: _relative_range([row[name] for row in rows]) for name in rows[0]}
    worst = max(moved, key=moved.__getitem__)
    return Finding(
        name="moving_validation",
        trouble=not moved[worst] <= threshold,
        numbers={"moved": moved[worst]},
        threshold=threshold,
        advice=f"'{worst}' of an unchanged model moves from epoch to epoch: validate on the same windows, at their "
        "full length, or no best epoch can be told",
    )


def check_unscored_baseline(old: Scores, new: Scores) -> Finding:
    """Find out whether what a new model is compared with was never scored: all zeros, not finite, or left out.

    A comparison that puts zeros in the place of a model that it could not load shows an improvement of infinitely many
    percent. Single zeros are scores; where nothing else is there, or a score is missing, nothing was measured.
    """
    missing = sorted(new.keys() - old.keys()) + [name for name in old if not math.isfinite(old[name])]
    all_zero = not any(old.values())
    return Finding(
        name="unscored_baseline",
        trouble=bool(missing) or all_zero,
        numbers={"unscored": float(len(new) if all_zero else len(missing))},
        threshold=0.0,
        advice="the old model was not scored"
        + (f" ({', '.join(missing)})" if missing else "")
        + ": a change against it means nothing; score both on the same data, and fail where one cannot be",
    )


def _relative_range(values: Sequence[float]) -> float:
    """Return (max - min) / max |value|, 0 for zeros; infinite where one is not finite, so that it is the worst."""
    if not all(map(math.isfinite, values)):
        return math.inf
    largest = max(map(abs, values))
    return (max(values) - min(values)) / largest if largest else 0.0
