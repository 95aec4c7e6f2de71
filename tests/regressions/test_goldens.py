"""Every variant of the catalogue against its golden, and every fixed variant's golden against its bug."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.case import find_variant
from goldmark.cases import CASES
from goldmark.claims import judge, verdict_on
from goldmark.golden._catalogue import differing_repetitions, result_of
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.folder import find_golden
from goldmark.statistics import compare_values

VARIANTS = [(case.name, variant.name) for case in CASES.values() for variant in case.variants]
CLAIMS = [(case.name, claim.name) for case in CASES.values() for claim in case.claims]
CLAIMS.remove(("eeg", "factor_two_is_a_unit"))  # it speaks of the targets alone, which all variants share
CLAIMS.remove(("poetry", "no_run_exceeds_its_ceiling"))  # a theorem: its story lends runs a lower ceiling instead
SEEN = [(c.name, v.name) for c in CASES.values() for v in c.variants if v.seen_by not in ("none", "contract")]
GUARDED = [(c.name, v.name, guard) for c in CASES.values() for v in c.variants for guard in set(v.guards.values())]


@pytest.mark.parametrize("case_name", CASES)
def test_every_claim_of_the_case_holds(case_name, runs_of):
    """All claims hold, those with a stated number of seeds included."""
    verdicts = judge(CASES[case_name], runs_of(case_name))
    assert [] == [(claim.name, verdict) for claim, verdict in verdicts if not verdict.ok]


@pytest.mark.parametrize(("case_name", "claim_name"), CLAIMS)
def test_every_claim_can_fail(case_name, claim_name, runs_of):
    """Self-proof: with another variant's runs in the place of one of its own, the claim fails."""
    claim = next(claim for claim in CASES[case_name].claims if claim.name == claim_name)
    runs = runs_of(case_name)
    own = {variant: runs[variant] for variant in claim.variants}
    swaps = [{**own, variant: runs[other]} for variant in own for other in runs if other != variant]
    assert any(_fails(claim, swap) for swap in swaps)


def _fails(claim, runs):
    """Tell whether a claim fails; runs that were not examined for its signs (they lack a head) say nothing."""
    try:
        return verdict_on(claim, runs).ok is False
    except ValueError:
        return False


@pytest.mark.parametrize(("case_name", "variant"), SEEN)
def test_seen_by_tells_the_variant_from_its_healthy_twin(case_name, variant, runs_of):
    """The metric that is said to see a variant does: paired t at .01 against the nearest fixed or optional ancestor."""
    case = CASES[case_name]
    twin, metric = _healthy_twin(case, variant), find_variant(case, variant).seen_by
    values = [
        {str(run.seed): run.metrics[metric] for run in its} for its in runs_of(case_name, [variant, twin]).values()
    ]
    common = sorted(set(values[0]) & set(values[1]))
    one, other = ({seed: side[seed] for seed in common} for side in values)
    seen = compare_values(one, other, scale="identity", margin=0.0, alpha=0.01, test="t", paired=True)
    assert seen.alarm, seen


def _healthy_twin(case, name):
    """The nearest ancestor that is fixed or an option."""
    ancestor = find_variant(case, find_variant(case, name).of)
    return ancestor.name if ancestor.role in ("fixed", "option") else _healthy_twin(case, ancestor.name)


@pytest.mark.parametrize(("case_name", "variant"), VARIANTS)
def test_variant_holds_to_its_golden(case_name, variant, runs_of, golden, pytestconfig):
    """The runs of a variant are those that were approved, in every tier.

    An update judges all claims of the case first, even where these tests alone are selected, and trains twice.
    """
    guards = find_variant(CASES[case_name], variant).guards.values()
    runs = runs_of(case_name, [variant, *sorted(set(guards))])
    if pytestconfig.option.update_snapshots:
        assert [] == [claim.name for claim, verdict in judge(CASES[case_name], runs_of(case_name)) if not verdict.ok]
        assert [] == differing_repetitions(runs[variant], runs_of(case_name, [variant], again=True)[variant])
    every_run = [run for its in runs.values() for run in its]
    golden.case(every_run, variant, update_command='nox -s update -- --reason "..."')


@pytest.mark.parametrize(("case_name", "variant", "guard"), GUARDED)
def test_golden_sees_its_bug(case_name, variant, guard, runs_of, pytestconfig):
    """The broken variant's runs, held against the fixed variant's golden, fail in the statistical tier alone."""
    broken = [replace(run, variant=variant) for run in runs_of(case_name, [guard])[guard]]
    golden = find_golden(pytestconfig.rootpath / "golden", f"{case_name}/{variant}")
    assert golden is not None
    seen = compare(golden, result_of(broken, variant), statistical_only=True)
    assert seen.ok is False
    assert {"statistical"} == {drift.tier for drift in seen.drifts}
