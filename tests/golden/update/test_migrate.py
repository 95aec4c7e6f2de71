"""Goldens of schema 1 become schema 2: every value stays, all files or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goldmark.fingerprint import sha256
from goldmark.golden._files.entries import BadGolden, Close, Result
from goldmark.golden._files.folder import find_golden
from goldmark.golden._record.entry import statistical_entry
from goldmark.golden._update.apply import apply_update
from goldmark.golden._update.migrate import migrate


def sealed(document: dict) -> bytes:
    """Return a document as a file of either schema, with the seal of its entries."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return json.dumps({**document, "seal": sha256(canonical.encode())}).encode()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder as schema 1 left it: two goldens and the lists that they shared."""
    values = {str(seed): 1 / (3 + seed) for seed in range(6)}
    metrics = {"loss": statistical_entry(values, scale="identity", margin=0.01)}
    trained = Result(name="a", exact={"n": [1, 2]}, close={"x": Close(1 / 3)}, statistical=metrics)
    apply_update(tmp_path, {"a": trained, "b/c": Result(name="b/c", exact={"n": 1})}, "first")
    for path in tmp_path.rglob("*.json"):
        document = json.loads(path.read_bytes())
        del document["seal"], document["recorded_by"]
        for entry in document["statistical"].values():
            del entry["check_seeds"], entry["repeats"]
        path.write_bytes(sealed({**document, "schema": 1}))
    (tmp_path / "SEALS").write_text("12  a\n")
    (tmp_path / "UPDATES.md").write_text("# Updates\n")
    return tmp_path


def test_a_golden_of_schema_1_is_refused_with_the_command(old: Path) -> None:
    """One line that names the file and what to run."""
    with pytest.raises(BadGolden) as refused:
        find_golden(old, "a")
    expected = f"{old}/a.json is a golden of schema 1, this version reads 2: run `goldmark golden migrate`"
    assert expected == str(refused.value)


def test_values_stay_and_new_fields_say_what_schema_1_meant(old: Path) -> None:
    """All seeds are compared, every metric repeats, no test is named; the shared lists are gone."""
    before = {path.name: json.loads(path.read_bytes()) for path in old.rglob("*.json")}
    assert ["a", "b/c"] == migrate(old)
    for path in old.rglob("*.json"):
        document, previous = json.loads(path.read_bytes()), before[path.name]
        assert (2, None) == (document.pop("schema"), document.pop("recorded_by"))
        for entry in document["statistical"].values():
            assert (None, True) == (entry.pop("check_seeds"), entry.pop("repeats"))
        assert {**previous, "seal": ""} == {**document, "schema": 1, "seal": ""}
    assert {"a", "b/c"} == {golden.name for name in ("a", "b/c") if (golden := find_golden(old, name))}
    assert [".update", "a.json", "b"] == sorted(path.name for path in old.iterdir())


def test_a_metric_that_diverged_is_only_shown_from_now_on(old: Path) -> None:
    """In schema 1 a metric without a guard could hold NaN, because its margin judged nothing."""
    document = json.loads((old / "a.json").read_bytes())
    del document["seal"]
    document["statistical"]["loss"]["values"]["0"] = None
    (old / "a.json").write_bytes(sealed(document))
    migrate(old)
    golden = find_golden(old, "a")
    assert golden is not None
    assert golden.statistical["loss"].margin is None


def test_what_is_migrated_already_is_left_alone(old: Path) -> None:
    """A second migration rewrites nothing."""
    migrate(old)
    before = (old / "a.json").read_bytes()
    assert [] == migrate(old)
    assert before == (old / "a.json").read_bytes()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content.replace(b'"n": 1', b'"n": 2'), "its seal is broken"),
        (lambda content: content[:50], "not JSON, or cut off"),
        (lambda content: sealed({"schema": 1, "name": "b/c", "statistical": [1]}), "'statistical' is not an object"),
        (lambda content: sealed({"schema": 1, "name": "b/c", "statistical": {}}), "the file lacks"),
    ],
)
def test_a_file_that_cannot_be_trusted_stops_all(old: Path, damage, says: str) -> None:
    """Neither the golden beside it nor the lists change."""
    path = old / "b" / "c.json"
    path.write_bytes(damage(path.read_bytes()))
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file() and ".update" not in path.parts}
    with pytest.raises(BadGolden, match=says):
        migrate(old)
    assert before == {path: path.read_bytes() for path in before}
