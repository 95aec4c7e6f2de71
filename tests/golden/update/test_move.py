"""A golden under another name: all that it holds goes with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.entries import BadGolden, Golden, Result
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._update.apply import apply_update, move

BY_OLD, BY_NEW = "tests/test_a.py::TestB::test_old[1]", "tests/test_a.py::TestB::test_new[1]"
OLD, NEW = "tests/test_a/TestB/test_old[1]", "tests/test_a/TestB/test_new[1]"


def result(name: str, recorded_by: str | None, n: int = 1) -> Result:
    """One exact number, recorded by a test or by none."""
    return Result(name=name, exact={"n": n}, recorded_by=recorded_by)


def stored(folder: Path, name: str) -> Golden:
    """The golden of that name, which must be there."""
    golden = find_golden(folder, name)
    assert golden is not None
    return golden


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one test file and the golden of a test that is gone from it."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").touch()
    apply_update(tmp_path / "golden", {OLD: result(OLD, BY_OLD)}, "first")
    return tmp_path


@pytest.fixture
def folder(root: Path) -> Path:
    """Its golden folder."""
    return root / "golden"


def test_everything_moves_and_the_new_test_is_named(root: Path, folder: Path) -> None:
    """Entries and history are the old ones; the test is the one that gives the new name."""
    before = stored(folder, OLD)
    move(folder, OLD, NEW, root)
    assert [NEW] == golden_names(folder)
    assert replace(before, name=NEW, recorded_by=BY_NEW) == stored(folder, NEW)


def test_goldens_of_other_devices_move_with_it(root: Path, folder: Path) -> None:
    """NAME@cuda is of the same test; where it is the only one, it moves alone."""
    for name in (f"{OLD}@cuda", "alone@mps"):
        apply_update(folder, {name: result(name, BY_OLD)}, "first")
    move(folder, OLD, NEW, root)
    move(folder, "alone", "chosen", root)
    assert ["chosen@mps", NEW, f"{NEW}@cuda"] == golden_names(folder)
    assert [BY_NEW, BY_NEW] == [stored(folder, name).recorded_by for name in (NEW, f"{NEW}@cuda")]


def test_a_test_that_cannot_be_told_from_the_name_is_left_open(root: Path, folder: Path) -> None:
    """A name of the test's own choice, or one for which something had to go; a case's golden has no test."""
    for name in ("chosen", "tests/test_a/test_b[u-v-w.py]-512bf937"):
        move(folder, golden_names(folder)[0], name, root)
        assert stored(folder, name).recorded_by is None
    apply_update(folder, {"case/a": result("case/a", None)}, "first")
    move(folder, "case/a", "tests/test_a/test_c", root)
    assert stored(folder, "tests/test_a/test_c").recorded_by is None


def test_one_recorded_anew_and_equal_is_replaced(root: Path, folder: Path) -> None:
    """The history is the old one's, the test the new one's."""
    apply_update(folder, {NEW: result(NEW, "elsewhere.py::test_x")}, "recorded without comparison")
    move(folder, OLD, NEW, root)
    assert [NEW] == golden_names(folder)
    golden = stored(folder, NEW)
    assert ("first", "elsewhere.py::test_x") == (golden.provenance[-1].reason, golden.recorded_by)


def test_one_with_other_entries_is_in_the_way(root: Path, folder: Path) -> None:
    """Neither is touched, and the message names both."""
    apply_update(folder, {NEW: result(NEW, BY_NEW, n=2)}, "another")
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    with pytest.raises(UsageError, match=r"there is a golden '.*test_new\[1\]' with other entries than '.*test_old"):
        move(folder, OLD, NEW, root)
    assert before == {path: path.read_bytes() for path in folder.rglob("*.json")}


def test_a_file_that_git_moved_is_put_right(root: Path, folder: Path) -> None:
    """Its name inside is the old one: reading refuses it with the command that helps."""
    (folder / f"{OLD}.json").rename(folder / f"{NEW}.json")
    with pytest.raises(
        BadGolden, match="goldmark golden mv 'tests/test_a/TestB/test_old.*' 'tests/test_a/TestB/test_new"
    ):
        find_golden(folder, NEW)
    move(folder, OLD, NEW, root)
    assert BY_NEW == stored(folder, NEW).recorded_by


def test_a_folder_that_git_moved_is_put_right(root: Path, folder: Path) -> None:
    """The old name is the end of the new path, and still not its name."""
    apply_update(folder, {"a": result("a", "a.py::test_a")}, "first")
    (folder / "below").mkdir()
    (folder / "a.json").rename(folder / "below" / "a.json")
    with pytest.raises(BadGolden, match=r"below/a\.json holds the golden 'a'"):
        find_golden(folder, "below/a")
    move(folder, "a", "below/a", root)
    assert "below/a" == stored(folder, "below/a").name


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("nope", NEW, "there is no golden 'nope' in '.*'; it has: tests/test_a/TestB/test_old"),
        (OLD, OLD, "has that name; name the new one"),
        (OLD, "../out", "'../out' cannot name a golden"),
    ],
)
def test_what_cannot_be_moved_stays(root: Path, folder: Path, old: str, new: str, says: str) -> None:
    """The message has the way out."""
    with pytest.raises(UsageError, match=says):
        move(folder, old, new, root)
    assert [OLD] == golden_names(folder)


def test_a_damaged_golden_stays(root: Path, folder: Path) -> None:
    """It is named, not moved."""
    (folder / f"{OLD}.json").write_text("{")
    with pytest.raises(BadGolden, match=r"test_old\[1\]\.json"):
        move(folder, OLD, NEW, root)
    assert [OLD] == golden_names(folder)
