"""The record's evaluations: the bar of success, separation, thresholds and ranking, each beside no skill."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.evaluations import (
    BarIndex,
    best_threshold,
    ranking,
    separation,
    success_bar,
    threshold_from_training,
)
from goldmark.cases.expansion.scores import score, span_f1
from goldmark.cases.expansion.terms import TermScales, term_losses

FLOAT64 = 1e-12  # sums of thousands of numbers of order 1


@pytest.fixture
def scored(small):
    """`scored(skill)`: probabilities and labels of 40 windows; the more skill, the higher those of bars in a span."""

    def scored(skill, seed=0):
        span = CASE.make_data(small(n_train=40), seed)["train_span"]
        noise = torch.rand(span.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return 0.1 * noise + skill * span, span

    return scored


def test_untrained_model_misses_a_bar_that_is_met_without_skill(small, fresh):
    """A loss that falls by a fifth and an F1 above .10 take no look at the bars; separation does."""
    settings = small(countdown_scale="bars", n_train=60, n_val=40)
    data, model = fresh(settings)
    bar = CASE.evaluations(model, data, settings)["success_bar"]
    # the model is itself the fresh one of seed 0
    assert (0.0, "missed", "missed") == (bar["loss_falls"], bar["loss_bar"], bar["decision"])
    without = {name: bar[f"{name}_bar_without_skill"] for name in ("loss", "separation")}
    assert {"loss": "met", "separation": "missed"} == without
    assert ("met", "met") == (bar["f1_bar_first_without_skill"], bar["f1_bar_later_without_skill"])
    span = data["val_span"]
    assert pytest.approx(span_f1(torch.ones_like(span), span), rel=FLOAT64) == bar["span_f1_without_skill"]


def summed_loss(model, data):
    """All four terms of the validation loss, added."""
    with torch.no_grad():
        return sum(float(loss) for loss in term_losses(model, data, "val")[0].values())


def test_model_that_finds_the_span_meets_the_bar(small, planted, fresh):
    """Sure marks on the span alone have all of it; sure marks on every bar an F1 above .10, and no separation."""
    settings = small()
    model, data, outputs = planted(settings)
    labels = torch.cat([data["train_span"], data["val_span"]])
    _, untrained = fresh(settings, dtype=torch.float64)
    model.outputs = outputs._replace(span=20 * labels - 10)
    bar = success_bar(model, untrained, data, settings)
    assert (1.0, "met") == (bar["span_f1"], bar["f1_bar_later"])
    assert bar["separation"] > 0.99
    assert pytest.approx(1 - summed_loss(model, data) / summed_loss(untrained, data), rel=FLOAT64) == bar["loss_falls"]
    model.outputs = outputs._replace(span=torch.full_like(labels, 10.0))
    bar = success_bar(model, untrained, data, settings)
    assert ("met", "missed", "missed") == (bar["f1_bar_later"], bar["separation_bar"], bar["decision"])


@pytest.mark.parametrize(
    ("marked", "start", "decision"),
    [("span", 40.0, "skill"), ("most bars", 40.0, "bar only"), ("span", None, "missed")],
)
def test_decision_on_the_bar(small, fresh, planted, marked, start, decision):
    """All parts met and F1 well above marking every bar; all met and F1 not above; a loss that has not fallen."""
    settings = small(terms="span")
    model, data, outputs = planted(settings)
    labels = torch.cat([data["train_span"], data["val_span"]])
    most = torch.maximum(labels, (torch.arange(40) < 36).double())
    model.outputs = outputs._replace(span=20 * (labels if marked == "span" else most) - 10)
    _, untrained = fresh(settings, dtype=torch.float64)
    if start is None:
        untrained = model
    else:
        torch.nn.init.constant_(untrained.span.bias, start)  # so sure that each loss falls
    assert decision == success_bar(model, untrained, data, settings)["decision"]


def test_bar_index_answers_from_the_training_labels_alone(small):
    """The same for any features: shares of kinds, medians of pointers and of the countdown of a bar, share of spans."""
    settings = small(countdown_scale="unit", pos_weight="balanced")
    data = CASE.make_data(settings, 0)
    answers = BarIndex(data, TermScales(settings, data["train_span"]).double())(data["val_features"])
    assert (6, 40) == tuple(answers.countdown.shape)
    counts = np.bincount(data["train_kind"], minlength=3) + 1
    np.testing.assert_allclose(answers.kind[3].exp(), counts / counts.sum(), rtol=FLOAT64)
    ordered = data["train_countdown"].sort(dim=0).values[5]  # the lower of the two in the middle of 12
    np.testing.assert_allclose(answers.countdown[0] * 40 - 20, ordered, rtol=0, atol=1e-12)  # scaled and back
    # balanced, a bar counts the same in a span and outside: half of each
    np.testing.assert_allclose(answers.span.sigmoid(), 0.5, rtol=1e-6)  # the weight is rounded to float32


def test_separation_is_that_of_both_kinds_of_bars(scored):
    """Mean, std, min, max and median by numpy; .05 apart or not."""
    for skill, decision in ((0.2, "apart"), (0.0, "not apart")):
        probability, span = scored(skill)
        section = separation(probability, span)
        for name, label in (("in_span", 1), ("out_span", 0)):
            chosen = probability.numpy()[span.numpy() == label]
            for word, number in (
                ("mean", chosen.mean()),
                ("std", chosen.std(ddof=1)),
                ("min", chosen.min()),
                ("max", chosen.max()),
            ):
                assert pytest.approx(number, rel=FLOAT64) == section[f"{name}_{word}"]
            assert np.sort(chosen)[(len(chosen) - 1) // 2] == section[f"{name}_median"]
        assert pytest.approx(section["in_span_mean"] - section["out_span_mean"], rel=FLOAT64) == section["separation"]
        assert decision == section["decision"]


def test_best_threshold_is_no_worse_than_any_other(scored):
    """Against a hundred thresholds of a grid, and never worse than marking every bar, with skill and without."""
    for skill in (0.0, 0.03, 0.2):
        probability, span = scored(skill)
        best = span_f1(probability > best_threshold(probability, span), span)
        assert best >= span_f1(torch.ones_like(span), span)
        # quantiles lie half a percent of the bars apart, a tenth of a span
        assert best >= max(span_f1(probability > limit / 400, span) for limit in range(100)) - 0.02


def test_threshold_of_training_is_judged_on_validation(scored):
    """Probabilities far below .5: marks at .5 find nothing, the threshold of the other half finds what is there."""
    (train, span), (val, val_span) = scored(0.1), scored(0.1, seed=1)
    section = threshold_from_training(train, span, val, val_span)
    assert 0.09 < section["threshold"] < 0.11
    assert (0.0, "skill") == (section["val_f1_at_half"], section["decision"])
    assert span_f1(val > section["threshold"], val_span) == section["val_f1"] > 0.9
    (train, span), (val, val_span) = scored(0.0), scored(0.0, seed=1)
    section = threshold_from_training(train, span, val, val_span)
    assert "threshold only" == section["decision"]
    assert pytest.approx(section["val_f1_every_bar"], abs=0.05) == section["val_f1"]
    assert "no use" == threshold_from_training(train, span, val * 0 - 1, val_span)["decision"]


def test_ranking_stands_beside_no_skill(scored):
    """Half and the share of bars in a span, for probabilities that know nothing, within four standard errors."""
    probability, span = scored(0.0)
    section = ranking(probability, span)
    assert (0.5, float(span.mean())) == (section["auc_every_bar"], section["average_precision_every_bar"])
    inside = float(span.sum())
    assert pytest.approx(0.5, abs=4 * (1 / 12 / inside) ** 0.5) == section["auc"]
    assert ranking(*scored(0.2)) | {"auc": 1.0, "average_precision": 1.0} == ranking(*scored(0.2))


def test_evaluations_agree_with_the_metrics(small, planted):
    """One way to each number: F1, separation, AUC and precision are those that a run reports."""
    settings = small()
    model, data, _ = planted(settings)
    sections = CASE.evaluations(model, data, settings)
    with torch.no_grad():
        metrics = score(model, data, settings)
    assert ["success_bar", "separation", "threshold", "ranking"] == list(sections)
    assert metrics["span_f1"] == sections["success_bar"]["span_f1"] == sections["threshold"]["val_f1_at_half"]
    assert metrics["separation"] == pytest.approx(sections["separation"]["separation"], rel=FLOAT64)
    assert (metrics["auc"], metrics["average_precision"]) == (
        sections["ranking"]["auc"],
        sections["ranking"]["average_precision"],
    )
