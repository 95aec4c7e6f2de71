"""A golden folder that changes all or none, whatever happens to the process: SIGKILL, Ctrl-C, another process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from goldmark.case import UsageError
from goldmark.golden._files import transaction
from goldmark.golden._files.entries import Close, Result, as_result
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._update.apply import apply_update

GOLDENS = 8  # two sub-folders, several files each
REPOSITORY = Path(__file__).parents[3] / "golden"


def result(name: str, generation: int = 0) -> Result:
    """A result whose every entry tells its generation."""
    return Result(name=name, exact={"generation": generation}, close={"trace": Close([float(generation)] * 5)})


def generation_of(folder: Path) -> dict[str, int]:
    """The generation of every golden, read as any reader reads them."""
    goldens = {}
    for name in golden_names(folder):
        golden = find_golden(folder, name)
        assert golden is not None
        assert golden.close["trace"].value == [float(golden.exact["generation"])] * 5
        goldens[name] = golden.exact["generation"]
    return goldens


def many(generation: int) -> dict[str, Result]:
    """Results for two sub-folders."""
    names = [f"case{i % 2}/variant{i}" for i in range(GOLDENS)]
    return {name: result(name, generation) for name in names}


def real(generation: int) -> dict[str, Result]:
    """Results as large as this repository's own goldens: theirs, each entry kept and a generation added."""
    goldens = {}
    for name in golden_names(REPOSITORY):
        golden = find_golden(REPOSITORY, name)
        assert golden is not None
        tells = result(name, generation)
        goldens[name] = replace(
            as_result(golden), exact={**golden.exact, **tells.exact}, close={**golden.close, **tells.close}
        )
    return goldens


# A process for each folder updates it and dies at a touch of the disk; forks, because loading libraries takes longest.
DIES = """
import json, os, pathlib, shutil, signal, sys
import scipy.special
sys.path.insert(0, sys.argv[1])
from test_transaction import at_each_touch, real
from goldmark.golden._update.apply import apply_update
results = real(2)

def update(folder, moment):
    touches = 0
    def touch():
        nonlocal touches
        touches += 1
        if touches == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    at_each_touch(touch, setattr)
    apply_update(pathlib.Path(folder), results, "second", commit="def")

for job in json.load(sys.stdin):
    child = os.fork()
    if not child:
        update(*job)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def at_each_touch(touch: Callable[[], None], replace_attribute: Callable[..., None]) -> None:
    """Let every function that touches the disk in an update call `touch` first."""

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            touch()
            return call(*args, **kwargs)

        return wrapper

    for owner, name in ((os, "fsync"), (os, "replace"), (os, "unlink"), (shutil, "rmtree")):
        replace_attribute(owner, name, counted(getattr(owner, name)))


def kill(folders: Sequence[Path], moments: Sequence[int]) -> list[int]:
    """Update each folder in a process that dies at a touch of the disk; return the exit codes."""
    command = [sys.executable, "-W", "ignore", "-c", DIES, str(Path(__file__).parent)]
    told = json.dumps([(str(folder), moment) for folder, moment in zip(folders, moments, strict=True)])
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True, timeout=120)
    return [int(code) for code in done.stdout.split()]


def touches_of_update(folder: Path, results: Mapping[str, Result]) -> int:
    """Update a folder and return how often that touched the disk."""
    touches: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        at_each_touch(lambda: touches.append(1), patch.setattr)
        apply_update(folder, results, "second", commit="def")
    assert len(touches) > 2 * len(results)  # at least a sync and a replacement for each
    return len(touches)


class TestInterruption:
    """All files or none, under SIGKILL, Ctrl-C and two processes at once."""

    @pytest.mark.slow  # ten processes
    def test_killed_at_ten_moments_leaves_one_generation(self, tmp_path: Path) -> None:
        """Wherever SIGKILL falls, the next reader finds every golden whole and all of one generation; both occur."""
        apply_update(tmp_path / "before", real(1), "first", commit="abc")
        last = touches_of_update(shutil.copytree(tmp_path / "before", tmp_path / "counting"), real(2))
        moments = [1 + round(i * (last - 1) / 9) for i in range(10)]
        folders = [Path(shutil.copytree(tmp_path / "before", tmp_path / str(moment))) for moment in moments]
        assert [-signal.SIGKILL] * 10 == kill(folders, moments)
        left = []
        for folder in folders:
            generations = set(generation_of(folder).values())
            assert 1 == len(generations)
            assert golden_names(REPOSITORY) == golden_names(folder)
            left += generations
        assert sorted(left) == left  # once marked, always rolled forward
        assert {1, 2} == set(left)

    def test_ctrl_c_leaves_one_generation_and_the_next_update_recovers_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At every touch of the disk: the next update discards or finishes the interrupted one, and remembers it."""

        def few(generation: int) -> dict[str, Result]:
            return {name: result(name, generation) for name in ("a", "b/c")}

        apply_update(tmp_path / "before", few(1), "first", commit="abc")
        last = touches_of_update(shutil.copytree(tmp_path / "before", tmp_path / "counting"), few(2))
        reasons = []
        for moment in range(1, last + 1):
            folder = Path(shutil.copytree(tmp_path / "before", tmp_path / str(moment)))
            touch = Mock(side_effect=[*[None] * (moment - 1), KeyboardInterrupt, *[None] * last])
            with monkeypatch.context() as patch:
                at_each_touch(touch, patch.setattr)
                with pytest.raises(KeyboardInterrupt):
                    apply_update(folder, few(2), "second", commit="def")
            apply_update(folder, few(3), "third", commit="ghi")
            assert {3} == set(generation_of(folder).values())
            goldens = [find_golden(folder, name) for name in few(1)]
            (told,) = {tuple(entry.reason for entry in golden.provenance) for golden in goldens if golden is not None}
            reasons.append(told)
        assert sorted(reasons, key=len) == reasons  # once marked, always rolled forward
        assert {("first", "third"), ("first", "second", "third")} == set(reasons)

    def test_two_processes_at_once_write_one_after_the_other(self, tmp_path: Path) -> None:
        """Both updates succeed in turn: the goldens are of one generation and remember both."""
        apply_update(tmp_path, many(1), "first", commit="abc")
        program = (
            "import pathlib, sys; sys.path.insert(0, sys.argv[3]); from test_transaction import many\n"
            "from goldmark.golden._update.apply import apply_update\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "apply_update(pathlib.Path(sys.argv[1]), many(int(sys.argv[2])), sys.argv[2], commit='x')\n"
        )
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(tmp_path), generation, str(Path(__file__).parent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for generation in ("2", "3")
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert "ready\n" == racer.stdout.readline()
        for racer in racers:
            racer.communicate("go\n", timeout=60)
        assert [0, 0] == [racer.returncode for racer in racers]
        assert 1 == len(set(generation_of(tmp_path).values()))
        golden = find_golden(tmp_path, "case1/variant1")
        assert golden is not None
        assert ["2", "3", "first"] == sorted(entry.reason for entry in golden.provenance)

    def test_waits_for_the_lock_and_says_who_is_in_the_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An update that does not get the lock writes nothing and names the lock."""
        monkeypatch.setattr(transaction, "_WAIT_S", 0.1)
        with transaction.locked(tmp_path), pytest.raises(UsageError, match="another process has held .*lock"):
            apply_update(tmp_path, many(1), "why")
        assert [] == golden_names(tmp_path)

    def test_a_marker_that_leads_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        """A marker that somebody tampered with moves nothing."""
        staging = tmp_path / "golden" / transaction.STAGING
        (staging / "next").mkdir(parents=True)
        (staging / "next" / "0").write_text("x")
        (staging / "commit").write_text(json.dumps({"0": "../outside.json"}))
        with pytest.raises(UsageError, match="outside the folder"):
            find_golden(tmp_path / "golden", "a")
        assert not (tmp_path / "outside.json").exists()

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
    def test_reading_needs_no_right_to_write(self, tmp_path: Path) -> None:
        """Goldens in a folder that may only be read are read."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        tmp_path.chmod(0o500)
        assert find_golden(tmp_path, "a") is not None
