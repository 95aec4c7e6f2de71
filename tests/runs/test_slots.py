"""Locks that say who may train: one holder each, free again however it ends, and as many slots as there are cores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from goldmark.runs import lock_now, n_cores, open_store, take_slot

HOLD = "import sys; from pathlib import Path; from goldmark.runs import take_slot; s = take_slot(Path(sys.argv[1])); "


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    """Another one is told at once, also within a process, and gets it when it is free."""
    path = tmp_path / "folder" / "0.lock"
    held = lock_now(path)
    assert held is not None
    assert lock_now(path) is None
    held.release()
    assert lock_now(path) is not None


def test_there_are_as_many_slots_as_cores(tmp_path: Path) -> None:
    """All that this process may use; one that is given back is taken by the next."""
    slots = [take_slot(tmp_path) for _ in range(n_cores())]
    assert None not in slots
    assert take_slot(tmp_path) is None
    slots[0].release()
    assert take_slot(tmp_path) is not None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_cores_are_those_that_the_process_may_use(tmp_path: Path) -> None:
    """A container or a batch job has fewer than the machine."""
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from goldmark.runs import n_cores; print(n_cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "1" == done.stdout.strip()


def test_a_slot_is_free_when_its_process_is_killed(tmp_path: Path) -> None:
    """Nobody has to clear up after it."""
    code = HOLD + "print(s is not None, flush=True); sys.stdin.read()"
    python = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(python, stdin=-1, stdout=-1, text=True) as process:
        assert "True\n" == process.stdout.readline()
        others = [take_slot(tmp_path) for _ in range(n_cores())]
        assert 1 == others.count(None)
        process.kill()
    assert lock_now(tmp_path / "slots" / "0.lock") is not None


def test_a_store_is_left_out_by_git(tmp_path: Path) -> None:
    """By a file of its own, which is written once: a user may change it."""
    open_store(tmp_path / "store")
    ignored = tmp_path / "store" / ".gitignore"
    assert "*" in ignored.read_text().splitlines()
    ignored.write_text("")
    open_store(tmp_path / "store")
    assert "" == ignored.read_text()
