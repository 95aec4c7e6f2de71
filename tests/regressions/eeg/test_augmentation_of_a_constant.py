"""Test-time augmentation was judged on a model that had collapsed: it could not have helped, whatever it did.

The predictions of a constant move by micrometres of a second, so that its error with and without augmentation is equal
to six digits. That is said of the model, not of augmentation.
"""

from __future__ import annotations

import pytest

from goldmark.claims import finding_in_every_seed, finding_in_no_seed, metric_values


@pytest.mark.parametrize("variant", ["volts", "volts_mixup"])
def test_augmentation_says_nothing_of_a_collapsed_model(runs_of, variant):
    """Every run on windows in volts, mixup or not (the control), is told apart from one function called twice."""
    runs = runs_of("eeg", [variant])
    verdict = finding_in_every_seed(variant, "unmoved_by_augmentation")(runs)
    assert verdict, f"test-time augmentation is judged on a collapsed model, and nobody notices: {verdict}"
    for run in runs[variant]:
        (finding,) = (each for each in run.findings if each.name == "unmoved_by_augmentation")
        assert 0 < finding.numbers["moved"]
        assert "it has collapsed" in finding.advice, f"a constant is taken for one function called twice: {finding}"


@pytest.mark.parametrize("variant", ["mixup", "no_mixup", "scaled_noise"])
def test_augmentation_can_be_judged_on_a_model_that_learns(runs_of, variant):
    """The same check on the same windows as z-scores, with mixup and without."""
    verdict = finding_in_no_seed(variant, "unmoved_by_augmentation")(runs_of("eeg", [variant]))
    assert verdict, f"test-time augmentation is judged on a collapsed model: {verdict}"


def test_predictions_tell_by_three_orders_of_magnitude(runs_of):
    """The least that a healthy model moves beside the most that a constant does, in s."""
    runs = runs_of("eeg", ["mixup", "volts"])
    moved = {name: metric_values(runs, name, "tta_change_s").values() for name in runs}
    assert min(moved["mixup"]) > 1000 * max(moved["volts"]), "the augmented predictions of a constant move"
