"""What users pass to `golden.statistical`, as entries: metrics with their rules, lists or dicts by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from goldmark.case import Better, MeanTest, Metric, Scale, Unsaid, UsageError
from goldmark.golden._defaults import Defaults
from goldmark.golden._files.entries import Statistical
from goldmark.golden._files.plain import plain
from goldmark.golden._record.entry import statistical_entry
from goldmark.statistics import read_margin

GUARD = "the guard values of the test"  # a user's guard is values, not a variant with a name


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the metrics of one call are compared, and what else is given of them."""

    defaults: Defaults
    metrics: Sequence[Metric] = ()  # of which a metric that is left out has the project's defaults
    first: Any = None  # by metric: values after the first epoch, which a model that stops learning would keep
    check_seeds: int | None = None
    sequential: bool = False
    named: Mapping[str, Metric] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", _by_name(self.metrics))

    def metric(self, name: str) -> Metric:
        """Return the rule of a metric."""
        return self.named.get(name) or Metric(name)

    def margin(self, name: str) -> float | str | None:
        """Return the margin of a metric, the project's own where it has none; None: the metric is only shown."""
        margin = self.metric(name).margin
        margin = self.defaults.margin if isinstance(margin, Unsaid) else margin
        if isinstance(margin, Unsaid):
            raise UsageError(
                f"'{name}' has no margin; name the change that nobody minds, metrics=[Metric('{name}', margin=0.1)], "
                "or say margin=None for what is only to be shown"
            )
        return margin if margin is None or isinstance(margin, str) else _number(f"margin of {name}", plain(margin))

    def alpha(self, name: str) -> float:
        """Return the false-alarm rate of a metric, or the project's own."""
        alpha = self.metric(name).alpha
        return self.defaults.alpha if alpha is None else _number("alpha", plain(alpha))

    def alone(self) -> Rules:
        """Return the rules without what is trained beside the metrics: guards, innocent changes, first epochs."""
        return replace(
            self, metrics=[replace(metric, guard=None, null=None) for metric in self.named.values()], first=None
        )


def _by_name(metrics: Any) -> dict[str, Metric]:
    """Return metrics by name; raise `UsageError` for what is none, and for one that comes twice."""
    wanted = "metrics takes a list, metrics=[Metric('val_rmse', margin='2%')]"
    if isinstance(metrics, str | Mapping) or not isinstance(metrics, Iterable):
        raise UsageError(f"{wanted}, not {type(metrics).__name__}; from goldmark import Metric")
    named: dict[str, Metric] = {}
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise UsageError(f"{wanted}; one of them is {metric!r}")
        if metric.name in named:
            raise UsageError(f"metrics names '{metric.name}' twice; give each metric one rule")
        named[metric.name] = metric
    return named


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


def by_seed(what: str, values: Any, seeds: Sequence[str], *, some: bool = False) -> dict[str, float]:
    """Return `{seed: float}` from a list in the order of the seeds, or from a dict by seed, where `some` of them do."""
    given = plain(values, what)
    if isinstance(given, list):
        _same_length(what, given, seeds)
        given = dict(zip(seeds, given, strict=True))
    if not isinstance(given, dict):
        raise UsageError(f"'{what}' is {type(values).__name__}; pass a list with one value per seed, or a dict by seed")
    names = {str(seed) for seed in given}
    if names != set(seeds) and not (some and names < set(seeds)):
        raise UsageError(f"'{what}' has the seeds {sorted(names)}; the call says seeds={list(seeds)}")
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
    name: str, values: Mapping[str, float], seeds: Sequence[str], rules: Rules, *, paired: bool
) -> Statistical:
    metric = rules.metric(name)
    guard, first = _called(metric.guard), _called((rules.first or {}).get(name))
    null = {
        str(change): by_seed(f"null of {name}, {change}", _called(moved), seeds, some=True)
        for change, moved in (metric.null or {}).items()
    }
    return statistical_entry(
        values,
        scale=metric.scale,
        margin=rules.margin(name),
        alpha=rules.alpha(name),
        test=metric.test,
        dead_below=metric.dead_below,
        better=metric.better,
        guard=None if guard is None else GUARD,
        guard_values=None if guard is None else by_seed(f"guard of {name}", guard, seeds),
        first_values=None if first is None else by_seed(f"first[{name}]", first, seeds),
        null_values=null or None,
        check_seeds=rules.check_seeds,
        sequential=rules.sequential,
        paired=paired,
    )


def _called(given: Any) -> Any:
    return given() if callable(given) else given


def _held_entry(name: str, values: Mapping[str, float], rules: Rules) -> Statistical:
    metric, margin = rules.metric(name), rules.margin(name)
    scale: Scale = metric.scale
    limit = None
    if margin is not None:
        scale, limit = read_margin(margin, scale)
    return Statistical(
        values=values,
        scale=scale,
        margin=limit,
        alpha=rules.alpha(name),
        test=metric.test,
        dead_below=metric.dead_below,
        better=metric.better,
        guard=None if metric.guard is None else GUARD,
        guard_values=None,
        first_values=None,
        sd=0.0,
        detectable=0.0,
        effect=None,
        check_seeds=rules.check_seeds,
        sequential=rules.sequential,
    )


def _check(values: Mapping[str, Any], rules: Rules) -> None:
    """Raise `UsageError` for wrong arguments at once, before a comparison stumbles over them."""
    _known_metrics(values, rules)
    if not (rules.check_seeds is None or (type(rules.check_seeds) is int and rules.check_seeds > 0)):
        raise UsageError(
            f"check_seeds is {rules.check_seeds!r}; give how many of the seeds a check must have, such as 8"
        )
    if not isinstance(rules.sequential, bool):
        raise UsageError(f"sequential is {rules.sequential!r}; give True where a check looks after 5, 10 and 20 seeds")
    for name in values:
        _check_rule(rules.metric(name), rules)


def _check_rule(metric: Metric, rules: Rules) -> None:
    for argument, words in (("better", Better), ("test", MeanTest), ("scale", Scale)):
        _one_of(argument, getattr(metric, argument), get_args(words))
    margin = rules.margin(metric.name)
    if margin is not None:
        read_margin(margin, metric.scale)
    elif metric.guard is not None or metric.null is not None:
        raise UsageError(f"'{metric.name}' is only shown (margin=None); give it a margin to gate, or no guard and null")
    alpha = rules.alpha(metric.name)
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha!r}; give a false-alarm rate between 0 and 1, such as 0.001")
    if not (metric.null is None or isinstance(metric.null, Mapping)):
        raise UsageError(
            f"null is {type(metric.null).__name__}; pass a dict by what changed: null={{'two threads': values by seed}}"
        )
    if metric.dead_below is not None:
        _number("dead_below", plain(metric.dead_below))


def _one_of(argument: str, given: Any, words: Sequence[str]) -> None:
    if not (isinstance(given, str) and given in words):
        raise UsageError(f"{argument} is {given!r}; give one of {', '.join(map(repr, words))}")


def _known_metrics(values: Mapping[str, Any], rules: Rules) -> None:
    """Raise `UsageError` for a rule of a metric that the call does not have: a misspelt guard would guard nothing."""
    if rules.first is not None and not isinstance(rules.first, Mapping):
        raise UsageError(f"first is {type(rules.first).__name__}; pass a dict: first={{metric: values by seed}}")
    for argument, given in (("metrics", rules.named), ("first", rules.first or {})):
        unknown = sorted(map(str, set(given) - set(values)))
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
