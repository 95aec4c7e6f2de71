"""What may be rewritten in a golden folder, when, and with which reason: the only way in which goldens change."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from goldmark.case import UsageError
from goldmark.golden._compare.rounding import same_but_for_rounding
from goldmark.golden._files.devices import DEVICES, without_device
from goldmark.golden._files.entries import Golden, Provenance, Result, as_result, listed, update_command
from goldmark.golden._files.folder import find_golden, golden_names, golden_path, nodeid_of_name, stored_golden
from goldmark.golden._files.format import from_bytes, read, to_bytes
from goldmark.golden._files.transaction import locked, replace_files
from goldmark.golden._record.entry import golden_from
from goldmark.golden._record.refusals import name_clashes, refusals, weakenings
from goldmark.golden._record.repetition import keep_repetition
from goldmark.golden._record.selftest import blind_spots, misstated
from goldmark.golden._update.review import Review, changes

KEPT = 3  # entries of provenance in a golden; version control holds the earlier ones


def apply_update(
    folder: Path, results: Mapping[str, Result], reason: str, *, weaken: bool = False, commit: str | None = None
) -> Review:
    """Record results as goldens, all of them or none, and return what changed.

    A result that equals its golden, but for rounding, leaves entries, date and reason as they are: the golden only
    notes the code that its values were last seen from, where that is another one. Otherwise the date, the reason, the
    commit (git's HEAD unless one is given), versions, fingerprint and sources are added to its provenance, of which the
    last few entries are kept. Raise `UsageError`, with nothing written, without a reason, for a result that must not be
    recorded, and for one that weakens its golden unless `weaken` is given; `BadGolden` for a stored file that cannot be
    trusted: nobody could tell what its replacement weakens.
    """
    if not reason.strip():
        raise UsageError(f"nothing written: no reason was given; say why the goldens change: {update_command()}")
    with locked(folder):
        clashes = name_clashes(results, golden_names(folder))
        if clashes:
            raise UsageError(_nothing_written("names of goldens are unique without case", clashes))
        olds = {name: stored_golden(folder, name) for name in sorted(results)}
        results = {name: keep_repetition(old, results[name]) for name, old in olds.items()}
        _refuse(results, olds, weaken=weaken)
        approval = _Approval(date=datetime.now(UTC), reason=reason.strip(), commit=commit or _head(folder))
        news = {
            name: approval.golden(old, results[name]) for name, old in olds.items() if would_write(old, results[name])
        }
        unchanged = {name: old for name, old in olds.items() if old is not None and name not in news}
        confirmed = {
            name: approval.noted(old, results[name])
            for name, old in unchanged.items()
            if would_confirm(old, results[name])
        }
        replace_files(folder, {f"{name}.json": to_bytes(golden) for name, golden in {**news, **confirmed}.items()})
    return Review(
        written=tuple(news),
        unchanged=tuple(unchanged),
        confirmed=tuple(confirmed),
        rounded=tuple(name for name, old in unchanged.items() if not _equal(old, results[name])),
        rows=tuple(row for name, golden in news.items() for row in changes(olds[name], golden)),
    )


def need_recordable(folder: Path, results: Mapping[str, Result], *, weaken: bool) -> None:
    """Raise what `apply_update` would raise about results, before more is spent on them."""
    _refuse(results, {name: find_golden(folder, name) for name in results}, weaken=weaken)


def would_write(old: Golden | None, result: Result) -> bool:
    """Tell whether an update has something to write: other numbers, or a golden that misstates what it can detect."""
    return old is None or not same_but_for_rounding(old, result) or bool(misstated(old))


def would_confirm(old: Golden, result: Result) -> bool:
    """Tell whether an update notes in a golden that has its values which code, data and libraries gave them again.

    It does where these are others than it says, and a metric must repeat for as long as nothing changes from there on;
    exact and close numbers must in any case. Another machine is no reason, or updates on two of them in turn would
    write every golden every time.
    """
    last = old.origin
    if last is None or not result.sources or not any(entry.repeats for entry in old.statistical.values()):
        return False
    moved = (last.versions.get(name, version) != version for name, version in result.versions.items())
    return last.sources != result.sources or any(moved)


def prune(folder: Path, unused: Collection[str]) -> list[str]:
    """Delete the goldens of those names and return the names of those that were there.

    Only a complete green run knows which goldens are unused; the caller answers for that. Raise `BadGolden`, with
    nothing deleted, where one of the files is not a golden.
    """
    with locked(folder):
        there = [name for name in golden_names(folder) if name in unused]
        for name in there:  # before anything is deleted: a file that is not a golden is not ours to delete
            read(golden_path(folder, name), name)
        for name in there:
            golden_path(folder, name).unlink()
    return there


def move(folder: Path, old: str, new: str, root: Path) -> None:
    """Give a golden another name, with everything that it holds; a test of the project at `root` that has it is noted.

    Those of other kinds of device move with it. A golden that was recorded under the new name is replaced where its
    entries are the same, and a file that was moved by other means is put right. Raise `UsageError`, with nothing
    changed, where there is no such golden or another one is in the way.
    """
    with locked(folder):
        per_device = [(f"{old}@{device}", f"{new}@{device}") for device in DEVICES]
        pairs = [pair for pair in ((old, new), *per_device) if golden_path(folder, pair[0]).exists()] or [(old, new)]
        moved = [_moved(folder, source, target, root) for source, target in pairs]
        replace_files(folder, {f"{golden.name}.json": to_bytes(golden) for golden in moved})
        for source, _ in pairs:
            golden_path(folder, source).unlink(missing_ok=True)


def _moved(folder: Path, old: str, new: str, root: Path) -> Golden:
    golden, there = _movable(folder, old, new)
    recorded_by = nodeid_of_name(root, without_device(new)) if there is None else there.recorded_by
    return replace(golden, name=new, recorded_by=recorded_by if golden.recorded_by else None)


def _movable(folder: Path, old: str, new: str) -> tuple[Golden, Golden | None]:
    """Return the golden to move, and the equal one that has the new name already."""
    source, target = golden_path(folder, old), golden_path(folder, new)
    if old == new:
        raise UsageError(f"'{old}' has that name; name the new one")
    if not source.exists() and target.exists():
        misplaced = from_bytes(target.read_bytes(), str(target))
        if misplaced.name == old:
            return misplaced, None
    golden = stored_golden(folder, old)
    if golden is None:
        raise UsageError(f"there is no golden '{old}' in '{folder}'; it has: {listed(golden_names(folder)) or 'none'}")
    there = stored_golden(folder, new)
    if there and not same_but_for_rounding(golden, replace(as_result(there), recorded_by=golden.recorded_by)):
        raise UsageError(
            f"there is a golden '{new}' with other entries than '{old}'; delete one of the two: `git rm {target}`"
        )
    return golden, there


def _refuse(results: Mapping[str, Result], olds: Mapping[str, Golden | None], *, weaken: bool) -> None:
    wrong = [f"{name}: {why}" for name, result in sorted(results.items()) for why in _refusals(result)]
    if wrong:
        raise UsageError(_nothing_written("this must not be recorded", wrong))
    weaker = [f"{name}: {why}" for name, old in olds.items() if old for why in weakenings(old, results[name])]
    if weaker and not weaken:
        raise UsageError(_nothing_written("this weakens the goldens (say --weaken if it is meant)", weaker))


def _refusals(result: Result) -> list[str]:
    """Return why a result may not become a golden: rules broken, or wrong values that it would let pass."""
    return refusals(result) or blind_spots(golden_from(result, ()))


def _nothing_written(what: str, reasons: Sequence[str]) -> str:
    return "\n".join([f"nothing written: {what}:", *(f"  {reason}" for reason in reasons)])


def _equal(old: Golden, result: Result) -> bool:
    return to_bytes(golden_from(result, old.provenance)) == to_bytes(old)


@dataclass(frozen=True, kw_only=True)
class _Approval:
    """When and why results become goldens, and after which commit."""

    date: datetime
    reason: str
    commit: str | None

    def golden(self, old: Golden | None, result: Result) -> Golden:
        """Return a result as a golden, with this approval added to the provenance of the golden that it replaces."""
        provenance = self._provenance(result, self.date.isoformat(timespec="seconds"), self.reason)
        return golden_from(result, (*(old.provenance if old else ()), provenance)[-KEPT:])

    def noted(self, old: Golden, result: Result) -> Golden:
        """Return a golden whose values have come again, with what gave them now; when and why it has them stays."""
        *earlier, last = old.provenance
        return replace(old, provenance=(*earlier, self._provenance(result, last.date, last.reason)))

    def _provenance(self, result: Result, date: str, reason: str) -> Provenance:
        return Provenance(
            date=date,
            reason=reason,
            commit=self.commit,
            versions=result.versions,
            fingerprint=result.fingerprint,
            sources=result.sources,
        )


def _head(folder: Path) -> str | None:
    """Return the commit that git has checked out, or None without git or outside a repository."""
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 (fixed words)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
