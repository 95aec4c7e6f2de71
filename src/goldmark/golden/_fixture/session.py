"""What the tests and processes of a session share: its settings, results that wait to be recorded, and outcomes.

Results are staged as files until the session ends, because goldens change all or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from goldmark.fingerprint import sha256
from goldmark.golden._defaults import Defaults
from goldmark.golden._files.arrays import KEPT_WHOLE
from goldmark.golden._files.entries import Provenance, Result, as_result
from goldmark.golden._files.format import from_bytes, to_bytes


@dataclass(frozen=True, kw_only=True)
class GoldenSession:
    """What the golden checks of one test session share."""

    root: Path
    folder: Path
    staging: Path | None  # where results wait for the end of the session; None outside updates
    updating: bool  # every result is recorded
    new_only: bool  # a result is recorded where there is no golden yet
    again: bool = False  # this is the second run of tests that recorded
    partial: bool = False  # checks with fewer seeds than their goldens need are allowed
    strict: bool = False  # a metric that is undecided fails
    guards: bool = False  # the guards of goldens are trained anew, to see that these still see them
    every_drift: bool = False  # messages name all that differs
    defaults: Defaults = field(default_factory=Defaults)  # of the project


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one golden in one test."""

    name: str
    ok: bool | None = True  # None: it could not be checked
    reasons: tuple[str, ...] = ()
    recorded: bool = False
    undecided: tuple[str, ...] = ()  # metrics that hold although their interval is wider than their margin, in words

    def plus(
        self, *, ok: bool | None, reasons: Iterable[str] = (), recorded: bool = False, undecided: Iterable[str] = ()
    ) -> Outcome:
        """Return the outcome after one more check: false beats null, null beats true."""
        order = (False, None, True)
        return replace(
            self,
            ok=min(self.ok, ok, key=order.index),
            reasons=tuple(dict.fromkeys([*self.reasons, *reasons])),
            recorded=self.recorded or recorded,
            undecided=(*self.undecided, *undecided),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the outcome as plain values, which pytest-xdist sends from a worker to the controller."""
        return {**asdict(self), "reasons": list(self.reasons), "undecided": list(self.undecided)}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Outcome:
        """Return the outcome that `to_plain` made plain."""
        return cls(**{**values, "reasons": tuple(values["reasons"]), "undecided": tuple(values["undecided"])})


def stage(staging: Path, result: Result, *, whole: int = KEPT_WHOLE) -> None:
    """Put a result where the end of the session looks for it; of several with one name the last stays."""
    from goldmark.golden._record.entry import golden_from  # loaded here: only recording needs it

    content = to_bytes(golden_from(result, (unapproved(result),), whole=whole))
    (staging / sha256(result.name.encode())).write_bytes(content)


def staged_results(staging: Path) -> dict[str, Result]:
    """Return the results that the tests of a session, in all its processes, have staged."""
    staged = (as_result(from_bytes(path.read_bytes(), str(path))) for path in sorted(staging.glob("*")))
    return {result.name: result for result in staged}


def unapproved(result: Result) -> Provenance:
    """Return the provenance of a result that nobody has approved: its environment and its code alone."""
    return Provenance(
        date="",
        reason="",
        commit=None,
        versions=result.versions,
        fingerprint=result.fingerprint,
        sources=result.sources,
    )
