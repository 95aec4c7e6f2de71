"""Ready-made checks for claims: every seed, the mean, a comparison of two variants or with a baseline, a finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from goldmark.case import AllOf, Check, Relation, Run, Runs, Scale, UsageError, find
from goldmark.statistics import on_scale, paired_lower_p

__all__ = [
    "against_baseline",
    "all_of",
    "close_ratio",
    "every_close",
    "every_difference",
    "every_seed",
    "finding_in_every_seed",
    "finding_in_no_seed",
    "mean",
    "mean_against_baseline",
    "mean_difference",
    "mean_ratio",
    "metric_values",
    "paired_lower",
    "within",
]


def metric_values(runs: Runs, variant: str, metric: str) -> dict[int, float]:
    """Return {seed: value} of a metric over a variant's runs."""
    return {run.seed: run.metric(metric) for run in runs[variant]}


def every_seed(variant: str, metric: str, relation: Relation, limit: float) -> Check:
    """Return the check that the metric of every seed keeps a limit."""
    return Check(
        says=f"{metric} of '{variant}', every seed",
        variants=(variant,),
        measure=lambda runs: metric_values(runs, variant, metric),
        relation=relation,
        limit=limit,
    )


def mean(variant: str, metric: str, relation: Relation, limit: float) -> Check:
    """Return the check that the metric's mean over seeds keeps a limit."""
    return _mean_of(every_seed(variant, metric, relation, limit))


def every_difference(variant: str, other: str, metric: str, relation: Relation, limit: float) -> Check:
    """Return the check that variant - other keeps a limit in every seed that both have."""
    return Check(
        says=f"{metric} of '{variant}' - '{other}', every seed",
        variants=(variant, other),
        measure=lambda runs: _paired(runs, variant, other, lambda run, twin: run.metric(metric) - twin.metric(metric)),
        relation=relation,
        limit=limit,
    )


def mean_difference(variant: str, other: str, metric: str, relation: Relation, limit: float) -> Check:
    """Return the check that the mean of variant - other, over the seeds that both have, keeps a limit."""
    return _mean_of(every_difference(variant, other, metric, relation, limit))


def mean_ratio(variant: str, other: str, metric: str, relation: Relation, limit: float) -> Check:
    """Return the check that the geometric mean of variant / other, over the seeds that both have, keeps a limit."""
    return Check(
        says=f"{metric} of '{variant}' / '{other}', geometric mean",
        variants=(variant, other),
        measure=lambda runs: _paired(runs, variant, other, lambda run, twin: run.metric(metric) / twin.metric(metric)),
        relation=relation,
        limit=limit,
        statistic=_geometric_mean,
    )


def paired_lower(variant: str, other: str, metric: str, alpha: float, scale: Scale) -> Check:
    """Return the check that `variant` has the lower metric of the two: one-sided paired t over seeds, p <= alpha."""

    def difference(run: Run, twin: Run) -> float:
        return float(on_scale(run.metric(metric), scale) - on_scale(twin.metric(metric), scale))

    return Check(
        says=f"p of {metric} of '{variant}' < '{other}', one-sided paired t",
        variants=(variant, other),
        measure=lambda runs: _paired(runs, variant, other, difference),
        relation="<=",
        limit=alpha,
        statistic=paired_lower_p,
        one_unit=False,
    )


def against_baseline(variant: str, metric: str, relation: Relation, baseline: str, margin: float = 0.0) -> Check:
    """Return the check that metric - baseline keeps a margin in every seed."""
    return Check(
        says=f"{metric} of '{variant}' - {baseline}, every seed",
        variants=(variant,),
        measure=lambda runs: _over_baseline(runs, variant, metric, baseline),
        relation=relation,
        limit=margin,
    )


def mean_against_baseline(variant: str, metric: str, relation: Relation, baseline: str, margin: float = 0.0) -> Check:
    """Return the check that the mean of metric - baseline keeps a margin: where single seeds may fail outright."""
    return _mean_of(against_baseline(variant, metric, relation, baseline, margin))


def within(variant: str, metric: str, relation: Relation, bound: str, slack: float = 0.0) -> Check:
    """Return the check that metric - bound, two metrics of one run, keeps a slack in every seed."""
    return Check(
        says=f"{metric} - {bound} of '{variant}', every seed",
        variants=(variant,),
        measure=lambda runs: {run.seed: run.metric(metric) - run.metric(bound) for run in runs[variant]},
        relation=relation,
        limit=slack,
    )


def every_close(variant: str, entry: str, relation: Relation, limit: float) -> Check:
    """Return the check that a number which follows from the data (`Run.close`) keeps a limit in every seed."""
    return Check(
        says=f"{entry} of '{variant}', every seed",
        variants=(variant,),
        measure=lambda runs: {run.seed: _close(run, entry) for run in runs[variant]},
        relation=relation,
        limit=limit,
    )


def close_ratio(variant: str, other: str, entry: str, relation: Relation, limit: float) -> Check:
    """Return the check that variant / other of a number which follows from the data keeps a limit in every seed."""
    return Check(
        says=f"{entry} of '{variant}' / '{other}', every seed",
        variants=(variant, other),
        measure=lambda runs: _paired(runs, variant, other, lambda run, twin: _close(run, entry) / _close(twin, entry)),
        relation=relation,
        limit=limit,
    )


def finding_in_every_seed(variant: str, finding: str) -> Check:
    """Return the check that the check of that name found trouble in every run."""
    return Check(
        says=f"trouble by {finding} in '{variant}', every seed",
        variants=(variant,),
        measure=lambda runs: _troubles(runs, variant, finding),
        relation=">=",
        limit=1.0,
    )


def finding_in_no_seed(variant: str, finding: str) -> Check:
    """Return the check that the check of that name found trouble in no run."""
    return Check(
        says=f"trouble by {finding} in '{variant}', no seed",
        variants=(variant,),
        measure=lambda runs: _troubles(runs, variant, finding),
        relation="<=",
        limit=0.0,
    )


def all_of(*checks: Check) -> AllOf:
    """Return the check that several statements hold at once; each is shown, and each must be able to fail."""
    return AllOf(parts=checks)


def _mean_of(check: Check) -> Check:
    """Return a check of every seed as one of the mean over seeds."""
    return replace(check, says=f"{check.says.removesuffix(', every seed')}, mean", statistic=fmean)


def _paired(runs: Runs, variant: str, other: str, compare: Callable[[Run, Run], float]) -> Mapping[int, float]:
    """Return what a comparison of two variants gives for every seed that both have."""
    twins = {run.seed: run for run in runs[other]}
    return {run.seed: compare(run, twins[run.seed]) for run in runs[variant] if run.seed in twins}


def _over_baseline(runs: Runs, variant: str, metric: str, baseline: str) -> Mapping[int, float]:
    def trivial(run: Run) -> float:
        return find(run.baseline(baseline).metrics, metric, f"the baseline '{baseline}' has no metric")

    return {run.seed: run.metric(metric) - trivial(run) for run in runs[variant]}


def _close(run: Run, entry: str) -> float:
    return float(find(run.close, entry, f"the numbers of '{run.variant}' that follow from the data have no"))


def _troubles(runs: Runs, variant: str, finding: str) -> Mapping[int, float]:
    """Return 1 for every seed whose run has trouble by a finding, else 0; raise `UsageError` for one without it."""
    troubles: dict[int, float] = {}
    for run in runs[variant]:
        by_name: dict[str, bool] = {entry.name: entry.trouble for entry in run.findings}
        if finding not in by_name:
            raise UsageError(
                f"run '{variant}' seed {run.seed} was not examined for '{finding}', only for: {', '.join(by_name)}"
            )
        troubles[run.seed] = float(by_name[finding])
    return troubles


def _geometric_mean(ratios: Sequence[float]) -> float:
    return math.exp(fmean(map(math.log, ratios)))
