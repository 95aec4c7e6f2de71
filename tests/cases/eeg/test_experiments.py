"""The experiments of the EEG case at fast scale: what each variant changes, and what its claims read."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.experiments import CLAIMS, VARIANTS

CHANGES = {
    "no_mixup": ("mixup", {"mixup_fraction": 0.0}),
    "mixup_documented": ("mixup", {"mixup_alpha": 0.2, "mixup_fraction": 0.5}),
    "inputs_only_mixup": ("mixup", {"mix_targets": False}),
    "scaled_noise": ("no_mixup", {"noise_sd": 0.01}),
    "volts": ("scaled_noise", {"input_scale": "volts"}),
    "volts_mixup": ("volts", {"mixup_fraction": 1.0}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_variant_changes_what_its_sentence_says_and_nothing_else(name):
    """The settings of a variant and of the one it departs from differ in the named fields alone."""
    of, expected = CHANGES[name]
    ours, theirs = asdict(CASE.settings_of(name)), asdict(CASE.settings_of(of))
    assert expected == {field: ours[field] for field in ours if ours[field] != theirs[field]}
    assert (of, expected) == (CASE.variant(name).of, dict(CASE.variant(name).changes))


def test_the_fixed_recipe_is_mixup_with_alpha_1_in_every_batch():
    """The defaults are F2: 32 windows in one batch, 40 steps, learning rate 0.003; 33 seeds, 8 for all but the pair."""
    settings = CASE.settings_of("mixup")
    assert EegSettings() == settings
    assert (1.0, 1.0, True) == (settings.mixup_fraction, settings.mixup_alpha, settings.mix_targets)
    assert (32, 32, 40, 3e-3, None) == (settings.n_train, settings.batch, settings.steps, settings.lr, settings.lr_min)


def test_the_pair_trains_with_33_seeds_and_the_rest_with_8():
    """The seeds of the paired test are fixed in advance; the same for both sides of a ratio."""
    assert {variant.name for variant in VARIANTS} == {"mixup", *CHANGES}
    for variant in VARIANTS:
        assert range(33 if variant.name in ("mixup", "no_mixup") else 8) == CASE.seeds_of(variant.name), variant.name


def test_variants_are_seen_by_metrics_that_exist():
    """A broken variant and a control are seen by a metric or the contract; the fixed one guards its metric."""
    metrics = {metric.name for metric in CASE.metrics}
    seen_by = {variant.name: variant.seen_by for variant in VARIANTS if variant.role in ("broken", "control")}
    assert "contract" == seen_by.pop("inputs_only_mixup")
    assert set() == set(seen_by.values()) - metrics
    assert {"val_mse": "no_mixup"} == dict(CASE.variant("mixup").guards)


def test_claims_read_variants_and_findings_of_the_case(runs_of):
    """Every part can be measured on the runs of its own variants, whatever comes of it."""
    runs = runs_of("eeg")
    for claim in CLAIMS:
        for part in claim.check.parts:
            shared = set.intersection(*({run.seed for run in runs[name]} for name in part.variants))
            assert shared == set(part.measure({name: runs[name] for name in part.variants})), part.says


def test_the_factor_two_is_the_ratio_that_the_record_read(runs_of):
    """The MSE of a collapsed run over what the training mean scores in SmoothL1, by seed, computed here by hand."""
    check = CASE.claim("factor_two_is_a_unit").check
    for run in runs_of("eeg", ["volts"])["volts"]:
        data = CASE.make_data(CASE.settings_of("volts"), run.seed)
        error_s = data["val_response_s"].numpy() - float(data["train_response_s"].mean())
        smooth_l1 = np.where(np.abs(error_s) < 1, error_s**2 / 2, np.abs(error_s) - 0.5).mean()
        assert pytest.approx(run.metrics["val_mse"] / smooth_l1, rel=1e-9) == check.measure({"volts": [run]})[run.seed]
