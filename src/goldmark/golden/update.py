"""What may be rewritten in a golden folder, when, and what must be said: the only door through which goldens change."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from goldmark.case import UsageError
from goldmark.golden.folder import find_golden, golden_names, stored_golden
from goldmark.golden.record import golden_from, refusals, weakenings
from goldmark.golden.review import Review, Row, changes, markdown_section
from goldmark.golden.rounding import same_but_for_rounding
from goldmark.golden.seals import SEALS, listed_seals, seal_list
from goldmark.golden.selftest import blind_spots, misstated
from goldmark.golden.store import Golden, Provenance, Result, golden_path, read, to_bytes
from goldmark.golden.transaction import STAGING, locked, recover, replace_files

LOG = "UPDATES.md"
_TITLE = "# Updates of the goldens, newest first\n\n"


def apply_update(
    folder: Path, results: Mapping[str, Result], reason: str, *, weaken: bool = False, commit: str | None = None
) -> Review:
    """Record results as goldens, all of them or none, and return what changed.

    A result that is its golden again, but for rounding, leaves the file as it is. Otherwise the date, the reason, the
    commit (git's HEAD unless one is given), versions, fingerprint and sources are appended to its provenance; the table
    of changes goes on top of `UPDATES.md` and the seal to `SEALS` in the same transaction. Raises `UsageError`, with
    nothing written, without a reason, for a result that must not be recorded, and for one that weakens its golden
    unless `weaken` is said; `BadGolden` for a stored file that cannot be trusted: nobody could say what its replacement
    weakens.
    """
    if not reason.strip():
        raise UsageError('nothing written: no reason was given; say why the goldens change: --golden-reason "..."')
    with locked(folder):
        olds = {name: stored_golden(folder, name) for name in sorted(results)}
        _refuse(results, olds, weaken=weaken)
        said = _provenance(folder, reason.strip(), commit)
        news = {
            name: _renewed(old, results[name], said) for name, old in olds.items() if would_write(old, results[name])
        }
        unchanged = tuple(name for name in olds if name not in news)
        rounded = tuple(name for name in unchanged if not _equal(olds[name], results[name]))
        if not news:
            return Review((), unchanged, rounded, (), None)
        said = replace(said, versions=next(iter(news.values())).provenance[-1].versions)
        rows = tuple(row for name, golden in news.items() for row in changes(olds[name], golden))
        files = {f"{name}.json": to_bytes(golden) for name, golden in news.items()}
        replace_files(folder, {**files, LOG: _log(folder, rows, said), SEALS: _seals(folder, files)})
    return Review(tuple(news), unchanged, rounded, rows, said)


def would_write(old: Golden | None, result: Result) -> bool:
    """Tell whether an update has something to write: other numbers, or a golden that misstates what it can see."""
    return old is None or not same_but_for_rounding(old, result) or bool(misstated(old))


def prune(folder: Path, keep: Collection[str]) -> list[str]:
    """Delete the goldens that are not among the names to keep and return their names.

    Only a complete green run knows which goldens are in use; the caller answers for that. Raises `BadGolden`, with
    nothing deleted, where one of the files is not a golden.
    """
    with locked(folder):
        unused = [name for name in golden_names(folder) if name not in keep]
        for name in unused:  # before anything is deleted: a file that is not a golden is not ours to delete
            read(golden_path(folder, name))
        for name in unused:
            golden_path(folder, name).unlink()
        if listed_seals(folder) is not None:
            replace_files(folder, {SEALS: _seals(folder, {})})
    return unused


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


def _equal(old: Golden | None, result: Result) -> bool:
    return old is not None and to_bytes(golden_from(result, old.provenance)) == to_bytes(old)


def _renewed(old: Golden | None, result: Result, said: Provenance) -> Golden:
    torch = {"torch": result.fingerprint["torch"]} if "torch" in result.fingerprint else {}
    versions = {**said.versions, **torch}
    new = replace(said, versions=versions, fingerprint=result.fingerprint, sources=result.sources)
    return golden_from(result, (*(old.provenance if old else ()), new))


def _seals(folder: Path, written: Mapping[str, bytes]) -> bytes:
    """Return the list of seals with those of the files to be written; without a list yet, of all goldens there are."""
    listed = listed_seals(folder)
    kept = {name: _seal_of(folder, name) if listed is None else listed.get(name) for name in golden_names(folder)}
    new = {path.removesuffix(".json"): json.loads(content)["seal"] for path, content in written.items()}
    return seal_list({name: seal for name, seal in {**kept, **new}.items() if seal})


def _seal_of(folder: Path, name: str) -> str | None:
    """Return the seal of a golden, None for a file that is none: somebody may keep other JSON here."""
    try:
        return read(golden_path(folder, name)).seal
    except UsageError:
        return None


def _provenance(folder: Path, reason: str, commit: str | None) -> Provenance:
    versions = {name: _version(name) for name in ("goldmark", "numpy")}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(date, reason, commit or _head(folder), versions, {}, {})


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from a checkout
        return "not installed"


def _head(folder: Path) -> str | None:
    """Return the commit that git has checked out, or None without git or outside a repository."""
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 (fixed words)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _log(folder: Path, rows: Sequence[Row], said: Provenance) -> bytes:
    path = folder / LOG
    earlier = path.read_text(encoding="utf-8").removeprefix(_TITLE) if path.exists() else ""
    return (_TITLE + markdown_section(rows, said) + earlier).encode()


__all__ = [
    "LOG",
    "STAGING",
    "Review",
    "apply_update",
    "find_golden",
    "golden_names",
    "prune",
    "recover",
    "would_write",
]
