"""The comparator's self-test: silent on a sound golden, and loud on each that would let something pass."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from goldmark.golden._files.entries import Close, Golden, Result
from goldmark.golden._record import selftest
from goldmark.golden._record.entry import golden_from, statistical_entry
from goldmark.golden._record.selftest import misstated, self_test

GENERATOR = np.random.default_rng(0)
STREAM = {str(seed): "same" for seed in range(12)}


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


HEALTHY = 3 + 0.1 * GENERATOR.normal(size=12)
BROKEN = HEALTHY + 2 + 0.1 * GENERATOR.normal(size=12)
RULES = {
    "identity": {"scale": "identity", "margin": 0.1},
    "percent": {"scale": "identity", "margin": "2%"},
    "permutation": {"scale": "identity", "margin": 0.1, "test": "permutation"},
}


def golden(rule="identity", stream=STREAM, **changes):
    """Return a golden whose guard is two units away and whose frozen model is five."""
    guard = {"guard": "broken", "guard_values": by_seed(BROKEN), "first_values": by_seed(HEALTHY + 5)}
    entry = statistical_entry(by_seed(HEALTHY), **(RULES[rule] | guard), paired=stream is not None)
    unguarded = statistical_entry(by_seed(HEALTHY), **RULES[rule])
    shown = statistical_entry(by_seed([np.nan] * 12), **(RULES[rule] | {"margin": None}))
    metrics = {"rmse": replace(entry, **changes), "loss": unguarded, "shown": shown}
    return golden_from(
        Result(name="a", exact={"n": 3}, close={"lr": Close([0.1, 0.2])}, statistical=metrics, stream=stream), ()
    )


@pytest.mark.parametrize("stream", [STREAM, None])
@pytest.mark.parametrize("rule", RULES)
def test_a_sound_golden_has_no_problem(rule, stream):
    """On both scales, by t and by permutation, in pairs and without."""
    assert [] == self_test(golden(rule, stream))


def test_a_golden_is_tested_with_as_many_seeds_as_a_check_must_have():
    """Eight of twelve seeds see what they state; a statement that holds for twelve alone is found."""
    values, guard = by_seed(HEALTHY), {"guard": "broken", "guard_values": by_seed(BROKEN)}
    entry = statistical_entry(values, **RULES["identity"], **guard, check_seeds=8)
    sound = golden_from(Result(name="a", statistical={"rmse": entry}, stream=STREAM), ())
    assert [] == self_test(sound)
    overstated = replace(entry, detectable=statistical_entry(values, **RULES["identity"], **guard).detectable)
    wrong = replace(sound, statistical={"rmse": overstated})
    assert ["rmse: sd, detectable, effect are not what its values give"] == self_test(wrong)


def test_a_metric_that_gates_without_a_guard_is_tested_too():
    """A shift of twice what it says to detect must fail, and a frozen model where its values are given."""
    sound = statistical_entry(by_seed(HEALTHY), **RULES["identity"], first_values=by_seed(HEALTHY + 5))
    assert [] == self_test(golden_from(Result(name="a", statistical={"loss": sound}), ()))
    blind = replace(sound, detectable=0.04, first_values=by_seed(HEALTHY + 0.05))
    problems = self_test(golden_from(Result(name="a", statistical={"loss": blind}), ()))
    assert "loss: a shift of twice the detectable effect passes" in problems
    assert "loss: a frozen model passes" in problems


def test_a_golden_of_arithmetic_alone_is_tested_too():
    """Without metrics the keys and numbers of the other tiers are broken one by one."""
    assert [] == self_test(golden_from(Result(name="a", exact={"n": 3}, close={"lr": Close({"x": 0.1})}), ()))


def test_a_golden_whose_nan_equals_itself_is_sound():
    """NaN in its place is what was recorded; everywhere else it fails."""
    close = {"gap": Close(math.nan, equal_nan=True), "trace": Close([1.0, math.nan], abs=1.0, equal_nan=True)}
    assert [] == self_test(Golden(name="a", close=close))


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("rmse: the guard 'broken' passes", {"guard_values": by_seed(HEALTHY + 0.05)}),
        ("rmse: a frozen model passes", {"first_values": by_seed(HEALTHY + 0.05)}),
        ("rmse: a shift of twice the detectable effect passes", {"detectable": 0.04}),
        ("rmse: the guard 'broken' passes", {"margin": 3.0}),
        ("rmse: the guard 'broken' passes", {"guard_values": by_seed(HEALTHY + [2, -2] * 6)}),
    ],
)
def test_a_golden_that_would_let_its_bug_pass_is_named(problem, changes):
    """A guard, a frozen model or a shift that the stored rule cannot see."""
    assert problem in self_test(golden(**changes))


@pytest.mark.parametrize("metric", ["rmse", "loss"])
@pytest.mark.parametrize("name", ["values", "sd", "detectable", "effect"])
def test_a_metric_that_states_what_its_values_do_not_give_is_named(metric, name):
    """A value or a statement that was changed alone is found, guarded or not: by one part in a hundred thousand."""
    sound = golden()
    entry = sound.statistical[metric]
    wrong = {**entry.values, "3": entry.values["3"] * 1.00001} if name == "values" else 1.00001 * (entry.effect or 1.0)
    wrong_golden = replace(sound, statistical={**sound.statistical, metric: replace(entry, **{name: wrong})})
    assert [f"{metric}: sd, detectable, effect are not what its values give"] == misstated(wrong_golden)
    assert [] == misstated(sound)


def test_a_permutation_golden_that_states_too_few_dead_seeds_is_named():
    """A detectable effect worth 5 of 12 dead seeds is a promise that the test cannot keep."""
    sound = golden("permutation").statistical["rmse"]
    assert "rmse: 5 dead seeds passes" in self_test(golden("permutation", detectable=sound.effect * 4.5 / 12))


def test_a_comparator_that_accepts_everything_is_found(monkeypatch):
    """If every comparison were ok, every damage would be listed: the self-test can fail."""
    sound = golden()
    accepted = selftest.compare(
        sound,
        Result(
            name=sound.name, exact=sound.exact, close=sound.close, statistical=sound.statistical, stream=sound.stream
        ),
    )
    monkeypatch.setattr(selftest, "compare", lambda *_, **__: accepted)
    problems = self_test(sound)
    for what in ("a dropped metric", "an added metric", "NaN at seed 11", "exact n: a dropped key", "close lr: NaN"):
        assert any(what in problem for problem in problems)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_comparator_that_looks_in_one_direction_alone_is_found(monkeypatch, direction):
    """An unexplained improvement may be a leak, so the self-test shifts both ways."""
    real, old = selftest.compare, np.mean(HEALTHY)

    def one_sided(stored, result, **options):
        rmse = result.statistical.get("rmse")
        ahead = rmse is not None and direction * (np.mean(list(rmse.values.values())) - old) > 0
        return replace(real(stored, result, **options), ok=True) if ahead else real(stored, result, **options)

    monkeypatch.setattr(selftest, "compare", one_sided)
    assert "rmse: a shift of twice the detectable effect passes" in self_test(golden())


def test_a_comparator_that_refuses_everything_is_found(monkeypatch):
    """If nothing held, identical values would not either."""
    sound = golden()
    refused = selftest.compare(sound, Result(name=sound.name))
    monkeypatch.setattr(selftest, "compare", lambda *_, **__: refused)
    assert ["identical values do not pass"] == self_test(sound)
