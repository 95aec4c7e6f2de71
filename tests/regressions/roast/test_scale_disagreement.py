"""RoastFormer's evaluation and generation scripts kept loading raw temperatures after training had been normalized.

One function of degrees, written as a model on each scale, must have the same loss, scores and curves in degrees on
all of them: that shows whether all stages agree on the scale.
"""

from __future__ import annotations

import copy

import pytest
import torch

from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import scales
from goldmark.cases.roast.scores import examine, generate_f, score, score_generation
from goldmark.training.draws import Draws

VARIANTS = ("raw_fahrenheit", "normalized", "zscore")  # a scale each


def training_f(model, data, settings):
    """The root of the training loss, in degrees."""
    loss = CASE.loss(model, data, torch.arange(len(data["train_valid"])), Draws.at(0, 0), settings)
    return float(loss.sqrt() * data["target_unit"])


def spread(findings):
    """What the collapse check sees, which is free of units."""
    return next(finding.numbers["spread_ratio"] for finding in findings if finding.name == "collapsed_output")


RIGHT = {
    "training": training_f,
    "evaluation": lambda model, data, settings: score(model, data)["rmse_f"],
    "generation": lambda model, data, settings: float(generate_f(model, data, settings)[:, 1:].mean()),
    "scores of generation": lambda *run: score_generation(generate_f(*run), run[1])["generation_mae_f"],
    "findings": lambda model, data, settings: spread(examine(model, model, data)),
}


def unnormalized(stage):
    """A stage of the record after its fix: it loads the temperatures in degrees."""

    def raw(model, data, settings):
        zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
        degrees = {"input_offset": zero, "input_unit": one, "target_offset": zero, "target_unit": one}
        return stage(model, data | degrees, settings)

    return raw


def on_scale(model, data):
    """A model that reads and answers degrees, rewritten for the scales of data: the same function of degrees."""
    made = copy.deepcopy(model)
    offset_in, unit_in, offset_out, unit_out = (
        data[f"{side}_{name}"] for side in ("input", "target") for name in ("offset", "unit")
    )
    with torch.no_grad():
        made.temperature.bias += made.temperature.weight[:, 0] * offset_in
        made.temperature.weight *= unit_in
        made.output.bias.sub_(offset_out).div_(unit_out)
        made.output.weight /= unit_out
    return made


@pytest.fixture
def disagreements(small):
    """`disagreements(stages)`: those whose number in degrees depends on the scale that a run was given."""
    settings, raw, model = small(input_scale="raw", target_scale="raw")
    with torch.no_grad():  # degrees in, degrees out: no saturated attention, answers that vary around 300 F
        model.temperature.weight /= 400
        model.output.weight *= 40
        model.output.bias += 300
    scaled = [raw | scales(raw, CASE.settings_of(name)) for name in VARIANTS]

    def differing(stages):
        with torch.no_grad():
            numbers = {
                name: [stage(on_scale(model, data), data, settings) for data in scaled]
                for name, stage in stages.items()
            }
        # float64 rounding of another scale
        return [name for name, values in numbers.items() if values != pytest.approx([values[0]] * 3, rel=1e-9)]

    return differing


def test_training_evaluation_and_generation_agree_about_scaling(disagreements):
    """The same function of degrees has the same errors and curves in degrees, whatever the scale."""
    differing = disagreements(RIGHT)
    assert [] == differing, f"stages disagree about scaling (unnormalized data or outputs): {', '.join(differing)}"


@pytest.mark.parametrize("name", ["evaluation", "generation", "scores of generation"])
def test_a_stage_on_raw_temperatures_is_seen(disagreements, name):
    """The record's scripts: each stage that loads degrees for a model of normalized ones is named, and it alone."""
    assert [name] == disagreements(RIGHT | {name: unnormalized(RIGHT[name])})
