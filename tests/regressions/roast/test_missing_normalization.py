"""RoastFormer predicted a constant: its targets were degrees Fahrenheit.

The record tried five recovery experiments before it normalized inputs and targets. These tests tell the story on
five seeds of synthetic profiles: what broken looks like, what the fix does, and what only looks like a fix.
"""

from __future__ import annotations

import pytest

RECOVERY = [f"recovery_{name}" for name in ("tiny", "micro", "low_lr", "high_dropout", "combined")]


def test_raw_targets_end_as_a_constant(verdict_of):
    """The signature: a flat answer, worse than the mean, on a loss that hardly falls."""
    assert verdict_of("roast", "raw_targets_collapse")
    assert verdict_of("roast", "raw_loss_hardly_falls")
    assert verdict_of("roast", "collapse_is_a_flat_curve")


def test_the_trouble_shows_before_the_first_step(verdict_of):
    """The cause: raw targets are out of a fresh model's reach, and raw inputs are not to blame."""
    assert verdict_of("roast", "targets_out_of_reach")
    assert verdict_of("roast", "only_targets_matter")


def test_normalizing_is_the_fix(verdict_of):
    """The fix: normalized temperatures beat the mean that raw ones miss by far; so do z-scores."""
    assert verdict_of("roast", "normalized_beats_mean")
    assert verdict_of("roast", "normalizing_is_the_fix")
    assert verdict_of("roast", "zscore_beats_mean")


def test_the_output_moves_by_lr_times_width_a_step(verdict_of):
    """The mechanism: raw targets or raw temperatures, the output travels equally far a step, whatever the error."""
    assert verdict_of("roast", "output_travels_lr_times_width")


def test_only_z_scores_beat_naive_predictors(verdict_of):
    """The fix as documented stays behind the mean curve; z-scores beat it, and persistence too."""
    assert verdict_of("roast", "normalized_misses_the_mean_curve")
    assert verdict_of("roast", "zscore_beats_naive_predictors")


@pytest.mark.parametrize("name", RECOVERY)
def test_recovery_experiment_fails(verdict_of, name):
    """A control: a smaller model, a lower rate or more dropout leaves the constant where it was."""
    assert verdict_of("roast", f"{name}_fails")


def test_starting_at_the_mean_learns_nothing(verdict_of):
    """A control: the output bias takes the error of the constant away, and the constant stays."""
    assert verdict_of("roast", "bias_init_learns_nothing")


def test_predicting_raw_changes_copies_the_input(verdict_of):
    """A control: an excellent teacher-forced score comes from persistence; free running gives it away."""
    assert verdict_of("roast", "residual_copies_its_input")


@pytest.mark.parametrize("broken", ["raw_fahrenheit", "raw_targets", "raw_bias_init", *RECOVERY])
@pytest.mark.parametrize("claim", ["normalized_beats_mean", "targets_out_of_reach"])
def test_claims_of_the_fix_fail_on_the_broken_variant(verdict_of, claim, broken):
    """Self-proof: the same claims, given the broken runs in the place of the fixed ones, fail."""
    assert verdict_of("roast", claim, relabel={"normalized": broken}).ok is False


@pytest.mark.parametrize("other", ["normalized", "zscore", "raw_bias_init"])
def test_mechanism_is_that_of_a_target_out_of_reach(verdict_of, other):
    """Self-proof: where the targets are near, or the bias starts there, the output does not travel on and on."""
    assert verdict_of("roast", "output_travels_lr_times_width", relabel={"raw_targets": other}).ok is False


def test_claims_of_the_bug_fail_on_the_fixed_variant(verdict_of):
    """Self-proof: the same signature, looked for in normalized runs, is not there."""
    for claim in ("raw_targets_collapse", "raw_loss_hardly_falls", "collapse_is_a_flat_curve"):
        assert verdict_of("roast", claim, relabel={"raw_fahrenheit": "normalized"}).ok is False
