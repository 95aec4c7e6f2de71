"""Skill: what a model is worth beside a predictor that has learnt nothing."""

from __future__ import annotations

from goldmark.case import Finding


def skill(score: float, baseline: float) -> float:
    """Return 1 - score / baseline for an error measure: 1 is perfect, 0 as good as the baseline, below 0 worse."""
    if not baseline > 0:
        raise ValueError(f"a skill needs a baseline error above 0, got {baseline}: this baseline is perfect")
    return 1.0 - score / baseline


def check_no_skill(score: float, baseline: float, threshold: float = 0.0) -> Finding:
    """Find out whether an error measure fails to beat that of a naive baseline by the share `threshold`."""
    value = skill(score, baseline)
    return Finding(
        name="no_skill",
        trouble=not value > threshold,
        numbers={"skill": value, "score": score, "baseline": baseline},
        threshold=threshold,
        relation="a trained model must beat a naive baseline",
        advice="the model is no better than one that has learnt nothing: its falling loss is no success",
    )
