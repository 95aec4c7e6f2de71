"""Inference applied a sigmoid to what was a probability already, so that any threshold up to .5 marked every bar."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.scores import marks, probabilities
from goldmark.checks import check_squashed_twice


class EndsInSigmoid(nn.Module):
    """The record's model: its span head answers with probabilities, which inference took for logits."""

    def __init__(self, model):
        super().__init__()
        self.lstm, self.log_sigma, self.scales = model.lstm, model.log_sigma, model.scales
        self.model = model

    def forward(self, features, draws=None):
        """Return the outputs, the span's squashed."""
        outputs = self.model(features, draws)
        return outputs._replace(span=outputs.span.sigmoid())


@pytest.fixture(scope="module")
def models(made):
    """A model as it is, whose span bias is the log-odds of a bar being in a span, and the record's around it."""
    settings, data, model = made()
    return settings, data, {"right": model, "broken": EndsInSigmoid(model)}


def inferred(model, data):
    """Find out whether inference squashes what a model says of the validation windows twice."""
    with torch.no_grad():
        return check_squashed_twice(probabilities(model(data["val_features"]).span), data["val_span"])


def test_inference_squashes_once(models):
    """The right form: what the model says goes through one sigmoid."""
    _, data, model = models
    finding = inferred(model["right"], data)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


def test_a_model_that_ends_in_a_sigmoid_is_squashed_twice(models):
    """The broken form, through the same inference."""
    _, data, model = models
    assert inferred(model["broken"], data).trouble


def test_squashed_twice_every_bar_is_marked(models):
    """The harm: one bar in fourteen is in a span, and every bar is marked; squashed once, none is before training."""
    _, data, model = models
    marked = {
        name: float(marks(any_model(data["val_features"]).span).double().mean()) for name, any_model in model.items()
    }
    assert {"right": 0.0, "broken": 1.0} == marked, f"sigmoid is applied twice: shares of bars marked are {marked}"


def test_reported_probabilities_are_squashed_once(models):
    """What evaluation reports of bars outside every span, which are none in truth; the same check on both forms."""
    settings, data, model = models

    def reported(any_model):
        with torch.no_grad():
            out_span = CASE.evaluate(any_model, data, settings)["out_span"]
        return check_squashed_twice(torch.tensor([out_span]), torch.zeros(1))

    finding = reported(model["right"])
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"
    assert reported(model["broken"]).trouble


def test_a_lower_threshold_is_no_fix(models):
    """The control: squashed twice, thresholds of .1, .3 and .5 mark every bar alike."""
    _, data, model = models
    with torch.no_grad():
        twice = probabilities(model["broken"](data["val_features"]).span)
    assert [1.0, 1.0, 1.0] == [float((twice > threshold).double().mean()) for threshold in (0.1, 0.3, 0.5)]
