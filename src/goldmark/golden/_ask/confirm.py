"""Try an alarm again: whether the shift is real, and whether it is the guarded bug.

The code that wrote the golden and the code of now train the same seeds, which the golden has never seen, and are
compared in pairs: what seeds differ in by themselves, often a multiple of any bug, is the same on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from goldmark.case import Scale, UsageError
from goldmark.golden._ask.behind import device_behind, variant_behind
from goldmark.golden._ask.repository import Repository
from goldmark.golden._ask.trees import DoesNotRunError, TrainedRun, tree_of, working_tree
from goldmark.golden._compare.rounding import REPEAT
from goldmark.golden._compare.shift import rule_of
from goldmark.golden._files.entries import Golden, Statistical
from goldmark.golden._files.folder import golden_path
from goldmark.golden._project import Project
from goldmark.statistics import Judgement, MetricRule, Shift, compare_values, on_scale

FRESH_FROM = 1000  # first of the fresh seeds, unless a golden has as many

Values = Mapping[str, float]  # of a metric, by seed


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """One gating metric: the code of now against that of the golden, and against the metric's guard."""

    metric: str
    scale: Scale
    guard: str | None
    shift: Shift | None  # from the golden's code; None where too few seeds came to anything
    distance: Shift | None = None  # how far the distance from the guard moved; only where seeds are not paired
    from_guard: Shift | None = None  # from the guard, in pairs
    failed: str = ""  # a seed that came to nothing now, and did not with the golden's code
    unpaired: str = ""  # why the golden's stored values had to stand for its code; empty: they had not

    @property
    def judgement(self) -> Judgement:
        """Changed: the shift is real. Equal: there is none. Undecided: neither."""
        shifts = [shift for shift in (self.shift, self.distance) if shift is not None]
        if self.failed or any(shift.alarm for shift in shifts):
            return "changed"
        return "undecided" if self.shift is None else self.shift.judgement

    @property
    def bug(self) -> bool:
        """Whether the variant cannot be told from the variant whose bug the golden guards against."""
        return self.from_guard is not None and not self.from_guard.alarm

    @property
    def deciding_seeds(self) -> int | None:
        """The seeds that would decide what is undecided; None where none would, as of a golden that has no more."""
        return None if self.unpaired or self.shift is None else self.shift.deciding_seeds


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """An alarm that was tried again."""

    seeds: str  # which, in words
    against: str  # what the code of now was compared with
    metrics: tuple[Confirmation, ...]


def gating_entries(golden: Golden) -> dict[str, Statistical]:
    """Return the metrics on which a golden gates; raise `UsageError` where there are none."""
    if not golden.gating:
        raise UsageError(
            f"golden '{golden.name}' has no metric with a margin, so it raises no alarm that could be confirmed"
        )
    return golden.gating


def guards_of(golden: Golden) -> list[str]:
    """Return the variants whose bugs a golden guards against."""
    return sorted({entry.guard for entry in gating_entries(golden).values() if entry.guard is not None})


def fresh_seeds(golden: Golden, count: int | None = None) -> range:
    """Return seeds past those of a golden, by default as many as it has."""
    entries = gating_entries(golden).values()
    first = max([FRESH_FROM, *(int(seed) + 1 for entry in entries for seed in entry.values if seed.isdecimal())])
    return range(first, first + (count or max(len(entry.values) for entry in entries)))


def confirm(
    project: Project,
    golden: Golden,
    *,
    against: str | None = None,
    count: int | None = None,
    jobs: int = 1,
    on_run: Callable[[TrainedRun], None] = lambda run: None,
) -> Confirmed:
    """Train the variant of a case's golden on fresh seeds, with the code of the golden and with that of now.

    The first is that of the commit which last wrote the golden's file, or of the revision `against`. Where there is
    none, or it does not run, the golden's stored values stand for it, and are compared as a group. Both train on the
    kind of device that the golden was trained on. Raise `UsageError` where this machine has none, for a golden that
    gates on nothing, a revision that cannot be trained, and code of now that does not run.
    """
    entries, seeds = gating_entries(golden), fresh_seeds(golden, count)
    case, variant = variant_behind(golden)
    how: dict[str, Any] = {"device": device_behind(golden), "jobs": jobs, "on_run": on_run}
    guards = guards_of(golden)
    name, why = "its stored values", ""
    old: list[TrainedRun] = []
    try:
        repository, commit = _origin(project, golden, against)
        with tree_of(repository, project.root, commit) as tree:
            old, name = tree.train(case, [variant], seeds, **how), tree.name
    except UsageError as error:
        if against is not None:
            raise
        why = _in_one_line(error)
    new = working_tree(project.root).train(case, [variant, *guards], seeds, **how)
    why = why or f"the seeds of {name} came to nothing"
    words = f"the fresh seeds {seeds[0]} ... {seeds[-1]}"
    return Confirmed(seeds=words, against=name, metrics=_confirmations(entries, variant, new, old, why))


def confirm_test(project: Project, golden: Golden, test: str, *, against: str | None = None) -> Confirmed:
    """Run the test of a golden with the code that wrote it and with that of now, and compare the seeds that it has.

    A test says itself which seeds it trains, so that no others can be asked for. Raise `UsageError` for a golden
    without metrics that gate, and where one of the two does not run.
    """
    entries, (_, variant) = gating_entries(golden), variant_behind(golden)
    try:
        repository, commit = _origin(project, golden, against)
        with tree_of(repository, project.root, commit) as tree:
            old, name = tree.run_test(test, golden.name, variant), tree.name
    except UsageError as error:
        raise UsageError(
            f"{error}\ngolden '{golden.name}' is of a test, which has no other seeds than its own, so that only the "
            "code that wrote it can confirm it: name a revision that runs (--against), or let the test hold the runs "
            "of an experiment, which trains any seeds"
        ) from None
    new = working_tree(project.root).run_test(test, golden.name, variant)
    metrics = _confirmations(entries, variant, new, old, f"{name} has no such metric")
    return Confirmed(seeds="the golden's own seeds, for a test has no others", against=name, metrics=metrics)


def _origin(project: Project, golden: Golden, against: str | None) -> tuple[Repository, str]:
    """Return the repository of a project and the commit whose code stands for a golden."""
    repository = Repository.around(project.root)
    if against is not None:
        return repository, repository.commit(against)
    return repository, repository.last_write(golden_path(project.folder, golden.name))


def _in_one_line(error: UsageError) -> str:
    """Return an error as a reason: its first line, and of the output of a process the last."""
    first, *others = str(error).splitlines()
    return f"{first} {others[-1].strip()}" if isinstance(error, DoesNotRunError) and others else first


def _values(metric: str, entry: Statistical, runs: Sequence[TrainedRun], variant: str | None) -> dict[str, float]:
    """Return the values of a metric by seed, where they can be compared."""
    own = [run for run in runs if run.variant == variant and not failure(run, metric, entry.scale)]
    return {str(run.seed): run.metrics[metric] for run in own}


def _failures(metric: str, entry: Statistical, runs: Sequence[TrainedRun], variant: str) -> dict[str, str]:
    """Return why seeds have no value that can be compared."""
    own = {str(run.seed): failure(run, metric, entry.scale) for run in runs if run.variant == variant}
    return {seed: why for seed, why in own.items() if why}


def failure(run: TrainedRun, metric: str, scale: Scale) -> str:
    """Return why a metric of a run has no value that can be compared; nothing where it has one."""
    value = run.metrics.get(metric)
    if run.error is not None:
        return run.error
    if value is None:
        return f"it returns no {metric}"
    return "" if math.isfinite(value) and (scale == "identity" or value > 0) else f"{metric} is {value:g}"


def _confirmations(
    entries: Mapping[str, Statistical],
    variant: str,
    new: Sequence[TrainedRun],
    old: Sequence[TrainedRun],
    why: str,
) -> tuple[Confirmation, ...]:
    """Return what runs of now and of the golden's code say of each metric; `why` there are none of the latter."""
    return tuple(
        _confirmation(
            metric,
            entry,
            new=_values(metric, entry, new, variant),
            old=_values(metric, entry, old, variant),
            guard=_values(metric, entry, new, entry.guard),
            failures=_failures(metric, entry, new, variant),
            old_failures=_failures(metric, entry, old, variant),
            why=why,
        )
        for metric, entry in entries.items()
    )


def _confirmation(
    metric: str,
    entry: Statistical,
    *,
    new: Values,
    old: Values,
    guard: Values,
    failures: Mapping[str, str],
    old_failures: Mapping[str, str],
    why: str,
) -> Confirmation:
    """Return what the values of a metric on the same seeds say, or without old ones, what the golden's say."""
    rule, paired = rule_of(entry), len(old) > 1
    failing = [f"seed {seed}: {text}" for seed, text in failures.items() if seed not in old_failures]
    confirmation = Confirmation(
        metric=metric,
        scale=entry.scale,
        guard=entry.guard,
        shift=paired_shift(new, old, rule),
        from_guard=paired_shift(new, guard, rule),
        failed=failing[0] if failing else "",
    )
    if paired:
        return confirmation
    distance = _moved_distance(entry, new, guard)
    shared = rule if distance is None else replace(rule, alpha=rule.alpha / 2)
    shift = _by_place(list(new.values()), list(entry.values.values()), shared)
    return replace(confirmation, shift=shift, distance=distance, unpaired=why)


def paired_shift(new: Values, old: Values, rule: MetricRule) -> Shift | None:
    """Return how far new values lie from old ones of the same seeds; None for fewer than two pairs.

    Values that repeat, up to rounding, are the same ones, as they are for a golden.
    """
    common = [seed for seed in new if seed in old]
    if len(common) < 2:
        return None
    before = {seed: old[seed] for seed in common}
    repeat = all(math.isclose(new[seed], old[seed], rel_tol=REPEAT) for seed in common)
    now = before if repeat else {seed: new[seed] for seed in common}
    return compare_values(now, before, rule, paired=True, allow_few=True)


def _moved_distance(entry: Statistical, new: Values, guard: Values) -> Shift | None:
    """Return how far variant - guard on fresh seeds lies from golden - guard as stored, at half of alpha.

    Seeds are paired within each side, so that what they differ in is gone before the sides are compared.
    """
    stored = {seed: value for seed, value in (entry.guard_values or {}).items() if math.isfinite(value)}
    rule = MetricRule(margin=entry.margin or 0.0, alpha=entry.alpha / 2, test=entry.test)
    try:
        now, before = (_differences(*side, entry.scale) for side in ((new, guard), (entry.values, stored)))
    except UsageError:  # a guard with values that have no place on the scale
        return None
    return _by_place(now, before, rule)


def _differences(values: Values, others: Values, scale: Scale) -> list[float]:
    common = [seed for seed in values if seed in others]
    one, other = (on_scale([side[seed] for seed in common], scale) for side in (values, others))
    return [float(difference) for difference in one - other]


def _by_place(new: Sequence[float], old: Sequence[float], rule: MetricRule) -> Shift | None:
    """Compare as two groups, of which the old one has the seeds that a golden has; None for fewer than two values."""
    taken = new[: len(old)]
    if len(taken) < 2:
        return None
    now, before = (dict(zip(map(str, range(len(side))), side, strict=True)) for side in (taken, old))
    return compare_values(now, before, rule, paired=False, allow_few=True)
