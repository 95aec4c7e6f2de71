"""What a session counts, and which one a process is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldmark._session import Session, Tally, current, use


@pytest.fixture(autouse=True)
def _own_session():
    """Leave the session of the suite as it is."""
    before = use(None)
    yield
    use(before)


def test_each_run_is_counted_once_over_all_processes() -> None:
    """What one process has trained and another read, with the reason of each, sorted by case; failed seeds follow."""
    one = Tally(trained={("b", "default", 1): "model.py changed", ("a", "x", 0): "no run yet", ("a", "x", 1): "all"})
    other = Tally(read={("b", "default", 1), ("b", "default", 0)}, failed={("a", "x", 1): "it was killed"})
    one.add(Tally.from_plain(other.to_plain()))
    assert [
        "a: 2 trained (1 no run yet, 1 all), 1 failed",
        "b: 1 runs read, 1 trained (model.py changed)",
        "a/x, seed 1: it was killed",
    ] == one.lines()
    assert [] == Tally().lines()


def test_without_a_session_it_is_that_of_the_project_around(tmp_path: Path, monkeypatch) -> None:
    """The nearest folder above with a file that projects have at their root; each time a new one, which trusts none."""
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(below)
    session = current()
    assert (tmp_path, tmp_path / ".goldmark", False) == (session.root, session.folder, session.fresh)
    assert current().token != session.token


def test_a_session_in_use_can_be_put_back(tmp_path: Path) -> None:
    """`use` returns the one before, so that sessions nest."""
    outer, inner = (Session(root=tmp_path, folder=tmp_path / name) for name in "ab")
    assert use(outer) is None
    assert use(inner) is outer
    assert current() is inner
    assert outer.token != inner.token
