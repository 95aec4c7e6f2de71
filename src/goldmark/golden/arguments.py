"""What users pass to `golden.statistical`, turned into entries: scalars or dicts by metric, lists or dicts by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from goldmark.case import Better, UsageError
from goldmark.golden.record import statistical_entry
from goldmark.golden.store import Statistical, Test, plain

GUARD = "the guard values of the test"  # a user's guard is values, not a variant with a name


@dataclass(frozen=True)
class Rules:
    """How the metrics of one call are compared; each field is one value for all metrics or a dict by metric."""

    margin: Any
    guards: Any = None
    alpha: float | Mapping[str, float] = 1e-3
    better: Better | Mapping[str, Better] = "neither"
    test: Test | Mapping[str, Test] = "t"


def new_entries(
    values: Mapping[str, Any], seeds: Sequence[str], rules: Rules, *, same_stream: bool
) -> dict[str, Statistical]:
    """Return the entries to record for metrics `{name: values by seed}`; raise `UsageError` for wrong arguments."""
    _known_metrics(values, rules)
    return {
        metric: _new_entry(metric, by_seed(metric, found, seeds), seeds, rules, same_stream=same_stream)
        for metric, found in values.items()
    }


def held_entries(
    values: Mapping[str, Any], seeds: Sequence[str], stored: Mapping[str, Statistical]
) -> dict[str, Statistical]:
    """Return new values under the rules of the stored entries, which alone decide; a metric without one has no rule."""
    no_rule = Statistical({}, "identity", 0.0, 1e-3, "t", "neither", None, None, None, 0.0, 0.0, None)
    return {
        metric: replace(stored.get(metric, no_rule), values=by_seed(metric, found, seeds))
        for metric, found in values.items()
    }


def seed_names(seeds: Any) -> list[str]:
    """Return seeds as the keys of a golden; raise `UsageError` where one comes twice."""
    names = [str(seed) for seed in plain(list(seeds))]
    if len(set(names)) < len(names):
        raise UsageError(f"seeds {names} come more than once; each run needs a seed of its own")
    return names


def by_seed(what: str, values: Any, seeds: Sequence[str]) -> dict[str, float]:
    """Return `{seed: float}` from a list in the order of the seeds, or from a dict by seed."""
    found = plain(values)
    if isinstance(found, list):
        _same_length(what, found, seeds)
        found = dict(zip(seeds, found, strict=True))
    if not isinstance(found, dict):
        raise UsageError(f"'{what}' is {type(values).__name__}; pass a list with a value a seed, or a dict by seed")
    if {str(seed) for seed in found} != set(seeds):
        raise UsageError(f"'{what}' has the seeds {sorted(map(str, found))}; the call says seeds={list(seeds)}")
    return {str(seed): _number(what, value) for seed, value in found.items()}


def stream_by_seed(stream: Any, seeds: Sequence[str]) -> dict[str, str]:
    """Return `{seed: hash}` from hashes in the order of the seeds."""
    hashes = plain(list(stream))
    _same_length("stream", hashes, seeds)
    return {seed: str(found) for seed, found in zip(seeds, hashes, strict=True)}


def _new_entry(
    metric: str, values: Mapping[str, float], seeds: Sequence[str], rules: Rules, *, same_stream: bool
) -> Statistical:
    guard = _of_metric(rules.guards, metric, None)
    return statistical_entry(
        values,
        scale="identity",  # a margin in percent makes it log
        margin=_margin(rules, metric),
        alpha=_of_metric(rules.alpha, metric, 1e-3),
        test=_of_metric(rules.test, metric, "t"),
        better=_of_metric(rules.better, metric, "neither"),
        guard=None if guard is None else GUARD,
        guard_values=None if guard is None else by_seed(f"guards[{metric}]", guard, seeds),
        same_stream=same_stream,
    )


def _margin(rules: Rules, metric: str) -> float | str:
    margin = _of_metric(rules.margin, metric, None)
    if margin is None:
        raise UsageError(f"'{metric}' has no margin; name the change that nobody minds: margin={{'{metric}': 0.1}}")
    return margin if isinstance(margin, str) else _number(f"margin[{metric}]", plain(margin))


def _of_metric(given: Any, metric: str, default: Any) -> Any:
    return given.get(metric, default) if isinstance(given, Mapping) else given


def _known_metrics(values: Mapping[str, Any], rules: Rules) -> None:
    """Refuse a rule for a metric that the call does not have: a misspelt guard would guard nothing."""
    if rules.guards is not None and not isinstance(rules.guards, Mapping):
        raise UsageError(f"guards is {type(rules.guards).__name__}; pass a dict: guards={{metric: values by seed}}")
    for argument in ("margin", "guards", "alpha", "better", "test"):
        given = getattr(rules, argument)
        unknown = sorted(set(given) - set(values)) if isinstance(given, Mapping) else []
        if unknown:
            raise UsageError(f"{argument} names '{unknown[0]}'; the metrics of this call: {', '.join(values)}")


def _same_length(what: str, found: Sequence[Any], seeds: Sequence[str]) -> None:
    if len(found) != len(seeds):
        raise UsageError(f"'{what}' has {len(found)} values for {len(seeds)} seeds; give one value a seed")


def _number(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"'{what}' holds {value!r}; a number is needed")
    return float(value)
