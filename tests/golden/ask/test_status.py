"""What goldens can see and how often they alarm, as plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.metadata import version

import pytest

from goldmark.fingerprint import fingerprint
from goldmark.golden._ask.status import (
    age_days,
    doubts,
    false_alarm_rate,
    gating_metrics,
    held_here,
    held_in_words,
    over_budget,
)
from goldmark.golden._files.entries import Golden, Provenance, Result
from goldmark.golden._files.format import to_bytes
from goldmark.golden._record.entry import statistical_entry
from goldmark.golden._update.apply import apply_update

VALUES = {str(seed): 1.0 + 0.01 * seed for seed in range(8)}
ENTRY = statistical_entry(
    VALUES,
    scale="identity",
    margin=0.05,
    alpha=0.01,
    guard="broken",
    guard_values={seed: value + 2 + 0.001 * int(seed) for seed, value in VALUES.items()},
)
UNPROVEN = replace(ENTRY, guard=None, guard_values=None, effect=None)
GOLDEN = Golden(
    name="a/b",
    statistical={"loss": ENTRY, "unproven": UNPROVEN, "shown": replace(UNPROVEN, margin=None)},
    provenance=(
        Provenance(
            date="2026-01-01T00:00:00+00:00", reason="first", commit=None, versions={}, fingerprint={}, sources={}
        ),
    ),
)


def test_metrics_with_a_margin_gate():
    """The shown metric is left out; a guard tells how far the bug is, none that the metric is shown to see nothing."""
    proven, unproven = gating_metrics(GOLDEN)
    assert ("loss", 8, "broken", 0.01) == (proven.metric, proven.n_seeds, proven.guard, proven.alpha)
    assert pytest.approx(2.0035) == proven.effect
    assert pytest.approx(proven.effect / proven.detectable) == proven.effects_away
    assert proven.effects_away > 1
    assert ("unproven", None, None) == (unproven.metric, unproven.guard, unproven.effects_away)


def test_a_sequential_metric_says_that_it_is():
    """Others say that they are not."""
    looks = replace(GOLDEN, statistical={"looks": replace(ENTRY, sequential=True), "loss": ENTRY})
    assert {"looks": True, "loss": False} == {metric.metric: metric.sequential for metric in gating_metrics(looks)}


def test_a_guard_that_diverges_is_infinitely_far_away():
    """NaN is no distance, and no golden holds infinity: the effect is not known, and is larger than any."""
    (metric,) = gating_metrics(replace(GOLDEN, statistical={"loss": replace(ENTRY, effect=None)}))
    assert math.inf == metric.effects_away


def test_false_alarms_add_up_over_metrics():
    """Three metrics at 1 % alarm in 1 - .99^3 of innocent changes at most; none never."""
    assert pytest.approx(1 - 0.99**3) == false_alarm_rate([*gating_metrics(GOLDEN), gating_metrics(GOLDEN)[0]])
    assert 0.0 == false_alarm_rate([])


@pytest.mark.parametrize(
    ("n", "budget", "fits"),
    [(4, 0.04, None), (4, None, None), (5, 0.04, "0.008"), (7, 0.04, "0.0057"), (3, 0.02, "0.0066")],
)
def test_alphas_are_held_against_the_budget(n, budget, fits):
    """Metrics of 1 % each: their sum counts, rounding apart, and the alpha that would fit is named, never more."""
    excess = over_budget(gating_metrics(GOLDEN)[:1] * n, budget)
    assert (fits is None) == (excess is None)
    if fits:
        assert f"add up to {0.01 * n:.3g}, more than golden_budget = {budget:g}; an alpha of {fits} for each" in excess
        assert float(fits) * n <= budget


def test_a_folder_that_updates_wrote_is_in_no_doubt(tmp_path):
    """Two updates, the second of one golden alone."""
    apply_update(tmp_path, {name: Result(name=name, exact={"n": 1}) for name in ("a", "b/c")}, "first")
    apply_update(tmp_path, {"a": Result(name="a", exact={"n": 2})}, "second")
    assert [] == doubts(tmp_path)


@pytest.mark.parametrize(
    ("damage", "doubt"),
    [
        (lambda content: b"{", "a: * is not a golden that can be trusted: not JSON*"),
        (lambda content: content.replace(b'"n": 1', b'"n": 2'), "a: * is not a golden that can be trusted: its seal *"),
    ],
)
def test_a_damaged_golden_is_named_and_the_others_are_not(tmp_path, damage, doubt):
    """Cut off, or edited by hand."""
    apply_update(tmp_path, {name: Result(name=name, exact={"n": 1}) for name in ("a", "b")}, "first")
    (tmp_path / "a.json").write_bytes(damage((tmp_path / "a.json").read_bytes()))
    (reason,) = doubts(tmp_path)
    assert fnmatch(reason, doubt), reason


def test_a_golden_that_lets_a_wrong_value_pass_or_has_no_origin_is_in_doubt(tmp_path):
    """The comparator's self-test is part of the status; so is where a golden came from."""
    wrong = replace(GOLDEN, name="a", statistical={"loss": replace(ENTRY, detectable=0.04)}, provenance=())
    (tmp_path / "a.json").write_bytes(to_bytes(wrong))
    reasons = doubts(tmp_path)
    assert "a: loss: sd, detectable, effect are not what its values give" in reasons
    assert "a: it does not say when and why it was written" in reasons


def recorded(**changes):
    """The golden, recorded in this environment but for some changes."""
    here = {**fingerprint(), "torch": version("torch").partition("+")[0]}
    origin = replace(GOLDEN.provenance[-1], fingerprint={**here, **changes.pop("fingerprint", {})}, **changes)
    return replace(GOLDEN, provenance=(origin,))


def test_metrics_with_a_margin_are_held_to_repeat_where_they_were_recorded():
    """In an environment like this one; of those, one that did not repeat at its recording is held by its margin."""
    held = held_here(recorded())
    assert (3, 2, 2, ()) == (held.n_metrics, held.gating, held.repeating, held.changed)
    statistical = {**GOLDEN.statistical, "loss": replace(ENTRY, repeats=False)}
    assert 1 == held_here(replace(recorded(), statistical=statistical)).repeating


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"fingerprint": {"cpu": "Z80"}}, f"cpu Z80 -> {fingerprint()['cpu']}"),
        ({"fingerprint": {"torch": "1.0"}}, "torch 1.0 -> "),
        ({"fingerprint": {"device": "cuda"}}, "recorded on cuda"),
        ({"versions": {"numpy": "0.1"}}, "numpy 0.1 -> "),
        ({"versions": {"not-there": "1.0"}}, "not-there 1.0 -> not installed"),
    ],
)
def test_a_golden_of_another_environment_is_held_by_its_margins_alone(changes, changed):
    """Another processor, version or device: its numbers repeat nowhere else, and what differs is named."""
    held = held_here(replace(recorded(**changes), recorded_by="test_a.py::test_b"))
    assert (2, 0) == (held.gating, held.repeating)
    assert held.changed[0].startswith(changed)
    assert "origin not recorded" == held_here(replace(GOLDEN, provenance=())).changed[0]


def test_versions_that_the_catalogue_does_not_compare_change_nothing():
    """Its goldens are held to what the fingerprint says."""
    assert 2 == held_here(recorded(versions={"numpy": "0.1"})).repeating


def test_what_is_held_here_is_said_in_a_sentence():
    """Two goldens, one of them from elsewhere, and one without metrics, which holds everywhere."""
    goldens = [recorded(), recorded(fingerprint={"cpu": "Z80"}), replace(recorded(), statistical={})]
    assert (
        "Held on this machine: of 2 goldens with metrics 1 were recorded in another environment (cpu: 1) and cannot "
        "repeat here: their 2 gating metrics are held by their margins alone. 2 metrics must repeat in every seed "
        "until code changes; 2 are only shown, and held by nothing."
    ) == held_in_words([held_here(golden) for golden in goldens])


def test_age_counts_from_the_last_writing():
    """A day and a half; without provenance it is not known."""
    assert 1.5 == age_days(GOLDEN, datetime(2026, 1, 2, 12, tzinfo=UTC))
    assert math.isnan(age_days(replace(GOLDEN, provenance=())))
