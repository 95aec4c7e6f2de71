"""A run, what was seen in it, and how a thing is found by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

MatrixScale = Literal["smoke", "fast", "full"]
T = TypeVar("T")
_SHOWN = 12  # lines of what a failed run has printed


class UsageError(ValueError):
    """Wrong use or bad input: one clear line for a person, exit status 2 on the command line."""


def find(named: Mapping[str, T], name: str, none: str) -> T:
    """Return what is named so; raise `UsageError`, from `none` ("case 'x' has no variant") and the names, otherwise."""
    if name not in named:
        near = [f"; the nearest is '{known}'" for known in get_close_matches(str(name), named, n=1)]
        raise UsageError("".join([f"{none} '{name}'; it has: {', '.join(named) or 'none'}", *near]))
    return named[name]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a trivial predictor scores on the same data."""

    name: str
    says: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check saw: its numbers, the threshold, whether that means trouble, and then what to do."""

    name: str
    trouble: bool
    numbers: Mapping[str, float]
    threshold: float
    advice: str
    relation: str = ""  # what holds of healthy training, and does not here

    def __str__(self) -> str:
        """Return the finding in one paragraph: name, relation, numbers, threshold and what to do."""
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.numbers.items())
        parts = (self.relation, f"measured: {numbers} (threshold {self.threshold:.4g})", self.advice)
        return f"{self.name}: " + "; ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one variant with one seed."""

    case: str
    scale: MatrixScale
    variant: str
    seed: int
    metrics: Mapping[str, float]  # of the trained model
    history: tuple[Mapping[str, float], ...]  # a row an epoch: epoch, train_loss; first, middle and last: all metrics
    learning_rates: tuple[tuple[float, ...], ...]  # used in each epoch's last step, one a parameter group
    baselines: tuple[Baseline, ...]
    findings: tuple[Finding, ...]
    exact: Mapping[str, Any]  # parameter count, shapes, recipe: equal or not
    close: Mapping[str, Any]  # numbers that follow from arithmetic, in float64
    stream: str  # hash of batch order, draw keys, parameter names and shapes; never of floats
    fingerprint: Mapping[str, str]
    sources: Mapping[str, str]  # path -> sha256 of the code that can change the numbers
    data: str  # "generated", or the sha256 of the user's file
    seconds: float
    evaluations: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)  # where they were asked for
    ingredients: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # what else can change it: kind -> name
    session: str = ""  # of commands or tests that trained it, where it is kept for others
    error: str | None = None  # what stopped it, or which metric is not finite: it has no metrics that count
    output: str = ""  # the end of what it printed, where something stopped it

    def metric(self, name: str) -> float:
        """Return the metric of that name; raise `UsageError` with the known names otherwise."""
        return find(self.metrics, name, f"a run of '{self.variant}' has no metric")

    def baseline(self, name: str) -> Baseline:
        """Return the baseline of that name; raise `UsageError` with the known names otherwise."""
        by_name = {baseline.name: baseline for baseline in self.baselines}
        return find(by_name, name, f"a run of '{self.variant}' has no baseline")

    @property
    def failure(self) -> Failure | None:
        """What stopped it, or None where it came to its end."""
        if self.error is None:
            return None
        return Failure(case=self.case, variant=self.variant, seed=self.seed, error=self.error, output=self.output)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that came to nothing: it diverged, its code raised, or its process died."""

    case: str
    variant: str
    seed: int
    error: str
    output: str = ""  # the end of what it printed

    @property
    def last_lines(self) -> list[str]:
        """The last lines that it printed, as many as a message shows."""
        return self.output.splitlines()[-_SHOWN:]


Runs = Mapping[str, Sequence[Run]]  # variant name -> its runs, by seed
