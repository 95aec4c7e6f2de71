"""What is meant: parts that follow, losses with gaps, choices that are masked, and inputs that are spread."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import (
    check_misaligned_targets,
    check_padding_changes_output,
    check_standardised_batches,
    check_target_scale,
)
from goldmark.checks._structures import call

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


class Followed(nn.Module):
    """A layer that trains, and a BatchNorm and a layer that are declared frozen."""

    def __init__(self):
        super().__init__()
        self.online = nn.Linear(6, 2)
        self.kept = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2)).requires_grad_(False)

    def forward(self, x):
        """The difference of both (B, 2)."""
        return self.online(x) - self.kept(x)


def moved(change, optimizer_of):
    """Train for six steps, with a change after each of them, and return the findings about what is frozen."""
    model = Followed()
    optimizer = optimizer_of(model)
    with goldmark.watch(model, optimizer, frozen=[model.kept]) as watch:
        for _ in range(6):
            loss = model(X).square().mean()
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward(output=None, loss=loss)
            optimizer.step()
            change(model)
    return [finding for finding in watch.findings if finding.name == "frozen_parameters_move"]


@torch.no_grad()
def follow(model):
    """Move the frozen layer towards the one that trains."""
    model.kept[1].weight.lerp_(model.online.weight, 0.1)


def adam(model):
    """Own all, as many programs do, though what is frozen gets no gradient."""
    return torch.optim.Adam(model.parameters(), lr=1e-2)


def test_what_follows_by_hand_is_frozen_still():
    """Weights that the program sets, and the statistics beside them; these alone are a mode that was forgotten."""
    assert [] == moved(follow, adam)
    (finding,) = moved(lambda model: None, adam)
    assert "kept.0.running_mean" in finding.relation


def test_what_an_optimizer_moves_is_not_frozen():
    """Thawed by its flags for a few steps, whatever else is done to it, before it and after."""
    numbers = iter(range(6))

    def thaw_for_a_while(model):
        model.kept.requires_grad_(1 <= next(numbers) < 4)
        follow(model)

    (finding,) = moved(thaw_for_a_while, adam)
    assert finding.relation.startswith("what is declared frozen must not change")
    assert {"moved": 7.0, "declared": 7.0} == finding.numbers


def test_one_number_has_no_spread_and_gaps_no_scale():
    """The target of a lone example is near or far; rows with a gap are left out of a batch."""
    assert not check_target_scale(torch.tensor([0.5]), torch.tensor([2.0])).trouble
    assert check_target_scale(torch.tensor([0.5]), torch.tensor([200.0])).trouble
    rows = torch.randn(6, 32, generator=torch.Generator().manual_seed(0))
    gaps = rows.masked_fill(rows > 0.8, torch.nan)
    own = [(one - one.nanmean()) / one[one.isfinite()].std() for one in gaps]
    assert (False, True) == (check_standardised_batches(list(gaps)).trouble, check_standardised_batches(own).trouble)
    assert not check_standardised_batches([one.fill_(torch.nan) for one in rows]).trouble


def test_a_mean_over_fewer_targets_pulls_no_other_example():
    """Half of the targets of the first example do not count when it has those of another."""
    outputs = torch.randn(8, 10, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    changed = outputs.detach().index_fill(0, torch.tensor(0), 2.0)
    targets = torch.zeros(8, 10, dtype=torch.long).index_fill(1, torch.arange(2, 10), -100)
    longer = targets.clone()
    longer[0] = 1

    def gradient(targets, dim):
        loss = functional.cross_entropy(outputs.transpose(0, dim).flatten(0, 1), targets.flatten())
        return torch.autograd.grad(loss, outputs)[0]

    fits = check_misaligned_targets(outputs.detach(), changed, gradient(targets, 0), gradient(longer, 0))
    assert (False, 1.0) == (fits.trouble, fits.numbers["share_on_own_outputs"])
    assert check_misaligned_targets(outputs.detach(), changed, gradient(targets, 1), gradient(longer, 1)).trouble


def test_equal_infinities_are_no_change_by_padding():
    """A choice that is masked for every word is -inf with padding and without; what is real still counts."""
    words = torch.tensor([[3, 1, 2]])
    masked = torch.tensor([0.0, 0.0, -torch.inf])
    assert not check_padding_changes_output(lambda x: functional.one_hot(x, 9)[..., :3] + masked, words, 0).trouble
    summed = check_padding_changes_output(
        lambda x: functional.one_hot(x, 9)[..., :3].cumsum(2) + masked + x.shape[1], words, 0
    )
    assert summed.trouble


class Optional(nn.Module):
    """A model of one input and one that may be left out."""

    def forward(self, x, y=None):
        """The sum (B, F)."""
        return x.clone() if y is None else x + y


class Whole(nn.Module):
    """A model that is given a tuple, and has another argument."""

    def forward(self, batch, scale=1.0):
        """The sum (B, F)."""
        return (batch[0] + batch[1]) * scale


class Several(nn.Module):
    """A model of any number of inputs."""

    def forward(self, *inputs):
        """The sum (B, F)."""
        return torch.stack(inputs).sum(0)


@pytest.mark.parametrize("model", [Optional(), Whole(), Several()])
def test_a_tuple_is_spread_where_it_is_refused_whole(model):
    """The second input may be left out, is part of the first, or one of many."""
    assert torch.equal(X + 1, call(model, (X, torch.ones_like(X))))


def test_a_model_that_takes_a_tuple_in_no_way_says_why():
    """The error is that of the call as documented, `model(inputs)`."""
    with pytest.raises(TypeError, match="linear"):
        call(nn.Linear(6, 2), (X, X))
