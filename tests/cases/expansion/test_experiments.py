"""The expansion case at fast scale: what each variant changes, how often it trains, what its claims stand on."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from goldmark.cases.expansion import CASE, ExpansionSettings

CHANGES = {
    "clipped_countdown": ("normalized_countdown", {"countdown_scale": "bars"}),
    "plain_sum": ("clipped_countdown", {"weighting": "sum"}),
    "no_countdown": ("clipped_countdown", {"terms": "no_countdown"}),
    "span_only": ("clipped_countdown", {"terms": "span"}),
    "pos_weight": ("clipped_countdown", {"pos_weight": "balanced"}),
    "delta_10": ("clipped_countdown", {"countdown_delta": 10.0}),
    "weak_clipped": (
        "clipped_countdown",
        {
            "cue": 0.35,
            "bars": 105,
            "span_min": 3,
            "span_max": 11,
            "bidirectional": True,
            "bottleneck": 0,
            "input_dropout": 0.3,
            "lr": 3e-3,
            "steps": 100,
        },
    ),
    "weak_no_countdown": ("weak_clipped", {"terms": "no_countdown"}),
    "weak_pos_weight": ("weak_clipped", {"pos_weight": "balanced"}),
}
DOCUMENTED = {
    "clipped_misses_the_span": 0.0,
    "countdown_is_most_of_the_loss": 0.912,
    "weights_had_no_time": 0.7195,
    "delta_10_multiplies_the_loss": pytest.approx(7.33, abs=0.005),  # 115.1 / 15.7, both to one decimal
    "weak_cue_needs_more_than_scale": 0.0,
    "class_weight_shifts_the_threshold": 0.187,
}

MEASURES = {
    "clipped_misses_the_span": [
        "span_f1 of 'clipped_countdown' - predict_every_bar, mean",
        "span_f1 of 'clipped_countdown', mean",
    ],
    "countdown_is_most_of_the_loss": [
        "countdown_share_raw of 'clipped_countdown', every seed",
    ],
    "weights_had_no_time": [
        "countdown_share_effective of 'clipped_countdown' - 'plain_sum', mean",
        "countdown_share_effective of 'clipped_countdown', every seed",
    ],
    "plain_sum_misses_the_span": [
        "span_f1 of 'plain_sum' - predict_every_bar, mean",
    ],
    "countdown_takes_the_trunk": [
        "countdown_share_gradient of 'clipped_countdown', mean",
        "countdown_share_gradient of 'normalized_countdown', mean",
        "countdown_share_gradient of 'clipped_countdown' - 'normalized_countdown', mean",
    ],
    "countdown_out_of_reach": [
        "trouble by target_scale in 'clipped_countdown', every seed",
        "trouble by target_scale in 'normalized_countdown', no seed",
    ],
    "normalizing_is_the_fix": [
        "span_f1 of 'normalized_countdown' - 'clipped_countdown', mean",
    ],
    "normalized_beats_every_bar": [
        "span_f1 of 'normalized_countdown' - predict_every_bar, mean",
    ],
    "dropping_the_countdown_works": [
        "span_f1 of 'no_countdown' - 'clipped_countdown', mean",
    ],
    "span_alone_works": [
        "span_f1 of 'span_only' - 'clipped_countdown', mean",
    ],
    "raw_share_misleads": [
        "countdown_share_raw of 'pos_weight', every seed",
        "span_f1 of 'pos_weight' - predict_every_bar, mean",
        "span_f1 of 'pos_weight' - 'clipped_countdown', mean",
    ],
    "delta_10_fails": [
        "span_f1 of 'delta_10' - predict_every_bar, mean",
        "span_f1 of 'delta_10' - 'clipped_countdown', mean",
    ],
    "delta_10_multiplies_the_loss": [
        "countdown_loss_at_zero of 'delta_10' / 'clipped_countdown', every seed",
    ],
    "weak_cue_needs_more_than_scale": [
        "span_f1 of 'weak_clipped', mean",
        "span_f1 of 'weak_no_countdown', mean",
    ],
    "class_weight_shifts_the_threshold": [
        "span_f1 of 'weak_pos_weight' - predict_every_bar, mean",
        "auc of 'weak_pos_weight', mean",
        "auc of 'weak_pos_weight' - 'weak_no_countdown', mean",
        "span_f1 of 'weak_pos_weight' - 'weak_clipped', mean",
    ],
}


@pytest.mark.parametrize("name", CHANGES)
def test_variant_changes_what_its_sentence_says_and_nothing_else(name):
    """The settings of a variant and of the one it departs from differ in the named fields alone."""
    of, expected = CHANGES[name]
    ours, theirs = asdict(CASE.settings_of(name)), asdict(CASE.settings_of(of))
    assert expected == {field: ours[field] for field in ours if ours[field] != theirs[field]}
    assert (of, expected) == (CASE.variant(name).of, dict(CASE.variant(name).changes))


def test_the_fixed_recipe_scales_the_countdown_and_keeps_everything_else():
    """All four terms under uncertainty weights, countdown in [0, 1], delta 1, no class weight."""
    settings = CASE.settings_of("normalized_countdown")
    assert ExpansionSettings() == settings
    assert ("unit", 1.0) == (settings.countdown_scale, settings.countdown_delta)
    assert ("uncertainty", "all", "one") == (settings.weighting, settings.terms, settings.pos_weight)
    assert (1e-2, 1e-3) == (settings.lr, settings.sigma_lr)


@pytest.mark.parametrize("name", ["normalized_countdown", *CHANGES])
def test_variant_trains_with_its_seeds(name):
    """Sixteen seeds of every variant with the strong cue, five with the weak one."""
    assert range(5 if name.startswith("weak") else 16) == CASE.seeds_of(name)


def test_roles_are_those_of_the_story():
    """One fix, two ways of getting it wrong, three options that work, and controls that do not."""
    roles = {variant.name: variant.role for variant in CASE.variants}
    assert roles == {
        "normalized_countdown": "fixed",
        "clipped_countdown": "broken",
        "plain_sum": "broken",
        "no_countdown": "option",
        "span_only": "option",
        "pos_weight": "option",
        "delta_10": "control",
        "weak_clipped": "control",
        "weak_no_countdown": "control",
        "weak_pos_weight": "control",
    }


@pytest.mark.parametrize("claim", CASE.claims, ids=lambda claim: claim.name)
def test_claim_shows_the_number_of_the_record_or_none(claim):
    """What is shown beside a claim is the record's number, and only where the record has one."""
    assert DOCUMENTED.get(claim.name) == claim.documented


@pytest.mark.parametrize("claim", CASE.claims, ids=lambda claim: claim.name)
def test_means_are_judged_on_five_seeds_or_more(claim):
    """Single seeds die: a claim with a mean in it is not judged on four seeds."""
    has_mean = any(part.statistic is not None for part in claim.check.parts)
    assert (5 if has_mean else 1) == claim.fewest_seeds


@pytest.mark.parametrize("claim", CASE.claims, ids=lambda claim: claim.name)
def test_claim_measures_what_its_sentence_speaks_of(claim):
    """Metric, variants and statistic of every part, in words: another metric can pass the same limit by chance."""
    assert MEASURES[claim.name] == [part.says for part in claim.check.parts]
