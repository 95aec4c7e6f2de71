"""What a golden holds: entries of three tiers, each with its rule, and where they came from."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from goldmark.case import LOOKS, Better, MeanTest, Scale, UsageError

Norm = Literal["max", "l2"]

UPDATE_OPTIONS = '--golden-update --golden-reason "..."'


@dataclass(frozen=True)
class Close:
    """Numbers that follow from arithmetic: a float, or lists and dicts of floats, and how far they may move.

    A number may move by `rel` times its size plus `abs`. With a norm, that is said of each vector as a whole: the norm
    of its change, `rel` times the norm of the golden.
    """

    value: Any
    rel: float = field(default=1e-9, kw_only=True)
    abs: float = field(default=0.0, kw_only=True)
    norm: Norm | None = field(default=None, kw_only=True)  # None: every entry by itself
    equal_nan: bool = field(default=False, kw_only=True)  # NaN in the same place is no change

    def same_rule(self, other: Close) -> bool:
        """Tell whether another entry is compared by the same tolerance."""
        return all(getattr(self, name) == getattr(other, name) for name in CLOSE_RULE)


CLOSE_RULE = ("rel", "abs", "norm", "equal_nan")


@dataclass(frozen=True, kw_only=True)
class Statistical:
    """A metric of trained models: the value of every seed, and the rule by which new ones are compared.

    `margin`, `sd`, `detectable` and `effect` are on the scale g of the metric (identity or log). `guard_values` are
    the values of the variant whose bug the golden must see; `first_values` those after the first epoch, which a
    frozen model would score; `null_values` those after changes that nobody minds. Only a metric without a margin may
    hold NaN (null in the file); a guard may diverge.
    """

    values: Mapping[str, float]
    scale: Scale
    margin: float | None  # a metric with a margin gates; None: it is only shown
    alpha: float
    test: MeanTest
    better: Better
    guard: str | None
    guard_values: Mapping[str, float] | None
    first_values: Mapping[str, float] | None
    sd: float
    detectable: float
    effect: float | None
    check_seeds: int | None = None  # how many of the stored seeds a check must have; None: all
    repeats: bool | None = True  # whether unchanged code gives every value again; None: nobody has tried
    dead_below: float | None = None  # a value below it is that of a seed that failed outright
    null_values: Mapping[str, Mapping[str, float]] | None = None  # by innocent change, by seed
    sequential: bool = False  # a check looks after 5, 10 and 20 seeds, and may end at any look

    @property
    def required_seeds(self) -> int:
        """How many of the stored seeds a check must have; the others are reference values.

        A sequential check may end with fewer: see `look`.
        """
        if self.sequential:
            return LOOKS[-1]
        return len(self.values) if self.check_seeds is None else self.check_seeds

    @property
    def checked_seeds(self) -> list[str]:
        """The first seeds, as many as a check must have: in the order of numbers where they are numbers."""
        return self.first_seeds(self.required_seeds)

    def first_seeds(self, n: int) -> list[str]:
        """Return the first n of the stored seeds."""
        return sorted(self.values, key=lambda seed: (len(seed), seed))[:n]

    def look(self, seeds: Collection[str]) -> int | None:
        """Return at which look of a sequential check, 0 the first, so many seeds are; None where they are at none.

        A look takes the first seeds of the golden, so that each has those of the one before; one with more seeds than
        the last look asks for is a last look.
        """
        if not self.sequential:
            return None
        if len(seeds) >= LOOKS[-1]:
            return len(LOOKS) - 1
        at = len(seeds) in LOOKS and set(seeds) == set(self.first_seeds(len(seeds)))
        return LOOKS.index(len(seeds)) if at else None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """When and why a golden got its values, and what they were last seen from."""

    date: str
    reason: str
    commit: str | None  # that was checked out when they were last seen
    versions: Mapping[str, str]  # of the distributions that were imported
    fingerprint: Mapping[str, str]
    sources: Mapping[str, str]  # sha256 of files of code and data, by path


@dataclass(frozen=True, kw_only=True)
class Golden:
    """An approved result, with the rule by which each entry is compared."""

    name: str
    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Close] = field(default_factory=dict)
    statistical: Mapping[str, Statistical] = field(default_factory=dict)
    stream: Mapping[str, str] | None = None  # hash of the order of examples and draws, by seed
    arrays: Mapping[str, str] = field(default_factory=dict)  # dtype and shape by tier and key
    recorded_by: str | None = None  # node id of the test; None for the catalogue
    provenance: tuple[Provenance, ...] = ()  # oldest first
    seal: str = field(default="", compare=False)  # of the file it was read from

    @property
    def origin(self) -> Provenance | None:
        """When and why it got its values, and what they were last seen from; None where that was not recorded."""
        return self.provenance[-1] if self.provenance else None

    @property
    def gating(self) -> dict[str, Statistical]:
        """The metrics with a margin, sorted by name: beyond it they fail."""
        return {metric: entry for metric, entry in sorted(self.statistical.items()) if entry.margin is not None}


@dataclass(frozen=True, kw_only=True)
class Result:
    """New numbers, to compare with a golden or to record as one: the same entries, without approval."""

    name: str
    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Close] = field(default_factory=dict)
    statistical: Mapping[str, Statistical] = field(default_factory=dict)
    stream: Mapping[str, str] | None = None
    arrays: Mapping[str, str] = field(default_factory=dict)
    recorded_by: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)  # seed -> what stopped it; then nothing is recorded


def as_result(golden: Golden) -> Result:
    """Return the entries of a golden as if they were new numbers."""
    last = golden.origin
    return Result(
        name=golden.name,
        exact=golden.exact,
        close=golden.close,
        statistical=golden.statistical,
        stream=golden.stream,
        arrays=golden.arrays,
        recorded_by=golden.recorded_by,
        versions=last.versions if last else {},
        fingerprint=last.fingerprint if last else {},
        sources=last.sources if last else {},
    )


class BadGolden(UsageError):  # noqa: N818 (it says what is bad, as `UsageError` says whose fault it is)
    """A golden file that cannot be trusted: its name, what is wrong with it, and the way out."""


def update_command(nodeid: str = "") -> str:
    """Return the command that records the goldens of a test, or of all tests, for whoever reads a message."""
    return " ".join(part for part in ("pytest", shlex.quote(nodeid) if nodeid else "", UPDATE_OPTIONS) if part)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names in one line, of many the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
