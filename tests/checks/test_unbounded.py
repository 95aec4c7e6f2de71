"""Losses that fall without end as weights of their own fall, and those that have a lower bound."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from goldmark.checks import check_unbounded_loss, preflight


def errors():
    """Three terms of a loss, of outputs that have a gradient."""
    return torch.tensor([0.3, 2.0, 0.01], requires_grad=True).square()


UNBOUNDED = {
    "factors": lambda weights, terms: weights * terms,
    "one_beside_a_term": lambda weights, terms: terms[0] + weights[1] * terms[1],
    "normalised_by_a_constant": lambda weights, terms: weights / 3 * terms + 5,
}
BOUNDED = {
    "uncertainty": lambda weights, terms: (-weights).exp() * terms + weights,
    "softmax": lambda weights, terms: weights.softmax(0) * terms,
    "sigmoid": lambda weights, terms: weights.sigmoid() * terms,
    "softplus": lambda weights, terms: functional.softplus(weights) * terms,
    "clamped": lambda weights, terms: weights.clamp(min=-50) * terms,
    "squares": lambda weights, terms: weights.square() * terms,
    "with_a_penalty": lambda weights, terms: weights * terms + 1e-3 * (weights - 1).square(),
    "normalised_by_their_sum": lambda weights, terms: weights / weights.sum() * terms,
    "margin": lambda weights, terms: (terms - 1 + weights).relu(),
    "centres": lambda weights, terms: (terms - weights).square(),
    "multiplier": lambda weights, terms: terms + weights * terms.detach(),
    "multiplier_that_climbs": lambda weights, terms: terms - weights * terms,
    "not_there": lambda weights, terms: terms,
    "not_finite": lambda weights, terms: weights * terms * float("nan"),
}


def judged(loss_of):
    """What the check says of a loss of weights and terms; the weights are left as they were."""
    weights = torch.tensor([1.0, 0.5, 0.1], requires_grad=True)
    terms, before = errors(), weights.detach().clone()
    finding = check_unbounded_loss(lambda: loss_of(weights, terms), weights)
    assert torch.equal(before, weights)
    assert weights.grad is None
    return finding


@pytest.mark.parametrize("loss_of", UNBOUNDED.values(), ids=UNBOUNDED)
def test_plain_factors_have_no_lower_bound(loss_of):
    """However many of the weights are read."""
    finding = judged(loss_of)
    assert finding.trouble
    assert finding.numbers["deviation"] < 1e-5


@pytest.mark.parametrize("loss_of", BOUNDED.values(), ids=BOUNDED)
def test_other_parameters_of_a_loss_have_one(loss_of):
    """Or do not go down what they weigh."""
    assert not judged(loss_of).trouble


class Weighted(nn.Module):
    """An error times a weight that is learnt."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, output, targets):
        """The loss."""
        return self.weight * functional.mse_loss(output, targets)


def names(optimizer_of, loss_fn):
    """The names of what a preflight finds."""
    model = nn.Linear(4, 1)
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.randn(16, 4, generator=generator), torch.randn(16, 1, generator=generator))]
    return preflight(model, optimizer_of(model, loss_fn), batches, None, loss_fn).names


def together(model, loss_fn, **settings):
    """One optimizer for both."""
    own = {"params": [*loss_fn.parameters()], **settings}
    return torch.optim.SGD([{"params": [*model.parameters()]}, own], lr=0.1)


def apart(model, loss_fn):
    """An optimizer for each, of which one may be stepped on something else."""
    return [torch.optim.SGD(one.parameters(), lr=0.1) for one in (model, loss_fn)]


def test_a_preflight_judges_what_goes_down_with_the_model():
    """Weights that climb, or have an optimizer of their own, as in GradNorm, pass."""
    assert "unbounded_loss" in names(together, Weighted())
    assert "unbounded_loss" not in names(lambda *parts: together(*parts, maximize=True), Weighted())
    assert "unbounded_loss" not in names(apart, Weighted())


def test_weights_that_a_function_closes_over_are_judged_as_well():
    """A loss need not be a module."""
    weight = torch.ones((), requires_grad=True)
    found = names(
        lambda model, _: torch.optim.SGD([*model.parameters(), weight], lr=0.1),
        lambda output, targets: weight * functional.mse_loss(output, targets),
    )
    assert "unbounded_loss" in found


class Kept(nn.Module):
    """A layer beside a weight of its loss, which it may hand out."""

    def __init__(self, *, told):
        super().__init__()
        self.layer, self.weight, self.told = nn.Linear(4, 1), nn.Parameter(torch.ones(())), told

    def forward(self, x):
        """Numbers (B, 1), and the weight."""
        return (self.layer(x), self.weight) if self.told else self.layer(x)


@pytest.mark.parametrize("bounded", [False, True])
def test_weights_that_the_model_keeps_are_judged_as_well(*, bounded):
    """Where the loss reads them from the model, or among its outputs."""

    def loss_of(error, weight):
        return (-weight).exp() * error + weight if bounded else weight * error

    known = Kept(told=False)
    losses = {
        known: lambda output, targets: loss_of(functional.mse_loss(output, targets), known.weight),
        Kept(told=True): lambda output, targets: loss_of(functional.mse_loss(output[0], targets), output[1]),
    }
    batches = [(torch.linspace(-1, 1, 64).reshape(16, 4), torch.linspace(-1, 1, 16)[:, None])]
    for model, loss_fn in losses.items():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        assert ("unbounded_loss" not in preflight(model, optimizer, batches, None, loss_fn).names) == bounded
