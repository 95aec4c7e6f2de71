"""Checks of claims that only this case needs: means over seeds, since single seeds of any variant may die."""

from __future__ import annotations

from statistics import fmean
from typing import Literal

from goldmark.case import Runs, Verdict
from goldmark.claims import Check, find_baseline


def mean_over_every_bar(variant: str, relation: Literal["<=", ">="], margin: float) -> Check:
    """Hold the mean over seeds of span F1 minus that of marking every bar to a margin."""

    def check(runs: Runs) -> Verdict:
        excess = fmean(
            run.metrics["span_f1"] - find_baseline(run, "predict_every_bar").metrics["span_f1"] for run in runs[variant]
        )
        return Verdict(excess >= margin if relation == ">=" else excess <= margin, excess, margin, len(runs[variant]))

    return check


def loss_multiplied(variant: str, other: str, factor: float) -> Check:
    """Hold the countdown loss at answer 0 of `variant` to at least `factor` times that of `other`, in every seed."""

    def check(runs: Runs) -> Verdict:
        others = {run.seed: run.close["countdown_loss_at_zero"] for run in runs[other]}
        ratios = [run.close["countdown_loss_at_zero"] / others[run.seed] for run in runs[variant] if run.seed in others]
        return Verdict(min(ratios) >= factor, min(ratios), factor, len(ratios))

    return check
