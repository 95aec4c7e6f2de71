"""The words: variants resolve to settings, and differ in what they say and nothing else."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace

import pytest

from goldmark.case import (
    AllOf,
    Baseline,
    Case,
    Check,
    Claim,
    Failure,
    Finding,
    Metric,
    Run,
    UsageError,
    Variant,
    Verdict,
)
from goldmark.cases import CASES, find_case

VARIANTS = [(case, variant) for case in CASES.values() for variant in case.variants]
IDS = [f"{case.name}-{variant.name}" for case, variant in VARIANTS]


def test_unknown_names_are_answered_with_the_known_ones():
    """An error gives the name, what there is, and so the way out."""
    with pytest.raises(UsageError, match=r"the catalogue has no case 'toast'; it has: roast, eeg, expansion, poetry"):
        find_case("toast")
    with pytest.raises(UsageError, match=r"case 'roast' has no variant 'nope'; it has: normalized, raw_fahrenheit"):
        find_case("roast").variant("nope")
    with pytest.raises(UsageError, match=r"case 'roast' has no metric 'f1'; it has: val_loss_reduction"):
        find_case("roast").metric("f1")
    with pytest.raises(UsageError, match=r"case 'roast' has no claim 'it_works'; it has: raw_targets_collapse"):
        find_case("roast").claim("it_works")


def test_best_checkpoint_is_chosen_by_a_metric_with_a_better_side():
    """Every case of the catalogue names one; what is no metric, or has no better side, is refused."""
    assert {"skill_vs_mean", "val_mse", "span_f1", "token_cosine"} == {case.best_by for case in CASES.values()}
    for name in ("loss_sum", "code_rank"):
        with pytest.raises(
            UsageError, match=f"case 'poetry': best_by is '{name}'; it is one of the .*: token_cosine, "
        ):
            replace(find_case("poetry"), best_by=name)


def test_settings_follow_the_chain_of_variants():
    """A variant's settings are its ancestors' with its own changes on top."""
    roast = find_case("roast")
    combined = roast.settings_of("recovery_combined")
    assert ("range", "raw", 3, 5e-5) == (combined.input_scale, combined.target_scale, combined.layers, combined.lr)


def test_seeds_are_the_variants_own_or_the_cases():
    """Seeds are 0 ... n - 1."""
    assert [range(5), range(7)] == [find_case("roast").seeds_of(name) for name in ("zscore", "normalized")]
    assert [range(33), range(8)] == [find_case("eeg").seeds_of(name) for name in ("mixup", "volts")]


@pytest.mark.parametrize(("case", "variant"), VARIANTS, ids=IDS)
def test_variant_changes_something_and_nothing_twice(case, variant):
    """Every named change is a change: no setting is repeated with the value it had."""
    of = case.settings if variant.of is None else case.settings_of(variant.of)
    own = case.settings_of(variant.name)
    changed = {f.name for f in fields(own) if getattr(own, f.name) != getattr(of, f.name)}
    assert set(variant.changes) == changed
    assert (variant.of is None) == (not changed)


@pytest.mark.parametrize(("case", "variant"), VARIANTS, ids=IDS)
def test_variant_names_what_exists(case, variant):
    """Ancestors, guards and the metric that sees a variant are in the catalogue; fixed variants are guarded."""
    names = [other.name for other in case.variants]
    metrics = [metric.name for metric in case.metrics]
    assert variant.of is None or variant.of in names
    assert set(variant.guards) <= set(metrics)
    assert set(variant.guards.values()) <= set(names)
    assert variant.seen_by in [*metrics, "contract", "none"]
    assert (variant.role == "fixed") == bool(variant.guards)
    assert len(variant.guards) <= 2


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_claims_read_existing_variants_and_name_a_source(case):
    """A claim can be traced: its variants exist, its name is its own, its source is given."""
    names = [claim.name for claim in case.claims]
    assert sorted(set(names)) == sorted(names)
    for claim in case.claims:
        assert claim.source
        assert set(claim.variants) <= {variant.name for variant in case.variants}


@pytest.mark.parametrize("kind", [AllOf, Baseline, Case, Check, Claim, Failure, Finding, Metric, Run, Variant, Verdict])
def test_what_is_declared_is_named(kind):
    """A sentence cannot end up in the place of a name: only the name of a metric may come first and unnamed."""
    parameters = [p for p in inspect.signature(kind).parameters.values() if (kind, p.name) != (Metric, "name")]
    assert {inspect.Parameter.KEYWORD_ONLY} == {parameter.kind for parameter in parameters}
