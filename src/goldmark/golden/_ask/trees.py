"""Train with the code of the working tree or of a commit: a process for each, both in the same way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from goldmark.case import UsageError
from goldmark.golden._ask.repository import Repository, environment

_SCRIPT = Path(__file__).with_name("train_here.py")
_SHOWN = 12  # lines of the output of a process that failed
_EVERY_S = 0.2  # between two looks at what has finished
_PATIENCE_S = 5.0  # until a training that was interrupted is killed: it has workers and their folders
_SHORT_S = 0.05  # between two looks at who is left of a group
_OF_A_TEST = ("PYTEST_XDIST_", "PYTEST_CURRENT_TEST")  # variables of a session of tests that this may run in
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class DoesNotRunError(UsageError):
    """The code of a tree does not come to an end: it is no longer, or not yet, what can be trained."""


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """One training in another process."""

    variant: str
    seed: int | str  # of a test as its golden has it
    metrics: Mapping[str, float]
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Code in a folder: the working tree, or a worktree of a commit."""

    name: str  # as a person knows it
    root: Path  # of the project
    path: tuple[str, ...]  # where its processes look for modules
    worktree: Path | None = None  # where all the code lies that they may load of the project; None: where they like
    elsewhere: Path | None = None  # the working tree, of which they may load none

    def train(
        self,
        case: str,
        variants: Sequence[str],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        jobs: int = 1,
        on_run: Callable[[TrainedRun], None] = lambda run: None,
    ) -> list[TrainedRun]:
        """Return newly trained runs of a case; raise `DoesNotRunError` where the code cannot be run."""
        with TemporaryDirectory(prefix="goldmark-train-") as folder:
            rows = Path(folder) / "rows.jsonl"
            rows.touch()
            runs: list[TrainedRun] = []

            def look() -> None:
                for row in rows.read_text().splitlines(keepends=True)[len(runs) :]:
                    if row.endswith("\n"):  # the last may be half written
                        runs.append(TrainedRun(**json.loads(row)))
                        on_run(runs[-1])

            wanted = {"case": case, "variants": list(variants), "seeds": list(seeds), "device": device, "jobs": jobs}
            self._process(Path(folder), {**wanted, "test": None, "rows": str(rows)}, look)
            return runs

    def run_test(self, nodeid: str, golden: str, variant: str) -> list[TrainedRun]:
        """Return what a test compares with a golden, as runs of a variant; raise `DoesNotRunError` where it fails."""
        from goldmark.golden._fixture.again import prepare, staging_of  # loaded here: they import pytest
        from goldmark.golden._fixture.session import staged_results

        with TemporaryDirectory(prefix="goldmark-train-") as folder:
            prepare(Path(folder), [nodeid])
            self._process(Path(folder), {"test": nodeid, "staging": folder}, lambda: None)
            results = staged_results(staging_of(folder))
        if golden not in results:
            raise DoesNotRunError(f"test '{nodeid}' of {self.name} does not come to golden '{golden}'")
        entries = results[golden].statistical
        seeds = dict.fromkeys(seed for entry in entries.values() for seed in entry.values)
        metrics = {
            seed: {metric: entry.values[seed] for metric, entry in entries.items() if seed in entry.values}
            for seed in seeds
        }
        return [TrainedRun(variant=variant, seed=seed, metrics=of_seed) for seed, of_seed in metrics.items()]

    def _process(self, folder: Path, wanted: Mapping[str, Any], look: Callable[[], None]) -> None:
        """Do what is wanted in a process of this tree, looking now and then, and once at the end."""
        job, log = folder / "job.json", folder / "output.txt"
        job.write_text(json.dumps({**wanted, **self._places(), "store": str(folder / "store")}))
        command, env = [sys.executable, "-P", str(_SCRIPT), str(job)], self._environment()
        options: dict[str, Any] = {"cwd": self.root, "env": env, "patience_s": _PATIENCE_S}
        with log.open("wb") as output, started(command, stdout=output, **options) as process:
            while process.poll() is None:
                look()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_EVERY_S)
        look()
        if process.returncode:
            lines = log.read_text(errors="replace").strip().splitlines()[-_SHOWN:]
            why = f"the code of {self.name} does not run, exit status {process.returncode}:"
            raise DoesNotRunError("\n".join([why, *(f"  {line}" for line in lines)]))

    def _places(self) -> dict[str, Any]:
        """Return where the process finds its code, and where it must find none."""
        own: dict[str, Any] = {"root": str(self.root), "path": self.path, "worktree": None}
        if self.worktree is None or self.elsewhere is None:
            return own
        code = {"worktree": str(self.worktree), "elsewhere": str(self.elsewhere)}
        return {**own, **code, "installed": _installed_in(self.elsewhere)}

    def _environment(self) -> dict[str, str]:
        """Return an environment in which two trees differ by their code alone."""
        fixed = {"PYTHONPATH": os.pathsep.join(self.path), "PYTHONHASHSEED": "0", **dict.fromkeys(_THREADS, "1")}
        inherited = {name: value for name, value in environment().items() if not name.startswith(_OF_A_TEST)}
        return {**inherited, **fixed}


def working_tree(root: Path) -> Tree:
    """Return the code of a project as it lies there now."""
    root = root.resolve()
    return Tree(name="the working tree", root=root, path=tuple(_front(root) + _here()))


@contextmanager
def tree_of(repository: Repository, root: Path, commit: str) -> Iterator[Tree]:
    """Yield a project's code as a commit has it, in a worktree that lives no longer.

    Where modules are looked for in the working tree, they are looked for in the worktree instead. Raise
    `DoesNotRunError` for a commit in which the project's folder is not there.
    """
    name, below = repository.title(commit), root.resolve().relative_to(repository.root)
    with repository.worktree(commit) as folder:
        if not (folder / below).is_dir():
            raise DoesNotRunError(f"commit {name} has no folder '{below}'")
        path = [place for entry in _here() if (place := _moved(Path(entry), repository.root, folder)) is not None]
        path = _front(folder / below) + path
        yield Tree(name=name, root=folder / below, path=tuple(path), worktree=folder, elsewhere=repository.root)


def _front(root: Path) -> list[str]:
    """Return where a project's modules are looked for first: in its root, as pytest does, and in a `src` there."""
    return [str(folder) for folder in (root, root / "src") if folder.is_dir()]


def _here() -> list[str]:
    """Return where this process looks for modules."""
    return [str(Path(entry).resolve()) for entry in sys.path]


def _moved(entry: Path, root: Path, folder: Path) -> str | None:
    """Return a place for modules as a worktree has it; None for one of the working tree that the worktree has not."""
    if not entry.is_relative_to(root) or any(entry.is_relative_to(place) for place in _installed_in(root)):
        return str(entry)
    moved = folder / entry.relative_to(root)
    return str(moved) if moved.exists() else None


def _installed_in(root: Path) -> list[str]:
    """Return the folders of this Python that lie in a working tree: what is installed there is no part of it."""
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    return sorted(str(prefix) for prefix in prefixes if prefix.is_relative_to(root))


@contextmanager
def started(command: Sequence[str], *, patience_s: float = 0.0, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process in a group of its own, which ends with all that it has started when the block ends.

    What is still there then is interrupted as by Ctrl-C where it is given time to clean up, and killed after that.
    """
    given = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "start_new_session": True, **options}
    with subprocess.Popen(command, **given) as process:  # noqa: S603 (our own commands)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # nobody is left in the group
                _interrupt(process, patience_s)
                os.killpg(process.pid, signal.SIGKILL)


def _interrupt(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Interrupt a group, and wait until nobody is left in it; raise `ProcessLookupError` as soon as that is so."""
    deadline = time.monotonic() + patience_s
    sign: int = signal.SIGINT
    while time.monotonic() < deadline:
        os.killpg(process.pid, sign)
        process.poll()  # a process that has ended stays in its group until somebody asks for its status
        time.sleep(_SHORT_S)
        sign = 0
