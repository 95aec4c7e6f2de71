"""What changed in a golden folder between two revisions of its repository, from the files alone."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldmark.case import UsageError
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
    """The entries that differ between two states of a golden folder, what is weaker, and why it was changed."""

    rows: tuple[Row, ...]
    weaker: tuple[str, ...]  # what the new state checks less strictly
    reasons: Mapping[str, tuple[str, ...]]  # the last reason that goldens give -> those that differ


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
    repository = _Repository.around(folder)
    old, dots, new = revisions.partition("..")
    if not dots:
        before, after = repository.state(old), _state_of_files(folder)
    else:
        start = repository.fork(old, new[1:]) if new.startswith(".") else old
        before, after = repository.state(start or "HEAD"), repository.state(new.removeprefix(".") or "HEAD")
    changed = [name for name in sorted({*before.files, *after.files}) if _differ(before, after, name)]
    pairs = {name: (before.golden(name), after.golden(name)) for name in changed}
    return _difference({name: pair for name, pair in pairs.items() if not _equal(*pair)})


def _differ(before: _State, after: _State, name: str) -> bool:
    return before.files.get(name, ("", b""))[1] != after.files.get(name, ("", b""))[1]


def _equal(old: Golden | None, new: Golden | None) -> bool:
    """Tell whether two goldens are equal although their files differ, by line ends or by schema."""
    return old is not None and new is not None and to_bytes(old) == to_bytes(new)


def _difference(pairs: Mapping[str, tuple[Golden | None, Golden | None]]) -> Difference:
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
        if new is not None and new.provenance and name not in moved:
            reasons.setdefault(new.provenance[-1].reason, []).append(name)
    return Difference(
        rows=tuple(rows), weaker=tuple(weaker), reasons={reason: tuple(names) for reason, names in reasons.items()}
    )


def _state_of_files(folder: Path) -> _State:
    names = golden_names(folder) if folder.is_dir() else []
    if names:
        recover(folder)
    paths = {name: golden_path(folder, name) for name in names}
    return _State(files={name: (str(path), path.read_bytes()) for name, path in paths.items()})


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """The git repository around a golden folder, which need not exist now."""

    root: Path
    below: str  # the golden folder, relative to the root

    @classmethod
    def around(cls, folder: Path) -> _Repository:
        """Return the repository of a folder; raise `UsageError` where there is none."""
        folder = folder.resolve()
        there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
        root = Path(_git(there, "rev-parse", "--show-toplevel").decode().rstrip("\n")).resolve()
        return cls(root=root, below=folder.relative_to(root).as_posix())

    def state(self, revision: str) -> _State:
        """Return the golden files of a revision."""
        commit = self._commit(revision)
        listing = _git(self.root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", self.below).decode()
        entries = [entry.partition("\t") for entry in listing.split("\0") if entry]
        blobs = {path: facts.split()[2] for facts, _, path in entries if self._is_golden(path)}
        contents = _contents(self.root, list(blobs.values()))
        start = "" if self.below == "." else f"{self.below}/"
        names = {path: path.removeprefix(start).removesuffix(".json") for path in blobs}
        return _State(files={names[path]: (f"{revision}:{path}", contents[blob]) for path, blob in blobs.items()})

    def fork(self, old: str, new: str) -> str:
        """Return the commit at which two branches parted."""
        commits = [self._commit(revision or "HEAD") for revision in (old, new)]
        return _git(self.root, "merge-base", *commits).decode().strip()

    def _commit(self, revision: str) -> str:
        try:
            command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            return _git(self.root, *command).decode().strip()
        except UsageError:
            raise UsageError(
                f"git knows no revision '{revision}' in '{self.root}'; name a commit, branch or tag"
            ) from None

    def _is_golden(self, path: str) -> bool:
        parts = Path(path).relative_to(self.below).parts
        return path.endswith(".json") and not any(part.startswith(".") for part in parts)


def _contents(root: Path, blobs: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of blobs, all by one process of git."""
    answer = _git(root, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode())
    contents, start = {}, 0
    for blob in blobs:
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])  # "<blob> blob <size>"
        contents[blob] = answer[end + 1 : end + 1 + size]
        start = end + 1 + size + 1
    return contents


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Return what a command of git prints; raise `UsageError` with what it says where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603 (revisions are checked)
    except OSError as error:
        raise UsageError(
            f"git cannot be run ({error.strerror}); goldens are compared with a revision through it"
        ) from error
    if done.returncode:
        said_by_git = (
            done.stderr.decode(errors="replace").strip().partition("\n")[0] or f"exit status {done.returncode}"
        )
        raise UsageError(f"git {arguments[0]} in '{folder}': {said_by_git}")
    return done.stdout
