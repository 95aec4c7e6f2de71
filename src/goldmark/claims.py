"""Ready-made checks for claims, each `Runs -> Verdict`: every seed, the mean, a paired comparison, a finding."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Literal

from goldmark.case import Baseline, Case, Claim, Run, Runs, Scale, Verdict
from goldmark.statistics import paired_p_value

Check = Callable[[Runs], Verdict]
Relation = Literal[">=", "<=", ">", "<"]
_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def judge(case: Case, runs: Runs, *, any_data: bool = False) -> list[tuple[Claim, Verdict]]:
    """Return every claim of a case with its verdict on the runs; with `any_data` only those that hold on any data."""
    return [(claim, verdict_on(claim, runs)) for claim in case.claims if claim.any_data or not any_data]


def verdict_on(claim: Claim, runs: Runs) -> Verdict:
    """Return the verdict of one claim; not judged where a variant has fewer runs than the claim needs, or none."""
    n_seeds = min(len(runs.get(variant, ())) for variant in claim.variants)
    if n_seeds < max(1, claim.fewest_seeds):
        return Verdict(None, math.nan, math.nan, n_seeds)
    return claim.check(runs)


def metric_values(runs: Runs, variant: str, metric: str) -> list[float]:
    """Return a metric of a variant's runs, a value a seed."""
    return [run.metrics[metric] for run in runs[variant]]


def every_seed(variant: str, metric: str, relation: Relation, limit: float) -> Check:
    """Hold the metric of every seed to a limit; the value is the worst seed's."""

    def check(runs: Runs) -> Verdict:
        return _worst(metric_values(runs, variant, metric), relation, limit)

    return check


def mean(variant: str, metric: str, relation: Relation, limit: float) -> Check:
    """Hold the metric's mean over seeds to a limit."""

    def check(runs: Runs) -> Verdict:
        values = metric_values(runs, variant, metric)
        return _verdict(fmean(values), relation, limit, len(values))

    return check


def mean_difference(variant: str, other: str, metric: str, relation: Relation, limit: float) -> Check:
    """Hold the mean over common seeds of variant - other to a limit."""

    def check(runs: Runs) -> Verdict:
        pairs = _pairs(runs, variant, other)
        return _verdict(fmean(a.metrics[metric] - b.metrics[metric] for a, b in pairs), relation, limit, len(pairs))

    return check


def every_difference(variant: str, other: str, metric: str, relation: Relation, limit: float) -> Check:
    """Hold variant - other to a limit in every common seed; the value is the worst seed's."""

    def check(runs: Runs) -> Verdict:
        pairs = _pairs(runs, variant, other)
        return _worst([a.metrics[metric] - b.metrics[metric] for a, b in pairs], relation, limit)

    return check


def paired_lower(variant: str, other: str, metric: str, alpha: float, scale: Scale) -> Check:
    """Hold that `variant` has the lower metric of the two: one-sided paired t over common seeds, p <= alpha."""

    def check(runs: Runs) -> Verdict:
        pairs = _pairs(runs, variant, other)
        p = paired_p_value([a.metrics[metric] for a, _ in pairs], [b.metrics[metric] for _, b in pairs], scale)
        return _verdict(p, "<=", alpha, len(pairs))

    return check


def against_baseline(variant: str, metric: str, relation: Relation, baseline: str, margin: float = 0.0) -> Check:
    """Hold metric - baseline to a margin in every seed: `>` must beat a baseline where higher is better."""

    def check(runs: Runs) -> Verdict:
        differences = [run.metrics[metric] - find_baseline(run, baseline).metrics[metric] for run in runs[variant]]
        return _worst(differences, relation, margin)

    return check


def within(variant: str, metric: str, relation: Relation, bound: str, slack: float = 0.0) -> Check:
    """Hold metric - bound, two metrics of one run, to a slack in every seed; the value is the worst seed's."""

    def check(runs: Runs) -> Verdict:
        return _worst([run.metrics[metric] - run.metrics[bound] for run in runs[variant]], relation, slack)

    return check


def found(variant: str, finding: str, share: float) -> Check:
    """Hold the share of runs in which a check of that name found trouble to be exactly 0 or 1."""

    def check(runs: Runs) -> Verdict:
        troubles = [found.trouble for run in runs[variant] for found in run.findings if found.name == finding]
        if len(troubles) != len(runs[variant]):
            raise ValueError(f"{len(runs[variant])} runs of '{variant}' hold {len(troubles)} findings '{finding}'")
        value = fmean(troubles)
        return Verdict(value == share, value, share, len(troubles))

    return check


def all_of(*checks: Check) -> Check:
    """Hold several checks at once; the verdict shown is the first that fails, or the last."""

    def check(runs: Runs) -> Verdict:
        verdicts = [part(runs) for part in checks]
        return next((verdict for verdict in verdicts if not verdict.ok), verdicts[-1])

    return check


def find_baseline(run: Run, name: str) -> Baseline:
    """Return the baseline of that name of a run; raise `ValueError` with the known names otherwise."""
    for baseline in run.baselines:
        if baseline.name == name:
            return baseline
    raise ValueError(f"no baseline '{name}'; the run has: {', '.join(b.name for b in run.baselines)}")


def _pairs(runs: Runs, variant: str, other: str) -> list[tuple[Run, Run]]:
    others = {run.seed: run for run in runs[other]}
    return [(run, others[run.seed]) for run in runs[variant] if run.seed in others]


def _worst(values: Iterable[float], relation: Relation, limit: float) -> Verdict:
    """Judge the value that is furthest on the wrong side; a NaN is the worst of all."""
    ordered = sorted(values, reverse=relation in ("<=", "<"))
    nan = [value for value in ordered if math.isnan(value)]
    return _verdict((nan or ordered)[0], relation, limit, len(ordered))


def _verdict(value: float, relation: Relation, limit: float, n_seeds: int) -> Verdict:
    return Verdict(bool(_HOLDS[relation](value, limit)), value, limit, n_seeds)
