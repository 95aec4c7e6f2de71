"""What a session says of its goldens at the end: how many hold, failed, were not checked or recorded, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from goldmark.golden._files.entries import listed

if TYPE_CHECKING:
    from goldmark.golden._fixture.session import Outcome

_EXPECTED = "does not hold, as the test expects"
_NO_RESULT = "nothing to record: the test was skipped, or failed as it expects"


def as_reported(outcome: Outcome, *, failed: bool, passed: bool) -> Outcome:
    """Return an outcome that agrees with the test's own: of one that was skipped or failed as expected none failed."""
    if failed:
        return outcome
    if outcome.recorded and not passed:
        return replace(outcome, ok=None, recorded=False, reasons=(_NO_RESULT,))
    if outcome.ok is False:
        return replace(outcome, ok=None, reasons=(*outcome.reasons, _EXPECTED))
    return outcome


def counts_of(outcomes: Sequence[tuple[str, Outcome]], *, committed: bool) -> list[str]:
    """Return how many goldens hold, failed, were not checked and were recorded, and the reasons of each."""
    touched = [outcome for _, outcome in outcomes]
    left_out = sum(_NO_RESULT in outcome.reasons for outcome in touched)
    expected = sum(_EXPECTED in outcome.reasons for outcome in touched)
    recorded = sum(outcome.ok is True and outcome.recorded for outcome in touched)
    counts = {
        "hold": sum(outcome.ok is True and not (outcome.recorded or outcome.undecided) for outcome in touched),
        "undecided": sum(outcome.ok is True and bool(outcome.undecided) for outcome in touched),
        "failed": sum(outcome.ok is False for outcome in touched),
        "not checked in full": sum(outcome.ok is None for outcome in touched) - expected - left_out,
        "expected to fail": expected,
        "recorded": recorded if committed else 0,
        "not recorded": left_out if committed else left_out + recorded,
    }
    reasons: dict[str, list[str]] = {}
    for outcome in touched:
        for reason in outcome.reasons:
            reasons.setdefault(reason, []).append(outcome.name)
    summary = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    undecided = [f"{outcome.name}: {metric}" for outcome in touched for metric in outcome.undecided if outcome.ok]
    return [summary, *(f"{why}: {listed(names)}" for why, names in reasons.items()), *undecided] if summary else []
