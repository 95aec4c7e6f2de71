"""The expansion case's scores, shares and findings, each against a second implementation or a closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.data import generate
from goldmark.cases.expansion.model import TRUNK
from goldmark.cases.expansion.scores import (
    auc,
    average_precision,
    baselines,
    close,
    examine,
    finish,
    gradient_share,
    hits_per,
    marks,
    score,
    span_f1,
)
from goldmark.cases.expansion.terms import TERMS, term_losses, total_loss, weighted
from goldmark.runs import Job
from goldmark.training._single import train_single

FLOAT32 = 1e-5  # a few roundings of float32 are below 1e-6 each
FLOAT64 = 1e-9  # sums of some hundred numbers in another order


def scores_by_loops(logits, span):
    """F1, precision, recall, separation, AUC and average precision, window by window, pair by pair, in numpy."""
    rows = {"span_f1": [], "span_precision": [], "span_recall": []}
    for row, label in zip(logits, span, strict=True):
        marked = 1 / (1 + np.exp(-row)) > 0.5
        hits, false = (marked & (label == 1)).sum(), (marked & (label == 0)).sum()
        missed = (~marked & (label == 1)).sum()
        rows["span_f1"].append(2 * hits / (2 * hits + false + missed))
        rows["span_precision"].append(hits / (hits + false) if hits + false else 0.0)
        rows["span_recall"].append(hits / (hits + missed))
    flat, label = logits.ravel(), span.ravel() == 1
    inside, outside = (float((1 / (1 + np.exp(-flat[places]))).mean()) for places in (label, ~label))
    return {name: np.mean(values) for name, values in rows.items()} | {
        "in_span": inside,
        "out_span": outside,
        "separation": inside - outside,
        "auc": auc_by_pairs(flat, label),
        "average_precision": average_precision_by_thresholds(flat, label),
    }


def auc_by_pairs(scores, label):
    """The share of pairs of a positive and a negative in which the positive scores higher; a tie is half a pair."""
    above = scores[label][:, None] - scores[~label][None]
    return float((np.sign(above) / 2 + 0.5).mean())


def average_precision_by_thresholds(scores, label):
    """The sum over thresholds, from the highest, of precision there times the recall gained."""
    thresholds = np.unique(scores)[::-1]
    precision = [label[scores >= threshold].mean() for threshold in thresholds]
    recall = [0.0, *((label & (scores >= threshold)).sum() / label.sum() for threshold in thresholds)]
    return float(np.dot(precision, [after - before for before, after in pairwise(recall)]))


# --- marks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bar_is_marked_above_one_half(dtype):
    """A probability of exactly one half is no mark, and one that lies above it by 1e-4 is."""
    logits = torch.tensor([[-25.0, -0.2, -4e-4, 0.0, 4e-4, 0.2, 25.0]], dtype=dtype)
    assert [[False, False, False, False, True, True, True]] == marks(logits).tolist()


@pytest.mark.parametrize("terms", ["all", "span"])
def test_scores_of_outputs_near_the_threshold_are_those_of_plain_loops(small, planted, terms):
    """Every score of the validation half, on probabilities about .5 with some exactly there, and no other half."""
    settings = small(n_val=30, terms=terms)
    model, data, outputs = planted(settings)
    with torch.no_grad():
        metrics = score(model, data, settings)
    expected = scores_by_loops(outputs.span[12:].numpy(), data["val_span"].numpy())
    for name, value in expected.items():
        assert pytest.approx(value, rel=FLOAT64) == metrics[name], name
    assert 0 < metrics["span_precision"] < metrics["span_f1"] < metrics["span_recall"] < 1  # no two can be swapped


def test_span_f1_is_the_mean_over_windows():
    """F1 1, 0 and 2/3: all marked and right, nothing marked, one of two found and none wrong."""
    span = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    marked = torch.tensor([[True, True, False], [False, False, False], [True, False, False]])
    assert pytest.approx((1 + 0 + 2 / 3) / 3, rel=1e-12) == span_f1(marked, span)  # float64


def test_precision_and_recall_are_means_over_windows():
    """Hits per mark 1, 0 (none marked) and 1/2; per label 1, 0 and 1."""
    span = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    marked = torch.tensor([[True, True, False], [False, False, False], [True, True, False]])
    assert pytest.approx(1.5 / 3) == hits_per(marked, marked, span)
    assert pytest.approx(2 / 3) == hits_per(span, marked, span)


def test_auc_and_average_precision_match_their_definitions():
    """Pairs and thresholds counted one by one in numpy, on scores with many ties."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, labels = generator.integers(0, 12, 60), generator.random(60) < 0.3
        tensors = torch.tensor(scores, dtype=torch.float64), torch.tensor(labels).double()
        assert pytest.approx(auc_by_pairs(scores, labels), rel=FLOAT64) == auc(*tensors)
        expected = average_precision_by_thresholds(scores, labels)
        assert pytest.approx(expected, rel=FLOAT64) == average_precision(*tensors)


def test_ranking_scores_of_a_perfect_an_inverted_and_a_constant_ranking():
    """AUC 1, 0 and 1/2; average precision of a constant is the share of positives."""
    labels = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    assert [1.0, 0.0, 0.5] == [auc(scores, labels) for scores in (labels, -labels, torch.zeros(6))]
    assert average_precision(labels, labels) == 1.0
    assert pytest.approx(1 / 3, rel=1e-12) == average_precision(torch.zeros(6), labels)  # float64


def test_marking_every_bar_has_the_closed_form_score(small):
    """F1 is the mean of 2 p / (1 + p) over validation windows; a constant ranks at AUC .5 and precision p."""
    data = generate(small(), 0)
    share = data["val_span"].mean(dim=1).numpy()
    (every_bar,) = baselines(data)
    expected = {
        "span_f1": (2 * share / (1 + share)).mean(),
        "separation": 0.0,
        "auc": 0.5,
        "average_precision": share.mean(),
    }
    assert every_bar.name == "predict_every_bar"
    assert set(expected) == set(every_bar.metrics)
    for name, value in expected.items():
        assert pytest.approx(value, rel=1e-12) == every_bar.metrics[name], name  # float64
    constant = torch.ones_like(data["val_span"])
    assert every_bar.metrics["auc"] == auc(constant, data["val_span"])
    assert every_bar.metrics["span_f1"] == span_f1(constant, data["val_span"])


# --- shares


@pytest.mark.parametrize("weighting", ["uncertainty", "sum"])
@pytest.mark.parametrize("terms", ["all", "no_countdown", "span"])
def test_shares_and_losses_follow_from_the_terms(small, planted, terms, weighting):
    """Raw and effective shares of the trained terms by hand, at sigmas that differ; every term is told."""
    settings = small(countdown_scale="bars", terms=terms, weighting=weighting)
    model, data, _ = planted(settings)
    with torch.no_grad():
        metrics = score(model, data, settings)
        losses = {name: float(term) for name, term in term_losses(model, data, "val")[0].items()}
        total = float(total_loss(model, term_losses(model, data, "val")[0], settings))
    trained = {"all": TERMS, "no_countdown": TERMS[:3], "span": ("span",)}[terms]
    log_sigma = dict(zip(TERMS, (0.1, -0.3, 0.2, 0.6), strict=True))
    factor = {name: math.exp(-2 * log_sigma[name]) / 2 if weighting == "uncertainty" else 1.0 for name in trained}
    expected = {
        "val_loss": total,
        "loss_sum": sum(losses[name] for name in trained),
        "countdown_share_raw": 0.0,
        "countdown_share_effective": 0.0,
        **{f"loss_{name}": losses[name] for name in TERMS},
        **{f"sigma_{name}": math.exp(log_sigma[name]) for name in TERMS},
    }
    if "countdown" in trained:
        effective = sum(losses[name] * factor[name] for name in trained)
        expected["countdown_share_raw"] = losses["countdown"] / expected["loss_sum"]
        expected["countdown_share_effective"] = losses["countdown"] * factor["countdown"] / effective
    for name, value in expected.items():
        assert pytest.approx(value, rel=FLOAT64) == metrics[name], name


@pytest.mark.parametrize("weighting", ["uncertainty", "sum"])
def test_gradient_share_is_that_of_weighted_gradients_on_the_trunk(small, fresh, weighting):
    """S = |w g| / sum |w g| by separate backward passes over the first 64 windows; no gradient is left on the model."""
    settings = small(n_train=70, countdown_scale="bars", weighting=weighting)
    data, model = fresh(settings)
    model.eval()
    with torch.no_grad():
        share = gradient_share(model, data, settings)
        assert share == score(model, data, settings)["countdown_share_gradient"]
    assert [] == [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert not model.training
    norms = {}
    for term in TERMS:
        model.zero_grad()
        weighted(model, term_losses(model, data, "train", torch.arange(64))[0], settings)[term].backward()
        trunk = [p.grad.double().flatten() for name, p in model.named_parameters() if name.startswith(TRUNK)]
        norms[term] = float(torch.cat(trunk).norm())
    assert pytest.approx(norms["countdown"] / sum(norms.values()), rel=FLOAT32) == share


@pytest.mark.parametrize("terms", ["no_countdown", "span"])
def test_shares_without_a_countdown_are_zero(small, fresh, terms):
    """Where the countdown is not trained its shares are 0, not NaN."""
    settings = small(terms=terms)
    data, model = fresh(settings)
    with torch.no_grad():
        metrics = score(model, data, settings)
    assert [0.0, 0.0, 0.0] == [metrics[f"countdown_share_{name}"] for name in ("raw", "effective", "gradient")]


@pytest.mark.parametrize(("shares", "expected"), [([0.1, 0.5, 0.2], 0.5), ([0.1, 0.2], 0.2), ([0.3], 0.3)])
def test_gradient_share_is_taken_mid_training(shares, expected):
    """Of the evaluated epochs the middle one counts; epochs that were not evaluated do not."""
    rows = [row for share in shares for row in ({"train_loss": 1.0}, {"countdown_share_gradient": share})]
    assert {"countdown_share_gradient": expected} == finish(rows)


# --- findings and closed forms


@pytest.mark.parametrize("scale", ["bars", "unit"])
def test_findings_have_the_numbers_of_their_definitions(small, planted, scale):
    """Reach is that of the fresh model's answers on training windows; skill is 1 - (1 - F1) / (1 - F1 of every bar)."""
    settings = small(countdown_scale=scale)
    start, end = planted(settings, 0), planted(settings, 1)
    data = start.data
    with torch.no_grad():
        reach, skill = examine(start.model, end.model, data, settings)
    targets = data["train_countdown"].numpy() if scale == "bars" else (data["train_countdown"].numpy() + 20) / 40
    answers = start.outputs.countdown[:12].numpy()
    assert ("target_scale", "no_skill") == (reach.name, skill.name)
    assert pytest.approx(np.sqrt(((targets - answers) ** 2).mean()), rel=FLOAT64) == reach.numbers["distance"]
    assert pytest.approx(max(answers.std(ddof=1), 1.0), rel=FLOAT64) == reach.numbers["reach"]
    share = data["val_span"].mean(dim=1).numpy()
    every_bar = (2 * share / (1 + share)).mean()
    f1 = scores_by_loops(end.outputs.span[12:].numpy(), data["val_span"].numpy())["span_f1"]
    assert pytest.approx(1 - (1 - f1) / (1 - every_bar), rel=FLOAT64) == skill.numbers["skill"]
    assert skill.trouble is bool(f1 <= every_bar)


def test_raw_countdown_is_out_of_reach_before_training(small, fresh):
    """The scale finding shows trouble in bars, none in [0, 1], and is absent where there is no countdown."""
    troubles = {}
    for name, settings in (
        ("bars", small(countdown_scale="bars")),
        ("unit", small()),
        ("none", small(terms="no_countdown")),
        ("span", small(terms="span")),
    ):
        data, model = fresh(settings)
        with torch.no_grad():
            findings = CASE.examine(model, model, data, settings)
        troubles[name] = {finding.name: finding.trouble for finding in findings}
    assert troubles["bars"]["target_scale"] is True
    assert troubles["unit"]["target_scale"] is False
    assert [{"no_skill"}, {"no_skill"}] == [set(troubles["none"]), set(troubles["span"])]


@pytest.mark.parametrize(("scale", "delta"), [("bars", 1.0), ("bars", 10.0), ("unit", 1.0), ("unit", 0.25)])
def test_countdown_loss_at_zero_is_that_of_plain_loops(small, scale, delta):
    """Of the training half, at deltas below, within and above the targets; with the share of its bars in a span."""
    settings = small(countdown_scale=scale, countdown_delta=delta)
    data = generate(settings, 0)
    countdown = data["train_countdown"].numpy().ravel()
    targets = countdown if scale == "bars" else (countdown + 20) / 40
    losses = [t * t / 2 if abs(t) <= delta else delta * (abs(t) - delta / 2) for t in targets]
    numbers = close(data, settings)
    assert pytest.approx(np.mean(losses), rel=FLOAT64) == numbers["countdown_loss_at_zero"]
    assert pytest.approx(data["train_span"].numpy().mean(), rel=FLOAT64) == numbers["share_in_span"]
    assert {"countdown_loss_at_zero", "share_in_span"} == set(numbers)


def test_delta_10_multiplies_the_countdown_loss_of_the_record():
    """Labels of 105 bars, starts up to 101: 15.7 becomes 115.1 at answer 0, where the record expects 2 to 3."""
    settings = replace(CASE.settings, n_train=2000, n_val=1, bars=105, features=1, span_min=4, span_max=11)
    data = generate(replace(settings, countdown_scale="bars"), 0)
    one, ten = (
        close(data, replace(settings, countdown_scale="bars", countdown_delta=delta))["countdown_loss_at_zero"]
        for delta in (1.0, 10.0)
    )
    # the record's 168 windows are other draws of the same labels: a few percent
    assert pytest.approx(15.7, rel=0.05) == one
    assert pytest.approx(115.1, rel=0.05) == ten


def test_a_short_run_has_every_metric_and_repeats(small):
    """Four steps through the engine: finite metrics, a share a finding can be made of, and the same run twice."""
    case = replace(CASE, settings=small(steps=4))
    first, again = (train_single(Job(case, "clipped_countdown", 0)) for _ in range(2))
    assert {metric.name for metric in CASE.metrics} == set(first.metrics)
    for name, value in first.metrics.items():
        assert math.isfinite(value), name
        assert value == again.metrics[name], name
    assert first.stream == again.stream


def test_sigma_of_the_countdown_moves_by_its_rate_a_step(small):
    """Why the weights had no time: AdamW takes log sigma from 0 to .008 in 8 steps of .001, however large the loss."""
    case = replace(CASE, settings=small(steps=8))
    run = train_single(Job(case, "clipped_countdown", 0))
    # the loss falls meanwhile, so that the gradient is not quite constant
    assert pytest.approx(8 * 1e-3, rel=0.05) == math.log(run.history[-1]["sigma_countdown"])
