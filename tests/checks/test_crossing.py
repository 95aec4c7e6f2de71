"""Losses over all pairs of examples, by accident or on purpose."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional

from goldmark.checks import check_shape_broadcast

N = 12
RETURNS, AGES = (torch.randn(N, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
ACTIONS = torch.arange(N) % 3
LATER = (AGES[None] >= AGES[:, None]).float()
WEIGHTS = torch.rand(N, N, generator=torch.Generator().manual_seed(2))
COLUMN = RETURNS[:, None]


class Actor(nn.Module):
    """Values (N, 1), logarithms of the probabilities of actions (N,), and their logits (N, 3), of states (N, 5)."""

    def __init__(self):
        super().__init__()
        self.trunk, self.value, self.policy = nn.Linear(5, 8), nn.Linear(8, 1), nn.Linear(8, 3)

    def forward(self, x):
        """All three."""
        h = self.trunk(x).tanh()
        logits = self.policy(h)
        return self.value(h), Categorical(logits=logits).log_prob(ACTIONS), logits


def finding_of(loss_of):
    """The finding for a loss of values, logarithms of probabilities and logits, after its backward pass."""
    torch.manual_seed(0)
    values, chosen, logits = Actor()(torch.randn(N, 5))
    loss = loss_of(values, chosen, logits)
    loss.backward()
    return check_shape_broadcast((values, logits), RETURNS, loss)


def kernel(a, b):
    """Similarities of all pairs."""
    return (-(a - b).square()).exp()


def clipped(ratio, advantage):
    """The policy's loss of PPO."""
    return -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()


BUGS = {
    "squared_advantage": lambda v, c, q: 0.7 * (RETURNS - v).pow(2).mean() - (c * (RETURNS - v).detach()).mean(),
    "mse": lambda v, c, q: 0.7 * functional.mse_loss(v, RETURNS) - c.mean(),
    "smooth_l1_sum": lambda v, c, q: 0.7 * functional.smooth_l1_loss(v, RETURNS, reduction="sum") - c.sum(),
    "huber_of_each": lambda v, c, q: functional.huber_loss(v, RETURNS, reduction="none").mean() - c.mean(),
    "l1": lambda v, c, q: 0.7 * functional.l1_loss(v, RETURNS) - c.mean(),
    "root": lambda v, c, q: 0.7 * (v - RETURNS).square().mean().sqrt() - c.mean(),
    "row_and_constant_column": lambda v, c, q: 0.7 * (v.squeeze(1) - COLUMN).pow(2).mean() - c.mean(),
    "policy_alone": lambda v, c, q: functional.mse_loss(v, COLUMN) - (c * (COLUMN - v).detach()).mean(),
    "policy_with_gradient": lambda v, c, q: functional.mse_loss(v, COLUMN) - (c * (COLUMN - v)).mean(),
    "ratio": lambda v, c, q: -((c - c.detach()).exp() * COLUMN).mean(),
    "clipped_ratio": lambda v, c, q: clipped((c - c.detach()).exp(), COLUMN) + functional.mse_loss(v, COLUMN),
    "gathered": lambda v, c, q: 0.7 * functional.smooth_l1_loss(q.gather(1, ACTIONS[:, None]), RETURNS) + v.mean(),
    "one_column_of_several": lambda v, c, q: 0.7 * functional.mse_loss(q[:, :1], RETURNS) + v.square().mean(),
    "squashed": lambda v, c, q: 2 * functional.mse_loss(v.sigmoid(), RETURNS) + q.square().mean(),
}
HEALTHY = {
    "actor_critic": lambda v, c, q: 0.7 * (RETURNS - v[:, 0]).pow(2).mean() - (c * (RETURNS - v[:, 0]).detach()).mean(),
    "in_columns": lambda v, c, q: functional.mse_loss(v, COLUMN) - (c[:, None] * (COLUMN - v).detach()).mean(),
    "critic": lambda v, c, q: (v - 1).square().mean() + (v - v.mean() - 1).square().mean(),
    "mean_of_differences": lambda v, c, q: (v - RETURNS).mean(),
    "ranking": lambda v, c, q: functional.softplus(v[:, 0] - v).mean(),
    "ranking_transposed": lambda v, c, q: ((v - v.T) - (COLUMN - RETURNS)).square().mean(),
    "hazards": lambda v, c, q: -(v - (LATER @ v.exp()).log()).mean(),
    "hazards_over_a_mask": lambda v, c, q: -(v[:, 0] - (v.exp() * LATER.T).sum(0).log()).mean(),
    "mean_discrepancy": lambda v, c, q: kernel(v, v.T).mean() - 2 * kernel(v, RETURNS).mean(),
    "energy_distance": lambda v, c, q: 2 * (v - RETURNS).abs().mean() - (v - v.squeeze(1)).abs().mean(),
    "transport": lambda v, c, q: ((v - RETURNS).square() * WEIGHTS).sum(),
    "nearest": lambda v, c, q: (v - RETURNS).square().min(dim=1).values.mean(),
    "contrast": lambda v, c, q: functional.cross_entropy(q @ q.T, torch.arange(N)),
    "distances": lambda v, c, q: torch.cdist(q, q).square().mean(),
    "squares_of_distances": lambda v, c, q: (q.square().sum(1, keepdim=True) + q.square().sum(1) - 2 * q @ q.T).mean(),
    "degrees": lambda v, c, q: (v * WEIGHTS).sum(),
    "attention": lambda v, c, q: functional.mse_loss(((q @ q.T).softmax(1) @ v)[:, 0], RETURNS),
    "gathered": lambda v, c, q: functional.smooth_l1_loss(q.gather(1, ACTIONS[:, None])[:, 0], RETURNS),
}


@pytest.mark.filterwarnings("ignore:Using a target size")  # torch says so of some
@pytest.mark.parametrize("loss_of", BUGS.values(), ids=BUGS)
def test_shapes_that_meet_by_accident_are_named(loss_of):
    """In one term of a loss, whatever its weight and whatever has no gradient."""
    finding = finding_of(loss_of)
    assert finding.trouble
    assert {"pairs": N * N, "examples": N} == finding.numbers


@pytest.mark.parametrize("loss_of", HEALTHY.values(), ids=HEALTHY)
def test_pairs_that_are_meant_pass(loss_of):
    """Rankings, kernels, distances, risk sets, transport: and what pairs nothing."""
    assert not finding_of(loss_of).trouble


@pytest.mark.parametrize(
    "targets", [None, torch.ones(N), WEIGHTS, RETURNS[None]], ids=["none", "alike", "pairs", "row"]
)
def test_targets_that_may_be_paired_say_nothing(targets):
    """Of unknown targets, of equal ones, of matrices."""
    layer = nn.Linear(5, 1)
    output = layer(torch.randn(N, 5))
    loss = 0.3 * (output - RETURNS).square().mean() + output.mean()
    assert check_shape_broadcast(output, RETURNS, loss).trouble
    assert not check_shape_broadcast(output, targets, loss).trouble


def test_what_the_model_did_last_is_no_intent_of_the_loss():
    """Outputs that the model views as a column are one."""
    output = nn.Linear(5, 1)(torch.randn(N, 5)).reshape(-1)
    column = output.unsqueeze(1)
    loss = 0.3 * (column - RETURNS).square().mean() + column.mean()
    assert check_shape_broadcast(column, RETURNS, loss).trouble
    assert not check_shape_broadcast(output, RETURNS, loss).trouble


def test_outputs_may_be_left_out():
    """The targets say how many examples there are; without both nothing does."""
    values = nn.Linear(5, 1)(torch.randn(N, 5))
    loss = (values - RETURNS).square().mean()
    assert {"pairs": N * N, "examples": N} == check_shape_broadcast(None, RETURNS, loss).numbers
    assert not check_shape_broadcast(None, None, loss).trouble
    assert not check_shape_broadcast(None, COLUMN, (values - COLUMN).square().mean()).trouble
    assert not check_shape_broadcast(None, RETURNS, (values - WEIGHTS @ values).square().mean()).trouble


def test_weights_of_pairs_are_no_column():
    """A constant that makes a matrix of a row of actions may be one; a column that outputs or targets hold is."""
    logits = nn.Linear(5, 3)(torch.randn(N, 5))
    loss = -(logits.log_softmax(1).gather(1, ACTIONS[:, None])[:, 0] * WEIGHTS).mean()
    assert not check_shape_broadcast(logits, RETURNS, loss).trouble
    assert check_shape_broadcast(logits, COLUMN, loss).trouble


def test_what_the_model_computes_is_not_judged():
    """Pairs within the model are its own business."""
    column = nn.Linear(5, 1)(torch.randn(N, 5))
    output = (column - AGES).square().mean() * torch.ones(N)
    loss = 0.3 * functional.mse_loss(output, RETURNS)
    assert check_shape_broadcast(column, RETURNS, loss).trouble
    assert not check_shape_broadcast(output, RETURNS, loss).trouble


PRODUCTS = {
    "mean": lambda risks, events: -(risks * events).mean(),
    "sum": lambda risks, events: (events * -risks).sum() / events.sum(),
    "negative": lambda risks, events: (-(risks * events)).mean(),
    "quotient": lambda risks, events: (risks / events).mean(),
    "divisor": lambda risks, events: (events / risks).mean(),
    "clipped": lambda risks, events: clipped(risks, events),
    "beside_a_row": lambda risks, events: (clipped(risks, events) - 0.1 * risks - risks * events).mean(),
    "hinge": lambda risks, events: (1 - risks * events).relu().mean(),
    "logistic": lambda risks, events: functional.softplus(-events * risks).sum(),
}


@pytest.mark.parametrize("loss_of", PRODUCTS.values(), ids=PRODUCTS)
def test_a_constant_column_times_a_row(loss_of):
    """It is known until the backward pass, whatever outputs and targets are; a constant row passes."""
    risks = torch.randn(N, generator=torch.Generator().manual_seed(3)).requires_grad_()
    for row, constant in ((risks.exp(), COLUMN), (risks[:, None].exp(), RETURNS)):
        loss = loss_of(row, constant)
        finding = check_shape_broadcast(None, None, loss)
        assert finding.trouble
        assert {"pairs": N * N, "examples": N} == finding.numbers
        assert "a row (12,) and a column (12, 1)" in finding.relation
        assert not check_shape_broadcast(None, None, loss_of(row, constant.reshape(row.shape))).trouble
        loss.backward()
        assert not check_shape_broadcast(None, None, loss).trouble


MEANT = {
    "masked": lambda risks: (risks.exp() * COLUMN * LATER).mean(),
    "weighed": lambda risks: (risks.exp() * WEIGHTS).mean(),
    "of_equal_weights": lambda risks: (risks.exp() * torch.full((N, 1), 0.5)).mean(),
    "laid_out": lambda risks: (1 - risks[:, None] * RETURNS).relu().mean(),
    "curves": lambda risks: (risks[:, None].exp() * RETURNS - WEIGHTS).square().mean(),
    "decays": lambda risks: (risks.exp() * -COLUMN.abs()).exp().mean(),
    "row_by_row": lambda risks: (risks.exp() * COLUMN).softmax(1).square().mean(),
    "quantiles": lambda risks: torch.max(
        *((WEIGHTS * risks - COLUMN) * level for level in (RETURNS, 1 - RETURNS))
    ).mean(),
    "averaged": lambda risks: (risks.exp() * COLUMN).mean(0).square().mean(),
}


@pytest.mark.parametrize("loss_of", MEANT.values(), ids=MEANT)
def test_products_of_which_more_is_made_than_their_total_pass(loss_of):
    """Masks, weights and targets of pairs, margins of pairs that were laid out, and what is done along a dimension."""
    risks = torch.randn(N, generator=torch.Generator().manual_seed(3)).requires_grad_()
    assert not check_shape_broadcast(None, None, loss_of(risks)).trouble
