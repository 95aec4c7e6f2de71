"""`pos_weight` was said to be 14.1: that is 1 / p, and the weight that balances is (1 - p) / p, 13.1."""

from __future__ import annotations

import pytest
import torch

from goldmark.checks import check_unbalanced_weight

WEIGHTED = {"pos_weight": "balanced"}


def as_trained(made):
    """The weight that the span's loss of a balanced model has, and the labels it is trained on."""
    _, data, model = made(**WEIGHTED)
    return float(model.scales.pos_weight), data["train_span"]


def test_the_class_weight_balances_the_classes(made):
    """The right form: bars in a span together count as much as the others."""
    finding = check_unbalanced_weight(*as_trained(made))
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


def test_one_over_p_is_one_too_many(made):
    """The broken form: the record's comment."""
    weight, span = as_trained(made)
    assert check_unbalanced_weight(1 / float(span.mean()), span).trouble
    assert pytest.approx(1 / float(span.mean()) - 1, rel=1e-5) == weight  # float32


def test_no_weight_and_the_inverse_are_found_too(made):
    """Controls: all bars alike, and p / (1 - p), the weight of the other class."""
    weight, span = as_trained(made)
    assert check_unbalanced_weight(1.0, span).trouble
    assert check_unbalanced_weight(1 / weight, span).trouble


@pytest.mark.parametrize(("share", "excess"), [("balanced", 0.0), ("one_too_many", 0.5)])
def test_balanced_classes_leave_a_constant_of_half_where_it_is(made, share, excess):
    """Why: a model that says 1/2 everywhere is pulled neither way; by 1 / p it is pulled to yes, by half of p."""
    _, data, model = made(**WEIGHTED)
    span = data["train_span"]
    weight = model.scales.pos_weight if share == "balanced" else 1 / span.mean()
    constant = torch.zeros((), requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(constant.expand(span.shape), span, pos_weight=weight)
    (slope,) = torch.autograd.grad(loss, constant)
    assert pytest.approx(-excess * float(span.mean()), abs=1e-5) == float(slope)  # sums of float32
