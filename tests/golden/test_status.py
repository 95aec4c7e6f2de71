"""What goldens can see and how often they alarm, as plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatch

import pytest

from goldmark.golden.record import statistical_entry
from goldmark.golden.seals import seal_list
from goldmark.golden.status import age_days, doubts, false_alarm_rate, guarded_metrics
from goldmark.golden.store import Golden, Provenance, Result, read, to_bytes
from goldmark.golden.update import apply_update

VALUES = {str(seed): 1.0 + 0.01 * seed for seed in range(8)}
ENTRY = statistical_entry(
    VALUES,
    scale="identity",
    margin=0.05,
    alpha=0.01,
    guard="broken",
    guard_values={seed: value + 2 + 0.001 * int(seed) for seed, value in VALUES.items()},
)
GOLDEN = Golden(
    "a/b",
    statistical={"loss": ENTRY, "shown": replace(ENTRY, guard=None, guard_values=None, effect=None)},
    provenance=(Provenance("2026-01-01T00:00:00+00:00", "first", None, {}, {}, {}),),
)


def test_only_guarded_metrics_gate():
    """The shown metric is left out; the guarded one tells its distance from the bug."""
    (metric,) = guarded_metrics(GOLDEN)
    assert ("loss", 8, "broken", 0.01) == (metric.metric, metric.n_seeds, metric.guard, metric.alpha)
    assert pytest.approx(2.0035) == metric.effect
    assert pytest.approx(metric.effect / metric.detectable) == metric.effects_away
    assert metric.effects_away > 1


def test_false_alarms_add_up_over_metrics():
    """Three metrics at 1 % alarm in 1 - .99^3 of innocent changes at most; none never."""
    assert pytest.approx(1 - 0.99**3) == false_alarm_rate(guarded_metrics(GOLDEN) * 3)
    assert 0.0 == false_alarm_rate([])


def test_a_folder_that_updates_wrote_is_in_no_doubt(tmp_path):
    """Two updates, the second of one golden: seals, provenance and `UPDATES.md` agree, whatever the reason's lines."""
    apply_update(tmp_path, {name: Result(name, {"n": 1}) for name in ("a", "b/c")}, "first")
    apply_update(tmp_path, {"a": Result("a", {"n": 2})}, "second\n## | line")
    assert [] == doubts(tmp_path)


@pytest.mark.parametrize(
    ("damage", "doubt"),
    [
        (lambda folder: (folder / "a.json").write_text("{"), "a: * is not a golden that can be trusted*"),
        (lambda folder: (folder / "a.json").unlink(), "a is in *SEALS, and its file is gone"),
        (lambda folder: (folder / "SEALS").unlink(), "*SEALS is missing*"),
        (lambda folder: (folder / "SEALS").write_text("x"), "*SEALS is not a list of seals*"),
        (lambda folder: (folder / "UPDATES.md").unlink(), "a: *UPDATES.md does not tell of its update of *"),
        (lambda folder: edit(folder / "UPDATES.md", ": first\n", ": other\n"), "a: *UPDATES.md does not tell *"),
        (lambda folder: edit(folder / "UPDATES.md", "| a |", "| b |"), "a: *UPDATES.md does not tell of *"),
        (lambda folder: reseal(folder / "a.json", exact={"n": 2}), "a: * is not what the last update wrote*"),
    ],
)
def test_what_is_in_doubt_is_named(tmp_path, damage, doubt):
    """Damaged, deleted or resealed goldens, a list or a log that is gone or says otherwise: one line each."""
    apply_update(tmp_path, {"a": Result("a", {"n": 1})}, "first")
    damage(tmp_path)
    (found,) = doubts(tmp_path)
    assert fnmatch(found, doubt), found


def edit(path, old, new):
    """Replace a text in a file that holds it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def reseal(path, **changes):
    """Change a golden and seal it again."""
    path.write_bytes(to_bytes(replace(read(path), **changes)))


def test_a_golden_that_lets_a_wrong_value_pass_or_has_no_origin_is_in_doubt(tmp_path):
    """The comparator's self-test is part of the status; so is where a golden came from."""
    wrong = replace(GOLDEN, name="a", statistical={"loss": replace(ENTRY, detectable=0.04)}, provenance=())
    (tmp_path / "a.json").write_bytes(to_bytes(wrong))
    (tmp_path / "SEALS").write_bytes(seal_list({"a": read(tmp_path / "a.json").seal}))
    found = doubts(tmp_path)
    assert "a: loss: sd, detectable, effect are not what its values give" in found
    assert "a: it does not say when and why it was written" in found


def test_age_counts_from_the_last_writing():
    """A day and a half; without provenance it is not known."""
    assert 1.5 == age_days(GOLDEN, datetime(2026, 1, 2, 12, tzinfo=UTC))
    assert math.isnan(age_days(replace(GOLDEN, provenance=())))
