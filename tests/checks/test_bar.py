"""Success bars that need no skill."""

from __future__ import annotations

from goldmark.checks import check_low_bar

BASELINES = {"mean": {"rmse": 10.0, "f1": 0.0}, "every_bar": {"rmse": 12.0, "f1": 0.1345}}


def test_a_bar_that_a_baseline_passes_is_named():
    """The record's F1 above .1 lets marking every bar pass, and an error below 11 the mean."""
    assert "trivial baseline, every_bar:" in check_low_bar(lambda metrics: metrics["f1"] > 0.1, BASELINES).advice
    finding = check_low_bar(lambda metrics: metrics["rmse"] < 11, BASELINES)
    assert finding.trouble
    assert {"baselines": 2, "passing": 1} == dict(finding.numbers)
    assert "trivial baseline, mean:" in finding.advice


def test_a_bar_above_all_baselines_is_no_trouble():
    """Whichever way is better, and for both at once."""
    assert not check_low_bar(lambda metrics: metrics["f1"] > 0.2, BASELINES).trouble
    assert not check_low_bar(lambda metrics: metrics["rmse"] < 9 and metrics["f1"] > 0, BASELINES).trouble
