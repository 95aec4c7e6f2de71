"""Objectives of several outputs: least where all are one vector, or not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import check_collapsing_objective
from goldmark.checks._collapsing import are_centred

cosine = functional.cosine_similarity


def outputs(n=2, offset=0.0):
    """Outputs (12, 5), `n` of them."""
    return [*torch.randn(n, 12, 5, generator=torch.Generator().manual_seed(0)) + offset]


def unit(z):
    """Rows of length 1."""
    return functional.normalize(z, dim=1)


def standardised(z):
    """Columns of mean 0 and sd 1."""
    return (z - z.mean(0)) / (z.std(0) + 1e-5)


COLLAPSING = {
    "cosine": (2, lambda o: -cosine(*o).mean()),
    "symmetric": (4, lambda o: -cosine(o[0], o[3]).mean() - cosine(o[1], o[2]).mean()),
    "distance": (2, lambda o: functional.mse_loss(*o)),
    "distance_of_directions": (2, lambda o: (unit(o[0]) - unit(o[1])).square().sum(1).mean() + 3),
    "absolute": (2, lambda o: functional.l1_loss(*o)),
    "sum_of_each": (3, lambda o: (torch.stack(o) - torch.stack(o).mean(0)).square().sum()),
}
HEALTHY = {
    "fixed_target": (2, lambda o: sum(functional.mse_loss(one, outputs(3)[2]) for one in o)),
    "centre": (2, lambda o: sum((one - 1).square().mean() for one in o)),
    "contrast": (2, lambda o: functional.cross_entropy(unit(o[0]) @ unit(o[1]).T, torch.arange(12))),
    "triplet": (3, lambda o: functional.triplet_margin_with_distance_loss(*o, margin=9)),
    "squared_triplet": (3, lambda o: ((o[0] - o[1]).square() - (o[0] - o[2]).square()).mean()),
    "critic": (2, lambda o: o[0].mean() - o[1].mean()),
    "spread": (2, lambda o: functional.mse_loss(*o) + sum((1 - (z.var(0) + 1e-4).sqrt()).relu().mean() for z in o)),
    "redundancy": (2, lambda o: (standardised(o[0]).T @ standardised(o[1]) / 12 - torch.eye(5)).square().sum()),
    "standardised": (2, lambda o: functional.mse_loss(*map(standardised, o))),
    "information": (2, lambda o: -(o[0].softmax(1) * o[1].softmax(1)).sum(1).mean()),
    "norms": (2, lambda o: sum(one.square().mean() for one in o)),
    "away": (2, lambda o: cosine(*o).mean()),
    "not_a_number": (2, lambda o: (torch.stack(o).std(1).log()).mean()),
}


@pytest.mark.parametrize("offset", [0.0, 3.0])
@pytest.mark.parametrize(("n", "loss_of"), COLLAPSING.values(), ids=COLLAPSING)
def test_what_only_draws_outputs_together_is_named(n, loss_of, offset):
    """Whatever the distance is, and however near they are already."""
    finding = check_collapsing_objective(loss_of, outputs(n, offset))
    assert finding.trouble
    assert finding.numbers["loss_where_all_are_one"] < finding.numbers["loss"]


@pytest.mark.parametrize("offset", [0.0, 3.0])
@pytest.mark.parametrize(("n", "loss_of"), HEALTHY.values(), ids=HEALTHY)
def test_what_keeps_outputs_apart_or_holds_them_elsewhere_passes(n, loss_of, offset):
    """Targets, negatives, variances, norms."""
    assert not check_collapsing_objective(loss_of, outputs(n, offset)).trouble


def test_outputs_of_mean_0_cannot_become_one_vector():
    """Those of a BatchNorm, alone or together; its own bias may shift them all."""
    z = nn.Linear(5, 5)(torch.cat(outputs()))
    plain, centring, shifting = (
        norm(z) for norm in (nn.Identity(), nn.BatchNorm1d(5, affine=False), nn.BatchNorm1d(5))
    )
    assert not are_centred(plain.chunk(2))
    assert are_centred([plain, centring])
    assert are_centred(centring.chunk(2))
    assert not are_centred([shifting, shifting])
    assert are_centred([centring.bfloat16(), plain.bfloat16()])


def names(targets_of, optimizer_of=lambda model: torch.optim.SGD(model.parameters(), lr=0.1)):
    """The findings of a preflight of codes whose loss is their distance from `targets_of(model, codes, other)`."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"own": nn.Linear(5, 4), "other": nn.Linear(5, 4)})

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model

        def forward(self, x):
            return {"own": self.parts["own"](x), "other": self.parts["other"](x)}

    both = Both()
    batches = [(one, torch.arange(12)) for one in outputs(3)]

    def loss_fn(output, targets):
        return functional.mse_loss(output["own"], targets_of(both, output, targets))

    return goldmark.preflight(both, optimizer_of(both), batches, None, loss_fn).names


def test_what_holds_still_is_a_target():
    """Detached, without an owner, or beside a term of weights that the loss knows by another way."""
    assert ("collapsing_objective",) == names(lambda model, output, ids: output["other"])
    assert "collapsing_objective" not in names(lambda model, output, ids: output["other"].detach())
    assert "collapsing_objective" not in names(lambda model, output, ids: output["other"] + ids[:, None])
    assert "collapsing_objective" not in names(
        lambda model, output, ids: output["other"] + model.parts["own"].weight.square().sum()
    )
    assert "collapsing_objective" not in names(
        lambda model, output, ids: output["other"],
        lambda model: torch.optim.SGD(model.parts["own"].parameters(), lr=0.1),
    )
