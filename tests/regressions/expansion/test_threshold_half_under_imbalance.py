"""One bar in fourteen was in a span, no probability reached .5, and an F1 of 0 was read as "nothing was learned"."""

from __future__ import annotations

import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.scores import THRESHOLD, auc, average_precision, probabilities
from goldmark.checks import best_threshold, check_misplaced_threshold
from goldmark.training.draws import Draws

WINDOWS, BATCH, STEPS = 480, 96, 60


@pytest.fixture(scope="module")
def answered(made):
    """`answered[weight]`: probabilities and labels of both halves, after a short training on a weak cue."""

    def answered(weight):
        settings, data, model = made(
            terms="span",
            pos_weight=weight,
            cue=0.6,
            n_train=WINDOWS,
            n_val=BATCH,
            batch=BATCH,
            informed_span_bias=False,
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)
        for step in range(STEPS):
            optimizer.zero_grad()
            rows = torch.arange(BATCH) + BATCH * (step % (WINDOWS // BATCH))
            CASE.loss(model, data, rows, Draws.at(0, step), settings).backward()
            optimizer.step()
        with torch.no_grad():
            return {
                half: (probabilities(model(data[f"{half}_features"]).span), data[f"{half}_span"])
                for half in ("train", "val")
            }

    return {weight: answered(weight) for weight in ("one", "balanced")}


def test_a_balanced_class_weight_makes_half_a_threshold(answered):
    """The right form: the loss weighs both classes alike, and .5 is where their odds are even."""
    finding = check_misplaced_threshold(*answered["balanced"]["val"], at=THRESHOLD)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


def test_a_threshold_from_the_training_half_works_too(answered):
    """The other right form: weights as they were, and a threshold chosen where there are labels to choose it by."""
    chosen = best_threshold(*answered["one"]["train"]).threshold
    finding = check_misplaced_threshold(*answered["one"]["val"], at=chosen)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"
    assert chosen < THRESHOLD


def test_half_is_misplaced_where_spans_are_rare(answered):
    """The broken form: the same probabilities at .5 have next to no F1."""
    assert check_misplaced_threshold(*answered["one"]["val"], at=THRESHOLD).trouble


def test_ranks_do_not_need_a_threshold(answered):
    """What the case reports beside F1: at .5 the unweighted model has an F1 of 0, and it ranks better than chance."""
    probability, labels = answered["one"]["val"]
    assert float((probability > THRESHOLD).sum()) == 0
    rank, precision = auc(probability, labels), average_precision(probability, labels)
    assert rank > 0.6, f"the rank of bars is lost with the threshold of one half: AUC {rank}"  # chance is .5
    assert precision > 1.2 * float(labels.mean()), f"average precision is lost with the threshold: {precision}"
