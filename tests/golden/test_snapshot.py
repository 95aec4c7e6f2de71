"""The syrupy extension: results as bytes, staged instead of written, never found or deleted by syrupy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from goldmark.golden.folder import find_golden
from goldmark.golden.naming import name_of_test
from goldmark.golden.record import statistical_entry
from goldmark.golden.snapshot import bound, result_from_bytes, result_to_bytes, staged_results
from goldmark.golden.store import Close, Result
from goldmark.golden.update import apply_update

USES = """
import pytest
from pathlib import Path
from goldmark.golden.snapshot import bound, staged_results
from goldmark.golden.store import Close, Result

@pytest.fixture
def snapshot(snapshot):
    Path("staged").mkdir(exist_ok=True)
    return snapshot.use_extension(bound(Path("golden").absolute(), Path("staged").absolute()))

def test_it(snapshot):
    assert snapshot == Result("test_uses/test_it", close={{"x": Close({x}, rel=1e-3)}})
"""


def full_result() -> Result:
    """A result with something in every field."""
    values = {str(seed): 1 + seed / 100 for seed in range(6)}
    return Result(
        "a/b",
        exact={"n": 3, "recipe": {"lr": 1e-3}},
        close={"trace": Close([0.1, 0.2], rel=1e-6)},
        statistical={"rmse": statistical_entry(values, scale="identity", margin=0.01)},
        stream={seed: f"hash{seed}" for seed in values},
        fingerprint={"python": "3.11"},
        sources={"a.py": "00"},
    )


def test_a_result_survives_the_way_through_bytes() -> None:
    """Workers hand results to the controller as bytes; nothing may be lost on the way, the origin included."""
    found = full_result()
    assert found == result_from_bytes(result_to_bytes(found), "here")


def test_a_result_is_matched_by_the_golden_s_own_rule(tmp_path: Path) -> None:
    """Equal within the tolerance is a match although the bytes differ; a change beyond it is none, and is explained."""
    extension = bound(tmp_path, None)()
    golden = result_to_bytes(Result("a", close={"x": Close(1.0, rel=1e-3)}))
    near = extension.serialize(Result("a", close={"x": Close(1.0005, rel=1e-3)}))
    far = extension.serialize(Result("a", close={"x": Close(1.002, rel=1e-3)}))
    assert extension.matches(serialized_data=near, snapshot_data=golden)
    assert not extension.matches(serialized_data=far, snapshot_data=golden)
    assert "close x: golden 1, got 1.002" in "\n".join(extension.diff_lines(far, golden))


def test_results_are_staged_and_the_last_of_a_name_stays(tmp_path: Path) -> None:
    """Writing touches the staging folder alone; a test that ran again replaces what it staged before."""
    from syrupy.data import Snapshot, SnapshotCollection

    staging = tmp_path / "staged"
    staging.mkdir()
    extension = bound(tmp_path / "golden", staging)
    for n in (1, 2):
        collection = SnapshotCollection(location=str(tmp_path / "golden" / "a" / "b.json"))
        collection.add(Snapshot(name="a/b", data=result_to_bytes(replace(full_result(), exact={"n": n}))))
        extension.write_snapshot_collection(snapshot_collection=collection)
    assert {"a/b": {"n": 2}} == {name: found.exact for name, found in staged_results(staging).items()}
    assert not (tmp_path / "golden").exists()


def test_writing_outside_an_update_is_an_error(tmp_path: Path) -> None:
    """Without a staging folder nothing can be written, whoever calls."""
    from syrupy.data import SnapshotCollection

    with pytest.raises(RuntimeError, match="--snapshot-update"):
        bound(tmp_path, None).write_snapshot_collection(snapshot_collection=SnapshotCollection(location="x"))


def test_serves_syrupy_s_own_snapshot_fixture(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """`assert snapshot == result` passes, fails with a message, stages on update; syrupy deletes nothing."""
    folder = pytester.path / "golden"
    others = {name: Result(name, close={"x": Close(1.0, rel=1e-3)}) for name in ("other", "test_uses/test_it")}
    apply_update(folder, others, "why")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # syrupy keeps silent where it sees a worker
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # each session would load every plugin there is
    quiet = ("-p", "no:cacheprovider", "-p", "syrupy")

    pytester.makepyfile(test_uses=USES.format(x=1.0005))
    result = pytester.runpytest_inprocess(*quiet)
    assert pytest.ExitCode.OK == result.ret
    result.stdout.fnmatch_lines(["1 snapshot passed."])
    pytester.makepyfile(test_uses=USES.format(x="1.0020"))
    result = pytester.runpytest_inprocess(*quiet)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["*close x: golden 1, got 1.002*"])

    assert pytest.ExitCode.OK == pytester.runpytest_inprocess(*quiet, "--snapshot-update").ret
    assert ["test_uses/test_it"] == list(staged_results(pytester.path / "staged"))
    golden = find_golden(folder, "test_uses/test_it")
    assert golden is not None
    assert 1.0 == golden.close["x"].value
    assert find_golden(folder, "other") is not None


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/test_a.py::test_b", "tests/test_a/test_b"),
        ("tests/test_a.py::TestC::test_b[0.1-x]", "tests/test_a/TestC/test_b[0.1-x]"),
        ("test_a.py::test_b[u::v/w.py]", "test_a/test_b[u-v-w.py]-512bf937"),
        ("test_a.py::test_b[u::v-w.py]", "test_a/test_b[u-v-w.py]-32f57bf8"),
    ],
)
def test_the_name_follows_from_the_test(nodeid: str, name: str) -> None:
    """Path, class and parameters; where characters must go, a hash keeps two tests apart."""
    assert name == name_of_test(nodeid)
