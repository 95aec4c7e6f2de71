"""What a golden holds: entries of three tiers, each with its rule, and where they came from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from goldmark.case import Better, Scale, UsageError

Test = Literal["t", "permutation"]

UPDATE_OPTIONS = '--snapshot-update --golden-reason "..."'


@dataclass(frozen=True)
class Close:
    """Numbers that follow from arithmetic: a float, or lists and dicts of floats, and their relative tolerance."""

    value: Any
    rel: float = field(default=1e-9, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Statistical:
    """A metric of trained models: the value of every seed, and the rule by which new ones are compared.

    `margin`, `sd`, `detectable` and `effect` are on the scale g of the metric (identity or log). `guard_values` are
    the values of the variant whose bug the golden must see; `first_values` those after the first epoch, which a
    frozen model would score. Without a guard a metric is shown and gates on repeat alone, and only then may values
    be NaN (null in the file): a broken variant may well diverge.
    """

    values: Mapping[str, float]
    scale: Scale
    margin: float
    alpha: float
    test: Test
    better: Better
    guard: str | None
    guard_values: Mapping[str, float] | None
    first_values: Mapping[str, float] | None
    sd: float
    detectable: float
    effect: float | None
    check_seeds: int | None = None  # how many of the stored seeds a check must have; None: all
    repeats: bool | None = True  # whether unchanged code gives every value again; None: nobody has tried


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """When, why and from what a golden was written."""

    date: str
    reason: str
    commit: str | None
    versions: Mapping[str, str]
    fingerprint: Mapping[str, str]
    sources: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """An approved result, with the rule by which each entry is compared."""

    name: str
    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Close] = field(default_factory=dict)
    statistical: Mapping[str, Statistical] = field(default_factory=dict)
    stream: Mapping[str, str] | None = None  # hash of the order of examples and draws, by seed
    recorded_by: str | None = None  # node id of the test; None for the catalogue
    provenance: tuple[Provenance, ...] = ()  # oldest first
    seal: str = field(default="", compare=False)  # of the file it was read from


@dataclass(frozen=True, kw_only=True)
class Result:
    """New numbers, to compare with a golden or to record as one: the same entries, without approval."""

    name: str
    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Close] = field(default_factory=dict)
    statistical: Mapping[str, Statistical] = field(default_factory=dict)
    stream: Mapping[str, str] | None = None
    recorded_by: str | None = None
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


class BadGolden(UsageError):  # noqa: N818 (it says what is bad, as `UsageError` says whose fault it is)
    """A golden file that cannot be trusted: its name, what is wrong with it, and the way out."""


def update_command(nodeid: str = "") -> str:
    """Return the command that records the goldens of a test, or of all tests, for whoever reads a message."""
    return " ".join(part for part in ("pytest", shlex.quote(nodeid) if nodeid else "", UPDATE_OPTIONS) if part)
