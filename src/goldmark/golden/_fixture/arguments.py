"""What users pass to `golden.statistical`, as entries: scalars or dicts by metric, lists or dicts by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from goldmark.case import Better, Scale, UsageError
from goldmark.golden._files.entries import Statistical, Test
from goldmark.golden._files.plain import plain
from goldmark.golden._fixture.defaults import Defaults, Unsaid
from goldmark.golden._record.entry import statistical_entry
from goldmark.statistics import read_margin

GUARD = "the guard values of the test"  # a user's guard is values, not a variant with a name


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the metrics of one call are compared; each field is one value for all metrics or a dict by metric."""

    defaults: Defaults
    margin: Any
    guards: Any = None  # by metric: values by seed, or a function that returns them, called where they are recorded
    alpha: Any = None
    better: Any = "neither"
    test: Any = "t"
    first: Any = None  # by metric: values after the first epoch, which a model that stops learning would keep
    check_seeds: int | None = None


def new_entries(
    values: Mapping[str, Any], seeds: Sequence[str], rules: Rules, *, paired: bool
) -> dict[str, Statistical]:
    """Return the entries to record for metrics `{name: values by seed}`; raise `UsageError` for wrong arguments."""
    _check(values, rules)
    if rules.check_seeds is not None and rules.check_seeds > len(seeds):
        raise UsageError(
            f"check_seeds is {rules.check_seeds}, of {len(seeds)} seeds; a check needs some of the recorded"
        )
    return {
        metric: _new_entry(metric, by_seed(metric, given, seeds), seeds, rules, paired=paired)
        for metric, given in values.items()
    }


def held_entries(values: Mapping[str, Any], seeds: Sequence[str], rules: Rules) -> dict[str, Statistical]:
    """Return entries to compare: the stored rules decide, and given ones that differ from them are reported.

    Of a guard it matters whether one is given: its values were judged when the golden was recorded, and are not looked
    at. Raise `UsageError` for wrong arguments.
    """
    _check(values, rules)
    return {metric: _held_entry(metric, by_seed(metric, given, seeds), rules) for metric, given in values.items()}


def seed_names(seeds: Any) -> list[str]:
    """Return seeds as the keys of a golden; raise `UsageError` where one comes twice."""
    names = [str(seed) for seed in _items("seeds", seeds, "the seeds themselves, such as range(12)")]
    if len(set(names)) < len(names):
        raise UsageError(f"seeds {names} come more than once; each run needs a seed of its own")
    return names


def by_seed(what: str, values: Any, seeds: Sequence[str]) -> dict[str, float]:
    """Return `{seed: float}` from a list in the order of the seeds, or from a dict by seed."""
    given = plain(values, what)
    if isinstance(given, list):
        _same_length(what, given, seeds)
        given = dict(zip(seeds, given, strict=True))
    if not isinstance(given, dict):
        raise UsageError(f"'{what}' is {type(values).__name__}; pass a list with one value per seed, or a dict by seed")
    if {str(seed) for seed in given} != set(seeds):
        raise UsageError(f"'{what}' has the seeds {sorted(map(str, given))}; the call says seeds={list(seeds)}")
    return {str(seed): _number(what, value) for seed, value in given.items()}


def stream_by_seed(stream: Any, seeds: Sequence[str]) -> dict[str, str]:
    """Return `{seed: hash}` from hashes in the order of the seeds."""
    hashes = _items("stream", stream, "a list with one hash per seed")
    _same_length("stream", hashes, seeds)
    return {seed: str(stream_hash) for seed, stream_hash in zip(seeds, hashes, strict=True)}


def _items(argument: str, given: Any, wanted: str) -> list[Any]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise UsageError(f"{argument} is {given!r}; give {wanted}")
    items = plain(list(given), argument)
    return list(items)


def _new_entry(
    metric: str, values: Mapping[str, float], seeds: Sequence[str], rules: Rules, *, paired: bool
) -> Statistical:
    guard, first = (_called(_of_metric(given, metric, None)) for given in (rules.guards, rules.first))
    return statistical_entry(
        values,
        scale="identity",  # a margin in percent makes it log
        margin=_margin(rules, metric),
        alpha=_alpha(rules, metric),
        test=_of_metric(rules.test, metric, "t"),
        better=_of_metric(rules.better, metric, "neither"),
        guard=None if guard is None else GUARD,
        guard_values=None if guard is None else by_seed(f"guards[{metric}]", guard, seeds),
        first_values=None if first is None else by_seed(f"first[{metric}]", first, seeds),
        check_seeds=rules.check_seeds,
        paired=paired,
    )


def _called(given: Any) -> Any:
    return given() if callable(given) else given


def _held_entry(metric: str, values: Mapping[str, float], rules: Rules) -> Statistical:
    margin = _margin(rules, metric)
    scale: Scale = "identity"
    limit = None
    if margin is not None:
        scale, limit = read_margin(margin, scale)
    return Statistical(
        values=values,
        scale=scale,
        margin=limit,
        alpha=_alpha(rules, metric),
        test=_of_metric(rules.test, metric, "t"),
        better=_of_metric(rules.better, metric, "neither"),
        guard=None if _of_metric(rules.guards, metric, None) is None else GUARD,
        guard_values=None,
        first_values=None,
        sd=0.0,
        detectable=0.0,
        effect=None,
        check_seeds=rules.check_seeds,
    )


def _check(values: Mapping[str, Any], rules: Rules) -> None:
    """Raise `UsageError` for wrong arguments at once, before a comparison stumbles over them."""
    _known_metrics(values, rules)
    if not (rules.check_seeds is None or (type(rules.check_seeds) is int and rules.check_seeds > 0)):
        raise UsageError(
            f"check_seeds is {rules.check_seeds!r}; give how many of the seeds a check must have, such as 8"
        )
    for metric in values:
        margin = _margin(rules, metric)
        if margin is not None:
            read_margin(margin, "identity")
        elif _of_metric(rules.guards, metric, None) is not None:
            raise UsageError(f"guards names '{metric}', which is only shown (margin=None); give it a margin to gate")
        for argument, default, words in (("better", "neither", Better), ("test", "t", Test)):
            _one_of(argument, _of_metric(getattr(rules, argument), metric, default), get_args(words))
        alpha = _alpha(rules, metric)
        if not 0 < alpha < 1:
            raise UsageError(f"alpha is {alpha!r}; give a false-alarm rate between 0 and 1, such as 0.001")


def _one_of(argument: str, given: Any, words: Sequence[str]) -> None:
    if not (isinstance(given, str) and given in words):
        raise UsageError(f"{argument} is {given!r}; give one of {', '.join(map(repr, words))}")


def _margin(rules: Rules, metric: str) -> float | str | None:
    """Return the margin of a metric, the project's own where the call gives none; None: the metric is only shown."""
    margin = _of_metric(rules.margin, metric, Unsaid.MARGIN)
    if margin is Unsaid.MARGIN:
        margin = rules.defaults.margin
    if margin is Unsaid.MARGIN:
        raise UsageError(
            f"'{metric}' has no margin; name the change that nobody minds, margin={{'{metric}': 0.1}}, "
            "or say margin=None for what is only to be shown"
        )
    return margin if margin is None or isinstance(margin, str) else _number(f"margin[{metric}]", plain(margin))


def _alpha(rules: Rules, metric: str) -> float:
    alpha = _of_metric(rules.alpha, metric, None)
    return rules.defaults.alpha if alpha is None else _number("alpha", plain(alpha))


def _of_metric(given: Any, metric: str, default: Any) -> Any:
    return given.get(metric, default) if isinstance(given, Mapping) else given


def _known_metrics(values: Mapping[str, Any], rules: Rules) -> None:
    """Raise `UsageError` for a rule of a metric that the call does not have: a misspelt guard would guard nothing."""
    for argument in ("guards", "first"):
        given = getattr(rules, argument)
        if given is not None and not isinstance(given, Mapping):
            raise UsageError(
                f"{argument} is {type(given).__name__}; pass a dict: {argument}={{metric: values by seed}}"
            )
    for argument in ("margin", "guards", "first", "alpha", "better", "test"):
        given = getattr(rules, argument)
        unknown = sorted(map(str, set(given) - set(values))) if isinstance(given, Mapping) else []
        if unknown:
            raise UsageError(
                f"{argument} names '{unknown[0]}'; the metrics of this call: {', '.join(values) or 'none'}"
            )


def _same_length(what: str, given: Sequence[Any], seeds: Sequence[str]) -> None:
    if len(given) != len(seeds):
        raise UsageError(f"'{what}' has {len(given)} values for {len(seeds)} seeds; give one value per seed")


def _number(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"'{what}' holds {value!r}; a number is needed")
    return float(value)
