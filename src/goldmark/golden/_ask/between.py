"""What changed in a golden folder between two revisions of its repository, from the files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goldmark.golden._ask.repository import Repository
from goldmark.golden._files.entries import Golden, as_result
from goldmark.golden._files.folder import golden_names, golden_path
from goldmark.golden._files.format import to_bytes
from goldmark.golden._files.transaction import recover
from goldmark.golden._record.refusals import weakenings
from goldmark.golden._update.migrate import golden_of_any_schema
from goldmark.golden._update.review import Row, changes
from goldmark.golden._update.unused import renames


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two states of a golden folder: entries, what is weaker, and why it was changed."""

    rows: tuple[Row, ...]
    weaker: tuple[str, ...]  # what the new state checks less strictly
    reasons: Mapping[str, tuple[str, ...]]  # the last reason that goldens give -> those that differ
    confirmed: tuple[str, ...]  # those that differ in their provenance alone: their values were seen again


@dataclass(frozen=True, kw_only=True)
class _State:
    """The golden files of a folder at one time, unread: {name: (where it lies, content)}."""

    files: Mapping[str, tuple[str, bytes]]

    def golden(self, name: str) -> Golden | None:
        if name not in self.files:
            return None
        where, content = self.files[name]
        return golden_of_any_schema(content, where)


def between(folder: Path, revisions: str) -> Difference:
    """Return what changed in a golden folder since a revision, `REV`, or between two, `OLD..NEW`.

    `OLD...NEW` starts where the two branched, as in git. Raise `UsageError` without git, outside a repository and for
    an unknown revision, `BadGolden` for a changed file that cannot be trusted.
    """
    repository = Repository.around(folder)
    old, dots, new = revisions.partition("..")
    if not dots:
        before, after = _state(repository, folder, old), _state_of_files(folder)
    else:
        start = repository.fork(old, new[1:]) if new.startswith(".") else old
        ends = (start or "HEAD", new.removeprefix(".") or "HEAD")
        before, after = (_state(repository, folder, revision) for revision in ends)
    changed = [name for name in sorted({*before.files, *after.files}) if _differ(before, after, name)]
    pairs = {name: (before.golden(name), after.golden(name)) for name in changed}
    differing = {name: pair for name, pair in pairs.items() if not _same_content(*pair)}
    confirmed = tuple(name for name in changed if name not in differing and not _equal(*pairs[name]))
    return _difference(differing, confirmed)


def _differ(before: _State, after: _State, name: str) -> bool:
    return before.files.get(name, ("", b""))[1] != after.files.get(name, ("", b""))[1]


def _equal(old: Golden | None, new: Golden | None) -> bool:
    """Tell whether two goldens are equal although their files differ, by line ends or by schema."""
    return old is not None and new is not None and to_bytes(old) == to_bytes(new)


def _same_content(old: Golden | None, new: Golden | None) -> bool:
    """Tell whether two goldens are equal but for when, why and from what they have their values."""
    return old is not None and new is not None and _equal(old, replace(new, provenance=old.provenance))


def _difference(pairs: Mapping[str, tuple[Golden | None, Golden | None]], confirmed: tuple[str, ...]) -> Difference:
    gone = {name: old for name, (old, new) in pairs.items() if old is not None and new is None}
    added = {name: as_result(new) for name, (old, new) in pairs.items() if new is not None and old is None}
    moved = {new: old for old, new in renames(added, gone).items()}
    rows: list[Row] = []
    weaker: list[str] = []
    reasons: dict[str, list[str]] = {}
    for name, (old, new) in pairs.items():
        if name in moved:
            rows.append(Row(golden=name, entry="(renamed)", old=moved[name], new=name, change="the same entries"))
        elif name not in moved.values():
            rows += changes(old, new)
        if old is not None and new is not None:
            weaker += [f"{name}: {why}" for why in weakenings(old, as_result(new))]
        if new is not None and new.origin is not None and name not in moved:
            reasons.setdefault(new.origin.reason, []).append(name)
    return Difference(
        rows=tuple(rows),
        weaker=tuple(weaker),
        reasons={reason: tuple(names) for reason, names in reasons.items()},
        confirmed=confirmed,
    )


def _state_of_files(folder: Path) -> _State:
    names = golden_names(folder) if folder.is_dir() else []
    if names:
        recover(folder)
    paths = {name: golden_path(folder, name) for name in names}
    return _State(files={name: (str(path), path.read_bytes()) for name, path in paths.items()})


def _state(repository: Repository, folder: Path, revision: str) -> _State:
    """Return the golden files of a revision, of a folder that need not exist now."""
    below = folder.resolve().relative_to(repository.root).as_posix()
    commit = repository.commit(revision)
    listing = repository.git("ls-tree", "-r", "-z", "--full-tree", commit, "--", below).decode()
    entries = [entry.partition("\t") for entry in listing.split("\0") if entry]
    blobs = {path: facts.split()[2] for facts, _, path in entries if _is_golden(path, below)}
    contents = _contents(repository, list(blobs.values()))
    start = "" if below == "." else f"{below}/"
    names = {path: path.removeprefix(start).removesuffix(".json") for path in blobs}
    return _State(files={names[path]: (f"{revision}:{path}", contents[blob]) for path, blob in blobs.items()})


def _is_golden(path: str, below: str) -> bool:
    parts = Path(path).relative_to(below).parts
    return path.endswith(".json") and not any(part.startswith(".") for part in parts)


def _contents(repository: Repository, blobs: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of blobs, all by one process of git."""
    answer = repository.git("cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode())
    contents, start = {}, 0
    for blob in blobs:
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])  # "<blob> blob <size>"
        contents[blob] = answer[end + 1 : end + 1 + size]
        start = end + 1 + size + 1
    return contents
