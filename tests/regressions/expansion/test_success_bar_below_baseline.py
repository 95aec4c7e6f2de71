"""Success was to be an F1 above 0, later above .10: marking every bar scores .1345."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.full import FULL
from goldmark.cases.expansion.scores import baselines
from goldmark.checks import check_low_bar
from goldmark.claims import mean

# The successes that the case claims, and the variant that each is claimed of.
BARS = {
    "normalized_beats_every_bar": (CASE, "normalized_countdown"),
    "strong_cue_is_found_in_bars": (FULL, "clipped_countdown"),
}


def every_bar(data):
    """F1 of marking every bar, by its definition: 2 p / (1 + p), p the share of a window's bars in the span."""
    p = data["val_span"].double().mean(dim=1)
    return float((2 * p / (1 + p)).mean())


@pytest.fixture(scope="module")
def trivial(runs_of):
    """`trivial(variant, metrics)`: runs of that name, of five seeds, which scored these metrics."""
    run = runs_of("expansion", ["normalized_countdown"])["normalized_countdown"][0]
    f1 = every_bar(CASE.make_data(CASE.settings, run.seed))

    def trivial(variant, metrics):
        return {variant: [replace(run, seed=seed, metrics=run.metrics | metrics) for seed in range(5)]}

    return trivial, {"predict_every_bar": {"span_f1": f1}, "predict_nothing": {"span_f1": 0.0}}


@pytest.mark.parametrize("name", BARS)
def test_no_trivial_predictor_passes_for_a_success(trivial, name):
    """The right form: what the case calls a success leaves marking every bar behind by a margin."""
    runs, predictors = trivial
    case, variant = BARS[name]
    finding = check_low_bar(lambda metrics: bool(case.claim(name).verdict(runs(variant, metrics))), predictors)
    assert not finding.trouble, f"claim '{name}': {finding.advice}"


@pytest.mark.parametrize("name", BARS)
def test_a_success_is_within_reach(trivial, name):
    """A bar that nothing passes would be no better: an F1 of .8 does."""
    runs, _ = trivial
    case, variant = BARS[name]
    assert case.claim(name).verdict(runs(variant, {"span_f1": 0.8}))


@pytest.mark.parametrize("bar", [0.0, 0.1])
def test_bars_of_the_record_let_every_bar_pass(trivial, bar):
    """The broken forms."""
    runs, predictors = trivial
    check = mean("normalized_countdown", "span_f1", ">", bar)
    finding = check_low_bar(lambda metrics: bool(check(runs("normalized_countdown", metrics))), predictors)
    assert finding.trouble
    assert "predict_every_bar" in finding.advice


def test_the_record_s_bar_of_separation_is_no_low_bar(trivial):
    """The control: a separation above .05 asks for what marking every bar has not."""
    runs, _ = trivial
    check = mean("normalized_countdown", "separation", ">", 0.05)
    finding = check_low_bar(
        lambda metrics: bool(check(runs("normalized_countdown", metrics))), {"predict_every_bar": {"separation": 0.0}}
    )
    assert not finding.trouble


@pytest.mark.parametrize("share", [0.0709, 0.25])
def test_the_baseline_is_that_of_marking_every_bar(share):
    """What every F1 is shown beside, at the record's share of bars in a span and at another."""
    span = (torch.arange(10_000) < 10_000 * share).double().reshape(1, -1).expand(3, -1)
    (baseline,) = baselines({"val_span": span})
    expected = every_bar({"val_span": span})
    assert pytest.approx(expected, rel=1e-12) == baseline.metrics["span_f1"], (
        "the trivial baseline that success bars stand on is not that of marking every bar"
    )
