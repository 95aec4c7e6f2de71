"""Every golden of the repository, tried on numbers alone: it must tell its bug, and nothing may slip past."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldmark.cases import CASES, case_at
from goldmark.golden._ask.status import doubts, gating_metrics
from goldmark.golden._compare.rounding import repeats
from goldmark.golden._files.folder import find_golden, golden_names

FOLDER = Path(__file__).parents[2] / "golden"
NAMES = golden_names(FOLDER)
VARIANTS = [name for name in NAMES if name.partition("/")[0] in CASES]
OTHERS = sorted(set(NAMES) - set(VARIANTS))


def test_every_variant_of_the_catalogue_has_a_golden():
    """None is missing, none is left over."""
    assert sorted(f"{case.name}/{variant.name}" for case in CASES.values() for variant in case.variants) == VARIANTS
    assert sorted(f"parameters/{name}" for name in CASES) == [name for name in OTHERS if not name.startswith("tests/")]


GATES = {  # of every kind that a case has: scores, free running, ranking, shares, ranks
    "roast/normalized": {"skill_vs_mean", "val_loss_reduction", "generation_mae_f"},
    "eeg/mixup": {"val_mse"},
    "expansion/normalized_countdown": {"span_f1", "separation", "auc", "countdown_share_gradient"},
    "poetry/wide": {"token_cosine", "r2", "decoder_rank", "code_rank"},
}


def test_fixed_variants_gate_on_every_kind_of_metric():
    """What fails beyond its margin is chosen on purpose, and the other variants are shown."""
    gates = {name: {metric.metric for metric in gating_metrics(find_golden(FOLDER, name))} for name in VARIANTS}
    assert GATES == {name: metrics for name, metrics in gates.items() if metrics}


def test_no_golden_is_in_doubt():
    """Each file is whole, sees what it must, states what its values give, and says where it came from.

    Of the comparator's self-test: identical values pass; guard, shift, frozen model, NaN, dropped and added keys fail.
    """
    assert [] == doubts(FOLDER)


@pytest.mark.parametrize("name", VARIANTS)
def test_golden_has_the_guards_and_gates_of_the_code(name):
    """A guard that is written in the code alone would guard nothing, and a gate would gate nothing."""
    case, _, variant = name.partition("/")
    guards = {metric.metric: metric.guard for metric in gating_metrics(find_golden(FOLDER, name)) if metric.guard}
    assert CASES[case].variant(variant).guards == guards
    gating = {metric.metric for metric in gating_metrics(find_golden(FOLDER, name))}
    assert set(CASES[case].variant(variant).gating) == gating


@pytest.mark.parametrize("name", VARIANTS)
def test_golden_says_where_it_came_from(name):
    """Without provenance nothing would have to repeat, and without a stream no seeds would be paired."""
    golden = find_golden(FOLDER, name)
    case, _, variant = name.partition("/")
    assert golden.provenance
    assert {str(seed) for seed in CASES[case].seeds_of(variant)} == set(golden.stream)


@pytest.mark.parametrize("name", NAMES)
def test_guard_values_are_those_of_the_guards_own_golden(name):
    """The bug that a golden is held against is the approved result of the broken variant, but for rounding."""
    golden = find_golden(FOLDER, name)
    for metric, entry in golden.statistical.items():
        if entry.guard:
            guard = find_golden(FOLDER, f"{name.partition('/')[0]}/{entry.guard}")
            values = guard.statistical[metric].values
            assert set(values) == set(entry.guard_values)
            assert all(repeats(values[seed], value) for seed, value in entry.guard_values.items())


@pytest.mark.parametrize("name", NAMES)
def test_guard_is_far_enough_to_be_seen(name):
    """A guarded metric's bug is at least one and a half detectable effects away."""
    golden = find_golden(FOLDER, name)
    assert golden is not None
    assert [] == [metric for metric in gating_metrics(golden) if metric.guard and not metric.effects_away >= 1.5]


MATRIX = FOLDER.parent / "golden-matrix"
STILL_TO_COME = {  # of recorded matrices: time on a GPU ended before their runs
    "poetry": {"attention_hybrid", "attention_forced", "attention_forced_per_batch", "attention_forced_leak"}
}


def test_goldens_of_full_matrices_are_in_no_doubt():
    """Each file is whole, sees what it must and states what its values give."""
    assert [] == doubts(MATRIX)


@pytest.mark.parametrize("case_name", sorted({name.partition("/")[0] for name in golden_names(MATRIX)}))
def test_every_variant_of_a_recorded_matrix_has_a_golden_with_the_guards_of_the_code(case_name):
    """All but what is still to come is recorded, on a GPU, and what is guarded there is guarded in the code."""
    variants, missing = case_at(case_name, "full").variants, STILL_TO_COME.get(case_name, set())
    assert missing <= {variant.name for variant in variants}
    guards = {variant.name: variant.guards for variant in variants if variant.name not in missing}
    names = [name for name in golden_names(MATRIX) if name.startswith(f"{case_name}/")]
    goldens = {name.partition("/")[2].removesuffix("@cuda"): find_golden(MATRIX, name) for name in names}
    recorded = {name: gating_metrics(golden) for name, golden in goldens.items()}
    assert guards == {name: {m.metric: m.guard for m in metrics if m.guard} for name, metrics in recorded.items()}
