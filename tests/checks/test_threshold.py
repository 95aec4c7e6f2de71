"""Thresholds: F1 at one, the best of all, and where one half hides what scores tell."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldmark.checks import best_threshold, check_misplaced_threshold, f1_above


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=12))
def test_best_threshold_is_the_best_of_all_scores(pairs):
    """Tried one by one, with ties: no score as threshold has a higher F1, and the one returned has that F1."""
    scores = torch.tensor([score / 6 for score, _ in pairs])
    labels = torch.tensor([float(label) for _, label in pairs])
    labels[0] = 1.0
    best = best_threshold(scores, labels)
    tried = {float(score): f1_above(scores, labels, float(score)) for score in scores}
    assert pytest.approx(max(tried.values()), rel=1e-6) == best.f1  # F1 of float32 counts
    assert pytest.approx(best.f1, rel=1e-6) == tried[best.threshold]


def test_f1_counts_hits_misses_and_false_alarms():
    """Two of three found with one false alarm: 4 / 6; nothing called gives 0."""
    scores, labels = torch.tensor([0.9, 0.8, 0.1, 0.7, 0.2]), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    assert pytest.approx(4 / 6) == f1_above(scores, labels, 0.5)
    assert f1_above(scores, labels, 0.95) == 0.0


def test_calibrated_probabilities_of_rare_bars_need_another_threshold():
    """Ranked perfectly but below 1/2: F1 is 0 there and 1 at the best; halfway up is no trouble."""
    labels = (torch.arange(100) < 7).double()
    scores = 0.1 + 0.3 * labels
    finding = check_misplaced_threshold(scores, labels)
    assert finding.trouble
    assert {"f1": 0.0, "best_f1": 1.0, "best_threshold": pytest.approx(0.4)} == dict(finding.numbers)
    assert not check_misplaced_threshold(scores, labels, at=0.25).trouble
    assert not check_misplaced_threshold(scores + 0.2, labels).trouble


def test_labels_without_a_positive_are_refused():
    """There is no F1 to be had."""
    with pytest.raises(ValueError, match="none of the 4 labels is 1"):
        best_threshold(torch.rand(4), torch.zeros(4))
