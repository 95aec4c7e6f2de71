"""A small project with an experiment in a module of its own, its sessions, and what it notes while it trains."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goldmark._session import Session

# Every training notes when it began and ended, in which process, in a file outside of the project.
MODULE = """
import os
import time

from goldmark import Metric, experiment


def note(what, seed):
    with open({notes!r}, "a") as file:
        file.write(f"{{what}} {{seed}} {{os.getpid()}} {{time.monotonic()}}\\n")


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


@experiment(seeds=4, metrics=[Metric("x", margin="2%", guard="broken")])
def digits(seed, *, scale=1.0, burn_s=0.0, crash_at=-1, kill_at=-1):
    note("begin", seed)
    burn(burn_s)
    if seed == crash_at:
        print("the last thing that it said")
        raise ValueError(f"no data for seed {{seed}}")
    if seed == kill_at:
        os.kill(os.getpid(), 9)
    note("end", seed)
    return {{"x": scale * (seed + 1)}}


broken = digits.variant("broken", scale=2.0)
slow = digits.variant("slow", burn_s=0.05)
endless = digits.variant("endless", burn_s=100.0)
crashing = digits.variant("crashing", crash_at=1)
killed = digits.variant("killed", kill_at=1)
"""


class Project:
    """The folder of a user's project, whose module `model_N` declares the experiment `digits`."""

    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self.root, self.notes_file = folder / "project", folder / "notes"
        self.root.mkdir()
        self.name = f"model_{next(self._numbers)}_{os.getpid()}"
        self.write(MODULE.format(notes=str(self.notes_file)))

    @property
    def file(self) -> Path:
        """Its module."""
        return self.root / f"{self.name}.py"

    def write(self, source: str) -> None:
        """Write its module."""
        self.file.write_text(source)

    def load(self):
        """The module, imported anew."""
        spec = importlib.util.spec_from_file_location(self.name, self.file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[self.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def session(self, **options) -> Session:
        """A new session of the project, of one worker unless more are asked for."""
        return Session(root=self.root, folder=self.root / ".goldmark", **{"jobs": 1, **options})

    def notes(self) -> list[tuple[str, int, int, float]]:
        """What trainings noted, in order: begin or end, seed, process id, time in s."""
        lines = self.notes_file.read_text().split("\n")[:-1] if self.notes_file.exists() else []
        return [(what, int(seed), int(pid), float(at)) for what, seed, pid, at in map(str.split, lines)]

    def begun(self) -> list[int]:
        """The seeds whose training has begun, in order."""
        return [seed for what, seed, _, _ in self.notes() if what == "begin"]

    def alive(self) -> list[int]:
        """The processes that have trained and are still there."""
        return sorted({pid for _, _, pid, _ in self.notes() if _is_there(pid)})


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A project whose experiment is trained in processes, which end with the test."""
    from goldmark.experiments import close_workers

    project = Project(tmp_path)
    monkeypatch.syspath_prepend(project.root)
    yield project
    close_workers()
    sys.modules.pop(project.name, None)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait for what other processes do; fail where they have not done it after 20 s."""

    def wait(happened: Callable[[], bool]) -> None:
        end = time.monotonic() + 20.0
        while not happened():
            assert time.monotonic() < end
            time.sleep(0.02)

    return wait
