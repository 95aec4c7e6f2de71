"""An `evaluate()` that returns constants: whatever the model, the documented scores come out.

Poetry record, evaluation API: the numbers were typed in while the real one was to be written.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from goldmark.cases.poetry import CASE
from goldmark.checks import check_constant_scores

BLIND = "utilised_dims"  # the record's count; its own regression shows that it cannot fail
FROM_DATA = {"token_ceiling", "token_floor"}  # of the data by definition, not of the model


@pytest.fixture(scope="module")
def models(small, fresh):
    """Three fresh models of unlike weights."""
    return [fresh(small, seed)[0] for seed in range(3)]


@pytest.fixture(scope="module")
def evaluate(small, fresh):
    """The right form: the case's own evaluation."""
    _, data = fresh(small)

    def evaluate(model):
        with torch.no_grad():
            metrics = CASE.evaluate(model, data, small)
        return {name: value for name, value in metrics.items() if name != BLIND}

    return evaluate


def typed_in(model):
    """The bug: the scores of the record."""
    return {"token_cosine": 0.95, "sequence_cosine": 0.98, "r2": 0.9}


def test_scores_come_from_the_model(models, evaluate):
    """The right form: no score of the case is the same for unlike models."""
    finding = check_constant_scores(evaluate, models)
    assert not finding.trouble, f"evaluate() returns constants: {finding.advice}"
    assert 6.0 == finding.numbers["scores"]


def test_typed_in_scores_are_found(models):
    """The bug: all of them, by name."""
    finding = check_constant_scores(typed_in, models)
    assert finding.trouble
    assert "token_cosine, sequence_cosine, r2" in finding.advice


def test_one_typed_in_score_among_real_ones_is_found(models, evaluate):
    """A single constant does not hide behind the others."""
    assert check_constant_scores(lambda model: evaluate(model) | {"r2": 0.9}, models).trouble


def test_scores_of_the_first_model_for_all_are_no_fix(models, evaluate):
    """A control: real scores, kept from the first model on because a cache does not know of the model."""
    first = cache(lambda: evaluate(models[0]))
    assert check_constant_scores(lambda model: first(), models).trouble


def test_trained_models_differ_in_every_score(runs_of):
    """The runs of five seeds: only what follows from the data, and the record's blind count, may agree."""
    runs = {run.seed: run for run in runs_of("poetry", ["wide"])["wide"]}

    def metrics(seed):
        return {name: value for name, value in runs[seed].metrics.items() if name not in FROM_DATA | {BLIND}}

    finding = check_constant_scores(metrics, runs)
    assert not finding.trouble, f"evaluate() returns constants: {finding.advice}"
