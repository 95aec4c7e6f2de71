"""Which tests may still use a golden, by what one session came to know."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldmark.golden._files.entries import Golden, Result
from goldmark.golden._update.apply import apply_update
from goldmark.golden._update.unused import KnownTests, renames, unused_goldens

RAN, SKIPPED = "test_a.py::TestB::test_ran[x::y]", "test_a.py::TestB::test_skipped[1]"


@pytest.fixture
def tests(tmp_path: Path) -> KnownTests:
    """A file with a class of two tests and a class that was not collected, and a file that nobody looked at."""
    (tmp_path / "sub").mkdir()
    for file in ("test_a.py", "sub/test_away.py"):
        (tmp_path / file).touch()
    return KnownTests(
        root=tmp_path,
        items=[RAN, SKIPPED],
        collectors=["test_a.py", "test_a.py::TestB", "test_a.py::TestC"],
        collected=["test_a.py", "test_a.py::TestB"],
        ran=[RAN],
    )


@pytest.mark.parametrize(
    ("recorder", "expected"),
    [
        (RAN, False),  # it passed, and did not ask for the golden
        (SKIPPED, True),
        ("test_a.py::TestB::test_ran[z]", False),  # the parameter is gone
        ("test_a.py::TestB::test_gone", False),
        ("test_a.py::test_gone", False),
        ("test_a.py::TestC::test_c", True),  # its class was skipped, or not selected
        ("test_a.py::TestC::TestD::test_c[a/b]", True),
        ("test_a.py::TestGone::test_c", False),
        ("sub/test_away.py::test_x", True),
        ("sub/test_gone.py::test_x", False),
        ("test_gone.py::TestB::test_x[u::v]", False),
    ],
)
def test_a_test_that_is_there_and_did_not_pass_keeps_its_goldens(tests, recorder, expected):
    """What was not looked at is there as long as its file is."""
    assert expected == tests.may_use(recorder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sub/test_away/test_x", True), ("sub/test_away/TestA/test_x[1]", True), ("test_a/test_x", False), ("own", False)],
)
def test_a_file_that_was_not_collected_may_hold_the_test_of_a_name(tests, name, expected):
    """For goldens that do not say which test recorded them."""
    assert expected == tests.may_hold(name)


def test_all_ran_where_nothing_was_left_out(tests, tmp_path):
    """A test that did not pass and a class that was not collected leave something open."""
    assert not tests.all_ran
    nodes = ["test_a.py", "test_a.py::TestB"]
    assert KnownTests(root=tmp_path, items=[RAN], collectors=nodes, collected=["", *nodes], ran=[RAN]).all_ran


def test_goldens_of_other_devices_are_used_by_the_same_test(tests, tmp_path):
    """A test or a case that ran on the CPU may run on a GPU next time."""
    names = {"seen": RAN, "seen@cuda": RAN, "gone@cuda": RAN, "case/a@mps": None, "case/b@mps": None}
    results = {name: Result(name=name, exact={"n": 1}, recorded_by=by) for name, by in names.items()}
    apply_update(tmp_path / "golden", results, "first")
    unused = unused_goldens(tmp_path / "golden", {"seen"}, tests, lambda: {"case/a"})
    assert ["case/b@mps", "gone@cuda"] == sorted(unused)


def test_each_unused_golden_is_continued_once():
    """Equal entries make a rename, whatever test recorded them; other entries do not."""
    unused = {
        name: Golden(name=name, exact={"n": n}, recorded_by="gone.py::t")
        for name, n in zip("abc", (1, 1, 2), strict=True)
    }
    new = {
        name: Result(name=name, exact={"n": n}, recorded_by="t.py::t") for name, n in zip("xyz", (1, 1, 1), strict=True)
    }
    assert {"a": "x", "b": "y"} == renames(new, unused)
