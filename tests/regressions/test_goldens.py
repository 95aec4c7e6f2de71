"""Every variant of the catalogue against its golden, and every fixed variant's golden against its bug."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.case import find_variant
from goldmark.cases import CASES
from goldmark.claims import judge
from goldmark.golden.catalogue import differing_repetitions, result_of
from goldmark.golden.compare import compare
from goldmark.golden.update import find_golden

VARIANTS = [(case.name, variant.name) for case in CASES.values() for variant in case.variants]
GUARDED = [(c.name, v.name, guard) for c in CASES.values() for v in c.variants for guard in set(v.guards.values())]


@pytest.mark.parametrize("case_name", CASES)
def test_every_claim_of_the_case_holds(case_name, runs_of):
    """All claims hold: an update of goldens stops here when one does not."""
    verdicts = judge(CASES[case_name], runs_of(case_name))
    assert [] == [(claim.name, verdict) for claim, verdict in verdicts if not verdict.ok]


@pytest.mark.parametrize(("case_name", "variant"), VARIANTS)
def test_variant_holds_to_its_golden(case_name, variant, runs_of, golden, pytestconfig):
    """The runs of a variant are those that were approved, in every tier; an update trains them twice."""
    guards = find_variant(CASES[case_name], variant).guards.values()
    runs = runs_of(case_name, [variant, *sorted(set(guards))])
    if pytestconfig.option.update_snapshots:
        assert [] == differing_repetitions(runs[variant], runs_of(case_name, [variant], again=True)[variant])
    result = result_of([run for its in runs.values() for run in its], variant)
    golden.result(result, update_command='nox -s update -- --reason "..."')


@pytest.mark.parametrize(("case_name", "variant", "guard"), GUARDED)
def test_golden_sees_its_bug(case_name, variant, guard, runs_of, pytestconfig):
    """The broken variant's runs, held against the fixed variant's golden, fail in the statistical tier alone."""
    broken = [replace(run, variant=variant) for run in runs_of(case_name, [guard])[guard]]
    golden = find_golden(pytestconfig.rootpath / "golden", f"{case_name}/{variant}")
    assert golden is not None
    seen = compare(golden, result_of(broken, variant), statistical_only=True)
    assert seen.ok is False
    assert {"statistical"} == {drift.tier for drift in seen.drifts}
