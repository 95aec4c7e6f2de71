"""Every variant of the catalogue against its golden, and every fixed variant's golden against its bug."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.cases import CASES
from goldmark.golden._catalogue import result_of
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.folder import find_golden
from goldmark.statistics import MetricRule, compare_values

VARIANTS = [(case.name, variant.name) for case in CASES.values() for variant in case.variants]
SEEN = [(c.name, v.name) for c in CASES.values() for v in c.variants if v.seen_by not in ("none", "contract")]
GUARDED = [
    (c.name, v.name, guard) for c in CASES.values() for v in c.variants for guard in dict.fromkeys(v.guards.values())
]


@pytest.mark.parametrize("case_name", CASES)
def test_every_claim_of_the_case_holds(case_name, runs_of):
    """All claims hold, those with a stated number of seeds included."""
    verdicts = CASES[case_name].judge(runs_of(case_name))
    assert [] == [verdict for _, verdict in verdicts if not verdict]


@pytest.mark.parametrize(("case_name", "variant"), SEEN)
def test_seen_by_tells_the_variant_from_its_healthy_twin(case_name, variant, runs_of):
    """The metric that is said to see a variant does: paired t at .01 against the nearest fixed or optional ancestor."""
    case = CASES[case_name]
    twin, metric = _healthy_twin(case, variant), case.variant(variant).seen_by
    values = [
        {str(run.seed): run.metrics[metric] for run in its} for its in runs_of(case_name, [variant, twin]).values()
    ]
    common = sorted(set(values[0]) & set(values[1]))
    one, other = ({seed: side[seed] for seed in common} for side in values)
    seen = compare_values(one, other, MetricRule(margin=0.0, alpha=0.01), paired=True, allow_few=True)
    assert seen.alarm, seen


def _healthy_twin(case, name):
    """The nearest ancestor that is fixed or an option."""
    ancestor = case.variant(case.variant(name).of)
    return ancestor.name if ancestor.role in ("fixed", "option") else _healthy_twin(case, ancestor.name)


@pytest.mark.parametrize(("case_name", "variant"), VARIANTS)
def test_variant_holds_to_its_golden(case_name, variant, runs_of, golden):
    """The runs of a variant are those that were approved, in every tier.

    An update judges all claims of the case first, even where these tests alone are selected.
    """
    if golden.recording:
        assert [] == [claim.name for claim, verdict in CASES[case_name].judge(runs_of(case_name)) if not verdict]
    golden.runs(CASES[case_name].variant(variant), update_command='nox -s update -- --reason "..."')


@pytest.mark.parametrize(("case_name", "variant", "guard"), GUARDED)
def test_golden_sees_its_bug(case_name, variant, guard, runs_of, pytestconfig):
    """The broken variant's runs, held against the fixed variant's golden, fail in the statistical tier alone."""
    broken = [replace(run, variant=variant) for run in runs_of(case_name, [guard])[guard]]
    golden = find_golden(pytestconfig.rootpath / "golden", f"{case_name}/{variant}")
    assert golden is not None
    seen = compare(golden, result_of(broken, variant), statistical_only=True)
    assert seen.ok is False
    assert {"statistical"} == {drift.tier for drift in seen.drifts}
