"""A statement of a record: the numbers that decide it, how they are measured, and the verdict that follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from goldmark.case import AllOf, Check, MatrixScale, Runs

Answer = Literal["confirmed", "refuted", "partly", "not testable here"]
Statistic = Callable[[Sequence[float]], float]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one part of a statement came to: a value, the range that the statement asks for, and the seeds behind it.

    `n_seeds` is 0 where the value follows by arithmetic. `ok` is None where it was not measured.
    """

    ok: bool | None
    says: str
    value: float
    wanted: str  # the range, in words
    n_seeds: int

    def __str__(self) -> str:
        if self.ok is None:
            return f"{self.says}: not measured"
        by = f"{self.n_seeds} seeds" if self.n_seeds else "computed"
        return f"{self.says}: {self.value:.6g}, asked for {self.wanted} ({by})"


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A part that follows by arithmetic, in float64: its value must lie in [low, high]."""

    says: str
    compute: Callable[[], float]
    low: float
    high: float
    variants: tuple[str, ...] = ()  # it needs no runs

    def read(self, runs: Runs) -> Reading:
        """Return the value beside its range; runs are not looked at."""
        return _reading(self.says, float(self.compute()), self.low, self.high, n_seeds=0)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A part that is measured on runs of some variants: its value must lie in [low, high]."""

    says: str
    variants: tuple[str, ...]
    measure: Callable[[Runs], float]
    low: float
    high: float

    def read(self, runs: Runs) -> Reading:
        """Return the value beside its range, or that it was not measured where runs of a variant are missing."""
        if any(not runs.get(name) for name in self.variants):
            return Reading(ok=None, says=self.says, value=math.nan, wanted=_range(self.low, self.high), n_seeds=0)
        n_seeds = min(len(runs[name]) for name in self.variants)
        return _reading(self.says, float(self.measure(runs)), self.low, self.high, n_seeds=n_seeds)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A part that is a check of a claim, judged by the claim's own code."""

    check: Check

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the variants whose runs are read."""
        return self.check.variants

    def read(self, runs: Runs) -> Reading:
        """Return the verdict of the check as a reading, or that it was not measured where runs are missing."""
        wanted = f"{self.check.relation} {self.check.limit:g}"
        if any(not runs.get(name) for name in self.variants):
            return Reading(ok=None, says=self.check.says, value=math.nan, wanted=wanted, n_seeds=0)
        verdict = self.check(runs)
        return Reading(ok=verdict.ok, says=verdict.says, value=verdict.value, wanted=wanted, n_seeds=verdict.n_seeds)


Part = Computed | Measured | Checked


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A sentence of a record with its number, and the parts that decide it.

    All parts hold: confirmed. None holds: refuted. Some: partly. Without parts, or where one could not be measured, it
    is not testable here, and `why` says for what reason. The first part's value is the one that stands beside
    `documented`. `scale` names the runs that its parts read.
    """

    name: str  # of its own within a case
    source: str  # record and section
    says: str
    why: str  # one line that stays true whatever is measured: the mechanism, or why it cannot be tested
    documented: float | None = None
    parts: tuple[Part, ...] = ()
    scale: MatrixScale = "fast"

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the variants whose runs are read, in the order in which the parts name them."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.variants))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the audit: a statement beside what was measured or computed here."""

    case: str
    statement: Statement
    readings: tuple[Reading, ...]

    @property
    def answer(self) -> Answer:
        """Return the verdict that follows from the readings."""
        held = [reading.ok for reading in self.readings]
        if not held or None in held:
            return "not testable here"
        return "confirmed" if all(held) else "partly" if any(held) else "refuted"

    @property
    def measured(self) -> float | None:
        """Return the value of the first part; None where there is none, or none that is finite."""
        value = self.readings[0].value if self.readings else math.nan
        return value if math.isfinite(value) else None

    @property
    def why(self) -> str:
        """Return one line: readings, ranges and seeds with the reason; or the command that would test it."""
        if not self.readings:
            return self.statement.why
        if self.answer == "not testable here":
            return f"{self.statement.why}; test it with: {self._command()}"
        return f"{'; '.join(map(str, self.readings))}: {self.statement.why}"

    def _command(self) -> str:
        names = self.statement.variants
        if self.statement.scale == "fast":
            return f"goldmark run {self.case}"
        only = f"{self.case}/{names[0]}" if len(names) == 1 else f"{self.case}/*"
        return f"goldmark matrix {self.case} --only '{only}', then goldmark audit {self.case} --matrix matrix"


def answer(case: str, statement: Statement, runs: Mapping[MatrixScale, Runs]) -> Row:
    """Return a statement's row: its parts read on the runs of its scale."""
    own = runs.get(statement.scale, {})
    return Row(case=case, statement=statement, readings=tuple(part.read(own) for part in statement.parts))


def computed(
    says: str,
    compute: Callable[[], float],
    *,
    near: float | None = None,
    rel: float = 0.01,
    low: float = -math.inf,
    high: float = math.inf,
) -> Computed:
    """Return a part that is computed: within `rel` of the number `near`, or from `low` to `high`."""
    low, high = _limits(near, rel, low, high)
    return Computed(says=says, compute=compute, low=low, high=high)


def measured(
    says: str,
    variants: Sequence[str],
    measure: Callable[[Runs], float],
    *,
    near: float | None = None,
    rel: float = 0.01,
    low: float = -math.inf,
    high: float = math.inf,
) -> Measured:
    """Return a part that is measured on runs: within `rel` of the number `near`, or from `low` to `high`."""
    low, high = _limits(near, rel, low, high)
    return Measured(says=says, variants=tuple(variants), measure=measure, low=low, high=high)


def of_metric(
    variant: str,
    metric: str,
    *,
    statistic: Statistic = fmean,
    near: float | None = None,
    rel: float = 0.01,
    low: float = -math.inf,
    high: float = math.inf,
) -> Measured:
    """Return the part that a statistic over seeds (the mean, `min`, `max`) of a variant's metric lies in a range."""

    def measure(runs: Runs) -> float:
        values = [run.metrics[metric] for run in runs[variant]]
        return math.nan if any(map(math.isnan, values)) else statistic(values)  # `min` would pass over a NaN

    name = "mean" if statistic is fmean else statistic.__name__
    return measured(
        f"{metric} of '{variant}', {name} over seeds", (variant,), measure, near=near, rel=rel, low=low, high=high
    )


def checked(check: Check | AllOf) -> tuple[Checked, ...]:
    """Return the parts of a claim's check: a statement of the record that the catalogue holds as a claim."""
    return tuple(Checked(check=part) for part in check.parts)


def _limits(near: float | None, rel: float, low: float, high: float) -> tuple[float, float]:
    """Return the range of a part; raise `ValueError` where there is none, or where it is given twice."""
    bounded = (low, high) != (-math.inf, math.inf)
    if (near is None) != bounded:
        raise ValueError("a part is held to a number (`near`) or to a range (`low`, `high`): one of the two, not both")
    if near is None:
        return low, high
    return near - rel * abs(near), near + rel * abs(near)


def _reading(says: str, value: float, low: float, high: float, *, n_seeds: int) -> Reading:
    return Reading(ok=low <= value <= high, says=says, value=value, wanted=_range(low, high), n_seeds=n_seeds)


def _range(low: float, high: float) -> str:
    if low == high:
        return f"{low:.6g}"
    if low == -math.inf:
        return f"{high:.6g} or less"
    return f"{low:.6g} or more" if high == math.inf else f"{low:.6g} to {high:.6g}"
