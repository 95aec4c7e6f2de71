"""Cosines of features and class weights as logits, with a scale and without."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from goldmark.checks import check_unscaled_cosines

C, D = 6, 8
LABELS = torch.arange(12) % C


def unit(x, dim=-1):
    """Directions, as torch makes them."""
    return functional.normalize(x, dim=dim)


def finding_of(logits_of, n_classes=C):
    """The finding for `logits_of(features (12, D), weights (C, D))`, after a backward pass."""
    features, weights = nn.Linear(4, D)(torch.randn(12, 4)), nn.Parameter(torch.randn(n_classes, D))
    loss = functional.cross_entropy(logits_of(features, weights), LABELS % n_classes)
    loss.backward()
    return check_unscaled_cosines(loss)


COSINES = {
    "normalize": lambda x, w: functional.linear(unit(x), unit(w)),
    "norm": lambda x, w: (x / x.norm(dim=1, keepdim=True)) @ (w / (w.norm(dim=1, keepdim=True) + 1e-8)).T,
    "margin": lambda x, w: functional.linear(unit(x), unit(w)) - 0.2 * functional.one_hot(LABELS, C),
    "columns": lambda x, w: unit(x) @ unit(nn.Parameter(w.detach().T.clone()), dim=0),
    "names": lambda x, w: torch.einsum("nd,cd->nc", unit(x), unit(w)),
    "other names": lambda x, w: torch.einsum("cd,nd->nc", unit(w), unit(x)),
    "similarity": lambda x, w: functional.cosine_similarity(x[:, None], w, dim=-1),
    "steps": lambda x, w: functional.linear(unit(x.view(3, 4, D)), unit(w)).flatten(0, 1),
}
HEALTHY = {
    "scale": lambda x, w: 16 * functional.linear(unit(x), unit(w)),
    "learnt scale": lambda x, w: functional.linear(unit(x), unit(w)) * nn.Parameter(torch.tensor(2.3)).exp(),
    "temperature": lambda x, w: functional.linear(unit(x), unit(w)) / 0.1,
    "scaled features": lambda x, w: functional.linear(16 * unit(x), unit(w)),
    "scaled weights": lambda x, w: functional.linear(unit(x), 16 * unit(w)),
    "features of any length": lambda x, w: functional.linear(x, unit(w)),
    "weights of any length": lambda x, w: functional.linear(unit(x), w),
    "bias": lambda x, w: functional.linear(unit(x), unit(w), nn.Parameter(torch.zeros(C))),
    "fixed directions": lambda x, w: functional.linear(unit(x), unit(w.detach())),
    "directions of examples": lambda x, w: unit(x) @ unit(w @ nn.Parameter(torch.eye(D))).T,
    "similarity over examples": lambda x, w: functional.cosine_similarity(x[:, None], w, dim=0).T.repeat(2, 1)[:12, :C],
    "sum of one": lambda x, w: (unit(x)[:, None] * w).sum(2),
    "of another dimension": lambda x, w: functional.linear(unit(x, dim=0), unit(w, dim=0)),
    "absolute lengths": lambda x, w: functional.linear(functional.normalize(x, p=1), functional.normalize(w, p=1)),
}


@pytest.mark.parametrize("form", COSINES)
def test_cosines_are_named_in_every_form(form):
    """Margins and views change nothing; numbers are those of the simplex."""
    finding = finding_of(COSINES[form])
    assert finding.trouble
    assert math.isclose(1 / (1 + 5 * math.exp(-6 / 5)), finding.numbers["highest_probability"])


@pytest.mark.parametrize("form", HEALTHY)
def test_whatever_has_a_length_passes(form):
    """A factor anywhere, or directions that nothing trains as they are."""
    assert not finding_of(HEALTHY[form]).trouble


def test_the_bound_is_that_of_a_simplex():
    """Directions that were trained come close to it and not above it; of four classes they may be sure enough."""
    weights = nn.Parameter(torch.randn(C, D, generator=torch.Generator().manual_seed(0)))
    optimizer = torch.optim.Adam([weights], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss = functional.cross_entropy(unit(weights) @ unit(weights).T, torch.arange(C))
        loss.backward()
        optimizer.step()
    bound = finding_of(COSINES["normalize"]).numbers["highest_probability"]
    assert math.isclose(bound, math.exp(-float(loss.detach())), rel_tol=1e-3)  # Adam has not quite settled
    assert [False, True] == [finding_of(COSINES["normalize"], n).trouble for n in (4, 5)]


def test_another_cross_entropy_beside_it_passes():
    """Then cosines do not have to tell the classes alone."""
    features, weights = nn.Linear(4, D)(torch.randn(12, 4)), nn.Parameter(torch.randn(C, D))
    loss = functional.cross_entropy(unit(features) @ unit(weights).T, LABELS)
    assert not check_unscaled_cosines(loss + functional.cross_entropy(nn.Linear(D, C)(features), LABELS)).trouble
