"""What a person reads when a golden does not hold: the worst entries, the cause, the way out."""

from __future__ import annotations

from collections.abc import Mapping

from goldmark.golden._compare.drift import Comparison
from goldmark.golden._files.entries import Golden, Result

_SHOWN = 4  # drifts in a message: with the lines around them it stays within the 8 lines that pytest shows of a text
_NAMED = 4  # files and parts of the environment in one line


def message(comparison: Comparison, update_command: str) -> list[str]:
    """Return the lines to show for a golden that does not hold: the worst entries, the cause, the way out."""
    drifts = comparison.drifts
    lines = [f"golden '{comparison.name}' does not hold: {len(drifts)} of {comparison.n_entries} entries, worst first"]
    lines += [f"  {drift.text}" for drift in drifts[:_SHOWN]]
    if len(drifts) > _SHOWN:
        lines.append(f"  and {len(drifts) - _SHOWN} more")
    lines.append(comparison.cause)
    lines.append(f"if the change is meant: {update_command}")
    if comparison.not_checked:
        lines.append(f"not checked: {', '.join(comparison.not_checked)} ({comparison.unchecked})")
    return lines


def attribution(golden: Golden, result: Result) -> str:
    """Say which recorded source files and which parts of the environment changed since the golden was last written."""
    if not golden.provenance or not (result.fingerprint or result.sources):
        return "code and environment were not recorded"
    last = golden.provenance[-1]
    files = _changed(last.sources, result.sources)
    parts = [
        f"{part} {last.fingerprint.get(part, 'unknown')} -> {result.fingerprint.get(part, 'unknown')}"
        for part in _changed(last.fingerprint, result.fingerprint)
    ]
    changes = [
        f"{what} changed: {_listed(names)}" for what, names in (("code", files), ("environment", parts)) if names
    ]
    return "; ".join(changes) or "neither code nor environment changed"


def nothing_changed(golden: Golden, result: Result) -> bool:
    """Tell whether code and environment are known and are the golden's, so that its numbers must repeat."""
    if not golden.provenance or not result.fingerprint or not result.sources:
        return False
    last = golden.provenance[-1]
    return not _changed(last.fingerprint, result.fingerprint) and not _changed(last.sources, result.sources)


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
