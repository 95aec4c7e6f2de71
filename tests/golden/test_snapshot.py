"""Results on their way from a test to its golden: as bytes, staged under the name of the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from goldmark.golden.naming import name_of_test
from goldmark.golden.record import statistical_entry
from goldmark.golden.snapshot import result_from_bytes, result_to_bytes, stage, staged_results
from goldmark.golden.store import Close, Result


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


def test_results_are_staged_and_the_last_of_a_name_stays(tmp_path: Path) -> None:
    """A test that ran again replaces what it staged before; odd characters of a name are no path."""
    for n in (1, 2):
        stage(tmp_path, replace(full_result(), exact={"n": n}))
    stage(tmp_path, replace(full_result(), name="a/c"))
    assert {"a/b": {"n": 2}, "a/c": full_result().exact} == {
        name: found.exact for name, found in staged_results(tmp_path).items()
    }


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
