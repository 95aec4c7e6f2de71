"""What a person reads when a golden does not hold: the worst entries, the cause, the way out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from goldmark.golden._compare.curve import plot
from goldmark.golden._compare.drift import Comparison, Drift
from goldmark.golden._files.entries import Golden, Provenance, Result

_SHOWN = 8  # lines of the list of drifts, unless all are asked for (-vv)
_PLOTTED = 2  # curves
_PLACE = re.compile(r"[.\[,]")  # begins what lies within an entry
_NAMED = 4  # files and parts of the environment in one line
_CODE = (".py", ".so", ".pyd")


def message(comparison: Comparison, update_command: str, *, every_drift: bool = False) -> list[str]:
    """Return the lines to show for a golden that does not hold: the worst entries, the cause, the way out."""
    drifts = comparison.drifts
    if comparison.next_seeds:
        head = f"golden '{comparison.name}' is not decided: train seeds {' '.join(comparison.next_seeds)} as well"
        return [head, *(f"  {drift.text}" for drift in drifts), "`for seeds in golden.looks()` trains what is needed"]
    named = drifts if every_drift else tuple(drift for drift in drifts if drift.named)
    shown = named if every_drift or len(named) <= _SHOWN else _chosen(named, _SHOWN - 1)
    of = f" of {comparison.n_entries} entries" if len(drifts) <= comparison.n_entries else " differences"  # and rules
    lines = [f"golden '{comparison.name}' does not hold: {len(drifts)}{of}, worst first"]
    lines += [f"  {drift.text}" for drift in shown]
    curves = list(dict.fromkeys(drift.curve for drift in shown if drift.curve is not None))
    lines += [f"  {line}" for curve in curves[:_PLOTTED] for line in plot(curve)]
    if len(drifts) > len(shown):
        lines.append(f"  and {len(drifts) - len(shown)} more: -vv shows all")
    lines.append(comparison.cause)
    lines.append(f"if the change is meant: {update_command}")
    if comparison.not_checked:
        lines.append(f"not checked in full: {', '.join(comparison.not_checked)} ({comparison.unchecked})")
    return lines


def _chosen(drifts: Sequence[Drift], n: int) -> list[Drift]:
    """Return n drifts in their order: the worst of each entry before further ones, so that no list hides another."""
    first: dict[tuple[str, str], int] = {}
    for place, drift in enumerate(drifts):
        first.setdefault((drift.tier, _PLACE.split(drift.key)[0]), place)
    further = [place for place in range(len(drifts)) if place not in first.values()]
    return [drifts[place] for place in sorted([*first.values(), *further][:n])]


def attribution(golden: Golden, result: Result) -> str:
    """Say which files and which parts of the environment changed since the golden was last written.

    Where none did, say what was looked at: the cause is something else.
    """
    last = golden.origin
    if last is None or not (result.fingerprint or result.sources):
        return "code and environment were not recorded"
    files = _changed_files(last.sources, result.sources)
    changes = {
        "code": [file for file in files if is_code(file)],
        "data": [file for file in files if not is_code(file)],
        "environment": [f"{part} {before} -> {now}" for part, (before, now) in changed_parts(last, result).items()],
    }
    causes = [f"{what} changed: {_listed(names)}" for what, names in changes.items() if names]
    return "; ".join(causes) or f"nothing that goldmark watches changed: {_watched(last)}"


def nothing_changed(golden: Golden, result: Result) -> bool:
    """Tell whether code, data and environment are known and are the golden's, so that its numbers must repeat."""
    last = golden.origin
    if last is None or not result.fingerprint or not result.sources:
        return False
    return not changed_parts(last, result) and not _changed_files(last.sources, result.sources)


def _changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(file for file in {*before, *now} if before.get(file) != now.get(file))


def changed_parts(last: Provenance, now: Result) -> dict[str, tuple[str, str]]:
    """Return {part of the environment: (before, now)} of those known on both sides.

    What only one side knows depends on what else was run in the same process: torch is described where it is loaded.
    """
    pairs = ((last.versions, now.versions), (last.fingerprint, now.fingerprint))
    return {
        part: (before[part], after[part])
        for before, after in pairs
        for part in sorted({*before} & {*after})
        if before[part] != after[part]
    }


def is_code(file: str) -> bool:
    """Tell whether a recorded file holds code, by the end of its name; others hold data."""
    return file.endswith(_CODE)


def _watched(last: Provenance) -> str:
    """Return in words what would have been named, had it changed."""
    code = sum(map(is_code, last.sources))
    data = [file for file in last.sources if not is_code(file)]
    named = f"the data {_listed(data)}" if data else "no data (name it: golden.data)"
    return f"{_count(code, 'file')} of code, {_count(len(last.versions), 'version')}, processor and flags, {named}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
