"""Statements that must hold for runs: a claim, the checks that it is made of, and the verdict on both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import stdev
from typing import Literal, get_args

from goldmark.case._run import Runs, UsageError

Relation = Literal[">=", "<=", ">", "<"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """Whether a claim or a part of one holds: what was measured, the limit it must keep, and the seeds behind it.

    `ok` is None where it was not judged, because its runs have fewer seeds than it needs. A verdict is true where it
    holds, and its representation is a sentence, so that `assert verdict` tells what was seen.
    """

    ok: bool | None
    says: str  # what was measured, or the name of the claim
    value: float  # over all seeds: of the worst one, or the mean
    relation: Relation
    limit: float
    n_seeds: int
    worst_seed: int | None = None  # the seed that is furthest on the wrong side
    distance_sd: float = math.nan  # of the worst seed to the limit, in sd over seeds; negative on the wrong side
    parts: tuple[Verdict, ...] = ()  # what a claim is made of, where that is more than one statement

    def __bool__(self) -> bool:
        return self.ok is True

    def __repr__(self) -> str:
        if self.ok is None:
            return f"{self.says}: not judged on {self.n_seeds} seeds"
        word = "holds" if self.ok else "FAILS"
        if self.parts:
            told = [part for part in self.parts if part.ok is self.ok]  # of a claim that fails, what fails
            return "\n  ".join([f"{self.says}: {word}", *map(repr, told)])
        worst = "" if self.worst_seed is None else f", the worst is seed {self.worst_seed}"
        limit = f"must be {self.relation} {self.limit:g}"
        return f"{self.says}: {word}: {self.value:.6g}, {limit} ({self.n_seeds} seeds{worst})"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A statement about runs with a limit to keep; several of them where it has `parts`.

    `measure` returns a number for every seed, or for every seed that two variants share. `statistic` makes one of
    them all; without it the worst seed's is judged.
    """

    says: str  # what is measured, as in "span_f1 of 'clipped_countdown', mean"
    variants: tuple[str, ...]  # whose runs are read
    measure: Callable[[Runs], Mapping[int, float]]
    relation: Relation
    limit: float
    statistic: Callable[[Sequence[float]], float] | None = None
    one_unit: bool = True  # whether the limit is in the unit of the seeds' numbers; the limit of a p-value is not

    def __post_init__(self) -> None:
        """Raise `UsageError` for a relation that there is not."""
        if self.relation not in get_args(Relation):
            raise UsageError(
                f"{self.says}: the relation is '{self.relation}'; give one of {' '.join(get_args(Relation))}"
            )

    @property
    def parts(self) -> tuple[Check, ...]:
        """Return the single statements that this one is made of: itself."""
        return (self,)

    def __call__(self, runs: Runs) -> Verdict:
        """Judge runs, by variant; raise `KeyError` where they lack one and `ValueError` where no seed is left."""
        by_seed = self.measure(runs)
        if not by_seed:
            raise ValueError(f"{self.says}: there is no seed to judge it on; train {' and '.join(self.variants)}")
        sign = 1 if self.relation in (">=", ">") else -1
        # NaN is worse than any number, and of equal values the lowest seed is named
        worst = min(sorted(by_seed), key=lambda seed: (not math.isnan(by_seed[seed]), sign * by_seed[seed]))
        values = list(by_seed.values())
        value = by_seed[worst] if self.statistic is None else self.statistic(values)
        return Verdict(
            ok=_keeps(value, self.relation, self.limit),
            says=self.says,
            value=value,
            relation=self.relation,
            limit=self.limit,
            n_seeds=len(values),
            worst_seed=worst,
            distance_sd=sign * (by_seed[worst] - self.limit) / _sd(values) if self.one_unit else math.nan,
        )


def _sd(values: Sequence[float]) -> float:
    """Return the sd over seeds; NaN where it says nothing: one seed, equal ones, or one that is not finite."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return stdev(values) or math.nan


def _keeps(value: float, relation: Relation, limit: float) -> bool:
    return {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}[relation]


@dataclass(frozen=True, kw_only=True)
class AllOf:
    """Several statements that must hold at once."""

    parts: tuple[Check, ...]

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the variants whose runs are read, in the order in which the parts name them."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.variants))

    def __call__(self, runs: Runs) -> Verdict:
        """Judge every part; value and limit are those of the first that fails, or of the last one."""
        verdicts = [part(runs) for part in self.parts]
        shown = next((verdict for verdict in verdicts if not verdict.ok), verdicts[-1])
        return replace(shown, ok=all(verdict.ok for verdict in verdicts), parts=tuple(verdicts))


@dataclass(frozen=True, kw_only=True, repr=False)
class Claim:
    """A statement that must hold for the runs of the variants that its check reads."""

    name: str
    says: str
    source: str  # record and section, or "project"
    check: Check | AllOf
    documented: float | None = None
    any_data: bool = False  # also holds on a user's data
    fewest_seeds: int = 1  # with fewer it is not judged

    def __repr__(self) -> str:
        return f"claim '{self.name}'"

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the variants that the claim is about."""
        return self.check.variants

    def verdict(self, runs: Runs) -> Verdict:
        """Judge runs, by variant; not judged where a variant has fewer than the claim needs, or none.

        Raise `UsageError` where it reads what its runs have not, such as a metric.
        """
        n_seeds = min(len(runs.get(variant, ())) for variant in self.variants)
        name = repr(self)
        if n_seeds < max(1, self.fewest_seeds):
            relation = self.check.parts[0].relation
            return Verdict(ok=None, says=name, value=math.nan, relation=relation, limit=math.nan, n_seeds=n_seeds)
        try:
            verdict = self.check(runs)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        return replace(verdict, says=name, parts=verdict.parts or (verdict,))
