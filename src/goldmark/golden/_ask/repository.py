"""The git repository around a folder: its commits, and temporary worktrees of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from goldmark.case import UsageError
from goldmark.runs import is_store

# Ignored files that are no data: environments, caches and stores, which no revision may share with the working tree.
_NO_DATA = {".goldmark", ".update", ".git", "__pycache__", "node_modules", ".venv", "venv", ".nox", ".tox", ".eggs"}
_MARKS = ("pyvenv.cfg", "conda-meta", "CACHEDIR.TAG")  # of a virtual environment, one of conda, and a cache
# What git tells its hooks and its bisection's commands of where they are; it would be obeyed in another worktree too.
_PLACES = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"}


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The git repository around a folder."""

    root: Path

    @classmethod
    def around(cls, folder: Path) -> Repository:
        """Return the repository of a folder, which need not exist now; raise `UsageError` where there is none."""
        folder = folder.resolve()
        there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
        root = git(there, "rev-parse", "--show-toplevel").decode().rstrip("\n")
        return cls(root=Path(root).resolve())

    def git(self, *arguments: str, given: bytes = b"") -> bytes:
        """Return what a command of git prints at the root; raise `UsageError` with what it says where it fails."""
        return git(self.root, *arguments, given=given)

    def commit(self, revision: str) -> str:
        """Return the hash of a revision's commit; raise `UsageError` for one that git does not know."""
        try:
            command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            return self.git(*command).decode().strip()
        except UsageError:
            raise UsageError(
                f"git knows no revision '{revision}' in '{self.root}'; name a commit, branch or tag"
            ) from None

    def fork(self, old: str, new: str) -> str:
        """Return the commit at which two branches parted."""
        commits = [self.commit(revision or "HEAD") for revision in (old, new)]
        return self.git("merge-base", *commits).decode().strip()

    def title(self, commit: str) -> str:
        """Return a commit as a person knows it: its short hash and its subject."""
        return self.git("log", "-1", "--format=%h (%s)", commit).decode(errors="replace").strip()

    def last_write(self, file: Path) -> str:
        """Return the commit that last wrote a file; raise `UsageError` where none holds it as it is now."""
        path = str(file.resolve())
        commit = self.git("log", "-1", "--format=%H", "--", path).decode().strip()
        if not commit:
            raise UsageError(f"'{file.name}' is not committed")
        if self.git("status", "--porcelain", "--", path).strip():
            raise UsageError(f"'{file.name}' differs from its last commit")
        return commit

    @contextmanager
    def worktree(self, commit: str, *, checkout: bool = True) -> Iterator[Path]:
        """Yield a temporary worktree of a commit, which is removed afterwards, also where somebody interrupts.

        Ignored data of the working tree are linked into it. Without a checkout it is empty, and has its own refs.
        """
        with TemporaryDirectory(prefix="goldmark-tree-", ignore_cleanup_errors=True) as folder:
            tree = Path(folder).resolve() / self.root.name
            try:
                how = ["--detach", "--quiet", *([] if checkout else ["--no-checkout"])]
                self.git("worktree", "add", *how, str(tree), commit)
                if checkout:
                    self._link_ignored(tree)
                yield tree
            finally:
                with suppress(UsageError):  # it was interrupted before git knew of the worktree
                    self.git("worktree", "remove", "--force", "--force", str(tree))

    def _link_ignored(self, tree: Path) -> None:
        """Link the ignored files and folders of the working tree that a revision's code may read."""
        listing = self.git("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
        for name in filter(None, os.fsdecode(listing).split("\0")):
            source, link = self.root / name, tree / name
            if _is_data(source, name) and not os.path.lexists(link):
                with suppress(FileExistsError, NotADirectoryError):  # the revision has a file where there is a folder
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(source)


def git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Return what a command of git prints in a folder; raise `UsageError` with what it says where it fails."""
    command = ["git", "-C", str(folder), "-c", f"core.hooksPath={os.devnull}", *arguments]  # nobody's hooks run
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, env=environment())  # noqa: S603
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


def environment() -> dict[str, str]:
    """Return the environment without what git says in it of a place: a worktree is found by its folder alone."""
    return {name: value for name, value in os.environ.items() if name not in _PLACES}


def _is_data(path: Path, name: str) -> bool:
    parts = Path(name).parts
    if _NO_DATA & set(parts) or name.endswith(".pyc") or any(part.endswith(".egg-info") for part in parts):
        return False
    if any(is_store(place) for place in (path, *path.parents[: len(parts) - 1])):
        return False
    return not any((path / mark).exists() for mark in _MARKS)
