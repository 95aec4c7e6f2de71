"""RoastFormer's health signals, variance and distinct values of a generated curve, called dead models "VARYING".

The record's diagnostic counts the given start: a collapsed model that starts at 428.8 F and answers 100 has a variance
of 8,934. Left out, it has none; and uniform noise still passes both signals, which only skill gives away.
"""

from __future__ import annotations

import pytest
import torch

from goldmark.cases.roast.scores import generate_f, score_generation
from goldmark.checks import check_collapsed_output, check_no_skill

VARYING, DISTINCT = 100.0, 2  # F^2, and values of a curve: what the record calls varying


def dead_answers_f(data):
    """The answers (N, T) of two generators that have learnt nothing: a constant, and noise in the range of roasts."""
    true_f = data["val_temp_f"][:, 1:]
    noise = torch.rand(true_f.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {"constant": torch.full_like(true_f, 100.0), "noise": 250 + 200 * noise}


def record_s_signal(curves_f, model, data, settings):
    """Variance and distinct values of start and ten steps."""
    shown = curves_f[:, :11]
    distinct = [len(curve.unique()) for curve in shown]
    return float(shown.var(dim=1).mean()) > VARYING and min(distinct) >= DISTINCT


def variance_without_start(curves_f, model, data, settings):
    """A control: the variance that goldmark reports, held against the record's limit."""
    return score_generation(generate_f(model, data, settings), data)["generated_variance"] > VARYING


def distinct_without_start(curves_f, model, data, settings):
    """A control: the distinct values that goldmark reports."""
    return score_generation(generate_f(model, data, settings), data)["distinct_values"] >= DISTINCT


def skill_and_spread(curves_f, model, data, settings):
    """What goldmark judges by: predictions vary as their targets do, and beat the mean."""
    valid, true_f = data["val_valid"][:, 1:], data["val_temp_f"][:, 1:]
    error_f = score_generation(generate_f(model, data, settings), data)["generation_mae_f"]
    mean_error_f = float((data["temp_mean_f"] - true_f)[valid].abs().mean())
    collapsed = check_collapsed_output(curves_f[:, 1:][valid], true_f[valid])
    return not collapsed.trouble and not check_no_skill(error_f, mean_error_f).trouble


@pytest.fixture
def healthy(small, told):
    """`healthy(signal)`: which generators a signal calls healthy, of two dead ones and one that knows the curves."""
    settings, data, _ = small()
    answers = dead_answers_f(data) | {"true": data["val_temp_f"][:, 1:]}

    def names(signal):
        models = {name: told(answers_f, data, settings) for name, answers_f in answers.items()}
        curves = {name: generate_f(model, data, settings) for name, model in models.items()}
        return [name for name, model in models.items() if signal(curves[name], model, data, settings)]

    return names


def test_skill_tells_the_dead_from_the_living(healthy):
    """The curves that vary as roasts do and beat the mean are healthy, and no others."""
    assert ["true"] == healthy(skill_and_spread), "variance or distinct values stand for health: dead models pass"


def test_record_s_signal_calls_all_of_them_healthy(healthy):
    """With the start counted, a constant varies, and so does noise."""
    assert ["constant", "noise", "true"] == healthy(record_s_signal)


@pytest.mark.parametrize("signal", [variance_without_start, distinct_without_start])
def test_leaving_the_start_out_unmasks_the_constant_alone(healthy, signal):
    """A control: without the start a constant has no variance and one value; noise has many."""
    assert ["noise", "true"] == healthy(signal), "the given start is counted in variance or distinct values"


def test_documented_variance_is_that_of_the_start():
    """428.8 F and then 100 ten times: the record's diagnostic gives 8,934, and 0 once the start is left out."""
    curve_f = torch.tensor([428.8, *[100.0] * 10], dtype=torch.float64)
    assert pytest.approx(8934, abs=1) == float(curve_f.var(correction=0))
    assert 0 == float(curve_f[1:].var())
