"""The expansion case's scores, shares and findings, each against a second implementation or a closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from goldmark.cases.expansion import CASE, ExpansionSettings, examine, finish, make_model
from goldmark.cases.expansion.jade import TRUNK
from goldmark.cases.expansion.scores import (
    auc,
    average_precision,
    baselines,
    gradient_share,
    hits_per,
    score,
    span_f1,
)
from goldmark.cases.expansion.terms import TERMS, term_losses, weighted
from goldmark.cases.expansion.windows import generate
from goldmark.training.draws import initial_weights
from goldmark.training.plan import Job
from goldmark.training.single import train_single

FLOAT32 = 1e-5  # a few roundings of float32 are below 1e-6 each


def small(**changes):
    """Settings whose data and model are made in milliseconds."""
    return ExpansionSettings(**{"n_train": 12, "n_val": 6, "bars": 40, "batch": 6} | changes)


def float_data(settings, seed=0):
    """The data of a seed as training sees them."""
    return {name: x.float() if x.is_floating_point() else x for name, x in generate(settings, seed).items()}


def seeded_model(settings, data, seed=0):
    """The model of a seed, as the engine builds it."""
    with initial_weights(seed):
        return make_model(settings, data)


def test_span_f1_is_the_mean_over_windows():
    """F1 1, 0 and 2/3: all marked and right, nothing marked, one of two found and none wrong."""
    span = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    marked = torch.tensor([[True, True, False], [False, False, False], [True, False, False]])
    assert pytest.approx((1 + 0 + 2 / 3) / 3, rel=1e-12) == span_f1(marked, span)  # float64


def test_precision_and_recall_are_means_over_windows():
    """Hits per mark 1, 0 (none marked) and 1/2; per label 1, 0 and 1."""
    span = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    marked = torch.tensor([[True, True, False], [False, False, False], [True, True, False]])
    assert (pytest.approx(1.5 / 3), pytest.approx(2 / 3)) == (
        hits_per(marked, marked, span),
        hits_per(span, marked, span),
    )


def test_auc_and_average_precision_match_their_definitions():
    """Pairs and thresholds counted one by one in numpy, on scores with many ties."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, labels = generator.integers(0, 12, 60), generator.random(60) < 0.3
        above = scores[labels][:, None] - scores[~labels][None]
        thresholds = np.unique(scores)[::-1]
        precision = [labels[scores >= threshold].mean() for threshold in thresholds]
        recall = [0.0, *((labels & (scores >= threshold)).sum() / labels.sum() for threshold in thresholds)]
        steps = [after - before for before, after in pairwise(recall)]
        tensors = torch.tensor(scores, dtype=torch.float64), torch.tensor(labels).double()
        # float64 sums in another order
        assert pytest.approx((np.sign(above) / 2 + 0.5).mean(), rel=1e-9) == auc(*tensors)
        assert pytest.approx(np.dot(precision, steps), rel=1e-9) == average_precision(*tensors)


def test_ranking_scores_of_a_perfect_an_inverted_and_a_constant_ranking():
    """AUC 1, 0 and 1/2; average precision of a constant is the share of positives."""
    labels = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    assert [1.0, 0.0, 0.5] == [auc(scores, labels) for scores in (labels, -labels, torch.zeros(6))]
    assert average_precision(labels, labels) == 1.0
    assert pytest.approx(1 / 3, rel=1e-12) == average_precision(torch.zeros(6), labels)  # float64


def test_marking_every_bar_has_the_closed_form_score():
    """F1 is the mean of 2 p / (1 + p) over windows; a constant ranks at AUC .5 and precision p."""
    data = generate(small(), 0)
    share = data["val_span"].mean(dim=1).numpy()
    metrics = baselines(data, small())[0].metrics
    expected = {
        "span_f1": (2 * share / (1 + share)).mean(),
        "separation": 0.0,
        "auc": 0.5,
        "average_precision": share.mean(),
    }
    assert pytest.approx(expected, rel=1e-12) == metrics  # float64
    assert expected["auc"] == auc(torch.ones_like(data["val_span"]), data["val_span"])


def test_shares_of_a_fresh_model_follow_from_its_terms():
    """Raw and effective shares are recomputed from the terms and sigmas; every share lies between 0 and 1."""
    settings = small(countdown_scale="bars")
    data = float_data(settings)
    model = seeded_model(settings, data)
    with torch.no_grad():
        metrics = score(model, data, settings)
        losses = {name: float(term) for name, term in term_losses(model, data, "val")[0].items()}
    effective = {name: loss * math.exp(0.6 if name == "pointers" else 0.0) / 2 for name, loss in losses.items()}
    for name, terms in (("raw", losses), ("effective", effective)):
        expected = terms["countdown"] / sum(terms.values())
        assert pytest.approx(expected, rel=FLOAT32) == metrics[f"countdown_share_{name}"]
    assert 0 < metrics["countdown_share_gradient"] < 1


def test_gradient_share_is_that_of_weighted_gradients_on_the_trunk():
    """S = |w g| / sum |w g| by separate backward passes, and no gradient is left behind on the model."""
    settings = small(countdown_scale="bars")
    data = float_data(settings)
    model = seeded_model(settings, data)
    with torch.no_grad():
        share = gradient_share(model, data, settings)
    assert all(parameter.grad is None for parameter in model.parameters())
    norms = {}
    for term in TERMS:
        model.zero_grad()
        weighted(model, term_losses(model, data, "train")[0], settings)[term].backward()
        trunk = [p.grad.double().flatten() for name, p in model.named_parameters() if name.startswith(TRUNK)]
        norms[term] = float(torch.cat(trunk).norm())
    assert pytest.approx(norms["countdown"] / sum(norms.values()), rel=FLOAT32) == share


def test_shares_without_a_countdown_are_zero():
    """Where the countdown is not trained its shares are 0, not NaN."""
    settings = small(terms="span")
    data = float_data(settings)
    with torch.no_grad():
        metrics = score(seeded_model(settings, data), data, settings)
    assert [0.0, 0.0, 0.0] == [metrics[f"countdown_share_{name}"] for name in ("raw", "effective", "gradient")]


def test_losses_and_sigmas_of_a_fresh_model_are_told():
    """Every term is told, trained or not; their sum is that of the trained ones."""
    settings = small(terms="no_countdown")
    data = float_data(settings)
    model = seeded_model(settings, data)
    with torch.no_grad():
        metrics = score(model, data, settings)
        losses = {term: float(loss) for term, loss in term_losses(model, data, "val")[0].items()}
    assert losses == {term: metrics[f"loss_{term}"] for term in TERMS}
    assert sum(losses[term] for term in TERMS[:3]) == metrics["loss_sum"]
    assert pytest.approx([1, math.exp(-0.3), 1, 1], rel=FLOAT32) == [metrics[f"sigma_{term}"] for term in TERMS]
    assert metrics["separation"] == metrics["in_span"] - metrics["out_span"]


def test_gradient_share_is_taken_mid_training():
    """`finish` returns the middle evaluation's share; epochs that were not evaluated do not count."""
    rows = [
        {"countdown_share_gradient": 0.1},
        {"train_loss": 1.0},
        {"countdown_share_gradient": 0.5},
        {"train_loss": 1.0},
    ]
    assert finish([*rows, {"countdown_share_gradient": 0.2}]) == {"countdown_share_gradient": 0.5}


def test_raw_countdown_is_out_of_reach_before_training():
    """The scale finding shows trouble in bars, none in [0, 1], and is absent where there is no countdown."""
    troubles = {}
    for name, settings in (("bars", small(countdown_scale="bars")), ("unit", small()), ("none", small(terms="span"))):
        data = float_data(settings)
        model = seeded_model(settings, data)
        with torch.no_grad():
            findings = examine(model, model, data, settings)
        troubles[name] = {finding.name: finding.trouble for finding in findings}
    assert [True, False] == [troubles[name]["target_scale"] for name in ("bars", "unit")]
    assert {"no_skill"} == set(troubles["none"])


def test_a_short_run_has_every_metric_and_moves_sigma_slowly():
    """Four steps through the engine: finite metrics, a share a finding can be made of, and the same run twice."""
    case = replace(CASE, settings=small(steps=4))
    first, again = (train_single(Job(case, "clipped_countdown", 0)) for _ in range(2))
    assert {metric.name for metric in CASE.metrics} == set(first.metrics)
    assert all(math.isfinite(value) for value in first.metrics.values())
    assert first.metrics == again.metrics
    assert first.stream == again.stream
