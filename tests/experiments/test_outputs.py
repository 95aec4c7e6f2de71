"""What trainings write into the project, as Lightning's logs and a Trainer's checkpoints: it is no reason to train."""

from __future__ import annotations

import importlib
import shutil
import sys
from types import SimpleNamespace

import pytest

from goldmark._session import Session
from goldmark.experiments import close_workers, obtain
from goldmark.experiments._worker import Worker
from goldmark.runs import note_outputs, outdated
from goldmark.runs._ingredients import changed

MODULE = """
import ctypes, os
from pathlib import Path

from goldmark import Metric, experiment


@experiment(seeds=3, metrics=[Metric("x", margin=None)])
def numbered(seed):
    folder = Path("logs") / f"version_{len(os.listdir('logs')) if os.path.exists('logs') else 0}"
    best = folder / "best.bin"
    x = float(os.path.exists(best))
    folder.mkdir(parents=True)
    listed = os.listdir(folder)
    for file in (best, folder / "last.bin"):  # as libraries in C++ write: Python sees nothing of it
        os.close(ctypes.CDLL(None).creat(bytes(file), 0o600))
    os.listdir(folder)
    Path(folder, "last.bin").read_bytes()
    os.remove(folder / "last.bin")
    return {"x": x + len(best.read_bytes())}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project, and runs of it from two processes that have numbered their folders in turn."""
    root = tmp_path_factory.mktemp("numbered").resolve()
    (root / "numbered_logs.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        case = importlib.import_module("numbered_logs").numbered
        workers = [Worker(case, root), Worker(case, root)]
        try:
            runs = [workers[seed % 2].train("default", seed) for seed in range(3)]
        finally:
            for worker in workers:
                worker.close()
        yield SimpleNamespace(root=root, runs=runs)
    del sys.modules["numbered_logs"]


@pytest.fixture
def session(project, tmp_path):
    """A session whose store knows what was written; the project is as it was afterwards."""
    for run in project.runs:
        note_outputs(tmp_path, run)
    shutil.copytree(project.root, tmp_path / "before")
    yield Session(root=project.root, folder=tmp_path)
    shutil.rmtree(project.root)
    shutil.copytree(tmp_path / "before", project.root)


def test_folders_of_other_seeds_are_no_reason(project, session):
    """They are one where nobody knows that they are outputs."""
    assert [None] * 3 == [run.error for run in project.runs], project.runs[0].output
    assert ["version_0", "version_1", "version_2"] == sorted(path.name for path in (project.root / "logs").iterdir())
    assert [None] * 3 == [outdated(session, run) for run in project.runs]
    assert "folder logs has other files" == changed(project.runs[1], project.root)


def test_what_was_written_is_listed_once(project, session):
    """However often runs are trained again."""
    before = (session.folder / "outputs").read_text()
    note_outputs(session.folder, project.runs[0])
    assert before == (session.folder / "outputs").read_text()
    assert len(before.splitlines()) == len(set(before.splitlines()))


def test_outputs_may_be_deleted(project, session):
    """A training would write them anew: before the first one nothing was there either."""
    shutil.rmtree(project.root / "logs")
    assert [None] * 3 == [outdated(session, run) for run in project.runs]


def test_another_name_beside_outputs_is_a_reason(project, session):
    """What no training has written was put there by somebody; the first one has not listed what it made."""
    (project.root / "logs" / "version_9").mkdir()
    assert [None, *["folder logs has other files"] * 2] == [outdated(session, run) for run in project.runs]


def test_another_name_among_outputs_is_a_reason(project, session):
    """In a folder that the run made and listed; others have not looked there."""
    (project.root / "logs" / "version_0" / "more.bin").touch()
    assert ["folder logs/version_0 has other files", None] == [outdated(session, run) for run in project.runs[:2]]


def test_another_content_of_an_output_that_was_looked_for_is_a_reason(project, session):
    """The next training would find it there, and read it."""
    (project.root / "logs" / "version_1" / "best.bin").write_text("1")
    assert "logs/version_1/best.bin changed" == outdated(session, project.runs[1])


WALKING = """
from pathlib import Path

from goldmark import Metric, experiment


@experiment(seeds=2, metrics=[Metric("n", margin=None)], data=["."])
def walking(seed):
    return {"n": len(list(Path().rglob("*.csv")))}
"""


def test_a_run_store_of_any_name_is_no_input(tmp_path, monkeypatch):
    """A training that walks through the project, and names all of it as data, does not see the runs that are kept."""
    (tmp_path / "walking_through.py").write_text(WALKING)
    (tmp_path / "table.csv").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    case = importlib.import_module("walking_through").walking
    for read in (0, 2):
        got = obtain(case, session=Session(root=tmp_path, folder=tmp_path / "kept", jobs=1))
        assert (read, [1, 1]) == (got.n_read, [run.metrics["n"] for run in got.runs]), got
    (tmp_path / "more.csv").touch()
    got = obtain(case, session=Session(root=tmp_path, folder=tmp_path / "kept", jobs=1))
    assert {"folder . has other files": 2} == got.trained
    close_workers()
    del sys.modules["walking_through"]
