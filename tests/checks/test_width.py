"""What narrow layers put out of reach: ranks and ceilings against trained models and numpy, and which layers count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark import checks
from goldmark.checks._width import affine_tail, in_own_span, naive_r2, numerical_rank


def normal(*shape, seed=0):
    """Standard normal float32."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_numerical_rank_is_that_of_numpy(rank):
    """Products of float32 matrices with r columns between them, moved off the origin."""
    made = normal(50, rank) @ normal(rank, 8, seed=1) + 5
    centred = made.double().numpy() - made.double().numpy().mean(0)
    assert rank == numerical_rank(made) == np.linalg.matrix_rank(centred, rtol=1e-5)
    assert 0 == numerical_rank(torch.ones(5, 3))


def test_few_tokens_of_many_dimensions_keep_their_ceiling_in_their_own_span():
    """Distances stay to rounding of float64; of many tokens nothing is changed."""
    tokens = normal(20, 50).double() + 3
    spanned = in_own_span(tokens)
    assert (20, 20) == tuple(spanned.shape)
    assert pytest.approx(checks.r2_ceiling(tokens, 4), rel=1e-12) == checks.r2_ceiling(spanned, 4)
    assert torch.equal(tokens.T, in_own_span(tokens.T))


@pytest.mark.parametrize(("rank", "trouble"), [(2, True), (5, False)])
def test_activations_of_few_dimensions_cannot_give_targets_of_many(rank, trouble):
    """Six equal directions: two reach a third of the variance, five reach five sixths; 0.8 is wanted."""
    targets = torch.cat([torch.eye(6), -torch.eye(6)]).repeat(4, 1)
    activations = normal(48, rank) @ normal(rank, 16, seed=1)
    finding = checks.check_activation_rank(activations, targets, threshold=0.8, layer="last")
    assert (trouble, rank, pytest.approx(rank / 6)) == (
        finding.trouble,
        finding.numbers["rank"],
        finding.numbers["r2_ceiling"],
    )
    assert f"'last' has 16 inputs that vary in {rank} dimensions" in finding.relation


def test_a_full_rank_passes_whatever_the_targets_need():
    """Then the layer is as good as its width, which is for another check."""
    assert not checks.check_activation_rank(normal(48, 3), normal(48, 12, seed=1)).trouble


def test_no_training_of_a_decoder_without_activation_exceeds_its_ceiling():
    """64 units behind a code of 2, fitted to noise of 6 dimensions: the R^2 stays below that of two components."""
    targets, code = normal(40, 6), nn.Parameter(normal(40, 2, seed=1))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.Linear(64, 6))
    optimizer = torch.optim.Adam([code, *decoder.parameters()], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss = functional.mse_loss(decoder(code), targets)
        loss.backward()
        optimizer.step()
    ceiling = checks.check_activation_rank(decoder[0](code), targets).numbers["r2_ceiling"]
    reached = 1 - loss.item() / float(targets.var(dim=0, correction=0).mean())
    assert ceiling - 0.02 < reached <= ceiling + 1e-5  # 200 steps come near; rounding of float32


def tail_of(*modules, x=None):
    """The widths of the linear layers that the output of modules in a row is affine in."""
    model = nn.Sequential(*modules)
    layers = {id(one.weight): one for one in model.modules() if isinstance(one, nn.Linear)}
    return [(one.in_features, one.out_features) for one in affine_tail(model(normal(4, 8) if x is None else x), layers)]


def test_the_tail_ends_at_the_first_operation_that_is_not_affine():
    """Activations, dropout and a product of two layers end it; views and positions do not."""
    first, last = nn.Linear(8, 3), nn.Linear(3, 5, bias=False)
    assert [(3, 5), (8, 3)] == tail_of(first, last) == tail_of(first, last, x=normal(4, 7, 8))
    assert [(3, 5), (8, 3)] == tail_of(first, last, nn.Unflatten(1, (1, 5)))
    assert [(3, 5)] == tail_of(first, nn.ReLU(), last) == tail_of(first, nn.Dropout(0.5), last)
    assert [] == tail_of(first, last, nn.Sigmoid())


def test_a_weight_that_is_used_transposed_is_no_layer_of_the_tail():
    """The decoder of a tied autoencoder has the shape of its encoder, turned around."""
    layer = nn.Linear(8, 3)
    output = functional.linear(layer(normal(4, 8)).tanh(), layer.weight.T)
    assert [] == affine_tail(output, {id(layer.weight): layer})


def test_a_model_without_training_is_scored_on_validation_rows():
    """A linear map is learnt by regression, a step by neighbours; noise by neither."""
    x, val_x = normal(200, 3), normal(80, 3, seed=1)
    assert naive_r2(x, x @ normal(3, 4, seed=2), val_x, val_x @ normal(3, 4, seed=2)) > 0.999
    assert naive_r2(x[:, :1], x[:, :1].sign(), val_x[:, :1], val_x[:, :1].sign()) > 0.8
    assert naive_r2(x, normal(200, 2, seed=3), val_x, normal(80, 2, seed=4)) < 0.1


def test_preflight_names_the_layer_and_what_it_cannot_reach():
    """Twelve numbers through two units, where linear regression reaches nearly all."""
    model = nn.Sequential(nn.Linear(12, 2), nn.Linear(2, 20))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = normal(256, 12)
    batches = list(zip(x.split(32), (x @ normal(12, 20, seed=1) / 12**0.5).split(32), strict=True))
    (finding,) = goldmark.preflight(model, optimizer, batches, None, functional.mse_loss)
    out_of_reach = 1 - finding.numbers["r2_ceiling"]
    assert (
        f"'1' has 2 inputs, and {out_of_reach:.0%} of the targets' variance is out of their reach" == finding.relation
    )
    assert finding.threshold == pytest.approx(0.95, abs=1e-3)  # what regression reaches, less the margin of 0.05
